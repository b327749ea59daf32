/* SPDX-License-Identifier: MIT */
/*
 * What: the slow halves of requests: of lib/front, or of a sanitizer's malloc where there is one.
 * Why: see os/beside.h.
 */
#ifndef HK_API_BESIDE_H
#define HK_API_BESIDE_H

#include "front/fast.h"
#include "os/beside.h"

HK_INLINE void *hk_slow_alloc(size_t n, const void *site)
{
    return hk_beside_on() ? __interceptor_malloc(n) : hk_front_alloc(n, site);
}

HK_INLINE void *hk_slow_calloc(size_t n, const void *site)
{
    return hk_beside_on() ? __interceptor_calloc(1, n) : hk_front_calloc(n, site);
}

HK_INLINE void *hk_slow_realloc(void *p, size_t n)
{
    return hk_beside_on() ? __interceptor_realloc(p, n) : hk_front_realloc(p, n);
}

HK_INLINE void *hk_slow_aligned(size_t n, size_t align)
{
    return hk_beside_on() ? __interceptor_memalign(align, n) : hk_front_alloc_aligned(n, align);
}

#endif
