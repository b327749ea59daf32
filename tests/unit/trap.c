/* SPDX-License-Identifier: MIT */
/*
 * What: what becomes of SIGSEGV that is none of the library's business: each kind of handler that
 *   was there before, ignored, the default; by a fault and sent.
 * Why: who looks first must not be seen by who looks next.
 */
#include "os/trap.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "hktest.h"

#define THERE ((char *)16) /* nothing is */

static const void *volatile looked;
static char *volatile target = THERE;
static volatile int calls;
static sigjmp_buf back;
static char other_stack[64 << 10];
static volatile int depth;

static void look(const void *at)
{
    looked = at;
    errno = 5;
}

static void fault(void)
{
    *target = 1;
}

static void send(void)
{
    raise(SIGSEGV);
}

/* ---- who was there before: they leave with a status that tells what they saw ---- */

static void plain(int sig)
{
    _exit(sig == SIGSEGV && errno == 77 ? 40 : 1);
}

static void full(int sig, siginfo_t *info, void *context)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    bool masked = sigismember(&now, SIGUSR1) == 1;
    _exit(sig == SIGSEGV && info->si_addr == THERE && context && masked ? 41 : 1);
}

static void jumps(int sig)
{
    if (sig == SIGSEGV && ++calls < 4) siglongjmp(back, 1);
    _exit(42);
}

static void once(int sig)
{
    if (sig != SIGSEGV || calls++) _exit(1);
}

static void by_depth(int sig)
{
    char here;
    _exit(sig == SIGSEGV && &here > other_stack && &here < other_stack + sizeof other_stack ? 43
                                                                                            : 1);
}

static void before(void (*handler)(int), int flags)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGSEGV, &a, NULL);
    hk_trap_start(look);
    hk_trap_start(look); /* the second time changes nothing */
    errno = 77;
}

static void nobody(void)
{
    before(SIG_DFL, 0);
}

static void deaf(void)
{
    before(SIG_IGN, 0);
}

static void a_plain_one(void)
{
    before(plain, 0);
}

static void a_full_one(void)
{
    struct sigaction a = {.sa_sigaction = full, .sa_flags = SA_SIGINFO};
    sigaddset(&a.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &a, NULL);
    hk_trap_start(look);
}

static void one_that_jumps(void)
{
    before(jumps, SA_NODEFER);
}

static void fault_again(void)
{
    sigsetjmp(back, 0); /* the mask is not put back: that the signal may nest is what counts */
    fault();
}

static void one_for_once(void)
{
    before(once, (int)SA_RESETHAND);
}

static void another_stack(void)
{
    stack_t s = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    sigaltstack(&s, NULL);
    before(by_depth, SA_ONSTACK);
}

static int descend(int n)
{
    char here[4096];
    memset(here, n, sizeof here);
    depth = here[n % 50];
    return n ? descend(n - 1) + here[n % 100] : 0;
}

static void sink(void)
{
    depth = descend(1 << 20);
}

/* How a child ends: the signal, or the status, negative. */
static int end_of(void (*there)(void), void (*f)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        there();
        f();
        _exit(looked == NULL ? 7 : 8);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) hktest_bail("no child");
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

int main(void)
{
    static const struct {
        void (*there)(void), (*f)(void);
        int end;
        const char *what;
    } cases[] = {
        {nobody, fault, SIGSEGV, "a fault that nobody handles"},
        {nobody, send, SIGSEGV, "a signal that was sent, and nobody handles"},
        {deaf, fault, SIGSEGV, "a fault cannot be ignored"},
        {deaf, send, -7, "a signal that was sent is, if the program says so"},
        {a_plain_one, fault, -40, "a handler of old, errno kept"},
        {a_plain_one, send, -40, "and for what was sent"},
        {a_full_one, fault, -41, "one that asks where, with its mask"},
        {one_that_jumps, fault_again, -42, "one that jumps out, again and again"},
        {one_for_once, fault, SIGSEGV, "one for one time"},
        {another_stack, sink, -43, "one on its own stack, when the other one is full"},
        {nobody, sink, SIGSEGV, "a stack that is full"},
    };
    if (HK_TSAN) {
        hktest_skip("handlers", "the thread sanitizer's own wrapper changes errno and flags");
        return hktest_done();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int end = end_of(cases[i].there, cases[i].f);
        hktest_ok(end == cases[i].end, "%s: %d", cases[i].what, end);
    }
    return hktest_done();
}
