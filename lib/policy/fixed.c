/* SPDX-License-Identifier: MIT */
/*
 * What: fixed point arithmetic and the generator.
 * Why: see fixed.h; magnitudes are computed without sign, as those cannot overflow in silence.
 */
#include "policy/fixed.h"

/* GCC and clang have it wherever pointers have 64 bits; × and shifts only, no call to libgcc. */
typedef unsigned __int128 wide;

static uint64_t magnitude(hk_q16 x)
{
    return x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
}

static hk_q16 with_sign(uint64_t size, bool negative)
{
    hk_q16 x = size > (uint64_t)HK_Q16_MOST ? HK_Q16_MOST : (hk_q16)size;
    return negative ? -x : x;
}

/* (a << 16) / b, at most UINT64_MAX; b != 0. */
static uint64_t shifted_quotient(uint64_t a, uint64_t b)
{
    if (a >> 48 == 0) return (a << 16) / b;
    uint64_t q = a / b, rest = a % b;
    if (q >> 48) return UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        bool carry = rest >> 63;
        rest <<= 1;
        q <<= 1;
        if (carry || rest >= b) {
            rest -= b;
            q |= 1;
        }
    }
    return q;
}

hk_q16 hk_q16_mul(hk_q16 a, hk_q16 b)
{
    wide p = ((wide)magnitude(a) * magnitude(b) + 32768) >> 16;
    return with_sign(p >> 64 ? UINT64_MAX : (uint64_t)p, (a < 0) != (b < 0));
}

hk_q16 hk_q16_div(hk_q16 a, hk_q16 b)
{
    if (b == 0) return a > 0 ? HK_Q16_MOST : a < 0 ? HK_Q16_LEAST : 0;
    return with_sign(shifted_quotient(magnitude(a), magnitude(b)), (a < 0) != (b < 0));
}

hk_q16 hk_q16_of(uint64_t a, uint64_t b)
{
    if (b == 0) return a ? HK_Q16_MOST : 0;
    return with_sign(shifted_quotient(a, b), false);
}

#define LOG_DIGITS 20
#define LN2        726817 /* ln 2 in 20 binary digits */

hk_q16 hk_q16_ln(hk_q16 x)
{
    uint64_t v = x > 0 ? (uint64_t)x : 1;
    unsigned high = hk_log2(v);
    /* In [1, 2), 31 binary digits. Squaring it brings the next digit of its logarithm. */
    uint64_t m = high > 31 ? v >> (high - 31) : v << (31 - high);
    int64_t log = (int)high - 16;
    for (int i = 0; i < LOG_DIGITS; i++) {
        m = m * m >> 31;
        log *= 2;
        if (m >> 32) {
            log++;
            m >>= 1;
        }
    }
    return log * LN2 / ((int64_t)1 << (2 * LOG_DIGITS - 16));
}

uint64_t hk_isqrt(uint64_t n)
{
    uint64_t root = 0;
    for (uint64_t bit = n ? (uint64_t)1 << (hk_log2(n) & ~1u) : 0; bit; bit >>= 2) {
        if (n >= root + bit) {
            n -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

#define EXP_DIGITS 30
#define LOG2_E     1549082005 /* in 30 binary digits */
#define LN2_EXP    744261118  /* ln 2 in 30 binary digits */
#define EXP_TERMS  10

hk_q16 hk_q16_exp(hk_q16 x)
{
    x = hk_q16_clamp(x, -HK_Q16_EXP_MOST, HK_Q16_EXP_MOST);
    /* x / ln 2, made positive: whole doublings, and a rest in [0, 1). */
    uint64_t log = (uint64_t)(x * LOG2_E + ((int64_t)32 << (16 + EXP_DIGITS)));
    int doublings = (int)(log >> (16 + EXP_DIGITS)) - 32;
    uint64_t rest = log >> 16 & (((uint64_t)1 << EXP_DIGITS) - 1);
    rest = rest * LN2_EXP >> EXP_DIGITS;
    uint64_t term = (uint64_t)1 << EXP_DIGITS, sum = term;
    for (unsigned i = 1; i <= EXP_TERMS; i++) {
        term = (term * rest >> EXP_DIGITS) / i;
        sum += term;
    }
    int right = EXP_DIGITS - 16 - doublings;
    if (right <= 0) return (hk_q16)(sum << -right);
    return (hk_q16)((sum + ((uint64_t)1 << (right - 1))) >> right);
}

uint64_t hk_random_next(struct hk_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t hk_random_below(struct hk_random *r, uint64_t n)
{
    return (uint64_t)((wide)hk_random_next(r) * n >> 64);
}
