/* SPDX-License-Identifier: MIT */
/*
 * What: the P² estimator.
 * Why: see p2.h.
 */
#include "policy/p2.h"

#include <string.h>

#define LAST (HK_P2_MARKERS - 1)

void hk_p2_init(struct hk_p2 *p, uint32_t permille)
{
    memset(p, 0, sizeof *p);
    p->permille = permille < 1 ? 1 : permille > 999 ? 999 : permille;
}

/* The first five are kept in order. */
static void add_first(struct hk_p2 *p, int64_t high)
{
    uint32_t i = p->count++;
    for (; i && p->high[i - 1] > high; i--) p->high[i] = p->high[i - 1];
    p->high[i] = high;
    if (p->count < HK_P2_MARKERS) return;
    for (uint32_t m = 0; m < HK_P2_MARKERS; m++) p->at[m] = m + 1;
}

/* Where marker m should be, times 2000. */
static int64_t wanted(const struct hk_p2 *p, uint32_t m)
{
    int64_t q = p->permille;
    const int64_t part[HK_P2_MARKERS] = {0, q, 2 * q, 1000 + q, 2000};
    return 2000 + (p->at[LAST] - 1) * part[m];
}

/* The height of marker m one place further (way 1 or -1): on a parabola through its neighbours. */
static int64_t moved(const struct hk_p2 *p, uint32_t m, int64_t way)
{
    int64_t left = p->at[m] - p->at[m - 1], right = p->at[m + 1] - p->at[m];
    int64_t fall = p->high[m] - p->high[m - 1], rise = p->high[m + 1] - p->high[m];
    int64_t slope = (left + way) * rise / right + (right - way) * fall / left;
    int64_t high = p->high[m] + way * slope / (left + right);
    if (p->high[m - 1] < high && high < p->high[m + 1]) return high;
    return p->high[m] + (way > 0 ? rise / right : -(fall / left));
}

static void adjust(struct hk_p2 *p, uint32_t m)
{
    int64_t off = wanted(p, m) - 2000 * p->at[m];
    int64_t way = off >= 2000 ? 1 : off <= -2000 ? -1 : 0;
    if (way == 0) return;
    int64_t gap = way > 0 ? p->at[m + 1] - p->at[m] : p->at[m] - p->at[m - 1];
    if (gap <= 1) return;
    p->high[m] = moved(p, m, way);
    p->at[m] += way;
}

static void halve(struct hk_p2 *p)
{
    for (uint32_t m = 1; m < HK_P2_MARKERS; m++) {
        int64_t half = (p->at[m] + 1) / 2, next = p->at[m - 1] + 1;
        p->at[m] = half > next ? half : next;
    }
}

void hk_p2_add(struct hk_p2 *p, uint64_t value)
{
    int64_t high = (int64_t)(value < HK_P2_MOST ? value : HK_P2_MOST) << HK_P2_DIGITS;
    if (p->count < HK_P2_MARKERS) {
        add_first(p, high);
        return;
    }
    if (high < p->high[0]) p->high[0] = high;
    if (high > p->high[LAST]) p->high[LAST] = high;
    for (uint32_t m = 1; m < HK_P2_MARKERS; m++) p->at[m] += m == LAST || high < p->high[m];
    for (uint32_t m = 1; m < LAST; m++) adjust(p, m);
    if (p->at[LAST] >= HK_P2_COUNT) halve(p);
}

uint64_t hk_p2_value(const struct hk_p2 *p)
{
    if (p->count == 0) return 0;
    uint32_t place = p->count < HK_P2_MARKERS ? (p->permille * p->count + 999) / 1000 - 1 : 2;
    /* To the nearest: in a run of equal values the marker may hang a little below them. */
    return (uint64_t)(p->high[place] + (1 << (HK_P2_DIGITS - 1))) >> HK_P2_DIGITS;
}
