/* SPDX-License-Identifier: MIT */
/*
 * What: what goes back to the kernel, and when: ticks, which slow paths pace, and trims.
 * Why: no thread of the library's own looks after idle memory, so those who come by must, and must
 *   not feel it: a tick is a look at the clock, now and then a purge of bounded length.
 *
 * Threads: all; one purges, the others go on. No lock is held over the kernel's work.
 */
#include "core/pool.h"
#include "front/fast.h"
#include "os/sys.h"
#include "policy/policy.h"

static _Atomic uint64_t last_ms, last_look_ms; /* a purge of any kind · one that looks anew */
static _Atomic bool cut;                       /* parked heaps have more to look into */

enum how { GO_ON, ANEW, ALL }; /* what the last look left · what is idle now · all there is */
struct left {
    size_t cut, soon; /* units of slabs that were too many · of those that will be idle soon */
};

/*
 * Whether h, parked and seized, was left alone since the last look. Units that went from class to
 * class with every short thread would be touched ever further, so it keeps them until then.
 */
static bool cold(struct hk_heap *h, enum how how)
{
    bool warm = h->warm && how != ALL;
    if (how != GO_ON) h->warm = 0;
    return !warm;
}

/* Heaps without a thread give back what lies about; bytes. */
static size_t purge_parked(enum how how, uint32_t blocks, struct left *left)
{
    size_t got = 0;
    /* The list only grows and heaps stay. */
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        if (cold(h, how)) {
            hk_heap_settle_parked(h);
            got += hk_slab_purge(h, true, blocks, &left->cut);
        } else if (how == ANEW) {
            got += hk_slab_purge(h, false, blocks, &left->soon);
            if (h->units > HK_HELD_UNITS) left->soon += (size_t)h->units;
        }
        hk_heap_let_go(h);
    }
    return got;
}

/* The calling thread's own: in no slab operation, ticks come after or before them. */
static void purge_own(struct hk_heap *h, struct left *left)
{
    hk_slab_fade(h);
    hk_runs_drop(h, true);
    hk_slab_purge(h, false, HK_PURGE_BLOCKS, &left->soon);
}

static void purge(const struct hk_purge_view *v, enum how how)
{
    struct hk_heap *own = hk_thread.heap;
    struct left left = {0, 0};
    if (own && how == ANEW) purge_own(own, &left);
    purge_parked(how, HK_PURGE_BLOCKS, &left);
    atomic_store_explicit(&cut, left.cut > 0, memory_order_relaxed);
    hk_policy_note_left(left.cut + left.soon);
    if (how == ANEW && hk_pool_dirty_units() >= HK_PURGE_MIN_UNITS)
        hk_pool_purge(hk_policy_purge_idle_ms(v), 0);
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

void hk_front_tick(void)
{
    struct hk_purge_view v = {.used_units = hk_pool_used_units(),
                              .dirty_units = hk_pool_dirty_units()};
    if (!hk_policy_purge_worth(&v)) return;
    v.last_ms = atomic_load_explicit(&last_ms, memory_order_relaxed);
    v.cut = atomic_load_explicit(&cut, memory_order_relaxed);
    v.now_ms = hk_sys_now_ms();
    if (!hk_policy_purge_due(&v)) return;
    if (!atomic_compare_exchange_strong_explicit(&last_ms, &v.last_ms, v.now_ms,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    v.last_ms = atomic_load_explicit(&last_look_ms, memory_order_relaxed);
    v.cut = false;
    bool anew = hk_policy_purge_due(&v);
    if (anew) atomic_store_explicit(&last_look_ms, v.now_ms, memory_order_relaxed);
    purge(&v, anew ? ANEW : GO_ON);
}

size_t hk_front_trim(size_t keep)
{
    struct hk_heap *h = hk_thread.heap;
    struct left left = {0, 0};
    size_t got = 0;
    if (h) {
        hk_heap_settle(h);
        got = hk_slab_purge(h, true, UINT32_MAX, &left.cut);
    }
    got += purge_parked(ALL, UINT32_MAX, &left);
    return got + hk_pool_purge(0, hk_bytes_to_units(keep));
}
