/* SPDX-License-Identifier: MIT */
/*
 * What: the hand-over protocol step by step: mail to a parked heap, to one that is held, to a slab
 *   that moved; segments longer than a sleeping slab waits for.
 * Why: under load these meet by chance; here each happens for certain.
 */
#include <pthread.h>
#include <string.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "policy/policy.h"

#define SIZE   ((size_t)1024)
#define BLOCKS 320 /* five slabs of 64 */
static char *block[BLOCKS];
static struct hk_heap *theirs;

static void *allocate(void *arg)
{
    (void)arg;
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = hakmem_malloc(SIZE);
        memset(block[i], i, SIZE);
    }
    theirs = hk_thread.heap;
    /* Full slabs are loose: a first free of its own makes each of them the thread's. */
    for (int i = 0; i < BLOCKS; i += 64) {
        hakmem_free(block[i]);
        block[i] = NULL;
    }
    return NULL;
}

/* Fills so many slabs before that the thread counts as a producer. */
static void *allocate_only(void *arg)
{
    static void *first[64 * HK_LOOSE_UNITS];
    for (unsigned i = 0; i < 64 * HK_LOOSE_UNITS; i++) first[i] = hakmem_malloc(SIZE);
    for (int i = 0; i < BLOCKS; i++) block[i] = hakmem_malloc(SIZE);
    for (unsigned i = 0; i < 64 * HK_LOOSE_UNITS; i++) hakmem_free(first[i]);
    return arg;
}

static void *free_half(void *arg)
{
    (void)arg;
    for (int i = 32; i < BLOCKS; i++) {
        if (i % 64 < 32) hakmem_free(block[i]);
    }
    return NULL;
}

static void in_thread(void *(*f)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, NULL)) hktest_bail("no thread");
    pthread_join(t, NULL);
}

static bool mail(const struct hk_heap *h)
{
    return atomic_load(&h->inbox) != NULL;
}

/* The sender itself drains the heap of an ended thread: nothing waits for a thread to come. */
static void to_parked(struct hk_heap *mine)
{
    size_t before = hk_pool_used_units();
    in_thread(allocate);
    hktest_ok(theirs != mine && atomic_load(&theirs->state) == HK_HEAP_PARKED,
              "an ended thread parks");
    hktest_ok(hk_pool_used_units() >= before + 5, "its blocks live");
    for (int i = 0; i < BLOCKS; i++) hakmem_free(block[i]);
    hk_remote_flush(mine);
    hktest_ok(!mail(theirs) && hk_pool_used_units() == before,
              "mail to a parked heap is drained by its sender");
}

/* While somebody holds the heap, mail waits, and whoever lets go takes it. */
static void to_held(struct hk_heap *mine)
{
    size_t before = hk_pool_used_units();
    in_thread(allocate);
    HKTEST(hk_heap_seize(theirs));
    for (int i = 0; i < BLOCKS; i++) hakmem_free(block[i]);
    hk_remote_flush(mine);
    hktest_ok(mail(theirs), "mail to a held heap waits");
    hk_heap_let_go(theirs);
    hktest_ok(!mail(theirs) && hk_pool_used_units() == before, "and is drained by who lets go");
}

/* What nobody has freed into yet belongs to who does so first: no mail, nothing waits. */
static void to_nobody(struct hk_heap *mine)
{
    size_t before = hk_pool_used_units();
    in_thread(allocate_only);
    bool loose = true;
    for (int i = 0; i < BLOCKS; i++) loose &= hk_unit_of(block[i])->owner == HK_OWNER_LOOSE;
    hktest_ok(loose, "full slabs are loose");
    uint64_t sent = mine->sent;
    hakmem_free(block[0]);
    hktest_ok(hk_unit_of(block[0])->owner == hk_heap_id(mine), "the first free claims");
    in_thread(free_half);
    for (int i = 0; i < BLOCKS; i++) {
        if (i > 0 && (i < 32 || i % 64 >= 32)) hakmem_free(block[i]);
    }
    hk_remote_flush(mine);
    hk_remote_drain(mine, UINT32_MAX);
    hk_front_check();
    hakmem_trim(0);
    hktest_ok(mine->sent > sent && hk_pool_used_units() <= before, "all comes back: %zu units",
              hk_pool_used_units());
}

static void *free_rest(void *arg)
{
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 64) hakmem_free(block[i]);
    }
    hk_remote_flush(hk_thread.heap);
    return arg;
}

/* Who claims slabs and never mallocs again must take in what others send for them. */
static void to_a_freer(struct hk_heap *mine)
{
    static char *loose[BLOCKS];
    in_thread(allocate_only);
    memcpy(loose, block, sizeof loose); /* slabs that nobody claims yet */
    in_thread(allocate_only);
    for (int i = 0; i < BLOCKS; i += 64) hakmem_free(block[i]);
    in_thread(free_rest);
    hktest_ok(mail(mine), "mail for a thread that only frees");
    for (int i = 0; i < BLOCKS; i++) hakmem_free(loose[i]);
    hktest_ok(!mail(mine), "its next claim takes it in");
}

static void *free_after_end(void *arg)
{
    hakmem_free(hakmem_malloc(1));
    hk_heap_park(&hk_thread);
    for (int i = 0; i < BLOCKS; i++) hakmem_free(block[i]);
    return arg;
}

/* A thread past its end has no heap to claim for: the guest claims. */
static void by_the_ended(void)
{
    in_thread(allocate_only);
    bool loose = true;
    for (int i = 0; i < BLOCKS; i++) loose &= hk_unit_of(block[i])->owner == HK_OWNER_LOOSE;
    in_thread(free_after_end);
    hakmem_trim(0);
    hk_front_check();
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (h->awake) hktest_ok(false, "a heap without slabs says %d units", (int)h->awake);
    }
    hktest_ok(loose && hk_pool_used_units() == 0,
              "an ended thread frees into loose slabs: %zu units", hk_pool_used_units());
}

/* A slab changes its owner while blocks of it are under way. */
static void to_moved(struct hk_heap *mine)
{
    in_thread(allocate);
    /* 16 frees wake the first slab, so that it is on the queue and can be moved. */
    for (int i = 0; i < 16; i++) hakmem_free(block[i]);
    hk_remote_flush(mine);
    HKTEST(hk_heap_seize(theirs));
    for (int i = 16; i < 64; i++) hakmem_free(block[i]);
    hk_remote_flush(mine);
    hktest_ok(hk_slab_move(mine, theirs, hk_tiny_class(SIZE)), "a slab with room moves");
    hktest_ok(hk_unit_of(block[20])->owner == hk_heap_id(mine), "and is ours");
    uint64_t drained = mine->drained;
    hk_heap_let_go(theirs);
    hk_remote_drain(mine, UINT32_MAX);
    hktest_ok(mine->drained - drained == 48, "its mail follows: %d blocks",
              (int)(mine->drained - drained));
    hk_front_check();
    for (int i = 64; i < BLOCKS; i++) hakmem_free(block[i]);
    hk_remote_flush(mine);
}

/* Segments of 32 blocks reach slabs that wake after 16. */
static void long_segments(struct hk_heap *mine)
{
    allocate(NULL);
    in_thread(free_half);
    hk_remote_drain(mine, UINT32_MAX);
    hk_front_check();
    for (int i = 0; i < BLOCKS; i++) {
        if (i < 32 || i % 64 >= 32) hakmem_free(block[i]);
    }
    hk_front_check();
    hakmem_trim(0);
    hktest_ok(hk_pool_used_units() == 0, "long segments keep the books: %zu units left",
              hk_pool_used_units());
}

#define ODD 5000 /* a class of its own, of long slabs */
static char *last;
static uint64_t refills;

static void *one_of_a_class(void *arg)
{
    hakmem_free(hakmem_malloc(100000));
    last = hakmem_malloc(ODD);
    hakmem_free(hakmem_malloc(48));
    theirs = hk_thread.heap;
    refills = theirs->refills;
    return arg;
}

/* What is in a thread's bins at its end is the next one's, or goes back with a purge. */
static void kept_bins(struct hk_heap *mine)
{
    unsigned c = hk_size_class(ODD);
    in_thread(one_of_a_class);
    uint64_t before = refills;
    char *first = last;
    hktest_ok(theirs->keeps && theirs->kept[c], "bins outlive their thread");
    hktest_ok(!theirs->runs && !theirs->may_hold, "the runs that it held do not");
    in_thread(one_of_a_class);
    hktest_ok(refills == before && last != first && theirs->keeps, "the next one begins with them");
    char *second = last;
    in_thread(one_of_a_class); /* whose refill leaves some */
    hktest_ok(theirs->kept[c] != NULL, "the class's bin is not empty now");
    hktest_ok(hk_heap_steal(mine, c) && hk_unit_of(first)->owner == mine->thread->long_id,
              "their slab can be moved all the same");
    hktest_ok(!theirs->kept[c] && theirs->kept[hk_size_class(48)], "what is left of it stays");
    hakmem_free(first);
    hakmem_free(second);
    hakmem_free(last);
    hk_front_check();
    hakmem_trim(0);
    hktest_ok(!theirs->keeps && hk_pool_used_units() == 0, "a trim takes all back: %zu units left",
              hk_pool_used_units());
}

static void *so_many(void *arg)
{
    for (uintptr_t i = 0; i < (uintptr_t)arg; i++) block[i] = hakmem_malloc(14592);
    return arg;
}

/* Slabs let loose while their last blocks are still in the bin, which outlives its thread: who
 * freed the others owns them, and the bin's are mail to him. */
static void one_trim(void)
{
    size_t left = 0;
    for (uintptr_t n = 60; n < 200; n++) {
        pthread_t t;
        if (pthread_create(&t, NULL, so_many, (void *)n)) hktest_bail("no thread");
        pthread_join(t, NULL);
        for (uintptr_t i = n; i > 0; i--) hakmem_free(block[i - 1]);
        hakmem_trim(0);
        left += hk_pool_used_units();
    }
    hktest_ok(left == 0, "one trim takes all back: %zu units left", left);
}

int main(void)
{
    hakmem_free(hakmem_malloc(1));
    struct hk_heap *mine = hk_thread.heap;
    to_parked(mine);
    to_held(mine);
    to_moved(mine);
    hakmem_trim(0);
    to_nobody(mine);
    by_the_ended();
    to_a_freer(mine);
    long_segments(mine);
    kept_bins(mine);
    one_trim();
    return hktest_done();
}
