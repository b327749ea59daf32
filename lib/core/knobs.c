/* SPDX-License-Identifier: MIT */
/*
 * What: the tables of knobs.def and modes.def, their parser, and which source wins.
 * Why: see knobs.h.
 */
#include "core/knobs.h"

#include <string.h>

#include "core/map.h"
#include "os/report.h"

#define PREFIX     "HAKMEM_"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define COMPLAINT  300

#define HK_KNOB(id, name, type, def, least, most, when, settled, words, help)                      \
    {name, HK_TYPE_##type, def, least, most, HK_WHEN_##when, HK_SETTLED_##settled, words, help},
const struct hk_knob_row hk_knob_rows[HK_KNOBS] = {
#include "core/knobs.def"
};
#undef HK_KNOB

#define HK_MODE(id, purpose) purpose,
#define HK_PRESET(knob, a, b, c, d, e)
const char *const hk_mode_purpose[HK_MODES] = {
#include "core/modes.def"
};
#undef HK_MODE
#undef HK_PRESET

#define HK_MODE(id, purpose)
#define HK_PRESET(knob, a, b, c, d, e) {HK_KNOB_##knob, {a, b, c, d, e}},
static const struct {
    enum hk_knob knob;
    uint8_t value[HK_MODES];
} presets[] = {
#include "core/modes.def"
};
#undef HK_MODE
#undef HK_PRESET

/* Small: all that the library writes to before the first malloc fits into the page of its data. */
static union {
    int64_t value;
    const char *text;
} state[HK_KNOBS];
static uint8_t set_from[HK_KNOBS]; /* enum hk_source; HK_FROM_DEFAULT: not set by anybody */

static bool parse_int(const char *s, int64_t *out)
{
    int64_t v = 0;
    if (!*s) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > INT64_MAX / 10 - 1) return false;
        v = v * 10 + (*s - '0');
    }
    *out = v;
    return true;
}

/* Digits, and K, M, G or T for powers of 1024. */
static bool parse_size(const char *s, int64_t *out)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t len = strlen(s);
    const char *unit = len > 1 ? strchr(units, s[len - 1]) : NULL;
    unsigned shift = unit ? (unsigned)(unit - units + 1) * 10 : 0;
    if (unit) len--;
    if (len >= sizeof digits) return false;
    memcpy(digits, s, len);
    digits[len] = 0;
    if (!parse_int(digits, out) || *out > INT64_MAX >> shift) return false;
    *out <<= shift;
    return true;
}

/* Digits, a point, up to three digits: thousandths; *s is moved behind it. */
static bool parse_ratio(const char **s, int64_t *out)
{
    int64_t v = 0;
    unsigned digits = 0, after = 0;
    bool point = false;
    for (; **s; ++*s) {
        if (**s == '.' && !point) {
            point = true;
            continue;
        }
        if (**s < '0' || **s > '9' || v > 1000000 || after == 3) break;
        v = v * 10 + (**s - '0');
        digits++;
        after += point;
    }
    for (; after < 3; after++) v *= 10;
    *out = v;
    return digits > 0;
}

static bool parse_ratios(const struct hk_knob_row *row, const char *s, int64_t *out)
{
    unsigned n = row->type == HK_TYPE_RATIOS ? HK_RATIOS_MOST : 1;
    int64_t v;
    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i && *s++ != ',') return false;
        if (!parse_ratio(&s, &v) || v < row->least || v > row->most) return false;
        *out |= v << (16 * i);
    }
    return *s == 0;
}

static bool parse_ints(const struct hk_knob_row *row, const char *s, int64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < HK_INTS_MOST; i++) {
        int64_t v = 0;
        const char *from = s += i && *s == ',';
        for (; *s >= '0' && *s <= '9' && v <= row->most; s++) v = v * 10 + (*s - '0');
        bool last = i == HK_INTS_MOST - 1;
        if (s == from || v < row->least || v > row->most || *s != (last ? 0 : ',')) return false;
        *out |= v << (8 * i);
    }
    return true;
}

const char *hk_knob_word(const char *words, int64_t i, size_t *len)
{
    for (; *words; i--) {
        *len = strcspn(words, " ");
        if (i == 0) return words;
        words += *len + (words[*len] == ' ');
    }
    return NULL;
}

static bool parse_word(const char *words, const char *s, int64_t *out)
{
    size_t len;
    const char *word;
    for (*out = 0; (word = hk_knob_word(words, *out, &len)) != NULL; ++*out) {
        if (strlen(s) == len && memcmp(word, s, len) == 0) return true;
    }
    return false;
}

static bool parse_number(const struct hk_knob_row *row, const char *s, int64_t *out)
{
    if (row->type == HK_TYPE_RATIO || row->type == HK_TYPE_RATIOS) return parse_ratios(row, s, out);
    if (row->type == HK_TYPE_INTS) return parse_ints(row, s, out);
    bool good = row->type == HK_TYPE_SIZE   ? parse_size(s, out)
                : row->type == HK_TYPE_WORD ? parse_word(row->words, s, out)
                                            : parse_int(s, out);
    return good && *out >= row->least && *out <= row->most;
}

/* The program may write over its environment later, as setproctitle(3) does. */
static const char *keep(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = bytes <= HK_TEXT_MAX ? hk_meta_alloc(bytes) : NULL;
    return copy ? memcpy(copy, text, bytes) : NULL;
}

/* K1. False if value is not one of this row. */
static bool set_knob(unsigned k, const char *value, enum hk_source from)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    int64_t v = 0;
    const char *text = NULL;
    if (row->type != HK_TYPE_TEXT && !parse_number(row, value, &v)) return false;
    if (from < (enum hk_source)set_from[k]) return true;
    if (row->type == HK_TYPE_TEXT && !(text = keep(value))) return false;
    set_from[k] = (uint8_t)from;
    if (text)
        state[k].text = text;
    else
        state[k].value = v;
    return true;
}

/* What values of the row look like. */
static void tell_range(struct hk_text *t, const struct hk_knob_row *row)
{
    static const char *const is[] = {"0 or 1",
                                     "bytes, or with K, M, G or T",
                                     "a shorter text",
                                     "a number from ",
                                     "from ",
                                     "four with commas between, each from ",
                                     "six with commas between, each from "};
    hk_text_str(t, row->type == HK_TYPE_WORD ? row->words : is[row->type]);
    bool whole = row->type == HK_TYPE_INT || row->type == HK_TYPE_INTS;
    if (!whole && row->type != HK_TYPE_RATIO && row->type != HK_TYPE_RATIOS) return;
    whole ? hk_text_dec(t, (uint64_t)row->least) : hk_text_ratio(t, (uint64_t)row->least);
    hk_text_str(t, " to ");
    whole ? hk_text_dec(t, (uint64_t)row->most) : hk_text_ratio(t, (uint64_t)row->most);
}

bool hk_knobs_set(const char *var, enum hk_source from, enum hk_knob *whose)
{
    const char *eq = strchr(var, '=');
    size_t len = eq ? (size_t)(eq - var) : 0;
    for (unsigned k = 0; eq && k < HK_KNOBS; k++) {
        const char *name = hk_knob_rows[k].name;
        if (strlen(name) != len || memcmp(name, var, len) != 0) continue;
        *whose = (enum hk_knob)k;
        return set_knob(k, eq + 1, from);
    }
    *whose = HK_KNOBS;
    return false;
}

/* path: NULL for the environment; row: whose value it is, NULL: nobody's. */
static void complain(const char *what, const char *path, unsigned line, const char *var,
                     const struct hk_knob_row *row)
{
    char out[COMPLAINT];
    struct hk_text t = {out, sizeof out - 1, 0};
    if (path) {
        hk_text_str(&t, path);
        hk_text_str(&t, ":");
        hk_text_dec(&t, line);
        hk_text_str(&t, ": ");
    }
    hk_text_str(&t, what);
    hk_text_str(&t, ": " PREFIX);
    hk_text_str(&t, var);
    if (row) {
        hk_text_str(&t, " (");
        tell_range(&t, row);
        hk_text_str(&t, ")");
    }
    out[t.len] = 0;
    hk_warn(out, NULL, NULL);
}

/* One NAME=VALUE, what follows HAKMEM_; true if it is fine. */
static bool read_one(const char *var, const char *path, unsigned line, enum hk_source from)
{
    enum hk_knob k;
    if (hk_knobs_set(var, from, &k)) return true;
    if (k == HK_KNOBS)
        complain(path ? "unknown setting, ignored" : "unknown variable, ignored", path, line, var,
                 NULL);
    else
        complain("bad value, ignored", path, line, var, &hk_knob_rows[k]);
    return false;
}

unsigned hk_knobs_read(char *const *env)
{
    unsigned wrong = 0;
    for (; env && *env; env++) {
        if (strncmp(*env, PREFIX, PREFIX_LEN) != 0 || !strchr(*env, '=')) continue;
        wrong += !read_one(*env + PREFIX_LEN, NULL, 0, HK_FROM_ENVIRONMENT);
    }
    return wrong;
}

/* The line without comment and blanks around it and around its first =. */
static char *trim_line(char *s)
{
    static const char blanks[] = " \t\r";
    s[strcspn(s, "#")] = 0;
    s += strspn(s, blanks);
    char *eq = strchr(s, '='), *to, *from;
    if (eq) {
        for (to = eq; to > s && strchr(blanks, to[-1]); to--) continue;
        from = eq + 1 + strspn(eq + 1, blanks);
        *to++ = '=';
        memmove(to, from, strlen(from) + 1);
    }
    for (size_t n = strlen(s); n && strchr(blanks, s[n - 1]); n--) s[n - 1] = 0;
    return s;
}

char *hk_knobs_next(char **text, unsigned *line)
{
    while (*text) {
        char *here = *text, *end = strchr(here, '\n');
        if (end) *end++ = 0;
        *text = end;
        ++*line;
        here = trim_line(here);
        if (strncmp(here, PREFIX, PREFIX_LEN) == 0) here += PREFIX_LEN;
        if (*here) return here;
    }
    return NULL;
}

unsigned hk_knobs_read_text(char *text, const char *path, enum hk_source from)
{
    unsigned wrong = 0, line = 0;
    for (char *var; (var = hk_knobs_next(&text, &line)) != NULL;)
        wrong += !read_one(var, path, line, from);
    return wrong;
}

void hk_knobs_forget(void)
{
    memset(state, 0, sizeof state);
    memset(set_from, 0, sizeof set_from);
}

bool hk_knob_preset(enum hk_knob k, enum hk_mode m, int64_t *value)
{
    for (unsigned i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (presets[i].knob != k) continue;
        *value = presets[i].value[m];
        return true;
    }
    return false;
}

static enum hk_mode mode_now(void)
{
    return (enum hk_mode)(set_from[HK_KNOB_mode] ? state[HK_KNOB_mode].value
                                                 : hk_knob_rows[HK_KNOB_mode].def);
}

int64_t hk_knob_value(enum hk_knob k)
{
    int64_t v = hk_knob_rows[k].def;
    if (set_from[k]) return state[k].value;
    hk_knob_preset(k, mode_now(), &v);
    return v;
}

const char *hk_knob_text(enum hk_knob k)
{
    return set_from[k] ? state[k].text : NULL;
}

enum hk_source hk_knob_source(enum hk_knob k)
{
    int64_t v = hk_knob_rows[k].def;
    if (set_from[k]) return (enum hk_source)set_from[k];
    hk_knob_preset(k, mode_now(), &v);
    return v == hk_knob_rows[k].def ? HK_FROM_DEFAULT : HK_FROM_MODE;
}

char *hk_knob_print(enum hk_knob k, int64_t value, char *out, size_t bytes)
{
    struct hk_text t = {out, bytes - 1, 0};
    const struct hk_knob_row *row = &hk_knob_rows[k];
    size_t len;
    const char *word = row->type == HK_TYPE_WORD ? hk_knob_word(row->words, value, &len) : NULL;
    if (row->type == HK_TYPE_TEXT) {
        const char *text = hk_knob_text(k);
        hk_text_str(&t, text ? text : "");
    } else if (row->type == HK_TYPE_RATIO) {
        hk_text_ratio(&t, (uint64_t)value);
    } else if (row->type == HK_TYPE_RATIOS) {
        for (unsigned i = 0; i < HK_RATIOS_MOST; i++) {
            if (i) hk_text_str(&t, ",");
            hk_text_ratio(&t, (uint64_t)hk_ratio_of(value, i));
        }
    } else if (row->type == HK_TYPE_INTS) {
        for (unsigned i = 0; i < HK_INTS_MOST; i++) {
            if (i) hk_text_str(&t, ",");
            hk_text_dec(&t, (uint64_t)hk_int_of(value, i));
        }
    } else if (word) {
        t.len = len < t.cap ? len : t.cap;
        memcpy(out, word, t.len);
    } else {
        hk_text_dec(&t, (uint64_t)value);
    }
    out[t.len] = 0;
    return out;
}
