/* SPDX-License-Identifier: MIT */
/*
 * What: the table of mapped blocks, and what the kernel is asked for.
 * Why: see mapped.h. Frees and reallocs look here only for pointers that the heap does not know.
 *
 * Ordering: T1 a slot is claimed by a compare-exchange, its bytes are written, then its address
 * with release; who reads the address with acquire sees the bytes. Who looks for a live block finds
 * it: its entry happened before the pointer was handed on.
 */
#include "large/mapped.h"

#include <stdatomic.h>
#include <string.h>

#include "core/numa.h"
#include "core/pool.h"
#include "os/report.h"
#include "os/sys.h"
#include "policy/policy.h"

#define SLOTS      1024u
#define BLOCKS_MAX (SLOTS / 2) /* far below the mappings a process may have; probes stay short */
/* Addresses are page-aligned: small values say what else a slot may be. */
enum { NEVER, GONE, CLAIMED };
#define IDLE ((uintptr_t)1) /* in an address: no block, but the kernel would not unmap it */

struct slot {
    _Atomic uintptr_t addr;
    _Atomic size_t bytes;
};

static _Atomic(struct slot *) table;
static _Atomic size_t blocks, idle, least = HK_MAPPED_LEAST;

static struct slot *get_table(void)
{
    struct slot *t = atomic_load_explicit(&table, memory_order_acquire), *mine;
    if (t || !(mine = hk_meta_alloc(SLOTS * sizeof *mine))) return t;
    /* Another thread was quicker: this one's 16 KiB were never touched. */
    if (atomic_compare_exchange_strong_explicit(&table, &t, mine, memory_order_acq_rel,
                                                memory_order_acquire))
        return mine;
    return t;
}

static size_t home(uintptr_t addr)
{
    return (addr / HK_UNIT_BYTES * 0x9e3779b97f4a7c15u >> 32) % SLOTS;
}

static struct slot *find(const void *p)
{
    struct slot *t = atomic_load_explicit(&table, memory_order_acquire);
    uintptr_t addr = (uintptr_t)p;
    if (!t || addr % hk_sys_page_bytes() || addr <= CLAIMED) return NULL;
    for (size_t i = home(addr), n = 0; n < SLOTS; i = (i + 1) % SLOTS, n++) {
        uintptr_t is = atomic_load_explicit(&t[i].addr, memory_order_acquire);
        if (is == addr) return &t[i];
        if (is == NEVER) return NULL;
    }
    return NULL;
}

/* A slot and `bytes` of what the limit leaves are spoken for. */
static bool reserve(size_t bytes)
{
    if (atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed) < BLOCKS_MAX &&
        hk_pool_outside_grow(bytes))
        return true;
    atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
    return false;
}

static void unreserve(size_t bytes)
{
    hk_pool_outside_shrink(bytes);
    atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
}

/* There is a slot: no more blocks are let in than half of them. */
static void insert(void *p, size_t bytes, uintptr_t mark)
{
    struct slot *t = atomic_load_explicit(&table, memory_order_acquire);
    for (size_t i = home((uintptr_t)p);; i = (i + 1) % SLOTS) {
        uintptr_t is = atomic_load_explicit(&t[i].addr, memory_order_relaxed);
        if (is > GONE || !atomic_compare_exchange_strong_explicit(
                             &t[i].addr, &is, CLAIMED, memory_order_acquire, memory_order_relaxed))
            continue;
        atomic_store_explicit(&t[i].bytes, bytes, memory_order_relaxed);
        atomic_store_explicit(&t[i].addr, (uintptr_t)p | mark, memory_order_release);
        return;
    }
}

static void empty(struct slot *s)
{
    atomic_store_explicit(&s->addr, GONE, memory_order_release);
}

static size_t page_round(size_t n)
{
    return hk_align_up(n, hk_sys_page_bytes());
}

size_t hk_mapped_trim(void)
{
    size_t got = hk_sys_drop_again();
    if (!atomic_load_explicit(&idle, memory_order_relaxed)) return got;
    struct slot *t = atomic_load_explicit(&table, memory_order_acquire);
    for (size_t i = 0; i < SLOTS; i++) {
        uintptr_t is = atomic_load_explicit(&t[i].addr, memory_order_acquire);
        if (is <= CLAIMED || !(is & IDLE)) continue;
        if (!atomic_compare_exchange_strong_explicit(&t[i].addr, &is, CLAIMED, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        size_t bytes = atomic_load_explicit(&t[i].bytes, memory_order_relaxed);
        if (!hk_sys_unmap((void *)(is & ~IDLE), bytes)) {
            atomic_store_explicit(&t[i].addr, is, memory_order_release);
            continue;
        }
        empty(&t[i]);
        atomic_fetch_sub_explicit(&idle, 1, memory_order_relaxed);
        unreserve(bytes);
        got += bytes;
    }
    return got;
}

void *hk_mapped_copy(const void *p, size_t have, size_t n)
{
    size_t bytes = page_round(n);
    if (n < atomic_load_explicit(&least, memory_order_relaxed) || !get_table()) return NULL;
    hk_mapped_trim();
    if (!reserve(bytes)) return NULL;
    void *q = hk_sys_map(NULL, bytes);
    if (!q) {
        unreserve(bytes);
        return NULL;
    }
    hk_numa_place_here(q, bytes);
    insert(memcpy(q, p, have), bytes, 0);
    return q;
}

size_t hk_mapped_bytes(const void *p)
{
    struct slot *s = find(p);
    return s ? atomic_load_explicit(&s->bytes, memory_order_relaxed) : 0;
}

static void raise_least(size_t freed)
{
    size_t now = atomic_load_explicit(&least, memory_order_relaxed), want;
    while ((want = hk_policy_mapped_least(now, freed)) > now &&
           !atomic_compare_exchange_weak_explicit(&least, &now, want, memory_order_relaxed,
                                                  memory_order_relaxed))
        continue;
}

bool hk_mapped_free(void *p)
{
    struct slot *s = find(p);
    uintptr_t addr = (uintptr_t)p;
    /* M2; of two frees of one block one finds nothing. */
    if (!s || !atomic_compare_exchange_strong_explicit(&s->addr, &addr, CLAIMED,
                                                       memory_order_acquire, memory_order_relaxed))
        return false;
    size_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    raise_least(bytes);
    empty(s);
    if (hk_sys_unmap(p, bytes)) {
        unreserve(bytes);
        return true;
    }
    hk_sys_purge(p, bytes);
    atomic_fetch_add_explicit(&idle, 1, memory_order_relaxed);
    insert(p, bytes, IDLE);
    return true;
}

void *hk_mapped_resize(void *p, size_t n)
{
    struct slot *s = find(p);
    if (!s) return NULL;
    size_t have = atomic_load_explicit(&s->bytes, memory_order_relaxed), bytes = page_round(n);
    if (bytes == have) return p;
    if (bytes > have && !hk_pool_outside_grow(bytes - have)) return NULL;
    atomic_store_explicit(&s->addr, CLAIMED, memory_order_relaxed); /* M2 */
    void *q = hk_sys_remap(p, have, bytes);
    if (!q) {
        atomic_store_explicit(&s->addr, (uintptr_t)p, memory_order_release);
        if (bytes > have) hk_pool_outside_shrink(bytes - have);
        return NULL;
    }
    empty(s);
    insert(q, bytes, 0);
    if (bytes < have) hk_pool_outside_shrink(have - bytes);
    return q;
}

void hk_mapped_read_stats(struct hk_mapped_stats *out)
{
    size_t all = atomic_load_explicit(&blocks, memory_order_relaxed);
    size_t dead = atomic_load_explicit(&idle, memory_order_relaxed);
    out->blocks = all > dead ? all - dead : 0;
}

#ifdef HK_DEBUG
size_t hk_mapped_check(void)
{
    struct slot *t = atomic_load_explicit(&table, memory_order_acquire);
    size_t all = 0, dead = 0, bytes = 0;
    for (size_t i = 0; t && i < SLOTS; i++) {
        uintptr_t is = atomic_load_explicit(&t[i].addr, memory_order_relaxed);
        HK_CHECK(is != CLAIMED, &t[i]);
        if (is <= CLAIMED) continue;
        HK_CHECK((is & ~IDLE) % hk_sys_page_bytes() == 0, &t[i]);
        HK_CHECK((is & IDLE) || find((void *)is) == &t[i], &t[i]);
        all++;
        dead += is & IDLE;
        bytes += atomic_load_explicit(&t[i].bytes, memory_order_relaxed);
    }
    HK_CHECK(all == atomic_load_explicit(&blocks, memory_order_relaxed), &blocks);
    HK_CHECK(dead == atomic_load_explicit(&idle, memory_order_relaxed), &idle);
    return bytes;
}
#endif
