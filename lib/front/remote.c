/* SPDX-License-Identifier: MIT */
/*
 * What: frees of blocks that belong to another heap: gathered, sent as batches, taken in.
 * Why: one exchange on a foreign cache line per 32 KiB instead of one per block.
 * Ordering: R1 a batch is linked before it is pushed (release), and taken whole (acquire): a
 *   stack that is only ever emptied whole has no ABA. R2 the sender looks at the owner's state
 * after its push, both seq_cst (O1 in heap.c): a parked heap's mail is drained by its sender. R3 a
 * block's owner may have changed on the way (its slab moved): the drainer sends it on. Threads:
 * outboxes belong to the holder of their heap; inboxes to all.
 */
#include "front/fast.h"
#include "os/report.h"
#include "policy/policy.h"

static void push(struct hk_heap *to, void *head, void *tail)
{
    void *seen = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do {
        *(void **)tail = seen;
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &seen, head, memory_order_seq_cst,
                                                    memory_order_relaxed));
    if (HK_LIKELY(atomic_load_explicit(&to->state, memory_order_seq_cst) != HK_HEAP_PARKED)) return;
    if (!hk_heap_seize(to)) return;
    hk_remote_drain(to, UINT32_MAX);
    hk_slab_release_empty(to);
    hk_heap_let_go(to);
}

static void send(struct hk_heap *h, struct hk_outbox *o)
{
    struct hk_outbox out = *o;
    /* Emptied first: draining a parked heap on the way may fill it again. */
    *o = (struct hk_outbox){NULL, NULL, NULL, 0};
    h->sent++;
    if (out.to) push(out.to, out.head, out.tail);
}

void hk_remote_free(struct hk_heap *h, void *p, uintptr_t owner, unsigned cls)
{
    struct hk_heap *to = (struct hk_heap *)(owner & ~HK_OWNER_FOLLOW);
    if (HK_UNLIKELY(!h)) {
        push(to, p, p);
        return;
    }
    struct hk_outbox *o = &h->outbox[to->seq % HK_OUTBOXES];
    if (HK_UNLIKELY(o->to != to)) {
        if (o->to) send(h, o);
        o->to = to;
        o->tail = p;
        o->head = NULL;
        o->bytes = 0;
    }
    *(void **)p = o->head;
    o->head = p;
    o->bytes += (uint32_t)hk_class_bytes(cls);
    if (HK_UNLIKELY(o->bytes >= HK_REMOTE_BATCH_BYTES)) send(h, o);
}

void hk_remote_flush(struct hk_heap *h)
{
    for (unsigned i = 0; i < HK_OUTBOXES; i++) {
        if (h->outbox[i].to) send(h, &h->outbox[i]);
    }
}

void hk_remote_drain(struct hk_heap *h, uint32_t blocks)
{
    uint8_t busy = atomic_load_explicit(&h->busy, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    void *p = h->pending;
    for (; blocks; blocks--) {
        if (!p && !(p = atomic_exchange_explicit(&h->inbox, NULL, memory_order_acquire))) break;
        void *next = *(void **)p;
        struct hk_unit *u = hk_unit_of(p);
        uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
        if (next) __builtin_prefetch(next);
        h->drained++;
        if (HK_LIKELY((owner & ~HK_OWNER_FOLLOW) == hk_heap_id(h)))
            hk_slab_free(h, hk_slab_head(u, owner), p);
        else
            hk_remote_free(NULL, p, owner, 0); /* R3 */
        p = next;
    }
    h->pending = p;
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}
