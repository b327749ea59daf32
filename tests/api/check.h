/* SPDX-License-Identifier: MIT */
/*
 * What: CHECK, for programs that scripts build: what is not so is said, and the program ends.
 * Why: the script is who speaks TAP.
 */
#ifndef HK_TESTS_API_CHECK_H
#define HK_TESTS_API_CHECK_H

#include <stdio.h>
#include <unistd.h>

static void fail(int line, const char *what)
{
    fprintf(stderr, "line %d: not so: %s\n", line, what);
    _exit(3);
}

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) fail(__LINE__, #cond);                                                        \
    } while (0)

#endif
