/* SPDX-License-Identifier: MIT */
/*
 * What: the public face of the pool: its limit, its growth, where it looks for memory.
 * Why: see pool.h.
 */
#include "core/pool.h"

#include <string.h>

#include "core/huge.h"
#include "core/numa.h"
#include "core/poolpurge.h"
#include "core/units.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

static _Atomic size_t outside_bytes; /* of blocks that are not the pool's */
static _Atomic size_t limit_units = SIZE_MAX;

#define OVERTAKEN_MOST 4 /* growths by others that a request waits for before it grows itself */

HK_INLINE bool limited(void)
{
    return HK_UNLIKELY(atomic_load_explicit(&limit_units, memory_order_relaxed) != SIZE_MAX);
}

/*
 * Whether `more` units beside what is used, what is outside, and free ones if dirty_too, are too
 * much. Sums that all threads write are not looked at without a limit.
 */
static bool beyond_limit(size_t more, bool dirty_too)
{
    size_t limit = atomic_load_explicit(&limit_units, memory_order_relaxed);
    if (HK_LIKELY(limit == SIZE_MAX)) return false;
    /* What this shard told and what others tell: of two that are at it one sees the other's. */
    atomic_thread_fence(memory_order_seq_cst);
    size_t outside = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    size_t dirty = dirty_too ? hk_pool_dirty_units() : 0;
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
static void *take_noted(struct hk_shard *s, size_t units, size_t align_units, bool *clean,
                        uint32_t now)
{
    bool wanted = atomic_load_explicit(&hk_units_watched, memory_order_relaxed);
    if (HK_UNLIKELY(wanted)) s->watch = now;
    void *p = hk_units_take(s, units, align_units, clean);
    if (HK_UNLIKELY(wanted)) s->watch = 0;
    return p;
}

/* Big heaps are sampled. */
#define STILL_CHUNKS 4096

void hk_pool_idle(struct hk_idle_times back[HK_BANDS], struct hk_idle_times still[HK_BANDS])
{
    uint32_t now = (uint32_t)hk_sys_now_ms();
    struct hk_walk w = {.step = 1 + hk_map_chunks() / STILL_CHUNKS};
    memset(back, 0, HK_BANDS * sizeof *back);
    memset(still, 0, HK_BANDS * sizeof *still);
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        hk_shard_enter(s);
        hk_units_noted_idle(s, back);
        hk_shard_leave(s);
    }
    for (const struct hk_chunk *c; (c = hk_walk_next(&w));) {
        uint32_t free = ~c->used & (c->dirty | c->purged), ms = now - c->freed_ms;
        if (!free || c->state == HK_CHUNK_LOST) continue;
        if (ms > INT32_MAX) ms = 0;
        still[c->band].units[hk_idle_bucket(ms)] +=
            (uint32_t)((size_t)__builtin_popcount(free) * w.step);
    }
}

/* What is wanted of the pool. */
struct request {
    size_t units, align_units;
    size_t chunks, align; /* the same, in chunks */
    uint32_t now;
    bool clean;   /* what was got reads as zero */
    bool refused; /* it is not for want of free units that nothing was got */
};

/* As it was before it was taken. */
static void put_again(struct hk_shard *s, char *p, size_t units, bool clean)
{
    if (clean) hk_units_purged(p, units, true);
    hk_units_put(s, p, units, hk_chunk_at(hk_chunk_index(p))->freed_ms, NULL);
}

/* s is entered. */
static void *take_within(struct hk_shard *s, struct request *r)
{
    r->refused = limited() && beyond_limit(r->units, false);
    if (r->refused) return NULL;
    void *p = take_noted(s, r->units, r->align_units, &r->clean, r->now);
    if (!p || !limited()) return p;
    hk_shard_tell(s);
    if (!beyond_limit(0, true)) return p;
    put_again(s, p, r->units, r->clean); /* a purge first */
    r->refused = true;
    return NULL;
}

static void count(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Let go of the lock, with a run just taken. */
static void *leave_with(struct hk_shard *s, void *p, const struct request *r)
{
    struct hk_chunk *advised = hk_huge_taken(s, p, r->units, r->now);
    count(&s->takes, 1);
    count(&s->warm, !r->clean);
    hk_shard_leave(s);
    if (HK_UNLIKELY(advised != NULL)) hk_huge_undo(advised);
    return p;
}

/* Fresh chunks of the heap for s, which is entered then; false, and it is not, if refused. */
static bool grow(struct hk_shard *s, size_t chunks)
{
    size_t got;
    void *fresh = hk_map_grow(chunks, &got);
    if (!fresh) return false;
    atomic_fetch_add_explicit(&s->grows, 1, memory_order_relaxed);
    if (hk_huge_always()) hk_huge_advise(fresh, got * HK_CHUNK_UNITS, HK_HUGE_AHEAD);
    hk_numa_place(fresh, got << HK_CHUNK_SHIFT, s->node);
    hk_shard_enter(s);
    hk_shard_add(s, hk_chunk_index(fresh), got);
    return true;
}

/* Out of s, entered here; NULL if it has none. */
static void *take_from(struct hk_shard *s, struct request *r)
{
    hk_shard_enter(s);
    void *p = take_within(s, r);
    if (p) return leave_with(s, p, r);
    hk_shard_leave(s);
    return NULL;
}

/* The kernel gives nothing: whatever any shard has, pieced together if need be. */
static HK_COLD void *take_anywhere(struct hk_shard *s, struct request *r)
{
    void *p = NULL;
    for (unsigned id = 1; id <= hk_shard_count() && !p; id++) p = take_from(hk_shard_by_id(id), r);
    if (p || r->refused || hk_shards_free_chunks() < r->chunks) return p;
    hk_lock_acquire(&hk_shard_gathering);
    hk_shard_gather(s);
    p = take_from(s, r);
    hk_lock_release(&hk_shard_gathering);
    return p;
}

enum growth { GROWN, OVERTAKEN, REFUSED };

/*
 * Growth continues what is free at the end, most likely, unless that went wrong once. What is fresh
 * is in s before others that wait to grow go on: else each of them would map as much again.
 */
static enum growth take_grown(struct hk_shard *s, struct request *r, size_t seen, size_t tail,
                              void **p)
{
    size_t want = r->chunks + r->align - 1;
    want = want > tail ? want - tail : 1;
    if (!hk_map_grow_begin(want, seen)) return OVERTAKEN;
    bool grown = grow(s, want);
    if (grown) {
        *p = take_within(s, r);
        if (*p)
            leave_with(s, *p, r);
        else
            hk_shard_leave(s);
    }
    hk_map_grow_end();
    return grown ? GROWN : REFUSED;
}

/* s has nothing; *p: what was got elsewhere. */
static enum growth take_elsewhere(struct hk_shard *s, struct request *r, size_t seen, size_t tail,
                                  void **p)
{
    if (hk_shards_several() && hk_shard_borrow(s, r->chunks, r->align)) {
        *p = take_from(s, r);
        if (*p || r->refused) return GROWN; /* else others were quicker */
    }
    return take_grown(s, r, seen, tail, p);
}

static void *take(struct request *r)
{
    bool grown = false;
    for (int waits = 0, overtaken = 0;;) {
        /* What others let the heap grow by may be another shard's, so not for ever. */
        size_t seen = overtaken < OVERTAKEN_MOST ? hk_map_chunks() : SIZE_MAX;
        struct hk_shard *s = hk_shard_enter_here();
        if (HK_UNLIKELY(!s)) return NULL;
        void *p = take_within(s, r);
        if (HK_LIKELY(p != NULL)) return leave_with(s, p, r);
        size_t tail = grown ? 0 : hk_runs_tail(&s->runs);
        hk_shard_leave(s);
        if (r->refused) return NULL;
        enum growth g = take_elsewhere(s, r, seen, tail, &p);
        if (p || r->refused) return p;
        if (g == OVERTAKEN) {
            overtaken++;
            continue;
        }
        grown = g == GROWN;
        if (!grown) p = take_anywhere(s, r);
        if (p || r->refused) return p;
        if (!grown && !hk_purge_wait(&waits)) return NULL;
    }
}

void *hk_pool_alloc(size_t units, size_t align_units, bool *clean)
{
    struct request r = {.units = units, .align_units = align_units};
    r.chunks = (units + HK_CHUNK_UNITS - 1) / HK_CHUNK_UNITS;
    r.align = align_units > HK_CHUNK_UNITS ? align_units / HK_CHUNK_UNITS : 1;
    r.now = clock_if_needed();
    void *p = take(&r);
    *clean = r.clean;
    return p;
}

void hk_pool_free_as(void *p, size_t units, enum hk_band band, uint8_t patience)
{
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_shard_free(hk_shard_of(p), p, units, now, (uint32_t)band | (uint32_t)patience << 8);
}

void hk_pool_free(void *p, size_t units)
{
    hk_pool_free_as(p, units, HK_BAND_SLAB, 0);
}

void hk_pool_free_idle(void *p, size_t units, uint32_t idle_ms)
{
    uint32_t stamp = (uint32_t)hk_sys_now_ms() - idle_ms;
    hk_shard_free(hk_shard_of(p), p, units, stamp, HK_BAND_SLAB | HK_FREE_IDLE);
}

/* Units from `end` on, which are free: the start of those in the last chunk, *part: how many. */
static char *take_behind(struct hk_shard *s, char *end, size_t more, bool *clean, unsigned *part)
{
    char *last = end;
    *clean = true;
    while (more) {
        size_t i = hk_chunk_index(end);
        unsigned at = (unsigned)((uintptr_t)end >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS;
        unsigned k = more < HK_CHUNK_UNITS - at ? (unsigned)more : HK_CHUNK_UNITS - at;
        struct hk_chunk *c = hk_chunk_at(i);
        if (c->state == HK_CHUNK_FREE) hk_runs_take_at(&s->runs, i, 1);
        *clean &= hk_units_take_at(s, c, at, k);
        more -= k;
        last = end;
        end += k * HK_UNIT_BYTES;
        *part = k;
    }
    return last;
}

static bool extend(struct hk_shard *s, char *end, size_t more, bool *clean, size_t *missing)
{
    size_t i = hk_chunk_index(end);
    unsigned at = (unsigned)((uintptr_t)end >> HK_UNIT_SHIFT) % HK_CHUNK_UNITS, part = 0;
    struct hk_chunk *advised = NULL;
    uint32_t now = clock_if_needed();
    hk_shard_enter(s);
    bool fits = !beyond_limit(more, true) && hk_units_follow(s, i, at, more, missing);
    if (fits) {
        char *last = take_behind(s, end, more, clean, &part);
        hk_shard_tell(s);
        fits = !beyond_limit(0, true);
        if (fits)
            advised = hk_huge_taken(s, last, part, now);
        else /* another shard was quicker */
            put_again(s, end, more, *clean);
    }
    hk_shard_leave(s);
    if (HK_UNLIKELY(advised != NULL)) hk_huge_undo(advised);
    return fits;
}

bool hk_pool_extend(void *p, size_t units, size_t more, bool *clean)
{
    char *end = (char *)p + units * HK_UNIT_BYTES;
    struct hk_shard *s = hk_shard_of(p);
    size_t missing = 0;
    HK_ASSERT(s != NULL);
    if (extend(s, end, more, clean, &missing)) return true;
    if (!missing || !hk_map_grow_begin(missing, SIZE_MAX)) return false;
    bool grown = grow(s, missing);
    if (grown) hk_shard_leave(s);
    hk_map_grow_end();
    return grown && extend(s, end, more, clean, &missing); /* others may have been quicker */
}

void hk_pool_set_limit(size_t bytes)
{
    atomic_store_explicit(&limit_units, bytes ? bytes >> HK_UNIT_SHIFT : SIZE_MAX,
                          memory_order_relaxed);
    hk_shards_set_exact(bytes != 0);
}

bool hk_pool_outside_grow(size_t bytes)
{
    atomic_fetch_add_explicit(&outside_bytes, bytes, memory_order_relaxed);
    if (!beyond_limit(0, true)) return true;
    hk_pool_outside_shrink(bytes);
    return false;
}

void hk_pool_outside_shrink(size_t bytes)
{
    atomic_fetch_sub_explicit(&outside_bytes, bytes, memory_order_relaxed);
}

size_t hk_pool_sum_dirty(void)
{
    size_t units = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++)
        units += atomic_load_explicit(&hk_shard_by_id(id)->dirty, memory_order_relaxed);
    return units;
}

size_t hk_pool_refaulted_bytes(void)
{
    size_t units = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++)
        units += atomic_load_explicit(&hk_shard_by_id(id)->refaulted, memory_order_relaxed);
    return units << HK_UNIT_SHIFT;
}

void hk_pool_read_stats(struct hk_pool_stats *out)
{
    *out = (struct hk_pool_stats){0};
    out->mapped_bytes = hk_map_chunks() << HK_CHUNK_SHIFT;
    out->used_bytes = hk_pool_used_units() << HK_UNIT_SHIFT;
    out->dirty_free_bytes = hk_pool_sum_dirty() << HK_UNIT_SHIFT;
    out->outside_bytes = atomic_load_explicit(&outside_bytes, memory_order_relaxed);
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        const struct hk_shard *s = hk_shard_by_id(id);
        out->takes += atomic_load_explicit(&s->takes, memory_order_relaxed);
        out->warm += atomic_load_explicit(&s->warm, memory_order_relaxed);
        out->grows += atomic_load_explicit(&s->grows, memory_order_relaxed);
    }
    out->huge_bytes = hk_huge_chunks() << HK_CHUNK_SHIFT;
    out->refault_bytes = hk_pool_refaulted_bytes();
    hk_purge_read_stats(out);
}

void hk_pool_fork_prepare(void)
{
    hk_shards_fork_prepare();
}

void hk_pool_fork_child(void)
{
    hk_shards_fork_child();
    hk_huge_fork_child();
    hk_purge_fork_child();
    hk_shards_fork_child_serve();
}

size_t hk_pool_check(void)
{
    size_t n = 0, huge = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) n += hk_shard_check(hk_shard_by_id(id));
    struct hk_walk w = {.step = 1};
    for (const struct hk_chunk *c; (c = hk_walk_next(&w));) huge += c->huge != HK_HUGE_NO;
    HK_CHECK(huge <= hk_huge_chunks(), NULL); /* of chunks that were lost too */
    return n;
}
