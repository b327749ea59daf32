/* SPDX-License-Identifier: MIT */
/*
 * What: guarded blocks: now and then an allocation gets a page of its own between inaccessible
 * ones, and after its free the page is inaccessible too. Why: what runs beyond a block or uses it
 * after free faults there and then, with the places that allocated and freed it; rare enough that a
 * program in production may run like that for good. Owns: the pool of slots, the pages, their
 * records (which lie elsewhere, with the metadata).
 *
 * Invariants: G1 a page is accessible while its slot is LIVE, and only just before and after. G2
 * all of a live page that is not the block holds HK_GUARD_FILL. G3 the freed slot that rested
 * longest is the next to be used.
 *
 * Threads: all, without a lock. Fork: a slot that another thread was taking or leaving is free in
 * the child.
 */
#ifndef HK_LARGE_GUARD_H
#define HK_LARGE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define HK_GUARD_FILL 0xab

/* About one of so many allocations; 0: none. */
extern HK_HIDDEN _Atomic uint32_t hk_guard_every;
HK_INLINE bool hk_guard_on(void)
{
    return atomic_load_explicit(&hk_guard_every, memory_order_relaxed) != 0;
}
/* From now on, with so many slots if there are none yet; the handler of faults is installed. */
void hk_guard_start(uint32_t every, uint32_t slots);

/* Whether a slot has room for n bytes at a multiple of align, a power of two. */
bool hk_guard_fits(size_t n, size_t align);
/* So many allocations of the calling thread have passed: whether the last one is to be guarded. */
bool hk_guard_turn(int64_t passed);
/*
 * A block that fits, all zero if wanted, for a call that returns to site (NULL: not known). NULL:
 * all slots are in use, or the kernel refused.
 */
void *hk_guard_alloc(size_t n, size_t align, bool zero, const void *site);

/* Whether p lies in the pool. */
bool hk_guard_holds(const void *p);
/*
 * False if p does not lie in the pool; if it does and is no block in use, or was written beyond,
 * the program ends. site: where free returns to; NULL: realloc's.
 */
bool hk_guard_free(void *p, const void *site);
/* Bytes of p, which the pool holds: as asked for; 0 if it is no block in use · or the program ends.
 */
size_t hk_guard_bytes(const void *p);
size_t hk_guard_resized(const void *p);

void hk_guard_fork_child(void);
/* Walk the pool and abort on a broken invariant; bytes of its mapping. Nobody uses it now. */
size_t hk_guard_check(void);

struct hk_guard_stats {
    size_t live;
    uint64_t sampled; /* since the start */
};
void hk_guard_read_stats(struct hk_guard_stats *out);

#endif
