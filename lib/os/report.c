/* SPDX-License-Identifier: MIT */
/*
 * What: messages without malloc: text on a stack buffer, one write(2).
 * Why: see report.h.
 */
#include "os/report.h"

#include <stdlib.h>

#include "os/sys.h"

void hk_text_str(struct hk_text *t, const char *s)
{
    while (*s && t->len < t->cap) t->buf[t->len++] = *s++;
}

static void text_number(struct hk_text *t, uint64_t v, unsigned radix, unsigned width)
{
    char digits[24];
    unsigned n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % radix];
        v /= radix;
    } while (v);
    for (; width > n; width--) hk_text_str(t, " ");
    while (n && t->len < t->cap) t->buf[t->len++] = digits[--n];
}

void hk_text_dec(struct hk_text *t, uint64_t v)
{
    text_number(t, v, 10, 0);
}

void hk_text_ratio(struct hk_text *t, uint64_t thousandths)
{
    hk_text_dec(t, thousandths / 1000);
    if (thousandths % 1000 == 0) return;
    hk_text_str(t, ".");
    for (uint64_t unit = 100; unit && thousandths % (unit * 10); unit /= 10)
        hk_text_dec(t, thousandths / unit % 10);
}

void hk_text_pad(struct hk_text *t, uint64_t v, unsigned width)
{
    text_number(t, v, 10, width);
}

void hk_text_hex(struct hk_text *t, uint64_t v)
{
    hk_text_str(t, "0x");
    text_number(t, v, 16, 0);
}

struct line {
    char buf[500];
    struct hk_text t;
};

static struct hk_text *line_begin(struct line *l)
{
    l->t = (struct hk_text){l->buf, sizeof l->buf - 1, 0};
    hk_text_str(&l->t, "hakmem: ");
    return &l->t;
}

static void line_end(struct line *l)
{
    l->buf[l->t.len++] = '\n';
    hk_sys_write(2, l->buf, l->t.len);
}

static struct hk_text *line_of(struct line *l, const char *what, const void *ptr)
{
    struct hk_text *t = line_begin(l);
    hk_text_str(t, what);
    hk_text_str(t, ": ");
    hk_text_hex(t, (uintptr_t)ptr);
    return t;
}

void hk_warn(const char *a, const char *b, const char *c)
{
    struct line l;
    struct hk_text *t = line_begin(&l);
    const char *part[3] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        if (part[i]) hk_text_str(t, part[i]);
    }
    line_end(&l);
}

void hk_die_block(const char *what, const void *ptr, size_t into, size_t size)
{
    struct line l;
    struct hk_text *t = line_of(&l, what, ptr);
    if (into) {
        hk_text_str(t, ", ");
        hk_text_dec(t, into);
        hk_text_str(t, " bytes into a block");
    }
    hk_text_str(t, ", size class ");
    hk_text_dec(t, size);
    line_end(&l);
    abort();
}

void hk_die(const char *what, const void *ptr)
{
    hk_die_more(what, ptr, "");
}

void hk_die_more(const char *what, const void *ptr, const char *more)
{
    struct line l;
    hk_text_str(line_of(&l, what, ptr), more);
    line_end(&l);
    abort();
}
