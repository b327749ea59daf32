/* SPDX-License-Identifier: MIT */
/*
 * What: malloc and free to the letter: zero, too much, alignment, room, no overlap, errno.
 * Why: programs lean on every one of these; most of them are checked here for every size of the
 *   small layers and at the limits of the others.
 */
#include "support.h"

#include <malloc.h>

#define ERRNO_SENTINEL 4242
#define ALIGNMENT      ((uintptr_t)16)

static void zero_is_unique(void)
{
    enum { BLOCKS = 3000 };
    static void *p[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        p[i] = malloc(t_opaque(0));
        T_EXPECT(p[i] != NULL, "malloc(0) number %d", i);
        T_EXPECT((uintptr_t)p[i] % ALIGNMENT == 0, "malloc(0) gave %p", p[i]);
    }
    for (int i = 0; i < BLOCKS; i++)
        for (int j = i + 1; j < BLOCKS; j++)
            T_EXPECT(p[i] != p[j], "malloc(0) number %d and %d are both %p", i, j, p[i]);
    for (int i = 0; i < BLOCKS; i++) free(p[i]);
    free(NULL);
}

/* Sizes no allocator can serve: beyond PTRDIFF_MAX, and below it but beyond the address space. */
static size_t too_much(int i)
{
    static const size_t limits[] = {
        SIZE_MAX,
        SIZE_MAX - 1,
        SIZE_MAX - 15,
        SIZE_MAX - 16,
        SIZE_MAX - 17,
        SIZE_MAX - 63,
        SIZE_MAX - 4095,
        SIZE_MAX - 4096,
        SIZE_MAX - 65535,
        SIZE_MAX - 65536,
        SIZE_MAX - 0x1fffff,
        SIZE_MAX - 0x200000,
        SIZE_MAX / 2 + 1,
        SIZE_MAX / 2 + 2,
        SIZE_MAX / 2 + 17,
        SIZE_MAX / 2 + 4097,
        SIZE_MAX / 4 * 3,
        SIZE_MAX / 2,
        SIZE_MAX / 2 - 1,
        SIZE_MAX / 2 - 16,
        SIZE_MAX / 2 - 4096,
        SIZE_MAX / 2 - 0x200000,
        SIZE_MAX / 4,
        (size_t)1 << 60,
        (size_t)1 << 56,
        ((size_t)1 << 48) + 1,
        (size_t)1 << 48,
    };
    static uint64_t seed = 7;
    if (i < (int)T_COUNT(limits)) return limits[i];
    return (size_t)t_random(&seed) | ((size_t)1 << 56);
}

static void too_much_is_enomem(void)
{
    for (int i = 0; i < 3000; i++) {
        size_t n = too_much(i);
        errno = 0;
        void *p = malloc(t_opaque(n));
        T_EXPECT(p == NULL, "malloc(%#zx) gave %p", n, p);
        T_EXPECT(errno == ENOMEM, "malloc(%#zx) set errno %d", n, errno);
        free(p);
        errno = 0;
        p = calloc(1, t_opaque(n));
        T_EXPECT(p == NULL, "calloc(1, %#zx) gave %p", n, p);
        T_EXPECT(errno == ENOMEM, "calloc(1, %#zx) set errno %d", n, errno);
        free(p);
    }
    void *p = malloc(100);
    T_EXPECT(p != NULL, "malloc(100) after many refusals");
    free(p);
}

static void always_aligned(void)
{
    enum { KEPT = 61 };
    static void *kept[KEPT];
    for (size_t n = 0; n <= 40000; n++) {
        void *p = malloc(n);
        T_EXPECT(p != NULL && (uintptr_t)p % ALIGNMENT == 0, "malloc(%zu) gave %p", n, p);
        free(kept[n % KEPT]);
        kept[n % KEPT] = p;
    }
    uint64_t seed = 11;
    for (size_t i = 0; i < 5000; i++) {
        size_t n = 40000 + (size_t)(t_random(&seed) % (8 * T_MIB));
        void *p = malloc(n);
        T_EXPECT(p != NULL && (uintptr_t)p % ALIGNMENT == 0, "malloc(%zu) gave %p", n, p);
        free(kept[i % KEPT]);
        kept[i % KEPT] = p;
    }
    for (size_t i = 0; i < KEPT; i++) free(kept[i]);
}

/* Every size: usable size at least the request, all of it writable, and nobody else writes there.
 */
static void every_size_is_ours(void)
{
    enum { LIVE = 1024, LAST = 70000 };
    static struct {
        unsigned char *p;
        size_t usable;
        uint64_t seed;
    } live[LIVE];
    for (size_t n = 1; n <= LAST + LIVE; n++) {
        size_t slot = n % LIVE;
        if (live[slot].p) {
            T_EXPECT(t_holds(live[slot].p, live[slot].usable, live[slot].seed),
                     "block %p of %zu bytes lost its content", (void *)live[slot].p,
                     live[slot].usable);
            free(live[slot].p);
            live[slot].p = NULL;
        }
        if (n > LAST) continue;
        unsigned char *p = malloc(n);
        T_EXPECT(p != NULL, "malloc(%zu)", n);
        if (!p) continue;
        size_t usable = malloc_usable_size(p);
        T_EXPECT(usable >= n, "malloc(%zu) has %zu usable bytes", n, usable);
        t_fill(p, usable, n);
        live[slot].p = p;
        live[slot].usable = usable;
        live[slot].seed = n;
    }
}

struct span {
    uintptr_t from, to;
};

static int by_address(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static void live_blocks_do_not_overlap(void)
{
    enum { BLOCKS = 20000 };
    static struct span live[BLOCKS];
    uint64_t seed = 3;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = t_random_size(&seed, i % 200 ? 14 : 22);
        live[i].from = (uintptr_t)malloc(n);
        T_EXPECT(live[i].from != 0, "malloc(%zu)", n);
        live[i].to = live[i].from + malloc_usable_size((void *)live[i].from);
        if (i % 3 == 0) { /* make holes, so that reuse is part of it */
            size_t j = (size_t)(t_random(&seed) % (i + 1));
            free((void *)live[j].from);
            live[j].from = (uintptr_t)malloc(n / 2 + 1);
            live[j].to = live[j].from + malloc_usable_size((void *)live[j].from);
        }
    }
    qsort(live, BLOCKS, sizeof live[0], by_address);
    for (size_t i = 1; i < BLOCKS; i++)
        T_EXPECT(live[i - 1].to <= live[i].from, "%#zx..%#zx overlaps %#zx", live[i - 1].from,
                 live[i - 1].to, live[i].from);
    for (size_t i = 0; i < BLOCKS; i++) free((void *)live[i].from);
}

static void big_blocks_hold_content(void)
{
    enum { LIVE = 8 };
    unsigned char *live[LIVE] = {NULL};
    size_t usable[LIVE] = {0};
    for (size_t round = 0; round < T_COUNT(t_edges) + LIVE; round++) {
        size_t slot = round % LIVE;
        if (live[slot])
            T_EXPECT(t_holds(live[slot], usable[slot], round - LIVE), "block of %zu bytes",
                     usable[slot]);
        free(live[slot]);
        live[slot] = NULL;
        if (round >= T_COUNT(t_edges)) continue;
        size_t n = t_edges[T_COUNT(t_edges) - 1 - round];
        live[slot] = malloc(n);
        T_EXPECT(live[slot] != NULL, "malloc(%zu)", n);
        usable[slot] = live[slot] ? malloc_usable_size(live[slot]) : 0;
        T_EXPECT(usable[slot] >= n, "malloc(%zu) has %zu usable bytes", n, usable[slot]);
        t_fill(live[slot], usable[slot], round);
    }
}

static void success_leaves_errno(void)
{
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < T_COUNT(t_edges); i++) {
            size_t n = t_edges[i];
            errno = ERRNO_SENTINEL;
            void *p = malloc(n);
            T_EXPECT(errno == ERRNO_SENTINEL, "malloc(%zu) set errno %d", n, errno);
            errno = ERRNO_SENTINEL;
            void *z = calloc(1, n);
            T_EXPECT(errno == ERRNO_SENTINEL, "calloc(1, %zu) set errno %d", n, errno);
            errno = ERRNO_SENTINEL;
            z = realloc(z, n + n / 2);
            T_EXPECT(errno == ERRNO_SENTINEL, "realloc to %zu set errno %d", n + n / 2, errno);
            errno = ERRNO_SENTINEL;
            free(p);
            T_EXPECT(errno == ERRNO_SENTINEL, "free of %zu bytes set errno %d", n, errno);
            errno = ERRNO_SENTINEL;
            free(z);
            T_EXPECT(errno == ERRNO_SENTINEL, "free of %zu bytes set errno %d", n, errno);
            errno = ERRNO_SENTINEL;
            free(NULL);
            T_EXPECT(errno == ERRNO_SENTINEL, "free(NULL) set errno %d", errno);
        }
    }
}

/* Many blocks at once, so that free also gives memory back to the system under the sentinel. */
static void mass_free_leaves_errno(void)
{
    enum { BLOCKS = 2000 };
    static void *p[BLOCKS];
    for (size_t n = 100; n <= 120000; n *= 6) {
        for (int i = 0; i < BLOCKS; i++) {
            p[i] = malloc(n);
            memset(p[i], 1, n);
        }
        errno = ERRNO_SENTINEL;
        for (int i = 0; i < BLOCKS; i++) free(p[i]);
        T_EXPECT(errno == ERRNO_SENTINEL, "freeing %d blocks of %zu bytes set errno %d", BLOCKS, n,
                 errno);
    }
}

int main(void)
{
    t_isolated("malloc(0) gives unique blocks", zero_is_unique);
    t_isolated("sizes beyond reason give NULL and ENOMEM", too_much_is_enomem);
    t_isolated("every block is aligned to 16 bytes", always_aligned);
    t_isolated("every size up to 70000 is usable and kept", every_size_is_ours);
    t_isolated("live blocks do not overlap", live_blocks_do_not_overlap);
    t_isolated("large and big blocks are usable and kept", big_blocks_hold_content);
    t_isolated("success leaves errno alone", success_leaves_errno);
    t_isolated("freeing a lot leaves errno alone", mass_free_leaves_errno);
    return hktest_done();
}
