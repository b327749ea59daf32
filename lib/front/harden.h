/* SPDX-License-Identifier: MIT */
/*
 * What: malloc and free of hardened mode.
 * Why: the bins of a thread stay empty and the window's limit is 0, so that each call comes here;
 *   who is not hardened pays nothing.
 * Owns: struct hk_hard: blocks that wait to be used, and freed ones that are kept from it for a
 *   while, by address, out of the blocks' reach.
 * Invariants: N4 a block that waits in it is FREED or new to its shadow byte, and the bytes of it
 *   that hk_harden.wipe tells are 0 if it is FREED. N5 the last word of a live block, or of the
 *   last page that was asked for of a run, is its canary, which tells the bytes asked for too; but
 *   for blocks above 1 KiB that fill their class, or their last page.
 * Threads: whoever holds the heap.
 */
#ifndef HK_FRONT_HARDEN_H
#define HK_FRONT_HARDEN_H

#include "core/harden.h"
#include "front/front.h"

#define HK_CANARY_BYTES 8u
#define HK_PLACES       2172u /* of all magazines: see mask_of and hk_hard_of */

/*
 * Of one class, in places in a row: NULL, those ready, those held. Freed blocks are held; one at
 * random leaves for each that comes, and is ready.
 */
struct hk_magazine {
    void **top;      /* the last that is ready, or the NULL before the first */
    void **end;      /* the last place of these; those of blocks that are held follow, NULL: none */
    uint64_t served; /* blocks that malloc got */
    uint8_t mask;    /* how many are held, less one */
    uint8_t second, third; /* where other sixteen bytes are that free clears, see piece() */
    uint32_t size;         /* of a block */
};

struct hk_hard {
    uint64_t dice;
    struct hk_magazine magazine[HK_CLASSES];
    void *place[HK_PLACES];
    struct hk_thread bins; /* of the heap's refills */
};

/* h's, made if need be; NULL: no memory. */
struct hk_hard *hk_hard_of(struct hk_heap *h);
/*
 * A block of n bytes at a multiple of align, both HK_MID_MAX at most; NULL: none waits. Then the
 * second one knows more, for a call that returns to site (NULL: not known); NULL: no memory.
 */
void *hk_hard_alloc(size_t n, size_t align);
void *hk_hard_alloc_slow(size_t n, size_t align, const void *site);
/* p, which was taken out of a magazine for n bytes: all that hk_hard_pop does not. */
void *hk_hard_arm(void *p, unsigned kind, size_t n);
/* free of anything at all. */
void hk_hard_free(void *p);
void hk_hard_free_sized(void *p, size_t n);
/* Free p, if it is, or was, a block of hardened mode, of n bytes if it is sized; else false. */
bool hk_hard_free_any(void *p, size_t n, bool sized);
/* p, free and cleared, goes home: there is no room for it. */
void hk_hard_give_back(void *p);
/* Numbers below 1 << bits, the generator's high ones. */
HK_INLINE unsigned hk_hard_dice(struct hk_hard *hd, unsigned bits)
{
    hd->dice = hd->dice * 6364136223846793005u + 1442695040888963407u; /* Knuth, MMIX */
    return (unsigned)(hd->dice >> (64 - bits));
}
/*
 * False if p is not a live block of a slab that was hardened; else *n are the bytes it was asked
 * for, or has. The program ends if more were written; and if p was freed: for realloc.
 */
bool hk_hard_bytes(const void *p, size_t *n);
bool hk_hard_look(void *p, size_t *n);
/* Whether p, such a block, is good for n bytes, and has so many from now on. */
bool hk_hard_stays(void *p, size_t n);
/* p, such a block, has n bytes from now on, no more than it has room for. */
void hk_hard_resize(void *p, size_t n);
/* The program ends if one of those that wait in h's magazines was written. */
void hk_hard_look_at_free(struct hk_heap *h);

/* All that waits in h's magazines, or in those of class c, goes back; h is held. */
void hk_hard_flush(struct hk_heap *h);
void hk_hard_flush_class(struct hk_heap *h, unsigned c);
/* In the child of fork: what waits in those of a thread that is gone is lost. */
void hk_hard_forget(struct hk_heap *h);

extern const char hk_says_beyond[], hk_says_size[];

/* Bytes more than asked for that a run of n needs. */
size_t hk_hard_run_extra(size_t n);
/* The run at p is a block of n bytes from now on. */
void hk_hard_run_arm(struct hk_unit *u, void *p, size_t n);
/* Before it is freed, or changes its length: false: leave it alone for good. */
bool hk_hard_run_disarm(struct hk_unit *u, void *p);
/* What it was asked for, or has; the program ends if more was written. */
size_t hk_hard_run_bytes(const struct hk_unit *u);
/* It stays where it is, and has n bytes from now on, no more than before. */
void hk_hard_run_resize(struct hk_unit *u, void *p, size_t n);
/* If p is one, the program ends if n is not what it was asked for, as far as is known. */
void hk_hard_run_sized(const void *p, size_t n);
/* Clear as much of it as is cleared of a freed block. */
void hk_hard_run_wipe(const struct hk_unit *u, void *p);

#endif
