/* SPDX-License-Identifier: MIT */
/*
 * What: what is wrong with a pointer into a slab, and the end of a program that passed it.
 * Why: the fast paths only tell that something may be wrong.
 * Threads: all; what only the slab's owner may read is left out for others.
 */
#include "os/report.h"
#include "slab/slab.h"

static const char *const invalid[] = {"free of an invalid pointer",
                                      "realloc of an invalid pointer"};
static const char *const freed[] = {"double free", "realloc of a freed block"};

void hk_slab_doubt(const struct hk_unit *first, const void *p, bool own, enum hk_call call)
{
    size_t size = hk_class_bytes(first->cls);
    size_t off = (size_t)((const char *)p - hk_unit_addr(first));
    uint32_t block = (uint32_t)(off / size);
    if (off % size || block >= (own ? first->fresh : first->blocks))
        hk_die_block(invalid[call], p, off % size, size);
    if (hk_slab_marked(first, p) || (own && hk_slab_in_hole(first, block)))
        hk_die_block(freed[call], p, 0, size);
}
