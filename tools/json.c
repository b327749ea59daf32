/* SPDX-License-Identifier: MIT */
/*
 * What: JSON to standard output, two blanks a level.
 * Why: no library for some forty lines. Whatever bytes a path has, the output is UTF-8.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

static int depth;
static bool begun; /* the open bracket has something in it */

/* Length of the UTF-8 character at s, 0 if there is none. */
static unsigned utf8(const unsigned char *s)
{
    unsigned n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;
    for (unsigned i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    /* Longer than need be, surrogates, beyond Unicode. */
    if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f)) return 0;
    if ((*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

static void put_text(const char *text)
{
    putchar('"');
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        unsigned n = utf8(s);
        if (n == 0)
            fputs("\\ufffd", stdout);
        else if (*s < 0x20)
            printf("\\u%04x", *s);
        else
            printf("%s%.*s", *s == '"' || *s == '\\' ? "\\" : "", (int)n, (const char *)s);
        s += n ? n : 1;
    }
    putchar('"');
}

static void begin(const char *name)
{
    if (depth) printf("%s\n%*s", begun ? "," : "", 2 * depth, "");
    begun = true;
    if (!name) return;
    put_text(name);
    fputs(": ", stdout);
}

void json_open(const char *name, char bracket)
{
    begin(name);
    putchar(bracket);
    depth++;
    begun = false;
}

void json_close(char bracket)
{
    depth--;
    if (begun) printf("\n%*s", 2 * depth, "");
    putchar(bracket);
    if (!depth) putchar('\n');
    begun = true;
}

void json_text(const char *name, const char *value)
{
    begin(name);
    if (value)
        put_text(value);
    else
        fputs("null", stdout);
}

void json_int(const char *name, int64_t value)
{
    begin(name);
    printf("%" PRId64, value);
}

void json_bool(const char *name, bool value)
{
    begin(name);
    fputs(value ? "true" : "false", stdout);
}

void json_count(const char *name, uint64_t value)
{
    begin(name);
    printf("%" PRIu64, value);
}

void json_ratio(const char *name, uint64_t thousandths)
{
    begin(name);
    printf("%.15g", (double)thousandths / 1000);
}

void json_value(const char *name, enum hk_knob k, int64_t value, const char *text)
{
    char word[SHOW_BYTES];
    switch (hk_knob_rows[k].type) {
    case HK_TYPE_BOOL:
    case HK_TYPE_INT:
    case HK_TYPE_SIZE:
        json_int(name, value);
        break;
    case HK_TYPE_TEXT:
        json_text(name, text);
        break;
    case HK_TYPE_WORD:
        json_text(name, show_word(k, value, word));
        break;
    case HK_TYPE_RATIO:
        json_ratio(name, (uint64_t)value);
        break;
    case HK_TYPE_RATIOS:
        json_open(name, '[');
        for (unsigned i = 0; i < HK_RATIOS_MOST; i++)
            json_ratio(NULL, (uint64_t)hk_ratio_of(value, i));
        json_close(']');
        break;
    case HK_TYPE_INTS:
        json_open(name, '[');
        for (unsigned i = 0; i < HK_INTS_MOST; i++) json_int(NULL, hk_int_of(value, i));
        json_close(']');
        break;
    }
}

void json_bound(const char *name, enum hk_knob k, int64_t bound)
{
    if (hk_knob_rows[k].type == HK_TYPE_RATIO || hk_knob_rows[k].type == HK_TYPE_RATIOS)
        json_ratio(name, (uint64_t)bound);
    else
        json_int(name, bound);
}
