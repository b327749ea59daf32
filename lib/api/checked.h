/* SPDX-License-Identifier: MIT */
/*
 * What: malloc and free as valgrind or AddressSanitizer watch them, before the allocator.
 * Why: every entry asks hk_checked_on() first, which is a constant, false, in release builds.
 */
#ifndef HK_API_CHECKED_H
#define HK_API_CHECKED_H

#include "api/ledger.h"
#include "os/probe.h"

#if HK_PROBED

HK_INLINE bool hk_checked_on(void)
{
    return HK_UNLIKELY(hk_probe_ask() != HK_PROBE_NOBODY);
}
HK_INLINE void hk_checked_fork_prepare(void)
{
    if (hk_checked_on()) hk_ledger_fork_prepare();
}
HK_INLINE void hk_checked_fork_child(void)
{
    if (hk_checked_on()) hk_ledger_fork_child();
}

/* The process ends, and with it comes the look for leaks. */
void hk_checked_end(void);

#else

HK_INLINE bool hk_checked_on(void)
{
    return false;
}
HK_INLINE void hk_checked_fork_prepare(void)
{
}
HK_INLINE void hk_checked_fork_child(void)
{
}
HK_INLINE void hk_checked_end(void)
{
}

#endif

/* A block at a multiple of align, a power of two, or 0; NULL without memory, errno as it was. */
void *hk_checked_alloc(size_t n, size_t align, enum hk_by by, bool zeroed);
void hk_checked_free(void *p, enum hk_by by);
/* n > 0. The block always moves, so that a use of the old pointer is seen. */
void *hk_checked_realloc(void *p, size_t n);
/* p, which hk_new_retry asked for on behalf of by. */
void *hk_checked_named(void *p, enum hk_by by);
size_t hk_checked_usable(const void *p);

#endif
