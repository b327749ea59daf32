/* SPDX-License-Identifier: MIT */
/*
 * What: the pool of guarded blocks, whose turn it is, and what is said of a misuse.
 * Why: see guard.h.
 *
 * Pages: closed, slot 0, closed, slot 1, … closed: a slot has an inaccessible page on both sides.
 *
 * Ordering: a slot's word is what changes hands: FREE → TAKEN and LIVE → GOING are
 * compare-exchanges with acquire, LIVE and FREE are stored with release; who holds the slot sees
 * all that the last one wrote to its record.
 */
#include "large/guard.h"

#include <string.h>

#include "core/map.h"
#include "os/lock.h"
#include "os/object.h"
#include "os/report.h"
#include "os/sys.h"
#include "os/trap.h"

/* Low bits of a slot's word; above them hk_lock_me of who brought it there. */
enum { FREE, TAKEN, LIVE, GOING, STATES };
#define STATE_BITS 2

#define NAME_MOST 60 /* characters of a file's name: the line is to hold two */

struct slot {
    _Atomic uint64_t word;
    _Atomic uint64_t rests; /* since the so-manieth free; 0: it was never used */
    char *p;                /* the last block; NULL: there was none */
    size_t n;
    const void *allocated, *freed; /* by calls that return there; NULL: not known, realloc */
    uint64_t allocator, freer;     /* threads */
};

struct pool {
    char *base;
    size_t page, bytes;
    uint32_t slots;
    _Atomic uint64_t frees, sampled;
    struct slot slot[];
};

_Atomic uint32_t hk_guard_every;
static _Atomic uint32_t slots_wanted;
static _Atomic(struct pool *) pool;
static _Atomic uint64_t dice;
/* Allocations until the next sample, less those that are overdue; 0: not thrown yet. */
static _Thread_local int64_t left __attribute__((tls_model("initial-exec")));

static uint64_t roll(uint64_t faces)
{
    uint64_t z = atomic_fetch_add_explicit(&dice, 0x9e3779b97f4a7c15u, memory_order_relaxed);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z >> 32) * faces >> 32;
}

bool hk_guard_turn(int64_t passed)
{
    uint64_t every = atomic_load_explicit(&hk_guard_every, memory_order_relaxed);
    if (left == 0) { /* the smaller of two: what is left for who comes by at any time */
        uint64_t a = roll(2 * every - 1), b = roll(2 * every - 1);
        left = 1 + (int64_t)(a < b ? a : b);
    }
    left -= passed;
    if (left > 0) return false;
    left += 1 + (int64_t)roll(2 * every - 1);
    return true;
}

static struct pool *get_pool(void)
{
    struct pool *g = atomic_load_explicit(&pool, memory_order_acquire), *mine;
    if (g || !hk_map_init()) return g;
    uint32_t slots = atomic_load_explicit(&slots_wanted, memory_order_relaxed);
    size_t page = hk_sys_page_bytes(), bytes = (2 * (size_t)slots + 1) * page;
    char *base = hk_sys_map_closed(bytes);
    if (!base) return NULL;
    mine = hk_meta_alloc(sizeof *mine + slots * sizeof(struct slot));
    if (mine) {
        mine->base = base;
        mine->page = page;
        mine->bytes = bytes;
        mine->slots = slots;
        if (atomic_compare_exchange_strong_explicit(&pool, &g, mine, memory_order_acq_rel,
                                                    memory_order_acquire))
            return mine;
    }
    hk_sys_drop(base, bytes); /* another thread was quicker, or there is no memory for records */
    return g;
}

static char *page_of(const struct pool *g, const struct slot *s)
{
    return g->base + (2 * (size_t)(s - g->slot) + 1) * g->page;
}

static unsigned state_of(const struct slot *s)
{
    return (unsigned)atomic_load_explicit(&s->word, memory_order_acquire) & (STATES - 1);
}

static uint64_t who(const struct slot *s)
{
    return atomic_load_explicit(&s->word, memory_order_relaxed) >> STATE_BITS;
}

static uint64_t me(void)
{
    return (uint64_t)hk_lock_me();
}

static bool move(struct slot *s, unsigned from, unsigned to)
{
    uint64_t is = atomic_load_explicit(&s->word, memory_order_relaxed);
    return (is & (STATES - 1)) == from &&
           atomic_compare_exchange_strong_explicit(&s->word, &is, me() << STATE_BITS | to,
                                                   memory_order_acquire, memory_order_relaxed);
}

static void put(struct slot *s, unsigned state)
{
    atomic_store_explicit(&s->word, me() << STATE_BITS | state, memory_order_release);
}

/* G3 */
static struct slot *take_oldest(struct pool *g)
{
    for (;;) {
        struct slot *best = NULL;
        uint64_t least = UINT64_MAX;
        for (struct slot *s = g->slot; s < g->slot + g->slots; s++) {
            uint64_t rests = atomic_load_explicit(&s->rests, memory_order_relaxed);
            if (rests >= least || state_of(s) != FREE) continue;
            best = s;
            least = rests;
        }
        if (!best || move(best, FREE, TAKEN)) return best;
    }
}

bool hk_guard_fits(size_t n, size_t align)
{
    size_t page = hk_sys_page_bytes();
    return n <= page && align <= page;
}

/* At the page's end, as far as its alignment allows, or at its begin. */
static char *place(char *page, size_t bytes, size_t n, size_t align)
{
    if (roll(2)) return page;
    if (align < HK_ALIGN_BYTES) align = HK_ALIGN_BYTES;
    return page + ((bytes - (n ? n : 1)) & ~(align - 1));
}

void *hk_guard_alloc(size_t n, size_t align, bool zero, const void *site)
{
    struct pool *g = get_pool();
    struct slot *s = g ? take_oldest(g) : NULL;
    if (!s) {
        left = 0; /* else all that found no room were made up for in a row */
        return NULL;
    }
    char *page = page_of(g, s);
    if (!hk_sys_protect(page, g->page, HK_ACCESS_ALL)) {
        put(s, FREE); /* as it was: it is the oldest still */
        return NULL;
    }
    s->p = place(page, g->page, n, align);
    s->n = n;
    s->allocated = site;
    s->freed = NULL;
    s->allocator = me();
    memset(page, HK_GUARD_FILL, (size_t)(s->p - page)); /* G2 */
    memset(s->p + n, HK_GUARD_FILL, (size_t)(page + g->page - s->p) - n);
    if (zero) memset(s->p, 0, n);
    atomic_fetch_add_explicit(&g->sampled, 1, memory_order_relaxed);
    char *p = s->p;
    put(s, LIVE);
    return p;
}

bool hk_guard_holds(const void *p)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    return g && (uintptr_t)p - (uintptr_t)g->base < g->bytes;
}

/* ---- what is said ---- */

static size_t distance(const struct slot *s, const char *at)
{
    if (!s->p) return SIZE_MAX;
    return at < s->p ? (size_t)(s->p - at) : at < s->p + s->n ? 0 : (size_t)(at - s->p) - s->n;
}

/* The slot that `at`, in the pool, most likely was to belong to; NULL: no block was near it. */
static const struct slot *nearest(const struct pool *g, const char *at)
{
    size_t i = (size_t)(at - g->base) / g->page;
    const struct slot *right = &g->slot[i / 2], *l = right - 1;
    if (i % 2) return right->p ? right : NULL;
    size_t to_left = i ? distance(l, at) : SIZE_MAX;
    size_t to_right = i / 2 < g->slots ? distance(right, at) : SIZE_MAX;
    if (to_left == SIZE_MAX && to_right == SIZE_MAX) return NULL;
    return to_left < to_right ? l : right;
}

static void tell_call(struct hk_text *t, const char *what, const void *site, uint64_t by)
{
    struct hk_object o;
    hk_text_str(t, what);
    hk_text_hex(t, (uintptr_t)site);
    if (hk_object_loaded(site, &o)) {
        hk_text_str(t, " (");
        for (size_t i = 0; i < o.len && i < NAME_MOST; i++)
            hk_text_str(t, (const char[]){o.name[i], 0});
        hk_text_str(t, "+");
        hk_text_hex(t, o.offset);
        hk_text_str(t, ")");
    }
    if (by != me()) hk_text_str(t, " in another thread");
}

static HK_COLD _Noreturn void die(const char *what, const void *at, const struct slot *s)
{
    char more[360];
    struct hk_text t = {more, sizeof more - 1, 0};
    if (s) {
        bool before = (const char *)at < s->p, beyond = (const char *)at >= s->p + s->n;
        hk_text_str(&t, ", ");
        hk_text_dec(&t, before || beyond ? distance(s, at) : (size_t)((const char *)at - s->p));
        hk_text_str(&t, before   ? " bytes before a block of "
                        : beyond ? " bytes beyond the end of a block of "
                                 : " bytes into a block of ");
        hk_text_dec(&t, s->n);
        if (s->allocated) tell_call(&t, ", allocated by ", s->allocated, s->allocator);
        if (state_of(s) == FREE || state_of(s) == GOING) {
            if (s->freed)
                tell_call(&t, ", freed by ", s->freed, s->freer);
            else
                hk_text_str(&t, ", freed by realloc");
        }
    }
    more[t.len] = 0;
    hk_die_more(what, at, more);
}

/* All faults in the pool are the program's. Of a block: what it is to the nearest one. */
static void look_at_fault(const void *at)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    if (!hk_guard_holds(at)) return;
    const struct slot *s = nearest(g, at);
    const char *what = "invalid access";
    if (s && (state_of(s) == FREE || state_of(s) == GOING))
        what = "use after free";
    else if (s && ((size_t)((const char *)at - g->base) / g->page) % 2 == 0)
        what = (const char *)at < s->p ? "underflow" : "overflow";
    die(what, at, s);
}

/* The slot of p, a block in use, or the program ends. */
static struct slot *in_use(const struct pool *g, const void *p, const char *twice,
                           const char *invalid)
{
    struct slot *s = (struct slot *)nearest(g, p);
    if (!s || s->p != p) die(invalid, p, s);
    if (state_of(s) != LIVE) die(twice, p, s);
    return s;
}

/* ---- what comes back ---- */

static bool is_filled(const char *p, size_t n)
{
    return n == 0 || (*(const unsigned char *)p == HK_GUARD_FILL && memcmp(p, p + 1, n - 1) == 0);
}

/* G2, or the program ends. */
static void check_fill(const struct pool *g, const struct slot *s)
{
    const char *page = page_of(g, s), *end = page + g->page, *at = s->p + s->n;
    if (HK_UNLIKELY(!is_filled(at, (size_t)(end - at)))) {
        while (*(const unsigned char *)at == HK_GUARD_FILL) at++;
        die("write beyond a block", at, s);
    }
    at = s->p;
    if (HK_UNLIKELY(!is_filled(page, (size_t)(at - page)))) {
        while (*(const unsigned char *)--at == HK_GUARD_FILL) continue;
        die("write before a block", at, s);
    }
}

static void rest(struct pool *g, struct slot *s)
{
    uint64_t since = 1 + atomic_fetch_add_explicit(&g->frees, 1, memory_order_relaxed);
    atomic_store_explicit(&s->rests, since, memory_order_relaxed);
    put(s, FREE);
}

bool hk_guard_free(void *p, const void *site)
{
    struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    if (HK_LIKELY(!hk_guard_holds(p))) return false;
    struct slot *s = in_use(g, p, "double free", "free of an invalid pointer");
    if (!move(s, LIVE, GOING)) die("double free", p, s);
    s->freed = site;
    s->freer = me();
    check_fill(g, s);
    hk_sys_protect(page_of(g, s), g->page, HK_ACCESS_NONE); /* refused: it rests accessible */
    rest(g, s);
    return true;
}

size_t hk_guard_bytes(const void *p)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    const struct slot *s = nearest(g, p);
    return s && s->p == p && state_of(s) == LIVE ? s->n : 0;
}

size_t hk_guard_resized(const void *p)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    return in_use(g, p, "realloc of a freed block", "realloc of an invalid pointer")->n;
}

/* ---- start, fork, checks ---- */

void hk_guard_start(uint32_t every, uint32_t slots)
{
    atomic_store_explicit(&slots_wanted, slots, memory_order_relaxed);
    if (!hk_guard_on()) atomic_store_explicit(&dice, hk_sys_random(), memory_order_relaxed);
    hk_trap_start(look_at_fault);
    atomic_store_explicit(&hk_guard_every, every, memory_order_release);
}

void hk_guard_fork_child(void)
{
    struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    for (uint32_t i = 0; g && i < g->slots; i++) {
        struct slot *s = &g->slot[i];
        unsigned state = state_of(s);
        if ((state != TAKEN && state != GOING) || who(s) == me()) continue;
        if (state == TAKEN) s->p = NULL; /* half written */
        rest(g, s);
    }
}

size_t hk_guard_check(void)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    if (!g) return 0;
    for (uint32_t i = 0; i < g->slots; i++) {
        const struct slot *s = &g->slot[i];
        unsigned state = state_of(s);
        HK_CHECK(state == FREE || state == LIVE, s);
        HK_CHECK(s->p || state == FREE, s);
        if (!s->p) continue;
        const char *page = page_of(g, s);
        HK_CHECK(s->p >= page && s->p + s->n <= page + g->page, s);
        if (state == LIVE) check_fill(g, s);
    }
    return g->bytes;
}

void hk_guard_read_stats(struct hk_guard_stats *out)
{
    const struct pool *g = atomic_load_explicit(&pool, memory_order_acquire);
    *out = (struct hk_guard_stats){0};
    for (uint32_t i = 0; g && i < g->slots; i++) out->live += state_of(&g->slot[i]) == LIVE;
    if (g) out->sampled = atomic_load_explicit(&g->sampled, memory_order_relaxed);
}
