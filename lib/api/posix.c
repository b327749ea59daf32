/* SPDX-License-Identifier: MIT */
/*
 * What: the aligned forms, reallocarray, usable size, and operator new's way out.
 * Why: arguments are checked here, once, to the letter of the manuals: huge sizes and alignments
 *   must be refused before they are added to anything.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/beside.h"
#include "api/checked.h"
#include "base/sizeclass.h"
#include "front/fast.h"
#include "os/report.h"
#include "os/sys.h"

HK_INLINE void *take_aligned(size_t align, size_t n)
{
    if (hk_checked_on()) return hk_or_enomem(hk_checked_alloc(n, align, HK_BY_MALLOC, false));
    void *p = hk_fast_alloc_aligned(n, align);
    if (HK_LIKELY(p != NULL)) return p;
    if (align > HK_MAX_REQUEST || n > HK_MAX_REQUEST - align) return hk_or_enomem(NULL);
    return hk_or_enomem(hk_slow_aligned(n, align));
}

void *hk_api_aligned(size_t align, size_t n)
{
    return take_aligned(align, n);
}

HK_EXPORT void *hakmem_memalign(size_t align, size_t n)
{
    if (align > SIZE_MAX / 2 + 1) { /* no power of two above it can be represented */
        errno = EINVAL;
        return NULL;
    }
    if (align < HK_ALIGN_BYTES) align = HK_ALIGN_BYTES;
    if (!hk_is_pow2(align)) align = (size_t)1 << (hk_log2(align) + 1);
    return hk_api_aligned(align, n);
}

HK_EXPORT void *hakmem_aligned_alloc(size_t align, size_t n)
{
    if (!hk_is_pow2(align)) {
        errno = EINVAL;
        return NULL;
    }
    return hk_api_aligned(align, n);
}

HK_EXPORT int hakmem_posix_memalign(void **out, size_t align, size_t n)
{
    if (!hk_is_pow2(align) || align % sizeof(void *) != 0) return EINVAL;
    void *p = take_aligned(align, n); /* sets errno too, as glibc's */
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}

HK_EXPORT void *hakmem_reallocarray(void *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) return hk_or_enomem(NULL);
    return hakmem_realloc(p, n);
}

HK_EXPORT size_t hakmem_usable_size(const void *p)
{
    return hk_checked_on() ? hk_checked_usable(p) : hk_front_usable(p);
}

#if HK_OVERRIDE

void *hk_valloc(size_t n)
{
    return hk_api_aligned(hk_sys_page_bytes(), n);
}
HK_ALIAS(hk_valloc)
void *valloc(size_t n);

void *hk_pvalloc(size_t n)
{
    size_t page = hk_sys_page_bytes();
    if (n > HK_MAX_REQUEST - page) return hk_or_enomem(NULL);
    return hk_api_aligned(page, hk_align_up(n ? n : 1, page));
}
HK_ALIAS(hk_pvalloc)
void *pvalloc(size_t n);

/*
 * As the C library's does, it calls the program's realloc: allocators that programs bring along
 * have that one, and seldom this.
 */
HK_EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) return hk_or_enomem(NULL);
    return HK_BOUND(realloc)(p, n);
}

HK_ALIAS(hakmem_memalign)
void *memalign(size_t align, size_t n);
HK_ALIAS(hakmem_aligned_alloc)
void *aligned_alloc(size_t align, size_t n);
HK_ALIAS(hakmem_posix_memalign)
int posix_memalign(void **out, size_t align, size_t n);
HK_ALIAS(hakmem_usable_size)
size_t malloc_usable_size(void *p);

/*
 * In libstdc++ when the program has it; without it nobody can catch, or install a handler. A plugin
 * in C++ of a program in C brings it later, and for itself: then it is looked for by name. This
 * may malloc, in a path that holds nothing and has failed already.
 */
typedef void (*new_handler)(void);
extern new_handler _ZSt15get_new_handlerv(void) HK_WEAK;
extern void _ZSt17__throw_bad_allocv(void) HK_WEAK;

typedef void (*any_function)(void);
static any_function late(const char *name)
{
    struct link_map *library = hk_sys_loaded("libstdc++.so.6");
    if (!library) library = hk_sys_loaded("libc++.so.1");
    return library ? hk_sys_function_in(library, name) : NULL;
}

static new_handler current_handler(void)
{
    if (_ZSt15get_new_handlerv) return _ZSt15get_new_handlerv();
    new_handler (*get)(void) = (new_handler(*)(void))late("_ZSt15get_new_handlerv");
    return get ? get() : NULL; /* cppcheck-suppress legacyUninitvar ; takes the cast for code */
}

void *hk_new_retry(size_t n, size_t align, int nothrow)
{
    for (;;) {
        new_handler handler = current_handler();
        if (!handler) break;
        handler(); /* frees something, throws, or does not return */
        void *p = hk_checked_on() ? hk_checked_alloc(n, align, HK_BY_NEW, false)
                  : align         ? hk_slow_aligned(n, align)
                                  : hk_slow_alloc(n, NULL);
        if (p) return p;
    }
    if (nothrow) return NULL;
    any_function throw_bad_alloc = _ZSt17__throw_bad_allocv;
    if (!throw_bad_alloc) throw_bad_alloc = late("_ZSt17__throw_bad_allocv");
    if (throw_bad_alloc) throw_bad_alloc();
    hk_die("out of memory in operator new", NULL);
}

#endif
