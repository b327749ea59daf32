/* SPDX-License-Identifier: MIT */
/*
 * What: the decisions on huge pages.
 * Why: see huge.h.
 */
#include "policy/huge.h"

void hk_policy_huge_seen(struct hk_density *d, size_t faults, size_t pages, unsigned least)
{
    bool filled = faults >= pages / 16 * least && faults <= pages / 16 * HK_HUGE_OTHERS;
    int score = d->score + (filled ? 1 : -HK_HUGE_SPARSE);
    if (score > HK_HUGE_SCORE_MAX) score = HK_HUGE_SCORE_MAX;
    if (score < -HK_HUGE_SCORE_MAX) score = -HK_HUGE_SCORE_MAX;
    d->score = (int8_t)score;
}

bool hk_policy_huge_next(struct hk_density *d)
{
    return d->score > 0 && ++d->turn % HK_HUGE_TRIAL != 0;
}
