/* SPDX-License-Identifier: MIT */
/*
 * What: malloc's slow half: refill a bin, or go to the large layer.
 * Why: sources in order of cost: mail from other threads, the heap's own slabs, a slab of a
 *   parked heap, a fresh slab; when the kernel refuses, everything cached is given back and one
 *   more try is made.
 */
#include <string.h>

#include "core/pool.h"
#include "front/fast.h"
#include "front/harden.h"
#include "front/learn.h"
#include "front/site.h"
#include "large/guard.h"
#include "large/large.h"
#include "os/lock.h"
#include "os/sys.h"
#include "policy/policy.h"

/* The heap has no slab of the class with room. */
static HK_NOINLINE bool refill_from_others(struct hk_heap *h, unsigned c)
{
    hk_remote_flush(h); /* may fill the bin, or leave a slab in the queue */
    return h->thread->bin[c] || (hk_heap_steal(h, c) && hk_slab_refill_own(h, c)) ||
           hk_slab_refill(h, c);
}

HK_INLINE bool refill(struct hk_heap *h, unsigned c)
{
    hk_fork_courtesy();
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    bool got = false;
    if (HK_UNLIKELY(hk_remote_waiting(h))) {
        hk_remote_drain(h, HK_DRAIN_BLOCKS);
        got = h->thread->bin[c] != NULL; /* the mail may have filled it */
    }
    if (!got) got = hk_slab_refill_own(h, c) || refill_from_others(h, c);
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    hk_front_pace(h);
    return got;
}

HK_COLD void *hk_front_guest_alloc(unsigned c)
{
    void *p = hk_guest_alloc(c);
    hk_front_tick();
    if (p) return p;
    hk_front_trim(0);
    return hk_guest_alloc(c);
}

/* The kernel gave nothing: what is cached may do. */
static HK_COLD bool retry(struct hk_heap *h, unsigned c)
{
    hk_front_trim(0);
    if (refill(h, c)) return true;
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    bool got = hk_heap_steal_far(h, c) && hk_slab_refill_own(h, c);
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return got;
}

bool hk_front_refill(unsigned c)
{
    return refill(hk_thread.heap, c) || retry(hk_thread.heap, c);
}

static HK_NOINLINE void *slab_alloc(unsigned c)
{
    struct hk_thread *t = &hk_thread;
    void *p = hk_bin_pop(t, c);
    if (p) return p;
    if (HK_UNLIKELY(!t->heap) || (HK_UNLIKELY(hk_shards_apart()) && hk_heap_strayed(t))) {
        if (!hk_heap_attach(t)) return hk_hardened() ? NULL : hk_front_guest_alloc(c);
        p = hk_bin_pop(t, c); /* the C library may have allocated to note the thread's end */
        if (p) return p;
    }
    if (HK_UNLIKELY(!refill(t->heap, c)) && !retry(t->heap, c)) return NULL;
    return hk_bin_pop(t, c);
}

/*
 * A block from the slot. A thread's first slab of one is for who has asked some times: it takes
 * sixteen units, and they are not free for anything else.
 */
static void *dyn_pop(struct hk_heap *h, unsigned slot)
{
    unsigned c = HK_CLASSES + slot;
    void *p = hk_bin_pop(h->thread, c);
    if (p) return p;
    if (HK_UNLIKELY(!h->queue[c] && h->dyn_asked[slot] < HK_DYN_ASKED)) {
        h->dyn_asked[slot]++;
        return NULL;
    }
    if (refill(h, c)) return hk_bin_pop(h->thread, c);
    h->dyn_asked[slot] = 0; /* a run may do, and needs no such stretch of free units */
    return NULL;
}

/* A block of a class chosen at run time, all zero if wanted; NULL: none is for n. */
static void *dyn_alloc(struct hk_heap *h, size_t n, bool zero)
{
    unsigned slot = hk_dyn_for(n), c = HK_CLASSES + slot;
    void *p = slot < HK_DYN_SLOTS ? dyn_pop(h, slot) : NULL;
    if (!p) return NULL;
    /* D3 of base/dynclass.h: while p lives its size stays. */
    if (HK_UNLIKELY(hk_dyn_bytes(slot) < n)) {
        hk_free(p);
        return NULL;
    }
    bool known = h->thread->zero[c / 64] >> (c % 64) & 1;
    if (zero) memset(p, 0, known ? sizeof(void *) : n);
    return p;
}

/* Twice in the code: what learns is not to cost who does not. */
HK_INLINE void *run_alloc(struct hk_heap *h, size_t n, size_t align, bool zero)
{
    if (HK_LIKELY(h != NULL && n < HK_CHUNK_BYTES)) {
        hk_front_pace(h);
        struct hk_unit *u =
            align <= HK_UNIT_BYTES ? hk_runs_reuse(h, hk_bytes_to_units(n ? n : 1)) : NULL;
        if (u) return hk_large_revive(&h->large, u, n, zero);
    } else {
        hk_front_tick();
    }
    void *p = hk_large_alloc(hk_heap_counts(h), n, align, zero);
    if (HK_UNLIKELY(!p)) {
        hk_front_trim(0);
        p = hk_large_alloc(hk_heap_counts(h), n, align, zero);
    }
    return p;
}

/* The same while there is something to learn, or learned about sizes and sites. */
static HK_NOINLINE void *learned_alloc(struct hk_heap *h, size_t n, size_t align, bool zero,
                                       const void *site)
{
    struct hk_snapshot s = hk_policy_now();
    unsigned rule = hk_site_request(site, n);
    void *p = NULL;
    if (h) {
        if (HK_UNLIKELY(h->dyn_seen != hk_dyn_now())) hk_heap_drop_classes(h);
        if (s.dyn && align == 1 && !rule && !hk_hardened()) p = dyn_alloc(h, n, zero);
        if (s.learn) hk_learn_request(h, n, align == 1, p != NULL);
        if (p) return p;
    }
    p = run_alloc(h, n, align, zero);
    if (s.sites && p) hk_large_set_rule(p, rule);
    return p;
}

HK_INLINE void *any_run(size_t n, size_t align, bool zero, const void *site)
{
    hk_fork_courtesy();
    struct hk_heap *h = hk_thread.heap;
    if (HK_UNLIKELY(hk_shards_apart()) && h && hk_heap_strayed(&hk_thread)) h = NULL;
    if (HK_UNLIKELY(!h) && hk_heap_attach(&hk_thread)) h = hk_thread.heap;
    struct hk_snapshot s = hk_policy_now();
    if (HK_UNLIKELY(s.learn | s.dyn | s.sites)) return learned_alloc(h, n, align, zero, site);
    return run_alloc(h, n, align, zero);
}

static HK_NOINLINE void *large_alloc(size_t n, size_t align, bool zero, const void *site)
{
    /* What can never fit is not worth giving back all that is cached. */
    if (n > HK_HEAP_MAX || align > HK_HEAP_MAX - n) return NULL;
    if (HK_UNLIKELY(!hk_thread.heap)) hk_settings_late(); /* before it is decided how */
    if (!hk_hardened()) return any_run(n, align, zero, site);
    size_t extra = hk_hard_run_extra(n);
    void *p = extra < HK_MAX_REQUEST - n - align ? any_run(n + extra, align, zero, site) : NULL;
    if (p) hk_hard_run_arm(hk_unit_of(p), p, n);
    return p;
}

/* All of them in hardened mode. */
static HK_NOINLINE void *hard_alloc(size_t n, size_t align, bool zero, const void *site)
{
    void *p = NULL;
    if (n <= HK_MID_MAX && align <= HK_MID_MAX) {
        p = hk_hard_alloc(n, align);
        if (!p) p = hk_hard_alloc_slow(n, align, site);
    }
    if (!p) return large_alloc(n, align, zero, site); /* better a unit than nothing */
    return zero ? memset(p, 0, n) : p;
}

/* No slab is to be had: the thread's longer blocks, or at last a unit, are better than nothing. */
static HK_COLD void *longer_alloc(size_t n, size_t align)
{
    struct hk_thread *t = &hk_thread;
    if (hk_hardened()) return hard_alloc(n, align, false, NULL); /* since the settings were read */
    for (unsigned c = hk_size_class(n < align ? align : n) + 1; c < HK_CLASSES; c++) {
        if (hk_class_bytes(c) & (align - 1)) continue;
        void *p = t->heap ? hk_bin_pop(t, c) : hk_guest_alloc(c);
        if (!p && t->heap && t->heap->queue[c] && refill(t->heap, c)) p = hk_bin_pop(t, c);
        if (p) return p;
    }
    return hk_large_alloc(hk_heap_counts(t->heap), n, align, false);
}

HK_INLINE void *sampled(unsigned c, size_t n, size_t align, bool zero, const void *site)
{
    return HK_UNLIKELY(hk_guard_on()) ? hk_front_sample(c, n, align, zero, site) : NULL;
}

HK_INLINE unsigned class_of(size_t n)
{
    return n <= HK_MID_MAX ? hk_size_class(n) : 0;
}

/* A block of class c, not of large_alloc. */
HK_INLINE void *small_alloc(unsigned c, size_t n, size_t align)
{
    void *p = slab_alloc(c);
    return HK_LIKELY(p != NULL) ? p : longer_alloc(n, align);
}

void *hk_front_alloc(size_t n, const void *site)
{
    if (hk_hardened()) return hard_alloc(n, 1, false, site);
    void *p = sampled(class_of(n), n, 1, false, site);
    if (HK_UNLIKELY(p != NULL)) return p;
    if (HK_UNLIKELY(n > HK_MID_MAX)) return large_alloc(n, 1, false, site);
    return small_alloc(hk_size_class(n), n, HK_ALIGN_BYTES);
}

void *hk_front_alloc_growing(size_t n)
{
    if (n <= HK_MID_MAX) return hk_front_alloc(n, NULL);
    if (hk_hardened()) return large_alloc(n, HK_ALIGN_BYTES, false, NULL);
    void *p = sampled(0, n, 1, false, NULL);
    return HK_UNLIKELY(p != NULL) ? p : large_alloc(n, HK_ALIGN_BYTES, false, NULL);
}

void *hk_front_calloc(size_t n, const void *site)
{
    if (hk_hardened()) return hard_alloc(n, 1, true, site);
    void *p = sampled(class_of(n), n, 1, true, site);
    if (HK_UNLIKELY(p != NULL)) return p;
    if (n > HK_MID_MAX) return large_alloc(n, 1, true, site);
    unsigned c = hk_size_class(n);
    p = slab_alloc(c);
    if (HK_UNLIKELY(!p)) {
        p = longer_alloc(n, HK_ALIGN_BYTES);
        return p ? memset(p, 0, n) : NULL;
    }
    /* A guest's block comes from bins that are not this thread's: its bit says nothing. */
    bool known = hk_thread.heap && (hk_thread.zero[c / 64] >> (c % 64) & 1);
    memset(p, 0, known ? sizeof(void *) : n);
    return p;
}

void *hk_front_alloc_aligned(size_t n, size_t align)
{
    if (align <= HK_ALIGN_BYTES) return hk_front_alloc(n, NULL);
    if (hk_hardened()) return hard_alloc(n, align, false, NULL);
    bool large = n > HK_MID_MAX || align > HK_MID_MAX;
    /* Slabs start at unit boundaries: blocks of a size that align divides are aligned. */
    unsigned c = large ? 0 : hk_size_class(n < align ? align : n);
    while (!large && hk_class_bytes(c) & (align - 1)) c++;
    void *p = sampled(c, n, align, false, NULL);
    if (HK_UNLIKELY(p != NULL)) return p;
    return large ? large_alloc(n, align, false, NULL) : small_alloc(c, n, align);
}
