/* SPDX-License-Identifier: MIT */
/*
 * What: the decisions in force, for all that large and big blocks do: one word.
 * Why: a reader copies it with one load and decides by its copy, for as long as its slow path
 *   lasts. There is nothing to reclaim, so no reader can outlive what it reads: a word needs no
 *   grace period, and a decision is in force with the next load of each thread.
 * Invariants: N1 every value that the fields can hold is a valid decision. N2 a word is published
 *   by one store, so a reader sees all of a decision or nothing. Threads: all.
 */
#ifndef HK_POLICY_SNAPSHOT_H
#define HK_POLICY_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/pool.h"
#include "policy/huge.h"
#include "policy/idle.h"

#define HK_RUN_MID_CLASSES 3u /* of HK_RUN_CLASSES: the bands meet there */
#define HK_WMAX_ARMS       5u /* the first is 1: no rounding */

struct hk_snapshot {
    uint64_t learn : 1;      /* slow paths note what they do */
    uint64_t adapt : 1;      /* patience follows refaults, see hk_policy_decay */
    uint64_t wmax_mid : 3;   /* number of the arm, below HK_WMAX_ARMS */
    uint64_t wmax_large : 3; /* the same */
    uint64_t caps_on : 1;    /* what threads hold is shared by caps */
    uint64_t action_mid : 2; /* enum hk_action */
    uint64_t action_large : 2;
    uint64_t action_big : 2;
    uint64_t cap : 36;       /* six bits a class of runs: units of it that stay when all is full */
    uint64_t dyn : 1;        /* classes chosen at run time are in force: hk_dyn_now() */
    uint64_t huge_from : 3;  /* number of the arm, below HK_HUGE_ARMS */
    uint64_t exact : 1;      /* freed memory never goes sooner than its action says */
    uint64_t sites : 1;      /* there are rules for call sites */
    uint64_t generation : 7; /* of the decision; wraps */
};
_Static_assert(sizeof(struct hk_snapshot) == sizeof(uint64_t), "one word");

extern HK_HIDDEN _Atomic uint64_t hk_policy_word;
/* What the arms stand for, in thousandths of what is asked for: of the mid and the large band. */
extern HK_HIDDEN _Atomic uint16_t hk_policy_wmax[2][HK_WMAX_ARMS];

#define HK_HUGE_ARMS  5u
#define HK_HUGE_NEVER ((uint64_t)1 << 40)
/* Bytes from which on a big block may get huge pages, under arm 0: the setting. */
extern HK_HIDDEN _Atomic uint64_t hk_policy_huge_set;
HK_INLINE uint64_t hk_policy_huge_from(unsigned arm)
{
    static const uint64_t bytes[HK_HUGE_ARMS] = {0, 8 * HK_MIB, 16 * HK_MIB, 64 * HK_MIB,
                                                 HK_HUGE_NEVER};
    if (arm >= HK_HUGE_ARMS) arm = 0; /* N1 */
    return arm ? bytes[arm] : atomic_load_explicit(&hk_policy_huge_set, memory_order_relaxed);
}

HK_INLINE struct hk_snapshot hk_snapshot_of(uint64_t word)
{
    union {
        uint64_t word;
        struct hk_snapshot s;
    } u = {word};
    return u.s;
}

HK_INLINE uint64_t hk_snapshot_word(struct hk_snapshot s)
{
    union {
        struct hk_snapshot s;
        uint64_t word;
    } u = {s};
    return u.word;
}

HK_INLINE struct hk_snapshot hk_policy_now(void)
{
    return hk_snapshot_of(atomic_load_explicit(&hk_policy_word, memory_order_relaxed));
}

/* The balanced decisions: what is in force from the start on. */
struct hk_snapshot hk_policy_balanced(void);
void hk_policy_publish(struct hk_snapshot s);
/* What an arm from 1 on stands for, at least 1000. */
void hk_policy_set_wmax(bool large, unsigned arm, uint16_t thousandths);

HK_INLINE enum hk_band hk_policy_band(size_t units)
{
    return units >= HK_CHUNK_UNITS ? HK_BAND_BIG : units > 4 ? HK_BAND_LARGE : HK_BAND_MID;
}

HK_INLINE enum hk_action hk_policy_action(struct hk_snapshot s, enum hk_band band)
{
    return (enum hk_action)(band == HK_BAND_BIG     ? s.action_big
                            : band == HK_BAND_LARGE ? s.action_large
                                                    : s.action_mid);
}

/* How much longer than the decay time, in HK_PATIENCE_MS. */
HK_INLINE uint8_t hk_policy_patience(enum hk_action a)
{
    return a == HK_ACTION_KEEP   ? (HK_ACTION_KEEP_MS - HK_ACTION_BATCH_MS) / HK_PATIENCE_MS
           : a == HK_ACTION_LAZY ? (HK_ACTION_LAZY_MS - HK_ACTION_BATCH_MS) / HK_PATIENCE_MS
                                 : 0;
}

/* Class of runs of so many units, below HK_CHUNK_UNITS. */
HK_INLINE unsigned hk_run_class(unsigned units)
{
    return units <= 2 ? units - 1 : hk_log2(units - 1) + 1;
}

/* The longest of a class. */
HK_INLINE unsigned hk_run_class_units(unsigned c)
{
    return c < HK_RUN_CLASSES - 1 ? 1u << c : HK_CHUNK_UNITS - 1;
}

#define HK_CAP_MOST 63u /* units */
#define HK_CAP_MASK (((uint64_t)1 << 36) - 1)
/* What `cap` has in it for a class; beyond the most: that. */
HK_INLINE uint64_t hk_policy_cap_bits(unsigned c, uint64_t units)
{
    return (units < HK_CAP_MOST ? units : HK_CAP_MOST) << (6 * c);
}

HK_INLINE unsigned hk_policy_cap(struct hk_snapshot s, unsigned c)
{
    return (unsigned)(s.cap >> (6 * c)) & HK_CAP_MOST;
}

/* The longest run that may serve a request of so many units, below HK_CHUNK_UNITS. */
HK_INLINE unsigned hk_policy_longest(struct hk_snapshot s, unsigned units)
{
    bool mid = hk_policy_band(units) == HK_BAND_MID;
    unsigned arm = mid ? s.wmax_mid : s.wmax_large;
    if (HK_LIKELY(arm == 0)) return units;
    if (arm >= HK_WMAX_ARMS) arm = HK_WMAX_ARMS - 1; /* N1 */
    unsigned most =
        units * atomic_load_explicit(&hk_policy_wmax[!mid][arm], memory_order_relaxed) / 1000;
    return most < HK_CHUNK_UNITS ? most : HK_CHUNK_UNITS - 1;
}

#endif
