/* SPDX-License-Identifier: MIT */
/*
 * What: the pool in shards on machines that are made up: which CPU gets which shard, what goes
 * home, what is shared, sums, limits, holders that are put aside, heaps that follow their threads.
 * Why: real machines of many nodes are rare, and chance would not find the rare paths.
 */
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "core/numa.h"
#include "core/pool.h"
#include "core/units.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "os/sys.h"

#if defined(__SANITIZE_ADDRESS__) || HK_TSAN
#define HK_SANITIZED 1
#else
#define HK_SANITIZED 0
#endif

#define NODE_CPUS 64u

static _Thread_local struct hk_cpu_place here;

static struct hk_cpu_place place(void)
{
    return here;
}

/* CPU `cpu` of a machine whose nodes have NODE_CPUS each. */
static void go_to(unsigned cpu)
{
    here = (struct hk_cpu_place){cpu, cpu / NODE_CPUS};
}

static uint32_t node_of(const void *p)
{
    return hk_shard_of((void *)((uintptr_t)p & ~(HK_UNIT_BYTES - 1)))->node;
}

static void who_gets_what(void)
{
    bool clean;
    go_to(0);
    hk_map_init();
    char *p = hk_pool_alloc(1, 1, &clean);
    HKTEST(p && hk_shard_count() == 1 && !hk_shards_several() && hk_pool_used_units() == 1);
    go_to(7);
    char *q = hk_pool_alloc(1, 1, &clean);
    hktest_ok(hk_shard_count() == 1 && hk_shard_of(q) == hk_shard_of(p),
              "eight CPUs share a shard");
    go_to(8);
    char *r = hk_pool_alloc(1, 1, &clean);
    hktest_ok(hk_shard_count() == 2 && hk_shard_of(r) != hk_shard_of(p) && !hk_shards_apart(),
              "the ninth has another one, of the same node");
    go_to(NODE_CPUS);
    char *s = hk_pool_alloc(1, 1, &clean);
    hktest_ok(hk_shard_count() == 3 && hk_shards_apart() && node_of(s) == 1 && node_of(p) == 0,
              "another node's CPU has one of that node");
    go_to(HK_CPUS_MAX);
    hktest_ok(hk_shard_here() == hk_shard_of(p), "a CPU beyond the table shares an entry");
    go_to(0);
    size_t used = hk_pool_used_units();
    hktest_ok(used <= 4, "sums: %zu of 4 units told", used);
    hk_pool_free(s, 1);
    hk_pool_free(r, 1);
    hk_pool_free(q, 1);
    hk_pool_free(p, 1);
    hk_pool_check();
    go_to(NODE_CPUS);
    char *again = hk_pool_alloc(1, 1, &clean);
    hktest_ok(again == s && !clean, "what another node's thread freed went home");
    hk_pool_free(again, 1);
}

/* Chunks that shard a has and b lacks. */
static void lending(void)
{
    bool clean;
    const size_t n = 4 * HK_CHUNK_UNITS;
    go_to(0);
    char *p = hk_pool_alloc(n, 1, &clean);
    struct hk_shard *s = hk_shard_of(p);
    memset(p, 1, n * HK_UNIT_BYTES);
    hk_pool_free(p, n);
    size_t mapped = hk_map_chunks();
    go_to(8);
    char *q = hk_pool_alloc(n, 1, &clean);
    hktest_ok(q == p && !clean && hk_shard_of(q) != s && hk_map_chunks() == mapped,
              "free chunks change hands within a node before the heap grows");
    hk_pool_check();
    hk_pool_free(q, n);
    go_to(NODE_CPUS);
    char *r = hk_pool_alloc(n, 1, &clean);
    hktest_ok(node_of(r) == 1 && r != q, "not to another node");
    hk_pool_free(r, n);
    hk_pool_purge(0, 0);
    hk_pool_check();
}

/* Until it is switched off the kernel maps nothing more; false: under QEMU it does. */
static bool refuse_maps(bool on)
{
    static struct rlimit was;
    if (on) getrlimit(RLIMIT_AS, &was);
    struct rlimit none = {1, was.rlim_max};
    setrlimit(RLIMIT_AS, on ? &none : &was);
    void *p = hk_sys_map(NULL, HK_UNIT_BYTES);
    if (p) hk_sys_drop(p, HK_UNIT_BYTES);
    return !p;
}

/* The longest stretch of free chunks, whoever has them. */
static size_t longest(void)
{
    size_t most = 0, n = 0;
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        n = hk_chunk_at(i)->state == HK_CHUNK_FREE ? n + 1 : 0;
        if (n > most) most = n;
    }
    return most;
}

static size_t units_out(void)
{
    size_t units = 0;
    for (unsigned id = 1; id <= hk_shard_count(); id++) units += hk_shard_by_id(id)->used;
    return units;
}

static void pieced_together(void)
{
    bool clean;
    static char *all[8192];
    unsigned got = 0;
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        go_to(cpu * NODE_CPUS);
        all[got++] = hk_pool_alloc(4 * HK_CHUNK_UNITS, 1, &clean);
    }
    while (got) hk_pool_free(all[--got], 4 * HK_CHUNK_UNITS);
    size_t n = longest(), most = 0, mapped = hk_map_chunks();
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        size_t has = atomic_load(&hk_shard_by_id(id)->runs.count);
        most = has > most ? has : most;
    }
    if (!refuse_maps(true)) {
        refuse_maps(false);
        hktest_skip("chunks pieced together without memory", "it is not refused here");
        return;
    }
    char *q = hk_pool_alloc(n * HK_CHUNK_UNITS, 1, &clean);
    hktest_ok(q && n > most && hk_map_chunks() == mapped,
              "without memory %zu chunks of several shards, %zu of one, serve", n, most);
    hktest_ok(!hk_pool_alloc((n + 1) * HK_CHUNK_UNITS, 1, &clean), "and no more than there is");
    hk_pool_free(q, n * HK_CHUNK_UNITS);
    while (got < 8192 && (all[got] = hk_pool_alloc(1, 1, &clean))) got++;
    hktest_ok(got >= n * HK_CHUNK_UNITS && got < 8192 &&
                  units_out() == hk_map_chunks() * HK_CHUNK_UNITS,
              "then every unit of every shard: %u", got);
    refuse_maps(false);
    while (got) hk_pool_free(all[--got], 1);
    hk_pool_check();
}

/* Sums behind by what each shard may keep to itself must not make a limit soft. */
static void limit(void)
{
    bool clean;
    static char *all[600];
    unsigned got = 0;
    hk_pool_purge(0, 0);
    hk_pool_set_limit(512 * HK_UNIT_BYTES);
    for (;; got++) {
        go_to(got * 8 % (4 * NODE_CPUS));
        if (got == 600 || !(all[got] = hk_pool_alloc(1, 1, &clean))) break;
    }
    hktest_ok(got == 512, "a limit of 512 units, from 32 shards: %u", got);
    hktest_ok(!hk_pool_outside_grow(1 << 20), "nor beside the pool");
    hk_pool_set_limit(0);
    while (got) hk_pool_free(all[--got], 1);
    hk_pool_check();
    hktest_ok(units_out() == 0, "all are back");
}

/* ---- a thread that is put aside with a lock ---- */

static _Atomic int step;

static void *put_aside(void *arg)
{
    struct hk_shard *s = arg;
    go_to(0);
    hk_shard_enter(s);
    atomic_store(&step, 1);
    while (atomic_load(&step) != 2) sched_yield();
    hk_shard_leave(s);
    return NULL;
}

static void stalled(void)
{
    pthread_t t;
    bool clean;
    go_to(0);
    char *p = hk_pool_alloc(3, 1, &clean), *q = hk_pool_alloc(2, 1, &clean);
    struct hk_shard *s = hk_shard_of(p);
    size_t used = s->used;
    atomic_store(&step, 0);
    if (pthread_create(&t, NULL, put_aside, s)) hktest_bail("no thread");
    while (atomic_load(&step) != 1) sched_yield();
    hk_pool_free(p, 3);
    hk_pool_free_idle(q, 2, 1000);
    char *r = hk_pool_alloc(1, 1, &clean);
    hktest_ok(r && hk_shard_of(r) != s && hk_shard_of(r)->group == s->group,
              "who finds the lock held gets memory all the same, of the same group");
    hktest_ok(atomic_load(&s->waiting) != NULL, "and does not wait to free");
    unsigned shards = hk_shard_count();
    hk_pool_free(hk_pool_alloc(1, 1, &clean), 1);
    hktest_ok(hk_shard_count() == shards, "one spare is enough for one");
    atomic_store(&step, 2);
    pthread_join(t, NULL);
    hktest_ok(!atomic_load(&s->waiting) && s->used == used - 5,
              "what waited is free once the holder let go");
    hk_pool_free(r, 1);
    hk_pool_check();
}

/* ---- fork ---- */

static struct hk_shard *torn;

static bool goes_on(void)
{
    bool clean;
    go_to(0);
    char *p = hk_pool_alloc(1, 1, &clean);
    go_to(NODE_CPUS);
    char *q = hk_pool_alloc(1, 1, &clean);
    bool good = p && q && node_of(q) == 1 && torn->used <= 1;
    hk_pool_free(p, 1);
    hk_pool_free(q, 1);
    hk_pool_purge(0, 0);
    hk_pool_check();
    return good && hk_pool_used_units() <= 1;
}

static void forked(void)
{
    pthread_t t;
    bool clean;
    go_to(0);
    char *p = hk_pool_alloc(1, 1, &clean);
    torn = hk_shard_of(p);
    hk_pool_free(p, 1);
    atomic_store(&step, 0);
    if (pthread_create(&t, NULL, put_aside, torn)) hktest_bail("no thread");
    while (atomic_load(&step) != 1) sched_yield();
    hktest_ok(in_child(goes_on), "a child writes off the shard that another thread was inside");
    atomic_store(&step, 2);
    pthread_join(t, NULL);
    hk_pool_check();
}

/* ---- heaps ---- */

static void follow(void)
{
    void *p[64];
    go_to(0);
    hakmem_free(hakmem_malloc(1));
    const struct hk_heap *was = hk_thread.heap;
    HKTEST(was && was->node == 0);
    char *kept = hakmem_malloc(100), *run = hakmem_malloc(100000);
    go_to(NODE_CPUS);
    for (unsigned i = 0; i < 64; i++) p[i] = hakmem_malloc(30000);
    const struct hk_heap *now = hk_thread.heap;
    hktest_ok(now != was && now->node == 1 && node_of(p[63]) == 1,
              "a thread that stays on another node gets a heap of that one");
    hakmem_free(kept);
    hakmem_free(run);
    hktest_ok(now->runs == 0, "and holds no run of the old one");
    for (unsigned i = 0; i < 64; i++) hakmem_free(p[i]);
    uint32_t births = hk_heap_births();
    for (unsigned k = 0; k < 200; k++) {
        go_to(k % 2 ? NODE_CPUS : 0);
        for (unsigned i = 0; i < 64; i++) p[i] = hakmem_malloc(30000);
        for (unsigned i = 0; i < 64; i++) hakmem_free(p[i]);
    }
    hktest_ok(hk_heap_births() == births, "to and fro costs no more heaps");
    go_to(0);
}

static void *produce(void *arg)
{
    void **p = arg;
    go_to(0);
    for (unsigned i = 0; i < 20000; i++) p[i] = hakmem_malloc(1000);
    atomic_store(&step, 1);
    while (atomic_load(&step) != 2) sched_yield();
    return NULL;
}

/* A producer's slabs are let loose, and another node's thread is the first to free into them. */
static void loose_ones(void)
{
    pthread_t t;
    static void *p[20000], *q[2000];
    unsigned far = 0;
    hakmem_free(hakmem_malloc(1));
    atomic_store(&step, 0);
    if (pthread_create(&t, NULL, produce, p)) hktest_bail("no thread");
    while (atomic_load(&step) != 1) sched_yield();
    go_to(NODE_CPUS);
    for (unsigned i = 0; i < 100; i++) q[i] = hakmem_malloc(32000);
    for (unsigned i = 0; i < 100; i++) hakmem_free(q[i]);
    for (unsigned i = 0; i < 20000; i++) hakmem_free(p[i]);
    for (unsigned i = 0; i < 2000; i++) {
        q[i] = hakmem_malloc(1000);
        far += node_of(q[i]) != 1;
    }
    hktest_ok(far == 0, "blocks of another node went home: %u of 2000 new ones lie there", far);
    for (unsigned i = 0; i < 2000; i++) hakmem_free(q[i]);
    atomic_store(&step, 2);
    pthread_join(t, NULL);
    hakmem_trim(0);
    hk_front_check();
}

/* ---- all at once ---- */

#define THREADS 6
#define SLOTS   64
static _Atomic(char *) slot[SLOTS];

static void *churn(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    for (unsigned i = 0; i < 30000; i++) {
        unsigned r = (unsigned)rand_r(&seed);
        if (r % 8 == 0) go_to(r / 8 % 256);
        size_t n = r % 16 ? r % 3000 : r % 16 == 1 ? r % 3000000 : r % 300000;
        char *p = hakmem_malloc(n + 16);
        if (p) memset(p, (int)(r & 127), 16);
        char *q = atomic_exchange(&slot[r / 256 % SLOTS], p);
        bool whole = !q || !memcmp(q, q + 1, 15);
        if (!whole) hktest_bail("a block was changed by another one");
        if (q && r % 32 == 3) q = hakmem_realloc(q, n + 5000);
        hakmem_free(q);
        if (r % 4096 == 7) hk_pool_purge(0, 0);
    }
    return NULL;
}

static void storm(void)
{
    pthread_t t[THREADS];
    unsigned seed[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        seed[i] = i + 1;
        if (pthread_create(&t[i], NULL, churn, &seed[i])) hktest_bail("no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    for (unsigned i = 0; i < SLOTS; i++) hakmem_free(atomic_exchange(&slot[i], NULL));
    hakmem_trim(0);
    hk_front_check();
    size_t units = units_out();
    hktest_ok(units == 0, "six threads on 256 CPUs of four nodes leave %zu units", units);
    hktest_ok(hk_pool_used_units() <= hk_shard_count() * HK_TELL_UNITS, "sums: %zu, of %u shards",
              hk_pool_used_units(), hk_shard_count());
}

int main(void)
{
    hk_cpu_virtual = place;
    who_gets_what();
    lending();
    if (HK_SANITIZED)
        hktest_skip("nothing to map", "sanitizers need address space");
    else
        pieced_together();
    stalled();
    limit();
    forked();
    follow();
    loose_ones();
    storm();
    return hktest_done();
}
