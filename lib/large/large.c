/* SPDX-License-Identifier: MIT */
/*
 * What: large and big blocks on top of the pool.
 * Why: see large.h.
 */
#include "large/large.h"

#include <string.h>

#include "core/pool.h"
#include "large/dense.h"
#include "large/touch.h"
#include "os/report.h"
#include "os/sys.h"
#include "policy/huge.h"
#include "policy/policy.h"
#include "policy/snapshot.h"

struct hk_large_counts hk_large_nobodys;
static _Atomic size_t dirty_tails; /* of all, as told */

/* A heap's counts are written by who holds it only, so no locked instruction is needed. */
static void bump(struct hk_large_counts *n, _Atomic uint64_t *v)
{
    if (HK_LIKELY(n != &hk_large_nobodys))
        atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    else
        atomic_fetch_add_explicit(v, 1, memory_order_relaxed);
}

static void count_units(struct hk_large_counts *by, size_t more)
{
    if (HK_LIKELY(by != &hk_large_nobodys))
        atomic_store_explicit(&by->units,
                              atomic_load_explicit(&by->units, memory_order_relaxed) + more,
                              memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&by->units, more, memory_order_relaxed);
}

static size_t resident_tail(const struct hk_unit *u)
{
    return u->clean ? 0 : u->tail;
}

/* Wrapping sums: what is freed here may have been counted elsewhere. */
static void count_tail(struct hk_large_counts *n, size_t more, size_t more_dirty)
{
    if (HK_UNLIKELY(n == &hk_large_nobodys)) {
        atomic_fetch_add_explicit(&n->tail, more, memory_order_relaxed);
        atomic_fetch_add_explicit(&dirty_tails, more_dirty, memory_order_relaxed);
        return;
    }
    size_t tail = atomic_load_explicit(&n->tail, memory_order_relaxed) + more;
    size_t untold = atomic_load_explicit(&n->dirty, memory_order_relaxed) + more_dirty;
    atomic_store_explicit(&n->tail, tail, memory_order_relaxed);
    if (HK_UNLIKELY(untold + HK_TAIL_TELL > 2 * HK_TAIL_TELL)) {
        atomic_fetch_add_explicit(&dirty_tails, untold, memory_order_relaxed);
        untold = 0;
    }
    atomic_store_explicit(&n->dirty, untold, memory_order_relaxed);
}

/*
 * Note how much of the last unit that n bytes need lies beyond them, in whole pages, and whether
 * that part is resident. Units that a longer run has more stay: such a one is soon back.
 */
static void set_tail(struct hk_large_counts *by, struct hk_unit *u, size_t n, bool clean)
{
    size_t before = u->tail, dirty_before = resident_tail(u);
    size_t tail = (hk_large_bytes(u) - n) & (HK_UNIT_BYTES - hk_sys_page_bytes());
    u->tail = (uint32_t)tail;
    u->clean = clean;
    count_tail(by, tail - before, resident_tail(u) - dirty_before);
}

/* Before the block is handed out: its owner may use all of it, so this is the only moment. */
static void purge_tail(struct hk_large_counts *by, struct hk_unit *u, char *p, size_t n)
{
    if (u->tail < HK_TAIL_PURGE_MIN) return;
    size_t sum = atomic_load_explicit(&dirty_tails, memory_order_relaxed);
    size_t used = hk_pool_used_units() << HK_UNIT_SHIFT;
    if (sum > PTRDIFF_MAX) sum = 0; /* who took less has told, who took more not yet */
    /* A small block that is aligned like a large one has a unit, and most of it is tail. */
    if (u->tail <= n && !hk_policy_tail_purge(resident_tail(u), sum, used)) return;
    if (hk_sys_purge(p + hk_large_bytes(u) - u->tail, u->tail)) set_tail(by, u, n, true);
}

void hk_large_retire(struct hk_large_counts *by, struct hk_unit *u)
{
    count_tail(by, -(size_t)u->tail, -resident_tail(u));
    atomic_store_explicit(&u->owner, HK_OWNER_NONE, memory_order_relaxed);
    count_units(by, -(size_t)u->run_units);
    bump(by, &by->frees);
}

void *hk_large_revive(struct hk_large_counts *by, struct hk_unit *u, size_t n, bool zero)
{
    char *p = hk_unit_addr(u);
    size_t tail = u->tail;
    bool clean = u->clean;
    size_t now = (hk_large_bytes(u) - n) & (HK_UNIT_BYTES - hk_sys_page_bytes());
    bool longer = u->run_units > hk_bytes_to_units(n); /* its tail lies elsewhere */
    u->tail = 0;
    clean = clean && now <= tail && !longer; /* as it was */
    set_tail(by, u, n, clean);
    if (!clean && !longer) purge_tail(by, u, p, n);
    atomic_store_explicit(&u->owner, HK_OWNER_RUN, memory_order_relaxed);
    count_units(by, u->run_units);
    bump(by, &by->allocs);
    bump(by, &by->hits);
    return zero ? memset(p, 0, n) : p;
}

/* The first block of a fresh chunk, in a process whose large blocks leave little of their units. */
static void consider_chunk(struct hk_large_counts *by, void *p, size_t n, size_t units, bool clean)
{
    if (HK_UNLIKELY(by == &hk_large_nobodys)) return;
    by->asked += n - by->asked / HK_HUGE_FADE;
    by->held += (units << HK_UNIT_SHIFT) - by->held / HK_HUGE_FADE;
    if (clean && !((uintptr_t)p & (HK_CHUNK_BYTES - 1)) &&
        hk_policy_huge_chunk(by->asked, by->held, hk_pool_used_units()))
        hk_dense_chunk(p, units);
}

void *hk_large_alloc(struct hk_large_counts *by, size_t n, size_t align, bool zero)
{
    bool clean;
    size_t units = hk_bytes_to_units(n ? n : 1);
    size_t align_units = align > HK_UNIT_BYTES ? align >> HK_UNIT_SHIFT : 1;
    if (!hk_map_init()) return NULL;
    void *p = hk_pool_alloc(units, align_units, &clean);
    if (!p) return NULL;
    struct hk_unit *u = hk_unit_of(p);
    HK_ASSERT(u != NULL);
    u->run_units = (uint32_t)units;
    u->tail = 0;
    set_tail(by, u, n, clean);
    if (!clean) purge_tail(by, u, p, n);
    atomic_store_explicit(&u->owner, HK_OWNER_RUN, memory_order_relaxed);
    if (HK_UNLIKELY(n >= HK_HUGE_LEAST))
        hk_dense_big(p, units << HK_UNIT_SHIFT, clean);
    else
        consider_chunk(by, p, n, units, clean);
    if (HK_UNLIKELY(clean && hk_policy_now().learn)) hk_touch(p, n);
    count_units(by, units);
    bump(by, n < HK_CHUNK_BYTES ? &by->allocs : &by->big);
    if (zero && !clean && (n < HK_CLEAR_BY_PURGE || !hk_sys_purge(p, units << HK_UNIT_SHIFT)))
        memset(p, 0, n);
    return p;
}

void hk_large_set_rule(void *p, unsigned rule)
{
    struct hk_unit *u = hk_unit_of(p);
    HK_ASSERT(u != NULL);
    u->rule = (uint16_t)(rule ? HK_RULED | rule : 0);
}

HK_INLINE void give_as(void *p, size_t units, enum hk_action action)
{
    enum hk_band band = hk_policy_band(units);
    if (HK_UNLIKELY(action == HK_ACTION_NOW))
        hk_pool_free_purged(p, units, band);
    else
        hk_pool_free_as(p, units, band, hk_policy_patience(action));
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

void hk_large_give(void *p, size_t units)
{
    give_as(p, units, hk_policy_action(hk_policy_now(), hk_policy_band(units)));
}

void hk_large_free(struct hk_large_counts *by, struct hk_unit *u, void *p)
{
    size_t units = u->run_units;
    unsigned rule = hk_large_rule(u);
    enum hk_action action = hk_policy_action(hk_policy_now(), hk_policy_band(units));
    hk_large_retire(by, u);
    give_as(p, units, HK_UNLIKELY(rule) ? (enum hk_action)(rule - 1) : action);
}

bool hk_large_resize(struct hk_large_counts *by, struct hk_unit *u, void *p, size_t n)
{
    size_t units = hk_bytes_to_units(n), have = u->run_units;
    bool clean = u->clean && units == have;
    if (units > have && !hk_pool_extend(p, have, units - have, &clean)) return false;
    u->run_units = (uint32_t)units;
    set_tail(by, u, n, clean);
    count_units(by, units - have);
    if (units == have) return true;
    if (units < have) hk_large_give((char *)p + units * HK_UNIT_BYTES, have - units);
    bump(by, &by->resized);
    return true;
}

void hk_large_tell(struct hk_large_counts *by)
{
    size_t untold = atomic_load_explicit(&by->dirty, memory_order_relaxed);
    if (!untold) return; /* the sum's line is all threads' */
    atomic_fetch_add_explicit(&dirty_tails, untold, memory_order_relaxed);
    atomic_store_explicit(&by->dirty, 0, memory_order_relaxed);
}

#ifdef HK_DEBUG
size_t hk_large_told(void)
{
    return atomic_load_explicit(&dirty_tails, memory_order_relaxed);
}
#endif

void hk_large_add_stats(struct hk_large_stats *to, const struct hk_large_counts *n)
{
    to->large_allocs += atomic_load_explicit(&n->allocs, memory_order_relaxed);
    to->big_allocs += atomic_load_explicit(&n->big, memory_order_relaxed);
    to->frees += atomic_load_explicit(&n->frees, memory_order_relaxed);
    to->hits += atomic_load_explicit(&n->hits, memory_order_relaxed);
    to->units += atomic_load_explicit(&n->units, memory_order_relaxed);
    to->tail_bytes += atomic_load_explicit(&n->tail, memory_order_relaxed);
    to->resized += atomic_load_explicit(&n->resized, memory_order_relaxed);
}
