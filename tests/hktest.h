/* SPDX-License-Identifier: MIT */
/*
 * What: TAP in a few functions: hktest_ok, hktest_skip, hktest_bail, hktest_done.
 * Why: test frameworks allocate inside the allocator under test and hide the preload.
 * Threads: report from one thread only.
 */
#ifndef HK_TESTS_HKTEST_H
#define HK_TESTS_HKTEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define HKTEST_UNUSED __attribute__((unused))

static int hktest_count, hktest_failed;

/* One result line; the name is printf-like. Returns ok. */
HKTEST_UNUSED __attribute__((format(printf, 2, 3))) static bool hktest_ok(bool ok, const char *name,
                                                                          ...)
{
    va_list ap;
    va_start(ap, name);
    printf("%sok %d - ", ok ? "" : "not ", ++hktest_count);
    vprintf(name, ap);
    putchar('\n');
    va_end(ap);
    fflush(stdout);
    hktest_failed += !ok;
    return ok;
}

HKTEST_UNUSED static void hktest_skip(const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++hktest_count, name, why);
    fflush(stdout);
}

/* Nothing more can be tested. */
HKTEST_UNUSED __attribute__((noreturn)) static void hktest_bail(const char *why)
{
    printf("Bail out! %s\n", why);
    fflush(stdout);
    exit(99);
}

/* The plan line, last; the value for main to return. */
HKTEST_UNUSED static int hktest_done(void)
{
    printf("1..%d\n", hktest_count);
    fflush(stdout);
    return hktest_failed != 0;
}

#define HKTEST(cond) hktest_ok((cond), "%s", #cond)

#endif
