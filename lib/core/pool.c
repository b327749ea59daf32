/* SPDX-License-Identifier: MIT */
/*
 * What: the public face of the pool: its lock, its limit, its growth.
 * Why: see pool.h.
 */
#include "core/pool.h"

#include "core/filler.h"
#include "core/huge.h"
#include "core/poolpurge.h"
#include "core/runs.h"
#include "core/units.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

static _Atomic size_t outside_bytes; /* of blocks that are not the pool's */
static _Atomic size_t limit_units = SIZE_MAX;
static _Atomic uint64_t takes, warm; /* written under the lock */
static _Atomic uint64_t grows;

/* Whether `more` units beside what is used, what is outside, and `dirty` ones are too much. */
static bool beyond_limit(size_t more, size_t dirty)
{
    size_t limit = atomic_load_explicit(&limit_units, memory_order_relaxed);
    size_t outside = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    if (HK_LIKELY(limit == SIZE_MAX)) return false;
    return more > limit || hk_pool_used_units() + hk_bytes_to_units(outside) + dirty > limit - more;
}

void hk_pool_watch(bool on)
{
    atomic_store_explicit(&hk_units_watched, on, memory_order_relaxed);
}

/* Read before the lock is taken, as it may be a system call; needed now and then only. */
static uint32_t clock_if_needed(void)
{
    bool needed = hk_huge_chunks() || atomic_load_explicit(&hk_units_watched, memory_order_relaxed);
    uint32_t now = needed ? (uint32_t)hk_sys_now_ms() : 0;
    return needed && !now ? 1 : now; /* not ahead of the clock: that would be a refusal's stamp */
}

/* As hk_units_take, what is taken noted if that is wanted. */
static void *take_noted(size_t units, size_t align_units, bool *clean, uint32_t now)
{
    bool wanted = atomic_load_explicit(&hk_units_watched, memory_order_relaxed);
    if (HK_UNLIKELY(wanted)) hk_units_watch = now;
    void *p = hk_units_take(units, align_units, clean);
    if (HK_UNLIKELY(wanted)) hk_units_watch = 0;
    return p;
}

void hk_pool_idle(struct hk_idle_times back[HK_BANDS], struct hk_idle_times still[HK_BANDS])
{
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_lock_acquire(&hk_pool_lock);
    hk_units_idle(now, back, still);
    hk_lock_release(&hk_pool_lock);
}

/* *refused: it is not for want of free units that this is NULL. */
static void *take_within(size_t units, size_t align_units, bool *clean, bool *refused, uint32_t now)
{
    *refused = beyond_limit(units, 0);
    if (*refused) return NULL;
    void *p = take_noted(units, align_units, clean, now);
    if (!p || !beyond_limit(0, hk_pool_dirty_units())) return p;
    if (*clean) hk_units_purged(p, units, true);
    hk_units_put(p, units, hk_chunk_at(hk_chunk_index(p))->freed_ms, NULL); /* a purge first */
    *refused = true;
    return NULL;
}

static void count(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Let go of the lock, with a run just taken. */
static void *leave_with(void *p, size_t units, bool clean, uint32_t now)
{
    struct hk_chunk *advised = hk_huge_taken(p, units, now);
    count(&takes, 1);
    count(&warm, !clean);
    hk_lock_release(&hk_pool_lock);
    if (HK_UNLIKELY(advised != NULL)) hk_huge_undo(advised);
    return p;
}

/* Fresh chunks of the heap, not the pool's yet; NULL if refused. */
static void *grow(size_t chunks, size_t *got)
{
    void *fresh = hk_map_grow(chunks, got);
    if (fresh) atomic_fetch_add_explicit(&grows, 1, memory_order_relaxed);
    if (fresh && hk_huge_always()) hk_huge_advise(fresh, *got * HK_CHUNK_UNITS, HK_HUGE_AHEAD);
    return fresh;
}

void *hk_pool_alloc(size_t units, size_t align_units, bool *clean)
{
    size_t chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    size_t align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    uint32_t now = clock_if_needed();
    for (int waits = 0;;) {
        bool refused;
        hk_lock_acquire(&hk_pool_lock);
        void *p = take_within(units, align_units, clean, &refused, now);
        size_t tail = p ? 0 : hk_runs_tail();
        if (p) return leave_with(p, units, *clean, now);
        hk_lock_release(&hk_pool_lock);
        if (refused) return NULL;
        /* Growth continues what is free at the end, most likely. */
        size_t got, want = chunks + align - 1;
        void *fresh = grow(want > tail ? want - tail : 1, &got);
        if (!fresh) {
            if (!hk_purge_wait(&waits)) return NULL;
            continue;
        }
        hk_lock_acquire(&hk_pool_lock);
        hk_runs_put(hk_chunk_index(fresh), got);
        p = take_within(units, align_units, clean, &refused, now);
        if (p) return leave_with(p, units, *clean, now);
        hk_lock_release(&hk_pool_lock);
        if (refused) return NULL; /* else others were quicker: grow again */
    }
}

void hk_pool_free_as(void *p, size_t units, enum hk_band band, uint8_t patience)
{
    uint32_t now = (uint32_t)hk_sys_now_ms();
    const struct hk_freed as = {(uint8_t)band, patience};
    hk_lock_acquire(&hk_pool_lock);
    hk_units_put(p, units, now, &as);
    hk_lock_release(&hk_pool_lock);
}

void hk_pool_free(void *p, size_t units)
{
    hk_pool_free_as(p, units, HK_BAND_SLAB, 0);
}

void hk_pool_free_idle(void *p, size_t units, uint32_t idle_ms)
{
    uint32_t stamp = (uint32_t)hk_sys_now_ms() - idle_ms;
    hk_lock_acquire(&hk_pool_lock);
    const struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    /* What else is free in the chunk may not be idle that long. */
    bool newer = (~c->used & c->dirty) && c->freed_ms - stamp < UINT32_MAX / 2;
    const struct hk_freed as = {HK_BAND_SLAB, 0};
    hk_units_put(p, units, newer ? c->freed_ms : stamp, &as);
    hk_lock_release(&hk_pool_lock);
}

static bool extend(char *end, size_t more, bool *clean, size_t *missing)
{
    size_t i = hk_chunk_index(end);
    unsigned at = (unsigned)((uintptr_t)end >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    char *last = end;
    unsigned part = 0;
    uint32_t now = clock_if_needed();
    hk_lock_acquire(&hk_pool_lock);
    bool fits = !beyond_limit(more, hk_pool_dirty_units()) && hk_units_follow(i, at, more, missing);
    *clean = true;
    for (; fits && more; i++, at = 0) {
        unsigned k = more < HK_CHUNK_UNITS - at ? (unsigned)more : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        if (c->state == HK_CHUNK_FREE) hk_runs_take_at(i, 1);
        *clean &= hk_units_take_at(c, at, k);
        more -= k;
        last = hk_chunk_addr(i) + at * HK_UNIT_BYTES;
        part = k;
    }
    struct hk_chunk *advised = part ? hk_huge_taken(last, part, now) : NULL;
    hk_lock_release(&hk_pool_lock);
    if (HK_UNLIKELY(advised != NULL)) hk_huge_undo(advised);
    return fits;
}

bool hk_pool_extend(void *p, size_t units, size_t more, bool *clean)
{
    char *end = (char *)p + units * HK_UNIT_BYTES;
    size_t missing = 0, got;
    if (extend(end, more, clean, &missing)) return true;
    void *fresh = missing ? grow(missing, &got) : NULL;
    if (!fresh) return false;
    hk_lock_acquire(&hk_pool_lock);
    hk_runs_put(hk_chunk_index(fresh), got);
    hk_lock_release(&hk_pool_lock);
    return extend(end, more, clean, &missing); /* others may have been quicker */
}

void hk_pool_set_limit(size_t bytes)
{
    atomic_store_explicit(&limit_units, bytes ? bytes >> HK_UNIT_SHIFT : SIZE_MAX,
                          memory_order_relaxed);
}

bool hk_pool_outside_grow(size_t bytes)
{
    atomic_fetch_add_explicit(&outside_bytes, bytes, memory_order_relaxed);
    if (!beyond_limit(0, hk_pool_dirty_units())) return true;
    hk_pool_outside_shrink(bytes);
    return false;
}

void hk_pool_outside_shrink(size_t bytes)
{
    atomic_fetch_sub_explicit(&outside_bytes, bytes, memory_order_relaxed);
}

void hk_pool_read_stats(struct hk_pool_stats *out)
{
    out->mapped_bytes = hk_map_chunks() << HK_CHUNK_SHIFT;
    out->used_bytes = hk_pool_used_units() << HK_UNIT_SHIFT;
    out->dirty_free_bytes = hk_pool_dirty_units() << HK_UNIT_SHIFT;
    out->outside_bytes = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    out->takes = atomic_load_explicit(&takes, memory_order_relaxed);
    out->warm = atomic_load_explicit(&warm, memory_order_relaxed);
    out->grows = atomic_load_explicit(&grows, memory_order_relaxed);
    out->huge_bytes = hk_huge_chunks() << HK_CHUNK_SHIFT;
    out->refault_bytes = hk_pool_refaulted_bytes();
    hk_purge_read_stats(out);
}

void hk_pool_fork_prepare(void)
{
    hk_lock_settle(&hk_pool_lock, 5000000);
}

void hk_pool_fork_child(void)
{
    bool torn = hk_lock_reset(&hk_pool_lock);
    hk_purge_fork_child(torn);
    if (!torn) return;
    hk_runs_forget();
    hk_filler_forget();
    for (size_t i = 0; i < hk_map_chunks(); i++) hk_chunk_at(i)->state = HK_CHUNK_LOST;
    atomic_store_explicit(&hk_pool_dirty, 0, memory_order_relaxed);
    atomic_store_explicit(&hk_pool_used, 0, memory_order_relaxed);
}

size_t hk_pool_check(void)
{
    size_t used = 0, dirty = 0, huge = 0, n = 0;
    hk_lock_acquire(&hk_pool_lock);
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        if (c->state == HK_CHUNK_NONE || c->state == HK_CHUNK_LOST) continue;
        n++;
        HK_CHECK(c->index == i, c);
        HK_CHECK(c->state != HK_CHUNK_FREE || c->used == 0, c);
        HK_CHECK(c->state != HK_CHUNK_USED || c->used != 0, c);
        HK_CHECK(c->state != HK_CHUNK_USED || c->span == hk_longest_run32(~c->used), c);
        bool twin =
            c->state == HK_CHUNK_FREE && i > 0 && hk_chunk_at(i - 1)->state == HK_CHUNK_FREE;
        HK_CHECK(c->state != HK_CHUNK_FREE || twin || hk_chunk_at(i + c->run - 1)->run == c->run,
                 c);
        huge += c->huge != HK_HUGE_NO;
        used += c->taken;
        HK_CHECK(c->taken == __builtin_popcount(c->used), c);
        dirty += (size_t)__builtin_popcount(~c->used & c->dirty);
    }
    HK_CHECK(used == hk_pool_used_units(), NULL);
    HK_CHECK(dirty == hk_pool_dirty_units(), NULL);
    HK_CHECK(huge <= hk_huge_chunks(), NULL); /* of chunks that were lost too */
    hk_lock_release(&hk_pool_lock);
    return n;
}
