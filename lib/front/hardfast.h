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

/*
 * A block's kind is its class, or for one above 1 KiB that has no room for a canary so much more:
 * another class for the canary alone would cost a quarter of its memory.
 */
#define HK_BARE (HK_CLASSES - HK_MID_FIRST)
_Static_assert(HK_CLASSES + HK_BARE <= HK_SHADOW_LIVE, "all kinds fit beside the bit");

HK_INLINE bool hk_is_bare(unsigned kind)
{
    return kind >= HK_CLASSES;
}

HK_INLINE unsigned hk_kind_class(unsigned kind)
{
    return hk_is_bare(kind) ? kind - HK_BARE : kind;
}

/* Of class c, for n bytes. */
HK_INLINE unsigned hk_kind_in(unsigned c, size_t n)
{
    return c + (c >= HK_MID_FIRST && hk_class_bytes(c) - n < HK_CANARY_BYTES ? HK_BARE : 0);
}

HK_INLINE unsigned hk_kind_for(size_t n)
{
    if (HK_LIKELY(n <= HK_SMALL_MOST)) return hk_tiny_class(n + HK_CANARY_BYTES);
    return hk_kind_in(hk_mid_class(n > HK_TINY_MAX ? n : HK_TINY_MAX + 1), n);
}

/*
 * The slack of a block above 1 KiB is told by its next two shadow bytes too, seven bits each:
 * filler and canary lie on lines of their own, and are fetched together so.
 */
#define HK_SLACK_MOST 0x3fffu /* that much, or more: of a block aligned to more than its bytes */
HK_INLINE size_t hk_slack_told(size_t slack)
{
    return slack < HK_SLACK_MOST ? slack : HK_SLACK_MOST;
}

HK_INLINE void hk_slack_note(const void *p, size_t slack)
{
    slack = hk_slack_told(slack); /* or a live block would seem to begin there */
    hk_shadow_set((const char *)p + HK_ALIGN_BYTES, slack & 0x7f);
    hk_shadow_set((const char *)p + 2 * HK_ALIGN_BYTES, (unsigned)(slack >> 7));
}

HK_INLINE size_t hk_slack_noted(const void *p)
{
    return hk_shadow_get((const char *)p + HK_ALIGN_BYTES) |
           (size_t)hk_shadow_get((const char *)p + 2 * HK_ALIGN_BYTES) << 7;
}
_Static_assert(HK_MID_MAX / 5 < HK_SLACK_MOST, "a mid block's slack fits");

typedef uint64_t hk_pair __attribute__((vector_size(16), may_alias));

/* What is to be 0 of a free block of m's, on level 1. */
HK_INLINE uint64_t hk_hard_any(const char *p, const struct hk_magazine *m, size_t size)
{
    hk_pair any = *(const hk_pair *)p | *(const hk_pair *)(p + m->second) |
                  *(const hk_pair *)(p + m->third) | *(const hk_pair *)(p + size - 16);
    return any[0] | any[1];
}

#define HK_LOOK_MASK 63u /* one free in 64 on average */
/* The calling thread's, now and then. */
void hk_hard_pace(void);

/* p, free and cleared, waits among those held; another one comes to be used again, or home. */
HK_INLINE void hk_hard_hold(struct hk_hard *hd, struct hk_magazine *m, void *p)
{
    void **slot = &m->end[1 + (hk_hard_dice(hd, 4) & m->mask)];
    void *q = *slot;
    *slot = p;
    if (HK_UNLIKELY(!q)) return;
    if (HK_UNLIKELY(m->top == m->end)) {
        hk_hard_give_back(q);
        return;
    }
    *++m->top = q;
    /* Magazines may do for long, and somebody must look at the clock. */
    if (HK_UNLIKELY(!(hd->dice >> 52 & HK_LOOK_MASK))) hk_hard_pace();
}

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
    if (HK_UNLIKELY(hk_hard_any(p, m, size))) return hk_hard_arm(p, kind, n);
    atomic_store_explicit(shadow, (uint8_t)(kind | HK_SHADOW_LIVE), memory_order_relaxed);
    hk_seal(p, size, n);
    return p;
}

/* The same for what is longer, HK_MID_MAX at most; on level 1. */
void *hk_hard_pop_mid(size_t n);

#endif
