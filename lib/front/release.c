/* SPDX-License-Identifier: MIT */
/*
 * What: free's slow half, realloc and the usable size: everything that starts from a pointer.
 * Why: one place turns a pointer that is not a plain local block into what it is.
 */
#include <string.h>

#include "front/fast.h"
#include "front/harden.h"
#include "large/guard.h"
#include "large/large.h"
#include "large/mapped.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"
#include "policy/policy.h"

/* Record of p, and its owner word; HK_OWNER_NONE if p cannot be a block of ours. */
HK_INLINE struct hk_unit *find(const void *p, uintptr_t *owner)
{
    struct hk_unit *u = hk_unit_of(p);
    *owner = u ? atomic_load_explicit(&u->owner, memory_order_relaxed) : HK_OWNER_NONE;
    if (*owner == HK_OWNER_RUN && HK_UNLIKELY(p != hk_unit_addr(u))) *owner = HK_OWNER_NONE;
    return u;
}

/* What is neither ours nor the C library's ends the program. */
static void free_outside(void *p)
{
    if (!p) return;
    if (hk_guard_free(p, __builtin_return_address(0)) || hk_mapped_free(p)) {
        hk_front_tick();
        return;
    }
    if (!hk_sys_libc_owns(p)) hk_die("free of an invalid pointer", p);
    hk_sys_libc_free(p);
}

/* In hardened mode, neither a small block nor a pointer that is known to be wrong. */
static HK_NOINLINE void free_rest(void *p)
{
    uintptr_t owner;
    struct hk_unit *u = find(p, &owner);
    if (owner == HK_OWNER_NONE)
        free_outside(p);
    else
        hk_front_free_other(p, owner, u);
}

void hk_front_free_hard(void *p, size_t n, bool sized)
{
    if (hk_hard_free_any(p, n, sized)) return;
    if (sized) hk_hard_run_sized(p, n);
    free_rest(p);
}

void hk_front_free_far_sized(void *p, size_t n)
{
    if (!hk_hardened())
        free_outside(p);
    else
        hk_hard_free_sized(p, n);
}

void hk_front_free_far(void *p)
{
    if (!hk_hardened())
        free_outside(p);
    else
        hk_hard_free(p);
}

/* Hardened mode's last look at a run; false: it cannot be used any more. */
static HK_COLD bool harden_end(struct hk_unit *u, void *p)
{
    hk_hard_run_wipe(u, p);
    if (hk_hard_run_disarm(u, p)) return true;
    hk_large_retire(hk_heap_counts(hk_thread.heap), u);
    return false;
}

static HK_NOINLINE void free_run(void *p, struct hk_unit *u)
{
    if (HK_UNLIKELY(p != hk_unit_addr(u))) hk_die("free of an invalid pointer", p);
    hk_fork_courtesy();
    struct hk_thread *t = &hk_thread;
    if (hk_hardened() && !harden_end(u, p)) return;
    bool big = u->run_units >= HK_CHUNK_UNITS,
         heap = HK_LIKELY(t->heap != NULL) || hk_heap_attach(t);
    if (!heap || HK_UNLIKELY(hk_large_rule(u)) || !hk_runs_keep(t->heap, u))
        hk_large_free(hk_heap_counts(t->heap), u, p);
    if (big || !heap)
        hk_front_tick();
    else
        hk_front_pace(t->heap);
}

HK_COLD void hk_front_free_doubtful(void *p, struct hk_heap *h, struct hk_unit *first)
{
    hk_slab_doubt(first, p, HK_CALL_FREE);
    hk_slab_free(h, first, p);
}

/* p lies in unit u of somebody's slab. */
HK_INLINE void check_foreign(const struct hk_unit *first, const struct hk_unit *u, const void *p,
                             enum hk_call call)
{
    if (HK_LIKELY(hk_begins_foreign(u, p)) && HK_LIKELY(!hk_is_marked(first, p))) return;
    hk_slab_doubt(first, p, call);
}

static HK_NOINLINE void free_foreign(void *p, struct hk_unit *unit)
{
    struct hk_thread *t = &hk_thread;
    hk_fetch_to_write(p); /* a look at its mark alone would move the line twice */
    struct hk_unit *u = hk_slab_first(unit);
    check_foreign(u, unit, p, HK_CALL_FREE);
    /* A thread that only frees needs a heap too, for its rings and for slabs that are loose. */
    if (HK_UNLIKELY(!t->heap) && !hk_heap_attach(t)) {
        hk_guest_free(u, p);
        return;
    }
    /* Not before: the heap that we got may have lost the slab to another one meanwhile. */
    uintptr_t owner = atomic_load_explicit(&u->owner, memory_order_relaxed);
    if (owner == HK_OWNER_LOOSE && hk_heap_claim(t->heap, u)) {
        owner = hk_heap_id(t->heap);
        if (hk_remote_waiting(t->heap)) hk_remote_drain(t->heap, HK_DRAIN_BLOCKS);
    }
    if (hk_owner_heap(owner) == t->heap)
        hk_slab_free(t->heap, u, p);
    else
        hk_remote_free(t->heap, u, p);
}

void hk_front_free_other(void *p, uintptr_t owner, struct hk_unit *u)
{
    if (owner == HK_OWNER_RUN)
        free_run(p, u);
    else if (HK_UNLIKELY(owner == HK_OWNER_NONE))
        free_outside(p);
    else
        free_foreign(p, u);
}

static size_t far_bytes(const void *p)
{
    size_t n = hk_mapped_bytes(p);
    if (HK_UNLIKELY(hk_guard_holds(p))) return hk_guard_bytes(p);
    return n || !hk_sys_libc_owns(p) ? n : hk_sys_libc_bytes(p);
}

size_t hk_front_usable(const void *p)
{
    struct hk_unit *u = hk_unit_of(p);
    uintptr_t owner = u ? atomic_load_explicit(&u->owner, memory_order_relaxed) : HK_OWNER_NONE;
    if (owner == HK_OWNER_NONE) return p ? far_bytes(p) : 0;
    size_t n;
    if (hk_hardened() && owner == HK_OWNER_RUN) return hk_hard_run_bytes(u);
    if (hk_hardened() && hk_hard_bytes(p, &n)) return n;
    if (owner == HK_OWNER_RUN) return hk_large_bytes(u);
    return hk_class_bytes(hk_slab_first(u)->cls);
}

/*
 * The same with n bytes, where it is or outside the heap, or NULL; `have` bytes are used of it.
 * What lies outside has no seal, nor a page behind it: not in hardened mode.
 */
static void *resize_in_place(struct hk_unit *u, void *p, size_t n, size_t extra, size_t have)
{
    struct hk_large_counts *by = hk_heap_counts(hk_thread.heap);
    if (hk_large_resize(by, u, p, n + extra)) return p;
    void *q = n > have && !hk_hardened() ? hk_mapped_copy(p, have, n) : NULL;
    if (q) hk_large_free(by, u, p);
    return q;
}

static HK_COLD void *resize_hard_run(struct hk_unit *u, void *p, size_t n, size_t *have)
{
    size_t extra = hk_hard_run_extra(n);
    bool armed = u->rule & HK_RUN_ARMED; /* else it has no room for a canary, nor for a guard */
    *have = hk_hard_run_bytes(u);
    if (n <= HK_MID_MAX || n > HK_MAX_REQUEST - extra || !hk_hard_run_disarm(u, p)) return NULL;
    void *q = resize_in_place(u, p, n, extra, *have);
    if (q == p || (!q && armed)) hk_hard_run_arm(u, p, q ? n : *have);
    return q;
}

/* p with n bytes without a copy of all of it, or NULL; *have: the bytes it has. */
static void *resize_run(struct hk_unit *u, void *p, size_t n, size_t *have)
{
    hk_fork_courtesy();
    hk_front_tick();
    if (hk_hardened()) return resize_hard_run(u, p, n, have);
    *have = hk_large_bytes(u);
    if (n <= HK_MID_MAX || n > HK_MAX_REQUEST) return NULL;
    return resize_in_place(u, p, n, 0, *have);
}

/* A guarded block always moves; NULL without memory. */
static HK_COLD void *resize_guarded(void *p, size_t n, size_t *have)
{
    *have = hk_guard_resized(p);
    if (n == *have) return p;
    void *q = hk_front_alloc_growing(n);
    if (!q) return NULL;
    memcpy(q, p, n < *have ? n : *have);
    hk_guard_free(p, NULL);
    return q;
}

/* The C library's block moves to us: what it would return need not be one that we know again. */
static HK_COLD void *resize_far(void *p, size_t n, size_t *have)
{
    if (HK_UNLIKELY(hk_guard_holds(p))) return resize_guarded(p, n, have);
    *have = hk_mapped_bytes(p);
    if (*have) {
        hk_front_tick();
        return n >= HK_MAPPED_KEEP && n <= HK_MAX_REQUEST ? hk_mapped_resize(p, n) : NULL;
    }
    if (!hk_sys_libc_owns(p)) hk_die("realloc of an invalid pointer", p);
    *have = hk_sys_libc_bytes(p);
    return NULL;
}

/* The n bytes that two blocks of ours share; have: what the first one has. */
HK_INLINE void copy_block(char *to, const char *from, size_t n, size_t have)
{
    if (n < have || have > 64) {
        memcpy(to, from, n < have ? n : have);
        return;
    }
    memcpy(to, from, 16); /* have is 16, 32, 48 or 64: without a call */
    if (have > 16) memcpy(to + 16, from + 16, 16);
    if (have > 32) memcpy(to + 32, from + 32, 16);
    if (have > 48) memcpy(to + 48, from + 48, 16);
}

static HK_NOINLINE void *move_slow(void *p, size_t n, size_t have)
{
    void *q = hk_front_alloc_growing(n);
    if (!q) return n <= have ? p : NULL; /* without memory a shrink stays where it is */
    memcpy(q, p, n < have ? n : have);
    hk_free(p); /* its slab may have been let loose meanwhile */
    return q;
}

/* p, of slab u, which the calling thread's heap owns. */
HK_INLINE void *realloc_own(struct hk_heap *h, struct hk_unit *u, void *p, size_t n, bool sure)
{
    if (HK_UNLIKELY(!sure)) hk_slab_doubt(u, p, HK_CALL_REALLOC);
    size_t have = hk_class_bytes(u->cls);
    if (hk_front_fits(have, n)) return p;
    void *q = hk_fast_alloc(n);
    if (HK_UNLIKELY(!q)) return move_slow(p, n, have);
    copy_block(q, p, n, have);
    hk_slab_free_plain(h, u, p);
    return q;
}

static HK_NOINLINE void *realloc_other(void *p, size_t n)
{
    uintptr_t owner;
    if (!p) return hk_front_alloc_growing(n);
    size_t have;
    void *q = NULL;
    if (hk_hardened() && hk_hard_look(p, &have)) {
        if (hk_hard_stays(p, n)) return p;
        q = move_slow(p, n, have);
        if (q == p) hk_hard_resize(p, n);
        return q;
    }
    struct hk_unit *u = find(p, &owner);
    if (HK_UNLIKELY(owner == HK_OWNER_NONE)) {
        q = resize_far(p, n, &have);
    } else if (owner == HK_OWNER_RUN) {
        q = resize_run(u, p, n, &have);
        if (!q && (q = move_slow(p, n, have)) == p && hk_hardened()) hk_hard_run_resize(u, p, n);
        return q;
    } else {
        struct hk_unit *first = hk_slab_first(u);
        check_foreign(first, u, p, HK_CALL_REALLOC);
        have = hk_class_bytes(first->cls);
        if (hk_front_fits(have, n)) return p;
    }
    return q ? q : move_slow(p, n, have);
}

void *hk_front_realloc(void *p, size_t n)
{
    struct hk_thread *t = &hk_thread;
    uintptr_t off = (uintptr_t)p - hk_window_base;
    struct hk_unit *u = HK_LIKELY(hk_window_holds(off, &hk_window_limit)) ? hk_unit_at(off) : NULL;
    uintptr_t owner = HK_LIKELY(u != NULL) ? atomic_load_explicit(&u->owner, memory_order_relaxed)
                                           : HK_OWNER_NONE;
    if (HK_LIKELY(owner == t->id)) return realloc_own(t->heap, u, p, n, hk_is_own_short(u, p));
    if (owner != t->long_id) return realloc_other(p, n);
    struct hk_unit *first = hk_slab_first(u);
    return realloc_own(t->heap, first, p, n, hk_is_own_long(first, u, p));
}
