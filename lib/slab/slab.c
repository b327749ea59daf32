/* SPDX-License-Identifier: MIT */
/*
 * What: slabs: birth, take-over, wake-up, death.
 * Why: see slab.h.
 */
#include "slab/slab.h"

#include "core/harden.h"
#include "core/pool.h"
#include "os/report.h"
#include "policy/policy.h"

#define COLOUR_STEP 5u /* blocks from one slab's start to the next one's: odd, so all are used */

static void enqueue(struct hk_heap *h, struct hk_unit *u)
{
    struct hk_unit **q = &h->queue[u->cls];
    u->prev = NULL;
    u->next = *q;
    if (u->next) u->next->prev = u;
    *q = u;
    h->awake += (int32_t)hk_class_units(u->cls);
}

static void dequeue(struct hk_heap *h, struct hk_unit *u)
{
    if (u->prev)
        u->prev->next = u->next;
    else
        h->queue[u->cls] = u->next;
    if (u->next) u->next->prev = u->prev;
    u->next = u->prev = NULL;
    h->awake -= (int32_t)hk_class_units(u->cls);
}

/* What the units of a slab of class c owned by h say. */
static uintptr_t owner_word(const struct hk_heap *h, unsigned c)
{
    return hk_heap_id(h) | (hk_class_units(c) > 1 ? HK_OWNER_LONG : 0);
}

static void set_owner(struct hk_unit *u, uintptr_t owner)
{
    atomic_store_explicit(&u->owner, owner, memory_order_release); /* R4 of front/remote.c */
}

static void set_followers(struct hk_unit *u, uintptr_t owner)
{
    for (unsigned i = 1; i < hk_class_units(u->cls); i++) set_owner(&u[i], owner);
}

static void set_follow(struct hk_unit *u, uintptr_t bytes_a_unit)
{
    for (unsigned i = 1; i < hk_class_units(u->cls); i++)
        u[i].follow = (uint16_t)(i * bytes_a_unit);
}

static bool slab_new(struct hk_heap *h, unsigned c)
{
    bool clean;
    bool dyn = HK_UNLIKELY(c >= HK_CLASSES);
    if (dyn && !hk_dyn_claim(c - HK_CLASSES)) { /* D2 of base/dynclass.h */
        hk_dyn_drop(c - HK_CLASSES);
        return false;
    }
    void *p = hk_pool_alloc(hk_class_units(c), 1, &clean);
    if (!p) {
        if (dyn) hk_dyn_drop(c - HK_CLASSES);
        return false;
    }
    struct hk_unit *u = hk_unit_of(p);
    u->cls = (uint8_t)c;
    u->free = NULL;
    u->needed = u->left = 0;
    u->linked = u->fresh = 0;
    u->asleep = u->purged = 0;
    u->looks = HK_FRESH_LOOKS;
    u->seen = 0;
    u->clean = clean;
    u->blocks = (uint16_t)hk_class_blocks(c);
    for (unsigned i = 0; i < hk_class_units(c); i++) hk_holes_set(&u[i], 0);
    hk_begin_birth(u);
    set_follow(u, sizeof *u);
    set_followers(u, owner_word(h, c));
    set_owner(u, owner_word(h, c));
    enqueue(h, u);
    h->slabs_new++;
    return true;
}

static void slab_release(struct hk_heap *h, struct hk_unit *u)
{
    unsigned c = u->cls;
    set_follow(u, 0);
    set_followers(u, HK_OWNER_NONE);
    set_owner(u, HK_OWNER_NONE);
    h->slabs_freed++;
    if (h->stale)
        hk_pool_free_idle(hk_unit_addr(u), hk_class_units(c), HK_PURGE_IDLE_MAX_MS);
    else
        hk_pool_free(hk_unit_addr(u), hk_class_units(c));
    if (HK_UNLIKELY(c >= HK_CLASSES)) hk_dyn_drop(c - HK_CLASSES);
    hk_policy_note_dirty(hk_pool_dirty_units(), hk_pool_used_units());
}

/* Whatever began there before the slab was this one's. */
static HK_COLD void forget(const struct hk_unit *u, uint32_t first, uint32_t end)
{
    size_t size = hk_class_bytes(u->cls);
    for (uint32_t i = first; i < end; i++) hk_shadow_set(hk_unit_addr(u) + size * i, 0);
}

/* Link blocks [first, end) in the order of their addresses before the list `rest`; the whole. */
static void *link_blocks(struct hk_unit *u, uint32_t first, uint32_t end, void *rest)
{
    size_t size = hk_class_bytes(u->cls);
    char *p = hk_unit_addr(u) + size * first, *list = p;
    for (uint32_t i = first; i + 1 < end; i++, p += size) {
        hk_link_set(p, p + size);
        hk_mark(u, p);
    }
    hk_link_set(p, rest);
    hk_mark(u, p);
    u->linked = (uint16_t)(u->linked + (end - first));
    if (hk_hardened()) forget(u, first, end);
    return list;
}

/*
 * The first blocks of a slab [0, n), not from block 0 on: slabs begin at the same place of a page,
 * so the blocks that all classes use first would fight for the same cache sets.
 */
static void *link_coloured(struct hk_unit *u, uint32_t n, void *rest)
{
    uint32_t k = (uint32_t)((uintptr_t)u / sizeof *u) * COLOUR_STEP % n;
    return k ? link_blocks(u, k, n, link_blocks(u, 0, k, rest)) : link_blocks(u, 0, n, rest);
}

/* Link the next n blocks of a fresh slab, or those of a hole, before the list `rest`; the whole. */
static void *extend(struct hk_unit *u, uint32_t n, void *rest)
{
    uint32_t first = u->fresh, end = first + n;
    if (first == u->blocks) {
        hk_slab_close_hole(u, &first, &end);
        hk_begin_tell(u, first, end);
        return link_blocks(u, first, end, rest);
    }
    if (end > u->blocks) end = u->blocks;
    __atomic_store_n(&u->fresh, (uint16_t)end, __ATOMIC_RELAXED); /* M3 of begin.h */
    hk_begin_tell(u, first, end);
    u->looks = HK_FRESH_LOOKS;
    return first ? link_blocks(u, first, end, rest) : link_coloured(u, end, rest);
}

/* The list of u, whose `have` blocks are too few, with others before it. */
static HK_NOINLINE void *lengthen(struct hk_heap *h, struct hk_unit *u, uint32_t have,
                                  uint32_t want)
{
    unsigned c = u->cls;
    if (h->short_refills[c] < UINT8_MAX) h->short_refills[c]++;
    if (!u->free && u->clean && u->fresh < u->blocks)
        h->thread->zero[c / 64] |= (uint64_t)1 << (c % 64);
    return extend(u, want - have, u->free);
}

/* All blocks of u are linked, and out: u is asleep, or let loose. */
static HK_NOINLINE void fall_asleep(struct hk_heap *h, struct hk_unit *u, unsigned c)
{
    uint16_t wake = (uint16_t)hk_policy_wake(u->blocks);
    dequeue(h, u);
    u->asleep = 1;
    u->needed = wake;
    u->left = (uint16_t)(u->blocks - wake);
    if (h->streak[c] < HK_LOOSE_UNITS) {
        h->streak[c] = (uint8_t)(h->streak[c] + hk_class_units(c));
        return;
    }
    set_followers(u, HK_OWNER_LOOSE);
    /* C1: from here on whoever frees into it first owns it, with all that was written above. */
    atomic_store_explicit(&u->owner, HK_OWNER_LOOSE, memory_order_release);
}

/* All that is on u's list goes out to bin c; S2: that is what is linked and not out. */
HK_INLINE void give_list(struct hk_heap *h, struct hk_unit *u, unsigned c, void *list)
{
    h->handed[c] += u->linked - u->needed;
    h->thread->bin[c] = list;
    u->free = NULL;
    u->seen = 0; /* the same head again is another list */
    u->needed = u->linked;
}

/*
 * Only some of u's list, so that the class's next slow path is not far. False if it is not that
 * long: in a child of fork a count may have lost a block that a free was listing.
 */
static HK_NOINLINE bool give_some(struct hk_heap *h, struct hk_unit *u, unsigned c, uint32_t have)
{
    char *list = u->free, *last = list;
    uint32_t give = hk_policy_restless_refill(hk_class_bytes(c), h->lull);
    if (have <= give) return false;
    for (uint32_t n = 1; last && n < give; n++) last = hk_slab_next(u, last);
    if (!last || !hk_link_next(last)) return false;
    h->handed[c] += give;
    h->thread->bin[c] = list;
    u->free = hk_link_next(last);
    hk_link_set(last, NULL);
    u->needed += give;
    return true;
}

/* The queue's first slab gives all it has to bin c. */
HK_INLINE void take_over(struct hk_heap *h, struct hk_unit *u, unsigned c)
{
    void *list = u->free;
    h->thread->zero[c / 64] &= ~((uint64_t)1 << (c % 64));
    h->refills++;
    uint32_t have = u->linked - u->needed;
    if (have > HK_LULL_BLOCKS && hk_policy_restless() && give_some(h, u, c, have)) return;
    if (u->linked < u->blocks) {
        /* Churn is no demand: what is on the list will do, and its pages are warm. */
        uint32_t want = hk_policy_refill(u->blocks / hk_class_units(c), h->short_refills[c]);
        if (have < want) list = lengthen(h, u, have, want);
    }
    give_list(h, u, c, list);
    if (u->linked == u->blocks) fall_asleep(h, u, c);
}

void hk_slab_fade(struct hk_heap *h)
{
    for (unsigned c = 0; c < HK_ALL_CLASSES; c++) h->short_refills[c] /= 2;
}

bool hk_slab_claim(struct hk_heap *h, struct hk_unit *u)
{
    uintptr_t loose = HK_OWNER_LOOSE, mine = owner_word(h, u->cls);
    if (!atomic_compare_exchange_strong_explicit(&u->owner, &loose, mine, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    set_followers(u, mine);
    return true;
}

bool hk_slab_refill_own(struct hk_heap *h, unsigned c)
{
    struct hk_unit *u = h->queue[c];
    if (!u) return false;
    take_over(h, u, c);
    return true;
}

bool hk_slab_refill(struct hk_heap *h, unsigned c)
{
    return hk_slab_refill_own(h, c) || (slab_new(h, c) && hk_slab_refill_own(h, c));
}

/* Awake and empty: give it back. */
static void retire(struct hk_heap *h, struct hk_unit *u)
{
    dequeue(h, u);
    slab_release(h, u);
}

/* Asleep until now, with `out` blocks still out. */
static void wake(struct hk_heap *h, struct hk_unit *u, uint32_t out)
{
    u->asleep = 0;
    u->needed = out;
    h->streak[u->cls] = 0;
    enqueue(h, u);
    if (HK_UNLIKELY(h->awake - h->awake_seen > HK_AWAKE_UNITS)) {
        h->awake_seen = h->awake;
        hk_policy_hurry();
    }
    /* The empty slab that the class kept for want of another. */
    if (u->next && u->next->needed == 0) retire(h, u->next);
}

/* Only the holder writes busy; it may be set already, by a slow path around this one. */
static uint8_t set_busy(struct hk_heap *h)
{
    uint8_t before = atomic_load_explicit(&h->busy, memory_order_relaxed);
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    return before;
}

/*
 * An empty slab that is the class's last with room stays, or the next malloc pays for a new one:
 * straight into the empty bin, which saves that malloc its slow path. Unless all of it has been
 * used: in a bin its pages could not go back. Not without a thread, nor if there is no next malloc
 * of the class.
 */
HK_INLINE bool reuse(struct hk_heap *h, struct hk_unit *u)
{
    struct hk_thread *t = h->thread;
    unsigned c = u->cls;
    if (HK_UNLIKELY((uintptr_t)u->prev | (uintptr_t)u->next) || !t) return false;
    if (HK_UNLIKELY(c >= HK_CLASSES) && !hk_dyn_in_force(c - HK_CLASSES)) return false;
    if (u->linked < u->blocks && !t->bin[c] && !hk_policy_restless()) {
        uint8_t busy = set_busy(h);
        t->zero[c / 64] &= ~((uint64_t)1 << (c % 64));
        give_list(h, u, c, u->free);
        atomic_store_explicit(&h->busy, busy, memory_order_release);
    }
    return true;
}

static HK_NOINLINE void wake_or_retire(struct hk_heap *h, struct hk_unit *u)
{
    uint8_t busy = set_busy(h);
    if (u->asleep) wake(h, u, u->left);
    if (u->needed == 0 && !reuse(h, u)) retire(h, u);
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}

void hk_slab_event(struct hk_heap *h, struct hk_unit *u)
{
    if (HK_UNLIKELY(u->asleep) || !reuse(h, u)) wake_or_retire(h, u);
}

void hk_slab_splice(struct hk_heap *h, struct hk_unit *u, void *head, void *tail, uint32_t count)
{
    uint8_t busy = set_busy(h);
    if (HK_UNLIKELY(u->linked < u->fresh)) hk_slab_doubt_list(u, head, tail);
    hk_link_set(tail, u->free);
    u->free = head;
    if (count < u->needed) {
        u->needed -= count;
    } else {
        if (u->asleep)
            wake(h, u, u->left + u->needed - count);
        else
            u->needed -= count;
        if (u->needed == 0 && !reuse(h, u)) retire(h, u);
    }
    atomic_store_explicit(&h->busy, busy, memory_order_release);
}

bool hk_slab_move(struct hk_heap *to, struct hk_heap *from, unsigned c)
{
    struct hk_unit *u = from->queue[c];
    if (!u) return false;
    dequeue(from, u);
    set_owner(u, owner_word(to, c));
    set_followers(u, owner_word(to, c));
    enqueue(to, u);
    return true;
}

void hk_slab_release_empty_of(struct hk_heap *h, unsigned c)
{
    for (struct hk_unit *u = h->queue[c], *next; u; u = next) {
        next = u->next;
        if (!u->needed) retire(h, u);
    }
}

void hk_slab_release_empty(struct hk_heap *h)
{
    for (unsigned c = 1; c < HK_ALL_CLASSES; c++) hk_slab_release_empty_of(h, c);
}

size_t hk_slab_check(const struct hk_heap *h)
{
    size_t total = 0;
    for (unsigned c = 1; c < HK_ALL_CLASSES; c++) {
        for (struct hk_unit *u = h->queue[c]; u; u = u->next) {
            uint32_t n = 0;
            for (void *p = u->free; p; p = hk_link_next(p)) {
                size_t off = (size_t)((char *)p - hk_unit_addr(u));
                HK_CHECK(off % hk_class_bytes(c) == 0 && off / hk_class_bytes(c) < u->fresh, p);
                HK_CHECK(hk_is_marked(u, p), p);
                n++;
                HK_CHECK(n <= u->linked, p);
            }
            HK_CHECK(u->cls == c && !u->asleep, u);
            for (unsigned i = 0; i < hk_class_units(c); i++) {
                bool loose = i > 0 && u[i].owner == HK_OWNER_LOOSE; /* a claim was cut by a fork */
                HK_CHECK(u[i].owner == owner_word(h, c) || loose, u);
                HK_CHECK(hk_slab_first(&u[i]) == u, u);
            }
            HK_CHECK(n + u->needed == u->linked, u);
            HK_CHECK(u->linked + hk_slab_hole_blocks(u) == u->fresh, u);
            total += n;
        }
    }
    return total;
}
