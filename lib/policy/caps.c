/* SPDX-License-Identifier: MIT */
/*
 * What: CAP learning and its budget.
 * Why: see caps.h.
 */
#include "policy/caps.h"

#include <string.h>

#define DEMAND_MOST ((uint64_t)1 << 48)

static uint64_t within(uint64_t x, uint64_t least, uint64_t most)
{
    return x < least ? least : x > most ? most : x;
}

/* At most 8 × 2^24 × 2^32. */
uint64_t hk_caps_sum(const struct hk_caps *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->classes; i++) sum += c->of[i].cap * c->of[i].bytes;
    return sum;
}

static uint64_t room(const struct hk_caps *c)
{
    uint64_t sum = hk_caps_sum(c);
    return sum < c->budget ? c->budget - sum : 0;
}

static void forget(struct hk_caps_class *k)
{
    k->enough = k->waited = 0;
    k->wait = HK_CAPS_WAIT;
    k->turns = k->odd = 0;
    k->way = 0;
    k->shrunk = false;
    k->usual = 0;
}

void hk_caps_forget(struct hk_caps *c)
{
    for (uint32_t i = 0; i < c->classes; i++) forget(&c->of[i]);
}

void hk_caps_init(struct hk_caps *c, uint64_t budget, hk_q16 target)
{
    memset(c, 0, sizeof *c);
    c->budget = budget;
    c->target = hk_q16_clamp(target, 0, HK_Q16_ONE);
}

/* The class with least demand that has more than it must; of equals the last. */
static struct hk_caps_class *least_demanded(struct hk_caps *c, bool below_least)
{
    struct hk_caps_class *found = NULL;
    for (uint32_t i = 0; i < c->classes; i++) {
        struct hk_caps_class *k = &c->of[i];
        if (k->cap <= (below_least ? 0 : k->least)) continue;
        if (!found || k->demand <= found->demand) found = k;
    }
    return found;
}

/* Whole steps, as far as there is that much, that free so many bytes. */
static uint32_t steps_for(const struct hk_caps_class *k, uint64_t bytes, uint32_t keep)
{
    uint64_t blocks = bytes / k->bytes + (bytes % k->bytes != 0);
    blocks = within(blocks, 0, HK_CAPS_BLOCKS_MOST);
    blocks = (blocks + k->step - 1) / k->step * k->step;
    return (uint32_t)within(blocks, 0, k->cap - keep);
}

void hk_caps_budget(struct hk_caps *c, uint64_t budget)
{
    c->budget = budget;
    for (uint32_t i = 0; i < c->classes; i++) {
        if (c->of[i].cap < c->of[i].least) c->of[i].cap = c->of[i].least;
    }
    bool below_least = false;
    for (uint64_t sum; (sum = hk_caps_sum(c)) > budget;) {
        struct hk_caps_class *k = least_demanded(c, below_least);
        if (k)
            k->cap -= steps_for(k, sum - budget, below_least ? 0 : k->least);
        else
            below_least = true;
    }
}

uint32_t hk_caps_add(struct hk_caps *c, uint64_t bytes, uint32_t least, uint32_t most,
                     uint32_t step)
{
    if (c->classes >= HK_CAPS_CLASSES) return HK_CAPS_CLASSES;
    struct hk_caps_class *k = &c->of[c->classes];
    k->bytes = within(bytes, 1, HK_CAPS_BYTES_MOST);
    k->most = (uint32_t)within(most, 0, HK_CAPS_BLOCKS_MOST);
    k->least = (uint32_t)within(least, 0, k->most);
    k->step = (uint32_t)within(step, 1, HK_CAPS_BLOCKS_MOST);
    forget(k);
    c->classes++;
    hk_caps_budget(c, c->budget); /* it gets its least, from the others if need be */
    return c->classes - 1;
}

/* What the window tells of a class: 1 it misses too much, -1 hardly ever, 0 neither or nothing. */
static int note(struct hk_caps_class *k, const struct hk_caps_seen *seen, hk_q16 target)
{
    uint64_t requests = hk_sat_add(seen->hits, seen->misses);
    if (requests < HK_CAPS_REQUESTS) {
        k->demand -= k->demand / 8; /* so that who sleeps gives to who needs */
        return 0;
    }
    k->demand = k->demand - k->demand / 4 + 4 * within(seen->misses, 0, DEMAND_MOST / 16);
    if (k->usual == 0) k->usual = requests;
    bool odd = requests / 2 > k->usual || requests < k->usual / 2;
    k->odd = (uint8_t)(odd ? k->odd + 1 : 0);
    if (k->odd >= HK_CAPS_ODD) {
        forget(k);
        k->usual = requests;
    }
    hk_q16 rate = hk_q16_of(seen->hits, requests);
    hk_q16 high = target + HK_CAPS_MARGIN;
    if (high >= HK_Q16_ONE) high = HK_Q16_ONE - 1; /* who never misses may always give */
    return rate < target - HK_CAPS_MARGIN ? 1 : rate > high ? -1 : 0;
}

static bool may_shrink(const struct hk_caps_class *k)
{
    return k->way < 0 || k->turns < HK_CAPS_TURNS;
}

static void change(struct hk_caps_class *k, uint32_t cap)
{
    int8_t way = cap > k->cap ? 1 : -1;
    if (way < 0 && k->way > 0) k->turns++;
    k->shrunk |= way < 0;
    k->way = way;
    k->cap = cap;
}

static void step_down(struct hk_caps_class *k)
{
    if (k->cap <= k->least || !may_shrink(k)) return;
    uint32_t next = k->cap - (uint32_t)within(k->step, 0, k->cap - k->least);
    if (next < k->enough) {
        if (++k->waited < k->wait) return;
        /* The load may be another by now, so ask again; but less and less often. */
        k->enough = 0;
        k->wait *= k->wait < UINT32_MAX / 2 ? 2 : 1;
    }
    k->waited = 0;
    change(k, next);
}

static bool gives(const struct hk_caps_class *k, const struct hk_caps_class *to)
{
    uint64_t enough = k->demand + k->demand / HK_CAPS_TAKE;
    return k != to && k->cap > k->least && enough < to->demand && may_shrink(k);
}

/* Others with less demand give up steps until there is room; all or nothing. */
static bool borrow(struct hk_caps *c, const struct hk_caps_class *to, uint64_t need)
{
    uint64_t there = room(c);
    for (uint32_t i = 0; i < c->classes; i++) {
        const struct hk_caps_class *k = &c->of[i];
        if (gives(k, to)) there += (k->cap - k->least) * k->bytes;
    }
    if (there < need) return false;
    for (uint64_t left; (left = room(c)) < need;) {
        struct hk_caps_class *from = NULL;
        for (uint32_t i = 0; i < c->classes; i++) {
            struct hk_caps_class *k = &c->of[i];
            if (gives(k, to) && (!from || k->demand <= from->demand)) from = k;
        }
        if (!from) return false;
        change(from, from->cap - steps_for(from, need - left, from->least));
    }
    return true;
}

static bool step_up(struct hk_caps *c, struct hk_caps_class *k, bool may_take)
{
    uint32_t blocks = (uint32_t)within(k->step, 0, k->most - k->cap);
    uint64_t need = blocks * k->bytes;
    if (blocks == 0) return false;
    if (need > room(c) && !(may_take && borrow(c, k, need))) return false;
    change(k, k->cap + blocks);
    return true;
}

/* The most demanded first; of equals the first. */
static void by_demand(const struct hk_caps *c, uint32_t order[HK_CAPS_CLASSES])
{
    for (uint32_t i = 0; i < c->classes; i++) {
        uint32_t at = i;
        for (; at && c->of[order[at - 1]].demand < c->of[i].demand; at--) order[at] = order[at - 1];
        order[at] = i;
    }
}

uint32_t hk_caps_window(struct hk_caps *c, const struct hk_caps_seen *seen)
{
    uint32_t before[HK_CAPS_CLASSES], order[HK_CAPS_CLASSES] = {0}, changed = 0;
    int wish[HK_CAPS_CLASSES];
    for (uint32_t i = 0; i < c->classes; i++) {
        struct hk_caps_class *k = &c->of[i];
        before[i] = k->cap;
        wish[i] = note(k, &seen[i], c->target);
        if (wish[i] > 0 && k->cap >= k->enough) k->enough = k->cap + 1;
        if (wish[i] < 0) step_down(k);
    }
    by_demand(c, order);
    for (uint32_t round = 0; round < HK_CAPS_ROUNDS; round++) {
        for (uint32_t i = 0; i < c->classes; i++) {
            uint32_t n = order[i];
            /* The first may be at the cost of others; more only before it ever had too much. */
            if (wish[n] <= 0 || (round && c->of[n].shrunk)) continue;
            if (!step_up(c, &c->of[n], round == 0)) wish[n] = 0;
        }
    }
    for (uint32_t i = 0; i < c->classes; i++) changed += c->of[i].cap != before[i];
    return changed;
}
