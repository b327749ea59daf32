/* SPDX-License-Identifier: MIT */
/*
 * What: `profile`: the settings that put in force from the start on what a run has learned.
 * Why: a program that is known need not learn each time, and can be told apart from its learning.
 * Invariants: what is printed passes `check`, and what is in force under it is what was in the run:
 *   but for caps that are all 0, as these are none when set.
 */
#include <inttypes.h>
#include <stdio.h>

#include "policy.h"

static void line(bool env, enum hk_knob k, int64_t value)
{
    char text[SHOW_BYTES];
    show_value(k, value, NULL, text);
    if (env)
        printf("HAKMEM_%s=%s%c", hk_knob_rows[k].name, text, k == HK_KNOB_learn ? '\n' : ' ');
    else
        printf("%s = %s\n", hk_knob_rows[k].name, text);
}

/* The candidates, and the number in *arm, of what is in force; 0 is none of them. */
static int64_t candidates(const struct policy *p, unsigned band, int64_t defaults, int64_t *arm)
{
    uint64_t w = p->in_force.wmax[band];
    unsigned a = arm_in_force(p, band);
    *arm = w == 1000 ? 0 : a;
    if (a < ARMS && a)
        return HK_RATIOS(p->arm[band][1].wmax, p->arm[band][2].wmax, p->arm[band][3].wmax,
                         p->arm[band][4].wmax);
    if (*arm == 0) return defaults;
    *arm = 1; /* it was set, and the file does not tell what else was */
    return HK_RATIOS(w, w, w, w);
}

static void rounding(const struct policy *p, bool env, unsigned band)
{
    enum hk_knob knob = band ? HK_KNOB_wmax_large : HK_KNOB_wmax_mid;
    enum hk_knob list = band ? HK_KNOB_wmax_candidates_large : HK_KNOB_wmax_candidates_mid;
    int64_t arm, these = candidates(p, band, hk_knob_rows[list].def, &arm);
    if (these != hk_knob_rows[list].def) line(env, list, these);
    line(env, knob, arm);
}

static int64_t caps(const struct policy *p)
{
    int64_t v = 0;
    for (unsigned c = 0; c < HK_INTS_MOST; c++)
        v |= (int64_t)(p->in_force.cap_units[c] & 0xff) << (8 * c);
    return v;
}

enum status tool_profile(const struct request *r)
{
    static const enum hk_knob actions[BANDS] = {HK_KNOB_action_mid, HK_KNOB_action_large,
                                                HK_KNOB_action_big};
    struct policy p;
    enum status s = policy_read(&p, r, "profile");
    if (s != GOOD) return s;
    if (p.state != STATE_FROZEN)
        fprintf(stderr, TOOL ": state %s, not frozen: these are the settings in force then\n",
                state_names[p.state]);
    if (!r->env && p.state <= STATE_BUSY)
        printf("# %s; state %s\n",
               p.state == STATE_OFF ? "nothing was learned: what was set" : "what was in force",
               state_names[p.state]);
    else if (!r->env)
        printf("# learned in %" PRIu64 " windows, %" PRIu64 " requests; state %s\n", p.windows,
               p.requests, state_names[p.state]);
    for (unsigned b = 0; b < BANDS; b++) line(r->env, actions[b], p.in_force.action[b]);
    if ((int64_t)p.in_force.threshold != hk_knob_rows[HK_KNOB_thp_threshold].def)
        line(r->env, HK_KNOB_thp_threshold, (int64_t)p.in_force.threshold);
    for (unsigned i = 0; i < SIZES && p.in_force.size[i]; i++)
        line(r->env, i ? HK_KNOB_mid_dyn2 : HK_KNOB_mid_dyn1, (int64_t)p.in_force.size[i]);
    rounding(&p, r->env, 0);
    rounding(&p, r->env, 1);
    if (p.in_force.caps_on && caps(&p)) line(r->env, HK_KNOB_caps, caps(&p));
    line(r->env, HK_KNOB_learn, 1); /* frozen, and the last one */
    return GOOD;
}
