/* SPDX-License-Identifier: MIT */
/*
 * What: nanoseconds per malloc/free pair, one thread, for a size in each layer: pairs at once,
 *   and a working set of blocks replaced at random.
 * Why: the first thing to look at after a change of a fast path. It links no allocator: preload
 * one. Figures of two runs compare only as a ratio, interleaved: `make bench` does that.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SET 1000

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double at_once(size_t n, long pairs)
{
    double start = now_ns();
    for (long i = 0; i < pairs; i++) {
        char *volatile p = malloc(n);
        if (!p) abort();
        p[0] = 1;
        free(p);
    }
    return (now_ns() - start) / (double)pairs;
}

static double at_random(size_t n, long pairs)
{
    static char *block[SET];
    uint32_t seed = 1;
    double start = now_ns();
    for (long i = 0; i < pairs; i++) {
        seed = seed * 1664525u + 1013904223u;
        char **b = &block[(seed >> 12) % SET];
        free(*b);
        *b = malloc(n - (seed >> 24) % (n / 4 + 1));
        if (!*b) abort();
        **b = 1;
    }
    for (int i = 0; i < SET; i++) {
        free(block[i]);
        block[i] = NULL;
    }
    return (now_ns() - start) / (double)pairs;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {16, 64, 256, 1024, 4096, 16384, 65536, 1000000, 4000000};
    long scale = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        long pairs = scale * (n <= 1024    ? 2000000
                              : n <= 16384 ? 500000
                              : n <= 65536 ? 100000
                                           : 3000);
        printf("%zu,%.2f,%.2f\n", n, at_once(n, pairs), at_random(n, pairs));
    }
    return 0;
}
