/* SPDX-License-Identifier: MIT */
/*
 * What: a program with the same system calls of its own in each mode but the malloc work: "idle"
 *   does none, "one" a single malloc, "steady" a million in a small working set, "heavy" all sizes
 *   in several threads and a child. getppid marks where its work starts and ends.
 * Why: syscalls.sh traces it and compares the modes, and mallocs.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS      4
#define HEAVY_STEPS  20000
#define STEADY_STEPS 1000000
#define SLOTS        256
#define STACK_BYTES  262144

static void *_Atomic mailbox[SLOTS];
static int heavy_steps;
static char stack[THREADS][STACK_BYTES] __attribute__((aligned(4096)));

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Sizes of all layers; a block may be freed by any thread. */
static void *work(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < heavy_steps; i++) {
        size_t n = (size_t)(next(&seed) & (((uint64_t)1 << next(&seed) % (i % 64 ? 13 : 23)) - 1));
        char *p = i & 1 ? malloc(n + 1) : calloc(1, n + 1);
        if (!p) abort();
        p[0] = p[n] = 1;
        if (i % 8 == 0) p = realloc(p, n * 2 + 1);
        free(__atomic_exchange_n(&mailbox[next(&seed) % SLOTS], p, __ATOMIC_ACQ_REL));
        if (i % 5000 == 0) malloc_trim(0);
    }
    return NULL;
}

/* Stacks of its own: the C library would map and protect them, and so hide who else does. */
static void run_all(void)
{
    pthread_t t[THREADS];
    int status = 1;
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        if (pthread_attr_setstack(&attr, stack[i], STACK_BYTES) != 0) abort();
        if (pthread_create(&t[i], &attr, work, (void *)i) != 0) abort();
        pthread_attr_destroy(&attr);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    pid_t pid = fork();
    if (pid == 0) {
        work(NULL);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0) abort();
    for (int i = 0; i < SLOTS; i++) free(mailbox[i]);
}

/* The same few hundred blocks over and over. */
static void steady(int steps)
{
    static char *slot[SLOTS];
    uint64_t seed = 1;
    for (int i = 0; i < steps; i++) {
        size_t k = next(&seed) % SLOTS;
        free(slot[k]);
        slot[k] = malloc(k < 250 ? k * 8 + 1 : k * 100);
        if (!slot[k]) abort();
        slot[k][0] = 1;
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (!strcmp(mode, "nothing")) return 0;
    if (!strcmp(mode, "one")) return malloc(100) == NULL;
    if (!strcmp(mode, "steady")) {
        steady(STEADY_STEPS / 10);
        getppid();
        steady(STEADY_STEPS);
        getppid();
        return 0;
    }
    heavy_steps = strcmp(mode, "heavy") ? 0 : HEAVY_STEPS;
    free(malloc(100)); /* the first one reads the files of settings */
    getppid();
    run_all();
    return 0;
}
