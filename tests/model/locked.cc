/* SPDX-License-Identifier: MIT */
/*
 * What: the futex lock: three threads add to a plain word under it, two wait and one tries.
 * Why: what it guards is seen by the next holder, and nobody sleeps for ever.
 */
#include "layer.h"

#include "locks.h"

#define SPIN_ROUNDS 1
#include "cut.h"

struct scene : rl::test_suite<scene, 3> {
    struct hk_lock lock;
    cell<unsigned> sum;
    void before()
    {
        sum = 0;
    }
    void thread(unsigned i)
    {
        for (unsigned times = 0; times < 2; times++) {
            if (i == 2) {
                while (!hk_lock_try(&lock)) rl::yield(1, $);
            } else {
                hk_lock_acquire(&lock);
            }
            sum += 1;
            hk_lock_release(&lock);
        }
    }
    void after()
    {
        RL_ASSERT(sum == 6 && !lock.word.is.debug_value());
    }
};

MAIN(holds<scene>(runs))
