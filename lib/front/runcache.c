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
#include "os/report.h"
#include "policy/policy.h"
#include "policy/snapshot.h"
#include "slab/heap.h"

_Static_assert(HK_RUN_SLOTS == 32, "a bit each in a word");

static _Atomic uint32_t holders; /* heaps with may_hold */

/* Whole again when it returns: giving back may take the kernel long, and a fork must not wait. */
static struct hk_unit *take_out(struct hk_heap *h, unsigned slot)
{
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    struct hk_unit *u = h->run[slot];
    h->runs &= ~(1u << slot);
    h->runs_of[u->run_units] &= ~(1u << slot);
    if (!h->runs_of[u->run_units]) h->run_lengths &= ~(1u << u->run_units);
    h->run_held[hk_run_class(u->run_units)] -= (uint16_t)u->run_units;
    h->run_units -= u->run_units;
    atomic_store_explicit(&h->busy, busy, memory_order_release);
    return u;
}

static void give_back(struct hk_unit *u)
{
    hk_large_give(hk_unit_addr(u), u->run_units);
}

/* One of `from`, slots in use; they take turns. */
static void put_out(struct hk_heap *h, uint32_t from)
{
    uint32_t ahead = from & ~hk_low_mask32(h->run_hand);
    unsigned slot = (unsigned)__builtin_ctz(ahead ? ahead : from);
    h->run_hand = (uint8_t)((slot + 1) % HK_RUN_SLOTS);
    give_back(take_out(h, slot));
}

/* Slots of the class that is furthest beyond its share; 0: none is beyond. */
static uint32_t beyond_share(const struct hk_heap *h, struct hk_snapshot s)
{
    unsigned most = 0, which = 0;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        unsigned cap = hk_policy_cap(s, c), over = h->run_held[c] > cap ? h->run_held[c] - cap : 0;
        if (over <= most) continue;
        most = over;
        which = c;
    }
    uint32_t from = 0;
    unsigned longest = hk_run_class_units(which),
             shortest = which ? hk_run_class_units(which - 1) + 1 : 1;
    for (unsigned len = shortest; most && len <= longest; len++) from |= h->runs_of[len];
    return from;
}

/* Whose turn it is to go, `units` coming: of the same length, as variety is what finds a fit. */
static uint32_t who_goes(const struct hk_heap *h, uint32_t units, struct hk_snapshot s)
{
    uint32_t from = HK_UNLIKELY(s.caps_on) ? beyond_share(h, s) : 0;
    if (!from) from = h->runs_of[units];
    return from ? from : h->runs;
}

/* Threads that sleep keep what they hold, and a trim does not reach it: so only a few may. */
static HK_NOINLINE bool become_holder(struct hk_heap *h)
{
    if (atomic_load_explicit(&holders, memory_order_relaxed) >= HK_RUN_HOLDERS) return false;
    h->may_hold = 1; /* first: a child of fork counts these */
    atomic_fetch_add_explicit(&holders, 1, memory_order_relaxed); /* one too many does no harm */
    return true;
}

/* Another node's memory is to serve its own threads. */
static HK_NOINLINE bool far(const struct hk_heap *h, const struct hk_unit *u)
{
    const struct hk_shard *s = hk_shard_of(hk_unit_addr(u));
    HK_ASSERT(s != NULL);
    return s->node != h->node;
}

bool hk_runs_keep(struct hk_heap *h, struct hk_unit *u)
{
    uint32_t units = u->run_units;
    if (units >= HK_CHUNK_UNITS || (HK_UNLIKELY(!h->may_hold) && !become_holder(h))) return false;
    if (HK_UNLIKELY(hk_shards_apart()) && far(h, u)) return false;
    uint32_t cap = hk_policy_run_cap(hk_pool_used_units(),
                                     atomic_load_explicit(&holders, memory_order_relaxed));
    if (units > cap) return false;
    hk_large_retire(&h->large, u);
    while (h->runs == UINT32_MAX || (h->runs && h->run_units + units > cap))
        put_out(h, who_goes(h, units, hk_policy_now()));
    unsigned slot = (unsigned)__builtin_ctz(~h->runs);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    h->run[slot] = u;
    h->run_last = (uint8_t)slot;
    h->runs |= 1u << slot;
    h->runs_of[units] |= 1u << slot;
    h->run_lengths |= 1u << units;
    h->run_held[hk_run_class(units)] += (uint16_t)units;
    h->run_units += units;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return true;
}

/* A written counter of this thread's. */
static void add(_Atomic uint32_t *v, uint32_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void hk_runs_note(struct hk_heap *h, unsigned class)
{
    add(&h->run_counts.asked[class], 1);
    add(&h->run_counts.had[class], 1);
}

/* Slots of the shortest runs that may serve, longer than asked for. */
static uint32_t longer(const struct hk_heap *h, unsigned units, unsigned longest)
{
    uint32_t lengths = h->run_lengths & ~hk_low_mask32(units + 1) & hk_low_mask32(longest + 1);
    return lengths ? h->runs_of[__builtin_ctz(lengths)] : 0;
}

struct hk_unit *hk_runs_reuse(struct hk_heap *h, size_t want)
{
    if (want >= HK_CHUNK_UNITS) return NULL;
    unsigned units = (unsigned)want;
    struct hk_snapshot s = hk_policy_now();
    uint32_t fit = h->runs_of[units];
    if (!fit) {
        unsigned longest = hk_policy_longest(s, units);
        if (HK_UNLIKELY(longest > units)) fit = longer(h, units, longest);
    }
    if (HK_UNLIKELY(s.learn)) {
        add(&h->run_counts.asked[hk_run_class(units)], 1);
        if (fit) add(&h->run_counts.had[hk_run_class(units)], 1);
    }
    if (!fit) return NULL;
    unsigned slot = fit >> h->run_last & 1 ? h->run_last : (unsigned)__builtin_ctz(fit);
    struct hk_unit *u = take_out(h, slot);
    if (HK_UNLIKELY(u->run_units > units))
        add(&h->run_counts.rounded[hk_policy_band(units) == HK_BAND_LARGE], u->run_units - units);
    h->run_hit = 1;
    return u;
}

void hk_runs_drop(struct hk_heap *h, bool idle_only)
{
    bool keep = idle_only && h->run_hit;
    h->run_hit = 0;
    while (!keep && h->runs) give_back(take_out(h, (unsigned)__builtin_ctz(h->runs)));
    if (!keep && h->may_hold) {
        atomic_fetch_sub_explicit(&holders, 1, memory_order_relaxed);
        h->may_hold = 0;
    }
}

#ifdef HK_DEBUG
uint32_t hk_runs_holders(void)
{
    return atomic_load_explicit(&holders, memory_order_relaxed);
}
#endif

void hk_runs_fork_child(void)
{
    uint32_t n = 0;
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        bool lost = atomic_load_explicit(&h->state, memory_order_relaxed) == HK_HEAP_LOST;
        n += h->may_hold && !lost;
    }
    atomic_store_explicit(&holders, n, memory_order_relaxed);
}
