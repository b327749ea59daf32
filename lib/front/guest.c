/* SPDX-License-Identifier: MIT */
/*
 * What: the heap of threads that have none: at their end, without memory for one, or by
 *   HAKMEM_THREAD_CACHE=0.
 * Why: destructors of a thread that is nearly gone still malloc and free.
 * Owns: the guest heap; blocks that were freed when there was no memory even for it.
 * Locks: heaps_lock (its birth), guest_lock (its use).
 */
#include "core/pool.h"
#include "front/fast.h"
#include "os/lock.h"
#include "os/sys.h"

#define GUEST_YIELDS 100 /* then sleep: the holder may need this CPU */

static struct hk_lock heaps_lock = HK_LOCK_INIT(HK_RANK_HEAPS);
static struct hk_lock guest_lock = HK_LOCK_INIT(HK_RANK_GUEST);
static _Atomic(struct hk_heap *) guest; /* serves threads at their end, under guest_lock */
static struct hk_thread *guest_thread;  /* its bins; set before guest is */
static _Atomic(void *) stranded; /* freed without memory for any heap; linked by first words */

static void strand(const struct hk_unit *u, void *p)
{
    hk_mark(u, p);
    void *seen = atomic_load_explicit(&stranded, memory_order_relaxed);
    do {
        hk_link_set(p, seen);
    } while (!atomic_compare_exchange_weak_explicit(&stranded, &seen, p, memory_order_release,
                                                    memory_order_relaxed));
}

void hk_guest_take_stranded(struct hk_heap *h)
{
    if (HK_LIKELY(!atomic_load_explicit(&stranded, memory_order_relaxed))) return;
    void *p = atomic_exchange_explicit(&stranded, NULL, memory_order_acquire);
    for (void *next; p; p = next) {
        next = hk_link_next(p);
        hk_remote_free_from(h, hk_slab_first(hk_unit_of(p)), p);
    }
}

static struct hk_heap *guest_heap(void)
{
    struct hk_heap *h = atomic_load_explicit(&guest, memory_order_acquire);
    if (HK_LIKELY(h != NULL)) return h;
    hk_lock_acquire(&heaps_lock);
    h = atomic_load_explicit(&guest, memory_order_relaxed);
    if (!h && hk_map_init()) {
        if (!guest_thread) guest_thread = hk_front_meta(sizeof *guest_thread);
        if (guest_thread) h = hk_heap_new(HK_HEAP_PARKED, 0);
        atomic_store_explicit(&guest, h, memory_order_release);
    }
    hk_lock_release(&heaps_lock);
    return h;
}

bool hk_guest_is(const struct hk_heap *h)
{
    return h == atomic_load_explicit(&guest, memory_order_relaxed);
}

static struct hk_heap *enter_guest(void)
{
    struct hk_heap *h;
    for (;; hk_lock_release(&guest_lock)) {
        h = guest_heap();
        if (!h) return NULL;
        hk_lock_acquire(&guest_lock);
        /* A sender drains it for a moment, or it is purged. */
        for (int i = 0; hk_guest_is(h) && !hk_heap_seize(h); i++)
            i < GUEST_YIELDS ? hk_sys_yield() : hk_sys_pause();
        if (hk_guest_is(h)) break; /* else a signal handler forked, and this child wrote it off */
    }
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    h->settled = 0;
    h->thread = guest_thread;
    hk_guest_take_stranded(h);
    return h;
}

static void leave_guest(struct hk_heap *h)
{
    h->thread = NULL;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    hk_heap_let_go(h);
    hk_lock_release(&guest_lock);
}

void *hk_guest_alloc(unsigned c)
{
    hk_fork_courtesy();
    struct hk_heap *h = enter_guest();
    if (!h) return NULL;
    void **bin = &guest_thread->bin[c], *p = NULL;
    if (*bin || hk_slab_refill(h, c)) {
        p = *bin;
        *bin = hk_slab_next(hk_slab_first(hk_unit_of(p)), p);
        hk_unmark(p);
    }
    leave_guest(h);
    return p;
}

void hk_guest_free(struct hk_unit *u, void *p)
{
    hk_fork_courtesy();
    struct hk_heap *h = enter_guest();
    if (!h) {
        strand(u, p); /* not even memory for a heap */
        return;
    }
    hk_remote_free_from(h, u, p);
    leave_guest(h);
}

struct hk_thread *hk_guest_thread(void)
{
    return guest_thread;
}

/* ---- fork ---- */

void hk_guest_fork_prepare(void)
{
    hk_lock_settle(&heaps_lock, 5000000);
    hk_lock_settle(&guest_lock, 5000000);
}

bool hk_guest_mine(void)
{
    return hk_lock_mine(&guest_lock);
}

bool hk_guest_fork_child(void)
{
    hk_lock_reset(&heaps_lock);
    return hk_lock_reset(&guest_lock);
}

void hk_guest_forget(void)
{
    guest = NULL;
    guest_thread = NULL;
}

#ifdef HK_DEBUG
void *hk_stranded(void)
{
    return atomic_load_explicit(&stranded, memory_order_acquire);
}
#endif
