/* SPDX-License-Identifier: MIT */
/*
 * What: what a purge of the pool shows to the pool: what is at the kernel now, and what it counts.
 * Why: who finds no memory waits for what is under way; a child of fork takes it back.
 * Locks: shards', taken here.
 */
#ifndef HK_CORE_POOLPURGE_H
#define HK_CORE_POOLPURGE_H

#include "core/pool.h"

/* Wait a moment if free memory is at the kernel and will come back; false: there is none. */
bool hk_purge_wait(int *waits);
/*
 * In a child of fork, after the shards: what another thread had under way is the pool's again, or
 * is lost if the shard is, or if a signal handler of a thread forked that is inside it.
 */
void hk_purge_fork_child(void);
void hk_purge_read_stats(struct hk_pool_stats *out);

#endif
