/* SPDX-License-Identifier: MIT */
/*
 * What: what goes back to the kernel, and when: looks at what lies about, paced by slow paths.
 * Why: no thread of the library's own looks after idle memory, so those who come by must, and must
 *   not feel it: mostly a tick is a look at the clock. Each thread looks into its own heap; one of
 *   them at a time into those without a thread, and at the pool.
 * Threads: all. No lock is held over the kernel's work.
 */
#include "core/pool.h"
#include "front/decay.h"
#include "front/fast.h"
#include "front/learn.h"
#include "large/mapped.h"
#include "os/cgroup.h"
#include "os/sys.h"
#include "policy/policy.h"
#include "policy/snapshot.h"

static _Atomic uint64_t last_ms, last_anew_ms; /* a look at parked heaps · one not to go on */
static _Atomic bool cut;                       /* the last one ended early */
static _Atomic size_t own_got;                 /* by threads from their own heaps since then */
#define GROUP_OFF UINT64_MAX
static _Atomic uint64_t group_ms = GROUP_OFF; /* a look at the control group's limit */

enum how { GO_ON, ANEW, ALL }; /* what the last look left · what is idle now · all there is */

/* The calling thread's heap: in no slab operation, ticks come after or before them. */
static void look_at_own(struct hk_heap *h, uint64_t now)
{
    uint32_t blocks = HK_PURGE_BLOCKS;
    bool anew = !h->cut;
    if (HK_UNLIKELY(h->dyn_seen != hk_dyn_now())) hk_heap_drop_classes(h);
    h->lull = now - h->tick_ms >= HK_LULL_MS;
    h->tick_ms = now;
    if (!hk_policy_look_due(now, h->look_ms, h->cut)) return;
    h->look_ms = now;
    if (anew) {
        if (h->awake < h->awake_seen) h->awake_seen = h->awake;
        hk_slab_fade(h);
        hk_runs_drop(h, true);
        if (h->hard) hk_heap_flush_hard(h); /* a block that waits keeps its slab */
    }
    size_t got = hk_slab_purge(h, false, &blocks);
    if (h->moving) hk_policy_note_moving(h->moving);
    if (got) atomic_fetch_add_explicit(&own_got, got, memory_order_relaxed);
}

/*
 * h, parked and seized. What a thread had since the last look keeps its slabs: units that went from
 * class to class with every short thread would be touched ever further. Bytes.
 */
static size_t look_at_parked(struct hk_heap *h, enum how how, uint32_t *blocks)
{
    size_t got = 0;
    if (!h->warm || how == ALL) {
        if (h->settled && how != ALL) return 0;
        hk_heap_settle_parked(h);
        got = hk_slab_purge(h, true, blocks);
        h->settled = !h->cut;
    } else if (how == ANEW) {
        got = hk_slab_purge(h, false, blocks);
    }
    return got;
}

/* Heaps without a thread give back what lies about; bytes. *more: there were too many. */
static size_t purge_parked(enum how how, uint32_t blocks, bool *more)
{
    size_t got = 0;
    *more = false;
    /* The list only grows and heaps stay. */
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        if (blocks >= HK_PURGE_SLAB_BLOCKS) got += look_at_parked(h, how, &blocks);
        *more |= !h->warm && !h->settled;
        if (how == ANEW) h->warm = h->noted = 0;
        hk_heap_let_go(h);
    }
    return got;
}

/* The group is nearly full: all that is free goes, whenever it was freed. */
static size_t relieve(struct hk_heap *own)
{
    uint32_t blocks = UINT32_MAX;
    bool more;
    size_t got = 0;
    if (own) {
        hk_runs_drop(own, false);
        got = hk_slab_purge(own, true, &blocks);
    }
    return got + purge_parked(ALL, UINT32_MAX, &more) + hk_mapped_trim() + hk_pool_purge(0, 0);
}

static void look_at_group(uint64_t now)
{
    uint64_t last = atomic_load_explicit(&group_ms, memory_order_relaxed);
    struct hk_cgroup g;
    if (HK_LIKELY(last == GROUP_OFF) || now - last < HK_PRESSURE_EVERY_MS) return;
    if (!atomic_compare_exchange_strong_explicit(&group_ms, &last, now, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    if (hk_cgroup_read(&g) && hk_policy_pressed(g.limit, g.room)) relieve(hk_thread.heap);
}

void hk_front_watch_group(void)
{
    atomic_store_explicit(&group_ms, 0, memory_order_relaxed);
}

uint32_t hk_front_decay_ms(void)
{
    struct hk_purge_view v = {hk_pool_used_units(), hk_pool_dirty_units()};
    struct hk_snapshot s = hk_policy_now();
    return hk_policy_purge_idle_ms(&v, hk_decay_level(), s.exact || !s.adapt);
}

static void look_at_all(enum how how)
{
    bool more;
    size_t pool = 0;
    size_t got = purge_parked(how, HK_PURGE_BLOCKS, &more);
    atomic_store_explicit(&cut, more, memory_order_relaxed);
    if (how == GO_ON) {
        atomic_fetch_add_explicit(&own_got, got, memory_order_relaxed);
        return;
    }
    if (hk_pool_sum_dirty() >= HK_PURGE_MIN_UNITS) pool = hk_pool_purge(hk_front_decay_ms(), 0);
    got += pool;
    got += atomic_exchange_explicit(&own_got, 0, memory_order_relaxed);
    /* A big heap in which a little moves all the time is cut short every time. */
    more |= hk_thread.heap && hk_thread.heap->cut && got >= HK_BARREN_BYTES / 16;
    hk_policy_looked(got, more, hk_pool_dirty_units());
    hk_decay_learn(pool);
}

void hk_front_tick(void)
{
    struct hk_purge_view v = {hk_pool_used_units(), hk_pool_dirty_most()};
    if (!hk_policy_purge_worth(&v) && !hk_policy_restless()) return;
    uint64_t last = atomic_load_explicit(&last_ms, memory_order_relaxed), now = hk_sys_now_ms();
    look_at_group(now);
    hk_learn_tick(now);
    if (hk_thread.heap) look_at_own(hk_thread.heap, now);
    bool short_one = atomic_load_explicit(&cut, memory_order_relaxed);
    if (!hk_policy_look_due(now, last, short_one)) return;
    if (!atomic_compare_exchange_strong_explicit(&last_ms, &last, now, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    last = atomic_load_explicit(&last_anew_ms, memory_order_relaxed);
    bool anew = hk_policy_look_due(now, last, false);
    if (anew) atomic_store_explicit(&last_anew_ms, now, memory_order_relaxed);
    look_at_all(anew ? ANEW : GO_ON);
}

bool hk_front_look_after(void)
{
    size_t before = hk_pool_dirty_units();
    hk_front_tick();
    return hk_pool_dirty_units() < before;
}

/* What bins of ended threads hold goes where it belongs, which may be another heap, also the
 * caller's. */
static void settle_parked(void)
{
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        hk_heap_settle_parked(h);
        hk_heap_let_go(h);
    }
}

size_t hk_front_trim(size_t keep)
{
    struct hk_heap *h = hk_thread.heap;
    uint32_t blocks = UINT32_MAX;
    size_t got = 0;
    bool more;
    if (h) hk_heap_settle(h);
    settle_parked(); /* before anything is looked at: afterwards all mail has come */
    if (h) {
        hk_heap_settle(h);
        got = hk_slab_purge(h, true, &blocks);
    }
    got += purge_parked(ALL, UINT32_MAX, &more);
    return got + hk_mapped_trim() + hk_pool_purge(0, hk_bytes_to_units(keep));
}
