/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode's blocks of slabs: checked, kept from use for a while, handed out at random.
 * Why: see harden.h. Order of checks in free: one byte of shadow tells what begins at p; the canary
 *   tells whether p was written beyond. In malloc: a freed block must be as free left it.
 * Threads: the calling thread's own; shadow bytes of blocks that nobody else has.
 */
#include "front/harden.h"

#include <string.h>

#include "front/hardfast.h"
#include "large/guard.h"
#include "os/report.h"
#include "os/sys.h"

#define WIPE_SHORT 64u /* as WIPE_LEVEL_1 in core/harden.c */

const char hk_says_beyond[] = "write beyond the end of a block";
const char hk_says_size[] = "free with a wrong size";

static _Noreturn void die(const char *what, const void *p, unsigned c)
{
    hk_die_block(what, p, 0, hk_class_bytes(c));
}

HK_INLINE size_t room_of(unsigned kind)
{
    return hk_class_bytes(hk_kind_class(kind)) - (hk_is_bare(kind) ? 0 : HK_CANARY_BYTES);
}

/* The bytes that p, live, was asked for, as far as is known; SIZE_MAX if it was overrun. */
HK_INLINE size_t asked_for(const void *p, unsigned kind)
{
    size_t size = hk_class_bytes(hk_kind_class(kind));
    if (HK_UNLIKELY(hk_is_bare(kind))) return size;
    size_t n = hk_sealed(p, size);
    if (HK_UNLIKELY(hk_overrun(p, size, n))) return SIZE_MAX;
    bool told =
        kind < HK_MID_FIRST || hk_slack_noted(p) == hk_slack_told(size - HK_CANARY_BYTES - n);
    return HK_LIKELY(told) ? n : SIZE_MAX;
}

/* ---- the first bytes of a free block, and the last ---- */

/* Sixteen at a time, some more than once if there are fewer than 64: no branch to guess wrong. */
HK_INLINE size_t piece_at(size_t size, size_t off)
{
    return off < size - 16 ? off : size - 16;
}

HK_INLINE char *piece(const char *p, size_t size, size_t off)
{
    return (char *)p + piece_at(size, off);
}

HK_INLINE bool last_of(const char *p, size_t size)
{
    return hk_word_load(p, size - 16) | hk_word_load(p, size - 8);
}

/* A page at the end of a long block that nobody touched is not to become resident. */
HK_INLINE void clear(char *p, size_t size)
{
    if (HK_UNLIKELY(hk_harden.wipe != WIPE_SHORT)) {
        memset(p, 0, size);
        return;
    }
    memset(p, 0, 16);
    memset(piece(p, size, 16), 0, 16);
    memset(piece(p, size, 32), 0, 16);
    if (last_of(p, size)) memset(p + size - 16, 0, 16);
}

HK_INLINE uint64_t any_of(const char *p, size_t size)
{
    typedef uint64_t pair __attribute__((vector_size(16), aligned(1), may_alias));
    pair any = *(const pair *)p | *(const pair *)piece(p, size, 16) |
               *(const pair *)piece(p, size, 32) | *(const pair *)(p + size - 16);
    return any[0] | any[1];
}

static bool is_clear(const char *p, size_t size)
{
    if (any_of(p, size)) return false;
    /* All alike, and the first is 0. */
    return hk_harden.wipe == WIPE_SHORT || size <= 16 || !memcmp(p, p + 16, size - 16);
}

/* p has n bytes from now on. */
HK_INLINE void tell(void *p, unsigned kind, size_t size, size_t n)
{
    hk_shadow_set(p, HK_SHADOW_LIVE | kind);
    if (HK_UNLIKELY(hk_is_bare(kind))) return;
    hk_seal(p, size, n);
    if (kind >= HK_MID_FIRST) hk_slack_note(p, size - HK_CANARY_BYTES - n);
}

/* p, which waited, becomes a block: it never was one, or all of it is looked at, or it is wrong. */
void *hk_hard_arm(void *p, unsigned kind, size_t n)
{
    unsigned c = hk_kind_class(kind), state = hk_shadow_get(p);
    size_t size = hk_class_bytes(c);
    if (state & HK_SHADOW_LIVE)
        die("double free", p, c); /* by two threads at once, or its record was overwritten */
    if (state == HK_SHADOW_FREED && !is_clear(p, size)) die(hk_says_after_free, p, c);
    tell(p, kind, size, n);
    return p;
}

/* ---- magazines ---- */

/* Of small blocks many wait, of big ones few bytes. */
static uint8_t mask_of(unsigned c)
{
    size_t size = hk_class_bytes(c);
    return size <= 256 ? 15 : size <= HK_TINY_MAX ? 7 : size <= 4 * HK_KIB ? 3 : 1;
}

struct hk_hard *hk_hard_of(struct hk_heap *h)
{
    if (h->hard) return h->hard;
    struct hk_hard *hd = hk_front_meta(sizeof *hd);
    if (!hd) return NULL;
    hd->dice = hk_sys_random() * 2 + (uintptr_t)h;
    hd->bins.id = hd->bins.long_id = HK_ID_NONE;
    void **place = hd->place;
    for (unsigned c = 1; c < HK_CLASSES; c++) {
        struct hk_magazine *m = &hd->magazine[c];
        size_t held = mask_of(c) + 1u, size = hk_class_bytes(c);
        m->mask = mask_of(c);
        m->size = (uint32_t)size;
        m->second = (uint8_t)piece_at(size, 16);
        m->third = (uint8_t)piece_at(size, 32);
        m->top = place;
        m->end = place + 2 * held;
        place += 3 * held + 1;
    }
    HK_ASSERT(place == hd->place + HK_PLACES);
    memset(h->sampled, 0, sizeof h->sampled); /* of those served from now on */
    h->hard = hd;
    return hd;
}

/* Some of bin c's list, whose every link is looked at before it is followed, in random order. */
static bool fill_from(struct hk_hard *hd, unsigned c)
{
    struct hk_magazine *m = &hd->magazine[c];
    void *p = hd->bins.bin[c];
    if (!p) return false;
    const struct hk_unit *u = hk_slab_first(hk_unit_of(p));
    if (!hk_is_free(u, p)) hk_die_link(u, p);
    void **ready = m->top + 1;
    unsigned n = 0;
    for (void *next; p && n <= m->mask; p = next) {
        next = hk_slab_next(u, p);
        hd->bins.bin[c] = next;
        memset(p, 0, 16); /* link and mark */
        unsigned at = (unsigned)((uint64_t)hk_hard_dice(hd, 32) * (n + 1) >> 32);
        ready[n++] = ready[at];
        ready[at] = p;
    }
    m->top += n;
    return true;
}

/* The next one that is ready, or NULL. */
HK_INLINE void *take(struct hk_magazine *m, unsigned kind, size_t n)
{
    char *p = *m->top;
    if (HK_UNLIKELY(!p)) return NULL;
    m->top--;
    m->served++;
    bool odd = hk_shadow_get(p) != hk_harden.expected || hk_hard_any(p, m, m->size);
    if (HK_UNLIKELY(odd)) return hk_hard_arm(p, kind, n);
    tell(p, kind, m->size, n);
    return p;
}

static HK_COLD void *guest(unsigned kind, size_t n)
{
    void *p = hk_front_guest_alloc(hk_kind_class(kind));
    if (!p) return NULL;
    memset(p, 0, 16);
    return hk_hard_arm(p, kind, n);
}

static void *alloc_slow(unsigned kind, size_t n, size_t align, const void *site)
{
    struct hk_thread *t = &hk_thread;
    unsigned c = hk_kind_class(kind);
    if (HK_UNLIKELY(!t->hard))
        hk_heap_leave(); /* it is from before hardened mode, if there is one */
    if (HK_UNLIKELY(!t->heap) || (HK_UNLIKELY(hk_shards_apart()) && hk_heap_strayed(t))) {
        if (!hk_heap_attach(t)) return guest(kind, n);
    }
    if (HK_UNLIKELY(hk_guard_on())) {
        void *p = hk_front_sample(c, n, align, false, site);
        if (p) return p;
    }
    if (HK_UNLIKELY(!t->hard)) return NULL;
    struct hk_magazine *m = &t->hard->magazine[c];
    if (!*m->top && !fill_from(t->hard, c) && !(hk_front_refill(c) && fill_from(t->hard, c)))
        return NULL;
    return take(m, kind, n);
}

/* No slab is to be had: longer blocks are better than nothing. */
static HK_COLD void *longer(unsigned kind, size_t n, size_t align, const void *site)
{
    void *p = NULL;
    for (unsigned c = hk_kind_class(kind) + 1; !p && c < HK_CLASSES; c++) {
        if (hk_class_bytes(c) % align == 0) p = alloc_slow(hk_kind_in(c, n), n, align, site);
    }
    return p;
}

HK_INLINE unsigned kind_aligned(size_t n, size_t align)
{
    if (HK_LIKELY(align <= HK_ALIGN_BYTES)) return hk_kind_for(n);
    unsigned c = hk_kind_class(hk_kind_for(n < align ? align : n));
    while (hk_class_bytes(c) % align) c++; /* the last class is the largest align */
    return hk_kind_in(c, n);
}

void *hk_hard_alloc(size_t n, size_t align)
{
    if (HK_LIKELY(n < hk_hard_small()) && HK_LIKELY(align <= HK_ALIGN_BYTES)) return hk_hard_pop(n);
    unsigned kind = kind_aligned(n, align);
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hd)) return NULL;
    return take(&hd->magazine[hk_kind_class(kind)], kind, n);
}

void *hk_hard_alloc_slow(size_t n, size_t align, const void *site)
{
    unsigned kind = kind_aligned(n, align);
    void *p = alloc_slow(kind, n, align, site);
    if (HK_LIKELY(p != NULL)) return p;
    return longer(kind, n, align > HK_ALIGN_BYTES ? align : HK_ALIGN_BYTES, site);
}

/* ---- free ---- */

/* No block begins at p, or none that the program has. */
static HK_COLD bool doubtful(void *p, unsigned state, enum hk_call call)
{
    struct hk_unit *u = hk_unit_of(p);
    uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
    if (owner == HK_OWNER_NONE || owner == HK_OWNER_RUN) return false;
    const struct hk_unit *first = hk_slab_first(u);
    size_t size = hk_class_bytes(first->cls), off = (size_t)((char *)p - hk_unit_addr(first));
    bool freed = state == HK_SHADOW_FREED;
    if (off % size || (!freed && hk_link_key))
        hk_die_block(hk_says_invalid[call], p, off % size, size);
    if (freed) hk_die_block(hk_says_freed[call], p, 0, size);
    return false; /* it was there before hardened mode began */
}

/* What is known of a bare block is its kind, the last eight sizes of its class. */
static bool wrong_size(size_t n, size_t asked, unsigned kind)
{
    return hk_is_bare(kind) ? n > asked || hk_kind_for(n) != kind : n != asked;
}

void hk_hard_give_back(void *p)
{
    struct hk_unit *u = hk_unit_of(p);
    struct hk_heap *h = hk_thread.heap;
    uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
    if (HK_LIKELY(h && hk_owner_heap(owner) == h))
        hk_slab_free(h, hk_slab_first(u), p);
    else
        hk_front_free_other(p, owner, u);
}

bool hk_hard_free_any(void *p, size_t n, bool sized)
{
    uintptr_t off = (uintptr_t)p - hk_window_base;
    if (HK_UNLIKELY(!hk_window_holds(off, &hk_window_end))) return false;
    unsigned state = hk_shadow_get(p), kind = state & ~HK_SHADOW_LIVE;
    if (HK_UNLIKELY(!(state & HK_SHADOW_LIVE)) || HK_UNLIKELY((uintptr_t)p % HK_ALIGN_BYTES))
        return doubtful(p, state, HK_CALL_FREE);
    size_t asked = asked_for(p, kind);
    if (HK_UNLIKELY(asked == SIZE_MAX)) die(hk_says_beyond, p, hk_kind_class(kind));
    if (HK_UNLIKELY(sized) && wrong_size(n, asked, kind)) die(hk_says_size, p, hk_kind_class(kind));
    hk_shadow_set(p, HK_SHADOW_FREED);
    clear(p, hk_class_bytes(hk_kind_class(kind)));
    /* A thread that only frees holds blocks back too, if it can have a heap. */
    if (HK_UNLIKELY(!hk_thread.hard)) {
        hk_heap_leave(); /* from before hardened mode */
        hk_heap_attach(&hk_thread);
    }
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hd)) {
        hk_hard_give_back(p);
        return true;
    }
    hk_hard_hold(hd, &hd->magazine[hk_kind_class(kind)], p);
    return true;
}

bool hk_hard_bytes(const void *p, size_t *n)
{
    unsigned state = hk_unit_of(p) ? hk_shadow_get(p) : 0, kind = state & ~HK_SHADOW_LIVE;
    if (!(state & HK_SHADOW_LIVE) || (uintptr_t)p % HK_ALIGN_BYTES) return false;
    *n = asked_for(p, kind);
    if (*n == SIZE_MAX) die(hk_says_beyond, p, hk_kind_class(kind));
    return true;
}

bool hk_hard_look(void *p, size_t *n)
{
    if (!hk_unit_of(p)) return false;
    unsigned state = hk_shadow_get(p);
    if (!(state & HK_SHADOW_LIVE) || (uintptr_t)p % HK_ALIGN_BYTES)
        return doubtful(p, state, HK_CALL_REALLOC);
    return hk_hard_bytes(p, n);
}

void hk_hard_resize(void *p, size_t n)
{
    unsigned c = hk_kind_class(hk_shadow_get(p) & ~HK_SHADOW_LIVE);
    tell(p, hk_kind_in(c, n), hk_class_bytes(c), n); /* one that was bare may have a canary now */
}

bool hk_hard_stays(void *p, size_t n)
{
    unsigned kind = hk_shadow_get(p) & ~HK_SHADOW_LIVE;
    if (!hk_front_fits(room_of(kind), n)) return false;
    hk_hard_resize(p, n);
    return true;
}

/* ---- what waits goes home ---- */

static void give_home(struct hk_heap *h, void *p)
{
    struct hk_unit *u = hk_slab_first(hk_unit_of(p));
    hk_mark(u, p);
    hk_link_set(p, NULL);
    hk_remote_give(h, u, p, p, 1);
}

void hk_hard_flush_class(struct hk_heap *h, unsigned c)
{
    if (!h->hard) return;
    struct hk_magazine *m = &h->hard->magazine[c];
    while (*m->top) give_home(h, *m->top--);
    for (void **held = m->end + 1; held <= m->end + 1 + m->mask; held++) {
        if (*held) give_home(h, *held);
        *held = NULL;
    }
}

void hk_hard_flush(struct hk_heap *h)
{
    for (unsigned c = 1; h->hard && c < HK_CLASSES; c++) hk_hard_flush_class(h, c);
}

static void look_at(const char *p, unsigned c)
{
    if (p && hk_shadow_get(p) == HK_SHADOW_FREED && !is_clear(p, hk_class_bytes(c)))
        die(hk_says_after_free, p, c);
}

void hk_hard_look_at_free(struct hk_heap *h)
{
    for (unsigned c = 1; h->hard && c < HK_CLASSES; c++) {
        const struct hk_magazine *m = &h->hard->magazine[c];
        for (void **ready = m->top; *ready; ready--) look_at(*ready, c);
        for (unsigned i = 0; i <= m->mask; i++) look_at(m->end[1 + i], c);
    }
}

void hk_hard_forget(struct hk_heap *h)
{
    if (!h->hard) return;
    memset(h->hard->bins.bin, 0, sizeof h->hard->bins.bin);
    for (unsigned c = 1; c < HK_CLASSES; c++) {
        struct hk_magazine *m = &h->hard->magazine[c];
        m->top = m->end - 2 * ((size_t)m->mask + 1);
        memset(m->end + 1, 0, (m->mask + 1u) * sizeof *m->end);
    }
}
