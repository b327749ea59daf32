/* SPDX-License-Identifier: MIT */
/*
 * What: the learner on made-up loads: what it decides, when, that it takes back what was worse, and
 *   that no observation whatever drives it out of its bounds.
 * Why: it knows no clock, so every load can be made up, and gives the same decisions every time.
 */
#include "policy/learner.h"

#include <string.h>

#include "hktest.h"

#define FUZZ 1000000

static struct hk_learn_config usual(void)
{
    return (struct hk_learn_config){
        .life = HK_LIFE_MODE_ONCE,
        .elo = HK_ELO_LEARN,
        .wmax = true,
        .caps = true,
        .huge = true,
        .sizes = 2,
        .seed = 42,
        .start = hk_policy_balanced(),
        .target = {HK_Q16_PCT(95), HK_Q16_PCT(90)},
        .budget = {2 * HK_MIB, 4 * HK_MIB},
        .step = {1, 1},
    };
}

/* A window of 64 requests for big blocks whose memory lay free for ms before it was taken again. */
static struct hk_window big_window(uint32_t ms)
{
    struct hk_window w = {.ms = 1000, .requests = 64, .big = 64, .prices = HK_PRICES_DEFAULT};
    hk_idle_again(&w.idle[2], ms, 64 * 1024);
    return w;
}

/* Windows until nothing changes for 64 of them. */
static unsigned settle(struct hk_learner *l, struct hk_window w)
{
    unsigned last = 0;
    for (unsigned i = 1; i < last + 64 || i < 64; i++)
        if (hk_learner_window(l, &w)) last = i;
    return last;
}

static void idles(void)
{
    static const struct {
        uint32_t ms;
        enum hk_action best;
    } loads[] = {{20, HK_ACTION_BATCH},
                 {200, HK_ACTION_BATCH},
                 {1000, HK_ACTION_NOW},
                 {10000, HK_ACTION_NOW}};
    for (unsigned i = 0; i < sizeof loads / sizeof *loads; i++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        hk_learner_init(&l, &c);
        unsigned n = settle(&l, big_window(loads[i].ms));
        hktest_ok(l.now.action_big == loads[i].best && l.now.action_mid == HK_ACTION_BATCH,
                  "what lies free for %u ms: action %u", loads[i].ms, (unsigned)l.now.action_big);
        hktest_ok(n * HK_LEARN_REQUESTS <= 2048, "known after %u requests", n * HK_LEARN_REQUESTS);
        hktest_ok(l.life.state == HK_LIFE_STATE_FROZEN && l.life.reverted == 0, "and frozen");
        uint64_t decisions = l.decisions, word = hk_snapshot_word(l.now);
        struct hk_window w = big_window(loads[i].ms);
        for (unsigned k = 0; k < 160000; k++) hk_learner_window(&l, &w);
        l.now.learn = 1;
        hktest_ok(l.decisions == decisions && hk_snapshot_word(l.now) == word,
                  "10 million requests later nothing has changed");
    }
}

/* What lies free for a second goes at once, unless giving so much back costs more than that. */
static void gives(void)
{
    static const struct {
        uint32_t call_ns, give_ns;
        enum hk_action best;
    } prices[] = {{700, 700, HK_ACTION_NOW},
                  {1000000, 700, HK_ACTION_NOW},
                  {700, 100000, HK_ACTION_LAZY},
                  {1000000, 100000, HK_ACTION_LAZY}};
    for (unsigned i = 0; i < sizeof prices / sizeof *prices; i++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        struct hk_window w = big_window(1000);
        hk_learner_init(&l, &c);
        w.prices.call_ns = prices[i].call_ns;
        w.prices.give_ns = prices[i].give_ns;
        settle(&l, w);
        hktest_ok(l.now.action_big == prices[i].best, "%u ns a call, %u ns for %u KiB: action %u",
                  prices[i].call_ns, prices[i].give_ns, HK_IDLE_CALL_KIB,
                  (unsigned)l.now.action_big);
    }
}

/* Windows of the start and those that measure count by time as well: a slow load has few. */
static void soon(void)
{
    static const uint64_t ms[] = {10, 499, 1000, 5000};
    static const unsigned first[] = {9, 8, 4, 4};
    for (unsigned i = 0; i < sizeof ms / sizeof *ms; i++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        hk_learner_init(&l, &c);
        struct hk_window w = big_window(2000);
        w.ms = ms[i];
        unsigned n = 0;
        while (n < 99 && l.now.action_big != HK_ACTION_NOW) n++, hk_learner_window(&l, &w);
        hktest_ok(n == first[i], "windows of %llu ms: the first action in force with number %u",
                  (unsigned long long)ms[i], n);
    }
}

/* The load becomes another one: learned anew. */
static void drifts(void)
{
    struct hk_learner l;
    struct hk_learn_config c = usual();
    hk_learner_init(&l, &c);
    settle(&l, big_window(2000));
    struct hk_window w = big_window(20);
    w.refault_kib = 64 * 1024; /* what NOW costs such a load */
    unsigned n = settle(&l, w);
    hktest_ok(l.now.action_big == HK_ACTION_BATCH && l.life.relearnt >= 1,
              "another load: relearnt after %u windows, action %u", n, (unsigned)l.now.action_big);
    bool told = false;
    for (uint64_t i = 0; i < l.decisions && i < HK_LEARN_DECISIONS; i++)
        told |= l.decision[i].what == HK_DECIDED_STATE && l.decision[i].order == HK_LIFE_RELEARN;
    hktest_ok(told, "and it says so");
}

/* What was learned costs more than what was before. */
static void worse(void)
{
    struct hk_learner l;
    struct hk_learn_config c = usual();
    hk_learner_init(&l, &c);
    for (unsigned i = 0; i < 200 && l.life.state != HK_LIFE_STATE_FROZEN; i++) {
        struct hk_window w = big_window(2000);
        w.calls = l.now.action_big == HK_ACTION_NOW ? 64000 : 64;
        hk_learner_window(&l, &w);
    }
    hktest_ok(l.life.reverted == 1 && l.now.action_big == HK_ACTION_BATCH,
              "a policy that does worse is reverted, and counted: %llu",
              (unsigned long long)l.life.reverted);
}

static struct hk_window large_window(uint32_t asked, uint32_t had)
{
    struct hk_window w = {.ms = 100, .requests = asked, .prices = HK_PRICES_DEFAULT};
    w.asked[4] = asked;
    w.had[4] = had;
    return w;
}

static void rounding(void)
{
    struct hk_learner l;
    struct hk_learn_config c = usual();
    hk_learner_init(&l, &c);
    settle(&l, large_window(64, 62));
    hktest_ok(l.now.wmax_large == 0 && l.ucb[1].pulls[1] == 0,
              "with hits enough no longer blocks are tried");
    hk_learner_init(&l, &c);
    for (unsigned i = 0; i < 4000 && l.life.state != HK_LIFE_STATE_FROZEN; i++) {
        struct hk_window w = large_window(64, l.now.wmax_large == 2 ? 56 : 20);
        w.requests = 20; /* LEARN lasts longer */
        hk_learner_window(&l, &w);
    }
    hktest_ok(l.now.wmax_large == 2 && l.now.wmax_mid == 0,
              "else the one that brings hits is found: arm %u of the large, %u of the mid band",
              (unsigned)l.now.wmax_large, (unsigned)l.now.wmax_mid);
}

/* Longer blocks bring hits, but each of those that live then holds a unit in vain. */
static void burdens(void)
{
    static const struct {
        uint64_t live;
        bool worth;
    } loads[] = {{0, true}, {4, true}, {256, false}, {UINT64_MAX, false}};
    for (unsigned i = 0; i < sizeof loads / sizeof *loads; i++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        hk_learner_init(&l, &c);
        for (unsigned k = 0; k < 4000 && l.life.state != HK_LIFE_STATE_FROZEN; k++) {
            bool longer = l.now.wmax_large != 0;
            struct hk_window w = large_window(64, longer ? 60 : 20);
            w.rounded[1] = longer ? 40 : 0;
            w.live = loads[i].live;
            w.us = 1200;
            hk_learner_window(&l, &w);
        }
        hktest_ok((l.now.wmax_large != 0) == loads[i].worth, "%llu live blocks: rounding %s",
                  (unsigned long long)loads[i].live, l.now.wmax_large ? "pays" : "does not");
    }
}

/* 64 requests for 68 KiB, of memory that lay free for ms. */
static struct hk_window sized_window(uint32_t ms)
{
    struct hk_window w = {.ms = 100, .requests = 64, .prices = HK_PRICES_DEFAULT};
    unsigned b = hk_sizes_bucket(68 * HK_KIB);
    w.asked[1] = w.size_count[b] = 64;
    w.had[1] = 20;
    w.size_largest[b] = 68 * HK_KIB;
    hk_idle_again(&w.idle[0], ms, 64 * 1024);
    return w;
}

static bool sizes_are(const struct hk_learner *l, size_t a, size_t b)
{
    return l->sizes_now[0] == a && l->sizes_now[1] == b && l->now.dyn == (a != 0);
}

static void sizes(void)
{
    struct hk_learner l;
    struct hk_learn_config c = usual();
    hk_learner_init(&l, &c);
    settle(&l, sized_window(20));
    hktest_ok(sizes_are(&l, 68 * HK_KIB, 0) && l.life.state == HK_LIFE_STATE_FROZEN,
              "a size that is asked for often gets a class");
    bool told = false;
    for (uint64_t i = 0; i < l.decisions && i < HK_LEARN_DECISIONS; i++)
        told |= l.decision[i].what == HK_DECIDED_SIZES && l.decision[i].cost_to == 68 * HK_KIB;
    hktest_ok(told, "and it says so");
    struct hk_window w = sized_window(20);
    w.size_count[hk_sizes_bucket(68 * HK_KIB)] = 0;
    w.size_count[hk_sizes_bucket(40 * HK_KIB)] = 64;
    w.size_largest[hk_sizes_bucket(40 * HK_KIB)] = 40 * HK_KIB;
    w.asked[1] = w.had[1] = 0;
    w.asked[0] = 64;
    w.had[0] = 60;
    settle(&l, w);
    hktest_ok(sizes_are(&l, 40 * HK_KIB, 0), "another load: another size");
    hk_learner_init(&l, &c);
    settle(&l, sized_window(5000));
    hktest_ok(sizes_are(&l, 0, 0) && l.now.action_mid == HK_ACTION_NOW,
              "none whose memory should go back at once");
    w = sized_window(20);
    w.had[1] = 60;
    hk_learner_init(&l, &c);
    settle(&l, w);
    hktest_ok(sizes_are(&l, 0, 0), "none where held runs serve nearly all");
    c.sizes_set[0] = 40 * HK_KIB;
    c.sizes = 1;
    hk_learner_init(&l, &c);
    settle(&l, sized_window(20));
    hktest_ok(sizes_are(&l, 40 * HK_KIB, 68 * HK_KIB), "one set by hand stays");
    c.sizes = 0;
    hk_learner_init(&l, &c);
    settle(&l, sized_window(20));
    hktest_ok(sizes_are(&l, 40 * HK_KIB, 0), "and none is chosen where none may be");
}

/* Blocks of 32 MiB, as they are touched under the threshold in force. */
static struct hk_window huge_window(const struct hk_learner *l, uint32_t small, uint32_t huge)
{
    struct hk_window w = big_window(20);
    w.touch_ns[0] = small;
    w.touch_ns[1] = huge;
    w.touched_kib[hk_policy_huge_from(l->now.huge_from) <= 32 * HK_MIB] = 32 * 1024;
    return w;
}

static void huge(void)
{
    for (unsigned dear = 0; dear < 2; dear++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        hk_learner_init(&l, &c);
        for (unsigned i = 0; i < 500; i++) {
            struct hk_window w = huge_window(&l, 200, dear ? 400 : 50);
            w.requests = l.life.state == HK_LIFE_STATE_LEARN ? 20 : 64; /* LEARN lasts longer */
            hk_learner_window(&l, &w);
        }
        hktest_ok((hk_policy_huge_from(l.now.huge_from) > 32 * HK_MIB) == (dear == 1),
                  "huge pages at %s the price: from %llu MiB on", dear ? "twice" : "a quarter of",
                  (unsigned long long)(hk_policy_huge_from(l.now.huge_from) / HK_MIB));
        hktest_ok(dear || l.ucb[HK_LEARN_HUGE].pulls[1] == 0, "what leaves nothing to gain stays");
    }
}

/* One point in HK_LEARN_EVERY windows, twice as many whenever there is no place. */
static void history(void)
{
    static struct hk_learner l;
    static uint16_t rating[4096];
    struct hk_learn_config c = usual();
    struct hk_window w = big_window(2000);
    w.asked[5] = 64; /* in vain */
    hk_learner_init(&l, &c);
    uint32_t first = l.caps[1].of[2].cap;
    const struct hk_learn_history *h = &l.history;
    bool in_place = true, right = true;
    for (unsigned i = 1; i < 4096; i++) {
        hk_learner_window(&l, &w);
        rating[i] = (uint16_t)(l.elo.rating[2][3] / HK_ELO_POINT);
        in_place &= h->points == i / h->every && h->points <= HK_LEARN_POINTS;
        for (uint32_t p = 0; p < h->points; p++)
            right &= h->point[p].rating[2][3] == rating[(p + 1) * h->every];
    }
    hktest_ok(in_place && right && h->every == 64 && h->points == 63,
              "history: %u points, one in %u windows, each what it was", h->points,
              (unsigned)h->every);
    const struct hk_learn_point *last = &h->point[h->points - 1];
    hktest_ok(last->rating[2][3] > 1500 && last->rating[2][0] < 1500 && last->rating[0][0] == 1500,
              "history: ratings by band and action");
    hktest_ok(last->cap[5] == l.caps[1].of[2].cap && last->cap[0] == l.caps[0].of[0].cap &&
                  last->cap[5] > first && last->cap[0] != last->cap[5],
              "history: caps, the last one %u of %u at first", last->cap[5], first);
}

static void modes(void)
{
    static const enum hk_life_mode still[] = {HK_LIFE_MODE_OFF, HK_LIFE_MODE_FROZEN};
    for (unsigned i = 0; i < 2; i++) {
        struct hk_learner l;
        struct hk_learn_config c = usual();
        c.life = still[i];
        hk_learner_init(&l, &c);
        settle(&l, big_window(2000));
        hktest_ok(l.decisions == 0 && l.now.action_big == HK_ACTION_BATCH,
                  "mode %u decides nothing", (unsigned)still[i]);
    }
    struct hk_learner l;
    struct hk_learn_config c = usual();
    c.elo = HK_ELO_FROZEN;
    hk_learner_init(&l, &c);
    settle(&l, big_window(2000));
    hktest_ok(l.now.action_big == HK_ACTION_BATCH, "with the ratings frozen actions stay");
    c = usual();
    c.life = HK_LIFE_MODE_ALWAYS;
    hk_learner_init(&l, &c);
    bool frozen = false;
    for (unsigned i = 0; i < 2000; i++) {
        struct hk_window w = big_window(2000);
        hk_learner_window(&l, &w);
        frozen |= l.life.state == HK_LIFE_STATE_FROZEN;
    }
    hktest_ok(!frozen && l.life.kept + l.life.reverted > 50,
              "always: it never freezes, %llu trials", (unsigned long long)l.life.tried);
}

static uint64_t odd(struct hk_random *r)
{
    uint64_t n = hk_random_next(r);
    switch (hk_random_below(r, 4)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - (n & 1);
    case 2:
        return n & 0xff;
    default:
        return n >> hk_random_below(r, 64);
    }
}

static struct hk_window odd_window(struct hk_random *r)
{
    struct hk_window w;
    memset(&w, 0, sizeof w);
    w.ms = odd(r);
    w.requests = odd(r);
    w.big = odd(r);
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        w.asked[c] = odd(r);
        w.had[c] = w.asked[c] ? hk_random_below(r, w.asked[c]) : 0;
    }
    for (unsigned b = 0; b < 2; b++) w.rounded[b] = odd(r);
    w.refault_kib = odd(r);
    w.calls = odd(r);
    w.held_kib = odd(r);
    for (unsigned i = 0; i < 2; i++) {
        w.touched_kib[i] = odd(r);
        w.touch_ns[i] = (uint32_t)odd(r);
        unsigned b = (unsigned)hk_random_below(r, HK_SIZES_BUCKETS);
        w.size_count[b] = (uint32_t)odd(r);
        w.size_largest[b] = (uint32_t)odd(r);
    }
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        w.idle[b].again[hk_random_below(r, HK_IDLE_BUCKETS)] = odd(r);
        w.idle[b].still[hk_random_below(r, HK_IDLE_BUCKETS)] = odd(r);
    }
    w.prices =
        (struct hk_prices){(uint32_t)odd(r), (uint32_t)odd(r), (uint32_t)odd(r), (uint32_t)odd(r)};
    return w;
}

static bool valid(const struct hk_learner *l)
{
    struct hk_snapshot s = l->now;
    bool good = s.wmax_mid < HK_WMAX_ARMS && s.wmax_large < HK_WMAX_ARMS;
    good &= s.huge_from < HK_HUGE_ARMS;
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++)
        good &= !l->sizes_now[i] ||
                (hk_sizes_bucket(l->sizes_now[i]) < HK_SIZES_BUCKETS && !(l->sizes_now[i] & 255));
    good &= !l->sizes_now[1] || l->sizes_now[0] < l->sizes_now[1];
    for (unsigned b = 0; b < 2; b++) good &= hk_caps_sum(&l->caps[b]) <= l->config.budget[b];
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        for (unsigned a = 0; a < HK_ACTIONS; a++)
            good &= l->elo.rating[b][a] >= HK_ELO_LEAST && l->elo.rating[b][a] <= HK_ELO_MOST;
    }
    good &=
        l->history.points == l->windows / l->history.every && l->history.points <= HK_LEARN_POINTS;
    return good;
}

/* W1, W2. */
static uint64_t fuzz(uint64_t seed, bool *good, uint64_t *changes)
{
    static struct hk_learner l;
    struct hk_random r = {seed};
    struct hk_learn_config c = usual();
    uint64_t hash = 0;
    c.life = seed & 1 ? HK_LIFE_MODE_ALWAYS : HK_LIFE_MODE_ONCE;
    hk_learner_init(&l, &c);
    for (unsigned i = 0; i < FUZZ / 4; i++) {
        struct hk_window w = odd_window(&r);
        *changes += hk_learner_window(&l, &w);
        *good &= valid(&l);
        hash = hash * 31 + hk_snapshot_word(l.now);
    }
    return hash;
}

int main(void)
{
    hktest_ok(atomic_load(&hk_policy_word) == hk_snapshot_word(hk_policy_balanced()),
              "balanced is in force from the start on");
    idles();
    gives();
    soon();
    drifts();
    worse();
    rounding();
    burdens();
    sizes();
    huge();
    history();
    modes();
    bool good = true;
    uint64_t changes = 0, one = fuzz(42, &good, &changes), again = fuzz(42, &good, &changes);
    fuzz(43, &good, &changes);
    fuzz(44, &good, &changes);
    hktest_ok(good, "%d windows of nonsense: bounds hold, %llu changes", FUZZ,
              (unsigned long long)changes);
    hktest_ok(one == again, "the same seed and windows, the same decisions");
    return hktest_done();
}
