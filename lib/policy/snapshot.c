/* SPDX-License-Identifier: MIT */
/*
 * What: the word of the decisions in force.
 * Why: see snapshot.h.
 */
#include "policy/snapshot.h"

_Atomic uint64_t hk_policy_word = (uint64_t)1 << 1 | (uint64_t)HK_ACTION_BATCH << 9 |
                                  (uint64_t)HK_ACTION_BATCH << 11 | (uint64_t)HK_ACTION_BATCH << 13;
/* In thousandths, for the mid and for the large band. */
_Atomic uint16_t hk_policy_wmax[2][HK_WMAX_ARMS] = {{1000, 1400, 1600, 1800, 2000},
                                                    {1000, 1250, 1500, 1750, 2000}};

_Atomic uint64_t hk_policy_huge_set = HK_HUGE_LEAST;

struct hk_snapshot hk_policy_balanced(void)
{
    return (struct hk_snapshot){.adapt = 1,
                                .action_mid = HK_ACTION_BATCH,
                                .action_large = HK_ACTION_BATCH,
                                .action_big = HK_ACTION_BATCH};
}

void hk_policy_publish(struct hk_snapshot s)
{
    atomic_store_explicit(&hk_policy_word, hk_snapshot_word(s), memory_order_relaxed);
}

void hk_policy_set_wmax(bool large, unsigned arm, uint16_t thousandths)
{
    atomic_store_explicit(&hk_policy_wmax[large][arm], thousandths, memory_order_relaxed);
}
