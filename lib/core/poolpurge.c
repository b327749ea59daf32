/* SPDX-License-Identifier: MIT */
/*
 * What: free memory of the pool goes back to the kernel.
 * Why: see pool.h. Units are taken like an allocation while the kernel works on them, so no lock is
 *   held over its work.
 * Locks: shards', one at a time; a purge has what is in flight to itself.
 */
#include "core/poolpurge.h"

#include "core/huge.h"
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
 * What the kernel works on now: whoever finds no memory waits for it, and a child of fork takes it
 * back. A range is noted, and taken out again, under the lock of its shard. One purge at a time.
 */
static struct {
    struct range range[BATCH]; /* p NULL: landed */
    uint32_t ranges;
    bool asked; /* by a trim: that it comes again tells nothing */
} flight;
static _Atomic uintptr_t pilot; /* hk_lock_me() of who purges; 0: nobody does */
#define REFUSALS     32         /* a purge: those behind come next time */
#define FLIGHT_WAITS 2000       /* of 50 µs: no purge takes that long */

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
    if (c->state == HK_CHUNK_LOST || !(~c->used & c->dirty)) return false;
    return hk_stamp_idle(c->freed_ms, now, idle_ms ? idle_ms + c->patience * HK_PATIENCE_MS : 0);
}

/* What a purge is to do, and how far it is. */
struct job {
    struct hk_walk walk;
    size_t keep; /* dirty units that stay */
    uint32_t now, idle_ms;
    unsigned refusals;
};

/* Whole free chunks from c on, at most `most`, taken out of their free run. */
static struct range take_free_chunks(struct job *j, const struct hk_chunk *c, size_t most)
{
    struct hk_shard *s = j->walk.held;
    size_t i = c->index, n = 1, end = hk_map_chunks();
    size_t range = batched() ? RANGE_CHUNKS : 1;
    if (most > range) most = range;
    while (n < most && i + n < end && hk_runs_has(&s->runs, i + n) &&
           purgeable(hk_chunk_at(i + n), j->now, j->idle_ms))
        n++;
    struct range r = {hk_chunk_addr(i), n * HK_CHUNK_UNITS, 0};
    j->walk.next = i + n;
    hk_runs_take_at(&s->runs, i, n);
    for (; n; n--, i++)
        r.dirty += hk_units_lend_at(s, hk_chunk_at(i), 0, HK_CHUNK_UNITS, !flight.asked);
    return r;
}

/* The first dirty free stretch of c, which is purgeable; units 0: none that may go. */
static struct range take_of(struct job *j, struct hk_chunk *c, size_t most)
{
    if (c->state == HK_CHUNK_FREE) {
        if (j->keep && most < HK_CHUNK_UNITS) return (struct range){NULL, 0, 0};
        return take_free_chunks(j, c, j->keep ? most / HK_CHUNK_UNITS : RANGE_CHUNKS);
    }
    uint32_t m = ~c->used & c->dirty;
    unsigned at = (unsigned)__builtin_ctz(m), n = 0;
    while (at + n < HK_CHUNK_UNITS && n < most && (m >> (at + n) & 1)) n++;
    size_t lent = hk_units_lend_at(j->walk.held, c, at, n, !flight.asked);
    j->walk.next = c->index; /* there may be more in it */
    return (struct range){hk_chunk_addr(c->index) + (size_t)at * HK_UNIT_BYTES, n, lent};
}

/* now: of a refusal. */
static void put_back(struct hk_shard *s, struct range *r, enum landed how, uint32_t now)
{
    uint32_t stamp = hk_chunk_at(hk_chunk_index(r->p))->freed_ms;
    hk_units_purged(r->p, r->units, how == CLEAN);
    hk_units_put(s, r->p, r->units, how == REFUSED ? now + HK_REFUSED_MS : stamp, NULL);
    r->p = NULL;
}

static bool begin_purge(bool asked)
{
    uintptr_t nobody = 0;
    if (!atomic_compare_exchange_strong_explicit(&pilot, &nobody, hk_lock_me(),
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    flight.asked = asked;
    return true;
}

/* The next batch into flight; false: it was the last. */
static bool next_batch(struct job *j)
{
    struct hk_chunk *c = NULL;
    while (flight.ranges < BATCH && (c = hk_walk_next(&j->walk))) {
        hk_shard_tell(j->walk.held);
        size_t dirty = hk_pool_dirty_units(), most = dirty > j->keep ? dirty - j->keep : 0;
        if (j->keep && !most) break;
        if (!purgeable(c, j->now, j->idle_ms)) continue;
        struct range r = take_of(j, c, j->keep ? most : SIZE_MAX);
        if (r.units) flight.range[flight.ranges++] = r;
    }
    hk_walk_pause(&j->walk);
    return c && flight.ranges == BATCH;
}

/* To the kernel with all that is in flight: a bit a range that it took; *bytes are added to. */
static uint32_t send_off(struct job *j, size_t *bytes)
{
    uint32_t clean = 0;
    bool merge = batched();
    for (uint32_t k = 0, run; k < flight.ranges; k += run) {
        const struct range *r = &flight.range[k];
        size_t units = r->units, dirty = r->dirty;
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
        if (done) *bytes += dirty * HK_UNIT_BYTES;
        j->refusals += !done;
    }
    return clean;
}

/* All that is in flight goes to the kernel, and back to the pool; bytes that the kernel got. */
static size_t land(struct job *j)
{
    size_t bytes = 0;
    uint32_t clean = send_off(j, &bytes);
    uint32_t now = (uint32_t)hk_sys_now_ms(); /* not under a lock: it may be a system call */
    struct hk_shard *s = NULL;
    for (uint32_t k = 0; k < flight.ranges; k++) {
        struct hk_shard *of = hk_shard_of(flight.range[k].p);
        if (s != of) {
            if (s) hk_shard_leave(s);
            hk_shard_enter(s = of);
        }
        put_back(s, &flight.range[k], clean >> k & 1 ? CLEAN : REFUSED, now);
    }
    if (s) hk_shard_leave(s);
    flight.ranges = 0;
    return bytes;
}

size_t hk_pool_purge(uint32_t idle_ms, size_t keep)
{
    size_t bytes = 0;
    struct job j = {.walk = {.step = 1, .dirty_only = true}, .keep = keep, .idle_ms = idle_ms};
    j.now = (uint32_t)hk_sys_now_ms();
    for (int waits = 0; !begin_purge(idle_ms == 0); waits++) {
        if (idle_ms || waits == FLIGHT_WAITS) return 0; /* who purges now does it for us */
        hk_sys_pause();
    }
    for (bool more = true; more && j.refusals < REFUSALS;) {
        more = next_batch(&j);
        bytes += land(&j);
    }
    atomic_store_explicit(&pilot, 0, memory_order_release);
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
    struct hk_shard *s = hk_shard_of(p);
    hk_shard_enter(s);
    if (done) hk_units_noted(p, units);
    if (done) hk_units_purged(p, units, true);
    hk_units_put(s, p, units, now, &as);
    hk_shard_leave(s);
}

size_t hk_pool_purged_at_free(void)
{
    return atomic_load_explicit(&at_free_bytes, memory_order_relaxed);
}

bool hk_purge_wait(int *waits)
{
    if (!atomic_load_explicit(&pilot, memory_order_acquire) || (*waits)++ == FLIGHT_WAITS)
        return false;
    hk_sys_pause();
    return true;
}

void hk_purge_fork_child(void)
{
    uintptr_t by = atomic_load_explicit(&pilot, memory_order_relaxed);
    if (!by || by == hk_lock_me()) return;
    for (uint32_t k = 0; k < flight.ranges; k++) {
        struct range *r = &flight.range[k];
        /* Half written, or half landed: its shard was held then, and is lost with all its chunks.
         */
        if (!r->p || hk_chunk_at(hk_chunk_index(r->p))->state == HK_CHUNK_LOST) continue;
        struct hk_shard *s = hk_shard_of(r->p);
        /* This thread forked in a handler, and goes on with what the handler interrupted. */
        if (!s || hk_lock_mine(&s->lock)) continue; /* never NULL, as in shard.c */
        put_back(s, r, UNTRIED, 0);
        hk_shard_tell(s);
    }
    flight.ranges = 0;
    atomic_store_explicit(&pilot, 0, memory_order_relaxed);
}

void hk_purge_read_stats(struct hk_pool_stats *out)
{
    out->purged_bytes = atomic_load_explicit(&purged_bytes, memory_order_relaxed);
    out->purges = atomic_load_explicit(&purges, memory_order_relaxed);
    out->refused = atomic_load_explicit(&refused, memory_order_relaxed);
}
