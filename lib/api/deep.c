/* SPDX-License-Identifier: MIT */
/*
 * What: dlopen, before the C library's: a plugin that is opened with RTLD_DEEPBIND gets this malloc
 *   all the same, and so does who looks for malloc in a library that it opened.
 * Why: these find the C library's malloc and free, which every library needs, but what strdup,
 *   getline and the program give them are blocks of this one: their free of them ends the program
 *   (PHP's extensions; lib.free of Python's ctypes). So the C library's own entries lead here from
 *   the first dlopen of a library on; what else a plugin binds is as it asked for.
 * How: the C library's dlopen looks at its return address for who calls: where that one looks for
 *   libraries. So the call here is a jump.
 * Threads: any. A constructor may open plugins, with the loader's lock held: whoever is waited for
 *   takes no lock.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

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

/*
 * Ours, and not what these names stand for in the program: a malloc of its own may look for the
 * one to ask in the C library.
 */
static void replace(const struct link_map *libc)
{
    const struct hk_instead names[] = {{"aligned_alloc", (void (*)(void))hakmem_aligned_alloc},
                                       {"calloc", (void (*)(void))hakmem_calloc},
                                       {"free", (void (*)(void))hakmem_free},
                                       {"malloc", (void (*)(void))hakmem_malloc},
                                       {"malloc_usable_size", (void (*)(void))hakmem_usable_size},
                                       {"memalign", (void (*)(void))hakmem_memalign},
                                       {"posix_memalign", (void (*)(void))hakmem_posix_memalign},
                                       {"pvalloc", (void (*)(void))pvalloc},
                                       {"realloc", (void (*)(void))hakmem_realloc},
                                       {"reallocarray", (void (*)(void))hakmem_reallocarray},
                                       {"valloc", (void (*)(void))valloc}};
    hk_deep_replace(libc, names, sizeof names / sizeof *names);
}

/* The C library, if the program's malloc is another: in a plugin this library serves it alone. */
static const struct link_map *libc_behind(void)
{
    struct link_map *program = hk_sys_loaded(NULL), *libc = hk_sys_loaded("libc.so.6");
    bool behind = program && libc &&
                  hk_sys_function_in(program, "malloc") != hk_sys_function_in(libc, "malloc");
    return behind ? libc : NULL;
}

static void replace_once(void)
{
    if (atomic_load_explicit(&state, memory_order_acquire) == TRIED) return;
    const struct link_map *libc = libc_behind(); /* takes the loader's lock */
    uint32_t seen = UNTRIED;
    if (atomic_compare_exchange_strong_explicit(&state, &seen, UNDER_WAY, memory_order_acquire,
                                                memory_order_acquire)) {
        if (libc) replace(libc);
        atomic_store_explicit(&state, TRIED, memory_order_release);
    }
    while (seen == UNDER_WAY) {
        hk_sys_yield();
        seen = atomic_load_explicit(&state, memory_order_acquire);
    }
}

typedef void *(*opener)(const char *file, int mode);

/* The next dlopen; before it is called for a library, what has to be. */
static HK_NOINLINE opener ready(const char *file)
{
    static _Atomic(opener) next;
    opener f = atomic_load_explicit(&next, memory_order_relaxed);
    if (!f) {
        f = (opener)hk_sys_next_function("dlopen");
        atomic_store_explicit(&next, f, memory_order_relaxed);
    }
    if (file && *file && hk_knob_value(HK_KNOB_deepbind)) replace_once();
    return f;
}

HK_JUMPS static HK_UNUSED void *open_next(const char *file, int mode)
{
    opener next = ready(file);
    if (!next) return NULL;
    HK_JUMP return next(file, mode);
}
HK_ALIAS(open_next)
__typeof__(dlopen) dlopen;

#endif
