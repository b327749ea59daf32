/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode as it was decided at start, and its shadow: a byte for each 16 bytes of the
 *   heap, that says whether a block that the program has begins there.
 * Why: out of the program's reach, so that no overflow makes a wrong pointer look right.
 * Owns: struct hk_harden, where nothing can be written but in the moment of the decision.
 * Invariants: N1 hk_harden.on: every byte of the heap below hk_window_end has its shadow. N2 once
 *   on, hk_window_limit is 0 and stays so, so that every free takes the long way. N3 hk_link_key
 *   only changes before anything was linked.
 * Threads: readers any; a shadow byte is written by who has the block.
 */
#ifndef HK_CORE_HARDEN_H
#define HK_CORE_HARDEN_H

#include "core/map.h"

struct hk_harden {
    _Atomic bool on; /* release: who sees it sees the rest */
    unsigned
        expected; /* what the shadow of a block says whose first bytes are all to be looked at */
    size_t wipe;  /* bytes of a freed block that are cleared, and looked at before it is used */
    _Atomic size_t
        small;        /* release: requests below it are the quick halves'; 0: none, or level 2 */
    unsigned kinds;   /* classes from 1 on whose frees are */
    size_t guards;    /* big blocks that may have an inaccessible page behind them */
    uintptr_t shadow; /* address of the byte that address 0 would have */
    uint64_t canary;  /* secret, but for HK_SLACK_BITS of it, which are 0 */
};
#define HK_SLACK_BITS 16
extern HK_HIDDEN struct hk_harden hk_harden;

HK_INLINE bool hk_hardened(void)
{
    return HK_UNLIKELY(atomic_load_explicit(&hk_harden.on, memory_order_acquire));
}

HK_INLINE size_t hk_hard_small(void)
{
    return atomic_load_explicit(&hk_harden.small, memory_order_acquire);
}

/* What a shadow byte says; with LIVE: and the block's kind, see front/harden.c. */
#define HK_SHADOW_LIVE  0x80u
#define HK_SHADOW_NEVER 3u /* none says that */
#define HK_SHADOW_FREED 1u /* a block was here, and is free */
#define HK_SHADOW_GUARD 2u /* a run with a page behind it that cannot be touched */

/* Most that a tiny block serves, as there is a word behind it. */
#define HK_SMALL_MOST (HK_TINY_MAX - 8)

#define HK_SHADOW_SHIFT 4
_Static_assert(1u << HK_SHADOW_SHIFT == HK_ALIGN_BYTES, "a byte for each place of a block");

/* p lies below hk_window_end. */
HK_INLINE _Atomic uint8_t *hk_shadow_of(const void *p)
{
    return (_Atomic uint8_t *)(hk_harden.shadow + ((uintptr_t)p >> HK_SHADOW_SHIFT));
}

HK_INLINE unsigned hk_shadow_get(const void *p)
{
    return atomic_load_explicit(hk_shadow_of(p), memory_order_relaxed);
}

HK_INLINE void hk_shadow_set(const void *p, unsigned state)
{
    atomic_store_explicit(hk_shadow_of(p), (uint8_t)state, memory_order_relaxed);
}

/*
 * Hardened from now on; level 1 or 2, see HARDENED in knobs.def. False without memory. Blocks that
 * were handed out before stay as they are.
 */
bool hk_harden_start(unsigned level);

#endif
