/* SPDX-License-Identifier: MIT */
/*
 * What: the learning decisions under simulated loads that answer to them, and a million rounds of
 *   extreme, random and spiteful input: deciders_fuzz [seed].
 * Why: bounds, rest and sameness must hold for every input; deciders.c has the exact answers.
 */
#include <inttypes.h>
#include <string.h>

#include "hktest.h"
#include "policy/caps.h"
#include "policy/elo.h"
#include "policy/fixed.h"
#include "policy/idle.h"
#include "policy/lifecycle.h"
#include "policy/p2.h"
#include "policy/sizes.h"
#include "policy/ucb.h"

#define ROUNDS 1000000u

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Windows in which class i hits min(cap, need) / need of its requests. Returns the last change. */
static uint32_t caps_run(struct hk_caps *c, uint32_t windows, const uint32_t *need,
                         uint64_t requests)
{
    uint32_t last = 0;
    for (uint32_t w = 1; w <= windows; w++) {
        struct hk_caps_seen seen[HK_CAPS_CLASSES];
        for (uint32_t i = 0; i < c->classes; i++) {
            uint64_t have = c->of[i].cap < need[i] ? c->of[i].cap : need[i];
            seen[i].hits = requests * have / need[i];
            seen[i].misses = requests - seen[i].hits;
        }
        if (hk_caps_window(c, seen)) last = w;
    }
    return last;
}

static void caps_alone(void)
{
    struct hk_caps c;
    uint32_t need = 200, last = 0, downs = 0;
    hk_caps_init(&c, 1 << 30, HK_Q16_PCT(90));
    hktest_ok(hk_caps_add(&c, 65536, 8, 512, 4) == 0 && c.of[0].cap == 8, "starts at its least");
    last = caps_run(&c, 1000, &need, 1000);
    hktest_ok(c.of[0].cap == 180 && last == 12, "to 90 %% of what is needed in %u windows", last);
    need = 40;
    last = caps_run(&c, 1000, &need, 1000);
    hktest_ok(c.of[0].cap == 36 && last < 60, "and down again in %u", last);
    struct hk_caps_seen few = {0, HK_CAPS_REQUESTS - 1}, edge = {881, 119}, none = {0, 16};
    for (int i = 0; i < 100; i++) last = hk_caps_window(&c, &few) + hk_caps_window(&c, &edge);
    hktest_ok(c.of[0].cap == 36 && last == 0,
              "a few requests, or a rate near the target, tell nothing");
    for (int i = 0; i < 1000; i++) hk_caps_window(&c, &none);
    hktest_ok(c.of[0].cap == 512, "no further than its most");
    /* 100 blocks or no hit at all: no multiple of 8 is near the target. */
    hk_caps_init(&c, 1 << 30, HK_Q16_PCT(90));
    hk_caps_add(&c, 65536, 0, 512, 8);
    for (uint32_t w = 0; w < 4000; w++) {
        struct hk_caps_seen seen = {c.of[0].cap >= 100 ? 1000 : 0, c.of[0].cap >= 100 ? 0 : 1000};
        uint32_t was = c.of[0].cap;
        last = hk_caps_window(&c, &seen) ? w : last;
        downs += c.of[0].cap < was;
    }
    hktest_ok(c.of[0].cap == 104 && last == 250 && downs == 3 + HK_CAPS_TURNS,
              "a jump is not chased: %u steps down, the last change at %u", downs, last);
    struct hk_caps_seen more = {3000, 0};
    for (uint32_t i = 0; i < 200; i++) hk_caps_window(&c, &more);
    hktest_ok(c.of[0].cap == 0, "another load may turn it again");
}

/* Who takes from whom comes to rest too, within the budget. */
static void caps_together(uint64_t seed)
{
    struct hk_random r = {seed};
    uint32_t latest = 0;
    bool held = true;
    struct hk_caps two;
    const struct hk_caps_seen close[2] = {{800, 200}, {790, 210}},
                              wide[2] = {{800, 200}, {740, 260}};
    hk_caps_init(&two, 2000, HK_Q16_PCT(90));
    for (uint32_t i = 0; i < 2; i++) hk_caps_add(&two, 10, 20, 200, 10);
    for (int i = 0; i < 50; i++) hk_caps_window(&two, close);
    bool even = two.of[0].cap == 100 && two.of[1].cap == 100;
    for (int i = 0; i < 50; i++) hk_caps_window(&two, wide);
    hktest_ok(even && two.of[0].cap == 20 && two.of[1].cap == 180,
              "much more demand takes, a little does not");
    for (int trial = 0; trial < 50; trial++) {
        struct hk_caps c;
        uint32_t need[HK_CAPS_CLASSES];
        hk_caps_init(&c, 1000 + hk_random_below(&r, 1000000), HK_Q16_PCT(80));
        for (uint32_t i = 0; i < HK_CAPS_CLASSES; i++) {
            hk_caps_add(&c, 64u << i, 0, 200, 1 + (uint32_t)hk_random_below(&r, 16));
            need[i] = 1 + (uint32_t)hk_random_below(&r, 400);
        }
        uint32_t last = caps_run(&c, 4000, need, 1000);
        latest = last > latest ? last : latest;
        held &= hk_caps_sum(&c) <= c.budget;
    }
    hktest_ok(held && latest < 2000, "eight classes with one budget: the last change at %u",
              latest);
}

static void choices(void)
{
    struct hk_ucb u;
    struct hk_random r = {7};
    static const uint32_t chance[4] = {30, 50, 70, 45};
    hk_ucb_init(&u, 4);
    for (int i = 0; i < 5000; i++) {
        uint32_t a = hk_ucb_next(&u, 0);
        hk_ucb_reward(&u, a, hk_random_below(&r, 100) < chance[a] ? INT64_MAX : INT64_MIN);
    }
    hktest_ok(u.pulls[2] > 3500 && apart((uint64_t)hk_ucb_mean(&u, 2), HK_Q16_PCT(70)) < 2500,
              "%u of 5000 pulls of the best arm", u.pulls[2]);
    struct hk_canary c;
    uint32_t changes = 0, last = 0;
    hk_ucb_init(&u, 4);
    hk_canary_init(&c, 4, 0);
    for (uint32_t w = 0; w < 20000; w++) {
        uint32_t arm = hk_canary_arm(&c);
        hk_q16 reward = HK_Q16_PCT(chance[arm]) + (hk_q16)hk_random_below(&r, HK_Q16_PCT(5));
        hk_ucb_reward(&u, arm, reward);
        changes += hk_canary_window(&c, hk_ucb_next(&u, hk_canary_barred(&c)), reward) != arm;
        if (c.current != 2) last = w;
    }
    hktest_ok(last < 50, "with a canary the best after %u windows, %u switches in 20000", last,
              changes);
    struct hk_elo e;
    uint32_t best = 2;
    hk_elo_init(&e);
    changes = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t wobble[4] = {500, 400, 100 + (uint64_t)(i % 2) * 15, 107};
        hk_elo_window(&e, 0, wobble);
        uint32_t next = hk_elo_best(&e, 0, best, 50 * HK_ELO_POINT);
        changes += next != best;
        best = next;
    }
    hktest_ok(changes == 0, "two that take turns do not alternate");
}

static void quantiles(void)
{
    static const uint32_t permille[4] = {100, 500, 900, 990};
    for (int i = 0; i < 4; i++) {
        /* 1 … n in a scattered order, their squares, and rising. */
        struct hk_p2 plain, square, rising;
        uint64_t n = 10007, exact = n * permille[i] / 1000;
        hk_p2_init(&plain, permille[i]);
        hk_p2_init(&square, permille[i]);
        hk_p2_init(&rising, permille[i]);
        for (uint64_t k = 1; k <= n; k++) {
            uint64_t value = k * 4801 % n + 1;
            hk_p2_add(&plain, value);
            hk_p2_add(&square, value * value);
            hk_p2_add(&rising, k);
        }
        hktest_ok(apart(hk_p2_value(&plain), exact) <= exact / 20 &&
                      apart(hk_p2_value(&square), exact * exact) <= exact * exact / 20 &&
                      apart(hk_p2_value(&rising), exact) <= exact / 20,
                  "p%u of %" PRIu64 " values: %" PRIu64 " for %" PRIu64, permille[i], n,
                  hk_p2_value(&plain), exact);
    }
}

/* Numbers of all lengths, and those at the ends. */
static uint64_t wild(struct hk_random *r)
{
    uint64_t x = hk_random_next(r);
    switch (x & 7) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return (uint64_t)INT64_MIN - (x >> 3 & 1);
    default:
        return hk_random_next(r) >> (x >> 3 & 63);
    }
}

#define SHORT 100u
#define LONG  5000u

struct world {
    struct hk_random r;
    uint64_t hash, round;
    const char *broken; /* what did not hold first */
    struct hk_ucb ucb;
    struct hk_canary canary;
    uint8_t switched[LONG]; /* the last windows of the canary */
    uint32_t recent, lately;
    struct hk_elo elo;
    struct hk_idle idle;
    struct hk_caps caps;
    uint64_t changes[HK_CAPS_CLASSES]; /* since the last forgetting */
    struct hk_p2 p2;
    uint64_t least, most;
    struct hk_sizes sizes;
    size_t chosen[HK_DYN_CHOSEN];
    struct hk_lifecycle life;
    uint32_t since; /* LEARN began, windows that count */
    uint32_t orders[HK_LIFE_RELEARN + 1];
};

static void expect(struct world *w, bool ok, const char *what)
{
    if (!ok && !w->broken) w->broken = what;
}

static void note(struct world *w, uint64_t out)
{
    w->hash = (w->hash ^ out) * 0x100000001b3u;
}

static void fuzz_fixed(struct world *w)
{
    hk_q16 a = (hk_q16)wild(&w->r), b = (hk_q16)wild(&w->r), c[5];
    c[0] = hk_q16_mul(a, b);
    c[1] = hk_q16_div(a, b);
    c[2] = hk_q16_of((uint64_t)a, (uint64_t)b);
    c[3] = hk_q16_ln(a);
    c[4] = hk_q16_exp(b);
    for (int i = 0; i < 5; i++) note(w, (uint64_t)c[i]);
    expect(w, c[0] >= HK_Q16_LEAST && c[1] >= HK_Q16_LEAST && c[2] >= 0, "quotients");
    expect(w, c[3] >= -HK_Q16(12) && c[3] <= HK_Q16(33), "ln");
    expect(w, c[4] >= 0 && c[4] < HK_Q16(1 << 24), "exp");
    uint64_t root = hk_isqrt((uint64_t)a);
    expect(w, root * root <= (uint64_t)a && (uint64_t)a - root * root <= 2 * root, "isqrt");
}

static void fuzz_ucb(struct world *w)
{
    uint64_t x = hk_random_next(&w->r);
    if (x % 5000 == 0) hk_ucb_init(&w->ucb, (uint32_t)wild(&w->r));
    if (x % 501 == 0) hk_ucb_fade(&w->ucb);
    uint32_t arm = hk_ucb_next(&w->ucb, (uint32_t)wild(&w->r)), any = (uint32_t)(x >> 32);
    hk_ucb_reward(&w->ucb, x & 1024 ? arm : any, (hk_q16)wild(&w->r));
    hk_q16 mean = hk_ucb_mean(&w->ucb, any % 9), bound = hk_ucb_bound(&w->ucb, any % 9);
    expect(w, w->ucb.arms >= 1 && w->ucb.arms <= HK_UCB_ARMS && arm < w->ucb.arms, "arms");
    expect(w, mean >= 0 && mean <= HK_Q16_ONE && bound >= mean && bound <= HK_UCB_BOUND_MOST,
           "means and bounds of arms");
    note(w, arm);
    note(w, (uint64_t)bound);
}

/* Praises trials and punishes what is at work, or the other way, or at random; for a while each. */
static void fuzz_canary(struct world *w)
{
    struct hk_canary *c = &w->canary;
    uint32_t n = (uint32_t)(w->round % LONG), was = hk_canary_arm(c);
    uint64_t x = hk_random_next(&w->r), kind = w->round >> 14 & 3;
    hk_q16 reward = kind == 0   ? (c->trying ? INT64_MAX : INT64_MIN)
                    : kind == 1 ? (w->round & 8 ? HK_Q16_ONE : 0)
                    : kind == 2 ? (c->trying ? 0 : HK_Q16_ONE)
                                : (hk_q16)wild(&w->r);
    uint32_t asked = x & 1 ? hk_ucb_next(&w->ucb, hk_canary_barred(c)) : (uint32_t)(x >> 8) % 9;
    uint32_t arm = hk_canary_window(c, asked, reward);
    uint8_t *old = &w->switched[(n + LONG - SHORT) % LONG];
    w->lately -= w->switched[n];
    w->recent -= *old;
    w->switched[n] = arm != was;
    w->lately += arm != was;
    w->recent += arm != was;
    expect(w, arm < HK_UCB_ARMS, "the canary's arm");
    expect(w, w->recent <= 2 + SHORT / 4, "switches of the canary in 100 windows");
    expect(w, w->lately <= HK_CANARY_SWITCHES(HK_UCB_ARMS, LONG), "and in 5000");
    expect(w, c->tried == c->kept + c->rolled_back + c->trying, "its trials add up");
    note(w, arm);
}

static void fuzz_elo(struct world *w)
{
    struct hk_elo *e = &w->elo;
    uint64_t x = hk_random_next(&w->r), cost[HK_ACTIONS];
    uint32_t band = (uint32_t)x & 3, held = band % HK_ELO_BANDS;
    struct hk_elo was = *e;
    for (uint32_t a = 0; a < HK_ACTIONS; a++) cost[a] = wild(&w->r);
    if (x & 64) cost[hk_elo_best(e, band, 4, 0)] = UINT64_MAX; /* whoever leads is punished */
    hk_elo_window(e, band, cost);
    for (uint32_t a = 0; a < HK_ACTIONS; a++)
        expect(w, apart((uint64_t)e->rating[held][a], (uint64_t)was.rating[held][a]) <= 96000,
               "steps of ratings");
    hk_elo_match(e, band, x >> 8 & 7, x >> 12 & 7, (hk_q16)wild(&w->r));
    uint32_t pick = hk_elo_pick(e, band, (uint32_t)wild(&w->r), &w->r);
    uint32_t best = hk_elo_best(e, band, x >> 16 & 7, (uint32_t)wild(&w->r));
    expect(w, pick < HK_ACTIONS && best < HK_ACTIONS, "actions");
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        int32_t r = e->rating[held][a];
        expect(w, r >= HK_ELO_LEAST && r <= HK_ELO_MOST, "ratings");
        note(w, (uint64_t)r);
    }
    note(w, pick + 4 * best);
}

static void fuzz_idle(struct world *w)
{
    uint64_t x = hk_random_next(&w->r), ms = wild(&w->r), kib = wild(&w->r), cost[HK_ACTIONS];
    struct hk_prices p = HK_PRICES_DEFAULT;
    if (x % 4000 == 0) memset(&w->idle, 0, sizeof w->idle);
    if (x & 1) hk_idle_again(&w->idle, ms, kib >> (x >> 8 & 63));
    if (x & 2) hk_idle_still(&w->idle, ms, kib >> (x >> 16 & 63));
    if (x & 4) hk_idle_fade(&w->idle);
    if (x % 64 == 0) memset(w->idle.still, 0, sizeof w->idle.still);
    if (x & 8) p.give_ns = (uint32_t)wild(&w->r);
    if (x & 16) p.refault_ns_per_kib = (uint32_t)wild(&w->r);
    hk_idle_costs(&w->idle, &p, cost);
    for (uint32_t a = 0; a < HK_ACTIONS; a++) note(w, cost[a]);
    expect(w, hk_idle_bucket(x) < HK_IDLE_BUCKETS && hk_idle_ms((uint32_t)x) > 0, "buckets");
    if (x >> 60) return;
    struct hk_prices dearer = p;
    uint64_t then[HK_ACTIONS];
    dearer.hold_ns_per_kib_s = UINT32_MAX;
    hk_idle_costs(&w->idle, &dearer, then);
    bool rise = then[HK_ACTION_NOW] == cost[HK_ACTION_NOW];
    for (uint32_t a = 0; a < HK_ACTIONS; a++) rise &= then[a] >= cost[a];
    expect(w, rise, "costs rise with the price");
}

static void fuzz_caps(struct world *w)
{
    struct hk_caps *c = &w->caps;
    struct hk_caps_seen seen[HK_CAPS_CLASSES];
    uint32_t before[HK_CAPS_CLASSES];
    uint64_t x = hk_random_next(&w->r), least = 0, usual[HK_CAPS_CLASSES];
    bool forget = x % 20000 == 0 || w->round == 0;
    if (forget) {
        uint64_t budget = wild(&w->r) >> (x >> 20 & 15);
        hk_caps_init(c, budget, (hk_q16)wild(&w->r));
        for (uint32_t i = 0; i < HK_CAPS_CLASSES; i++) {
            uint64_t bytes = 1 + (wild(&w->r) >> (32 + (x >> 35 & 31)));
            uint32_t many = (uint32_t)wild(&w->r) >> (x >> i & 31);
            uint32_t few = (uint32_t)wild(&w->r) & many;
            hk_caps_add(c, bytes, few, many, 1 + (uint32_t)(wild(&w->r) >> 44));
        }
    }
    if (x % 3000 == 1) hk_caps_budget(c, wild(&w->r) >> (x >> 40 & 31)), forget = true;
    if (forget) hk_caps_forget(c), memset(w->changes, 0, sizeof w->changes);
    for (uint32_t i = 0; i < c->classes; i++) {
        bool steady = x >> 60 != 0; /* as many requests, but the rates are spiteful */
        uint64_t n = steady ? 1000 + (x >> i & 255) : wild(&w->r);
        bool miss = w->round & 1024 ? c->of[i].way < 0 : x >> i & 1;
        seen[i].hits = miss ? 0 : n;
        seen[i].misses = steady ? n - seen[i].hits : wild(&w->r);
        before[i] = c->of[i].cap;
        usual[i] = c->of[i].usual;
    }
    uint32_t changed = hk_caps_window(c, seen), counted = 0;
    for (uint32_t i = 0; i < c->classes; i++) {
        const struct hk_caps_class *k = &c->of[i];
        least += k->least * k->bytes;
        counted += k->cap != before[i];
        /* Its own forgetting, for another load, starts it anew. */
        if (k->usual != usual[i]) w->changes[i] = 0;
        w->changes[i] += k->cap != before[i];
        expect(w, k->cap <= k->most, "caps");
        expect(w, w->changes[i] <= HK_CAPS_CHANGES(k->most / k->step + 1), "caps come to rest");
        note(w, k->cap);
    }
    for (uint32_t i = 0; i < c->classes && least <= c->budget; i++)
        expect(w, c->of[i].cap >= c->of[i].least, "least caps");
    expect(w, hk_caps_sum(c) <= c->budget && changed == counted, "budget");
}

static void fuzz_p2(struct world *w)
{
    uint64_t x = hk_random_next(&w->r), value = wild(&w->r);
    if (x % 50000 == 0 || w->round == 0) {
        hk_p2_init(&w->p2, (uint32_t)wild(&w->r));
        w->least = UINT64_MAX;
        w->most = 0;
    }
    if (x & 1) value = hk_p2_value(&w->p2) + (x >> 8 & 3); /* about where it is */
    hk_p2_add(&w->p2, value);
    if (value > HK_P2_MOST) value = HK_P2_MOST;
    w->least = value < w->least ? value : w->least;
    w->most = value > w->most ? value : w->most;
    uint64_t q = hk_p2_value(&w->p2);
    expect(w, q >= w->least && q <= w->most, "quantile between what was seen");
    for (uint32_t m = 1; m < HK_P2_MARKERS && w->p2.count == HK_P2_MARKERS; m++) {
        expect(w, w->p2.high[m] >= w->p2.high[m - 1], "heights of markers");
        expect(w, w->p2.at[m] > w->p2.at[m - 1] && w->p2.at[m] <= HK_P2_COUNT, "their places");
    }
    note(w, q);
}

static bool fits(size_t size)
{
    return size == 0 || (size > 32 * HK_KIB && size <= 84 * HK_KIB && size % 256 == 0);
}

static void fuzz_sizes(struct world *w)
{
    uint64_t x = hk_random_next(&w->r);
    size_t *s = w->chosen;
    unsigned most = x >> 11 & 7 ? 2 : 1;
    const size_t set[2] = {x & 1 << 14 ? wild(&w->r) : 0, x & 1 << 15 ? 68 * HK_KIB : 0};
    if (x % 100 == 0) hk_sizes_fade(&w->sizes);
    if (x % 30000 == 0) memset(&w->sizes, 0, sizeof w->sizes);
    size_t n = x & 1 ? 32 * HK_KIB + (x >> 20) % (53 * HK_KIB) : wild(&w->r);
    hk_sizes_seen(&w->sizes, n, wild(&w->r) >> (x >> 4 & 63));
    if (x & 64) s[x >> 7 & 1] = x & 256 ? s[x >> 9 & 1] : wild(&w->r);
    hk_sizes_choose(&w->sizes, set, most, s);
    expect(w, fits(s[0]) && fits(s[1]), "chosen sizes");
    expect(w, most == 2 || s[1] == 0, "as many as there is room for");
    expect(w, s[1] == 0 || (s[0] != 0 && s[0] < s[1]), "ascending");
    if (x >> 60 == 0) expect(w, !hk_sizes_choose(&w->sizes, set, most, s), "the same again");
    note(w, s[0] ^ s[1] << 32);
}

static void fuzz_lifecycle(struct world *w)
{
    struct hk_lifecycle *l = &w->life;
    uint64_t x = hk_random_next(&w->r);
    if (x % 5000 == 0 || w->round == 0) {
        hk_lifecycle_init(l, (enum hk_life_mode)(x >> 20 & 7));
        w->since = HK_LIFE_ROUND;
    }
    struct hk_life_window v = {.ms = x >> 40 & 1023, .changed = x & 1, .unfit = x >> 4 & 1};
    v.cost_ns = wild(&w->r);
    v.requests = wild(&w->r);
    if (x & 2) {
        /* Spite: dear on trial and once frozen, cheap before. */
        v.requests = 5000;
        v.cost_ns = v.requests * (l->state == HK_LIFE_STATE_LEARN ? 1000 : 1000 + (x >> 8 & 4095));
    }
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) v.sizes[i] = wild(&w->r);
    uint8_t was = l->state;
    enum hk_life_order order = hk_lifecycle_window(l, &v);
    w->since += v.requests >= HK_LIFE_REQUESTS;
    if (l->state == HK_LIFE_STATE_LEARN && was != HK_LIFE_STATE_LEARN) {
        expect(w,
               w->since >= HK_LIFE_ROUND +
                               (was == HK_LIFE_STATE_FROZEN ? HK_LIFE_BLOCK * HK_LIFE_DRIFT : 0),
               "how often it learns");
        w->since = 0;
    }
    expect(w, l->state <= HK_LIFE_STATE_FROZEN && order <= HK_LIFE_RELEARN, "states");
    expect(w, l->tried == l->kept + l->reverted + (l->state == HK_LIFE_STATE_CANARY), "verdicts");
    w->orders[order]++;
    expect(w, l->before.cost >= 0 && l->frozen.cost >= 0, "costs");
    expect(w, l->mode == HK_LIFE_MODE_ONCE || l->mode == HK_LIFE_MODE_ALWAYS || !l->tried, "modes");
    note(w, order + 8u * l->state);
}

static struct world world;

static uint64_t run(uint64_t seed)
{
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    w->r.state = seed;
    hk_ucb_init(&w->ucb, HK_UCB_ARMS);
    hk_canary_init(&w->canary, HK_UCB_ARMS, 3);
    hk_elo_init(&w->elo);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (i % 2 == 0) {
            fuzz_fixed(w);
            fuzz_ucb(w);
            fuzz_canary(w);
            fuzz_elo(w);
        } else {
            fuzz_idle(w);
            fuzz_caps(w);
            fuzz_p2(w);
            fuzz_sizes(w);
            fuzz_lifecycle(w);
            w->round++;
        }
    }
    return w->hash;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 42;
    printf("# seed %" PRIu64 "\n", seed);
    caps_alone();
    caps_together(seed);
    choices();
    quantiles();
    uint64_t first = run(seed);
    hktest_ok(!world.broken, "bounds hold for %u rounds: %s", ROUNDS,
              world.broken ? world.broken : "all of them");
    const uint32_t *orders = world.orders;
    hktest_ok(world.canary.kept > 20 && world.canary.rolled_back > 20 && orders[HK_LIFE_KEEP] &&
                  orders[HK_LIFE_REVERT] && orders[HK_LIFE_RELEARN],
              "the spite had its way: %" PRIu64 " kept, %" PRIu64
              " rolled back, %u reverted, %u relearnt",
              world.canary.kept, world.canary.rolled_back, orders[HK_LIFE_REVERT],
              orders[HK_LIFE_RELEARN]);
    hktest_ok(run(seed) == first, "the same seed decides the same: %016" PRIx64, first);
    return hktest_done();
}
