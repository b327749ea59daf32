/* SPDX-License-Identifier: MIT */
/*
 * What: the ends of a process: exit, quick_exit, _exit, pthread_exit of the first thread, a return
 *   from main's place, each while other threads are inside malloc, and with handlers,
 * thread-specific and thread-local destructors that allocate and free what the others hold. Why: C
 * runs its handlers while threads go on; nothing that they need may be gone by then.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include "support.h"

#define THREADS 4
#define BLOCKS  200
#define RUNS    12
#define ANSWER  33

extern int __cxa_thread_atexit_impl(void (*f)(void *), void *arg, void *dso) __attribute__((weak));
extern void *__dso_handle;

static void *_Atomic mailbox[BLOCKS];
static _Atomic int at_work, ended, handled;
static pthread_key_t key;

static void wrong(const char *what)
{
    if (write(1, "# ", 2) < 0 || write(1, what, strlen(what)) < 0 || write(1, "\n", 1) < 0)
        _exit(5);
    _exit(4);
}

static void renew(uint64_t *seed)
{
    size_t n = sizeof n + t_random_size(seed, t_random(seed) % 32 ? 11 : 17);
    unsigned char *p = t_random(seed) % 3 ? malloc(n) : calloc(1, n);
    if (!p) wrong("no memory");
    memcpy(p, &n, sizeof n);
    t_fill(p + sizeof n, n - sizeof n, n);
    p = atomic_exchange(&mailbox[t_random(seed) % BLOCKS], p);
    if (!p) return;
    memcpy(&n, p, sizeof n);
    if (!t_holds(p + sizeof n, n - sizeof n, n)) wrong("a block lost its content");
    if (t_random(seed) % 4 == 0) p = realloc(p, n * 2);
    free(p);
}

static void renew_many(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 300; i++) renew(&seed);
    ended++;
}

static void *work(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    pthread_setspecific(key, arg);
    if (__cxa_thread_atexit_impl) __cxa_thread_atexit_impl(renew_many, arg, &__dso_handle);
    at_work++;
    for (;;) renew(&seed);
    return NULL;
}

/* Ends after a while, so that heaps are parked while the process ends. */
static void *work_a_little(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    pthread_setspecific(key, arg);
    at_work++;
    for (int i = 0; i < 3000; i++) renew(&seed);
    return NULL;
}

static void handler(void)
{
    uint64_t seed = 9;
    for (int i = 0; i < 2000; i++) renew(&seed);
    malloc_trim(0);
    handled++;
}

static void registers_another(void)
{
    handler();
    if (atexit(handler)) wrong("atexit");
}

/* Handlers run in the reverse order: this one last. */
static void all_handled(void)
{
    handler();
    if (handled != 6) wrong("handlers were left out");
}

static void start(pthread_t *t, void *(*f)(void *), uintptr_t arg)
{
    if (pthread_create(t, NULL, f, (void *)arg)) wrong("no thread");
}

static void start_all(void)
{
    pthread_t t;
    pthread_key_create(&key, renew_many);
    for (uintptr_t i = 1; i <= THREADS; i++) start(&t, i % 2 ? work : work_a_little, i);
    while (at_work < THREADS) usleep(50);
}

static void register_all(int (*at)(void (*)(void)))
{
    at(all_handled);
    for (int i = 0; i < 3; i++) at(handler);
}

static void by_exit(void)
{
    register_all(atexit);
    atexit(registers_another);
    start_all();
    exit(ANSWER);
}

static void by_quick_exit(void)
{
    register_all(at_quick_exit);
    at_quick_exit(handler);
    atexit(all_handled); /* not called: would be wrong */
    handled++;
    start_all();
    quick_exit(ANSWER);
}

static void by_underscore_exit(void)
{
    atexit(all_handled);
    start_all();
    _exit(ANSWER);
}

static void *exits(void *arg)
{
    renew_many(arg);
    exit(ANSWER);
}

/* Another thread exits while this one works. */
static void by_a_thread(void)
{
    pthread_t t;
    register_all(atexit);
    atexit(registers_another);
    start_all();
    start(&t, exits, 3);
    work((void *)7);
}

static void *last_one(void *arg)
{
    renew_many(arg);
    usleep(1000);
    for (int i = 0; i < THREADS; i++) renew_many(arg);
    return NULL;
}

/* The first thread ends, the last one ends the process, with 0. */
static void by_the_last_thread(void)
{
    pthread_t t;
    register_all(atexit);
    atexit(registers_another);
    pthread_key_create(&key, renew_many);
    for (uintptr_t i = 1; i <= THREADS; i++) start(&t, last_one, i);
    pthread_setspecific(key, &key);
    renew_many(NULL);
    pthread_exit(NULL);
}

/* From a handler of a signal that comes while this thread does nothing. */
static void on_alarm(int sig)
{
    (void)sig;
    exit(ANSWER);
}

static void by_a_signal(void)
{
    sigset_t set;
    register_all(atexit);
    atexit(registers_another);
    signal(SIGUSR1, on_alarm);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    start_all();
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), SIGUSR1);
    for (;;) pause();
}

static void many(const char *name, void (*end)(void), int want)
{
    int bad = 0, status = 0;
    fflush(stdout);
    for (int i = 0; i < RUNS && !bad; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(T_HANG_SECONDS);
            end();
        }
        bad = pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
              WEXITSTATUS(status) != want;
    }
    if (bad) t_describe(status);
    hktest_ok(!bad, "%s", name);
}

int main(void)
{
    many("exit", by_exit, ANSWER);
    many("quick_exit", by_quick_exit, ANSWER);
    many("_exit", by_underscore_exit, ANSWER);
    many("exit by another thread", by_a_thread, ANSWER);
    many("the last thread's end", by_the_last_thread, 0);
    many("exit in a signal handler", by_a_signal, ANSWER);
    return hktest_done();
}
