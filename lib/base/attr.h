/* SPDX-License-Identifier: MIT */
/*
 * What: compiler attributes and branch hints used by every layer.
 * Why: one spelling for each, so that a new compiler is taught in one place.
 */
#ifndef HK_BASE_ATTR_H
#define HK_BASE_ATTR_H

#define HK_LIKELY(x)   __builtin_expect(!!(x), 1)
#define HK_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define HK_INLINE   static inline __attribute__((always_inline))
#define HK_NOINLINE __attribute__((noinline))
#define HK_COLD     __attribute__((cold, noinline))
/* On extern data: without it an access goes through the GOT. */
#define HK_HIDDEN __attribute__((visibility("hidden")))
#define HK_EXPORT __attribute__((visibility("default")))
/* Begins a line: else what lies before decides how many it spans (bench/load tiny_hot: 1.09). */
#define HK_HOT           __attribute__((aligned(64)))
#define HK_ALIAS(target) __attribute__((visibility("default"), alias(#target)))
#define HK_WEAK          __attribute__((weak))
#if defined(__SANITIZE_THREAD__)
#define HK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HK_TSAN 1
#endif
#endif
#ifndef HK_TSAN
#define HK_TSAN 0
#endif
#define HK_LINE_BYTES   64
#define HK_LINE_ALIGNED __attribute__((aligned(HK_LINE_BYTES)))
#define HK_USED         __attribute__((used))
/* Variables of one section that have it are laid out as written, by link-time optimisation too. */
#if defined(__GNUC__) && !defined(__clang__)
#define HK_IN_ORDER __attribute__((no_reorder))
#else
#define HK_IN_ORDER
#endif
/* Reads what the sanitizers take for nobody's. */
#define HK_UNSANITIZED __attribute__((no_sanitize("address", "thread")))
#define HK_UNUSED      __attribute__((unused))
/* A function whose last call, marked by the second, is a jump, however it is compiled. */
#if defined(__clang__)
#define HK_JUMPS
#define HK_JUMP __attribute__((musttail))
#else
#define HK_JUMPS __attribute__((optimize("O2", "optimize-sibling-calls")))
#define HK_JUMP
#endif

/*
 * What an exported name stands for in the program: somebody's function that comes before ours, or
 * ours. Without semantic interposition the compiler may take it for ours, and does when it sees all
 * of the library.
 */
#if defined(__x86_64__)
#define HK_BOUND(name)                                                                             \
    ({                                                                                             \
        void *at_;                                                                                 \
        __asm__("movq " #name "@GOTPCREL(%%rip), %0" : "=r"(at_));                                 \
        (__typeof__(&(name)))at_;                                                                  \
    })
#elif defined(__aarch64__)
#define HK_BOUND(name)                                                                             \
    ({                                                                                             \
        void *at_;                                                                                 \
        __asm__("adrp %0, :got:" #name "\n\tldr %0, [%0, :got_lo12:" #name "]" : "=r"(at_));       \
        (__typeof__(&(name)))at_;                                                                  \
    })
#endif

/*
 * Fetch p's line into this CPU's cache to be written. x86: PREFETCHW, which Intel's CPUs before
 * Broadwell take for a NOP; compilers do not use it unless told of a later CPU.
 */
HK_INLINE void hk_fetch_to_write(const void *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

#endif
