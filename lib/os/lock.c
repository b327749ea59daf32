/* SPDX-License-Identifier: MIT */
/*
 * What: the slow halves of lock.h: contended lock and unlock, courtesy towards a fork.
 * Why: see lock.h.
 */
#include "os/lock.h"

#include "os/report.h"
#include "os/sys.h"

#define SPIN_ROUNDS 100       /* about 1 µs: a critical section here is shorter than a sleep */
#define PREPARE_NS  500000ull /* a look whether a fork under way is still waiting for others */
#define COURTESIES  200       /* such looks at most: 100 ms */

#define LOST_NS 50000000ull /* a wake that the kernel refused costs a sleeper that much */

#define SETTLE_STEP_NS 50000ull

_Atomic uint32_t hk_forking;
static _Atomic uint32_t waiting;     /* in hk_fork_courtesy */
static _Atomic uint32_t preparing;   /* of those in fork: not ready yet */
static _Atomic uint64_t fork_ns = 1; /* how long what comes then may take, as far as is known */
/* The thread that forks must not wait for itself. */
_Thread_local bool hk_lock_self;

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool spin(struct hk_lock *l, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        uint32_t zero = 0;
        if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&l->word, &zero, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
        cpu_relax();
    }
    return false;
}

bool hk_lock_spin(struct hk_lock *l, int rounds)
{
    bool got = spin(l, rounds);
    if (got) hk_lock_taken(l);
    return got;
}

void hk_lock_slow(struct hk_lock *l)
{
    if (spin(l, SPIN_ROUNDS)) return;
    while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
        hk_sys_wait(&l->word, 2, LOST_NS);
}

void hk_unlock_slow(struct hk_lock *l)
{
    hk_sys_wake(&l->word, 1);
}

void hk_fork_courtesy_slow(void)
{
    uint32_t n = atomic_load_explicit(&hk_forking, memory_order_relaxed);
    if (!n || hk_lock_self) return;
    atomic_fetch_add_explicit(&waiting, 1, memory_order_seq_cst);
    /* Before it is ready it waits for nobody who waits here. */
    for (int i = 0; i < COURTESIES && atomic_load_explicit(&preparing, memory_order_relaxed); i++)
        hk_sys_wait(&hk_forking, n, PREPARE_NS);
    hk_sys_wait(&hk_forking, n, atomic_load_explicit(&fork_ns, memory_order_relaxed));
    atomic_fetch_sub_explicit(&waiting, 1, memory_order_relaxed);
}

void hk_fork_begin(void)
{
    hk_lock_self = true;
    atomic_fetch_add_explicit(&preparing, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&hk_forking, 1, memory_order_seq_cst);
}

void hk_fork_ready(uint64_t ns)
{
    atomic_store_explicit(&fork_ns, ns, memory_order_relaxed);
    atomic_fetch_sub_explicit(&preparing, 1, memory_order_relaxed);
}

void hk_fork_end(void)
{
    atomic_fetch_sub_explicit(&hk_forking, 1, memory_order_seq_cst);
    hk_lock_self = false;
    /* Who came too late to be counted finds the word changed and does not sleep. */
    if (atomic_load_explicit(&waiting, memory_order_seq_cst)) hk_sys_wake(&hk_forking, INT32_MAX);
}

void hk_fork_child(void)
{
    atomic_store_explicit(&hk_forking, 0, memory_order_relaxed);
    atomic_store_explicit(&waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&preparing, 0, memory_order_relaxed);
    hk_lock_self = false;
}

bool hk_lock_mine(const struct hk_lock *l)
{
    return atomic_load_explicit(&l->holder, memory_order_relaxed) == hk_lock_me();
}

bool hk_lock_settle(struct hk_lock *l, uint64_t ns)
{
    if (hk_lock_mine(l)) return false;
    for (uint64_t waited = 0; waited < ns; waited += SETTLE_STEP_NS) {
        if (atomic_load_explicit(&l->word, memory_order_acquire) == 0) return true;
        hk_sys_pause(); /* not on l->word: a wake meant for a waiter would be lost on us */
    }
    return atomic_load_explicit(&l->word, memory_order_acquire) == 0;
}

bool hk_lock_reset(struct hk_lock *l)
{
    if (hk_lock_mine(l)) return false;
    atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
    return atomic_exchange_explicit(&l->word, 0, memory_order_relaxed) != 0;
}

#ifdef HK_DEBUG
static _Thread_local uint32_t held[8];
static _Thread_local unsigned held_count;

void hk_rank_push(const struct hk_lock *l)
{
    HK_CHECK(held_count < 8, l);
    HK_CHECK(held_count == 0 || held[held_count - 1] < l->rank, l);
    held[held_count++] = l->rank;
}

void hk_rank_pop(const struct hk_lock *l)
{
    HK_CHECK(held_count > 0 && held[held_count - 1] == l->rank, l);
    held_count--;
}
#endif
