/* SPDX-License-Identifier: MIT */
/*
 * What: three servers in small: threads that replace random blocks and hand all of them to a
 *   successor; producers and consumers, where every free is remote; generations of trees.
 * Why: these exchanges crashed the allocator's forerunner three times in ten.
 *   HK_STRESS_SECONDS is the time for each.
 */
#include <pthread.h>

#include "../api/support.h"

#define CHAINS    4
#define OWNED     3000
#define HAND_OVER 8000 /* replacements before a thread hands over */
#define BOX       512

static double deadline;
static _Atomic int wrong;
static _Atomic uint64_t done;

/* Each block starts with its length, and ends with its low byte. */
static unsigned char *make(uint64_t *seed, unsigned bits)
{
    size_t n = 8 + t_random_size(seed, bits);
    unsigned char *p = malloc(n);
    if (!p) return NULL;
    memcpy(p, &n, sizeof n);
    if (n > 8) p[n - 1] = (unsigned char)n;
    return p;
}

static void drop(unsigned char *p)
{
    size_t n;
    if (!p) return;
    memcpy(&n, p, sizeof n);
    if (n < 8 || n > T_MIB || (n > 8 && p[n - 1] != (unsigned char)n))
        wrong++;
    else
        free(p);
    done++;
}

struct chain {
    unsigned char *block[OWNED];
    uint64_t seed;
    _Atomic bool ended;
};

static void *serve(void *arg)
{
    struct chain *c = arg;
    pthread_t next;
    for (int i = 0; i < HAND_OVER; i++) {
        unsigned k = (unsigned)(t_random(&c->seed) % OWNED);
        drop(c->block[k]);
        c->block[k] = make(&c->seed, 10);
    }
    if (t_now() < deadline && !wrong) {
        while (pthread_create(&next, NULL, serve, c)) usleep(1000);
        pthread_detach(next);
    } else {
        c->ended = true;
    }
    return NULL;
}

static void succession(void)
{
    static struct chain chain[CHAINS];
    for (int i = 0; i < CHAINS; i++) {
        pthread_t t;
        chain[i].seed = (uint64_t)i + 1;
        if (pthread_create(&t, NULL, serve, &chain[i])) abort();
        pthread_detach(t);
    }
    for (int i = 0; i < CHAINS; i++) {
        while (!chain[i].ended) usleep(1000);
        for (int k = 0; k < OWNED; k++) drop(chain[i].block[k]);
    }
}

static _Atomic(unsigned char *) box[BOX];

static void *produce(void *arg)
{
    for (uint64_t seed = (uintptr_t)arg; t_now() < deadline;) {
        for (int i = 0; i < 500; i++) {
            unsigned char *p = make(&seed, i % 50 ? 9 : 15), *none = NULL;
            if (!atomic_compare_exchange_strong(&box[t_random(&seed) % BOX], &none, p)) drop(p);
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    for (uint64_t seed = (uintptr_t)arg * 31; t_now() < deadline;)
        for (int i = 0; i < 500; i++) drop(atomic_exchange(&box[t_random(&seed) % BOX], NULL));
    return NULL;
}

static void remote(int producers, int consumers)
{
    pthread_t t[8];
    int n = 0;
    for (; n < producers + consumers; n++) {
        uintptr_t seed = (uintptr_t)n + 1;
        if (pthread_create(&t[n], NULL, n < producers ? produce : consume, (void *)seed)) abort();
    }
    while (n) pthread_join(t[--n], NULL);
    for (int i = 0; i < BOX; i++) drop(atomic_exchange(&box[i], NULL));
}

struct node {
    struct node *left, *right;
    unsigned char *load;
};

static struct node *grow(int depth, uint64_t *seed)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n) abort();
    if (n->left || n->right || n->load) wrong++;
    n->load = make(seed, 8);
    if (depth) {
        n->left = grow(depth - 1, seed);
        n->right = grow(depth - 1, seed);
    }
    return n;
}

static void fell(struct node *n)
{
    if (!n) return;
    fell(n->left);
    fell(n->right);
    drop(n->load);
    free(n);
}

static void *forest(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    struct node *old = grow(10, &seed);
    while (t_now() < deadline) {
        struct node *young = grow(8, &seed);
        fell(grow(4, &seed));
        if (seed % 16 < 4) {
            fell(old);
            old = young;
        } else {
            fell(young);
        }
    }
    fell(old);
    return NULL;
}

static void generations(void)
{
    pthread_t t[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        pthread_create(&t[i], NULL, forest, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < CHAINS; i++) pthread_join(t[i], NULL);
}

static void report(const char *name)
{
    hktest_ok(wrong == 0 && done > 1000, "%s: %llu blocks", name, (unsigned long long)done);
    done = 0;
}

int main(int argc, char **argv)
{
    double seconds = (double)t_number(argc, argv, "HK_STRESS_SECONDS", 1);
    alarm((unsigned)seconds * 15 + 120);
    deadline = t_now() + seconds;
    succession();
    report("threads hand their blocks to successors");
    static const int crowd[][2] = {{1, 1}, {3, 1}, {1, 3}, {4, 4}};
    for (unsigned i = 0; i < T_COUNT(crowd); i++) {
        deadline = t_now() + seconds;
        remote(crowd[i][0], crowd[i][1]);
        report("producers and consumers");
    }
    deadline = t_now() + seconds;
    generations();
    report("generations of trees");
    return hktest_done();
}
