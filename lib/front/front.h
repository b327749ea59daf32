/* SPDX-License-Identifier: MIT */
/*
 * What: the slow halves of malloc and free, and the life of a thread and its heap.
 * Why: fast.h holds the few instructions that nearly every call needs; all else is behind here.
 * Threads: all. errno is not touched: api/ sets it.
 */
#ifndef HK_FRONT_FRONT_H
#define HK_FRONT_FRONT_H

#include "large/large.h"
#include "policy/policy.h"
#include "slab/heap.h"

/*
 * A block of at least n bytes; NULL without memory or for n > PTRDIFF_MAX. site: where the call
 * returns to, or NULL.
 */
void *hk_front_alloc(size_t n, const void *site);
/* The same for a block that may grow where it is later: a run, if it is large. */
void *hk_front_alloc_growing(size_t n);
/* The same as the first, all bytes zero. */
void *hk_front_calloc(size_t n, const void *site);
/* align is a power of two. */
void *hk_front_alloc_aligned(size_t n, size_t align);
/*
 * A guarded block for a request of class c (0: a large one) that finds no block in its bin, if it
 * is its turn; else NULL. Only where hk_guard_on.
 */
void *hk_front_sample(unsigned c, size_t n, size_t align, bool zero, const void *site);
/* p lies outside the window, or this is hardened mode; NULL is fine. */
void hk_front_free_far(void *p);
/* The same, by who says that the block has n bytes: looked at in hardened mode. */
void hk_front_free_far_sized(void *p, size_t n);
/* In hardened mode: what its quick half leaves. */
void hk_front_free_hard(void *p, size_t n, bool sized);
/* p lies in the thread's own slab that begins with first, but is not surely a block in use. */
void hk_front_free_doubtful(void *p, struct hk_heap *h, struct hk_unit *first);
/* p lies in unit u, whose owner word is not the calling thread's heap. */
void hk_front_free_other(void *p, uintptr_t owner, struct hk_unit *u);
/* p as realloc(3), n > 0; NULL: p is untouched. */
void *hk_front_realloc(void *p, size_t n);
/* Whether a block of `have` bytes is good for n: not over half of it may lie idle. */
HK_INLINE bool hk_front_fits(size_t have, size_t n)
{
    return n <= have && (n >= have / 2 || have <= 4 * HK_ALIGN_BYTES);
}
/* Bytes that may be used of p; 0 for NULL and for what is not ours. */
size_t hk_front_usable(const void *p);

/* Give the thread a heap; false at its end, or without memory. */
bool hk_heap_attach(struct hk_thread *t);
/*
 * Whether threads get heaps of their own; from the start on they do. Off: the calling thread's is
 * parked now, those that others have stay.
 */
void hk_heap_set_own(bool on);
/* The thread ends: its heap is parked, for others to use. */
void hk_heap_park(struct hk_thread *t);
/* Called when a thread has got its heap, to arrange for hk_heap_park at its end; api/ defines it.
 */
void hk_thread_born(struct hk_thread *t);
/* Called at each attempt to get one: the first malloc reads the files of settings; the same. */
void hk_settings_late(void);
/*
 * The thread, which has a heap, was seen on another node time and again: true, and the heap is
 * parked, so that it gets one of that node. Only where hk_shards_apart.
 */
bool hk_heap_strayed(struct hk_thread *t);
/* A heap, whole and known to all, held by the caller if ATTACHED; how many there are. */
struct hk_heap *hk_heap_new(uint32_t state, uint32_t node);
uint32_t hk_heap_births(void);
/* What the last thread of `from`, seized, left in its bin of class c goes back to the slab. */
void hk_heap_give_up(struct hk_heap *from, unsigned c);

/* Put h on a list of parked heaps; take one off, or make one, held by the caller; NULL: no memory.
 */
void hk_park_list(struct hk_heap *h);
struct hk_heap *hk_park_adopt(void);
/* A slab with room of class c out of a parked heap, moved to h. */
bool hk_heap_steal(struct hk_heap *h, unsigned c);
/* The same out of any, when there is no memory. */
bool hk_heap_steal_far(struct hk_heap *h, unsigned c);
/* As hk_slab_claim, but that a slab of another node becomes one of a heap of that node. */
bool hk_heap_claim(struct hk_heap *h, struct hk_unit *u);
void hk_park_fork_prepare(void);
/* Whether the calling thread is inside a list, in a signal handler. */
bool hk_park_mine(void);
/* In the child: true: lists are empty now; false: they are as they were, hk_park_mine. */
bool hk_park_fork_child(void);
/* Then each parked heap is listed anew, and a home heap that is lost forgotten. */
void hk_park_relist(struct hk_heap *h);
void hk_park_forget(const struct hk_heap *h);
/* First heap of all; follow next_all. */
struct hk_heap *hk_heap_first(void);
HK_INLINE struct hk_large_counts *hk_heap_counts(struct hk_heap *h)
{
    return h ? &h->large : &hk_large_nobodys;
}
/* What all threads did with large blocks. */
void hk_heap_large_stats(struct hk_large_stats *out);
/* Move h from PARKED to BUSY; true: the caller holds it, until hk_heap_let_go. */
bool hk_heap_seize(struct hk_heap *h);
void hk_heap_let_go(struct hk_heap *h);
/* All that lies about in a parked heap, seized by the caller, goes back to the pool. */
void hk_heap_settle_parked(struct hk_heap *h);
/* One block of class c for a thread that may have no heap. */
void *hk_guest_alloc(unsigned c);
/* The same, with another try once caches gave back what they had. */
void *hk_front_guest_alloc(unsigned c);
/* Fill the empty bin c of the calling thread's heap; false: no memory. */
bool hk_front_refill(unsigned c);
/* The calling thread's heap, if it has one, is parked; it gets one again when it needs it. */
void hk_heap_leave(void);

/* Free p for a thread that has no heap and gets none; u starts p's slab. */
void hk_guest_free(struct hk_unit *u, void *p);
/* Whether no thread is to have h · its bins · what was freed without memory, home by h. */
bool hk_guest_is(const struct hk_heap *h);
struct hk_thread *hk_guest_thread(void);
void hk_guest_take_stranded(struct hk_heap *h);
/* Around fork: mine: the calling thread is using it; child: whether somebody else was. */
void hk_guest_fork_prepare(void);
bool hk_guest_mine(void);
bool hk_guest_fork_child(void);
void hk_guest_forget(void);
/* Metadata, or a unit of the heap when the kernel maps nothing any more; zeroed. */
void *hk_front_meta(size_t bytes);

/* Send p, a block of the foreign slab that u starts, home; from h. */
void hk_remote_free(struct hk_heap *h, struct hk_unit *u, void *p);
/* A list of count blocks of slab u, whoever owns it: spliced in, or on its way from h. */
void hk_remote_give(struct hk_heap *h, struct hk_unit *u, void *head, void *tail, uint32_t count);
/* The same for one block, at once. */
void hk_remote_free_from(struct hk_heap *guest, struct hk_unit *u, void *p);
/*
 * All that h's thread, the calling one, has cached goes where it belongs: bins, rings, mail; empty
 * slabs to the pool.
 */
void hk_heap_settle(struct hk_heap *h);
/* What waits in h's magazines goes back, in hardened mode. */
void hk_heap_flush_hard(struct hk_heap *h);
/* What its bins and slabs have of classes that are no longer in force goes; dyn_seen is told. */
void hk_heap_drop_classes(struct hk_heap *h);
/* Everything under way from h leaves now. */
void hk_remote_flush(struct hk_heap *h);
/* Free what others sent to h, at most `blocks` of it. */
void hk_remote_drain(struct hk_heap *h, uint32_t blocks);
HK_INLINE bool hk_remote_waiting(struct hk_heap *h)
{
    return h->pending || atomic_load_explicit(&h->inbox, memory_order_relaxed);
}

/* Hold the run, just freed, for h's next allocations; false: not such a long one. */
bool hk_runs_keep(struct hk_heap *h, struct hk_unit *u);
/* A run of so many units that h holds, to be revived; NULL without. */
struct hk_unit *hk_runs_reuse(struct hk_heap *h, size_t units);
/* A request for a run of that class was served without one. */
void hk_runs_note(struct hk_heap *h, unsigned class);
/* What h holds goes back to the pool; idle_only: unless some of it was of use since the last call.
 */
void hk_runs_drop(struct hk_heap *h, bool idle_only);
/* After the heaps have their states. */
void hk_runs_fork_child(void);

/*
 * Give back all that can be, but for `keep` bytes of free memory: own caches, parked heaps, free
 * units; bytes returned to the kernel.
 */
size_t hk_front_trim(size_t keep);
/* Look at the clock and purge idle memory if due; from slow paths. */
void hk_front_tick(void);
/* The same now and then, for a thread with a heap: oftener while much lies about. */
HK_INLINE void hk_front_pace(struct hk_heap *h)
{
    uint32_t visits = atomic_load_explicit(&h->visits, memory_order_relaxed) + 1;
    atomic_store_explicit(&h->visits, visits, memory_order_relaxed);
    if (HK_UNLIKELY(hk_policy_tick_due(visits, h->lull))) hk_front_tick();
}

/* How long memory has to be idle now before it goes back. */
uint32_t hk_front_decay_ms(void);
/* A tick by nobody's need; whether it gave memory back, so that the next one should be soon. */
bool hk_front_look_after(void);
/* Heed the control group's memory limit from now on. */
void hk_front_watch_group(void);

/* The program ends; in hardened mode, free blocks are looked at once more. */
void hk_front_end(void);

void hk_front_fork_prepare(void);
void hk_front_fork_child(void);
#ifdef HK_DEBUG
/*
 * Heaps that hold runs · heaps on lists of parked ones, looked over · blocks that wait for any
 * heap.
 */
uint32_t hk_runs_holders(void);
size_t hk_park_check(void);
void *hk_stranded(void);
#endif
/* Walk all that the caller may look at and abort on a broken invariant; for tests. */
void hk_front_check(void);

#endif
