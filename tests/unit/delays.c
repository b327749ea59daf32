/* SPDX-License-Identifier: MIT */
/*
 * What: threads that come and go, on CPUs of four shards and two nodes, exchange blocks of all
 * sizes, with pauses by chance at each atomic step of the library (tests/unit/delays.h). Why:
 * windows of a few nanoseconds become wide enough to be met, and ThreadSanitizer watches.
 * Environment: HK_DELAY_SEED (from the clock) is printed; HK_DELAY_ROUNDS (6).
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/dynclass.h"
#include "core/pool.h"
#include "core/shard.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "policy/policy.h"

#define THREADS 4
#define BOXES   96
#define STEPS   400
#define SIZE    ((size_t)1024)
#define SLAB    64u                         /* blocks of a slab */
#define MADE    (SLAB * 2 * HK_LOOSE_UNITS) /* the second half of them is let loose */

void hk_delay(void);

static uint64_t run_seed;
static _Atomic uint64_t pauses, threads;
static _Atomic(uint32_t *) box[BOXES];
static _Atomic unsigned wrong;
static _Thread_local uint64_t chance;
static _Thread_local uint32_t cpu;

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static uint64_t seed_of_thread(void)
{
    uint64_t seed = run_seed + atomic_fetch_add(&threads, 1) * 0x9e3779b97f4a7c15u;
    next(&seed);
    return seed;
}

void hk_delay(void)
{
    if (!chance) chance = seed_of_thread() | 1;
    uint32_t r = next(&chance);
    if (r % 32 == 0) {
        atomic_fetch_add_explicit(&pauses, 1, memory_order_relaxed);
        sched_yield();
    } else if (r % 8 == 1) {
        for (volatile uint32_t i = 0; i < r / 8 % 1024; i++) continue;
    }
}

static struct hk_cpu_place place(void)
{
    return (struct hk_cpu_place){cpu, cpu / (2 * HK_GROUP_CPUS)};
}

/* Its length in its first word and, if it is long enough, in its last. */
static uint32_t *make(uint64_t *seed)
{
    uint32_t r = next(seed), words = 2 + r % (r % 32 == 0 ? 400000 : r % 8 == 0 ? 20000 : 250);
    uint32_t *p = hakmem_malloc(words * sizeof *p);
    if (!p) return NULL;
    p[0] = p[words - 1] = words;
    return p;
}

static void drop(uint32_t *p)
{
    if (!p) return;
    if (p[p[0] - 1] != p[0]) wrong++;
    hakmem_free(p);
}

/* Some only make and some only free: so slabs are let loose. */
static void *live(void *arg)
{
    uint64_t seed = seed_of_thread();
    uint32_t steps = next(&seed) % STEPS, what = next(&seed) % 4;
    (void)arg;
    for (uint32_t i = 0; i < steps; i++) {
        if (i % 64 == 0) cpu = next(&seed) % (4 * HK_GROUP_CPUS);
        drop(atomic_exchange(&box[next(&seed) % BOXES], what == 0 ? NULL : make(&seed)));
    }
    uint32_t *kept[64];
    for (unsigned i = 0; i < 64; i++) kept[i] = what == 1 ? hakmem_malloc(1024) : NULL;
    for (unsigned i = 0; i < 64; i++) hakmem_free(kept[i]);
    return NULL;
}

static void *made[MADE];
static pthread_barrier_t all_here;

static void *produce(void *arg)
{
    for (unsigned i = 0; i < MADE; i++) made[i] = hakmem_malloc(SIZE);
    return arg;
}

/* All at once into the same slabs: of the ended producer, and loose ones. */
static void *take(void *arg)
{
    hakmem_free(hakmem_malloc(1));
    for (unsigned slab = 0; slab < MADE; slab += SLAB) {
        pthread_barrier_wait(&all_here);
        for (unsigned i = (unsigned)(uintptr_t)arg; i < SLAB; i += THREADS)
            hakmem_free(made[slab + i]);
    }
    return NULL;
}

static void together(void)
{
    pthread_t t[THREADS];
    if (pthread_create(&t[0], NULL, produce, NULL)) hktest_bail("no thread");
    pthread_join(t[0], NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, take, (void *)i)) hktest_bail("no thread");
    for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
}

static void one_round(uint64_t *seed)
{
    static const size_t sizes[][HK_DYN_CHOSEN] = {{0, 0}, {36864, 69632}, {40960, 0}, {0, 73728}};
    pthread_t t[THREADS];
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned i = 0; i < THREADS; i++)
            if (pthread_create(&t[i], NULL, live, NULL)) hktest_bail("no thread");
        hk_dyn_set(sizes[next(seed) % 4]);
        hakmem_trim(next(seed) % 2 ? 0 : 1 << 20);
        for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    }
    together();
    hk_front_check();
}

int main(void)
{
    const char *s = getenv("HK_DELAY_SEED"), *r = getenv("HK_DELAY_ROUNDS");
    run_seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL);
    unsigned rounds = r ? (unsigned)atoi(r) : 6;
    uint64_t seed = run_seed;
    printf("# HK_DELAY_SEED=%llu\n", (unsigned long long)run_seed);
    hk_cpu_virtual = place;
    /* A thread that frees NULL may read a window base that another one sets: by design, core/map.c.
     */
    hakmem_free(hakmem_malloc(1));
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (unsigned i = 0; i < rounds; i++) one_round(&seed);
    printf("# %llu pauses, %llu streams of chance, %u shards\n", (unsigned long long)pauses,
           (unsigned long long)threads, hk_shard_count());
    hktest_ok(pauses > 0, "the library pauses");
    hktest_ok(wrong == 0, "contents hold: %u do not", (unsigned)wrong);
    for (unsigned i = 0; i < BOXES; i++) drop(atomic_exchange(&box[i], NULL));
    if (hk_thread.heap) hk_remote_flush(hk_thread.heap);
    hakmem_trim(0);
    hk_front_check();
    hktest_ok(hk_pool_used_units() == 0, "all comes back: %zu units are out", hk_pool_used_units());
    return hktest_done();
}
