/* SPDX-License-Identifier: MIT */
/*
 * What: partly used chunks in bins by their longest free span.
 * Why: see filler.h. Inside a chunk dirty units come first, so that the resident set does not grow
 *   while free resident memory lies about.
 * Locks: the caller holds the shard's.
 */
#include "core/filler.h"

#include <string.h>

#include "os/report.h"

#define LOOK 6 /* chunks compared in a bin */

void hk_filler_drop(struct hk_filler *f, struct hk_chunk *c)
{
    if (!c->span) return;
    if (c->prev)
        c->prev->next = c->next;
    else
        f->bin[c->span] = c->next;
    if (c->next) c->next->prev = c->prev;
    if (!f->bin[c->span]) f->mask &= ~(1u << c->span);
    c->next = c->prev = NULL;
    c->span = 0;
}

void hk_filler_file(struct hk_filler *f, struct hk_chunk *c)
{
    unsigned span = hk_longest_run32(~c->used);
    if (span == c->span) return;
    hk_filler_drop(f, c);
    if (!span) return;
    HK_ASSERT(span < HK_CHUNK_UNITS); /* one unit is used, or it is no business of the filler */
    c->span = (uint8_t)span;
    c->prev = NULL;
    c->next = f->bin[span];
    if (c->next) c->next->prev = c;
    f->bin[span] = c;
    f->mask |= 1u << span;
}

static int find_units(const struct hk_chunk *c, unsigned n, unsigned align)
{
    uint32_t grid = align == 1    ? ~0u
                    : align == 2  ? 0x55555555u
                    : align == 4  ? 0x11111111u
                    : align == 8  ? 0x01010101u
                    : align == 16 ? 0x00010001u
                                  : 1u;
    uint32_t warm = hk_runs32(~c->used & c->dirty, n) & grid;
    if (warm) return __builtin_ctz(warm);
    uint32_t fits = hk_runs32(~c->used, n) & grid;
    return fits ? __builtin_ctz(fits) : -1;
}

struct hk_chunk *hk_filler_find(const struct hk_filler *f, unsigned n, unsigned align, unsigned *at)
{
    for (uint32_t m = f->mask & ~hk_low_mask32(n); m; m &= m - 1) {
        unsigned span = (unsigned)__builtin_ctz(m);
        struct hk_chunk *best = NULL;
        int look = LOOK;
        for (struct hk_chunk *c = f->bin[span]; c && look > 0; c = c->next, look--) {
            if (best &&
                (c->taken < best->taken || (c->taken == best->taken && c->index > best->index)))
                continue;
            int place = find_units(c, n, align);
            if (place < 0) continue;
            best = c;
            *at = (unsigned)place;
        }
        if (best) return best;
    }
    return NULL;
}

#ifdef HK_DEBUG
size_t hk_filler_check(const struct hk_filler *f)
{
    size_t n = 0;
    for (unsigned span = 0; span < HK_CHUNK_UNITS; span++) {
        const struct hk_chunk *before = NULL;
        HK_CHECK(!f->bin[span] == !(f->mask >> span & 1), f);
        for (const struct hk_chunk *c = f->bin[span]; c; before = c, c = c->next, n++) {
            HK_CHECK(c->prev == before && c->span == span && c->state == HK_CHUNK_USED, c);
            HK_CHECK(span == hk_longest_run32(~c->used), c);
        }
    }
    return n;
}
#endif

void hk_filler_forget(struct hk_filler *f)
{
    memset(f, 0, sizeof *f);
}
