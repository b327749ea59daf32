/* SPDX-License-Identifier: MIT */
/*
 * What: fixed point numbers with 16 binary digits, sums that saturate, a seeded generator.
 * Why: the same observations and the same seed must decide the same on every machine; floating
 *   point might not, and a sum that wraps would turn the worst into the best.
 * Invariants: I1 every function is defined for every argument; what does not fit saturates.
 *   I2 no state but what is handed in.
 * Source: Majithia and Levan, A note on base-2 logarithm computations (1973); Steele, Lea and
 *   Flood, Fast splittable pseudorandom number generators (2014).
 */
#ifndef HK_POLICY_FIXED_H
#define HK_POLICY_FIXED_H

#include "base/bits.h"

typedef int64_t hk_q16;

#define HK_Q16_ONE    ((hk_q16)65536)
#define HK_Q16(n)     ((hk_q16)(n)*65536)       /* of a constant, |n| < 2^47 */
#define HK_Q16_PCT(n) ((hk_q16)(n)*65536 / 100) /* of a constant in hundredths */
#define HK_Q16_MOST   INT64_MAX
#define HK_Q16_LEAST  (-INT64_MAX)

/* The exponent is held to this, either way. */
#define HK_Q16_EXP_MOST HK_Q16(16)

HK_INLINE hk_q16 hk_q16_clamp(hk_q16 x, hk_q16 least, hk_q16 most)
{
    return x < least ? least : x > most ? most : x;
}

HK_INLINE uint64_t hk_sat_add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* a × b and a ÷ b, to the nearest and downwards in size; x ÷ 0 is the end of the range on x's side,
 * 0 ÷ 0 is 0. Within HK_Q16_LEAST … HK_Q16_MOST. */
hk_q16 hk_q16_mul(hk_q16 a, hk_q16 b);
hk_q16 hk_q16_div(hk_q16 a, hk_q16 b);
/* a ÷ b of whole numbers: 0 … HK_Q16_MOST; by 0 as above. */
hk_q16 hk_q16_of(uint64_t a, uint64_t b);
/* Natural logarithm, error < 0.0001; what is not positive counts as 2^-16. -11.1 … 32.6. */
hk_q16 hk_q16_ln(hk_q16 x);
/* e to the power of x held to ±16: error < 0.01 % of it or 2^-16, whichever is more. */
hk_q16 hk_q16_exp(hk_q16 x);
/* Root of a whole number, rounded down: < 2^32. */
uint64_t hk_isqrt(uint64_t n);

/* Any state is a good seed. */
struct hk_random {
    uint64_t state;
};

uint64_t hk_random_next(struct hk_random *r);
/* Evenly in 0 … n-1, off by n/2^64 at most; 0 if n is 0. */
uint64_t hk_random_below(struct hk_random *r, uint64_t n);

#endif
