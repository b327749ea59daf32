/* SPDX-License-Identifier: MIT */
/*
 * What: filters of system calls by name: some allowed, some forbidden with EPERM, and a stop with a
 *   word about it at all others.
 * Why: sandboxes are such filters.
 */
#ifndef HK_TESTS_API_FILTERS_H
#define HK_TESTS_API_FILTERS_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "support.h"

#define STOPPED  3  /* exit code of who made a call that is not on the list */
#define FILTERED 32 /* rules of a filter, at most */

static _Noreturn void leave(const char *why, int code)
{
    printf("# %s\n", why);
    fflush(stdout);
    _exit(code);
}

static const struct {
    const char *name;
    long nr;
} known[] = {
    {"mmap", SYS_mmap},
    {"munmap", SYS_munmap},
    {"madvise", SYS_madvise},
    {"mremap", SYS_mremap},
    {"futex", SYS_futex},
    {"sched_yield", SYS_sched_yield},
    {"getrusage", SYS_getrusage},
    {"mbind", SYS_mbind},
    {"get_mempolicy", SYS_get_mempolicy},
    {"set_mempolicy", SYS_set_mempolicy},
    {"getcpu", SYS_getcpu},
    {"sched_getaffinity", SYS_sched_getaffinity},
    {"rseq", SYS_rseq},
    {"clock_gettime", SYS_clock_gettime},
    {"sched_setaffinity", SYS_sched_setaffinity},
    {"write", SYS_write},
    /* what a program does when it or a thread ends, and the kernel when it was stopped */
    {"exit", SYS_exit},
    {"exit_group", SYS_exit_group},
    {"rt_sigprocmask", SYS_rt_sigprocmask},
    {"restart_syscall", SYS_restart_syscall},
};

struct filter {
    unsigned n;
    struct sock_filter op[2 * FILTERED + 2];
};

static void rule(struct filter *f, const char *name, size_t len, uint32_t action)
{
    size_t k = 0;
    while (k < T_COUNT(known) && (strncmp(known[k].name, name, len) || known[k].name[len])) k++;
    if (k == T_COUNT(known)) {
        printf("# this test does not know %.*s\n", (int)len, name);
        leave("which hakmem(7) may have new", T_EXIT_FAILED);
    }
    if (f->n == 0)
        f->op[f->n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                     offsetof(struct seccomp_data, nr));
    if (f->n > 2 * FILTERED - 2) leave("too many rules", T_EXIT_FAILED);
    f->op[f->n++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)known[k].nr, 0, 1);
    f->op[f->n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
}

/* Names with commas between. */
static void rules(struct filter *f, const char *names, uint32_t action)
{
    for (size_t len; *names; names += len + (names[len] == ',')) {
        len = strcspn(names, ",");
        rule(f, names, len, action);
    }
}

/* For all threads, with that answer to all other calls. */
static void install(struct filter *f, uint32_t action)
{
    f->op[f->n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    struct sock_fprog program = {(unsigned short)f->n, f->op};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        leave("no filters of system calls here", T_EXIT_SKIPPED);
}

/* The default action of this signal is what a sandbox does; this names the call before. */
static void stopped(int sig, siginfo_t *info, void *context)
{
    char text[96];
    const char *name = "of this number";
    for (size_t k = 0; k < T_COUNT(known); k++)
        if (known[k].nr == info->si_syscall) name = known[k].name;
    int n = snprintf(text, sizeof text, "# stopped at call %d: %s\n", info->si_syscall, name);
    (void)sig, (void)context;
    if (write(1, text, (size_t)n) != n) _exit(T_EXIT_FAILED);
    _exit(STOPPED);
}

/* Some clocks cannot be read without the kernel, whoever reads them. */
static bool clock_calls(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct filter f = {0, {{0}}};
        struct timespec ts;
        rules(&f, "clock_gettime", SECCOMP_RET_ERRNO | EPERM);
        install(&f, SECCOMP_RET_ALLOW);
        _exit(clock_gettime(CLOCK_MONOTONIC, &ts) != 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) leave("no child", T_EXIT_FAILED);
    return status != 0;
}

#endif
