/* SPDX-License-Identifier: MIT */
/*
 * What: the free chunk runs of a shard: bins by length, boundary tags, coalescing. Private to the
 *   pool.
 * Why: apart from the filler, because it works on chunks and knows nothing of units.
 * Invariants: P2 of pool.h. The first and the last chunk of a run carry its length.
 * Locks: the caller holds the shard's.
 */
#ifndef HK_CORE_RUNS_H
#define HK_CORE_RUNS_H

#include "core/map.h"

#define HK_RUN_BINS 96u

struct hk_runs {
    struct hk_chunk *bin[HK_RUN_BINS];
    uint64_t mask[(HK_RUN_BINS + 63) / 64];
    uint16_t shard;       /* whose chunks they are */
    _Atomic size_t count; /* chunks free: written under the lock, others take a glance */
};

/* Chunks [first, first + n), the shard's, become free; merged with free neighbours. */
void hk_runs_put(struct hk_runs *r, size_t first, size_t n);
/* A free run of n chunks, start a multiple of align chunks; SIZE_MAX if there is none. */
size_t hk_runs_take(struct hk_runs *r, size_t n, size_t align);
/* Take exactly [first, first + n) out of the free run that contains it. */
bool hk_runs_take_at(struct hk_runs *r, size_t first, size_t n);
/* The longest free run, whole; its first chunk, SIZE_MAX without. */
size_t hk_runs_take_any(struct hk_runs *r, size_t *n);
/* Length of the free run at the heap's end, chunks; 0 if that is not the shard's. */
size_t hk_runs_tail(const struct hk_runs *r);
/* Whether chunk i is the shard's and free. */
bool hk_runs_has(const struct hk_runs *r, size_t i);
#ifdef HK_DEBUG
/* Walk the bins and abort on a broken invariant. */
void hk_runs_check(const struct hk_runs *r);
#endif
/* Forget all free runs: their memory leaks. */
void hk_runs_forget(struct hk_runs *r);

#endif
