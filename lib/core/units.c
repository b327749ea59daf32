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

_Atomic bool hk_units_watched;

static void add(_Atomic size_t *v, size_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void hk_units_count_dirty(struct hk_shard *s, size_t more)
{
    add(&s->dirty, more);
}

/* Dirty ones of the n units in m: mostly all or none, and counting bits is a call without popcnt.
 */
static size_t dirty_in(const struct hk_chunk *c, uint32_t m, unsigned n)
{
    uint32_t dirty = c->dirty & m;
    return dirty == m ? n : dirty ? (size_t)__builtin_popcount(dirty) : 0;
}

static HK_NOINLINE void count_refaults(struct hk_shard *s, struct hk_chunk *c, uint32_t m)
{
    add(&s->refaulted, (size_t)__builtin_popcount(c->purged & m));
    c->purged &= ~m;
}

/* How many of units [at, at + n), which leave c, are dirty. */
static size_t leave(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n)
{
    uint32_t m = hk_low_mask32(n) << at;
    HK_CHECK((c->used & m) == 0, hk_chunk_addr(c->index));
    size_t dirty = dirty_in(c, m, n);
    c->used |= m;
    c->dirty |= m;
    c->taken = (uint8_t)(c->taken + n);
    s->used += n;
    add(&s->dirty, -dirty);
    hk_filler_file(&s->filler, c);
    return dirty;
}

/* Memory that was given back counts as well: how long it lay free does not depend on that. */
static HK_NOINLINE void note_again(struct hk_shard *s, const struct hk_chunk *c, uint32_t m,
                                   uint32_t now)
{
    uint32_t back = (c->dirty | c->purged) & ~c->soiled & m, ms = now - c->freed_ms;
    if (ms > INT32_MAX) ms = 0; /* freed a moment after the watch was set */
    s->again[c->band].units[hk_idle_bucket(ms)] += (uint32_t)__builtin_popcount(back);
}

HK_INLINE bool take_at(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n)
{
    uint32_t m = hk_low_mask32(n) << at;
    if (HK_UNLIKELY(s->watch)) note_again(s, c, m, s->watch);
    if (HK_UNLIKELY(c->purged & m)) count_refaults(s, c, m);
    return leave(s, c, at, n) == 0;
}

bool hk_units_take_at(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n)
{
    return take_at(s, c, at, n);
}

size_t hk_units_lend_at(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n, bool note)
{
    uint32_t dirty = c->dirty & ~c->used & hk_low_mask32(n) << at;
    c->purged = note ? c->purged | dirty : c->purged & ~dirty;
    return leave(s, c, at, n);
}

/* n < HK_CHUNK_UNITS units out of partly used chunks, or NULL. */
static void *filler_take(struct hk_shard *s, unsigned n, unsigned align, bool *clean)
{
    unsigned at;
    struct hk_chunk *c = hk_filler_find(&s->filler, n, align, &at);
    if (!c) return NULL;
    *clean = take_at(s, c, at, n);
    return hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES;
}

/* Units from the start of chunk `first` on, out of chunks just taken from the free runs. */
static bool dress(struct hk_shard *s, size_t first, size_t units)
{
    bool clean = true;
    for (; units; first++) {
        unsigned n = units < HK_CHUNK_UNITS ? (unsigned)units : HK_CHUNK_UNITS;
        clean &= take_at(s, hk_chunk_at(first), 0, n);
        units -= n;
    }
    return clean;
}

void *hk_units_take(struct hk_shard *s, size_t units, size_t align_units, bool *clean)
{
    if (units < HK_CHUNK_UNITS && align_units <= HK_CHUNK_UNITS) {
        void *p = filler_take(s, (unsigned)units, (unsigned)align_units, clean);
        if (p) return p;
    }
    size_t chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    size_t align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    size_t first = hk_runs_take(&s->runs, chunks, align);
    if (first == SIZE_MAX) return NULL;
    *clean = dress(s, first, units);
    return hk_chunk_addr(first);
}

/* Units [at, at + n) of c come back; true if the chunk is empty now and off the bins. */
static bool put_units(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n, uint32_t now,
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
    s->used -= n;
    add(&s->dirty, dirty_in(c, m, n));
    if (c->used) {
        hk_filler_file(&s->filler, c);
        return false;
    }
    hk_filler_drop(&s->filler, c);
    return true;
}

void hk_units_put(struct hk_shard *s, char *p, size_t units, uint32_t now,
                  const struct hk_freed *as)
{
    size_t i = hk_chunk_index(p), empty_from = 0, empty = 0;
    unsigned at = (unsigned)((uintptr_t)p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    for (; units; i++, at = 0) {
        unsigned n = units < HK_CHUNK_UNITS - at ? (unsigned)units : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        units -= n;
        if (c->state == HK_CHUNK_LOST) continue; /* written off in a child of fork */
        if (!put_units(s, c, at, n, now, as)) continue;
        if (empty == 0) empty_from = i;
        empty = i - empty_from + 1;
    }
    if (empty) hk_runs_put(&s->runs, empty_from, empty);
}

void hk_units_soil(struct hk_shard *s, struct hk_chunk *c, uint32_t now)
{
    uint32_t news = ~c->used & ~c->dirty;
    if (atomic_load_explicit(&hk_units_watched, memory_order_relaxed)) note_again(s, c, news, now);
    c->soiled |= news;
    c->freed_ms = now;
    add(&s->dirty, (size_t)__builtin_popcount(news));
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

bool hk_units_follow(const struct hk_shard *s, size_t i, unsigned at, size_t n, size_t *missing)
{
    while (n) {
        if (i >= hk_map_chunks()) {
            *missing = (n + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
            return false;
        }
        struct hk_chunk *c = hk_chunk_at(i);
        if (hk_chunk_shard(c) != s->id) return false;
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

void hk_units_noted_idle(struct hk_shard *s, struct hk_idle_times back[HK_BANDS])
{
    for (unsigned b = 0; b < HK_BANDS; b++) {
        for (unsigned t = 0; t < HK_IDLE_BUCKETS; t++) back[b].units[t] += s->again[b].units[t];
    }
    memset(s->again, 0, sizeof s->again);
}
