/* SPDX-License-Identifier: MIT */
/*
 * What: the supply of 64 KiB units to every layer: a filler that packs short runs of units into
 *   2 MiB chunks, and behind it the free chunk runs (the big cache), coalescing, kept mapped.
 * Why: one owner of all free memory, so that what one class or thread gives back serves another.
 * Owns: struct hk_chunk. Its parts, one for some CPUs each, are in shard.h.
 * Invariants: P1 a unit is free, or taken by exactly one caller. P2 two free chunks that touch
 *   belong to one free run. P3 dirty covers every unit that may hold a byte other than zero.
 *   P4 a refused purge leaves the memory in the pool, dirty.
 * Locks: a shard's, never over a system call. Threads: all.
 */
#ifndef HK_CORE_POOL_H
#define HK_CORE_POOL_H

#include "core/counts.h"
#include "core/map.h"
#include "core/shard.h"

/*
 * A run of `units`, its start a multiple of align_units (a power of two) units; *clean tells
 * that all of it reads as zero. NULL when the kernel gives no more, or the limit is reached.
 */
void *hk_pool_alloc(size_t units, size_t align_units, bool *clean);
/* Give back units [p, p + units): a whole run, or a part of one. */
void hk_pool_free(void *p, size_t units);
/* The same, telling what it was, and that it may lie idle for patience * HK_PATIENCE_MS longer. */
#define HK_PATIENCE_MS 250u
void hk_pool_free_as(void *p, size_t units, enum hk_band band, uint8_t patience);
/* The same, and the kernel gets its pages at once. */
void hk_pool_free_purged(void *p, size_t units, enum hk_band band);
/* The same for a part of one chunk that nobody used for idle_ms. */
void hk_pool_free_idle(void *p, size_t units, uint32_t idle_ms);
/*
 * Take the `more` units that follow [p, p + units), if all are free or the heap's end is among them
 * and can be moved on; *clean as above.
 */
bool hk_pool_extend(void *p, size_t units, size_t more, bool *clean);

/*
 * Return to the kernel dirty free units that nobody freed into for `idle_ms`, all but `keep` units;
 * bytes returned.
 */
size_t hk_pool_purge(uint32_t idle_ms, size_t keep);

/* Whether ranges that touch are purged by one call; from the start on they are. */
void hk_purge_set_batch(bool on);

/*
 * Soft limit on units that are used, or free and dirty, and on what is outside; 0: none. Calls that
 * would go beyond are refused: their callers purge, drain what they cache, and try once more.
 */
void hk_pool_set_limit(size_t bytes);
/* Blocks outside the pool grow or shrink by so many bytes; false: they would go beyond the limit.
 */
bool hk_pool_outside_grow(size_t bytes);
void hk_pool_outside_shrink(size_t bytes);

struct hk_pool_stats {
    size_t mapped_bytes;     /* address space of the heap */
    size_t used_bytes;       /* units out */
    size_t dirty_free_bytes; /* free but probably resident */
    size_t outside_bytes;    /* as noted by hk_pool_outside_* */
    uint64_t purged_bytes, purges, refused;
    size_t huge_bytes;      /* advised to be huge pages */
    uint64_t refault_bytes; /* given back, and taken again */
    uint64_t takes, warm, grows;
};
void hk_pool_read_stats(struct hk_pool_stats *out);
/* Units that are out, and free ones that are probably resident; see H3 of shard.h. */
HK_INLINE size_t hk_pool_used_units(void)
{
    return atomic_load_explicit(&hk_shard_sums.first_used, memory_order_relaxed) +
           atomic_load_explicit(&hk_shard_sums.used, memory_order_relaxed);
}

HK_INLINE size_t hk_pool_dirty_units(void)
{
    return atomic_load_explicit(&hk_shard_sums.first_dirty, memory_order_relaxed) +
           atomic_load_explicit(&hk_shard_sums.dirty, memory_order_relaxed);
}

/* The latter: no more than this · to the unit, for those who are in no hurry. */
HK_INLINE size_t hk_pool_dirty_most(void)
{
    return hk_pool_dirty_units() +
           (size_t)atomic_load_explicit(&hk_shards.slack, memory_order_relaxed) * hk_shard_count();
}
size_t hk_pool_sum_dirty(void);

/*
 * Whether pool operations note how long what they take lay free; and what was noted since the last
 * call, by what it was, and how long what is free now has been.
 */
void hk_pool_watch(bool on);
void hk_pool_idle(struct hk_idle_times back[HK_BANDS], struct hk_idle_times still[HK_BANDS]);
/* Bytes taken so far that the kernel had got back, but for those of purges with idle_ms 0. */
size_t hk_pool_refaulted_bytes(void);
/* Bytes that went back so far with the free itself. */
size_t hk_pool_purged_at_free(void);

void hk_pool_fork_prepare(void);
/* In the child: a pool caught mid-update is written off (its free memory leaks), never reused. */
void hk_pool_fork_child(void);
/* Walk everything and abort on a broken invariant; for tests. Returns chunks walked. */
size_t hk_pool_check(void);

#endif
