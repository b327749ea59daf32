/* SPDX-License-Identifier: MIT */
/*
 * What: a reader of JSON as the library writes it, one group after the other.
 * Why: a file of what was learned may be cut off, mixed up by two processes that ended at once, or
 *   be no such file: that is told with its line.
 * Invariants: J1 depth, values of a group and bytes of the file are bounded, so no file exhausts
 *   stack or memory. J2 nothing beyond `end` is read. Texts end where their quote was.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define DEPTH_MOST  16
#define VALUES_MOST 16384
#define BYTES_MOST  ((size_t)64 << 20)

void reader_tell(const struct reader *r, unsigned line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "%s:%u: ", r->path, line);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
}

bool reader_open(struct reader *r, const char *path)
{
    size_t bytes = 0, room = 1 << 16, n;
    *r = (struct reader){.path = path, .line = 1};
    FILE *f = fopen(path, "re");
    r->all = grow(NULL, room);
    while (f && bytes <= BYTES_MOST && (n = fread(r->all + bytes, 1, room - bytes, f)) > 0) {
        bytes += n;
        if (bytes == room) r->all = grow(r->all, room *= 2);
    }
    int why = !f || ferror(f) ? errno : bytes > BYTES_MOST ? EFBIG : 0;
    if (f) fclose(f);
    r->all = grow(r->all, bytes ? bytes : 1); /* a sanitizer sees whoever breaks J2 */
    r->at = r->all;
    r->end = r->all + bytes;
    r->nodes = grow(NULL, VALUES_MOST * sizeof *r->nodes);
    if (why) complain(WRONG, "cannot read %s: %s", path, strerror(why));
    return !why;
}

void reader_end(struct reader *r)
{
    free(r->all);
    free(r->nodes);
}

/* The next byte that is no blank; -1: none. */
static int look(struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n') r->line++;
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a byte 0 is no blank */
        if (!memchr(" \t\r\n", *r->at, 4)) return (unsigned char)*r->at;
    }
    return -1;
}

/* Where the byte `want` should be; false, told: it is not. */
static bool expect(struct reader *r, const char *want)
{
    int c = look(r);
    if (c < 0)
        reader_tell(r, r->line, "it ends where %s should be", want);
    else if (c > ' ' && c < 0x7f)
        reader_tell(r, r->line, "%c where %s should be", c, want);
    else
        reader_tell(r, r->line, "byte 0x%02x where %s should be", (unsigned)c, want);
    return false;
}

static bool is_digit(const struct reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool read_number(struct reader *r, struct json *j)
{
    char *from = r->at;
    for (; is_digit(r); r->at++) {
        if (__builtin_mul_overflow(j->whole, 10, &j->whole) ||
            __builtin_add_overflow(j->whole, (unsigned)(*r->at - '0'), &j->whole)) {
            reader_tell(r, r->line, "a number that is too large");
            return false;
        }
    }
    if (*from == '0' && r->at - from > 1) {
        reader_tell(r, r->line, "a number that begins with 0");
        return false;
    }
    if (r->at == r->end || *r->at != '.') return true;
    r->at++;
    if (!is_digit(r)) return expect(r, "a digit");
    for (unsigned unit = 100; is_digit(r); r->at++, unit /= 10)
        j->rest += unit * (unsigned)(*r->at - '0');
    return true;
}

static bool read_text(struct reader *r, const char **out)
{
    if (look(r) != '"') return expect(r, "a \"");
    *out = ++r->at;
    for (; r->at < r->end && *r->at != '"'; r->at++) {
        unsigned char c = (unsigned char)*r->at;
        if (c < ' ' || c >= 0x7f || c == '\\') {
            reader_tell(r, r->line, "a text with byte 0x%02x in it", c);
            return false;
        }
    }
    if (r->at == r->end) return expect(r, "a \"");
    *r->at++ = 0;
    return true;
}

static struct json *read_value(struct reader *r, unsigned depth);

/* What is between brackets, from the opening one on. */
static bool read_inside(struct reader *r, struct json *j, unsigned depth)
{
    char close = j->kind == JSON_GROUP ? '}' : ']';
    struct json **next = &j->first;
    r->at++;
    if (look(r) == close) {
        r->at++;
        return true;
    }
    for (;;) {
        const char *name = NULL;
        if (j->kind == JSON_GROUP) {
            if (!read_text(r, &name)) return false;
            if (look(r) != ':') return expect(r, "a :");
            r->at++;
        }
        if (!(*next = read_value(r, depth + 1))) return false;
        (*next)->name = name;
        next = &(*next)->next;
        j->count++;
        int c = look(r);
        if (c != ',' && c != close) return expect(r, close == '}' ? ", or }" : ", or ]");
        r->at++;
        if (c == close) return true;
    }
}

/* NULL: told. */
static struct json *read_value(struct reader *r, unsigned depth)
{
    int c = look(r);
    if (r->used == VALUES_MOST || depth == DEPTH_MOST) {
        reader_tell(r, r->line, "this is more, or deeper, than what a process learns");
        return NULL;
    }
    struct json *j = &r->nodes[r->used++];
    *j = (struct json){.line = r->line};
    bool good;
    if (c == '{' || c == '[') {
        j->kind = c == '{' ? JSON_GROUP : JSON_LIST;
        good = read_inside(r, j, depth);
    } else if (c == '"') {
        j->kind = JSON_TEXT;
        good = read_text(r, &j->text);
    } else {
        j->kind = JSON_NUMBER;
        good = is_digit(r) ? read_number(r, j) : expect(r, "a value");
    }
    return good ? j : NULL;
}

struct json *reader_next(struct reader *r, bool *wrong)
{
    int c = look(r);
    *wrong = false;
    r->used = 0;
    if (c < 0) return NULL;
    struct json *j = c == '{' ? read_value(r, 0) : NULL;
    if (c != '{') expect(r, "a {");
    *wrong = !j;
    return j;
}
