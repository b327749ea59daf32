/* SPDX-License-Identifier: MIT */
/*
 * What: thread-specific data in quantity: dozens of keys, every key, keys younger than the thread's
 *   first block, values that other threads allocated, thread-exit hooks, and what the C library
 *   frees last of all.
 * Why: a thread's end has an order, and the allocator's own end is somewhere in the middle: blocks
 *   come and go on both sides of it, thousands of times, and none may be stranded.
 */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>

#include "support.h"

#define MANY_KEYS 100
#define KEYS_MAX  2048
#define AT_ONCE   4
#define GROWTH    (4 * T_MIB)

static pthread_key_t key[KEYS_MAX];
static size_t keys;
static _Atomic size_t destroyed, wrong;

struct value {
    size_t n, turns;
    size_t k; /* index of its key */
    unsigned char body[];
};

static struct value *make_value(size_t k, size_t n, size_t turns)
{
    struct value *v = malloc(sizeof *v + n);
    if (!v) abort();
    v->n = n;
    v->k = k;
    v->turns = turns;
    t_fill(v->body, n, n + k);
    return v;
}

/* Not T_EXPECT: stdio in a thread's last moments would be another test. */
static void check_value(const struct value *v)
{
    wrong += !t_holds(v->body, v->n, v->n + v->k);
}

/* Comes back with a larger block, until its turns are used up. */
static void destroy(void *arg)
{
    struct value *v = arg;
    check_value(v);
    destroyed++;
    if (v->turns == 0) {
        free(v);
        return;
    }
    struct value *next = make_value(v->k, v->n * 3, v->turns - 1);
    next = realloc(next, sizeof *next + next->n * 2);
    if (!next) abort();
    check_value(next);
    next = realloc(next, sizeof *next + next->n);
    pthread_setspecific(key[v->k], next);
    free(v);
}

static void make_keys(size_t most)
{
    for (keys = 0; keys < most && pthread_key_create(&key[keys], destroy) == 0;) keys++;
}

/* n threads, AT_ONCE at a time; the resident size of the second half is flat. */
static void flat(void *(*f)(void *), size_t n)
{
    size_t early = 0;
    for (size_t i = 0; i < n; i += AT_ONCE) {
        pthread_t t[AT_ONCE];
        for (size_t k = 0; k < AT_ONCE; k++)
            if (pthread_create(&t[k], NULL, f, (void *)(i + k)) != 0) abort();
        for (size_t k = 0; k < AT_ONCE; k++) pthread_join(t[k], NULL);
        if (i >= n / 2 && !early) {
            malloc_trim(0); /* what is free goes, what is lost does not */
            early = t_resident();
        }
    }
    malloc_trim(0);
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
    T_EXPECT(wrong == 0, "%zu values had lost their content", wrong);
}

/* The higher keys make the C library allocate a table for the thread, in between. */
static void *sets_many(void *arg)
{
    for (size_t k = 0; k < keys; k++) {
        size_t at = k * 37 % keys;
        pthread_setspecific(key[at], make_value(at, k * 20, ((uintptr_t)arg + k) % 4));
    }
    return NULL;
}

static void many_keys(void)
{
    make_keys(MANY_KEYS);
    T_EXPECT(keys == MANY_KEYS, "only %zu keys", keys);
    flat(sets_many, 4000);
    /* turns 0 to 3, as often: 1 to 4 destructions, and 4 is all the rounds there are */
    T_EXPECT(destroyed == 4000 * MANY_KEYS * 5 / 2, "%zu destructions", destroyed);
}

static struct value *gift[AT_ONCE][KEYS_MAX];

/* All values come from main; the thread's own first block is the C library's, for the high keys,
 * or made in a destructor. */
static void *takes_gifts(void *arg)
{
    size_t me = (uintptr_t)arg % AT_ONCE;
    for (size_t k = 0; k < keys; k++)
        pthread_setspecific(key[keys - 1 - k], gift[me][keys - 1 - k]);
    return NULL;
}

static void every_key(void)
{
    size_t early = 0, expected = 0;
    make_keys(KEYS_MAX);
    T_EXPECT(keys > PTHREAD_KEYS_MAX - 50, "only %zu keys", keys);
    for (size_t round = 0; round < 250; round++) {
        pthread_t t[AT_ONCE];
        for (size_t me = 0; me < AT_ONCE; me++)
            for (size_t k = 0; k < keys; k++) {
                gift[me][k] = make_value(k, k % 50 * 8, k % 3);
                expected += 1 + k % 3;
            }
        for (size_t me = 0; me < AT_ONCE; me++)
            if (pthread_create(&t[me], NULL, takes_gifts, (void *)me) != 0) abort();
        for (size_t me = 0; me < AT_ONCE; me++) pthread_join(t[me], NULL);
        if (round == 50) early = t_resident();
    }
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
    T_EXPECT(wrong == 0, "%zu values had lost their content", wrong);
    T_EXPECT(destroyed == expected, "%zu destructions of %zu", destroyed, expected);
}

static struct value *_Atomic box[64];

/* Leaves its own block to whoever comes by, and frees another's. */
static void swap_and_free(void *arg)
{
    struct value *v = arg, *other;
    size_t at = (v->k * 7 + v->n) % T_COUNT(box);
    destroyed++;
    check_value(v);
    other = atomic_exchange(&box[at], v);
    if (other) {
        check_value(other);
        free(other);
    }
    free(malloc(at * 100));
}

/* The keys are made by the thread, after its first block, and are gone with it. */
static void *own_keys(void *arg)
{
    pthread_key_t mine[20];
    size_t i = (uintptr_t)arg, made = 0;
    struct value *v = make_value(i, i % 700, 0);
    while (made < T_COUNT(mine) && pthread_key_create(&mine[made], swap_and_free) == 0) made++;
    for (size_t k = 0; k < made; k++) pthread_setspecific(mine[k], make_value(i, k * k * 10, 0));
    check_value(v);
    free(v);
    /* half of the keys end before the thread does: no destructor for their values */
    for (size_t k = 0; k < made; k += 2) {
        free(pthread_getspecific(mine[k]));
        pthread_key_delete(mine[k]);
    }
    for (size_t k = 1; k < made; k += 2) key[i % AT_ONCE * T_COUNT(mine) + k] = mine[k];
    return (void *)made;
}

static void late_keys(void)
{
    size_t early = 0, made = 0, threads = 3000;
    for (size_t i = 0; i < threads; i += AT_ONCE) {
        pthread_t t[AT_ONCE];
        void *end[AT_ONCE];
        for (size_t k = 0; k < AT_ONCE; k++)
            if (pthread_create(&t[k], NULL, own_keys, (void *)(i + k)) != 0) abort();
        for (size_t k = 0; k < AT_ONCE; k++) {
            pthread_join(t[k], &end[k]);
            made += (uintptr_t)end[k];
        }
        for (size_t k = 0; k < AT_ONCE; k++)
            for (size_t j = 1; j < (uintptr_t)end[k]; j += 2) pthread_key_delete(key[k * 20 + j]);
        if (i >= threads / 5 && !early) early = t_resident();
    }
    T_EXPECT(made == threads * 20, "%zu keys made", made);
    T_EXPECT(destroyed == threads * 10, "%zu destructions", destroyed);
    T_EXPECT(wrong == 0, "%zu values had lost their content", wrong);
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
}

static int (*at_thread_exit)(void (*)(void *), void *, void *);

static void hook(void *arg)
{
    struct value *v = arg;
    check_value(v);
    destroyed++;
    if (v->turns) at_thread_exit(hook, make_value(v->k, v->n + 500, v->turns - 1), &at_thread_exit);
    free(v);
}

/* What C++ uses for thread_local objects: these hooks run before any key's destructor. */
static void *sets_hooks(void *arg)
{
    size_t i = (uintptr_t)arg;
    for (size_t k = 0; k < 10; k++)
        at_thread_exit(hook, make_value(k, i % 900 * k, k % 4), &at_thread_exit);
    pthread_setspecific(key[0], make_value(0, i % 1000, i % 4));
    return NULL;
}

static void hooks_before_keys(void)
{
    at_thread_exit =
        (int (*)(void (*)(void *), void *, void *))t_symbol("__cxa_thread_atexit_impl");
    T_SKIP_IF(!at_thread_exit, "no hooks at a thread's end");
    make_keys(1);
    flat(sets_hooks, 4000);
    T_EXPECT(destroyed == 4000u * (10 + 13) + 4000 * 5 / 2, "%zu destructions", destroyed);
}

/* strerror and dlerror keep a block for each thread; it is freed after the last destructor. */
static void *unknown_errors(void *arg)
{
    char want[16];
    int e = 100000 + (int)(uintptr_t)arg;
    snprintf(want, sizeof want, "%d", e);
    wrong += strstr(strerror(e), want) == NULL;
    wrong += dlsym(RTLD_DEFAULT, "hk_no_such_symbol") != NULL || !dlerror();
    pthread_setspecific(key[0], make_value(0, 10, 1));
    return NULL;
}

static void freed_last_of_all(void)
{
    make_keys(1);
    flat(unknown_errors, 6000);
    T_EXPECT(destroyed == 12000, "%zu destructions", destroyed);
}

int main(void)
{
    t_isolated("4 000 threads with 100 keys", many_keys);
    t_isolated("1 000 threads with every key set before their first block", every_key);
    t_isolated("3 000 threads with keys of their own", late_keys);
    t_isolated("4 000 threads with hooks that run before the keys", hooks_before_keys);
    t_isolated("what the C library frees after all destructors", freed_last_of_all);
    return hktest_done();
}
