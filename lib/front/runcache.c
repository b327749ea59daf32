/* SPDX-License-Identifier: MIT */
/*
 * What: the last few runs that a heap's thread freed, for its next large allocations.
 * Why: a buffer that is taken and dropped in a loop needs no lock, no clock and no search then; a
 *   quarter of the instructions. The cap is small: what is held here serves nobody else.
 * Invariants: U1 a run held here is whole, out of the pool, and no block: a second free finds that.
 * Threads: who holds the heap (H1).
 */
#include "core/pool.h"
#include "front/front.h"
#include "large/large.h"
#include "policy/policy.h"
#include "slab/heap.h"

static _Atomic uint32_t holders; /* heaps with may_hold */

static struct hk_unit *take_out(struct hk_heap *h, unsigned i)
{
    struct hk_unit *u = h->run[i];
    h->runs--;
    for (; i < h->runs; i++) h->run[i] = h->run[i + 1];
    h->run_units -= u->run_units;
    return u;
}

static void give_back(struct hk_unit *u)
{
    hk_pool_free(hk_unit_addr(u), u->run_units);
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

/* Threads that sleep keep what they hold, and a trim does not reach it: so only a few may. */
static bool may_hold(struct hk_heap *h)
{
    if (HK_LIKELY(h->may_hold)) return true;
    if (atomic_load_explicit(&holders, memory_order_relaxed) >= HK_RUN_HOLDERS) return false;
    atomic_fetch_add_explicit(&holders, 1, memory_order_relaxed); /* one too many does no harm */
    h->may_hold = 1;
    return true;
}

bool hk_runs_keep(struct hk_heap *h, struct hk_unit *u)
{
    uint32_t units = u->run_units;
    if (units > HK_RUN_CACHE_UNITS || !may_hold(h)) return false;
    hk_large_retire(u);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    while (h->runs && (h->runs == HK_RUN_SLOTS || h->run_units + units > HK_RUN_CACHE_UNITS))
        give_back(take_out(h, 0));
    h->run[h->runs++] = u;
    h->run_units += units;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return true;
}

struct hk_unit *hk_runs_reuse(struct hk_heap *h, size_t units)
{
    for (unsigned i = h->runs; i-- > 0;) {
        if (h->run[i]->run_units != units) continue;
        atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
        struct hk_unit *u = take_out(h, i);
        atomic_store_explicit(&h->busy, 0, memory_order_release);
        h->run_hit = 1;
        return u;
    }
    return NULL;
}

void hk_runs_drop(struct hk_heap *h, bool idle_only)
{
    bool keep = idle_only && h->run_hit;
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    h->run_hit = 0;
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    while (!keep && h->runs) give_back(take_out(h, h->runs - 1));
    if (!keep && h->may_hold) {
        atomic_fetch_sub_explicit(&holders, 1, memory_order_relaxed);
        h->may_hold = 0;
    }
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}
