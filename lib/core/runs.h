/* SPDX-License-Identifier: MIT */
/*
 * What: the free chunk runs: bins by length, boundary tags, coalescing. Private to the pool.
 * Why: apart from the filler, because it works on chunks and knows nothing of units.
 * Invariants: P2 of pool.h. The first and the last chunk of a run carry its length.
 * Locks: the caller holds the pool's.
 */
#ifndef HK_CORE_RUNS_H
#define HK_CORE_RUNS_H

#include "core/map.h"

/* Chunks [first, first + n) become free; merged with free neighbours. */
void hk_runs_put(size_t first, size_t n);
/* A free run of n chunks, start a multiple of align chunks; SIZE_MAX if there is none. */
size_t hk_runs_take(size_t n, size_t align);
/* Take exactly [first, first + n) out of the free run that contains it. */
bool hk_runs_take_at(size_t first, size_t n);
/* First chunk and length of the free run that contains chunk i, which is free. */
size_t hk_runs_head(size_t i, size_t *len);
/* Length of the free run at the heap's end, chunks; 0 without. */
size_t hk_runs_tail(void);
/* Forget all free runs: their memory leaks. */
void hk_runs_forget(void);

#endif
