/* SPDX-License-Identifier: MIT */
/*
 * What: put before each source file of the library by tests/unit/delays.unit's build of it: the
 * names of <stdatomic.h> with a chance of a pause at each step that others may see. Why: what goes
 * wrong between two steps needs somebody to stay there; and the library is written over these names
 * anyway, so its source needs to know nothing of it.
 */
#ifndef HK_TESTS_DELAYS_H
#define HK_TESTS_DELAYS_H

#include <stdatomic.h>

/* Two statement expressions in one another have the same names. */
#pragma GCC diagnostic ignored "-Wshadow"

void hk_delay(void);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit

#define HK_DELAYED(step)                                                                           \
    __extension__({                                                                                \
        hk_delay();                                                                                \
        __auto_type hk_result = step;                                                              \
        hk_delay();                                                                                \
        hk_result;                                                                                 \
    })
#define HK_BEHIND(order) ((order) == memory_order_relaxed ? (void)0 : hk_delay())

#ifdef __clang__
#define HK_STEP(name) __c11_atomic_##name
#define HK_SWAP_IF(strength, weak, p, e, v, s, f)                                                  \
    __c11_atomic_compare_exchange_##strength(p, e, v, s, f)
#else
#define HK_STEP(name)                             __atomic_##name##_n
#define __atomic_fetch_add_n                      __atomic_fetch_add
#define __atomic_fetch_sub_n                      __atomic_fetch_sub
#define HK_SWAP_IF(strength, weak, p, e, v, s, f) __atomic_compare_exchange_n(p, e, v, weak, s, f)
#endif

#define atomic_load_explicit(p, o)         (HK_BEHIND(o), HK_STEP(load)(p, o))
#define atomic_store_explicit(p, v, o)     (HK_BEHIND(o), HK_STEP(store)(p, v, o), HK_BEHIND(o))
#define atomic_exchange_explicit(p, v, o)  HK_DELAYED(HK_STEP(exchange)(p, v, o))
#define atomic_fetch_add_explicit(p, v, o) HK_DELAYED(HK_STEP(fetch_add)(p, v, o))
#define atomic_fetch_sub_explicit(p, v, o) HK_DELAYED(HK_STEP(fetch_sub)(p, v, o))
#define atomic_compare_exchange_strong_explicit(p, e, v, s, f)                                     \
    HK_DELAYED(HK_SWAP_IF(strong, 0, p, e, v, s, f))
#define atomic_compare_exchange_weak_explicit(p, e, v, s, f)                                       \
    HK_DELAYED(HK_SWAP_IF(weak, 1, p, e, v, s, f))

#endif
