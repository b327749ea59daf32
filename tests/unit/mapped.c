/* SPDX-License-Identifier: MIT */
/*
 * What: blocks in mappings of their own: from heap to mapping and back, the table when it is full,
 *   when the kernel will not unmap, in a child of fork, under many threads.
 * Why: an entry lost is a block that free does not know; one too many is somebody else's memory.
 */
#include "large/mapped.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/map.h"
#include "core/pool.h"
#include "hakmem.h"
#include "hktest.h"
#include "policy/policy.h"

#define MANY    1200
#define THREADS 4
#define ROUNDS  60

static size_t live(void)
{
    struct hk_mapped_stats s;
    hk_mapped_read_stats(&s);
    return s.blocks;
}

static void mark(unsigned char *p, size_t from, size_t to, unsigned seed)
{
    for (size_t i = from; i < to; i += 1021) p[i] = (unsigned char)(i / 1021 * 7 + seed);
}

static bool marked(const unsigned char *p, size_t to, unsigned seed)
{
    for (size_t i = 0; i < to; i += 1021) {
        if (p[i] != (unsigned char)(i / 1021 * 7 + seed)) return false;
    }
    return true;
}

/* A multiple of what mark() steps by, so that marks go on where they stopped. */
static size_t round_marks(size_t n)
{
    return n / 1021 * 1021;
}

/* p of n bytes grown to `to`, with a block in its way each time; NULL if bytes were lost. */
static unsigned char *grow(unsigned char *p, size_t n, size_t to, unsigned seed)
{
    while (n < to) {
        size_t more = round_marks(n * 3 / 2);
        void *fence = hakmem_malloc(100000);
        p = hakmem_realloc(p, more);
        hakmem_free(fence);
        if (!p || !marked(p, n, seed) || hakmem_usable_size(p) < more) return NULL;
        mark(p, n, more, seed);
        n = more;
    }
    return p;
}

static void there_and_back(void)
{
    size_t n = round_marks(3 * HK_MIB), page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *p = hakmem_malloc(n);
    void *fence = hakmem_malloc(HK_MIB);
    mark(p, 0, n, 1);
    p = grow(p, n, 50 * HK_MIB, 1);
    hktest_ok(p && live() == 1 && hk_mapped_bytes(p) > 50 * HK_MIB,
              "a block that cannot grow in the heap grows outside");
    hktest_ok(hk_mapped_bytes(p + page) == 0 && hk_mapped_bytes(p + 1) == 0,
              "inside of it is no block");
    n = round_marks(2 * HK_MIB);
    p = hakmem_realloc(p, n);
    hktest_ok(p && live() == 1 && marked(p, n, 1) && hakmem_usable_size(p) < n + page,
              "it shrinks where it stands");
    p = hakmem_realloc(p, HK_MAPPED_KEEP - 1);
    hktest_ok(p && live() == 0 && hk_unit_of(p) && marked(p, round_marks(HK_MAPPED_KEEP - 1), 1),
              "and comes home when it is small");
    hakmem_free(p);
    hakmem_free(fence);
    hktest_ok(hk_policy_mapped_least(4, 10) == 20 && hk_policy_mapped_least(30, 10) == 30 &&
                  hk_policy_mapped_least(4, SIZE_MAX) == HK_MAPPED_MOST,
              "what was freed raises the least size, to a bound");
    hktest_ok(!hk_mapped_copy("", 0, HK_MAPPED_LEAST - 1), "small ones do not go there");
}

static void *block[MANY];

static void full(void)
{
    size_t n = HK_MAPPED_MOST, got = 0;
    while (got < MANY && (block[got] = hk_mapped_copy("", 0, n))) got++;
    hktest_ok(got > 100 && got < MANY, "the table has its bound: %zu blocks", got);
    bool good = true;
    for (size_t i = 0; i < got; i++) good &= hk_mapped_bytes(block[i]) == n;
    for (size_t i = 0; i < got; i += 2) good &= hk_mapped_free(block[i]);
    for (size_t i = 0; i < got; i++) good &= hk_mapped_bytes(block[i]) == (i % 2 ? n : 0);
    for (size_t i = 0; i < got; i += 2) good &= (block[i] = hk_mapped_copy("", 0, n)) != NULL;
    good &= hk_mapped_copy("", 0, n) == NULL;
    hktest_ok(good, "each is found, and none that was freed");
    for (size_t i = 0; i < got; i++) good &= hk_mapped_free(block[i]) && !hk_mapped_free(block[i]);
    hktest_ok(good && live() == 0, "a second free finds nothing");
}

/* A block of the parent's is one of the child's. */
static void forked(void)
{
    unsigned char *p = hk_mapped_copy("", 0, HK_MAPPED_MOST);
    mark(p, 0, HK_MIB, 3);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char *q = hk_mapped_resize(p, 2 * HK_MAPPED_MOST);
        bool good = q && marked(q, HK_MIB, 3) && hk_mapped_free(q) && live() == 0;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    hktest_ok(status == 0 && live() == 1 && marked(p, HK_MIB, 3) && hk_mapped_free(p),
              "a child has its own: %#x", (unsigned)status);
}

static void *grower(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    bool good = true;
    for (unsigned i = 0; i < ROUNDS; i++, seed += THREADS) {
        size_t n = HK_MIB;
        unsigned char *p = hk_mapped_copy("", 0, HK_MAPPED_MOST + i * 4096);
        if (!p) return NULL;
        mark(p, 0, n, seed);
        for (unsigned k = 1; k < 5 && p; k++) {
            p = hk_mapped_resize(p, k % 2 ? HK_MAPPED_MOST * (k + 1) : 2 * HK_MIB);
            good &= p && marked(p, n, seed);
        }
        good &= p && hk_mapped_free(p);
    }
    return (void *)(uintptr_t)good;
}

static void many_threads(void)
{
    pthread_t t[THREADS];
    bool good = true;
    for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, grower, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *fine;
        pthread_join(t[i], &fine);
        good &= fine != NULL;
    }
    hktest_ok(good && live() == 0, "threads do not see each other's");
}

int main(void)
{
    there_and_back();
    full();
    forked();
    many_threads();
    hakmem_trim(0);
    hk_pool_check();
    hktest_ok(hk_pool_used_units() == 0, "and the heap is whole");
    return hktest_done();
}
