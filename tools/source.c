/* SPDX-License-Identifier: MIT */
/*
 * What: one source of settings, read by the library's own parser, line by line, and what is wrong
 *   with its lines, with what was most likely meant.
 * Why: `explain` and `check` must say what the library would do, in more words than it can.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "os/sys.h"
#include "tool.h"

/* FILE:LINE: before what is wrong. */
static void tell(struct source *s, unsigned line, const char *what, const char *hint)
{
    if (s->path)
        fprintf(stderr, "%s:%u: %s%s\n", s->path, line, what, hint);
    else
        fprintf(stderr, "environment: %s%s\n", what, hint);
    s->wrong++;
}

static void tell_unknown(struct source *s, const char *var, unsigned line)
{
    char what[200], hint[200];
    const char *name = near_knob(var);
    int len = (int)strcspn(var, "=");
    if (var[len])
        snprintf(what, sizeof what, "unknown setting HAKMEM_%.*s", len, var);
    else
        snprintf(what, sizeof what, "not NAME=VALUE: %s", var);
    if (name)
        snprintf(hint, sizeof hint, ", did you mean HAKMEM_%s%s?", name, var[len] ? "" : "=...");
    else
        snprintf(hint, sizeof hint, " (`" TOOL " knobs' lists all settings)");
    tell(s, line, what, hint);
}

static void tell_bad(struct source *s, enum hk_knob k, const char *value, unsigned line)
{
    char what[300], hint[300], *range = show_range(k);
    struct near n = {.given = value, .given_len = strlen(value)};
    const char *words = hk_knob_rows[k].words, *word;
    size_t len;
    for (int64_t i = 0; (word = hk_knob_word(words, i, &len)) != NULL; i++) near_try(&n, word, len);
    snprintf(what, sizeof what, "HAKMEM_%s: bad value \"%.100s\"", hk_knob_rows[k].name, value);
    if (n.best)
        snprintf(hint, sizeof hint, ", did you mean %.*s? (%s)", (int)n.best_len, n.best, range);
    else
        snprintf(hint, sizeof hint, ", it must be %s", range);
    tell(s, line, what, hint);
    free(range);
}

void source_take(struct source *s, const char *var, unsigned line)
{
    enum hk_knob k;
    if (!hk_knobs_set(var, s->from, &k)) {
        if (k == HK_KNOBS)
            tell_unknown(s, var, line);
        else
            tell_bad(s, k, strchr(var, '=') + 1, line);
        return;
    }
    s->said = grow(s->said, (s->count + 1) * sizeof *s->said);
    s->said[s->count++] = (struct said){k, var, hk_knob_text(k), hk_knob_value(k), line};
}

/* errno of reading it; the library's own reading keeps errno. */
static int refusal(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int why = fd < 0 || read(fd, &byte, 1) < 0 ? errno : 0;
    if (fd >= 0) close(fd);
    return why;
}

void source_read(struct source *s, bool may_be_missing)
{
    char *text = NULL;
    unsigned line = 0;
    long n = hk_sys_map_file(s->path, &text, HK_CONF_MOST);
    s->there = n >= 0;
    if (n < 0) {
        int why = refusal(s->path);
        if (may_be_missing && why == ENOENT) return;
        complain(WRONG, "cannot read %s: %s", s->path, strerror(why));
        s->wrong++;
        return;
    }
    size_t seen = strlen(text);
    for (const char *var; (var = hk_knobs_next(&text, &line)) != NULL;) source_take(s, var, line);
    if (seen < (size_t)n) tell(s, line, "a byte 0: what follows is not read", "");
    if ((size_t)n == HK_CONF_MOST) tell(s, line, "longer than 64 KiB: the rest is not read", "");
}
