/* SPDX-License-Identifier: MIT */
/*
 * What: what page faults cost here and now, in small pages and in huge ones, measured.
 * Why: it decides what giving memory back costs, and whether huge pages pay. It differs by a factor
 *   of ten between hosts, and between hours on one whose owner sells it several times: there the
 *   clearing of a huge page may take longer than that of 512 small ones.
 * Invariants: memory that is touched was clean, and was asked for by somebody who will fill it.
 * Threads: all.
 */
#ifndef HK_LARGE_TOUCH_H
#define HK_LARGE_TOUCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A run of so many bytes, all of it zero and not resident, was just taken, by a block that will
 * most likely be filled: of one in some its first pages are touched before it is handed out.
 */
void hk_touch(void *p, size_t bytes);
/* The same for the first page of a chunk that is advised to be huge, or not, each time. */
void hk_touch_huge(void *chunk);
void hk_touch_small(void *p);
/* Nanoseconds a KiB lately, in small pages and in huge ones; 0: not measured yet. */
void hk_touch_prices(uint32_t out[2]);
/* Whether a KiB of a huge page costs less than one in small pages, as far as is known. */
bool hk_touch_huge_pays(void);

#endif
