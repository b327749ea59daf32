/* SPDX-License-Identifier: MIT */
/*
 * What: blocks that change hands between threads in order, and one that does so without.
 * Why: helgrind and DRD know no order by atomics of the library's. A block that was freed by one
 *   thread and handed out to another is new memory; a race of the program is still one.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, ROUNDS = 2500, SLOTS = 512 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *slot[SLOTS];
static char *volatile unguarded;
static int racy;

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

/* Each round puts a block down and frees one that mostly another thread put there. */
static void *exchange(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = next(&seed) % (i % 40 ? 100 : 80000) + 1;
        char *mine = i % 3 ? malloc(n) : calloc(1, n);
        memset(mine, i, n);
        pthread_mutex_lock(&lock);
        char **s = &slot[next(&seed) % SLOTS], *other = *s;
        *s = mine;
        pthread_mutex_unlock(&lock);
        if (other) other[0]++;
        free(i % 5 == 0 ? realloc(other, 300) : other);
    }
    return NULL;
}

/* Two threads write the same byte of the same block; the calls around give them no order. */
static void *race(void *arg)
{
    (void)arg;
    free(malloc(100));
    unguarded[5]++;
    free(malloc(100));
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t t[THREADS];
    racy = argc > 1 && !strcmp(argv[1], "race");
    unguarded = calloc(1, 10);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < THREADS; i++)
            pthread_create(&t[i], NULL, racy ? race : exchange, (void *)(i + 1));
        for (size_t i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    }
    for (int i = 0; i < SLOTS; i++) free(slot[i]);
    free(unguarded);
    return 0;
}
