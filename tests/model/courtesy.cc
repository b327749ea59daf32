/* SPDX-License-Identifier: MIT */
/*
 * What: a thread forks twice while two others come by a slow path's door.
 * Why: the wait there has a bound in the library, which would hide a lost wake; here it has none.
 */
#include "layer.h"

#include "locks.h"

#define PREPARE_NS 0
#define COURTESIES 1
struct words {
    shared<uint32_t> hk_forking{0}, waiting{0}, preparing{0};
    shared<uint64_t> fork_ns{0};
    bool self[3] = {};
};
EACH_RUN(struct words, words);
static auto &hk_forking = words.hk_forking;
static auto &waiting = words.waiting;
static auto &preparing = words.preparing;
static auto &fork_ns = words.fork_ns;
#define hk_lock_self words.self[rl::ctx().threadx_->index_]
void hk_fork_courtesy_slow(void);

#include "cut.h"

struct scene : rl::test_suite<scene, 3> {
    void before()
    {
        make_anew(words);
    }
    void thread(unsigned i)
    {
        for (unsigned n = 0; n < 2; n++) {
            if (i == 0) {
                hk_fork_begin();
                hk_fork_courtesy();
                hk_fork_ready(0);
                hk_fork_end();
            } else {
                hk_fork_courtesy();
            }
        }
    }
    void after()
    {
        RL_ASSERT(!hk_forking.is.debug_value() && !waiting.is.debug_value());
        unmake(words);
    }
};

MAIN(holds<scene>(runs))
