/* SPDX-License-Identifier: MIT */
/*
 * What: `preload`: hakmem-preload(8), run in this program's place with all that follows.
 * Why: that one is static and works where this one cannot start; see tools/preload/preload.h.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define NAME "hakmem-preload"

/* Beside this program, in a build; NULL: not known. To be freed. */
static char *beside(void)
{
    char self[PATH_MAX], *path;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return NULL;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash || asprintf(&path, "%.*s/" NAME, (int)(slash - self), self) < 0) return NULL;
    return path;
}

enum status tool_preload(const struct request *r)
{
    char *path = beside(), **argv = grow(NULL, ((size_t)r->count + 2) * sizeof *argv);
    argv[0] = (char *)NAME;
    memcpy(argv + 1, r->args, (size_t)r->count * sizeof *argv);
    argv[r->count + 1] = NULL;
    if (path) execv(path, argv);
    execv(HK_SBINDIR "/" NAME, argv);
    enum status s = complain(WRONG, "cannot run %s: %s", HK_SBINDIR "/" NAME, strerror(errno));
    free(argv), free(path);
    return s;
}
