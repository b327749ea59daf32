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
#include "core/knobs.h"
#include "front/fast.h"
#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

static pthread_key_t thread_key;
static _Atomic int have_key;

/* glibc runs key destructors up to four rounds; ours parks the heap in the first, and the thread
 * is a guest from then on: later destructors may still malloc and free. */
static void thread_ended(void *arg HK_UNUSED)
{
    hk_heap_park(&hk_thread);
}

static void thread_born(void)
{
    /* The value only has to be non-NULL. A key below 32 costs no allocation. */
    if (atomic_load_explicit(&have_key, memory_order_acquire))
        pthread_setspecific(thread_key, &hk_thread);
}

static void fork_prepare(void)
{
    hk_front_fork_prepare();
}

static void fork_parent(void)
{
    hk_fork_end();
}

static void fork_child(void)
{
    hk_front_fork_child();
}

__attribute__((constructor(101))) void hk_boot(void)
{
    int saved = errno;
    if (pthread_key_create(&thread_key, thread_ended) == 0) {
        atomic_store_explicit(&have_key, 1, memory_order_release);
        hk_thread_born = thread_born;
        if (hk_thread.heap) thread_born();
    }
    pthread_atfork(fork_prepare, fork_parent, fork_child);
    if (!hk_sys_secure() && hk_knobs_read(environ) && hk_knob_value(HK_KNOB_strict)) {
        hk_warn("HAKMEM_STRICT is set: stopping", NULL, NULL);
        _exit(1);
    }
    errno = saved;
}

__attribute__((destructor(101))) static void end(void)
{
    if (!hk_knob_value(HK_KNOB_stats)) return;
    const char *path = hk_knob_text(HK_KNOB_stats_file);
    int fd = path ? hk_sys_open_output(path) : STDERR_FILENO;
    if (fd < 0) {
        hk_warn("cannot write statistics to ", path, NULL);
        return;
    }
    hakmem_stats_write(fd);
    if (path) hk_sys_close(fd);
}
