/* SPDX-License-Identifier: MIT */
/*
 * What: scenes on made-up machines, each a process of its own: where threads are, threads that wait
 *   for each other, what a child of fork finds.
 * Why: shards of the pool stay for good, so each scene is to start without any.
 */
#ifndef HK_TESTS_UNIT_SCENES_H
#define HK_TESTS_UNIT_SCENES_H

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pool.h"
#include "front/front.h"
#include "hktest.h"

#define SKIPPED      77
#define HANG_SECONDS 60
#define CHUNKS(n)    ((size_t)(n)*HK_CHUNK_UNITS)

static _Thread_local struct hk_cpu_place here;
static bool wrong;
static _Atomic int step;

#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("# line %d: not so: %s\n", __LINE__, #cond);                                    \
            wrong = true;                                                                          \
        }                                                                                          \
    } while (0)

HKTEST_UNUSED static struct hk_cpu_place place(void)
{
    return here;
}

HKTEST_UNUSED static void go_to(uint32_t cpu, uint32_t node)
{
    here = (struct hk_cpu_place){cpu, node};
}

HKTEST_UNUSED static void wait_for(int n)
{
    while (atomic_load(&step) < n) sched_yield();
}

HKTEST_UNUSED static pthread_t start(void *(*f)(void *), void *arg)
{
    pthread_t t;
    atomic_store(&step, 0);
    if (pthread_create(&t, NULL, f, arg)) hktest_bail("no thread");
    return t;
}

HKTEST_UNUSED static void end(pthread_t t, int n)
{
    atomic_store(&step, n);
    pthread_join(t, NULL);
}

/* What f finds in a child of fork; SKIPPED, or 0 if all was as expected. */
HKTEST_UNUSED static int in_child(void (*f)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG_SECONDS);
        wrong = false;
        f();
        fflush(stdout);
        _exit(wrong);
    }
    bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
    if (!ended) printf("# killed, status %#x\n", (unsigned)status);
    return ended ? WEXITSTATUS(status) : -1;
}

HKTEST_UNUSED static void scene(void (*f)(void), const char *what)
{
    int found = in_child(f);
    if (found == SKIPPED)
        hktest_skip(what, "not here");
    else
        hktest_ok(found == 0, "%s", what);
}

HKTEST_UNUSED static char *take_units(size_t units)
{
    bool clean;
    return hk_pool_alloc(units, 1, &clean);
}

HKTEST_UNUSED static size_t sum_used(void)
{
    size_t units = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) units += hk_shard_by_id(id)->used;
    return units;
}

HKTEST_UNUSED static void scenes_begin(void)
{
    hk_cpu_virtual = place;
    if (!hk_map_init()) hktest_bail("no memory");
    hk_front_check(); /* brings in what registers with fork */
}

#endif
