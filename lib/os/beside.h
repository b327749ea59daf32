/* SPDX-License-Identifier: MIT */
/*
 * What: the malloc of a sanitizer's runtime, if the program has one: AddressSanitizer, its leak
 *   checker, ThreadSanitizer.
 * Why: its other functions, strdup and the like, give out blocks of that malloc, and all it tells
 * is told by it. If this library was bound first all the same, it hands every call on. No heap is
 * ever made then: bins stay empty, every request comes to the slow halves in lib/api, and each
 * block that is freed is a stranger, which os/libc.c knows. So the fast paths ask nothing.
 */
#ifndef HK_OS_BESIDE_H
#define HK_OS_BESIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

extern void *__interceptor_malloc(size_t n) HK_WEAK;
extern void *__interceptor_calloc(size_t count, size_t n) HK_WEAK;
extern void *__interceptor_realloc(void *p, size_t n) HK_WEAK;
extern void *__interceptor_memalign(size_t align, size_t n) HK_WEAK;
extern void __interceptor_free(void *p) HK_WEAK;
extern size_t __interceptor_malloc_usable_size(void *p) HK_WEAK;

/* Not within a sanitizer's build of this code itself, where those are its own. */
HK_INLINE bool hk_beside_on(void)
{
#ifdef HK_NO_OVERRIDE
    return false;
#else
    return HK_UNLIKELY(__interceptor_malloc && __interceptor_calloc && __interceptor_realloc &&
                       __interceptor_memalign && __interceptor_free &&
                       __interceptor_malloc_usable_size);
#endif
}

#endif
