/* SPDX-License-Identifier: MIT */
/*
 * What: large and big blocks: alignment, growth and shrinkage in place, zeroing, no unit lost.
 * Why: each is a different path through the pool.
 */
#include <stdint.h>
#include <string.h>

#include "core/pool.h"
#include "hakmem.h"
#include "hktest.h"
#include "large/large.h"

static bool aligned_ones(void)
{
    for (size_t align = HK_UNIT_BYTES; align <= 64 * HK_MIB; align *= 2) {
        char *p = hakmem_memalign(align, 3 * HK_MIB + 5);
        if (!p || (uintptr_t)p % align) return false;
        p[0] = p[3 * HK_MIB + 4] = 1;
        char *q = hakmem_memalign(align, 40000);
        if (!q || (uintptr_t)q % align) return false;
        hakmem_free(p);
        hakmem_free(q);
    }
    return true;
}

static bool grow_and_shrink(void)
{
    size_t n = 40000;
    unsigned char *p = hakmem_malloc(n);
    memset(p, 7, n);
    for (; n < 40 * HK_MIB; n = n * 3 / 2) {
        p = hakmem_realloc(p, n * 3 / 2);
        if (!p || p[0] != 7 || p[n - 1] != 7) return false;
        memset(p, 7, n * 3 / 2);
    }
    for (; n > 10; n /= 3) {
        p = hakmem_realloc(p, n);
        if (!p || p[0] != 7 || p[n - 1] != 7 || hakmem_usable_size(p) < n) return false;
    }
    hakmem_free(p);
    return true;
}

static bool zeroed(void)
{
    for (size_t n = 40000; n < 20 * HK_MIB; n *= 2) {
        unsigned char *p = hakmem_malloc(n);
        memset(p, 0xff, n);
        hakmem_free(p);
        p = hakmem_calloc(n, 1);
        for (size_t i = 0; i < n; i++) {
            if (p[i]) return false;
        }
        hakmem_free(p);
    }
    return true;
}

int main(void)
{
    hktest_ok(aligned_ones(), "alignments from 64 KiB to 64 MiB");
    hktest_ok(grow_and_shrink(), "realloc keeps the bytes through every layer");
    hktest_ok(zeroed(), "calloc of dirty runs");
    char *p = hakmem_malloc(100000);
    struct hk_unit *u = hk_unit_of(p);
    hktest_ok(hk_large_resize(u, p, 120000) && hk_large_bytes(u) >= 120000,
              "grows where it stands");
    hktest_ok(hk_large_resize(u, p, 40000) && hk_large_bytes(u) == HK_UNIT_BYTES,
              "shrinks where it stands");
    hakmem_free(p);
    hakmem_trim(0);
    hk_pool_check();
    HKTEST(hk_pool_used_units() == 0);
    struct hk_large_stats s;
    hk_large_read_stats(&s);
    hktest_ok(s.tail_bytes == 0 && s.frees == s.large_allocs + s.big_allocs, "the books balance");
    return hktest_done();
}
