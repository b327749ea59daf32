/* SPDX-License-Identifier: MIT */
/*
 * What: frees across threads: to living, ended and adopted heaps; nothing is lost or freed twice.
 * Why: this is where the races are; run it under ThreadSanitizer.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"

#define THREADS 4
#define BOXES   256
#ifndef ROUNDS
#define ROUNDS 40000
#endif

static _Atomic(unsigned char *) box[BOXES];
static _Atomic int wrong;

/* Each block starts with its length and is filled with the length's low byte. */
static unsigned char *make(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    uint32_t r = (uint32_t)(*seed >> 33);
    uint32_t n = 8 + (r % 16 ? r % 500 : r % 32 ? r % 9000 : r % 150000);
    unsigned char *p = hakmem_malloc(n);
    if (!p) return NULL;
    memset(p, (int)(n & 255), n > 600 ? 600 : n);
    memcpy(p, &n, sizeof n);
    return p;
}

static void drop(unsigned char *p)
{
    uint32_t n;
    if (!p) return;
    memcpy(&n, p, sizeof n);
    for (uint32_t i = sizeof n; i < n && i < 600; i += 37) wrong += p[i] != (n & 255);
    hakmem_free(p);
}

static void *work(void *arg)
{
    uint64_t seed = (uintptr_t)arg * 77;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char *p = make(&seed);
        drop(atomic_exchange(&box[(seed >> 40) % BOXES], p));
    }
    /* The plain library has no thread-end hook before its constructor ran: it has by now. */
    return NULL;
}

static void *free_only(void *arg)
{
    (void)arg;
    for (int i = 0; i < BOXES; i++) drop(atomic_exchange(&box[i], NULL));
    return NULL;
}

static void *churn(void *arg)
{
    unsigned char *mine[50];
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 50; i++) mine[i] = make(&seed);
    for (int i = 0; i < 50; i++) drop(mine[i]);
    return NULL;
}

static void run(void *(*f)(void *), int n)
{
    pthread_t t[THREADS];
    for (int i = 0; i < n; i++) {
        if (pthread_create(&t[i], NULL, f, (void *)(uintptr_t)(i + 1))) hktest_bail("no thread");
    }
    for (int i = 0; i < n; i++) pthread_join(t[i], NULL);
}

int main(void)
{
    run(work, THREADS);
    hk_front_check();
    hktest_ok(wrong == 0, "%d threads exchange blocks, contents hold", THREADS);
    run(free_only, 1);
    hktest_ok(wrong == 0, "a thread that only frees, blocks of ended threads");
    hakmem_trim(0);
    hk_front_check();
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        if (h->awake) hktest_ok(false, "a heap without slabs says %d units", (int)h->awake);
    }
    hktest_ok(hk_pool_used_units() == 0, "nothing stranded: %zu units left", hk_pool_used_units());
    for (int i = 0; i < 300; i++) run(churn, 2);
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    hakmem_stats(&s);
    hktest_ok(s.heaps <= 2 * THREADS + 2, "ended threads' heaps are adopted: %d heaps",
              (int)s.heaps);
    hakmem_trim(0);
    hktest_ok(hk_pool_used_units() == 0, "and left nothing");
    return hktest_done();
}
