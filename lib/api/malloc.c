/* SPDX-License-Identifier: MIT */
/*
 * What: malloc, free, calloc, realloc and operator new and delete: the entries with a fast path.
 * Why: one file, so that each name is an alias or an inlined copy and none calls through the PLT.
 *   operator delete in all its forms is free: the record knows more than a size would tell; only
 *   hardened mode compares the two.
 */
#include <string.h>

#include "api/api.h"
#include "api/beside.h"
#include "api/checked.h"
#include "front/fast.h"
#include "front/hardfast.h"

__attribute__((used)) static void (*const boot_anchor)(void) = hk_boot;

/*
 * Where the caller of malloc goes on: what calls these slow halves has no frame and jumps. Without
 * optimisation it is a place in this library, for which there is no rule.
 */
#define HK_SITE __builtin_return_address(0)

/* In hardened mode all come here, and what it needs is in line. Else, or if none waits: NULL. */
HK_INLINE void *hard_alloc(size_t n)
{
    if (n < hk_hard_small()) return hk_hard_pop(n);
    return hk_hardened() && n <= HK_MID_MAX ? hk_hard_pop_mid(n) : NULL;
}

static HK_COLD void *malloc_slower(size_t n, const void *site)
{
    return hk_or_enomem(hk_slow_alloc(n, site));
}

static HK_NOINLINE void *malloc_slow(size_t n)
{
    void *p = hard_alloc(n);
    return HK_LIKELY(p != NULL) ? p : malloc_slower(n, HK_SITE);
}

HK_EXPORT HK_HOT void *hakmem_malloc(size_t n)
{
    if (hk_checked_on()) return hk_or_enomem(hk_checked_alloc(n, 0, HK_BY_MALLOC, false));
    void *p = hk_fast_alloc(n);
    return HK_LIKELY(p != NULL) ? p : malloc_slow(n);
}

HK_INLINE void free_block(void *p, size_t n, bool sized)
{
    if (hk_checked_on()) {
        hk_checked_free(p, HK_BY_MALLOC);
        hk_probe_traced();
    } else {
        hk_free_sized(p, n, sized);
    }
}

HK_EXPORT HK_HOT void hakmem_free(void *p)
{
    free_block(p, 0, false);
}

HK_EXPORT HK_HOT void hakmem_free_sized(void *p, size_t n)
{
    free_block(p, n, true);
}

HK_EXPORT void hakmem_free_aligned_sized(void *p, size_t align HK_UNUSED, size_t n)
{
    free_block(p, n, true);
}

static HK_COLD void *calloc_slow(size_t n)
{
    return hk_or_enomem(hk_slow_calloc(n, HK_SITE));
}

/* A block of up to 64 bytes, without a call: c is its sixteenths. */
HK_INLINE void *zero_small(void *p, unsigned c)
{
    char *at = p;
    memset(at, 0, 16);
    if (c > 1) memset(at + 16, 0, 16);
    if (c > 2) memset(at + 32, 0, 16);
    if (c > 3) memset(at + 48, 0, 16);
    return p;
}

HK_EXPORT HK_HOT void *hakmem_calloc(size_t count, size_t size)
{
    size_t n;
    if (HK_UNLIKELY(__builtin_mul_overflow(count, size, &n))) return hk_or_enomem(NULL);
    if (hk_checked_on()) return hk_or_enomem(hk_checked_alloc(n, 0, HK_BY_MALLOC, true));
    if (HK_UNLIKELY(n > HK_MID_MAX)) return calloc_slow(n);
    unsigned c = n <= HK_TINY_MAX ? hk_tiny_class(n) : hk_mid_class(n);
    struct hk_thread *t = &hk_thread;
    void *p = hk_bin_pop(t, c);
    if (HK_UNLIKELY(!p)) return calloc_slow(n);
    if (t->zero[c / 64] >> (c % 64) & 1) {
        *(void **)p = NULL;
        return p;
    }
    return n <= 64 ? zero_small(p, c) : memset(p, 0, n);
}

HK_EXPORT HK_HOT void *hakmem_realloc(void *p, size_t n)
{
    if (HK_UNLIKELY(n == 0 && p)) {
        hakmem_free(p);
        return NULL;
    }
    if (hk_checked_on()) return hk_or_enomem(hk_checked_realloc(p, n));
    return hk_or_enomem(hk_slow_realloc(p, n));
}

#if HK_OVERRIDE

HK_ALIAS(hakmem_malloc)
void *malloc(size_t n);
HK_ALIAS(hakmem_free)
void free(void *p);
HK_ALIAS(hakmem_free)
void cfree(void *p);
HK_ALIAS(hakmem_free_sized)
void free_sized(void *p, size_t n);
HK_ALIAS(hakmem_free_aligned_sized)
void free_aligned_sized(void *p, size_t align, size_t n);
HK_ALIAS(hakmem_calloc)
void *calloc(size_t count, size_t size);
HK_ALIAS(hakmem_realloc)
void *realloc(void *p, size_t n);

#if !HK_PROBED /* else in checked_new.c */

/* ---- C++, by their mangled names: m is size_t, RKSt9nothrow_t const std::nothrow_t & ---- */

static HK_COLD void *new_slower(size_t n, const void *site)
{
    void *p = hk_slow_alloc(n, site);
    return p ? p : hk_new_retry(n, 0, 0);
}

static HK_NOINLINE void *new_slow(size_t n)
{
    void *p = hard_alloc(n);
    return HK_LIKELY(p != NULL) ? p : new_slower(n, HK_SITE);
}

static HK_COLD void *new_nothrow_slow(size_t n)
{
    void *p = hk_slow_alloc(n, HK_SITE);
    return p ? p : hk_new_retry_nothrow(n, 0);
}

static HK_COLD void *new_aligned_slow(size_t n, size_t align)
{
    void *p = hk_slow_aligned(n, align);
    return p ? p : hk_new_retry(n, align, 0);
}

HK_EXPORT HK_HOT void *_Znwm(size_t n)
{
    void *p = hk_fast_alloc(n);
    return HK_LIKELY(p != NULL) ? p : new_slow(n);
}
HK_ALIAS(_Znwm)
void *_Znam(size_t n);

HK_EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag HK_UNUSED)
{
    void *p = hk_fast_alloc(n);
    return HK_LIKELY(p != NULL) ? p : new_nothrow_slow(n);
}
HK_ALIAS(_ZnwmRKSt9nothrow_t)
void *_ZnamRKSt9nothrow_t(size_t n, const void *tag);

HK_EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align)
{
    void *p = hk_fast_alloc_aligned(n, align);
    return HK_LIKELY(p != NULL) ? p : new_aligned_slow(n, align);
}
HK_ALIAS(_ZnwmSt11align_val_t)
void *_ZnamSt11align_val_t(size_t n, size_t align);

HK_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align,
                                                   const void *tag HK_UNUSED)
{
    void *p = hk_fast_alloc_aligned(n, align);
    if (HK_LIKELY(p != NULL)) return p;
    p = hk_slow_aligned(n, align);
    return HK_LIKELY(p != NULL) ? p : hk_new_retry_nothrow(n, align);
}
HK_ALIAS(_ZnwmSt11align_val_tRKSt9nothrow_t)
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag);

HK_ALIAS(hakmem_free)
void _ZdlPv(void *p);
HK_ALIAS(hakmem_free)
void _ZdaPv(void *p);

HK_EXPORT HK_HOT void _ZdlPvm(void *p, size_t n)
{
    hk_free_sized(p, n, true);
}
HK_ALIAS(_ZdlPvm)
void _ZdaPvm(void *p, size_t n);

static void delete_aligned(void *p, size_t align HK_UNUSED)
{
    hk_free(p);
}
HK_ALIAS(delete_aligned)
void _ZdlPvSt11align_val_t(void *p, size_t align);
HK_ALIAS(delete_aligned)
void _ZdaPvSt11align_val_t(void *p, size_t align);

static void delete_sized_aligned(void *p, size_t n, size_t align HK_UNUSED)
{
    hk_free_sized(p, n, true);
}
HK_ALIAS(delete_sized_aligned)
void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align);
HK_ALIAS(delete_sized_aligned)
void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align);

static void delete_nothrow(void *p, const void *tag HK_UNUSED)
{
    hk_free(p);
}
HK_ALIAS(delete_nothrow)
void _ZdlPvRKSt9nothrow_t(void *p, const void *tag);
HK_ALIAS(delete_nothrow)
void _ZdaPvRKSt9nothrow_t(void *p, const void *tag);

static void delete_aligned_nothrow(void *p, size_t align HK_UNUSED, const void *tag HK_UNUSED)
{
    hk_free(p);
}
HK_ALIAS(delete_aligned_nothrow)
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag);
HK_ALIAS(delete_aligned_nothrow)
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag);

#endif
#endif
