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
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        bool within = good[i].value <= hk_knob_rows[k].most;
        hktest_ok(set(name, good[i].text) == !within &&
                      (!within || hk_knob_value(k) == good[i].value),
                  "%s=%s", name, good[i].text);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(name, bad[i]) == 1 && hk_knob_value(k) == 0, "%s=\"%s\" is refused", name,
                  bad[i]);
}

static void walk_word(unsigned k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    static const char *const bad[] = {"", " ", "0", "o", "offf", "of f", "minimal fast"};
    char word[64];
    for (int64_t i = row->most; i >= row->least; i--) {
        hk_knob_print(k, i, word, sizeof word);
        hktest_ok(set(row->name, word) == 0 && hk_knob_value(k) == i, "%s=%s", row->name, word);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(row->name, bad[i]) == 1 && hk_knob_value(k) == row->least,
                  "%s=\"%s\" is refused", row->name, bad[i]);
    size_t len;
    hktest_ok(!hk_knob_word(row->words, row->most + 1, &len), "%s has as many words as values",
              row->name);
}

static void walk_int(unsigned k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    static const char *const bad[] = {"", "-1", "1x", " 1", "0x1", "1.0", "9223372036854775807"};
    char text[32];
    int64_t good[] = {row->least, row->most, row->def};
    for (unsigned i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%lld", (long long)good[i]);
        hktest_ok(set(row->name, text) == 0 && hk_knob_value(k) == good[i], "%s=%s", row->name,
                  text);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(row->name, bad[i]) == 1 && hk_knob_value(k) == row->def,
                  "%s=\"%s\" is refused", row->name, bad[i]);
    snprintf(text, sizeof text, "%lld", (long long)row->most + 1);
    hktest_ok(set(row->name, text) == 1, "%s=%s is refused", row->name, text);
    if (row->least == 0) return;
    snprintf(text, sizeof text, "%lld", (long long)row->least - 1);
    hktest_ok(set(row->name, text) == 1, "%s=%s is refused", row->name, text);
}

/* What is printed is what is read. */
static void walk_ratio(unsigned k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    static const char *const bad[] = {"",
                                      ".",
                                      "-1",
                                      "7",
                                      "1.2345",
                                      "1,",
                                      "1.4,1.6",
                                      "x",
                                      "1.4 ",
                                      "1.4,1.6,1.8,2,2",
                                      "1.4,1.6,1.8,5",
                                      "99999999999999999999"};
    char text[64];
    hk_knob_print(k, row->def, text, sizeof text);
    hktest_ok(set(row->name, text) == 0 && hk_knob_value(k) == row->def, "%s=%s", row->name, text);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(row->name, bad[i]) == 1 && hk_knob_value(k) == row->def,
                  "%s=\"%s\" is refused", row->name, bad[i]);
    bool one = row->type == HK_TYPE_RATIO;
    hktest_ok(set(row->name, one ? "0.075" : "1.075,1,1.5,2.001") == 0 &&
                  hk_knob_value(k) == (one ? 75 : HK_RATIOS(1075, 1000, 1500, 2001)),
              "%s: three digits", row->name);
    hk_knob_print(k, hk_knob_value(k), text, sizeof text);
    hktest_ok(strcmp(text, one ? "0.075" : "1.075,1,1.5,2.001") == 0, "printed: %s", text);
}

static void walk_ints(unsigned k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    static const char *const bad[] = {"",
                                      "1",
                                      "1,2,3,4,5",
                                      "1,2,3,4,5,",
                                      "1,2,3,4,5,6,",
                                      "1,2,3,4,5,6,7",
                                      ",1,2,3,4,5",
                                      "1,,3,4,5,6",
                                      "1,2,3,4,5,64",
                                      "64,2,3,4,5,6",
                                      "1,2,-3,4,5,6",
                                      "1, 2,3,4,5,6",
                                      "1,2,3,4,5,6 ",
                                      "1,2,3,4,5,x",
                                      "1,2,3,4,5,99999999999999999999"};
    char text[64];
    int64_t v = 0;
    for (unsigned i = 0; i < HK_INTS_MOST; i++) v |= (int64_t)(i * 12 + 3) << (8 * i);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        hktest_ok(set(row->name, bad[i]) == 1 && hk_knob_value(k) == row->def,
                  "%s=\"%s\" is refused", row->name, bad[i]);
    hktest_ok(set(row->name, "3,15,27,39,51,63") == 0 && hk_knob_value(k) == v, "%s=%s", row->name,
              hk_knob_print(k, v, text, sizeof text));
    hktest_ok(strcmp(text, "3,15,27,39,51,63") == 0, "printed: %s", text);
    hktest_ok(set(row->name, "0,0,0,0,0,0") == 0 && hk_knob_value(k) == 0, "%s: the least",
              row->name);
}

/* A mode is a row's default for those who set nothing. */
static void modes(void)
{
    bool good = true;
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        for (unsigned m = 0; m < HK_MODES; m++) {
            int64_t v = row->def;
            bool has = hk_knob_preset(k, m, &v);
            good &= !has || (v >= row->least && v <= row->most);
            good &= m != HK_MODE_balanced || v == row->def;
            good &= m > 0 || !has || row->type == HK_TYPE_BOOL || row->type == HK_TYPE_WORD;
        }
    }
    hktest_ok(good, "what modes set lies in bounds, and balanced are the defaults");
    hktest_ok(set("MODE", "minimal") == 0 && hk_knob_value(HK_KNOB_thread_cache) == 0 &&
                  hk_knob_source(HK_KNOB_thread_cache) == HK_FROM_MODE,
              "minimal turns thread caches off");
    hktest_ok(set("THREAD_CACHE", "1") == 0 && hk_knob_value(HK_KNOB_thread_cache) == 1 &&
                  hk_knob_source(HK_KNOB_thread_cache) == HK_FROM_ENVIRONMENT,
              "a setting of its own goes before the mode");
}

/* K1, and what a file may look like. */
static void files(void)
{
    char text[] = "# a comment\n\n  LIMIT = 3M # three\r\nHAKMEM_STATS=1\n\tCGROUP=1";
    hktest_ok(hk_knobs_read_text(text, "a", HK_FROM_SYSTEM) == 0 &&
                  hk_knob_value(HK_KNOB_limit) == 3 << 20 && hk_knob_value(HK_KNOB_stats) == 1 &&
                  hk_knob_value(HK_KNOB_cgroup) == 1 &&
                  hk_knob_source(HK_KNOB_limit) == HK_FROM_SYSTEM,
              "a file's lines");
    char later[] = "LIMIT=4M";
    hk_knobs_read_text(later, "b", HK_FROM_FILE);
    char earlier[] = "LIMIT=5M";
    hk_knobs_read_text(earlier, "a", HK_FROM_SYSTEM);
    hktest_ok(hk_knob_value(HK_KNOB_limit) == 4 << 20, "an earlier source changes nothing");
    hktest_ok(set("LIMIT", "6M") == 0 && hk_knob_value(HK_KNOB_limit) == 6 << 20,
              "the environment is the last one");
    char bad[] = "LIMIT\nFOO=1\nSTATS=2\n=3\nSTRICT = 1 1\nlimit=1";
    hktest_ok(hk_knobs_read_text(bad, "c", HK_FROM_FILE) == 6, "six kinds of wrong lines");
    char none[] = "";
    HKTEST(hk_knobs_read_text(none, "d", HK_FROM_FILE) == 0);
}

/* What tools take a file apart with. */
static void lines(void)
{
    char text[] = "\n# none\n HAKMEM_STATS = 1\n\nFOO=1", *rest = text;
    unsigned line = 0;
    enum hk_knob k;
    const char *var = hk_knobs_next(&rest, &line);
    hktest_ok(var && strcmp(var, "STATS=1") == 0 && line == 3, "the line that says something");
    hktest_ok(hk_knobs_set(var, HK_FROM_FILE, &k) && k == HK_KNOB_stats, "is set");
    var = hk_knobs_next(&rest, &line);
    hktest_ok(var && line == 5 && !hk_knobs_set(var, HK_FROM_FILE, &k) && k == HK_KNOBS,
              "a name that is nobody's");
    hktest_ok(!hk_knobs_set("STATS=2", HK_FROM_FILE, &k) && k == HK_KNOB_stats, "a bad value");
    hktest_ok(!hk_knobs_next(&rest, &line), "the end");
}

int main(void)
{
    int keep = dup(2), null = open("/dev/null", O_WRONLY); /* the complaints are expected */
    dup2(null, 2);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        hk_knobs_forget();
        hktest_ok(hk_knob_value(k) == row->def && !hk_knob_text(k), "%s starts at its default",
                  row->name);
        int64_t def = row->type == HK_TYPE_RATIOS ? hk_ratio_of(row->def, 0) : row->def;
        hktest_ok(def >= row->least && def <= row->most && *row->help, "%s: row", row->name);
        if (row->type == HK_TYPE_BOOL) walk_bool(k);
        if (row->type == HK_TYPE_WORD) walk_word(k);
        if (row->type == HK_TYPE_INT) walk_int(k);
        if (row->type == HK_TYPE_RATIO || row->type == HK_TYPE_RATIOS) walk_ratio(k);
        if (row->type == HK_TYPE_SIZE) walk_size(k);
        if (row->type == HK_TYPE_INTS) walk_ints(k);
        if (row->type == HK_TYPE_TEXT)
            hktest_ok(set(row->name, "a=b") == 0 && strcmp(hk_knob_text(k), "a=b") == 0, "%s=text",
                      row->name);
    }
    hk_knobs_forget();
    modes();
    hk_knobs_forget();
    files();
    hk_knobs_forget();
    lines();
    HKTEST(set("FOO", "1") == 1);
    HKTEST(set("STATSX", "1") == 1);
    HKTEST(set("STAT", "1") == 1);
    HKTEST(set("NOEQUALS", NULL) == 0);
    HKTEST(hk_knobs_read(NULL) == 0);
    dup2(keep, 2);
    return hktest_done();
}
