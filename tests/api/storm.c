/* SPDX-License-Identifier: MIT */
/*
 * What: threads by the thousand: in waves, as a relay in which each frees what the one before it
 *   left, as owners that go on while others free for them, cancelled with blocks in hand, started
 *   while the process exits.
 * Why: heaps change hands at every end and start of a thread; what is lost there is lost once a
 *   thread, and only a number of threads shows it.
 */
#include <malloc.h>
#include <pthread.h>

#include "support.h"

#define WAVE        64
#define WAVES       160
#define RELAY       6000
#define BATON       40
#define GROWTH      (4 * T_MIB)
#define PAIRS       3
#define PASSED      300000
#define RING        1024
#define CANCELS     2000
#define CANCELS_MAX (7 * T_MIB) /* of the whole process: 5 to 6, more if units change class */
#define HELD        30
#define EXIT_RUNS   60
#define EXIT_FAMILY 3

struct block {
    size_t n;
    unsigned char body[];
};

static struct block *make_block(uint64_t *seed, unsigned bits)
{
    size_t n = sizeof(struct block) + t_random_size(seed, bits);
    struct block *b = malloc(n);
    T_EXPECT(b != NULL, "malloc(%zu)", n);
    if (!b) _exit(T_EXIT_FAILED);
    b->n = n - sizeof *b;
    t_fill(b->body, b->n, n);
    return b;
}

static void end_block(struct block *b)
{
    T_EXPECT(t_holds(b->body, b->n, b->n + sizeof *b), "block of %zu bytes", b->n);
    free(b);
}

static pthread_t start(void *(*f)(void *), uintptr_t arg)
{
    pthread_t t;
    int rc = pthread_create(&t, NULL, f, (void *)arg);
    T_EXPECT(rc == 0, "pthread_create: %d", rc);
    if (rc != 0) _exit(T_EXIT_FAILED);
    return t;
}

static pthread_barrier_t wave_full;

/* All of a wave are alive at once, so that each has a heap of its own. */
static void *in_wave(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    struct block *b[20];
    for (size_t i = 0; i < T_COUNT(b); i++) b[i] = make_block(&seed, 12);
    pthread_barrier_wait(&wave_full);
    for (size_t i = 0; i < T_COUNT(b); i++) end_block(b[i]);
    return NULL;
}

static void waves(void)
{
    size_t early = 0;
    pthread_barrier_init(&wave_full, NULL, WAVE);
    for (uintptr_t w = 0; w < WAVES; w++) {
        pthread_t t[WAVE];
        for (uintptr_t i = 0; i < WAVE; i++) t[i] = start(in_wave, w * WAVE + i);
        for (size_t i = 0; i < WAVE; i++) pthread_join(t[i], NULL);
        if (w == WAVES / 2) early = t_resident();
    }
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
}

static struct block *baton[BATON];

/* Frees what the last one left, leaves as much; every block outlives its thread. */
static void *relay_runner(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (size_t i = 0; i < BATON; i++) {
        if (baton[i]) end_block(baton[i]);
        baton[i] = make_block(&seed, i % 8 ? 11 : 16);
    }
    return NULL;
}

static void relay(void)
{
    size_t early = 0;
    for (uintptr_t i = 0; i < RELAY; i++) {
        pthread_join(start(relay_runner, i), NULL);
        if (i == RELAY / 5) early = t_resident();
    }
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
    for (size_t i = 0; i < BATON; i++) end_block(baton[i]);
}

static struct block *_Atomic ring[PAIRS][RING];

/* Never frees; lives and allocates while its blocks are freed by another. */
static void *giver(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    uint64_t seed = me;
    for (size_t i = 0; i < PASSED; i++) {
        struct block *b = make_block(&seed, i % 64 ? 9 : 15);
        while (atomic_load(&ring[me][i % RING])) sched_yield();
        atomic_store(&ring[me][i % RING], b);
    }
    return NULL;
}

/* Never allocates. */
static void *taker(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    for (size_t i = 0; i < PASSED; i++) {
        struct block *b;
        while (!(b = atomic_exchange(&ring[me][i % RING], NULL))) sched_yield();
        end_block(b);
    }
    return NULL;
}

static void givers_and_takers(void)
{
    size_t before = t_resident();
    for (int round = 0; round < 3; round++) {
        pthread_t t[2 * PAIRS];
        for (uintptr_t i = 0; i < PAIRS; i++) {
            t[2 * i] = start(giver, i);
            t[2 * i + 1] = start(taker, i);
        }
        for (size_t i = 0; i < T_COUNT(t); i++) pthread_join(t[i], NULL);
    }
    T_EXPECT(t_resident() < before + 32 * T_MIB, "3 MiB in flight, resident from %zu to %zu",
             before, t_resident());
}

static _Atomic int cleaned;

struct held {
    struct block *b[HELD];
};

static void let_go(void *arg)
{
    struct held *h = arg;
    uint64_t seed = 5;
    end_block(make_block(&seed, 12)); /* a handler may malloc as well */
    for (size_t i = 0; i < HELD; i++) end_block(h->b[i]);
    cleaned++;
}

/* Cancelled in a sleep, or while it computes with cancellation asynchronous; never in malloc. */
static void *cancelled_holding(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    volatile unsigned work = 0;
    struct held h;
    for (size_t i = 0; i < HELD; i++) h.b[i] = make_block(&seed, 13);
    pthread_cleanup_push(let_go, &h);
    for (unsigned turn = 0;; turn++) {
        size_t i = turn % HELD;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        end_block(h.b[i]);
        h.b[i] = make_block(&seed, 13);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        if ((uintptr_t)arg & 1) {
            usleep(1);
        } else {
            pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
            for (int k = 0; k < 1000; k++) work++;
            pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
        }
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_with_blocks(void)
{
    int begun = 0;
    for (uintptr_t i = 0; i < CANCELS; i++) {
        pthread_t t[4];
        void *end;
        for (uintptr_t k = 0; k < 4; k++) t[k] = start(cancelled_holding, i * 4 + k);
        if (i % 4) usleep((useconds_t)(i % 300));
        for (size_t k = 0; k < 4; k++) pthread_cancel(t[k]);
        for (size_t k = 0; k < 4; k++) {
            pthread_join(t[k], &end);
            T_EXPECT(end == PTHREAD_CANCELED, "thread %zu of round %d", k, (int)i);
        }
        begun += 4;
    }
    /* also those cancelled at once: nothing before the handler is a cancellation point */
    T_EXPECT(cleaned == begun, "%d of %d handlers ran", cleaned, begun);
    T_EXPECT(!t_on_hakmem() || t_resident() < CANCELS_MAX, "%zu bytes resident", t_resident());
}

static void *mayfly(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 10; i++) end_block(make_block(&seed, 14));
    return NULL;
}

/* Starts threads as fast as it can, until the process is gone. */
static void *breeder(void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 64 * T_KIB);
    for (;;) {
        pthread_t t;
        if (pthread_create(&t, &attr, mayfly, arg)) sched_yield();
    }
    return NULL;
}

static void late_work(void)
{
    uint64_t seed = 9;
    for (int i = 0; i < 100; i++) end_block(make_block(&seed, 16));
}

static void exit_in_a_storm(void)
{
    for (int i = 0; i < EXIT_RUNS; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(T_HANG_SECONDS);
            atexit(late_work);
            at_quick_exit(late_work);
            for (uintptr_t k = 0; k < EXIT_FAMILY; k++) start(breeder, k);
            usleep((useconds_t)(i % 10) * 300);
            if (i % 3 == 0) quick_exit(t_fails ? T_EXIT_FAILED : 40);
            exit(t_fails ? T_EXIT_FAILED : 40);
        }
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: errno %d", errno);
        T_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 40, "run %d: %#x", i,
                 (unsigned)status);
    }
}

int main(void)
{
    t_isolated("10 000 threads in waves of 64", waves);
    t_isolated("a relay of threads, each freeing for the one before", relay);
    t_isolated("owners go on while others free for them", givers_and_takers);
    t_isolated("cancelled with blocks in hand", cancelled_with_blocks);
    t_isolated("exit and quick_exit while threads start and end", exit_in_a_storm);
    return hktest_done();
}
