/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode's malloc of a small block that waits, all in one piece.
 * Why: nearly every malloc of a hardened program, on level 1. What is odd goes to harden.c.
 * Threads: the calling thread's own.
 */
#ifndef HK_FRONT_HARDFAST_H
#define HK_FRONT_HARDFAST_H

#include "front/fast.h"
#include "front/seal.h"

typedef uint64_t hk_pair __attribute__((vector_size(16), may_alias));

/* A block of n bytes, n < hk_harden.small, or NULL: then harden.c knows more. */
HK_INLINE void *hk_hard_pop(size_t n)
{
    size_t size = (n + HK_CANARY_BYTES + HK_ALIGN_BYTES - 1) & ~(HK_ALIGN_BYTES - 1);
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hd)) return NULL;
    struct hk_magazine *m = &hd->magazine[size / HK_ALIGN_BYTES];
    void **top = m->top;
    char *p = *top;
    if (HK_UNLIKELY(!p)) return NULL;
    m->top = top - 1;
    m->served++;
    _Atomic uint8_t *shadow = hk_shadow_of(p);
    unsigned kind = (unsigned)(size / HK_ALIGN_BYTES);
    if (HK_UNLIKELY(atomic_load_explicit(shadow, memory_order_relaxed) != HK_SHADOW_FREED))
        return hk_hard_arm(p, kind, n);
    hk_pair any = *(hk_pair *)p | *(hk_pair *)(p + m->second) | *(hk_pair *)(p + m->third) |
                  *(hk_pair *)(p + size - 16);
    if (HK_UNLIKELY(any[0] | any[1])) return hk_hard_arm(p, kind, n);
    atomic_store_explicit(shadow, (uint8_t)(kind | HK_SHADOW_LIVE), memory_order_relaxed);
    hk_seal(p, size, n);
    return p;
}

#endif
