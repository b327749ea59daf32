/* SPDX-License-Identifier: MIT */
/*
 * What: UCB1 and the canary.
 * Why: see ucb.h.
 */
#include "policy/ucb.h"

#include <string.h>

static uint32_t bounded_arms(uint32_t arms)
{
    return arms < 1 ? 1 : arms > HK_UCB_ARMS ? HK_UCB_ARMS : arms;
}

void hk_ucb_init(struct hk_ucb *u, uint32_t arms)
{
    memset(u, 0, sizeof *u);
    u->arms = bounded_arms(arms);
}

hk_q16 hk_ucb_mean(const struct hk_ucb *u, uint32_t arm)
{
    if (arm >= bounded_arms(u->arms) || u->pulls[arm] == 0) return 0;
    return hk_q16_clamp(u->sum[arm] / u->pulls[arm], 0, HK_Q16_ONE);
}

/* ln of all pulls: 0 … 16. */
static hk_q16 log_total(const struct hk_ucb *u)
{
    uint64_t total = 0;
    for (uint32_t a = 0; a < bounded_arms(u->arms); a++) total += u->pulls[a];
    return total ? hk_q16_ln((hk_q16)(total << 16)) : 0;
}

static hk_q16 bound(const struct hk_ucb *u, uint32_t arm, hk_q16 log)
{
    if (u->pulls[arm] == 0) return HK_UCB_BOUND_MOST;
    /* The root of 32 binary digits has 16. */
    uint64_t root = hk_isqrt(((uint64_t)log << 16) / u->pulls[arm]);
    return hk_ucb_mean(u, arm) + hk_q16_mul(HK_UCB_FACTOR, (hk_q16)root);
}

hk_q16 hk_ucb_bound(const struct hk_ucb *u, uint32_t arm)
{
    return arm < bounded_arms(u->arms) ? bound(u, arm, log_total(u)) : 0;
}

uint32_t hk_ucb_next(const struct hk_ucb *u, uint32_t barred)
{
    uint32_t arms = bounded_arms(u->arms), all = hk_low_mask32(arms), best = 0;
    if ((barred & all) == all) barred = 0;
    hk_q16 log = log_total(u), most = -1;
    for (uint32_t a = 0; a < arms; a++) {
        hk_q16 b = barred >> a & 1 ? -1 : bound(u, a, log);
        if (b <= most) continue;
        most = b;
        best = a;
    }
    return best;
}

void hk_ucb_fade(struct hk_ucb *u)
{
    for (uint32_t a = 0; a < bounded_arms(u->arms); a++) {
        uint32_t was = u->pulls[a];
        if (was == 0) continue;
        /* Up: an arm with one pull would count as never pulled, and be tried after each fading. */
        u->pulls[a] = was / 2 + was % 2;
        u->sum[a] = u->sum[a] * (hk_q16)u->pulls[a] / (hk_q16)was;
    }
}

void hk_ucb_reward(struct hk_ucb *u, uint32_t arm, hk_q16 reward)
{
    if (arm >= bounded_arms(u->arms)) return;
    u->pulls[arm]++;
    u->sum[arm] += hk_q16_clamp(reward, 0, HK_Q16_ONE);
    if (u->pulls[arm] >= HK_UCB_PULLS_MOST) hk_ucb_fade(u);
}

void hk_canary_init(struct hk_canary *c, uint32_t arms, uint32_t first)
{
    memset(c, 0, sizeof *c);
    c->arms = (uint8_t)bounded_arms(arms);
    c->current = (uint8_t)(first < c->arms ? first : 0);
}

uint32_t hk_canary_arm(const struct hk_canary *c)
{
    return c->trying ? c->trial : c->current;
}

uint32_t hk_canary_barred(const struct hk_canary *c)
{
    uint32_t bits = 0;
    for (uint32_t a = 0; a < HK_UCB_ARMS; a++) bits |= (uint32_t)(c->barred[a] != 0) << a;
    return bits;
}

static void pass_window(struct hk_canary *c)
{
    for (uint32_t a = 0; a < HK_UCB_ARMS; a++) {
        if (c->barred[a]) {
            c->barred[a]--;
        } else if (c->level[a] && ++c->quiet[a] >= HK_CANARY_FORGET) {
            c->level[a]--;
            c->quiet[a] = 0;
        }
    }
}

static void bar(struct hk_canary *c, uint32_t arm)
{
    c->barred[arm] = (uint16_t)(HK_CANARY_BAR << c->level[arm]);
    if (c->level[arm] < HK_CANARY_LEVELS) c->level[arm]++;
    c->quiet[arm] = 0;
}

/* Whichever loses is barred: an arm that was displaced must not come back at once either. */
static void judge(struct hk_canary *c)
{
    hk_q16 before = 0, now = c->earned / HK_CANARY_WINDOWS;
    for (uint32_t i = 0; i < HK_CANARY_WINDOWS; i++) before += c->recent[i];
    before /= HK_CANARY_WINDOWS;
    hk_q16 margin = hk_q16_mul(before, HK_CANARY_MARGIN);
    if (margin < HK_CANARY_LEAST) margin = HK_CANARY_LEAST;
    if (now > before + margin) {
        bar(c, c->current);
        c->current = c->trial;
        c->kept++;
    } else {
        bar(c, c->trial);
        c->rolled_back++;
    }
    c->trying = false;
    c->seen = 0;
}

uint32_t hk_canary_window(struct hk_canary *c, uint32_t proposed, hk_q16 reward)
{
    reward = hk_q16_clamp(reward, 0, HK_Q16_ONE);
    pass_window(c);
    if (c->trying) {
        c->earned += reward;
        if (++c->seen == HK_CANARY_WINDOWS) judge(c);
        return hk_canary_arm(c);
    }
    c->recent[c->turn++ % HK_CANARY_WINDOWS] = reward;
    if (c->seen < HK_CANARY_WINDOWS) c->seen++;
    bool may = proposed < c->arms && proposed != c->current && c->barred[proposed] == 0;
    if (may && c->seen == HK_CANARY_WINDOWS) {
        c->trial = (uint8_t)proposed;
        c->trying = true;
        c->earned = 0;
        c->seen = 0;
        c->tried++;
    }
    return hk_canary_arm(c);
}
