/* SPDX-License-Identifier: MIT */
/*
 * What: the handler of SIGSEGV.
 * Why: see trap.h. All it calls is async-signal-safe.
 */
#include "os/trap.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

static void (*asked)(const void *at);
static bool installed;
/* What was there before: all of struct sigaction that counts when it is called. */
static struct {
    union {
        void (*plain)(int sig);
        void (*full)(int sig, siginfo_t *info, void *context);
    } handler;
    int flags;
} before;

static void set_default(void)
{
    struct sigaction fresh = {.sa_handler = SIG_DFL};
    sigaction(SIGSEGV, &fresh, NULL);
}

/* T1. A fault that nobody handles comes again when this returns, and then it is the kernel's. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0;
    if (before.flags & SA_SIGINFO) {
        before.handler.full(sig, info, context);
    } else if (before.handler.plain != SIG_DFL && before.handler.plain != SIG_IGN) {
        before.handler.plain(sig);
    } else if (before.handler.plain == SIG_DFL || !sent) {
        set_default();
        if (sent) raise(sig);
    }
}

static void trap(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    if (info->si_code > 0) asked(info->si_addr);
    errno = saved;
    if (HK_UNLIKELY(before.flags & (int)SA_RESETHAND)) set_default();
    pass_on(sig, info, context);
}

void hk_trap_start(void (*look)(const void *at))
{
    struct sigaction was, mine;
    if (installed || sigaction(SIGSEGV, NULL, &was)) return;
    installed = true;
    asked = look;
    before.flags = was.sa_flags;
    if (was.sa_flags & SA_SIGINFO)
        before.handler.full = was.sa_sigaction;
    else
        before.handler.plain = was.sa_handler;
    mine = was; /* its mask too, and whether it may nest */
    mine.sa_sigaction = trap;
    mine.sa_flags = (was.sa_flags & (SA_NODEFER | SA_RESTART)) | SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &mine, NULL);
}
