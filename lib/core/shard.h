/* SPDX-License-Identifier: MIT */
/*
 * What: the pool's parts: one for every eight CPUs of a NUMA node, as threads are seen on them.
 * Why: threads on different CPUs meet on no lock and no line, and memory returns to the node that
 *   it came from. Nothing is asked about the machine: a shard is made when a thread asks for memory
 *   on a CPU of which none is known, so it knows hot-plug, gaps and cpusets without /sys.
 * Owns: struct hk_shard, the table from CPU to shard, the sums of what the shards count.
 * Invariants: H1 a chunk belongs to the shard that its record names, whose lock guards the record.
 *   H2 it changes hands when it is free as a whole, and is nobody's on the way. H3 the sums are
 *   what each shard told last: exact while all are one group's or a limit is set, else behind by
 *   `slack` a shard at most, and not for one that has none.
 * Ordering: F1 who cannot have the lock pushes what he frees (seq_cst) and then looks at the lock;
 *   who holds it lets go (seq_cst) and then looks whether something waits: one of the two sees the
 *   other, so nothing waits at a free lock. F2 what waits is taken whole, so there is no ABA.
 * Locks: HK_RANK_POOL each, one at a time; HK_RANK_SHARDS makes them. Threads: all.
 */
#ifndef HK_CORE_SHARD_H
#define HK_CORE_SHARD_H

#include "core/counts.h"
#include "core/filler.h"
#include "core/runs.h"
#include "os/cpu.h"
#include "os/lock.h"
#include "os/report.h"

#define HK_SHARDS_MAX 255u /* ids fit a byte; more CPUs than these have share */
#define HK_CPUS_MAX   1024u
#define HK_GROUP_CPUS 8u
#define HK_SPARES     3u   /* of a group, made when a thread that has the lock was put aside */
#define HK_TELL_UNITS 32u  /* slack */
#define HK_SPARE_IDS  128u /* spares get no ids beyond this: nodes come first */

enum hk_band { HK_BAND_SLAB, HK_BAND_MID, HK_BAND_LARGE, HK_BAND_BIG, HK_BANDS };

struct hk_shard {
    struct hk_lock lock;
    _Atomic(struct hk_unit *) waiting; /* frees of those who did not wait for the lock */
    size_t used;                       /* units out */
    _Atomic size_t dirty;              /* free ones that are probably resident */
    size_t used_told, dirty_told;
    uint32_t watch; /* a moment, ms: what is taken by this operation is noted; 0: it is not */
    uint16_t id;
    _Atomic(struct hk_shard *) look; /* whose free chunks are looked at next */
    struct hk_runs runs;
    struct hk_filler filler;
    _Atomic uint64_t takes, warm, grows;  /* written under the lock */
    _Atomic size_t refaulted;             /* units; the same */
    struct hk_idle_times again[HK_BANDS]; /* how long what was taken lay free */
    uint32_t node, group;                 /* constant */
    bool is_spare;                        /* the same */
    _Atomic(struct hk_shard *) near;      /* the next one of the node, in a ring */
    _Atomic(struct hk_shard *) spare;     /* of the same group, or NULL */
} HK_LINE_ALIGNED;

/* What all read and hardly anybody writes. */
struct hk_shard_state {
    struct hk_shard_table *_Atomic table;
    _Atomic uint32_t count; /* ids 1 … count are in use */
    _Atomic uint32_t slack;
    _Atomic uint32_t nodes; /* that threads were seen on, 2 at most */
    _Atomic bool exact;     /* slack is 0 for a limit */
    _Atomic bool one_node;  /* by a setting, whatever the machine has */
} HK_LINE_ALIGNED;
extern HK_HIDDEN struct hk_shard_state hk_shards;

struct hk_shard_table {
    _Atomic(struct hk_shard *) by_id[HK_SHARDS_MAX + 1];
    _Atomic(struct hk_shard *) of_cpu[HK_CPUS_MAX];
};

/*
 * Units that are out, and free ones that are probably resident: of the first shard, which alone
 * writes that, and of all others. One thread in one shard is to pay for no locked instruction.
 */
struct hk_shard_sums {
    _Atomic size_t first_used, first_dirty, used, dirty;
} HK_LINE_ALIGNED;
extern HK_HIDDEN struct hk_shard_sums hk_shard_sums;

struct hk_shard *hk_shard_first_seen(void);
void hk_shard_tell_slack(struct hk_shard *s, uint32_t slack);
void hk_shard_serve(struct hk_shard *s);
struct hk_shard *hk_shard_enter_busy(struct hk_shard *s);

/* The shard of the CPU that the thread runs on; NULL without memory for the first one. */
HK_INLINE struct hk_shard *hk_shard_here(void)
{
    struct hk_shard_table *t = atomic_load_explicit(&hk_shards.table, memory_order_acquire);
    if (HK_UNLIKELY(!t)) return hk_shard_first_seen();
    struct hk_shard *s =
        atomic_load_explicit(&t->of_cpu[hk_cpu_id() % HK_CPUS_MAX], memory_order_acquire);
    return HK_LIKELY(s != NULL) ? s : hk_shard_first_seen();
}

HK_INLINE uint32_t hk_shard_count(void)
{
    return atomic_load_explicit(&hk_shards.count, memory_order_acquire);
}

/* NULL for HK_SHARD_NONE. */
HK_INLINE struct hk_shard *hk_shard_by_id(unsigned id)
{
    struct hk_shard_table *t = atomic_load_explicit(&hk_shards.table, memory_order_acquire);
    return t ? atomic_load_explicit(&t->by_id[id], memory_order_acquire) : NULL;
}

HK_INLINE unsigned hk_chunk_shard(const struct hk_chunk *c)
{
    return atomic_load_explicit(&c->shard, memory_order_relaxed);
}

/* Whose run p is in, a run that is out: such a one changes no hands. */
HK_INLINE struct hk_shard *hk_shard_of(const void *p)
{
    return hk_shard_by_id(hk_chunk_shard(hk_chunk_at(hk_chunk_index(p))));
}

HK_INLINE bool hk_shards_several(void)
{
    return atomic_load_explicit(&hk_shards.count, memory_order_relaxed) > 1;
}

/* Whether threads were seen on more than one node, and that matters. */
HK_INLINE bool hk_shards_apart(void)
{
    return atomic_load_explicit(&hk_shards.nodes, memory_order_relaxed) > 1;
}

/* Free chunks of all. */
size_t hk_shards_free_chunks(void);

/* Under s's lock: the sums are up to date with s, but for the slack. */
HK_INLINE void hk_shard_tell(struct hk_shard *s)
{
    HK_ASSERT(s != NULL);
    uint32_t slack = atomic_load_explicit(&hk_shards.slack, memory_order_relaxed);
    if (HK_UNLIKELY(slack != 0 || s->id != 1)) {
        hk_shard_tell_slack(s, slack);
        return;
    }
    s->used_told = s->used;
    s->dirty_told = atomic_load_explicit(&s->dirty, memory_order_relaxed);
    atomic_store_explicit(&hk_shard_sums.first_used, s->used_told, memory_order_relaxed);
    atomic_store_explicit(&hk_shard_sums.first_dirty, s->dirty_told, memory_order_relaxed);
}

HK_INLINE void hk_shard_enter(struct hk_shard *s)
{
    HK_ASSERT(s != NULL);
    hk_lock_acquire(&s->lock);
}

/* F1 */
HK_INLINE void hk_shard_leave(struct hk_shard *s)
{
    hk_shard_tell(s);
    hk_lock_release(&s->lock);
    if (HK_UNLIKELY(atomic_load_explicit(&s->waiting, memory_order_seq_cst) != NULL))
        hk_shard_serve(s);
}

/* One that has memory for the calling thread's CPU, entered; NULL as with hk_shard_here. */
HK_INLINE struct hk_shard *hk_shard_enter_here(void)
{
    struct hk_shard *s = hk_shard_here();
    if (HK_UNLIKELY(!s) || HK_LIKELY(hk_lock_try(&s->lock))) return s;
    return hk_shard_enter_busy(s);
}

/*
 * Units [p, p + units) that were out are free from `stamp` on, ms, as hk_pool_free_as, by who does
 * not wait for the lock: now, or when its holder lets go of it. idle: as hk_pool_free_idle.
 */
void hk_shard_free(struct hk_shard *s, char *p, size_t units, uint32_t stamp, uint32_t as);
#define HK_FREE_IDLE ((uint32_t)1 << 16) /* else band | patience << 8 */

/* Chunks [first, first + n), nobody's, become s's, which the caller holds. */
void hk_shard_add(struct hk_shard *s, size_t first, size_t n);
/*
 * A free run that n chunks fit into, from another shard of the node that has one, becomes s's,
 * which the caller does not hold; false: none was found in a few looks.
 */
bool hk_shard_borrow(struct hk_shard *s, size_t n, size_t align);
/* All free runs of all others become s's. The caller holds hk_shard_gathering, and no shard. */
void hk_shard_gather(struct hk_shard *s);
extern HK_HIDDEN struct hk_lock hk_shard_gathering;

/* All chunks in their order, each with its shard entered. */
struct hk_walk {
    size_t next, step;
    struct hk_shard *held;
    unsigned left;   /* looks until others get a chance */
    bool dirty_only; /* of shards that have no dirty free unit none is looked at */
};
/* The next one; NULL: it was the last, nothing is held. */
struct hk_chunk *hk_walk_next(struct hk_walk *w);
/* Let go before the end; the next look goes on behind the last chunk seen. */
void hk_walk_pause(struct hk_walk *w);

/* Nodes of the machine do not matter from now on. */
void hk_shards_one_node(void);
/* Whether sums are to be exact, for a limit. */
void hk_shards_set_exact(bool on);
void hk_shards_fork_prepare(void);
/* In the child: a shard that was caught in the midst of a change is written off: its chunks are
 * LOST. */
void hk_shards_fork_child(void);
/* Then, once purges are undone: what waited for a thread that is not here is freed. */
void hk_shards_fork_child_serve(void);
/* Walk all of s and abort on a broken invariant; chunks. For tests. */
size_t hk_shard_check(struct hk_shard *s);

#endif
