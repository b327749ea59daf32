/* SPDX-License-Identifier: MIT */
/*
 * What: the C library's own malloc family, found by name in the C library, made to be others.
 * Why: see api/deep.c.
 */
#ifndef HK_OS_DEEP_H
#define HK_OS_DEEP_H

#include <stdbool.h>
#include <stddef.h>

struct link_map;
/* Who looks for that name in the C library finds `to` from now on. */
struct hk_instead {
    const char *name;
    void (*to)(void);
};
/*
 * False: nothing was changed, as the C library or the kernel is not as expected. Not two threads at
 * a time. Takes no lock.
 */
bool hk_deep_replace(const struct link_map *libc, const struct hk_instead *names, size_t count);

#endif
