/* SPDX-License-Identifier: MIT */
/*
 * What: slabs: blocks of one class in one unit, or in sixteen, free lists, take-over by a bin, life
 *   and death.
 *
 * Why: malloc must touch no metadata: a refill takes a slab's whole free list into the bin, and
 *   frees gather in the slab until the next take-over.
 *
 * Invariants: S1 conservation: blocks = unlinked + free list + out, where unlinked counts fresh
 * ones and those in holes, out live blocks, those in a bin and those under way from other threads.
 *   S2 awake: on its class queue, needed = out. S3 asleep: all blocks linked, list taken; needed
 *   counts to the wake-up, left is out then. S4 a slab goes back to the pool only when out = 0.
 *   S5 a slab that falls asleep may be let loose: no heap's, until the first free into it.
 *
 * Ordering: C1 a slab is let loose by a release store and claimed by a compare-exchange with
 *   acquire: the claimer sees all that the last owner did. Nobody touches a loose slab.
 *
 * Threads: whoever holds the heap (H1).
 */
#ifndef HK_SLAB_SLAB_H
#define HK_SLAB_SLAB_H

#include "slab/begin.h"
#include "slab/heap.h"

/* Move a slab's free blocks into bin c (empty before); false if the kernel gives no memory. */
bool hk_slab_refill(struct hk_heap *h, unsigned c);
/* Like hk_slab_refill, but only from slabs that h has. */
bool hk_slab_refill_own(struct hk_heap *h, unsigned c);
/* needed reached 0: wake the slab or give it back. u is the slab's first unit. */
void hk_slab_event(struct hk_heap *h, struct hk_unit *u);
/* Free a list of count blocks of slab u at once; its last block is tail. */
void hk_slab_splice(struct hk_heap *h, struct hk_unit *u, void *head, void *tail, uint32_t count);
/* Move one slab of class c with room from queue to queue: from is held by the caller too. */
bool hk_slab_move(struct hk_heap *to, struct hk_heap *from, unsigned c);
/* Give back every slab that is empty; of one class. */
void hk_slab_release_empty(struct hk_heap *h);
void hk_slab_release_empty_of(struct hk_heap *h, unsigned c);
/*
 * Return to the kernel the pages of slabs with room that hold no live block, of slabs whose lists
 * have not changed since the last call (force: of all); bytes. Ends when *blocks, which it counts
 * down by blocks looked at and calls to the kernel, does not do for the next slab: h->cut is set
 * then, and the next call goes on there. Not from within a slow path: h->busy is clear on entry and
 * after.
 */
size_t hk_slab_purge(struct hk_heap *h, bool force, uint32_t *blocks);
/* All fresh blocks of u are linked, some others are not: [*first, *end) leave their hole. */
void hk_slab_close_hole(struct hk_unit *u, uint32_t *first, uint32_t *end);
/* Whether block `block` of u is in a hole. */
bool hk_slab_in_hole(const struct hk_unit *u, uint32_t block);
/* Blocks of u that are in holes. */
uint32_t hk_slab_hole_blocks(const struct hk_unit *u);
/* Demand fades: half of what was noted of it. */
void hk_slab_fade(struct hk_heap *h);
/* h becomes the owner of the loose slab u; false if another one was quicker. */
bool hk_slab_claim(struct hk_heap *h, struct hk_unit *u);
/* Walk the queues and abort on a broken invariant; blocks free in them. For tests. */
size_t hk_slab_check(const struct hk_heap *h);

/* First unit of the slab or run that u belongs to. */
HK_INLINE struct hk_unit *hk_slab_first(struct hk_unit *u)
{
    return (struct hk_unit *)((uintptr_t)u - u->follow);
}

enum hk_call { HK_CALL_FREE, HK_CALL_REALLOC };
/* What is said of them by each call, when no block begins at the pointer, or a freed one does. */
extern const char *const hk_says_invalid[], *const hk_says_freed[];
/*
 * p, in a slab, looked wrong to a quick test. Returns if it is a block in use all the same; else
 * the program ends, and is told why.
 */
void hk_slab_doubt(const struct hk_unit *first, const void *p, enum hk_call call);
/* Blocks that others freed, of a slab with holes: finds who freed twice while its page went. */
void hk_slab_doubt_list(const struct hk_unit *first, const void *head, const void *tail);
/*
 * Free p into slab u, whose heap h the caller holds; checked to be a block in use. Counted before
 * it is listed: busy is not set, and in a child of fork that sees but the first of the two the
 * block is lost (the slab, if it was the one to wake it). The other way round a list that has
 * blocks would be taken for empty, and they for untouched.
 */
HK_INLINE void hk_slab_put(struct hk_heap *h, struct hk_unit *u, void *p, uintptr_t key)
{
    hk_mark(u, p);
    uint32_t needed = --u->needed;
    atomic_signal_fence(memory_order_seq_cst);
    *(uintptr_t *)p = (uintptr_t)u->free ^ key;
    u->free = p;
    if (HK_UNLIKELY(needed == 0)) hk_slab_event(h, u);
}

HK_INLINE void hk_slab_free(struct hk_heap *h, struct hk_unit *u, void *p)
{
    hk_slab_put(h, u, p, hk_link_key);
}

/* Where hk_window_limit has told that links have no key. */
HK_INLINE void hk_slab_free_plain(struct hk_heap *h, struct hk_unit *u, void *p)
{
    hk_slab_put(h, u, p, 0);
}

#endif
