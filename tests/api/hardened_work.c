/* SPDX-License-Identifier: MIT */
/*
 * What: what hardened mode promises: each misuse ends the program with one line that says so, in 99
 *   of 100 runs at least; blocks come in no order, and freed ones hold nothing; and what programs
 *   that are right rely on.
 * Why: a check that can be passed is believed in all the same, and a false alarm ends a program.
 * Run by hardened.sh, which sets HAKMEM_HARDENED.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#include "support.h"

#define RUNS  100
#define LEAST 99

static void (*volatile give)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static void *(*volatile get)(size_t) = malloc;

#define CASE(name) static void name(size_t n T_UNUSED, size_t by T_UNUSED)

static void put(char *p, ptrdiff_t at)
{
    volatile char *q = p + at;
    *q = (char)(*q + 1);
}

CASE(beyond) /* one byte, `by` behind the end */
{
    char *p = get(n);
    memset(p, 7, n);
    put(p, (ptrdiff_t)(n + by));
    give(p);
}

CASE(beyond_as_filled) /* what the block holds looks like the filler behind it */
{
    char *p = get(n);
    memset(p, 0xe5, n);
    put(p, (ptrdiff_t)(n + by));
    give(p);
}

CASE(beyond_grown)
{
    char *p = resize(get(n), n + by);
    put(p, (ptrdiff_t)(n + by));
    give(p);
}

CASE(beyond_moved) /* big, and what lies behind it is in use */
{
    char *p = get(n), *wall = get(n);
    p = resize(p, by);
    put(p, (ptrdiff_t)by);
    give(p);
    give(wall);
}

CASE(beyond_then_resized)
{
    char *p = get(n);
    put(p, (ptrdiff_t)n);
    give(resize(p, 3 * n));
}

CASE(beyond_usable)
{
    char *p = get(n);
    put(p, (ptrdiff_t)malloc_usable_size(p));
    give(p);
}

CASE(beyond_aligned)
{
    char *p = aligned_alloc(by, n);
    put(p, (ptrdiff_t)n);
    give(p);
}

/* Neighbours in memory, both live: what lies before p ends with its canary. */
CASE(before)
{
    enum { MANY = 200 };
    char *p[MANY];
    for (int i = 0; i < MANY; i++) p[i] = get(n);
    for (int i = 0; i < MANY; i++) {
        for (int k = 0; k < MANY; k++) {
            if (p[k] <= p[i] || (size_t)(p[k] - p[i]) > n + 16) continue;
            put(p[k], -1);
            give(p[i]);
            return;
        }
    }
}

CASE(after_free)
{
    char *p = get(n);
    give(p);
    put(p, (ptrdiff_t)by);
    for (int i = 0; i < 1000; i++) give(get(n));
}

CASE(after_free_to_the_end)
{
    char *p = get(n);
    give(p);
    put(p, (ptrdiff_t)by);
    exit(0);
}

static void *frees(void *p)
{
    give(p);
    return NULL;
}

CASE(after_others_free)
{
    char *p = get(n);
    pthread_t t;
    if (pthread_create(&t, NULL, frees, p) || pthread_join(t, NULL)) _exit(3);
    put(p, (ptrdiff_t)by);
    exit(0);
}

/* The first word of a free block that went back to its slab is a link. */
CASE(link_overwritten)
{
    enum { MANY = 4000 };
    static char *p[MANY];
    for (int i = 0; i < MANY; i++) p[i] = get(n);
    for (int i = 0; i < MANY; i++) give(p[i]);
    for (int i = 0; i < MANY; i += 7) put(p[i], (ptrdiff_t)by);
    for (int i = 0; i < 2 * MANY; i++) p[i % MANY] = get(n);
}

CASE(link_trimmed)
{
    enum { MANY = 4000 };
    static char *p[MANY];
    for (int i = 0; i < MANY; i++) p[i] = get(n);
    for (int i = 1; i < MANY; i++) give(p[i]);
    for (int i = 1; i < MANY; i += 7) put(p[i], (ptrdiff_t)by);
    malloc_trim(0);
}

CASE(twice)
{
    char *p = get(n);
    give(p);
    if (by) give(get(n));
    give(p);
}

CASE(inside)
{
    char *p = get(n);
    give(p + by);
}

CASE(inside_aligned)
{
    char *p = aligned_alloc(32768, n);
    give(p + by);
}

CASE(inside_aligned_resized)
{
    char *p = aligned_alloc(32768, n);
    give(resize(p + by, n));
}

CASE(wrong_size)
{
    void *(*operator_new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "_Znwm");
    void (*sized_delete)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "_ZdlPvm");
    sized_delete(operator_new(n), by);
}

/* None of these is wrong. */
static void right_sizes(void)
{
    for (size_t n = 0; n < 300000; n += n < 5000 ? 1 : n / 37) {
        wrong_size(n, n);
        wrong_size(n | 7, n | 7);
    }
    wrong_size(5000000, 5000000);
}

#define BEYOND "hakmem: write beyond the end of a block: 0x"
#define AFTER  "hakmem: write after free: 0x"
#define DOUBLE "hakmem: double free: 0x"
#define FREE   "hakmem: free of an invalid pointer: 0x"
#define RESIZE "hakmem: realloc of an invalid pointer: 0x"
#define SIZE   "hakmem: free with a wrong size: 0x"
#define D(f, line, n, by)                                                                          \
    {                                                                                              \
#f, f, line, n, by                                                                         \
    }
static const struct death {
    const char *name;
    void (*f)(size_t n, size_t by);
    const char *line;
    size_t n, by;
} deaths[] = {
    D(beyond, BEYOND, 0, 0),
    D(beyond, BEYOND, 1, 0),
    D(beyond, BEYOND, 8, 0),
    D(beyond, BEYOND, 16, 0),
    D(beyond, BEYOND, 17, 3),
    D(beyond, BEYOND, 33, 6),
    D(beyond, BEYOND, 33, 7),
    D(beyond, BEYOND, 33, 14),
    D(beyond, BEYOND, 100, 0),
    D(beyond, BEYOND, 1000, 0),
    D(beyond, BEYOND, 1016, 0),
    D(beyond, BEYOND, 1017, 0),
    D(beyond, BEYOND, 3000, 0),
    D(beyond, BEYOND, 5000, 2),
    D(beyond, BEYOND, 5000, 7),
    D(beyond, BEYOND, 5000, 112), /* the canary's first byte, which tells the slack too */
    D(beyond, BEYOND, 5000, 119),
    D(beyond, BEYOND, 30000, 0),
    D(beyond, BEYOND, 100000, 0),
    D(beyond, BEYOND, 1000000, 0),
    D(beyond, BEYOND, 5000000, 0),
    D(beyond_as_filled, BEYOND, 5000, 112),
    D(beyond_grown, BEYOND, 40, 2),
    D(beyond_grown, BEYOND, 3000, 100),
    D(beyond_grown, BEYOND, 100000, 5000),
    D(beyond_moved, BEYOND, 3000000, 20000000),
    D(beyond_then_resized, BEYOND, 40, 0),
    D(beyond_then_resized, BEYOND, 70001, 0),
    D(beyond_usable, BEYOND, 20, 0),
    D(beyond_usable, BEYOND, 50, 0),
    D(beyond_aligned, BEYOND, 65, 64),
    D(beyond_aligned, BEYOND, 300, 256),
    D(beyond_aligned, BEYOND, 100, 32768),
    D(beyond_aligned, BEYOND, 17000, 32768),
    D(before, BEYOND, 24, 0),
    D(before, BEYOND, 200, 0),
    D(after_free, AFTER, 16, 0),
    D(after_free, AFTER, 40, 30),
    D(after_free, AFTER, 200, 0),
    D(after_free, AFTER, 200, 40),
    D(after_free, AFTER, 3000, 8),
    D(after_free_to_the_end, AFTER, 40, 0),
    D(after_free_to_the_end, AFTER, 1000, 20),
    D(after_others_free, AFTER, 40, 8),
    D(link_overwritten, AFTER, 48, 0),
    D(link_overwritten, AFTER, 48, 8),
    D(link_overwritten, AFTER, 500, 3),
    D(link_trimmed, AFTER, 48, 0),
    D(link_trimmed, AFTER, 500, 3),
    D(twice, DOUBLE, 1, 0),
    D(twice, DOUBLE, 100, 1),
    D(twice, DOUBLE, 3000, 1),
    D(inside, FREE, 100, 16),
    D(inside, FREE, 100, 1),
    D(inside, FREE, 3000, 1024),
    D(inside_aligned, FREE, 100, 32), /* with so much behind it that it has to be told shorter */
    D(inside_aligned, FREE, 4096, 32),
    D(inside_aligned, FREE, 15000, 16),
    D(inside_aligned_resized, RESIZE, 4096, 32),
    D(wrong_size, SIZE, 40, 24),
    D(wrong_size, SIZE, 40, 39),
    D(wrong_size, SIZE, 40, 400),
    D(wrong_size, SIZE, 3000, 100),
    D(wrong_size, SIZE, 4096, 3600),
    D(wrong_size, SIZE, 100000, 99999),
    D(wrong_size, SIZE, 131072, 131000),
    D(wrong_size, SIZE, 5000000, 17),
};

static void die_of(const void *arg)
{
    const struct death *d = arg;
    d->f(d->n, d->by);
}

/* Of many blocks in a row, how many lie right behind the one before. */
static unsigned in_order(size_t n)
{
    enum { MANY = 1000 };
    char *p[MANY];
    unsigned count = 0;
    for (int i = 0; i < MANY; i++) p[i] = get(n);
    for (int i = 1; i < MANY; i++) count += p[i] > p[i - 1] && (size_t)(p[i] - p[i - 1]) <= n + 16;
    for (int i = 0; i < MANY; i++) give(p[i]);
    return count;
}

/* How many frees of others pass before a freed block comes again; the least of many tries. */
static unsigned comes_again(void)
{
    unsigned sum = 0;
    for (int k = 0; k < 200; k++) {
        char *p = get(100), *q = NULL;
        give(p);
        unsigned i = 0;
        for (; i < 10000 && q != p; i++) {
            q = get(100);
            give(q);
        }
        sum += i;
    }
    return sum / 200;
}

/* ---- programs that are right ---- */

/* n bytes become `to`, which free is told then. */
static void resized_then_sized(size_t n, size_t to)
{
    void (*sized_free)(void *, size_t) = (void (*)(void *, size_t))t_symbol("free_sized");
    size_t both = n < to ? n : to;
    char *p = get(n);
    t_fill(p, both, n);
    p = resize(p, to);
    T_EXPECT(p && t_holds(p, both, n), "%zu resized to %zu", n, to);
    sized_free(p, to);
}

static void sized_after_realloc(void)
{
    static const size_t less[] = {1, 7, 8, 9, 15, 16, 17, 100};
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        size_t n = t_edges[i];
        for (size_t k = 0; k < T_COUNT(less); k++)
            if (less[k] < n) resized_then_sized(n, n - less[k]);
        resized_then_sized(n, 1 + n / 4);
        resized_then_sized(n, 1 + n / 2);
        resized_then_sized(n, 1 + n * 3 / 4);
        resized_then_sized(n, n + 8);
        resized_then_sized(n, 2 * n);
    }
}

static void sized_after_shrink_without_memory(void)
{
    void (*sized_free)(void *, size_t) = (void (*)(void *, size_t))t_symbol("free_sized");
    struct rlimit none = {t_statm(0), t_statm(0)};
    char *p = get(30000), *bare = get(32768), *large = get(200000);
    t_fill(p, 30000, 1);
    t_fill(bare, 32768, 2);
    t_fill(large, 200000, 3);
    T_EXPECT(setrlimit(RLIMIT_AS, &none) == 0, "setrlimit");
    for (size_t n = 1 << 20; n; n /= 2)
        while (get(n)) continue;
    T_EXPECT(resize(p, 100) == p && t_holds(p, 100, 1), "the shrink stays where it is");
    T_EXPECT(resize(bare, 100) == bare && t_holds(bare, 100, 2), "also where no seal was");
    T_EXPECT(resize(large, 100) == large && t_holds(large, 100, 3), "and a run of units");
    sized_free(p, 100);
    sized_free(bare, 100);
    sized_free(large, 100);
}

/* What was never touched does not become resident, even where all of a block is to be cleared. */
static void sparse(void)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    char *p = get(512 * T_MIB);
    T_SKIP_IF(!p, "no 512 MiB here");
    p[5] = p[256 * T_MIB] = 1;
    give(p);
    getrusage(RUSAGE_SELF, &after);
    T_EXPECT(after.ru_maxrss - before.ru_maxrss < 32 * 1024, "%ld KiB more were resident",
             after.ru_maxrss - before.ru_maxrss);
}

/* Nor does the end of a block that has no room for a canary, unless all of it is to be cleared. */
static void long_blocks(void)
{
    enum { MANY = 2000, BYTES = 32768 };
    static char *p[MANY];
    const char *level = getenv("HAKMEM_HARDENED");
    size_t before = t_resident(),
           most = (size_t)MANY * 8 * 1024; /* a page, and half one of shadow */
    for (int i = 0; i < MANY; i++) (p[i] = get(BYTES))[0] = 1;
    size_t used = t_resident() - before;
    T_EXPECT(used < most, "%zu KiB are resident of blocks whose first page was used", used / 1024);
    for (int i = 0; i < MANY; i++) give(p[i]);
    size_t freed = t_resident() - before;
    T_EXPECT(freed < most || !level || *level != '1', "%zu KiB when they are free", freed / 1024);
}

/* Blocks whose neighbours' pages went back to the kernel are used again. */
static void trimmed(void)
{
    enum { MANY = 4000 };
    static char *p[MANY];
    for (int i = 0; i < MANY; i++) p[i] = get(500);
    for (int i = 0; i < MANY; i++) {
        if (i % 40) give(p[i]);
    }
    malloc_trim(0);
    for (int i = 0; i < MANY; i++) {
        if (i % 40) memset(p[i] = get(500), 5, 500);
    }
    for (int i = 0; i < MANY; i++) give(p[i]);
    T_EXPECT(malloc_usable_size(get(500)) == 500, "and nothing was taken for wrong");
}

static void judge(const struct death *d)
{
    char text[1000], last[1000] = "";
    int good = 0;
    for (int k = 0; k < RUNS; k++) {
        if (t_aborted(t_ending(die_of, d, 2, text, sizeof text), text, d->line))
            good++;
        else
            memcpy(last, text, sizeof last);
    }
    if (good < RUNS) printf("# not: %s\n", *last ? last : "nothing said");
    hktest_ok(good >= LEAST, "%s %zu %zu: %d of %d: %s", d->name, d->n, d->by, good, RUNS,
              d->line + 8);
}

/* The program's first block, of n bytes, which is the first to know what a file says. */
static int first(size_t n, bool wrong)
{
    char *p = get(n);
    memset(p, 7, n);
    if (wrong) put(p, (ptrdiff_t)n);
    give(p);
    return 0;
}

/* Arguments: nothing: all · first BYTES [wrong] · the name of a death */
int main(int argc, char **argv)
{
    if (argc > 2) return first((size_t)atol(argv[2]), argc > 3);
    give(get(1));
    for (size_t i = 0; i < T_COUNT(deaths); i++)
        if (argc == 1 || strcmp(argv[1], deaths[i].name) == 0) judge(&deaths[i]);
    if (argc > 1) return hktest_done();
    right_sizes();
    hktest_ok(true, "right sizes are not wrong");
    unsigned row = in_order(48), again = comes_again();
    hktest_ok(row < 300, "of 1000 blocks %u lie behind the one before", row);
    hktest_ok(again >= 8, "a freed block comes again after %u others on average", again);
    char *p = get(64);
    memset(p, 9, 64);
    give(p);
    bool clear = true;
    for (int i = 0; i < 48; i++) clear &= ((volatile char *)p)[i] == 0;
    hktest_ok(clear, "the first 48 bytes of a freed block hold nothing of what was in it");
    t_isolated("free_sized after realloc: what was asked for last", sized_after_realloc);
    t_isolated("the same where a shrink found no memory", sized_after_shrink_without_memory);
    t_isolated("the free of a sparse block touches none of it", sparse);
    t_isolated("the ends of blocks that fill their class stay untouched", long_blocks);
    t_isolated("slabs of which a part went back are used again", trimmed);
    char *volatile q = get(24);
    hktest_ok(malloc_usable_size(q) == 24 && malloc_usable_size(q + 8) != 24,
              "asking for the size of what lies inside a block is no write beyond its end");
    give(q);
    return hktest_done();
}
