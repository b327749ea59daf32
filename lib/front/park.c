/* SPDX-License-Identifier: MIT */
/*
 * What: heaps without a thread: who takes one over, who takes slabs of them, who frees for them.
 * Why: apart from heap.c, because there is a list for each shard of the pool: threads that come and
 *   go on different CPUs meet on none, and memory stays on its node.
 * Owns: the lists of parked heaps; of each node a home heap, which no thread ever has: blocks of
 *   loose slabs that a thread of another node frees go to that one, and so home.
 * Invariants: K1 a thread gets a heap of its node if there is one, else a new one; once many more
 *   are parked than threads have, any, which counts as one of the node from then on.
 * Locks: each list's, HK_RANK_HEAPS, one at a time. Threads: all.
 */
#include "core/pool.h"
#include "front/front.h"
#include "os/lock.h"
#include "os/report.h"
#include "policy/policy.h"
#include "slab/slab.h"

#define FAR_HEAPS                                                                                  \
    32u /* parked on other nodes, more than threads have, before one is taken from there */
#define HOMES     64u
#define RING_LOOK 4u /* lists besides one's own */

struct park {
    struct hk_lock lock;
    struct hk_heap *first; /* some may be BUSY */
    _Atomic uint32_t count;
} HK_LINE_ALIGNED;

struct parks {
    _Atomic(struct park *) of[HK_SHARDS_MAX + 1]; /* by shard; made at the first use */
    _Atomic(struct hk_heap *) home[HOMES];
};

static _Atomic(struct parks *) parks; /* metadata, made with the first heap */
static _Atomic uint32_t astray;       /* heaps that were parked without memory for a list */

static struct parks *all_parks(void)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire), *mine;
    if (HK_LIKELY(ps != NULL) || !hk_map_init() || !(mine = hk_meta_alloc(sizeof *mine))) return ps;
    /* Another thread may be quicker: this one's memory stays untouched. */
    return atomic_compare_exchange_strong_explicit(&parks, &ps, mine, memory_order_acq_rel,
                                                   memory_order_acquire)
               ? mine
               : ps;
}

static struct park *known(struct parks *ps, unsigned id)
{
    return atomic_load_explicit(&ps->of[id], memory_order_acquire);
}

static struct park *get(struct parks *ps, unsigned id)
{
    struct park *k = known(ps, id), *mine;
    if (HK_LIKELY(k != NULL) || !(mine = hk_meta_alloc(sizeof *mine))) return k;
    mine->lock.rank = HK_RANK_HEAPS;
    return atomic_compare_exchange_strong_explicit(&ps->of[id], &k, mine, memory_order_acq_rel,
                                                   memory_order_acquire)
               ? mine
               : k;
}

static void push(struct park *k, struct hk_heap *h)
{
    h->next_parked = k->first;
    k->first = h;
    h->listed = 1;
    atomic_fetch_add_explicit(&k->count, 1, memory_order_relaxed);
}

static void set_astray(struct hk_heap *h, bool is)
{
    if (h->astray == is) return;
    h->astray = is;
    atomic_fetch_add_explicit(&astray, is ? 1u : -1u, memory_order_relaxed);
}

void hk_park_list(struct hk_heap *h)
{
    struct parks *ps = all_parks();
    const struct hk_shard *s = hk_shard_here();
    /* On the list of where its thread was last, if that is its node. */
    unsigned id = s && s->node == h->node ? s->id : h->shard;
    struct park *k = ps ? get(ps, id) : NULL;
    if (!k) { /* no memory */
        set_astray(h, true);
        return;
    }
    hk_lock_acquire(&k->lock);
    h->shard = (uint16_t)id;
    push(k, h);
    hk_lock_release(&k->lock);
}

/* One of the list, attached now; NULL if there is none, or all are in use for a moment. */
static struct hk_heap *adopt(struct park *k)
{
    struct hk_heap *h = NULL;
    if (!k || !atomic_load_explicit(&k->count, memory_order_relaxed)) return NULL;
    hk_lock_acquire(&k->lock);
    for (struct hk_heap **link = &k->first; *link; link = &(*link)->next_parked) {
        uint32_t want = HK_HEAP_PARKED;
        h = *link;
        if (!atomic_compare_exchange_strong_explicit(&h->state, &want, HK_HEAP_ATTACHED,
                                                     memory_order_acquire, memory_order_relaxed)) {
            h = NULL;
            continue;
        }
        *link = h->next_parked;
        h->listed = 0;
        atomic_fetch_sub_explicit(&k->count, 1, memory_order_relaxed);
        atomic_store_explicit(&h->holder, hk_lock_me(), memory_order_relaxed);
        break;
    }
    hk_lock_release(&k->lock);
    return h;
}

/* From the list of s, or of another one of its node. */
static struct hk_heap *adopt_near(struct parks *ps, struct hk_shard *s)
{
    struct hk_shard *at = s;
    do {
        struct hk_heap *h = adopt(known(ps, at->id));
        if (h) return h;
        at = atomic_load_explicit(&at->near, memory_order_acquire);
    } while (at != s);
    return NULL;
}

/* Summed up by the few who need it: a count that each birth and end writes would hold them all up.
 */
static uint32_t all_parked(struct parks *ps)
{
    uint32_t n = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        struct park *k = known(ps, id);
        if (k) n += atomic_load_explicit(&k->count, memory_order_relaxed);
    }
    return n;
}

/* K1 */
static struct hk_heap *adopt_far(struct parks *ps, const struct hk_shard *s)
{
    uint32_t idle = all_parked(ps);
    struct hk_heap *h = NULL;
    if (idle <= hk_heap_births() - idle + FAR_HEAPS) return NULL;
    for (unsigned id = 1; id <= hk_shard_count() && !h; id++) h = adopt(known(ps, id));
    if (h) h->node = s->node;
    return h;
}

/* One that is on no list. */
static HK_COLD struct hk_heap *adopt_astray(void)
{
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (!hk_heap_seize(h)) continue;
        if (!h->astray) {
            hk_heap_let_go(h);
            continue;
        }
        set_astray(h, false);
        atomic_store_explicit(&h->state, HK_HEAP_ATTACHED, memory_order_relaxed);
        return h;
    }
    return NULL;
}

struct hk_heap *hk_park_adopt(void)
{
    struct parks *ps = all_parks();
    struct hk_shard *s = ps ? hk_shard_here() : NULL;
    struct hk_heap *h = NULL;
    if (s) get(ps, s->id); /* for a child of fork, which lists heaps without asking for memory */
    if (HK_UNLIKELY(atomic_load_explicit(&astray, memory_order_relaxed) != 0)) h = adopt_astray();
    if (s && !h) {
        h = adopt_near(ps, s);
        if (!h) h = adopt_far(ps, s);
    }
    if (!h) h = hk_heap_new(HK_HEAP_ATTACHED, s ? s->node : 0);
    if (h) h->shard = s ? s->id : 0;
    return h;
}

/* Up to `most` heaps of the list; they stay what they are, though maybe not parked. */
static unsigned some_of(struct park *k, struct hk_heap **some, unsigned most)
{
    unsigned n = 0;
    if (!k || !atomic_load_explicit(&k->count, memory_order_relaxed) || !hk_lock_try(&k->lock))
        return 0;
    for (struct hk_heap *h = k->first; h && n < most; h = h->next_parked) some[n++] = h;
    hk_lock_release(&k->lock);
    return n;
}

/* Some without a thread on this node. */
static unsigned some_near(struct hk_heap **some)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    struct hk_shard *s = ps ? hk_shard_here() : NULL, *at = s;
    unsigned n = 0;
    if (!s) return 0;
    if (HK_UNLIKELY(hk_shards_apart())) {
        some[0] = atomic_load_explicit(&ps->home[s->node % HOMES], memory_order_acquire);
        n = some[0] != NULL;
    }
    for (unsigned i = 0; i <= RING_LOOK && n < HK_STEAL_LOOK; i += !at->is_spare) {
        n += some_of(known(ps, at->id), some + n, HK_STEAL_LOOK - n);
        at = atomic_load_explicit(&at->near, memory_order_acquire);
        if (at == s) break;
    }
    return n;
}

static bool steal_from(struct hk_heap *h, struct hk_heap *from, unsigned c)
{
    if (!hk_heap_seize(from)) return false;
    atomic_store_explicit(&from->busy, 1, memory_order_relaxed);
    hk_heap_give_up(from, c);
    bool got = hk_slab_move(h, from, c);
    atomic_store_explicit(&from->busy, 0, memory_order_release);
    hk_heap_let_go(from);
    return got;
}

bool hk_heap_steal(struct hk_heap *h, unsigned c)
{
    struct hk_heap *some[HK_STEAL_LOOK];
    bool got = false;
    for (unsigned i = 0, n = some_near(some); i < n && !got; i++) got = steal_from(h, some[i], c);
    return got;
}

bool hk_heap_steal_far(struct hk_heap *h, unsigned c)
{
    bool got = false;
    for (struct hk_heap *from = hk_heap_first(); from && !got; from = from->next_all)
        got = steal_from(h, from, c);
    return got;
}

/* The heap of a node that no thread has; NULL without memory. */
static struct hk_heap *home_of(uint32_t node)
{
    struct parks *ps = all_parks();
    if (!ps) return NULL;
    _Atomic(struct hk_heap *) *slot = &ps->home[node % HOMES];
    struct hk_heap *h = atomic_load_explicit(slot, memory_order_acquire), *mine;
    if (h || !(mine = hk_heap_new(HK_HEAP_PARKED, node))) return h;
    mine->home = 1; /* one too many is never used */
    if (atomic_compare_exchange_strong_explicit(slot, &h, mine, memory_order_acq_rel,
                                                memory_order_acquire))
        return mine;
    return h;
}

bool hk_heap_claim(struct hk_heap *h, struct hk_unit *u)
{
    if (HK_LIKELY(!hk_shards_apart())) return hk_slab_claim(h, u);
    const struct hk_shard *s = hk_shard_of(hk_unit_addr(u));
    struct hk_heap *home = s && s->node != h->node ? home_of(s->node) : NULL;
    if (!home || home == h || !hk_heap_seize(home)) return hk_slab_claim(h, u);
    hk_slab_claim(home, u);
    hk_heap_let_go(home);
    return false;
}

void hk_park_fork_prepare(void)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    unsigned n = hk_shard_count();
    for (unsigned id = 0; ps && id <= n; id++) {
        struct park *k = known(ps, id);
        if (k) hk_lock_settle(&k->lock, 5000000 / (n + 1));
    }
}

bool hk_park_mine(void)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    for (unsigned id = 0; ps && id <= HK_SHARDS_MAX; id++) {
        const struct park *k = known(ps, id);
        if (k && hk_lock_mine(&k->lock)) return true;
    }
    return false;
}

bool hk_park_fork_child(void)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    bool mine = hk_park_mine();
    for (unsigned id = 0; ps && id <= HK_SHARDS_MAX; id++) {
        struct park *k = known(ps, id);
        if (!k) continue;
        hk_lock_reset(&k->lock);
        if (mine) continue;
        k->first = NULL;
        atomic_store_explicit(&k->count, 0, memory_order_relaxed);
    }
    return !mine;
}

/* It may hold any lock, in a signal handler, so none is taken. */
void hk_park_relist(struct hk_heap *h)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    struct park *k = ps ? known(ps, h->shard) : NULL;
    for (unsigned id = 0; ps && !k && id <= HK_SHARDS_MAX; id++) k = known(ps, id);
    set_astray(h, !k);
    if (k) push(k, h);
}

void hk_park_forget(const struct hk_heap *h)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    if (ps && atomic_load_explicit(&ps->home[h->node % HOMES], memory_order_relaxed) == h)
        atomic_store_explicit(&ps->home[h->node % HOMES], NULL, memory_order_relaxed);
}

#ifdef HK_DEBUG
size_t hk_park_check(void)
{
    struct parks *ps = atomic_load_explicit(&parks, memory_order_acquire);
    size_t all = 0;
    for (unsigned id = 0; ps && id <= HK_SHARDS_MAX; id++) {
        const struct park *k = known(ps, id);
        uint32_t n = 0;
        for (const struct hk_heap *h = k ? k->first : NULL; h; h = h->next_parked, n++) {
            uint32_t state = atomic_load_explicit(&h->state, memory_order_relaxed);
            HK_CHECK(h->listed && h->shard == id && state == HK_HEAP_PARKED, h);
        }
        HK_CHECK(!k || n == atomic_load_explicit(&k->count, memory_order_relaxed), k);
        all += n;
    }
    return all;
}
#endif
