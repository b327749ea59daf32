/* SPDX-License-Identifier: MIT */
/*
 * What: how to compile and link with the library as it was configured: what hakmem.pc says.
 * Why: for build systems that ask a program.
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

/* What compilers and linkers look through anyway; naming it could change the order. */
static bool is_system(const char *dir)
{
    static const char *const dirs[] = {
        "/usr/include",          "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/" HK_MULTIARCH,
        "/usr/lib/" HK_MULTIARCH};
    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        if (strcmp(dir, dirs[i]) == 0) return true;
    }
    return false;
}

static void word(const char *option, const char *value)
{
    static bool begun;
    printf("%s%s%s", begun ? " " : "", option, value);
    begun = true;
}

void flags_print(bool cflags, bool libs, bool with_static)
{
    if (cflags && !is_system(HK_INCLUDEDIR)) word("-I", HK_INCLUDEDIR);
    if (libs && !is_system(HK_LIBDIR)) word("-L", HK_LIBDIR);
    if (libs) word("-l", "hakmem");
    if (libs && with_static) word(HK_LIBS_PRIVATE, "");
    putchar('\n');
}

const char *flags_value(const char *name)
{
    static const char *const values[][2] = {{"version", PACKAGE_VERSION},
                                            {"prefix", HK_PREFIX},
                                            {"includedir", HK_INCLUDEDIR},
                                            {"libdir", HK_LIBDIR},
                                            {"cmakedir", HK_LIBDIR "/cmake/hakmem"}};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        if (strcmp(name, values[i][0]) == 0) return values[i][1];
    }
    return NULL;
}
