/* SPDX-License-Identifier: MIT */
/*
 * What: threads' lives: that only free, that end, that are cancelled, that are many, with small
 *   stacks, and a process that exits while others allocate.
 * Why: a thread's end is where allocators strand memory and touch what is gone.
 */
#include <limits.h>
#include <pthread.h>

#include "support.h"

#define BLOCKS 20000
#define STORM  10000
static unsigned char *block[BLOCKS];

static void *make_blocks(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < BLOCKS; i++) {
        size_t n = t_random_size(&seed, 12) + 8;
        block[i] = malloc(n);
        if (!block[i]) abort();
        memcpy(block[i], &n, sizeof n);
        t_fill(block[i] + 8, n - 8, n);
    }
    return NULL;
}

static void *free_blocks(void *arg)
{
    int from = (int)(uintptr_t)arg;
    for (int i = from; i < BLOCKS; i += 4) {
        size_t n;
        memcpy(&n, block[i], sizeof n);
        T_EXPECT(t_holds(block[i] + 8, n - 8, n), "block %d of %zu bytes", i, n);
        free(block[i]);
    }
    return NULL;
}

static void start(pthread_t *t, void *(*f)(void *), uintptr_t arg)
{
    if (pthread_create(t, NULL, f, (void *)arg)) abort();
}

static void run(void *(*f)(void *), uintptr_t arg)
{
    pthread_t t;
    start(&t, f, arg);
    pthread_join(t, NULL);
}

/* The owner has ended before the first free; who frees never allocates. */
static void free_only(void)
{
    for (int round = 0; round < 10; round++) {
        pthread_t t[4];
        run(make_blocks, (uintptr_t)round + 1);
        for (uintptr_t i = 0; i < 4; i++) start(&t[i], free_blocks, i);
        for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    }
}

/* The main thread owns; memory that others gave back must be found again. */
static void handed_back(void)
{
    size_t after_first = 0;
    for (int round = 0; round < 30; round++) {
        pthread_t t[4];
        make_blocks((void *)(uintptr_t)7);
        for (uintptr_t i = 0; i < 4; i++) start(&t[i], free_blocks, i);
        for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
        if (round == 4) after_first = t_resident();
    }
    T_EXPECT(t_resident() < after_first + 24 * T_MIB, "grew from %zu to %zu", after_first,
             t_resident());
}

static void *short_life(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    void *p[20];
    for (int i = 0; i < 20; i++) {
        size_t n = t_random_size(&seed, 14);
        p[i] = malloc(n);
        memset(p[i], 1, n);
    }
    for (int i = 0; i < 20; i++) free(p[i]);
    return NULL;
}

static void storm(void)
{
    size_t early = 0;
    for (uintptr_t i = 0; i < STORM / 4; i++) {
        pthread_t t[4];
        for (int k = 0; k < 4; k++) start(&t[k], short_life, i * 4 + (uintptr_t)k);
        for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
        if (i == STORM / 20) early = t_resident();
    }
    T_EXPECT(t_resident() < early + 4 * T_MIB, "grew from %zu to %zu", early, t_resident());
}

static void detached(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (uintptr_t i = 0; i < 500; i++) {
        pthread_t t;
        while (pthread_create(&t, &attr, short_life, (void *)i)) usleep(1000);
    }
    pthread_attr_destroy(&attr);
    usleep(50000);
}

static void *all_sizes(void *arg)
{
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        char *p = malloc(t_edges[i]), *q = calloc(1, t_edges[i]);
        if (!p || !q) abort();
        p[0] = p[t_edges[i] - 1] = 1;
        p = realloc(p, t_edges[i] * 2);
        free(p);
        free(q);
    }
    return arg;
}

static void small_stacks(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    T_EXPECT(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN + 4096) == 0, "stack size");
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        int rc = pthread_create(&t, &attr, all_sizes, NULL);
        T_EXPECT(rc == 0, "pthread_create: %d", rc);
        if (rc == 0) pthread_join(t, NULL);
    }
    pthread_attr_destroy(&attr);
}

static void *until_cancelled(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (unsigned i = 0;; i++) {
        void *p = malloc(t_random_size(&seed, 16));
        free(p);
        if (i % 64 == 0) pthread_testcancel();
    }
    return NULL;
}

static void cancelled(void)
{
    for (uintptr_t i = 0; i < 300; i++) {
        pthread_t t;
        void *status;
        start(&t, until_cancelled, i);
        usleep(200);
        pthread_cancel(t);
        pthread_join(t, &status);
        T_EXPECT(status == PTHREAD_CANCELED, "thread %d", (int)i);
    }
}

static void leave(void)
{
    void *p = malloc(100);
    free(p);
}

/* exit() runs destructors while four threads go on. */
static void exit_in_company(void)
{
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t t[4];
            alarm(60);
            atexit(leave);
            for (uintptr_t k = 0; k < 4; k++) start(&t[k], until_cancelled, k);
            usleep(500);
            exit(0);
        }
        int status;
        T_EXPECT(waitpid(pid, &status, 0) == pid && status == 0, "run %d: status %x", i, status);
    }
}

int main(void)
{
    t_isolated("threads that only free, blocks of ended threads", free_only);
    t_isolated("blocks freed by others are found again", handed_back);
    t_isolated("10 000 short threads leave nothing behind", storm);
    t_isolated("detached threads", detached);
    t_isolated("the smallest stacks suffice", small_stacks);
    t_isolated("cancelled threads", cancelled);
    t_isolated("exit while others allocate", exit_in_company);
    return hktest_done();
}
