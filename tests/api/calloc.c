/* SPDX-License-Identifier: MIT */
/*
 * What: calloc: zero bytes whatever the memory held before, overflow, zero counts.
 * Why: an allocator that tracks which memory is still zero can be wrong in many ways; dirty reuse
 *   in every size, layer and order shows it.
 */
#include "support.h"

#include <malloc.h>
#include <pthread.h>

/* Dirty some blocks of a size, free them, calloc as many: all zero? */
static void reuse_dirty(size_t n, size_t count)
{
    void *p[16];
    for (size_t i = 0; i < count; i++) {
        p[i] = malloc(n);
        T_EXPECT(p[i] != NULL, "malloc(%zu)", n);
        if (p[i]) memset(p[i], 0xff, malloc_usable_size(p[i]));
    }
    for (size_t i = 0; i < count; i++) free(p[i]);
    for (size_t i = 0; i < count; i++) {
        p[i] = calloc(1, n);
        T_EXPECT(p[i] != NULL, "calloc(1, %zu)", n);
        if (!p[i]) continue;
        T_EXPECT(t_is_zero(p[i], n), "calloc(1, %zu) number %zu after dirty reuse", n, i);
        memset(p[i], 0xee, malloc_usable_size(p[i]));
    }
    for (size_t i = 0; i < count; i++) free(p[i]);
}

static void dirty_every_size(void)
{
    for (size_t n = 1; n <= 40000; n++) reuse_dirty(n, n <= 2048 ? 8 : 2);
}

static void dirty_edges(void)
{
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < T_COUNT(t_edges); i++) reuse_dirty(t_edges[i], 6);
    uint64_t seed = 21;
    for (size_t i = 0; i < 300; i++) reuse_dirty(t_random_size(&seed, 23), 4);
}

/* Split into two factors, as callers do. */
static void factors(void)
{
    for (size_t a = 1; a <= 300; a += 7) {
        for (size_t b = 1; b <= 300; b += 11) {
            unsigned char *p = calloc(a, b);
            T_EXPECT(p != NULL, "calloc(%zu, %zu)", a, b);
            if (!p) continue;
            T_EXPECT(malloc_usable_size(p) >= a * b, "calloc(%zu, %zu): usable", a, b);
            T_EXPECT(t_is_zero(p, a * b), "calloc(%zu, %zu) is zero", a, b);
            memset(p, 0x5a, malloc_usable_size(p));
            free(p);
        }
    }
}

/* Reuse over sizes: dirty with one size, calloc with another, so that tails and joins are met. */
static void dirty_other_sizes(void)
{
    uint64_t seed = 77;
    enum { SLOTS = 200 };
    static void *p[SLOTS];
    for (size_t step = 0; step < 60000; step++) {
        size_t i = (size_t)(t_random(&seed) % SLOTS);
        size_t n = t_random_size(&seed, step % 64 ? 15 : 22);
        free(p[i]);
        if (step & 1) {
            p[i] = malloc(n);
        } else {
            p[i] = calloc(n, 1);
            T_EXPECT(p[i] && t_is_zero(p[i], n), "step %zu: calloc(%zu, 1)", step, n);
        }
        if (p[i]) memset(p[i], 0xd1, malloc_usable_size(p[i]));
        if (step % 10 == 3) {
            p[i] = realloc(p[i], n / 2 + 1);
            if (p[i]) memset(p[i], 0xd2, malloc_usable_size(p[i]));
        }
        if (step % 5000 == 4999) malloc_trim(0);
    }
    for (size_t i = 0; i < SLOTS; i++) free(p[i]);
}

static void dirty_aligned(void)
{
    for (size_t align = 16; align <= 4 * T_MIB; align *= 2) {
        for (size_t n = 24; n <= 2 * T_MIB; n *= 5) {
            void *p = NULL;
            if (posix_memalign(&p, align, n) == 0) memset(p, 0xab, malloc_usable_size(p));
            free(p);
            for (size_t m = n / 2 + 1; m <= n + align && m < 4 * T_MIB; m += m / 2 + 1) {
                p = calloc(1, m);
                T_EXPECT(p && t_is_zero(p, m), "calloc(1, %zu) after alignment %zu", m, align);
                if (p) memset(p, 0xac, malloc_usable_size(p));
                free(p);
            }
        }
    }
}

static void *free_dirty_blocks(void *arg)
{
    void **p = arg;
    for (size_t i = 0; i < 512; i++) {
        memset(p[i], 0x99, malloc_usable_size(p[i]));
        free(p[i]);
    }
    return NULL;
}

/* Blocks dirtied and freed by another thread come back as zero too. */
static void dirty_by_other_thread(void)
{
    static void *p[512];
    for (size_t n = 8; n <= 300000; n += n / 2 + 8) {
        for (int round = 0; round < 4; round++) {
            for (size_t i = 0; i < 512; i++) {
                p[i] = calloc(1, n);
                T_EXPECT(p[i] && t_is_zero(p[i], n), "calloc(1, %zu), round %d", n, round);
                if (!p[i]) return;
            }
            pthread_t t;
            if (pthread_create(&t, NULL, free_dirty_blocks, p) != 0) return;
            pthread_join(t, NULL);
        }
    }
}

static void overflow(void)
{
    static const size_t huge[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {SIZE_MAX / 3, 4},
        {(size_t)1 << 32, (size_t)1 << 32},
        {(size_t)1 << 33, (size_t)1 << 31},
        {SIZE_MAX / 16 + 1, 16},
        {16, SIZE_MAX / 16 + 1},
        {SIZE_MAX / 16 + 2, 16},
        {((size_t)1 << 32) + 1, (size_t)1 << 32},
        {SIZE_MAX / 2 + 1, 1},
        {1, SIZE_MAX / 2 + 1},
        {(size_t)1 << 31, (size_t)1 << 32},
    };
    for (size_t i = 0; i < T_COUNT(huge); i++) {
        errno = 0;
        void *p = calloc(t_opaque(huge[i][0]), t_opaque(huge[i][1]));
        T_EXPECT(p == NULL, "calloc(%#zx, %#zx) gave %p", huge[i][0], huge[i][1], p);
        T_EXPECT(errno == ENOMEM, "calloc(%#zx, %#zx) set errno %d", huge[i][0], huge[i][1], errno);
        free(p);
    }
}

static void zero_counts(void)
{
    static const size_t zero[][2] = {{0, 0}, {0, 8}, {8, 0}, {0, SIZE_MAX}, {SIZE_MAX, 0}};
    for (size_t i = 0; i < T_COUNT(zero); i++) {
        void *p = calloc(t_opaque(zero[i][0]), t_opaque(zero[i][1]));
        void *q = calloc(t_opaque(zero[i][0]), t_opaque(zero[i][1]));
        T_EXPECT(p != NULL && q != NULL, "calloc(%#zx, %#zx)", zero[i][0], zero[i][1]);
        T_EXPECT(p != q, "calloc(%#zx, %#zx) twice gives %p", zero[i][0], zero[i][1], p);
        free(p);
        free(q);
    }
}

/* A big table of which little is used costs little, the second time too. */
static void sparse(void)
{
    const size_t n = 256 * T_MIB;
    size_t before = t_resident();
    for (int i = 0; i < 3; i++) {
        unsigned char *p = calloc(1, t_opaque(n));
        T_EXPECT(p != NULL, "calloc of 256 MiB");
        if (!p) return;
        T_EXPECT(p[n / 2] == 0 && p[n / 3] == 0, "not zero");
        p[n / 2] = p[n / 3] = 1;
        T_EXPECT(t_resident() < before + n / 8, "%zu MiB resident", t_resident() / T_MIB);
        free(p);
    }
}

int main(void)
{
    t_isolated("calloc is zero after dirty reuse of every size", dirty_every_size);
    t_isolated("calloc is zero after dirty reuse in every layer", dirty_edges);
    t_isolated("calloc multiplies its factors", factors);
    t_isolated("calloc is zero where other sizes were", dirty_other_sizes);
    t_isolated("calloc is zero where aligned blocks were", dirty_aligned);
    t_isolated("calloc is zero where other threads freed", dirty_by_other_thread);
    t_isolated("calloc overflow is NULL and ENOMEM", overflow);
    t_isolated("calloc of nothing gives unique blocks", zero_counts);
    t_isolated("calloc of big sparse tables stays sparse", sparse);
    return hktest_done();
}
