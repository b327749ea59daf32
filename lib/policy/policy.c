/* SPDX-License-Identifier: MIT */
/*
 * What: the purge decisions.
 * Why: see policy.h.
 */
#include "policy/policy.h"

struct hk_restless hk_policy_state;

void hk_policy_hurry(void)
{
    atomic_store_explicit(&hk_policy_state.barren, 0, memory_order_relaxed);
    atomic_store_explicit(&hk_policy_state.now, HK_EAGER, memory_order_relaxed);
}

void hk_policy_note_parked(size_t units)
{
    size_t known = atomic_load_explicit(&hk_policy_state.known_parked, memory_order_relaxed);
    units += atomic_fetch_add_explicit(&hk_policy_state.parked, units, memory_order_relaxed);
    if (units > known + HK_AWAKE_UNITS) hk_policy_hurry();
}

static void lower(_Atomic size_t *known, size_t units, bool set)
{
    if (set || units < atomic_load_explicit(known, memory_order_relaxed))
        atomic_store_explicit(known, units, memory_order_relaxed);
}

void hk_policy_looked(size_t got, bool cut, size_t dirty_units)
{
    uint8_t was = atomic_load_explicit(&hk_policy_state.now, memory_order_relaxed);
    uint8_t barren = atomic_load_explicit(&hk_policy_state.barren, memory_order_relaxed);
    size_t parked = atomic_exchange_explicit(&hk_policy_state.parked, 0, memory_order_relaxed);
    size_t moving = atomic_load_explicit(&hk_policy_state.moving, memory_order_relaxed);
    /* It fades: one quiet look, maybe of another thread, is no rest. */
    atomic_fetch_sub_explicit(&hk_policy_state.moving, moving - moving / 2, memory_order_relaxed);
    barren = cut || got >= HK_BARREN_BYTES ? 0 : (uint8_t)(barren + (barren < UINT8_MAX));
    atomic_store_explicit(&hk_policy_state.barren, barren, memory_order_relaxed);
    bool over = hk_policy_restless() && barren >= HK_BARREN_LOOKS;
    lower(&hk_policy_state.known_dirty, dirty_units, over);
    lower(&hk_policy_state.known_parked, parked, over);
    if (!over) return;
    uint8_t next = moving >= HK_BARREN_BYTES ? HK_WATCHFUL : HK_CALM;
    atomic_compare_exchange_strong_explicit(&hk_policy_state.now, &was, next, memory_order_relaxed,
                                            memory_order_relaxed);
}

uint32_t hk_policy_purge_idle_ms(const struct hk_purge_view *v, unsigned level, bool exact)
{
    /* More free than used: demand fell for good, most likely, or a phase ended. */
    if (!exact && v->dirty_units > v->used_units) return HK_PURGE_IDLE_MS / 2;
    return HK_PURGE_IDLE_MS + HK_PURGE_IDLE_MS * level / HK_DECAY_LEVELS;
}

void hk_policy_decay(struct hk_decay *d, uint64_t given, uint64_t again)
{
    d->given += given - d->given / HK_DECAY_FADE;
    d->again += again - d->again / HK_DECAY_FADE;
    if (d->again >= HK_DECAY_LEAST && d->again > d->given / 4) {
        if (d->level < HK_DECAY_LEVELS) d->level++;
        d->given = d->again = 0;
        d->calm = 0;
    } else if (again >= HK_DECAY_LEAST / 32) {
        d->calm = 0;
    } else if (d->level && ++d->calm == HK_DECAY_CALM) {
        d->level--;
        d->calm = 0;
    }
}
