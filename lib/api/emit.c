/* SPDX-License-Identifier: MIT */
/*
 * What: the two forms of a report.
 * Why: see emit.h.
 */
#include <string.h>

#include "api/emit.h"

#include "os/sys.h"

#define LONGEST 160 /* of what is written by one function here */
#define BYTES   ((size_t)(128 * 1024))

static void make_room(struct hk_emit *e)
{
    if (e->text.cap - e->text.len >= LONGEST) return;
    hk_sys_write(e->fd, e->text.buf, e->text.len);
    e->text.len = 0;
}

/* A new line in its place, with the name. */
static void name_it(struct hk_emit *e, const char *name)
{
    make_room(e);
    if (e->json && !e->first) hk_text_str(&e->text, ",");
    if (e->json || !e->first || e->depth) hk_text_str(&e->text, "\n");
    for (unsigned i = 0; i < e->depth; i++) hk_text_str(&e->text, "  ");
    e->first = false;
    if (name) {
        hk_text_str(&e->text, e->json ? "\"" : "");
        hk_text_str(&e->text, name);
        hk_text_str(&e->text, e->json ? "\": " : " ");
    } else if (!e->json) {
        hk_text_str(&e->text, "- ");
    }
}

void hk_emit_begin(struct hk_emit *e, int fd, bool json)
{
    e->fd = fd;
    e->json = json;
    e->first = true;
    e->depth = 0;
    char *buf = hk_sys_map(NULL, BYTES);
    e->mapped = buf != NULL;
    e->text = (struct hk_text){buf ? buf : e->little, buf ? BYTES : sizeof e->little, 0};
    if (json) hk_text_str(&e->text, "{");
    e->depth = json;
}

void hk_emit_open(struct hk_emit *e, const char *name, char kind)
{
    name_it(e, name);
    if (e->json) hk_text_str(&e->text, kind == '{' ? "{" : "[");
    e->depth++;
    e->first = true;
}

void hk_emit_close(struct hk_emit *e, char kind)
{
    e->depth--;
    e->first = false;
    if (!e->json) return;
    make_room(e);
    hk_text_str(&e->text, "\n");
    for (unsigned i = 0; i < e->depth; i++) hk_text_str(&e->text, "  ");
    hk_text_str(&e->text, kind == '}' ? "}" : "]");
}

void hk_emit_number(struct hk_emit *e, const char *name, uint64_t v)
{
    name_it(e, name);
    hk_text_dec(&e->text, v);
}

void hk_emit_ratio(struct hk_emit *e, const char *name, uint64_t thousandths)
{
    name_it(e, name);
    hk_text_ratio(&e->text, thousandths);
}

void hk_emit_q16(struct hk_emit *e, const char *name, hk_q16 v)
{
    uint64_t whole = v < 0 ? 0 : (uint64_t)v >> 16, rest = v < 0 ? 0 : (uint64_t)v & 0xffff;
    hk_emit_ratio(e, name, whole * 1000 + (rest * 1000 >> 16));
}

void hk_emit_name(struct hk_emit *e, const char *name, const char *text, size_t len)
{
    name_it(e, name);
    hk_text_str(&e->text, e->json ? "\"" : "");
    for (size_t i = 0; i < len; i++) {
        char c[2] = {'?', 0};
        if (text[i] >= ' ' && text[i] < 127 && !strchr("\"\\", text[i])) c[0] = text[i];
        hk_text_str(&e->text, c);
    }
    hk_text_str(&e->text, e->json ? "\"" : "");
}

void hk_emit_word(struct hk_emit *e, const char *name, const char *word)
{
    name_it(e, name);
    hk_text_str(&e->text, e->json ? "\"" : "");
    hk_text_str(&e->text, word);
    hk_text_str(&e->text, e->json ? "\"" : "");
}

void hk_emit_end(struct hk_emit *e)
{
    hk_text_str(&e->text, e->json ? "\n}\n" : "\n");
    hk_sys_write(e->fd, e->text.buf, e->text.len);
    if (e->mapped) hk_sys_drop(e->text.buf, BYTES);
}
