/* SPDX-License-Identifier: MIT */
/*
 * What: what looks learn from: bytes given back, and units that came again.
 * Why: see decay.h.
 */
#include "front/decay.h"

#include "core/pool.h"
#include "front/front.h"
#include "policy/policy.h"
#include "policy/snapshot.h"

static _Atomic uint8_t level;
static atomic_flag learning = ATOMIC_FLAG_INIT;
static struct hk_decay decay;           /* who set learning */
static size_t again_seen, at_free_seen; /* the same */
static uint32_t visits_seen;

unsigned hk_decay_level(void)
{
    bool adapt = hk_policy_now().adapt;
    return adapt ? atomic_load_explicit(&level, memory_order_relaxed) : 0;
}

/* Slow paths of all threads since the last look. */
static uint32_t visits(void)
{
    uint32_t all = 0, before = visits_seen;
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all)
        all += atomic_load_explicit(&h->visits, memory_order_relaxed);
    visits_seen = all;
    return all - before;
}

void hk_decay_learn(size_t given)
{
    if (atomic_flag_test_and_set_explicit(&learning, memory_order_acquire)) return;
    size_t again = hk_pool_refaulted_bytes();
    size_t at_free = hk_pool_purged_at_free();
    hk_policy_decay(&decay, given + (at_free - at_free_seen), again - again_seen);
    again_seen = again;
    at_free_seen = at_free;
    bool rests = visits() < HK_REST_VISITS;
    atomic_store_explicit(&level, rests ? 0 : decay.level, memory_order_relaxed);
    atomic_flag_clear_explicit(&learning, memory_order_release);
}

void hk_decay_fork_child(void)
{
    atomic_flag_clear_explicit(&learning, memory_order_relaxed); /* by a thread that is not here */
}
