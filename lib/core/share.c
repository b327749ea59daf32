/* SPDX-License-Identifier: MIT */
/*
 * What: free chunks go from shard to shard, and all chunks are walked over.
 * Why: what one shard has lying about must serve another before the heap grows, within a node; and
 *   before memory is refused, whatever node it is of.
 * Locks: one shard's at a time; hk_shard_gathering around a gather.
 */
#include "core/shard.h"
#include "core/units.h"
#include "os/report.h"

struct hk_lock hk_shard_gathering = HK_LOCK_INIT(HK_RANK_GATHER);

#define LOOKS      4u  /* shards whose line is read for a few free chunks */
#define WALK_LOOKS 64u /* chunks at a time under a lock */

void hk_shard_add(struct hk_shard *s, size_t first, size_t n)
{
    size_t dirty = 0;
    HK_ASSERT(s != NULL);
    for (size_t i = first; i < first + n; i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        dirty += (size_t)__builtin_popcount(c->dirty);
        c->used = 0;
        c->taken = 0;
        c->state = HK_CHUNK_USED;
        atomic_store_explicit(&c->shard, s->id, memory_order_relaxed);
    }
    hk_units_count_dirty(s, dirty);
    hk_runs_put(&s->runs, first, n);
}

/* H2: chunks that were just taken from t's free runs are nobody's. */
static void let_go(struct hk_shard *t, size_t first, size_t n)
{
    size_t dirty = 0;
    for (size_t i = first; i < first + n; i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        dirty += (size_t)__builtin_popcount(c->dirty);
        c->state = HK_CHUNK_LOST; /* as far as a child of fork is concerned */
        atomic_store_explicit(&c->shard, HK_SHARD_NONE, memory_order_relaxed);
    }
    hk_units_count_dirty(t, -dirty);
}

static void add(struct hk_shard *s, size_t first, size_t n)
{
    hk_shard_enter(s);
    hk_shard_add(s, first, n);
    hk_shard_leave(s);
}

static bool borrow_from(struct hk_shard *s, struct hk_shard *t, size_t n, size_t align)
{
    if (atomic_load_explicit(&t->runs.count, memory_order_relaxed) < n || !hk_lock_try(&t->lock))
        return false;
    size_t first = hk_runs_take(&t->runs, n, align);
    if (first != SIZE_MAX) let_go(t, first, n);
    hk_shard_leave(t);
    if (first == SIZE_MAX) return false;
    add(s, first, n);
    return true;
}

bool hk_shard_borrow(struct hk_shard *s, size_t n, size_t align)
{
    struct hk_shard *t = atomic_load_explicit(&s->look, memory_order_relaxed);
    bool got = false;
    for (unsigned i = 0; i < LOOKS && !got; i++) {
        if (t != s) got = borrow_from(s, t, n, align);
        if (!got) t = atomic_load_explicit(&t->near, memory_order_acquire);
        if (t == s) i += i ? LOOKS : 0; /* once round */
    }
    atomic_store_explicit(&s->look, t, memory_order_relaxed);
    return got;
}

size_t hk_shards_free_chunks(void)
{
    size_t n = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++)
        n += atomic_load_explicit(&hk_shard_by_id(id)->runs.count, memory_order_relaxed);
    return n;
}

void hk_shard_gather(struct hk_shard *s)
{
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *t = hk_shard_by_id(id);
        for (size_t first, n; t != s;) {
            hk_shard_enter(t);
            first = hk_runs_take_any(&t->runs, &n);
            if (first != SIZE_MAX) let_go(t, first, n);
            hk_shard_leave(t);
            if (first == SIZE_MAX) break;
            add(s, first, n);
        }
    }
}

void hk_walk_pause(struct hk_walk *w)
{
    if (w->held) hk_shard_leave(w->held);
    w->held = NULL;
}

/* Whether chunk c's shard is entered now. */
static bool enter(struct hk_walk *w, const struct hk_chunk *c)
{
    struct hk_shard *s = hk_shard_by_id(hk_chunk_shard(c));
    if (w->held && w->held == s && w->left) return true;
    hk_walk_pause(w);
    if (!s || (w->dirty_only && !atomic_load_explicit(&s->dirty, memory_order_relaxed)))
        return false;
    hk_shard_enter(s);
    w->held = s;
    w->left = WALK_LOOKS;
    return hk_chunk_shard(c) == s->id; /* it may have changed hands */
}

struct hk_chunk *hk_walk_next(struct hk_walk *w)
{
    while (w->next < hk_map_chunks()) {
        struct hk_chunk *c = hk_chunk_at(w->next);
        w->next += w->step;
        if (!enter(w, c)) continue;
        w->left--;
        return c;
    }
    hk_walk_pause(w);
    return NULL;
}

static void check_chunk(const struct hk_shard *s, struct hk_chunk *c, size_t i)
{
    HK_CHECK(c->index == i, c);
    HK_CHECK(c->state == HK_CHUNK_FREE || c->state == HK_CHUNK_USED, c);
    HK_CHECK(c->state != HK_CHUNK_FREE || c->used == 0, c);
    HK_CHECK(c->state != HK_CHUNK_USED || c->used != 0, c);
    HK_CHECK(c->state != HK_CHUNK_USED || c->span == hk_longest_run32(~c->used), c);
    HK_CHECK(c->taken == __builtin_popcount(c->used), c);
    bool first = c->state == HK_CHUNK_FREE && !(i > 0 && hk_runs_has(&s->runs, i - 1));
    HK_CHECK(!first || hk_chunk_at(i + c->run - 1)->run == c->run, c);
}

#ifdef HK_DEBUG
static void check_bins(const struct hk_shard *s)
{
    size_t part = 0;
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        const struct hk_chunk *c = hk_chunk_at(i);
        part += hk_chunk_shard(c) == s->id && c->state == HK_CHUNK_USED && c->used != UINT32_MAX;
    }
    HK_CHECK(part == hk_filler_check(&s->filler), s);
    hk_runs_check(&s->runs);
}
#endif

size_t hk_shard_check(struct hk_shard *s)
{
    size_t used = 0, dirty = 0, free_chunks = 0, n = 0;
    hk_shard_enter(s);
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        if (hk_chunk_shard(c) != s->id || c->state == HK_CHUNK_LOST) continue;
        check_chunk(s, c, i);
        n++;
        used += c->taken;
        free_chunks += c->state == HK_CHUNK_FREE;
        dirty += (size_t)__builtin_popcount(~c->used & c->dirty);
    }
    HK_CHECK(used == s->used, s);
    HK_CHECK(dirty == atomic_load_explicit(&s->dirty, memory_order_relaxed), s);
    HK_CHECK(free_chunks == atomic_load_explicit(&s->runs.count, memory_order_relaxed), s);
#ifdef HK_DEBUG
    check_bins(s);
#endif
    hk_shard_leave(s);
    return n;
}
