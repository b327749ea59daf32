/* SPDX-License-Identifier: MIT */
/*
 * What: the end of a block in hardened mode: filler and canary.
 * Why: who writes one byte behind what was asked for is found out.
 * Threads: whoever has the block.
 */
#ifndef HK_FRONT_SEAL_H
#define HK_FRONT_SEAL_H

#include <string.h>

#include "front/harden.h"

#define HK_FILLER 0xe5e5e5e5e5e5e5e5u

HK_INLINE uint64_t hk_word_load(const void *p, size_t off)
{
    uint64_t w;
    memcpy(&w, (const char *)p + off, sizeof w);
    return w;
}

HK_INLINE void hk_word_store(void *p, size_t off, uint64_t w)
{
    memcpy((char *)p + off, &w, sizeof w);
}

/* Another for each place; its lowest bits are 0, for what the seal tells in them. */
HK_INLINE uint64_t hk_canary_of(const void *p)
{
    return hk_harden.canary ^ (uint64_t)(uintptr_t)p << HK_SLACK_BITS;
}

/*
 * N5: p has n bytes of `size`, n <= most = size - 8. What follows them is filled, eight bytes at
 * most, and the last word is the canary, which tells n too.
 */
HK_INLINE void hk_seal(void *p, size_t size, size_t n)
{
    size_t most = size - HK_CANARY_BYTES;
    hk_word_store(p, n, HK_FILLER);
    hk_word_store(p, most, hk_canary_of(p) ^ (most - n));
}

/* The n of p's seal; more than size if it was written over. */
HK_INLINE size_t hk_sealed(const void *p, size_t size)
{
    size_t most = size - HK_CANARY_BYTES, slack = hk_word_load(p, most) ^ hk_canary_of(p);
    return HK_LIKELY(slack <= most) ? most - slack : SIZE_MAX;
}

/* Whether the bytes behind the n of p were written. */
HK_INLINE bool hk_overrun(const void *p, size_t size, size_t n)
{
    /* So many bytes of a word as lie before the canary; the first one is the lowest. */
    static const uint64_t first[9] = {0,          0xff,         0xffff,         0xffffff,
                                      0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
                                      UINT64_MAX};
    if (HK_UNLIKELY(n > size)) return true;
    size_t slack = size - HK_CANARY_BYTES - n;
    return HK_UNLIKELY((hk_word_load(p, n) ^ HK_FILLER) & first[slack < 8 ? slack : 8]);
}

#endif
