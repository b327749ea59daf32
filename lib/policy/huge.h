/* SPDX-License-Identifier: MIT */
/*
 * What: the decisions on huge pages.
 * Why: mechanisms ask here, as with policy.h.
 */
#ifndef HK_POLICY_HUGE_H
#define HK_POLICY_HUGE_H

#include "base/sizeclass.h"

/*
 * Huge pages make a big block that is written all over cheaper, and one that is written here and
 * there many times as large. So blocks of a doubling of sizes get them once one of its blocks, in
 * small pages, was seen to be filled; one in HK_HUGE_TRIAL goes without, to see it again.
 */
#define HK_HUGE_LEAST (4 * HK_MIB)
#define HK_HUGE_BANDS 16u
/*
 * Chunks that large blocks share are treated alike, once so much is used, if the blocks asked for
 * lately fill so many sixteenths of their units.
 */
#define HK_HUGE_USED_UNITS    ((size_t)(16 * HK_MIB / HK_UNIT_BYTES))
#define HK_HUGE_TRIAL         16u
#define HK_HUGE_SCORE_MAX     4
#define HK_HUGE_SPARSE        3 /* points that a sparse block costs; a filled one brings one */
#define HK_HUGE_FILLED        15 /* page faults in the meantime, in sixteenths of its pages, at least; */
#define HK_HUGE_SHARED_FILLED 13 /* in chunks, as blocks that are yet to come fill gaps */
#define HK_HUGE_OTHERS        20 /* and at most: else other memory was touched as well */
enum hk_thp { HK_THP_OFF, HK_THP_AUTO, HK_THP_ON };

struct hk_density {
    int8_t score; /* positive: filled */
    uint8_t turn;
};

#define HK_HUGE_ASKED 14u
#define HK_HUGE_FADE  32u /* lately: about so many requests */
HK_INLINE bool hk_policy_huge_chunk(size_t asked, size_t held, size_t used_units)
{
    return used_units >= HK_HUGE_USED_UNITS && asked / HK_HUGE_ASKED >= held / 16;
}

HK_INLINE unsigned hk_policy_huge_band(size_t n)
{
    unsigned b = n < 2 * HK_HUGE_LEAST ? 0 : hk_log2(n / HK_HUGE_LEAST);
    return b < HK_HUGE_BANDS ? b : HK_HUGE_BANDS - 1;
}
/*
 * Whether huge pages pay, by what a KiB costs in small and in huge ones, ns; 0: not known. Small
 * pages have more than faults against them: the processor's tables of 4 KiB each.
 */
HK_INLINE bool hk_policy_huge_pays(uint32_t small, uint32_t huge)
{
    return !small || !huge || huge <= small + small / 4;
}

/*
 * A block of so many pages was handed out, and so many page faults came until the next one; least:
 * sixteenths for it to count as filled.
 */
void hk_policy_huge_seen(struct hk_density *d, size_t faults, size_t pages, unsigned least);
/* Whether the next block gets huge pages. */
bool hk_policy_huge_next(struct hk_density *d);

#endif
