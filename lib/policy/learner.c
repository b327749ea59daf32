/* SPDX-License-Identifier: MIT */
/*
 * What: one window after the other into the deciders, and their results into what is in force.
 * Why: see learner.h. What to do with freed memory is told by a record of how long it lay free,
 *   so all actions are rated without being tried, and the best is in force at once; at the end of
 *   learning all of it is on trial against what was before. How far to round can only be told by
 * trying: it is in force from window to window, with a canary around it.
 */
#include "policy/learner.h"

#include <string.h>

/* Runs of a class to begin with: its part of the budget. */
static uint32_t first_cap(uint64_t budget, unsigned units)
{
    uint64_t runs = budget / HK_RUN_MID_CLASSES / (units * HK_UNIT_BYTES),
             most = HK_CAP_MOST / units;
    return (uint32_t)(runs < most ? runs : most);
}

void hk_learner_init(struct hk_learner *l, const struct hk_learn_config *config)
{
    memset(l, 0, sizeof *l);
    l->config = *config;
    l->now = l->learned = l->before = config->start;
    memcpy(l->sizes_now, config->sizes_set, sizeof l->sizes_now);
    memcpy(l->sizes_learned, config->sizes_set, sizeof l->sizes_now);
    memcpy(l->sizes_before, config->sizes_set, sizeof l->sizes_now);
    l->random.state = config->seed;
    l->history.every = HK_LEARN_EVERY;
    hk_lifecycle_init(&l->life, config->life);
    hk_elo_init(&l->elo);
    hk_p2_init(&l->median, 500);
    hk_p2_init(&l->tail, 990);
    hk_ucb_init(&l->ucb[HK_LEARN_HUGE], HK_HUGE_ARMS);
    hk_canary_init(&l->canary[HK_LEARN_HUGE], HK_HUGE_ARMS, config->start.huge_from);
    for (unsigned b = 0; b < 2; b++) {
        unsigned first = b ? HK_RUN_MID_CLASSES : 0;
        hk_ucb_init(&l->ucb[b], HK_WMAX_ARMS);
        hk_canary_init(&l->canary[b], HK_WMAX_ARMS,
                       b ? config->start.wmax_large : config->start.wmax_mid);
        hk_caps_init(&l->caps[b], config->budget[b], config->target[b]);
        for (unsigned c = first; c < first + HK_RUN_CLASSES / 2; c++) {
            unsigned units = hk_run_class_units(c);
            uint32_t n = hk_caps_add(&l->caps[b], units * HK_UNIT_BYTES, 0, HK_CAP_MOST / units,
                                     config->step[b]);
            l->caps[b].of[n].cap = config->start.caps_on ? hk_policy_cap(config->start, c) / units
                                                         : first_cap(config->budget[b], units);
        }
        hk_caps_budget(&l->caps[b], config->budget[b]);
    }
}

static void decide(struct hk_learner *l, enum hk_decided what, unsigned from, unsigned to,
                   uint64_t cost_from, uint64_t cost_to)
{
    l->decision[l->decisions++ % HK_LEARN_DECISIONS] = (struct hk_decision){
        l->windows, (uint8_t)what, (uint8_t)from, (uint8_t)to, 0, cost_from, cost_to};
}

static uint64_t sum_kib(const struct hk_idle *h)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HK_IDLE_BUCKETS; i++)
        sum = hk_sat_add(sum, hk_sat_add(h->again[i], h->still[i]));
    return sum;
}

/* What the window tells of one band: all actions are rated. */
static void rate(struct hk_learner *l, unsigned band, const struct hk_window *w)
{
    struct hk_idle *h = &l->idle[band];
    hk_idle_fade(h);
    for (unsigned i = 0; i < HK_IDLE_BUCKETS; i++)
        h->again[i] = hk_sat_add(h->again[i], w->idle[band].again[i]);
    memcpy(h->still, w->idle[band].still, sizeof h->still);
    if (sum_kib(h) < HK_LEARN_KIB) return;
    hk_idle_costs(h, &w->prices, l->cost[band]);
    hk_elo_window(&l->elo, band, l->cost[band]);
}

static void see_sizes(struct hk_learner *l, const struct hk_window *w)
{
    if (l->windows % HK_LEARN_SIZES_FADE == 0) hk_sizes_fade(&l->sizes);
    for (unsigned b = 0; b < HK_SIZES_BUCKETS; b++)
        hk_sizes_seen(&l->sizes, w->size_largest[b], w->size_count[b]);
}

static void set_action(struct hk_snapshot *s, unsigned band, unsigned action)
{
    if (band == 0) s->action_mid = action & 3;
    if (band == 1) s->action_large = action & 3;
    if (band == 2) s->action_big = action & 3;
}

/* The best one; of those that are rated about the same, the one that keeps least. */
static unsigned best_action(const struct hk_learner *l, unsigned band, unsigned was)
{
    unsigned best = hk_elo_best(&l->elo, band, was, HK_LEARN_MARGIN);
    if (best == was) return was;
    for (unsigned a = best + 1; a < HK_ACTIONS; a++) {
        if (l->elo.rating[band][a] + (int32_t)HK_LEARN_MARGIN >= l->elo.rating[band][best])
            best = a;
    }
    return best;
}

/* What is known now is best for a band. */
static bool choose_action(struct hk_learner *l, unsigned band)
{
    unsigned was = hk_policy_action(l->learned, (enum hk_band)(band + 1));
    unsigned best = l->config.life == HK_LIFE_MODE_ALWAYS
                        ? hk_elo_pick(&l->elo, band, HK_LEARN_TEMPERATURE, &l->random)
                        : best_action(l, band, was);
    if (best == was) return false;
    set_action(&l->learned, band, best);
    /* By the costs of all, so in force at once; not what dice say, which is for the trial. */
    if (l->config.life != HK_LIFE_MODE_ALWAYS) set_action(&l->now, band, best);
    decide(l, (enum hk_decided)(HK_DECIDED_ACTION_MID + band), was, best, l->cost[band][was],
           l->cost[band][best]);
    return true;
}

/*
 * What it costs to hold what live runs have beyond what was asked for, as a part of what misses
 * could cost at most; blocks mapped by themselves are never rounded, and not counted. As many live
 * as there are requests in a life, so what a window's requests got too much tells what all have.
 */
static hk_q16 burden(const struct hk_window *w, unsigned b, uint64_t asked)
{
    uint64_t kib, ns;
    if (!w->rounded[b] || !w->requests) return 0;
    if (__builtin_mul_overflow(w->rounded[b], w->live, &kib) ||
        __builtin_mul_overflow(kib / w->requests, HK_UNIT_BYTES / HK_KIB, &kib) ||
        __builtin_mul_overflow(kib, w->prices.hold_ns_per_kib_s, &ns) ||
        __builtin_mul_overflow(ns, w->us, &ns))
        return HK_Q16_ONE;
    ns /= 1000000;
    if (ns / HK_LEARN_MISS_NS >= asked) return HK_Q16_ONE;
    return hk_q16_of(ns, asked * HK_LEARN_MISS_NS);
}

/*
 * Hits, less what is handed out beyond what was asked for and what that costs; false: too little
 * was asked for.
 */
static bool reward(const struct hk_window *w, unsigned b, hk_q16 *out)
{
    uint64_t asked = 0, had = 0, units = 0;
    for (unsigned c = b * HK_RUN_MID_CLASSES; c < (b + 1) * HK_RUN_MID_CLASSES; c++) {
        asked = hk_sat_add(asked, w->asked[c]);
        had = hk_sat_add(had, w->had[c]);
        units = hk_sat_add(units, w->had[c] * hk_run_class_units(c));
    }
    if (asked < HK_CAPS_REQUESTS) return false;
    hk_q16 whole = HK_Q16_ONE - hk_q16_of(w->rounded[b], hk_sat_add(units, w->rounded[b]));
    *out =
        hk_q16_clamp(hk_q16_mul(hk_q16_of(had, asked), whole) - burden(w, b, asked), 0, HK_Q16_ONE);
    return true;
}

/* What a KiB of the big blocks of a window cost to touch first, of the cheaper kind of pages. */
static bool huge_reward(const struct hk_window *w, hk_q16 *out)
{
    uint64_t kib = hk_sat_add(w->touched_kib[0], w->touched_kib[1]), cost[2], best;
    const uint32_t *ns = w->touch_ns;
    if (kib < HK_LEARN_KIB || !ns[0] || !ns[1]) return false;
    if (__builtin_mul_overflow(w->touched_kib[0], ns[0], &cost[0]) ||
        __builtin_mul_overflow(w->touched_kib[1], ns[1], &cost[1]) ||
        __builtin_mul_overflow(kib, ns[0] < ns[1] ? ns[0] : ns[1], &best))
        return false;
    *out = hk_q16_of(best, hk_sat_add(cost[0], cost[1]));
    return true;
}

/* In force at once: the canary is what takes it back, and the trial of all that was learned. */
static bool try_arm(struct hk_learner *l, unsigned which, hk_q16 r)
{
    struct hk_canary *c = &l->canary[which];
    struct hk_ucb *u = &l->ucb[which];
    uint32_t was = hk_canary_arm(c);
    hk_ucb_reward(u, was, r);
    bool enough = hk_ucb_mean(u, c->current) >= HK_LEARN_ENOUGH;
    uint32_t next = enough ? c->current : hk_ucb_next(u, hk_canary_barred(c));
    uint32_t is = hk_canary_window(c, next, r);
    if (is == was) return false;
    decide(l, (enum hk_decided)(HK_DECIDED_WMAX_MID + which), was, is,
           (uint64_t)hk_ucb_mean(u, was), (uint64_t)hk_ucb_mean(u, is));
    return true;
}

static bool try_arms(struct hk_learner *l, const struct hk_window *w)
{
    hk_q16 r;
    bool changed = false;
    for (unsigned b = 0; b < 2 && l->config.wmax; b++)
        changed |= reward(w, b, &r) && try_arm(l, b, r);
    if (l->config.huge) changed |= huge_reward(w, &r) && try_arm(l, HK_LEARN_HUGE, r);
    return changed;
}

/* What is on trial is in force, but nothing that was learned. */
static void put_arms(struct hk_learner *l)
{
    if (l->config.huge) {
        l->now.huge_from = hk_canary_arm(&l->canary[HK_LEARN_HUGE]) & 7;
        l->learned.huge_from = l->canary[HK_LEARN_HUGE].current & 7;
    }
    if (!l->config.wmax) return;
    l->now.wmax_mid = hk_canary_arm(&l->canary[0]) & 7;
    l->now.wmax_large = hk_canary_arm(&l->canary[1]) & 7;
    l->learned.wmax_mid = l->canary[0].current & 7;
    l->learned.wmax_large = l->canary[1].current & 7;
}

static void count_hits(struct hk_learner *l, const struct hk_window *w)
{
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        l->asked = hk_sat_add(l->asked, w->asked[c]);
        l->had = hk_sat_add(l->had, w->had[c]);
    }
}

static bool resize_caps(struct hk_learner *l, const struct hk_window *w)
{
    uint32_t changed = 0;
    if (!l->config.caps) return false;
    for (unsigned b = 0; b < 2; b++) {
        struct hk_caps_seen seen[HK_RUN_MID_CLASSES];
        for (unsigned i = 0; i < HK_RUN_MID_CLASSES; i++) {
            unsigned c = b * HK_RUN_MID_CLASSES + i;
            seen[i] = (struct hk_caps_seen){w->had[c], w->asked[c] - w->had[c]};
        }
        changed += hk_caps_window(&l->caps[b], seen);
    }
    if (changed)
        decide(l, HK_DECIDED_CAPS, 0, (unsigned)changed, 0,
               hk_caps_sum(&l->caps[0]) + hk_caps_sum(&l->caps[1]));
    return changed != 0;
}

/* Those set by hand, and those chosen as far as there is room: ascending, none last. */
static void merge_sizes(const struct hk_learner *l, size_t out[HK_DYN_CHOSEN])
{
    const size_t *set = l->config.sizes_set, *chosen = l->sizes_chosen;
    memcpy(out, set, HK_DYN_CHOSEN * sizeof *out);
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++) {
        if (!chosen[i] || chosen[i] == out[0] || out[1]) continue;
        bool first = out[0] && out[0] < chosen[i];
        out[1] = first ? chosen[i] : out[0];
        if (!first) out[0] = chosen[i];
    }
}

/*
 * Sizes that deserve a class: not where held runs serve nearly all, as phases of bench/ took 1.03
 * times as long with it; nor where memory should go back at once, which a slab's does not.
 */
static bool choose_sizes(struct hk_learner *l, const struct hk_window *w)
{
    size_t was[HK_DYN_CHOSEN], *is = l->sizes_learned;
    hk_q16 hits;
    bool wanting = l->sizes_chosen[0] || (reward(w, 0, &hits) && hits < HK_LEARN_ENOUGH);
    if (!l->config.sizes || !wanting) return false;
    memcpy(was, is, sizeof was);
    if (l->learned.action_mid == HK_ACTION_NOW)
        memset(l->sizes_chosen, 0, sizeof l->sizes_chosen);
    else
        hk_sizes_choose(&l->sizes, l->config.sizes_set, l->config.sizes, l->sizes_chosen);
    merge_sizes(l, is);
    if (is[0] == was[0] && is[1] == was[1]) return false;
    decide(l, HK_DECIDED_SIZES, 0, 0, was[0] | (uint64_t)was[1] << 32,
           is[0] | (uint64_t)is[1] << 32);
    return true;
}

/*
 * Only where held runs leave much to gain: by caps alone phases of bench/, with 97 % of hits, took
 * 1.08 times as long.
 */
static void put_caps(struct hk_learner *l, struct hk_snapshot *s)
{
    if (!l->config.caps) return;
    s->caps_on = l->asked && hk_q16_of(l->had, l->asked) < HK_LEARN_ENOUGH;
    s->cap = 0;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        uint64_t units = l->caps[c / HK_RUN_MID_CLASSES].of[c % HK_RUN_MID_CLASSES].cap *
                         (uint64_t)hk_run_class_units(c);
        s->cap |= hk_policy_cap_bits(c, units) & HK_CAP_MASK;
    }
}

/* What large and big blocks cost in the window, ns. */
static uint64_t cost_of(const struct hk_window *w)
{
    uint64_t faults, calls, held, misses = 0;
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++)
        misses = hk_sat_add(misses, w->asked[c] - w->had[c]);
    if (__builtin_mul_overflow(w->refault_kib, w->prices.refault_ns_per_kib, &faults) ||
        __builtin_mul_overflow(w->calls, w->prices.call_ns, &calls) ||
        __builtin_mul_overflow(w->held_kib, w->prices.hold_ns_per_kib_s, &held) ||
        __builtin_mul_overflow(held, w->ms, &held) ||
        __builtin_mul_overflow(misses, HK_LEARN_MISS_NS, &misses))
        return UINT64_MAX;
    return hk_sat_add(hk_sat_add(faults, calls), hk_sat_add(held / 1000, misses));
}

/* What was on trial is out of force with the end of learning; what was counted stays. */
static void end_trial(struct hk_canary *c, uint32_t arm)
{
    struct hk_canary was = *c;
    hk_canary_init(c, was.arms, arm);
    c->tried = was.tried;
    c->kept = was.kept;
    c->rolled_back = was.rolled_back + was.trying;
}

static void obey(struct hk_learner *l, enum hk_life_order order, uint64_t cost, unsigned state)
{
    if (order == HK_LIFE_NONE) return;
    if (order == HK_LIFE_TRY) {
        l->now = l->learned;
        memcpy(l->sizes_now, l->sizes_learned, sizeof l->sizes_now);
        end_trial(&l->canary[0], l->now.wmax_mid);
        end_trial(&l->canary[1], l->now.wmax_large);
        end_trial(&l->canary[HK_LEARN_HUGE], l->now.huge_from);
    }
    if (order == HK_LIFE_KEEP || order == HK_LIFE_RELEARN) {
        l->before = l->now;
        memcpy(l->sizes_before, l->sizes_now, sizeof l->sizes_now);
    }
    if (order == HK_LIFE_REVERT) {
        l->now = l->learned = l->before;
        memcpy(l->sizes_now, l->sizes_before, sizeof l->sizes_now);
        memcpy(l->sizes_learned, l->sizes_before, sizeof l->sizes_now);
        memcpy(l->sizes_chosen, l->sizes_before, sizeof l->sizes_now);
    }
    if (order == HK_LIFE_RELEARN) {
        memset(&l->sizes, 0, sizeof l->sizes);
        l->asked = l->had = 0;
        /* Half forgotten, the last load would outvote this one until learning has ended. */
        hk_elo_init(&l->elo);
        memset(l->idle, 0, sizeof l->idle);
        hk_ucb_fade(&l->ucb[0]);
        hk_ucb_fade(&l->ucb[1]);
        hk_ucb_fade(&l->ucb[HK_LEARN_HUGE]);
        hk_caps_forget(&l->caps[0]);
        hk_caps_forget(&l->caps[1]);
    }
    if (order == HK_LIFE_KEEP || order == HK_LIFE_REVERT)
        cost = (uint64_t)l->life.frozen.cost >> 16; /* what the verdict was about */
    decide(l, HK_DECIDED_STATE, state, l->life.state, cost, (uint64_t)l->life.before.cost);
    l->decision[(l->decisions - 1) % HK_LEARN_DECISIONS].order = (uint8_t)order;
}

/* Whether another action than the one in force is rated better, for some band. */
static bool unfit(const struct hk_learner *l)
{
    for (unsigned b = 0; b < HK_LEARN_BANDS && l->config.elo == HK_ELO_LEARN; b++) {
        unsigned is = hk_policy_action(l->now, (enum hk_band)(b + 1));
        if (best_action(l, b, is) != is) return true;
    }
    return false;
}

/* A point of the history; when there is no place, every second one goes. */
static void remember(struct hk_learner *l)
{
    struct hk_learn_history *h = &l->history;
    if (l->windows % h->every) return;
    if (h->points == HK_LEARN_POINTS) {
        h->points /= 2;
        h->every *= 2;
        for (uint32_t p = 0; p < h->points; p++) h->point[p] = h->point[2 * p + 1];
        if (l->windows % h->every) return;
    }
    struct hk_learn_point *p = &h->point[h->points++];
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        for (unsigned a = 0; a < HK_ACTIONS; a++)
            p->rating[b][a] = (uint16_t)(l->elo.rating[b][a] / HK_ELO_POINT);
    }
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++)
        p->cap[c] = (uint8_t)l->caps[c / HK_RUN_MID_CLASSES].of[c % HK_RUN_MID_CLASSES].cap;
}

bool hk_learner_window(struct hk_learner *l, const struct hk_window *w)
{
    struct hk_snapshot was = l->now;
    size_t sizes[HK_DYN_CHOSEN];
    bool changed = false;
    memcpy(sizes, l->sizes_now, sizeof sizes);
    l->windows++;
    l->requests = hk_sat_add(l->requests, w->requests);
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) rate(l, b, w);
    see_sizes(l, w);
    remember(l);
    bool warm = l->windows > HK_LEARN_WARMUP || l->ms >= HK_LEARN_WARMUP_MS;
    l->ms = hk_sat_add(l->ms, w->ms);
    if (!warm) return false;
    if (hk_lifecycle_learns(&l->life)) {
        for (unsigned b = 0; b < HK_LEARN_BANDS && l->config.elo == HK_ELO_LEARN; b++)
            changed |= choose_action(l, b);
        count_hits(l, w);
        changed |= try_arms(l, w);
        changed |= resize_caps(l, w);
        changed |= choose_sizes(l, w);
        put_arms(l);
        put_caps(l, &l->now);
        put_caps(l, &l->learned);
    }
    struct hk_life_window lw = {cost_of(w), w->requests, w->ms, {0}, changed, unfit(l)};
    memcpy(lw.sizes, w->asked, sizeof w->asked);
    lw.sizes[HK_RUN_CLASSES] = w->big;
    if (w->requests) {
        hk_p2_add(&l->median, lw.cost_ns / w->requests);
        hk_p2_add(&l->tail, lw.cost_ns / w->requests);
    }
    unsigned state = l->life.state;
    obey(l, hk_lifecycle_window(&l->life, &lw), w->requests ? lw.cost_ns / w->requests : 0, state);
    l->now.learn = l->learned.learn = l->life.state != HK_LIFE_STATE_OFF;
    l->now.dyn = l->sizes_now[0] != 0;
    bool same = memcmp(sizes, l->sizes_now, sizeof sizes) == 0;
    if (same && hk_snapshot_word(l->now) == hk_snapshot_word(was)) return false;
    l->now.generation = (was.generation + 1) & 0x7f;
    return true;
}
