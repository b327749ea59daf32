/* SPDX-License-Identifier: MIT */
/*
 * What: the lifecycle of a learnt policy.
 * Why: see lifecycle.h.
 */
#include "policy/lifecycle.h"

#include <string.h>

static void enter(struct hk_lifecycle *l, enum hk_life_state state)
{
    l->state = (uint8_t)state;
    l->windows = l->same = 0;
    l->requests = l->ms = 0;
    l->settling = 0;
    l->settled = false;
    l->drifting = l->unfit = 0;
    l->known = false;
    memset(&l->sum, 0, sizeof l->sum);
    l->measured = false;
    if (state == HK_LIFE_STATE_LEARN) l->touched = false;
}

void hk_lifecycle_init(struct hk_lifecycle *l, enum hk_life_mode mode)
{
    memset(l, 0, sizeof *l);
    if (mode != HK_LIFE_MODE_FROZEN && mode != HK_LIFE_MODE_ONCE && mode != HK_LIFE_MODE_ALWAYS)
        mode = HK_LIFE_MODE_OFF;
    l->mode = (uint8_t)mode;
    enter(l, mode == HK_LIFE_MODE_OFF      ? HK_LIFE_STATE_OFF
             : mode == HK_LIFE_MODE_FROZEN ? HK_LIFE_STATE_FROZEN
                                           : HK_LIFE_STATE_LEARN);
}

bool hk_lifecycle_learns(const struct hk_lifecycle *l)
{
    return l->state == HK_LIFE_STATE_LEARN && l->measured;
}

hk_q16 hk_lifecycle_distance(const hk_q16 a[HK_LIFE_SIZES], const hk_q16 b[HK_LIFE_SIZES])
{
    hk_q16 sum = 0;
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) {
        hk_q16 x = hk_q16_clamp(a[i], 0, HK_Q16_ONE), y = hk_q16_clamp(b[i], 0, HK_Q16_ONE);
        sum += x > y ? x - y : y - x;
    }
    return hk_q16_clamp(sum, 0, 2 * HK_Q16_ONE);
}

static struct hk_life_load load_of(const struct hk_life_window *w)
{
    struct hk_life_load load;
    uint64_t all = 0, most = 0;
    load.cost = hk_q16_clamp(hk_q16_of(w->cost_ns, w->requests), 0, HK_LIFE_COST_MOST);
    /* An eighth of each where the sum could wrap. */
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) most = w->sizes[i] > most ? w->sizes[i] : most;
    unsigned less = most > UINT64_MAX / HK_LIFE_SIZES ? 3 : 0;
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) all += w->sizes[i] >> less;
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) load.mix[i] = hk_q16_of(w->sizes[i] >> less, all);
    return load;
}

/* At most 4 windows are summed up. */
static void sum_up(struct hk_lifecycle *l, const struct hk_life_load *load)
{
    struct hk_life_load *sum = &l->sum;
    if (l->windows % 4 == 1 || load->cost < l->least) l->least = load->cost;
    if (l->windows % 4 == 1 || load->cost > l->most) l->most = load->cost;
    sum->cost += load->cost;
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) sum->mix[i] += load->mix[i];
}

static struct hk_life_load mean(const struct hk_life_load *sum, uint32_t windows)
{
    struct hk_life_load m = *sum;
    m.cost /= (hk_q16)windows;
    for (uint32_t i = 0; i < HK_LIFE_SIZES; i++) m.mix[i] /= (hk_q16)windows;
    return m;
}

static bool above(hk_q16 cost, hk_q16 than, hk_q16 margin, hk_q16 spread)
{
    return cost > than + hk_q16_mul(than, margin) + HK_Q16_ONE + spread / 4;
}

static enum hk_life_order learn(struct hk_lifecycle *l, const struct hk_life_load *load,
                                bool changed)
{
    if (!l->measured) {
        sum_up(l, load);
        bool slow = l->windows >= HK_LIFE_BEFORE_LEAST && l->ms >= HK_LIFE_BEFORE_MS;
        l->measured = slow || l->windows == HK_LIFE_BEFORE;
        l->before = mean(&l->sum, l->windows);
        l->spread = l->most - l->least;
        return HK_LIFE_NONE;
    }
    l->touched |= changed;
    l->same = changed ? 0 : l->same + 1;
    bool settled = l->same >= HK_LIFE_SAME && l->ms >= HK_LIFE_SAME_MS;
    bool enough = l->requests >= HK_LIFE_ENOUGH && l->windows >= HK_LIFE_BEFORE + HK_LIFE_LEAST;
    if (!settled && !enough) return HK_LIFE_NONE;
    enter(l, HK_LIFE_STATE_CANARY);
    l->tried++;
    return HK_LIFE_TRY;
}

static enum hk_life_order judge(struct hk_lifecycle *l, const struct hk_life_load *load)
{
    if (!l->settled && l->settling < HK_LIFE_SETTLE_MOST) {
        l->settling++;
        l->settled = l->ms >= HK_LIFE_SETTLE_MS; /* with the next window */
        l->windows = 0;
        return HK_LIFE_NONE;
    }
    sum_up(l, load);
    if (l->windows < HK_LIFE_CANARY) return HK_LIFE_NONE;
    l->frozen = mean(&l->sum, HK_LIFE_CANARY);
    /* What is the same as before cannot be worse: then it is the load. */
    bool worse = l->touched && above(l->frozen.cost, l->before.cost, HK_LIFE_MARGIN,
                                     l->spread + l->most - l->least);
    if (worse)
        l->reverted++;
    else
        l->kept++;
    enter(l, l->mode == HK_LIFE_MODE_ALWAYS ? HK_LIFE_STATE_LEARN : HK_LIFE_STATE_FROZEN);
    return worse ? HK_LIFE_REVERT : HK_LIFE_KEEP;
}

static enum hk_life_order watch(struct hk_lifecycle *l, const struct hk_life_load *load, bool unfit)
{
    if (l->mode == HK_LIFE_MODE_FROZEN) return HK_LIFE_NONE; /* nothing to compare with */
    sum_up(l, load);
    l->unfit = (uint8_t)(l->unfit + unfit);
    if (l->windows % HK_LIFE_BLOCK) return HK_LIFE_NONE;
    struct hk_life_load block = mean(&l->sum, HK_LIFE_BLOCK);
    bool worse = 2 * l->unfit > HK_LIFE_BLOCK;
    memset(&l->sum, 0, sizeof l->sum);
    l->unfit = 0;
    if (!l->known) l->frozen = block;
    bool drifts = worse || hk_lifecycle_distance(block.mix, l->frozen.mix) > HK_LIFE_DRIFT_MIX;
    l->known = true;
    l->drifting = (uint8_t)(drifts ? l->drifting + 1 : 0);
    if (l->drifting < HK_LIFE_DRIFT) return HK_LIFE_NONE;
    enter(l, HK_LIFE_STATE_LEARN);
    l->relearnt++;
    return HK_LIFE_RELEARN;
}

enum hk_life_order hk_lifecycle_window(struct hk_lifecycle *l, const struct hk_life_window *w)
{
    if (l->state == HK_LIFE_STATE_OFF || w->requests < HK_LIFE_REQUESTS) return HK_LIFE_NONE;
    struct hk_life_load load = load_of(w);
    l->windows++; /* it wraps at a multiple of a block */
    l->requests = hk_sat_add(l->requests, w->requests);
    l->ms = hk_sat_add(l->ms, w->ms);
    switch (l->state) {
    case HK_LIFE_STATE_LEARN:
        return learn(l, &load, w->changed);
    case HK_LIFE_STATE_CANARY:
        return judge(l, &load);
    default:
        return watch(l, &load, w->unfit);
    }
}
