/* SPDX-License-Identifier: MIT */
/*
 * What: the fixed decisions stay within what the mechanisms rely on.
 * Why: a wake threshold of 0 or of all blocks would break slabs, an extension of 0 would spin.
 */
#include "policy/policy.h"
#include "hktest.h"
#include "policy/huge.h"

/* Raised by what became free, ended by looks that bring nothing, raised again by more only. */
static void restless(void)
{
    size_t used = 800, least = HK_RESTLESS_UNITS + used / 8;
    hk_policy_note_dirty(least, used);
    hktest_ok(!hk_policy_restless(), "a little does not make restless");
    hk_policy_note_dirty(least + 1, used);
    hktest_ok(hk_policy_restless(), "a little more does");
    for (unsigned i = 1; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, least + 50);
    hktest_ok(hk_policy_restless(), "one barren look does not end it");
    hk_policy_looked(HK_BARREN_BYTES, false, least + 50);
    for (unsigned i = 1; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, least + 50);
    hk_policy_looked(0, true, least + 50);
    for (unsigned i = 1; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, least + 50);
    hktest_ok(hk_policy_restless(), "nor do several with a good one, or one cut short, between");
    hk_policy_looked(0, false, least + 50);
    hktest_ok(!hk_policy_restless(), "several in a row do");
    hk_policy_note_dirty(2 * least + 50, used);
    hktest_ok(!hk_policy_restless(), "what did not go back does not count again");
    hk_policy_looked(0, false, 10);
    hk_policy_note_dirty(least + 11, used);
    hktest_ok(hk_policy_restless(), "unless it went meanwhile");
    hk_policy_looked(0, false, 0);
    hktest_ok(hk_policy_restless(), "and the count starts anew");
    for (unsigned i = 0; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, 0);
    hk_policy_note_parked(HK_AWAKE_UNITS / 2);
    hktest_ok(!hk_policy_restless(), "one thread leaves little");
    hk_policy_note_parked(HK_AWAKE_UNITS / 2 + 1);
    hktest_ok(hk_policy_restless(), "several leave much");
    for (unsigned i = 1; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, 0);
    hk_policy_note_parked(HK_AWAKE_UNITS);
    hk_policy_looked(0, false, 0);
    hk_policy_note_parked(2 * HK_AWAKE_UNITS);
    hktest_ok(!hk_policy_restless(), "as much again and again is known");
}

/* While much moves the process stays watchful, and a new alarm makes it eager again. */
static void watchful(void)
{
    hk_policy_hurry();
    hktest_ok(hk_policy_eager(), "an alarm makes eager");
    hktest_ok(hk_policy_restless_refill(16, true) < hk_policy_restless_refill(16, false) &&
                  hk_policy_restless_refill(16, false) < hk_policy_restless_refill(256, false),
              "few blocks for who does little, more where each lies on a line of its own");
    hktest_ok(hk_policy_tick_due(HK_RESTLESS_REFILLS, false) && hk_policy_tick_due(1, true) &&
                  !hk_policy_tick_due(1, false),
              "more slow paths look at the clock, all of a thread that does little");
    for (unsigned i = 0; i < 100; i++) {
        hk_policy_note_moving(HK_BARREN_BYTES);
        hk_policy_looked(0, false, 0);
    }
    hktest_ok(hk_policy_restless() && !hk_policy_eager(), "barren looks end that, not the watch");
    hk_policy_hurry();
    hktest_ok(hk_policy_eager(), "the next alarm does");
    for (unsigned i = 0; i < HK_BARREN_LOOKS; i++) hk_policy_looked(0, false, 0);
    hktest_ok(!hk_policy_restless(), "when nothing moves there is nothing to watch");
    hktest_ok(!hk_policy_tick_due(1, true) && hk_policy_tick_due(HK_TICK_REFILLS, false),
              "and few look at the clock");
}

/* Patience grows while what goes back comes again, and goes when it does not. */
static void decay(void)
{
    struct hk_decay d = {0};
    uint64_t much = 100 * HK_MIB;
    for (int i = 0; i < 1000; i++) hk_policy_decay(&d, much, 0);
    hktest_ok(d.level == 0, "what goes and stays away changes nothing");
    for (int i = 0; i < 1000; i++) hk_policy_decay(&d, HK_MIB / 8, HK_MIB / 8);
    hktest_ok(d.level == 0, "nor do trifles");
    struct hk_decay fresh = {0};
    d = fresh;
    unsigned looks = 0;
    for (; looks < 100 && d.level < HK_DECAY_LEVELS; looks++) hk_policy_decay(&d, much, much / 2);
    hktest_ok(d.level == HK_DECAY_LEVELS && looks <= 4 * HK_DECAY_LEVELS, "%u looks to the top",
              looks);
    for (int i = 0; i < 100; i++) hk_policy_decay(&d, much, much);
    hktest_ok(d.level == HK_DECAY_LEVELS, "no further");
    unsigned calm = 0;
    for (; calm < 10000 && d.level; calm++) hk_policy_decay(&d, much, 0);
    hktest_ok(calm >= HK_DECAY_LEVELS * HK_DECAY_CALM && calm < 10000, "%u calm looks down again",
              calm);
    bool bound = true;
    uint64_t seed = 1;
    for (int i = 0; i < 1000000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        hk_policy_decay(&d, seed >> (seed & 63), seed >> (seed >> 8 & 63));
        bound &= d.level <= HK_DECAY_LEVELS;
    }
    hktest_ok(bound, "whatever it is told, it stays in its bounds");
}

/* Huge pages after one filled block, not after sparse ones, and with a trial now and then. */
static void density(void)
{
    struct hk_density d = {0};
    hktest_ok(!hk_policy_huge_next(&d), "none before anything was seen");
    hk_policy_huge_seen(&d, 100, 1024, HK_HUGE_FILLED);
    hktest_ok(!hk_policy_huge_next(&d), "nor after a sparse block");
    for (int i = 0; i < HK_HUGE_SPARSE; i++) hk_policy_huge_seen(&d, 1000, 1024, HK_HUGE_FILLED);
    hktest_ok(!hk_policy_huge_next(&d), "that must be made good");
    hk_policy_huge_seen(&d, 1000, 1024, HK_HUGE_FILLED);
    unsigned yes = 0;
    for (unsigned i = 0; i < 10 * HK_HUGE_TRIAL; i++) yes += hk_policy_huge_next(&d);
    hktest_ok(yes == 10 * (HK_HUGE_TRIAL - 1), "%u of %u get them then", yes, 10 * HK_HUGE_TRIAL);
    for (int i = 0; i < 1000; i++) hk_policy_huge_seen(&d, 1000, 1024, HK_HUGE_FILLED);
    hk_policy_huge_seen(&d, 0, 1024, HK_HUGE_FILLED);
    hk_policy_huge_seen(&d, 5000, 1024, HK_HUGE_FILLED);
    hktest_ok(!hk_policy_huge_next(&d), "two that were not filled, or not alone, end it");
    hktest_ok(hk_policy_huge_pays(0, 9) && hk_policy_huge_pays(9, 0) &&
                  hk_policy_huge_pays(100, 125) && !hk_policy_huge_pays(100, 126),
              "they pay until they are known to cost a quarter more");
    hktest_ok(hk_policy_huge_band(HK_HUGE_LEAST) == 0 &&
                  hk_policy_huge_band(2 * HK_HUGE_LEAST - 1) == 0 &&
                  hk_policy_huge_band(2 * HK_HUGE_LEAST) == 1 &&
                  hk_policy_huge_band(SIZE_MAX) == HK_HUGE_BANDS - 1,
              "bands are doublings");
}

int main(void)
{
    bool wake = true, page = true, grows = true;
    for (unsigned c = 1; c < HK_CLASSES; c++) {
        size_t size = hk_class_bytes(c);
        uint32_t blocks = hk_class_blocks(c), w = hk_policy_wake(blocks);
        uint32_t a_unit = blocks / hk_class_units(c);
        uint32_t first = hk_policy_refill(a_unit, 0), most = hk_policy_refill(a_unit, 1000);
        wake &= w >= 1 && w < blocks;
        page &= first >= 2 && (first == 2 || first * size <= 4096) && (first + 1) * size > 4096;
        page &= most <= 8 || most * size <= 8192;
        for (uint32_t n = 0; n < 300; n++) {
            uint32_t now = hk_policy_refill(a_unit, n), next = hk_policy_refill(a_unit, n + 1);
            grows &= next >= now && next <= 2 * now && next <= blocks;
        }
    }
    hktest_ok(wake, "a slab wakes before it is empty, after at least one free");
    hktest_ok(page, "a first refill touches a page, a later one two, or few blocks");
    hktest_ok(grows, "refills grow with the demand, and no further than the slab");
    HKTEST(hk_policy_look_due(10000, 10000 - HK_PURGE_EVERY_MS, false));
    hktest_ok(!hk_policy_look_due(10000, 10001 - HK_PURGE_EVERY_MS, false), "not too often");
    hktest_ok(hk_policy_look_due(10000, 10000 - HK_PURGE_ON_MS, true) &&
                  !hk_policy_look_due(10000, 10001 - HK_PURGE_ON_MS, true),
              "soon if the last one was cut short");
    struct hk_purge_view v = {HK_PURGE_MIN_USED_UNITS - 1, HK_PURGE_MIN_UNITS - 1};
    hktest_ok(!hk_policy_purge_worth(&v), "not for a trifle");
    v.used_units = 100;
    v.dirty_units = 50;
    uint32_t few = hk_policy_purge_idle_ms(&v, 0, false);
    v.dirty_units = 500;
    hktest_ok(hk_policy_purge_idle_ms(&v, 0, false) < few, "sooner when much lies about");
    hktest_ok(hk_policy_purge_idle_ms(&v, HK_DECAY_LEVELS, false) < few,
              "then whatever came again");
    hktest_ok(hk_policy_purge_idle_ms(&v, 0, true) == few, "but not what has a time of its own");
    v.dirty_units = 50;
    hktest_ok(hk_policy_purge_idle_ms(&v, HK_DECAY_LEVELS, false) == 2 * few,
              "else twice as late at most if it comes again");
    restless();
    watchful();
    decay();
    density();
    HKTEST(hk_policy_tail_purge(HK_TAIL_PURGE_MIN, 200 * HK_MIB, HK_GIB));
    hktest_ok(!hk_policy_tail_purge(HK_TAIL_PURGE_MIN - 1, 200 * HK_MIB, HK_GIB),
              "not a page or two");
    hktest_ok(!hk_policy_tail_purge(HK_UNIT_BYTES - 4096, HK_MIB / 2, HK_GIB),
              "not while it is little");
    return hktest_done();
}
