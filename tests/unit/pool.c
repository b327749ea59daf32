/* SPDX-License-Identifier: MIT */
/*
 * What: the pool under random runs, extensions, partial frees and purges, against a shadow map;
 *   its own invariants checked as it goes.
 * Why: a unit given out twice, or lost, is the worst that an allocator can do.
 */
#include <pthread.h>
#include <string.h>

#include "core/huge.h"
#include "core/pool.h"
#include "core/units.h"
#include "hktest.h"
#include "os/sys.h"

#define SLOTS 300
#define STEPS 30000

static struct {
    char *p;
    size_t units;
    unsigned char mark;
} slot[SLOTS];
static uint64_t seed = 42;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* First and last byte of each unit carry the slot's mark. */
static void stamp(unsigned i)
{
    for (size_t u = 0; u < slot[i].units; u++) {
        slot[i].p[u * HK_UNIT_BYTES] = (char)slot[i].mark;
        slot[i].p[(u + 1) * HK_UNIT_BYTES - 1] = (char)slot[i].mark;
    }
}

static bool intact(unsigned i)
{
    for (size_t u = 0; u < slot[i].units; u++) {
        if (slot[i].p[u * HK_UNIT_BYTES] != (char)slot[i].mark) return false;
        if (slot[i].p[(u + 1) * HK_UNIT_BYTES - 1] != (char)slot[i].mark) return false;
    }
    return true;
}

static bool reads_zero(const char *p, size_t units)
{
    for (size_t u = 0; u < units; u++) {
        if (p[u * HK_UNIT_BYTES] || p[(u + 1) * HK_UNIT_BYTES - 1]) return false;
    }
    return true;
}

static bool fill(unsigned i)
{
    bool clean;
    size_t align = rnd(8) == 0 ? (size_t)1 << rnd(8) : 1;
    slot[i].units = rnd(4) ? 1 + rnd(8) : 1 + rnd(100);
    slot[i].p = hk_pool_alloc(slot[i].units, align, &clean);
    slot[i].mark = (unsigned char)(1 + rnd(255));
    if (!slot[i].p || (uintptr_t)slot[i].p % (align * HK_UNIT_BYTES)) return false;
    if (clean && !reads_zero(slot[i].p, slot[i].units)) return false;
    stamp(i);
    return true;
}

static bool change(unsigned i)
{
    size_t more = 1 + rnd(40), less = rnd((uint32_t)slot[i].units);
    bool clean;
    if (rnd(2) && hk_pool_extend(slot[i].p, slot[i].units, more, &clean)) {
        if (clean && !reads_zero(slot[i].p + slot[i].units * HK_UNIT_BYTES, more)) return false;
        slot[i].units += more;
    } else if (less) {
        hk_pool_free(slot[i].p + (slot[i].units - less) * HK_UNIT_BYTES, less);
        slot[i].units -= less;
    }
    stamp(i);
    return true;
}

static bool storm(void)
{
    for (int step = 0; step < STEPS; step++) {
        unsigned i = rnd(SLOTS);
        if (!slot[i].p) {
            if (!fill(i)) return false;
        } else if (!intact(i)) {
            return false;
        } else if (rnd(4) == 0) {
            if (!change(i)) return false;
        } else {
            hk_pool_free(slot[i].p, slot[i].units);
            slot[i].p = NULL;
        }
        if (step % 1000 == 0) hk_pool_check();
        if (step % 3000 == 0) hk_pool_purge(0, 0);
    }
    return true;
}

/* What went back by itself and is taken again counts; what a trim gave back does not. */
static void refaults(void)
{
    bool clean;
    char *p = hk_pool_alloc(64, 1, &clean);
    size_t before = hk_pool_refaulted_bytes();
    hk_pool_free(p, 64);
    hk_pool_purge(0, 0);
    p = hk_pool_alloc(64, 1, &clean);
    hktest_ok(hk_pool_refaulted_bytes() == before, "after a trim nothing counts");
    memset(p, 1, 64 * HK_UNIT_BYTES);
    hk_pool_free(p, 64);
    for (int i = 0; i < 1000 && hk_pool_dirty_units(); i++) {
        hk_sys_pause();
        hk_pool_purge(1, 0);
    }
    p = hk_pool_alloc(64, 1, &clean);
    hktest_ok(clean && hk_pool_refaulted_bytes() == before + 64 * HK_UNIT_BYTES,
              "after a purge all of it does");
    hk_pool_free(p, 64);
    p = hk_pool_alloc(64, 1, &clean);
    hktest_ok(hk_pool_refaulted_bytes() == before + 64 * HK_UNIT_BYTES, "once");
    hk_pool_free(p, 64);
}

/* What was idle before it came goes at once, but for what else is free in its chunk. */
static void idle_already(void)
{
    bool clean;
    hk_pool_purge(0, 0);
    char *p = hk_pool_alloc(4, 1, &clean);
    memset(p, 1, 4 * HK_UNIT_BYTES);
    hk_pool_free_idle(p + 2 * HK_UNIT_BYTES, 1, 60000);
    hktest_ok(hk_pool_purge(30000, 0) == HK_UNIT_BYTES, "freed when idle already, it goes at once");
    hk_pool_free(p, 1);
    hk_pool_free_idle(p + 3 * HK_UNIT_BYTES, 1, 60000);
    hktest_ok(hk_pool_purge(30000, 0) == 0, "not beside what was freed just now");
    hk_pool_free(p + HK_UNIT_BYTES, 1);
    hk_pool_purge(0, 0);
    hk_pool_check();
}

/* Every pointer is told from others by these. */
static void window_line(void)
{
    uintptr_t line = (uintptr_t)&hk_window_base / HK_LINE_BYTES;
    hktest_ok((uintptr_t)&hk_window_limit / HK_LINE_BYTES == line &&
                  (uintptr_t)&hk_window_units / HK_LINE_BYTES == line,
              "what tells our pointers lies in one line");
}

/* Marks follow whole chunks, and go when small runs come. */
static void huge_pages(void)
{
    bool clean;
    size_t n = HK_CHUNK_UNITS;
    char *p = hk_pool_alloc(4 * n + 1, 1, &clean);
    hk_huge_advise(p, 4 * n + 1, HK_HUGE_BIG);
    hktest_ok(hk_huge_chunks() == 4, "of 4 chunks and a unit 4 are advised");
    hk_huge_advise(p, 4 * n + 1, HK_HUGE_BIG);
    hktest_ok(hk_huge_chunks() == 4, "once");
    hk_pool_check();
    hk_pool_free(p, 4 * n + 1);
    char *q[8 * HK_CHUNK_UNITS];
    unsigned got = 0;
    while (got < sizeof q / sizeof *q && hk_huge_chunks()) q[got++] = hk_pool_alloc(1, 1, &clean);
    hktest_ok(hk_huge_chunks() == 0, "small runs take the advice back, after %u units", got);
    while (got) hk_pool_free(q[--got], 1);
    p = hk_pool_alloc(2 * n, 1, &clean);
    hk_huge_advise(p, 2 * n, HK_HUGE_BIG);
    hk_huge_advise(p, 2 * n, HK_HUGE_NO);
    hktest_ok(hk_huge_chunks() == 0, "it can be taken back");
    hk_pool_free(p, 2 * n);
    hk_pool_purge(0, 0);
    p = hk_pool_alloc(3, 1, &clean);
    size_t dirty = hk_pool_dirty_units();
    hk_huge_share((char *)((uintptr_t)p & ~(HK_CHUNK_BYTES - 1)), 2);
    hktest_ok(hk_huge_chunks() == 0, "no advice for a chunk that others use already");
    hk_huge_share((char *)((uintptr_t)p & ~(HK_CHUNK_BYTES - 1)), 3);
    size_t marks = hk_huge_chunks();
    hktest_ok(marks >= 1 && hk_pool_dirty_units() == dirty + n - 3,
              "the rest of a shared chunk may be resident, %zu units",
              hk_pool_dirty_units() - dirty);
    hk_pool_check();
    char *r = hk_pool_alloc(2, 1, &clean);
    hktest_ok(!clean && hk_huge_chunks() == marks, "whose advice stays when others come");
    hk_pool_free(r, 2);
    hk_pool_free(p, 3);
    for (size_t i = 0; i < hk_map_chunks(); i++) hk_huge_advise(hk_chunk_addr(i), n, HK_HUGE_NO);
    hktest_ok(hk_huge_chunks() == 0, "none are left");
    p = hk_pool_alloc(2 * n, 1, &clean);
    hk_huge_advise(p + HK_UNIT_BYTES, 2 * n - 1, HK_HUGE_BIG);
    hktest_ok(hk_huge_chunks() == 1, "parts of a chunk get none");
    hk_pool_free(p, 2 * n);
    hk_pool_check();
}

/* The clock wraps; a stamp of a refusal lies ahead. */
static void stamps(void)
{
    bool right = true;
    for (uint64_t now = 0; now < (uint64_t)1 << 33; now += 12345678) {
        uint32_t t = (uint32_t)now;
        right &= hk_stamp_idle(t, t, 0) && !hk_stamp_idle(t, t, 1);
        right &= hk_stamp_idle(t - 500, t, 500) && !hk_stamp_idle(t - 499, t, 500);
        right &= !hk_stamp_idle(t + 1, t, 0) && !hk_stamp_idle(t + HK_REFUSED_MS, t, 0);
        right &= hk_stamp_idle(t - 0x80000001u, t, 500); /* 25 days ago */
    }
    hktest_ok(right, "idle is idle whatever the clock says");
}

/* However runs come and go, the kernel has a bounded number of mappings to keep. */
static void borders(void)
{
    enum { RUNS = 3000 };
    static char *p[RUNS];
    bool clean;
    size_t n = HK_CHUNK_UNITS;
    for (int i = 0; i < RUNS; i++) {
        p[i] = hk_pool_alloc(2 * n, 1, &clean);
        hk_huge_advise(p[i], n, HK_HUGE_BIG);
    }
    hktest_ok(hk_huge_chunks() >= 900 && hk_huge_chunks() <= 1100, "%zu islands of advice",
              hk_huge_chunks());
    for (int i = 0; i < RUNS; i++) hk_pool_free(p[i], 2 * n);
    hk_pool_check();
}

static uint64_t taken_again(void)
{
    struct hk_idle_times back[HK_BANDS], still[HK_BANDS];
    uint64_t sum = 0;
    hk_pool_idle(back, still);
    for (unsigned b = 0; b < HK_BANDS; b++)
        for (unsigned i = 0; i < HK_IDLE_BUCKETS; i++) sum += back[b].units[i];
    return sum;
}

/* What the first touch of a huge page makes resident was not freed, so it is not taken again. */
static void soiled(void)
{
    bool clean;
    hk_pool_purge(0, 0);
    char *p = hk_pool_alloc(HK_CHUNK_UNITS, HK_CHUNK_UNITS, &clean);
    hk_pool_free(p + HK_UNIT_BYTES, HK_CHUNK_UNITS - 1);
    hk_pool_purge(0, 0);
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    c->purged = 0xff00; /* these the kernel got back some time ago */
    hk_pool_watch(true);
    taken_again();
    struct hk_shard *s = hk_shard_of(p);
    hk_shard_enter(s);
    hk_units_soil(s, c, (uint32_t)hk_sys_now_ms());
    hk_shard_leave(s);
    uint64_t at_touch = taken_again();
    void *q[HK_CHUNK_UNITS - 1];
    for (unsigned i = 0; i < HK_CHUNK_UNITS - 1; i++) q[i] = hk_pool_alloc(1, 1, &clean);
    uint64_t later = taken_again();
    hktest_ok(c->used == UINT32_MAX && at_touch == 8 && later == 0,
              "a huge page's units: %llu were taken again with its first touch, %llu after it",
              (unsigned long long)at_touch, (unsigned long long)later);
    hk_pool_free(q[7], 1);
    q[7] = hk_pool_alloc(1, 1, &clean);
    hktest_ok(taken_again() == 1, "but once they were freed they count");
    hk_pool_watch(false);
    for (unsigned i = 0; i < HK_CHUNK_UNITS - 1; i++) hk_pool_free(q[i], 1);
    hk_pool_free(p, 1);
}

enum { CROWD = 8, FRESH = 4 * CROWD };

static void *one_chunk(void *arg)
{
    bool clean;
    (void)arg;
    return hk_pool_alloc(HK_CHUNK_UNITS, 1, &clean);
}

/*
 * The heap is full, and grows; meanwhile more threads than one want some of it. That they do wait
 * is likely, not certain; that one finds the shard held, goes to a spare, and has to grow, is rare.
 */
static void crowd(void)
{
    pthread_t t[CROWD];
    void *mine[CROWD];
    struct hk_pool_stats before, after;
    static void *aside[1 << 15];
    size_t got, first = hk_map_chunks(), n = 0;
    while (n < 1 << 15 && hk_shards_free_chunks()) aside[n++] = one_chunk(NULL);
    struct hk_shard *s = hk_shard_here();
    hk_pool_read_stats(&before);
    HKTEST(hk_map_grow_begin(1, SIZE_MAX));
    for (unsigned i = 0; i < CROWD; i++) HKTEST(!pthread_create(&t[i], NULL, one_chunk, NULL));
    for (unsigned i = 0; i < 50; i++) hk_sys_pause();
    void *fresh = hk_map_grow(FRESH, &got);
    HKTEST(fresh && got >= FRESH);
    hk_shard_enter(s);
    hk_shard_add(s, hk_chunk_index(fresh), got);
    hk_shard_leave(s);
    hk_map_grow_end();
    for (unsigned i = 0; i < CROWD; i++) pthread_join(t[i], &mine[i]);
    hk_pool_read_stats(&after);
    hktest_ok(n < 1 << 15 && after.grows - before.grows < CROWD / 2,
              "%d threads waited for a growth: %llu of them grew too", CROWD,
              (unsigned long long)(after.grows - before.grows));
    bool once = hk_map_grow_begin(FRESH, first);
    if (once) hk_map_grow_end();
    hktest_ok(!once, "who waited looks again");
    bool more = hk_map_grow_begin(hk_map_chunks() - first + 1, first);
    if (more) hk_map_grow_end();
    hktest_ok(more, "but not if it wants more than that");
    for (unsigned i = 0; i < CROWD; i++) hk_pool_free(mine[i], HK_CHUNK_UNITS);
    while (n) hk_pool_free(aside[--n], HK_CHUNK_UNITS);
}

enum { HELD = 100 };

/* Blocks of a chunk, every other one made longer in place if that can be; all are held. */
static void *take_and_extend(void *arg)
{
    char **mine = arg;
    bool clean;
    for (uintptr_t i = 0; i < HELD; i++) {
        mine[i] = hk_pool_alloc(HK_CHUNK_UNITS, 1, &clean);
        if (!mine[i]) break;
        size_t more = i % 2 && hk_pool_extend(mine[i], HK_CHUNK_UNITS, 1, &clean);
        uintptr_t *last = (uintptr_t *)(mine[i] + (HK_CHUNK_UNITS + more) * HK_UNIT_BYTES) - 1;
        *(char **)mine[i] = *(char **)last = mine[i];
        hk_unit_of(mine[i])->run_units = (uint32_t)(HK_CHUNK_UNITS + more);
    }
    return NULL;
}

/* Growth for a new block and for a longer one at the same time. */
static void growth_of_both_kinds(void)
{
    static char *held[CROWD][HELD];
    pthread_t t[CROWD];
    unsigned wrong = 0;
    for (unsigned i = 0; i < CROWD; i++)
        HKTEST(!pthread_create(&t[i], NULL, take_and_extend, held[i]));
    for (unsigned i = 0; i < CROWD; i++) pthread_join(t[i], NULL);
    for (unsigned i = 0; i < CROWD * HELD; i++) {
        char *p = held[i / HELD][i % HELD];
        size_t units = p ? hk_unit_of(p)->run_units : 0;
        wrong += !p || *(char **)p != p || ((char **)(p + units * HK_UNIT_BYTES))[-1] != p;
    }
    hktest_ok(!wrong, "%u threads take and extend: %u blocks are somebody else's too", CROWD,
              wrong);
    for (unsigned i = 0; i < CROWD * HELD; i++) {
        char *p = held[i / HELD][i % HELD];
        if (p) hk_pool_free(p, hk_unit_of(p)->run_units);
    }
}

int main(void)
{
    struct hk_pool_stats s;
    if (!hk_map_init()) hktest_bail("no memory");
    hktest_ok(storm(), "%d random steps, seed 42", STEPS);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slot[i].p) hk_pool_free(slot[i].p, slot[i].units);
    }
    hktest_ok(hk_pool_check() > 0, "invariants hold at the end");
    HKTEST(hk_pool_used_units() == 0);
    size_t dirty = hk_pool_dirty_units();
    hktest_ok(dirty > 100 && hk_pool_purge(0, dirty) == 0, "what is to be kept stays");
    hk_pool_purge(0, dirty / 2);
    hktest_ok(hk_pool_dirty_units() >= dirty / 2 && hk_pool_dirty_units() < dirty,
              "half: %zu of %zu units stay", hk_pool_dirty_units(), dirty);
    hktest_ok(hk_pool_purge(0, 0) > 0, "free memory goes back");
    hk_pool_read_stats(&s);
    HKTEST(s.dirty_free_bytes == 0 && s.used_bytes == 0 && s.purges > 0);
    bool clean = false;
    char *p = hk_pool_alloc(64, 1, &clean);
    hktest_ok(p && clean && reads_zero(p, 64), "purged memory reads as zero and is known to");
    hk_pool_free(p, 64);
    refaults();
    idle_already();
    window_line();
    huge_pages();
    stamps();
    borders();
    soiled();
    crowd();
    growth_of_both_kinds();
    hktest_ok(hk_pool_alloc((size_t)1 << 40, 1, &clean) == NULL, "an impossible size is refused");
    hk_pool_check();
    return hktest_done();
}
