/* SPDX-License-Identifier: MIT */
/*
 * What: how long memory lay free, in buckets.
 * Why: the pool counts in them, the policy reads them.
 */
#ifndef HK_BASE_IDLE_H
#define HK_BASE_IDLE_H

#include "base/bits.h"

/* Less than 4 ms, two buckets a doubling up to 64 Ki ms, and longer: so the delays that policies
 * know fall near ends of buckets. */
#define HK_IDLE_BUCKETS 30u
#define HK_IDLE_FIRST   4u
#define HK_IDLE_LAST    65536u

/* Below HK_IDLE_BUCKETS. */
HK_INLINE uint32_t hk_idle_bucket(uint64_t ms)
{
    if (ms < HK_IDLE_FIRST) return 0;
    if (ms >= HK_IDLE_LAST) return HK_IDLE_BUCKETS - 1;
    unsigned doubling = hk_log2(ms);
    bool upper = ms * ms >> (2 * doubling + 1) != 0; /* ms ≥ 2^doubling √2 */
    return 1 + 2 * (doubling - 2) + upper;
}

#endif
