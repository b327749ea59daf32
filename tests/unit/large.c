/* SPDX-License-Identifier: MIT */
/*
 * What: large and big blocks: alignment, growth and shrinkage in place, zeroing, no unit lost.
 * Why: each is a different path through the pool.
 */
#include <stdint.h>
#include <string.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "large/large.h"
#include "large/mapped.h"
#include "large/touch.h"
#include "os/sys.h"
#include "policy/policy.h"
#include "policy/snapshot.h"
#include "slab/heap.h"

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

#define VECTOR (3 * HK_MIB)

static void mark(uint32_t *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i += 512) p[i / 4] = (uint32_t)i;
}

static bool marked(const uint32_t *p, size_t to)
{
    for (size_t i = 0; i < to; i += 512) {
        if (p[i / 4] != (uint32_t)i) return false;
    }
    return true;
}

/* Fenced in, so that it must go elsewhere; every other time it can grow on where it came to. */
static bool vectors(void)
{
    size_t n = VECTOR, fences = 0, outside = 0;
    void *fence[32], *p = hakmem_malloc(n);
    mark(p, 0, n);
    for (int i = 0; n < 80 * HK_MIB; i++, n += n / 4 & ~(size_t)4095) {
        size_t more = n + (n / 4 & ~(size_t)4095);
        if (i % 2 == 0) fence[fences++] = hakmem_malloc(VECTOR);
        p = hakmem_realloc(p, more);
        if (!p || !marked(p, n)) return false;
        outside += hk_mapped_bytes(p) > 0;
        mark(p, n, more);
        unsigned char *old = hakmem_calloc(1, n);
        for (size_t at = 0; at < n; at += 512) {
            if (old[at]) return false;
        }
        hakmem_free(old);
    }
    hakmem_free(p);
    while (fences) hakmem_free(fence[--fences]);
    return outside > 0;
}

/* Whether all behind p, a block of VECTOR bytes, is free up to the heap's end. */
static bool is_last(const void *p)
{
    size_t i = hk_chunk_index(p) + (VECTOR + HK_CHUNK_BYTES - 1) / HK_CHUNK_BYTES;
    while (i < hk_map_chunks() && hk_chunk_at(i)->state == HK_CHUNK_FREE) i++;
    return i == hk_map_chunks();
}

/* The last block grows where it stands: the heap's end moves. */
static bool last_block(void)
{
    void *block[40];
    unsigned n = 0;
    do block[n] = hakmem_malloc(VECTOR); /* whatever is free below is taken first */
    while (!is_last(block[n]) && ++n < 40);
    size_t end = hk_map_chunks(), bytes = VECTOR;
    bool still = n < 40;
    for (; still && bytes < 200 * HK_MIB; bytes *= 2)
        still = hakmem_realloc(block[n], 2 * bytes) == block[n];
    still &= hk_map_chunks() > end;
    for (unsigned i = 0; i <= n && i < 40; i++) hakmem_free(block[i]);
    return still;
}

/* What the thread freed last comes first, and only a little is held. */
struct held {
    size_t many, at, longer;
    bool nobodys, last_is_next, used_stays, other_goes;
};

static struct held hold_runs(struct hk_heap *h)
{
    struct held is;
    void *p[40];
    hakmem_trim(0);
    size_t before = hk_pool_used_units();
    for (int i = 0; i < 40; i++) p[i] = memset(hakmem_malloc(100000 + (size_t)i), 1, 100000);
    for (int i = 0; i < 40; i++) hakmem_free(p[i]);
    is.many = hk_pool_used_units() - before;
    is.nobodys = hk_unit_of(p[39])->owner == HK_OWNER_NONE;
    unsigned char *q = hakmem_calloc(1, 120000);
    is.last_is_next = q == p[39];
    for (is.at = 0; is.at < 120000 && q[is.at] == 0;) is.at++;
    hakmem_free(q);
    p[0] = hakmem_malloc(3 * HK_MIB / 4);
    hakmem_free(p[0]);
    is.longer = hk_pool_used_units() - before;
    hk_runs_drop(h, true); /* one was of use since the last time */
    is.used_stays = h->runs > 0;
    hk_runs_drop(h, true);
    is.other_goes = h->runs == 0 && hk_pool_used_units() == before;
    return is;
}

static void held_runs(void)
{
    struct held is;
    hakmem_free(hakmem_malloc(1));
    struct hk_heap *h = hk_thread.heap;
    /* On a busy machine a look may come between, and drop some: then it is tried again. */
    for (int tries = 0; tries < 50; tries++) {
        uint64_t look = h->look_ms;
        is = hold_runs(h);
        if (h->look_ms == look) break;
    }
    hktest_ok(is.many == HK_RUN_CACHE_UNITS, "of 40 runs %zu units are held", is.many);
    hktest_ok(is.nobodys, "as no block of anybody");
    hktest_ok(is.last_is_next, "the last one is the next one");
    hktest_ok(is.at == 120000, "and cleared if need be: byte %zu", is.at);
    hktest_ok(is.longer <= HK_RUN_CACHE_UNITS, "a long one puts others out");
    hktest_ok(is.used_stays, "what was of use stays");
    hktest_ok(is.other_goes, "what was not goes");
}

/* Held runs of 2 units, once as many of 4 as may be held were freed, each twice as many. */
static unsigned two_units_left(struct hk_snapshot s)
{
    struct hk_snapshot was = hk_policy_now();
    void *p[HK_RUN_SLOTS];
    struct hk_heap *h = hk_thread.heap;
    hakmem_trim(0);
    hk_policy_publish(s);
    for (unsigned i = 0; i < 4; i++) p[i] = hakmem_malloc(2 * HK_UNIT_BYTES);
    for (unsigned i = 0; i < 4; i++) hakmem_free(p[i]);
    for (unsigned i = 0; i < 16; i++) p[i] = hakmem_malloc(4 * HK_UNIT_BYTES);
    for (unsigned i = 0; i < 16; i++) hakmem_free(p[i]);
    unsigned left = (unsigned)__builtin_popcount(h->runs_of[2]);
    hk_policy_publish(was);
    hakmem_trim(0);
    return left;
}

static void caps(void)
{
    struct hk_snapshot s = hk_policy_now();
    unsigned none = two_units_left(s);
    s.caps_on = 1;
    s.cap = hk_policy_cap_bits(1, 8) | hk_policy_cap_bits(2, 4);
    unsigned kept = two_units_left(s);
    s.cap = hk_policy_cap_bits(1, 2) | hk_policy_cap_bits(2, HK_CAP_MOST);
    unsigned one = two_units_left(s);
    hktest_ok(none == 4 && kept == 4 && one == 1,
              "of 4 runs: %u stay, with a cap for the others %u, for them %u", none, kept, one);
}

/* A small block aligned like a large one holds its pages, not its unit. */
static void small_aligned(void)
{
    char *p = hakmem_malloc(HK_UNIT_BYTES);
    memset(p, 1, HK_UNIT_BYTES);
    hakmem_free(p);
    char *volatile aligned = hakmem_aligned_alloc(HK_UNIT_BYTES, 100);
    char *q = aligned; /* compilers that know its size would not let it be read beyond */
    bool zero = q != NULL;
    for (size_t i = hk_sys_page_bytes(); q && i < HK_UNIT_BYTES; i++) zero &= q[i] == 0;
    hktest_ok(zero, "the rest of its unit went back");
    hakmem_free(q);
}

/* First touches are timed and change nothing; small pages are not taken for a huge one. */
static void touches(void)
{
    size_t bytes = 2 * HK_CHUNK_BYTES;
    char *p = hk_sys_map(NULL, bytes);
    bool zero = p != NULL;
    if (!p) return;
    hk_sys_nohuge(p, bytes);
    char *chunk = (char *)hk_align_up((uintptr_t)p, HK_CHUNK_BYTES);
    hk_touch_huge(chunk);
    hk_touch_small(chunk + 64 * HK_KIB);
    for (size_t i = 0; i < bytes; i++) zero &= p[i] == 0;
    uint32_t price[2];
    hk_touch_prices(price);
    hktest_ok(zero && price[0] > 0, "a first touch costs %u ns a KiB", price[0]);
    hktest_ok(price[1] == 0 && hk_touch_huge_pays(), "of huge pages nothing is known");
    hk_sys_unmap(p, bytes);
}

/* A run that is longer than asked for: whole, zeroed on demand, and given back whole. */
static void rounded_runs(void)
{
    struct hk_snapshot s = hk_policy_balanced();
    s.wmax_mid = s.wmax_large = 4;
    hk_policy_publish(s);
    char *p = hakmem_malloc(8 * HK_UNIT_BYTES);
    memset(p, 1, 8 * HK_UNIT_BYTES);
    hakmem_free(p);
    size_t n = 5 * HK_UNIT_BYTES + 100, used = hk_pool_used_units();
    char *q = hakmem_calloc(1, n);
    bool zero = true;
    for (size_t i = 0; i < n; i++) zero &= q[i] == 0;
    hktest_ok(q == p && zero && hakmem_usable_size(q) >= n && hk_pool_used_units() == used,
              "a longer run serves, and is zero as far as asked for");
    q = hakmem_realloc(q, 6 * HK_UNIT_BYTES);
    hktest_ok(q == p && hk_unit_of(q)->run_units == 6, "what is too much goes back");
    hakmem_free(q);
    p = hakmem_malloc(2 * HK_UNIT_BYTES);
    hktest_ok(p != q, "twice as long is the most");
    hakmem_free(p);
    hk_policy_publish(hk_policy_balanced());
    hk_front_check();
}

/* What can never be had costs nothing that is cached. */
static bool hopeless(void)
{
    void *p = hakmem_malloc(4 * HK_MIB);
    hakmem_free(memset(p, 1, 4 * HK_MIB));
    uint64_t calls = hk_sys_count[HK_SYS_MADVISE];
    bool none = !hakmem_malloc(HK_HEAP_MAX + 1) && !hakmem_malloc(HK_MAX_REQUEST) &&
                !hakmem_memalign(2 * HK_HEAP_MAX, 8) && !hakmem_calloc(2, HK_HEAP_MAX) &&
                !hakmem_realloc(NULL, HK_HEAP_MAX + 1);
    return none && hk_sys_count[HK_SYS_MADVISE] == calls && hk_pool_dirty_units() >= 64;
}

int main(void)
{
    hktest_ok(aligned_ones(), "alignments from 64 KiB to 64 MiB");
    hktest_ok(grow_and_shrink(), "realloc keeps the bytes through every layer");
    hktest_ok(zeroed(), "calloc of dirty runs");
    hktest_ok(last_block(), "the heap's last block grows where it stands");
    hktest_ok(vectors(), "vectors keep their bytes wherever they grow");
    hktest_ok(hopeless(), "a request beyond the whole heap gives nothing back");
    held_runs();
    caps();
    small_aligned();
    touches();
    rounded_runs();
    char *p = hakmem_malloc(100000);
    struct hk_unit *u = hk_unit_of(p);
    hktest_ok(hk_large_resize(&hk_thread.heap->large, u, p, 120000) && hk_large_bytes(u) >= 120000,
              "grows where it stands");
    hktest_ok(hk_large_resize(&hk_thread.heap->large, u, p, 40000) &&
                  hk_large_bytes(u) == HK_UNIT_BYTES,
              "shrinks where it stands");
    hakmem_free(p);
    hakmem_trim(0);
    hk_pool_check();
    HKTEST(hk_pool_used_units() == 0);
    struct hk_large_stats s;
    hk_heap_large_stats(&s);
    hktest_ok(s.tail_bytes == 0 && s.frees == s.large_allocs + s.big_allocs, "the books balance");
    return hktest_done();
}
