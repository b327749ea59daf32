/* SPDX-License-Identifier: MIT */
/*
 * What: workers pinned to CPUs of NUMA nodes, each with a list of live blocks, and what they do.
 * Why: what is measured (nodes.c) must have been allocated by a thread of which it is known where
 *   it ran, and by nobody else: lists are static, a worker rests when it has no job.
 * Threads: the first thread hands out jobs and waits for them; it may look at resting workers.
 */
#ifndef HK_TESTS_NUMA_TEAM_H
#define HK_TESTS_NUMA_TEAM_H

#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "support.h"

#define NODES_MAX   64 /* with memory; with CPUs a quarter */
#define CPUS_MAX    4  /* used of each node */
#define WORKERS_MAX 64
#define BLOCKS_MAX  (1u << 16) /* of one worker */
#define KINDS       4 /* sizes to 1 KiB, to 64 KiB, of 512 KiB, of 4 MiB; as many bytes of each */

struct block {
    unsigned char *p;
    size_t n;
    uint64_t seed;
    unsigned kind, round;
};

struct worker {
    pthread_t thread;
    sem_t go, done;
    void (*job)(struct worker *); /* NULL ends the thread */
    struct worker *peer;          /* whose blocks a job with `peer` in its name is about */
    int cpu, node;
    bool reserves;  /* leaves the touching of new blocks to others */
    unsigned round; /* stamped on blocks */
    uint64_t random;
    size_t goal; /* bytes to have */
    size_t used, bytes, bytes_of[KINDS];
    struct block block[BLOCKS_MAX];
};

/* Nodes with CPUs that this process may use. */
static struct {
    int number, cpu[CPUS_MAX];
    unsigned cpus;
} node[NODES_MAX / 4];
static unsigned nodes;

static struct worker worker[WORKERS_MAX];
static unsigned workers;

static void take(struct worker *w, size_t n, unsigned kind)
{
    struct block *b = &w->block[w->used];
    *b = (struct block){malloc(n), n, t_random(&w->random), kind, w->round};
    T_EXPECT(b->p, "%zu bytes refused", n);
    if (!b->p) _exit(T_EXIT_FAILED);
    if (!w->reserves) t_fill(b->p, n, b->seed);
    w->used++;
    w->bytes += n;
    w->bytes_of[kind] += n;
}

/* One more block, of the kind of which there are fewest bytes. */
static void take_any(struct worker *w)
{
    unsigned kind = 0;
    for (unsigned k = 1; k < KINDS; k++) {
        if (w->bytes_of[k] < w->bytes_of[kind]) kind = k;
    }
    size_t n = kind == 2 ? 512 * T_KIB : 4 * T_MIB;
    if (kind < 2) {
        n = kind ? 2 * T_KIB << t_random(&w->random) % 6 : 16u << t_random(&w->random) % 7;
        n -= t_random(&w->random) % (n / 2);
    }
    take(w, n, kind);
}

static void drop(struct worker *w, size_t i)
{
    struct block *b = &w->block[i];
    T_EXPECT(t_holds(b->p, b->n, b->seed), "a block of %zu bytes of CPU %d changed", b->n, w->cpu);
    free(b->p);
    w->bytes -= b->n;
    w->bytes_of[b->kind] -= b->n;
    *b = w->block[--w->used];
}

/* Jobs. */

static void job_pin(struct worker *w)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(w->cpu, &set);
    T_EXPECT(sched_setaffinity(0, sizeof set, &set) == 0, "no affinity to CPU %d", w->cpu);
}

static void job_fill(struct worker *w)
{
    while (w->bytes < w->goal && w->used < BLOCKS_MAX) take_any(w);
}

static void job_shrink(struct worker *w)
{
    while (w->bytes > w->goal) drop(w, t_random(&w->random) % w->used);
}

/* Half of the blocks are replaced by others, of other sizes. */
static void job_churn(struct worker *w)
{
    for (size_t i = w->used; i-- > 0;) {
        if (t_random(&w->random) % 2) drop(w, i);
        if (i % 64 == 0) job_fill(w);
    }
}

static void job_empty(struct worker *w)
{
    while (w->used) drop(w, t_random(&w->random) % w->used);
}

static void job_empty_peer(struct worker *w)
{
    job_empty(w->peer);
}

static void job_touch_peer(struct worker *w)
{
    for (struct block *b = w->peer->block; b < w->peer->block + w->peer->used; b++)
        t_fill(b->p, b->n, b->seed);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (job_pin(w);;) {
        while (sem_wait(&w->go) != 0) {
        }
        if (!w->job) return NULL;
        w->job(w);
        sem_post(&w->done);
    }
}

static struct worker *hire(unsigned n, unsigned cpu, size_t goal)
{
    if (workers == WORKERS_MAX) hktest_bail("too many workers");
    struct worker *w = &worker[workers++];
    w->node = node[n % nodes].number;
    w->cpu = node[n % nodes].cpu[cpu % node[n % nodes].cpus];
    w->random = workers;
    w->goal = goal;
    sem_init(&w->go, 0, 0);
    sem_init(&w->done, 0, 0);
    if (pthread_create(&w->thread, NULL, work, w) != 0) hktest_bail("no thread");
    return w;
}

static void start(struct worker *w, void (*job)(struct worker *))
{
    w->job = job;
    sem_post(&w->go);
}

static void run(struct worker *w, void (*job)(struct worker *))
{
    start(w, job);
    while (sem_wait(&w->done) != 0) {
    }
}

/* All workers at once, or all but those of a node. */
static void run_all(void (*job)(struct worker *), int but)
{
    for (unsigned i = 0; i < workers; i++) {
        if (worker[i].node != but) start(&worker[i], job);
    }
    for (unsigned i = 0; i < workers; i++) {
        while (worker[i].node != but && sem_wait(&worker[i].done) != 0) {
        }
    }
}

static void hire_all(unsigned of_each_node, size_t goal)
{
    for (unsigned n = 0; n < nodes; n++) {
        for (unsigned i = 0; i < of_each_node && i < node[n].cpus; i++) hire(n, i, goal);
    }
}

static void dismiss(struct worker *w)
{
    start(w, NULL);
    pthread_join(w->thread, NULL);
}

#endif
