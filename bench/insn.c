/* SPDX-License-Identifier: MIT */
/*
 * What: insn KIND BYTES PAIRS: so many allocations, each freed at once; KIND is malloc, calloc,
 * new, aligned, or none for the loop alone. Why: run under callgrind with two numbers of pairs, the
 * difference is the exact cost of a pair; that of none is the loop's own.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *none(size_t n)
{
    static size_t word;
    word = n;
    return &word;
}

static void none_free(void *p)
{
    *(volatile char *)p = 0;
}

static void *zeroed(size_t n)
{
    return calloc(1, n);
}

static void *aligned(size_t n)
{
    return aligned_alloc(64, n);
}

static void *symbol(const char *name)
{
    void *f = dlsym(RTLD_DEFAULT, name);
    if (!f) fprintf(stderr, "insn: no %s here\n", name);
    return f;
}

int main(int argc, char **argv)
{
    union {
        void *p;
        void *(*take)(size_t);
    } from = {NULL};
    union {
        void *p;
        void (*give)(void *);
        void (*give_sized)(void *, size_t);
    } to = {NULL};
    if (argc != 4) return 2;
    size_t n = strtoul(argv[2], NULL, 10);
    unsigned long pairs = strtoul(argv[3], NULL, 10);
    bool sized = strcmp(argv[1], "new") == 0;
    to.p = symbol("free");
    if (sized) {
        from.p = symbol("_Znwm");
        to.p = symbol("_ZdlPvm");
    } else if (strcmp(argv[1], "calloc") == 0) {
        from.take = zeroed;
    } else if (strcmp(argv[1], "aligned") == 0) {
        from.take = aligned;
    } else if (strcmp(argv[1], "none") == 0) {
        from.take = none;
        to.give = none_free;
    } else {
        from.p = symbol(argv[1]);
    }
    if (!from.p || !to.p) return 3;
    for (unsigned long i = 0; i < pairs; i++) {
        char *p = from.take(n);
        *(volatile char *)p = 1;
        if (sized)
            to.give_sized(p, n);
        else
            to.give(p);
    }
    return 0;
}
