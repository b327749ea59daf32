/* SPDX-License-Identifier: MIT */
/*
 * What: what a child of fork does with locks and heaps: those that the forking thread itself
 * holds (it forks in a signal handler inside malloc) stay as they are, those of others are
 * freed, parked or written off.
 *
 * Why: by chance it happens once in millions of forks; here for certain.
 */
#include <pthread.h>
#include <unistd.h>

#include "child.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "os/lock.h"
#include "os/sys.h"

static struct hk_lock lock = HK_LOCK_INIT(HK_RANK_META);
static struct hk_heap *seized, *attached;
static _Atomic int step;

static bool my_lock_stays(void)
{
    bool reset = hk_lock_reset(&lock), mine = hk_lock_mine(&lock), got = hk_lock_try(&lock);
    hk_lock_release(&lock);
    return !reset && mine && !got && hk_lock_try(&lock);
}

static bool their_lock_is_freed(void)
{
    return !hk_lock_mine(&lock) && hk_lock_reset(&lock) && hk_lock_try(&lock) &&
           hk_lock_mine(&lock);
}

static bool my_heap_stays(void)
{
    return atomic_load(&seized->state) == HK_HEAP_BUSY && hk_thread.heap &&
           atomic_load(&hk_thread.heap->state) == HK_HEAP_ATTACHED;
}

static bool their_heap_is_lost(void)
{
    return atomic_load(&seized->state) == HK_HEAP_LOST;
}

/* As while the kernel takes its pages: held, but whole. */
static bool their_heap_is_parked(void)
{
    return atomic_load(&seized->state) == HK_HEAP_PARKED && hk_heap_seize(seized);
}

static bool their_idle_heap_is_parked(void)
{
    return atomic_load(&attached->state) == HK_HEAP_PARKED && hk_heap_seize(attached);
}

static void wait_for(int n)
{
    while (atomic_load(&step) < n) sched_yield();
}

/* Two heaps that end parked. */
static struct hk_heap *pair[2];

static void *born(void *arg)
{
    int depth = *(int *)arg, deeper = depth + 1;
    pthread_t t;
    hakmem_free(hakmem_malloc(1));
    pair[depth] = hk_thread.heap;
    if (deeper == 2) return NULL;
    if (pthread_create(&t, NULL, born, &deeper)) hktest_bail("no thread");
    pthread_join(t, NULL);
    return NULL;
}

/* Takes one of the pair for its own, and is busy in the other when the fork comes. */
static void *other(void *arg)
{
    (void)arg;
    hakmem_free(hakmem_malloc(1));
    attached = hk_thread.heap;
    seized = pair[0] == attached ? pair[1] : pair[0];
    hk_lock_acquire(&lock);
    if (!hk_heap_seize(seized)) hktest_bail("a parked heap cannot be seized");
    atomic_store(&step, 1);
    wait_for(2);
    atomic_store(&seized->busy, 1);
    atomic_store(&step, 3);
    wait_for(4);
    usleep(5000);
    atomic_store(&seized->busy, 0);
    wait_for(5);
    hk_heap_let_go(seized);
    hk_lock_release(&lock);
    return NULL;
}

static void *settles(void *arg)
{
    hakmem_free(hakmem_malloc(1));
    hk_heap_settle(hk_thread.heap);
    return arg;
}

int main(void)
{
    pthread_t t;
    int depth = 0;
    hakmem_free(hakmem_malloc(1));
    if (pthread_create(&t, NULL, born, &depth)) hktest_bail("no thread");
    pthread_join(t, NULL);
    seized = pair[0];

    hk_lock_acquire(&lock);
    hktest_ok(in_child(my_lock_stays), "a lock that the forking thread holds stays held");
    hk_lock_release(&lock);
    HKTEST(hk_heap_seize(seized));
    hktest_ok(in_child(my_heap_stays), "heaps that the forking thread holds stay its own");
    hk_heap_let_go(seized);

    if (pthread_create(&t, NULL, other, NULL)) hktest_bail("no thread");
    wait_for(1);
    hktest_ok(in_child(their_lock_is_freed), "a lock of a thread that is not there is freed");
    hktest_ok(in_child(their_heap_is_parked), "a heap that it held is parked");
    hktest_ok(in_child(their_idle_heap_is_parked), "one that was its own is parked");
    atomic_store(&step, 2);
    wait_for(3);
    hktest_ok(in_child(their_heap_is_lost), "a heap that it was changing is lost");
    atomic_store(&step, 4);
    hktest_ok(in_child(their_heap_is_parked), "one whose change ends soon is waited for");
    atomic_store(&step, 5);
    pthread_join(t, NULL);

    /* Not by looking whether it waits still: it waits for two milliseconds. */
    hk_fork_begin();
    hk_fork_ready(2000000);
    uint64_t waits = atomic_load(&hk_sys_count[HK_SYS_FUTEX]);
    if (pthread_create(&t, NULL, settles, NULL)) hktest_bail("no thread");
    pthread_join(t, NULL);
    hktest_ok(atomic_load(&hk_sys_count[HK_SYS_FUTEX]) > waits,
              "who settles its heap waits for a fork under way");
    hk_fork_end();
    return hktest_done();
}
