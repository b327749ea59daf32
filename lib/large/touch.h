/* SPDX-License-Identifier: MIT */
/*
 * What: what a page fault costs here and now, measured.
 * Why: it decides what giving memory back costs, and differs by a factor of ten between hosts, and
 *   between hours on one whose owner sells it several times.
 * Threads: all.
 */
#ifndef HK_LARGE_TOUCH_H
#define HK_LARGE_TOUCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * A run of so many bytes, all of it zero and not resident, was just taken, by a block that will
 * most likely be filled: of one in some its first pages are touched before it is handed out.
 */
void hk_touch(void *p, size_t bytes);
/* Nanoseconds a KiB, lately; 0: not measured yet. */
uint32_t hk_touch_price(void);

#endif
