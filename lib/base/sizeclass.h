/* SPDX-License-Identifier: MIT */
/*
 * What: the one place that maps a size to a class and a class to its geometry.
 * Why: the ranges tile every size without gap or overlap; the asserts at the end prove it.
 * Invariants: I1 a class holds every size that maps to it. I2 class sizes are multiples of 16
 *   and rise with the class. I3 rounding wastes at most 20 % above 64 bytes.
 *   Tiny classes 1…64 go in steps of 16 bytes to 1 KiB, mid classes 65…84 go four per doubling to
 *   32 KiB; class 0 stays empty, so that malloc(0) misses the fast path without a branch. Behind
 *   them come the slots of base/dynclass.h, which no size maps to by itself.
 */
#ifndef HK_BASE_SIZECLASS_H
#define HK_BASE_SIZECLASS_H

#include "base/bits.h"
#include "base/dynclass.h"

#define HK_ALIGN_BYTES  ((size_t)16)
#define HK_TINY_MAX     ((size_t)1024)
#define HK_MID_MAX      ((size_t)32768)
#define HK_TINY_CLASSES 64u
#define HK_MID_FIRST    (HK_TINY_CLASSES + 1)
#define HK_CLASSES      (HK_MID_FIRST + 20u)
#define HK_ALL_CLASSES  (HK_CLASSES + HK_DYN_SLOTS) /* those chosen at run time are the last */
#define HK_LONG_UNITS   16u                         /* of a mid slab */

/* A unit is the grain of the pointer → metadata map, a chunk is one huge page of units. */
#define HK_UNIT_SHIFT  16
#define HK_UNIT_BYTES  ((size_t)1 << HK_UNIT_SHIFT)
#define HK_CHUNK_SHIFT 21
#define HK_CHUNK_BYTES ((size_t)1 << HK_CHUNK_SHIFT)
#define HK_CHUNK_UNITS ((unsigned)(HK_CHUNK_BYTES / HK_UNIT_BYTES))

#define HK_MAX_REQUEST ((size_t)PTRDIFF_MAX)

/* n ≤ HK_TINY_MAX. */
HK_INLINE unsigned hk_tiny_class(size_t n)
{
    return (unsigned)((n + 15) >> 4);
}

/* HK_TINY_MAX < n ≤ HK_MID_MAX. */
HK_INLINE unsigned hk_mid_class(size_t n)
{
    unsigned b = hk_log2(n - 1);
    return b * 4 + (unsigned)((n - 1) >> (b - 2)) + HK_MID_FIRST - 44;
}

/* n ≤ HK_MID_MAX; malloc(0) is a block of the smallest class. */
HK_INLINE unsigned hk_size_class(size_t n)
{
    return n <= HK_TINY_MAX ? hk_tiny_class(n) + (n == 0) : hk_mid_class(n);
}

#define HK_MID_SIZE(c) ((size_t)(5 + (((c)-HK_MID_FIRST) & 3)) << (8 + (((c)-HK_MID_FIRST) >> 2)))

HK_INLINE size_t hk_class_bytes(unsigned c)
{
    if (c < HK_MID_FIRST) return (size_t)c * 16;
    return HK_LIKELY(c < HK_CLASSES) ? HK_MID_SIZE(c) : hk_dyn_bytes(c - HK_CLASSES);
}

/*
 * Units of a slab of class c. Short slabs of big blocks fall asleep and wake too often: with one
 * unit from 1 to 4 KiB and 8 above, larson_mid took 1.7 and mid_large_mt 1.2 times as long.
 */
HK_INLINE unsigned hk_class_units(unsigned c)
{
    return c < HK_MID_FIRST ? 1 : HK_LONG_UNITS;
}

HK_INLINE unsigned hk_class_blocks(unsigned c)
{
    return (unsigned)(hk_class_units(c) * HK_UNIT_BYTES / hk_class_bytes(c));
}

HK_INLINE size_t hk_bytes_to_units(size_t n)
{
    return (n + HK_UNIT_BYTES - 1) >> HK_UNIT_SHIFT;
}

_Static_assert(HK_MID_SIZE(HK_MID_FIRST) == HK_TINY_MAX + 256, "mid starts where tiny ends");
_Static_assert(HK_MID_SIZE(HK_MID_FIRST + 3) == 2048, "four classes a doubling");
_Static_assert(HK_MID_SIZE(HK_CLASSES - 1) == HK_MID_MAX, "mid ends where large begins");
_Static_assert(HK_DYN_MOST <= HK_LONG_UNITS * HK_UNIT_BYTES / 4, "four blocks a slab at least");
_Static_assert(HK_TINY_CLASSES * 16 == HK_TINY_MAX, "tiny tiles to its end");

#endif
