/* SPDX-License-Identifier: MIT */
/*
 * What: memory that runs out and comes back; memory that is returned.
 * Why: ENOMEM is an answer, not an accident; and what is freed must leave.
 */
#include <malloc.h>
#include <sys/resource.h>

#include "support.h"

static bool limit(size_t more)
{
    struct rlimit r = {t_statm(0) + more, RLIM_INFINITY};
    return setrlimit(RLIMIT_AS, &r) == 0;
}

static void *one(int kind, size_t n)
{
    void *p = NULL;
    switch (kind) {
    case 0:
        return malloc(n);
    case 1:
        return calloc(1, n);
    case 2:
        return realloc(NULL, n);
    case 3:
        return memalign(64, n);
    default:
        errno = posix_memalign(&p, 4096, n);
        return p;
    }
}

/* Fill up with blocks of n bytes, free them, and again: as many must fit. */
static void exhaust(size_t n)
{
    static char *kept[400000];
    long first = 0;
    for (int round = 0; round < 4; round++) {
        long got = 0;
        errno = 0;
        while (got < 400000 && (kept[got] = one((int)(got % 5), n))) {
            kept[got][0] = kept[got][n - 1] = (char)got;
            got++;
        }
        T_EXPECT(got < 400000 && errno == ENOMEM, "%ld blocks of %zu, errno %d", got, n, errno);
        for (long i = 0; i < got; i++) {
            T_EXPECT(kept[i][0] == (char)i && kept[i][n - 1] == (char)i, "block %ld", i);
            free(kept[i]);
        }
        if (round == 0) first = got;
        T_EXPECT(got >= first - first / 8, "round %d: %ld of %ld blocks", round, got, first);
    }
}

static void runs_out(void)
{
    static const size_t sizes[] = {500, 3000, 20000, 50000, 300000, 3000000};
    T_SKIP_IF(!limit(96 * T_MIB), "no RLIMIT_AS");
    for (size_t i = 0; i < T_COUNT(sizes); i++) exhaust(sizes[i]);
}

static void realloc_keeps(void)
{
    T_SKIP_IF(!limit(64 * T_MIB), "no RLIMIT_AS");
    unsigned char *p = malloc(10 * T_MIB);
    T_EXPECT(p != NULL, "10 MiB of 64");
    if (!p) return;
    t_fill(p, 10 * T_MIB, 3);
    errno = 0;
    void *q = realloc(p, t_opaque(500 * T_MIB));
    T_EXPECT(q == NULL && errno == ENOMEM, "500 MiB of 64: %p", q);
    T_EXPECT(t_holds(p, 10 * T_MIB, 3), "contents after a failed realloc");
    free(p);
    p = malloc(1000);
    T_EXPECT(p != NULL, "a small block after it");
    free(p);
}

static void goes_back(void)
{
    static char *p[512];
    size_t before = t_resident();
    for (int i = 0; i < 512; i++) {
        p[i] = malloc(T_MIB);
        memset(p[i], 1, T_MIB);
    }
    T_EXPECT(t_resident() > before + 500 * T_MIB, "resident with 512 MiB: %zu", t_resident());
    for (int i = 0; i < 512; i++) free(p[i]);
    int rc = malloc_trim(0);
    T_EXPECT(rc == 1 || !t_on_hakmem(), "malloc_trim said %d", rc);
    T_EXPECT(t_resident() < before + 16 * T_MIB, "resident after: %zu, before: %zu", t_resident(),
             before);
}

/* Without a word from the program: time and a little use are enough. */
static void goes_back_by_itself(void)
{
    static char *p[256];
    T_SKIP_IF(!t_on_hakmem(), "glibc does not promise it");
    size_t before = t_resident();
    for (int i = 0; i < 256; i++) {
        p[i] = malloc(T_MIB);
        memset(p[i], 1, T_MIB);
    }
    for (int i = 0; i < 256; i++) free(p[i]);
    for (int i = 0; i < 2000 && t_resident() > before + 32 * T_MIB; i++) {
        void *some[100];
        for (int k = 0; k < 100; k++) some[k] = malloc((size_t)k * 40 + 1);
        for (int k = 0; k < 100; k++) free(some[k]);
        free(malloc(100000));
        usleep(1000);
    }
    T_EXPECT(t_resident() <= before + 32 * T_MIB, "resident: %zu, before: %zu", t_resident(),
             before);
}

int main(void)
{
    t_isolated("memory runs out and comes back", runs_out);
    t_isolated("a failed realloc keeps the block", realloc_keeps);
    t_isolated("malloc_trim returns what is free", goes_back);
    t_isolated("idle memory goes back by itself", goes_back_by_itself);
    return hktest_done();
}
