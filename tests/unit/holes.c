/* SPDX-License-Identifier: MIT */
/*
 * What: memory inside slabs goes back and is used again: contents of live blocks, books, zero
 *   knowledge, and pages that are really gone.
 * Why: a hole over a live block loses data in silence; a block of a hole left on a list comes back
 *   twice.
 */
#include <string.h>
#include <sys/mman.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "os/sys.h"

#define BYTES  ((size_t)1 << 20)
#define BLOCKS 65536
static unsigned char *block[BLOCKS];
static uint64_t seed = 1;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % n;
}

static void fill(int i, size_t n)
{
    memset(block[i], (i * 7 + 1) & 255, n);
}

static bool whole(int i, size_t n)
{
    for (size_t b = 0; b < n; b++) {
        if (block[i][b] != ((i * 7 + 1) & 255)) return false;
    }
    return true;
}

static bool is_zero(const unsigned char *p, size_t n)
{
    for (size_t b = 0; b < n; b++) {
        if (p[b]) return false;
    }
    return true;
}

/* Frees most, gives memory back, takes new ones into the holes; false on a lost byte. */
static bool round_trip(size_t n, int count, unsigned percent)
{
    bool good = true;
    for (int i = 0; i < count; i++) {
        if (block[i] && rnd(100) < percent) {
            good &= whole(i, n);
            hakmem_free(block[i]);
            block[i] = NULL;
        }
    }
    hakmem_trim(0);
    hk_front_check();
    for (int i = 0; i < count; i++) {
        if (block[i]) good &= whole(i, n);
        if (block[i] || rnd(2)) continue;
        block[i] = rnd(2) ? hakmem_malloc(n) : hakmem_calloc(1, n);
        if (!block[i]) return false;
        fill(i, n);
    }
    hk_front_check();
    return good;
}

static bool zeroed_from_holes(size_t n, int count)
{
    bool good = true;
    for (int i = 0; i < count; i++) {
        if (block[i]) continue;
        block[i] = hakmem_calloc(1, n);
        good &= is_zero(block[i], n);
        fill(i, n);
    }
    return good;
}

static void every_class(void)
{
    bool good = true, zero = true;
    for (unsigned c = 1; c < HK_CLASSES; c++) {
        size_t n = hk_class_bytes(c);
        int count = (int)(BYTES / n);
        for (int i = 0; i < count; i++) {
            block[i] = hakmem_malloc(n);
            fill(i, n);
        }
        for (unsigned percent = 50; percent < 100; percent += 15)
            good &= round_trip(n, count, percent);
        zero &= zeroed_from_holes(n, count);
        for (int i = 0; i < count; i++) {
            good &= whole(i, n);
            hakmem_free(block[i]);
            block[i] = NULL;
        }
        hakmem_trim(0);
        hk_front_check();
    }
    hktest_ok(good, "live blocks keep their bytes while pages around them go");
    hktest_ok(zero, "calloc from holes is zero");
    hktest_ok(hk_pool_used_units() == 0, "all freed and trimmed: %zu units left",
              hk_pool_used_units());
}

static size_t resident_pages(char *from, size_t bytes)
{
    unsigned char in[HK_UNIT_BYTES / 4096];
    size_t n = 0, pages = bytes / hk_sys_page_bytes();
    if (mincore(from, bytes, in) != 0) hktest_bail("mincore refused");
    for (size_t i = 0; i < pages; i++) n += in[i] & 1u;
    return n;
}

static size_t purge(struct hk_heap *h, uint32_t blocks)
{
    return hk_slab_purge(h, false, &blocks);
}

/* One live block a slab: its page stays, the others go. */
static void one_survivor(void)
{
    enum { COUNT = 4096, KEPT = 1000 };
    for (int i = 0; i < COUNT; i++) block[i] = hakmem_malloc(64);
    for (int i = 0; i < COUNT; i++) fill(i, 64);
    char *unit = hk_unit_addr(hk_unit_of(block[KEPT]));
    for (int i = 0; i < COUNT; i++) {
        if (i != KEPT) hakmem_free(block[i]);
    }
    struct hk_heap *h = hk_thread.heap;
    hk_heap_settle(h);
    size_t before = resident_pages(unit, HK_UNIT_BYTES);
    hktest_ok(purge(h, UINT32_MAX) == 0, "what has just been used stays");
    hktest_ok(purge(h, 10) == 0, "no more than a few blocks are looked at");
    hktest_ok(h->cut, "and what is left is known");
    hktest_ok(purge(h, UINT32_MAX) > 0, "what is idle goes");
    hktest_ok(before == HK_UNIT_BYTES / hk_sys_page_bytes() &&
                  resident_pages(unit, HK_UNIT_BYTES) == 1,
              "one live block keeps one page");
    hktest_ok(purge(h, UINT32_MAX) == 0, "and it goes once");
    hktest_ok(whole(KEPT, 64), "the block is whole");
    /* The same cycle again, which ends with the same block on top of the list. */
    unsigned char *top = hk_unit_of(unit)->free, *last = NULL;
    for (int i = 0; i < COUNT; i++) {
        if (i == KEPT) continue;
        block[i] = hakmem_malloc(64);
        fill(i, 64);
    }
    for (int i = 0; i < COUNT; i++) {
        if (block[i] == top) last = block[i];
        if (i != KEPT && block[i] != top) hakmem_free(block[i]);
    }
    hakmem_free(last);
    hk_heap_settle(h);
    purge(h, UINT32_MAX);
    purge(h, UINT32_MAX);
    hktest_ok(resident_pages(unit, HK_UNIT_BYTES) == 1,
              "and after another cycle one page again: %zu", resident_pages(unit, HK_UNIT_BYTES));
    hakmem_free(block[KEPT]);
}

/* A slab on units that were used before: what it has not come to goes at the second look. */
static void fresh_part(void)
{
    enum { COUNT = 4096, SIZE = 112, FIRST = 30, MORE = 300 };
    for (int i = 0; i < COUNT; i++) block[i] = memset(hakmem_malloc(64), 0xff, 64);
    for (int i = 0; i < COUNT; i++) hakmem_free(block[i]);
    struct hk_heap *h = hk_thread.heap;
    hk_heap_settle(h);
    for (int i = 0; i < FIRST; i++) block[i] = memset(hakmem_malloc(SIZE), 0xff, SIZE);
    struct hk_unit *u = hk_unit_of(block[0]);
    hktest_ok(!u->clean && u->fresh < u->blocks, "the slab came dirty, and only begins to be used");
    purge(h, UINT32_MAX);
    size_t before = resident_pages(hk_unit_addr(u), HK_UNIT_BYTES);
    hktest_ok(before == HK_UNIT_BYTES / hk_sys_page_bytes(), "one look does not touch it");
    purge(h, UINT32_MAX);
    size_t page = hk_sys_page_bytes(), used = (u->fresh * (size_t)SIZE + page - 1) / page;
    hktest_ok(resident_pages(hk_unit_addr(u), HK_UNIT_BYTES) == used && u->clean,
              "the second does");
    bool zero = true;
    for (int i = FIRST; i < MORE; i++) zero &= is_zero(block[i] = hakmem_calloc(1, SIZE), SIZE);
    hktest_ok(zero, "calloc from there is zero");
    for (int i = 0; i < MORE; i++) hakmem_free(block[i]);
}

/* Each other block of a page each: a look ends after so many calls, not only so many slabs. */
static void many_holes(void)
{
    enum { COUNT = 2048, A_SLAB = 256 };
    size_t page = 4096;
    for (int i = 0; i < COUNT; i++) block[i] = memset(hakmem_malloc(page), 1, page);
    for (int i = 0; i < COUNT; i += 2) hakmem_free(block[i]);
    struct hk_heap *h = hk_thread.heap;
    hk_heap_settle(h);
    purge(h, UINT32_MAX);
    size_t got = purge(h, COUNT / A_SLAB * HK_PURGE_SLAB_BLOCKS);
    hktest_ok(got > 0 && got <= A_SLAB / 2 * page && h->cut,
              "a look ends where calls for single pages have used it up: %zu pages", got / page);
    while (h->cut) got += purge(h, HK_PURGE_BLOCKS);
    hktest_ok(got > (COUNT / 2 - A_SLAB) * page, "the next ones go on: %zu of %d pages", got / page,
              COUNT / 2);
    for (int i = 1; i < COUNT; i += 2) hakmem_free(block[i]);
}

int main(void)
{
    if (hk_sys_page_bytes() > 16384) {
        printf("1..0 # SKIP pages are too big\n");
        return 0;
    }
    every_class();
    one_survivor();
    fresh_part();
    if (hk_sys_page_bytes() == 4096) many_holes();
    return hktest_done();
}
