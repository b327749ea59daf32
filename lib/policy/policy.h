/* SPDX-License-Identifier: MIT */
/*
 * What: the decisions: how much, how long, how often. Pure functions and fixed values.
 * Why: mechanisms ask here, so that a learned value can take the place of a fixed one without a
 *   line changed elsewhere. Nothing here knows a clock, a lock or an allocation.
 */
#ifndef HK_POLICY_POLICY_H
#define HK_POLICY_POLICY_H

#include <stdatomic.h>

#include "base/sizeclass.h"

/* Remote frees for one owner leave as a batch of this many bytes: the best of 8 … 128 KiB. */
#define HK_REMOTE_BATCH_BYTES ((uint32_t)(32 * HK_KIB))
/* Of them, what is gathered of one slab before it leaves: more was slower and held more. */
#define HK_RING_BYTES ((uint32_t)(8 * HK_KIB))
/* Remote blocks taken in at a visit, so that one malloc never pays for a million frees. */
#define HK_DRAIN_BLOCKS 2048u
/*
 * A thread that fills this many units of a class and sees none come back produces for others: its
 * full slabs are let loose from then on. Letting all go loose cost 5 to 30 % on mixed loads.
 */
#define HK_LOOSE_UNITS 16u
/* Slow paths between two looks at the clock. */
#define HK_TICK_REFILLS 8u
/* Free memory that nobody touched for this long goes back to the kernel. */
#define HK_PURGE_IDLE_MS     500u
#define HK_PURGE_IDLE_MAX_MS (2 * HK_PURGE_IDLE_MS) /* at the longest decay */
/* Never look for such memory more often than this. */
#define HK_PURGE_EVERY_MS 250u
/* But while a look at the heaps without a thread had to be cut short, on with it after this long.
 */
#define HK_PURGE_ON_MS 20u
/* Looks after which the part of a slab that was never used, but dirty when it came, goes back. */
#define HK_FRESH_LOOKS 2u
/* Resident tails of large runs may be this part of the used memory, and this much besides. */
#define HK_TAIL_SHARE     16
#define HK_TAIL_FREE      HK_MIB
#define HK_TAIL_PURGE_MIN (16 * HK_KIB) /* a shorter one is not worth a call */
/* From this size on, reused memory is cleared by giving it back: what stays unused stays free. */
#define HK_CLEAR_BY_PURGE (2 * HK_MIB)
/* Free resident memory below this is not worth a look, nor are slabs below that. */
#define HK_PURGE_MIN_UNITS      ((size_t)(1 * HK_MIB / HK_UNIT_BYTES))
#define HK_PURGE_MIN_USED_UNITS ((size_t)(4 * HK_MIB / HK_UNIT_BYTES))
/*
 * Blocks looked at in one look, a slab counting as so many at least, and a call to the kernel
 * besides: bounds the pause. With calls for nothing `bench/load larson_mid -t 256`, whose free
 * pages lie one by one, took 3.3 times the processor time.
 */
#define HK_PURGE_BLOCKS      32768u
#define HK_PURGE_SLAB_BLOCKS 256u
#define HK_PURGE_CALL_BLOCKS 64u
/* Parked heaps asked for a slab before a fresh one is taken. */
#define HK_STEAL_LOOK 4
#define HK_STRAYS     4u /* slow paths of a thread on another node, before it counts as one of that */

/* Frees after which a full slab is worth refilling from. */
HK_INLINE uint32_t hk_policy_wake(unsigned blocks)
{
    uint32_t w = blocks / 4;
    return w > 32 ? 32 : w < 1 ? 1 : w;
}

/*
 * Blocks that a refill should bring where untouched ones are left, of a class with a_unit of them
 * in a unit: about a page at first, or two blocks, so that untouched memory stays so; twice as many
 * after each four refills of the class that had to touch some, up to 8 KiB, or 8 blocks.
 */
HK_INLINE uint32_t hk_policy_refill(uint32_t a_unit, uint32_t short_refills)
{
    uint32_t first = a_unit / 16 > 2 ? a_unit / 16 : 2, most = a_unit / 8 > 8 ? a_unit / 8 : 8;
    uint32_t want = first << (short_refills / 4 < 3 ? short_refills / 4 : 3);
    return want < most ? want : most;
}

/* Whether the tail of a new run goes back at once, with tail_sum bytes of others resident. */
HK_INLINE bool hk_policy_tail_purge(size_t tail, size_t tail_sum, size_t used)
{
    return tail >= HK_TAIL_PURGE_MIN && tail_sum > used / HK_TAIL_SHARE + HK_TAIL_FREE;
}

/*
 * A block that cannot grow where it is gets a mapping of its own from this size on, and loses it
 * below HK_MAPPED_KEEP. The kernel moves that instead of copying it, but its pages are gone when it
 * is freed, so what comes and goes must not get one: as with glibc's, the least size becomes twice
 * that of one that was freed, up to HK_MAPPED_MOST.
 */
#define HK_MAPPED_LEAST ((size_t)(4 * HK_MIB))
#define HK_MAPPED_MOST  ((size_t)(512 * HK_MIB))
#define HK_MAPPED_KEEP  ((size_t)(1 * HK_MIB))

HK_INLINE size_t hk_policy_mapped_least(size_t least, size_t freed)
{
    size_t twice = freed < HK_MAPPED_MOST / 2 ? 2 * freed : HK_MAPPED_MOST;
    return twice > least ? twice : least;
}

/*
 * Freed runs that a heap may hold for its thread, units in all: an eighth of what is used, at most
 * 8 MiB, shared among those who hold any; between 1 and 4 MiB each. And how many heaps may.
 */
#define HK_RUN_CACHE_UNITS ((uint32_t)(HK_MIB / HK_UNIT_BYTES))
#define HK_RUN_CACHE_MOST  (4 * HK_RUN_CACHE_UNITS)
#define HK_RUN_CACHE_ALL   (8 * HK_RUN_CACHE_UNITS)
#define HK_RUN_HOLDERS     16u

HK_INLINE uint32_t hk_policy_run_cap(size_t used_units, uint32_t holders)
{
    if (holders == 0) holders = 1;
    size_t share = used_units / 8 / holders, most = HK_RUN_CACHE_ALL / holders;
    if (most > HK_RUN_CACHE_MOST) most = HK_RUN_CACHE_MOST;
    if (share > most) share = most;
    return share > HK_RUN_CACHE_UNITS ? (uint32_t)share : HK_RUN_CACHE_UNITS;
}
/* A heap tells all of so many bytes more or less of resident tails of its large blocks. */
#define HK_TAIL_TELL ((size_t)(256 * HK_KIB))
/* This much free resident memory beside an eighth of what is used makes the process restless. */
#define HK_RESTLESS_UNITS ((size_t)(2 * HK_MIB / HK_UNIT_BYTES))
/* So does this much more memory in slabs with room, of a heap or left by threads, than last time.
 */
#define HK_AWAKE_UNITS ((int)(16 * HK_MIB / HK_UNIT_BYTES))
/*
 * Blocks that a refill brings then. To cut a list, each block is looked at in turn: of those that
 * share a line with others fewer, as it costs little; to a thread that does little least of all.
 */
#define HK_RESTLESS_BLOCKS  512u
#define HK_RESTLESS_CLOSE   128u /* of at most 64 bytes */
#define HK_RESTLESS_REFILLS 4u   /* slow paths between two looks at the clock then */
#define HK_LULL_BLOCKS      16u
#define HK_LULL_MS          8u /* between two slow paths; the clock goes in steps of 4 */
/* It ends with so many looks in a row that brought less than a MiB. */
#define HK_BARREN_LOOKS 3u
#define HK_BARREN_BYTES ((size_t)HK_MIB)

/*
 * Whether slow paths must come soon, as so much lies about: a process that idles after a peak has
 * few of them. Who frees memory raises the alarm: eager then, refills are short and more of them
 * look at the clock. Looks that bring nothing end that, until there is more; but as long as slabs
 * with much room change from look to look what is free in them may yet come to rest, so the process
 * stays watchful: refills stay short, or it could end its work with bins so full that
 * nobody comes by. A flag that rarely changes costs slow paths no line that others write.
 */
enum hk_unrest { HK_CALM, HK_WATCHFUL, HK_EAGER };
struct hk_restless {
    _Atomic uint8_t now; /* enum hk_unrest */
    _Atomic uint8_t barren;
    _Atomic size_t parked; /* units of slabs with room that threads left since the last look */
    _Atomic size_t moving; /* free bytes in slabs that changed since the last look, about */
    /* Of both, what brings nothing: it is in use, or refused. */
    _Atomic size_t known_dirty, known_parked;
};
extern HK_HIDDEN struct hk_restless hk_policy_state;
HK_INLINE bool hk_policy_restless(void)
{
    return HK_UNLIKELY(atomic_load_explicit(&hk_policy_state.now, memory_order_relaxed) != HK_CALM);
}
HK_INLINE bool hk_policy_eager(void)
{
    return HK_UNLIKELY(atomic_load_explicit(&hk_policy_state.now, memory_order_relaxed) ==
                       HK_EAGER);
}
/* Blocks of so many bytes that a refill brings at most while the process is restless. */
HK_INLINE uint32_t hk_policy_restless_refill(size_t bytes, bool lull)
{
    if (lull) return HK_LULL_BLOCKS;
    return bytes <= HK_LINE_BYTES ? HK_RESTLESS_CLOSE : HK_RESTLESS_BLOCKS;
}
/* Whether a slow path that is the visits-th of its heap looks at the clock. */
HK_INLINE bool hk_policy_tick_due(uint32_t visits, bool lull)
{
    if (HK_UNLIKELY(visits % HK_TICK_REFILLS == 0)) return true;
    uint8_t now = atomic_load_explicit(&hk_policy_state.now, memory_order_relaxed);
    return HK_UNLIKELY(now != HK_CALM) && (lull || visits % HK_RESTLESS_REFILLS == 0);
}
void hk_policy_hurry(void);
/* Slabs with so many bytes free changed since the last look. */
HK_INLINE void hk_policy_note_moving(size_t bytes)
{
    atomic_fetch_add_explicit(&hk_policy_state.moving, bytes, memory_order_relaxed);
}
/* Units became free. */
HK_INLINE void hk_policy_note_dirty(size_t dirty_units, size_t used_units)
{
    size_t known = atomic_load_explicit(&hk_policy_state.known_dirty, memory_order_relaxed);
    if (HK_UNLIKELY(dirty_units > known + HK_RESTLESS_UNITS + used_units / 8) && !hk_policy_eager())
        hk_policy_hurry();
}
/* A thread that ended left slabs with room, of so many units. */
void hk_policy_note_parked(size_t units);
/* A look at all that lies about ended, with so many bytes given back and so many units left. */
void hk_policy_looked(size_t got, bool cut, size_t dirty_units);

struct hk_purge_view {
    size_t used_units, dirty_units;
};

/* Whether a look at the clock is worth it. */
HK_INLINE bool hk_policy_purge_worth(const struct hk_purge_view *v)
{
    return v->dirty_units >= HK_PURGE_MIN_UNITS || v->used_units >= HK_PURGE_MIN_USED_UNITS;
}

/*
 * Memory that is given back and soon taken again costs two calls and a fault a page (1.7 µs with
 * its clearing) for nothing. When such faults cost more than about a hundredth of the time lately,
 * and are a quarter of what went back, free memory may lie idle for a quarter longer, up to twice
 * as long; and again for less when hardly anything came again for HK_DECAY_CALM looks. Only while
 * the process works, and while less is free than used: what it frees before it rests must not wait
 * (doubled four times, always, ten minutes of stress held 800 MiB for seconds after their end).
 */
#define HK_DECAY_LEVELS 4u
#define HK_DECAY_FADE   16u /* of what is remembered one part in so many is forgotten a look */
#define HK_DECAY_LEAST  ((uint64_t)(128 * HK_MIB)) /* remembered, of 4 s */
#define HK_DECAY_CALM   64u
struct hk_decay {
    uint64_t given, again; /* bytes, lately */
    uint8_t level, calm;
};
/* Fewer slow paths of malloc between two looks: the process rests. */
#define HK_REST_VISITS 8000u
/* A look ended; bytes given back and bytes taken again since the last one. */
void hk_policy_decay(struct hk_decay *d, uint64_t given, uint64_t again);

/* Whether to look for idle memory now; cut: the last look ended early. */
HK_INLINE bool hk_policy_look_due(uint64_t now_ms, uint64_t last_ms, bool cut)
{
    return now_ms - last_ms >= (cut ? HK_PURGE_ON_MS : HK_PURGE_EVERY_MS);
}

/* A control group that has less than an eighth of its limit left is short of memory. */
#define HK_PRESSURE_EVERY_MS 1000u
HK_INLINE bool hk_policy_pressed(uint64_t limit, uint64_t room)
{
    return room < limit / 8;
}

/*
 * How long memory must have been idle to go: less when much of it lies about, unless exact: what
 * was learned or set is priced by its time, and half of it would cost what was to be saved.
 */
uint32_t hk_policy_purge_idle_ms(const struct hk_purge_view *v, unsigned level, bool exact);

#endif
