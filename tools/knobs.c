/* SPDX-License-Identifier: MIT */
/*
 * What: `knobs`: the table of settings, or some of them in full.
 * Why: from the library's own table; the manual's is made by it (--mdoc), so that it tells the
 * same.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char *const types[] = {
    [HK_TYPE_BOOL] = "bool",     [HK_TYPE_SIZE] = "size", [HK_TYPE_TEXT] = "text",
    [HK_TYPE_WORD] = "word",     [HK_TYPE_INT] = "int",   [HK_TYPE_RATIO] = "ratio",
    [HK_TYPE_RATIOS] = "ratios", [HK_TYPE_INTS] = "ints"};
static const char *const changes[] = {[HK_WHEN_START] = "start", [HK_WHEN_LATER] = "later"};
static const char *const settled[] = {[HK_SETTLED_STABLE] = "stable", [HK_SETTLED_NEW] = "new"};

/* A mode sets no mode, and no file is read after the one that CONF names. */
static bool may_come_from(enum hk_knob k, enum hk_source from)
{
    int64_t v;
    if (from == HK_FROM_MODE) return hk_knob_preset(k, 0, &v);
    return from != HK_FROM_FILE || k != HK_KNOB_conf;
}

/* The names in list of where k may come from, with sep between them; to be freed. */
static char *froms(enum hk_knob k, const char *const *list, const char *sep)
{
    size_t bytes = 1;
    for (unsigned s = HK_FROM_MODE; s <= HK_FROM_ENVIRONMENT; s++)
        bytes += strlen(list[s]) + strlen(sep);
    char *all = grow(NULL, bytes);
    *all = 0;
    for (unsigned s = HK_FROM_MODE; s <= HK_FROM_ENVIRONMENT; s++) {
        if (!may_come_from(k, s)) continue;
        if (*all) strcat(all, sep);
        strcat(all, list[s]);
    }
    return all;
}

static void table_plain(void)
{
    static const char *const head[] = {"setting", "default", "changes",
                                       "settled", "from",    "values"};
    static const char *const from[] = {"", "mode", "system", "file", "env"};
    char text[SHOW_BYTES];
    struct table t = {.columns = sizeof head / sizeof *head};
    for (unsigned c = 0; c < t.columns; c++) table_cell(&t, "%s", head[c]);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        char *range = show_range(k), *where = froms(k, from, " ");
        table_cell(&t, "HAKMEM_%s", row->name);
        table_cell(&t, "%s", show_value(k, row->def, NULL, text));
        table_cell(&t, "%s", changes[row->when]);
        table_cell(&t, "%s", settled[row->settled]);
        table_cell(&t, "%s", where);
        table_cell(&t, "%s", range);
        table_note(&t, "%s", row->help);
        free(range);
        free(where);
    }
    table_end(&t);
}

static void knob_plain(enum hk_knob k)
{
    static const char *const change[] = {"read once", "read once; later by hakmem_set_limit(3)"};
    static const char *const how[] = {"stable", "new: it may change or go yet"};
    static const char *const from[] = {"", "the mode", "/etc/hakmem.conf",
                                       "the file of HAKMEM_CONF", "the environment"};
    const struct hk_knob_row *row = &hk_knob_rows[k];
    char text[SHOW_BYTES], mode[SHOW_BYTES];
    char *range = show_range(k), *where = froms(k, from, ", ");
    int64_t v;
    printf("HAKMEM_%s: %s\n", row->name, row->help);
    printf("  values   %s\n", range);
    printf("  default  %s\n", show_value(k, row->def, NULL, text));
    for (unsigned m = 0; m < HK_MODES && hk_knob_preset(k, m, &v); m++)
        printf("%s%s %s%s", m ? ", " : "  modes    ", show_word(HK_KNOB_mode, m, mode),
               show_value(k, v, NULL, text), m == HK_MODES - 1 ? "\n" : "");
    printf("  changes  %s\n", change[row->when]);
    printf("  settled  %s\n", how[row->settled]);
    printf("  from     %s\n", where);
    free(range);
    free(where);
}

static void knob_json(enum hk_knob k)
{
    static const char *const from[] = {"", "mode", "system", "file", "environment"};
    const struct hk_knob_row *row = &hk_knob_rows[k];
    char text[SHOW_BYTES];
    int64_t v;
    json_open(NULL, '{');
    snprintf(text, sizeof text, "HAKMEM_%s", row->name);
    json_text("name", text);
    json_text("type", types[row->type]);
    json_value("default", k, row->def, NULL);
    json_open("words", '[');
    for (int64_t i = 0; show_word(k, i, text); i++) json_text(NULL, text);
    json_close(']');
    json_bound("least", k, row->least);
    json_bound("most", k, row->most);
    json_text("changes", changes[row->when]);
    json_text("settled", settled[row->settled]);
    json_open("from", '[');
    for (unsigned s = HK_FROM_MODE; s <= HK_FROM_ENVIRONMENT; s++) {
        if (may_come_from(k, s)) json_text(NULL, from[s]);
    }
    json_close(']');
    json_open("modes", '{');
    for (unsigned m = 0; m < HK_MODES && hk_knob_preset(k, m, &v); m++)
        json_value(show_word(HK_KNOB_mode, m, text), k, v, NULL);
    json_close('}');
    json_text("help", row->help);
    json_close('}');
}

/* Up to three letters that begin with a capital may be a macro, but not behind \&. */
static void put_mdoc(const char *text)
{
    for (const char *word = text; *word;) {
        size_t len = strcspn(word, " ");
        if (isupper((unsigned char)*word) && len <= 3) fputs("\\&", stdout);
        printf("%.*s%s", (int)len, word, word[len] ? " " : "");
        word += len + (word[len] == ' ');
    }
}

static void table_mdoc(void)
{
    char text[SHOW_BYTES];
    puts(".Bl -column WMAX_CANDIDATES_LARGE 1.25,1.5,1.75,2\n.It Sy Setting Ta Sy Default Ta Sy "
         "\"In short\"");
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        printf(".It Cm %s Ta %s Ta ", row->name, show_value(k, row->def, NULL, text));
        put_mdoc(row->help);
        putchar('\n');
    }
    puts(".El");
}

static enum status unknown(const char *given)
{
    const char *name = near_knob(strncmp(given, "HAKMEM_", 7) == 0 ? given + 7 : given);
    if (!name)
        return complain(USAGE, "there is no setting %s (`" TOOL " knobs' lists them)", given);
    return complain(USAGE, "there is no setting %s, did you mean HAKMEM_%s?", given, name);
}

enum status tool_knobs(const struct request *r)
{
    for (char **name = r->args; *name; name++) {
        if (knob_find(*name) == HK_KNOBS) return unknown(*name);
    }
    if (r->form == MDOC) {
        table_mdoc();
    } else if (r->form == JSON) {
        json_open(NULL, '[');
        for (unsigned k = 0; k < HK_KNOBS && !r->count; k++) knob_json(k);
        for (char **name = r->args; *name; name++) knob_json(knob_find(*name));
        json_close(']');
    } else if (r->count) {
        for (char **name = r->args; *name; name++) knob_plain(knob_find(*name));
    } else {
        table_plain();
    }
    return GOOD;
}
