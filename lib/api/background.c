/* SPDX-License-Identifier: MIT */
/*
 * What: the thread that looks after idle memory in a process that makes no calls, if asked for.
 * Why: without it memory goes back when a thread comes by. It is off by default, as threads break
 *   unshare(2), sandboxes and programs that count theirs.
 * Threads: it has no heap, blocks all signals, and never ends. A child of fork has none.
 */
#include <pthread.h>
#include <signal.h>

#include "api/api.h"
#include "front/front.h"
#include "os/probe.h"
#include "os/sys.h"

#define LOOK_MS     250u /* while a look brings something, */
#define STACK_BYTES ((size_t)(256 * HK_KIB))
#define SLEEP_MS    4000u /* and up to that when it does not, doubling */

static void *look_after(void *arg)
{
    uint64_t ms = LOOK_MS;
    hk_probe_quiet();
    for (;;) {
        _Atomic uint32_t nobody = 0;
        hk_sys_wait(&nobody, 0, ms * 1000000);
        bool useful = hk_front_look_after();
        ms = useful || hk_policy_restless() ? LOOK_MS : ms < SLEEP_MS ? 2 * ms : SLEEP_MS;
    }
    return arg;
}

void hk_background_start(void)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t t;
    sigfillset(&all);
    if (pthread_attr_init(&attr) != 0) return;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&t, &attr, look_after, NULL) == 0) pthread_setname_np(t, "hakmem");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}
