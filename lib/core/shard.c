/* SPDX-License-Identifier: MIT */
/*
 * What: birth of shards, their sums, who finds one held, and what fork leaves of them.
 * Why: see shard.h.
 */
#include "core/shard.h"

#include "core/units.h"
#include "os/report.h"
#include "os/sys.h"

struct hk_shard_state hk_shards;
struct hk_shard_sums hk_shard_sums;
static struct {
    struct hk_lock lock;
} HK_LINE_ALIGNED making = {HK_LOCK_INIT(HK_RANK_SHARDS)}; /* a line of its own */

#define SPIN_SHORT 20  /* before others of the group are tried */
#define SPIN_LONG  100 /* no critical section is that long: its thread was put aside */
#define YIELDS     2   /* for it to come back on this CPU, as a spare costs some 300 KiB */

static size_t dirty_of(const struct hk_shard *s)
{
    return atomic_load_explicit(&s->dirty, memory_order_relaxed);
}

static void tell(struct hk_shard *s, size_t now, size_t *told, _Atomic size_t *first,
                 _Atomic size_t *rest)
{
    if (now == *told) return;
    if (s->id == 1)
        atomic_store_explicit(first, now, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(rest, now - *told, memory_order_relaxed);
    *told = now;
}

void hk_shard_tell_slack(struct hk_shard *s, uint32_t slack)
{
    HK_ASSERT(s != NULL);
    size_t dirty = dirty_of(s);
    if (s->used - s->used_told + slack > 2 * (size_t)slack || !s->used)
        tell(s, s->used, &s->used_told, &hk_shard_sums.first_used, &hk_shard_sums.used);
    if (dirty - s->dirty_told + slack > 2 * (size_t)slack || !dirty)
        tell(s, dirty, &s->dirty_told, &hk_shard_sums.first_dirty, &hk_shard_sums.dirty);
}

/* Threads of one group meet on the sums anyway. */
static void set_slack(void)
{
    const struct hk_shard *first = hk_shard_by_id(1);
    bool groups = false;
    for (unsigned id = 2; id <= hk_shard_count(); id++) {
        const struct hk_shard *s = hk_shard_by_id(id);
        groups |= s->node != first->node || s->group != first->group;
    }
    bool exact = !groups || atomic_load_explicit(&hk_shards.exact, memory_order_relaxed);
    atomic_store_explicit(&hk_shards.slack, exact ? 0 : HK_TELL_UNITS, memory_order_relaxed);
}

/* Into the ring of its node. */
static void link_near(struct hk_shard *s)
{
    struct hk_shard *at = s;
    for (unsigned id = 1; id <= hk_shard_count() && at == s; id++) {
        struct hk_shard *other = hk_shard_by_id(id);
        HK_ASSERT(other != NULL);
        if (other->node == s->node) at = other;
    }
    struct hk_shard *next = at == s ? s : atomic_load_explicit(&at->near, memory_order_relaxed);
    atomic_store_explicit(&s->near, next, memory_order_relaxed);
    atomic_store_explicit(&s->look, next, memory_order_relaxed);
    if (at != s) atomic_store_explicit(&at->near, s, memory_order_release);
}

static bool one_node(void)
{
    return atomic_load_explicit(&hk_shards.one_node, memory_order_relaxed);
}

/* Under `making`; whole before others see it, as a child of fork may be cut off anywhere. */
static struct hk_shard *make(uint32_t node, uint32_t group, bool is_spare)
{
    unsigned id = hk_shard_count() + 1, last = is_spare ? HK_SPARE_IDS : HK_SHARDS_MAX;
    struct hk_shard *s = id <= last ? hk_meta_alloc(sizeof *s) : NULL;
    if (!s) return NULL;
    s->lock = (struct hk_lock)HK_LOCK_INIT(HK_RANK_POOL);
    s->id = s->runs.shard = (uint16_t)id;
    s->node = node;
    s->group = group;
    s->is_spare = is_spare;
    link_near(s);
    const struct hk_shard *first = hk_shard_by_id(1);
    atomic_store_explicit(&atomic_load_explicit(&hk_shards.table, memory_order_relaxed)->by_id[id],
                          s, memory_order_release);
    if (first && first->node != node && !one_node())
        atomic_store_explicit(&hk_shards.nodes, 2, memory_order_relaxed);
    atomic_store_explicit(&hk_shards.count, id, memory_order_release);
    set_slack();
    return s;
}

/* One of those that there are, of that node if it has any. */
static struct hk_shard *any(uint32_t node, uint32_t group)
{
    struct hk_shard *of_node[HK_SHARDS_MAX];
    unsigned n = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        if (s->node == node) of_node[n++] = s;
    }
    return n ? of_node[group % n] : hk_shard_by_id(1);
}

/* The one of that group, or one that may do for it. *sure: that it stays the right one. */
static struct hk_shard *find_or_make(uint32_t node, uint32_t group, bool *sure)
{
    unsigned n = hk_shard_count();
    *sure = true;
    for (unsigned id = 1; id <= n; id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        if (s->node == node && s->group == group) return s;
    }
    struct hk_shard *s = make(node, group, false);
    if (s) return s;
    *sure = n >= HK_SHARDS_MAX; /* else for want of memory, which may end */
    return any(node, group);
}

struct hk_shard *hk_shard_first_seen(void)
{
    struct hk_cpu_place at = hk_cpu_now();
    bool sure;
    if (one_node()) at.node = 0;
    hk_lock_acquire(&making.lock);
    struct hk_shard_table *t = atomic_load_explicit(&hk_shards.table, memory_order_relaxed);
    if (!t) {
        t = hk_meta_alloc(sizeof *t);
        atomic_store_explicit(&hk_shards.table, t, memory_order_release);
    }
    struct hk_shard *s = t ? find_or_make(at.node, at.cpu / HK_GROUP_CPUS, &sure) : NULL;
    if (s && sure) atomic_store_explicit(&t->of_cpu[at.cpu % HK_CPUS_MAX], s, memory_order_release);
    hk_lock_release(&making.lock);
    return s;
}

/* Spares behind *last, which becomes the last one of them. */
static unsigned spares_of(struct hk_shard **last)
{
    unsigned n = 0;
    for (struct hk_shard *t;
         (t = atomic_load_explicit(&(*last)->spare, memory_order_acquire)) != NULL; *last = t)
        n++;
    return n;
}

/*
 * One more for s's group, entered; NULL if there are enough, which is found out without the lock
 * that all groups share. Waits for nobody.
 */
static struct hk_shard *make_spare(struct hk_shard *s)
{
    struct hk_shard *last = s, *spare = NULL;
    unsigned n = spares_of(&last);
    if (n >= HK_SPARES || hk_shard_count() >= HK_SPARE_IDS || !hk_lock_try(&making.lock))
        return NULL;
    n += spares_of(&last); /* made meanwhile */
    if (n < HK_SPARES) spare = make(s->node, s->group, true);
    if (spare) atomic_store_explicit(&last->spare, spare, memory_order_release);
    hk_lock_release(&making.lock);
    return spare && hk_lock_try(&spare->lock) ? spare : NULL;
}

struct hk_shard *hk_shard_enter_busy(struct hk_shard *s)
{
    if (hk_lock_spin(&s->lock, SPIN_SHORT)) return s;
    for (struct hk_shard *t = s; (t = atomic_load_explicit(&t->spare, memory_order_acquire));) {
        if (hk_lock_try(&t->lock)) return t;
    }
    if (hk_lock_spin(&s->lock, SPIN_LONG)) return s;
    for (int i = 0; i < YIELDS; i++) {
        hk_sys_yield();
        if (hk_lock_try(&s->lock)) return s;
    }
    struct hk_shard *t = make_spare(s);
    if (t) return t;
    hk_lock_acquire(&s->lock);
    return s;
}

/* ---- frees ---- */

static void free_now(struct hk_shard *s, char *p, size_t units, uint32_t stamp, uint32_t as)
{
    const struct hk_freed how = {(uint8_t)as, (uint8_t)(as >> 8)};
    const struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    if (as & HK_FREE_IDLE) {
        /* What else is free in the chunk may not be idle that long. */
        bool newer = (~c->used & c->dirty) && c->freed_ms - stamp < UINT32_MAX / 2;
        if (newer) stamp = c->freed_ms;
    }
    hk_units_put(s, p, units, stamp, &how);
}

/* F2; s is entered. */
static void take_in(struct hk_shard *s)
{
    struct hk_unit *u = atomic_exchange_explicit(&s->waiting, NULL, memory_order_acquire);
    for (struct hk_unit *next; u; u = next) {
        next = u->next;
        free_now(s, hk_unit_addr(u), u->run_units, u->stamp, u->as);
    }
    hk_shard_tell(s);
}

void hk_shard_serve(struct hk_shard *s)
{
    while (atomic_load_explicit(&s->waiting, memory_order_seq_cst) && hk_lock_try(&s->lock)) {
        take_in(s);
        hk_lock_release(&s->lock);
    }
}

void hk_shard_free(struct hk_shard *s, char *p, size_t units, uint32_t stamp, uint32_t as)
{
    if (HK_LIKELY(hk_lock_try(&s->lock))) {
        free_now(s, p, units, stamp, as);
        hk_shard_leave(s);
        return;
    }
    struct hk_unit *u = hk_unit_of(p);
    HK_ASSERT(u != NULL);
    u->run_units = (uint32_t)units;
    u->stamp = stamp;
    u->as = as;
    struct hk_unit *seen = atomic_load_explicit(&s->waiting, memory_order_relaxed);
    do {
        u->next = seen;
    } while (!atomic_compare_exchange_weak_explicit(&s->waiting, &seen, u, memory_order_seq_cst,
                                                    memory_order_relaxed));
    /* F1: held still, its holder will look. */
    if (!hk_lock_held(&s->lock)) hk_shard_serve(s);
}

/* ---- settings and fork ---- */

void hk_shards_one_node(void)
{
    hk_lock_acquire(&making.lock);
    atomic_store_explicit(&hk_shards.one_node, true, memory_order_relaxed);
    atomic_store_explicit(&hk_shards.nodes, 1,
                          memory_order_relaxed); /* if early threads saw more */
    hk_lock_release(&making.lock);
}

void hk_shards_set_exact(bool on)
{
    hk_lock_acquire(&making.lock);
    atomic_store_explicit(&hk_shards.exact, on, memory_order_relaxed);
    if (hk_shard_count()) set_slack();
    hk_lock_release(&making.lock);
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        hk_shard_enter(hk_shard_by_id(id));
        hk_shard_leave(hk_shard_by_id(id));
    }
}

void hk_shards_fork_prepare(void)
{
    unsigned n = hk_shard_count();
    hk_lock_settle(&making.lock, 1000000);
    for (unsigned id = 1; id <= n; id++) hk_lock_settle(&hk_shard_by_id(id)->lock, 5000000 / n);
}

static void write_off(struct hk_shard *s)
{
    HK_ASSERT(s != NULL);
    hk_runs_forget(&s->runs);
    hk_filler_forget(&s->filler);
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        if (hk_chunk_shard(c) == s->id) c->state = HK_CHUNK_LOST;
    }
    atomic_store_explicit(&s->dirty, 0, memory_order_relaxed);
    s->used = 0;
}

void hk_shards_fork_child(void)
{
    size_t used = 0, dirty = 0;
    bool mine = false; /* what the handler interrupted goes on counting */
    hk_lock_reset(&making.lock);
    hk_lock_reset(&hk_shard_gathering);
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        if (!s) continue; /* never; compilers that see it all do not know */
        if (hk_lock_reset(&s->lock)) write_off(s);
        mine |= hk_lock_mine(&s->lock);
    }
    for (unsigned id = 1; id <= hk_shard_count() && !mine; id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        HK_ASSERT(s != NULL);
        s->used_told = s->used;
        s->dirty_told = dirty_of(s);
        if (id > 1) used += s->used;
        if (id > 1) dirty += s->dirty_told;
    }
    struct hk_shard *first = hk_shard_by_id(1);
    if (!first || mine) return;
    atomic_store_explicit(&hk_shard_sums.first_used, first->used, memory_order_relaxed);
    atomic_store_explicit(&hk_shard_sums.first_dirty, dirty_of(first), memory_order_relaxed);
    atomic_store_explicit(&hk_shard_sums.used, used, memory_order_relaxed);
    atomic_store_explicit(&hk_shard_sums.dirty, dirty, memory_order_relaxed);
}

void hk_shards_fork_child_serve(void)
{
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct hk_shard *s = hk_shard_by_id(id);
        if (!s) continue; /* never, as above */
        /* Without the lock: nobody else is here, and a handler may be inside one of its rank. */
        if (!hk_lock_mine(&s->lock)) take_in(s);
    }
}
