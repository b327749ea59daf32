/* SPDX-License-Identifier: MIT */
/*
 * What: dlopen and dlmopen, before the C library's: a plugin that is opened with RTLD_DEEPBIND gets
 *   this malloc all the same, and so does who looks for malloc in a library that it opened.
 * Why: these find the C library's malloc and free, which every library needs, but what strdup,
 *   getline and the program give them are blocks of this one: their free of them ends the program
 *   (PHP's extensions; lib.free of Python's ctypes). So the C library's own entries lead here from
 *   the first library on that is opened; what else a plugin binds is as it asked for.
 * How: the C library's dlopen looks at its return address for who calls: where that one looks for
 *   libraries. So the call here is a jump.
 * Threads: any. A constructor may open plugins, with the loader's lock held: who has `changing`
 *   waits for nothing.
 * Fork: the child ends what another thread had begun, so that no page of the table stays writable.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include "api/api.h"
#include "core/knobs.h"
#include "os/deep.h"
#include "os/lock.h"
#include "os/sys.h"

/* A static program binds nothing later, and its dlopen is its own. */
#if HK_OVERRIDE && defined(PIC)

typedef void (*function)(void);

static struct hk_lock changing = HK_LOCK_INIT(HK_RANK_BOOT);
static const struct link_map *changed; /* the C library, if any is to be */
static _Atomic bool done;

/*
 * Ours, and not what these names stand for in the program: a malloc of its own may look for the
 * one to ask in the C library.
 */
static void replace(void)
{
    const struct hk_instead names[] = {{"aligned_alloc", (function)hakmem_aligned_alloc},
                                       {"calloc", (function)hakmem_calloc},
                                       {"free", (function)hakmem_free},
                                       {"malloc", (function)hakmem_malloc},
                                       {"malloc_usable_size", (function)hakmem_usable_size},
                                       {"memalign", (function)hakmem_memalign},
                                       {"posix_memalign", (function)hakmem_posix_memalign},
                                       {"pvalloc", (function)hk_pvalloc},
                                       {"realloc", (function)hakmem_realloc},
                                       {"reallocarray", (function)hakmem_reallocarray},
                                       {"valloc", (function)hk_valloc}};
    if (changed) hk_deep_replace(changed, names, sizeof names / sizeof *names);
    atomic_store_explicit(&done, true, memory_order_release);
}

void hk_deep_fork_child(void)
{
    if (hk_lock_reset(&changing) && changed) replace();
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
    if (atomic_load_explicit(&done, memory_order_acquire)) return;
    const struct link_map *libc = libc_behind(); /* takes the loader's lock */
    hk_lock_acquire(&changing);
    if (!atomic_load_explicit(&done, memory_order_relaxed)) {
        changed = libc;
        replace();
    }
    hk_lock_release(&changing);
}

/* The next function of that name, kept in `at`; before it opens a library, what has to be. */
static HK_NOINLINE function ready(const char *name, _Atomic(function) *at, const char *file)
{
    function f = atomic_load_explicit(at, memory_order_relaxed);
    if (!f) {
        f = hk_sys_next_function(name);
        atomic_store_explicit(at, f, memory_order_relaxed);
    }
    if (file && *file && hk_knob_value(HK_KNOB_deepbind)) replace_once();
    return f;
}

HK_JUMPS static HK_UNUSED void *open_next(const char *file, int mode)
{
    static _Atomic(function) at;
    __typeof__(&dlopen) next = (__typeof__(&dlopen))ready("dlopen", &at, file);
    if (!next) return NULL;
    HK_JUMP return next(file, mode);
}
HK_ALIAS(open_next)
__typeof__(dlopen) dlopen;

/* Other spaces have a C library of their own. */
HK_JUMPS static HK_UNUSED void *open_next_in(Lmid_t space, const char *file, int mode)
{
    static _Atomic(function) at;
    const char *ours = space == LM_ID_BASE ? file : NULL;
    __typeof__(&dlmopen) next = (__typeof__(&dlmopen))ready("dlmopen", &at, ours);
    if (!next) return NULL;
    HK_JUMP return next(space, file, mode);
}
HK_ALIAS(open_next_in)
__typeof__(dlmopen) dlmopen;

#else
void hk_deep_fork_child(void)
{
}
#endif
