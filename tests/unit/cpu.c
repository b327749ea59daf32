/* SPDX-License-Identifier: MIT */
/*
 * What: where a thread runs, as told by kernels before 6.3, which have no node in the rseq area,
 *   with a vDSO and without: errno stays, both questions have one answer.
 * Why: malloc must not change errno, and a CPU of two names is looked up the slow way each time.
 */
#include <errno.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long (*const real)(unsigned long) = getauxval;
static unsigned long old_kernel(unsigned long what);
#define getauxval old_kernel
#include "os/cpu.c"
#undef getauxval
#include "hakmem.h"
#include "hktest.h"

static bool vdso;

static unsigned long old_kernel(unsigned long what)
{
    bool known = what != AUX_RSEQ_SIZE && (what != AUX_VDSO || vdso);
    if (!known) errno = ENOENT;
    return known ? real(what) : 0;
}

/* False if the thread may not run there. */
static bool run_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

enum { ERRNO_CHANGED = 1, TWO_ANSWERS = 2, WRONG_NODE = 4 };

static int faults_here(void)
{
    unsigned cpu = 0, node = 0;
    errno = 0;
    struct hk_cpu_place at = hk_cpu_now();
    uint32_t id = hk_cpu_id();
    hakmem_free(hakmem_malloc(3000000)); /* the first on this CPU asks for a shard */
    int faults = errno ? ERRNO_CHANGED : 0;
    if (at.cpu != id) faults |= TWO_ANSWERS;
    if (vdso && getcpu(&cpu, &node) == 0 && at.node != node) faults |= WRONG_NODE;
    return faults;
}

/* On every CPU there is, in a process of its own, as what is known is kept. */
static int faults(bool with_vdso)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        int all = 0;
        vdso = with_vdso;
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) all |= run_on(cpu) ? faults_here() : 0;
        _exit(all);
    }
    bool ended = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
    return ended ? WEXITSTATUS(status) : -1;
}

int main(void)
{
    int with = faults(true), without = faults(false);
    if (!have_area())
        hktest_skip("an old kernel", "no rseq area here");
    else
        hktest_ok(with == 0 && without == 0,
                  "a kernel that tells no node: faults %d, without a vDSO %d", with, without);
    return hktest_done();
}
