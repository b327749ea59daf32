/* SPDX-License-Identifier: MIT */
/*
 * What: system calls that fail on demand: the n-th call of a kind, once or from then on, with a
 *   chosen errno, or one in so many by chance; and a clock that stands still until it is told to
 *   move, and dice that always fall the same way.
 * Why: a path that only runs when the kernel says no is hardly met otherwise. Test programs link
 *   this with ld's --wrap: sys.c is the very object that is released, and has none of it.
 * Invariants: nothing fails, and nothing is counted, unless armed or left to chance.
 * Threads: any; arming by one.
 */
#ifndef HK_OS_FAULT_H
#define HK_OS_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hk_fault_call {
    HK_FAULT_MMAP,
    HK_FAULT_MUNMAP,
    HK_FAULT_MREMAP,
    HK_FAULT_MADVISE,
    HK_FAULT_MPROTECT,
    HK_FAULT_FUTEX,
    HK_FAULT_YIELD,
    HK_FAULT_GETRUSAGE,
    HK_FAULT_MBIND,
    HK_FAULT_GET_MEMPOLICY,
    HK_FAULT_OPEN,
    HK_FAULT_READ,
    HK_FAULT_WRITE,
    HK_FAULT_CLOSE,
    HK_FAULT_MEMORY, /* any of mmap, munmap, mremap, madvise: counted by itself */
    HK_FAULT_CALLS
};
extern const char *const hk_fault_name[HK_FAULT_CALLS];

/* Instead of an errno: mmap takes its address for no hint · madvise does half, then says ENOMEM. */
#define HK_FAULT_ELSEWHERE (-1)
#define HK_FAULT_HALF      (-2)

struct hk_fault {
    enum hk_fault_call call;
    unsigned nth; /* from 1; 0: none fails */
    int how;      /* an errno, or one of the above */
    bool sticky;  /* all from the n-th on */
};

/* From here on calls are counted from 0, and fail as told · none is counted or fails. */
void hk_fault_arm(const struct hk_fault *f);
void hk_fault_disarm(void);
/*
 * One in `rarity` of mmap, munmap, mremap, madvise, mprotect and futex fails by chance, with errors
 * that pass; 1: all, with ENOMEM; 0: none. Instead of arming, and at any time.
 */
void hk_fault_chance(unsigned rarity, uint64_t seed);
/* The same for a moment, and what was in force again: for what looks on. */
bool hk_fault_pause(void);
void hk_fault_resume(bool was);
/* Calls seen while armed last · those that failed, then or by chance. */
extern _Atomic unsigned hk_fault_seen[HK_FAULT_CALLS], hk_fault_hits;
/* Bytes that mmap, munmap and mremap leave mapped, armed or not. */
extern _Atomic size_t hk_fault_mapped;

/* The clock stands still from here on, until it is moved. */
void hk_fault_clock_stop(void);
void hk_fault_clock_move(uint64_t ms);

#endif
