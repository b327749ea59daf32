/* SPDX-License-Identifier: MIT */
/*
 * What: the scenarios that need several threads, for the table in scenarios.c.
 * Why: one table, two files.
 */
#ifndef HK_BENCH_THREADS_H
#define HK_BENCH_THREADS_H

#include "load.h"

void churn(struct load *l, size_t slots, size_t least, size_t most);
void mid_large_mt(struct load *l);
void larson(struct load *l);
void larson_small(struct load *l);
void larson_mid(struct load *l);
void prodcons(struct load *l);
void thread_storm(struct load *l);

#endif
