/* SPDX-License-Identifier: MIT */
/*
 * What: a busy five-thread program forks again and again; each child uses the heap it inherited,
 *   frees its parent's blocks and forks too.
 * Why: fork copies the heap while four threads are inside it; a lock, queue or list caught half-way
 *   hangs or crashes the child, and locks held over fork hang the parent.
 * Usage: fork [FORKS], or HK_FORKS; 200 by default.
 */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#define FORKS_DEFAULT  200
#define CHILD_SECONDS  60u  /* a child needs milliseconds */
#define PARENT_SECONDS 120u /* fork and a child together need milliseconds */
#define WORKERS        4
#define BOXES          512
#define OWN_BLOCKS     300

static unsigned long forks = FORKS_DEFAULT;
static _Atomic(unsigned char *) boxes[BOXES]; /* blocks that anybody may take and free */
static _Atomic int stop_workers;
static _Atomic unsigned long worker_steps;
static volatile pid_t watched_child;
static const char *volatile doing = "start";

/* A block that tells its own size and pattern. */
struct header {
    size_t n;
    uint64_t seed;
};

static unsigned char *make_block(uint64_t *seed, unsigned bits)
{
    struct header h = {sizeof h + t_random_size(seed, bits), *seed};
    unsigned char *p = h.seed % 5 == 0 ? calloc(1, h.n) : malloc(h.n);
    if (!p) return NULL;
    if (h.seed % 5 == 0) T_EXPECT(t_is_zero(p, h.n), "calloc(1, %zu)", h.n);
    memcpy(p, &h, sizeof h);
    t_fill(p + sizeof h, h.n - sizeof h, h.seed);
    return p;
}

static void end_block(unsigned char *p)
{
    struct header h;
    if (!p) return;
    memcpy(&h, p, sizeof h);
    T_EXPECT(h.n <= 4 * T_MIB && t_holds(p + sizeof h, h.n - sizeof h, h.seed),
             "block %p of %zu bytes lost its content", (void *)p, h.n);
    free(p);
}

static void step(uint64_t *seed)
{
    size_t box = (size_t)(t_random(seed) % BOXES);
    unsigned bits = t_random(seed) % 200 ? 12 : 20;
    unsigned char *p = atomic_exchange(&boxes[box], make_block(seed, bits));
    if (p && *seed % 7 == 0) {
        struct header h;
        memcpy(&h, p, sizeof h);
        h.n = sizeof h + (h.n - sizeof h) / 2;
        unsigned char *q = realloc(p, h.n);
        T_EXPECT(q != NULL, "realloc to %zu", h.n);
        if (!q) return;
        p = q;
        memcpy(p, &h, sizeof h);
    }
    end_block(p);
}

static void *work(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    while (!stop_workers) {
        step(&seed);
        atomic_fetch_add_explicit(&worker_steps, 1, memory_order_relaxed);
    }
    return NULL;
}

static void *work_a_little(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 500; i++) step(&seed);
    return NULL;
}

static unsigned char *own[OWN_BLOCKS]; /* the forking thread's blocks */

static void use_heap(uint64_t seed)
{
    for (size_t i = 0; i < OWN_BLOCKS; i += 2) {
        end_block(own[i]);
        own[i] = make_block(&seed, i % 50 ? 13 : 21);
    }
    for (int i = 0; i < 300; i++) step(&seed);
    for (size_t n = 1; n < 4 * T_MIB; n *= 3) {
        void *p = NULL;
        T_EXPECT(posix_memalign(&p, 64, n) == 0, "posix_memalign of %zu", n);
        free(p);
    }
}

static int grandchild(uint64_t seed)
{
    alarm(CHILD_SECONDS);
    use_heap(seed);
    for (size_t i = 0; i < BOXES; i++) end_block(atomic_exchange(&boxes[i], NULL));
    for (size_t i = 0; i < OWN_BLOCKS; i++) end_block(own[i]);
    malloc_trim(0);
    return t_fails != 0;
}

static int child(unsigned long number)
{
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_SECONDS);
    use_heap(number);
    for (size_t i = 0; i < BOXES; i += 2) end_block(atomic_exchange(&boxes[i], NULL));
    if (number % 8 == 0) { /* threads of its own; POSIX leaves it open, glibc allows it */
        pthread_t t[2];
        for (uintptr_t i = 0; i < 2; i++)
            T_EXPECT(pthread_create(&t[i], NULL, work_a_little, (void *)i) == 0, "pthread_create");
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    }
    if (number % 4 == 0) {
        pid_t pid = fork();
        if (pid == 0) _exit(grandchild(number));
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "waiting for the grandchild");
        T_EXPECT(status == 0, "grandchild's status %#x", (unsigned)status);
    }
    for (size_t i = 0; i < OWN_BLOCKS; i++) end_block(own[i]);
    return t_fails != 0;
}

/* The parent is stuck: nothing can be trusted any more, so say so and leave. */
static void parent_hangs(int sig)
{
    static const char text[] = "not ok 1 - the parent hangs, in: ";
    (void)sig;
    ssize_t rc = write(1, text, sizeof text - 1);
    rc += write(1, doing, strlen(doing));
    rc += write(1, "\n1..1\n", 6);
    if (watched_child > 0) kill(watched_child, SIGKILL);
    _exit(rc >= 0 ? 1 : 2);
}

static bool fork_once(unsigned long number, double *longest)
{
    alarm(PARENT_SECONDS);
    fflush(stdout);
    doing = "fork";
    double start = t_now();
    pid_t pid = fork();
    if (pid == 0) _exit(child(number));
    double took = t_now() - start;
    if (took > *longest) *longest = took;
    watched_child = pid;
    doing = "waiting for the child";
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        T_EXPECT(false, "fork %lu: errno %d", number, errno);
        return false;
    }
    watched_child = 0;
    doing = "using the heap after fork";
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        T_EXPECT(false, "child %lu hangs", number);
    else
        T_EXPECT(status == 0, "child %lu ended with status %#x", number, (unsigned)status);
    uint64_t seed = number * 3 + 1;
    for (size_t i = 0; i < OWN_BLOCKS; i += 3) {
        end_block(own[i]);
        own[i] = make_block(&seed, 12);
    }
    return true;
}

static void busy_forks(void)
{
    pthread_t t[WORKERS];
    double longest = 0;
    uint64_t seed = 1;
    signal(SIGALRM, parent_hangs);
    for (uintptr_t i = 0; i < WORKERS; i++)
        T_EXPECT(pthread_create(&t[i], NULL, work, (void *)(i + 100)) == 0, "pthread_create");
    for (size_t i = 0; i < OWN_BLOCKS; i++) own[i] = make_block(&seed, 13);
    for (unsigned long i = 1; i <= forks && t_fails < T_TOLD_MAX; i++)
        if (!fork_once(i, &longest)) break;
    doing = "ending the workers";
    stop_workers = 1;
    for (int i = 0; i < WORKERS; i++) pthread_join(t[i], NULL);
    for (size_t i = 0; i < BOXES; i++) end_block(atomic_exchange(&boxes[i], NULL));
    for (size_t i = 0; i < OWN_BLOCKS; i++) end_block(own[i]);
    alarm(0);
    T_EXPECT(worker_steps > 0, "the workers did nothing");
    printf("# %lu forks, longest fork call %.1f ms, %lu worker steps\n", forks, longest * 1e3,
           (unsigned long)worker_steps);
}

int main(int argc, char **argv)
{
    forks = t_number(argc, argv, "HK_FORKS", FORKS_DEFAULT);
    t_case("forks of a busy five-thread program", busy_forks);
    return hktest_done();
}
