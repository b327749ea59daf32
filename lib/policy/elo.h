/* SPDX-License-Identifier: MIT */
/*
 * What: Elo ratings of what to do with freed memory, by band of sizes, and the pick by softmax.
 * Why: costs of windows differ by orders of magnitude; who was cheaper in each window does not, so
 *   one monstrous window weighs no more than any other.
 * Invariants: I1 ratings stay in HK_ELO_LEAST … HK_ELO_MOST. I2 a window moves a rating by at most
 *   3 K ≤ 96 points. I3 actions returned are below HK_ACTIONS. I4 hk_elo_best leaves an action only
 *   for one that is rated more than the margin above it.
 * Source: Elo, The rating of chessplayers, past and present (1978); softmax selection: Luce,
 *   Individual choice behavior (1959).
 */
#ifndef HK_POLICY_ELO_H
#define HK_POLICY_ELO_H

#include "policy/fixed.h"
#include "policy/idle.h"

#define HK_ELO_BANDS 3u
#define HK_ELO_POINT 1000 /* ratings are in thousandths of a point */
#define HK_ELO_START (1500 * HK_ELO_POINT)
#define HK_ELO_LEAST (500 * HK_ELO_POINT)
#define HK_ELO_MOST  (2500 * HK_ELO_POINT)
/* Points that a match can bring: at first, and after so many of them; a straight line between. */
#define HK_ELO_K_FIRST (32 * HK_ELO_POINT)
#define HK_ELO_K_LAST  (8 * HK_ELO_POINT)
#define HK_ELO_K_FALL  96u
/* Costs within this part of the greater are a draw. */
#define HK_ELO_DRAW 20u

struct hk_elo {
    int32_t rating[HK_ELO_BANDS][HK_ACTIONS];
    uint32_t played[HK_ELO_BANDS][HK_ACTIONS]; /* up to HK_ELO_K_FALL */
};

void hk_elo_init(struct hk_elo *e);
/* Score that a is expected to get against b: 1 / (1 + 10^((b - a) / 400 points)); in [0, 1]. */
hk_q16 hk_elo_expected(int32_t a, int32_t b);
/* Thousandths of points that a match may bring after so many. */
int32_t hk_elo_k(uint32_t played);
/*
 * Actions a and b of a band met; score of a: 1 it won, 0 it lost (moved to [0, 1]). A band or
 * action that does not exist, or one against itself, changes nothing: as below.
 */
void hk_elo_match(struct hk_elo *e, uint32_t band, uint32_t a, uint32_t b, hk_q16 score);
/* A window would have cost so much under each action: all pairs meet, with the old ratings. */
void hk_elo_window(struct hk_elo *e, uint32_t band, const uint64_t cost[HK_ACTIONS]);
/*
 * An action with probability ~ e^(rating / temperature); temperature in points, 0: the best one.
 * One draws a number each time, whatever the temperature. 0 for a band that does not exist.
 */
uint32_t hk_elo_pick(const struct hk_elo *e, uint32_t band, uint32_t temperature,
                     struct hk_random *random);
/* The top one (of equals the first); but the current one, if there is such, unless beaten by more
 * than margin thousandths of points. */
uint32_t hk_elo_best(const struct hk_elo *e, uint32_t band, uint32_t current, uint32_t margin);

#endif
