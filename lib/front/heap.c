/* SPDX-License-Identifier: MIT */
/*
 * What: birth, attachment, parking and sharing of heaps.
 * Why: a thread's end must cost nothing that grows with its memory, and nothing may be stranded.
 * Owns: the list of all heaps. Lists of parked ones: front/park.c; the guest heap: front/guest.c.
 * Ordering: O1 who parks stores PARKED and then looks into the inbox; who sends pushes into the
 *   inbox and then looks at the state; all four are seq_cst, so at least one of the two sees the
 *   other, and the message is drained. O2 PARKED → BUSY and PARKED → ATTACHED are compare-exchanges
 *   with acquire, the way back is a store with release: whoever holds the heap sees all that the
 *   previous holder did.
 */
#include <string.h>

#include "core/pool.h"
#include "front/decay.h"
#include "front/fast.h"
#include "front/harden.h"
#include "front/learn.h"
#include "large/dense.h"
#include "large/guard.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"
#include "policy/policy.h"

_Thread_local struct hk_thread hk_thread = {.id = HK_ID_NONE, .long_id = HK_ID_NONE};

#define FORK_YIELDS  20         /* for each heap in a slow path */
#define FORK_NS      1000000ull /* of a small program; twice what 64 KiB in use add to it */
#define FORK_UNIT_NS 4000ull
#define FORK_MOST_NS 500000000ull
#define FORK_PAUSES  400 /* for all of them: 40 ms with the kernel's own slack */

static _Atomic bool nobody_owns;      /* threads get no heaps: they are guests */
static _Atomic(struct hk_heap *) all; /* newest first; next_all is constant */
static _Atomic uint32_t births;

struct hk_heap *hk_heap_first(void)
{
    return atomic_load_explicit(&all, memory_order_acquire);
}

void hk_heap_large_stats(struct hk_large_stats *out)
{
    *out = (struct hk_large_stats){0};
    hk_large_add_stats(out, &hk_large_nobodys);
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all)
        hk_large_add_stats(out, &h->large);
    /* A block that came and went between two reads. */
    if (out->tail_bytes > PTRDIFF_MAX) out->tail_bytes = 0;
    if (out->units > PTRDIFF_MAX) out->units = 0;
}

void *hk_front_meta(size_t bytes)
{
    bool clean;
    void *p = hk_meta_alloc(bytes);
    if (p) return p;
    p = hk_pool_alloc(1, 1, &clean);
    return p && !clean ? memset(p, 0, bytes) : p;
}

uint32_t hk_heap_births(void)
{
    return atomic_load_explicit(&births, memory_order_relaxed);
}

struct hk_heap *hk_heap_new(uint32_t state, uint32_t node)
{
    if (!hk_map_init()) return NULL;
    struct hk_heap *h = hk_front_meta(sizeof *h);
    if (!h) return NULL;
    h->seq = atomic_fetch_add_explicit(&births, 1, memory_order_relaxed);
    h->node = node;
    atomic_store_explicit(&h->state, state, memory_order_relaxed);
    if (state == HK_HEAP_ATTACHED)
        atomic_store_explicit(&h->holder, hk_lock_me(), memory_order_relaxed);
    h->next_all = atomic_load_explicit(&all, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&all, &h->next_all, h, memory_order_release,
                                                  memory_order_relaxed))
        ;
    return h;
}

bool hk_heap_seize(struct hk_heap *h)
{
    uint32_t want = HK_HEAP_PARKED;
    if (!atomic_compare_exchange_strong_explicit(&h->state, &want, HK_HEAP_BUSY,
                                                 memory_order_seq_cst, memory_order_relaxed))
        return false;
    atomic_store_explicit(&h->holder, hk_lock_me(), memory_order_relaxed);
    return true;
}

/* O1: what came while the heap was held is drained by its holder or by its sender. */
void hk_heap_let_go(struct hk_heap *h)
{
    for (;;) {
        atomic_store_explicit(&h->holder, 0, memory_order_relaxed);
        atomic_store_explicit(&h->state, HK_HEAP_PARKED, memory_order_seq_cst);
        if (!atomic_load_explicit(&h->inbox, memory_order_seq_cst)) return;
        if (!hk_heap_seize(h)) return; /* another one drains it */
        hk_remote_drain(h, UINT32_MAX);
    }
}

static void take_kept(struct hk_heap *h, struct hk_thread *t)
{
    if (!h->keeps) return;
    memcpy(t->bin, h->kept, sizeof t->bin);
    memcpy(t->zero, h->kept_zero, sizeof t->zero);
    memset(h->kept, 0, sizeof h->kept);
    h->keeps = 0;
}

void hk_heap_set_own(bool on)
{
    atomic_store_explicit(&nobody_owns, !on, memory_order_relaxed);
    if (!on) hk_heap_leave();
}

void hk_heap_leave(void)
{
    if (!hk_thread.heap) return;
    hk_heap_park(&hk_thread);
    hk_thread.ended = 0; /* it goes on, and may get one again */
}

/* h was just adopted, and is of no use. */
static void unadopt(struct hk_heap *h)
{
    hk_park_list(h);
    hk_heap_let_go(h);
}

bool hk_heap_attach(struct hk_thread *t)
{
    hk_settings_late();
    if (t->ended || atomic_load_explicit(&nobody_owns, memory_order_relaxed)) return false;
    struct hk_heap *h = hk_park_adopt();
    if (!h) return false;
    /* The last thread's habits are not this one's. */
    memset(h->short_refills, 0, sizeof h->short_refills);
    memset(h->streak, 0, sizeof h->streak);
    struct hk_thread *bins = t;
    if (hk_hardened()) {
        t->hard = hk_hard_of(h);
        if (!t->hard) {
            unadopt(h);
            return false;
        }
        bins = &t->hard->bins; /* t's own stay empty, and its ids nobody's */
    } else {
        t->id = hk_heap_id(h);
        t->long_id = t->id | HK_OWNER_LONG;
    }
    take_kept(h, bins);
    h->thread = bins;
    t->heap = h;
    h->warm = 1;
    h->settled = 0;
    hk_guest_take_stranded(h);
    if (!t->born) hk_thread_born(t);
    t->born = 1;
    hk_front_tick(); /* short lives have few slow paths: their births are what paces purges */
    return true;
}

/* The blocks of one bin are all of one slab. */
static void flush_bin(struct hk_heap *h, void **bin, unsigned c)
{
    void *head = *bin, *tail = head;
    uint32_t n = 1;
    if (!head) return;
    *bin = NULL;
    struct hk_unit *u = hk_slab_first(hk_unit_of(head));
    for (void *next; (next = hk_slab_next(u, tail)) != NULL; tail = next) n++;
    h->handed[c] -= n;
    hk_remote_give(h, u, head, tail, n);
}

static void flush_bins(struct hk_heap *h, void **bin)
{
    for (unsigned c = 1; c < HK_ALL_CLASSES; c++) flush_bin(h, &bin[c], c);
    hk_remote_flush(h); /* a slab may have been moved away while blocks of it lay in the bin */
}

void hk_heap_drop_classes(struct hk_heap *h)
{
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    h->dyn_seen = (uint16_t)hk_dyn_now();
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    for (unsigned slot = 0; slot < HK_DYN_SLOTS; slot++) {
        unsigned c = HK_CLASSES + slot;
        if (hk_dyn_in_force(slot)) continue;
        h->dyn_asked[slot] = 0;
        flush_bin(h, &h->thread->bin[c], c);
        hk_slab_release_empty_of(h, c);
    }
    hk_remote_flush(h);
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}

void hk_heap_settle(struct hk_heap *h)
{
    struct hk_thread *t = h->thread;
    hk_fork_courtesy();
    hk_runs_drop(h, false);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    h->thread = NULL; /* or empty slabs would go back into the bins */
    hk_hard_flush(h);
    flush_bins(h, t->bin);
    hk_guest_take_stranded(h);
    hk_remote_drain(h, UINT32_MAX);
    hk_slab_release_empty(h);
    h->thread = t;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
}

void hk_heap_flush_hard(struct hk_heap *h)
{
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    hk_hard_flush(h);
    hk_remote_flush(h);
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}

/* What a thread's end leaves in its bins is what the next thread starts with. */
static void keep_bins(struct hk_heap *h, struct hk_thread *t)
{
    memcpy(h->kept, t->bin, sizeof h->kept);
    memcpy(h->kept_zero, t->zero, sizeof h->kept_zero);
    memset(t->bin, 0, sizeof t->bin);
    h->keeps = 1;
}

void hk_heap_park(struct hk_thread *t)
{
    struct hk_heap *h = t->heap;
    t->ended = 1;
    if (!h) return;
    hk_fork_courtesy();
    hk_runs_drop(h, false);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    struct hk_thread *bins = h->thread;
    h->thread = NULL;
    hk_remote_flush(h);
    hk_remote_drain(h, UINT32_MAX);
    hk_large_tell(&h->large);
    keep_bins(h, bins);
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    size_t left = h->noted || h->awake < 0 ? 0 : (size_t)h->awake;
    h->noted = 1;
    t->id = t->long_id = HK_ID_NONE;
    t->heap = NULL;
    t->hard = NULL; /* what waits there does so with the heap */
    hk_park_list(h);
    hk_heap_let_go(h);
    if (left) hk_policy_note_parked(left);
}

bool hk_heap_strayed(struct hk_thread *t)
{
    struct hk_heap *h = t->heap;
    const struct hk_shard *here = hk_shard_here();
    if (HK_LIKELY(!here || here->node == h->node)) {
        h->strays = 0;
        return false;
    }
    if (++h->strays < HK_STRAYS) return false;
    h->strays = 0;
    hk_heap_park(t);
    t->ended = 0; /* it goes on, with a heap of the node where it is now */
    return true;
}

void hk_heap_give_up(struct hk_heap *from, unsigned c)
{
    if (!from->kept[c] && !from->hard) return;
    flush_bin(from, &from->kept[c], c);
    if (c < HK_CLASSES) hk_hard_flush_class(from, c);
    hk_remote_flush(from);
}

/*
 * Held by the caller. Nobody came for it since the last look: what becomes free goes with this one,
 * or a process that rests after a peak would wait twice.
 */
void hk_heap_settle_parked(struct hk_heap *h)
{
    hk_fork_courtesy();
    hk_runs_drop(h, false);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    h->stale = 1;
    hk_hard_flush(h);
    if (h->keeps) flush_bins(h, h->kept);
    h->keeps = 0;
    if (hk_guest_is(h)) flush_bins(h, hk_guest_thread()->bin);
    hk_remote_drain(h, UINT32_MAX);
    hk_slab_release_empty(h);
    h->stale = 0;
    atomic_store_explicit(&h->busy, 0, memory_order_release);
}

/* ---- fork ---- */

/*
 * For the threads in a slow path: what they were at is lost to the child. One that was put aside
 * there needs its turn, a few of the scheduler's slices on a busy machine; a bound, as one of them
 * may itself wait for this thread, or be stopped.
 */
static void settle_heaps(void)
{
    unsigned pauses = 0;
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        for (unsigned i = 0; h != hk_thread.heap && pauses < FORK_PAUSES; i++) {
            if (!atomic_load_explicit(&h->busy, memory_order_relaxed)) break;
            if (i < FORK_YIELDS) {
                hk_sys_yield();
            } else {
                hk_sys_pause();
                pauses++;
            }
        }
    }
}

void hk_front_fork_prepare(void)
{
    hk_fork_begin();
    /* Give those inside a slow path a moment to leave it: what is torn is lost to the child. */
    hk_park_fork_prepare();
    hk_guest_fork_prepare();
    hk_map_fork_prepare();
    hk_pool_fork_prepare();
    hk_learn_fork_prepare();
    settle_heaps();
    uint64_t ns = FORK_NS + hk_pool_used_units() * FORK_UNIT_NS;
    hk_fork_ready(ns < FORK_MOST_NS ? ns : FORK_MOST_NS);
}

/* Held by the thread that forked, maybe in the middle of a slow path that a signal interrupted. */
static bool ours(const struct hk_heap *h)
{
    uintptr_t holder = atomic_load_explicit(&h->holder, memory_order_relaxed);
    bool attached = atomic_load_explicit(&h->state, memory_order_relaxed) == HK_HEAP_ATTACHED;
    return holder == hk_lock_me() || (hk_guest_is(h) && hk_guest_mine()) ||
           (holder == 0 && attached && hk_park_mine());
}

/* A heap whose thread is not in the child: parked as it is, or lost if it was being changed. */
static void orphan(struct hk_heap *h, bool torn)
{
    uint32_t state = atomic_load_explicit(&h->state, memory_order_relaxed);
    uintptr_t holder = atomic_load_explicit(&h->holder, memory_order_relaxed);
    /* Just seized, maybe by this thread: if so it goes on with it, and parks it again. */
    if (state == HK_HEAP_BUSY && !holder) torn = true;
    atomic_store_explicit(&h->holder, 0, memory_order_relaxed);
    if (atomic_load_explicit(&h->busy, memory_order_acquire)) torn = true;
    atomic_store_explicit(&h->busy, 0, memory_order_relaxed);
    /* Its bins lie in a dead thread's memory: those blocks are leaked, as are its rings and
     * outboxes. */
    memset(h->ring, 0, sizeof h->ring);
    memset(h->outbox, 0, sizeof h->outbox);
    if (h->thread) hk_hard_forget(h);
    h->thread = NULL;
    atomic_store_explicit(&h->state, torn ? HK_HEAP_LOST : HK_HEAP_PARKED, memory_order_relaxed);
}

void hk_front_fork_child(void)
{
    hk_fork_child();
    hk_map_fork_child();
    hk_pool_fork_child();
    bool guest_torn = hk_guest_fork_child();
    /*
     * Parked lists lack the heaps of threads that are gone: made anew, from the list of all, which
     * only grows. Unless this very thread was at one: that goes on being changed when the handler
     * returns.
     */
    bool keep = !hk_park_fork_child();
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (atomic_load_explicit(&h->state, memory_order_relaxed) == HK_HEAP_LOST) continue;
        bool mine = ours(h);
        bool guest = hk_guest_is(h);
        if (!mine) orphan(h, guest && guest_torn);
        bool lost = atomic_load_explicit(&h->state, memory_order_relaxed) == HK_HEAP_LOST;
        if (h->home && lost) hk_park_forget(h);
        if (guest && lost) hk_guest_forget();
        if (keep || lost || guest || h->home || (mine && !h->listed)) continue;
        hk_park_relist(h);
    }
    hk_runs_fork_child();
    hk_decay_fork_child();
    hk_learn_fork_child();
    hk_dense_fork_child();
    hk_guard_fork_child();
}

void hk_front_end(void)
{
    if (!hk_hardened()) return;
    if (hk_thread.heap) hk_hard_look_at_free(hk_thread.heap);
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        hk_hard_look_at_free(h);
        hk_heap_let_go(h);
    }
}

void hk_front_check(void)
{
    if (hk_thread.heap) hk_slab_check(hk_thread.heap);
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        hk_slab_check(h);
        hk_heap_let_go(h);
    }
    hk_pool_check();
    hk_guard_check();
}
