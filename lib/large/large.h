/* SPDX-License-Identifier: MIT */
/*
 * What: blocks above 32 KiB: runs of units (large) and of whole chunks (big, from 2 MiB).
 * Why: no heap owns them: a free from any thread goes straight to the pool in O(1).
 * Invariants: L1 only the run's first unit has an owner word; a pointer into the middle finds none.
 * Threads: all; the pool's lock is the only one.
 */
#ifndef HK_LARGE_LARGE_H
#define HK_LARGE_LARGE_H

#include "core/counts.h"
#include "core/map.h"
#include "policy/snapshot.h"

extern HK_HIDDEN struct hk_large_counts hk_large_nobodys; /* of threads without a heap */
/*
 * by: the counts of the calling thread's heap, or nobody's.
 * n ≤ PTRDIFF_MAX bytes at a multiple of align (a power of two); zeroed on demand.
 */
void *hk_large_alloc(struct hk_large_counts *by, size_t n, size_t align, bool zero);
void hk_large_free(struct hk_large_counts *by, struct hk_unit *u, void *p);
/*
 * The rule of a call site for the run at p, enum hk_action plus one, or 0 for none: what becomes of
 * it when it is freed. For every run, once there are rules.
 */
void hk_large_set_rule(void *p, unsigned rule);
#define HK_RULED     0x8000u /* above all that a slab leaves in the field, which is no rule */
#define HK_RUN_BARE  0x4000u /* likewise, in hardened mode: it has no canary */
#define HK_RUN_ARMED 0x2000u /* it was handed out in hardened mode */
HK_INLINE unsigned hk_large_rule(const struct hk_unit *u)
{
    if (HK_LIKELY(!hk_policy_now().sites) || !(u->rule & HK_RULED)) return 0;
    return u->rule & ~(HK_RULED | HK_RUN_BARE | HK_RUN_ARMED);
}
/* Units that large or big blocks leave go to the pool, or to the kernel, as is decided. */
void hk_large_give(void *p, size_t units);
/*
 * A run that is no block any more, but not the pool's either: its record keeps run_units and what
 * is known of its tail, for hk_large_revive to make it a block of n bytes, of as many units, again.
 */
void hk_large_retire(struct hk_large_counts *by, struct hk_unit *u);
void *hk_large_revive(struct hk_large_counts *by, struct hk_unit *u, size_t n, bool zero);
/* Make p hold n bytes where it stands, growing or shrinking; false if it cannot. */
bool hk_large_resize(struct hk_large_counts *by, struct hk_unit *u, void *p, size_t n);

HK_INLINE size_t hk_large_bytes(const struct hk_unit *u)
{
    return (size_t)u->run_units << HK_UNIT_SHIFT;
}

#ifdef HK_DEBUG
/* Bytes of resident tails that all were told of. */
size_t hk_large_told(void);
#endif
/* The thread ends: what all are to know of its counts, they learn now. */
void hk_large_tell(struct hk_large_counts *by);

struct hk_large_stats {
    uint64_t large_allocs, big_allocs, frees, resized;
    uint64_t hits;     /* of large_allocs, out of runs that a heap held */
    size_t units;      /* in live runs */
    size_t tail_bytes; /* in live runs, beyond the last page asked for */
};
void hk_large_add_stats(struct hk_large_stats *to, const struct hk_large_counts *n);

#endif
