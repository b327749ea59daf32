/* SPDX-License-Identifier: MIT */
/*
 * What: where a control group's files lie, by the text of /proc/self/cgroup.
 * Why: versions 1 and 2, both at once, and what neither would write.
 */
#include "os/cgroup.h"

#include <pthread.h>
#include <string.h>

#include "base/attr.h"
#include "hktest.h"

static const struct {
    const char *proc, *dir; /* NULL: refused */
    bool v1;
} cases[] = {
    {"0::/\n", "/sys/fs/cgroup", false},
    {"0::/user.slice/a b\n", "/sys/fs/cgroup/user.slice/a b", false},
    {"0::/no-newline", "/sys/fs/cgroup/no-newline", false},
    {"4:memory:/a\n0::/\n", "/sys/fs/cgroup/memory/a", true},
    {"0::/b\n3:cpu,memory:/a\n", "/sys/fs/cgroup/memory/a", true},
    {"5:memory,cpu:/\n", "/sys/fs/cgroup/memory", true},
    {"5:memoryless:/x\n0::/y\n", "/sys/fs/cgroup/y", false},
    {"5:name=memory:/x\n0::/y\n", "/sys/fs/cgroup/y", false},
    {"5:cpu:/memory\n", NULL, false},
    {"garbage\n", NULL, false},
    {"5:cpu\n0::/y\n", NULL, false},
    {"", NULL, false},
    {"::", NULL, false},
};

#define STACK_BYTES ((size_t)4 << 20) /* what sanitizers keep for a thread fits too */
static _Alignas(4096) unsigned char stack[STACK_BYTES];

static void *read_group(void *wanted)
{
    struct hk_cgroup g;
    if (wanted) hk_cgroup_read(&g);
    return NULL;
}

/* Bytes of its stack that a thread touched. */
static size_t stack_of(void *wanted)
{
    pthread_attr_t a;
    pthread_t t;
    size_t i = 0;
    memset(stack, 0xa5, sizeof stack);
    pthread_attr_init(&a);
    if (pthread_attr_setstack(&a, stack, sizeof stack) ||
        pthread_create(&t, &a, read_group, wanted))
        hktest_bail("no thread");
    pthread_join(t, NULL);
    pthread_attr_destroy(&a);
    while (i < sizeof stack && stack[i] == 0xa5) i++;
    return sizeof stack - i;
}

int main(void)
{
    char dir[64];
    bool v1;
    for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++) {
        bool got = hk_cgroup_dir(cases[i].proc, dir, sizeof dir, &v1);
        bool right = got ? cases[i].dir && !strcmp(dir, cases[i].dir) && v1 == cases[i].v1
                         : cases[i].dir == NULL;
        hktest_ok(right, "case %zu: %s", i, got ? dir : "none");
    }
    hktest_ok(!hk_cgroup_dir("0::/0123456789012345678901234567890123456789012345678\n", dir,
                             sizeof dir, &v1),
              "a path that does not fit");
    struct hk_cgroup g;
    hktest_ok(!hk_cgroup_read(&g) || g.room <= g.limit, "the process's own group");
    size_t most = stack_of(&g) - stack_of(NULL);
    size_t bound =
        HK_TSAN ? 4096 : 2048; /* its wrappers of system calls have frames of their own */
    hktest_ok(most < bound || most > STACK_BYTES, "%zu bytes of stack: threads may have few", most);
    return hktest_done();
}
