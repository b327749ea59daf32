/* SPDX-License-Identifier: MIT */
/*
 * What: what the parts of hakmem-config share: commands, complaints, printing, sources.
 * Why: parser and tables are the library's own (core/knobs.h); here is only how they are shown.
 */
#ifndef HK_TOOLS_TOOL_H
#define HK_TOOLS_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/knobs.h"

#define TOOL              "hakmem-config"
#define PRINTF(at, first) __attribute__((format(printf, at, first)))

enum status { GOOD, WRONG, USAGE };
enum form { PLAIN, JSON, MDOC };

struct request {
    enum form form;
    const char *conf;          /* in place of /etc/hakmem.conf; NULL: none given */
    const char *svg, *process; /* what --svg and --process gave; NULL: nothing */
    bool env;
    char **args; /* after the command, NULL at the end */
    int count;
};
enum status tool_modes(const struct request *r);
enum status tool_knobs(const struct request *r);
enum status tool_explain(const struct request *r);
enum status tool_check(const struct request *r);
enum status tool_policy(const struct request *r);
enum status tool_profile(const struct request *r);
enum status tool_topology(const struct request *r);
enum status tool_preload(const struct request *r);

/* config.c: a line on standard error; the status it stands for. */
PRINTF(2, 3) enum status complain(enum status s, const char *format, ...);

/* flags.c: one line of compiler options; the value of --prefix and the like, NULL: there is none.
 */
void flags_print(bool cflags, bool libs, bool with_static);
const char *flags_value(const char *name);

/* words.c: a table for one shell's completions. */
enum status words_print(const char *shell);
/* config.c: tells each option, command NULL, then each command, option NULL, and its options. */
void words_walk(void (*tell)(const char *command, const char *option));

/* near.c: the name nearest to what was given; no name beyond a third of the letters is near. */
struct near {
    const char *given;
    const char *best; /* NULL: none; not ended by a 0 if it is one of a list of words */
    size_t given_len, best_len;
    unsigned distance;
};
void near_try(struct near *n, const char *name, size_t len);
/* A setting's name, after HAKMEM_. */
const char *near_knob(const char *given);

/* print.c: columns as wide as what is in them. */
#define TABLE_COLUMNS 8
struct table {
    unsigned columns, cells;
    struct table_row {
        char *cell[TABLE_COLUMNS], *note;
    } * rows;
};
PRINTF(2, 3) void table_cell(struct table *t, const char *format, ...);
/* A line of its own below the last row. */
PRINTF(2, 3) void table_note(struct table *t, const char *format, ...);
void table_end(struct table *t); /* prints it */
/* realloc that ends the program instead of failing. */
void *grow(void *p, size_t bytes);

#define SHOW_BYTES 64
/* k's value as one would write it; text is the value of a TEXT. The text or out. */
const char *show_value(enum hk_knob k, int64_t value, const char *text, char out[SHOW_BYTES]);
/* Word number i of k into out; NULL: there are fewer. */
const char *show_word(enum hk_knob k, int64_t i, char out[SHOW_BYTES]);
/* The values that k may have, in words; to be freed. */
char *show_range(enum hk_knob k);
/* Its name may go without HAKMEM_; HK_KNOBS: there is none. */
enum hk_knob knob_find(const char *name);

/* json.c: to standard output; name is NULL in an array. */
void json_open(const char *name, char bracket);
void json_close(char bracket);
void json_text(const char *name, const char *value); /* NULL: null */
void json_bool(const char *name, bool value);
void json_int(const char *name, int64_t value);
void json_count(const char *name, uint64_t value);
void json_ratio(const char *name, uint64_t thousandths);
/* The least or most of k: of one number if it has several. */
void json_bound(const char *name, enum hk_knob k, int64_t bound);
void json_value(const char *name, enum hk_knob k, int64_t value, const char *text);

/* source.c: what one file, or the environment, says. */
struct said {
    enum hk_knob knob;
    const char *var; /* NAME=VALUE, what follows HAKMEM_ */
    const char *text;
    int64_t value;
    unsigned line;
};
struct source {
    enum hk_source from;
    const char *path; /* NULL: the environment */
    struct said *said;
    size_t count;
    unsigned wrong;
    bool there;
};
/* Its lines, the wrong ones told; s->there is false without a word if it may be missing and is. */
void source_read(struct source *s, bool may_be_missing);
/* One NAME=VALUE of it. */
void source_take(struct source *s, const char *var, unsigned line);

#endif
