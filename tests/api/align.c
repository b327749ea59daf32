/* SPDX-License-Identifier: MIT */
/*
 * What: posix_memalign, memalign, aligned_alloc, valloc, pvalloc: alignments from 1 to 64 MiB and
 *   absurd ones, every kind of refusal, content, frees in random order.
 * Why: the five differ in exactly the details that callers test for. Where glibc changed its mind
 *   (aligned_alloc tolerated odd alignments before 2.38) both answers pass on a libc, and only the
 *   newer one on hakmem.
 */
#include "support.h"

#include <malloc.h>

#define ALIGN_MAX (64 * T_MIB)

static bool is_aligned(const void *p, size_t align)
{
    return (uintptr_t)p % align == 0;
}

static void posix_refuses_bad_alignment(void)
{
    static const size_t bad[] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 5,
                                 6,
                                 7,
                                 9,
                                 12,
                                 15,
                                 17,
                                 24,
                                 40,
                                 48,
                                 56,
                                 96,
                                 100,
                                 1000,
                                 4095,
                                 4097,
                                 6000,
                                 (size_t)3 << 20,
                                 SIZE_MAX,
                                 SIZE_MAX - 7,
                                 SIZE_MAX / 2,
                                 0x7fffffff};
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        void *const mark = (void *)0x1230;
        void *out = mark;
        errno = 4242;
        int rc = posix_memalign(&out, t_opaque(bad[i]), 64);
        T_EXPECT(rc == EINVAL, "posix_memalign(&p, %#zx, 64) returned %d", bad[i], rc);
        T_EXPECT(out == mark, "posix_memalign(&p, %#zx, 64) wrote %p", bad[i], out);
        T_EXPECT(errno == 4242, "posix_memalign(&p, %#zx, 64) set errno %d", bad[i], errno);
    }
}

static const size_t refused_sizes[] = {
    SIZE_MAX,         SIZE_MAX - 1,     SIZE_MAX - 15,       SIZE_MAX - 4096,  SIZE_MAX - 65536,
    SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 4097, SIZE_MAX / 4 * 3, SIZE_MAX / 2,
    SIZE_MAX / 2 - 1, SIZE_MAX / 4,     (size_t)1 << 56,     (size_t)1 << 48,
};

static void huge_sizes(void)
{
    for (size_t align = 1; align != 0; align *= 2) {
        for (size_t i = 0; i < T_COUNT(refused_sizes); i++) {
            size_t n = refused_sizes[i];
            void *const mark = (void *)0x1230;
            void *p = mark;
            errno = 4242;
            int rc = align >= sizeof p ? posix_memalign(&p, align, t_opaque(n)) : ENOMEM;
            T_EXPECT(rc == ENOMEM, "posix_memalign(&p, %#zx, %#zx) returned %d", align, n, rc);
            T_EXPECT(p == mark, "posix_memalign(&p, %#zx, %#zx) wrote %p", align, n, p);
            T_EXPECT(errno == (align >= sizeof p ? ENOMEM : 4242), /* for who prints it */
                     "posix_memalign(&p, %#zx, %#zx) left errno %d", align, n, errno);
            errno = 0;
            p = memalign(align, t_opaque(n));
            T_EXPECT(p == NULL, "memalign(%#zx, %#zx) gave %p", align, n, p);
            T_EXPECT(errno == ENOMEM, "memalign(%#zx, %#zx) set errno %d", align, n, errno);
            errno = 0;
            p = aligned_alloc(align, t_opaque(n));
            T_EXPECT(p == NULL, "aligned_alloc(%#zx, %#zx) gave %p", align, n, p);
            T_EXPECT(errno == ENOMEM, "aligned_alloc(%#zx, %#zx) set errno %d", align, n, errno);
        }
    }
    for (size_t i = 0; i < T_COUNT(refused_sizes); i++) {
        size_t n = refused_sizes[i];
        errno = 0;
        void *p = valloc(t_opaque(n));
        T_EXPECT(p == NULL && errno == ENOMEM, "valloc(%#zx) gave %p, errno %d", n, p, errno);
        errno = 0;
        p = pvalloc(t_opaque(n));
        T_EXPECT(p == NULL && errno == ENOMEM, "pvalloc(%#zx) gave %p, errno %d", n, p, errno);
    }
}

/* Alignments no address space holds: a small block with them is refused, not a crash. */
static void huge_alignments(void)
{
    for (unsigned bit = 48; bit < 64; bit++) {
        size_t align = (size_t)1 << bit;
        for (size_t n = 0; n < 100000; n = n * 9 + 1) {
            void *p = NULL;
            int rc = posix_memalign(&p, t_opaque(align), n);
            T_EXPECT(rc == ENOMEM, "posix_memalign(&p, %#zx, %zu) returned %d", align, n, rc);
            errno = 0;
            p = memalign(t_opaque(align), n);
            T_EXPECT(p == NULL, "memalign(%#zx, %zu) gave %p", align, n, p);
            T_EXPECT(errno == ENOMEM, "memalign(%#zx, %zu) set errno %d", align, n, errno);
            errno = 0;
            p = aligned_alloc(t_opaque(align), n);
            T_EXPECT(p == NULL, "aligned_alloc(%#zx, %zu) gave %p", align, n, p);
            T_EXPECT(errno == ENOMEM, "aligned_alloc(%#zx, %zu) set errno %d", align, n, errno);
        }
    }
    errno = 0;
    void *p = memalign(t_opaque(SIZE_MAX), 8); /* no power of two is that large */
    T_EXPECT(p == NULL, "memalign(SIZE_MAX, 8) gave %p", p);
    T_EXPECT(errno == EINVAL || errno == ENOMEM, "memalign(SIZE_MAX, 8) set errno %d", errno);
    p = malloc(100);
    T_EXPECT(p != NULL, "malloc after refusals");
    free(p);
}

/* memalign rounds an odd alignment up to a power of two, and serves those below 16 as malloc. */
static void memalign_rounds_up(void)
{
    static const size_t odd[] = {0,    1,    2,     3,      5,       7,        9,    12,
                                 17,   24,   33,    48,     100,     129,      1000, 3000,
                                 4097, 5000, 70000, 100000, 1000000, 3 * T_MIB};
    for (size_t i = 0; i < T_COUNT(odd); i++) {
        size_t up = 16;
        while (up < odd[i]) up *= 2;
        for (size_t n = 0; n <= 100000; n = n * 3 + 1) {
            unsigned char *p = memalign(t_opaque(odd[i]), n);
            T_EXPECT(p != NULL, "memalign(%zu, %zu)", odd[i], n);
            T_EXPECT(is_aligned(p, up), "memalign(%zu, %zu) gave %p", odd[i], n, (void *)p);
            if (p) t_fill(p, n, n);
            T_EXPECT(p && t_holds(p, n, n), "memalign(%zu, %zu): content", odd[i], n);
            free(p);
        }
    }
}

/* Any size will do, not only multiples of the alignment (C17). */
static void aligned_alloc_alignments(void)
{
    static const size_t odd[] = {0,  3,  5,   6,    7,    9,      12,       17,          24,
                                 33, 48, 100, 1000, 4097, 100000, SIZE_MAX, SIZE_MAX / 2};
    for (size_t i = 0; i < T_COUNT(odd); i++) {
        errno = 0;
        void *p = aligned_alloc(t_opaque(odd[i]), 64);
        if (t_on_hakmem())
            T_EXPECT(p == NULL && errno == EINVAL, "aligned_alloc(%#zx, 64) gave %p, errno %d",
                     odd[i], p, errno);
        else
            T_EXPECT(p != NULL || errno != 0, "aligned_alloc(%#zx, 64): NULL without errno",
                     odd[i]);
        free(p);
    }
    for (size_t align = 1; align <= T_MIB; align *= 2) {
        for (size_t n = 0; n <= 70000; n = n * 3 + 1) {
            void *p = aligned_alloc(align, n);
            T_EXPECT(p && is_aligned(p, align), "aligned_alloc(%zu, %zu) gave %p", align, n, p);
            T_EXPECT(is_aligned(p, 16), "aligned_alloc(%zu, %zu) gave %p", align, n, p);
            free(p);
        }
    }
}

enum { BLOCKS_MAX = 2000 };
static struct {
    unsigned char *p;
    size_t n;
} blocks[BLOCKS_MAX];
static size_t block_count;

static void add_block(size_t align, size_t n)
{
    void *p = NULL;
    int rc = posix_memalign(&p, align, n);
    T_EXPECT(rc == 0 && p, "posix_memalign(&p, %zu, %zu) returned %d", align, n, rc);
    T_EXPECT(is_aligned(p, align), "posix_memalign(&p, %zu, %zu) gave %p", align, n, p);
    if (!p || rc != 0) return;
    size_t usable = malloc_usable_size(p);
    T_EXPECT(usable >= n, "posix_memalign(&p, %zu, %zu) has %zu usable", align, n, usable);
    if (usable > n + 64 * T_KIB) usable = n; /* do not touch what was only reserved */
    t_fill(p, usable, block_count);
    blocks[block_count].p = p;
    blocks[block_count++].n = usable;
}

static void drop_blocks(uint64_t *seed)
{
    while (block_count) {
        size_t i = (size_t)(t_random(seed) % block_count);
        /* the pattern's seed is the place in the array: only the last may move down */
        size_t last = block_count - 1;
        T_EXPECT(t_holds(blocks[last].p, blocks[last].n, last), "block %zu of %zu bytes", last,
                 blocks[last].n);
        if (i != last) {
            T_EXPECT(t_holds(blocks[i].p, blocks[i].n, i), "block %zu of %zu bytes", i,
                     blocks[i].n);
            free(blocks[i].p);
            blocks[i] = blocks[last];
            t_fill(blocks[i].p, blocks[i].n, i);
        } else {
            free(blocks[i].p);
        }
        block_count = last;
    }
}

static void every_alignment(void)
{
    static const size_t sizes[] = {0,      1,      8,     24,      100,     1000,    1024,
                                   1025,   4096,   5000,  16384,   32768,   32769,   65536,
                                   100000, 262144, T_MIB, 2097151, 2097152, 2097153, 5 * T_MIB};
    uint64_t seed = 5;
    for (int round = 0; round < 3; round++) {
        for (size_t align = 8; align <= ALIGN_MAX; align *= 2)
            for (size_t i = 0; i < T_COUNT(sizes); i++)
                add_block(align, round == 1 ? sizes[T_COUNT(sizes) - 1 - i] : sizes[i]);
        drop_blocks(&seed);
    }
}

/* Many blocks of each alignment, as a program with cache-line or page buffers makes them. */
static void many_of_each_alignment(void)
{
    uint64_t seed = 6;
    for (size_t align = 8; align <= 256 * T_KIB; align *= 2) {
        for (size_t i = 0; i < 400; i++) add_block(align, t_random_size(&seed, 14));
        drop_blocks(&seed);
    }
}

static void repeated_alignment_is_bounded(void)
{
    size_t before = t_resident();
    for (int round = 0; round < 300; round++) {
        for (size_t align = 64; align <= ALIGN_MAX; align *= 4) {
            char *p = memalign(align, 3 * align / 2 > 4 * T_MIB ? T_MIB : 3 * align / 2);
            T_EXPECT(p != NULL, "memalign(%zu)", align);
            if (!p) return;
            p[0] = 1;
            free(p);
        }
    }
    size_t after = t_resident();
    T_EXPECT(after < before + 64 * T_MIB, "resident %zu -> %zu KiB", before / T_KIB, after / T_KIB);
}

static void page_functions(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t n = 0; n < 3 * T_MIB; n = n * 2 + n / 3 + 1) {
        void *v = valloc(n), *w = pvalloc(n);
        T_EXPECT(v && is_aligned(v, page), "valloc(%zu) gave %p", n, v);
        T_EXPECT(w && is_aligned(w, page), "pvalloc(%zu) gave %p", n, w);
        size_t up = (n + page - 1) / page * page;
        T_EXPECT(malloc_usable_size(v) >= n, "valloc(%zu): usable", n);
        T_EXPECT(malloc_usable_size(w) >= up, "pvalloc(%zu) has %zu usable", n,
                 malloc_usable_size(w));
        if (v) t_fill(v, n, 1);
        if (w) t_fill(w, up, 2);
        T_EXPECT(v && t_holds(v, n, 1), "valloc(%zu): content", n);
        free(v);
        T_EXPECT(w && t_holds(w, up, 2), "pvalloc(%zu): content", n);
        free(w);
    }
}

static void success_leaves_errno(void)
{
    for (size_t align = 8; align <= ALIGN_MAX; align *= 2) {
        for (size_t n = 1; n < 4 * T_MIB; n *= 7) {
            void *p = NULL;
            errno = 4242;
            int rc = posix_memalign(&p, align, n);
            T_EXPECT(rc == 0 && errno == 4242, "posix_memalign(&p, %zu, %zu): %d, errno %d", align,
                     n, rc, errno);
            free(p);
            p = memalign(align, n);
            T_EXPECT(p && errno == 4242, "memalign(%zu, %zu): errno %d", align, n, errno);
            free(p);
            T_EXPECT(errno == 4242, "free of memalign(%zu, %zu): errno %d", align, n, errno);
        }
    }
}

int main(void)
{
    t_isolated("posix_memalign refuses bad alignments", posix_refuses_bad_alignment);
    t_isolated("aligned functions refuse huge sizes", huge_sizes);
    t_isolated("aligned functions refuse huge alignments", huge_alignments);
    t_isolated("memalign rounds odd alignments up", memalign_rounds_up);
    t_isolated("aligned_alloc takes powers of two and any size", aligned_alloc_alignments);
    t_isolated("alignments to 64 MiB with sizes to 5 MiB", every_alignment);
    t_isolated("many blocks of each alignment", many_of_each_alignment);
    t_isolated("repeated aligned blocks do not pile up", repeated_alignment_is_bounded);
    t_isolated("valloc and pvalloc", page_functions);
    t_isolated("success leaves errno alone", success_leaves_errno);
    return hktest_done();
}
