/* SPDX-License-Identifier: MIT */
/*
 * What: tables of text, and settings and their values as people write them.
 * Why: commands say what a table has, not how it is laid out.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

void *grow(void *p, size_t bytes)
{
    p = realloc(p, bytes);
    if (!p) exit(complain(WRONG, "out of memory"));
    return p;
}

PRINTF(1, 0) static char *text_of(const char *format, va_list ap)
{
    char *text;
    if (vasprintf(&text, format, ap) < 0) exit(complain(WRONG, "out of memory"));
    return text;
}

void table_cell(struct table *t, const char *format, ...)
{
    unsigned row = t->cells / t->columns, column = t->cells % t->columns;
    if (column == 0) {
        t->rows = grow(t->rows, (row + 1) * sizeof *t->rows);
        t->rows[row] = (struct table_row){0};
    }
    va_list ap;
    va_start(ap, format);
    t->rows[row].cell[column] = text_of(format, ap);
    va_end(ap);
    t->cells++;
}

void table_note(struct table *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    t->rows[t->cells / t->columns - 1].note = text_of(format, ap);
    va_end(ap);
}

void table_end(struct table *t)
{
    int width[TABLE_COLUMNS] = {0};
    unsigned rows = t->cells / t->columns;
    for (unsigned i = 0; i < t->cells; i++) {
        int n = (int)strlen(t->rows[i / t->columns].cell[i % t->columns]);
        if (n > width[i % t->columns]) width[i % t->columns] = n;
    }
    width[t->columns - 1] = 0; /* no blanks at the end of a line */
    for (struct table_row *row = t->rows; row < t->rows + rows; row++) {
        for (unsigned c = 0; c < t->columns; c++) {
            printf("%s%-*s", c ? "  " : "", width[c], row->cell[c]);
            free(row->cell[c]);
        }
        if (row->note) printf("\n    %s", row->note);
        putchar('\n');
        free(row->note);
    }
    free(t->rows);
    *t = (struct table){.columns = t->columns};
}

const char *show_word(enum hk_knob k, int64_t i, char out[SHOW_BYTES])
{
    size_t len;
    const char *word = hk_knob_word(hk_knob_rows[k].words, i, &len);
    if (!word) return NULL;
    snprintf(out, SHOW_BYTES, "%.*s", (int)len, word);
    return out;
}

/* With the largest unit that leaves no rest. */
static void show_size(int64_t v, char out[SHOW_BYTES])
{
    static const char units[] = "KMGT";
    int n = 0;
    while (v && n < 4 && v % 1024 == 0) {
        v /= 1024;
        n++;
    }
    snprintf(out, SHOW_BYTES, "%" PRId64 "%.*s", v, n > 0, units + (n ? n - 1 : 0));
}

const char *show_value(enum hk_knob k, int64_t value, const char *text, char out[SHOW_BYTES])
{
    switch (hk_knob_rows[k].type) {
    case HK_TYPE_TEXT:
        return text ? text : "-";
    case HK_TYPE_WORD:
        return show_word(k, value, out);
    case HK_TYPE_SIZE:
        show_size(value, out);
        break;
    case HK_TYPE_BOOL:
    case HK_TYPE_INT:
    case HK_TYPE_RATIO:
    case HK_TYPE_RATIOS:
    case HK_TYPE_INTS:
        hk_knob_print(k, value, out, SHOW_BYTES);
        break;
    }
    return out;
}

static char *show_words(enum hk_knob k)
{
    char word[SHOW_BYTES], next[SHOW_BYTES];
    char *all = grow(NULL, 2 * strlen(hk_knob_rows[k].words) + sizeof " or ");
    *all = 0;
    for (int64_t i = 0; show_word(k, i, word); i++) {
        if (i) strcat(all, show_word(k, i + 1, next) ? ", " : " or ");
        strcat(all, word);
    }
    return all;
}

char *show_range(enum hk_knob k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    double least = (double)row->least / 1000, most = (double)row->most / 1000; /* of a RATIO */
    char low[SHOW_BYTES], high[SHOW_BYTES], *all = NULL;
    int n = 0;
    show_size(row->least, low);
    show_size(row->most, high);
    switch (row->type) {
    case HK_TYPE_BOOL:
        n = asprintf(&all, "0 or 1");
        break;
    case HK_TYPE_TEXT:
        n = asprintf(&all, "a text of at most %d bytes", HK_TEXT_MAX - 1);
        break;
    case HK_TYPE_WORD:
        return show_words(k);
    case HK_TYPE_INT:
        n = asprintf(&all, "a number from %" PRId64 " to %" PRId64, row->least, row->most);
        break;
    case HK_TYPE_RATIO:
        n = asprintf(&all, "a number from %g to %g, with a point if need be", least, most);
        break;
    case HK_TYPE_RATIOS:
        n = asprintf(&all, "%u numbers from %g to %g, with commas between", HK_RATIOS_MOST, least,
                     most);
        break;
    case HK_TYPE_INTS:
        n = asprintf(&all, "%u numbers from %" PRId64 " to %" PRId64 ", with commas between",
                     HK_INTS_MOST, row->least, row->most);
        break;
    case HK_TYPE_SIZE:
        n = row->most == INT64_MAX
                ? asprintf(&all, "bytes, or with K, M, G or T")
                : asprintf(&all, "bytes, or with K, M, G or T, from %s to %s", low, high);
        break;
    }
    if (n < 0) exit(complain(WRONG, "out of memory"));
    return all;
}

enum hk_knob knob_find(const char *name)
{
    if (strncmp(name, "HAKMEM_", 7) == 0) name += 7;
    unsigned k = 0;
    while (k < HK_KNOBS && strcmp(name, hk_knob_rows[k].name) != 0) k++;
    return (enum hk_knob)k;
}
