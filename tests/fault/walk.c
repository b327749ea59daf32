/* SPDX-License-Identifier: MIT */
/*
 * What: the fault walk: each load is run again and again, each time with another system call
 *   failing: the first, the second … of its kind, with each errno it can have, once and from then
 *   on, until no call is left to fail. Arguments: of how many of the first calls of a kind all
 * errors are tried, of the others one (0: of all), how often a load goes round, which load. Why: a
 * path that only runs when the kernel says no is never met by chance. Each run is a process of its
 * own, before whose fork the library has made no call: runs depend on nothing.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/units.h"
#include "fault.h"
#include "hktest.h"

#define FAILED_MAX 20 /* of a load: one that breaks off never comes to its last call */

#define HANG_SECONDS 30
#define MOST_SHOWN   10

/* From the manual pages; EPERM and ENOSYS are what filters say. */
static const int how[HK_FAULT_CALLS][9] = {
    [HK_FAULT_MMAP] = {ENOMEM, EAGAIN, EPERM, EACCES, EINVAL, ENFILE, HK_FAULT_ELSEWHERE},
    [HK_FAULT_MUNMAP] = {ENOMEM, EINVAL, EPERM},
    [HK_FAULT_MREMAP] = {ENOMEM, EAGAIN, EFAULT, EINVAL, EPERM},
    [HK_FAULT_MADVISE] = {ENOMEM, EINVAL, EAGAIN, EPERM, EIO, EBADF, ENOSYS, HK_FAULT_HALF},
    [HK_FAULT_MPROTECT] = {ENOMEM, EACCES, EINVAL, EPERM},
    [HK_FAULT_FUTEX] = {EAGAIN, EINTR, ETIMEDOUT, EINVAL, EPERM, ENOSYS},
    [HK_FAULT_YIELD] = {EPERM, ENOSYS},
    [HK_FAULT_GETRUSAGE] = {EINVAL, EFAULT, EPERM, ENOSYS},
    [HK_FAULT_MBIND] = {EINVAL, EPERM, ENOMEM, EIO, EFAULT, ENOSYS},
    [HK_FAULT_GET_MEMPOLICY] = {EINVAL, EPERM, EFAULT, ENOSYS},
    [HK_FAULT_OPEN] = {ENOENT, EACCES, EMFILE, ENFILE, EINTR, EPERM, ENOMEM},
    [HK_FAULT_READ] = {EIO, EINTR, EAGAIN, EISDIR, EBADF, EPERM},
    [HK_FAULT_WRITE] = {EIO, EAGAIN, ENOSPC, EBADF, EPIPE, EPERM},
    [HK_FAULT_CLOSE] = {EINTR, EIO, EPERM},
    [HK_FAULT_MEMORY] = {ENOMEM, EPERM},
};

bool forked;

/* What a run tells, in memory that its process shares with this one. */
static struct told {
    unsigned seen[HK_FAULT_CALLS], hits, nulls, wrongs;
    bool ended;
    char what[200];
} * told;

/* Of a call and a load, or of a call in all. */
struct sum {
    unsigned calls, injected, runs, nulls, nulls_of_one;
};
static struct sum sums[HK_FAULT_CALLS];
static unsigned failed, rounds = 1;

void wrong(const char *file, int line, const char *what)
{
    if (told->wrongs++) return;
    snprintf(told->what, sizeof told->what, "%s:%d: not so: %s", file, line, what);
}

/* Everything is freed, and the kernel says yes: nothing is left but what records there are. */
static void emptied(void)
{
    drop_many(0, BLOCKS);
    hakmem_trim(0);
    hk_fault_clock_move(2 * HK_REFUSED_MS); /* what was refused is tried again then */
    hakmem_trim(0);
    look();
    struct hk_found left = hk_check_all();
    EXPECT(left.unlisted == 0);
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    hakmem_stats(&s);
    EXPECT(left.live == 0 && left.runs == 0 && left.guarded == 0 && left.mapped_bytes == 0 &&
           left.left_bytes == 0);
    EXPECT(left.cached == 0 && left.remote == 0 && left.held_units == 0);
    EXPECT(left.slab_units == 0);
    EXPECT(s.used_bytes == left.meta_units * HK_UNIT_BYTES);
    EXPECT(s.free_dirty_bytes == 0);
}

static void take_one(void)
{
    drop(BLOCKS - 1);
    take(BLOCKS - 1, 1, PLAIN, 1);
}

/* The kernel says yes again: memory of every kind is to be had. */
static void recovered(void)
{
    static const size_t sizes[] = {1, 100, 1000, 5000, 30000, 100 * KIB, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        EXPECT(block[i].p || take(i, sizes[i], i % 2 ? ZERO : PLAIN, 1));
        EXPECT(resize(i, block[i].n * 2));
    }
    /* New threads get the heaps of those that ended, also where no list of them could be made. */
    for (size_t n = hk_check_all().unlisted; n > 0; n--) in_thread(take_one);
}

static void run(const struct load *l, const struct hk_fault *f)
{
    alarm(HANG_SECONDS);
    hk_fault_clock_stop();
    nulls_may_be = (f->call == HK_FAULT_MMAP || f->call == HK_FAULT_MEMORY) && f->sticky;
    hk_fault_arm(f);
    for (unsigned round = 0; round < rounds; round++) {
        if (round) drop_many(0, BLOCKS);
        l->run();
    }
    hk_fault_disarm();
    forgive();
    told->nulls = nulls;
    nulls_may_be = false;
    for (unsigned i = 0; i < HK_FAULT_CALLS; i++) told->seen[i] = atomic_load(&hk_fault_seen[i]);
    told->hits = atomic_load(&hk_fault_hits);
    look();
    recovered();
    emptied();
    told->ended = true;
}

static void say(const struct load *l, const struct hk_fault *f, int status)
{
    if (failed++ >= MOST_SHOWN) return;
    printf("# %s: %s no. %u%s, %d (%s): ", l->name, hk_fault_name[f->call], f->nth,
           f->sticky ? " and all after" : "", f->how, f->how > 0 ? strerror(f->how) : "special");
    if (told->wrongs) printf("%s; %u in all; ", told->what, told->wrongs);
    printf("%s %#x\n", told->ended ? "ended," : "broken off, status", (unsigned)status);
    fflush(stdout);
}

/* In a process of its own; what it told is in *told. */
static void go(const struct load *l, const struct hk_fault *f)
{
    int status = -1;
    memset(told, 0, sizeof *told);
    pid_t child = fork();
    if (child == 0) {
        run(l, f);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) hktest_bail("no child");
    if (status || !told->ended || told->wrongs) say(l, f, status);
}

/* An errno of the n-th call, once and from then on; whether there is such a call. */
static bool walk_how(const struct load *l, enum hk_fault_call call, unsigned n, int e)
{
    bool any = false;
    for (unsigned sticky = 0; sticky < 2; sticky++) {
        struct hk_fault f = {call, n, e, sticky};
        go(l, &f);
        sums[call].injected += told->hits;
        sums[call].runs++;
        sums[call].nulls += told->nulls;
        if (!sticky) sums[call].nulls_of_one += told->nulls;
        any |= told->hits || !told->ended;
    }
    return any;
}

/* All errors, or the first one and what is more than an errno; whether there is such a call. */
static bool walk_one(const struct load *l, enum hk_fault_call call, unsigned n, bool all)
{
    if (!walk_how(l, call, n, how[call][0])) return false;
    for (unsigned e = 1; how[call][e]; e++) {
        if (all || how[call][e] < 0) walk_how(l, call, n, how[call][e]);
    }
    return true;
}

static void walk(const struct load *l, unsigned each)
{
    const struct hk_fault none = {.call = HK_FAULT_CALLS};
    unsigned before = failed, injected = 0, calls[HK_FAULT_CALLS];
    go(l, &none);
    memcpy(calls, told->seen, sizeof calls);
    for (unsigned call = 0; call < HK_FAULT_CALLS; call++) {
        unsigned n = 1, was = sums[call].injected;
        while (failed - before < FAILED_MAX && walk_one(l, call, n, !each || n <= each)) n++;
        sums[call].calls += calls[call];
        injected += sums[call].injected - was;
        if (calls[call])
            printf("# %s: %u of %s, %u failures injected\n", l->name, calls[call],
                   hk_fault_name[call], sums[call].injected - was);
    }
    hktest_ok(failed == before, "%s: %u failures injected", l->name, injected);
}

/* One CPU, so that threads come in one order, and one shard serves them. */
static void stay_here(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

int main(int argc, char **argv)
{
    unsigned each = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
    if (argc > 2) rounds = (unsigned)atoi(argv[2]);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) hktest_bail("no memory");
    atomic_store(&hk_fault_mapped, 0);
    stay_here();
    for (size_t i = 0; i < load_count; i++) {
        if (argc < 4 || !strcmp(argv[3], loads[i].name)) walk(&loads[i], each);
    }
    unsigned all = 0;
    for (unsigned call = 0; call < HK_FAULT_CALLS; call++) {
        const struct sum *s = &sums[call];
        printf(
            "# %-14s %4u calls, %7u failures injected in %5u runs, NULLs: %u, of one failure: %u\n",
            hk_fault_name[call], s->calls, s->injected, s->runs, s->nulls, s->nulls_of_one);
        all += sums[call].injected;
    }
    hktest_ok(failed == 0 && all > 0, "%u failures injected in all, %u runs went wrong", all,
              failed);
    return hktest_done();
}
