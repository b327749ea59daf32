/* SPDX-License-Identifier: MIT */
/*
 * What: the knob parser, walked over its own table: default, bounds, beyond, garbage, unknown.
 * Why: a row added to knobs.def is tested without a line here.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/knobs.h"
#include "hktest.h"

static unsigned set(const char *name, const char *value)
{
    static char var[200]; /* the parser keeps pointers into it, as into the environment */
    snprintf(var, sizeof var, "HAKMEM_%s%s%s", name, value ? "=" : "", value ? value : "");
    char *env[] = {var, NULL};
    return hk_knobs_read(env);
}

static void walk_bool(unsigned k)
{
    const char *name = hk_knob_rows[k].name;
    static const char *const bad[] = {"", "2", "-1", "yes", "1x", " 1", "99999999999999999999999"};
    hktest_ok(set(name, "1") == 0 && hk_knob_value(k) == 1, "%s=1", name);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(name, bad[i]) == 1 && hk_knob_value(k) == 1, "%s=\"%s\" is refused", name,
                  bad[i]);
    hktest_ok(set(name, "0") == 0 && hk_knob_value(k) == 0, "%s=0", name);
}

static void walk_size(unsigned k)
{
    const char *name = hk_knob_rows[k].name;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"1", 1},
                {"12345", 12345},
                {"2K", 2048},
                {"3M", 3 << 20},
                {"1G", 1 << 30},
                {"5T", 5ll << 40},
                {"8388607T", 8388607ll << 40},
                {"0", 0}};
    static const char *const bad[] = {"",     "K",
                                      "-1",   "1k",
                                      "1KB",  "1 K",
                                      "1.5G", "8388608T",
                                      "0x10", "99999999999999999999999",
                                      "1KK",  "999999999999999999999999999G"};
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        hktest_ok(set(name, good[i].text) == 0 && hk_knob_value(k) == good[i].value, "%s=%s", name,
                  good[i].text);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(name, bad[i]) == 1 && hk_knob_value(k) == 0, "%s=\"%s\" is refused", name,
                  bad[i]);
}

int main(void)
{
    int keep = dup(2), null = open("/dev/null", O_WRONLY); /* the complaints are expected */
    dup2(null, 2);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        hktest_ok(hk_knob_value(k) == row->def && !hk_knob_text(k), "%s starts at its default",
                  row->name);
        hktest_ok(row->def >= row->least && row->def <= row->most && *row->help, "%s: row",
                  row->name);
        if (row->type == HK_TYPE_BOOL) walk_bool(k);
        if (row->type == HK_TYPE_SIZE) walk_size(k);
        if (row->type == HK_TYPE_TEXT)
            hktest_ok(set(row->name, "a=b") == 0 && strcmp(hk_knob_text(k), "a=b") == 0, "%s=text",
                      row->name);
    }
    HKTEST(set("FOO", "1") == 1);
    HKTEST(set("STATSX", "1") == 1);
    HKTEST(set("STAT", "1") == 1);
    HKTEST(set("NOEQUALS", NULL) == 0);
    HKTEST(hk_knobs_read(NULL) == 0);
    dup2(keep, 2);
    return hktest_done();
}
