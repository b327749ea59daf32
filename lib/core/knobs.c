/* SPDX-License-Identifier: MIT */
/*
 * What: the parser of knobs.def.
 * Why: see knobs.h.
 */
#include "core/knobs.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/map.h"
#include "os/report.h"

#define TEXT_MAX 4096 /* a path */

#define HK_KNOB(id, name, type, def, least, most, help)                                            \
    {name, HK_TYPE_##type, def, least, most, help},
const struct hk_knob_row hk_knob_rows[HK_KNOBS] = {
#include "core/knobs.def"
};
#undef HK_KNOB

static struct {
    bool set;
    int64_t value;
    const char *text;
} state[HK_KNOBS];

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

static bool parse_word(const char *s, int64_t *out)
{
    static const char *const words[] = {"off", "auto", "on"};
    for (*out = 0; *out < 3; ++*out) {
        if (strcmp(s, words[*out]) == 0) return true;
    }
    return false;
}

static bool parse_number(const struct hk_knob_row *row, const char *s, int64_t *out)
{
    bool good = row->type == HK_TYPE_SIZE          ? parse_size(s, out)
                : row->type == HK_TYPE_OFF_AUTO_ON ? parse_word(s, out)
                                                   : parse_int(s, out);
    return good && *out >= row->least && *out <= row->most;
}

/* The program may write over its environment later, as setproctitle(3) does. */
static const char *keep(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = bytes <= TEXT_MAX ? hk_meta_alloc(bytes) : NULL;
    return copy ? memcpy(copy, text, bytes) : NULL;
}

/* False if value is not one of this row. */
static bool set_knob(unsigned k, const char *value)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    int64_t v = 0;
    if (row->type != HK_TYPE_TEXT && !parse_number(row, value, &v)) return false;
    if (row->type == HK_TYPE_TEXT && !(state[k].text = keep(value))) return false;
    state[k].set = true;
    state[k].value = v;
    return true;
}

/* One NAME=VALUE after HAKMEM_; true if it is fine. */
static bool read_one(const char *var)
{
    const char *eq = strchr(var, '=');
    if (!eq) return true;
    size_t len = (size_t)(eq - var);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const char *name = hk_knob_rows[k].name;
        if (strlen(name) != len || memcmp(name, var, len) != 0) continue;
        if (set_knob(k, eq + 1)) return true;
        hk_warn("bad value, the default is used: HAKMEM_", var, NULL);
        return false;
    }
    hk_warn("unknown variable, ignored: HAKMEM_", var, NULL);
    return false;
}

unsigned hk_knobs_read(char *const *env)
{
    unsigned wrong = 0;
    for (; env && *env; env++) {
        if (strncmp(*env, "HAKMEM_", 7) == 0 && !read_one(*env + 7)) wrong++;
    }
    return wrong;
}

int64_t hk_knob_value(enum hk_knob k)
{
    return state[k].set ? state[k].value : hk_knob_rows[k].def;
}

const char *hk_knob_text(enum hk_knob k)
{
    return state[k].set ? state[k].text : NULL;
}
