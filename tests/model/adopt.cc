/* SPDX-License-Identifier: MIT */
/*
 * What: a thread ends and lists its heap, another one frees a block of it, a third one takes a
 * listed heap over or gets a new one, frees, and ends too. Why: no slab is lost, and a heap has one
 * holder (O1, O2, the lists' locks).
 */
#include "heaps.h"

#define HK_RANK_HEAPS 2
struct hk_shard {
    uint32_t id, node;
};
static struct hk_shard here;
static struct hk_shard *hk_shard_here()
{
    return &here;
}

struct park {
    struct hk_lock lock;
    cell<struct hk_heap *> first;
    shared<uint32_t> count;
};
struct parks {
    shared<struct park *> of[1];
};
/* What threads make when they find none. */
struct lists {
    shared<struct parks *> parks{NULL};
    struct parks table[3];
    struct park park[3];
    unsigned tables = 0, parks_made = 0;
};
EACH_RUN(struct lists, lists);
static auto &parks = lists.parks;
static void *hk_meta_alloc(size_t n)
{
    if (n == sizeof(struct parks)) {
        struct parks *ps = &lists.table[lists.tables++];
        store(&ps->of[0], (struct park *)NULL, rl::mo_relaxed);
        return ps;
    }
    struct park *k = &lists.park[lists.parks_made++];
    k->first = NULL;
    store(&k->count, 0, rl::mo_relaxed);
    return k;
}

static void set_astray(struct hk_heap *, bool)
{
}

#include "cut.h"

static void ends(struct hk_heap *h)
{
    hk_remote_drain(h, UINT32_MAX);
    hk_park_list(h);
    hk_heap_let_go(h);
}

static void frees(struct hk_heap *h, unsigned i)
{
    hk_remote_free_from(h, &now.slab, &now.slab.block[i]);
}

/* As hk_park_adopt on a machine of one shard. */
static struct hk_heap *attach()
{
    struct hk_heap *h = adopt(get(all_parks(), 0));
    if (h) return h;
    h = hk_heap_new(HK_HEAP_ATTACHED, 0);
    h->shard = 0;
    return h;
}

struct scene : rl::test_suite<scene, 3> {
    void before()
    {
        make_anew(lists);
        begin(2);
    }
    void thread(unsigned i)
    {
        struct hk_heap *h = i < 2 ? &now.heap[i] : attach();
        if (i > 0) frees(h, i);
        if (i == 2) frees(h, 0);
        ends(h);
    }
    void after()
    {
        struct park *k = lists.parks.is.debug_value()->of[0].is.debug_value();
        unsigned listed = 0;
        for (struct hk_heap *h = k->first; h && listed < HEAPS; h = h->next_parked) listed++;
        RL_ASSERT(listed == now.made && k->count.is.debug_value() == listed);
        end(BLOCKS);
        unmake(lists);
    }
};

MAIN(holds<scene>(runs))
