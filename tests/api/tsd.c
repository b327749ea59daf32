/* SPDX-License-Identifier: MIT */
/*
 * What: thread-specific destructors that malloc, realloc and free, in every round, with few keys
 *   and with all of them taken.
 * Why: they run before, among and after the allocator's own end-of-thread work.
 */
#include <limits.h>
#include <pthread.h>

#include "support.h"

#define KEYS 8
static pthread_key_t key[KEYS];
static _Atomic long rounds_run;

struct state {
    int rounds_left;
    char *text;
};

/* Comes again until rounds_left is 0: after the allocator's own destructor has run. */
static void destroy(void *arg)
{
    struct state *s = arg, *next;
    atomic_fetch_add(&rounds_run, 1);
    if (strcmp(s->text, "alive")) abort();
    if (s->rounds_left == 0) {
        free(s->text);
        free(s);
        return;
    }
    next = malloc(sizeof *next);
    next->rounds_left = s->rounds_left - 1;
    next->text = realloc(s->text, 4000u << (s->rounds_left & 3));
    free(s);
    void *extra[30];
    for (int i = 0; i < 30; i++) extra[i] = calloc(1, (size_t)i * 300 + 1);
    for (int i = 0; i < 30; i++) free(extra[i]);
    for (int k = 0; k < KEYS; k++) {
        if (!pthread_getspecific(key[k])) {
            pthread_setspecific(key[k], next);
            return;
        }
    }
    abort();
}

static void *user(void *arg)
{
    for (int k = 0; k < KEYS / 2; k++) {
        struct state *s = malloc(sizeof *s);
        s->rounds_left = k % PTHREAD_DESTRUCTOR_ITERATIONS;
        s->text = strdup("alive");
        pthread_setspecific(key[k], s);
    }
    return arg;
}

static void *sets_before_malloc(void *arg)
{
    static struct state s; /* no malloc in this thread before its destructors */
    (void)arg;
    pthread_setspecific(key[0], &s);
    return NULL;
}

static void first_malloc(void *arg)
{
    (void)arg;
    void *p = malloc(100), *q = calloc(10, 3000), *r = malloc(100000);
    free(q);
    free(p);
    free(r);
}

static void run_threads(void *(*f)(void *), int n)
{
    for (int i = 0; i < n; i += 4) {
        pthread_t t[4];
        for (int k = 0; k < 4; k++)
            if (pthread_create(&t[k], NULL, f, NULL)) abort();
        for (int k = 0; k < 4; k++) pthread_join(t[k], NULL);
    }
}

static void many_rounds(void)
{
    for (int k = 0; k < KEYS; k++) pthread_key_create(&key[k], destroy);
    run_threads(user, 400);
    size_t early = t_resident();
    run_threads(user, 4000);
    T_EXPECT(t_resident() < early + 4 * T_MIB, "grew from %zu to %zu", early, t_resident());
    T_EXPECT(rounds_run > 4400 * KEYS / 2, "destructors ran %ld times", rounds_run);
}

static void malloc_only_at_the_end(void)
{
    pthread_key_create(&key[0], first_malloc);
    run_threads(sets_before_malloc, 400);
    size_t early = t_resident();
    run_threads(sets_before_malloc, 4000);
    T_EXPECT(t_resident() < early + 4 * T_MIB, "grew from %zu to %zu", early, t_resident());
}

static void *alloc_some(void *arg)
{
    void *p[200];
    for (int i = 0; i < 200; i++) p[i] = malloc((size_t)i * 50 + 1);
    for (int i = 0; i < 200; i++) free(p[i]);
    return arg;
}

/* Keys above 31 make the C library calloc inside pthread_setspecific. */
static void all_keys_taken(void)
{
    pthread_key_t k;
    int n = 0;
    while (pthread_key_create(&k, NULL) == 0) n++;
    T_EXPECT(n > 900, "only %d keys", n);
    run_threads(alloc_some, 400);
    size_t early = t_resident();
    run_threads(alloc_some, 6000);
    T_EXPECT(t_resident() < early + 10 * T_MIB, "grew from %zu to %zu", early, t_resident());
}

int main(void)
{
    t_isolated("destructors malloc, realloc and free in every round", many_rounds);
    t_isolated("a thread whose first malloc is in a destructor", malloc_only_at_the_end);
    t_isolated("all keys taken", all_keys_taken);
    return hktest_done();
}
