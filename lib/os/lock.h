/* SPDX-License-Identifier: MIT */
/*
 * What: a futex mutex of one word, with ranks checked in debug builds, and the fork courtesy.
 * Why: pthread mutexes are bigger, and a child of fork must be able to see whether a lock was
 *   held at the instant of the fork and to reset it.
 * Invariants: locks are taken in rising rank; none is held over a call that can block for long,
 *   nor over a user callback, nor across fork.
 * Threads: all. A waiter spins briefly, then sleeps in the kernel.
 * Fork: while a fork is under way (hk_fork_begin … hk_fork_end) whoever enters a slow path first
 *   waits a bounded time, holding nothing, so that the child most likely finds every lock free.
 *   Nobody waits without bound: a holder of a stdio lock may be among them, and the forking thread
 *   waits for that lock inside the C library. A lock that the forking thread itself holds (it forks
 *   in a signal handler that interrupted malloc) stays held: the interrupted code goes on in the
 *   child and releases it.
 */
#ifndef HK_OS_LOCK_H
#define HK_OS_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum hk_rank {
    HK_RANK_BOOT = 1,
    HK_RANK_HEAPS,
    HK_RANK_GUEST,
    HK_RANK_GATHER,
    HK_RANK_GROW,
    HK_RANK_SHARDS,
    HK_RANK_POOL,
    HK_RANK_HUGE,
    HK_RANK_META,
    HK_RANK_LEDGER
};

struct hk_lock {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and someone may sleep */
    uint32_t rank;
    _Atomic uintptr_t holder; /* address of the holder's hk_lock_self; 0 a moment around it */
};

#define HK_LOCK_INIT(r)                                                                            \
    {                                                                                              \
        0, (r), 0                                                                                  \
    }

extern HK_HIDDEN _Atomic uint32_t hk_forking; /* threads inside fork now */
/* One a thread: its address names the thread, and it is set in a thread that forks. */
extern HK_HIDDEN _Thread_local bool hk_lock_self __attribute__((tls_model("initial-exec")));

void hk_lock_slow(struct hk_lock *l);
void hk_unlock_slow(struct hk_lock *l);
void hk_fork_courtesy_slow(void);
void hk_fork_begin(void);
/*
 * Nothing is waited for any more. Others are courteous for ns from now on: fork next takes the C
 * library's locks, of which one may be theirs, and then copies page tables.
 */
void hk_fork_ready(uint64_t ns);
void hk_fork_end(void);   /* in the parent */
void hk_fork_child(void); /* in the child: nobody forks there */
/* Wait until l was seen free, at most about ns nanoseconds; true if it was. */
bool hk_lock_settle(struct hk_lock *l, uint64_t ns);
/*
 * In the child of fork: free the lock if another thread held it; true then, its data may be torn.
 */
bool hk_lock_reset(struct hk_lock *l);
/* Whether the calling thread holds l; true only in a signal handler, or by a mistake. */
bool hk_lock_mine(const struct hk_lock *l);
/* Names the calling thread for as long as it lives. */
HK_INLINE uintptr_t hk_lock_me(void)
{
    return (uintptr_t)&hk_lock_self;
}

#ifdef HK_DEBUG
void hk_rank_push(const struct hk_lock *l);
void hk_rank_pop(const struct hk_lock *l);
#else
HK_INLINE void hk_rank_push(const struct hk_lock *l HK_UNUSED)
{
}
HK_INLINE void hk_rank_pop(const struct hk_lock *l HK_UNUSED)
{
}
#endif

/* At the door of a slow path, before anything is held. */
HK_INLINE void hk_fork_courtesy(void)
{
    if (HK_UNLIKELY(atomic_load_explicit(&hk_forking, memory_order_relaxed)))
        hk_fork_courtesy_slow();
}

HK_INLINE void hk_lock_taken(struct hk_lock *l)
{
    atomic_store_explicit(&l->holder, hk_lock_me(), memory_order_relaxed);
    hk_rank_push(l);
}

HK_INLINE bool hk_lock_try(struct hk_lock *l)
{
    uint32_t zero = 0;
    bool got = atomic_compare_exchange_strong_explicit(&l->word, &zero, 1, memory_order_acquire,
                                                       memory_order_relaxed);
    if (got) hk_lock_taken(l);
    return got;
}

/* The same, waiting for so many looks at it, about 10 ns each. */
bool hk_lock_spin(struct hk_lock *l, int rounds);

/* Whether somebody holds it; a seq_cst look. */
HK_INLINE bool hk_lock_held(struct hk_lock *l)
{
    return atomic_load_explicit(&l->word, memory_order_seq_cst) != 0;
}

HK_INLINE void hk_lock_acquire(struct hk_lock *l)
{
    uint32_t zero = 0;
    if (HK_UNLIKELY(!atomic_compare_exchange_strong_explicit(
            &l->word, &zero, 1, memory_order_acquire, memory_order_relaxed)))
        hk_lock_slow(l);
    hk_lock_taken(l);
}

HK_INLINE void hk_lock_release(struct hk_lock *l)
{
    hk_rank_pop(l);
    atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
    /* seq_cst for those who look at something after it (core/shard.h). */
    if (HK_UNLIKELY(atomic_exchange_explicit(&l->word, 0, memory_order_seq_cst) == 2))
        hk_unlock_slow(l);
}

#endif
