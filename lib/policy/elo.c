/* SPDX-License-Identifier: MIT */
/*
 * What: Elo ratings and the choice by them.
 * Why: see elo.h.
 */
#include "policy/elo.h"

#define LN10 ((hk_q16)150902) /* ln 10 */

void hk_elo_init(struct hk_elo *e)
{
    for (uint32_t band = 0; band < HK_ELO_BANDS; band++) {
        for (uint32_t a = 0; a < HK_ACTIONS; a++) {
            e->rating[band][a] = HK_ELO_START;
            e->played[band][a] = 0;
        }
    }
}

static int32_t bounded(int64_t rating)
{
    return (int32_t)hk_q16_clamp(rating, (hk_q16)HK_ELO_LEAST, (hk_q16)HK_ELO_MOST);
}

hk_q16 hk_elo_expected(int32_t a, int32_t b)
{
    int64_t ahead = (int64_t)bounded(b) - bounded(a);
    hk_q16 power = ahead * LN10 / ((int64_t)400 * HK_ELO_POINT);
    return hk_q16_div(HK_Q16_ONE, HK_Q16_ONE + hk_q16_exp(power));
}

int32_t hk_elo_k(uint32_t played)
{
    if (played > HK_ELO_K_FALL) played = HK_ELO_K_FALL;
    int32_t fall = (HK_ELO_K_FIRST - HK_ELO_K_LAST) / (int32_t)HK_ELO_K_FALL;
    return HK_ELO_K_FIRST - fall * (int32_t)played;
}

static void played(struct hk_elo *e, uint32_t band, uint32_t a, uint32_t matches)
{
    uint32_t sum = e->played[band][a];
    sum = sum < HK_ELO_K_FALL ? sum + matches : sum;
    e->played[band][a] = sum < HK_ELO_K_FALL ? sum : HK_ELO_K_FALL;
}

/* What a match moves the rating of a by. */
static int64_t gain(const struct hk_elo *e, uint32_t band, uint32_t a, hk_q16 surprise)
{
    return hk_elo_k(e->played[band][a]) * surprise / HK_Q16_ONE;
}

void hk_elo_match(struct hk_elo *e, uint32_t band, uint32_t a, uint32_t b, hk_q16 score)
{
    if (band >= HK_ELO_BANDS || a >= HK_ACTIONS || b >= HK_ACTIONS || a == b) return;
    int32_t *r = e->rating[band];
    hk_q16 surprise = hk_q16_clamp(score, 0, HK_Q16_ONE) - hk_elo_expected(r[a], r[b]);
    int64_t to_a = gain(e, band, a, surprise), to_b = gain(e, band, b, -surprise);
    r[a] = bounded(r[a] + to_a);
    r[b] = bounded(r[b] + to_b);
    played(e, band, a, 1);
    played(e, band, b, 1);
}

static hk_q16 result(uint64_t a, uint64_t b)
{
    uint64_t more = a > b ? a : b, apart = a > b ? a - b : b - a;
    if (apart <= more / HK_ELO_DRAW) return HK_Q16_ONE / 2;
    return a < b ? HK_Q16_ONE : 0;
}

void hk_elo_window(struct hk_elo *e, uint32_t band, const uint64_t cost[HK_ACTIONS])
{
    int64_t sum[HK_ACTIONS] = {0};
    if (band >= HK_ELO_BANDS) return;
    int32_t *r = e->rating[band];
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        for (uint32_t b = a + 1; b < HK_ACTIONS; b++) {
            hk_q16 surprise = result(cost[a], cost[b]) - hk_elo_expected(r[a], r[b]);
            sum[a] += gain(e, band, a, surprise);
            sum[b] += gain(e, band, b, -surprise);
        }
    }
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        r[a] = bounded(r[a] + sum[a]);
        played(e, band, a, HK_ACTIONS - 1);
    }
}

static uint32_t top(const int32_t rating[HK_ACTIONS])
{
    uint32_t best = 0;
    for (uint32_t a = 1; a < HK_ACTIONS; a++) {
        if (rating[a] > rating[best]) best = a;
    }
    return best;
}

uint32_t hk_elo_pick(const struct hk_elo *e, uint32_t band, uint32_t temperature,
                     struct hk_random *random)
{
    uint64_t weight[HK_ACTIONS], sum = 0;
    uint64_t drawn = hk_random_next(random);
    if (band >= HK_ELO_BANDS) return 0;
    const int32_t *r = e->rating[band];
    uint32_t best = top(r);
    if (temperature == 0) return best;
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        int64_t behind = (int64_t)bounded(r[best]) - bounded(r[a]);
        weight[a] = (uint64_t)hk_q16_exp(-(behind * 65536) / HK_ELO_POINT / temperature);
        sum += weight[a];
    }
    /* sum ≤ 4 × 65536: the upper half of what was drawn is plenty. */
    uint64_t place = (drawn >> 32) * sum >> 32;
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        if (place < weight[a]) return a;
        place -= weight[a];
    }
    return best;
}

uint32_t hk_elo_best(const struct hk_elo *e, uint32_t band, uint32_t current, uint32_t margin)
{
    if (band >= HK_ELO_BANDS) return current < HK_ACTIONS ? current : 0;
    const int32_t *r = e->rating[band];
    uint32_t best = top(r);
    if (current >= HK_ACTIONS) return best;
    return (int64_t)r[best] - r[current] > (int64_t)margin ? best : current;
}
