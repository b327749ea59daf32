/* SPDX-License-Identifier: MIT */
/*
 * What: what each way to treat freed memory would have cost, told from how long memory lay free.
 * Why: how long it lay until it was taken again does not depend on when its pages went back, so one
 *   record tells the cost of all four ways; nothing must be tried to be compared.
 * Invariants: I1 sums saturate. I2 no cost falls when a price or a count rises. I3 the bucket of
 *   the middle of a bucket is that bucket.
 * Source: renting or buying, as in Karlin, Manasse, Rudolph and Sleator, Competitive snoopy caching
 *   (1988): who keeps memory until that has cost as much as a refault pays at most twice the least.
 */
#ifndef HK_POLICY_IDLE_H
#define HK_POLICY_IDLE_H

#include "base/idle.h"
#include "policy/fixed.h"

/* Freed memory stays resident until it lay free for 60 s, 2 s, 0.5 s, not at all. */
enum hk_action { HK_ACTION_KEEP, HK_ACTION_LAZY, HK_ACTION_BATCH, HK_ACTION_NOW };
#define HK_ACTIONS         4u
#define HK_ACTION_KEEP_MS  60000u
#define HK_ACTION_LAZY_MS  2000u
#define HK_ACTION_BATCH_MS 500u
#define HK_ACTION_NOW_MS   0u

#define HK_IDLE_FADE 16u /* of what was taken again, one part in so many is forgotten */

struct hk_idle {
    uint64_t again[HK_IDLE_BUCKETS]; /* KiB that were taken again, by how long they had lain free */
    uint64_t still[HK_IDLE_BUCKETS]; /* KiB that lie free now, by how long they have */
};

struct hk_prices {
    uint32_t refault_ns_per_kib; /* a page fault and the clearing of the page */
    uint32_t call_ns;            /* a call that gives memory back, whatever its length */
    uint32_t give_ns;            /* to give HK_IDLE_CALL_KIB back */
    uint32_t hold_ns_per_kib_s;  /* what it is worth not to hold a KiB for a second */
};
#define HK_IDLE_CALL_KIB 64u
/* 1.7 µs for 4 KiB; to hold memory for half a second costs as much as to fault it in again. */
#define HK_PRICES_DEFAULT ((struct hk_prices){425, 700, 700, 850})

/* Milliseconds that an action lets memory lie; of one that does not exist: those of KEEP. */
uint32_t hk_action_ms(uint32_t action);
/* The middle of a bucket in milliseconds; one that does not exist is the last. */
uint32_t hk_idle_ms(uint32_t bucket);
/* So many KiB were taken again after they had lain free for ms. */
void hk_idle_again(struct hk_idle *h, uint64_t ms, uint64_t kib);
/* So many KiB lie free and have for ms. */
void hk_idle_still(struct hk_idle *h, uint64_t ms, uint64_t kib);
/* What is remembered of memory taken again shrinks by a sixteenth, rounded down to nothing. */
void hk_idle_fade(struct hk_idle *h);
/* Nanoseconds that all that is remembered costs under each action. */
void hk_idle_costs(const struct hk_idle *h, const struct hk_prices *p, uint64_t cost[HK_ACTIONS]);

#endif
