/* SPDX-License-Identifier: MIT */
/*
 * What: the learning decisions, each on traces whose right answer is known.
 * Why: they are pure functions: every number they return can be expected exactly.
 */
#include <string.h>

#include "hktest.h"
#include "policy/caps.h"
#include "policy/elo.h"
#include "policy/fixed.h"
#include "policy/idle.h"
#include "policy/p2.h"
#include "policy/sizes.h"
#include "policy/ucb.h"

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Whether f is off by so many digits and the part-th part at most; table: arguments and values. */
static bool follows(hk_q16 (*f)(hk_q16), const hk_q16 *table, size_t bytes, hk_q16 digits,
                    hk_q16 part)
{
    bool good = true;
    for (size_t i = 0; i < bytes / sizeof *table; i += 2) {
        hk_q16 off = f(table[i]) - table[i + 1];
        good &= (off < 0 ? -off : off) <= digits + table[i + 1] / part;
    }
    return good;
}

static void fixed_tables(void)
{
    static const hk_q16 ln[] = {
        INT64_MIN, -726817,       0,       -726817,   1,      -726817, 2,
        -681391,   32768,         -45426,  65536,     0,      131072,  45426,
        178145,    65536,         196608,  71999,     655360, 150902,  65536000,
        452707,    8090864123904, 1221028, INT64_MAX, 2135026};
    static const hk_q16 power[] = {
        INT64_MIN, 0,           -1048576, 0,          -655360, 3,          -327680, 442,
        -131072,   8869,        -65536,   24109,      -32768,  39750,      0,       65536,
        16384,     84150,       32768,    108051,     65536,   178145,     131072,  484249,
        327680,    9726405,     655360,   1443526462, 753664,  6469436769, 1048576, 582360139072,
        INT64_MAX, 582360139072};
    hktest_ok(follows(hk_q16_ln, ln, sizeof ln, 6, HK_Q16_MOST), "ln is off by 0.0001 at most");
    hktest_ok(follows(hk_q16_exp, power, sizeof power, 1, 10000),
              "exp is off by 0.01 %% or a digit");
    bool good = true;
    for (hk_q16 x = 65; x < HK_Q16(1000000); x += x / 64 + 1) {
        hk_q16 off = hk_q16_exp(hk_q16_ln(x)) - x;
        good &= (off < 0 ? -off : off) <= 1 + x / 2000 && hk_q16_ln(x + x / 64 + 1) > hk_q16_ln(x);
    }
    hktest_ok(good, "ln rises, and exp is its inverse");
}

static void fixed(void)
{
    hk_q16 half = HK_Q16_ONE / 2;
    hktest_ok(hk_q16_mul(HK_Q16(3), half) == HK_Q16(3) / 2 &&
                  hk_q16_mul(HK_Q16(-3), half) == HK_Q16(-3) / 2 && hk_q16_mul(1, half) == 1 &&
                  hk_q16_mul(1, half - 1) == 0,
              "products, to the nearest");
    hktest_ok(hk_q16_mul(INT64_MAX, INT64_MAX) == HK_Q16_MOST &&
                  hk_q16_mul(INT64_MIN, INT64_MAX) == HK_Q16_LEAST &&
                  hk_q16_mul(INT64_MIN, INT64_MIN) == HK_Q16_MOST &&
                  hk_q16_mul(HK_Q16_MOST, HK_Q16_ONE) == HK_Q16_MOST,
              "too large ones saturate");
    hktest_ok(hk_q16_div(HK_Q16(1), HK_Q16(3)) == 21845 &&
                  hk_q16_div(HK_Q16(-1), HK_Q16(3)) == -21845 &&
                  hk_q16_div(HK_Q16_MOST, HK_Q16_MOST) == HK_Q16_ONE &&
                  hk_q16_div(HK_Q16_MOST / 3, HK_Q16(2)) == HK_Q16_MOST / 6,
              "quotients");
    hktest_ok(hk_q16_div(1, 0) == HK_Q16_MOST && hk_q16_div(-1, 0) == HK_Q16_LEAST &&
                  hk_q16_div(0, 0) == 0 && hk_q16_div(INT64_MIN, 1) == HK_Q16_LEAST &&
                  hk_q16_div(INT64_MIN, -1) == HK_Q16_MOST,
              "by nothing, and too large ones");
    hktest_ok(hk_q16_of(UINT64_MAX, UINT64_MAX) == HK_Q16_ONE &&
                  hk_q16_of(UINT64_MAX / 2, UINT64_MAX) == half - 1 &&
                  hk_q16_of(3, 4) == 3 * HK_Q16_ONE / 4 &&
                  hk_q16_of(UINT64_MAX, 3) == HK_Q16_MOST && hk_q16_of(0, 0) == 0,
              "of whole numbers");
    hktest_ok(hk_isqrt(UINT64_MAX) == UINT32_MAX && hk_isqrt(15) == 3 && !hk_isqrt(0), "roots");
    struct hk_random r = {1234567};
    hktest_ok(hk_random_next(&r) == 6457827717110365317u &&
                  hk_random_next(&r) == 3203168211198807973u &&
                  hk_random_next(&r) == 9817491932198370423u,
              "the generator is splitmix64");
    unsigned drawn[7] = {0};
    bool even = true;
    for (int i = 0; i < 70000; i++) drawn[hk_random_below(&r, 7)]++;
    for (int i = 0; i < 7; i++) even &= apart(drawn[i], 10000) < 500;
    hktest_ok(even && hk_random_below(&r, 0) == 0 && hk_random_below(&r, 1) == 0, "evenly drawn");
    fixed_tables();
}

static void ucb(void)
{
    struct hk_ucb u;
    hk_ucb_init(&u, 4);
    bool order = true;
    for (uint32_t a = 0; a < 4; a++) {
        order &= hk_ucb_next(&u, 0) == a;
        hk_ucb_reward(&u, a, HK_Q16_ONE / 2);
    }
    hktest_ok(order && hk_ucb_next(&u, 0) == 0, "each arm once, then of equals the first");
    hktest_ok(hk_ucb_next(&u, 1) == 1 && hk_ucb_next(&u, 15) == 0 && hk_ucb_next(&u, 7) == 3,
              "barred ones are left out, unless all are");
    hk_ucb_init(&u, 2);
    for (int i = 0; i < 10; i++) hk_ucb_reward(&u, 0, HK_Q16(6) / 10);
    for (int i = 0; i < 10; i++) hk_ucb_reward(&u, 1, HK_Q16(5) / 10);
    /* 0.6 + 1.5 sqrt(ln 20 / 10) = 1.420995 */
    hktest_ok(apart((uint64_t)hk_ucb_bound(&u, 0), 93126) < 8 && hk_ucb_mean(&u, 0) == 39321 &&
                  hk_ucb_next(&u, 0) == 0,
              "a bound and a mean by hand; of two as well known the better");
    for (int i = 0; i < 10; i++) hk_ucb_reward(&u, 0, HK_Q16(6) / 10);
    hktest_ok(hk_ucb_next(&u, 0) == 1, "the less known of two nearly as good");
    hk_q16 mean = hk_ucb_mean(&u, 1);
    hk_ucb_fade(&u);
    hktest_ok(u.pulls[0] == 10 && u.pulls[1] == 5 &&
                  apart((uint64_t)hk_ucb_mean(&u, 1), (uint64_t)mean) < 2,
              "fading halves the evidence and keeps the means");
    for (int i = 0; i < 10; i++) hk_ucb_fade(&u);
    hktest_ok(u.pulls[0] == 1 && u.pulls[1] == 1, "it never forgets that an arm was tried");
    for (uint32_t i = 0; i <= HK_UCB_PULLS_MOST; i++) hk_ucb_reward(&u, 1, HK_Q16(2));
    hktest_ok(u.pulls[1] < HK_UCB_PULLS_MOST && hk_ucb_mean(&u, 1) > HK_Q16_PCT(99),
              "it fades by itself before it overflows");
}

static uint32_t canary_run(struct hk_canary *c, uint32_t windows, uint32_t proposed,
                           const hk_q16 reward[])
{
    uint32_t changes = 0;
    for (uint32_t i = 0; i < windows; i++) {
        uint32_t was = hk_canary_arm(c);
        changes += hk_canary_window(c, proposed, reward[was]) != was;
    }
    return changes;
}

static void canary(void)
{
    struct hk_canary c;
    hk_q16 reward[3] = {HK_Q16_PCT(50), HK_Q16_PCT(60), HK_Q16_PCT(61)};
    hk_canary_init(&c, 3, 0);
    hktest_ok(canary_run(&c, 3, 1, reward) == 0, "no trial before four windows at rest");
    hktest_ok(canary_run(&c, 1, 1, reward) == 1 && hk_canary_arm(&c) == 1 && c.tried == 1 &&
                  canary_run(&c, 3, 2, reward) == 0 && c.kept == 0,
              "a trial takes four more, whatever is proposed meanwhile");
    hktest_ok(canary_run(&c, 1, 2, reward) == 0 && c.kept == 1 && hk_canary_arm(&c) == 1 &&
                  hk_canary_barred(&c) == 1,
              "the better is kept, the other barred");
    canary_run(&c, 8, 2, reward);
    hktest_ok(c.rolled_back == 1 && hk_canary_arm(&c) == 1 && hk_canary_barred(&c) == 4,
              "1.7 %% is not better enough: rolled back and counted");
    hktest_ok(canary_run(&c, 7, 2, reward) == 0 && canary_run(&c, 1, 2, reward) == 1,
              "barred for eight windows, then on trial again");
    canary_run(&c, 4, 2, reward);
    hktest_ok(c.rolled_back == 2 && canary_run(&c, 15, 2, reward) == 0 &&
                  canary_run(&c, 1, 2, reward) == 1,
              "then for sixteen");
    canary_run(&c, 4, 0, reward);
    uint32_t n = 100000, switches = canary_run(&c, n, 2, reward);
    hktest_ok(switches <= 2 * (n / 516 + 6) && switches > n / 300,
              "%u switches in %u windows of asking", switches, n);
    canary_run(&c, 4, 1, reward);
    canary_run(&c, 512 + 6 * HK_CANARY_FORGET, 1, reward);
    hktest_ok(c.level[2] == 0, "what was long ago is forgotten");
    hk_q16 same[3] = {HK_Q16_ONE, HK_Q16_ONE, HK_Q16_ONE}, none[3] = {0, 0, 63};
    hk_canary_init(&c, 3, 7);
    hktest_ok(hk_canary_arm(&c) == 0 && canary_run(&c, 100, 0, same) == 0 &&
                  canary_run(&c, 100, 3, same) == 0 && c.tried == 0,
              "nor for the arm at work, nor for none");
    canary_run(&c, 100, 1, same);
    canary_run(&c, 100, 2, none);
    hktest_ok(c.kept == 0 && c.tried > 1 && c.rolled_back == c.tried, "as good is not better");
}

static void elo_matches(void)
{
    struct hk_elo e;
    const int32_t s = HK_ELO_START, p = HK_ELO_POINT;
    hk_elo_init(&e);
    static const int32_t ahead[5] = {0, 100, 200, 400, 800};
    static const uint32_t score[5] = {32768, 41947, 49791, 59578, 64887};
    bool good = true;
    for (int i = 0; i < 5; i++) {
        int32_t d = ahead[i] * p / 2;
        good &= apart((uint64_t)hk_elo_expected(s + d, s - d), score[i]) <= 8;
        good &= apart((uint64_t)hk_elo_expected(s - d, s + d), 65536 - score[i]) <= 8;
    }
    hktest_ok(good && hk_elo_expected(INT32_MIN, INT32_MAX) == hk_elo_expected(0, HK_ELO_MOST),
              "expected scores are the logistic ones");
    hktest_ok(hk_elo_k(0) == 32 * p && hk_elo_k(48) == 20 * p && hk_elo_k(96) == 8 * p, "K falls");
    HKTEST(hk_elo_k(UINT32_MAX) == 8 * p);
    hk_elo_match(&e, 1, 0, 2, HK_Q16_ONE);
    hktest_ok(e.rating[1][0] == s + 16 * p && e.rating[1][2] == s - 16 * p && e.rating[1][1] == s &&
                  e.rating[0][0] == s && e.played[1][0] == 1,
              "a win among equals brings half of K");
    hk_elo_match(&e, 1, 0, 2, HK_Q16_ONE / 2);
    hktest_ok(e.rating[1][0] < s + 16 * p && e.rating[1][2] > s - 16 * p,
              "a draw brings the weaker one nearer");
    struct hk_elo was = e;
    hk_elo_match(&e, 3, 0, 1, 0);
    hk_elo_match(&e, 0, 4, 1, 0);
    hk_elo_match(&e, 0, 1, 1, 0);
    for (int b = 0; b < 3; b++)
        for (int a = 0; a < 4; a++) good &= e.rating[b][a] == was.rating[b][a];
    hktest_ok(good, "who does not exist plays no match");
    uint64_t cost[4] = {100, 200, 300, 400}, near[4] = {0, 0, 1000, 950}, far[4] = {1000, 949};
    hk_elo_window(&e, 0, cost);
    hktest_ok(e.rating[0][0] == s + 48 * p && e.rating[0][1] == s + 16 * p &&
                  e.rating[0][2] == s - 16 * p && e.rating[0][3] == s - 48 * p &&
                  e.played[0][0] == 3,
              "all pairs of a window meet with the ratings before it");
    hk_elo_init(&e);
    hk_elo_window(&e, 0, near);
    hktest_ok(e.rating[0][0] == e.rating[0][1] && e.rating[0][2] == e.rating[0][3] &&
                  e.rating[0][0] > s,
              "within 5 %% of the greater it is a draw");
    hk_elo_window(&e, 2, far);
    hktest_ok(e.rating[2][1] > e.rating[2][0], "beyond it is not");
    for (int i = 0; i < 100000; i++) hk_elo_window(&e, 2, cost);
    int32_t gap = e.rating[2][0] - e.rating[2][1];
    hktest_ok(e.rating[2][0] <= HK_ELO_MOST && e.rating[2][3] >= HK_ELO_LEAST && gap > 200 * p,
              "ratings stay in their bounds");
}

static void elo_choice(void)
{
    struct hk_elo e;
    struct hk_random r = {42};
    hk_elo_init(&e);
    e.rating[1][3] += 50 * HK_ELO_POINT;
    hktest_ok(hk_elo_best(&e, 1, 0, 50 * HK_ELO_POINT) == 0 &&
                  hk_elo_best(&e, 1, 0, 50 * HK_ELO_POINT - 1) == 3 &&
                  hk_elo_best(&e, 1, 4, UINT32_MAX) == 3 && hk_elo_best(&e, 0, 9, 0) == 0 &&
                  hk_elo_best(&e, 3, 2, 0) == 2 && hk_elo_best(&e, 3, 4, 0) == 0,
              "the current one stays unless beaten by more than the margin");
    /* Weights 1, 1, 1 and e: 17.5 % each and 47.5 %. */
    uint32_t picked[4] = {0};
    for (int i = 0; i < 100000; i++) picked[hk_elo_pick(&e, 1, 50, &r)]++;
    hktest_ok(apart(picked[3], 47536) < 800 && apart(picked[0], 17488) < 600 &&
                  apart(picked[1], 17488) < 600,
              "softmax: %u %u %u %u", picked[0], picked[1], picked[2], picked[3]);
    bool only = true;
    for (int i = 0; i < 100; i++) only &= hk_elo_pick(&e, 1, 0, &r) == 3;
    e.rating[1][3] = HK_ELO_MOST;
    for (int i = 0; i < 1000; i++) only &= hk_elo_pick(&e, 1, 40, &r) == 3;
    hktest_ok(only && hk_elo_pick(&e, 3, 1, &r) == 0, "no temperature or a great lead leave one");
}

static void idle(void)
{
    bool good = true;
    for (uint32_t b = 0; b < HK_IDLE_BUCKETS; b++) good &= hk_idle_bucket(hk_idle_ms(b)) == b;
    for (uint64_t ms = 0; ms < 70000; ms++) {
        uint32_t b = hk_idle_bucket(ms), next = hk_idle_bucket(ms + 1);
        good &= next == b || next == b + 1;
    }
    hktest_ok(good && hk_idle_bucket(3) == 0 && hk_idle_bucket(4) == 1 && hk_idle_bucket(5) == 1 &&
                  hk_idle_bucket(6) == 2 && hk_idle_bucket(8) == 3 && hk_idle_bucket(512) == 15 &&
                  hk_idle_bucket(UINT64_MAX) == HK_IDLE_BUCKETS - 1 && hk_idle_ms(99) > 60000,
              "buckets are half powers of two");
    hktest_ok(hk_action_ms(HK_ACTION_KEEP) == 60000 && hk_action_ms(HK_ACTION_LAZY) == 2000 &&
                  hk_action_ms(HK_ACTION_BATCH) == 500 && hk_action_ms(HK_ACTION_NOW) == 0 &&
                  hk_action_ms(7) == 60000,
              "delays");
    struct hk_idle h = {{0}, {0}};
    struct hk_prices p = HK_PRICES_DEFAULT;
    uint64_t c[4], ms = hk_idle_ms(hk_idle_bucket(1000));
    hk_idle_again(&h, 1000, 640);
    hk_idle_costs(&h, &p, c);
    /* 640 KiB are ten times HK_IDLE_CALL_KIB; 850 ns a KiB and second. */
    hktest_ok(c[HK_ACTION_NOW] == 640 * 425 + 10 * 700 &&
                  c[HK_ACTION_BATCH] == 640 * 425 + 10 * 700 + 640 * 425 &&
                  c[HK_ACTION_LAZY] == 10 * (64 * 850 * ms / 1000) &&
                  c[HK_ACTION_KEEP] == c[HK_ACTION_LAZY],
              "what a second of idleness costs, each way");
    memset(h.still, 0, sizeof h.still);
    hk_idle_still(&h, 9000, 64);
    uint64_t d[4], held = hk_idle_ms(hk_idle_bucket(9000));
    hk_idle_costs(&h, &p, d);
    hktest_ok(d[HK_ACTION_NOW] == c[HK_ACTION_NOW] + 700 &&
                  d[HK_ACTION_BATCH] == c[HK_ACTION_BATCH] + 700 + 64 * 425 &&
                  d[HK_ACTION_LAZY] == c[HK_ACTION_LAZY] + 700 + 64 * 1700 &&
                  d[HK_ACTION_KEEP] == c[HK_ACTION_KEEP] + 64 * 850 * held / 1000,
              "and what lies still");
    memset(h.still, 0, sizeof h.still);
    hk_idle_costs(&h, &p, d);
    hktest_ok(d[0] == c[0] && d[3] == c[3], "which each look replaces");
    hk_idle_fade(&h);
    hktest_ok(h.again[hk_idle_bucket(1000)] == 600, "a sixteenth fades");
    for (int i = 0; i < 200; i++) hk_idle_fade(&h);
    hktest_ok(h.again[hk_idle_bucket(1000)] == 0, "to nothing");
    bool twice = true;
    for (uint32_t b = 0; b < HK_IDLE_BUCKETS; b++) {
        struct hk_idle one = {{0}, {0}};
        one.again[b] = 64;
        hk_idle_costs(&one, &p, c);
        uint64_t least = c[0];
        for (int a = 1; a < 4; a++) least = c[a] < least ? c[a] : least;
        twice &= c[HK_ACTION_BATCH] <= 2 * least + 700;
        twice &= least == c[hk_idle_ms(b) <= 500 ? HK_ACTION_BATCH : HK_ACTION_NOW];
    }
    hktest_ok(twice, "half a second costs at most twice the least possible");
    for (uint32_t b = 0; b < HK_IDLE_BUCKETS; b++) h.again[b] = h.still[b] = UINT64_MAX;
    hk_idle_again(&h, 1, UINT64_MAX);
    p = (struct hk_prices){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    hk_idle_costs(&h, &p, c);
    hktest_ok(c[0] == UINT64_MAX && c[3] == UINT64_MAX, "sums saturate");
}

/* What a call costs does not matter: a few give much back, many little. */
static void idle_prices(void)
{
    struct hk_idle h = {{0}, {0}};
    struct hk_prices p = HK_PRICES_DEFAULT, dear = p;
    uint64_t c[HK_ACTIONS], d[HK_ACTIONS];
    hk_idle_again(&h, 1000, 640);
    hk_idle_still(&h, 1000, 320);
    hk_idle_costs(&h, &p, c);
    dear.call_ns = 1000000;
    hk_idle_costs(&h, &dear, d);
    hktest_ok(memcmp(c, d, sizeof c) == 0, "giving back is not priced by the call");
    dear.give_ns = p.give_ns + 1300;
    hk_idle_costs(&h, &dear, d);
    uint64_t more = (640 + 320) / HK_IDLE_CALL_KIB * 1300;
    hktest_ok(d[HK_ACTION_NOW] == c[HK_ACTION_NOW] + more &&
                  d[HK_ACTION_BATCH] == c[HK_ACTION_BATCH] + more &&
                  d[HK_ACTION_LAZY] == c[HK_ACTION_LAZY] && d[HK_ACTION_KEEP] == c[HK_ACTION_KEEP],
              "but by its length");
}

static void caps_budget(void)
{
    struct hk_caps c;
    static const struct hk_caps_seen seen[3] = {{900, 100}, {700, 300}, {800, 200}};
    hk_caps_init(&c, 100000, HK_Q16_PCT(95));
    for (uint32_t i = 0; i < 3; i++) hk_caps_add(&c, 100u << i, 10, 200, 10);
    uint32_t last = 0;
    for (uint32_t i = 0; i < 1000; i++) last = hk_caps_window(&c, seen) ? i : last;
    hktest_ok(c.of[1].cap == 200 && c.of[2].cap == 140 && c.of[0].cap == 40 && last < 50,
              "the most demanded fill first: %u %u %u, at rest after %u windows", c.of[0].cap,
              c.of[1].cap, c.of[2].cap, last);
    hk_caps_budget(&c, hk_caps_sum(&c) - 100);
    hktest_ok(c.of[0].cap == 30 && c.of[1].cap == 200, "the least demanded gives up first");
    hk_caps_budget(&c, 9000);
    hktest_ok(c.of[0].cap == 10 && c.of[2].cap == 10 && c.of[1].cap == 20,
              "to its least, then the next");
    hk_caps_budget(&c, 3000);
    hktest_ok(hk_caps_sum(&c) <= 3000, "the budget goes before the least");
    hk_caps_budget(&c, 7000);
    hktest_ok(hk_caps_sum(&c) == 7000 && c.of[0].cap == 10, "and it comes back");
    hk_caps_budget(&c, 0);
    HKTEST(hk_caps_sum(&c) == 0);
    hk_caps_init(&c, UINT64_MAX, HK_Q16_ONE);
    for (uint32_t i = 0; i <= HK_CAPS_CLASSES; i++)
        last = hk_caps_add(&c, UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
    hktest_ok(last == HK_CAPS_CLASSES && hk_caps_sum(&c) == (uint64_t)8 << 56, "the largest caps");
    hk_caps_budget(&c, (uint64_t)7 << 56);
    hktest_ok(c.of[7].cap == 0 && c.of[6].cap == HK_CAPS_BLOCKS_MOST, "of equals the last gives");
}

static void p2(void)
{
    struct hk_p2 p;
    hk_p2_init(&p, 500);
    bool first = hk_p2_value(&p) == 0;
    static const uint64_t few[5] = {9, 1, 7, 3, 5}; /* medians as well */
    for (int i = 0; i < 5; i++) {
        hk_p2_add(&p, few[i]);
        first &= hk_p2_value(&p) == few[i];
    }
    hktest_ok(first, "the first five are exact");
    /* The example of Jain and Chlamtac, in thousandths; they get 4.44. */
    static const uint64_t paper[20] = {20,    150,   740,   3390,  830,   22370, 10150,
                                       15430, 38620, 15920, 34600, 10280, 1470,  400,
                                       50,    11390, 270,   420,   90,    11370};
    hk_p2_init(&p, 500);
    for (int i = 0; i < 20; i++) hk_p2_add(&p, paper[i]);
    hktest_ok(apart(hk_p2_value(&p), 4440) <= 5, "the paper's example: %lu",
              (unsigned long)hk_p2_value(&p));
    hk_p2_init(&p, 990);
    for (int i = 0; i < 100000; i++) hk_p2_add(&p, 100);
    hktest_ok(hk_p2_value(&p) == 100, "of equal values that value");
    for (int i = 0; i < 200000; i++) hk_p2_add(&p, UINT64_MAX);
    hktest_ok(hk_p2_value(&p) == HK_P2_MOST && p.at[4] < HK_P2_COUNT, "old values fade");
}

static void sizes(void)
{
    struct hk_sizes h = {{0}, {0}};
    size_t out[2] = {0, 0}, one[2] = {0, 0}, k = HK_KIB;
    const size_t nothing[2] = {0, 0}, set[2] = {68 * k, 0};
    hk_sizes_seen(&h, 68 * k - 100, 50);
    hktest_ok(!hk_sizes_choose(&h, nothing, 2, out) && out[0] == 0, "a few requests tell nothing");
    hk_sizes_seen(&h, 64 * k, 100);
    hk_sizes_seen(&h, 32 * k, 1000);
    hk_sizes_seen(&h, 84 * k + 1, 1000);
    hk_sizes_seen(&h, 62 * k, 40);
    hktest_ok(hk_sizes_choose(&h, nothing, 2, out) && out[0] == 68 * k && out[1] == 0,
              "one size that wastes, none that does not");
    hktest_ok(!hk_sizes_choose(&h, nothing, 2, out), "and again the same");
    hk_sizes_seen(&h, 80 * k, 72);
    hktest_ok(hk_sizes_choose(&h, nothing, 2, out) && out[0] == 68 * k && out[1] == 80 * k,
              "two, ascending");
    /* Of 1 MiB a slab, 50 × 59.7 KiB and 72 × 42.7 KiB; now 194 × 23.04, 1.497 times the worse. */
    hk_sizes_seen(&h, 40 * k, 194);
    hktest_ok(!hk_sizes_choose(&h, nothing, 2, out), "a little better is no reason to change");
    hk_sizes_seen(&h, 40 * k, 1);
    hktest_ok(hk_sizes_choose(&h, nothing, 2, out) && out[0] == 40 * k && out[1] == 80 * k,
              "1.5 times as much is");
    hk_sizes_seen(&h, 64 * k, 650);
    hktest_ok(!hk_sizes_choose(&h, nothing, 2, out), "a chosen size may have less than an eighth");
    hk_sizes_seen(&h, 64 * k, 100);
    hktest_ok(hk_sizes_choose(&h, nothing, 2, out) && out[0] == 40 * k && out[1] == 0,
              "but not less than 6 %%");
    hk_sizes_seen(&h, 68 * k, 150);
    hktest_ok(hk_sizes_choose(&h, nothing, 1, one) && one[0] == 68 * k && one[1] == 0,
              "the better one if there is room for one");
    size_t other[2] = {0, 0};
    hktest_ok(hk_sizes_choose(&h, set, 1, other) && other[0] == 40 * k,
              "but not one that is set by hand");
    hk_sizes_seen(&h, 40 * k + 1, 1);
    size_t same[2] = {40 * k, 40 * k}, odd[2] = {SIZE_MAX, 12345};
    hktest_ok(hk_sizes_choose(&h, nothing, 2, same) && same[0] == 40 * k && same[1] == 68 * k,
              "one once");
    hk_sizes_fade(&h);
    hktest_ok(h.count[(40 - 32) / 4 - 1] == 97 && h.largest[(40 - 32) / 4] == 0, "counts fade");
    struct hk_sizes none = {{0}, {0}};
    hktest_ok(hk_sizes_choose(&none, nothing, 2, odd) && odd[0] == 0 && odd[1] == 0,
              "what is no size is none");
    hk_sizes_seen(&none, 67 * k, UINT64_MAX);
    hktest_ok(hk_sizes_choose(&none, nothing, 2, odd) && odd[0] == 67 * k, "counts saturate");
    hk_sizes_seen(&none, 67 * k + 300, 1);
    hktest_ok(hk_sizes_choose(&none, nothing, 2, odd) && odd[0] == 67 * k + 512,
              "a class grows, in steps of 256");
}

int main(void)
{
    fixed();
    ucb();
    canary();
    elo_matches();
    elo_choice();
    idle();
    idle_prices();
    caps_budget();
    p2();
    sizes();
    return hktest_done();
}
