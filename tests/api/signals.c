/* SPDX-License-Identifier: MIT */
/*
 * What: signals and cancellation: handlers that malloc and free where the program is outside
 * malloc, thousands of times a second, also beside threads that are inside it; on a small stack of
 * their own; left by siglongjmp; cancellation that comes while a thread is in malloc. Why: none of
 * this is against malloc's contract, which only forbids to interrupt malloc itself, and none of its
 * calls may be a cancellation point.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include "support.h"

#define PERIOD_NS   100000 /* 10 000 signals a second, if the machine can */
#define SIGNALS     4000
#define BLOCKS      256
#define WORKERS     2
#define JUMPS       2000
#define CANCELS     400
#define STACK_BYTES (8 * T_KIB)

struct block {
    unsigned char *p;
    size_t n;
};

static volatile sig_atomic_t outside, signals, stop;
static struct block handlers[BLOCKS]; /* the handler's own */
static void *_Atomic mailbox[BLOCKS]; /* anybody's */
static uint64_t handlers_seed = 77;

static void renew(struct block *b, uint64_t *seed)
{
    if (b->p) T_EXPECT(t_holds(b->p, b->n, b->n), "a block of %zu bytes changed", b->n);
    free(b->p);
    b->n = t_random_size(seed, t_random(seed) % 32 ? 11 : 19);
    b->p = t_random(seed) % 4 ? malloc(b->n) : calloc(1, b->n);
    if (t_random(seed) % 8 == 0) b->p = realloc(b->p, b->n += b->n / 2);
    T_EXPECT(b->p != NULL, "malloc(%zu)", b->n);
    if (b->p) t_fill(b->p, b->n, b->n);
}

static void on_signal(int sig)
{
    int saved = errno;
    (void)sig;
    if (!outside) return;
    signals++;
    renew(&handlers[t_random(&handlers_seed) % BLOCKS], &handlers_seed);
    free(atomic_exchange(&mailbox[t_random(&handlers_seed) % BLOCKS],
                         malloc(t_random_size(&handlers_seed, 12))));
    errno = saved;
}

static void handle(void (*f)(int), int flags)
{
    struct sigaction a = {.sa_handler = f};
    a.sa_flags = SA_RESTART | flags;
    sigaction(SIGUSR1, &a, NULL);
}

static timer_t started(long ns)
{
    timer_t t;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec every = {{0, ns}, {0, ns}};
    if (timer_create(CLOCK_MONOTONIC, &event, &t) || timer_settime(t, 0, &every, NULL)) abort();
    return t;
}

static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(how, &set, NULL);
}

/* Signals come at any time; only those that come between the calls do something. */
static void between_calls(void)
{
    static struct block mine[BLOCKS];
    uint64_t seed = 1;
    handle(on_signal, 0);
    timer_t timer = started(PERIOD_NS);
    while (signals < SIGNALS && !t_fails) {
        renew(&mine[t_random(&seed) % BLOCKS], &seed);
        outside = 1;
        for (volatile int i = 0; i < 2000; i++) continue;
        outside = 0;
    }
    timer_delete(timer);
    for (int i = 0; i < BLOCKS; i++) {
        renew(&mine[i], &seed);
        renew(&handlers[i], &seed);
    }
}

static void *work(void *arg)
{
    static struct block all[WORKERS][BLOCKS];
    uintptr_t me = (uintptr_t)arg;
    uint64_t seed = me;
    while (!stop && !t_fails) {
        renew(&all[me][t_random(&seed) % BLOCKS], &seed);
        free(atomic_exchange(&mailbox[t_random(&seed) % BLOCKS], malloc(t_random_size(&seed, 12))));
    }
    return NULL;
}

/* One thread gets all signals and does nothing else; others are inside malloc all the time. */
static void beside_threads(void)
{
    pthread_t t[WORKERS];
    handle(on_signal, 0);
    mask(SIG_BLOCK);
    for (uintptr_t i = 0; i < WORKERS; i++)
        if (pthread_create(&t[i], NULL, work, (void *)i)) abort();
    outside = 1;
    mask(SIG_UNBLOCK);
    timer_t timer = started(PERIOD_NS);
    while (signals < SIGNALS && !t_fails) usleep(500);
    timer_delete(timer);
    stop = 1;
    for (int i = 0; i < WORKERS; i++) pthread_join(t[i], NULL);
}

static sigjmp_buf out_of_it;
static struct block *jumping;
static uint64_t jumping_seed = 5;

static void jump(int sig)
{
    (void)sig;
    renew(jumping, &jumping_seed);
    siglongjmp(out_of_it, 1);
}

/* Interrupted in a loop of its own, the program never returns to where it was. */
static void jumped_out(void)
{
    static struct block mine[BLOCKS];
    volatile int jumps = 0;
    handle(jump, 0);
    while (sigsetjmp(out_of_it, 1)) jumps++;
    if (jumps < JUMPS) {
        struct itimerval once = {{0, 0}, {0, 200}};
        struct sigaction a = {.sa_handler = jump};
        jumping = &mine[t_random(&jumping_seed) % BLOCKS];
        for (int i = 0; i < 20; i++) renew(&mine[t_random(&jumping_seed) % BLOCKS], &jumping_seed);
        sigaction(SIGALRM, &a, NULL);
        setitimer(ITIMER_REAL, &once, NULL);
        for (;;) continue;
    }
    for (int i = 0; i < BLOCKS; i++) renew(&mine[i], &jumping_seed);
    signal(SIGALRM, SIG_DFL);
}

/* The thread's first malloc and its slow paths, in a handler with little stack. */
static void *on_small_stack(void *stack)
{
    stack_t s = {.ss_sp = stack, .ss_size = STACK_BYTES};
    T_EXPECT(sigaltstack(&s, NULL) == 0, "sigaltstack: errno %d", errno);
    outside = 1;
    for (int i = 0; i < 2000; i++) raise(SIGUSR1);
    s.ss_flags = SS_DISABLE;
    sigaltstack(&s, NULL);
    return NULL;
}

static void small_stacks(void)
{
    static _Alignas(4096) char room[STACK_BYTES * 3];
    T_SKIP_IF(sysconf(_SC_MINSIGSTKSZ) > (long)STACK_BYTES / 2, "signals need more stack here");
    memset(room, 0x5a, sizeof room);
    handle(on_signal, SA_ONSTACK);
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, on_small_stack, room + STACK_BYTES)) abort();
        pthread_join(t, NULL);
    }
    for (size_t i = 0; i < STACK_BYTES; i++)
        T_EXPECT(room[i] == 0x5a, "%zu bytes too few", STACK_BYTES - i);
    T_EXPECT(signals == 40000, "%d signals", (int)signals);
}

static _Atomic int cancelled_inside, cancelled;
struct hand {
    struct block block[BLOCKS];
    bool inside;
};

static void put_down(void *arg)
{
    struct hand *h = arg;
    cancelled++;
    cancelled_inside += h->inside;
    for (int i = 0; i < BLOCKS; i++) free(h->block[i].p);
}

/* Cancellation is pending for as long as it is in malloc, free, trims and ends of others' blocks.
 */
static void *until_cancelled(void *arg)
{
    struct hand h = {.inside = false};
    uint64_t seed = (uintptr_t)arg;
    pthread_cleanup_push(put_down, &h);
    for (unsigned i = 0;; i++) {
        h.inside = true;
        for (int k = 0; k < 50; k++) renew(&h.block[t_random(&seed) % BLOCKS], &seed);
        free(atomic_exchange(&mailbox[t_random(&seed) % BLOCKS], malloc(3 * T_MIB)));
        if (i % 16 == 0) malloc_trim(0);
        h.inside = false;
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled_in_malloc(void)
{
    for (uintptr_t i = 0; i < CANCELS; i += WORKERS) {
        pthread_t t[WORKERS];
        void *said;
        for (uintptr_t k = 0; k < WORKERS; k++)
            if (pthread_create(&t[k], NULL, until_cancelled, (void *)(i + k))) abort();
        usleep((useconds_t)(i % 40 * 50));
        for (int k = 0; k < WORKERS; k++) pthread_cancel(t[k]);
        for (int k = 0; k < WORKERS; k++) {
            pthread_join(t[k], &said);
            T_EXPECT(said == PTHREAD_CANCELED, "not cancelled");
        }
    }
    T_EXPECT(cancelled_inside == 0, "%d of %d cancelled inside", (int)cancelled_inside,
             (int)cancelled);
}

int main(void)
{
    t_isolated("handlers allocate between the program's calls", between_calls);
    t_isolated("handlers allocate beside threads that do", beside_threads);
    t_isolated("handlers are left by siglongjmp", jumped_out);
    t_isolated("handlers allocate on a stack of 8 KiB", small_stacks);
    t_isolated("no call is a cancellation point", cancelled_in_malloc);
    return hktest_done();
}
