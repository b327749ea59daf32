/* SPDX-License-Identifier: MIT */
/*
 * What: the walk over everything.
 * Why: see check.h. Heaps are walked first, and what they have of each unit is noted beside it;
 *   then all units are gone through, each of which must be accounted for.
 * Invariants: of a slab's blocks each is unlinked, on its list, cached, on its way, or live, and in
 *   one place: capacity = fresh + holes + free + cached + remote + live.
 */
#include "front/check.h"

#include "core/huge.h"
#include "core/pool.h"
#include "front/fast.h"
#include "front/segment.h"
#include "large/guard.h"
#include "large/mapped.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

/* Beside each unit: what heaps said of it. */
struct note {
    uint64_t seen[HK_UNIT_BYTES / HK_ALIGN_BYTES / 64]; /* a bit a block of the slab it starts */
    uint32_t cached, remote;
    uint8_t queued, held, meta;
};

static struct note *notes; /* one a unit of the heap */
static struct hk_found found;
static size_t dyn_slabs[HK_DYN_SLOTS];

static size_t unit_number(const struct hk_unit *u)
{
    return (size_t)(hk_unit_addr(u) - (char *)hk_window_base) >> HK_UNIT_SHIFT;
}

static struct note *note_of(const struct hk_unit *u)
{
    return &notes[unit_number(u)];
}

/* p is a block of slab u that was linked once, and was nowhere else. */
static void see(struct hk_unit *u, const void *p)
{
    size_t off = (size_t)((const char *)p - hk_unit_addr(u)), bytes = hk_class_bytes(u->cls);
    size_t i = off / bytes;
    HK_CHECK(off < hk_class_units(u->cls) * HK_UNIT_BYTES, p);
    HK_CHECK(off % bytes == 0 && i < u->fresh, p);
    HK_CHECK(hk_is_marked(u, p), p);
    HK_CHECK(!(note_of(u)->seen[i / 64] >> (i % 64) & 1), p);
    note_of(u)->seen[i / 64] |= (uint64_t)1 << (i % 64);
}

/* The slab of p, which is in the heap, in a slab. */
static struct hk_unit *slab_of(const void *p)
{
    struct hk_unit *u = hk_unit_of(p);
    HK_CHECK(u != NULL, p);
    u = hk_slab_first(u);
    HK_CHECK(u->owner == HK_OWNER_LOOSE || u->owner >= HK_LINE_BYTES, p);
    return u;
}

/* Blocks of one slab, linked from head on; how many. last, if told, ends them. */
static uint32_t see_list(struct hk_unit *u, const void *head, const void *last)
{
    uint32_t n = 0;
    for (const void *p = head; p; p = hk_link_next(p)) {
        see(u, p);
        n++;
        if (last && p == last) break;
    }
    return n;
}

static void see_bins(void *const *bin)
{
    HK_CHECK(!bin[0], bin);
    for (unsigned c = 1; c < HK_ALL_CLASSES; c++) {
        if (!bin[c]) continue;
        struct hk_unit *u = slab_of(bin[c]);
        uint32_t n = see_list(u, bin[c], NULL);
        HK_CHECK(u->cls == c, bin[c]);
        note_of(u)->cached += n;
        found.cached += n;
    }
}

static void see_remote(struct hk_unit *u, const void *head, const void *tail, uint32_t count)
{
    uint32_t n = see_list(u, head, tail);
    HK_CHECK(n == count && count > 0, head);
    note_of(u)->remote += n;
    found.remote += n;
}

static void see_chain(void *head)
{
    while (head) {
        struct hk_unit *u = slab_of(head);
        struct hk_segment s = hk_segment_unseal(u, head);
        see_remote(u, head, s.tail, s.count);
        hk_segment_seal(u, s);
        head = hk_link_next(s.tail);
    }
}

static void see_mail(struct hk_heap *h)
{
    for (unsigned i = 0; i < HK_RINGS; i++) {
        const struct hk_ring *r = &h->ring[i];
        if (!r->slab) continue;
        HK_CHECK(slab_of(r->head) == r->slab, r);
        see_remote(r->slab, r->head, r->tail, r->count);
    }
    for (unsigned i = 0; i < HK_OUTBOXES; i++) {
        HK_CHECK(!h->outbox[i].to == !h->outbox[i].chain, &h->outbox[i]);
        see_chain(h->outbox[i].chain);
    }
    see_chain(h->pending);
    see_chain(atomic_load_explicit(&h->inbox, memory_order_acquire));
}

static void see_queues(struct hk_heap *h)
{
    size_t awake = 0;
    for (unsigned c = 1; c < HK_ALL_CLASSES; c++) {
        const struct hk_unit *before = NULL;
        for (struct hk_unit *u = h->queue[c]; u; before = u, u = u->next) {
            HK_CHECK(u->prev == before && !note_of(u)->queued, u);
            note_of(u)->queued = 1;
            awake += hk_class_units(c);
        }
    }
    HK_CHECK((int32_t)awake == h->awake, h);
    hk_slab_check(h);
}

static void see_runs(const struct hk_heap *h)
{
    uint32_t units = 0, of_class[HK_RUN_CLASSES] = {0};
    for (uint32_t m = h->runs; m; m &= m - 1) {
        unsigned slot = (unsigned)__builtin_ctz(m);
        struct hk_unit *u = h->run[slot];
        HK_CHECK(u->owner == HK_OWNER_NONE && !note_of(u)->held, u);
        HK_CHECK(u->run_units > 0 && u->run_units < HK_CHUNK_UNITS, u);
        HK_CHECK(h->runs_of[u->run_units] >> slot & 1, u);
        HK_CHECK(h->run_lengths >> u->run_units & 1, u);
        note_of(u)->held = 1;
        units += u->run_units;
        of_class[hk_run_class(u->run_units)] += u->run_units;
    }
    HK_CHECK(units == h->run_units, h);
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) HK_CHECK(of_class[c] == h->run_held[c], h);
    found.held_units += units;
}

/* Records that had to go into the heap. */
static void see_meta(const void *p)
{
    const struct hk_unit *u = p ? hk_unit_of(p) : NULL;
    if (!u) return;
    HK_CHECK(u->owner == HK_OWNER_NONE && p == hk_unit_addr(u), p);
    note_of(u)->meta = 1;
}

static void see_heap(struct hk_heap *h)
{
    uint32_t state = atomic_load_explicit(&h->state, memory_order_acquire);
    see_meta(h);
    if (state == HK_HEAP_LOST) return;
    HK_CHECK(state == HK_HEAP_PARKED || state == HK_HEAP_ATTACHED, h);
    HK_CHECK(!atomic_load_explicit(&h->busy, memory_order_relaxed), h);
    HK_CHECK((state == HK_HEAP_ATTACHED) == (h->thread != NULL), h);
    HK_CHECK((state == HK_HEAP_ATTACHED) == (h->holder != 0), h);
    HK_CHECK(!h->listed || state == HK_HEAP_PARKED, h);
    bool anybodys = state == HK_HEAP_PARKED && !h->home && !hk_guest_is(h);
    found.listed += h->listed;
    found.unlisted += anybodys && !h->listed;
    HK_CHECK(!anybodys || h->listed != h->astray, h);
    if (h->thread) {
        HK_CHECK(h->hard || (h->thread->heap == h && h->thread->id == hk_heap_id(h)), h->thread);
        see_bins(h->thread->bin);
    }
    see_bins(h->kept);
    see_queues(h);
    see_mail(h);
    see_runs(h);
}

static bool taken(size_t i)
{
    const struct hk_chunk *c = hk_chunk_at(i / HK_CHUNK_UNITS);
    return c->state == HK_CHUNK_USED && (c->used >> (i % HK_CHUNK_UNITS) & 1);
}

static void look_at_slab(struct hk_unit *u)
{
    const struct note *n = note_of(u);
    uint32_t out = u->needed, list = 0;
    HK_CHECK(u->cls > 0 && u->cls < HK_ALL_CLASSES, u);
    if (u->asleep) {
        out += u->left;
        HK_CHECK(!n->queued && u->fresh == u->blocks && u->linked == u->blocks, u);
    }
    HK_CHECK(u->blocks == hk_class_blocks(u->cls), u);
    HK_CHECK(n->queued == !u->asleep, u);
    list = see_list(u, u->free, NULL);
    HK_CHECK(list + out == u->linked, u);
    HK_CHECK(u->linked + hk_slab_hole_blocks(u) == u->fresh && u->fresh <= u->blocks, u);
    HK_CHECK(n->cached + n->remote <= out, u);
    found.live += out - n->cached - n->remote;
    found.slab_units += hk_class_units(u->cls);
    if (u->cls >= HK_CLASSES) dyn_slabs[u->cls - HK_CLASSES]++;
}

struct tails {
    size_t all, resident;
};

/* The unit at `at` is taken, and starts something; how many units it has. */
static size_t look_at_taken(struct hk_unit *u, struct tails *t)
{
    const struct note *n = note_of(u);
    uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
    HK_CHECK(u->follow == 0, u);
    if (owner == HK_OWNER_NONE) {
        HK_CHECK(n->held || n->meta, hk_unit_addr(u)); /* else it is lost */
        found.meta_units += n->meta;
        return n->held ? u->run_units : 1;
    }
    HK_CHECK(!n->held && !n->meta, u);
    if (owner == HK_OWNER_RUN) {
        found.runs++;
        found.run_units += u->run_units;
        t->all += u->tail;
        t->resident += u->clean ? 0 : u->tail;
        return u->run_units;
    }
    if (owner != HK_OWNER_LOOSE &&
        atomic_load_explicit(&hk_owner_heap(owner)->state, memory_order_relaxed) == HK_HEAP_LOST)
        found.lost_units += hk_class_units(u->cls);
    else
        look_at_slab(u);
    return hk_class_units(u->cls);
}

static void look_at_units(struct tails *t)
{
    size_t end = hk_map_chunks() * HK_CHUNK_UNITS;
    for (size_t i = 0, n = 1; i < end; i += n, n = 1) {
        struct hk_unit *u = hk_unit_at(i << HK_UNIT_SHIFT);
        const struct hk_chunk *c = hk_chunk_at(i / HK_CHUNK_UNITS);
        if (c->state == HK_CHUNK_LOST) continue;
        if (!taken(i)) {
            HK_CHECK(atomic_load_explicit(&u->owner, memory_order_relaxed) == HK_OWNER_NONE, u);
            HK_CHECK(!notes[i].held && !notes[i].meta && !notes[i].queued, u);
            continue;
        }
        n = look_at_taken(u, t);
        HK_CHECK(n > 0 && i + n <= end, u);
        for (size_t k = 1; k < n; k++) HK_CHECK(taken(i + k), u);
    }
}

/* What is counted as it happens is what is there. */
static void look_at_counts(const struct tails *t)
{
    struct hk_large_stats large;
    size_t used = 0, used_told = 0, dirty_told = 0, untold = 0;
    uint32_t births = 0, holders = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        HK_CHECK(!hk_lock_held(&s->lock) && !s->waiting, s);
        used += s->used;
        used_told += s->used_told;
        dirty_told += s->dirty_told;
    }
    HK_CHECK(used_told == hk_pool_used_units(), &hk_shard_sums);
    HK_CHECK(dirty_told == hk_pool_dirty_units(), &hk_shard_sums);
    HK_CHECK(used == found.slab_units + found.lost_units + found.run_units + found.held_units +
                         found.meta_units,
             &hk_shard_sums);
    for (const struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        births++;
        holders += h->may_hold && h->state != HK_HEAP_LOST;
        untold += atomic_load_explicit(&h->large.dirty, memory_order_relaxed);
    }
    HK_CHECK(births == hk_heap_births() && holders == hk_runs_holders(), NULL);
    hk_heap_large_stats(&large);
    HK_CHECK(large.units == found.run_units && large.tail_bytes == t->all, NULL);
    HK_CHECK(hk_large_told() + untold == t->resident, NULL);
    HK_CHECK(large.large_allocs + large.big_allocs - large.frees == found.runs, NULL);
    for (unsigned slot = 0; slot < HK_DYN_SLOTS; slot++)
        HK_CHECK(dyn_slabs[slot] == hk_dyn_slot[slot] >> 32, &hk_dyn_slot[slot]);
}

static void look_at_all(void)
{
    struct tails t = {0, 0};
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) see_heap(h);
    if (hk_guest_thread()) {
        see_meta(hk_guest_thread());
        see_bins(hk_guest_thread()->bin);
    }
    for (const void *p = hk_stranded(); p; p = hk_link_next(p)) see_remote(slab_of(p), p, p, 1);
    look_at_units(&t);
    look_at_counts(&t);
}

struct hk_found hk_check_all(void)
{
    size_t bytes = (1 + hk_map_chunks() * HK_CHUNK_UNITS) * sizeof *notes;
    found = (struct hk_found){0};
    for (unsigned slot = 0; slot < HK_DYN_SLOTS; slot++) dyn_slabs[slot] = 0;
    hk_pool_check();
    hk_huge_check();
    notes = hk_sys_map_sparse(NULL, bytes);
    HK_CHECK(notes != NULL, NULL);
    look_at_all();
    hk_sys_unmap(notes, bytes);
    HK_CHECK(hk_park_check() == found.listed, NULL);
    found.mapped_bytes = hk_mapped_check();
    struct hk_pool_stats pool;
    hk_pool_read_stats(&pool);
    HK_CHECK(found.mapped_bytes == pool.outside_bytes, NULL);
    found.left_bytes = hk_sys_left_bytes();
    struct hk_guard_stats guard;
    hk_guard_read_stats(&guard);
    found.guarded = guard.live;
    found.address_bytes = hk_map_check() + found.mapped_bytes + found.left_bytes + hk_guard_check();
    return found;
}
