/* SPDX-License-Identifier: MIT */
/*
 * What: named values in groups, as JSON or as indented text, to a file descriptor.
 * Why: what tells of learning has one writer and two forms; no malloc, no stdio.
 * Invariants: names and words are plain ASCII without quotes. Threads: one.
 */
#ifndef HK_API_EMIT_H
#define HK_API_EMIT_H

#include <stdbool.h>

#include "os/report.h"
#include "policy/fixed.h"

struct hk_emit {
    int fd;
    bool json, first; /* of its group */
    unsigned depth;
    struct hk_text text;
    bool mapped; /* the buffer */
    char little[2048];
};

/* The whole is one write if memory for it is to be had: processes may end at the same time. */
void hk_emit_begin(struct hk_emit *e, int fd, bool json);
/* A group of names, kind '{' to '}', or a list, '[' to ']'; name is NULL inside of a list. */
void hk_emit_open(struct hk_emit *e, const char *name, char kind);
void hk_emit_close(struct hk_emit *e, char kind);
void hk_emit_number(struct hk_emit *e, const char *name, uint64_t v);
/* v in thousandths, as a decimal. */
/* A text of any bytes: those that JSON does not take as they are become ?. */
void hk_emit_name(struct hk_emit *e, const char *name, const char *text, size_t len);
void hk_emit_ratio(struct hk_emit *e, const char *name, uint64_t thousandths);
void hk_emit_q16(struct hk_emit *e, const char *name, hk_q16 v);
void hk_emit_word(struct hk_emit *e, const char *name, const char *word);
/* The outermost group is closed: all is written. */
void hk_emit_end(struct hk_emit *e);

#endif
