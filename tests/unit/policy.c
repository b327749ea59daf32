/* SPDX-License-Identifier: MIT */
/*
 * What: the fixed decisions stay within what the mechanisms rely on.
 * Why: a wake threshold of 0 or of all blocks would break slabs, an extension of 0 would spin.
 */
#include "policy/policy.h"
#include "hktest.h"

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
    struct hk_purge_view v = {100, HK_PURGE_MIN_UNITS, 10000, 10000 - HK_PURGE_EVERY_MS, false};
    HKTEST(hk_policy_purge_due(&v));
    v.last_ms++;
    hktest_ok(!hk_policy_purge_due(&v), "not too often");
    v.last_ms = 0;
    v.dirty_units = HK_PURGE_MIN_UNITS - 1;
    v.used_units = HK_PURGE_MIN_USED_UNITS - 1;
    hktest_ok(!hk_policy_purge_due(&v), "not for a trifle");
    v.used_units = 100;
    v.dirty_units = 50;
    uint32_t few = hk_policy_purge_idle_ms(&v);
    v.dirty_units = 500;
    hktest_ok(hk_policy_purge_idle_ms(&v) < few, "sooner when much lies about");
    HKTEST(hk_policy_tail_purge(HK_TAIL_PURGE_MIN, 200 * HK_MIB, HK_GIB));
    hktest_ok(!hk_policy_tail_purge(HK_TAIL_PURGE_MIN - 1, 200 * HK_MIB, HK_GIB),
              "not a page or two");
    hktest_ok(!hk_policy_tail_purge(HK_UNIT_BYTES - 4096, HK_MIB / 2, HK_GIB),
              "not while it is little");
    return hktest_done();
}
