/* SPDX-License-Identifier: MIT */
/*
 * What: the shards of the pool where chance hardly ever leads: limits with two at once, many sums,
 *   hopeless requests, nodes that cease to matter, home heaps that are lost, threads that stray,
 *   more CPUs than ids.
 * Why: each of these was wrong once.
 * Threads stand still where they must, and time flies, through --wrap (tests.am).
 */
#include "core/numa.h"
#include "front/fast.h"
#include "hakmem.h"
#include "scenes.h"

uint64_t __real_hk_sys_now_ms(void);
uint64_t __wrap_hk_sys_now_ms(void);
void __real_hk_thread_born(struct hk_thread *t);
void __wrap_hk_thread_born(struct hk_thread *t);
bool __real_hk_units_follow(const struct hk_shard *s, size_t i, unsigned at, size_t n, size_t *m);
bool __wrap_hk_units_follow(const struct hk_shard *s, size_t i, unsigned at, size_t n, size_t *m);

static _Atomic uint64_t clock_ms; /* 0: the real one */
static unsigned births;
static _Thread_local bool stop_behind_look;

uint64_t __wrap_hk_sys_now_ms(void)
{
    uint64_t now = atomic_load_explicit(&clock_ms, memory_order_relaxed);
    return now ? now : __real_hk_sys_now_ms();
}

void __wrap_hk_thread_born(struct hk_thread *t)
{
    births++;
    __real_hk_thread_born(t);
}

/* What an extension looks at last before it takes. */
bool __wrap_hk_units_follow(const struct hk_shard *s, size_t i, unsigned at, size_t n, size_t *m)
{
    bool fits = __real_hk_units_follow(s, i, at, n, m);
    if (!fits || !stop_behind_look) return fits;
    stop_behind_look = false;
    atomic_store(&step, 1);
    wait_for(2);
    return true;
}

/* ---- heaps ---- */

#define SIZE   1000
#define A_SLAB (HK_UNIT_BYTES / 1024)
#define BLOCKS (A_SLAB * 2 * HK_LOOSE_UNITS)
static char *block[BLOCKS];
static struct hk_heap *home;

/* arg: every other one is freed again. */
static void *produce(void *arg)
{
    go_to(0, 0);
    for (unsigned i = 0; i < BLOCKS; i++) block[i] = hakmem_malloc(SIZE);
    for (unsigned i = 0; i < BLOCKS && arg; i += 2) hakmem_free(block[i]);
    return NULL;
}

/* This thread has a heap of node 1, and another one ended on node 0. */
static void two_nodes(void *arg)
{
    pthread_join(start(produce, arg), NULL);
    go_to(64, 1);
    hakmem_free(hakmem_malloc(1));
    EXPECT(hk_thread.heap && hk_thread.heap->node == 1 && hk_shards_apart());
}

static uintptr_t owner_of(const char *p)
{
    return atomic_load(&hk_unit_of(p)->owner);
}

/* The block of the first loose slab from i on. */
static unsigned loose_from(unsigned i)
{
    while (i < BLOCKS && owner_of(block[i]) != HK_OWNER_LOOSE) i++;
    EXPECT(i + A_SLAB < BLOCKS);
    return i;
}

static void *hold_home(void *arg)
{
    bool seized = hk_heap_seize(home);
    EXPECT(seized);
    atomic_store(&home->busy, 1);
    atomic_store(&step, 1);
    wait_for(2);
    atomic_store(&home->busy, 0);
    hk_heap_let_go(home);
    return arg;
}

static void has_another_home(void)
{
    EXPECT(atomic_load(&home->state) == HK_HEAP_LOST);
    char *p = block[loose_from(0)];
    hakmem_free(p);
    const struct hk_heap *now = hk_owner_heap(owner_of(p));
    EXPECT(now != home && now != hk_thread.heap);
    EXPECT(now->home && now->node == 0);
}

static void lost_home(void)
{
    two_nodes(NULL);
    char *p = block[loose_from(0)];
    hakmem_free(p);
    home = hk_owner_heap(owner_of(p));
    EXPECT(home != hk_thread.heap && home->home && home->node == 0);
    pthread_t t = start(hold_home, NULL);
    wait_for(1);
    EXPECT(in_child(has_another_home) == 0);
    end(t, 2);
}

static void far_slabs(void)
{
    unsigned got = 0, far = 0;
    two_nodes(block);
    hk_pool_set_limit(HK_UNIT_BYTES);
    for (char *p; got < BLOCKS && (p = hakmem_malloc(SIZE)); got++)
        far += hk_shard_of(p)->node == 0;
    EXPECT(far >= BLOCKS / 4);
    EXPECT(got < BLOCKS);
    hk_pool_set_limit(0);
    hk_front_check();
}

static void stray(void)
{
    unsigned moves = 0;
    go_to(0, 0);
    hakmem_free(hakmem_malloc(100000));
    for (unsigned i = 0; moves < 1000 && i < 100000; i++) {
        const struct hk_heap *was = hk_thread.heap;
        go_to(was->node ? 0 : 64, !was->node);
        for (unsigned k = 0; k < HK_STRAYS; k++) hakmem_free(hakmem_malloc(3000000));
        moves += hk_thread.heap != was;
    }
    EXPECT(moves == 1000);
    EXPECT(births == 1);
}

/* ---- limits and sums ---- */

static char *run_a, *run_b;

/* 96 units with 288 clean ones behind them. */
static char *with_room(uint32_t cpu)
{
    go_to(cpu, 0);
    char *p = take_units(384);
    hk_pool_free(p + 96 * HK_UNIT_BYTES, 288);
    hk_pool_purge(0, 0);
    return p;
}

static void *extend_second(void *arg)
{
    bool clean;
    wait_for(1);
    bool *done = arg;
    *done = hk_pool_extend(run_b, 96, 256, &clean);
    atomic_store(&step, 2);
    return NULL;
}

static void two_extend(void)
{
    bool clean, second = false;
    hk_pool_set_limit(500 * HK_UNIT_BYTES);
    run_a = with_room(0);
    run_b = with_room(8);
    EXPECT(hk_pool_used_units() == 192 && hk_pool_dirty_units() == 0);
    pthread_t t = start(extend_second, &second);
    stop_behind_look = true;
    bool first = hk_pool_extend(run_a, 96, 256, &clean);
    pthread_join(t, NULL);
    EXPECT(second && !first);
    EXPECT(hk_pool_used_units() == 448 && hk_pool_dirty_units() == 0);
    hk_pool_check();
    hk_pool_free(run_b, 352);
    hk_pool_purge(0, 0);
    EXPECT(hk_pool_extend(run_a, 96, 256, &clean) && clean);
}

#define GROUPS 64u

static void rest(void)
{
    for (unsigned i = 0; i < 100; i++) {
        atomic_fetch_add(&clock_ms, 50);
        hk_front_tick();
    }
}

static char *run[GROUPS];

static void each(void (*f)(char **p))
{
    for (unsigned n = 0; n < GROUPS; n++) {
        go_to(n * HK_GROUP_CPUS, n);
        f(&run[n]);
    }
}

static void soil_ten(char **p)
{
    *p = take_units(10);
    hk_pool_free(*p, 10);
}

static void take_soiled(char **p)
{
    *p = take_units(4);
    hk_pool_free(*p, 4);
    EXPECT(take_units(3) == *p);
    EXPECT(take_units(1) == *p + 3 * HK_UNIT_BYTES);
}

static void give(char **p)
{
    hk_pool_free(*p + 3 * HK_UNIT_BYTES, 1);
    hk_pool_free(*p, 2);
    hk_pool_free(*p + 2 * HK_UNIT_BYTES, 1);
}

static void soil_one(char **p)
{
    *p = take_units(1);
    hk_pool_free(*p, 1);
}

static void many_sums(void)
{
    atomic_store(&clock_ms, 1000000);
    each(soil_ten);
    EXPECT(hk_shard_count() == GROUPS && hk_pool_sum_dirty() == 10 * GROUPS);
    EXPECT(hk_pool_used_units() == 0);
    rest();
    EXPECT(hk_pool_sum_dirty() == 0 && hk_pool_dirty_units() == 0);
    each(take_soiled);
    EXPECT(hk_pool_sum_dirty() == 0 && hk_pool_dirty_units() == 0);
    each(give);
    EXPECT(sum_used() == 0 && hk_pool_used_units() == 0);
    hk_pool_purge(0, 0);
    EXPECT(hk_pool_sum_dirty() == 0 && hk_pool_dirty_units() == 0);
    /* A unit in each is what each may keep to itself; all of them are worth a purge. */
    take_units(2 * HK_PURGE_MIN_USED_UNITS);
    each(soil_one);
    EXPECT(hk_pool_sum_dirty() == GROUPS && hk_pool_dirty_units() < HK_PURGE_MIN_UNITS);
    rest();
    EXPECT(hk_pool_sum_dirty() == 0);
    hk_pool_check();
}

/* ---- requests and machines ---- */

static void hopeless(void)
{
    size_t has[5];
    for (unsigned n = 0; n < 4; n++) {
        go_to(n * HK_GROUP_CPUS, n);
        hk_pool_free(take_units(CHUNKS(64)), CHUNKS(64));
    }
    for (unsigned id = 1; id <= 4; id++) has[id] = atomic_load(&hk_shard_by_id(id)->runs.count);
    go_to(0, 0);
    EXPECT(!take_units((size_t)1 << 30)); /* 64 TiB */
    for (unsigned id = 1; id <= 4; id++) {
        EXPECT(has[id] >= 64 && atomic_load(&hk_shard_by_id(id)->runs.count) == has[id]);
    }
    hk_pool_check();
}

static void off(void)
{
    go_to(8, 1);
    EXPECT(take_units(1) != NULL && !hk_shards_apart());
    go_to(64, 2);
    EXPECT(take_units(1) != NULL && hk_shards_apart());
    hk_numa_set(HK_NUMA_OFF);
    EXPECT(!hk_shards_apart());
    unsigned apart = 0;
    for (uint32_t cpu = 0; cpu < 128; cpu += 8) {
        go_to(cpu, cpu / 32);
        EXPECT(take_units(1) != NULL);
        apart += hk_shards_apart();
    }
    EXPECT(apart == 0);
}

#define NODES 3u /* numbered in turns: a group of each in eight CPUs */

static bool served_on(uint32_t cpu)
{
    go_to(cpu, cpu % NODES);
    char *p = take_units(1);
    bool good = p && hk_shard_of(p)->node == here.node && hk_shard_here()->node == here.node;
    if (p) hk_pool_free(p, 1);
    return good;
}

/* All of first … end - 1. */
static bool served(uint32_t first, uint32_t end_cpu)
{
    unsigned good = 0;
    for (uint32_t cpu = first; cpu < end_cpu; cpu++) good += served_on(cpu);
    return good == end_cpu - first;
}

/* Of a group and its spares. */
static void set_held(struct hk_shard *s, uint32_t word)
{
    for (; s; s = atomic_load(&s->spare)) atomic_store(&s->lock.word, word);
}

/* Lets go as soon as somebody sleeps there. */
static void *hold_until_wanted(void *arg)
{
    struct hk_shard *s = arg;
    hk_shard_enter(s);
    atomic_store(&step, 1);
    while (atomic_load(&s->lock.word) != 2 && atomic_load(&step) < 2) sched_yield();
    hk_shard_leave(s);
    return NULL;
}

/* Three spares for each of the first groups, as long as there are ids for them. */
static void make_spares(void)
{
    for (uint32_t cpu = 0; hk_shard_count() < HK_SPARE_IDS; cpu++) {
        go_to(cpu, cpu % NODES);
        struct hk_shard *s = hk_shard_here();
        unsigned most = atomic_load(&s->spare) ? 0 : HK_SPARES; /* seen from another CPU */
        for (unsigned k = 0; k < most && hk_shard_count() < HK_SPARE_IDS; k++) {
            set_held(s, 1);
            char *p = take_units(1);
            set_held(s, 0);
            const struct hk_shard *of = p ? hk_shard_of(p) : s;
            EXPECT(of->is_spare && of->node == s->node && of->group == s->group);
            hk_pool_free(p, 1);
        }
    }
}

static void more_than_ids(void)
{
    const uint32_t some = 96 / NODES * HK_GROUP_CPUS, all = 300 / NODES * HK_GROUP_CPUS;
    EXPECT(served(0, some) && hk_shard_count() == 96);
    make_spares();
    go_to(some - 1, (some - 1) % NODES);
    pthread_t t = start(hold_until_wanted, hk_shard_here());
    wait_for(1);
    EXPECT(served_on(some - 1) && hk_shard_count() == HK_SPARE_IDS);
    end(t, 2);
    EXPECT(served(some, all) && hk_shard_count() == HK_SHARDS_MAX);
    EXPECT(served(0, all));
    go_to(all, NODES); /* of a node that came too late */
    EXPECT(take_units(1) != NULL && sum_used() == 1);
    hk_pool_check();
}

int main(void)
{
    scenes_begin();
    scene(two_extend, "of two that extend at a limit one is refused");
    scene(many_sums, "little in each of many shards goes back, and sums follow");
    scene(hopeless, "a hopeless request leaves free chunks where they are");
    scene(off, "nodes that are not to matter do not, though two were seen");
    scene(stray, "a thread that strays a thousand times arranges for its end once");
    scene(lost_home, "a child forgets a home heap that is lost");
    scene(far_slabs, "without memory slabs of another node's parked heap serve");
    scene(more_than_ids, "more groups than ids: all are served on their nodes, spares leave room");
    return hktest_done();
}
