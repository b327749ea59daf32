/* SPDX-License-Identifier: MIT */
/*
 * What: a model of tcmalloc's scheme: caches per CPU, and batches of blocks between them.
 * Why: to count its transfers on the same machine. Its own words and code, from its public design:
 *   a CPU has a stack of blocks for each class; batches of up to 32 go through a transfer cache, a
 *   lock a class; behind it are lists of spans, a lock a class; behind those a heap of pages with
 *   one lock. A map that all read tells a page's class and span.
 * Left out: how capacity moves between classes and CPUs (each has plenty), giving pages back.
 */
#include <stdlib.h>

#include "os/lock.h"
#include "sim.h"

#define PAGE_SHIFT  13
#define CACHED_MAX  ((size_t)262144)
#define CACHE_BYTES ((size_t)65536) /* a class on a CPU, 2048 blocks at most */
#define BATCHES     16u             /* in a transfer cache */
#define BATCH_MAX   32u
#define PAGES       ((size_t)1 << 23) /* 64 GiB */
#define RUNS        512u              /* lengths of free runs */

struct span {
    struct span *next, *prev;
    size_t first, pages;
    void *free;
    uint32_t used;
} HK_LINE_ALIGNED;
static struct stack {
    uint32_t n, most;
    void **block;
} (*stacks)[SIM_CLASSES];
static struct transfer {
    struct hk_lock lock;
    uint32_t n;
    void *block[BATCHES * BATCH_MAX];
} HK_LINE_ALIGNED transfer[SIM_CLASSES];
static struct central {
    struct hk_lock lock;
    struct span *spans; /* with free blocks */
} HK_LINE_ALIGNED central[SIM_CLASSES];
static struct {
    struct hk_lock lock;
    struct span *runs[RUNS]; /* free ones by length, never split nor joined here */
    size_t pages, spans;     /* ever taken */
} HK_LINE_ALIGNED heap;
static char *memory;
static uint8_t *classes;    /* of a page */
static struct span **owner; /* of a page */
static struct span *spans;

static void start(void)
{
    memory = sim_reserve(PAGES << PAGE_SHIFT);
    classes = sim_reserve(PAGES);
    owner = sim_reserve(PAGES * sizeof *owner);
    spans = sim_reserve(PAGES / 2 * sizeof *spans);
    stacks = sim_reserve(SIM_CPUS_MAX * sizeof *stacks);
    for (unsigned i = 0; i < SIM_CPUS_MAX * SIM_CLASSES; i++) {
        unsigned c = i % SIM_CLASSES;
        size_t most = c ? CACHE_BYTES / sim_class_bytes(c) : 0;
        struct stack *s = &stacks[i / SIM_CLASSES][c];
        s->most = most > 2048 ? 2048 : most < 4 ? 4 : (uint32_t)most;
        s->block = (void **)sim_reserve(s->most * sizeof(void *));
    }
    sim_machine_blocks((uintptr_t)memory, PAGES << PAGE_SHIFT);
}

static uint32_t batch(unsigned c)
{
    size_t n = 65536 / sim_class_bytes(c);
    return n > BATCH_MAX ? BATCH_MAX : n < 2 ? 2 : (uint32_t)n;
}

static size_t page_of(const void *p)
{
    return (size_t)((const char *)p - memory) >> PAGE_SHIFT;
}

static struct span *span_new(size_t pages, unsigned c)
{
    hk_lock_acquire(&heap.lock);
    struct span *s = heap.runs[pages];
    if (s) {
        heap.runs[pages] = s->next;
    } else {
        if (heap.pages + pages > PAGES) abort();
        s = &spans[heap.spans++];
        s->first = heap.pages;
        s->pages = pages;
        heap.pages += pages;
    }
    for (size_t i = s->first; i < s->first + pages; i++) {
        owner[i] = s;
        if (classes[i] != c) classes[i] = (uint8_t)c;
    }
    hk_lock_release(&heap.lock);
    return s;
}

static void span_free(struct span *s)
{
    hk_lock_acquire(&heap.lock);
    s->next = heap.runs[s->pages];
    heap.runs[s->pages] = s;
    hk_lock_release(&heap.lock);
}

/* A span of the class, all its blocks linked; not under the lists' lock. */
static struct span *populate(unsigned c)
{
    size_t bytes = sim_class_bytes(c), pages = bytes >> PAGE_SHIFT ? bytes >> (PAGE_SHIFT - 2) : 1;
    struct span *s = span_new(pages, c);
    char *at = memory + (s->first << PAGE_SHIFT), *end = at + (pages << PAGE_SHIFT);
    s->free = NULL;
    s->used = 0;
    for (; at + bytes <= end; at += bytes) {
        *(void **)at = s->free;
        s->free = at;
    }
    return s;
}

static uint32_t central_take(unsigned c, void **out, uint32_t n)
{
    struct central *l = &central[c];
    uint32_t got = 0;
    hk_lock_acquire(&l->lock);
    while (got < n) {
        struct span *s = l->spans;
        if (!s) {
            hk_lock_release(&l->lock);
            s = populate(c);
            hk_lock_acquire(&l->lock);
            SIM_LINK(&l->spans, s);
            continue;
        }
        for (; got < n && s->free; s->used++) {
            out[got++] = s->free;
            s->free = *(void **)s->free;
        }
        if (!s->free) SIM_UNLINK(&l->spans, s);
    }
    hk_lock_release(&l->lock);
    return got;
}

static void central_put(unsigned c, void **in, uint32_t n)
{
    struct central *l = &central[c];
    struct span *empty = NULL;
    hk_lock_acquire(&l->lock);
    for (uint32_t i = 0; i < n; i++) {
        struct span *s = owner[page_of(in[i])];
        if (!s->free) SIM_LINK(&l->spans, s);
        *(void **)in[i] = s->free;
        s->free = in[i];
        if (--s->used) continue;
        SIM_UNLINK(&l->spans, s);
        s->next = empty;
        empty = s;
    }
    hk_lock_release(&l->lock);
    for (struct span *next; empty; empty = next) {
        next = empty->next;
        span_free(empty);
    }
}

static void *refill(struct stack *s, unsigned c)
{
    struct transfer *t = &transfer[c];
    uint32_t n = batch(c);
    hk_lock_acquire(&t->lock);
    bool had = t->n >= n;
    for (uint32_t i = 0; had && i < n; i++) s->block[s->n++] = t->block[--t->n];
    hk_lock_release(&t->lock);
    if (!had) s->n = central_take(c, s->block, n);
    return s->block[--s->n];
}

static void spill(struct stack *s, unsigned c)
{
    struct transfer *t = &transfer[c];
    uint32_t n = batch(c);
    hk_lock_acquire(&t->lock);
    bool room = t->n + n <= BATCHES * n;
    for (uint32_t i = 0; room && i < n; i++) t->block[t->n++] = s->block[--s->n];
    hk_lock_release(&t->lock);
    if (!room) central_put(c, &s->block[s->n -= n], n);
}

static void *alloc(size_t n)
{
    if (n > CACHED_MAX)
        return memory + (span_new((n + 8191) >> PAGE_SHIFT, 0)->first << PAGE_SHIFT);
    unsigned c = sim_class(n);
    struct stack *s = &stacks[sim_self->index][c];
    return s->n ? s->block[--s->n] : refill(s, c);
}

static void give(void *p)
{
    unsigned c = classes[page_of(p)];
    if (!c) {
        span_free(owner[page_of(p)]);
        return;
    }
    struct stack *s = &stacks[sim_self->index][c];
    if (s->n == s->most) spill(s, c);
    s->block[s->n++] = p;
}

const struct sim_scheme sim_batches = {
    .name = "tcmalloc", .start = start, .alloc = alloc, .free = give};
