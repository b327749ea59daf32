/* SPDX-License-Identifier: MIT */
/*
 * What: `policy`: what a run has learned, what is in force, and why.
 * Why: a policy that cannot be explained is not trusted, and 1500 lines of JSON explain nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy.h"

#define NUMBER "%" PRIu64

static void head(struct table *t, unsigned columns, const char *const *names)
{
    *t = (struct table){.columns = columns};
    for (unsigned c = 0; c < columns; c++) table_cell(t, "%s", names[c]);
}

static void end(struct table *t)
{
    table_end(t);
    putchar('\n');
}

static const char *mark(bool in_force)
{
    return in_force ? "yes" : "-";
}

static void life_plain(const struct policy *p)
{
    char text[SHOW_BYTES], text2[SHOW_BYTES];
    static const char *const means[STATES] = {
        "nothing is learned", "it was learning at that moment: no more could be read",
        "learning goes on", "what was learned is on trial", "learned"};
    struct table t = {.columns = 2};
    table_cell(&t, "process");
    table_cell(&t, "number %u of the file", p->process);
    table_cell(&t, "state");
    table_cell(&t, "%s: %s", state_names[p->state], means[p->state]);
    if (p->state > STATE_BUSY) {
        table_cell(&t, "seen");
        table_cell(&t, NUMBER " windows, " NUMBER " requests for large and big blocks", p->windows,
                   p->requests);
        table_cell(&t, "trials");
        table_cell(&t, NUMBER ": " NUMBER " kept, " NUMBER " reverted; learned anew: " NUMBER,
                   p->tried, p->kept, p->reverted, p->relearnt);
        table_cell(&t, "cost");
        table_cell(&t, "%s a request in the median window, %s in the 99th of 100",
                   show_ns(p->median, text), show_ns(p->p99, text2));
    }
    end(&t);
}

static void wmax_cell(struct table *t, uint64_t wmax)
{
    char text[SHOW_BYTES];
    table_cell(t, "%s", show_thousandths(wmax, text));
}

static void caps_cell(struct table *t, const struct in_force *f)
{
    if (!f->caps_on) {
        table_cell(t, "-");
        return;
    }
    table_cell(t, NUMBER " " NUMBER " " NUMBER " " NUMBER " " NUMBER " " NUMBER, f->cap_units[0],
               f->cap_units[1], f->cap_units[2], f->cap_units[3], f->cap_units[4], f->cap_units[5]);
}

static void in_force_plain(const struct policy *p)
{
    static const char *const names[] = {"", "in force", "before"};
    const struct in_force *const of[] = {&p->in_force, &p->before};
    unsigned many = p->state <= STATE_BUSY ? 1 : 2;
    char text[SHOW_BYTES], two[2 * SHOW_BYTES];
    struct table t;
    head(&t, 1 + many, names);
    for (unsigned b = 0; b < BANDS; b++) {
        table_cell(&t, "freed %s blocks", band_names[b]);
        for (unsigned i = 0; i < many; i++)
            table_cell(&t, "%s", action_name(of[i]->action[b], text));
    }
    for (unsigned b = 0; b < 2; b++) {
        table_cell(&t, "times as long as asked for, %s", band_names[b]);
        for (unsigned i = 0; i < many; i++) wmax_cell(&t, of[i]->wmax[b]);
    }
    table_cell(&t, "threshold of huge pages");
    for (unsigned i = 0; i < many; i++)
        table_cell(&t, "%s", show_threshold(of[i]->threshold, text));
    table_cell(&t, "sizes with a class of their own");
    for (unsigned i = 0; i < many; i++) table_cell(&t, "%s", show_sizes(of[i]->size, two));
    table_cell(&t, "caps, in 64 KiB");
    for (unsigned i = 0; i < many; i++) caps_cell(&t, of[i]);
    end(&t);
}

static void ratings_plain(const struct policy *p)
{
    static const char *const names[] = {"band",    "action",     "rating",
                                        "matches", "would cost", "in force"};
    char text[SHOW_BYTES];
    struct table t;
    head(&t, 6, names);
    for (unsigned b = 0; b < BANDS; b++) {
        for (unsigned a = 0; a < ACTIONS; a++) {
            const struct rating *r = &p->rating[b][a];
            table_cell(&t, "%s", band_names[b]);
            table_cell(&t, "%s", action_name(a, text));
            table_cell(&t, "%.1f", (double)r->rating / 1000);
            table_cell(&t, NUMBER, r->matches);
            table_cell(&t, "%s", show_ns(r->cost, text));
            table_cell(&t, "%s", mark(a == p->in_force.action[b]));
        }
    }
    end(&t);
}

static void arm_cells(struct table *t, const struct arm *m, bool in_force)
{
    table_cell(t, NUMBER, m->pulls);
    table_cell(t, "%.3f", (double)m->mean / 1000);
    table_cell(t, "%.3f", (double)m->bound / 1000);
    table_cell(t, "%s", mark(in_force));
}

static void arms_plain(const struct policy *p)
{
    static const char *const names[] = {"band", "times as long", "pulls",
                                        "mean", "bound",         "in force"};
    struct table t;
    head(&t, 6, names);
    for (unsigned b = 0; b < 2; b++) {
        for (unsigned a = 0; a < ARMS; a++) {
            const struct arm *m = &p->arm[b][a];
            table_cell(&t, "%s", band_names[b]);
            wmax_cell(&t, m->wmax);
            arm_cells(&t, m, a == arm_in_force(p, b));
        }
    }
    end(&t);
}

static void huge_plain(const struct policy *p)
{
    static const char *const names[] = {"huge pages from", "pulls", "mean", "bound", "in force"};
    char text[SHOW_BYTES];
    struct table t;
    head(&t, 5, names);
    for (unsigned a = 0; a < ARMS; a++) {
        const struct arm *m = &p->huge[a];
        table_cell(&t, "%s", show_threshold(m->wmax, text));
        arm_cells(&t, m, m->wmax == p->in_force.threshold);
    }
    end(&t);
}

static void caps_plain(const struct policy *p)
{
    static const char *const names[] = {"blocks up to", "cap", "at most", "misses a window"};
    struct table t;
    head(&t, 4, names);
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct cap *k = &p->cap[c];
        table_cell(&t, "%.0f KiB", (double)k->units * 64);
        table_cell(&t, NUMBER, k->cap);
        table_cell(&t, NUMBER, k->most);
        table_cell(&t, NUMBER, k->misses);
    }
    end(&t);
}

static void sites_plain(const struct policy *p)
{
    static const char *const names[] = {"call site", "requests", "bytes", "rule"};
    char text[SHOW_BYTES];
    struct table t;
    if (!p->sites) return;
    head(&t, 4, names);
    for (unsigned i = 0; i < p->sites; i++) {
        const struct site *s = &p->site[i];
        table_cell(&t, "%s+0x%" PRIx64, s->object, s->offset);
        table_cell(&t, NUMBER, s->requests);
        table_cell(&t, NUMBER, s->bytes);
        table_cell(&t, "%s", s->rule < ACTIONS ? action_name(s->rule, text) : "-");
    }
    end(&t);
}

static void policy_plain(const struct policy *p)
{
    life_plain(p);
    in_force_plain(p);
    if (p->state <= STATE_BUSY) return;
    ratings_plain(p);
    arms_plain(p);
    huge_plain(p);
    caps_plain(p);
    sites_plain(p);
    for (unsigned i = 0; i < p->decisions; i++) {
        char *told = decision_told(&p->decision[i]);
        puts(told);
        free(told);
    }
}

static void in_force_json(const char *name, const struct in_force *f)
{
    static const char *const actions[] = {"action_mid", "action_large", "action_big"};
    char text[SHOW_BYTES];
    json_open(name, '{');
    for (unsigned b = 0; b < BANDS; b++) json_text(actions[b], action_name(f->action[b], text));
    json_ratio("wmax_mid", f->wmax[0]);
    json_ratio("wmax_large", f->wmax[1]);
    json_count("thp_threshold", f->threshold);
    json_open("sizes", '[');
    for (unsigned i = 0; i < SIZES && f->size[i]; i++) json_count(NULL, f->size[i]);
    json_close(']');
    if (f->caps_on) {
        json_open("cap_units", '[');
        for (unsigned c = 0; c < CLASSES; c++) json_count(NULL, f->cap_units[c]);
        json_close(']');
    }
    json_close('}');
}

static void ratings_json(const struct policy *p)
{
    char text[SHOW_BYTES];
    json_open("ratings", '[');
    for (unsigned b = 0; b < BANDS; b++) {
        for (unsigned a = 0; a < ACTIONS; a++) {
            json_open(NULL, '{');
            json_text("band", band_names[b]);
            json_text("action", action_name(a, text));
            json_ratio("rating", p->rating[b][a].rating);
            json_count("matches", p->rating[b][a].matches);
            json_count("cost_ns", p->rating[b][a].cost);
            json_bool("in_force", a == p->in_force.action[b]);
            json_close('}');
        }
    }
    json_close(']');
}

static void arm_json(const struct arm *m, bool in_force)
{
    json_count("pulls", m->pulls);
    json_ratio("mean", m->mean);
    json_ratio("bound", m->bound);
    json_bool("in_force", in_force);
    json_close('}');
}

static void arms_json(const struct policy *p)
{
    json_open("rounding", '[');
    for (unsigned b = 0; b < 2; b++) {
        for (unsigned a = 0; a < ARMS; a++) {
            json_open(NULL, '{');
            json_text("band", band_names[b]);
            json_ratio("wmax", p->arm[b][a].wmax);
            arm_json(&p->arm[b][a], a == arm_in_force(p, b));
        }
    }
    json_close(']');
}

static void huge_json(const struct policy *p)
{
    json_open("thp", '[');
    for (unsigned a = 0; a < ARMS; a++) {
        json_open(NULL, '{');
        json_count("threshold", p->huge[a].wmax);
        arm_json(&p->huge[a], p->huge[a].wmax == p->in_force.threshold);
    }
    json_close(']');
}

static void caps_json(const struct policy *p)
{
    json_open("caps", '[');
    for (unsigned c = 0; c < CLASSES; c++) {
        json_open(NULL, '{');
        json_count("units", p->cap[c].units);
        json_count("cap", p->cap[c].cap);
        json_count("most", p->cap[c].most);
        json_count("misses_a_window", p->cap[c].misses);
        json_close('}');
    }
    json_close(']');
}

static void over_time_json(const struct policy *p)
{
    json_open("decisions", '[');
    for (unsigned i = 0; i < p->decisions; i++) {
        char *told = decision_told(&p->decision[i]);
        json_open(NULL, '{');
        json_count("window", p->decision[i].window);
        json_text("told", told);
        json_close('}');
        free(told);
    }
    json_close(']');
    json_open("history", '[');
    for (unsigned i = 0; i < p->points; i++) {
        const struct point *t = &p->point[i];
        json_open(NULL, '{');
        json_count("window", t->window);
        json_open("ratings", '[');
        for (unsigned k = 0; k < RATINGS; k++) json_count(NULL, t->rating[k]);
        json_close(']');
        json_open("caps", '[');
        for (unsigned k = 0; k < CLASSES; k++) json_count(NULL, t->cap[k]);
        json_close(']');
        json_close('}');
    }
    json_close(']');
}

static void sites_json(const struct policy *p)
{
    char text[SHOW_BYTES];
    json_open("sites", '[');
    for (unsigned i = 0; i < p->sites; i++) {
        const struct site *s = &p->site[i];
        json_open(NULL, '{');
        json_text("object", s->object);
        json_count("offset", s->offset);
        json_count("requests", s->requests);
        json_count("bytes", s->bytes);
        json_text("rule", s->rule < ACTIONS ? action_name(s->rule, text) : "none");
        json_close('}');
    }
    json_close(']');
}

static void policy_json(const struct policy *p)
{
    json_open(NULL, '{');
    json_count("process", p->process);
    json_text("state", state_names[p->state]);
    if (p->state > STATE_BUSY) {
        json_count("windows", p->windows);
        json_count("requests", p->requests);
        json_count("tried", p->tried);
        json_count("kept", p->kept);
        json_count("reverted", p->reverted);
        json_count("relearnt", p->relearnt);
        json_count("ns_a_request_median", p->median);
        json_count("ns_a_request_p99", p->p99);
    }
    in_force_json("in_force", &p->in_force);
    if (p->state > STATE_BUSY) {
        in_force_json("before", &p->before);
        ratings_json(p);
        arms_json(p);
        huge_json(p);
        caps_json(p);
        sites_json(p);
        over_time_json(p);
    }
    json_close('}');
}

enum status tool_policy(const struct request *r)
{
    struct policy p;
    enum status s = policy_read(&p, r, "policy");
    if (s != GOOD) return s;
    if (r->svg && (s = chart_write(&p, r->svg)) != GOOD) return s;
    if (r->form == JSON)
        policy_json(&p);
    else
        policy_plain(&p);
    return GOOD;
}
