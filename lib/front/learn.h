/* SPDX-License-Identifier: MIT */
/*
 * What: learning at work: slow paths of large and big blocks note what they do, one of them closes
 *   the window and puts in force what the learner decides.
 * Why: the learner (policy/learner.h) knows no clock and no lock; here is what it must not know.
 * Invariants: R1 one thread at a time is inside the learner; who comes while it is, goes on.
 *   R2 nothing is noted, and no clock read, while the word in force says not to.
 * Threads: all.
 */
#ifndef HK_FRONT_LEARN_H
#define HK_FRONT_LEARN_H

#include "policy/learner.h"
#include "slab/heap.h"

/* Begin; false without memory. Once a process. window_ms: how long a window may last. */
bool hk_learn_start(const struct hk_learn_config *config, uint32_t window_ms);
/*
 * A request for a large or big block of n bytes by h's thread, noted as the word in force says so.
 * plain: any block of that size will do; served: one of a class chosen at run time did.
 */
void hk_learn_request(struct hk_heap *h, size_t n, bool plain, bool served);
/* From looks at the clock: time for a window to end, or for one to begin while all is frozen. */
extern HK_HIDDEN _Atomic(struct hk_learner *) hk_learner_here; /* NULL: nothing is learned */
void hk_learn_look_at_clock(uint64_t now_ms);
HK_INLINE void hk_learn_tick(uint64_t now_ms)
{
    if (HK_UNLIKELY(atomic_load_explicit(&hk_learner_here, memory_order_relaxed) != NULL))
        hk_learn_look_at_clock(now_ms);
}
/*
 * The learner, for whoever tells of it, until hk_learn_let_go; NULL: nothing is learned, or busy:
 * it is not to be had.
 */
const struct hk_learner *hk_learn_look(bool *busy);
void hk_learn_let_go(void);
void hk_learn_fork_prepare(void);
void hk_learn_fork_child(void);

#endif
