/* SPDX-License-Identifier: MIT */
/*
 * What: which chunks the kernel was advised to back with huge pages.
 * Why: advice belongs to address ranges and outlives the block that asked for it: a chunk that goes
 *   to small runs would become resident whole at its first touch. Each border between advised and
 *   other chunks splits a mapping, so their number is bounded.
 * Locks: HK_RANK_HUGE, inside a shard's, over the marks: borders have two sides, which may be two
 *   shards'. Threads: all.
 */
#ifndef HK_CORE_HUGE_H
#define HK_CORE_HUGE_H

#include "core/shard.h"

/* All the heap's chunks, from the next growth on, whoever takes them. */
void hk_huge_set_always(bool on);
bool hk_huge_always(void);
/* For a big block · for a chunk of large ones · for one that is free, as such will come next. */
enum hk_huge { HK_HUGE_NO, HK_HUGE_BIG, HK_HUGE_SHARED, HK_HUGE_AHEAD };
/* Advise huge pages, or not, for the whole chunks of a run, all of them the caller's. */
void hk_huge_advise(void *p, size_t units, enum hk_huge want);
/*
 * Advise them for the chunk that starts at p and that others will share, if so far these units of
 * the caller's are all that was taken of it; free chunks that come next get them in the same call.
 */
void hk_huge_share(void *p, size_t units);
/*
 * s is entered: a run was taken from it. The chunk that its end uses a part of, if it is advised
 * for what was there before, else NULL: the caller takes the advice back, with hk_huge_undo, when
 * it let go of the lock.
 */
struct hk_chunk *hk_huge_taken(struct hk_shard *s, void *p, size_t units, uint32_t now);
void hk_huge_undo(struct hk_chunk *c);
/* A part of the chunk at p goes back to the kernel, which must not fill it again: no advice any
 * more. */
void hk_huge_leave(const void *p);
/* Whether the chunk at p is advised. */
bool hk_huge_is(const void *p);
/* Chunks advised. */
size_t hk_huge_chunks(void);
/* In the child of fork: what another thread was counting is counted anew. */
void hk_huge_fork_child(void);
#ifdef HK_DEBUG
/* Count the marks, and abort if they are not what is noted. */
void hk_huge_check(void);
#endif

#endif
