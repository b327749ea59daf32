/* SPDX-License-Identifier: MIT */
/*
 * What: several threads fork at the same time while others allocate; children use the heap, fork
 *   on, and one line of children goes on as busy programs themselves.
 * Why: fork hooks that count, flag or wait must stand two forks at once, and a child that was once
 *   busy must become a good parent.
 * Environment: HK_FORKS, forks of each thread (100).
 */
#include <pthread.h>

#include "support.h"

#define FORKS_DEFAULT 100
#define FORKERS       4
#define BUSY          3
#define GENERATIONS   12
#define HANG_SECONDS  120u

static unsigned long forks = FORKS_DEFAULT;
static _Atomic int stop;

static void *keep_busy(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    void *p[200] = {NULL};
    while (!stop) {
        size_t i = (size_t)(t_random(&seed) % T_COUNT(p));
        free(p[i]);
        p[i] = malloc(t_random_size(&seed, seed % 64 ? 13 : 21));
    }
    for (size_t i = 0; i < T_COUNT(p); i++) free(p[i]);
    return NULL;
}

static bool use_heap(uint64_t seed)
{
    unsigned char *p[200];
    bool good = true;
    for (size_t i = 0; i < T_COUNT(p); i++) {
        size_t n = t_random_size(&seed, i % 32 ? 13 : 21);
        p[i] = i & 1 ? malloc(n) : calloc(1, n);
        if (!p[i]) return false;
        p[i][0] = p[i][n - 1] = (unsigned char)i;
    }
    for (size_t i = 0; i < T_COUNT(p); i++) {
        good &= p[i][0] == (unsigned char)i;
        free(p[i]);
    }
    return good;
}

static int wait_for(pid_t pid)
{
    int status = -1;
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static int child(unsigned long number)
{
    alarm(HANG_SECONDS);
    if (!use_heap(number)) return 3;
    if (number % 5) return 0;
    pid_t pid = fork();
    if (pid == 0) _exit(use_heap(number + 1) ? 0 : 3);
    return wait_for(pid) == 0 ? 0 : 4;
}

static void *fork_often(void *arg)
{
    unsigned long first = (unsigned long)(uintptr_t)arg * 1000;
    for (unsigned long i = 0; i < forks && !t_fails; i++) {
        pid_t pid = fork();
        if (pid == 0) _exit(child(first + i));
        int status = wait_for(pid);
        T_EXPECT(status == 0, "child %lu: status %#x", first + i, (unsigned)status);
        T_EXPECT(use_heap(first + i), "heap after fork %lu", first + i);
    }
    return NULL;
}

static void start(pthread_t *t, void *(*f)(void *), uintptr_t arg)
{
    if (pthread_create(t, NULL, f, (void *)arg) != 0) abort();
}

static void together(void)
{
    pthread_t busy[BUSY], forker[FORKERS];
    for (uintptr_t i = 0; i < BUSY; i++) start(&busy[i], keep_busy, i);
    for (uintptr_t i = 0; i < FORKERS; i++) start(&forker[i], fork_often, i);
    for (int i = 0; i < FORKERS; i++) pthread_join(forker[i], NULL);
    stop = 1;
    for (int i = 0; i < BUSY; i++) pthread_join(busy[i], NULL);
}

/* Each generation has busy threads of its own when it forks the next; the dead ones' heaps are
 * inherited again and again, and must not add up. */
static void busy_line(void)
{
    size_t first = 0;
    for (int i = 0; i < GENERATIONS; i++) {
        pthread_t busy[BUSY];
        stop = 0;
        for (uintptr_t k = 0; k < BUSY; k++) start(&busy[k], keep_busy, k + (uintptr_t)i);
        usleep(20000);
        fflush(stdout);
        pid_t pid = fork();
        if (pid != 0) {
            int status = wait_for(pid);
            T_EXPECT(status == 0, "generation %d: status %#x", i, (unsigned)status);
            stop = 1;
            for (int k = 0; k < BUSY; k++) pthread_join(busy[k], NULL);
            if (i == 0) return;
            _exit(t_fails != 0);
        }
        alarm(HANG_SECONDS);
        T_EXPECT(use_heap((uint64_t)i), "heap of generation %d", i);
        if (i == 1) first = t_resident();
    }
    size_t last = t_resident();
    printf("# generation 2: %zu KiB resident, the last: %zu KiB\n", first / T_KIB, last / T_KIB);
    T_EXPECT(last < first + 64 * T_MIB, "resident %zu -> %zu KiB", first / T_KIB, last / T_KIB);
    fflush(stdout);
    _exit(t_fails != 0);
}

int main(int argc, char **argv)
{
    forks = t_number(argc, argv, "HK_FORKS", FORKS_DEFAULT);
    t_isolated("several threads fork at once", together);
    t_isolated("busy programs in a line of descent", busy_line);
    return hktest_done();
}
