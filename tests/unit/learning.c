/* SPDX-License-Identifier: MIT */
/*
 * What: learning at work: what a window's end puts in force is done, with nobody kept waiting; what
 *   giving back costs is priced by length.
 * Why: the learner is tested by itself (learner.c); here is what its decisions set going. How long
 *   memory lay free is made up, and windows end by requests or by a clock that is told, so that
 *   nothing depends on how fast this runs.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/pool.h"
#include "front/fast.h"
#include "front/learn.h"
#include "hakmem.h"
#include "hktest.h"
#include "os/sys.h"
#include "policy/snapshot.h"

#define WINDOW_MS 60000u
#define UNITS     (4 * (size_t)HK_CHUNK_UNITS)
#define KIB       ((uint64_t)1 << 20) /* that lay free for long */

static unsigned calls, inside; /* that gave memory back · while the learner was not to be had */

/* The library's calls come here. */
int madvise(void *p, size_t bytes, int advice)
{
    bool busy;
    if (advice == MADV_DONTNEED && atomic_load(&hk_learner_here)) {
        calls++;
        if (hk_learn_look(&busy)) hk_learn_let_go();
        inside += busy;
    }
    return (int)syscall(SYS_madvise, p, bytes, advice);
}

static bool start(void)
{
    const struct hk_learn_config c = {
        .life = HK_LIFE_MODE_ONCE,
        .elo = HK_ELO_LEARN,
        .seed = 42,
        .start = hk_policy_now(),
        .target = {HK_Q16_PCT(95), HK_Q16_PCT(90)},
        .budget = {2 * HK_MIB, 4 * HK_MIB},
        .step = {1, 1},
    };
    return hk_learn_start(&c, WINDOW_MS);
}

/* Free memory that was freed a moment ago, more than the clock's step, to stay for a while. */
static void lay_about(void)
{
    bool clean;
    char *p = hk_pool_alloc(UNITS, 1, &clean);
    memset(p, 1, UNITS * HK_UNIT_BYTES);
    hk_pool_free_as(p, UNITS, HK_BAND_BIG, hk_policy_patience(HK_ACTION_BATCH));
    for (uint64_t t = hk_sys_now_ms(); hk_sys_now_ms() - t < 2;) hk_sys_pause();
}

static void by_requests(void)
{
    for (unsigned i = 0; i < HK_LEARN_REQUESTS; i++)
        hk_learn_request(hk_thread.heap, HK_UNIT_BYTES, false, true);
}

static void by_clock(void)
{
    for (unsigned i = 0; i < HK_LIFE_REQUESTS; i++) hk_runs_note(hk_thread.heap, 0);
    hk_learn_look_at_clock(hk_sys_now_ms() + WINDOW_MS);
}

/* Of one band it turns out that what is freed should not stay. */
static void at_once(enum hk_band band, void (*window)(void), const char *how)
{
    struct hk_learner *l = atomic_load(&hk_learner_here);
    lay_about();
    bool stays = true;
    unsigned n = 0;
    l->idle[band - 1].again[hk_idle_bucket(10000)] = KIB;
    for (; n < 20 && hk_policy_action(hk_policy_now(), band) != HK_ACTION_NOW; n++) {
        stays &= hk_pool_dirty_units() >= UNITS;
        calls = inside = 0;
        window();
    }
    hktest_ok(stays && n && hk_policy_action(hk_policy_now(), band) == HK_ACTION_NOW,
              "%s: what is free stays until, after %u windows, it is not to", how, n);
    hktest_ok(hk_pool_dirty_units() == 0 && calls > 0, "what lies there goes at once as well");
    hktest_ok(inside == 0, "and nobody is inside the learner meanwhile");
    lay_about();
    window();
    hktest_ok(hk_pool_dirty_units() >= UNITS, "that is done once");
    hk_pool_purge(0, 0);
}

/* Ten calls that took 50 µs each, for 64 MiB each: 48 ns for HK_IDLE_CALL_KIB. */
static void prices(void)
{
    bool busy, right = true;
    struct hk_prices p = HK_PRICES_DEFAULT;
    uint64_t cost[HK_ACTIONS];
    p.call_ns = 50000;
    p.give_ns = 48;
    atomic_load(&hk_learner_here)->idle[HK_BAND_BIG - 1].again[hk_idle_bucket(10000)] = KIB;
    by_requests();
    atomic_fetch_add(&hk_sys_purge_ns, 10 * 50000);
    atomic_fetch_add(&hk_sys_purges_timed, 10);
    atomic_fetch_add(&hk_sys_purge_bytes, 10 * 64 * HK_MIB);
    by_requests();
    const struct hk_learner *l = hk_learn_look(&busy);
    if (!l) hktest_bail("no learner");
    hk_idle_costs(&l->idle[HK_BAND_BIG - 1], &p, cost);
    for (unsigned a = 0; a < HK_ACTIONS; a++) right &= cost[a] == l->cost[HK_BAND_BIG - 1][a];
    hktest_ok(right, "giving back costs %llu us, by its length",
              (unsigned long long)l->cost[HK_BAND_BIG - 1][HK_ACTION_NOW] / 1000);
    hk_learn_let_go();
}

int main(void)
{
    hakmem_free(hakmem_malloc(1)); /* settings are read */
    if (!hk_thread.heap || !start()) hktest_bail("no memory");
    prices();
    at_once(HK_BAND_BIG, by_requests, "by requests");
    at_once(HK_BAND_LARGE, by_clock, "by the clock");
    return hktest_done();
}
