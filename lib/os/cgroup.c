/* SPDX-License-Identifier: MIT */
/*
 * What: control groups' memory limits and use, by their files.
 * Why: see cgroup.h. Limits of parents count as well, so the walk goes up to the root.
 */
#include "os/cgroup.h"

#include <string.h>

#include "os/sys.h"

#define PATH_BYTES 1024
#define TEXT_BYTES 4096 /* of a file of many lines */
#define LEVELS     16   /* a bound for the walk */

/* Digits at the start of s; UINT64_MAX for "max" and for what is beyond. */
static uint64_t number(const char *s)
{
    uint64_t v = 0;
    if (*s < '0' || *s > '9') return UINT64_MAX;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > UINT64_MAX / 10 - 1) return UINT64_MAX;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    return v;
}

/* The number in file `name` of dir, whose length is len; UINT64_MAX without one. */
static uint64_t read_number(char *dir, size_t len, const char *name)
{
    char text[32];
    if (len + strlen(name) + 1 > PATH_BYTES) return UINT64_MAX;
    strcpy(dir + len, name);
    bool done = hk_sys_read_file(dir, text, sizeof text) > 0;
    dir[len] = 0;
    return done ? number(text) : UINT64_MAX;
}

/* The line of the memory controller, "N:memory:/path" or with others beside it, or "0::/path". */
static const char *find_line(const char *proc, bool *v1)
{
    const char *unified = NULL;
    while (*proc) {
        const char *end = strchr(proc, '\n'), *names = strchr(proc, ':');
        const char *path = names ? strchr(names + 1, ':') : NULL;
        if (!end) end = proc + strlen(proc);
        if (!path || path > end) return NULL;
        for (const char *n = names + 1; n < path; n += strcspn(n, ",:") + 1) {
            if (strncmp(n, "memory", 6) == 0 && (n[6] == ',' || n[6] == ':')) {
                *v1 = true;
                return path + 1;
            }
        }
        if (names + 1 == path) unified = path + 1;
        proc = *end ? end + 1 : end;
    }
    *v1 = false;
    return unified;
}

bool hk_cgroup_dir(const char *proc, char *dir, size_t room, bool *v1)
{
    const char *path = find_line(proc, v1);
    if (!path) return false;
    const char *root = *v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    size_t root_len = strlen(root), len = strcspn(path, "\n");
    if (len && path[len - 1] == '/') len--;
    if (root_len + len + 1 > room) return false;
    memcpy(dir, root, root_len);
    memcpy(dir + root_len, path, len);
    dir[root_len + len] = 0;
    return true;
}

/* Pages of files that nobody uses: the kernel takes those first. */
static uint64_t inactive_files(char *dir, size_t len, bool v1, char *text)
{
    const char *key = v1 ? "\ntotal_inactive_file " : "\ninactive_file ";
    if (len + sizeof "/memory.stat" > PATH_BYTES) return 0;
    strcpy(dir + len, "/memory.stat");
    bool done = hk_sys_read_file(dir, text, TEXT_BYTES) > 0;
    dir[len] = 0;
    const char *at = done ? strstr(text, key) : NULL;
    uint64_t bytes = at ? number(at + strlen(key)) : 0;
    return bytes == UINT64_MAX ? 0 : bytes;
}

/* One group: has it a smaller part of its limit left? */
static void look_at(char *dir, bool v1, char *text, struct hk_cgroup *out)
{
    size_t len = strlen(dir);
    uint64_t limit = read_number(dir, len, v1 ? "/memory.limit_in_bytes" : "/memory.max");
    uint64_t high = v1 ? UINT64_MAX : read_number(dir, len, "/memory.high");
    if (high < limit) limit = high;
    if (limit >= INT64_MAX / 2) return; /* version 1 says a huge number for none */
    uint64_t used = read_number(dir, len, v1 ? "/memory.usage_in_bytes" : "/memory.current");
    if (used == UINT64_MAX) return;
    uint64_t files = inactive_files(dir, len, v1, text);
    used -= files < used ? files : used;
    uint64_t room = used < limit ? limit - used : 0;
    bool less = !out->limit || room / (limit / 1024 + 1) < out->room / (out->limit / 1024 + 1);
    if (less) *out = (struct hk_cgroup){limit, room};
}

/* Of one look at a time: off the stack, as those of threads that call malloc may be small. */
struct room {
    char text[TEXT_BYTES], dir[PATH_BYTES];
};

static void walk(struct room *r, struct hk_cgroup *out)
{
    bool v1;
    if (hk_sys_read_file("/proc/self/cgroup", r->text, sizeof r->text) <= 0) return;
    if (!hk_cgroup_dir(r->text, r->dir, sizeof r->dir, &v1)) return;
    size_t root = strlen(v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup");
    /* In a container the path may be the host's: then only the root is there. */
    for (int i = 0; i < LEVELS; i++) {
        look_at(r->dir, v1, r->text, out);
        if (strlen(r->dir) <= root) break;
        *strrchr(r->dir, '/') = 0;
    }
}

bool hk_cgroup_read(struct hk_cgroup *out)
{
    *out = (struct hk_cgroup){0, 0};
    struct room *r = hk_sys_map(NULL, sizeof *r);
    if (!r) return false;
    walk(r, out);
    hk_sys_drop(r, sizeof *r);
    return out->limit != 0;
}
