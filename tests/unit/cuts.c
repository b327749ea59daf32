/* SPDX-License-Identifier: MIT */
/*
 * What: free goes instruction by instruction, and after each the slab's record is looked at: a
 * block is never on the list before it is counted.
 *
 * Why: free has no flag that tells a fork that it is under way; a child may see it cut anywhere.
 * The compiler may reorder what the source says, so only machine code can be asked: here that of
 * the unit tests' library, built with the same flags.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/fast.h"
#include "hakmem.h"
#include "hktest.h"

#define STEPS_MAX 100000

static uintptr_t peek(pid_t child, const void *at)
{
    errno = 0;
    return (uintptr_t)ptrace(PTRACE_PEEKDATA, child, at, NULL);
}

/* Instructions until the child ends; bad: after how many of them a block was listed, not counted.
 */
static long watch(pid_t child, const struct hk_unit *u, const void *p, uint32_t needed, long *bad)
{
    int status;
    for (long n = 0; n < STEPS_MAX; n++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) return -1;
        if (waitpid(child, &status, 0) != child) return -1;
        if (WIFEXITED(status)) return n;
        uint32_t now;
        uintptr_t word = peek(child, &u->needed);
        memcpy(&now, &word, sizeof now);
        if (peek(child, &u->free) == (uintptr_t)p && now == needed && !*bad) *bad = n;
    }
    return -1;
}

static void cut(size_t size)
{
    void *keep[4], *p = NULL;
    for (int i = 0; i < 4; i++) keep[i] = hakmem_malloc(size);
    p = keep[3];
    struct hk_unit *u = hk_slab_first(hk_unit_of(p));
    uint32_t needed = u->needed;
    long bad = 0, steps = -1;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(77);
        raise(SIGSTOP);
        hakmem_free(p);
        _exit(0);
    }
    int status = 0;
    bool traced = child > 0 && waitpid(child, &status, 0) == child && WIFSTOPPED(status);
    if (traced) steps = watch(child, u, p, needed, &bad);
    if (!traced) {
        hktest_ok(true, "%zu bytes: may not be traced here # SKIP", size);
        return;
    }
    hktest_ok(steps > 0, "%zu bytes: %ld instructions were watched", size, steps);
    hktest_ok(bad == 0, "%zu bytes: counted before it is listed, step %ld", size, bad);
    if (steps < 0) kill(child, SIGKILL);
    for (int i = 0; i < 4; i++) hakmem_free(keep[i]);
}

int main(void)
{
    cut(64);
    cut(2000);
    cut(12000);
    return hktest_done();
}
