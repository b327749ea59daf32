/* SPDX-License-Identifier: MIT */
/*
 * What: the filler: which partly used chunk a request of less than a chunk goes to.
 * Why: to the one with the least free span that fits, among those to the fullest, so that other
 *   chunks can empty. Private to the pool.
 * Owns: span, next and prev of used chunks' records.
 * Locks: the caller holds the shard's.
 */
#ifndef HK_CORE_FILLER_H
#define HK_CORE_FILLER_H

#include "core/map.h"

struct hk_filler {
    struct hk_chunk *bin[HK_CHUNK_UNITS]; /* by longest free span; none is empty or full */
    uint32_t mask;
};

/* File a used chunk under its longest free span, which has changed; a full one is in no bin. */
void hk_filler_file(struct hk_filler *f, struct hk_chunk *c);
/* Out of its bin: it is empty now. */
void hk_filler_drop(struct hk_filler *f, struct hk_chunk *c);
/* Where n < HK_CHUNK_UNITS units fit, at a multiple of align; NULL: nowhere. */
struct hk_chunk *hk_filler_find(const struct hk_filler *f, unsigned n, unsigned align,
                                unsigned *at);
#ifdef HK_DEBUG
/* Walk the bins and abort on a broken invariant; chunks in them. */
size_t hk_filler_check(const struct hk_filler *f);
#endif
/* Forget all chunks: their memory leaks. */
void hk_filler_forget(struct hk_filler *f);

#endif
