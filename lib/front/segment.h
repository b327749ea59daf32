/* SPDX-License-Identifier: MIT */
/*
 * What: the form in which freed blocks of one slab travel to its owner.
 * Format: a segment is a list of one slab's blocks, linked by their first words; their second ones
 *   are their marks (M1 of begin.h). The tail's first word links to the next segment's head. The
 *   head's holds, while it is under way and is not the tail too, places in the slab: of the next
 *   block and of the tail, and the count.
 * Why: the owner splices them in by touching two of them, and all of them keep their marks.
 * Threads: whoever has the blocks.
 */
#ifndef HK_FRONT_SEGMENT_H
#define HK_FRONT_SEGMENT_H

#include "core/map.h"

#define HK_SEGMENT_COUNT_SHIFT 48 /* user addresses end at 2^47; a slab has at most 4096 blocks */
#define HK_SEGMENT_TAIL_SHIFT  16
#define HK_SEGMENT_PLACE_SHIFT 4
#define HK_SEGMENT_PLACE_MASK                                                                      \
    0xffffu /* a block's place in its slab, in grains of 16 bytes: of 1 MiB at most */

struct hk_segment {
    void *head, *tail;
    uint32_t count;
};

HK_INLINE uintptr_t hk_segment_place(const struct hk_unit *u, const void *p)
{
    return ((uintptr_t)p - (uintptr_t)hk_unit_addr(u)) >> HK_SEGMENT_PLACE_SHIFT;
}

HK_INLINE void *hk_segment_block(const struct hk_unit *u, uintptr_t place)
{
    return hk_unit_addr(u) + ((place & HK_SEGMENT_PLACE_MASK) << HK_SEGMENT_PLACE_SHIFT);
}

/* One block alone is its own tail, and stays as it is. */
HK_INLINE void hk_segment_seal(const struct hk_unit *u, struct hk_segment s)
{
    uintptr_t *first = s.head;
    if (s.count == 1) return;
    *first = (uintptr_t)s.count << HK_SEGMENT_COUNT_SHIFT |
             hk_segment_place(u, s.tail) << HK_SEGMENT_TAIL_SHIFT |
             hk_segment_place(u, hk_link_next(s.head));
}

HK_INLINE struct hk_segment hk_segment_unseal(const struct hk_unit *u, void *head)
{
    uintptr_t *first = head, seal = *first;
    struct hk_segment s = {head, head, (uint32_t)(seal >> HK_SEGMENT_COUNT_SHIFT)};
    if (s.count == 0) {
        s.count = 1;
        return s;
    }
    s.tail = hk_segment_block(u, seal >> HK_SEGMENT_TAIL_SHIFT);
    hk_link_set(head, hk_segment_block(u, seal));
    return s;
}

#endif
