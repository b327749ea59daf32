/* SPDX-License-Identifier: MIT */
/*
 * What: a model of mimalloc 2's scheme: pages of one size that belong to a thread, three lists
 * each. Why: to count its transfers on the same machine. Its own words and code, from its public
 * design: a page has blocks to hand out, blocks that its thread freed, and blocks that others did,
 * pushed one by one with a compare-exchange; of a page that was full the first one is told to its
 * heap instead. Pages lie in segments of 32 MiB, claimed from an arena by a bitmap of all. Left
 * out: purging, abandoned segments, security. A CPU is a thread.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/attr.h"
#include "sim.h"

#define SEGMENT_SHIFT 25
#define SLICE_SHIFT   16
#define SLICES        512u
#define SEGMENTS      (4 * SIM_CPUS_MAX)
#define MEDIUM        ((size_t)8192)   /* from this size on a page has eight slices, */
#define LARGE         ((size_t)131072) /* and from this one on a page has one block */
#define EXTEND_BYTES  ((size_t)4096)   /* of blocks linked at once */

/* The lowest bits of a page's list of others' blocks: what the next one has to do. */
enum { TELL_HEAP = 0, TELLING = 1, JUST_PUSH = 2, MASK = 3 };

struct page {
    struct page *next, *prev;
    uint32_t slices, slice;
    uint16_t capacity, reserved, class;
    bool full;
    void *free, *local;
    uint32_t used;
    size_t bytes;
    _Atomic uintptr_t others;
    struct heap *heap;
};
/* A segment's header: the records of its pages are in it, one a slice. */
struct segment {
    _Atomic uintptr_t thread;
    struct segment *next;
    uint32_t taken;
    uint16_t first[SLICES]; /* of the page that has the slice, and 1; 0: free */
    struct page page[SLICES];
};
static struct heap {
    struct page *queue[SIM_CLASSES], *fulls;
    struct segment *segments;
    _Alignas(64) _Atomic uintptr_t told; /* blocks of full pages, freed by others */
} heaps[SIM_CPUS_MAX];

static struct segment *segments; /* the header of what starts at memory + i << SEGMENT_SHIFT */
static char *memory;
static _Atomic uint64_t arena[SEGMENTS / 64];

static void start(void)
{
    segments = sim_reserve(SEGMENTS * sizeof *segments);
    memory = sim_reserve((size_t)SEGMENTS << SEGMENT_SHIFT);
    sim_machine_blocks((uintptr_t)memory, (size_t)SEGMENTS << SEGMENT_SHIFT);
}

static struct segment *segment_new(struct heap *h)
{
    for (size_t w = 0; w < SEGMENTS / 64; w++) {
        uint64_t seen = atomic_load_explicit(&arena[w], memory_order_relaxed);
        while (~seen) {
            unsigned bit = (unsigned)__builtin_ctzll(~seen);
            if (!atomic_compare_exchange_strong(&arena[w], &seen, seen | (uint64_t)1 << bit))
                continue;
            struct segment *s = &segments[w * 64 + bit];
            atomic_store_explicit(&s->thread, (uintptr_t)h, memory_order_release);
            s->next = h->segments;
            return h->segments = s;
        }
    }
    abort();
}

/* The first of n free slices in a row; SLICES: there are none. */
static unsigned find(const struct segment *s, unsigned n)
{
    for (unsigned i = 0, run = 0; s->taken + n <= SLICES && i < SLICES; i++) {
        run = s->first[i] ? 0 : run + 1;
        if (run == n) return i + 1 - n;
    }
    return SLICES;
}

static struct page *page_new(struct heap *h, unsigned class)
{
    size_t bytes = sim_class_bytes(class);
    size_t slices = bytes <= MEDIUM  ? 1
                    : bytes <= LARGE ? 8
                                     : (bytes + (1 << SLICE_SHIFT) - 1) >> SLICE_SHIFT;
    unsigned n = (unsigned)slices, at = 0;
    struct segment *s = h->segments;
    while (s && (at = find(s, n)) == SLICES) s = s->next;
    if (!s) at = find(s = segment_new(h), n);
    s->taken += n;
    for (unsigned i = at; i < at + n; i++) s->first[i] = (uint16_t)(at + 1);
    struct page *p = &s->page[at];
    *p = (struct page){.slices = n, .slice = at, .class = (uint16_t) class, .bytes = bytes};
    p->heap = h;
    p->reserved = (uint16_t)(((size_t)n << SLICE_SHIFT) / bytes);
    atomic_store_explicit(&p->others, JUST_PUSH, memory_order_relaxed);
    SIM_LINK(&h->queue[class], p);
    return p;
}

static void page_free(struct heap *h, struct page *p, struct segment *s)
{
    SIM_UNLINK(p->full ? &h->fulls : &h->queue[p->class], p);
    for (unsigned i = p->slice; i < p->slice + p->slices; i++) s->first[i] = 0;
    s->taken -= p->slices;
}

static void extend(struct page *p)
{
    size_t n = p->bytes < EXTEND_BYTES ? EXTEND_BYTES / p->bytes : 1;
    size_t segment = (size_t)((char *)p - (char *)segments) / sizeof(struct segment);
    char *at = memory + (segment << SEGMENT_SHIFT) + ((size_t)p->slice << SLICE_SHIFT);
    for (; n && p->capacity < p->reserved; n--) {
        char *b = at + p->capacity++ * p->bytes;
        *(void **)b = p->free;
        p->free = b;
    }
}

/* What others freed, and what its thread did, becomes what can be handed out. */
static void collect(struct page *p)
{
    uintptr_t seen = atomic_load_explicit(&p->others, memory_order_relaxed);
    while (seen > MASK && !atomic_compare_exchange_weak(&p->others, &seen, seen & MASK)) continue;
    for (void *b = (void *)(seen & ~(uintptr_t)MASK), *next; b; b = next, p->used--) {
        next = *(void **)b;
        if (next) continue;
        *(void **)b = p->local;
        p->local = (void *)(seen & ~(uintptr_t)MASK);
    }
    if (p->free) return;
    p->free = p->local;
    p->local = NULL;
}

static void set_delayed(struct page *p, uintptr_t how)
{
    uintptr_t seen = atomic_load_explicit(&p->others, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&p->others, &seen, (seen & ~(uintptr_t)MASK) | how))
        continue;
}

static void set_full(struct page *p, bool full)
{
    struct page **q = &p->heap->queue[p->class], **fulls = &p->heap->fulls;
    SIM_UNLINK(full ? q : fulls, p);
    SIM_LINK(full ? fulls : q, p);
    p->full = full;
    set_delayed(p, full ? TELL_HEAP : JUST_PUSH);
}

static void free_own(struct page *p, struct segment *s, void *block)
{
    *(void **)block = p->local;
    p->local = block;
    if (--p->used == 0 && (p->full || p->next || p->prev || p->reserved == 1))
        page_free(p->heap, p, s);
    else if (p->full)
        set_full(p, false);
}

static void free_others(struct page *p, void *block)
{
    uintptr_t seen = atomic_load_explicit(&p->others, memory_order_relaxed), next;
    do {
        next = (seen & MASK) == TELL_HEAP ? seen | TELLING : (uintptr_t)block | (seen & MASK);
        if (next & TELLING) continue;
        *(void **)block = (void *)(seen & ~(uintptr_t)MASK);
    } while (!atomic_compare_exchange_weak(&p->others, &seen, next));
    if ((seen & MASK) != TELL_HEAP) return;
    _Atomic uintptr_t *told = &p->heap->told;
    uintptr_t head = atomic_load_explicit(told, memory_order_relaxed);
    do *(uintptr_t *)block = head;
    while (!atomic_compare_exchange_weak(told, &head, (uintptr_t)block));
    set_delayed(p, JUST_PUSH);
}

static void give(void *block)
{
    size_t slice = (size_t)((char *)block - memory) >> SLICE_SHIFT;
    struct segment *s = &segments[slice / SLICES];
    struct page *p = &s->page[s->first[slice % SLICES] - 1];
    uintptr_t mine = (uintptr_t)&heaps[sim_self->index];
    if (atomic_load_explicit(&s->thread, memory_order_relaxed) == mine)
        free_own(p, s, block);
    else
        free_others(p, block);
}

/* What the heap was told of is freed here. */
static void hear(struct heap *h)
{
    if (!atomic_load_explicit(&h->told, memory_order_relaxed)) return;
    for (uintptr_t b = atomic_exchange(&h->told, 0), next; b; b = next) {
        next = *(uintptr_t *)b;
        give((void *)b);
    }
}

/* A page with a block; those before it have none and are set aside. */
static struct page *with_room(struct heap *h, unsigned c)
{
    hear(h);
    for (struct page *p = h->queue[c]; p; p = h->queue[c]) {
        collect(p);
        if (!p->free) extend(p);
        if (p->free) return p;
        set_full(p, true);
    }
    struct page *p = page_new(h, c);
    extend(p);
    return p;
}

static void *alloc(size_t n)
{
    struct heap *h = &heaps[sim_self->index];
    unsigned c = sim_class(n);
    struct page *p = h->queue[c];
    if (!p || !p->free) p = with_room(h, c);
    void *b = p->free;
    p->free = *(void **)b;
    p->used++;
    return b;
}

const struct sim_scheme sim_pages = {
    .name = "mimalloc", .start = start, .alloc = alloc, .free = give};
