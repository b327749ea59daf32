/* SPDX-License-Identifier: MIT */
/*
 * What: memory inside slabs goes back: pages never linked, and pages whose blocks are all free.
 * Why: a few live blocks scattered over many slabs would keep all of those resident. A free block's
 *   link lies in the block, so the blocks that begin in a page to be returned leave the free list
 *   first: the page becomes a hole, and its blocks count as unlinked until a refill takes them
 *   back.
 *
 * Invariants: G1 a page goes back only if every block that overlaps it is free or in a hole.
 *   G2 a block in a hole is on no list. G3 only blocks below fresh are in holes.
 *
 * Threads: who holds the heap (H1).
 */
#include <string.h>

#include "core/huge.h"
#include "os/lock.h"
#include "os/sys.h"
#include "policy/policy.h"
#include "slab/slab.h"

#define BLOCKS_MAX (HK_UNIT_BYTES / HK_ALIGN_BYTES)

/* Blocks [*first, *end) of u, linked ones, begin in page `page` of its unit i. */
static void blocks_of_page(const struct hk_unit *u, unsigned i, unsigned page, uint32_t *first,
                           uint32_t *end)
{
    size_t size = hk_class_bytes(u->cls), bytes = hk_sys_page_bytes();
    size_t off = i * HK_UNIT_BYTES + page * bytes;
    *first = (uint32_t)((off + size - 1) / size);
    *end = (uint32_t)((off + bytes + size - 1) / size);
    if (*end > u->fresh) *end = u->fresh;
}

/* A slab under the hand: its free blocks as bits, its pages to go as bits. */
struct look {
    struct hk_unit *u;
    char *slab;
    size_t size, page;
    unsigned pages_a_unit;
    uint64_t is_free[BLOCKS_MAX / 64];
    uint16_t go[HK_LONG_UNITS];
};

static void mark_free(struct look *l, uint32_t first, uint32_t end)
{
    for (; first < end; first++) l->is_free[first / 64] |= (uint64_t)1 << (first % 64);
}

static bool all_free(const struct look *l, uint32_t first, uint32_t end)
{
    for (; first < end; first++) {
        if (!(l->is_free[first / 64] >> (first % 64) & 1)) return false;
    }
    return true;
}

static void look_at(struct look *l, struct hk_unit *u)
{
    l->u = u;
    l->slab = hk_unit_addr(u);
    l->size = hk_class_bytes(u->cls);
    l->page = hk_sys_page_bytes();
    l->pages_a_unit = (unsigned)(HK_UNIT_BYTES / l->page);
    memset(l->is_free, 0, sizeof l->is_free);
    memset(l->go, 0, sizeof l->go);
    for (char *p = u->free; p; p = hk_slab_next(u, p)) {
        uint32_t i = (uint32_t)((size_t)(p - l->slab) / (uint32_t)l->size);
        mark_free(l, i, i + 1);
    }
    for (unsigned i = 0; i < hk_class_units(u->cls); i++) {
        for (uint32_t m = hk_holes_of(&u[i]); m; m &= m - 1) {
            uint32_t first, end;
            blocks_of_page(u, i, (unsigned)__builtin_ctz(m), &first, &end);
            mark_free(l, first, end);
        }
    }
}

/* G1; pages that are holes are gone already. False: none. */
static bool choose_pages(struct look *l)
{
    bool any = false;
    for (unsigned i = 0; i < hk_class_units(l->u->cls); i++) {
        for (unsigned g = 0; g < l->pages_a_unit; g++) {
            size_t off = i * HK_UNIT_BYTES + g * l->page;
            uint32_t end = (uint32_t)((off + l->page + l->size - 1) / l->size);
            if (end > l->u->fresh) return any; /* what is beyond is purge_fresh's */
            if (hk_holes_of(&l->u[i]) >> g & 1 || !all_free(l, (uint32_t)(off / l->size), end))
                continue;
            l->go[i] = (uint16_t)(l->go[i] | 1u << g);
            any = true;
        }
    }
    return any;
}

/* G2: blocks that begin in a page to go leave the list. */
static void unlink_blocks(struct look *l)
{
    struct hk_unit *u = l->u;
    char *last = NULL;
    for (char *p = u->free, *next; p; p = next) {
        size_t off = (size_t)(p - l->slab);
        unsigned page = (unsigned)(off % HK_UNIT_BYTES / l->page);
        next = hk_link_next(p); /* look_at followed it */
        if (l->go[off / HK_UNIT_BYTES] >> page & 1) {
            u->linked--;
            struct hk_unit *in = &u[off / HK_UNIT_BYTES];
            hk_holes_set(in, hk_holes_of(in) | 1u << page);
            continue;
        }
        if (last)
            hk_link_set(last, p);
        else
            u->free = p;
        last = p;
    }
    if (last)
        hk_link_set(last, NULL);
    else
        u->free = NULL;
    hk_begin_tell(u, 0, u->fresh);
}

static void spend(uint32_t *blocks, uint32_t n)
{
    *blocks -= *blocks < n ? *blocks : n;
}

static size_t give_back(char *from, char *to, uint32_t *blocks)
{
    if (to <= from) return 0;
    spend(blocks, HK_PURGE_CALL_BLOCKS);
    hk_huge_leave(from);
    return hk_sys_purge(from, (size_t)(to - from)) ? (size_t)(to - from) : 0;
}

static size_t purge_chosen(const struct look *l, uint32_t *blocks)
{
    unsigned n = hk_class_units(l->u->cls) * l->pages_a_unit;
    size_t got = 0;
    for (unsigned i = 0, from = 0; i <= n; i++) {
        if (i < n && l->go[i / l->pages_a_unit] >> (i % l->pages_a_unit) & 1) continue;
        got += give_back(l->slab + from * l->page, l->slab + i * l->page, blocks);
        from = i + 1;
    }
    return got;
}

/*
 * The part of a slab that was never linked: zero from then on, so its blocks are known to be. Its
 * list may change all the time meanwhile: that part has not been come to for a while.
 */
static size_t purge_fresh(struct hk_unit *u, uint32_t *blocks)
{
    size_t page = hk_sys_page_bytes(), got;
    char *from = hk_unit_addr(u) + hk_class_bytes(u->cls) * u->fresh;
    char *first = (char *)hk_align_up((uintptr_t)from, page);
    u->looks = 0;
    if (u->clean || u->fresh == u->blocks) return 0;
    got = give_back(first, hk_unit_addr(u) + hk_class_units(u->cls) * HK_UNIT_BYTES, blocks);
    if (!got) return 0;
    memset(from, 0, (size_t)(first - from));
    u->clean = 1;
    return got;
}

/* busy only while the list is changed: a fork during the kernel's work finds it whole. */
static size_t purge_slab(struct hk_heap *h, struct hk_unit *u, uint32_t *blocks)
{
    struct look l;
    if (!u->free || hk_sys_page_bytes() > HK_UNIT_BYTES) return 0;
    look_at(&l, u);
    if (!choose_pages(&l)) return 0;
    hk_fork_courtesy();
    atomic_store_explicit(&h->busy, 1, memory_order_relaxed);
    unlink_blocks(&l);
    atomic_store_explicit(&h->busy, 0, memory_order_release);
    return purge_chosen(&l, blocks);
}

#define LONG_GRAIN 8 /* log2 of what all sizes above 1 KiB are multiples of */

/* The head of u's list as 1 + its distance into the slab by sixteen bytes, or by 256. */
static uint16_t head_of(const struct hk_unit *u)
{
    unsigned shift = hk_class_units(u->cls) > 1 ? LONG_GRAIN : 4;
    if (!u->free) return 0;
    return (uint16_t)(1 + ((size_t)((char *)u->free - hk_unit_addr(u)) >> shift));
}

/* In blocks looked at: what a slab costs that has hardly any. */
static uint32_t cost(const struct hk_unit *u)
{
    return u->blocks < HK_PURGE_SLAB_BLOCKS ? HK_PURGE_SLAB_BLOCKS : u->blocks;
}

/* u is in hand: what can go, at once or, if its list changed since the last look, at the next. */
static size_t look_into(struct hk_heap *h, struct hk_unit *u, bool force, uint32_t *blocks)
{
    size_t got = 0;
    bool idle = u->seen == head_of(u);
    size_t room = (u->linked - u->needed) * hk_class_bytes(u->cls);
    if (!idle) {
        u->purged = 0;
        h->moving += room;
    }
    u->seen = head_of(u);
    if (u->looks && (force || --u->looks == 0)) got = purge_fresh(u, blocks);
    if (u->purged || !(idle || force)) return got;
    if (room < hk_sys_page_bytes()) return got;
    spend(blocks, cost(u));
    got += purge_slab(h, u, blocks);
    u->seen = head_of(u);
    u->purged = 1;
    return got;
}

size_t hk_slab_purge(struct hk_heap *h, bool force, uint32_t *blocks)
{
    size_t got = 0;
    h->moving = 0;
    /* From big blocks to small ones: of those whole pages are rarely free, and looking is long. */
    unsigned first = h->look_class ? h->look_class : HK_ALL_CLASSES - 1, c = first;
    do {
        for (struct hk_unit *u = h->queue[c]; u; u = u->next) {
            if (*blocks < cost(u)) {
                h->look_class = (uint8_t)c;
                h->cut = 1;
                return got;
            }
            got += look_into(h, u, force, blocks);
        }
        c = c > 1 ? c - 1 : HK_ALL_CLASSES - 1;
    } while (c != first);
    h->look_class = 0;
    h->cut = 0;
    return got;
}

void hk_slab_close_hole(struct hk_unit *u, uint32_t *first, uint32_t *end)
{
    unsigned i = 0;
    while (!hk_holes_of(&u[i])) i++;
    blocks_of_page(u, i, (unsigned)__builtin_ctz(hk_holes_of(&u[i])), first, end);
    hk_holes_set(&u[i], hk_holes_of(&u[i]) & (hk_holes_of(&u[i]) - 1));
}

bool hk_slab_in_hole(const struct hk_unit *u, uint32_t block)
{
    size_t off = block * hk_class_bytes(u->cls);
    return hk_holes_of(&u[off / HK_UNIT_BYTES]) >> (off % HK_UNIT_BYTES / hk_sys_page_bytes()) & 1;
}

uint32_t hk_slab_hole_blocks(const struct hk_unit *u)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < hk_class_units(u->cls); i++) {
        for (uint32_t m = hk_holes_of(&u[i]); m; m &= m - 1) {
            uint32_t first, end;
            blocks_of_page(u, i, (unsigned)__builtin_ctz(m), &first, &end);
            n += end - first;
        }
    }
    return n;
}
