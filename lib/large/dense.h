/* SPDX-License-Identifier: MIT */
/*
 * What: whether programs fill their big blocks, and huge pages for those that do.
 * Why: see policy/huge.h.
 * Threads: all; no lock is waited for.
 */
#ifndef HK_LARGE_DENSE_H
#define HK_LARGE_DENSE_H

#include <stdbool.h>

#include "policy/huge.h"

void hk_dense_set_mode(enum hk_thp mode);
/* A run at p, at least HK_HUGE_LEAST bytes, goes to the program; clean: none of it is resident. */
void hk_dense_big(void *p, size_t bytes, bool clean);
/* A large block of so many units, none resident, starts at p, where a chunk does. */
void hk_dense_chunk(void *p, size_t units);
/* KiB of blocks that were clean, since the start, while slow paths note: small pages, huge ones. */
void hk_dense_touched(uint64_t kib[2]);
void hk_dense_fork_child(void);

#endif
