/* SPDX-License-Identifier: MIT */
/*
 * What: every double free and every invalid free or realloc ends the program with one line that
 *   says so, before the program goes on; in each mode.
 * Why: what goes on with a corrupted heap fails elsewhere, later, or lets somebody in.
 */
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include "support.h"

#define MANY 6000

static void (*volatile give)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static void *(*volatile get)(size_t) = malloc;
static void *block[MANY];

/* What each case is: given a size and a distance, where they matter. */
#define CASE(name) static void name(size_t n T_UNUSED, size_t by T_UNUSED)
static char data[64];
/* ---- blocks freed twice ---- */

CASE(twice)
{
    void *keep = get(n), *p = get(n);
    give(p);
    give(p);
    give(keep);
}

static void in_thread(void *(*f)(void *), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, arg) || pthread_join(t, NULL)) _exit(3);
}

static void *frees(void *p)
{
    give(p);
    return NULL;
}

static void *frees_or_ends(void *p)
{
    give(p), _exit(5); /* before it goes on, and not when the block comes home */
}

static void *frees_twice(void *p)
{
    give(p), give(p);
    return NULL;
}

static void *allocates(void *n)
{
    void **at = n;
    *at = get(100);
    return NULL;
}

CASE(d_others_between)
{
    for (int i = 0; i < 50; i++) block[i] = get(48);
    for (int i = 0; i < 50; i++) give(block[i]);
    give(block[20]);
}

CASE(d_filled)
{
    for (int i = 0; i < MANY; i++) block[i] = get(48); /* several slabs, full, asleep or nobody's */
    give(block[0]);
    give(block[MANY / 2]);
    give(block[0]);
}

CASE(d_all_then_one)
{
    for (int i = 0; i < MANY; i++) block[i] = get(64);
    for (int i = 0; i < MANY; i++) give(block[i]);
    give(block[MANY / 3]); /* its slab may have gone back */
}

CASE(d_in_a_bin)
{
    for (int i = 0; i < 3000; i++) block[i] = get(256);
    for (int i = 1000; i < 1512; i++) give(block[i]);
    for (int i = 0; i < MANY; i++) {
        void *p = get(256);
        for (int k = 1000; k < 1512; k++) {
            if (p != block[k]) continue;
            give(block[k == 1010 ? 1011 : 1010]);
            return;
        }
    }
}

CASE(d_trimmed)
{
    for (int i = 0; i < MANY; i++) block[i] = get(48);
    for (int i = 0; i < MANY; i++)
        if (i % 500) give(block[i]);
    malloc_trim(0); /* its page has gone */
    n ? in_thread(frees_or_ends, block[MANY / 2 + 250]) : give(block[MANY / 2 + 250]);
}

static void without_pages(size_t n)
{
    for (int i = 0; i < 400; i++) block[i] = get(n);
    for (int i = 1; i < 400; i++) give(block[i]);
    malloc_trim(0);
}

CASE(d_trimmed_there)
{
    without_pages(n);
    in_thread(frees_or_ends, block[20]);
}

CASE(d_trimmed_mid)
{
    without_pages(12000);
    give(block[75]);
}

CASE(d_reused)
{
    char *p = get(200), *q = NULL;
    give(p);
    for (int left = 100000; q != p && left > 0; left--) q = get(200); /* or it is held back */
    give(p);
    give(q);
}

CASE(d_moved)
{
    void *p = get(100), *fence = get(100), *q = resize(p, 5000);
    give(p);
    give(q);
    give(fence);
}

CASE(d_calloc)
{
    void *p = calloc(3, t_opaque(33));
    give(p);
    give(p);
}

CASE(d_aligned)
{
    void *p = aligned_alloc(256, t_opaque(512));
    give(p);
    give(p);
}

CASE(d_here_then_there)
{
    void *p = get(100);
    give(p);
    in_thread(frees, p);
}

CASE(d_there_then_here)
{
    void *p = get(100);
    in_thread(frees, p);
    give(p); /* under way */
}

CASE(d_there_twice)
{
    in_thread(frees_twice, get(100));
}

CASE(d_there_twice_mid)
{
    in_thread(frees_twice, get(3000));
}

CASE(d_there_and_there)
{
    void *p = get(100);
    in_thread(frees, p);
    in_thread(frees, p);
}

static void *frees_many(void *arg)
{
    for (int i = 0; i < 2000; i++) give(block[i]);
    return arg;
}

CASE(d_many_there)
{
    for (int i = 0; i < 2000; i++) block[i] = get(100);
    in_thread(frees_many, NULL);
    give(block[1234]);
}

CASE(d_many_there_ends)
{
    for (int i = 0; i < 2000; i++) block[i] = get(100);
    in_thread(frees_many, NULL);
    for (int i = 1999; i >= 0; i--) in_thread(frees, block[i]); /* be it the first of its list */
}

CASE(d_of_one_gone)
{
    void *p;
    in_thread(allocates, &p);
    give(p);
    give(p);
}

CASE(d_in_a_child)
{
    void *p = get(100);
    int status;
    give(p);
    pid_t child = fork();
    if (child == 0) {
        give(p);
        _exit(0);
    }
    if (waitpid(child, &status, 0) == child && WIFSIGNALED(status)) abort();
}

/* ---- what is no block ---- */

CASE(i_stack)
{
    char local[64];
    give(local + 16);
}

static void *stack_of_a_thread(void *p)
{
    char local[64];
    give(local + 16);
    return p;
}

CASE(i_stack_of_a_thread)
{
    in_thread(stack_of_a_thread, NULL);
}
CASE(i_odd)
{
    void *const odd[] = {data,
                         (void *)(uintptr_t) "text",
                         (void *)(uintptr_t)free,
                         getenv("PATH"),
                         (void *)(uintptr_t)16,
                         (void *)(uintptr_t)0x123456789ab0,
                         (void *)(uintptr_t)0xffff800000001000,
                         (void *)UINTPTR_MAX};
    give(odd[n]);
}

CASE(i_mapping)
{
    give(mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

CASE(inside)
{
    char *p = get(n);
    memset(p, 0, n);
    give(p + by);
}

CASE(i_before)
{
    char *p = get(64);
    memset(p, 0, 64);
    give(p - 8);
}

/* Where a block begins, but none was ever handed out. */
CASE(i_next)
{
    char *p = get(640), *most = p;
    for (int i = 0; i < 3; i++)
        if (most < p) most = p;
    give(most + 640);
}

static void *resizes(void *p)
{
    return block[0] = resize(p, 1000);
}

CASE(i_beyond)
{
    char *p = get(1024);
    p = (char *)((uintptr_t)p | 65535) + 1 - 1024;
    n ? in_thread(n == 1 ? frees_or_ends : resizes, p) : give(p);
}

CASE(i_beyond_mid)
{
    char *p = get(32768);
    n ? in_thread(frees_or_ends, p + 16 * 32768) : give(p + 16 * 32768);
}

CASE(i_free_chunk)
{
    char *p = get(64);
    give((char *)(((uintptr_t)p & ~(uintptr_t)0x1fffff) + 0x1f0000));
}

static void *frees_inside(void *p)
{
    return give((char *)p + 16), p;
}
CASE(i_there)
{
    in_thread(frees_inside, get(n));
}

/* ---- realloc ---- */

CASE(again)
{
    void *keep = get(n), *p = get(n);
    give(p);
    block[0] = resize(p, by);
    give(keep);
}

CASE(r_there)
{
    void *p = get(100);
    in_thread(frees, p);
    block[0] = resize(p, 200);
}

CASE(r_freed_here)
{
    void *p = get(100);
    give(p);
    in_thread(resizes, p);
}

CASE(r_trimmed_there)
{
    without_pages(n);
    in_thread(resizes, block[20]);
}

CASE(v_inside)
{
    block[0] = resize((char *)get(100) + 16, 200);
}
CASE(v_inside_mid)
{
    block[0] = resize((char *)get(3000) + 256, 200);
}
CASE(v_inside_large)
{
    block[0] = resize((char *)get(100000) + 4096, 200);
}
CASE(v_static)
{
    block[0] = resize(data, 200);
}
CASE(v_inside_there)
{
    in_thread(resizes, (char *)get(100) + 16);
}

#define FREE    "hakmem: free of an invalid pointer: 0x"
#define REALLOC "hakmem: realloc of an invalid pointer: 0x"
#define DOUBLE  "hakmem: double free: 0x"
#define REVIVE  "hakmem: realloc of a freed block: 0x"

/* Of memory that is no block's any more it is not told apart whether it was. */
static const struct death {
    void (*f)(size_t, size_t);
    const char *name, *line, *or_line;
    size_t n, by;
} deaths[] = {
#define D(f, line, ...)                                                                            \
    {                                                                                              \
        f, #f, line, NULL, __VA_ARGS__                                                             \
    }
#define E(f, line, or_line)                                                                        \
    {                                                                                              \
        f, #f, line, or_line, 0, 0                                                                 \
    }
    D(twice, DOUBLE, 16, 0),
    D(twice, DOUBLE, 1, 0),
    D(twice, DOUBLE, 100, 0),
    D(twice, DOUBLE, 1024, 0),
    D(twice, DOUBLE, 1100, 0),
    D(twice, DOUBLE, 5000, 0),
    D(twice, DOUBLE, 32768, 0),
    D(twice, FREE, 100000, 0),
    D(twice, FREE, 3 << 20, 0),
    D(twice, FREE, 100 << 20, 0),
    E(d_others_between, DOUBLE, NULL),
    E(d_filled, DOUBLE, NULL),
    E(d_all_then_one, DOUBLE, FREE),
    E(d_in_a_bin, DOUBLE, NULL),
    E(d_trimmed, DOUBLE, FREE),
    D(d_trimmed, DOUBLE, 1, 0),
    E(d_trimmed_mid, DOUBLE, FREE),
    D(d_trimmed_there, DOUBLE, 1000, 0),
    E(d_reused, DOUBLE, NULL),
    E(d_moved, DOUBLE, FREE),
    E(d_calloc, DOUBLE, NULL),
    E(d_aligned, DOUBLE, NULL),
    E(d_here_then_there, DOUBLE, NULL),
    E(d_there_then_here, DOUBLE, NULL),
    E(d_there_twice, DOUBLE, NULL),
    E(d_there_twice_mid, DOUBLE, NULL),
    E(d_there_and_there, DOUBLE, NULL),
    E(d_many_there, DOUBLE, FREE),
    E(d_many_there_ends, DOUBLE, FREE),
    E(d_of_one_gone, DOUBLE, NULL),
    E(d_in_a_child, DOUBLE, NULL),
    E(i_stack, FREE, NULL),
    E(i_stack_of_a_thread, FREE, NULL),
    D(i_odd, FREE, 0, 0),
    D(i_odd, FREE, 1, 0),
    D(i_odd, FREE, 2, 0),
    D(i_odd, FREE, 3, 0),
    D(i_odd, FREE, 4, 0),
    D(i_odd, FREE, 5, 0),
    D(i_odd, FREE, 6, 0),
    D(i_odd, FREE, 7, 0),
    E(i_mapping, FREE, NULL),
    D(inside, FREE, 64, 1),
    D(inside, FREE, 64, 8),
    D(inside, FREE, 64, 16),
    D(inside, FREE, 64, 32),
    D(inside, FREE, 1000, 112),
    D(inside, FREE, 3000, 1),
    D(inside, FREE, 3000, 16),
    D(inside, FREE, 3000, 1024),
    D(inside, FREE, 32768, 20480),
    D(inside, FREE, 100000, 16),
    D(inside, FREE, 100000, 4096),
    D(inside, FREE, 100000, 65536),
    D(inside, FREE, 5 << 20, 2 << 20),
    E(i_before, FREE, NULL),
    E(i_next, FREE, DOUBLE),
    E(i_beyond, FREE, DOUBLE),
    D(i_beyond, FREE, 1, 0),
    D(i_beyond, REALLOC, 2, 0),
    E(i_beyond_mid, FREE, DOUBLE),
    D(i_beyond_mid, FREE, 1, 0),
    E(i_free_chunk, FREE, NULL),
    D(i_there, FREE, 100, 0),
    D(i_there, FREE, 3000, 0),
    D(i_there, FREE, 100000, 0),
    D(again, REVIVE, 100, 5000),
    D(again, REVIVE, 100, 100),
    D(again, REVIVE, 3000, 100000),
    D(again, REALLOC, 100000, 300000),
    E(r_there, REVIVE, NULL),
    E(r_freed_here, REVIVE, NULL),
    D(r_trimmed_there, REVIVE, 1000, 0),
    E(v_inside, REALLOC, NULL),
    E(v_inside_mid, REALLOC, NULL),
    E(v_inside_large, REALLOC, NULL),
    E(v_static, REALLOC, NULL),
    E(v_inside_there, REALLOC, NULL),
#undef D
#undef E
};

static void die_of(const void *arg)
{
    const struct death *d = arg;
    static const char on[] = "it went on\n";
    d->f(d->n, d->by);
    _exit(write(2, on, sizeof on - 1) > 0 ? 0 : 1);
}

int main(void)
{
    if (!t_on_hakmem()) {
        hktest_skip("deaths", "the C library's malloc says it in other words");
        return hktest_done();
    }
    give(get(1)); /* what a mode says at the start is no last word */
    for (size_t i = 0; i < T_COUNT(deaths); i++) {
        const struct death *d = &deaths[i];
        char text[1000];
        int status = t_ending(die_of, d, 2, text, sizeof text);
        bool ok =
            t_aborted(status, text, d->line) || (d->or_line && t_aborted(status, text, d->or_line));
        if (!ok) printf("# status %x, %s\n", (unsigned)status, *text ? text : "nothing said");
        hktest_ok(ok, "%s %zu %zu: %.*s", d->name, d->n, d->by, (int)strcspn(text, "\n"), text);
    }
    return hktest_done();
}
