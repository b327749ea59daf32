/* SPDX-License-Identifier: MIT */
/*
 * What: a heap: the slabs of one thread, their class queues, the inbox of frees from others.
 * Why: owner of slabs is the heap, not the thread: a thread that ends parks its heap whole, the
 *   next one takes it over, and no block ever changes hands for it.
 * Owns: struct hk_heap, struct hk_thread.
 * Invariants: H1 only who holds the heap (its thread, or whoever moved it PARKED → BUSY) touches
 *   anything but inbox and state. H2 heaps are never freed. H3 busy is set while anything but
 *   bins, rings and what looks note is changed: a child of fork that finds it set leaks that heap.
 */
#ifndef HK_SLAB_HEAP_H
#define HK_SLAB_HEAP_H

#include "core/counts.h"
#include "core/map.h"

/* Thread-local state. The bins come first: the fast path's only memory besides the block. */
struct hk_thread {
    void *bin[HK_ALL_CLASSES]; /* blocks of the last refill, linked; bin[0] stays empty */
    uintptr_t id, long_id;     /* owner words of the heap's slabs; HK_ID_NONE without one */
    struct hk_heap *heap;
    struct hk_hard *hard; /* the heap's, in hardened mode */
    uint64_t zero[2];     /* a bit a class: the bin's blocks are zero but for their link */
    uint8_t ended;        /* the thread's end has run: no heap for it any more */
    uint8_t born;         /* its end is arranged for */
};
/* Equals no owner word: local tests fail for a thread without a heap. */
#define HK_ID_NONE ((uintptr_t)4)

enum hk_heap_state { HK_HEAP_PARKED, HK_HEAP_BUSY, HK_HEAP_ATTACHED, HK_HEAP_LOST };

#define HK_RUN_SLOTS 32u
#define HK_OUTBOXES  16u
#define HK_RINGS     128u

/* Freed blocks of one foreign slab, gathered. */
struct hk_ring {
    struct hk_unit *slab; /* its first unit; NULL: the ring is empty */
    void *head, *tail;
    uint32_t count, room; /* blocks · blocks at which it leaves */
};

/* Segments on their way to one other heap. */
struct hk_outbox {
    struct hk_heap *to;
    void *chain, *last; /* head of the newest segment · tail of the oldest */
    uint32_t bytes;
};

struct hk_hard;

struct hk_heap {
    /* Whose bins hold its cached blocks; NULL: nobody's. In hardened mode bins of `hard`. */
    struct hk_thread *thread;
    struct hk_hard *hard; /* see front/harden.h; NULL: none yet */
    struct hk_unit
        *queue[HK_ALL_CLASSES];       /* slabs awake: with free blocks or with room to link more */
    uint64_t handed[HK_ALL_CLASSES];  /* blocks ever put into bins */
    uint32_t sampled[HK_ALL_CLASSES]; /* of these, how many front/sample.c knows of */
    uint8_t
        short_refills[HK_ALL_CLASSES]; /* refills that had to touch new blocks: the demand; fades */
    uint8_t streak[HK_ALL_CLASSES];    /* units of slabs filled since one of the class woke up */
    struct hk_ring ring[HK_RINGS];
    uint64_t rings[HK_RINGS / 64]; /* a bit a ring that may hold some */
    struct hk_outbox outbox[HK_OUTBOXES];
    void *pending;              /* taken from the inbox, not yet freed */
    void *kept[HK_ALL_CLASSES]; /* parked: the bins of its last thread, for the next one */
    uint64_t kept_zero[2];
    uint8_t keeps;  /* kept is not empty */
    uint8_t listed; /* on the list of parked heaps of `shard`; under its lock */
    uint8_t astray; /* it is on no list: there was no memory for one; written by who holds it */
    uint8_t home;   /* of a node: no thread ever has it */
    uint8_t strays; /* slow paths in a row that found its thread on another node */
    uint16_t shard; /* where its thread was born, or ended */
    uint32_t node;  /* where its memory comes from; of interest where there are several */
    /* Looks for what can go back, see front/tick.c. */
    uint8_t warm;                    /* a thread took it since the last look at parked heaps */
    uint8_t noted;                   /* what its thread left was noted since then */
    uint8_t settled;                 /* parked, and all that could go back has */
    uint8_t stale;                   /* what it lets go of has been idle for a while */
    uint8_t cut;                     /* the last look ended early */
    uint8_t look_class;              /* where the next one starts */
    uint8_t dyn_asked[HK_DYN_SLOTS]; /* in vain, while there was no slab */
    uint16_t dyn_seen;               /* classes in force when its thread last looked, hk_dyn_word */
    uint8_t lull;                    /* its thread's last two slow paths were far apart */
    size_t moving;                   /* bytes free in slabs that the last look found changed */
    uint64_t look_ms;                /* when its thread had the last look */
    uint64_t tick_ms;                /* and when it came by the clock */
    int32_t awake, awake_seen; /* units in its queues: now, and when the alarm was last raised */
    /* Runs freed a moment ago; whole, dirty, no block. See front/runcache.c. */
    struct hk_unit *run[HK_RUN_SLOTS];
    uint32_t runs;                    /* a bit a slot in use */
    uint32_t runs_of[HK_CHUNK_UNITS]; /* of so many units: a bit a slot */
    uint32_t run_lengths;             /* a bit a length of which there are some */
    uint16_t run_held[HK_RUN_CLASSES];
    struct hk_run_counts run_counts; /* while slow paths note what they do */
    uint32_t learn_requests;         /* noted */
    uint32_t run_units;              /* their sum */
    uint8_t run_hand;                /* the slot whose run goes next */
    uint8_t run_last;                /* the slot of the run that came last: the warmest */
    uint8_t run_hit;                 /* one was used since the last look */
    uint8_t may_hold;                /* of the few heaps that may hold runs */
    struct hk_large_counts large;
    uint64_t drained, sent, refills, slabs_new, slabs_freed;
    _Atomic uint32_t visits; /* of malloc's slow path: pace its clock */
    _Atomic uint8_t busy;
    struct hk_heap *next_all; /* every heap, in order of birth; constant */
    struct hk_heap *next_parked;
    /* Written by other threads: on lines of its own. */
    _Alignas(2 * HK_LINE_BYTES) _Atomic(void *) inbox;
    _Atomic uint32_t state;
    uint32_t seq; /* birth number, spreads outboxes: constant, read by who is about to send */
    _Atomic uintptr_t holder; /* hk_lock_me() of who holds the heap; 0 a moment around it */
} HK_LINE_ALIGNED;

HK_INLINE uintptr_t hk_heap_id(const struct hk_heap *h)
{
    return (uintptr_t)h;
}

/* The heap that an owner word names; not for NONE, RUN and LOOSE. */
HK_INLINE struct hk_heap *hk_owner_heap(uintptr_t owner)
{
    return (struct hk_heap *)(owner & ~HK_OWNER_LONG);
}

#endif
