/* SPDX-License-Identifier: MIT */
/*
 * What: whether big blocks that were handed out in small pages were filled, by the page faults that
 *   the thread had from then until it asks for the next one.
 * Why: a program that fills its blocks mostly fills the last one before it takes the next, and has
 *   one fault a page then. mincore(2) would know exactly, but service managers' filters kill for
 *   it; getrusage(2) is on their lists.
 * Invariants: D1 who holds `looking` alone touches what is below it.
 */
#include "large/dense.h"

#include "core/huge.h"
#include "large/touch.h"
#include "os/lock.h"
#include "os/sys.h"
#include "policy/snapshot.h"

static _Atomic uint8_t mode = HK_THP_AUTO;
static atomic_flag looking = ATOMIC_FLAG_INIT;
static _Atomic uint64_t touched_kib[2]; /* of clean blocks: in small pages, in huge ones */
static struct hk_density big[HK_HUGE_BANDS], chunks;
/* The last one in small pages, its bytes (0: none), and the thread's faults at that moment. */
static struct watch {
    size_t bytes, faults;
    uintptr_t by;
} last_big, last_chunk;

void hk_dense_set_mode(enum hk_thp m)
{
    atomic_store_explicit(&mode, (uint8_t)m, memory_order_relaxed);
    hk_huge_set_always(m == HK_THP_ON);
}

/* With bigger pages a huge one is not a chunk's size. */
static bool automatic(void)
{
    return atomic_load_explicit(&mode, memory_order_relaxed) == HK_THP_AUTO &&
           hk_sys_page_bytes() == 4096;
}

static bool enter(void)
{
    return !atomic_flag_test_and_set_explicit(&looking, memory_order_acquire);
}

/* What the last one tells, if it is this thread's. */
static void look_at(struct watch *w, struct hk_density *d, unsigned least)
{
    size_t pages = w->bytes / hk_sys_page_bytes();
    if (w->bytes && w->by == hk_lock_me())
        hk_policy_huge_seen(d, hk_sys_thread_faults() - w->faults, pages, least);
    w->bytes = 0;
}

static void begin(struct watch *w, size_t bytes)
{
    *w = (struct watch){bytes, hk_sys_thread_faults(), hk_lock_me()};
}

/* Where huge pages do not pay, one in some is given all the same, to see whether they do again. */
static bool affordable(void)
{
    static uint32_t refused; /* D1 */
    return hk_touch_huge_pays() || ++refused % HK_HUGE_TRIAL == 0;
}

void hk_dense_big(void *p, size_t bytes, bool clean)
{
    struct hk_density *d = &big[hk_policy_huge_band(bytes)];
    if (!automatic()) return;
    if (!enter()) {
        hk_huge_advise(p, bytes >> HK_UNIT_SHIFT, HK_HUGE_NO);
        return;
    }
    look_at(&last_big, &big[hk_policy_huge_band(last_big.bytes)], HK_HUGE_FILLED);
    struct hk_snapshot s = hk_policy_now();
    bool filled = d->score > 0, large = bytes >= hk_policy_huge_from(s.huge_from),
         want = hk_policy_huge_next(d) && large && affordable();
    if (!want && clean) begin(&last_big, bytes);
    atomic_flag_clear_explicit(&looking, memory_order_release);
    hk_huge_advise(p, bytes >> HK_UNIT_SHIFT, want ? HK_HUGE_BIG : HK_HUGE_NO);
    if (clean && s.learn)
        atomic_fetch_add_explicit(&touched_kib[want], bytes / HK_KIB, memory_order_relaxed);
    if (clean && want && hk_huge_is(p)) hk_touch_huge(p);
    if (clean && filled && !want) hk_touch_small(p);
}

void hk_dense_chunk(void *p, size_t units)
{
    if (!automatic() || hk_huge_is(p) || !enter()) return;
    look_at(&last_chunk, &chunks, HK_HUGE_SHARED_FILLED);
    bool want = hk_policy_huge_next(&chunks);
    if (!want) begin(&last_chunk, HK_CHUNK_BYTES);
    atomic_flag_clear_explicit(&looking, memory_order_release);
    if (want) hk_huge_share(p, units);
}

void hk_dense_touched(uint64_t kib[2])
{
    for (unsigned i = 0; i < 2; i++)
        kib[i] = atomic_load_explicit(&touched_kib[i], memory_order_relaxed);
}

void hk_dense_fork_child(void)
{
    last_big.bytes = last_chunk.bytes = 0;
    atomic_flag_clear_explicit(&looking, memory_order_relaxed); /* by a thread that is not here */
}
