/* SPDX-License-Identifier: MIT */
/*
 * What: advice of huge pages, by chunk.
 * Why: see huge.h. Marks are changed under the lock, the kernel is told after it: of two threads
 *   that tell it about one chunk the last one wins, which costs speed or memory, nothing else.
 */
#include "core/huge.h"

#include "core/units.h"
#include "os/sys.h"

#define AHEAD       7    /* chunks */
#define BORDERS_MAX 2000 /* of the 65 530 mappings that a process may have by default */

static _Atomic bool always;
static _Atomic size_t marked; /* chunks; written under the lock */
static size_t borders;

void hk_huge_set_always(bool on)
{
    atomic_store_explicit(&always, on, memory_order_relaxed);
}

bool hk_huge_always(void)
{
    return atomic_load_explicit(&always, memory_order_relaxed);
}

size_t hk_huge_chunks(void)
{
    return atomic_load_explicit(&marked, memory_order_relaxed);
}

/* Borders on either side of chunk i. */
static size_t borders_of(size_t i)
{
    bool is = hk_chunk_at(i)->huge, below = i > 0 && hk_chunk_at(i - 1)->huge;
    bool above = i + 1 < hk_map_chunks() && hk_chunk_at(i + 1)->huge;
    return (size_t)(is != below) + (size_t)(is != above);
}

static void mark(size_t i, enum hk_huge want)
{
    struct hk_chunk *c = hk_chunk_at(i);
    bool news = !c->huge != !want;
    if (news) borders -= borders_of(i);
    c->huge = (uint8_t)want;
    if (!news) return;
    borders += borders_of(i);
    atomic_store_explicit(&marked, hk_huge_chunks() + (want ? 1 : (size_t)-1),
                          memory_order_relaxed);
}

/* True if one was marked otherwise. */
static bool mark_all(size_t first, size_t end, enum hk_huge want)
{
    bool news = false;
    if (borders > BORDERS_MAX) return false; /* what a cut would save is not worth a mapping */
    for (size_t i = first; i < end; i++) {
        news |= !hk_chunk_at(i)->huge != !want;
        mark(i, want);
    }
    return news;
}

/* The free chunks that were never touched from `end` on are next, most likely: one call for some.
 */
static size_t ahead(size_t end)
{
    size_t most = end + AHEAD < hk_map_chunks() ? end + AHEAD : hk_map_chunks();
    while (end < most) {
        const struct hk_chunk *c = hk_chunk_at(end);
        if (c->state != HK_CHUNK_FREE || c->dirty || c->huge) break;
        end++;
    }
    return end;
}

void hk_huge_advise(void *p, size_t units, enum hk_huge want)
{
    size_t first = hk_chunk_index((char *)p + HK_CHUNK_BYTES - 1);
    size_t end = hk_chunk_index((char *)p + units * HK_UNIT_BYTES);
    if (first >= end) return;
    hk_lock_acquire(&hk_pool_lock);
    bool news = mark_all(first, end, want);
    hk_lock_release(&hk_pool_lock);
    size_t bytes = (end - first) * HK_CHUNK_BYTES;
    if (!news || (want ? hk_sys_huge : hk_sys_nohuge)(hk_chunk_addr(first), bytes)) return;
    hk_lock_acquire(&hk_pool_lock);
    mark_all(first, end, want ? HK_HUGE_NO : HK_HUGE_BIG); /* refused */
    hk_lock_release(&hk_pool_lock);
}

void hk_huge_share(void *p, size_t units)
{
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    size_t first = c->index, end = first + 1;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_lock_acquire(&hk_pool_lock);
    /* Not if others were quicker: of what they took nothing is known. */
    bool news = c->taken == units && mark_all(first, end, HK_HUGE_SHARED);
    if (news) {
        hk_units_soil(c, now);
        end = ahead(end);
        if (end > first + 1 && !mark_all(first + 1, end, HK_HUGE_AHEAD)) end = first + 1;
    }
    hk_lock_release(&hk_pool_lock);
    if (!news || hk_sys_huge(hk_chunk_addr(first), (end - first) * HK_CHUNK_BYTES)) return;
    hk_lock_acquire(&hk_pool_lock);
    mark_all(first, end, HK_HUGE_NO); /* refused */
    hk_lock_release(&hk_pool_lock);
}

struct hk_chunk *hk_huge_taken(void *p, size_t units, uint32_t now)
{
    char *end = (char *)p + units * HK_UNIT_BYTES;
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(end - 1));
    if (HK_LIKELY(!c->huge) || c->taken == HK_CHUNK_UNITS) return NULL;
    bool keep = c->huge == HK_HUGE_SHARED && c->taken > units;
    if (keep) return NULL;
    if (c->huge == HK_HUGE_AHEAD || hk_huge_always() || borders > BORDERS_MAX) {
        c->huge = HK_HUGE_SHARED;
        hk_units_soil(c, now);
        return NULL;
    }
    mark(c->index, HK_HUGE_NO);
    return c;
}

void hk_huge_undo(struct hk_chunk *c)
{
    if (hk_sys_nohuge(hk_chunk_addr(c->index), HK_CHUNK_BYTES)) return;
    uint32_t now = (uint32_t)hk_sys_now_ms();
    hk_lock_acquire(&hk_pool_lock);
    mark(c->index, HK_HUGE_SHARED); /* refused */
    if (c->state == HK_CHUNK_USED) hk_units_soil(c, now);
    hk_lock_release(&hk_pool_lock);
}

bool hk_huge_is(const void *p)
{
    if (!hk_huge_chunks()) return false;
    hk_lock_acquire(&hk_pool_lock);
    bool is = hk_chunk_at(hk_chunk_index(p))->huge;
    hk_lock_release(&hk_pool_lock);
    return is;
}

void hk_huge_leave(const void *p)
{
    struct hk_chunk *c = hk_chunk_at(hk_chunk_index(p));
    if (!hk_huge_chunks() || hk_huge_always()) return;
    hk_lock_acquire(&hk_pool_lock);
    bool was = c->huge && borders <= BORDERS_MAX;
    if (was) mark(c->index, HK_HUGE_NO);
    hk_lock_release(&hk_pool_lock);
    if (was) hk_huge_undo(c);
}
