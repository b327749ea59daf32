/* SPDX-License-Identifier: MIT */
/*
 * What: what the fast paths need to tell that a pointer into a slab may be wrong, and the closer
 *   look: the end of a program that passed it.
 * Why: see begin.h.
 * Threads: all, see M3; who tells where blocks begin holds the heap.
 */
#include "os/report.h"
#include "slab/slab.h"

void hk_begin_birth(struct hk_unit *first)
{
    uint32_t size = (uint32_t)hk_class_bytes(first->cls);
    uint32_t magic = (uint32_t)(((uint64_t)1 << 32) / size + 1);
    uint32_t at = 0; /* the first start in the unit or beyond, from the unit's start */
    for (unsigned i = 0; i < hk_class_units(first->cls); i++) {
        first[i].magic = magic;
        first[i].phase = 0 - at * magic;
        first[i].bound = 0;
        if (at < HK_UNIT_BYTES) at += ((uint32_t)HK_UNIT_BYTES - 1 - at) / size * size + size;
        at -= (uint32_t)HK_UNIT_BYTES;
    }
}

static void tell_unit(struct hk_unit *first, unsigned i)
{
    uint32_t size = (uint32_t)hk_class_bytes(first->cls), off = i * (uint32_t)HK_UNIT_BYTES;
    uint32_t begin = (off + size - 1) / size,
             end = (off + (uint32_t)HK_UNIT_BYTES + size - 1) / size;
    if (end > first->fresh) end = first->fresh;
    bool none = hk_holes_of(&first[i]) || end <= begin;
    uint32_t bound = none ? 0 : (end - begin - 1) * (size * first->magic) + 1;
    __atomic_store_n(&first[i].bound, bound, __ATOMIC_RELAXED); /* M3 */
}

void hk_begin_tell(struct hk_unit *first, uint32_t from, uint32_t to)
{
    size_t size = hk_class_bytes(first->cls);
    for (unsigned i = (unsigned)(from * size / HK_UNIT_BYTES);
         i <= (unsigned)((to - 1) * size / HK_UNIT_BYTES); i++)
        tell_unit(first, i);
}

const char *const hk_says_invalid[] = {"free of an invalid pointer",
                                       "realloc of an invalid pointer"};
const char *const hk_says_freed[] = {"double free", "realloc of a freed block"};

const char hk_says_after_free[] = "write after free";

static uint32_t fresh_of(const struct hk_unit *first)
{
    return __atomic_load_n(&first->fresh, __ATOMIC_RELAXED); /* M3 */
}

/*
 * Where bound is 0: the unit has holes, or had one, and its owner, who need not be the caller's
 * heap as the slab may have been let loose, is about to tell a new one.
 */
static bool begins_by_number(const struct hk_unit *first, const void *p)
{
    size_t off = (size_t)((const char *)p - hk_unit_addr(first)), size = hk_class_bytes(first->cls);
    return off < fresh_of(first) * size && off % size == 0;
}

bool hk_is_free(const struct hk_unit *first, const void *p)
{
    struct hk_unit *u = hk_unit_of(p);
    if (HK_UNLIKELY(!u) || HK_UNLIKELY(hk_slab_first(u) != first)) return false;
    if (HK_UNLIKELY(!hk_begins_foreign(u, p)) && !begins_by_number(first, p)) return false;
    return hk_is_marked(first, p) && !(hk_shadow_get(p) & HK_SHADOW_LIVE);
}

void hk_die_link(const struct hk_unit *first, const void *p)
{
    hk_die_block(hk_says_after_free, p, 0, hk_class_bytes(first->cls));
}

void hk_slab_doubt(const struct hk_unit *first, const void *p, enum hk_call call)
{
    size_t size = hk_class_bytes(first->cls);
    size_t off = (size_t)((const char *)p - hk_unit_addr(first));
    uint32_t block = (uint32_t)(off / size);
    if (off % size || block >= fresh_of(first))
        hk_die_block(hk_says_invalid[call], p, off % size, size);
    if (hk_is_marked(first, p) || hk_slab_in_hole(first, block))
        hk_die_block(hk_says_freed[call], p, 0, size);
}

void hk_slab_doubt_list(const struct hk_unit *first, const void *head, const void *tail)
{
    size_t size = hk_class_bytes(first->cls);
    for (const void *p = head;; p = hk_link_next(p)) {
        size_t off = (size_t)((const char *)p - hk_unit_addr(first));
        if (hk_slab_in_hole(first, (uint32_t)(off / size)))
            hk_die_block(hk_says_freed[HK_CALL_FREE], p, 0, size);
        if (p == tail) return;
    }
}
