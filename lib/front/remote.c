/* SPDX-License-Identifier: MIT */
/*
 * What: frees of blocks that belong to another heap: gathered, sent, taken in.
 * Why: blocks of one slab travel as one segment, which its owner splices in by touching two of
 *   them, and segments for one heap leave together: one exchange on a foreign line per 32 KiB.
 * Format: front/segment.h.
 * Ordering: R1 a chain is linked before it is pushed (release), and taken whole (acquire): a
 *   stack that is only ever emptied whole has no ABA. R2 the sender looks at the owner's state
 *   after its push, both seq_cst (O1 in heap.c): a parked heap's mail is drained by its sender.
 *   R3 a slab's owner may have changed on the way (it was moved): the drainer sends it on.
 *   R4 an owner word is stored with release, and who follows it to a heap loads it with acquire:
 * the heap may be younger than the block, and is whole then.
 *
 * Threads: rings and outboxes belong to the holder of their heap; inboxes to all.
 */
#include "front/fast.h"
#include "front/segment.h"
#include "os/report.h"
#include "policy/policy.h"

/* last is the tail of the chain's last segment. */
static void push(struct hk_heap *to, void *chain, void *last)
{
    void *seen = NULL; /* most likely, and a look would move the line once more */
    do {
        hk_link_set(last, seen);
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &seen, chain, memory_order_seq_cst,
                                                    memory_order_relaxed));
    if (HK_LIKELY(atomic_load_explicit(&to->state, memory_order_seq_cst) != HK_HEAP_PARKED)) return;
    if (!hk_heap_seize(to)) return;
    hk_remote_drain(to, UINT32_MAX);
    hk_heap_let_go(to);
}

/*
 * Blocks of slab u to its owner, if that is h or, the slab being loose, becomes h: NULL then. Else
 * the owner.
 */
static struct hk_heap *place(struct hk_heap *h, struct hk_unit *u, void *head, void *tail,
                             uint32_t count)
{
    for (;;) {
        uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_acquire); /* R4 */
        if (hk_owner_heap(owner) == h || (owner == HK_OWNER_LOOSE && hk_heap_claim(h, u))) {
            hk_slab_splice(h, u, head, tail, count);
            return NULL;
        }
        if (owner != HK_OWNER_LOOSE) return hk_owner_heap(owner);
    }
}

static void send(struct hk_heap *h, struct hk_outbox *o)
{
    struct hk_outbox out = *o;
    *o = (struct hk_outbox){NULL, NULL, NULL, 0};
    h->sent++;
    push(out.to, out.chain, out.last);
}

void hk_remote_give(struct hk_heap *h, struct hk_unit *u, void *head, void *tail, uint32_t count)
{
    /* A thread that only frees comes by no refill, and owns the slabs that it claimed. */
    if (HK_UNLIKELY(hk_remote_waiting(h))) hk_remote_drain(h, HK_DRAIN_BLOCKS);
    struct hk_heap *to = place(h, u, head, tail, count);
    if (!to) return;
    struct hk_outbox *o = &h->outbox[to->seq % HK_OUTBOXES];
    if (HK_UNLIKELY(o->to != to)) {
        if (o->to) send(h, o);
        o->to = to;
        o->last = tail;
    }
    hk_segment_seal(u, (struct hk_segment){head, tail, count});
    hk_link_set(tail, o->chain);
    o->chain = head;
    o->bytes += count * (uint32_t)hk_class_bytes(u->cls);
    if (HK_UNLIKELY(o->bytes >= HK_REMOTE_BATCH_BYTES)) send(h, o);
}

static void evict(struct hk_heap *h, struct hk_ring *r)
{
    struct hk_unit *u = r->slab;
    r->slab = NULL;
    hk_remote_give(h, u, r->head, r->tail, r->count);
}

static HK_NOINLINE void start_ring(struct hk_heap *h, struct hk_ring *r, struct hk_unit *u, void *p)
{
    uint32_t room = HK_RING_BYTES / (uint32_t)hk_class_bytes(u->cls);
    if (r->slab) evict(h, r);
    hk_mark(u, p);
    h->rings[(r - h->ring) / 64] |= (uint64_t)1 << ((r - h->ring) % 64);
    *r = (struct hk_ring){u, p, p, 1, room};
    if (room <= 1) evict(h, r);
}

void hk_remote_free(struct hk_heap *h, struct hk_unit *u, void *p)
{
    struct hk_ring *r = &h->ring[(uintptr_t)u / sizeof *u % HK_RINGS];
    if (HK_UNLIKELY(r->slab != u)) {
        start_ring(h, r, u, p);
        return;
    }
    hk_mark(u, p);
    hk_link_set(p, r->head);
    r->head = p;
    if (HK_UNLIKELY(++r->count >= r->room)) evict(h, r);
}

void hk_remote_free_from(struct hk_heap *guest, struct hk_unit *u, void *p)
{
    hk_mark(u, p);
    struct hk_heap *to = place(guest, u, p, p, 1);
    if (to) push(to, p, p); /* one block needs no seal */
}

void hk_remote_flush(struct hk_heap *h)
{
    for (unsigned w = 0; w < HK_RINGS / 64; w++) {
        for (uint64_t m = h->rings[w]; m; m &= m - 1) {
            struct hk_ring *r = &h->ring[w * 64 + (unsigned)__builtin_ctzll(m)];
            if (r->slab) evict(h, r);
        }
        h->rings[w] = 0;
    }
    for (unsigned i = 0; i < HK_OUTBOXES; i++) {
        if (h->outbox[i].to) send(h, &h->outbox[i]);
    }
}

void hk_remote_drain(struct hk_heap *h, uint32_t blocks)
{
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    void *head = h->pending;
    for (uint32_t n = 0; n < blocks;) {
        if (!head) {
            head = atomic_exchange_explicit(&h->inbox, NULL, memory_order_acquire);
            if (!head) break;
        }
        struct hk_unit *u = hk_slab_first(hk_unit_of(head));
        struct hk_segment s = hk_segment_unseal(u, head);
        head = hk_link_next(s.tail);
        if (head) __builtin_prefetch(head);
        n += s.count;
        h->drained += s.count;
        h->settled = 0;
        struct hk_heap *to = place(h, u, s.head, s.tail, s.count);
        if (HK_UNLIKELY(to != NULL)) { /* R3 */
            hk_segment_seal(u, s);
            push(to, s.head, s.tail);
        }
    }
    h->pending = head;
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}
