/* SPDX-License-Identifier: MIT */
/*
 * What: sizeclass.h and bits.h against plain arithmetic, for every size there is.
 * Why: the whole allocator stands on one function.
 */
#include "base/sizeclass.h"
#include "hktest.h"

static bool every_size_fits(void)
{
    for (size_t n = 0; n <= HK_MID_MAX; n++) {
        unsigned c = hk_size_class(n);
        if (c == 0 || c >= HK_CLASSES || hk_class_bytes(c) < n) return false;
        if (c > 1 && hk_class_bytes(c - 1) >= n) return false; /* a smaller class would do */
    }
    return true;
}

static bool waste_is_bounded(void)
{
    for (size_t n = 65; n <= HK_MID_MAX; n++) {
        size_t size = hk_class_bytes(hk_size_class(n));
        if (n > HK_TINY_MAX && (size - n) * 5 > size) return false;
        if (size - n > 15 && n <= HK_TINY_MAX) return false;
    }
    return true;
}

static bool geometry_holds(void)
{
    for (unsigned c = 1; c < HK_CLASSES; c++) {
        size_t size = hk_class_bytes(c), bytes = hk_class_units(c) * HK_UNIT_BYTES;
        if (size % HK_ALIGN_BYTES || hk_class_blocks(c) < 16 || hk_class_blocks(c) * size > bytes)
            return false;
        if (c > 1 && size <= hk_class_bytes(c - 1)) return false;
        if (hk_class_units(c) > HK_CHUNK_UNITS) return false;
    }
    return true;
}

/* For memalign: some class is a multiple of each power of two up to the largest class. */
static bool aligned_classes_exist(void)
{
    for (size_t align = 16; align <= HK_MID_MAX; align *= 2) {
        unsigned c = HK_CLASSES - 1;
        if (hk_class_bytes(c) % align) return false;
    }
    return true;
}

static bool run_helpers_hold(void)
{
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t w = seed & (seed >> 7 | seed << 9);
        unsigned longest = 0, now = 0;
        for (int b = 0; b < 32; b++) {
            now = w >> b & 1 ? now + 1 : 0;
            if (now > longest) longest = now;
        }
        if (hk_longest_run32(w) != longest) return false;
        for (unsigned n = 1; n <= 32; n++) {
            bool any = hk_runs32(w, n) != 0;
            if (any != (longest >= n)) return false;
        }
    }
    return hk_low_mask32(0) == 0 && hk_low_mask32(32) == ~0u && hk_low_mask32(5) == 31;
}

int main(void)
{
    hktest_ok(every_size_fits(), "each size maps to the smallest class that holds it");
    hktest_ok(waste_is_bounded(), "rounding wastes at most 15 bytes, then 20 %%");
    hktest_ok(geometry_holds(), "slabs hold at least 16 blocks and classes rise");
    hktest_ok(aligned_classes_exist(), "powers of two are classes");
    hktest_ok(run_helpers_hold(), "runs of bits");
    HKTEST(hk_align_up(1, 4096) == 4096 && hk_align_up(4096, 4096) == 4096 &&
           hk_align_up(0, 16) == 0);
    HKTEST(hk_is_pow2(1) && hk_is_pow2(4096) && !hk_is_pow2(0) && !hk_is_pow2(24));
    HKTEST(hk_bytes_to_units(1) == 1 && hk_bytes_to_units(HK_UNIT_BYTES + 1) == 2);
    return hktest_done();
}
