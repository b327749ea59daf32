/* SPDX-License-Identifier: MIT */
/*
 * What: a running estimate of one quantile, in constant memory.
 * Why: median and tail of latencies and lifetimes without keeping them.
 * Invariants: I1 the estimate is between the least and the greatest value seen, values held to
 *   HK_P2_MOST. I2 heights never fall from marker to marker, positions rise by 1 at least.
 *   I3 positions stay ≤ HK_P2_COUNT: there they halve, so that old values fade.
 * Source: Jain and Chlamtac, The P2 algorithm for dynamic calculation of quantiles and histograms
 *   without storing observations (1985).
 */
#ifndef HK_POLICY_P2_H
#define HK_POLICY_P2_H

#include "policy/fixed.h"

#define HK_P2_MARKERS 5u
#define HK_P2_MOST    ((uint64_t)1 << 40)
/* 2^48 × 2^14: products of heights and positions fit. */
#define HK_P2_COUNT (1u << 14)
/* Binary digits of heights, or small values would stick to whole numbers. */
#define HK_P2_DIGITS 8

struct hk_p2 {
    uint32_t permille;
    uint32_t count;              /* values seen, up to 5 */
    int64_t at[HK_P2_MARKERS];   /* positions of the markers, from 1 on */
    int64_t high[HK_P2_MARKERS]; /* and their heights, with HK_P2_DIGITS */
};

/* The quantile in thousandths, 1 … 999, else moved there. */
void hk_p2_init(struct hk_p2 *p, uint32_t permille);
/* A value, in any unit; above HK_P2_MOST it counts as that. */
void hk_p2_add(struct hk_p2 *p, uint64_t value);
/* The estimate; exact up to five values; 0 without any. */
uint64_t hk_p2_value(const struct hk_p2 *p);

#endif
