/* SPDX-License-Identifier: MIT */
/*
 * What: HAKMEM_LIMIT and hakmem_set_limit: what fits is served, whatever lies about in caches; what
 *   does not is refused with ENOMEM and harms nothing; resident memory stays below.
 * Why: a limit that refuses while memory lies about free is worse than none.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "support.h"

#define LIMIT  (64 * T_MIB)
#define SLACK  (6 * T_MIB) /* the program, its stacks, records */
#define BLOCKS 100000
#define ROUNDS 40

static unsigned char *block[BLOCKS];
static void (*set_limit)(size_t);

/* Blocks of n bytes, touched, until one is refused; how many. */
static size_t fill_up(size_t n)
{
    size_t got = 0;
    errno = 0;
    while (got < BLOCKS && (block[got] = malloc(n))) memset(block[got++], 1, n);
    T_EXPECT(got == BLOCKS || errno == ENOMEM, "%zu bytes refused with errno %d", n, errno);
    return got;
}

static void empty(size_t n)
{
    while (n) free(block[--n]);
}

static void all_of_it(void)
{
    static const size_t size[] = {1000, 1500, 12000, 65536, 1000000, 3 * T_MIB};
    for (int twice = 0; twice < 2; twice++) {
        for (size_t i = 0; i < T_COUNT(size); i++) {
            size_t got = fill_up(size[i]), sum = got * size[i];
            T_EXPECT(sum > LIMIT / 4 * 3 && sum <= LIMIT, "%zu KiB in blocks of %zu", sum / T_KIB,
                     size[i]);
            T_EXPECT(t_resident() < LIMIT + SLACK, "%zu KiB resident", t_resident() / T_KIB);
            empty(got);
        }
    }
}

/* 40 MiB of one size after another: what the last thread left must make room. */
static void *peak(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    size_t n = 16 + t_random_size(&seed, 20), count = 40 * T_MIB / (n + n / 4 + 32);
    if (count > BLOCKS) count = BLOCKS;
    for (size_t i = 0; i < count; i++) {
        block[i] = malloc(n);
        T_EXPECT(block[i] != NULL, "block %zu of %zu bytes", i, n);
        if (!block[i]) return empty(i), NULL;
        memset(block[i], 1, n);
    }
    T_EXPECT(t_resident() < LIMIT + SLACK, "%zu KiB resident", t_resident() / T_KIB);
    empty(count);
    return NULL;
}

static void caches_make_room(void)
{
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, peak, (void *)(i + 1))) abort();
        pthread_join(t, NULL);
    }
}

static void growth(void)
{
    size_t n = 3 * T_MIB;
    unsigned char *p = malloc(n), *fence = malloc(T_MIB), *q = p;
    t_fill(p, n, 5);
    for (; q && n < 2 * LIMIT; n += n / 4) {
        errno = 0;
        q = realloc(p, n + n / 4);
        if (q) p = q;
    }
    T_EXPECT(!q && errno == ENOMEM && n > LIMIT / 3, "stops at %zu KiB with errno %d", n / T_KIB,
             errno);
    T_EXPECT(t_holds(p, 3 * T_MIB, 5), "the block that could not grow");
    q = realloc(p, T_MIB);
    T_EXPECT(q && t_holds(q, T_MIB, 5), "it can shrink");
    free(q);
    free(fence);
    empty(fill_up(T_MIB));
}

static void changed(void)
{
    set_limit(LIMIT / 4);
    size_t got = fill_up(T_MIB);
    T_EXPECT(got <= 16 && got > 12, "%zu MiB of 16", got);
    set_limit(0);
    size_t more = 0;
    for (; more < 100; more++) {
        if (!(block[got + more] = malloc(T_MIB))) break;
        memset(block[got + more], 1, T_MIB);
    }
    T_EXPECT(more == 100, "%zu MiB without a limit", more);
    set_limit(LIMIT / 4);
    T_EXPECT(malloc(T_MIB) == NULL, "it came too late for what is there, not for more");
    for (size_t i = 0; i < got + more; i++) T_EXPECT(block[i][T_MIB - 1] == 1, "block %zu", i);
    empty(got + more);
    T_EXPECT((got = fill_up(T_MIB)) > 12, "%zu MiB of 16 again", got);
    T_EXPECT(t_resident() < LIMIT / 4 + SLACK, "%zu KiB resident", t_resident() / T_KIB);
    empty(got);
}

int main(int argc, char **argv)
{
    if (argc == 1) { /* again, with a limit from the start */
        char *again[] = {argv[0], (char[]){"limited"}, NULL};
        setenv("HAKMEM_LIMIT", "64M", 1);
        execv("/proc/self/exe", again);
        hktest_bail("cannot run itself again");
    }
    set_limit = (void (*)(size_t))dlsym(RTLD_DEFAULT, "hakmem_set_limit");
    if (!set_limit) {
        hktest_skip("softlimit", "not on hakmem");
        return hktest_done();
    }
    t_isolated("all of it is there, and no more", all_of_it);
    t_isolated("what others left in caches makes room", caches_make_room);
    t_isolated("a block that may not grow stays", growth);
    t_isolated("a limit that changes", changed);
    return hktest_done();
}
