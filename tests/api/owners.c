/* SPDX-License-Identifier: MIT */
/*
 * What: memory whose threads have ended, freed by others: it comes back to the system.
 * Why: blocks that wait in a dead or idle thread's mailbox are lost for everybody; only the
 *   resident size tells. What glibc does not promise here is only expected of hakmem.
 */
#include <malloc.h>
#include <pthread.h>

#include "support.h"

#define OWNERS      6
#define OWNER_BYTES (24 * T_MIB)
#define SLACK       (24 * T_MIB) /* of 144 MiB */

struct link {
    struct link *next;
    size_t n;
};

static struct link *chain[OWNERS];
static unsigned size_bits;
static _Atomic int idle_go_on;

static void make_chain(size_t me)
{
    uint64_t seed = me + 1;
    for (size_t bytes = 0; bytes < OWNER_BYTES;) {
        size_t n = sizeof(struct link) + t_random_size(&seed, size_bits);
        struct link *l = malloc(n);
        T_EXPECT(l != NULL, "malloc(%zu)", n);
        if (!l) return;
        memset(l, 0x5a, n);
        l->next = chain[me];
        l->n = n;
        chain[me] = l;
        bytes += n;
    }
}

static void *own_and_end(void *arg)
{
    make_chain((uintptr_t)arg);
    return NULL;
}

/* Lives on but never calls malloc again. */
static void *own_and_idle(void *arg)
{
    make_chain((uintptr_t)arg);
    idle_go_on++;
    while (idle_go_on >= 0) usleep(1000);
    return NULL;
}

static void *free_chain(void *arg)
{
    struct link **from = arg, *l;
    while ((l = *from) != NULL) {
        T_EXPECT(l->n > sizeof *l && ((unsigned char *)l)[l->n - 1] == 0x5a, "block %p", (void *)l);
        *from = l->next;
        free(l);
    }
    return NULL;
}

static void join_all(void *(*f)(void *), bool chains)
{
    pthread_t t[OWNERS];
    for (uintptr_t i = 0; i < OWNERS; i++)
        if (pthread_create(&t[i], NULL, f, chains ? (void *)&chain[i] : (void *)i) != 0) abort();
    for (int i = 0; i < OWNERS; i++) pthread_join(t[i], NULL);
}

static void expect_back(size_t before, const char *who)
{
    malloc_trim(0);
    size_t after = t_resident();
    T_EXPECT(after < before + SLACK || !t_on_hakmem(), "sizes to 2^%u, freed by %s: %zu -> %zu KiB",
             size_bits, who, before / T_KIB, after / T_KIB);
}

static void ended_freed_by_main(void)
{
    for (size_bits = 6; size_bits <= 18; size_bits += 4) {
        size_t before = t_resident();
        join_all(own_and_end, false);
        T_EXPECT(t_resident() > before + OWNERS * OWNER_BYTES / 2 || !t_on_hakmem(),
                 "nothing became resident");
        for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
        expect_back(before, "main");
    }
}

static void ended_freed_by_freers(void)
{
    for (size_bits = 6; size_bits <= 18; size_bits += 4) {
        size_t before = t_resident();
        join_all(own_and_end, false);
        join_all(free_chain, true);
        expect_back(before, "threads that only free");
    }
}

/* The next generation of threads finds what the last left, without any trim. */
static void ended_reused(void)
{
    size_t peak = 0;
    size_bits = 10;
    for (int round = 0; round < 12; round++) {
        join_all(own_and_end, false);
        if (t_resident() > peak && round < 3) peak = t_resident();
        T_EXPECT(t_resident() < peak + peak / 2, "round %d: %zu KiB, first %zu KiB", round,
                 t_resident() / T_KIB, peak / T_KIB);
        if (round & 1)
            join_all(free_chain, true);
        else
            for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
    }
}

/* Nobody takes the ended threads' place: main itself must get at what it freed for them. */
static void ended_reused_by_main(void)
{
    T_SKIP_IF(!t_on_hakmem(), "glibc's arenas do not share");
    size_bits = 12;
    join_all(own_and_end, false);
    size_t full = t_resident();
    for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
    for (size_t i = 0; i < OWNERS; i++) make_chain(i);
    T_EXPECT(t_resident() < full + full / 4, "%zu KiB by threads, %zu KiB by main after them",
             full / T_KIB, t_resident() / T_KIB);
    for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
}

static void idle_reused(void)
{
    pthread_t t[OWNERS];
    size_bits = 10;
    for (uintptr_t i = 0; i < OWNERS; i++)
        if (pthread_create(&t[i], NULL, own_and_idle, (void *)i) != 0) abort();
    while (idle_go_on < OWNERS) usleep(1000);
    size_t full = t_resident();
    for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
    idle_go_on = -1; /* they end, and leave what was sent to them */
    for (int i = 0; i < OWNERS; i++) pthread_join(t[i], NULL);
    for (int round = 0; round < 4; round++) {
        join_all(own_and_end, false);
        T_EXPECT(t_resident() < full + full / 2, "round %d: %zu KiB, first %zu KiB", round,
                 t_resident() / T_KIB, full / T_KIB);
        for (int i = 0; i < OWNERS; i++) free_chain(&chain[i]);
    }
    malloc_trim(0);
    T_EXPECT(t_resident() < full / 2 || !t_on_hakmem(), "at the end %zu KiB of %zu KiB",
             t_resident() / T_KIB, full / T_KIB);
}

int main(void)
{
    t_isolated("ended threads' blocks, freed by main", ended_freed_by_main);
    t_isolated("ended threads' blocks, freed by threads that only free", ended_freed_by_freers);
    t_isolated("ended threads' memory is used again", ended_reused);
    t_isolated("ended threads' memory is used by main", ended_reused_by_main);
    t_isolated("idle threads' memory is used again", idle_reused);
    return hktest_done();
}
