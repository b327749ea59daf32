/* SPDX-License-Identifier: MIT */
/*
 * What: blocks, filled and looked at again, for the fault walk.
 * Why: see fault.h.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "large/mapped.h"

#define UNTOUCHED 4242 /* of errno */
#define PAGE      4096
#define FULL      (16 * KIB) /* longer ones are marked by page, */
#define SPARSE    MIB        /* and these by some pages: most of a run's time is page faults */

struct block block[BLOCKS];
unsigned nulls;
bool nulls_may_be, limited;

static unsigned char mark_of(size_t i, size_t at)
{
    return (unsigned char)((i * 31 + at / 7) % 251 + 1);
}

static size_t step(size_t n)
{
    return n <= FULL ? 1 : n <= SPARSE ? PAGE : 4 * PAGE;
}

static void fill(size_t i, size_t from)
{
    size_t by = step(block[i].n);
    for (size_t at = (from + by - 1) / by * by; at < block[i].n; at += by)
        block[i].p[at] = mark_of(i, at);
    if (block[i].n) block[i].p[block[i].n - 1] = mark_of(i, block[i].n - 1);
}

/* The first n bytes hold what the block was filled with when it had `had` bytes. */
static bool holds(size_t i, size_t n, size_t had)
{
    size_t by = step(had);
    for (size_t at = 0; at < n; at += by) {
        if (block[i].p[at] != mark_of(i, at) && at != had - 1) return false;
    }
    return n < had || !n || block[i].p[n - 1] == mark_of(i, n - 1);
}

static bool is_zero(const unsigned char *p, size_t n)
{
    for (size_t at = 0; at < n; at += n <= FULL ? 1 : PAGE) {
        if (p[at]) return false;
    }
    return n == 0 || p[n - 1] == 0;
}

/* Once much was refused, a part of what is asked for will do. */
#define ENOUGH 60
static unsigned refused;

static bool spare(size_t i)
{
    return refused > ENOUGH && i % 8;
}

void forgive(void)
{
    refused = 0;
}

/* What malloc and its kin owe whatever the kernel says. */
static void owed(const void *p)
{
    bool refusing = atomic_load(&hk_fault_hits) > 0;
    EXPECT(p ? errno == UNTOUCHED : errno == ENOMEM);
    EXPECT(p || limited || (refusing && nulls_may_be));
    refused += !p;
    nulls += !p;
}

bool take(size_t i, size_t n, enum kind kind, size_t align)
{
    EXPECT(!block[i].p);
    if (spare(i)) return false;
    errno = UNTOUCHED;
    unsigned char *p = kind == ZERO      ? hakmem_calloc(1, n)
                       : kind == ALIGNED ? hakmem_memalign(align, n)
                                         : hakmem_malloc(n);
    owed(p);
    if (!p) return false;
    EXPECT((uintptr_t)p % (align > 16 ? align : 16) == 0);
    EXPECT(hakmem_usable_size(p) >= n);
    EXPECT(kind != ZERO || is_zero(p, n));
    block[i] = (struct block){p, n};
    fill(i, 0);
    return true;
}

bool resize(size_t i, size_t n)
{
    size_t had = block[i].n;
    if (!block[i].p) return false;
    errno = UNTOUCHED;
    unsigned char *p = hakmem_realloc(block[i].p, n);
    owed(p);
    EXPECT(p || n > had); /* a shrink can always stay */
    if (p) block[i] = (struct block){p, n};
    EXPECT(holds(i, p && n < had ? n : had, had));
    if (!p) return false;
    EXPECT((uintptr_t)p % 16 == 0 && hakmem_usable_size(p) >= n);
    fill(i, 0);
    return true;
}

void drop(size_t i)
{
    if (!block[i].p) return;
    EXPECT(holds(i, block[i].n, block[i].n));
    errno = UNTOUCHED;
    hakmem_free(block[i].p);
    EXPECT(errno == UNTOUCHED);
    block[i] = (struct block){NULL, 0};
}

void take_many(size_t first, size_t count, size_t n)
{
    for (size_t i = first; i < first + count; i++) take(i, n, PLAIN, 1);
}

void drop_many(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) drop(i);
}

static void *start(void *f)
{
    (*(void (**)(void))f)();
    return NULL;
}

void in_thread(void (*f)(void))
{
    pthread_t t;
    int made = pthread_create(&t, NULL, start, &f);
    EXPECT(made == 0);
    if (made == 0) pthread_join(t, NULL);
}

void look(void)
{
    struct hk_mapped_stats mapped;
    bool was = hk_fault_pause();
    struct hk_found found = hk_check_all();
    size_t live = 0;
    hk_mapped_read_stats(&mapped);
    for (size_t i = 0; i < BLOCKS; i++) {
        live += block[i].p != NULL;
        EXPECT(!block[i].p || holds(i, block[i].n, block[i].n));
    }
    EXPECT(forked || found.live + found.runs + found.guarded + mapped.blocks == live);
    EXPECT(forked || found.address_bytes == atomic_load(&hk_fault_mapped));
    hk_fault_resume(was);
}

void rest(uint64_t ms)
{
    for (uint64_t t = 0; t < ms; t += 100) {
        hk_fault_clock_move(100);
        for (size_t i = 0; i < 40; i++) {
            if (spare(i)) continue;
            errno = UNTOUCHED;
            void *p = hakmem_malloc(40 * KIB);
            owed(p);
            hakmem_free(p);
        }
    }
}
