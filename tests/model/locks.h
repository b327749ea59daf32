/* SPDX-License-Identifier: MIT */
/*
 * What: the lock of lib/os/lock.h with its holder's name left out, for scenes of what it guards.
 * Why: the orders of its words are the library's; that it sleeps and wakes is scene courtesy's.
 */
#ifndef HK_TESTS_MODEL_LOCKS_H
#define HK_TESTS_MODEL_LOCKS_H

#define LOST_NS 0 /* waits are without bound here */

struct hk_lock {
    shared<uint32_t> word{0};
    shared<uintptr_t> holder{0};
    uint32_t rank;
};
static uintptr_t hk_lock_me(void)
{
    return rl::ctx().threadx_->index_ + 1;
}
static void hk_rank_push(const struct hk_lock *)
{
}
static void hk_rank_pop(const struct hk_lock *)
{
}
static void cpu_relax(void)
{
    rl::yield(1, $);
}
/* As the kernel does it: a barrier, then the look and the sleep as one step; and a barrier before
 * it wakes. */
static void hk_sys_wait(shared<uint32_t> *word, uint32_t is, uint64_t)
{
    rl::context &c = rl::ctx();
    c.sched();
    c.disable_preemption();
    c.atomic_thread_fence_seq_cst();
    bool same = word->is.load(rl::mo_seq_cst, $) == is;
    c.enable_preemption();
    if (same) word->is.wait(c, false, false, $);
}
static void hk_sys_wake(shared<uint32_t> *word, int n)
{
    rl::context &c = rl::ctx();
    c.sched();
    c.atomic_thread_fence_seq_cst();
    word->is.wake(c, n > 100 ? 100 : n, $);
}

#endif
