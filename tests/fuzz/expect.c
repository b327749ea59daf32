/* SPDX-License-Identifier: MIT */
/*
 * What: see expect.h. The grammar is hakmem.conf(5)'s, not the parser's.
 */
#include "expect.h"

#include <errno.h>

#define NUMBER_MOST (INT64_MAX / 10 * 10 - 11) /* the last few before the end are refused */

static struct {
    enum hk_source from;
    int64_t value;
    char text[HK_TEXT_MAX];
} said[HK_KNOBS];

static bool digits(const char *s, size_t n)
{
    return n > 0 && strspn(s, "0123456789") >= n;
}

/* At most NUMBER_MOST. */
static bool whole(const char *s, size_t n, int64_t *out)
{
    char copy[64];
    if (!digits(s, n)) return false;
    for (; n > 1 && *s == '0'; n--) s++;
    if (n > 20) return false;
    memcpy(copy, s, n);
    copy[n] = 0;
    errno = 0;
    unsigned long long v = strtoull(copy, NULL, 10);
    *out = (int64_t)v;
    return errno == 0 && v <= (unsigned long long)NUMBER_MOST;
}

static bool size(const char *s, int64_t *out)
{
    size_t n = strlen(s);
    const char *unit = n > 1 ? strchr("KMGT", s[n - 1]) : NULL;
    unsigned power = !unit ? 0 : *unit == 'K' ? 1 : *unit == 'M' ? 2 : *unit == 'G' ? 3 : 4;
    if (n - (power > 0) >= 24 || !whole(s, n - (power > 0), out)) return false;
    for (; power; power--) {
        if (__builtin_mul_overflow(*out, 1024, out)) return false;
    }
    return true;
}

/* "12.345" in thousandths; n letters. */
static bool ratio(const char *s, size_t n, int64_t *out)
{
    const char *point = memchr(s, '.', n);
    size_t before = point ? (size_t)(point - s) : n, after = point ? n - before - 1 : 0;
    int64_t rest = 0;
    *out = 0;
    if (before + after == 0 || after > 3) return false;
    if ((before && !whole(s, before, out)) || (after && !whole(point + 1, after, &rest)))
        return false;
    for (size_t i = after; i < 3; i++) rest *= 10;
    return !__builtin_mul_overflow(*out, 1000, out) && !__builtin_add_overflow(*out, rest, out);
}

/* `count` of them with commas between, each so many bits wide. */
static bool several(const struct hk_knob_row *row, const char *s, unsigned count, unsigned bits,
                    int64_t *out)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t n = strcspn(s, ",");
        int64_t v = 0;
        if (!(bits == 8 ? whole(s, n, &v) : ratio(s, n, &v)) || v < row->least || v > row->most)
            return false;
        all |= (uint64_t)v << (bits * i);
        s += n;
        if (*s++ != (i == count - 1 ? 0 : ',')) return false;
    }
    *out = (int64_t)all;
    return true;
}

static bool word(const char *words, const char *s, int64_t *out)
{
    size_t n = strlen(s);
    for (*out = 0; *words; ++*out) {
        size_t len = strcspn(words, " ");
        if (len == n && strncmp(words, s, n) == 0) return true;
        words += len + strspn(words + len, " ");
    }
    return false;
}

static bool value_of(const struct hk_knob_row *row, const char *s, int64_t *v)
{
    switch (row->type) {
    case HK_TYPE_TEXT:
        return strlen(s) < HK_TEXT_MAX;
    case HK_TYPE_WORD:
        return word(row->words, s, v);
    case HK_TYPE_RATIOS:
        return several(row, s, HK_RATIOS_MOST, 16, v);
    case HK_TYPE_RATIO:
        return several(row, s, 1, 16, v);
    case HK_TYPE_INTS:
        return several(row, s, HK_INTS_MOST, 8, v);
    case HK_TYPE_SIZE:
        return size(s, v) && *v >= row->least && *v <= row->most;
    default:
        return whole(s, strlen(s), v) && *v >= row->least && *v <= row->most;
    }
}

bool expect_set(const char *var, enum hk_source from)
{
    const char *eq = strchr(var, '=');
    for (unsigned k = 0; eq && k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        int64_t v = 0;
        size_t n = (size_t)(eq - var);
        if (n != strlen(row->name) || strncmp(row->name, var, n) != 0) continue;
        if (!value_of(row, eq + 1, &v)) return false;
        if (from < said[k].from) return true;
        said[k].from = from;
        said[k].value = v;
        if (row->type == HK_TYPE_TEXT) strcpy(said[k].text, eq + 1);
        return true;
    }
    return false;
}

unsigned expect_variable(const char *var)
{
    if (strncmp(var, "HAKMEM_", 7) != 0 || !strchr(var, '=')) return 0;
    return !expect_set(var + 7, HK_FROM_ENVIRONMENT);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* [from, to) without blanks around it, behind what is in `out`. */
static void put(char *out, const char *from, const char *to)
{
    while (from < to && blank(*from)) from++;
    while (from < to && blank(to[-1])) to--;
    strncat(out, from, (size_t)(to - from));
}

unsigned expect_lines(const char *text, enum hk_source from)
{
    unsigned wrong = 0;
    char *line = malloc(strlen(text) + 2);
    if (!line) abort();
    for (; *text; text += *text == '\n') {
        size_t n = strcspn(text, "\n");
        const char *hash = memchr(text, '#', n), *end = hash ? hash : text + n;
        const char *eq = memchr(text, '=', (size_t)(end - text));
        *line = 0;
        put(line, text, eq ? eq : end);
        if (eq) {
            strcat(line, "=");
            put(line, eq + 1, end);
        }
        const char *var = strncmp(line, "HAKMEM_", 7) == 0 ? line + 7 : line;
        if (*var) wrong += !expect_set(var, from);
        text += n;
    }
    free(line);
    return wrong;
}

/* What is printed of k sets the same once more. */
static void print_again(unsigned k)
{
    char line[256];
    enum hk_knob whose;
    int64_t v = said[k].value;
    size_t n = (size_t)snprintf(line, sizeof line, "%s=", hk_knob_rows[k].name);
    hk_knob_print((enum hk_knob)k, v, line + n, sizeof line - n);
    FUZZ_CHECK(hk_knobs_set(line, HK_FROM_ENVIRONMENT, &whose) && whose == (enum hk_knob)k,
               "%s is not taken back", line);
    FUZZ_CHECK(hk_knob_value((enum hk_knob)k) == v, "%s is another value", line);
}

void expect_all(void)
{
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        enum hk_knob knob = (enum hk_knob)k;
        const char *name = hk_knob_rows[k].name, *text = hk_knob_text(knob);
        bool is_text = hk_knob_rows[k].type == HK_TYPE_TEXT, set = said[k].from != HK_FROM_DEFAULT;
        FUZZ_CHECK(!set || hk_knob_source(knob) == said[k].from, "%s: source %d, not %d", name,
                   hk_knob_source(knob), said[k].from);
        FUZZ_CHECK(set || hk_knob_source(knob) <= HK_FROM_MODE, "%s is set", name);
        if (is_text)
            FUZZ_CHECK(!text == !set && (!text || !strcmp(text, said[k].text)), "%s", name);
        if (set && !is_text)
            FUZZ_CHECK(hk_knob_value(knob) == said[k].value, "%s is %lld, not %lld", name,
                       (long long)hk_knob_value(knob), (long long)said[k].value);
    }
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        if (said[k].from && hk_knob_rows[k].type != HK_TYPE_TEXT) print_again(k);
        said[k].from = HK_FROM_DEFAULT;
    }
}
