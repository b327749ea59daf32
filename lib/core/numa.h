/* SPDX-License-Identifier: MIT */
/*
 * What: on which nodes the kernel is to put the heap's pages, where the user asked for more than
 *   the first touch.
 * Why: first touch by a thread of the shard's node is right for nearly all; databases and the like
 *   want their own.
 * Threads: all.
 */
#ifndef HK_CORE_NUMA_H
#define HK_CORE_NUMA_H

#include <stddef.h>
#include <stdint.h>

/*
 * In the order of the words of NUMA: nodes do not matter · pages where they are first touched · on
 * the node of who asked for the memory, or failing that on another · one node after the other.
 */
enum hk_numa { HK_NUMA_OFF, HK_NUMA_LOCAL, HK_NUMA_BIND, HK_NUMA_INTERLEAVE };

void hk_numa_set(enum hk_numa how);
/* Fresh memory, for a thread on `node`. Refusal is of no consequence. */
void hk_numa_place(void *p, size_t bytes, uint32_t node);
/* The same for the calling thread's. */
void hk_numa_place_here(void *p, size_t bytes);

#endif
