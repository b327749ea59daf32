/* SPDX-License-Identifier: MIT */
/*
 * What: memory that is there must be found: while another thread returns some of it to the
 * kernel, when the kernel maps nothing more, in a child forked meanwhile.
 *
 * Why: each of these once failed an allocation, or lost memory for good, with plenty of it
 * free.
 */
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support.h"

#define ROUNDS  3000
#define BIG     (60 * T_MIB)
#define BLOCKS  8000
#define SIZE    ((size_t)16384)
#define THREADS 100

static _Atomic int step, failed;
static void *block[BLOCKS];

static void limit_memory(size_t bytes)
{
    struct rlimit r = {bytes, bytes};
    T_EXPECT(setrlimit(RLIMIT_AS, &r) == 0, "RLIMIT_AS");
}

static pthread_t start(void *(*f)(void *), void *arg)
{
    pthread_t t;
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 128 * T_KIB);
    if (pthread_create(&t, &a, f, arg)) abort();
    return t;
}

static void *trims(void *arg)
{
    while (!step) malloc_trim(0);
    return arg;
}

static void while_another_trims(void)
{
    free(malloc(BIG));
    pthread_t t = start(trims, NULL);
    limit_memory(2 * BIG);
    for (int i = 0; i < ROUNDS; i++) {
        char *p = malloc(BIG);
        failed += !p;
        for (size_t at = 0; p && at < BIG; at += T_MIB) p[at] = 1;
        free(p);
    }
    step = 1;
    pthread_join(t, NULL);
    T_EXPECT(failed == 0, "%d of %d failed", failed, ROUNDS);
}

static void *first_malloc(void *arg)
{
    pthread_barrier_wait(arg);
    void *p = malloc(16);
    failed += !p;
    pthread_barrier_wait(arg);
    free(p);
    return NULL;
}

/* Threads come to their first block when no mapping is to be had, but freed memory is. */
static void first_blocks(void)
{
    static pthread_barrier_t meet;
    pthread_t t[THREADS];
    int n = 0;
    pthread_barrier_init(&meet, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) t[i] = start(first_malloc, &meet);
    limit_memory(300 * T_MIB);
    while (n < BLOCKS && (block[n] = malloc(50000))) n++;
    while (mmap(NULL, 16384, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) continue;
    for (int i = 0; i < n; i++) free(block[i]);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    T_EXPECT(failed == 0, "%d of %d threads got nothing", failed, THREADS);
}

static void *fills_and_trims(void *arg)
{
    for (int i = 0; i < BLOCKS; i++) memset(block[i] = malloc(SIZE), 1, SIZE);
    for (int i = 0; i < BLOCKS; i += 2) free(block[i]);
    step = 1;
    while (step != 2) continue;
    malloc_trim(0);
    while (step != 3) usleep(100);
    return arg;
}

/* Blocks the child may free must serve it again, wherever the purge was. */
static void forked_while_trimming(void)
{
    for (int round = 0; round < 6; round++) {
        int status = -1;
        step = 0;
        pthread_t t = start(fills_and_trims, NULL);
        while (step != 1) usleep(100);
        step = 2;
        usleep(500u + 1000u * (unsigned)round);
        pid_t child = fork();
        if (child == 0) {
            for (int i = 1; i < BLOCKS; i += 2) free(block[i]);
            malloc_trim(0);
            _exit(mallinfo2().uordblks < BLOCKS * SIZE / 16 ? 0 : 1);
        }
        waitpid(child, &status, 0);
        T_EXPECT(status == 0, "memory stays in use in the child, round %d", round);
        step = 3;
        pthread_join(t, NULL);
        for (int i = 1; i < BLOCKS; i += 2) free(block[i]);
    }
}

int main(void)
{
    t_isolated("while another thread trims", while_another_trims);
    t_isolated("first blocks of threads, nothing to map", first_blocks);
    if (t_on_hakmem()) t_isolated("a child forked while a thread trims", forked_while_trimming);
    return hktest_done();
}
