/* SPDX-License-Identifier: MIT */
/*
 * What: the public face of the pool: filler first, free runs behind it, purge.
 * Why: see pool.h.
 */
#include "core/pool.h"

#include "core/filler.h"
#include "core/runs.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

static struct hk_lock pool_lock = HK_LOCK_INIT(HK_RANK_POOL);
_Atomic size_t hk_pool_used, hk_pool_dirty;
static _Atomic size_t outside_bytes; /* of blocks that are not the pool's */
static _Atomic size_t limit_units = SIZE_MAX;
static _Atomic uint32_t clock_ms; /* as last told: stamps what is freed */

#define RANGE_CHUNKS 32 /* 64 MiB a call: others must find memory meanwhile */

#define BATCH 16 /* ranges a round: bounds the time under the lock */

struct range {
    char *p;
    size_t units;
};

/*
 * What the kernel works on now, under the lock: whoever finds no memory waits for it, and a child
 * of fork takes it back. One purge at a time.
 */
static struct {
    struct range range[BATCH];
    uint32_t ranges;
    bool open;
    uintptr_t by; /* hk_lock_me() of who purges */
} flight;
#define REFUSED_MS   4000 /* before what the kernel refused is tried again */
#define REFUSALS     32   /* a purge: those behind come next time */
#define FLIGHT_WAITS 2000 /* of 50 µs: no purge takes that long */

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

/* Units [at, at + n) of c go out; true if they all read as zero. */
static bool take_units(struct hk_chunk *c, unsigned at, unsigned n)
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
    return dirty == 0;
}

/* n < HK_CHUNK_UNITS units out of partly used chunks, or NULL. */
static void *filler_take(unsigned n, unsigned align, bool *clean)
{
    unsigned at;
    struct hk_chunk *c = hk_filler_find(n, align, &at);
    if (!c) return NULL;
    *clean = take_units(c, at, n);
    return hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES;
}

/* Units from the start of chunk `first` on, out of chunks just taken from the free runs. */
static bool dress_chunks(size_t first, size_t units)
{
    bool clean = true;
    for (; units; first++) {
        unsigned n = units < HK_CHUNK_UNITS ? (unsigned)units : HK_CHUNK_UNITS;
        clean &= take_units(hk_chunk_at(first), 0, n);
        units -= n;
    }
    return clean;
}

static void *take(size_t units, size_t align_units, bool *clean)
{
    if (units < HK_CHUNK_UNITS && align_units <= HK_CHUNK_UNITS) {
        void *p = filler_take((unsigned)units, (unsigned)align_units, clean);
        if (p) return p;
    }
    size_t chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    size_t align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    size_t first = hk_runs_take(chunks, align);
    if (first == SIZE_MAX) return NULL;
    *clean = dress_chunks(first, units);
    return hk_chunk_addr(first);
}

/* Whether `more` units beside what is used, what is outside, and `dirty` ones are too much. */
static bool beyond_limit(size_t more, size_t dirty)
{
    size_t limit = atomic_load_explicit(&limit_units, memory_order_relaxed);
    size_t outside = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    if (HK_LIKELY(limit == SIZE_MAX)) return false;
    return more > limit || hk_pool_used_units() + hk_bytes_to_units(outside) + dirty > limit - more;
}

enum landed { REFUSED, CLEAN, UNTRIED };
static void put_back(struct range r, enum landed how, uint32_t now);

/* *refused: it is not for want of free units that this is NULL. */
static void *take_within(size_t units, size_t align_units, bool *clean, bool *refused)
{
    *refused = beyond_limit(units, 0);
    if (*refused) return NULL;
    void *p = take(units, align_units, clean);
    if (!p || !beyond_limit(0, hk_pool_dirty_units())) return p;
    put_back((struct range){p, units}, *clean ? CLEAN : UNTRIED, 0); /* a purge must come first */
    *refused = true;
    return NULL;
}

/* Whether free memory is at the kernel and will come back. */
static bool in_flight(void)
{
    hk_lock_acquire(&pool_lock);
    bool open = flight.open;
    hk_lock_release(&pool_lock);
    return open;
}

void *hk_pool_alloc(size_t units, size_t align_units, bool *clean)
{
    size_t chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    size_t align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    for (int waits = 0;;) {
        bool refused;
        hk_lock_acquire(&pool_lock);
        void *p = take_within(units, align_units, clean, &refused);
        size_t tail = p ? 0 : hk_runs_tail();
        hk_lock_release(&pool_lock);
        if (p || refused) return p;
        /* Growth continues what is free at the end, most likely. */
        size_t got, want = chunks + align - 1;
        void *fresh = hk_map_grow(want > tail ? want - tail : 1, &got);
        if (!fresh) {
            if (!in_flight() || waits++ == FLIGHT_WAITS) return NULL;
            hk_sys_pause();
            continue;
        }
        hk_lock_acquire(&pool_lock);
        hk_runs_put(hk_chunk_index(fresh), got);
        p = take_within(units, align_units, clean, &refused);
        hk_lock_release(&pool_lock);
        if (p || refused) return p; /* else others were quicker: grow again */
    }
}

/* Units [at, at + n) of c come back; true if the chunk is empty now and off the bins. */
static bool put_units(struct hk_chunk *c, unsigned at, unsigned n, uint32_t now)
{
    uint32_t m = hk_low_mask32(n) << at;
    HK_CHECK((c->used & m) == m, hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES);
    c->used &= ~m;
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

static void put(char *p, size_t units, uint32_t now)
{
    size_t i = hk_chunk_index(p), empty_from = 0, empty = 0;
    unsigned at = (unsigned)((uintptr_t)p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    for (; units; i++, at = 0) {
        unsigned n = units < HK_CHUNK_UNITS - at ? (unsigned)units : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        units -= n;
        if (c->state == HK_CHUNK_LOST) continue; /* written off in a child of fork */
        if (!put_units(c, at, n, now)) continue;
        if (empty == 0) empty_from = i;
        empty = i - empty_from + 1;
    }
    if (empty) hk_runs_put(empty_from, empty);
}

void hk_pool_clock(uint64_t now_ms)
{
    atomic_store_explicit(&clock_ms, (uint32_t)now_ms, memory_order_relaxed);
}

void hk_pool_free(void *p, size_t units)
{
    uint32_t now = atomic_load_explicit(&clock_ms, memory_order_relaxed);
    hk_lock_acquire(&pool_lock);
    put(p, units, now);
    hk_lock_release(&pool_lock);
}

/*
 * Whether the units from place `at` of chunk i on, n of them, are all free; if the heap's end comes
 * before that, *missing tells how many chunks more it would take.
 */
static bool follows_free(size_t i, unsigned at, size_t n, size_t *missing)
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

static bool extend(char *end, size_t more, bool *clean, size_t *missing)
{
    size_t i = hk_chunk_index(end);
    unsigned at = (unsigned)((uintptr_t)end >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    hk_lock_acquire(&pool_lock);
    bool fits = !beyond_limit(more, hk_pool_dirty_units()) && follows_free(i, at, more, missing);
    *clean = true;
    for (; fits && more; i++, at = 0) {
        unsigned k = more < HK_CHUNK_UNITS - at ? (unsigned)more : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        if (c->state == HK_CHUNK_FREE) hk_runs_take_at(i, 1);
        *clean &= take_units(c, at, k);
        more -= k;
    }
    hk_lock_release(&pool_lock);
    return fits;
}

bool hk_pool_extend(void *p, size_t units, size_t more, bool *clean)
{
    char *end = (char *)p + units * HK_UNIT_BYTES;
    size_t missing = 0, got;
    if (extend(end, more, clean, &missing)) return true;
    void *fresh = missing ? hk_map_grow(missing, &got) : NULL;
    if (!fresh) return false;
    hk_lock_acquire(&pool_lock);
    hk_runs_put(hk_chunk_index(fresh), got);
    hk_lock_release(&pool_lock);
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

/* ---- purge: units are taken like an allocation while the kernel works on them ---- */

static _Atomic uint64_t purged_bytes, purges, refused;

static bool purgeable(const struct hk_chunk *c, uint32_t now, uint32_t idle_ms)
{
    bool live = c->state == HK_CHUNK_FREE || c->state == HK_CHUNK_USED;
    return live && (~c->used & c->dirty) &&
           (int32_t)(now - c->freed_ms) >= (int32_t)idle_ms; /* freed after `now`: negative */
}

/* Whole free chunks from i on, at most `most`, taken out of their free run. */
static struct range take_free_chunks(size_t i, size_t most, uint32_t now, uint32_t idle_ms)
{
    size_t n = 1, end = hk_map_chunks();
    if (most > RANGE_CHUNKS) most = RANGE_CHUNKS;
    while (n < most && i + n < end && hk_chunk_at(i + n)->state == HK_CHUNK_FREE &&
           purgeable(hk_chunk_at(i + n), now, idle_ms))
        n++;
    hk_runs_take_at(i, n);
    dress_chunks(i, n * HK_CHUNK_UNITS);
    return (struct range){hk_chunk_addr(i), n * HK_CHUNK_UNITS};
}

/*
 * A dirty free stretch at or after chunk *i, taken out of the pool; units 0 at the end. At least
 * `keep` dirty units stay.
 */
static struct range take_dirty(size_t *i, size_t keep, uint32_t now, uint32_t idle_ms)
{
    for (size_t end = hk_map_chunks(); *i < end; ++*i) {
        size_t dirty = hk_pool_dirty_units(), most = dirty > keep ? dirty - keep : 0;
        if (!most) break;
        struct hk_chunk *c = hk_chunk_at(*i);
        if (!purgeable(c, now, idle_ms)) continue;
        if (c->state == HK_CHUNK_FREE) {
            if (keep && most < HK_CHUNK_UNITS) continue;
            struct range r =
                take_free_chunks(*i, keep ? most / HK_CHUNK_UNITS : RANGE_CHUNKS, now, idle_ms);
            *i += r.units / HK_CHUNK_UNITS;
            return r;
        }
        uint32_t m = ~c->used & c->dirty;
        unsigned at = (unsigned)__builtin_ctz(m), n = 0;
        while (at + n < HK_CHUNK_UNITS && n < most && (m >> (at + n) & 1)) n++;
        take_units(c, at, n);
        return (struct range){hk_chunk_addr(*i) + (size_t)at * HK_UNIT_BYTES, n};
    }
    return (struct range){NULL, 0};
}

/* now: of a refusal. */
static void put_back(struct range r, enum landed how, uint32_t now)
{
    size_t i = hk_chunk_index(r.p), left = r.units;
    unsigned at = (unsigned)((uintptr_t)r.p >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
    uint32_t stamp = hk_chunk_at(i)->freed_ms;
    if (how == REFUSED) stamp = now + REFUSED_MS;
    for (; left; i++, at = 0) {
        unsigned n = left < HK_CHUNK_UNITS - at ? (unsigned)left : HK_CHUNK_UNITS - at;
        if (how == CLEAN) hk_chunk_at(i)->dirty &= ~(hk_low_mask32(n) << at);
        left -= n;
    }
    put(r.p, r.units, stamp);
}

static bool begin_purge(void)
{
    hk_lock_acquire(&pool_lock);
    bool mine = !flight.open;
    if (mine) {
        flight.open = true;
        flight.by = hk_lock_me();
    }
    hk_lock_release(&pool_lock);
    return mine;
}

/* The next batch into flight; false: it was the last. */
static bool next_batch(size_t *i, size_t keep, uint32_t now, uint32_t idle_ms)
{
    struct range r;
    hk_lock_acquire(&pool_lock);
    while (flight.ranges < BATCH && (r = take_dirty(i, keep, now, idle_ms)).units)
        flight.range[flight.ranges++] = r;
    bool more = flight.ranges == BATCH;
    hk_lock_release(&pool_lock);
    return more;
}

/* All that is in flight goes to the kernel, and back to the pool; *refusals: counts them. */
static size_t land(bool last, unsigned *refusals)
{
    size_t bytes = 0;
    uint32_t clean = 0;
    for (uint32_t k = 0, run; k < flight.ranges; k += run) {
        const struct range *r = &flight.range[k];
        size_t units = r->units;
        for (run = 1; k + run < flight.ranges && r[run].p == r->p + units * HK_UNIT_BYTES; run++)
            units += r[run].units;
        bool done = hk_sys_purge(r->p, units * HK_UNIT_BYTES);
        atomic_fetch_add_explicit(done ? &purges : &refused, 1, memory_order_relaxed);
        if (done) clean |= hk_low_mask32(run) << k;
        if (done) bytes += units * HK_UNIT_BYTES;
        *refusals += !done;
    }
    uint32_t now = (uint32_t)hk_sys_now_ms(); /* not under the lock: it may be a system call */
    hk_lock_acquire(&pool_lock);
    for (uint32_t k = 0; k < flight.ranges; k++)
        put_back(flight.range[k], clean >> k & 1 ? CLEAN : REFUSED, now);
    flight.ranges = 0;
    if (last || *refusals >= REFUSALS) flight.open = false;
    hk_lock_release(&pool_lock);
    return bytes;
}

size_t hk_pool_purge(uint32_t idle_ms, size_t keep)
{
    size_t bytes = 0, i = 0;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    unsigned refusals = 0;
    for (int waits = 0; !begin_purge(); waits++) {
        if (idle_ms || waits == FLIGHT_WAITS) return 0; /* who purges now does it for us */
        hk_sys_pause();
    }
    for (bool more = true; more && refusals < REFUSALS;) {
        more = next_batch(&i, keep, now, idle_ms);
        bytes += land(!more, &refusals);
    }
    atomic_fetch_add_explicit(&purged_bytes, bytes, memory_order_relaxed);
    return bytes;
}

void hk_pool_read_stats(struct hk_pool_stats *out)
{
    out->mapped_bytes = hk_map_chunks() << HK_CHUNK_SHIFT;
    out->used_bytes = hk_pool_used_units() << HK_UNIT_SHIFT;
    out->dirty_free_bytes = hk_pool_dirty_units() << HK_UNIT_SHIFT;
    out->outside_bytes = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    out->purged_bytes = atomic_load_explicit(&purged_bytes, memory_order_relaxed);
    out->purges = atomic_load_explicit(&purges, memory_order_relaxed);
    out->refused = atomic_load_explicit(&refused, memory_order_relaxed);
}

void hk_pool_fork_prepare(void)
{
    hk_lock_settle(&pool_lock, 5000000);
}

void hk_pool_fork_child(void)
{
    if (!hk_lock_reset(&pool_lock)) {
        if (!flight.open || flight.by == hk_lock_me()) return;
        for (uint32_t k = 0; k < flight.ranges; k++) put_back(flight.range[k], UNTRIED, 0);
        flight.ranges = 0;
        flight.open = false;
        return;
    }
    flight.ranges = 0;
    flight.open = false;
    hk_runs_forget();
    hk_filler_forget();
    for (size_t i = 0; i < hk_map_chunks(); i++) hk_chunk_at(i)->state = HK_CHUNK_LOST;
    atomic_store_explicit(&hk_pool_dirty, 0, memory_order_relaxed);
    atomic_store_explicit(&hk_pool_used, 0, memory_order_relaxed);
}

size_t hk_pool_check(void)
{
    size_t used = 0, dirty = 0, n = 0;
    hk_lock_acquire(&pool_lock);
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
        used += c->taken;
        HK_CHECK(c->taken == __builtin_popcount(c->used), c);
        dirty += (size_t)__builtin_popcount(~c->used & c->dirty);
    }
    HK_CHECK(used == hk_pool_used_units(), NULL);
    HK_CHECK(dirty == hk_pool_dirty_units(), NULL);
    hk_lock_release(&pool_lock);
    return n;
}
