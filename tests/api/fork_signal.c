/* SPDX-License-Identifier: MIT */
/*
 * What: a signal handler forks, wherever in malloc the signal came; the child returns from
 * it, goes on in the interrupted call, works on and checks its blocks.
 *
 * Why: POSIX let handlers fork for decades, and programs do. The interrupted thread may hold
 * any lock of ours: it must find it held and its data whole in the child.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define FORKS         200
#define BLOCKS        256
#define CHILD_ROUNDS  300
#define CHILD_SECONDS 60u
#define PERIOD_US     700
#define MARKED        ((size_t)128)

static volatile sig_atomic_t in_child, forked;

static void on_signal(int sig)
{
    int saved = errno;
    (void)sig;
    if (in_child || forked >= FORKS) return;
    pid_t child = fork();
    if (child == 0) {
        in_child = 1;
        alarm(CHILD_SECONDS);
    } else if (child > 0) {
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
        T_EXPECT(status == 0, "child %d ended with status %#x", (int)forked, (unsigned)status);
        forked++;
    }
    errno = saved;
}

struct block {
    unsigned char *p;
    size_t n, marked;
    uint64_t seed;
};

static void renew(struct block *b, uint64_t *seed)
{
    if (b->p && !t_holds(b->p, b->marked, b->seed)) {
        if (in_child) _exit(T_EXIT_FAILED);
        T_EXPECT(false, "block of %zu bytes lost its content", b->n);
    }
    free(b->p);
    unsigned bits = t_random(seed) % 2 ? 12 : 20; /* large ones take the locks */
    b->n = t_random_size(seed, bits);
    b->seed = t_random(seed);
    b->p = *seed % 3 ? malloc(b->n) : aligned_alloc(64, b->n);
    b->marked = b->n < MARKED ? b->n : MARKED;
    if (b->p) t_fill(b->p, b->marked, b->seed);
}

/* The main thread blocks it: it would get them all, and in a child it would wait for nobody. */
static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(how, &set, NULL);
}

/* Works until the forks are done; in the child a little longer, then to the end of the process. */
static void *work(void *arg)
{
    struct block block[BLOCKS] = {{NULL, 0, 0, 0}};
    uint64_t seed = (uintptr_t)arg;
    mask(SIG_UNBLOCK);
    int child_rounds = 0;
    for (int i = 0; forked < FORKS && i < 4000; i++) {
        renew(&block[t_random(&seed) % BLOCKS], &seed);
        if (in_child && ++child_rounds == CHILD_ROUNDS) break;
        if (in_child) i = 0;
    }
    for (int i = 0; i < BLOCKS; i++) renew(&block[i], &seed);
    for (int i = 0; i < BLOCKS; i++) free(block[i].p);
    if (in_child) _exit(0);
    return NULL;
}

static void a_handler_forks(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct itimerval period = {{0, PERIOD_US}, {0, PERIOD_US}}, none = {{0, 0}, {0, 0}};
    act.sa_flags = SA_RESTART;
    sigaction(SIGPROF, &act, NULL);
    mask(SIG_BLOCK);
    setitimer(ITIMER_PROF, &period, NULL);
    /* Threads come and go, one at a time: births and ends are interrupted too. */
    for (uintptr_t i = 1; forked < FORKS && !t_fails; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, work, (void *)i)) break;
        pthread_join(t, NULL);
    }
    setitimer(ITIMER_PROF, &none, NULL);
    T_EXPECT(forked == FORKS, "%d forks", (int)forked);
    printf("# %d forks\n", (int)forked);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (!t_on_hakmem()) {
        printf("1..0 # SKIP only for hakmem: others may hang here\n");
        return 0;
    }
    t_isolated("a signal handler forks at any point of malloc", a_handler_forks);
    return hktest_done();
}
