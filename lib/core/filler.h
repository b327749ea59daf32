/* SPDX-License-Identifier: MIT */
/*
 * What: the filler: which partly used chunk a request of less than a chunk goes to.
 * Why: to the one with the least free span that fits, among those to the fullest, so that other
 *   chunks can empty. Private to the pool.
 * Owns: span, next and prev of used chunks' records.
 * Locks: the caller holds the pool's.
 */
#ifndef HK_CORE_FILLER_H
#define HK_CORE_FILLER_H

#include "core/map.h"

/* File a used chunk under its longest free span, which has changed; a full one is in no bin. */
void hk_filler_file(struct hk_chunk *c);
/* Out of its bin: it is empty now. */
void hk_filler_drop(struct hk_chunk *c);
/* Where n < HK_CHUNK_UNITS units fit, at a multiple of align; NULL: nowhere. */
struct hk_chunk *hk_filler_find(unsigned n, unsigned align, unsigned *at);
/* Forget all chunks: their memory leaks. */
void hk_filler_forget(void);

#endif
