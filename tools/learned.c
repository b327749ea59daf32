/* SPDX-License-Identifier: MIT */
/*
 * What: from the JSON of a file to a struct policy, every value looked at.
 * Why: what shows it need not doubt it.
 * Invariants: P2. What is wrong is told once, with its line: after that nothing is looked at.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

const char *const band_names[BANDS] = {"mid", "large", "big"};
const char *const state_names[STATES] = {"off", "busy", "learn", "canary", "frozen"};
static const char *const order_names[ORDERS] = {"try", "keep", "revert", "relearn"};

struct look {
    const struct reader *reader;
    bool wrong;
};

const char *action_name(unsigned action, char out[SHOW_BYTES])
{
    return show_word(HK_KNOB_action_mid, action, out);
}

PRINTF(3, 4) static void tell(struct look *k, const struct json *j, const char *format, ...)
{
    char *what = NULL;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&what, format, ap) < 0) exit(complain(WRONG, "out of memory"));
    va_end(ap);
    if (!k->wrong) reader_tell(k->reader, j->line, "%s", what);
    free(what);
    k->wrong = true;
}

/* The value of that name; if it is missing or another kind of thing, an empty one of that kind. */
static const struct json *member(struct look *k, const struct json *group, const char *name,
                                 enum json_kind kind)
{
    static const char *const kinds[] = {"number", "text", "list", "group"};
    static const struct json nothing[] = {{.kind = JSON_NUMBER},
                                          {.kind = JSON_TEXT, .text = ""},
                                          {.kind = JSON_LIST},
                                          {.kind = JSON_GROUP}};
    const struct json *found = NULL;
    for (const struct json *j = group->first; j; j = j->next) {
        if (strcmp(j->name, name) != 0) continue;
        if (found) tell(k, j, "%s is there twice", name);
        found = j;
    }
    if (!found)
        tell(k, group, "there is no %s in what begins here", name);
    else if (found->kind != kind)
        tell(k, found, "%s is no %s", name, kinds[kind]);
    return found && found->kind == kind ? found : &nothing[kind];
}

static uint64_t number(struct look *k, const struct json *group, const char *name)
{
    return member(k, group, name, JSON_NUMBER)->whole;
}

/* P1. */
static uint64_t thousandths(struct look *k, const struct json *group, const char *name)
{
    const struct json *j = member(k, group, name, JSON_NUMBER);
    uint64_t out;
    if (!__builtin_mul_overflow(j->whole, 1000, &out) &&
        !__builtin_add_overflow(out, j->rest, &out))
        return out;
    tell(k, j, "%s is too large", name);
    return 0;
}

/* Its place among the words. */
static unsigned word(struct look *k, const struct json *group, const char *name,
                     const char *const *words, unsigned count)
{
    const struct json *j = member(k, group, name, JSON_TEXT);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(j->text, words[i]) == 0) return i;
    }
    tell(k, j, "%s is %.40s, which is not known", name, j->text);
    return 0;
}

static unsigned action(struct look *k, const struct json *group, const char *name)
{
    char text[ACTIONS][SHOW_BYTES];
    const char *words[ACTIONS];
    for (unsigned a = 0; a < ACTIONS; a++) words[a] = action_name(a, text[a]);
    return word(k, group, name, words, ACTIONS);
}

/* The bounds are those of the setting: a profile will be valid. */
static uint64_t wmax(struct look *k, const struct json *group, const char *name)
{
    const struct hk_knob_row *row = &hk_knob_rows[HK_KNOB_wmax_candidates_mid];
    uint64_t v = thousandths(k, group, name);
    if (v >= (uint64_t)row->least && v <= (uint64_t)row->most) return v;
    tell(k, member(k, group, name, JSON_NUMBER), "%s is not from 1 to 4", name);
    return 1000;
}

static uint64_t threshold(struct look *k, const struct json *group, const char *name)
{
    const struct hk_knob_row *row = &hk_knob_rows[HK_KNOB_thp_threshold];
    uint64_t v = number(k, group, name);
    if (v <= (uint64_t)row->most) return v;
    tell(k, member(k, group, name, JSON_NUMBER), "%s is more than 1 TiB", name);
    return (uint64_t)row->def;
}

/* A list of so many of that kind, of groups or numbers. */
static const struct json *list(struct look *k, const struct json *group, const char *name,
                               enum json_kind kind, unsigned least, unsigned most)
{
    const struct json *l = member(k, group, name, JSON_LIST);
    if (l->count < least || l->count > most)
        tell(k, l, "%s has %u values, and should have %u", name, l->count,
             l->count < least ? least : most);
    for (const struct json *j = l->first; j; j = j->next) {
        if (j->kind != kind) tell(k, j, "%s has something in it that should not be there", name);
    }
    static const struct json none = {.kind = JSON_LIST};
    return k->wrong ? &none : l;
}

static void numbers(struct look *k, const struct json *group, const char *name, uint64_t *out,
                    unsigned count)
{
    const struct json *l = list(k, group, name, JSON_NUMBER, count, count);
    for (const struct json *j = l->first; j; j = j->next) *out++ = j->whole;
}

/* None to two, ascending; they are what settings hold. */
static void sizes(struct look *k, const struct json *group, const char *name, uint64_t out[SIZES])
{
    const struct hk_knob_row *row = &hk_knob_rows[HK_KNOB_mid_dyn1];
    const struct json *l = list(k, group, name, JSON_NUMBER, 0, SIZES);
    uint64_t last = 0, i = 0;
    for (const struct json *j = l->first; j; last = j->whole, j = j->next) {
        if (j->whole <= last || j->whole > (uint64_t)row->most)
            tell(k, j, "%s has a size that it cannot have", name);
        else
            out[i++] = j->whole;
    }
}

static void in_force(struct look *k, const struct json *group, const char *name, struct in_force *f)
{
    const struct json *g = member(k, group, name, JSON_GROUP);
    static const char *const actions[] = {"action_mid", "action_large", "action_big"};
    for (unsigned b = 0; b < BANDS; b++) f->action[b] = action(k, g, actions[b]);
    f->wmax[0] = wmax(k, g, "wmax_mid");
    f->wmax[1] = wmax(k, g, "wmax_large");
    for (const struct json *j = g->first; j; j = j->next)
        f->caps_on |= strcmp(j->name, "cap_units") == 0;
    f->threshold = threshold(k, g, "thp_threshold");
    sizes(k, g, "sizes", f->size);
    if (f->caps_on) numbers(k, g, "cap_units", f->cap_units, CLASSES);
}

/* Of number i in a list of groups, `each` to a band. */
static void in_order(struct look *k, const struct json *g, unsigned i, unsigned each)
{
    if (word(k, g, "band", band_names, BANDS) != i / each)
        tell(k, g, "a value of band %s should be here", band_names[i / each]);
}

static struct arm arm(struct look *k, const struct json *g, uint64_t value)
{
    return (struct arm){value, number(k, g, "pulls"), thousandths(k, g, "mean"),
                        thousandths(k, g, "bound")};
}

static void tables(struct look *k, const struct json *all, struct policy *p)
{
    unsigned i = 0;
    const struct json *g = list(k, all, "ratings", JSON_GROUP, RATINGS, RATINGS)->first;
    for (; g; g = g->next, i++) {
        in_order(k, g, i, ACTIONS);
        if (action(k, g, "action") != i % ACTIONS) tell(k, g, "actions are not in their order");
        p->rating[i / ACTIONS][i % ACTIONS] = (struct rating){
            thousandths(k, g, "rating"), number(k, g, "matches"), number(k, g, "cost_ns")};
    }
    i = 0;
    for (g = list(k, all, "rounding", JSON_GROUP, 2 * ARMS, 2 * ARMS)->first; g; g = g->next, i++) {
        in_order(k, g, i, ARMS);
        p->arm[i / ARMS][i % ARMS] = arm(k, g, wmax(k, g, "wmax"));
    }
    i = 0;
    for (g = list(k, all, "thp", JSON_GROUP, ARMS, ARMS)->first; g; g = g->next, i++)
        p->huge[i] = arm(k, g, threshold(k, g, "threshold"));
    i = 0;
    for (g = list(k, all, "caps", JSON_GROUP, CLASSES, CLASSES)->first; g; g = g->next, i++)
        p->cap[i] = (struct cap){number(k, g, "units"), number(k, g, "cap"), number(k, g, "most"),
                                 number(k, g, "misses_a_window")};
}

static struct decision decision(struct look *k, const struct json *g)
{
    static const char *const about[] = {"action_mid", "action_large", "action_big",
                                        "wmax_mid",   "wmax_large",   "thp_threshold",
                                        "caps",       "sizes",        "state"};
    unsigned what = word(k, g, "what", about, sizeof about / sizeof *about);
    struct decision d = {.window = number(k, g, "window")};
    if (what < BANDS) {
        d.about = ABOUT_ACTION;
        d.band = what;
        d.from = action(k, g, "from");
        d.to = action(k, g, "to");
        d.cost[0] = number(k, g, "cost_from_ns");
        d.cost[1] = number(k, g, "cost_to_ns");
    } else if (what < BANDS + 2) {
        d.about = ABOUT_WMAX;
        d.band = what - BANDS;
        d.wmax[0] = wmax(k, g, "from");
        d.wmax[1] = wmax(k, g, "to");
        d.cost[0] = thousandths(k, g, "reward_from");
        d.cost[1] = thousandths(k, g, "reward_to");
    } else if (what == BANDS + 2) {
        d.about = ABOUT_HUGE;
        d.wmax[0] = threshold(k, g, "from");
        d.wmax[1] = threshold(k, g, "to");
        d.cost[0] = thousandths(k, g, "reward_from");
        d.cost[1] = thousandths(k, g, "reward_to");
    } else if (what == BANDS + 3) {
        d.about = ABOUT_CAPS;
        d.changed = number(k, g, "changed");
        d.cost[1] = number(k, g, "bytes");
    } else if (what == BANDS + 4) {
        d.about = ABOUT_SIZES;
        sizes(k, g, "from", d.size[0]);
        sizes(k, g, "to", d.size[1]);
    } else {
        d.about = ABOUT_STATE;
        d.order = word(k, g, "order", order_names, ORDERS);
        d.cost[0] = number(k, g, "ns_a_request_now");
        d.cost[1] = number(k, g, "ns_a_request_before");
    }
    return d;
}

static void sites(struct look *k, const struct json *all, struct policy *p)
{
    const struct json *g = list(k, all, "sites", JSON_GROUP, 0, PLACES)->first;
    for (; g; g = g->next) {
        const char *none = member(k, g, "rule", JSON_TEXT)->text;
        const char *object = member(k, g, "object", JSON_TEXT)->text;
        struct site *s = &p->site[p->sites++];
        *s = (struct site){"", number(k, g, "offset"), number(k, g, "requests"),
                           number(k, g, "bytes"), ACTIONS};
        snprintf(s->object, sizeof s->object, "%s", object);
        if (strcmp(none, "none") != 0) s->rule = action(k, g, "rule");
    }
}

static void over_time(struct look *k, const struct json *all, struct policy *p)
{
    const struct json *g = list(k, all, "decisions", JSON_GROUP, 0, DECISIONS)->first;
    for (; g; g = g->next) p->decision[p->decisions++] = decision(k, g);
    for (g = list(k, all, "history", JSON_GROUP, 0, POINTS)->first; g; g = g->next) {
        struct point *t = &p->point[p->points++];
        t->window = number(k, g, "window");
        numbers(k, g, "ratings", t->rating, RATINGS);
        numbers(k, g, "caps", t->cap, CLASSES);
        if (t->window <= (p->points > 1 ? t[-1].window : 0))
            tell(k, g, "windows of the history are not in their order");
    }
}

static bool understand(struct policy *p, const struct reader *r, const struct json *all)
{
    struct look k = {r, false};
    *p = (struct policy){.state = word(&k, all, "state", state_names, STATES)};
    in_force(&k, all, "in_force", &p->in_force);
    if (p->state <= STATE_BUSY) return !k.wrong;
    in_force(&k, all, "before", &p->before);
    p->windows = number(&k, all, "windows");
    p->requests = number(&k, all, "requests");
    p->tried = number(&k, all, "tried");
    p->kept = number(&k, all, "kept");
    p->reverted = number(&k, all, "reverted");
    p->relearnt = number(&k, all, "relearnt");
    p->median = number(&k, all, "ns_a_request_median");
    p->p99 = number(&k, all, "ns_a_request_p99");
    tables(&k, all, p);
    sites(&k, all, p);
    over_time(&k, all, p);
    return !k.wrong;
}

unsigned arm_in_force(const struct policy *p, unsigned band)
{
    unsigned a = 0;
    while (a < ARMS && p->arm[band][a].wmax != p->in_force.wmax[band]) a++;
    return a;
}

/* --process: 1 and up; 0: the last one, and -1: bad. */
static long wanted(const char *text)
{
    char *end;
    if (!text) return 0;
    long n = strtol(text, &end, 10);
    return *text < '0' || *text > '9' || *end || n < 1 || n > INT32_MAX ? -1 : n;
}

enum status policy_read(struct policy *p, const struct request *r, const char *command)
{
    struct reader f;
    struct json *j;
    long want = wanted(r->process);
    unsigned n = 0;
    bool wrong = false, good = false;
    if (r->count != 1) return complain(USAGE, "%s: which file? One, please", command);
    if (want < 0)
        return complain(USAGE, "--process: bad value \"%s\", it must be a number from 1 on",
                        r->process);
    if (reader_open(&f, r->args[0])) {
        good = true;
        while (good && (!want || n < (unsigned)want) && (j = reader_next(&f, &wrong)) != NULL) {
            good = understand(p, &f, j);
            p->process = ++n;
        }
        good &= !wrong;
        if (good && !n) complain(WRONG, "%s is empty: no process has written to it", f.path);
        if (good && n && want > n)
            complain(WRONG, "%s has %u processes, no number %ld", f.path, n, want);
        good &= n && want <= n;
    }
    reader_end(&f);
    return good ? GOOD : WRONG;
}
