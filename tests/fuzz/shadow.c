/* SPDX-License-Identifier: MIT */
/*
 * What: see shadow.h. Long blocks are filled in places only: at both ends, and at up to 24 page
 *   starts between; a block of many MiB would take all the time.
 */
#include "shadow.h"

#include "hakmem.h"

#define WHOLE  2048u /* blocks up to so long are filled as a whole */
#define EDGE   64u
#define SPOT   16u
#define SPOTS  24u
#define PAGE   ((size_t)4096)
#define ZEROED ((size_t)128 << 10) /* of calloc, looked at byte by byte */

static struct block live[SHADOW_BLOCKS];
static unsigned count;
static size_t bytes;
static uint32_t seeds;

unsigned shadow_count(void)
{
    return count;
}

size_t shadow_bytes(void)
{
    return bytes;
}

const struct block *shadow_at(unsigned i)
{
    return &live[i];
}

bool shadow_room(size_t n)
{
    return count < SHADOW_BLOCKS && n <= SHADOW_BYTES && bytes <= SHADOW_BYTES - n;
}

static unsigned char byte_at(uint32_t seed, size_t at)
{
    return (unsigned char)(seed + at * 167 + (at >> 8) * 59 + (at >> 16) * 13);
}

static void fill(const struct block *b, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) b->p[i] = byte_at(b->seed, i);
}

static void compare(const struct block *b, const unsigned char *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        FUZZ_CHECK(p[i] == byte_at(b->seed, i), "byte %zu of %zu (%zu asked for) is %02x", i,
                   b->usable, b->n, p[i]);
}

static size_t stride(size_t n)
{
    return (n / SPOTS + PAGE) / PAGE * PAGE;
}

/* The places of b below n: each filled, or compared with what p has if that is not NULL. */
static void walk(const struct block *b, const unsigned char *p, size_t n)
{
    size_t all = b->usable;
    for (size_t from = 0, to; from < n; from = all <= WHOLE ? n : from + stride(all)) {
        to = all <= WHOLE ? n : from + (from ? SPOT : EDGE);
        if (to > n) to = n;
        p ? compare(b, p, from, to) : fill(b, from, to);
    }
    if (all <= WHOLE || n <= all - EDGE) return;
    p ? compare(b, p, all - EDGE, n) : fill(b, all - EDGE, n);
}

/* Number of the first block at p or beyond. */
static unsigned place(const unsigned char *p)
{
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (live[mid].p < p)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void shadow_add(void *p, size_t n, size_t align, const char *by)
{
    struct block b = {.p = p, .n = n, .usable = hakmem_usable_size(p), .seed = ++seeds * 31};
    if (align < 16) align = 16;
    FUZZ_CHECK((uintptr_t)p % align == 0, "%s: %p is no multiple of %zu", by, p, align);
    FUZZ_CHECK(b.usable >= n, "%s: %zu bytes asked for, %zu usable", by, n, b.usable);
    unsigned at = place(b.p);
    if (at > 0)
        FUZZ_CHECK(live[at - 1].p + live[at - 1].usable <= b.p,
                   "%s: %p lies in the block of %zu bytes before", by, p, live[at - 1].usable);
    if (at < count)
        FUZZ_CHECK(b.p + b.usable <= live[at].p, "%s: %p, %zu bytes, reaches into the next", by, p,
                   b.usable);
    memmove(live + at + 1, live + at, (count - at) * sizeof *live);
    live[at] = b;
    count++;
    bytes += b.usable;
    walk(&b, NULL, b.usable);
}

void shadow_zero(const unsigned char *p, size_t n)
{
    size_t some = n < ZEROED ? n : ZEROED;
    FUZZ_CHECK(!some || (p[0] == 0 && memcmp(p, p + 1, some - 1) == 0),
               "calloc: the start of %zu bytes is not zero", n);
    for (size_t i = some; i < n; i += PAGE)
        FUZZ_CHECK(p[i] == 0 && p[i - 1] == 0, "calloc: byte %zu of %zu is not zero", i, n);
    for (size_t i = n > EDGE ? n - EDGE : 0; i < n; i++)
        FUZZ_CHECK(p[i] == 0, "calloc: byte %zu of %zu is not zero", i, n);
}

void shadow_verify(unsigned i)
{
    const struct block *b = &live[i];
    size_t usable = hakmem_usable_size(b->p);
    FUZZ_CHECK(usable == b->usable, "%zu bytes usable, %zu before", usable, b->usable);
    walk(b, b->p, usable);
}

void shadow_verify_all(void)
{
    for (unsigned i = 0; i < count; i++) shadow_verify(i);
}

struct block shadow_remove(unsigned i)
{
    struct block b = live[i];
    count--;
    bytes -= b.usable;
    memmove(live + i, live + i + 1, (count - i) * sizeof *live);
    return b;
}

void shadow_mark(const struct block *b, size_t n)
{
    if (n > b->n) n = b->n;
    fill(b, n > EDGE ? n - EDGE : 0, n);
}

void shadow_same(const struct block *b, const unsigned char *p, size_t n)
{
    if (n > b->n) n = b->n;
    walk(b, p, n);
    compare(b, p, n > EDGE ? n - EDGE : 0, n);
}
