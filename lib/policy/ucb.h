/* SPDX-License-Identifier: MIT */
/*
 * What: a choice among up to eight arms that learns from rewards, and the canary around it.
 * Why: of a few candidates nobody knows the best for this program; trying costs, so the doubtful
 *   are tried as often as the doubt is worth, and what a trial does not prove better is undone.
 * Invariants: I1 an arm that is returned is below the number of arms. I2 means are in [0, 1],
 *   bounds in [0, HK_UCB_BOUND_MOST]. I3 the canary switches (a trial begins, or is rolled back)
 *   at most 2 + n/4 times in any n windows: a trial takes 4 and comes after 4 at rest. I4 and at
 *   most HK_CANARY_SWITCHES(arms, n) times: each trial has one loser, which is barred for 8, 16 …
 *   512 windows, so of each arm at most 6 bars in a row are shorter than 512; one doubling is
 *   forgotten per 2048 windows outside.
 * Source: UCB1: Auer, Cesa-Bianchi and Fischer, Finite-time analysis of the multiarmed bandit
 *   problem (2002). The factor is 1.5 instead of sqrt 2.
 */
#ifndef HK_POLICY_UCB_H
#define HK_POLICY_UCB_H

#include "policy/fixed.h"

#define HK_UCB_ARMS       8u
#define HK_UCB_FACTOR     (HK_Q16(3) / 2)
#define HK_UCB_PULLS_MOST (1u << 20) /* of an arm; then all fade */
#define HK_UCB_BOUND_MOST HK_Q16(16) /* that of an arm that was never pulled; others: < 8 */

struct hk_ucb {
    uint32_t arms;
    uint32_t pulls[HK_UCB_ARMS];
    hk_q16 sum[HK_UCB_ARMS]; /* of rewards, 0 … pulls */
};

/* 1 … 8 arms; other numbers are moved there. */
void hk_ucb_init(struct hk_ucb *u, uint32_t arms);
/* The arm to pull: one that never was, else the highest bound; of equals the first. Those in barred
 * (bit i: arm i) are left out, unless all are. */
uint32_t hk_ucb_next(const struct hk_ucb *u, uint32_t barred);
/* An arm was pulled; reward is moved to [0, 1]. An arm that does not exist is ignored. */
void hk_ucb_reward(struct hk_ucb *u, uint32_t arm, hk_q16 reward);
/* Mean reward: 0 for what was never pulled. */
hk_q16 hk_ucb_mean(const struct hk_ucb *u, uint32_t arm);
/* mean + 1.5 sqrt(ln(all pulls) / its pulls). */
hk_q16 hk_ucb_bound(const struct hk_ucb *u, uint32_t arm);
/* Half of the evidence is forgotten, means stay: pulls halve, rounded up. */
void hk_ucb_fade(struct hk_ucb *u);

#define HK_CANARY_WINDOWS 4u            /* of a trial, and of rest before one */
#define HK_CANARY_MARGIN  HK_Q16_PCT(2) /* of the mean before, by which a trial must be better */
#define HK_CANARY_LEAST   ((hk_q16)64)  /* and at least so much: a thousandth */
#define HK_CANARY_BAR     8u            /* windows that a loser is barred for, first */
#define HK_CANARY_LEVELS  6u            /* doublings of that */
#define HK_CANARY_FORGET  2048u         /* windows not barred after which one doubling goes */
/* Switches in any n windows, at most; see I4. */
#define HK_CANARY_SWITCHES(arms, n)                                                                \
    (2 * ((uint64_t)(arms) *                                                                       \
              (8 + (n) / (HK_CANARY_BAR << HK_CANARY_LEVELS) + (n) / HK_CANARY_FORGET) +           \
          1))

struct hk_canary {
    uint8_t arms, current, trial; /* current: the one that comes back if the trial fails */
    bool trying;
    uint8_t seen; /* windows of this trial, or at rest, up to HK_CANARY_WINDOWS */
    uint8_t turn;
    uint8_t level[HK_UCB_ARMS];       /* doublings of the next bar */
    uint16_t barred[HK_UCB_ARMS];     /* windows left */
    uint16_t quiet[HK_UCB_ARMS];      /* windows since, up to HK_CANARY_FORGET */
    hk_q16 recent[HK_CANARY_WINDOWS]; /* rewards of the current arm before the trial */
    hk_q16 earned;                    /* by the trial so far */
    uint64_t tried, kept, rolled_back;
};

/* Starts with the arm first (0 if there is none such). */
void hk_canary_init(struct hk_canary *c, uint32_t arms, uint32_t first);
/* The arm at work. */
uint32_t hk_canary_arm(const struct hk_canary *c);
/* Arms that cannot be proposed now, as bits: for hk_ucb_next. */
uint32_t hk_canary_barred(const struct hk_canary *c);
/*
 * A window ended in which hk_canary_arm earned reward; proposed: the arm that should be at work.
 * Returns the one at work from now on. A proposal during a trial, soon after one, of a barred arm
 * or of one that does not exist is ignored.
 */
uint32_t hk_canary_window(struct hk_canary *c, uint32_t proposed, hk_q16 reward);

#endif
