/* SPDX-License-Identifier: MIT */
/*
 * What: the fast paths of malloc and free, and the thread's state. The only hot inlines.
 * Why: each instruction here is paid by every program. malloc: class, pop, return; it touches no
 *   metadata. free: record, owner compare, push, count.
 * Invariants: a thread without a heap has empty bins and an id that no owner equals, so that both
 *   tests fail without a test of their own.
 * Threads: the calling thread's own state only.
 */
#ifndef HK_FRONT_FAST_H
#define HK_FRONT_FAST_H

#include "front/front.h"
#include "slab/slab.h"

extern HK_HIDDEN _Thread_local struct hk_thread hk_thread
    __attribute__((tls_model("initial-exec")));

/* Pop from bin c, or NULL. Not in hardened mode, where these bins are empty. */
HK_INLINE void *hk_bin_pop(struct hk_thread *t, size_t c)
{
    void *p = t->bin[c];
    if (HK_LIKELY(p != NULL)) {
        t->bin[c] = *(void **)p;
        hk_unmark(p);
    }
    return p;
}

/*
 * p, not NULL, where a function returns it: else compilers end one path of malloc with a jump into
 * the other.
 */
HK_INLINE void *hk_returned(void *p)
{
#if defined(__x86_64__)
    __asm__("" : "+a"(p));
#endif
    if (!p) __builtin_unreachable();
    return p;
}

/* A block of n bytes from the bins, or NULL: then the slow path knows more. */
HK_INLINE void *hk_fast_alloc(size_t n)
{
    if (HK_LIKELY(n <= HK_TINY_MAX)) return hk_bin_pop(&hk_thread, hk_tiny_class(n));
    if (HK_UNLIKELY(n > HK_MID_MAX)) return NULL;
    void *p = hk_bin_pop(&hk_thread, hk_mid_class(n));
    return HK_LIKELY(p != NULL) ? hk_returned(p) : NULL;
}

/*
 * The same at a multiple of align, a power of two: slabs start at unit boundaries, so a tiny block
 * is aligned if its size is a multiple of align.
 */
HK_INLINE void *hk_fast_alloc_aligned(size_t n, size_t align)
{
    if (HK_UNLIKELY(n > HK_TINY_MAX || align > HK_TINY_MAX)) return NULL;
    n = (n + align - 1) & ~(align - 1);
    return n <= HK_TINY_MAX ? hk_bin_pop(&hk_thread, hk_tiny_class(n)) : NULL;
}

/*
 * Whether p is one of the thread's own blocks in use: false for all that hk_front_free_doubtful
 * must look at.
 */
HK_INLINE bool hk_is_own_short(const struct hk_unit *u, const void *p)
{
    return HK_LIKELY(hk_begins_short(u, p)) && HK_LIKELY(!hk_is_marked(u, p));
}

HK_INLINE bool hk_is_own_long(const struct hk_unit *first, const struct hk_unit *u, const void *p)
{
    return HK_LIKELY(hk_begins(u, p)) && HK_LIKELY(!hk_is_marked(first, p));
}

/*
 * Free p: here if it is a local block, else in front/release.c. Finding the first unit costs the
 * long slabs' blocks a load; for all, it made mixed loads 8 % slower.
 */
HK_INLINE void hk_free_sized(void *p, size_t n, bool sized)
{
    uintptr_t off = (uintptr_t)p - hk_window_base;
    if (HK_UNLIKELY(!hk_window_holds(off, &hk_window_limit))) {
        if (sized)
            hk_front_free_far_sized(p, n);
        else
            hk_front_free_far(p);
        return;
    }
    struct hk_unit *u = hk_unit_at(off);
    uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
    if (HK_LIKELY(owner == hk_thread.id)) {
        if (hk_is_own_short(u, p))
            hk_slab_free_plain((struct hk_heap *)owner, u, p);
        else
            hk_front_free_doubtful(p, (struct hk_heap *)owner, u);
    } else if (HK_LIKELY(owner == hk_thread.long_id)) {
        struct hk_unit *first = hk_slab_first(u);
        if (hk_is_own_long(first, u, p))
            hk_slab_free_plain(hk_thread.heap, first, p);
        else
            hk_front_free_doubtful(p, hk_thread.heap, first);
    } else {
        hk_front_free_other(p, owner, u);
    }
}

HK_INLINE void hk_free(void *p)
{
    hk_free_sized(p, 0, false);
}

#endif
