/* SPDX-License-Identifier: MIT */
/*
 * What: how much memory the process's control group has left.
 * Why: a group at its limit is killed whole; what is free here can go before that.
 * Threads: all. Asked for only when the user wants it: it opens and reads files.
 */
#ifndef HK_OS_CGROUP_H
#define HK_OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hk_cgroup {
    uint64_t limit, room; /* bytes: of the group, its own or a parent, with the least part of its
                             limit left; files that nobody uses do not count */
};

/* False if no limit is set, or none can be read. Versions 1 and 2 of control groups. */
bool hk_cgroup_read(struct hk_cgroup *out);
/*
 * Where the group's files lie, from the text of /proc/self/cgroup: a directory into dir; *v1 as
 * named. False if it does not fit, or there is no memory controller.
 */
bool hk_cgroup_dir(const char *proc, char *dir, size_t room, bool *v1);

#endif
