/* SPDX-License-Identifier: MIT */
/*
 * What: what the threads of one heap did with large blocks.
 * Why: every heap counts for itself, so counting costs no locked instruction; large/ counts, the
 *   heap of slab/ holds the counts, and neither needs to know the other.
 * Invariants: only the sum over all heaps has a meaning: a block may be freed elsewhere; it wraps.
 * Threads: written by who holds the heap; atomic ones read by all.
 */
#ifndef HK_CORE_COUNTS_H
#define HK_CORE_COUNTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idle.h"

/* Units of memory by how long they lay free. */
struct hk_idle_times {
    uint32_t units[HK_IDLE_BUCKETS];
};

/* Classes of runs by length: of 1, 2, 4, 8, 16 and 31 units at most. */
#define HK_RUN_CLASSES 6u
/* What a thread asked for, and what its heap had; by classes. */
struct hk_run_counts {
    _Atomic uint32_t asked[HK_RUN_CLASSES], had[HK_RUN_CLASSES];
    _Atomic uint32_t rounded[2]; /* units more than asked for, in all: of the mid, the large band */
};

struct hk_large_counts {
    _Atomic uint64_t allocs, big, frees, resized;
    _Atomic uint64_t hits; /* allocs out of the runs that the heap held */
    _Atomic size_t units;  /* of live runs */
    size_t asked, held;    /* bytes of late requests that reached the pool, and of their units */
    _Atomic size_t tail;   /* bytes of live runs beyond the last page asked for */
    _Atomic size_t dirty;  /* the part of them that is resident, since all were told of it */
};

#endif
