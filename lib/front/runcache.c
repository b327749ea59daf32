/* SPDX-License-Identifier: MIT */
/*
 * What: the runs that a heap's thread freed a while ago, for its next large allocations.
 * Why: a buffer that is taken and dropped in a loop, or a table of them, needs no lock and no
 *   search then; a fifth of the instructions. The cap is small: what is held serves nobody else.
 * Invariants: U1 a run held here is whole, out of the pool, and no block: a second free finds that.
 *   U2 slot i is in use if and only if bit i of runs is set, and then in runs_of its length only.
 * Threads: who holds the heap (H1).
 */
#include "core/pool.h"
#include "front/front.h"
#include "large/large.h"
#include "policy/policy.h"
#include "slab/heap.h"

_Static_assert(HK_RUN_SLOTS == 32, "a bit each in a word");

static _Atomic uint32_t holders; /* heaps with may_hold */

static struct hk_unit *take_out(struct hk_heap *h, unsigned slot)
{
    struct hk_unit *u = h->run[slot];
    h->runs &= ~(1u << slot);
    h->runs_of[u->run_units] &= ~(1u << slot);
    h->run_units -= u->run_units;
    return u;
}

static void give_back(struct hk_unit *u)
{
    hk_pool_free(hk_unit_addr(u), u->run_units);
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

/* One of the same length goes first, as variety is what finds a fit; else they take turns. */
static void put_out(struct hk_heap *h, uint32_t units)
{
    uint32_t from = h->runs_of[units] ? h->runs_of[units] : h->runs;
    uint32_t ahead = from & ~hk_low_mask32(h->run_hand);
    unsigned slot = (unsigned)__builtin_ctz(ahead ? ahead : from);
    h->run_hand = (uint8_t)((slot + 1) % HK_RUN_SLOTS);
    give_back(take_out(h, slot));
}

/* Threads that sleep keep what they hold, and a trim does not reach it: so only a few may. */
static HK_NOINLINE bool become_holder(struct hk_heap *h)
{
    if (atomic_load_explicit(&holders, memory_order_relaxed) >= HK_RUN_HOLDERS) return false;
    h->may_hold = 1; /* first: a child of fork counts these */
    atomic_fetch_add_explicit(&holders, 1, memory_order_relaxed); /* one too many does no harm */
    return true;
}

bool hk_runs_keep(struct hk_heap *h, struct hk_unit *u)
{
    uint32_t units = u->run_units;
    if (units >= HK_CHUNK_UNITS || (HK_UNLIKELY(!h->may_hold) && !become_holder(h))) return false;
    uint32_t cap = hk_policy_run_cap(hk_pool_used_units(),
                                     atomic_load_explicit(&holders, memory_order_relaxed));
    if (units > cap) return false;
    hk_large_retire(&h->large, u);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    while (h->runs == UINT32_MAX || (h->runs && h->run_units + units > cap)) put_out(h, units);
    unsigned slot = (unsigned)__builtin_ctz(~h->runs);
    h->run[slot] = u;
    h->run_last = (uint8_t)slot;
    h->runs |= 1u << slot;
    h->runs_of[units] |= 1u << slot;
    h->run_units += units;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return true;
}

struct hk_unit *hk_runs_reuse(struct hk_heap *h, size_t units)
{
    uint32_t fit = units < HK_CHUNK_UNITS ? h->runs_of[units] : 0;
    if (!fit) return NULL;
    unsigned slot = fit >> h->run_last & 1 ? h->run_last : (unsigned)__builtin_ctz(fit);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    struct hk_unit *u = take_out(h, slot);
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    h->run_hit = 1;
    return u;
}

void hk_runs_drop(struct hk_heap *h, bool idle_only)
{
    bool keep = idle_only && h->run_hit;
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    h->run_hit = 0;
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    while (!keep && h->runs) give_back(take_out(h, (unsigned)__builtin_ctz(h->runs)));
    if (!keep && h->may_hold) {
        atomic_fetch_sub_explicit(&holders, 1, memory_order_relaxed);
        h->may_hold = 0;
    }
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}

void hk_runs_fork_child(void)
{
    uint32_t n = 0;
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        bool lost = atomic_load_explicit(&h->state, memory_order_relaxed) == HK_HEAP_LOST;
        n += h->may_hold && !lost;
    }
    atomic_store_explicit(&holders, n, memory_order_relaxed);
}
