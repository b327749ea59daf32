/* SPDX-License-Identifier: MIT */
/*
 * What: classes chosen at run time: which sizes they serve, how they come and go while blocks of
 *   them live, in many threads at once.
 * Why: a slot that gets another size while a slab of it exists would hand out overlapping blocks.
 */
#include <pthread.h>
#include <string.h>

#include "core/pool.h"
#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"
#include "os/sys.h"
#include "policy/policy.h"
#include "policy/snapshot.h"

#define K       HK_KIB
#define THREADS 4
#define LIVE    64
#define ROUNDS  40000
#define CHANGES 4000

static bool put(size_t a, size_t b)
{
    const size_t sizes[HK_DYN_CHOSEN] = {a, b};
    struct hk_snapshot s = hk_policy_now();
    bool all = hk_dyn_set(sizes);
    s.dyn = 1;
    hk_policy_publish(s);
    return all;
}

static unsigned slabs(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HK_DYN_SLOTS; i++) n += hk_dyn_slot[i] >> 32;
    return (unsigned)n;
}

/* A block of n bytes from a class; the first requests get runs. */
static char *get(size_t n)
{
    char *p = NULL;
    for (unsigned i = 0; i <= HK_DYN_ASKED; i++) {
        hakmem_free(p);
        p = hakmem_malloc(n);
    }
    return p;
}

static void routes(void)
{
    size_t read[HK_DYN_CHOSEN];
    hktest_ok(hk_dyn_for(68 * K) == HK_DYN_SLOTS, "at first there is none");
    hktest_ok(put(40 * K, 68 * K), "two");
    hk_dyn_read(read);
    hktest_ok(read[0] == 40 * K && read[1] == 68 * K, "and they are told");
    unsigned a = hk_dyn_for(40 * K), b = hk_dyn_for(68 * K);
    hktest_ok(a < HK_DYN_SLOTS && b < HK_DYN_SLOTS && a != b, "each has a slot");
    hktest_ok(hk_dyn_for(35 * K + 1) == a && hk_dyn_for(35 * K) == HK_DYN_SLOTS &&
                  hk_dyn_for(40 * K + 1) == HK_DYN_SLOTS && hk_dyn_for(60 * K) == b,
              "for what fills seven eighths of a block");
    char *first = hakmem_malloc(66 * K);
    hktest_ok(hakmem_usable_size(first) == 128 * K, "a first one is a run");
    hakmem_free(first);
    char *p = get(66 * K), *q = hakmem_malloc(69 * K), *z = hakmem_calloc(1, 67 * K);
    hktest_ok(hakmem_usable_size(p) == 68 * K && hakmem_usable_size(q) == 128 * K, "blocks of it");
    bool zero = true;
    for (size_t i = 0; i < 67 * K; i++) zero &= z[i] == 0;
    hktest_ok(zero && ((uintptr_t)z & 15) == 0, "all zero if wanted");
    memset(z, 1, 67 * K);
    hakmem_free(z);
    z = hakmem_calloc(1, 67 * K);
    for (size_t i = 0; i < 67 * K; i++) zero &= z[i] == 0;
    hktest_ok(zero, "used ones too");
    hktest_ok(!((uintptr_t)hakmem_aligned_alloc(4096, 68 * K) & 4095), "aligned ones are runs");
    memset(p, 3, 66 * K);
    char *r = hakmem_realloc(p, 300 * K);
    hktest_ok(r[0] == 3 && r[66 * K - 1] == 3 && hakmem_usable_size(r) == 320 * K, "one grows");
    hakmem_free(r);
    r = hakmem_realloc(q, 67 * K);
    hktest_ok(hakmem_usable_size(r) == 128 * K, "what was a run stays one");
    hakmem_free(r);
    hakmem_free(z);
}

static void retire(void)
{
    static const size_t size[] = {36 * K, 40 * K, 44 * K, 68 * K, 72 * K};
    char *p[5];
    put(0, 0);
    hk_front_trim(0);
    hktest_ok(slabs() == 0, "none in force, all trimmed: no slab is left");
    for (unsigned i = 0; i < 4; i++) {
        hktest_ok(put(size[i], 0), "a slot each");
        p[i] = get(size[i]);
        memset(p[i], (int)i + 1, size[i]);
    }
    hktest_ok(!put(size[4], 0) && hk_dyn_for(size[4]) == HK_DYN_SLOTS, "for a fifth there is none");
    p[4] = hakmem_malloc(size[4]);
    hktest_ok(hakmem_usable_size(p[4]) == 128 * K, "its blocks are runs");
    bool whole = true;
    for (unsigned i = 0; i < 4; i++)
        whole &= hakmem_usable_size(p[i]) == size[i] && p[i][0] == (char)(i + 1) &&
                 p[i][size[i] - 1] == (char)(i + 1);
    hktest_ok(whole, "blocks of classes that went keep their size");
    hktest_ok(put(size[1], size[3]) && hk_dyn_for(size[3]) < HK_DYN_SLOTS, "one may come back");
    hakmem_free(p[0]);
    hakmem_free(get(size[3])); /* a slow path of this thread's */
    hktest_ok(put(size[1], size[4]), "with its last block a slot is free");
    for (unsigned i = 1; i < 5; i++) hakmem_free(p[i]);
    put(0, 0);
    hk_front_trim(0);
    hktest_ok(slabs() == 0, "and all go in the end");
    hk_front_check();
}

static _Atomic uint64_t wrong, served;
static _Atomic unsigned working = THREADS;
static _Atomic(char *) handed[LIVE];

static size_t filled(const char *p)
{
    size_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

static void check_and_free(char *p)
{
    size_t n = filled(p);
    if (n > hakmem_usable_size(p) || p[n - 1] != (char)n || p[n / 2] != (char)n) wrong++;
    hakmem_free(p);
}

static void *churn(void *arg)
{
    char *live[LIVE] = {NULL};
    struct hk_random r = {(uint64_t)(uintptr_t)arg};
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t x = hk_random_next(&r);
        char **at = &live[x % LIVE];
        if (*at && x >> 8 & 1) /* somebody else frees it, or had none to give */
            *at = atomic_exchange(&handed[x >> 10 & (LIVE - 1)], *at);
        if (*at) check_and_free(*at);
        size_t n = 33 * K + (x >> 20) % (52 * K);
        *at = hakmem_malloc(n);
        served += hakmem_usable_size(*at) % HK_UNIT_BYTES != 0;
        memcpy(*at, &n, sizeof n);
        (*at)[n - 1] = (*at)[n / 2] = (char)n;
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (live[i]) check_and_free(live[i]);
    }
    working--;
    return NULL;
}

static void threads(void)
{
    pthread_t t[THREADS];
    struct hk_random r = {7};
    unsigned refused = 0;
    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&t[i], NULL, churn, (void *)(i + 1))) hktest_bail("no thread");
    }
    for (unsigned i = 0; i < CHANGES || working; i++) {
        uint64_t x = hk_random_next(&r);
        size_t a = 33 * K + x % 200 * 256, b = a + 256 * (1 + (x >> 32) % 8);
        refused += !put(a, x & 1 ? b : 0);
        hk_sys_yield();
    }
    for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    for (unsigned i = 0; i < LIVE; i++) {
        char *p = atomic_exchange(&handed[i], NULL);
        if (p) check_and_free(p);
    }
    printf("# %llu blocks of such classes, %u changes had to wait\n", (unsigned long long)served,
           refused);
    hktest_ok(wrong == 0, "blocks are whole while classes come and go");
    hktest_ok(served > ROUNDS / 100, "and many were of such a class");
    put(0, 0);
    hk_front_trim(0);
    hktest_ok(slabs() == 0, "no slab is left");
    hk_front_check();
}

int main(void)
{
    hakmem_free(hakmem_malloc(1)); /* settings are read */
    routes();
    retire();
    threads();
    return hktest_done();
}
