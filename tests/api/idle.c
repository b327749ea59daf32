/* SPDX-License-Identifier: MIT */
/*
 * What: a process that does next to nothing after a peak gives its memory back.
 * Why: no thread of the library's own looks after it, so the few calls that are still made must.
 */
#include <pthread.h>

#include "support.h"

#define BLOCKS 20000u
#define KEEP   20u  /* one in so many lives on */
#define CALLS  4000 /* one a millisecond; 600 to 1100 do, 7000 without any hurry */
#define SLACK  (2 * T_MIB)

static void *block[2][BLOCKS];
static _Atomic size_t live;

/* About 110 MiB of 16 bytes to 64 KiB, a twentieth of which outlives the thread. */
static void *peak(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    void **b = block[seed];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = 16 + t_random_size(&seed, 16);
        b[i] = malloc(n);
        T_EXPECT(b[i] != NULL, "malloc(%zu)", n);
        memset(b[i], 1, n);
        if (i % KEEP == 0) live += n;
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % KEEP) free(b[i]);
    }
    return NULL;
}

static void goes_back(void)
{
    T_SKIP_IF(!t_on_hakmem(), "the C library keeps it");
    pthread_t t[2];
    size_t before = t_resident();
    for (uintptr_t i = 0; i < 2; i++) pthread_create(&t[i], NULL, peak, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    size_t high = t_resident();
    size_t low = high;
    int calls = 0;
    for (; calls < CALLS && low >= before + 2 * live + SLACK; low = t_resident()) {
        for (int i = 0; i < 100; i++, calls++, usleep(1000)) free(malloc(40));
    }
    printf("# after %d calls\n", calls);
    printf("# %zu KiB live, resident %zu KiB, then %zu\n", live / T_KIB, high / T_KIB, low / T_KIB);
    T_EXPECT(low < before + 2 * live + SLACK, "%zu KiB resident", low / T_KIB);
}

int main(void)
{
    t_isolated("a peak goes back while the process idles", goes_back);
    return hktest_done();
}
