/* SPDX-License-Identifier: MIT */
/*
 * What: the choice of two more size classes.
 * Why: see sizes.h.
 */
#include "policy/sizes.h"

#define NONE HK_SIZES_BUCKETS

static bool counted(size_t size)
{
    return hk_sizes_bucket(size) < HK_SIZES_BUCKETS;
}

void hk_sizes_seen(struct hk_sizes *h, size_t size, uint64_t times)
{
    if (!counted(size) || times == 0) return;
    unsigned b = hk_sizes_bucket(size);
    uint64_t sum = hk_sat_add(h->count[b], times);
    h->count[b] = sum < HK_SIZES_COUNT ? sum : HK_SIZES_COUNT;
    if (size > h->largest[b]) h->largest[b] = (uint32_t)size;
}

void hk_sizes_fade(struct hk_sizes *h)
{
    for (unsigned b = 0; b < HK_SIZES_BUCKETS; b++) {
        h->count[b] /= 2;
        if (h->count[b] == 0) h->largest[b] = 0;
    }
}

static size_t class_size(const struct hk_sizes *h, unsigned b)
{
    return hk_align_up(h->largest[b], HK_DYN_ROUND);
}

/* Bytes that a class saves of each request: its units less its part of a slab. */
static uint64_t saved(size_t size)
{
    size_t slab = HK_LONG_UNITS * HK_UNIT_BYTES, part = slab / (slab / size);
    size_t whole = hk_bytes_to_units(size) * HK_UNIT_BYTES;
    return whole > part && (whole - part) * 1000 >= whole * HK_SIZES_SAVES ? whole - part : 0;
}

/* < 2^40 × 2^16. */
static uint64_t gain(const struct hk_sizes *h, unsigned b)
{
    return b == NONE ? 0 : h->count[b] * saved(class_size(h, b));
}

static bool has_share(const struct hk_sizes *h, unsigned b, uint64_t all, uint64_t permille)
{
    return h->count[b] * 1000 >= all * permille;
}

/* The best bucket that is not chosen yet, of equals the first. */
static unsigned best_other(const struct hk_sizes *h, uint64_t all, const unsigned chosen[])
{
    unsigned best = NONE;
    for (unsigned b = 0; b < HK_SIZES_BUCKETS; b++) {
        if (b == chosen[0] || b == chosen[1] || !has_share(h, b, all, HK_SIZES_SHARE)) continue;
        if (gain(h, b) > gain(h, best)) best = b;
    }
    return best;
}

/* The bucket of a previous choice, if that may stay. */
static unsigned staying(const struct hk_sizes *h, uint64_t all, size_t size)
{
    if (!counted(size)) return NONE;
    unsigned b = hk_sizes_bucket(size);
    return has_share(h, b, all, HK_SIZES_STAYS) && gain(h, b) ? b : NONE;
}

/* A size that could have been chosen; else it counts as none. */
static size_t sane(size_t size)
{
    return counted(size) && size % HK_DYN_ROUND == 0 && saved(size) ? size : 0;
}

/* The histogram without what classes of these sizes serve. */
static struct hk_sizes unserved(const struct hk_sizes *h, const size_t set[HK_DYN_CHOSEN])
{
    struct hk_sizes left = *h;
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++) {
        for (unsigned b = 0; b < HK_SIZES_BUCKETS; b++)
            if (h->largest[b] <= set[i] && h->largest[b] > set[i] - set[i] / 8) left.count[b] = 0;
    }
    return left;
}

bool hk_sizes_choose(const struct hk_sizes *all_sizes, const size_t set[HK_DYN_CHOSEN],
                     unsigned most, size_t out[HK_DYN_CHOSEN])
{
    const size_t was[HK_DYN_CHOSEN] = {out[0], out[1]};
    struct hk_sizes left = unserved(all_sizes, set), *h = &left;
    size_t a = sane(was[0]), b = most > 1 ? sane(was[1]) : 0;
    uint64_t all = 0;
    for (unsigned i = 0; i < HK_SIZES_BUCKETS; i++) all += h->count[i];
    if (all >= HK_SIZES_KNOWN) {
        unsigned chosen[HK_DYN_CHOSEN] = {staying(h, all, a), staying(h, all, b)};
        if (chosen[0] == chosen[1]) chosen[1] = NONE;
        for (unsigned i = 0; i < most && i < HK_DYN_CHOSEN; i++) {
            unsigned worse = most > 1 && gain(h, chosen[0]) >= gain(h, chosen[1]) ? 1 : 0;
            unsigned other = best_other(h, all, chosen);
            /* An empty place saves nothing. */
            if (gain(h, other) > gain(h, chosen[worse]) + gain(h, chosen[worse]) / 2)
                chosen[worse] = other;
        }
        a = chosen[0] == NONE ? 0 : class_size(h, chosen[0]);
        b = chosen[1] == NONE ? 0 : class_size(h, chosen[1]);
    }
    bool swap = a == 0 || (b != 0 && b < a);
    out[0] = swap ? b : a;
    out[1] = a == b ? 0 : swap ? a : b;
    return out[0] != was[0] || out[1] != was[1];
}
