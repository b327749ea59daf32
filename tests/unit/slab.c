/* SPDX-License-Identifier: MIT */
/*
 * What: slabs through the front's fast paths: conservation, wake-up, release, zero knowledge.
 * Why: capacity = free + live + cached, at every step, is what keeps a slab from being reused
 *   while a block of it lives.
 */
#include <string.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"

#define BLOCKS 20000
static unsigned char *block[BLOCKS];

static bool fill_and_check(size_t n)
{
    for (int i = 0; i < BLOCKS / 8; i++) {
        block[i] = hakmem_malloc(n);
        if (!block[i] || (uintptr_t)block[i] % 16) return false;
        memset(block[i], i & 255, n);
    }
    hk_front_check();
    for (int i = 0; i < BLOCKS / 8; i++) {
        for (size_t b = 0; b < n; b += n / 4 + 1) {
            if (block[i][b] != (i & 255)) return false;
        }
    }
    return true;
}

static void free_in_strides(void)
{
    for (int start = 0; start < 7; start++) {
        for (int i = start; i < BLOCKS / 8; i += 7) {
            hakmem_free(block[i]);
            block[i] = NULL;
        }
        hk_front_check();
    }
}

static bool calloc_is_zero(size_t n)
{
    for (int i = 0; i < 600; i++) {
        block[i] = hakmem_calloc(1, n);
        for (size_t b = 0; b < n; b++) {
            if (block[i][b]) return false;
        }
        memset(block[i], 0xa5, n);
        if (i % 3 == 0) {
            hakmem_free(block[i]);
            block[i] = hakmem_malloc(n);
            memset(block[i], 0x5a, n);
        }
    }
    for (int i = 0; i < 600; i++) hakmem_free(block[i]);
    return true;
}

/* Most first blocks of the classes to 512 bytes that share a line's place in their pages. */
static unsigned sharing_a_set(void)
{
    unsigned at[4096 / HK_LINE_BYTES] = {0}, most = 0;
    for (size_t n = 16, i = 0; n <= 512; n += 16, i++) {
        block[i] = hakmem_malloc(n);
        unsigned *set = &at[(uintptr_t)block[i] % 4096 / HK_LINE_BYTES];
        if (++*set > most) most = *set;
    }
    for (size_t i = 0; i < 32; i++) hakmem_free(block[i]);
    return most;
}

/* The test without a division against one with it, for each place in a slab of class c. */
static bool begins_are_right(unsigned c)
{
    size_t size = hk_class_bytes(c);
    void *p = hakmem_malloc(size);
    const struct hk_unit *u = hk_slab_first(hk_unit_of(p));
    const char *slab = hk_unit_addr(u);
    bool right = true;
    for (size_t off = 0; off < hk_class_units(c) * HK_UNIT_BYTES; off++) {
        const struct hk_unit *own = u + off / HK_UNIT_BYTES;
        bool start = off % size == 0;
        right &= hk_begins(own, slab + off) == (start && off / size < u->fresh);
        right &= hk_begins_foreign(own, slab + off) == hk_begins(own, slab + off);
    }
    hakmem_free(p);
    return right;
}

int main(void)
{
    unsigned most =
        sharing_a_set(); /* 32 without colours; 10 is the worst of all places of the heap */
    hktest_ok(most <= 10, "the first blocks of slabs lie in different cache sets: %u in one", most);
    static const size_t sizes[] = {1,    16,   17,   64,    100,   512,  1024,
                                   1025, 3000, 5000, 12000, 20000, 32768};
    bool good = true, zero = true;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        good &= fill_and_check(sizes[i]);
        free_in_strides();
        zero &= calloc_is_zero(sizes[i]);
    }
    hktest_ok(good, "blocks keep their bytes, slabs their books");
    hktest_ok(zero, "calloc is zero whatever was there before");
    hakmem_trim(0);
    hk_front_check();
    hktest_ok(hk_pool_used_units() == 0, "all freed and trimmed: no unit is left in a slab");
    bool begins = true;
    for (unsigned c = 1; c < HK_CLASSES; c++) begins &= begins_are_right(c);
    hktest_ok(begins, "where blocks begin is told right for each class and place");
    void *p = hakmem_malloc(0), *q = hakmem_malloc(0);
    hktest_ok(p && q && p != q, "malloc(0) is a block");
    hakmem_free(p);
    hakmem_free(q);
    return hktest_done();
}
