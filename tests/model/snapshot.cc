/* SPDX-License-Identifier: MIT */
/*
 * What: one thread publishes decisions whose fields belong together, two others decide by copies.
 * Why: a copy is whole, and one decision for as long as it is used (N2). It needs no order, as
 * nothing is behind it, and no grace period, as nothing is given back: the mutants are what would.
 */
#include "layer.h"

#define HK_ROUNDS 3
struct hk_snapshot {
    uint64_t generation : 16;
    uint64_t cap : 36;
    uint64_t action : 12;
};
struct words {
    shared<uint64_t> word{0};
    cell<uint64_t> room[2]; /* where a pointer would point, used in turns */
};
EACH_RUN(struct words, words);
static auto &hk_policy_word = words.word;
#ifdef PLAIN_WORD
#undef atomic_load_explicit
#undef atomic_store_explicit
#define atomic_load_explicit(p, o)     words.room[0]
#define atomic_store_explicit(p, v, o) words.room[0] = (v)
#endif

#include "cut.h"

static void publish(unsigned n)
{
    struct hk_snapshot s = {n, n, n};
#ifdef POINTS_TO_IT
    words.room[n % 2] = hk_snapshot_word(s);
    store(&words.word, n % 2, rl::mo_release);
#else
    hk_policy_publish(s);
#endif
}

static struct hk_snapshot now()
{
#ifdef POINTS_TO_IT
    return hk_snapshot_of(words.room[load(&words.word, rl::mo_acquire)]);
#else
    return hk_policy_now();
#endif
}

static void decide()
{
    struct hk_snapshot s = now();
    RL_ASSERT(s.generation == s.cap && s.cap == s.action);
#ifdef READ_TWICE
    RL_ASSERT(s.generation == now().generation);
#endif
}

struct scene : rl::test_suite<scene, 3> {
    void before()
    {
        make_anew(words);
        words.room[0] = words.room[1] = 0;
    }
    void thread(unsigned i)
    {
        for (unsigned n = 1; n <= HK_ROUNDS; n++) i ? decide() : publish(n);
    }
    void after()
    {
        unmake(words);
    }
};

MAIN(holds<scene>(runs))
