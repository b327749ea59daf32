/* SPDX-License-Identifier: MIT */
/*
 * What: realloc and reallocarray: content over every layer boundary, the special cases, failure.
 * Why: realloc has the most ways through an allocator (in place, move, between layers, mremap),
 *   and each must keep the bytes that both sizes have in common.
 */
#include "support.h"

#include <malloc.h>

typedef void *(*reallocarray_fn)(void *, size_t, size_t);

static void null_is_malloc(void)
{
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        unsigned char *p = realloc(NULL, t_edges[i]);
        T_EXPECT(p != NULL, "realloc(NULL, %zu)", t_edges[i]);
        T_EXPECT((uintptr_t)p % 16 == 0, "realloc(NULL, %zu) gave %p", t_edges[i], (void *)p);
        if (p) t_fill(p, t_edges[i], i);
        T_EXPECT(p && t_holds(p, t_edges[i], i), "content of %zu bytes", t_edges[i]);
        free(p);
    }
    void *p = realloc(NULL, t_opaque(0));
    T_EXPECT(p != NULL, "realloc(NULL, 0) is malloc(0)");
    free(p);
}

/* glibc's reading: frees and returns NULL, errno as it was. A leak would show as growth. */
static void zero_frees(void)
{
    size_t before = t_resident();
    for (int round = 0; round < 400; round++) {
        for (size_t i = 0; i < T_COUNT(t_edges); i++) {
            size_t n = t_edges[i] < T_MIB ? t_edges[i] : T_MIB;
            char *p = malloc(n);
            T_EXPECT(p != NULL, "malloc(%zu)", n);
            if (!p) return;
            p[0] = p[n - 1] = 1;
            errno = 4242;
            p = realloc(p, t_opaque(0));
            T_EXPECT(p == NULL, "realloc(p, 0) gave %p", (void *)p);
            T_EXPECT(errno == 4242, "realloc(p, 0) set errno %d", errno);
        }
    }
    size_t after = t_resident();
    T_EXPECT(after < before + 64 * T_MIB, "resident %zu -> %zu KiB", before / T_KIB, after / T_KIB);
}

static void failure_keeps_block(void)
{
    static const size_t refused[] = {SIZE_MAX,         SIZE_MAX - 16,      SIZE_MAX - 4096,
                                     SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 100, SIZE_MAX / 4,
                                     (size_t)1 << 56};
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        unsigned char *p = malloc(t_edges[i]);
        T_EXPECT(p != NULL, "malloc(%zu)", t_edges[i]);
        if (!p) return;
        size_t usable = malloc_usable_size(p);
        t_fill(p, usable, i);
        for (size_t j = 0; j < T_COUNT(refused); j++) {
            errno = 0;
            void *q = realloc(p, t_opaque(refused[j]));
            T_EXPECT(q == NULL, "realloc(p, %#zx) gave %p", refused[j], q);
            T_EXPECT(errno == ENOMEM, "realloc(p, %#zx) set errno %d", refused[j], errno);
            if (q) return;
        }
        T_EXPECT(malloc_usable_size(p) == usable, "usable size %zu -> %zu", usable,
                 malloc_usable_size(p));
        T_EXPECT(t_holds(p, usable, i), "content of %zu bytes after refusals", usable);
        free(p);
    }
}

/* From every edge size to every other, growing and shrinking. */
static void every_boundary(void)
{
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        for (size_t j = 0; j < T_COUNT(t_edges); j++) {
            size_t a = t_edges[i], b = t_edges[j];
            unsigned char *p = malloc(a);
            T_EXPECT(p != NULL, "malloc(%zu)", a);
            if (!p) return;
            t_fill(p, a, i + j);
            unsigned char *q = realloc(p, b);
            T_EXPECT(q != NULL, "realloc from %zu to %zu", a, b);
            if (!q) return;
            T_EXPECT((uintptr_t)q % 16 == 0, "realloc to %zu gave %p", b, (void *)q);
            T_EXPECT(malloc_usable_size(q) >= b, "realloc to %zu has %zu usable", b,
                     malloc_usable_size(q));
            size_t common = a < b ? a : b;
            T_EXPECT(t_holds(q, common, i + j), "content lost from %zu to %zu", a, b);
            t_fill(q, b, i);
            T_EXPECT(t_holds(q, b, i), "content written after %zu to %zu", a, b);
            free(q);
        }
    }
}

/* All the usable bytes, also those beyond the request, survive. */
static void usable_is_kept(void)
{
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        unsigned char *p = malloc(t_edges[i]);
        if (!p) continue;
        size_t usable = malloc_usable_size(p);
        t_fill(p, usable, i);
        unsigned char *q = realloc(p, usable * 2 + 5);
        T_EXPECT(q && t_holds(q, usable, i), "from %zu usable bytes", usable);
        T_EXPECT(q != NULL, "realloc(%zu)", usable * 2 + 5);
        free(q);
    }
}

/* A heap of blocks that change size at random; each is verified before it changes. */
static void random_walk(void)
{
    enum { BLOCKS = 64, STEPS = 60000 };
    static unsigned char *p[BLOCKS];
    static size_t n[BLOCKS];
    uint64_t seed = 99;
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = (size_t)(t_random(&seed) % BLOCKS);
        size_t to = t_random_size(&seed, step % 100 ? 16 : 23) - 1;
        unsigned char *q = realloc(p[i], to);
        if (to == 0) {
            if (p[i] == NULL) free(q);
            p[i] = NULL;
            n[i] = 0;
            continue;
        }
        T_EXPECT(q != NULL, "realloc to %zu", to);
        if (!q) return;
        T_EXPECT(t_holds(q, n[i] < to ? n[i] : to, i), "step %zu: content from %zu to %zu", step,
                 n[i], to);
        t_fill(q, to, i);
        p[i] = q;
        n[i] = to;
    }
    for (size_t i = 0; i < BLOCKS; i++) free(p[i]);
}

static void growing_string(void)
{
    unsigned char *p = NULL;
    size_t n = 0;
    while (n < 64 * T_MIB) {
        size_t to = n + n / 2 + 64;
        unsigned char *q = realloc(p, to);
        T_EXPECT(q != NULL, "realloc to %zu", to);
        if (!q) break;
        p = q;
        T_EXPECT(t_holds(p, n, 5), "content from %zu to %zu", n, to);
        t_fill(p, to, 5);
        n = to;
    }
    while (n > 64) {
        size_t to = n / 3;
        unsigned char *q = realloc(p, to);
        T_EXPECT(q != NULL, "realloc down to %zu", to);
        if (!q) break;
        p = q;
        T_EXPECT(t_holds(p, to, 5), "content from %zu down to %zu", n, to);
        n = to;
    }
    free(p);
}

static void aligned_blocks_realloc(void)
{
    for (size_t align = 32; align <= 4 * T_MIB; align *= 4) {
        for (size_t i = 0; i < T_COUNT(t_edges); i += 3) {
            void *p = NULL;
            if (posix_memalign(&p, align, t_edges[i]) != 0) p = NULL;
            T_EXPECT(p != NULL, "posix_memalign(%zu, %zu)", align, t_edges[i]);
            if (!p) continue;
            size_t usable = malloc_usable_size(p);
            t_fill(p, usable, align);
            unsigned char *q = realloc(p, usable + 3000);
            T_EXPECT(q && t_holds(q, usable, align), "aligned %zu, %zu bytes", align, usable);
            q = realloc(q, t_edges[i] / 2 + 1);
            T_EXPECT(q && t_holds(q, t_edges[i] / 2 + 1, align), "shrunk to %zu",
                     t_edges[i] / 2 + 1);
            free(q);
        }
    }
}

static void array_overflow(void)
{
    reallocarray_fn reallocarray_ = (reallocarray_fn)t_symbol("reallocarray");
    T_SKIP_IF(!reallocarray_, "no reallocarray here");
    static const size_t huge[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {SIZE_MAX / 3, 4},
        {(size_t)1 << 32, (size_t)1 << 32},
        {(size_t)1 << 33, (size_t)1 << 31},
        {SIZE_MAX / 2 + 1, 1},
        {1, SIZE_MAX / 2 + 1},
        {((size_t)1 << 32) + 1, (size_t)1 << 32},
    };
    unsigned char *p = malloc(5000);
    t_fill(p, 5000, 1);
    for (size_t i = 0; i < T_COUNT(huge); i++) {
        errno = 0;
        void *q = reallocarray_(p, t_opaque(huge[i][0]), t_opaque(huge[i][1]));
        T_EXPECT(q == NULL, "reallocarray(p, %#zx, %#zx) gave %p", huge[i][0], huge[i][1], q);
        T_EXPECT(errno == ENOMEM, "reallocarray(p, %#zx, %#zx) set errno %d", huge[i][0],
                 huge[i][1], errno);
        if (q) return;
        errno = 0;
        q = reallocarray_(NULL, t_opaque(huge[i][0]), t_opaque(huge[i][1]));
        T_EXPECT(q == NULL && errno == ENOMEM, "reallocarray(NULL, %#zx, %#zx) gave %p, errno %d",
                 huge[i][0], huge[i][1], q, errno);
    }
    T_EXPECT(t_holds(p, 5000, 1), "content after refusals");
    p = reallocarray_(p, 300, 300);
    T_EXPECT(p && t_holds(p, 5000, 1), "content after reallocarray to 90000 bytes");
    T_EXPECT(p && malloc_usable_size(p) >= 90000, "usable size after reallocarray");
    T_EXPECT(reallocarray_(p, 0, 8) == NULL, "reallocarray(p, 0, 8) frees and gives NULL");
}

int main(void)
{
    t_isolated("realloc(NULL, n) is malloc(n)", null_is_malloc);
    t_isolated("realloc(p, 0) frees and gives NULL", zero_frees);
    t_isolated("a refused realloc keeps the block", failure_keeps_block);
    t_isolated("realloc keeps content over every boundary", every_boundary);
    t_isolated("realloc keeps all usable bytes", usable_is_kept);
    t_isolated("realloc keeps content on a random walk", random_walk);
    t_isolated("realloc grows to 64 MiB and back", growing_string);
    t_isolated("realloc of aligned blocks keeps content", aligned_blocks_realloc);
    t_isolated("reallocarray overflow is ENOMEM", array_overflow);
    return hktest_done();
}
