/* SPDX-License-Identifier: MIT */
/*
 * What: large and big blocks on top of the pool.
 * Why: see large.h.
 */
#include "large/large.h"

#include <string.h>

#include "core/pool.h"
#include "os/sys.h"
#include "policy/policy.h"

static _Atomic uint64_t large_allocs, big_allocs, frees, resized;
static _Atomic size_t tail_bytes, dirty_tail_bytes;

static void bump(_Atomic uint64_t *v)
{
    atomic_fetch_add_explicit(v, 1, memory_order_relaxed);
}

static size_t resident_tail(const struct hk_unit *u)
{
    return u->clean ? 0 : u->left;
}

/*
 * Note how much of the run's last unit lies beyond the n bytes asked for, in whole pages, and
 * whether that part is resident.
 */
static void set_tail(struct hk_unit *u, size_t n, bool clean)
{
    size_t before = resident_tail(u);
    size_t tail = hk_large_bytes(u) - n;
    tail &= ~(hk_sys_page_bytes() - 1);
    atomic_fetch_add_explicit(&tail_bytes, tail - u->left, memory_order_relaxed);
    u->left = (uint32_t)tail;
    u->clean = clean;
    atomic_fetch_add_explicit(&dirty_tail_bytes, resident_tail(u) - before, memory_order_relaxed);
}

/* Before the block is handed out: its owner may use all of it, so this is the only moment. */
static void purge_tail(struct hk_unit *u, char *p, size_t n)
{
    size_t sum = atomic_load_explicit(&dirty_tail_bytes, memory_order_relaxed);
    size_t used = hk_pool_used_units() << HK_UNIT_SHIFT;
    if (!hk_policy_tail_purge(resident_tail(u), sum, used)) return;
    if (hk_sys_purge(p + hk_large_bytes(u) - u->left, u->left)) set_tail(u, n, true);
}

void hk_large_retire(struct hk_unit *u)
{
    atomic_fetch_sub_explicit(&tail_bytes, u->left, memory_order_relaxed);
    atomic_fetch_sub_explicit(&dirty_tail_bytes, resident_tail(u), memory_order_relaxed);
    atomic_store_explicit(&u->owner, HK_OWNER_NONE, memory_order_relaxed);
    bump(&frees);
}

void *hk_large_revive(struct hk_unit *u, size_t n, bool zero)
{
    char *p = hk_unit_addr(u);
    size_t tail = u->left;
    bool clean = u->clean;
    u->left = 0;
    set_tail(u, n, false);
    if (clean && u->left <= tail)
        set_tail(u, n, true); /* as it was */
    else
        purge_tail(u, p, n);
    atomic_store_explicit(&u->owner, HK_OWNER_RUN, memory_order_relaxed);
    bump(&large_allocs);
    return zero ? memset(p, 0, n) : p;
}

void *hk_large_alloc(size_t n, size_t align, bool zero)
{
    bool clean;
    size_t units = hk_bytes_to_units(n ? n : 1);
    size_t align_units = align > HK_UNIT_BYTES ? align >> HK_UNIT_SHIFT : 1;
    if (!hk_map_init()) return NULL;
    void *p = hk_pool_alloc(units, align_units, &clean);
    if (!p) return NULL;
    struct hk_unit *u = hk_unit_of(p);
    u->run_units = (uint32_t)units;
    u->left = 0;
    set_tail(u, n, clean);
    if (!clean) purge_tail(u, p, n);
    atomic_store_explicit(&u->owner, HK_OWNER_RUN, memory_order_relaxed);
    bump(n < HK_CHUNK_BYTES ? &large_allocs : &big_allocs);
    if (zero && !clean && (n < HK_CLEAR_BY_PURGE || !hk_sys_purge(p, units << HK_UNIT_SHIFT)))
        memset(p, 0, n);
    return p;
}

void hk_large_free(struct hk_unit *u, void *p)
{
    size_t units = u->run_units;
    hk_large_retire(u);
    hk_pool_free(p, units);
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

bool hk_large_resize(struct hk_unit *u, void *p, size_t n)
{
    size_t units = hk_bytes_to_units(n), have = u->run_units;
    bool clean = u->clean && units == have;
    if (units > have && !hk_pool_extend(p, have, units - have, &clean)) return false;
    u->run_units = (uint32_t)units;
    set_tail(u, n, clean);
    if (units == have) return true;
    if (units < have) hk_pool_free((char *)p + units * HK_UNIT_BYTES, have - units);
    bump(&resized);
    return true;
}

void hk_large_read_stats(struct hk_large_stats *out)
{
    out->large_allocs = atomic_load_explicit(&large_allocs, memory_order_relaxed);
    out->big_allocs = atomic_load_explicit(&big_allocs, memory_order_relaxed);
    out->frees = atomic_load_explicit(&frees, memory_order_relaxed);
    out->tail_bytes = atomic_load_explicit(&tail_bytes, memory_order_relaxed);
    out->resized = atomic_load_explicit(&resized, memory_order_relaxed);
}
