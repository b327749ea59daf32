/* SPDX-License-Identifier: MIT */
/*
 * What: advice of huge pages, by chunk.
 * Why: see huge.h. Marks are changed under locks, the kernel is told after them: of two threads
 *   that tell it about one chunk the last one wins, which costs speed or memory, nothing else.
 * Locks: a mark is written under its shard's lock, if it has one, and under `marks` inside that;
 *   either will do to read it.
 */
#include "core/huge.h"

#include "core/units.h"
#include "os/report.h"
#include "os/sys.h"

#define AHEAD       7    /* chunks */
#define BORDERS_MAX 2000 /* of the 65 530 mappings that a process may have by default */

static _Atomic bool always;
static struct hk_lock marks = HK_LOCK_INIT(HK_RANK_HUGE);
static _Atomic size_t marked; /* chunks; written under marks, as is the other one */
static _Atomic size_t borders;

void hk_huge_set_always(bool on)
{
    atomic_store_explicit(&always, on, memory_order_relaxed);
}

bool hk_huge_always(void)
{
    return atomic_load_explicit(&always, memory_order_relaxed);
}

size_t hk_huge_chunks(void)
{
    return atomic_load_explicit(&marked, memory_order_relaxed);
}

/* Borders on either side of chunk i. */
static size_t borders_of(size_t i)
{
    bool is = hk_chunk_at(i)->huge, below = i > 0 && hk_chunk_at(i - 1)->huge;
    bool above = i + 1 < hk_map_chunks() && hk_chunk_at(i + 1)->huge;
    return (size_t)(is != below) + (size_t)(is != above);
}

static void add(_Atomic size_t *v, size_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static bool too_many(void)
{
    return atomic_load_explicit(&borders, memory_order_relaxed) > BORDERS_MAX;
}

/* Under marks. */
static void mark_one(size_t i, enum hk_huge want)
{
    struct hk_chunk *c = hk_chunk_at(i);
    bool news = !c->huge != !want;
    if (news) add(&borders, -borders_of(i));
    c->huge = (uint8_t)want;
    if (!news) return;
    add(&borders, borders_of(i));
    add(&marked, want ? 1 : (size_t)-1);
}

static void mark(size_t i, enum hk_huge want)
{
    hk_lock_acquire(&marks);
    mark_one(i, want);
    hk_lock_release(&marks);
}

/* True if one was marked otherwise. */
static bool mark_all(size_t first, size_t end, enum hk_huge want)
{
    bool news = false;
    if (too_many()) return false; /* what a cut would save is not worth a mapping */
    hk_lock_acquire(&marks);
    for (size_t i = first; i < end; i++) {
        news |= !hk_chunk_at(i)->huge != !want;
        mark_one(i, want);
    }
    hk_lock_release(&marks);
    return news;
}

/* The free chunks that were never touched from `end` on are next, most likely: one call for some.
 */
static size_t ahead(const struct hk_shard *s, size_t end)
{
    size_t most = end + AHEAD < hk_map_chunks() ? end + AHEAD : hk_map_chunks();
    while (end < most) {
        const struct hk_chunk *c = hk_chunk_at(end);
        if (!hk_runs_has(&s->runs, end) || c->dirty || c->huge) break;
        end++;
    }
    return end;
}

/* Entered; a free chunk may go from one to another meanwhile. NULL: it is nobody's. */
static struct hk_shard *enter_shard_of(const struct hk_chunk *c)
{
    struct hk_shard *s;
    while ((s = hk_shard_by_id(hk_chunk_shard(c)))) {
        hk_shard_enter(s);
        if (hk_chunk_shard(c) == s->id) break;
        hk_shard_leave(s);
    }
    return s;
}

/* Chunks of one shard, or nobody's yet. */
static bool mark_entered(size_t first, size_t end, enum hk_huge want)
{
    struct hk_shard *s = enter_shard_of(hk_chunk_at(first));
    bool news = mark_all(first, end, want);
    if (s) hk_shard_leave(s);
    return news;
}

void hk_huge_advise(void *p, size_t units, enum hk_huge want)
{
    size_t first = hk_chunk_index((char *)p + HK_CHUNK_BYTES - 1);
    size_t end = hk_chunk_index((char *)p + units * HK_UNIT_BYTES);
    if (first >= end || !mark_entered(first, end, want)) return;
    size_t bytes = (end - first) * HK_CHUNK_BYTES;
    if ((want ? hk_sys_huge : hk_sys_nohuge)(hk_chunk_addr(first), bytes)) return;
    mark_entered(first, end, want ? HK_HUGE_NO : HK_HUGE_BIG); /* refused */
}

void hk_huge_share(void *p, size_t units)
{
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    struct hk_shard *s = hk_shard_of(p);
    size_t first = c->index, end = first + 1;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_shard_enter(s);
    /* Not if others were quicker: of what they took nothing is known. */
    bool news = c->taken == units && mark_all(first, end, HK_HUGE_SHARED);
    if (news) {
        hk_units_soil(s, c, now);
        end = ahead(s, end);
        if (end > first + 1 && !mark_all(first + 1, end, HK_HUGE_AHEAD)) end = first + 1;
    }
    hk_shard_leave(s);
    if (!news || hk_sys_huge(hk_chunk_addr(first), (end - first) * HK_CHUNK_BYTES)) return;
    for (; first < end; first++) mark_entered(first, first + 1, HK_HUGE_NO); /* refused */
}

struct hk_chunk *hk_huge_taken(struct hk_shard *s, void *p, size_t units, uint32_t now)
{
    char *end = (char *)p + units * HK_UNIT_BYTES;
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(end - 1));
    if (HK_LIKELY(!c->huge) || c->taken == HK_CHUNK_UNITS) return NULL;
    bool keep = c->huge == HK_HUGE_SHARED && c->taken > units;
    if (keep) return NULL;
    if (c->huge == HK_HUGE_AHEAD || hk_huge_always() || too_many()) {
        mark(c->index, HK_HUGE_SHARED);
        hk_units_soil(s, c, now);
        return NULL;
    }
    mark(c->index, HK_HUGE_NO);
    return c;
}

void hk_huge_undo(struct hk_chunk *c)
{
    if (hk_sys_nohuge(hk_chunk_addr(c->index), HK_CHUNK_BYTES)) return;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    struct hk_shard *s = enter_shard_of(c);
    mark(c->index, HK_HUGE_SHARED); /* refused */
    if (s && c->state == HK_CHUNK_USED) hk_units_soil(s, c, now);
    if (s) hk_shard_leave(s);
}

bool hk_huge_is(const void *p)
{
    if (!hk_huge_chunks()) return false;
    struct hk_shard *s = hk_shard_of(p);
    hk_shard_enter(s);
    bool is = hk_chunk_at(hk_chunk_index(p))->huge;
    hk_shard_leave(s);
    return is;
}

void hk_huge_leave(const void *p)
{
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    if (!hk_huge_chunks() || hk_huge_always()) return;
    struct hk_shard *s = hk_shard_of(p);
    hk_shard_enter(s);
    bool was = c->huge && !too_many();
    if (was) mark(c->index, HK_HUGE_NO);
    hk_shard_leave(s);
    if (was) hk_huge_undo(c);
}

static void recount(size_t *marks_set, size_t *borders_seen)
{
    size_t all = 0, sides = 0;
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        bool is = hk_chunk_at(i)->huge, below = i > 0 && hk_chunk_at(i - 1)->huge;
        all += is;
        sides += is != below;
        sides += is && i + 1 == hk_map_chunks();
    }
    *marks_set = all;
    *borders_seen = sides;
}

void hk_huge_fork_child(void)
{
    size_t all, sides;
    if (!hk_lock_reset(&marks)) return;
    recount(&all, &sides);
    atomic_store_explicit(&marked, all, memory_order_relaxed);
    atomic_store_explicit(&borders, sides, memory_order_relaxed);
}

#ifdef HK_DEBUG
void hk_huge_check(void)
{
    size_t all, sides;
    recount(&all, &sides);
    HK_CHECK(all == atomic_load_explicit(&marked, memory_order_relaxed), &marked);
    HK_CHECK(sides == atomic_load_explicit(&borders, memory_order_relaxed), &borders);
}
#endif
