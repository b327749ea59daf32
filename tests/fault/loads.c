/* SPDX-License-Identifier: MIT */
/*
 * What: the loads of the fault walk: what makes the library ask the kernel, in an order that is the
 *   same in every run.
 * Why: small enough to be run thousands of times, and every call of the library is in one of them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/huge.h"
#include "core/numa.h"
#include "core/pool.h"
#include "fault.h"
#include "front/learn.h"
#include "front/site.h"
#include "large/guard.h"
#include "os/cgroup.h"
#include "policy/snapshot.h"

/* ---- small: bins, slabs, threads, frees from others ---- */

#define SIZES 24u

static size_t size_of(size_t i)
{
    return i < 16 ? 1 + i * 68 : (i - 15) * 3700;
}

static void some_of_each(size_t first)
{
    for (size_t s = 0; s < SIZES; s++) {
        size_t at = first + s * 10, n = size_of(s);
        take_many(at, 6, n);
        take(at + 6, n, ZERO, 1);
        take(at + 7, n, ALIGNED, 256);
        take(at + 8, n, ALIGNED, 4096);
        drop_many(at + 1, 2);
        take(at + 1, n, ZERO, 1);
        resize(at + 3, n * 2);
        resize(at + 4, n / 2 + 1);
    }
}

#define OTHERS 2000

static void make_some(void)
{
    take_many(OTHERS, 300, 48);
    take_many(OTHERS + 300, 60, 3000);
}

static void end_some(void)
{
    drop_many(OTHERS + 20, 260);
    drop_many(OTHERS + 300, 50);
}

/* Full slabs, more of one class than stay anybody's. */
static void produce(void)
{
    take_many(OTHERS, 64 * 20, 1024);
}

static void consume(void)
{
    drop_many(OTHERS, 64 * 20);
}

static pthread_key_t late_key;

/* After the library's own end of the thread: its memory is a guest's. */
static void late(void *arg)
{
    (void)arg;
    drop_many(OTHERS, 10);
    take_many(OTHERS, 5, 200);
    take(OTHERS + 5, 60 * KIB, PLAIN, 1);
    take(OTHERS + 6, 100, ZERO, 1);
}

static void ends_late(void)
{
    take_many(OTHERS, 10, 200);
    pthread_setspecific(late_key, &late_key);
}

static void trim(void)
{
    hakmem_trim(0);
}

/* A thread that comes by a lock that is held sleeps until it is let go. */
static void wait_for_lock(void)
{
    struct hk_shard *s = hk_shard_here();
    pthread_t t;
    if (!s) return;
    hk_shard_enter(s);
    bool made = pthread_create(&t, NULL, (void *(*)(void *))(void (*)(void))trim, NULL) == 0;
    for (int i = 0; made && i < 1000 && atomic_load(&s->lock.word) != 2; i++) sched_yield();
    for (int i = 0; i < 3; i++) sched_yield();
    hk_shard_leave(s);
    if (made) pthread_join(t, NULL);
}

static void small(void)
{
    some_of_each(0);
    in_thread(make_some);
    look();
    end_some(); /* to the parked heap */
    take_many(OTHERS + 20, 100, 48);
    in_thread(end_some); /* by rings */
    drop_many(OTHERS, 400);
    take_many(OTHERS, 100, 48);
    drop_many(OTHERS, 100);
    look();
    produce();
    in_thread(consume);
    in_thread(make_some);
    drop_many(OTHERS, 400);
    if (pthread_key_create(&late_key, late) == 0) in_thread(ends_late);
    drop_many(OTHERS, 10);
    look();
    wait_for_lock();
    drop_many(0, 400);
    hakmem_trim(0);
    some_of_each(1000); /* by other slabs, known to be zero if the kernel took them */
}

/* ---- large: runs, big blocks, growth, mappings of their own ---- */

static void grow(size_t i, size_t to)
{
    for (size_t n = block[i].n; block[i].p && n < to; n = n * 3 / 2) resize(i, n);
}

/* Free memory that the kernel will not take back counts. */
static void within_limit(void)
{
    bool may_be = nulls_may_be;
    hakmem_set_limit(40 * MIB);
    nulls_may_be = true;
    take(34, 6 * MIB, PLAIN, 1);
    drop(34);
    nulls_may_be = may_be;
    hakmem_set_limit(0);
}

static void large(void)
{
    for (size_t i = 0; i < 20; i++) take(i, (40 + i * 37) * KIB, i % 3 ? PLAIN : ZERO, 1);
    for (size_t i = 0; i < 6; i++) take(20 + i, 50 * KIB, ALIGNED, (size_t)1 << (15 + i * 2));
    drop_many(0, 12);
    for (size_t i = 0; i < 12; i++) take(i, (35 + i * 61) * KIB, i % 2 ? PLAIN : ZERO, 1);
    take(30, 3 * MIB, PLAIN, 1);
    take(31, 2 * MIB, PLAIN, 1); /* in its way */
    look();
    grow(30, 9 * MIB); /* to a mapping of its own, and on */
    resize(30, 5 * MIB);
    take(32, 40 * KIB, PLAIN, 1);
    grow(32, 3 * MIB); /* at the heap's end */
    resize(32, 300 * KIB);
    look();
    drop(30);
    take(33, 4 * MIB, ZERO, 1);
    drop(33);
    take(33, 4 * MIB, ZERO, 1); /* dirty: cleared by the kernel */
    take(30, 9 * MIB, PLAIN, 1);
    take(31 + 5, 70 * KIB, PLAIN, 1);
    grow(30, 20 * MIB);
    resize(30, 900 * KIB); /* and home */
    look();
    within_limit();
    drop_many(0, 20);
    hakmem_trim(0);
    for (size_t i = 0; i < 10; i++) take(i, 90 * KIB, ZERO, 1);
}

/* ---- life: rest after a peak, fork, nodes, huge pages, files ---- */

static void in_child(void)
{
    int status = -1;
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        forked = true;
        take_many(4000, 20, 100);
        take_many(4020, 3, 100 * KIB);
        drop_many(0, 200);
        in_thread(make_some);
        hakmem_trim(0);
        look();
        _exit(0);
    }
    if (child > 0) waitpid(child, &status, 0);
    EXPECT(status == 0);
}

static void tell(void)
{
    struct hk_cgroup group;
    int fd = open("/dev/null", O_WRONLY);
    hakmem_stats_write(fd);
    hakmem_policy_dump(fd, 0);
    hakmem_policy_dump(fd, 1);
    close(fd);
    hk_cgroup_read(&group);
}

static void peak(void)
{
    take_many(0, 600, 700);
    take_many(600, 40, 5000);
    take_many(640, 4, 300 * KIB);
    take_many(644, 2, 2 * MIB);
    for (size_t i = 0; i < 646; i++) {
        if (i % 90) drop(i);
    }
}

static void life(void)
{
    hk_numa_set(HK_NUMA_BIND);
    peak();
    rest(1000);
    look();
    in_child();
    hk_numa_set(HK_NUMA_INTERLEAVE);
    take(5000, 5 * MIB, PLAIN, 1);
    drop_many(0, 646);
    in_thread(peak);
    rest(1000);
    in_child();
    hk_numa_set(HK_NUMA_LOCAL);
    hk_huge_set_always(true);
    take(5001, 7 * MIB, PLAIN, 1);
    drop_many(0, 5001);
    hakmem_trim(0);
    hk_huge_set_always(false);
    take_many(0, 40, 80 * KIB);
    drop_many(10, 30);
    rest(1000);
    tell();
    look();
}

/* ---- learning: what is freed goes at once, sizes with classes of their own, sites ---- */

static void start_learning(void)
{
    static bool started; /* once a process */
    struct hk_learn_config c = {
        .life = HK_LIFE_MODE_ALWAYS,
        .elo = HK_ELO_LEARN,
        .wmax = true,
        .caps = true,
        .huge = true,
        .seed = 42,
        .sizes = 2,
        .start = hk_policy_now(),
        .target = {HK_Q16_PCT(95), HK_Q16_PCT(90)},
        .budget = {2 * MIB, 4 * MIB},
        .step = {1, 1},
    };
    started = started || hk_learn_start(&c, 100);
}

static void learning(void)
{
    static const size_t sizes[HK_DYN_CHOSEN] = {40 * KIB, 68 * KIB};
    const char *bad;
    struct hk_snapshot s = hk_policy_now();
    take(0, 1, PLAIN, 1); /* settings are read */
    hk_sites_start("libnone.so+0x10=now", &bad);
    start_learning();
    hk_dyn_set(sizes);
    s = hk_policy_now();
    s.dyn = 1;
    s.learn = 1;
    s.action_mid = s.action_large = s.action_big = HK_ACTION_NOW;
    hk_policy_publish(s);
    for (size_t round = 0; round < 3; round++) {
        take_many(1, 20, 39 * KIB);
        take_many(21, 20, 67 * KIB);
        take_many(41, 10, 500 * KIB);
        take_many(51, 2, 5 * MIB);
        resize(51, 3 * MIB);
        drop_many(1, 60);
        look();
    }
    rest(1000);
    take_many(1, 60, 50 * KIB);
    in_thread(trim);
    tell();
}

/* ---- guarded: each request of up to a page that comes by a slow path, while there are slots ----
 */

static void guarded(void)
{
    take(0, 1, PLAIN, 1);
    hk_guard_start(1, 12);
    some_of_each(10);
    look();
    in_child();
    in_thread(make_some);
    drop_many(10, 200);
    drop_many(OTHERS, 400);
    for (size_t i = 0; i < 30; i++) { /* page by page, over and over */
        take(20, 1 + i * 130, i % 2 ? ZERO : PLAIN, 1);
        resize(20, 50 + i * 60);
        drop(20);
    }
    look();
}

/* ---- scarce: each record needs a mapping of its own, and the heap is full ---- */

#define PIECE        (256 * KIB)
#define LISTS_OF_ALL 2560 /* struct parks of front/park.c */

/* What is left for records goes, but for so many bytes. */
static void eat_but(size_t bytes)
{
    if (hk_map_init() && hk_meta_alloc(PIECE) && bytes) hk_meta_alloc(PIECE - bytes);
}

static void eat(void)
{
    eat_but(0);
}

static void take_one(void)
{
    take(999, 10, PLAIN, 1);
}

static void end_few(void)
{
    drop_many(1000, 10);
    drop_many(0, 3);
}

/* What this thread holds does for what the kernel refuses. */
static void drop_and_take(void)
{
    bool may_be = nulls_may_be;
    unsigned dropped = 0;
    for (size_t i = 90; i-- > 0 && dropped < 4; drop(i)) dropped += block[i].p != NULL;
    nulls_may_be = may_be && dropped < 4;
    take(152, 900, PLAIN, 1);
    nulls_may_be = may_be;
}

static void scarce(void)
{
    /* Lists of parked heaps cannot be made, but heaps can. */
    eat_but(LISTS_OF_ALL + sizeof(struct hk_shard_table) +
            hk_align_up(sizeof(struct hk_shard), 128));
    in_thread(take_one);
    eat();
    take_many(1000, 40, 100);
    eat();
    take_many(0, 90, 60 * KIB);
    drop_and_take();
    eat();
    in_thread(end_few);
    look();
    eat();
    if (pthread_key_create(&late_key, late) == 0) in_thread(ends_late);
    eat();
    drop_many(OTHERS, 10);
    in_thread(make_some);
    eat();
    drop_many(OTHERS, 400);
    in_thread(trim);
    eat();
    take(100, 3 * MIB, PLAIN, 1);
    take(101, 3 * MIB, PLAIN, 1);
    grow(100, 10 * MIB);
    eat();
    in_child();
    start_learning();
    look();
}

/* ---- full: no unit is left, whatever the kernel says; and slabs that were others' memory ---- */

/* What of a slab was never linked goes back, or stays as dirty as it is: zeroes all the same. */
static void unlinked(void)
{
    take_many(0, 200, 16 * KIB); /* each byte of their units is written, and all but one slab go */
    drop_many(0, 200);
    for (size_t i = 0; i < 300; i += 100) take(i, 48, PLAIN, 1); /* a slab begun there */
    hakmem_trim(0);
    for (size_t i = 1; i < 300; i++) {
        if (!block[i].p) take(i, 48, ZERO, 1);
    }
    drop_many(0, 300);
}

static void fill_up(void)
{
    unsigned before = nulls;
    for (size_t i = 0; i < 300 && nulls == before; i++) {
        if (!block[i].p) take(i, 64 * KIB, PLAIN, 1);
    }
    EXPECT(nulls > before);
}

static void full(void)
{
    static const size_t sizes[HK_DYN_CHOSEN] = {40 * KIB, 68 * KIB};
    struct hk_snapshot s = hk_policy_now();
    unlinked();
    hk_dyn_set(sizes);
    s.dyn = 1;
    hk_policy_publish(s);
    hakmem_set_limit(6 * MIB);
    limited = true;
    fill_up();
    take(400, 39 * KIB, PLAIN, 1); /* a slab of a chosen class cannot be had: none is counted */
    take(401, 67 * KIB, PLAIN, 1);
    for (size_t i = 0; i < 8; i++) resize(i, 20 + i * 4000); /* no place but where they are */
    look();
    limited = false;
    hakmem_set_limit(0);
    drop_many(0, 300);
}

const struct load loads[] = {{"small", small},       {"large", large},     {"life", life},
                             {"learning", learning}, {"guarded", guarded}, {"scarce", scarce},
                             {"full", full}};
const size_t load_count = sizeof loads / sizeof *loads;
