/* SPDX-License-Identifier: MIT */
/*
 * What: free memory of the pool goes back to the kernel.
 * Why: see pool.h. Units are taken like an allocation while the kernel works on them, so no lock is
 *   held over its work.
 * Locks: hk_pool_lock.
 */
#include "core/poolpurge.h"

#include "core/huge.h"
#include "core/runs.h"
#include "core/units.h"
#include "os/lock.h"
#include "os/sys.h"

#define RANGE_CHUNKS 32 /* 64 MiB a call: others must find memory meanwhile */

#define BATCH 16 /* ranges a round: bounds the time under the lock */

struct range {
    char *p;
    size_t units, dirty; /* of them */
};

/*
 * What the kernel works on now, under the lock: whoever finds no memory waits for it, and a child
 * of fork takes it back. One purge at a time.
 */
static struct {
    struct range range[BATCH];
    uint32_t ranges;
    bool open;
    bool asked;   /* by a trim: that it comes again tells nothing */
    uintptr_t by; /* hk_lock_me() of who purges */
} flight;
#define REFUSALS     32   /* a purge: those behind come next time */
#define FLIGHT_WAITS 2000 /* of 50 µs: no purge takes that long */

enum landed { REFUSED, CLEAN, UNTRIED };
static _Atomic uint64_t purged_bytes, purges, refused;
static _Atomic size_t at_free_bytes; /* of purged_bytes, by hk_pool_free_purged */

static _Atomic bool one_by_one;

void hk_purge_set_batch(bool on)
{
    atomic_store_explicit(&one_by_one, !on, memory_order_relaxed);
}

static bool batched(void)
{
    return HK_LIKELY(!atomic_load_explicit(&one_by_one, memory_order_relaxed));
}

static bool purgeable(const struct hk_chunk *c, uint32_t now, uint32_t idle_ms)
{
    bool live = c->state == HK_CHUNK_FREE || c->state == HK_CHUNK_USED;
    if (!live || !(~c->used & c->dirty)) return false;
    return hk_stamp_idle(c->freed_ms, now, idle_ms ? idle_ms + c->patience * HK_PATIENCE_MS : 0);
}

/* Whole free chunks from i on, at most `most`, taken out of their free run. */
static struct range take_free_chunks(size_t i, size_t most, uint32_t now, uint32_t idle_ms)
{
    size_t n = 1, end = hk_map_chunks();
    size_t range = batched() ? RANGE_CHUNKS : 1;
    if (most > range) most = range;
    while (n < most && i + n < end && hk_chunk_at(i + n)->state == HK_CHUNK_FREE &&
           purgeable(hk_chunk_at(i + n), now, idle_ms))
        n++;
    struct range r = {hk_chunk_addr(i), n * HK_CHUNK_UNITS, 0};
    hk_runs_take_at(i, n);
    for (; n; n--, i++)
        r.dirty += hk_units_lend_at(hk_chunk_at(i), 0, HK_CHUNK_UNITS, !flight.asked);
    return r;
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
        size_t lent = hk_units_lend_at(c, at, n, !flight.asked);
        return (struct range){hk_chunk_addr(*i) + (size_t)at * HK_UNIT_BYTES, n, lent};
    }
    return (struct range){NULL, 0, 0};
}

/* now: of a refusal. */
static void put_back(struct range r, enum landed how, uint32_t now)
{
    uint32_t stamp = hk_chunk_at(hk_chunk_index(r.p))->freed_ms;
    hk_units_purged(r.p, r.units, how == CLEAN);
    hk_units_put(r.p, r.units, how == REFUSED ? now + HK_REFUSED_MS : stamp, NULL);
}

static bool begin_purge(bool asked)
{
    hk_lock_acquire(&hk_pool_lock);
    bool mine = !flight.open;
    if (mine) {
        flight.open = true;
        flight.asked = asked;
        flight.by = hk_lock_me();
    }
    hk_lock_release(&hk_pool_lock);
    return mine;
}

/* The next batch into flight; false: it was the last. */
static bool next_batch(size_t *i, size_t keep, uint32_t now, uint32_t idle_ms)
{
    struct range r;
    hk_lock_acquire(&hk_pool_lock);
    while (flight.ranges < BATCH && (r = take_dirty(i, keep, now, idle_ms)).units)
        flight.range[flight.ranges++] = r;
    bool more = flight.ranges == BATCH;
    hk_lock_release(&hk_pool_lock);
    return more;
}

/* All that is in flight goes to the kernel, and back to the pool; *refusals: counts them. */
static size_t land(bool last, unsigned *refusals)
{
    size_t bytes = 0;
    uint32_t clean = 0;
    for (uint32_t k = 0, run; k < flight.ranges; k += run) {
        const struct range *r = &flight.range[k];
        size_t units = r->units, dirty = r->dirty;
        bool merge = batched();
        for (run = 1; merge && k + run < flight.ranges && r[run].p == r->p + units * HK_UNIT_BYTES;
             run++) {
            units += r[run].units;
            dirty += r[run].dirty;
        }
        for (uint32_t i = 0; i < run; i++) {
            if (r[i].units % HK_CHUNK_UNITS) hk_huge_leave(r[i].p);
        }
        bool done = hk_sys_purge(r->p, units * HK_UNIT_BYTES);
        atomic_fetch_add_explicit(done ? &purges : &refused, 1, memory_order_relaxed);
        if (done) clean |= hk_low_mask32(run) << k;
        if (done) bytes += dirty * HK_UNIT_BYTES;
        *refusals += !done;
    }
    uint32_t now = (uint32_t)hk_sys_now_ms(); /* not under the lock: it may be a system call */
    hk_lock_acquire(&hk_pool_lock);
    for (uint32_t k = 0; k < flight.ranges; k++)
        put_back(flight.range[k], clean >> k & 1 ? CLEAN : REFUSED, now);
    flight.ranges = 0;
    if (last || *refusals >= REFUSALS) flight.open = false;
    hk_lock_release(&hk_pool_lock);
    return bytes;
}

size_t hk_pool_purge(uint32_t idle_ms, size_t keep)
{
    size_t bytes = 0, i = 0;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    unsigned refusals = 0;
    for (int waits = 0; !begin_purge(idle_ms == 0); waits++) {
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

void hk_pool_free_purged(void *p, size_t units, enum hk_band band)
{
    const struct hk_freed as = {(uint8_t)band, 0};
    uintptr_t first = (uintptr_t)p, end = first + units * HK_UNIT_BYTES;
    /* Chunks of which a part stays. */
    if (first % HK_CHUNK_BYTES) hk_huge_leave(p);
    if (end % HK_CHUNK_BYTES) hk_huge_leave((char *)end - HK_UNIT_BYTES);
    bool done = hk_sys_purge(p, units * HK_UNIT_BYTES);
    atomic_fetch_add_explicit(done ? &purges : &refused, 1, memory_order_relaxed);
    if (done) {
        atomic_fetch_add_explicit(&purged_bytes, units * HK_UNIT_BYTES, memory_order_relaxed);
        atomic_fetch_add_explicit(&at_free_bytes, units * HK_UNIT_BYTES, memory_order_relaxed);
    }
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_lock_acquire(&hk_pool_lock);
    if (done) hk_units_noted(p, units);
    if (done) hk_units_purged(p, units, true);
    hk_units_put(p, units, now, &as);
    hk_lock_release(&hk_pool_lock);
}

size_t hk_pool_purged_at_free(void)
{
    return atomic_load_explicit(&at_free_bytes, memory_order_relaxed);
}

bool hk_purge_wait(int *waits)
{
    hk_lock_acquire(&hk_pool_lock);
    bool open = flight.open;
    hk_lock_release(&hk_pool_lock);
    if (!open || (*waits)++ == FLIGHT_WAITS) return false;
    hk_sys_pause();
    return true;
}

void hk_purge_fork_child(bool torn)
{
    if (!torn && (!flight.open || flight.by == hk_lock_me())) return;
    /* This thread forked in a handler, and goes on with what the handler interrupted. */
    bool busy = hk_lock_mine(&hk_pool_lock);
    for (uint32_t k = 0; !torn && !busy && k < flight.ranges; k++)
        put_back(flight.range[k], UNTRIED, 0);
    flight.ranges = 0;
    flight.open = false;
}

void hk_purge_read_stats(struct hk_pool_stats *out)
{
    out->purged_bytes = atomic_load_explicit(&purged_bytes, memory_order_relaxed);
    out->purges = atomic_load_explicit(&purges, memory_order_relaxed);
    out->refused = atomic_load_explicit(&refused, memory_order_relaxed);
}
