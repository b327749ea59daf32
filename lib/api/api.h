/* SPDX-License-Identifier: MIT */
/*
 * What: what the files of the api layer share: errors with errno, overrides, start-up.
 * Why: this layer alone sets errno and owns the exported names.
 */
#ifndef HK_API_API_H
#define HK_API_API_H

#include <errno.h>
#include <stddef.h>

#include "base/attr.h"

/* The aliases under standard names would have to repeat the header's attributes. */
#define HAKMEM_ATTR(x)
#include "hakmem.h"

/* The plain build, for tests and sanitizers, leaves the C library's names alone. */
#ifdef HK_NO_OVERRIDE
#define HK_OVERRIDE 0
#else
#define HK_OVERRIDE 1
#endif

/* p, or NULL with ENOMEM. */
HK_INLINE void *hk_or_enomem(void *p)
{
    if (HK_UNLIKELY(!p)) errno = ENOMEM;
    return p;
}

/* The constructor. malloc.c refers to it, so that a static link pulls it in. */
void hk_boot(void);
/* The settings, at the start: from the environment. Those in files come with the first malloc. */
void hk_settings_start(void);
/* What valloc and pvalloc are, whatever these names stand for in the program. */
void *hk_valloc(size_t n);
void *hk_pvalloc(size_t n);
/* After a fork: another thread may have been in the midst of the first dlopen of a library. */
void hk_deep_fork_child(void);
/* Start the thread that looks after idle memory; if it is refused, there is none. */
void hk_background_start(void);
/* A block at a multiple of align, a power of two; NULL with ENOMEM. */
void *hk_api_aligned(size_t align, size_t n);
/* operator new's way out when memory is short: new-handler, then bad_alloc, or NULL if nothrow. */
void *hk_new_retry(size_t n, size_t align, int nothrow);
/* The same for the nothrow forms; what a handler throws ends as NULL. */
void *hk_new_retry_nothrow(size_t n, size_t align);

#endif
