/* SPDX-License-Identifier: MIT */
/*
 * What: what a program knows of its blocks: where they are, how long, and what it wrote into them.
 * Why: an allocator is right if none of that is ever other than it should be.
 * Invariants: sorted by address, so that the neighbours of a new block are all it could overlap.
 */
#ifndef HK_TESTS_FUZZ_SHADOW_H
#define HK_TESTS_FUZZ_SHADOW_H

#include "fuzz.h"

#define SHADOW_BLOCKS 4096u
#define SHADOW_BYTES  ((size_t)96 << 20) /* of all blocks */

struct block {
    unsigned char *p;
    size_t n, usable; /* asked for, told */
    uint32_t seed;    /* of what is written into all of it that is usable */
};

unsigned shadow_count(void);
size_t shadow_bytes(void);
const struct block *shadow_at(unsigned i);
/* Whether n more bytes may be asked for. */
bool shadow_room(size_t n);
/* p came for n bytes, a multiple of align: all that is looked at, then it is filled. */
void shadow_add(void *p, size_t n, size_t align, const char *by);
/* The bytes asked for are zero. */
void shadow_zero(const unsigned char *p, size_t n);
/* It is as it was filled. */
void shadow_verify(unsigned i);
void shadow_verify_all(void);
/* Number i is no block any more; what it was. */
struct block shadow_remove(unsigned i);
/* Before realloc to n: bytes at its new end are filled, whether they were or not. */
void shadow_mark(const struct block *b, size_t n);
/* The first n bytes at p are what b had. */
void shadow_same(const struct block *b, const unsigned char *p, size_t n);

#endif
