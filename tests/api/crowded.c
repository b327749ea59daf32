/* SPDX-License-Identifier: MIT */
/*
 * What: malloc in a process that has used up its mappings (vm.max_map_count), and afterwards.
 * Why: then every mmap, munmap, mremap and madvise that would need one more mapping is refused.
 *   Blocks must stay right, what cannot be had must be ENOMEM, and nothing may be lost.
 */
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support.h"

#define MAPS_MAX 70000
#define SLOTS    400
#define STEPS    40000

static char *single[MAPS_MAX];

/* Mappings of one page each until the kernel refuses; neighbours differ, so none are merged. */
static size_t use_up(void)
{
    size_t n = 0;
    while (n < MAPS_MAX) {
        int prot = n % 2 ? PROT_READ : PROT_NONE;
        char *p = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) break;
        single[n++] = p;
    }
    return n;
}

static struct {
    unsigned char *p;
    size_t n;
    unsigned char mark;
} slot[SLOTS];

static bool whole(unsigned i)
{
    for (size_t at = 0; at < slot[i].n; at += 1021) {
        if (slot[i].p[at] != slot[i].mark) return false;
    }
    return slot[i].p[slot[i].n - 1] == slot[i].mark;
}

/* Random blocks to 2^bits bytes, grown and shrunk; how many were refused. */
static unsigned churn(uint64_t *seed, unsigned bits)
{
    unsigned refused = 0;
    for (int step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)(t_random(seed) % SLOTS);
        size_t n = 1 + (t_random(seed) % 64 ? t_random_size(seed, 15) : t_random_size(seed, bits));
        bool grow = slot[i].p && t_random(seed) % 2;
        if (slot[i].p && !whole(i)) {
            T_EXPECT(false, "block %u of %zu bytes has changed", i, slot[i].n);
            return refused;
        }
        errno = 0;
        unsigned char *p = grow ? realloc(slot[i].p, n) : malloc(t_opaque(n));
        if (!p) {
            T_EXPECT(errno == ENOMEM, "errno %d", errno);
            refused++;
            continue;
        }
        if (!grow) free(slot[i].p);
        slot[i].p = p;
        slot[i].n = n;
        slot[i].mark = (unsigned char)step;
        memset(p, slot[i].mark, n);
    }
    return refused;
}

static void crowded(void)
{
    uint64_t seed = 7;
    churn(&seed, 18);
    size_t maps = use_up();
    unsigned refused = churn(&seed, 24);
    printf("# %zu mappings more, %u of %d requests refused\n", maps, refused, STEPS);
    malloc_trim(0);
    for (size_t i = 0; i < maps; i++) munmap(single[i], 4096);
    refused = churn(&seed, 22);
    T_EXPECT(refused == 0, "%u refused when there is room again", refused);
    for (unsigned i = 0; i < SLOTS; i++) {
        T_EXPECT(!slot[i].p || whole(i), "block %u", i);
        free(slot[i].p);
    }
}

/* Of two classes: one is aligned to 64 bytes. */
static size_t of_block(size_t i)
{
    return i / 2 % 2 ? 500 : 490;
}

/* Nothing more is to be had: what is there must do, for other sizes than it was asked for too. */
static void served(void)
{
    static unsigned char *block[40000];
    struct rlimit limit = {0, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    const size_t n = T_COUNT(block);
    size_t got = 0;
    for (size_t i = 0; i < n / 2; i++) block[i] = malloc(of_block(i));
    for (size_t i = 0; i < n / 2; i++) free(block[i]);
    size_t maps = use_up();
    limit.rlim_cur = t_statm(0);
    T_EXPECT(setrlimit(RLIMIT_AS, &limit) == 0, "RLIMIT_AS");
    errno = 0;
    while (got < n && (block[got] = malloc(of_block(got)))) {
        t_fill(block[got], of_block(got), got);
        got++;
    }
    T_EXPECT((got > n / 4 || !t_on_hakmem()) && got < n && errno == ENOMEM, "%zu blocks, errno %d",
             got, errno);
    for (size_t i = 0; i < got; i += 2) free(block[i]);
    for (size_t small = 1; small < 470; small += 16) {
        unsigned char *p = malloc(small), *q = calloc(1, small), *r = memalign(64, small % 200);
        T_EXPECT(p && q && r && t_opaque((uintptr_t)r) % 64 == 0, "%zu bytes: %p, %p, %p", small,
                 (void *)p, (void *)q, (void *)r);
        T_EXPECT(!q || t_is_zero(q, small), "%zu bytes of calloc", small);
        p = realloc(p, small + 10);
        T_EXPECT(p != NULL, "realloc to %zu bytes", small + 10);
    }
    setrlimit(RLIMIT_AS, &none);
    for (size_t i = 0; i < maps; i++) munmap(single[i], 4096);
    for (size_t i = 1; i < got; i += 2) {
        T_EXPECT(t_holds(block[i], of_block(i), i), "block %zu changed", i);
        free(block[i]);
    }
    for (size_t i = 0; i < 50; i++) T_EXPECT(malloc(i * 4000) != NULL, "%zu bytes", i * 4000);
}

int main(void)
{
    t_isolated("what is there serves all sizes when nothing more is to be had", served);
    t_case("blocks stay right while no mapping can be made, and after", crowded);
    return hktest_done();
}
