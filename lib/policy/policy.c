/* SPDX-License-Identifier: MIT */
/*
 * What: the purge decisions.
 * Why: see policy.h.
 */
#include "policy/policy.h"

_Atomic bool hk_policy_restless_now;
_Atomic size_t hk_policy_left_units;

bool hk_policy_purge_worth(const struct hk_purge_view *v)
{
    return v->dirty_units >= HK_PURGE_MIN_UNITS || v->used_units >= HK_PURGE_MIN_USED_UNITS;
}

bool hk_policy_purge_due(const struct hk_purge_view *v)
{
    return hk_policy_purge_worth(v) &&
           v->now_ms - v->last_ms >= (v->cut ? HK_PURGE_ON_MS : HK_PURGE_EVERY_MS);
}

uint32_t hk_policy_purge_idle_ms(const struct hk_purge_view *v)
{
    /* More free than used: demand fell for good, or a phase ended. */
    if (v->dirty_units > v->used_units) return HK_PURGE_IDLE_MS / 2;
    return HK_PURGE_IDLE_MS;
}
