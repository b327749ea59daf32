/* SPDX-License-Identifier: MIT */
/*
 * What: heaps, slabs and blocks as small as the scenes of remote frees allow, and what the
 * functions that are cut out of lib/ call besides each other. Why: a slab of one unit and a few
 * blocks is all that the hand-over protocols know about.
 */
#ifndef HK_TESTS_MODEL_HEAPS_H
#define HK_TESTS_MODEL_HEAPS_H

#include "layer.h"
#include "locks.h"

#define HEAPS           4
#define BLOCKS          3
#define HK_DRAIN_BLOCKS 8
#define HK_LOOSE_UNITS  16
#define HK_OWNER_LOOSE  ((uintptr_t)3)
#define HK_OWNER_LONG   ((uintptr_t)8)
#define SPIN_ROUNDS     1
enum { HK_HEAP_PARKED, HK_HEAP_BUSY, HK_HEAP_ATTACHED };

struct hk_unit;
struct alignas(16) hk_heap {
    shared<void *> inbox;
    shared<uint32_t> state;
    shared<uintptr_t> holder;
    shared<uint8_t> busy;
    cell<void *> pending;
    cell<uint64_t> drained;
    cell<uint8_t> settled, listed;
    cell<uint8_t> streak[1];
    cell<struct hk_unit *> queue[1];
    cell<struct hk_heap *> next_all, next_parked;
    cell<uint32_t> seq, node;
    cell<uint16_t> shard;
};

/* Its first words are those of a free block. */
struct block {
    cell_of_pointer link;
    cell_of_word mark;
};

struct hk_unit {
    shared<uintptr_t> owner;
    cell<uint32_t> needed, left;
    cell<uint16_t> cls, blocks;
    cell<uint8_t> asleep;
    struct block block[BLOCKS];
    cell<bool> freed[BLOCKS];
};

/* Of one block each, as hk_remote_free_from sends them: nothing is written into these. */
struct hk_segment {
    void *head, *tail;
    uint32_t count;
};
static void hk_segment_seal(struct hk_unit *, struct hk_segment)
{
}
static struct hk_segment hk_segment_unseal(struct hk_unit *, void *head)
{
    return {head, head, 1};
}
static void hk_mark(struct hk_unit *, void *p)
{
    ((struct block *)p)->mark = (uintptr_t)p;
}

/* All that a run of a scene has, made anew each time. */
struct world {
    struct hk_heap heap[HEAPS];
    struct hk_unit slab;
    shared<struct hk_heap *> all{NULL};
    shared<uint32_t> births{0};
    unsigned made = 0;
};
EACH_RUN(struct world, now);
static auto &all = now.all;
static auto &births = now.births;

static struct hk_unit *hk_unit_of(void *)
{
    return &now.slab;
}
static struct hk_unit *hk_slab_first(struct hk_unit *u)
{
    return u;
}
static unsigned hk_class_units(unsigned)
{
    return 1;
}
static uint32_t hk_policy_wake(uint32_t blocks)
{
    return blocks;
}
static bool hk_map_init()
{
    return true;
}

/* The zeroes are this thread's, as those of a unit that comes in metadata's stead are. */
static void clear(struct hk_heap *h)
{
    store(&h->inbox, (void *)NULL, rl::mo_relaxed);
    store(&h->holder, 0, rl::mo_relaxed);
    store(&h->busy, 0, rl::mo_relaxed);
    h->pending = NULL;
    h->drained = 0;
    h->settled = h->listed = 0;
    h->streak[0] = HK_LOOSE_UNITS;
    h->queue[0] = NULL;
}
static void *hk_front_meta(size_t)
{
    clear(&now.heap[now.made]);
    return &now.heap[now.made++];
}

static void *hk_link_next(const void *p)
{
    return *(cell_of_pointer *)p;
}
static void hk_link_set(void *p, void *next)
{
    *(cell_of_pointer *)p = next;
}

static void enqueue(struct hk_heap *h, struct hk_unit *u)
{
    h->queue[0] = u;
}
static void dequeue(struct hk_heap *h, struct hk_unit *)
{
    h->queue[0] = NULL;
}
static void hk_heap_give_up(struct hk_heap *, unsigned)
{
}

/* Whoever owns the slab touches it alone: cells tell if not. */
static void hk_slab_splice(struct hk_heap *h, struct hk_unit *u, void *head, void *tail, uint32_t n)
{
    RL_ASSERT((u->owner.is.debug_value() & ~HK_OWNER_LONG) == (uintptr_t)h);
    for (void *p = head;; p = *(cell_of_pointer *)p) {
        unsigned i = (unsigned)((struct block *)p - u->block);
        RL_ASSERT(!u->freed[i]);
        u->freed[i] = true;
        u->needed -= 1;
        n--;
        if (p == tail) break;
    }
    RL_ASSERT(n == 0);
}

bool hk_heap_seize(struct hk_heap *h);
void hk_heap_let_go(struct hk_heap *h);
bool hk_slab_claim(struct hk_heap *h, struct hk_unit *u);
bool hk_slab_move(struct hk_heap *to, struct hk_heap *from, unsigned c);
void hk_remote_drain(struct hk_heap *h, uint32_t blocks);
static bool hk_heap_claim(struct hk_heap *h, struct hk_unit *u)
{
    return hk_slab_claim(h, u);
}

/* A slab of the first heap, all blocks live; `heaps` of them are born before the scene. */
static void begin(unsigned heaps)
{
    struct world *w = &now;
    make_anew(now);
    while (w->made < heaps) {
        struct hk_heap *h = (struct hk_heap *)hk_front_meta(0);
        h->node = 0;
        store(&h->state, HK_HEAP_ATTACHED, rl::mo_relaxed);
    }
    struct hk_unit *u = &w->slab;
    store(&u->owner, (uintptr_t)&w->heap[0], rl::mo_relaxed);
    u->needed = BLOCKS;
    u->blocks = BLOCKS;
    u->left = 0;
    u->cls = 0;
    u->asleep = 0;
    for (unsigned i = 0; i < BLOCKS; i++) u->freed[i] = false;
    w->heap[0].queue[0] = u;
}

/* All heaps are parked and no block is under way; so many were freed. */
static void end(unsigned freed)
{
    struct world *w = &now;
    for (unsigned i = 0; i < w->made; i++) {
        RL_ASSERT(w->heap[i].state.is.debug_value() == HK_HEAP_PARKED);
        RL_ASSERT(!w->heap[i].inbox.is.debug_value());
        RL_ASSERT(!w->heap[i].pending);
    }
    RL_ASSERT(w->slab.needed == BLOCKS - freed);
    unmake(now);
}

#endif
