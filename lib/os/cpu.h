/* SPDX-License-Identifier: MIT */
/*
 * What: the CPU that the calling thread runs on, and its NUMA node.
 * Why: what all threads share is split by CPU and node. The kernel keeps both in the rseq area that
 *   the C library registered; without one the vDSO's getcpu knows, and without that all CPUs are
 *   one. Never a system call, never /sys: sandboxes know neither.
 * Invariants: a hint only: the thread may be elsewhere a moment later, ids have gaps and no bound.
 * Threads: all.
 */
#ifndef HK_OS_CPU_H
#define HK_OS_CPU_H

#include <stdint.h>

#include "base/attr.h"

struct hk_cpu_place {
    uint32_t cpu, node;
};

/* 0 and 0 where nobody knows. */
struct hk_cpu_place hk_cpu_now(void);
/* The CPU alone, which costs less. */
uint32_t hk_cpu_id(void);

#ifdef HK_CPU_VIRTUAL
/* Where a test says that the thread runs; NULL: CPU 0 of node 0. */
extern struct hk_cpu_place (*hk_cpu_virtual)(void);
#endif

#endif
