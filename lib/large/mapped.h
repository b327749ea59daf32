/* SPDX-License-Identifier: MIT */
/*
 * What: blocks in mappings of their own, outside the heap: those that grew where they could not.
 * Why: the kernel moves such a mapping by its page tables, so a growing vector is copied once at
 *   most, and its old place is hardly ever resident beside the new one. As glibc does for its big
 *   blocks. Moving pages within the heap's mapping instead: see doc/graveyard.md.
 * Owns: the table of such blocks.
 *
 * Invariants: M1 an entry's address is there exactly while the block is live. M2 it leaves the
 * table before the kernel can hand the address to another thread.
 *
 * Threads: all, without a lock. Fork: the table is whole at any instant; but a block that another
 *   thread is resizing at that instant is known to the child neither here nor there.
 */
#ifndef HK_LARGE_MAPPED_H
#define HK_LARGE_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A block of n bytes that holds the first `have` of p's; NULL: refused, or n is not worth it. */
void *hk_mapped_copy(const void *p, size_t have, size_t n);
/* Usable bytes of p; 0 if it is not such a block. */
size_t hk_mapped_bytes(const void *p);
/* False if it is not such a block. */
bool hk_mapped_free(void *p);
/* p, such a block, with n bytes, here or elsewhere; NULL if the kernel refuses: p is as it was. */
void *hk_mapped_resize(void *p, size_t n);

/* Another try for what could not be unmapped when it was freed; bytes. */
size_t hk_mapped_trim(void);

#ifdef HK_DEBUG
/* Walk the table and abort on a broken invariant; bytes of its mappings. Nobody changes it now. */
size_t hk_mapped_check(void);
#endif

struct hk_mapped_stats {
    size_t blocks; /* live; the pool counts their bytes */
};
void hk_mapped_read_stats(struct hk_mapped_stats *out);

#endif
