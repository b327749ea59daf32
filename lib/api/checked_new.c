/* SPDX-License-Identifier: MIT */
/*
 * What: operator new and delete in all forms, in builds that valgrind may watch.
 * Why: memcheck tells new from new[] and from malloc, and reports a block that another family
 *   frees; in other builds they are one function (malloc.c).
 */
#include "api/checked.h"

#include "api/api.h"

#if HK_PROBED && HK_OVERRIDE

#include "api/beside.h"
#include "front/fast.h"

static void *plain(size_t n, size_t align, const void *site)
{
    void *p = align ? hk_fast_alloc_aligned(n, align) : hk_fast_alloc(n);
    if (p) return p;
    return align ? hk_slow_aligned(n, align) : hk_slow_alloc(n, site);
}

static void *new_block(size_t n, size_t align, const void *site, enum hk_by by)
{
    void *p = hk_checked_on() ? hk_checked_alloc(n, align, by, false) : plain(n, align, site);
    if (p) return p;
    p = hk_new_retry(n, align, 0);
    return hk_checked_on() ? hk_checked_named(p, by) : p;
}

static void *new_nothrow(size_t n, size_t align, const void *site, enum hk_by by)
{
    void *p = hk_checked_on() ? hk_checked_alloc(n, align, by, false) : plain(n, align, site);
    if (p) return p;
    p = hk_new_retry_nothrow(n, align);
    return p && hk_checked_on() ? hk_checked_named(p, by) : p;
}

HK_INLINE void delete_block(void *p, size_t n, bool sized, enum hk_by by)
{
    if (hk_checked_on()) {
        hk_checked_free(p, by);
        hk_probe_traced();
    } else {
        hk_free_sized(p, n, sized);
    }
}

/* m is size_t, RKSt9nothrow_t const std::nothrow_t &, w and d one object, a an array. */
#define FAMILY(n, d, by)                                                                           \
    HK_EXPORT void *_Z##n##m(size_t bytes)                                                         \
    {                                                                                              \
        return new_block(bytes, 0, __builtin_return_address(0), by);                               \
    }                                                                                              \
    HK_EXPORT void *_Z##n##mRKSt9nothrow_t(size_t bytes, const void *tag HK_UNUSED)                \
    {                                                                                              \
        return new_nothrow(bytes, 0, __builtin_return_address(0), by);                             \
    }                                                                                              \
    HK_EXPORT void *_Z##n##mSt11align_val_t(size_t bytes, size_t align)                            \
    {                                                                                              \
        return new_block(bytes, align, NULL, by);                                                  \
    }                                                                                              \
    HK_EXPORT void *_Z##n##mSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t align,              \
                                                          const void *tag HK_UNUSED)               \
    {                                                                                              \
        return new_nothrow(bytes, align, NULL, by);                                                \
    }                                                                                              \
    HK_EXPORT void _Z##d##Pv(void *p)                                                              \
    {                                                                                              \
        delete_block(p, 0, false, by);                                                             \
    }                                                                                              \
    HK_EXPORT void _Z##d##Pvm(void *p, size_t bytes)                                               \
    {                                                                                              \
        delete_block(p, bytes, true, by);                                                          \
    }                                                                                              \
    HK_EXPORT void _Z##d##PvSt11align_val_t(void *p, size_t align HK_UNUSED)                       \
    {                                                                                              \
        delete_block(p, 0, false, by);                                                             \
    }                                                                                              \
    HK_EXPORT void _Z##d##PvmSt11align_val_t(void *p, size_t bytes, size_t align HK_UNUSED)        \
    {                                                                                              \
        delete_block(p, bytes, true, by);                                                          \
    }                                                                                              \
    HK_EXPORT void _Z##d##PvRKSt9nothrow_t(void *p, const void *tag HK_UNUSED)                     \
    {                                                                                              \
        delete_block(p, 0, false, by);                                                             \
    }                                                                                              \
    HK_EXPORT void _Z##d##PvSt11align_val_tRKSt9nothrow_t(void *p, size_t align HK_UNUSED,         \
                                                          const void *tag HK_UNUSED)               \
    {                                                                                              \
        delete_block(p, 0, false, by);                                                             \
    }

FAMILY(nw, dl, HK_BY_NEW)
FAMILY(na, da, HK_BY_NEW_ARRAY)

#endif
