/* SPDX-License-Identifier: MIT */
/*
 * What: whether an address in a slab is where a linked block begins, without a division; and the
 *   mark by which a free block is told from one in use.
 * Why: free and realloc look at each pointer they get, in every program.
 * Invariants: M1 the second word of a free block is its mark, wherever the block waits: in its
 *   slab's list, a bin, a ring, under way. M2 malloc takes it away, so a block in use has another.
 */
#ifndef HK_SLAB_BEGIN_H
#define HK_SLAB_BEGIN_H

#include "core/harden.h"

/*
 * Blocks of s bytes, the first that begins in the unit so at byte lo0. With magic = 2^32 / s + 1,
 * rounded down, the low half of (lo - lo0) * magic is q * (s * magic - 2^32) for the start of block
 * q, and beyond the last block's for any other lo (after Lemire, Kaser and Kurz, "Faster remainder
 * by direct computation", 2019; tests/unit/slab.c tries all). Phase is -lo0 * magic. So bound says
 * of how many: 0 if none is linked, or the unit has holes and hk_slab_doubt must look closer.
 */
HK_INLINE uint32_t hk_begin_rank(const struct hk_unit *u, const void *p)
{
    return (uint32_t)((uintptr_t)p & (HK_UNIT_BYTES - 1)) * u->magic + u->phase;
}

/* In a short slab, phase being 0. */
HK_INLINE bool hk_begins_short(const struct hk_unit *u, const void *p)
{
    return (uint32_t)((uintptr_t)p & (HK_UNIT_BYTES - 1)) * u->magic < u->bound;
}

HK_INLINE bool hk_begins(const struct hk_unit *u, const void *p)
{
    return hk_begin_rank(u, p) < u->bound;
}

/*
 * M3 bound, fresh and holes are written by who holds the heap, and read by all: who has a live
 * block finds them as they were when it was handed out, or later, and until its end it begins
 * there, is linked, and in no hole. Who frees it again may find a hole, and no mark there.
 */
HK_INLINE bool hk_begins_foreign(const struct hk_unit *u, const void *p)
{
    return hk_begin_rank(u, p) < __atomic_load_n(&u->bound, __ATOMIC_RELAXED);
}

HK_INLINE uint32_t hk_holes_of(const struct hk_unit *u)
{
    return atomic_load_explicit(&u->holes, memory_order_relaxed);
}

HK_INLINE void hk_holes_set(struct hk_unit *u, uint32_t holes)
{
    atomic_store_explicit(&u->holes, (uint16_t)holes, memory_order_relaxed);
}

HK_INLINE uintptr_t hk_mark_of(const struct hk_unit *first, const void *p)
{
    return (uintptr_t)first + (uintptr_t)p;
}

HK_INLINE bool hk_is_marked(const struct hk_unit *first, const void *p)
{
    return ((const uintptr_t *)p)[1] == hk_mark_of(first, p);
}

HK_INLINE void hk_mark(const struct hk_unit *first, void *p)
{
    ((uintptr_t *)p)[1] = hk_mark_of(first, p);
}

HK_INLINE void hk_unmark(void *p)
{
    ((uintptr_t *)p)[1] = 0;
}

extern const char hk_says_after_free[];
/* Whether p is a free block of first's slab, as a link to it says. */
bool hk_is_free(const struct hk_unit *first, const void *p);
/* The next one, said by a free block p of first's slab, was looked at and is none. */
_Noreturn HK_COLD void hk_die_link(const struct hk_unit *first, const void *p);

/* What follows p in a list of free blocks of first's slab: in hardened mode it is looked at. */
HK_INLINE void *hk_slab_next(const struct hk_unit *first, const void *p)
{
    void *next = hk_link_next(p);
    if (hk_hardened() && next && HK_UNLIKELY(!hk_is_free(first, next))) hk_die_link(first, p);
    return next;
}

/* Numbers of blocks of u's slab, [from, to), became linked or unlinked: bounds of their units. */
void hk_begin_tell(struct hk_unit *first, uint32_t from, uint32_t to);
/* A slab of class first->cls is born, nothing linked. */
void hk_begin_birth(struct hk_unit *first);

#endif
