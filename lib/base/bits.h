/* SPDX-License-Identifier: MIT */
/*
 * What: integer helpers: rounding, powers of two, bit scans, runs of bits in a word.
 * Why: every layer rounds and scans; overflow is argued here once.
 * Invariants: alignments are powers of two; no helper accepts a zero word where it says so.
 */
#ifndef HK_BASE_BITS_H
#define HK_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define HK_KIB ((size_t)1 << 10)
#define HK_MIB ((size_t)1 << 20)
#define HK_GIB ((size_t)1 << 30)
#define HK_TIB ((size_t)1 << 40)

/* Callers keep n ≤ PTRDIFF_MAX, so that the sum cannot wrap. */
HK_INLINE size_t hk_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

HK_INLINE bool hk_is_pow2(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* Index of the highest bit set; n != 0. */
HK_INLINE unsigned hk_log2(size_t n)
{
    return 63u ^ (unsigned)__builtin_clzl(n); /* not 63 - …: one bsr on x86 */
}

/* The n lowest bits of a 32-bit word, 0 ≤ n ≤ 32. */
HK_INLINE uint32_t hk_low_mask32(unsigned n)
{
    return (uint32_t)(((uint64_t)1 << n) - 1);
}

/* Bits i such that bits i … i+n-1 of w are all set, 1 ≤ n ≤ 32. */
HK_INLINE uint32_t hk_runs32(uint32_t w, unsigned n)
{
    unsigned have = 1;
    while (have < n) {
        unsigned step = have < n - have ? have : n - have;
        w &= w >> step;
        have += step;
    }
    return w;
}

/* Length of the longest run of set bits. */
HK_INLINE unsigned hk_longest_run32(uint32_t w)
{
    uint32_t r[5], more; /* r[k]: where runs of 2^k begin */
    unsigned k = 0;
    if (w == 0 || w == UINT32_MAX) return w ? 32 : 0;
    for (r[0] = w; k < 4 && (more = r[k] & r[k] >> (1u << k)) != 0;) r[++k] = more;
    unsigned n = 1u << k;
    for (w = r[k]; k-- > 0;) {
        if ((more = w & r[k] >> n) == 0) continue;
        w = more;
        n += 1u << k;
    }
    return n;
}

#endif
