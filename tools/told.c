/* SPDX-License-Identifier: MIT */
/*
 * What: decisions of learning as sentences, and the numbers in them.
 * Why: a record of costs tells why to whoever knows what is compared; a sentence tells everyone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

const char *show_ns(uint64_t ns, char out[SHOW_BYTES])
{
    static const struct {
        uint64_t below;
        double unit;
        const char *name;
    } units[] = {{1000000, 1e3, "us"}, {1000000000, 1e6, "ms"}, {UINT64_MAX, 1e9, "s"}};
    unsigned i = 0;
    if (ns < 10000) {
        snprintf(out, SHOW_BYTES, "%" PRIu64 " ns", ns);
        return out;
    }
    while (i < 2 && ns >= units[i].below) i++;
    snprintf(out, SHOW_BYTES, "%.1f %s", (double)ns / units[i].unit, units[i].name);
    return out;
}

const char *show_thousandths(uint64_t v, char out[SHOW_BYTES])
{
    snprintf(out, SHOW_BYTES, "%.15g", (double)v / 1000);
    return out;
}

const char *show_sizes(const uint64_t size[SIZES], char out[2 * SHOW_BYTES])
{
    char text[SHOW_BYTES];
    snprintf(out, (size_t)2 * SHOW_BYTES, "%s",
             size[0] ? show_value(HK_KNOB_mid_dyn1, (int64_t)size[0], NULL, text) : "none");
    if (!size[1]) return out;
    size_t len = strlen(out);
    snprintf(out + len, (size_t)2 * SHOW_BYTES - len, " and %s",
             show_value(HK_KNOB_mid_dyn1, (int64_t)size[1], NULL, text));
    return out;
}

static int action_told(const struct decision *d, char **out)
{
    char from[SHOW_BYTES], to[SHOW_BYTES], was[SHOW_BYTES], is[SHOW_BYTES];
    action_name(d->from, from);
    action_name(d->to, to);
    return asprintf(out,
                    "window %" PRIu64 ": %s blocks: %s -> %s, as %s would have cost %s and %s %s",
                    d->window, band_names[d->band], from, to, to, show_ns(d->cost[1], is), from,
                    show_ns(d->cost[0], was));
}

/* A mean reward of 0 is that of what was never tried, or of what is no good. */
static int rounding_told(const struct decision *d, char **out)
{
    char from[SHOW_BYTES], to[SHOW_BYTES], was[SHOW_BYTES], is[SHOW_BYTES];
    show_thousandths(d->wmax[0], from);
    show_thousandths(d->wmax[1], to);
    return asprintf(out,
                    "window %" PRIu64 ": %s blocks: up to %s times as long as asked for instead of "
                    "%s; mean rewards so far: %s and %s",
                    d->window, band_names[d->band], to, from, show_thousandths(d->cost[1], is),
                    show_thousandths(d->cost[0], was));
}

const char *show_threshold(uint64_t bytes, char out[SHOW_BYTES])
{
    const struct hk_knob_row *row = &hk_knob_rows[HK_KNOB_thp_threshold];
    if (bytes < (uint64_t)row->most)
        return show_value(HK_KNOB_thp_threshold, (int64_t)bytes, NULL, out);
    snprintf(out, SHOW_BYTES, "none");
    return out;
}

static int huge_told(const struct decision *d, char **out)
{
    char from[SHOW_BYTES], to[SHOW_BYTES], was[SHOW_BYTES], is[SHOW_BYTES];
    return asprintf(out,
                    "window %" PRIu64
                    ": threshold of huge pages: %s instead of %s; mean rewards so "
                    "far: %s and %s",
                    d->window, show_threshold(d->wmax[1], to), show_threshold(d->wmax[0], from),
                    show_thousandths(d->cost[1], is), show_thousandths(d->cost[0], was));
}

static int caps_told(const struct decision *d, char **out)
{
    return asprintf(out,
                    "window %" PRIu64 ": %" PRIu64 " cap%s changed, as hits were not on target; "
                    "all of them allow %.1f MiB a thread",
                    d->window, d->changed, d->changed == 1 ? "" : "s",
                    (double)d->cost[1] / (1 << 20));
}

static int sizes_told(const struct decision *d, char **out)
{
    char from[2 * SHOW_BYTES], to[2 * SHOW_BYTES];
    return asprintf(out,
                    "window %" PRIu64
                    ": sizes with a class of their own: %s instead of %s, by what "
                    "most requests between 32 and 256 KiB are for",
                    d->window, show_sizes(d->size[1], to), show_sizes(d->size[0], from));
}

static int state_told(const struct decision *d, char **out)
{
    static const char *const why[ORDERS] = {
        [ORDER_TRY] = "learning ended, what was learned is on trial",
        [ORDER_KEEP] = "the trial ended, what was learned is kept",
        [ORDER_REVERT] = "the trial ended, what was learned is taken back, as it cost more",
        [ORDER_RELEARN] = "the load is another one, learning begins again"};
    bool verdict = d->order == ORDER_KEEP || d->order == ORDER_REVERT;
    return asprintf(out,
                    "window %" PRIu64 ": %s: %" PRIu64 " ns a request %s, %" PRIu64
                    " in the mean before learning",
                    d->window, why[d->order], d->cost[0], verdict ? "on trial" : "in this window",
                    d->cost[1]);
}

char *decision_told(const struct decision *d)
{
    static int (*const told[])(const struct decision *d, char **out) = {
        [ABOUT_ACTION] = action_told, [ABOUT_WMAX] = rounding_told, [ABOUT_HUGE] = huge_told,
        [ABOUT_CAPS] = caps_told,     [ABOUT_SIZES] = sizes_told,   [ABOUT_STATE] = state_told};
    char *out = NULL;
    if (told[d->about](d, &out) < 0) exit(complain(WRONG, "out of memory"));
    return out;
}
