/* SPDX-License-Identifier: MIT */
/*
 * What: what the scenarios share: random numbers, timed malloc and free, threads, the table of all.
 * Why: each scenario is a few lines that name only its sizes and life-times.
 * Units: times in nanoseconds from the cycle counter where there is one, else from the clock.
 */
#ifndef HK_BENCH_LOAD_H
#define HK_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* Latencies in buckets of an eighth of a doubling. */
#define BUCKETS 512
struct histogram {
    uint64_t count[BUCKETS];
};

struct load {
    const char *name;
    unsigned threads, thread; /* how many, which one */
    uint64_t ops;             /* operations asked of each thread; a malloc and its free are two */
    uint64_t done;            /* operations made */
    uint64_t seed;
    bool timed; /* note the latency of each operation */
    struct histogram *times;
};

struct scenario {
    const char *name, *what;
    void (*run)(struct load *l);
    unsigned threads; /* by default */
    uint64_t ops;     /* by default, of each thread */
};
extern const struct scenario scenarios[];

/* Run f in l->threads threads, each with a load of its own; adds up what they did. */
void run_threads(struct load *l, void (*f)(struct load *l));
void note_time(struct load *l, uint64_t ticks);

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
#endif
}

static inline uint32_t rnd(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

/* Evenly from least to most. */
static inline size_t rnd_size(uint64_t *seed, size_t least, size_t most)
{
    return least + rnd(seed) % (most - least + 1);
}

/* A block whose first word is written, as every program does. */
static inline void *take(struct load *l, size_t n)
{
    uint64_t t = l->timed ? ticks() : 0;
    void *p = malloc(n);
    if (l->timed) note_time(l, ticks() - t);
    if (!p) abort();
    *(uint64_t *)p = n;
    l->done++;
    return p;
}

static inline void give(struct load *l, void *p)
{
    uint64_t t = l->timed ? ticks() : 0;
    free(p);
    if (l->timed) note_time(l, ticks() - t);
    l->done++;
}

#endif
