/* SPDX-License-Identifier: MIT */
/*
 * What: the scenarios of one thread's making; those of several threads use the same loops.
 * Why: each isolates one habit of programs. Sizes and life-times are in the table's words.
 */
#include <string.h>

#include "threads.h"

/* 8 … 64 bytes, a few alive, last in first out. */
static void tiny_hot(struct load *l)
{
    void *p[16];
    while (l->done < l->ops) {
        for (size_t i = 0; i < 16; i++) p[i] = take(l, 8 + (i & 7) * 8);
        for (size_t i = 16; i-- > 0;) give(l, p[i]);
    }
}

/* Random places of a table are renewed. */
void churn(struct load *l, size_t slots, size_t least, size_t most)
{
    void **p = calloc(slots, sizeof *p);
    while (l->done < l->ops) {
        size_t i = rnd(&l->seed) % slots;
        if (p[i]) give(l, p[i]);
        p[i] = take(l, rnd_size(&l->seed, least, most));
    }
    for (size_t i = 0; i < slots; i++) {
        if (p[i]) give(l, p[i]);
    }
    free(p);
}

static void random_small(struct load *l)
{
    churn(l, 4096, 8, 128);
}

static void random_mixed(struct load *l)
{
    churn(l, 4096, 16, 1024);
}

/* Images of 2 MiB: got, every page touched, dropped. */
static void vm(struct load *l)
{
    while (l->done < l->ops) {
        char *p[4];
        for (int i = 0; i < 4; i++) {
            p[i] = take(l, 2 * MIB);
            for (size_t at = 0; at < 2 * MIB; at += 4096) p[i][at] = 1;
        }
        for (int i = 0; i < 4; i++) give(l, p[i]);
    }
}

/* Large blocks that are written once and lie long before they are replaced. */
static void cold_churn(struct load *l)
{
    enum { SLOTS = 256 };
    void *p[SLOTS] = {NULL};
    while (l->done < l->ops) {
        size_t i = rnd(&l->seed) % SLOTS, n = rnd_size(&l->seed, 32 * KIB, 1 * MIB);
        if (p[i]) give(l, p[i]);
        p[i] = take(l, n);
        memset(p[i], 1, n);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (p[i]) give(l, p[i]);
    }
}

struct node {
    struct node *child, *next;
    char *text;
};

static struct node *parse(struct load *l, int depth)
{
    struct node *first = NULL;
    for (unsigned i = 0, n = 1 + rnd(&l->seed) % 6; i < n; i++) {
        struct node *node = take(l, sizeof *node);
        size_t cap = 16, want = rnd_size(&l->seed, 1, 200);
        node->text = take(l, cap);
        for (; cap < want; l->done++) node->text = realloc(node->text, cap *= 2);
        memset(node->text, 'x', want);
        node->child = depth ? parse(l, depth - 1) : NULL;
        node->next = first;
        first = node;
    }
    return first;
}

static void drop(struct load *l, struct node *n)
{
    for (struct node *next; n; n = next) {
        next = n->next;
        drop(l, n->child);
        give(l, n->text);
        give(l, n);
    }
}

/* Documents: a buffer, a tree of nodes, texts that grow; then all of it is dropped. */
static void json_parse(struct load *l)
{
    while (l->done < l->ops) {
        size_t n = rnd_size(&l->seed, 64 * KIB, 512 * KIB);
        char *buffer = take(l, n);
        memset(buffer, ' ', n);
        struct node *tree = parse(l, 5);
        drop(l, tree);
        give(l, buffer);
    }
}

/* Every sixteenth of the run has sizes of its own. */
static void phases(struct load *l)
{
    static const size_t most[] = {64, 4 * KIB, 128, 64 * KIB, 512, 512 * KIB, 32, 16 * KIB};
    uint64_t all = l->ops;
    for (unsigned i = 1; i <= 16; i++) {
        size_t top = most[i % 8];
        l->ops = all / 16 * i;
        churn(l, top > 32 * KIB ? 128 : 4096, top / 4, top);
    }
}

/* A peak of large blocks, then hardly anything for gap_ms; again and again. */
static void saw(struct load *l, size_t n, size_t bytes, unsigned gap_ms)
{
    struct timespec nap = {0, 1000000};
    void **p = calloc(n, sizeof *p);
    while (p && l->done < l->ops) {
        for (size_t i = 0; i < n; i++) p[i] = memset(take(l, bytes), 1, bytes);
        for (size_t i = 0; i < n; i++) give(l, p[i]);
        for (unsigned ms = 0; ms < gap_ms; ms++) {
            for (int i = 0; i < 20; i++) give(l, take(l, rnd_size(&l->seed, 16, 64 * KIB)));
            nanosleep(&nap, NULL);
        }
    }
    free(p);
}

static void saw_fast(struct load *l)
{
    saw(l, 256, 256 * KIB, 60);
}

static void saw_slow(struct load *l)
{
    saw(l, 256, 256 * KIB, 900);
}

static void saw_big(struct load *l)
{
    saw(l, 16, 4 * MIB, 900);
}

const struct scenario scenarios[] = {
    {"tiny_hot", "8 to 64 bytes, 16 alive, last in first out", tiny_hot, 1, 200000000},
    {"random_small", "8 to 128 bytes, 4096 alive, random order", random_small, 1, 100000000},
    {"random_mixed", "16 to 1024 bytes, 4096 alive, random order", random_mixed, 1, 100000000},
    {"mid_large_mt", "8, 16, 32 KiB, private sets, a quarter freed at random", mid_large_mt, 2,
     20000000},
    {"larson", "10 to 500 bytes, arrays handed to the next thread", larson, 2, 60000000},
    {"larson_small", "8 to 64 bytes, handed on", larson_small, 2, 60000000},
    {"larson_mid", "1 to 8 KiB, handed on", larson_mid, 2, 20000000},
    {"prodcons", "one half of the threads allocates, the other frees", prodcons, 2, 10000000},
    {"thread_storm", "short threads, 100 blocks each, a part freed by others", thread_storm, 8,
     2000},
    {"vm", "2 MiB, every page touched", vm, 1, 200000},
    {"cold_churn", "32 KiB to 1 MiB, 256 alive, written once", cold_churn, 1, 20000},
    {"json_parse", "documents: trees, texts that grow, buffers", json_parse, 1, 50000000},
    {"phases", "sizes change sixteen times", phases, 1, 16000000},
    {"saw_fast", "64 MiB in 256 blocks, 60 ms of rest, again", saw_fast, 1, 100000},
    {"saw_slow", "the same with 900 ms of rest", saw_slow, 1, 400000},
    {"saw_big", "64 MiB in 16 blocks, 900 ms of rest, again", saw_big, 1, 700000},
    {NULL, NULL, NULL, 0, 0},
};
