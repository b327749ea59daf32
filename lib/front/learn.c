/* SPDX-License-Identifier: MIT */
/*
 * What: windows: what all threads noted since the last one, into the learner.
 * Why: see learn.h.
 */
#include "front/learn.h"

#include <string.h>

#include "core/pool.h"
#include "front/front.h"
#include "large/dense.h"
#include "large/touch.h"
#include "os/lock.h"
#include "os/sys.h"

#define WINDOWS_MOST 16u      /* that one may last */
#define PRICE_MOST   1000000u /* ns; more was another thread's time */
#define LOOK_WAITS   2000     /* of 50 µs */
#define FORK_WAITS   20       /* yields */

/* Sums since the start, at the end of the last window; they wrap. */
struct sums {
    uint64_t asked[HK_RUN_CLASSES], had[HK_RUN_CLASSES], rounded[2];
    uint64_t live; /* runs that are blocks, not those mapped by themselves; not a sum over time */
    uint64_t big, refault_kib, calls, purge_ns, purges, purge_kib, touched_kib[2];
};

/* Plain requests by size, since the last window. */
struct noted_sizes {
    _Atomic uint32_t count[HK_SIZES_BUCKETS], largest[HK_SIZES_BUCKETS];
    struct hk_window window; /* R1; 4 KiB that stacks of handlers do not have */
};

_Atomic(struct hk_learner *) hk_learner_here;
static _Atomic(struct noted_sizes *) noted_sizes;
static _Atomic uint32_t inside;       /* 1: somebody is */
static _Atomic uintptr_t inside_by;   /* hk_lock_me() of who; 0 a moment around it */
static struct sums seen;              /* R1 */
static _Atomic uint64_t window_began; /* ms */
static uint64_t window_began_ns;      /* R1; the same, exact */
static uint64_t window_most;          /* ms; constant */

static struct hk_learner *enter(void)
{
    uint32_t zero = 0;
    struct hk_learner *l = atomic_load_explicit(&hk_learner_here, memory_order_acquire);
    if (!l || !atomic_compare_exchange_strong_explicit(&inside, &zero, 1, memory_order_acquire,
                                                       memory_order_relaxed))
        return NULL;
    atomic_store_explicit(&inside_by, hk_lock_me(), memory_order_relaxed);
    return l;
}

static void leave(void)
{
    atomic_store_explicit(&inside_by, 0, memory_order_relaxed);
    atomic_store_explicit(&inside, 0, memory_order_release);
}

/* at_once: what lies free goes; not while inside, as it may take the kernel long. */
static void leave_then_give(bool at_once)
{
    leave();
    if (HK_UNLIKELY(at_once)) hk_pool_purge(1, 0);
}

static bool occupied(void)
{
    return atomic_load_explicit(&inside, memory_order_relaxed) != 0;
}

static bool occupied_by_me(void)
{
    return occupied() && atomic_load_explicit(&inside_by, memory_order_relaxed) == hk_lock_me();
}

static void add_heap(struct sums *s, const struct hk_heap *h)
{
    const struct hk_run_counts *n = &h->run_counts;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        s->asked[c] += atomic_load_explicit(&n->asked[c], memory_order_relaxed);
        s->had[c] += atomic_load_explicit(&n->had[c], memory_order_relaxed);
    }
    for (unsigned b = 0; b < 2; b++)
        s->rounded[b] += atomic_load_explicit(&n->rounded[b], memory_order_relaxed);
}

static struct sums sum_up(void)
{
    struct sums s = {.big = 0};
    struct hk_pool_stats p;
    struct hk_large_stats large = {.frees = 0};
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        add_heap(&s, h);
        hk_large_add_stats(&large, &h->large);
    }
    s.big = large.big_allocs; /* those of threads without a heap are no requests of a window's */
    hk_large_add_stats(&large, &hk_large_nobodys);
    uint64_t made = large.large_allocs + large.big_allocs;
    s.live = made > large.frees ? made - large.frees : 0; /* counts of one moment, about */
    hk_pool_read_stats(&p);
    s.refault_kib = p.refault_bytes / HK_KIB;
    s.calls = p.purges;
    hk_dense_touched(s.touched_kib);
    s.purge_ns = atomic_load_explicit(&hk_sys_purge_ns, memory_order_relaxed);
    s.purges = atomic_load_explicit(&hk_sys_purges_timed, memory_order_relaxed);
    s.purge_kib = atomic_load_explicit(&hk_sys_purge_bytes, memory_order_relaxed) / HK_KIB;
    return s;
}

/* Requests since the last window. */
static uint64_t noted(const struct sums *s)
{
    uint64_t n = s->big - seen.big;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) n += (uint32_t)(s->asked[c] - seen.asked[c]);
    return n;
}

static void put_sizes(struct hk_window *w)
{
    struct noted_sizes *z = atomic_load_explicit(&noted_sizes, memory_order_acquire);
    for (unsigned b = 0; z && b < HK_SIZES_BUCKETS; b++) {
        w->size_count[b] = atomic_exchange_explicit(&z->count[b], 0, memory_order_relaxed);
        w->size_largest[b] = atomic_exchange_explicit(&z->largest[b], 0, memory_order_relaxed);
    }
}

static void put_idle(struct hk_window *w)
{
    struct hk_idle_times back[HK_BANDS], still[HK_BANDS];
    hk_pool_idle(back, still);
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        for (unsigned i = 0; i < HK_IDLE_BUCKETS; i++) {
            w->idle[b].again[i] = back[b + 1].units[i] * (uint64_t)(HK_UNIT_BYTES / HK_KIB);
            w->idle[b].still[i] = still[b + 1].units[i] * (uint64_t)(HK_UNIT_BYTES / HK_KIB);
        }
    }
}

static void put_prices(struct hk_window *w, uint64_t ns, uint64_t calls, uint64_t kib)
{
    hk_touch_prices(w->touch_ns);
    uint32_t touch = w->touch_ns[0];
    w->prices = HK_PRICES_DEFAULT;
    uint64_t give = kib ? ns * HK_IDLE_CALL_KIB / kib : PRICE_MOST;
    if (calls && ns / calls < PRICE_MOST) w->prices.call_ns = (uint32_t)(ns / calls);
    if (give < PRICE_MOST) w->prices.give_ns = (uint32_t)give;
    if (!touch) return;
    /* To hold for half a second costs as much as to fault in again, whatever that costs here. */
    w->prices.refault_ns_per_kib = touch;
    w->prices.hold_ns_per_kib_s = 2 * touch;
}

/* What happened since `seen`; 32-bit counts of heaps wrap. */
static void observe(struct hk_window *w, const struct sums *s, uint64_t ms)
{
    memset(w, 0, sizeof *w);
    w->ms = ms;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        w->asked[c] = (uint32_t)(s->asked[c] - seen.asked[c]);
        w->had[c] = (uint32_t)(s->had[c] - seen.had[c]);
        if (w->had[c] > w->asked[c]) w->had[c] = w->asked[c]; /* read a moment later */
        w->requests += w->asked[c];
    }
    for (unsigned b = 0; b < 2; b++) w->rounded[b] = (uint32_t)(s->rounded[b] - seen.rounded[b]);
    w->live = s->live;
    w->big = s->big - seen.big;
    w->requests += w->big;
    for (unsigned i = 0; i < 2; i++) w->touched_kib[i] = s->touched_kib[i] - seen.touched_kib[i];
    w->refault_kib = s->refault_kib - seen.refault_kib;
    w->calls = s->calls - seen.calls;
    w->held_kib = hk_pool_dirty_units() * (HK_UNIT_BYTES / HK_KIB);
    put_sizes(w);
    put_idle(w);
    put_prices(w, s->purge_ns - seen.purge_ns, s->purges - seen.purges,
               s->purge_kib - seen.purge_kib);
}

/* Whether some freed memory does not stay any more that did. */
static bool sooner(struct hk_snapshot was, struct hk_snapshot is)
{
    bool any = false;
    for (unsigned b = HK_BAND_MID; b < HK_BANDS; b++)
        any |= hk_policy_action(is, (enum hk_band)b) == HK_ACTION_NOW &&
               hk_policy_action(was, (enum hk_band)b) != HK_ACTION_NOW;
    return any;
}

/*
 * While all is frozen slow paths note nothing, but for one window now and then. True: what lies
 * free is to go, as what comes to lie there does not stay any more.
 */
static bool put_in_force(struct hk_learner *l, bool watch)
{
    struct hk_snapshot s = l->now, was = hk_policy_now();
    hk_dyn_set(l->sizes_now); /* if no slot is free now, one may be at the next window's end */
    s.dyn = hk_dyn_now() != 0;
    s.learn = l->life.state != HK_LIFE_STATE_FROZEN || watch;
    hk_pool_watch(s.learn);
    hk_sys_time_purges(s.learn);
    hk_policy_publish(s);
    return sooner(was, s);
}

/* At s; as put_in_force. */
static bool close_window(struct hk_learner *l, const struct sums *s)
{
    uint64_t now = hk_sys_now_ms(),
             began = atomic_load_explicit(&window_began, memory_order_relaxed);
    uint64_t ms = now > began ? now - began : 0;
    struct hk_window *w = &atomic_load_explicit(&noted_sizes, memory_order_acquire)->window;
    observe(w, s, ms);
    uint64_t now_ns = hk_sys_now_ns();
    w->us = (now_ns - window_began_ns) / 1000;
    window_began_ns = now_ns;
    seen = *s;
    hk_learner_window(l, w);
    atomic_store_explicit(&window_began, now, memory_order_relaxed);
    return put_in_force(l, false);
}

bool hk_learn_start(const struct hk_learn_config *config, uint32_t window_ms)
{
    /* The window first: it comes with room for records. */
    struct hk_learner *l = hk_map_init() ? hk_meta_alloc(sizeof *l) : NULL;
    struct noted_sizes *z = l ? hk_meta_alloc(sizeof *z) : NULL;
    if (!z) return false;
    atomic_store_explicit(&noted_sizes, z, memory_order_release);
    hk_learner_init(l, config);
    window_most = window_ms;
    window_began_ns = hk_sys_now_ns();
    atomic_store_explicit(&window_began, hk_sys_now_ms(), memory_order_relaxed);
    atomic_store_explicit(&hk_learner_here, l, memory_order_release);
    if (!enter()) return true;
    leave_then_give(put_in_force(l, false));
    return true;
}

/* Counts of all threads, and now and then one is lost: a tendency is all that is asked of them. */
static void note_size(size_t n)
{
    struct noted_sizes *z = atomic_load_explicit(&noted_sizes, memory_order_acquire);
    unsigned b = hk_sizes_bucket(n);
    if (!z || b >= HK_SIZES_BUCKETS) return;
    uint32_t count = atomic_load_explicit(&z->count[b], memory_order_relaxed);
    atomic_store_explicit(&z->count[b], count + 1, memory_order_relaxed);
    if (n > atomic_load_explicit(&z->largest[b], memory_order_relaxed))
        atomic_store_explicit(&z->largest[b], (uint32_t)n, memory_order_relaxed);
}

void hk_learn_request(struct hk_heap *h, size_t n, bool plain, bool served)
{
    if (plain) note_size(n);
    if (served) hk_runs_note(h, hk_run_class((unsigned)hk_bytes_to_units(n)));
    if (++h->learn_requests % HK_LEARN_REQUESTS) return;
    struct hk_learner *l = enter();
    if (!l) return;
    struct sums s = sum_up();
    leave_then_give(close_window(l, &s));
}

void hk_learn_look_at_clock(uint64_t now)
{
    uint64_t began = atomic_load_explicit(&window_began, memory_order_relaxed);
    /* now was read a while ago: another thread may have begun a window since. */
    if (now < began || now - began < window_most) return;
    bool at_once = false;
    struct hk_learner *l = enter();
    if (!l) return;
    began = atomic_load_explicit(&window_began, memory_order_relaxed);
    if (now < began || now - began < window_most) {
        /* It was closed meanwhile. */
    } else if (hk_policy_now().learn) {
        struct sums s = sum_up();
        /* Too few requests tell nothing, unless nothing else comes. */
        if (noted(&s) >= HK_LIFE_REQUESTS || now - began >= WINDOWS_MOST * window_most)
            at_once = close_window(l, &s);
    } else if (l->life.state == HK_LIFE_STATE_FROZEN) {
        seen = sum_up();
        window_began_ns = hk_sys_now_ns();
        atomic_store_explicit(&window_began, now, memory_order_relaxed);
        at_once = put_in_force(l, true);
    }
    leave_then_give(at_once);
}

const struct hk_learner *hk_learn_look(bool *busy)
{
    struct hk_learner *l = NULL;
    *busy = false;
    if (!atomic_load_explicit(&hk_learner_here, memory_order_acquire)) return NULL;
    /* Not for ever: a signal handler may have come while its own thread is inside. */
    for (int i = 0; i < LOOK_WAITS && !occupied_by_me() && !(l = enter()); i++) hk_sys_pause();
    *busy = l == NULL;
    return l;
}

void hk_learn_let_go(void)
{
    leave();
}

void hk_learn_fork_prepare(void)
{
    for (int i = 0; i < FORK_WAITS && occupied() && !occupied_by_me(); i++) hk_sys_yield();
}

/* What another thread was at is torn: nothing more is learned here, and what is in force stays. */
void hk_learn_fork_child(void)
{
    if (!occupied() || occupied_by_me()) return;
    struct hk_snapshot s = hk_policy_now();
    s.learn = 0;
    hk_policy_publish(s);
    hk_pool_watch(false);
    hk_sys_time_purges(false);
    atomic_store_explicit(&hk_learner_here, NULL, memory_order_relaxed);
    leave();
}
