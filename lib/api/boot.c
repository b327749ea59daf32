/* SPDX-License-Identifier: MIT */
/*
 * What: the library's start and end in a process: knobs, thread-end hook, fork hooks, statistics.
 * Why: malloc works before any of this has run; the constructor only adds what needs the C
 *   library to be up. No system call is made here unless the user asked for something.
 * Threads: the constructor runs alone; the hooks run in any thread.
 */
#include <pthread.h>
#include <unistd.h>

#include "api/api.h"
#include "api/checked.h"
#include "core/knobs.h"
#include "core/pool.h"
#include "front/fast.h"
#include "large/dense.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

static pthread_key_t thread_key;
static _Atomic uint32_t key_state; /* of enum key */
enum key { KEY_UNTRIED, KEY_BEING_MADE, KEY_MADE, KEY_REFUSED };

/* What C++ uses for thread_local destructors; there when all keys are taken. */
extern int __cxa_thread_atexit_impl(void (*f)(void *), void *arg, void *dso) HK_WEAK;
extern void *__dso_handle;

/* glibc runs key destructors up to four rounds; ours parks the heap in the first, and the thread
 * is a guest from then on: later destructors may still malloc and free. */
static void thread_ended(void *arg)
{
    hk_probe_quiet();
    hk_heap_park(arg);
    hk_probe_loud();
}

/* Made with the first heap, which may be before the constructor: others' run before ours. */
static uint32_t make_key(void)
{
    uint32_t state = KEY_UNTRIED;
    if (atomic_compare_exchange_strong_explicit(&key_state, &state, KEY_BEING_MADE,
                                                memory_order_acquire, memory_order_acquire)) {
        state = pthread_key_create(&thread_key, thread_ended) == 0 ? KEY_MADE : KEY_REFUSED;
        atomic_store_explicit(&key_state, state, memory_order_release);
    }
    while (state == KEY_BEING_MADE) {
        hk_sys_yield();
        state = atomic_load_explicit(&key_state, memory_order_acquire);
    }
    return state;
}

void hk_thread_born(struct hk_thread *t)
{
    uint32_t state = atomic_load_explicit(&key_state, memory_order_acquire);
    if (HK_UNLIKELY(state < KEY_MADE)) state = make_key();
    /* A key below 32 costs no allocation; another one comes back to us, who have a heap by now. */
    int saved = errno;
    bool done = state == KEY_MADE && pthread_setspecific(thread_key, t) == 0;
    if (!done && __cxa_thread_atexit_impl) __cxa_thread_atexit_impl(thread_ended, t, &__dso_handle);
    errno = saved; /* of an allocation of theirs that failed */
}

static void fork_prepare(void)
{
    hk_probe_quiet();
    hk_checked_fork_prepare();
    hk_front_fork_prepare();
    hk_probe_loud();
}

static void fork_parent(void)
{
    hk_probe_quiet();
    hk_fork_end();
    hk_probe_loud();
}

static void fork_child(void)
{
    hk_probe_quiet();
    uint32_t half = KEY_BEING_MADE; /* by a thread that is not here */
    atomic_compare_exchange_strong_explicit(&key_state, &half, KEY_REFUSED, memory_order_relaxed,
                                            memory_order_relaxed);
    hk_deep_fork_child();
    hk_checked_fork_child();
    hk_front_fork_child();
    hk_probe_loud();
}

__attribute__((constructor(101))) void hk_boot(void)
{
    hk_probe_quiet();
    int saved = errno;
    make_key(); /* early, while keys below 32 are free */
    pthread_atfork(fork_prepare, fork_parent, fork_child);
    hk_settings_start();
    errno = saved;
    hk_probe_loud();
}

static void write_to(const char *path, void (*write)(int fd))
{
    int fd = path ? hk_sys_open_output(path) : STDERR_FILENO;
    if (fd < 0) {
        hk_warn("cannot write to ", path, NULL);
        return;
    }
    write(fd);
    if (path) hk_sys_close(fd);
}

static void write_policy(int fd)
{
    hakmem_policy_dump(fd, 1);
}

__attribute__((destructor(101))) static void end(void)
{
    hk_probe_quiet();
    const char *policy = hk_knob_text(HK_KNOB_policy_file);
    if (policy) write_to(policy, write_policy);
    if (hk_knob_value(HK_KNOB_stats))
        write_to(hk_knob_text(HK_KNOB_stats_file), hakmem_stats_write);
    hk_front_end();
    hk_checked_end();
    hk_probe_loud();
}
