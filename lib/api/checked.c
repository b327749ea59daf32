/* SPDX-License-Identifier: MIT */
/*
 * What: malloc, free and realloc with bytes out of bounds around each block and a rest for freed
 *   ones, told to whoever watches.
 * Why: memcheck replaces malloc by one that does this; under its option not to, so does this one,
 * on top of the allocator that is to be tested: the same verdicts, but the blocks are ours.
 * Threads: any; a signal handler that interrupts malloc or free and calls one may wait for ever.
 * Between quiet and loud the library looks at memory that is out of bounds for the program; what
 * tells of the program's mistakes is said aloud.
 */
#include "api/checked.h"

#if HK_PROBED

#include <string.h>

#include "api/api.h"
#include "base/sizeclass.h"
#include "core/map.h"
#include "front/fast.h"
#include "os/report.h"
#include "os/sys.h"

#define AROUND ((size_t)32) /* bytes before and behind, at least */

static const char *const made_by[] = {"malloc", "operator new", "operator new[]"},
                         *const freed_by[] = {"free", "operator delete", "operator delete[]"};

/* By the same ways as unwatched; zeroed pages are not touched. */
static void *raw_block(size_t total, size_t align, bool zeroed)
{
    void *p;
    if (align > AROUND) {
        p = hk_fast_alloc_aligned(total, align);
        if (!p) p = hk_front_alloc_aligned(total, align);
    } else {
        p = zeroed && total > HK_MID_MAX ? NULL : hk_fast_alloc(total);
        if (!p) p = zeroed ? hk_front_calloc(total, NULL) : hk_front_alloc(total, NULL);
    }
    return p;
}

/* The program's block of b->n bytes, in the middle of one of the allocator's, and a note of it. */
static bool make(struct hk_noted *b, size_t align, bool zeroed)
{
    size_t lead = align > AROUND ? align : AROUND;
    b->total = hk_align_up(lead + b->n + AROUND, HK_ALIGN_BYTES);
    b->raw = raw_block(b->total, align, zeroed);
    if (!b->raw) return false;
    b->p = (uintptr_t)b->raw + lead;
    if (zeroed && b->total <= HK_MID_MAX) memset((void *)b->p, 0, b->n);
    if (hk_ledger_add(b)) return true;
    hk_free(b->raw);
    return false;
}

void *hk_checked_alloc(size_t n, size_t align, enum hk_by by, bool zeroed)
{
    struct hk_noted b = {.n = n, .by = by};
    size_t most = HK_MAX_REQUEST - 3 * AROUND;
    if (n > HK_MAX_REQUEST) hk_probe_fishy(n);
    if (align > most || n > most - align) return NULL;
    hk_probe_quiet();
    bool made = make(&b, align, zeroed);
    hk_probe_loud();
    if (!made) return NULL;
    hk_probe_born(b.raw, b.total, (void *)b.p, n, zeroed);
    return (void *)b.p;
}

static void let_go(const struct hk_noted *b)
{
    struct hk_noted old;
    hk_probe_quiet();
    if (hk_probe_ask() == HK_PROBE_RACES) /* the sooner another thread has it the better */
        hk_free(b->raw);
    else
        hk_ledger_rest(b);
    while (hk_ledger_rested(&old)) {
        hk_probe_back(old.raw, old.total);
        hk_free(old.raw);
    }
    hk_probe_loud();
}

static bool known(const void *p, struct hk_noted *b, bool (*get)(const void *, struct hk_noted *))
{
    hk_probe_quiet();
    bool found = get(p, b);
    hk_probe_loud();
    return found;
}

/* No block of the program's: the C library's own, or a mistake, after which memcheck goes on. */
static void unknown(void *p, const char *what)
{
    hk_probe_dead(p, 0);
    if (hk_probe_ask() != HK_PROBE_MEMCHECK) hk_die(what, p);
}

void hk_checked_free(void *p, enum hk_by by)
{
    struct hk_noted b;
    if (!p) return;
    if (!known(p, &b, hk_ledger_take)) {
        if (hk_sys_libc_owns(p))
            hk_sys_libc_free(p);
        else
            unknown(p, "free of an invalid pointer");
        return;
    }
    if (b.by != by) hk_probe_mismatched(p, made_by[b.by], freed_by[by]);
    hk_probe_dead(p, b.n);
    let_go(&b);
}

void *hk_checked_named(void *p, enum hk_by by)
{
    struct hk_noted b;
    hk_probe_quiet();
    if (hk_ledger_find(p, &b)) hk_ledger_change(p, b.n, by);
    hk_probe_loud();
    return p;
}

size_t hk_checked_usable(const void *p)
{
    struct hk_noted b;
    return known(p, &b, hk_ledger_find) ? b.n : 0;
}

/* Without memory a shrink stays where it is, as it does unwatched. */
static void *shrunk(const struct hk_noted *b, size_t n)
{
    if (n > b->n || !b->raw) return NULL;
    hk_probe_quiet();
    hk_ledger_change((void *)b->p, n, b->by);
    hk_probe_loud();
    hk_probe_shrunk((void *)b->p, b->n, n);
    return (void *)b->p;
}

void *hk_checked_realloc(void *p, size_t n)
{
    struct hk_noted b;
    if (!p) return hk_checked_alloc(n, 0, HK_BY_MALLOC, false);
    if (!known(p, &b, hk_ledger_find)) {
        if (!hk_sys_libc_owns(p)) {
            unknown(p, "realloc of an invalid pointer");
            return NULL;
        }
        b = (struct hk_noted){.n = hk_sys_libc_bytes(p)};
    }
    void *q = hk_checked_alloc(n, 0, HK_BY_MALLOC, false);
    if (!q) return shrunk(&b, n);
    memcpy(q, p, n < b.n ? n : b.n);
    hk_checked_free(p, HK_BY_MALLOC);
    return q;
}

/* Chunks in a row at a time, as somebody else may have mapped memory between them. */
void hk_checked_end(void)
{
    if (!hk_checked_on()) return;
    for (size_t i = 0, n; i < hk_map_chunks(); i += n) {
        for (n = 0; i + n < hk_map_chunks() && hk_chunk_at(i + n)->state != HK_CHUNK_NONE;) n++;
        if (n) hk_probe_end(hk_chunk_addr(i), n << HK_CHUNK_SHIFT);
        n += n == 0;
    }
}

#endif
