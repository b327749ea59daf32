/* SPDX-License-Identifier: MIT */
/*
 * What: free chunk runs in bins of four per doubling, best fit among a few candidates.
 * Why: see runs.h. Best fit keeps long runs whole; looking at a few only keeps it O(1).
 */
#include "core/runs.h"

#include "os/report.h"

#define BINS HK_RUN_BINS
#define LOOK 12 /* candidates a bin is searched for: more gained nothing measurable in packing */

static unsigned bin_of(size_t len)
{
    if (len < 8) return (unsigned)len;
    unsigned b = hk_log2(len);
    unsigned i = 8 + (b - 3) * 4 + (unsigned)(len >> (b - 2) & 3);
    return i < BINS ? i : BINS - 1;
}

static void count(struct hk_runs *r, size_t more)
{
    atomic_store_explicit(&r->count, atomic_load_explicit(&r->count, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

bool hk_runs_has(const struct hk_runs *r, size_t i)
{
    struct hk_chunk *c = hk_chunk_at(i);
    /* Another shard's chunk may change any time; one that is ours stays so under our lock. */
    return atomic_load_explicit(&c->shard, memory_order_relaxed) == r->shard &&
           c->state == HK_CHUNK_FREE;
}

static void link_run(struct hk_runs *r, size_t first, size_t len)
{
    struct hk_chunk *c = hk_chunk_at(first), *last = hk_chunk_at(first + len - 1);
    unsigned b = bin_of(len);
    c->run = last->run = (uint32_t)len;
    c->prev = NULL;
    c->next = r->bin[b];
    if (c->next) c->next->prev = c;
    r->bin[b] = c;
    count(r, len);
    r->mask[b / 64] |= (uint64_t)1 << (b % 64);
}

static void unlink_run(struct hk_runs *r, struct hk_chunk *c)
{
    unsigned b = bin_of(c->run);
    if (c->prev)
        c->prev->next = c->next;
    else
        r->bin[b] = c->next;
    if (c->next) c->next->prev = c->prev;
    count(r, -(size_t)c->run);
    if (!r->bin[b]) r->mask[b / 64] &= ~((uint64_t)1 << (b % 64));
    c->next = c->prev = NULL;
}

void hk_runs_put(struct hk_runs *r, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        HK_ASSERT(c->state != HK_CHUNK_FREE);
        c->state = HK_CHUNK_FREE;
        c->used = c->taken = 0;
        c->run = 0;
    }
    if (first > 0 && hk_runs_has(r, first - 1)) {
        size_t len = hk_chunk_at(first - 1)->run;
        HK_ASSERT(len > 0);
        unlink_run(r, hk_chunk_at(first - len));
        first -= len;
        n += len;
    }
    if (first + n < hk_map_chunks() && hk_runs_has(r, first + n)) {
        struct hk_chunk *above = hk_chunk_at(first + n);
        unlink_run(r, above);
        n += above->run;
    }
    link_run(r, first, n);
}

/* Cut [at, at + n) out of the free run c; the rest goes back to the bins. */
static void carve(struct hk_runs *r, struct hk_chunk *c, size_t at, size_t n)
{
    size_t first = c->index, len = c->run;
    unlink_run(r, c);
    for (size_t i = at; i < at + n; i++) hk_chunk_at(i)->state = HK_CHUNK_USED;
    if (at > first) link_run(r, first, at - first);
    if (at + n < first + len) link_run(r, at + n, first + len - at - n);
}

static unsigned next_bin(const struct hk_runs *r, unsigned from)
{
    for (unsigned w = from / 64; w < sizeof r->mask / sizeof *r->mask; w++) {
        uint64_t m = r->mask[w];
        if (w == from / 64) m &= ~(uint64_t)0 << (from % 64);
        if (m) return w * 64 + (unsigned)__builtin_ctzll(m);
    }
    return BINS;
}

/* Chunks to skip at the start of run c, for a start that is a multiple of align chunks. */
static size_t padding(const struct hk_chunk *c, size_t align)
{
    /* Addresses, not indices, must be aligned: base is only chunk aligned. */
    return (align - ((uintptr_t)hk_chunk_addr(c->index) >> HK_CHUNK_SHIFT)) & (align - 1);
}

/* The shortest of bin b's runs that n chunks fit into; warm: whose first chunk is resident. */
static struct hk_chunk *best_of(const struct hk_runs *r, unsigned b, size_t n, size_t align,
                                bool warm)
{
    struct hk_chunk *best = NULL;
    int look = b == BINS - 1 ? INT32_MAX : LOOK;
    for (struct hk_chunk *c = r->bin[b]; c && look > 0; c = c->next, look--) {
        size_t pad = padding(c, align);
        if (c->run < n + pad || (warm && !hk_chunk_at(c->index + pad)->dirty)) continue;
        if (!best || c->run < best->run || (c->run == best->run && c->index < best->index))
            best = c;
    }
    return best;
}

/* Resident memory first, wherever it is: else the resident set grows while free memory lies about.
 */
size_t hk_runs_take(struct hk_runs *r, size_t n, size_t align)
{
    for (int warm = 1; warm >= 0; warm--) {
        for (unsigned b = next_bin(r, bin_of(n)); b < BINS; b = next_bin(r, b + 1)) {
            struct hk_chunk *c = best_of(r, b, n, align, warm);
            if (!c) continue;
            size_t at = c->index + padding(c, align);
            carve(r, c, at, n);
            return at;
        }
    }
    return SIZE_MAX;
}

size_t hk_runs_take_any(struct hk_runs *r, size_t *n)
{
    struct hk_chunk *c = NULL;
    for (unsigned b = next_bin(r, 0); b < BINS; b = next_bin(r, b + 1)) c = r->bin[b];
    if (!c) return SIZE_MAX;
    *n = c->run;
    carve(r, c, c->index, c->run);
    return c->index;
}

bool hk_runs_take_at(struct hk_runs *r, size_t first, size_t n)
{
    size_t head = first;
    while (head > 0 && hk_runs_has(r, head - 1)) head--;
    struct hk_chunk *c = hk_chunk_at(head);
    if (first + n > head + c->run) return false;
    carve(r, c, first, n);
    return true;
}

size_t hk_runs_tail(const struct hk_runs *r)
{
    size_t n = hk_map_chunks();
    return n && hk_runs_has(r, n - 1) ? hk_chunk_at(n - 1)->run : 0;
}

#ifdef HK_DEBUG
void hk_runs_check(const struct hk_runs *r)
{
    size_t free = 0;
    for (unsigned b = 0; b < BINS; b++) {
        const struct hk_chunk *before = NULL;
        HK_CHECK(!r->bin[b] == !(r->mask[b / 64] >> (b % 64) & 1), r);
        for (const struct hk_chunk *c = r->bin[b]; c; before = c, c = c->next) {
            size_t first = c->index, len = c->run;
            HK_CHECK(c->prev == before && bin_of(len) == b, c);
            HK_CHECK(first == 0 || !hk_runs_has(r, first - 1), c);
            HK_CHECK(first + len >= hk_map_chunks() || !hk_runs_has(r, first + len), c);
            for (size_t i = first; i < first + len; i++) HK_CHECK(hk_runs_has(r, i), c);
            free += len;
        }
    }
    HK_CHECK(free == atomic_load_explicit(&r->count, memory_order_relaxed), r);
}
#endif

void hk_runs_forget(struct hk_runs *r)
{
    for (unsigned b = 0; b < BINS; b++) r->bin[b] = NULL;
    for (unsigned w = 0; w < sizeof r->mask / sizeof *r->mask; w++) r->mask[w] = 0;
    atomic_store_explicit(&r->count, 0, memory_order_relaxed);
}
