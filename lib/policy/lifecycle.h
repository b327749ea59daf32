/* SPDX-License-Identifier: MIT */
/*
 * What: when to learn, when to try what was learnt, when to leave it alone.
 * Why: learning costs, and changes what a program has come to rely on; so it ends, what it found is
 *   compared with what was before, and it begins again only when the load has become another one.
 * Invariants: I1 windows with few requests change nothing. I2 between two starts of LEARN are at
 *   least HK_LIFE_ROUND windows (10, of LEARN and CANARY; 22 where FROZEN lies between). I3 what is
 *   on trial is judged by 4 windows, a second after it began; worse by more than 2 % and what
 * windows differ by, it is reverted and that is counted. I4 in the modes off and frozen nothing
 * ever changes.
 *
 *   once:    LEARN -> CANARY -> FROZEN (kept or reverted) -> on drift LEARN
 *   always:  LEARN -> CANARY -> LEARN
 * Source: canary release, as in Davidovič and Beyer, Canary analysis service (2018); drift against
 *   a reference window: Kifer, Ben-David and Gehrke, Detecting change in data streams (2004).
 */
#ifndef HK_POLICY_LIFECYCLE_H
#define HK_POLICY_LIFECYCLE_H

#include "policy/fixed.h"

#define HK_LIFE_SIZES    8u  /* parts that sizes of requests are counted in */
#define HK_LIFE_REQUESTS 16u /* a window with less tells nothing */
/* Windows at the start of LEARN that measure what is in force; fewer if they take long. */
#define HK_LIFE_BEFORE       4u
#define HK_LIFE_BEFORE_LEAST 2u
#define HK_LIFE_BEFORE_MS    2000u
#define HK_LIFE_LEAST        4u /* windows of learning, at least */
#define HK_LIFE_SAME         8u /* it ends after so many without a change of decisions, */
#define HK_LIFE_SAME_MS                                                                            \
    2000u                    /* that took so long: a peak that comes every second is to be seen,   \
                              */
#define HK_LIFE_ENOUGH 1792u /* or so many requests in LEARN */
/* Of a trial, what the change itself leaves behind is not judged: so long, or so many windows. */
#define HK_LIFE_SETTLE_MS   1000u
#define HK_LIFE_SETTLE_MOST 4096u
#define HK_LIFE_CANARY      4u /* windows of trial */
#define HK_LIFE_BLOCK                                                                              \
    4u                   /* windows whose mean is compared, once FROZEN, with the first such mean  \
                          */
#define HK_LIFE_DRIFT 2u /* blocks in a row that differ from that one */
#define HK_LIFE_ROUND (HK_LIFE_BEFORE_LEAST + HK_LIFE_LEAST + HK_LIFE_CANARY)
/*
 * Part of the cost before by which a trial may be worse; and a nanosecond. And a quarter of what
 * windows differ by, before and on trial: about the standard error of the two means of four.
 */
#define HK_LIFE_MARGIN HK_Q16_PCT(2)
/* Drift: a quarter of the requests of another size, L1 distance of 0.5; or most of a block's
 * windows say that other decisions would do better. Not another cost: a load of bursts and rests
 * has many. */
#define HK_LIFE_DRIFT_MIX (HK_Q16_ONE / 2)
/* Costs per request are held to this, in Q16. */
#define HK_LIFE_COST_MOST ((hk_q16)1 << 56)

enum hk_life_mode { HK_LIFE_MODE_OFF, HK_LIFE_MODE_FROZEN, HK_LIFE_MODE_ONCE, HK_LIFE_MODE_ALWAYS };
enum hk_life_state {
    HK_LIFE_STATE_OFF,
    HK_LIFE_STATE_LEARN,
    HK_LIFE_STATE_CANARY,
    HK_LIFE_STATE_FROZEN
};
/* What is to be done now. */
enum hk_life_order {
    HK_LIFE_NONE,
    HK_LIFE_TRY,    /* LEARN ended: put what was learnt in force, keeping what was before */
    HK_LIFE_KEEP,   /* the trial was no worse: forget what was before */
    HK_LIFE_REVERT, /* it was worse: put back what was before */
    HK_LIFE_RELEARN /* the load is another one: learn again, from what is in force */
};

struct hk_life_window {
    uint64_t cost_ns, requests, ms;
    uint64_t sizes[HK_LIFE_SIZES]; /* requests by size */
    bool changed;                  /* a decision changed in this window */
    bool unfit;                    /* other decisions than those in force would do better */
};

/* What a load looks like: the mean of windows. */
struct hk_life_load {
    hk_q16 cost; /* ns per request */
    hk_q16 mix[HK_LIFE_SIZES];
};

struct hk_lifecycle {
    uint8_t mode, state;   /* enum hk_life_mode, hk_life_state */
    uint8_t drifting;      /* blocks in a row */
    uint8_t unfit;         /* windows of this block */
    bool known;            /* frozen has the load since freezing */
    bool settled;          /* what the trial changed has come to rest */
    bool measured;         /* in this LEARN: what is in force */
    bool touched;          /* a decision changed in this LEARN */
    uint32_t windows;      /* with requests, in this state */
    uint32_t same;         /* windows in a row without a change */
    uint64_t requests, ms; /* in this state */
    hk_q16 least, most;    /* cost of a window among those summed up */
    hk_q16 spread;         /* most - least, before */
    uint32_t settling;     /* windows of this trial that do not count */
    struct hk_life_load sum, before, frozen;
    uint64_t tried, kept, reverted, relearnt;
};

/* A mode that does not exist is off. */
void hk_lifecycle_init(struct hk_lifecycle *l, enum hk_life_mode mode);
/* Whether decisions may change now: LEARN, and what was in force has been measured. */
bool hk_lifecycle_learns(const struct hk_lifecycle *l);
/* A window ended. */
enum hk_life_order hk_lifecycle_window(struct hk_lifecycle *l, const struct hk_life_window *w);
/* L1 distance of two mixes: 0 … 2. */
hk_q16 hk_lifecycle_distance(const hk_q16 a[HK_LIFE_SIZES], const hk_q16 b[HK_LIFE_SIZES]);

#endif
