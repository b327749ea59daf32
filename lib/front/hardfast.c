/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode's free of a small block, all in one piece.
 * Why: nearly every free of a hardened program, on level 1. What is odd goes to harden.c, which
 *   looks again: nothing was changed.
 * Threads: the calling thread's own; the shadow byte of a block that nobody else has.
 */
#include "front/hardfast.h"

#define LOOK_MASK 63u /* one free in 64 on average */

static HK_NOINLINE void pace(void)
{
    hk_front_pace(hk_thread.heap);
}

/* p's canary and what lies before it, as hk_overrun does; its slack is 15 at most. */
HK_INLINE bool is_whole(const char *p, size_t size, size_t slack)
{
    static const uint64_t looked_at[16] = {
        0,          0xff,       0xffff,     0xffffff,   0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
        UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX};
    if (HK_UNLIKELY(slack > 15)) return false;
    uint64_t filler = hk_word_load(p, size - HK_CANARY_BYTES - slack) ^ HK_FILLER;
    return HK_LIKELY(!(filler & looked_at[slack]));
}

HK_INLINE void free_small(char *p, size_t n, bool sized)
{
    uintptr_t off = (uintptr_t)p - hk_window_base;
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hk_window_holds(off, &hk_window_end)) || HK_UNLIKELY(!hd)) {
        hk_front_free_hard(p, n, sized);
        return;
    }
    _Atomic uint8_t *shadow = hk_shadow_of(p);
    unsigned c = atomic_load_explicit(shadow, memory_order_relaxed) - HK_SHADOW_LIVE;
    if (HK_UNLIKELY(c - 1 >= hk_harden.kinds) || HK_UNLIKELY((uintptr_t)p % HK_ALIGN_BYTES)) {
        hk_front_free_hard(p, n, sized);
        return;
    }
    size_t size = (size_t)c * HK_ALIGN_BYTES;
    size_t slack = hk_word_load(p, size - HK_CANARY_BYTES) ^ hk_canary_of(p);
    if (HK_UNLIKELY(!is_whole(p, size, slack)) ||
        (sized && HK_UNLIKELY(n != size - HK_CANARY_BYTES - slack))) {
        hk_front_free_hard(p, n, sized);
        return;
    }
    struct hk_magazine *m = &hd->magazine[c];
    atomic_store_explicit(shadow, HK_SHADOW_FREED, memory_order_relaxed);
    *(hk_pair *)p = *(hk_pair *)(p + m->second) = (hk_pair){0, 0};
    *(hk_pair *)(p + m->third) = *(hk_pair *)(p + size - 16) = (hk_pair){0, 0};
    void **slot = &m->end[1 + (hk_hard_dice(hd, 4) & m->mask)];
    char *q = *slot;
    *slot = p;
    if (HK_UNLIKELY(!q)) return;
    if (HK_UNLIKELY(m->top == m->end)) {
        hk_hard_give_back(q);
        return;
    }
    *++m->top = q;
    /* Magazines may do for long, and somebody must look at the clock. */
    if (HK_UNLIKELY(!(hd->dice >> 52 & LOOK_MASK))) pace();
}

void hk_hard_free(void *p)
{
    free_small(p, 0, false);
}

void hk_hard_free_sized(void *p, size_t n)
{
    free_small(p, n, true);
}
