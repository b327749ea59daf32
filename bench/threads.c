/* SPDX-License-Identifier: MIT */
/*
 * What: the scenarios that need several threads.
 * Why: see threads.h. All hand-overs go through arrays and rings made before the clock runs.
 */
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* ---- private sets of 8, 16 and 32 KiB ---- */

static void mid_large_one(struct load *l)
{
    enum { SLOTS = 128 };
    static const size_t size[] = {8 * KIB, 16 * KIB, 32 * KIB};
    void *p[SLOTS] = {NULL};
    for (size_t next = 0; l->done < l->ops; next++) {
        size_t i = rnd(&l->seed) % 4 ? next % SLOTS : rnd(&l->seed) % SLOTS;
        if (p[i]) give(l, p[i]);
        p[i] = take(l, size[rnd(&l->seed) % 3]);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (p[i]) give(l, p[i]);
    }
}

void mid_large_mt(struct load *l)
{
    run_threads(l, mid_large_one);
}

/* ---- larson: a server whose sessions outlive the thread that served them ---- */

#define LARSON_SLOTS  1000u
#define LARSON_ROUNDS 20u
static void **larson_table;
static size_t larson_least, larson_most;

static void larson_round(struct load *l)
{
    void **p = larson_table + (size_t)l->thread * LARSON_SLOTS;
    while (l->done < l->ops) {
        size_t i = rnd(&l->seed) % LARSON_SLOTS;
        if (p[i]) give(l, p[i]);
        p[i] = take(l, rnd_size(&l->seed, larson_least, larson_most));
    }
}

static void larson_sizes(struct load *l, size_t least, size_t most)
{
    struct load round = *l;
    size_t n = (size_t)l->threads * LARSON_SLOTS;
    larson_table = calloc(n, sizeof *larson_table);
    larson_least = least;
    larson_most = most;
    round.ops = l->ops / LARSON_ROUNDS;
    /* A new set of threads each round finds the blocks of the last one's neighbours. */
    for (unsigned r = 0; r < LARSON_ROUNDS; r++) {
        round.seed = l->seed + r;
        run_threads(&round, larson_round);
        void *keep[LARSON_SLOTS];
        memcpy(keep, larson_table, sizeof keep);
        memmove(larson_table, larson_table + LARSON_SLOTS, (n - LARSON_SLOTS) * sizeof *keep);
        memcpy(larson_table + n - LARSON_SLOTS, keep, sizeof keep);
    }
    l->done = round.done;
    for (size_t i = 0; i < n; i++) free(larson_table[i]);
    free(larson_table);
}

void larson(struct load *l)
{
    larson_sizes(l, 10, 500);
}

void larson_small(struct load *l)
{
    larson_sizes(l, 8, 64);
}

void larson_mid(struct load *l)
{
    larson_sizes(l, 1 * KIB, 8 * KIB);
}

/* ---- pairs of a producer and a consumer ---- */

#define RING 4096u
struct ring {
    _Alignas(128) _Atomic uint64_t put;
    _Alignas(128) _Atomic uint64_t got;
    void *p[RING];
};
static struct ring *rings;

static void produce(struct load *l, struct ring *r)
{
    for (uint64_t i = 0; i < l->ops; i++) {
        while (i - atomic_load_explicit(&r->got, memory_order_acquire) >= RING) sched_yield();
        r->p[i % RING] = take(l, rnd_size(&l->seed, 16, 256));
        atomic_store_explicit(&r->put, i + 1, memory_order_release);
    }
}

static void consume(struct load *l, struct ring *r)
{
    for (uint64_t i = 0; i < l->ops; i++) {
        while (atomic_load_explicit(&r->put, memory_order_acquire) <= i) sched_yield();
        give(l, r->p[i % RING]);
        atomic_store_explicit(&r->got, i + 1, memory_order_release);
    }
}

static void half_of_a_pair(struct load *l)
{
    struct ring *r = &rings[l->thread / 2];
    if (l->thread % 2 == 0)
        produce(l, r);
    else
        consume(l, r);
}

void prodcons(struct load *l)
{
    l->threads += l->threads % 2;
    rings = aligned_alloc(128, l->threads / 2 * sizeof *rings);
    memset(rings, 0, l->threads / 2 * sizeof *rings);
    run_threads(l, half_of_a_pair);
    free(rings);
}

/* ---- short threads ---- */

#define STORM_BLOCKS 100u
#define STORM_BOXES  512u
static void *_Atomic storm_box[STORM_BOXES];

/* Lives for a hundred blocks; one in eight is left to whoever comes by. */
static void *short_life(void *arg)
{
    struct load *l = arg;
    void *p[STORM_BLOCKS];
    for (size_t i = 0; i < STORM_BLOCKS; i++) p[i] = take(l, rnd_size(&l->seed, 16, 1024));
    for (size_t i = 0; i < STORM_BLOCKS; i++) {
        void *q = p[i];
        if (i % 8 == 0) q = atomic_exchange(&storm_box[rnd(&l->seed) % STORM_BOXES], q);
        if (q) give(l, q);
    }
    return NULL;
}

static void storm(struct load *l)
{
    uint64_t lives = l->ops;
    for (uint64_t i = 0; i < lives; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, short_life, l)) abort();
        pthread_join(t, NULL);
    }
}

void thread_storm(struct load *l)
{
    run_threads(l, storm);
    for (size_t i = 0; i < STORM_BOXES; i++) free(storm_box[i]);
}
