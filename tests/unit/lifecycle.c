/* SPDX-License-Identifier: MIT */
/*
 * What: when learning begins, ends, is tried, kept, put back, and begins again: window by window.
 * Why: the rules are few and exact, so they are tested to the window.
 */
#include "policy/lifecycle.h"

#include "hktest.h"

static uint64_t window_ms = 1000;
#define UNFIT 77u /* as a size: of the usual one, and something else would be better */

static enum hk_life_order life_run(struct hk_lifecycle *l, uint32_t windows, uint64_t cost,
                                   uint64_t requests, unsigned size, bool changed)
{
    enum hk_life_order order = HK_LIFE_NONE;
    for (uint32_t i = 0; i < windows && order == HK_LIFE_NONE; i++) {
        struct hk_life_window w = {cost * requests, requests,     window_ms, {0},
                                   changed,         size == UNFIT};
        w.sizes[size == UNFIT ? 1 : size] = requests;
        order = hk_lifecycle_window(l, &w);
    }
    return order;
}

static void once(void)
{
    struct hk_lifecycle l;
    hk_lifecycle_init(&l, HK_LIFE_MODE_ONCE);
    hktest_ok(life_run(&l, 4, 1000, 100, 1, true) == HK_LIFE_NONE && l.before.cost == HK_Q16(1000),
              "LEARN measures first what is in force");
    hktest_ok(hk_lifecycle_learns(&l) && life_run(&l, 99, 1, 15, 2, true) == HK_LIFE_NONE &&
                  l.windows == 4,
              "windows with few requests do not count");
    life_run(&l, 1, 1000, 100, 1, true);
    hktest_ok(life_run(&l, 7, 1000, 100, 1, false) == HK_LIFE_NONE &&
                  life_run(&l, 1, 1000, 100, 1, false) == HK_LIFE_TRY && l.tried == 1,
              "eight windows without a change end it");
    hktest_ok(life_run(&l, 1, 999999, 100, 1, false) == HK_LIFE_NONE && !hk_lifecycle_learns(&l) &&
                  life_run(&l, 3, 1015, 100, 1, false) == HK_LIFE_NONE &&
                  life_run(&l, 1, 1015, 100, 1, false) == HK_LIFE_KEEP && l.kept == 1 &&
                  l.state == HK_LIFE_STATE_FROZEN,
              "after a second four windows of trial that cost 1.5 %% more are good enough");
    hktest_ok(life_run(&l, 1000, 1500, 100, 1, true) == HK_LIFE_NONE &&
                  life_run(&l, 1000, 3, 100, 1, true) == HK_LIFE_NONE,
              "another cost is no drift");
    hktest_ok(life_run(&l, 4, 1000, 100, UNFIT, true) == HK_LIFE_NONE &&
                  life_run(&l, 4, 1000, 100, 1, true) == HK_LIFE_NONE &&
                  life_run(&l, 7, 1000, 100, UNFIT, true) == HK_LIFE_NONE,
              "one block for which something else would be better is none");
    hktest_ok(life_run(&l, 1, 1000, 100, UNFIT, true) == HK_LIFE_RELEARN && l.relearnt == 1 &&
                  l.state == HK_LIFE_STATE_LEARN,
              "two in a row are");
    life_run(&l, 4, 1000, 100, 1, false);
    uint32_t n = 0;
    while (life_run(&l, 1, 1000, 300, 1, true) == HK_LIFE_NONE) n++;
    hktest_ok(n == 4 && l.state == HK_LIFE_STATE_CANARY, "so do 1792 requests, %u windows on", n);
    hktest_ok(life_run(&l, 5, 1030, 100, 1, false) == HK_LIFE_REVERT && l.reverted == 1 &&
                  l.state == HK_LIFE_STATE_FROZEN && l.frozen.cost == HK_Q16(1030),
              "3 %% worse is put back, and counted");
    life_run(&l, 4, 1000, 100, 1, false);
    bool mixed = true; /* bursts and rests */
    for (int i = 0; i < 100; i++)
        mixed &= life_run(&l, 1, 1000, 100, i % 4 == 1 ? 5 : 1, false) == HK_LIFE_NONE;
    hktest_ok(mixed, "a quarter of the windows of other sizes is no drift");
    hktest_ok(life_run(&l, 7, 1000, 100, 5, false) == HK_LIFE_NONE &&
                  life_run(&l, 1, 1000, 100, 5, false) == HK_LIFE_RELEARN,
              "two blocks are");
}

/* Windows that differ much, before or on trial, tell less. */
static void noise(void)
{
    struct hk_lifecycle l;
    hk_lifecycle_init(&l, HK_LIFE_MODE_ONCE);
    window_ms = 250;
    for (int i = 0; i < 4; i++) life_run(&l, 1, i == 2 ? 4000 : 1000, 100, 1, false);
    window_ms = 1000;
    hktest_ok(l.before.cost == HK_Q16(1750) && l.spread == HK_Q16(3000), "before: 3000 apart");
    life_run(&l, 1, 1000, 100, 1, true);
    life_run(&l, 9, 1000, 100, 1, false);
    struct hk_lifecycle same = l;
    life_run(&l, 1, 1, 100, 1, false);
    hktest_ok(life_run(&l, 4, 2535, 100, 1, false) == HK_LIFE_KEEP,
              "750 more and 2 %% is within that");
    l = same;
    life_run(&l, 1, 1, 100, 1, false);
    hktest_ok(life_run(&l, 4, 2537, 100, 1, false) == HK_LIFE_REVERT, "a little more is not");
}

/* What is in force is measured by four windows, or by those of two seconds. */
static void measured(void)
{
    struct hk_lifecycle l;
    static const struct {
        uint64_t ms;
        uint32_t windows;
    } is[] = {{1, 4}, {666, 4}, {667, 3}, {999, 3}, {1000, 2}, {60000, 2}};
    for (unsigned i = 0; i < sizeof is / sizeof *is; i++) {
        window_ms = is[i].ms;
        hk_lifecycle_init(&l, HK_LIFE_MODE_ONCE);
        uint32_t n = 0;
        while (!hk_lifecycle_learns(&l) && n < 9) n++, life_run(&l, 1, n * 100, 100, 1, false);
        hktest_ok(n == is[i].windows && l.before.cost == HK_Q16(50) * (n + 1) &&
                      l.spread == HK_Q16(100) * (n - 1),
                  "windows of %llu ms: %u measure what is in force", (unsigned long long)is[i].ms,
                  n);
    }
    window_ms = 1000;
}

static void modes(void)
{
    struct hk_lifecycle l;
    hk_lifecycle_init(&l, HK_LIFE_MODE_ONCE);
    hktest_ok(life_run(&l, 12, 1000, 100, 1, false) == HK_LIFE_TRY &&
                  life_run(&l, 5, 2000, 100, 1, false) == HK_LIFE_KEEP && l.reverted == 0,
              "where nothing was changed there is nothing to put back");
    hk_lifecycle_init(&l, HK_LIFE_MODE_ALWAYS);
    for (int i = 0; i < 10; i++) {
        life_run(&l, 4, 1000, 1000, 1, true);
        life_run(&l, 99, 1000, 1000, 1, true);
        life_run(&l, 5, i % 2 ? 1000 : 2000, 1000, 1, true);
    }
    hktest_ok(l.state == HK_LIFE_STATE_LEARN && l.tried == 10 && l.kept == 5 && l.reverted == 5,
              "always learning, and always on trial");
    hk_lifecycle_init(&l, HK_LIFE_MODE_FROZEN);
    hktest_ok(life_run(&l, 100, 1, 100, 1, true) == HK_LIFE_NONE && !hk_lifecycle_learns(&l),
              "frozen stays frozen");
    hk_lifecycle_init(&l, (enum hk_life_mode)77);
    hktest_ok(life_run(&l, 100, 1, 100, 1, true) == HK_LIFE_NONE && l.state == HK_LIFE_STATE_OFF,
              "what is no mode is off");
    hk_q16 a[8] = {HK_Q16_ONE}, b[8] = {0, HK_Q16_ONE};
    hktest_ok(hk_lifecycle_distance(a, b) == 2 * HK_Q16_ONE && hk_lifecycle_distance(a, a) == 0,
              "distances of mixes");
}

int main(void)
{
    once();
    noise();
    measured();
    modes();
    return hktest_done();
}
