/* SPDX-License-Identifier: MIT */
/*
 * What: size classes that are chosen at run time, for sizes between mid and 256 KiB: four slots, of
 *   which two at most are in force.
 * Why: blocks there take whole units; who asks for 68 KiB all day has nearly half of them for
 *   nothing, and takes and returns runs where a bin would do.
 * Invariants: D1 a slot gets another size only while no slab of it exists: size and count of slabs
 *   are one word, changed by one compare-exchange. D2 who makes a slab counts it by the operation
 *   that reads its size. So all slabs of a slot have its size, and while a block lives it stays.
 *   D3 what is in force may be read late: who gets a block by it looks whether it is long enough.
 * Ordering: E1 a slab is dropped with release, a slot changed with acquire: the next owner of the
 *   slot comes after all that was done with its last slabs.
 * Threads: any; one at a time calls hk_dyn_set.
 */
#ifndef HK_BASE_DYNCLASS_H
#define HK_BASE_DYNCLASS_H

#include <stdatomic.h>

#include "base/bits.h"

#define HK_DYN_SLOTS  4u
#define HK_DYN_CHOSEN 2u
#define HK_DYN_ROUND  ((size_t)256) /* sizes are multiples of it */
#define HK_DYN_MOST   ((size_t)256 << 10)
#define HK_DYN_ASKED  8u /* requests of a thread before it gets its first slab */

/* Bytes of a block, and above bit 32 how many slabs there are. */
extern HK_HIDDEN _Atomic uint64_t hk_dyn_slot[HK_DYN_SLOTS];
/* Two bytes: the numbers of the slots in force plus one, the shorter one's in the lower. */
extern HK_HIDDEN _Atomic uint32_t hk_dyn_word;

/* Of a slot that has slabs, constant. */
HK_INLINE size_t hk_dyn_bytes(unsigned slot)
{
    return (uint32_t)atomic_load_explicit(&hk_dyn_slot[slot], memory_order_relaxed);
}

HK_INLINE uint32_t hk_dyn_now(void)
{
    return atomic_load_explicit(&hk_dyn_word, memory_order_relaxed);
}

HK_INLINE bool hk_dyn_in_force(unsigned slot)
{
    uint32_t now = hk_dyn_now();
    return (now & 0xff) == slot + 1 || now >> 8 == slot + 1;
}

/* The sizes in force as for hk_dyn_set. */
void hk_dyn_read(size_t sizes[HK_DYN_CHOSEN]);
/* The slot in force whose blocks n bytes nearly fill, an eighth left at most; HK_DYN_SLOTS: none.
 */
HK_INLINE unsigned hk_dyn_for(size_t n)
{
    for (uint32_t now = hk_dyn_now(); now; now >>= 8) {
        unsigned slot = (now & 0xff) - 1;
        if (slot >= HK_DYN_SLOTS) continue;
        size_t bytes = hk_dyn_bytes(slot);
        if (n <= bytes && n > bytes - bytes / 8) return slot;
    }
    return HK_DYN_SLOTS;
}

/* A slab of the slot begins; its size. */
size_t hk_dyn_claim(unsigned slot);
/* A slab of the slot has ended. */
void hk_dyn_drop(unsigned slot);
/*
 * These sizes are in force, 0 for none, the shorter one first; valid ones. False: one is not, as
 * all slots have slabs: try again later.
 */
bool hk_dyn_set(const size_t sizes[HK_DYN_CHOSEN]);

#endif
