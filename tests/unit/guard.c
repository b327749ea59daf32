/* SPDX-License-Identifier: MIT */
/*
 * What: the pool of guarded blocks: where blocks lie, what is reused when, full, refused by the
 *   kernel, written beyond, forked in the midst; how often it is whose turn; faults that are not
 * its business. Why: what watches over a program in production must not be what breaks it.
 */
#include "large/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "ending.h"
#include "front/front.h"
#include "hakmem.h"
#include "hktest.h"

#define SLOTS   8u
#define THREADS 4
#define ROUNDS  3000

static size_t page;
static void *block[SLOTS + 1];
static char *first_page; /* of the pool: nobody's */

/* ---- a kernel that says no, or that takes its time ---- */

static bool refuse_map;
static _Atomic int refuse_open, refuse_close, wait_in, waits;

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (!refuse_map) return __real_mmap(at, bytes, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __real_mprotect(void *p, size_t bytes, int prot);
int __wrap_mprotect(void *p, size_t bytes, int prot);
int __wrap_mprotect(void *p, size_t bytes, int prot)
{
    if (wait_in) {
        waits++;
        while (wait_in) usleep(100);
    }
    errno = EPERM;
    if (prot == PROT_NONE ? refuse_close : refuse_open) return -1;
    return __real_mprotect(p, bytes, prot);
}

/* ---- children that end by what they do ---- */

static char said[1000];

static void call(const void *f)
{
    (*(void (*const *)(void))f)();
}

static struct hk_guard_stats stats(void)
{
    struct hk_guard_stats s;
    hk_guard_read_stats(&s);
    return s;
}

static char *take(size_t n)
{
    return hk_guard_alloc(n, 16, false, NULL);
}

static bool take_all(size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(block[i] = take(40))) return false;
    return true;
}

static void give_all(void)
{
    for (size_t i = 0; i < SLOTS; i++) hk_guard_free(block[i], NULL);
}

static size_t page_of(const void *p)
{
    return (uintptr_t)p / page;
}

/* ---- the cases ---- */

static void no_memory(void)
{
    errno = 77;
    refuse_map = true;
    hktest_ok(!take(40) && errno == 77, "no mapping, no pool; errno is kept");
    refuse_map = false;
    char *p = take(40);
    hktest_ok(p && errno == 77 && hk_guard_holds(p), "with the next sample it is there");
    hk_guard_free(p, NULL);
}

static void places(void)
{
    unsigned left = 0, right = 0, wrong = 0;
    for (unsigned i = 0; i < 400; i++) {
        size_t n = i % 5 ? i * 7 % page : page - i % 3, align = (size_t)16 << i % 6;
        unsigned char *p = hk_guard_alloc(n, align, i % 2, NULL);
        if (!p || (uintptr_t)p % align || hk_guard_bytes(p) != n) {
            wrong++;
            continue;
        }
        bool begins = (uintptr_t)p % page == 0;
        if (i % 2 && n && (p[0] || memcmp(p, p + 1, n - 1))) wrong++;
        memset(p, 1, n);
        left += begins;
        right += !begins;
        wrong += !begins && ((uintptr_t)p + n + align < (page_of(p) + 1) * page + (n == 0));
        wrong += page_of(p) != page_of(p + (n ? n - 1 : 0));
        hk_guard_free(p, NULL);
    }
    hktest_ok(wrong == 0, "blocks lie where they should, aligned, zeroed: %u do not", wrong);
    hktest_ok(left > 100 && right > 100, "at both ends: %u and %u", left, right);
    hktest_ok(!hk_guard_fits(page + 1, 1) && !hk_guard_fits(1, 2 * page) &&
                  hk_guard_fits(page, page),
              "what fits a page fits");
}

static void full(void)
{
    bool all = take_all(SLOTS);
    hktest_ok(all && stats().live == SLOTS && !take(40), "so many slots, so many blocks");
    unsigned due = 0;
    hk_guard_start(1000, SLOTS);
    for (unsigned i = 0; i < 100; i++) due += hk_guard_turn(100000) && !take(1);
    bool later = hk_guard_turn(0);
    hktest_ok(due == 100 && !later, "whose turn it was meanwhile is not made up for");
    hk_guard_start(1, SLOTS);
    void *p = hakmem_malloc(40), *q = hakmem_calloc(1, 40);
    hktest_ok(p && q && !hk_guard_holds(p), "then requests are served as usual");
    hakmem_free(p);
    hakmem_free(q);
    hakmem_free(block[3]);
    hk_guard_free(block[1], NULL);
    hk_guard_free(block[6], NULL);
    hktest_ok(page_of(take(1)) == page_of(block[3]) && page_of(take(1)) == page_of(block[1]) &&
                  page_of(take(1)) == page_of(block[6]) && !take(1),
              "what rested longest goes first");
    hk_guard_check();
}

/* What tests have left. */
static void free_all(void)
{
    for (size_t at = page; at < 2 * SLOTS * page; at++)
        if (hk_guard_bytes(first_page + at)) hk_guard_free(first_page + at, NULL);
}

static void refused(void)
{
    errno = 77;
    refuse_open = 1;
    hktest_ok(!take(40) && !take(40) && errno == 77 && stats().live == 0,
              "a page that cannot be opened");
    refuse_open = 0;
    bool all = take_all(SLOTS);
    hktest_ok(all && !take(1), "costs no slot");
    refuse_close = 1;
    errno = 77;
    give_all();
    hktest_ok(errno == 77 && stats().live == 0, "one that cannot be closed");
    refuse_close = 0;
    all = take_all(SLOTS);
    hktest_ok(all, "is used again");
    give_all();
    hk_guard_check();
}

static char *own;

static void beyond(void)
{
    own = take(40);
    own[40] = 0;
    hk_guard_free(own, NULL);
}

static void far_beyond(void)
{
    while ((uintptr_t)(own = take(100)) % page) hk_guard_free(own, NULL);
    own[page - 1] = 0;
    hk_guard_free(own, NULL);
}

static void before(void)
{
    while ((uintptr_t)(own = take(100)) % page == 0) hk_guard_free(own, NULL);
    own[-1] = 0;
    hk_guard_free(own, NULL);
}

static void far_before(void)
{
    while ((uintptr_t)(own = take(100)) % page == 0) hk_guard_free(own, NULL);
    *(char *)((uintptr_t)own & ~(page - 1)) = 0;
    hk_guard_free(own, NULL);
}

static void broken_record(void)
{
    own = take(40);
    own[41] = 0;
    hk_front_check();
}

static void slack(void)
{
    static const struct {
        void (*f)(void);
        const char *what;
    } cases[] = {{beyond, "hakmem: write beyond a block: 0x"},
                 {far_beyond, "hakmem: write beyond a block: 0x"},
                 {before, "hakmem: write before a block: 0x"},
                 {far_before, "hakmem: write before a block: 0x"},
                 {broken_record, "hakmem: write beyond a block: 0x"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = t_ending(call, &cases[i].f, 2, said, sizeof said);
        hktest_ok(t_aborted(status, said, cases[i].what), "%.*s: status %x",
                  (int)strcspn(said, "\n"), said, (unsigned)status);
    }
}

/* n allocations came from a bin, and the next one finds it empty; how many are chosen then. */
static uint64_t come_by(uint64_t n)
{
    uint64_t samples = 0;
    for (n++; hk_guard_turn((int64_t)n); n = 1) samples++;
    return samples;
}

static void *few_turns(void *got)
{
    for (unsigned i = 0; i < 20; i++) *(uint64_t *)got += come_by(i % 7);
    return got;
}

static void rate(void)
{
    static const uint32_t every[] = {2, 50, 1000, 30000};
    hk_guard_start(1, SLOTS);
    bool each = true;
    for (unsigned i = 0; i < 1000; i++) each &= hk_guard_turn(1 + i % 300 / 290);
    hktest_ok(each, "one of 1 is each that comes by");
    for (size_t k = 0; k < sizeof every / sizeof *every; k++) {
        uint64_t samples = 0, all = 0, e = every[k], one;
        hk_guard_start(every[k], SLOTS);
        for (uint64_t i = 0, n; all < 5000 * e + 100000; i++, all += n + one) {
            n = i % 3 ? 0 : i % 1000;
            samples += one = come_by(n);
            one++;
        }
        double ratio = (double)samples * (double)e / (double)all;
        hktest_ok(ratio > 0.93 && ratio < 1.07,
                  "of %llu allocations %llu were chosen, one of %u: %.3f", (unsigned long long)all,
                  (unsigned long long)samples, every[k], ratio);
    }
    uint64_t got = 0;
    hk_guard_start(1000, SLOTS);
    for (int i = 0; i < 4000; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, few_turns, &got) || pthread_join(t, NULL))
            hktest_bail("no thread");
    }
    hktest_ok(got > 200 && got < 440, "of 4000 short threads' 312 thousand %llu",
              (unsigned long long)got);
}

static void *takes(void *p)
{
    return hk_guard_free(take(40), NULL), p;
}

static void *gives(void *p)
{
    return hk_guard_free(p, NULL), NULL;
}

static bool usable(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (block[i] && hk_guard_bytes(block[i])) hk_guard_free(block[i], NULL);
    bool all = take_all(SLOTS);
    hk_guard_check();
    return all;
}

/* A thread is inside the kernel with a slot while another one forks. */
static void forked(void)
{
    pthread_t t;
    take_all(SLOTS - 1);
    block[SLOTS - 1] = NULL;
    hktest_ok(in_child(usable), "a child frees what its parent took");
    for (int i = 0; i < 2; i++) {
        wait_in = 1;
        waits = 0;
        if (pthread_create(&t, NULL, i ? gives : takes, block[0])) hktest_bail("no thread");
        while (!waits) usleep(100);
        hk_front_fork_prepare();
        pid_t child = fork();
        if (child == 0) {
            wait_in = 0;
            hk_front_fork_child();
            _exit(!usable());
        }
        hk_fork_end();
        wait_in = 0;
        pthread_join(t, NULL);
        int status = -1;
        waitpid(child, &status, 0);
        hktest_ok(status == 0, "and all slots, while another thread %s a block",
                  i ? "frees" : "gets");
        if (i) block[0] = take(40);
    }
}

static _Atomic unsigned wrong, got;

static void *hammer(void *arg)
{
    unsigned char seed = (unsigned char)(uintptr_t)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned char *p[3];
        for (unsigned k = 0; k < 3; k++) {
            p[k] = (unsigned char *)take(1 + (i + k) % 200);
            if (p[k]) memset(p[k], seed, 1 + (i + k) % 200);
        }
        for (unsigned k = 0; k < 3; k++) {
            if (!p[k]) continue;
            got++;
            for (unsigned j = 0; j < 1 + (i + k) % 200; j++) wrong += p[k][j] != seed;
            hk_guard_free(p[k], NULL);
        }
    }
    return NULL;
}

static void many(void)
{
    pthread_t t[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, hammer, (void *)(i + 1))) hktest_bail("no thread");
    for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    hk_guard_check();
    hktest_ok(wrong == 0 && got > ROUNDS && stats().live == 0, "%d threads: %u blocks, %u wrong",
              THREADS, got, wrong);
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    hakmem_free(hakmem_malloc(1));
    hktest_ok(!hk_guard_on() && !hk_guard_holds(said) && stats().sampled == 0 &&
                  hk_guard_check() == 0,
              "off, there is nothing");
    hk_guard_start(1, SLOTS);
    no_memory();
    take_all(SLOTS);
    for (size_t i = 0; i < SLOTS; i++) {
        char *at = (char *)((page_of(block[i]) - 1) * page);
        if (!first_page || at < first_page) first_page = at;
    }
    give_all();
    places();
    full();
    free_all();
    refused();
    slack();
    forked();
    free_all();
    many();
    rate();
    return hktest_done();
}
