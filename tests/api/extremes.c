/* SPDX-License-Identifier: MIT */
/*
 * What: threads and processes at their limits: the smallest stack, every thread key in use, a
 *   pending cancellation, main ending first, exit from any thread, address space and mappings
 *   used up under several threads.
 * Why: real programs get there, and slow paths meet conditions that no ordinary run produces.
 */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support.h"

#define THREADS  4
#define KEYS_MAX 2048

static void use_every_layer(void)
{
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        size_t n = t_edges[i];
        unsigned char *p = malloc(n), *q = calloc(1, n);
        T_EXPECT(p && q, "malloc and calloc of %zu", n);
        if (!p || !q) return;
        p[0] = p[n - 1] = (unsigned char)i;
        p = realloc(p, n * 2);
        T_EXPECT(p && p[0] == (unsigned char)i, "realloc from %zu to %zu", n, n * 2);
        free(q);
        q = memalign(4096, n);
        T_EXPECT(q != NULL, "memalign(4096, %zu)", n);
        free(q);
        free(p);
    }
}

static void *layers_thread(void *arg)
{
    for (int i = 0; i < 3; i++) use_every_layer();
    return arg;
}

static void smallest_stack(void)
{
    pthread_attr_t attr;
    size_t bytes = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_init(&attr);
    T_EXPECT(pthread_attr_setstacksize(&attr, bytes) == 0, "stack of %zu bytes", bytes);
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        int rc = pthread_create(&t, &attr, layers_thread, NULL);
        T_EXPECT(rc == 0, "pthread_create: %d", rc);
        if (rc == 0) pthread_join(t, NULL);
    }
    pthread_attr_destroy(&attr);
}

static pthread_key_t key[KEYS_MAX];
static int keys;
static void *value[KEYS_MAX];
static _Atomic int destroyed;

static void destroy_value(void *p)
{
    free(malloc(*(size_t *)p));
    free(p);
    destroyed++;
}

/* Setting the higher keys callocs within libc, here before the thread's first own malloc. */
static void *set_every_key(void *arg)
{
    for (int i = keys - 1; i >= 0; i--) pthread_setspecific(key[i], value[i]);
    return arg;
}

static void every_key_in_use(void)
{
    while (keys < KEYS_MAX && pthread_key_create(&key[keys], destroy_value) == 0) keys++;
    T_EXPECT(keys > 500, "only %d keys", keys);
    for (int round = 0; round < 30; round++) {
        pthread_t t;
        destroyed = 0;
        for (int i = 0; i < keys; i++) {
            value[i] = malloc(sizeof(size_t) + (size_t)i);
            *(size_t *)value[i] = (size_t)i * 100;
        }
        if (pthread_create(&t, NULL, set_every_key, NULL) != 0) {
            T_EXPECT(false, "pthread_create");
            return;
        }
        pthread_join(t, NULL);
        T_EXPECT(destroyed == keys, "%d of %d destructors ran", destroyed, keys);
    }
}

static _Atomic int got_through;

static void *cancelled_before(void *arg)
{
    pthread_cancel(pthread_self()); /* deferred: takes effect at the next cancellation point */
    use_every_layer();
    malloc_trim(0);
    got_through++;
    pthread_testcancel();
    return arg;
}

static void no_cancellation_point(void)
{
    for (int i = 0; i < 50; i++) {
        pthread_t t;
        void *end = NULL;
        if (pthread_create(&t, NULL, cancelled_before, NULL) != 0) continue;
        pthread_join(t, &end);
        T_EXPECT(end == PTHREAD_CANCELED, "the thread was not cancelled");
    }
    T_EXPECT(got_through == 50, "%d of 50 threads got through malloc", got_through);
}

static void *main_block[1000];
static _Atomic int at_work;

static void *outlive_main(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL); /* main has ended, its thread storage is gone */
    for (size_t i = 0; i < T_COUNT(main_block); i++) {
        unsigned char *p = main_block[i];
        T_EXPECT(t_holds(p, i + 1, i), "main's block %zu", i);
        free(p);
    }
    use_every_layer();
    fflush(stdout);
    exit(t_fails != 0);
}

static void main_ends_first(void)
{
    static pthread_t main_thread;
    pthread_t t;
    main_thread = pthread_self();
    for (size_t i = 0; i < T_COUNT(main_block); i++) {
        main_block[i] = malloc(i + 1);
        t_fill(main_block[i], i + 1, i);
    }
    T_EXPECT(pthread_create(&t, NULL, outlive_main, &main_thread) == 0, "pthread_create");
    pthread_exit(NULL);
}

static void *allocate_on(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    at_work++;
    for (;;) free(malloc(t_random_size(&seed, seed % 64 ? 13 : 22)));
    return NULL;
}

static void leave_late(void)
{
    for (int i = 0; i < 200; i++) free(malloc(t_edges[(size_t)i % T_COUNT(t_edges)]));
}

static void *leave(void *arg)
{
    atexit(leave_late);
    while (at_work < THREADS) usleep(100);
    exit(*(int *)arg);
}

static void exit_from_a_thread(void)
{
    for (int i = 0; i < 40; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            static int code;
            pthread_t t;
            alarm(T_HANG_SECONDS);
            code = i;
            for (uintptr_t k = 0; k < THREADS; k++)
                if (pthread_create(&t, NULL, allocate_on, (void *)k) != 0) _exit(99);
            if (pthread_create(&t, NULL, leave, &code) != 0) _exit(99);
            allocate_on((void *)77);
        }
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: errno %d", errno);
        T_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == i, "exit(%d): %#x", i,
                 (unsigned)status);
    }
}

static _Atomic long refused, served;

/* Chains of blocks until memory runs out; every block is whole when it does. */
static void *run_out(void *arg)
{
    struct link {
        struct link *next;
        size_t n;
    } *chain = NULL, *l;
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 2000000; i++) {
        size_t n = sizeof *l + t_random_size(&seed, i % 8 ? 10 : 21);
        errno = 0;
        l = i & 1 ? malloc(n) : calloc(1, n);
        if (!l) {
            T_EXPECT(errno == ENOMEM, "refused %zu bytes with errno %d", n, errno);
            refused++;
            break;
        }
        l->next = chain;
        l->n = n;
        t_fill(l + 1, n - sizeof *l, n);
        chain = l;
        served++;
    }
    while ((l = chain) != NULL) {
        chain = l->next;
        T_EXPECT(t_holds(l + 1, l->n - sizeof *l, l->n), "a block of %zu bytes", l->n);
        free(l);
    }
    return NULL;
}

static void run_out_together(int rounds)
{
    for (int round = 0; round < rounds; round++) {
        pthread_t t[THREADS];
        int made = 0;
        for (; made < THREADS; made++) {
            uintptr_t seed = (uintptr_t)(round * THREADS + made);
            if (pthread_create(&t[made], NULL, run_out, (void *)seed) != 0) break;
        }
        T_EXPECT(made > 0, "no thread in round %d", round);
        while (made) pthread_join(t[--made], NULL);
    }
}

static void address_space_used_up(void)
{
    struct rlimit before, r;
    getrlimit(RLIMIT_AS, &before);
    r = before;
    r.rlim_cur = t_statm(0) + 64 * T_MIB;
    T_SKIP_IF(setrlimit(RLIMIT_AS, &r) != 0, "no RLIMIT_AS");
    run_out_together(6);
    printf("# %ld blocks served, %ld refused\n", served, refused);
    T_EXPECT(refused >= 6, "refused only %ld times", refused);
    setrlimit(RLIMIT_AS, &before);
    void *p = malloc(300 * T_MIB);
    T_EXPECT(p != NULL, "300 MiB after the limit has gone");
    free(p);
    use_every_layer();
}

/* Neighbouring pages with different rights cannot share a mapping. */
static char *take_every_mapping(size_t *bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *bytes = 200000 * page;
    char *area = mmap(NULL, *bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return NULL;
    for (size_t at = 0; at < *bytes; at += 2 * page)
        if (mprotect(area + at, page, PROT_READ) != 0) return area;
    munmap(area, *bytes);
    return NULL;
}

static void mappings_used_up(void)
{
    enum { BLOCKS = 600 };
    static unsigned char *p[BLOCKS];
    uint64_t seed = 1;
    size_t bytes;
    for (size_t i = 0; i < BLOCKS; i++) {
        p[i] = malloc(sizeof i + t_random_size(&seed, 22));
        T_EXPECT(p[i] != NULL, "malloc");
        if (p[i]) t_fill(p[i], 8, i);
    }
    char *area = take_every_mapping(&bytes);
    T_SKIP_IF(!area, "the system allows too many mappings to use them up");
    int none = 0;
    for (size_t i = 0; i < 3 * BLOCKS; i++) { /* may be refused, must not crash */
        size_t k = i % BLOCKS;
        T_EXPECT(!p[k] || t_holds(p[k], 8, k), "block %zu", k);
        free(p[k]);
        errno = 0;
        p[k] = malloc(sizeof i + t_random_size(&seed, 22));
        T_EXPECT(p[k] || errno == ENOMEM, "errno %d", errno);
        none += !p[k];
        if (p[k]) t_fill(p[k], 8, k);
        unsigned char *q = i % 5 || !p[k] ? NULL : realloc(p[k], 9 + t_random_size(&seed, 23));
        if (q) p[k] = q;
        if (i % 100 == 0) malloc_trim(0);
    }
    for (size_t i = 0; i < BLOCKS; i++) free(p[i]);
    malloc_trim(0);
    munmap(area, bytes);
    printf("# refused %d of %d while no mapping was left\n", none, 3 * BLOCKS);
    use_every_layer();
}

int main(void)
{
    t_isolated("the smallest stack suffices", smallest_stack);
    t_isolated("every thread key in use, set before malloc", every_key_in_use);
    t_isolated("malloc is no cancellation point", no_cancellation_point);
    t_isolated("the main thread ends first", main_ends_first);
    t_isolated("exit from a thread while others allocate", exit_from_a_thread);
    t_isolated("threads use the address space up, again and again", address_space_used_up);
    t_isolated("every mapping used up", mappings_used_up);
    return hktest_done();
}
