/* SPDX-License-Identifier: MIT */
/*
 * What: the pool's inside: units go out of chunks and come back; filler first, free runs behind it.
 * Why: pool.c and purge.c both take and put units; how, is here once.
 * Owns: the counts of used and dirty units.
 * Locks: the caller holds the shard's. Threads: any.
 */
#ifndef HK_CORE_UNITS_H
#define HK_CORE_UNITS_H

#include "core/pool.h"
#define HK_REFUSED_MS 4000u /* before what the kernel refused is tried again */

/*
 * Whether what was freed at `stamp` has been idle for idle_ms. The clock wraps after 49 days: only
 * a stamp that lies a little ahead is one of a refusal, or newer than `now`.
 */
HK_INLINE bool hk_stamp_idle(uint32_t stamp, uint32_t now, uint32_t idle_ms)
{
    uint32_t ahead = stamp - now;
    return (ahead == 0 || ahead > 2 * HK_REFUSED_MS) && now - stamp >= idle_ms;
}

/* What was noted in s since the last call is added to back. */
void hk_units_noted_idle(struct hk_shard *s, struct hk_idle_times back[HK_BANDS]);
/* So many free units more are dirty. */
void hk_units_count_dirty(struct hk_shard *s, size_t more);
/* As hk_pool_alloc, without growth. */
void *hk_units_take(struct hk_shard *s, size_t units, size_t align_units, bool *clean);
/* Units [at, at + n) of a chunk that is off the free runs; true if they all read as zero. */
bool hk_units_take_at(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n);
/*
 * The same for a purge; how many of them are dirty. note: that these, taken again after it, count
 * as refaults.
 */
size_t hk_units_lend_at(struct hk_shard *s, struct hk_chunk *c, unsigned at, unsigned n, bool note);
/* Units come back, freed at `now`, ms. as: what they were; NULL: their chunks stay as they are. */
struct hk_freed {
    uint8_t band, patience;
};
void hk_units_put(struct hk_shard *s, char *p, size_t units, uint32_t now,
                  const struct hk_freed *as);
extern HK_HIDDEN _Atomic bool hk_units_watched; /* as hk_pool_watch */
/* A purge of units lent is over. done: they read as zero now, not dirty any more. Before they are
 * put. */
void hk_units_purged(char *p, size_t units, bool done);
/* Units that are about to be purged by who frees them count as refaults once taken again. */
void hk_units_noted(char *p, size_t units);
/* All free units of a taken chunk may be resident: the first touch of a huge page is all of it. */
void hk_units_soil(struct hk_shard *s, struct hk_chunk *c, uint32_t now);
/*
 * Whether the units from place `at` of chunk i on, n of them, are all free and s's; if the heap's
 * end comes before that, *missing tells how many chunks more it would take.
 */
bool hk_units_follow(const struct hk_shard *s, size_t i, unsigned at, size_t n, size_t *missing);
#endif
