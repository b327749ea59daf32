/* SPDX-License-Identifier: MIT */
/*
 * What: dlopen, before the C library's: a plugin that is opened with RTLD_DEEPBIND gets this malloc
 *   all the same, and so does who opens the C library by name and looks for malloc in it.
 * Why: such a plugin binds the C library's malloc and free, but what strdup, getline and the
 * program give it are blocks of this one: its free of them ends the program (PHP's extensions; free
 * and strdup of Python's ctypes). So the C library's own entries lead here from the first such call
 *   on; what else the plugin binds is as it asked for.
 * How: the C library's dlopen looks at its return address for who calls: where that one looks for
 *   libraries. So the call here is a jump.
 * Threads: any.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "core/knobs.h"
#include "os/deep.h"
#include "os/sys.h"

enum state { UNTRIED, UNDER_WAY, TRIED };
static _Atomic uint32_t state;

void hk_deep_fork_child(void)
{
    uint32_t half = UNDER_WAY; /* by a thread that is not here */
    atomic_compare_exchange_strong_explicit(&state, &half, UNTRIED, memory_order_relaxed,
                                            memory_order_relaxed);
}

/* A static program binds nothing later, and its dlopen is its own. */
#if HK_OVERRIDE && defined(PIC)

/* What these names stand for in the program: ours, or its own where it has some. */
static void replace(void)
{
#define INSTEAD(name)                                                                              \
    {                                                                                              \
#name, (void (*)(void))HK_BOUND(name)                                                      \
    }
    const struct hk_instead names[] = {INSTEAD(aligned_alloc),
                                       INSTEAD(calloc),
                                       INSTEAD(free),
                                       INSTEAD(malloc),
                                       INSTEAD(malloc_usable_size),
                                       INSTEAD(memalign),
                                       INSTEAD(posix_memalign),
                                       INSTEAD(pvalloc),
                                       INSTEAD(realloc),
                                       INSTEAD(reallocarray),
                                       INSTEAD(valloc)};
#undef INSTEAD
    hk_deep_replace(names, sizeof names / sizeof *names);
}

static void replace_once(void)
{
    uint32_t seen = UNTRIED;
    if (atomic_compare_exchange_strong_explicit(&state, &seen, UNDER_WAY, memory_order_acquire,
                                                memory_order_acquire)) {
        replace();
        atomic_store_explicit(&state, TRIED, memory_order_release);
    }
    while (seen == UNDER_WAY) {
        hk_sys_yield();
        seen = atomic_load_explicit(&state, memory_order_acquire);
    }
}

static bool is_libc(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    return file && strcmp(slash ? slash + 1 : file, "libc.so.6") == 0;
}

typedef void *(*opener)(const char *file, int mode);

/* The next dlopen; before it is called for these, what has to be. */
static HK_NOINLINE opener ready(const char *file, int mode)
{
    static _Atomic(opener) next;
    opener f = atomic_load_explicit(&next, memory_order_relaxed);
    if (!f) {
        f = (opener)hk_sys_next_function("dlopen");
        atomic_store_explicit(&next, f, memory_order_relaxed);
    }
    if ((mode & RTLD_DEEPBIND || is_libc(file)) && hk_knob_value(HK_KNOB_deepbind)) replace_once();
    return f;
}

HK_JUMPS static HK_UNUSED void *open_next(const char *file, int mode)
{
    opener next = ready(file, mode);
    if (!next) return NULL;
    HK_JUMP return next(file, mode);
}
HK_ALIAS(open_next)
__typeof__(dlopen) dlopen;

#endif
