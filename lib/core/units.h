/* SPDX-License-Identifier: MIT */
/*
 * What: the pool's inside: units go out of chunks and come back; filler first, free runs behind it.
 * Why: pool.c and purge.c both take and put units; how, is here once.
 * Owns: the counts of used and dirty units.
 * Locks: the caller holds hk_pool_lock. Threads: any.
 */
#ifndef HK_CORE_UNITS_H
#define HK_CORE_UNITS_H

#include "core/pool.h"
#include "os/lock.h"

extern HK_HIDDEN struct hk_lock hk_pool_lock;

/* As hk_pool_alloc, without growth. */
void *hk_units_take(size_t units, size_t align_units, bool *clean);
/* Units [at, at + n) of a chunk that is off the free runs; true if they all read as zero. */
bool hk_units_take_at(struct hk_chunk *c, unsigned at, unsigned n);
/* Units from the start of chunk `first` on, out of chunks just taken from the free runs. */
bool hk_units_dress(size_t first, size_t units);
/* Units come back, freed at `now`, ms. */
void hk_units_put(char *p, size_t units, uint32_t now);
/* These read as zero now, by the kernel's doing: not dirty any more. Before they are put. */
void hk_units_clean(char *p, size_t units);
/* All free units of a taken chunk may be resident: the first touch of a huge page is all of it. */
void hk_units_soil(struct hk_chunk *c);
/*
 * Whether the units from place `at` of chunk i on, n of them, are all free; if the heap's end comes
 * before that, *missing tells how many chunks more it would take.
 */
bool hk_units_follow(size_t i, unsigned at, size_t n, size_t *missing);
#endif
