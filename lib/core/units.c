/* SPDX-License-Identifier: MIT */
/*
 * What: units out of chunks and back.
 * Why: see units.h.
 */
#include "core/units.h"

#include <string.h>

#include "core/filler.h"
#include "core/runs.h"
#include "os/report.h"

struct hk_lock hk_pool_lock = HK_LOCK_INIT(HK_RANK_POOL);
_Atomic size_t hk_pool_used, hk_pool_dirty;
static _Atomic size_t refaulted;
_Atomic bool hk_units_watched;
uint32_t hk_units_watch;
static struct hk_idle_times again[HK_BANDS];

static void add(_Atomic size_t *v, size_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Dirty ones of the n units in m: mostly all or none, and counting bits is a call without popcnt.
 */
static size_t dirty_in(const struct hk_chunk *c, uint32_t m, unsigned n)
{
    uint32_t dirty = c->dirty & m;
    return dirty == m ? n : dirty ? (size_t)__builtin_popcount(dirty) : 0;
}

static HK_NOINLINE void count_refaults(struct hk_chunk *c, uint32_t m)
{
    add(&refaulted, (size_t)__builtin_popcount(c->purged & m));
    c->purged &= ~m;
}

/* How many of units [at, at + n), which leave c, are dirty. */
static size_t leave(struct hk_chunk *c, unsigned at, unsigned n)
{
    uint32_t m = hk_low_mask32(n) << at;
    HK_CHECK((c->used & m) == 0, hk_chunk_addr(c->index));
    size_t dirty = dirty_in(c, m, n);
    c->used |= m;
    c->dirty |= m;
    c->taken = (uint8_t)(c->taken + n);
    add(&hk_pool_used, n);
    add(&hk_pool_dirty, -dirty);
    hk_filler_file(c);
    return dirty;
}

/* Memory that was given back counts as well: how long it lay free does not depend on that. */
static HK_NOINLINE void note_again(const struct hk_chunk *c, uint32_t m, uint32_t now)
{
    uint32_t back = (c->dirty | c->purged) & ~c->soiled & m, ms = now - c->freed_ms;
    if (ms > INT32_MAX) ms = 0; /* freed a moment after the watch was set */
    again[c->band].units[hk_idle_bucket(ms)] += (uint32_t)__builtin_popcount(back);
}

HK_INLINE bool take_at(struct hk_chunk *c, unsigned at, unsigned n)
{
    uint32_t m = hk_low_mask32(n) << at;
    if (HK_UNLIKELY(hk_units_watch)) note_again(c, m, hk_units_watch);
    if (HK_UNLIKELY(c->purged & m)) count_refaults(c, m);
    return leave(c, at, n) == 0;
}

bool hk_units_take_at(struct hk_chunk *c, unsigned at, unsigned n)
{
    return take_at(c, at, n);
}

size_t hk_units_lend_at(struct hk_chunk *c, unsigned at, unsigned n, bool note)
{
    uint32_t dirty = c->dirty & ~c->used & hk_low_mask32(n) << at;
    c->purged = note ? c->purged | dirty : c->purged & ~dirty;
    return leave(c, at, n);
}

/* n < HK_CHUNK_UNITS units out of partly used chunks, or NULL. */
static void *filler_take(unsigned n, unsigned align, bool *clean)
{
    unsigned at;
    struct hk_chunk *c = hk_filler_find(n, align, &at);
    if (!c) return NULL;
    *clean = take_at(c, at, n);
    return hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES;
}

/* Units from the start of chunk `first` on, out of chunks just taken from the free runs. */
static bool dress(size_t first, size_t units)
{
    bool clean = true;
    for (; units; first++) {
        unsigned n = units < HK_CHUNK_UNITS ? (unsigned)units : HK_CHUNK_UNITS;
        clean &= take_at(hk_chunk_at(first), 0, n);
        units -= n;
    }
    return clean;
}

void *hk_units_take(size_t units, size_t align_units, bool *clean)
{
    if (units < HK_CHUNK_UNITS && align_units <= HK_CHUNK_UNITS) {
        void *p = filler_take((unsigned)units, (unsigned)align_units, clean);
        if (p) return p;
    }
    size_t chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    size_t align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    size_t first = hk_runs_take(chunks, align);
    if (first == SIZE_MAX) return NULL;
    *clean = dress(first, units);
    return hk_chunk_addr(first);
}

/* Units [at, at + n) of c come back; true if the chunk is empty now and off the bins. */
static bool put_units(struct hk_chunk *c, unsigned at, unsigned n, uint32_t now,
                      const struct hk_freed *as)
{
    uint32_t m = hk_low_mask32(n) << at;
    HK_CHECK((c->used & m) == m, hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES);
    if (as) {
        /* What else is free in it keeps what it was promised, less the time since. */
        bool others = (~c->used & c->dirty) != 0;
        uint32_t past = (now - c->freed_ms) / HK_PATIENCE_MS;
        uint8_t left = others && past < c->patience ? (uint8_t)(c->patience - past) : 0;
        c->patience = left > as->patience ? left : as->patience;
        c->band = as->band;
    }
    c->used &= ~m;
    if (HK_UNLIKELY(c->soiled)) c->soiled &= ~m;
    c->taken = (uint8_t)(c->taken - n);
    c->freed_ms = now;
    add(&hk_pool_used, -(size_t)n);
    add(&hk_pool_dirty, dirty_in(c, m, n));
    if (c->used) {
        hk_filler_file(c);
        return false;
    }
    hk_filler_drop(c);
    return true;
}

void hk_units_put(char *p, size_t units, uint32_t now, const struct hk_freed *as)
{
    size_t i = hk_chunk_index(p), empty_from = 0, empty = 0;
    unsigned at = (unsigned)((uintptr_t)p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    for (; units; i++, at = 0) {
        unsigned n = units < HK_CHUNK_UNITS - at ? (unsigned)units : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        units -= n;
        if (c->state == HK_CHUNK_LOST) continue; /* written off in a child of fork */
        if (!put_units(c, at, n, now, as)) continue;
        if (empty == 0) empty_from = i;
        empty = i - empty_from + 1;
    }
    if (empty) hk_runs_put(empty_from, empty);
}

void hk_units_soil(struct hk_chunk *c, uint32_t now)
{
    uint32_t news = ~c->used & ~c->dirty;
    if (atomic_load_explicit(&hk_units_watched, memory_order_relaxed)) note_again(c, news, now);
    c->soiled |= news;
    c->freed_ms = now;
    add(&hk_pool_dirty, (size_t)__builtin_popcount(news));
    c->dirty = UINT32_MAX;
}

void hk_units_noted(char *p, size_t units)
{
    size_t i = hk_chunk_index(p);
    unsigned at = (unsigned)((uintptr_t)p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    for (; units; i++, at = 0) {
        unsigned n = units < HK_CHUNK_UNITS - at ? (unsigned)units : HK_CHUNK_UNITS - at;
        hk_chunk_at(i)->purged |= hk_low_mask32(n) << at;
        units -= n;
    }
}

void hk_units_purged(char *p, size_t units, bool done)
{
    size_t i = hk_chunk_index(p);
    unsigned at = (unsigned)((uintptr_t)p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    for (; units; i++, at = 0) {
        unsigned n = units < HK_CHUNK_UNITS - at ? (unsigned)units : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        uint32_t m = hk_low_mask32(n) << at;
        if (done)
            c->dirty &= ~m;
        else
            c->purged &= ~m;
        units -= n;
    }
}

bool hk_units_follow(size_t i, unsigned at, size_t n, size_t *missing)
{
    while (n) {
        if (i >= hk_map_chunks()) {
            *missing = (n + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
            return false;
        }
        struct hk_chunk *c = hk_chunk_at(i);
        if (at == 0 && c->state == HK_CHUNK_FREE) {
            size_t units =
                (size_t)c->run * HK_CHUNK_UNITS; /* first of its run: what is before is ours */
            if (n <= units) return true;
            n -= units;
            i += c->run;
            continue;
        }
        unsigned k = n < HK_CHUNK_UNITS - at ? (unsigned)n : HK_CHUNK_UNITS - at;
        if (c->state != HK_CHUNK_USED || (c->used & (hk_low_mask32(k) << at))) return false;
        n -= k;
        at = 0;
        i++;
    }
    return true;
}

size_t hk_pool_refaulted_bytes(void)
{
    return atomic_load_explicit(&refaulted, memory_order_relaxed) << HK_UNIT_SHIFT;
}

/* Big heaps are sampled. */
#define STILL_CHUNKS 4096

void hk_units_idle(uint32_t now, struct hk_idle_times back[HK_BANDS],
                   struct hk_idle_times still[HK_BANDS])
{
    size_t n = hk_map_chunks(), step = 1 + n / STILL_CHUNKS;
    memcpy(back, again, sizeof again);
    memset(again, 0, sizeof again);
    memset(still, 0, HK_BANDS * sizeof *still);
    for (size_t i = 0; i < n; i += step) {
        const struct hk_chunk *c = hk_chunk_at(i);
        uint32_t free = ~c->used & (c->dirty | c->purged), ms = now - c->freed_ms;
        if (!free || c->state == HK_CHUNK_NONE || c->state == HK_CHUNK_LOST) continue;
        if (ms > INT32_MAX) ms = 0;
        still[c->band].units[hk_idle_bucket(ms)] +=
            (uint32_t)((size_t)__builtin_popcount(free) * step);
    }
}
