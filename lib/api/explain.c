/* SPDX-License-Identifier: MIT */
/*
 * What: hakmem_policy_dump: all that learning knows, decided, and why.
 * Why: a policy that cannot be explained is not trusted.
 * Threads: any; learning waits meanwhile.
 */
#include <unistd.h>

#include "api/api.h"
#include "api/emit.h"
#include "front/learn.h"
#include "front/site.h"
#include "os/object.h"
#include "os/probe.h"

static const char *const band_name[HK_LEARN_BANDS] = {"mid", "large", "big"};
static const char *const action_name[HK_ACTIONS] = {"keep", "lazy", "batch", "now"};
static const char *const state_name[] = {"off", "learn", "canary", "frozen"};
static const char *const order_name[] = {"nothing", "try", "keep", "revert", "relearn"};
static const char *const decided_name[] = {"action_mid", "action_large", "action_big",
                                           "wmax_mid",   "wmax_large",   "thp_threshold",
                                           "caps",       "sizes",        "state"};

static uint64_t thousandths_of(unsigned band, unsigned arm)
{
    return atomic_load_explicit(&hk_policy_wmax[band][arm], memory_order_relaxed);
}

static void two_sizes(struct hk_emit *e, const char *name, size_t first, size_t second)
{
    hk_emit_open(e, name, '[');
    if (first) hk_emit_number(e, NULL, first);
    if (second) hk_emit_number(e, NULL, second);
    hk_emit_close(e, ']');
}

static void in_force(struct hk_emit *e, const char *name, struct hk_snapshot s, const size_t *sizes)
{
    hk_emit_open(e, name, '{');
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        static const char *const names[] = {"action_mid", "action_large", "action_big"};
        hk_emit_word(e, names[b], action_name[hk_policy_action(s, (enum hk_band)(b + 1))]);
    }
    hk_emit_ratio(e, "wmax_mid", thousandths_of(0, s.wmax_mid));
    hk_emit_ratio(e, "wmax_large", thousandths_of(1, s.wmax_large));
    hk_emit_number(e, "thp_threshold", hk_policy_huge_from(s.huge_from));
    two_sizes(e, "sizes", sizes[0], sizes[1]);
    if (s.caps_on) {
        hk_emit_open(e, "cap_units", '[');
        for (unsigned c = 0; c < HK_RUN_CLASSES; c++) hk_emit_number(e, NULL, hk_policy_cap(s, c));
        hk_emit_close(e, ']');
    }
    hk_emit_number(e, "generation", s.generation);
    hk_emit_close(e, '}');
}

static void ratings(struct hk_emit *e, const struct hk_learner *l)
{
    hk_emit_open(e, "ratings", '[');
    for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
        for (unsigned a = 0; a < HK_ACTIONS; a++) {
            hk_emit_open(e, NULL, '{');
            hk_emit_word(e, "band", band_name[b]);
            hk_emit_word(e, "action", action_name[a]);
            hk_emit_ratio(e, "rating", (uint64_t)l->elo.rating[b][a]);
            hk_emit_number(e, "matches", l->elo.played[b][a]);
            hk_emit_number(e, "cost_ns", l->cost[b][a]);
            hk_emit_close(e, '}');
        }
    }
    hk_emit_close(e, ']');
}

static void arm(struct hk_emit *e, const struct hk_ucb *u, unsigned a)
{
    hk_emit_number(e, "pulls", u->pulls[a]);
    hk_emit_q16(e, "mean", hk_ucb_mean(u, a));
    hk_emit_q16(e, "bound", hk_ucb_bound(u, a));
    hk_emit_close(e, '}');
}

static void trials(struct hk_emit *e, const char *name, uint64_t tried, uint64_t kept,
                   uint64_t rolled_back)
{
    hk_emit_open(e, name, '{');
    hk_emit_number(e, "tried", tried);
    hk_emit_number(e, "kept", kept);
    hk_emit_number(e, "rolled_back", rolled_back);
    hk_emit_close(e, '}');
}

static void arms(struct hk_emit *e, const struct hk_learner *l)
{
    const struct hk_canary *c = l->canary, *huge = &l->canary[HK_LEARN_HUGE];
    hk_emit_open(e, "rounding", '[');
    for (unsigned b = 0; b < 2; b++) {
        for (unsigned a = 0; a < HK_WMAX_ARMS; a++) {
            hk_emit_open(e, NULL, '{');
            hk_emit_word(e, "band", band_name[b]);
            hk_emit_ratio(e, "wmax", thousandths_of(b, a));
            arm(e, &l->ucb[b], a);
        }
    }
    hk_emit_close(e, ']');
    trials(e, "rounding_trials", c[0].tried + c[1].tried, c[0].kept + c[1].kept,
           c[0].rolled_back + c[1].rolled_back);
    hk_emit_open(e, "thp", '[');
    for (unsigned a = 0; a < HK_HUGE_ARMS; a++) {
        hk_emit_open(e, NULL, '{');
        hk_emit_number(e, "threshold", hk_policy_huge_from(a));
        arm(e, &l->ucb[HK_LEARN_HUGE], a);
    }
    hk_emit_close(e, ']');
    trials(e, "thp_trials", huge->tried, huge->kept, huge->rolled_back);
}

static void caps(struct hk_emit *e, const struct hk_learner *l)
{
    hk_emit_open(e, "caps", '[');
    for (unsigned c = 0; c < HK_RUN_CLASSES; c++) {
        const struct hk_caps_class *k = &l->caps[c / HK_RUN_MID_CLASSES].of[c % HK_RUN_MID_CLASSES];
        hk_emit_open(e, NULL, '{');
        hk_emit_number(e, "units", hk_run_class_units(c));
        hk_emit_number(e, "cap", k->cap);
        hk_emit_number(e, "most", k->most);
        hk_emit_number(e, "misses_a_window", k->demand / 16);
        hk_emit_close(e, '}');
    }
    hk_emit_close(e, ']');
}

static void arms_of(struct hk_emit *e, const struct hk_decision *d)
{
    unsigned band = d->what == HK_DECIDED_WMAX_LARGE;
    if (d->what == HK_DECIDED_HUGE) {
        hk_emit_number(e, "from", hk_policy_huge_from(d->from));
        hk_emit_number(e, "to", hk_policy_huge_from(d->to));
    } else {
        hk_emit_ratio(e, "from", thousandths_of(band, d->from));
        hk_emit_ratio(e, "to", thousandths_of(band, d->to));
    }
}

static void decisions(struct hk_emit *e, const struct hk_learner *l)
{
    uint64_t first = l->decisions > HK_LEARN_DECISIONS ? l->decisions - HK_LEARN_DECISIONS : 0;
    hk_emit_open(e, "decisions", '[');
    for (uint64_t i = first; i < l->decisions; i++) {
        const struct hk_decision *d = &l->decision[i % HK_LEARN_DECISIONS];
        hk_emit_open(e, NULL, '{');
        hk_emit_number(e, "window", d->window);
        hk_emit_word(e, "what", decided_name[d->what]);
        if (d->what == HK_DECIDED_STATE) {
            hk_emit_word(e, "order", order_name[d->order]);
            hk_emit_word(e, "from", state_name[d->from]);
            hk_emit_word(e, "to", state_name[d->to]);
            hk_emit_number(e, "ns_a_request_now", d->cost_from);
            hk_emit_q16(e, "ns_a_request_before", (hk_q16)d->cost_to);
        } else if (d->what == HK_DECIDED_CAPS) {
            hk_emit_number(e, "changed", d->to);
            hk_emit_number(e, "bytes", d->cost_to);
        } else if (d->what == HK_DECIDED_SIZES) {
            two_sizes(e, "from", (uint32_t)d->cost_from, d->cost_from >> 32);
            two_sizes(e, "to", (uint32_t)d->cost_to, d->cost_to >> 32);
        } else if (d->what >= HK_DECIDED_WMAX_MID) {
            arms_of(e, d);
            hk_emit_q16(e, "reward_from", (hk_q16)d->cost_from);
            hk_emit_q16(e, "reward_to", (hk_q16)d->cost_to);
        } else {
            hk_emit_word(e, "from", action_name[d->from]);
            hk_emit_word(e, "to", action_name[d->to]);
            hk_emit_number(e, "cost_from_ns", d->cost_from);
            hk_emit_number(e, "cost_to_ns", d->cost_to);
        }
        hk_emit_close(e, '}');
    }
    hk_emit_close(e, ']');
}

/* Ratings in the order of `ratings`, caps in that of `caps`. */
static void history(struct hk_emit *e, const struct hk_learner *l)
{
    hk_emit_open(e, "history", '[');
    for (uint32_t i = 0; i < l->history.points; i++) {
        const struct hk_learn_point *p = &l->history.point[i];
        hk_emit_open(e, NULL, '{');
        hk_emit_number(e, "window", (i + 1) * l->history.every);
        hk_emit_open(e, "ratings", '[');
        for (unsigned b = 0; b < HK_LEARN_BANDS; b++) {
            for (unsigned a = 0; a < HK_ACTIONS; a++) hk_emit_number(e, NULL, p->rating[b][a]);
        }
        hk_emit_close(e, ']');
        hk_emit_open(e, "caps", '[');
        for (unsigned c = 0; c < HK_RUN_CLASSES; c++) hk_emit_number(e, NULL, p->cap[c]);
        hk_emit_close(e, ']');
        hk_emit_close(e, '}');
    }
    hk_emit_close(e, ']');
}

static void site(struct hk_emit *e, const struct hk_site *s, const char *maps)
{
    struct hk_object o;
    uintptr_t at = atomic_load_explicit(&s->at, memory_order_relaxed);
    unsigned rule = hk_site_rule(at);
    if (!at || !hk_object_of(maps, at, &o)) return;
    hk_emit_open(e, NULL, '{');
    hk_emit_name(e, "object", o.name, o.len);
    hk_emit_number(e, "offset", o.offset);
    hk_emit_number(e, "requests", atomic_load_explicit(&s->requests, memory_order_relaxed));
    hk_emit_number(e, "bytes", atomic_load_explicit(&s->bytes, memory_order_relaxed));
    hk_emit_word(e, "rule", rule ? action_name[(rule - 1) % HK_ACTIONS] : "none");
    hk_emit_close(e, '}');
}

static void sites(struct hk_emit *e, const char *maps)
{
    const struct hk_site *s = hk_sites();
    hk_emit_open(e, "sites", '[');
    for (unsigned i = 0; s && maps && i < HK_SITES; i++) site(e, &s[i], maps);
    hk_emit_close(e, ']');
}

static void life(struct hk_emit *e, const struct hk_learner *l)
{
    hk_emit_word(e, "state", state_name[l->life.state]);
    hk_emit_number(e, "windows", l->windows);
    hk_emit_number(e, "requests", l->requests);
    hk_emit_number(e, "tried", l->life.tried);
    hk_emit_number(e, "kept", l->life.kept);
    hk_emit_number(e, "reverted", l->life.reverted);
    hk_emit_number(e, "relearnt", l->life.relearnt);
    hk_emit_number(e, "ns_a_request_median", hk_p2_value(&l->median));
    hk_emit_number(e, "ns_a_request_p99", hk_p2_value(&l->tail));
}

HK_EXPORT void hakmem_policy_dump(int fd, int json)
{
    struct hk_emit e;
    bool busy;
    hk_probe_quiet();
    /* These make system calls: before learning waits. */
    char *maps = hk_sites() ? hk_object_maps() : NULL;
    hk_emit_begin(&e, fd, json != 0);
    const struct hk_learner *l = hk_learn_look(&busy);
    size_t sizes[HK_DYN_CHOSEN];
    hk_dyn_read(sizes); /* not all that was decided may have found a slot */
    if (l) {
        life(&e, l);
        in_force(&e, "in_force", l->now, sizes);
        in_force(&e, "before", l->before, l->sizes_before);
        ratings(&e, l);
        arms(&e, l);
        caps(&e, l);
        decisions(&e, l);
        history(&e, l);
        sites(&e, maps);
        hk_learn_let_go();
    } else {
        hk_emit_word(&e, "state", busy ? "busy" : "off");
        in_force(&e, "in_force", hk_policy_now(), sizes);
    }
    hk_emit_end(&e);
    hk_object_release(maps);
    hk_probe_loud();
}
