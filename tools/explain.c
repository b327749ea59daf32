/* SPDX-License-Identifier: MIT */
/*
 * What: `explain`: what a process that starts now would use, where each value comes from, and what
 *   the sources said that were overruled.
 * Why: five places may set a value; whoever wonders should not have to read them all.
 * Invariants: E1 the sources are read one by one, as each only then says what it says, then all of
 *   them in the library's order: the values shown are those that its own rules give.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "tool.h"

#define PREFIX     "HAKMEM_"
#define PREFIX_LEN (sizeof PREFIX - 1)

enum { SYSTEM, OWN, ENVIRONMENT, SOURCES }; /* OWN: the file of HAKMEM_CONF */

static const char *after_prefix(const char *name)
{
    return name + (strncmp(name, PREFIX, PREFIX_LEN) == 0 ? PREFIX_LEN : 0);
}

/* Whether an argument takes the place of var, NAME=VALUE. */
static bool replaced(const char *var, char **args)
{
    size_t len = strcspn(var, "=") + 1;
    for (; *args; args++) {
        if (strncmp(after_prefix(*args), var, len) == 0) return true;
    }
    return false;
}

static void read_environment(struct source *s, char **args)
{
    hk_knobs_forget();
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, PREFIX, PREFIX_LEN) != 0 || !strchr(*e, '=')) continue;
        if (!replaced(*e + PREFIX_LEN, args)) source_take(s, *e + PREFIX_LEN, 0);
    }
    for (; *args; args++) source_take(s, after_prefix(*args), 0);
}

/* The last that s says of k; NULL: nothing. */
static const struct said *last_said(const struct source *s, enum hk_knob k)
{
    for (size_t i = s->count; i--;) {
        if (s->said[i].knob == k) return &s->said[i];
    }
    return NULL;
}

static void set_again(const struct source *s)
{
    enum hk_knob k;
    for (size_t i = 0; i < s->count; i++) hk_knobs_set(s->said[i].var, s->from, &k);
}

/* E1. False: the library would stop the program. */
static bool read_all(struct source *s, char **args)
{
    read_environment(&s[ENVIRONMENT], args);
    hk_knobs_forget();
    source_read(&s[SYSTEM], strcmp(s[SYSTEM].path, HK_CONF_SYSTEM) == 0);
    const struct said *conf = last_said(&s[ENVIRONMENT], HK_KNOB_conf);
    if (!conf) conf = last_said(&s[SYSTEM], HK_KNOB_conf);
    if (conf) {
        s[OWN].path = conf->text;
        hk_knobs_forget();
        source_read(&s[OWN], false);
    }
    hk_knobs_forget();
    set_again(&s[ENVIRONMENT]);
    if (s[ENVIRONMENT].wrong && hk_knob_value(HK_KNOB_strict)) return false;
    set_again(&s[SYSTEM]);
    set_again(&s[OWN]);
    return !(s[SYSTEM].wrong + s[OWN].wrong && hk_knob_value(HK_KNOB_strict));
}

/* One value that k could have had. */
struct voice {
    int64_t value;
    const char *text;
    enum hk_source from;
    const struct source *source; /* NULL: a mode, or the default */
    unsigned line;
};

/* All that say something of k, the last one first. */
static struct voice *voices(const struct source *s, enum hk_knob k, size_t *count)
{
    struct voice *v = grow(NULL, (s[0].count + s[1].count + s[2].count + 2) * sizeof *v);
    size_t n = 0;
    int64_t value;
    for (int i = SOURCES; i--;) {
        for (size_t j = s[i].count; j--;) {
            const struct said *d = &s[i].said[j];
            if (d->knob == k) v[n++] = (struct voice){d->value, d->text, s[i].from, &s[i], d->line};
        }
    }
    if (hk_knob_preset(k, hk_knob_value(HK_KNOB_mode), &value) && value != hk_knob_rows[k].def)
        v[n++] = (struct voice){value, NULL, HK_FROM_MODE, NULL, 0};
    v[n++] = (struct voice){hk_knob_rows[k].def, NULL, HK_FROM_DEFAULT, NULL, 0};
    *count = n;
    return v;
}

/* Where it stands: "mode fast", "FILE:LINE"; to be freed. */
static char *place(const struct voice *v)
{
    char mode[SHOW_BYTES], *out = NULL;
    int n;
    if (v->from == HK_FROM_MODE)
        n = asprintf(&out, "mode %s", show_word(HK_KNOB_mode, hk_knob_value(HK_KNOB_mode), mode));
    else if (v->source && v->source->path)
        n = asprintf(&out, "%s:%u", v->source->path, v->line);
    else
        n = asprintf(&out, "%s", v->source ? "environment" : "default");
    if (n < 0) exit(complain(WRONG, "out of memory"));
    return out;
}

/* The one whose value counts. */
static const struct voice *deciding(const struct voice *v, enum hk_knob k)
{
    while (v->from != hk_knob_source(k)) v++;
    return v;
}

static void explain_row(struct table *t, const struct source *s, enum hk_knob k)
{
    size_t n, bytes = 0;
    char text[SHOW_BYTES], *note = NULL;
    struct voice *v = voices(s, k, &n);
    const struct voice *first = deciding(v, k);
    char *where = place(first);
    table_cell(t, "HAKMEM_%s", hk_knob_rows[k].name);
    table_cell(t, "%s", show_value(k, hk_knob_value(k), hk_knob_text(k), text));
    table_cell(t, "%s", where);
    free(where);
    FILE *f = open_memstream(&note, &bytes);
    if (!f) exit(complain(WRONG, "out of memory"));
    for (size_t i = 0; i < n; i++) {
        if (&v[i] == first) continue;
        where = place(&v[i]);
        fprintf(f, "%s%s (%s)", ftell(f) ? ", " : "instead of ",
                show_value(k, v[i].value, v[i].text, text), where);
        free(where);
    }
    fclose(f);
    if (*note) table_note(t, "%s", note);
    free(note);
    free(v);
}

static void explain_plain(const struct source *s)
{
    struct table t = {.columns = 3};
    printf("files: %s%s", s[SYSTEM].path, s[SYSTEM].there ? "" : " (not there)");
    if (s[OWN].path) printf(", %s%s", s[OWN].path, s[OWN].there ? "" : " (cannot be read)");
    puts("\n");
    table_cell(&t, "setting");
    table_cell(&t, "value");
    table_cell(&t, "from");
    for (unsigned k = 0; k < HK_KNOBS; k++) explain_row(&t, s, k);
    table_end(&t);
}

static void voice_json(const struct voice *v, enum hk_knob k, int64_t value, const char *text)
{
    static const char *const names[] = {"default", "mode", "system", "file", "environment"};
    char mode[SHOW_BYTES];
    json_value("value", k, value, text);
    json_text("from", names[v->from]);
    if (v->from == HK_FROM_MODE)
        json_text("mode", show_word(HK_KNOB_mode, hk_knob_value(HK_KNOB_mode), mode));
    if (!v->source || !v->source->path) return;
    json_text("path", v->source->path);
    json_int("line", v->line);
}

static void explain_json(const struct source *s)
{
    json_open(NULL, '{');
    json_open("files", '[');
    for (unsigned i = SYSTEM; i <= OWN; i++) {
        if (!s[i].path) continue;
        json_open(NULL, '{');
        json_text("path", s[i].path);
        json_bool("read", s[i].there);
        json_close('}');
    }
    json_close(']');
    json_open("settings", '{');
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        size_t n;
        char name[SHOW_BYTES];
        struct voice *v = voices(s, k, &n);
        const struct voice *first = deciding(v, k);
        snprintf(name, sizeof name, PREFIX "%s", hk_knob_rows[k].name);
        json_open(name, '{');
        voice_json(first, k, hk_knob_value(k), hk_knob_text(k));
        json_open("overruled", '[');
        for (size_t i = 0; i < n; i++) {
            if (&v[i] == first) continue;
            json_open(NULL, '{');
            voice_json(&v[i], k, v[i].value, v[i].text);
            json_close('}');
        }
        json_close(']');
        json_close('}');
        free(v);
    }
    json_close('}');
    json_close('}');
}

enum status tool_explain(const struct request *r)
{
    struct source s[SOURCES] = {
        {.from = HK_FROM_SYSTEM, .path = r->conf ? r->conf : HK_CONF_SYSTEM},
        {.from = HK_FROM_FILE},
        {.from = HK_FROM_ENVIRONMENT}};
    unsigned wrong = 0;
    for (char **arg = r->args; *arg; arg++) {
        if (!strchr(*arg, '=')) return complain(USAGE, "explain: %s is not NAME=VALUE", *arg);
    }
    bool runs = read_all(s, r->args);
    if (r->form == JSON)
        explain_json(s);
    else
        explain_plain(s);
    fflush(stdout);
    if (!runs) complain(WRONG, "HAKMEM_STRICT is set: the program would be stopped");
    for (unsigned i = 0; i < SOURCES; i++) {
        wrong += s[i].wrong;
        free(s[i].said);
    }
    return wrong ? WRONG : GOOD;
}
