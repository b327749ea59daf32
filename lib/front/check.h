/* SPDX-License-Identifier: MIT */
/*
 * What: hk_check_all: every structure of the library walked, and held against every other.
 * Why: what one count says another list can deny; a unit that nobody accounts for is a leak, a
 * block in two lists will be two threads' memory. For tests; releases have none of it. Threads: the
 * caller alone is in the library; heaps of others that rest are looked at too.
 */
#ifndef HK_FRONT_CHECK_H
#define HK_FRONT_CHECK_H

#include <stddef.h>

/* What was found. Blocks: of slabs. */
struct hk_found {
    size_t live, cached, remote; /* blocks: the program's · in bins · on their way home */
    size_t runs, run_units;      /* live runs */
    size_t held_units;           /* of runs that threads hold */
    size_t meta_units;           /* records that had to go into the heap */
    size_t slab_units, lost_units;
    size_t mapped_bytes; /* blocks outside the heap, those the kernel would not unmap among them */
    size_t guarded;      /* live blocks that are sampled */
    size_t listed, unlisted; /* parked heaps: for the next threads · that no list has */
    size_t left_bytes;       /* other mappings that the kernel would not unmap so far */
    size_t address_bytes;    /* all address space that the library has a use for */
};

/* Abort with a message if an invariant is broken. */
struct hk_found hk_check_all(void);

#endif
