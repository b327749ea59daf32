/* SPDX-License-Identifier: MIT */
/*
 * What: what -fsanitize=thread makes the library's code call, without the sanitizer's own library.
 * Why: the compiler then shows each access to memory, and atomics are calls: the code that is
 *   counted is the code that is shipped. Not seen is what the C library does; memset and memcpy are
 *   renamed and come here. Atomics: nothing is weaker here than it was asked for.
 */
#include <string.h>

#include "sim.h"

#define PC  __builtin_return_address(0)
#define MEM ((const void *)p)

void __tsan_init(void)
{
}
void __tsan_func_exit(void)
{
}
void __tsan_func_entry(const void *pc)
{
    (void)pc;
    if (sim_self) sim_self->clock += 2;
}

#define SEEN(name, bytes, write)                                                                   \
    void __tsan_##name(const void *p)                                                              \
    {                                                                                              \
        sim_access(p, bytes, write, PC);                                                           \
    }
#define SEEN_OF(bytes)                                                                             \
    SEEN(read##bytes, bytes, false)                                                                \
    SEEN(write##bytes, bytes, true)                                                                \
    SEEN(unaligned_read##bytes, bytes, false)                                                      \
    SEEN(unaligned_write##bytes, bytes, true)
SEEN_OF(1)
SEEN_OF(2)
SEEN_OF(4)
SEEN_OF(8)
SEEN_OF(16)
SEEN(acquire, 0, false)
SEEN(release, 0, false)

void __tsan_read_range(const void *p, size_t n)
{
    sim_access(p, n, false, PC);
}
void __tsan_write_range(const void *p, size_t n)
{
    sim_access(p, n, true, PC);
}
void *sim_memset(void *p, int c, size_t n)
{
    sim_access(p, n, true, PC);
    return memset(p, c, n);
}
void *sim_memcpy(void *to, const void *from, size_t n)
{
    sim_access(from, n, false, PC);
    sim_access(to, n, true, PC);
    return memcpy(to, from, n);
}
/* clang's names for what struct assignments become. */
void *__tsan_memset(void *p, int c, size_t n) __attribute__((alias("sim_memset")));
void *__tsan_memcpy(void *to, const void *from, size_t n) __attribute__((alias("sim_memcpy")));

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
}
void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* A change by `then`, which may use v and what was there. */
#define CHANGE(T, name, then)                                                                      \
    T name(volatile T *p, T v, int order)                                                          \
    {                                                                                              \
        sim_access(MEM, sizeof *p, true, PC);                                                      \
        T was = *p;                                                                                \
        (void)order;                                                                               \
        *p = (T)(then);                                                                            \
        if (sim_cpus_asleep && !*p) sim_wake(MEM); /* a lock is let go like this */                \
        return was;                                                                                \
    }
/* gcc's form, and clang's. */
#define COMPARE(T, name)                                                                           \
    T name##_val(volatile T *p, T want, T v, int order, int failed)                                \
    {                                                                                              \
        sim_access(MEM, sizeof *p, true, PC);                                                      \
        T was = *p;                                                                                \
        (void)order, (void)failed;                                                                 \
        if (was == want) *p = v;                                                                   \
        return was;                                                                                \
    }                                                                                              \
    int name##_strong(volatile T *p, T *want, T v, int order, int failed)                          \
    {                                                                                              \
        sim_access(MEM, sizeof *p, true, PC);                                                      \
        T was = *p, wanted = *want;                                                                \
        (void)order, (void)failed;                                                                 \
        *want = was;                                                                               \
        if (was == wanted) *p = v;                                                                 \
        return was == wanted;                                                                      \
    }                                                                                              \
    int name##_weak(volatile T *p, T *want, T v, int order, int failed)                            \
        __attribute__((alias(#name "_strong")));
#define ATOMICS(T, name)                                                                           \
    T name##_load(const volatile T *p, int order)                                                  \
    {                                                                                              \
        (void)order;                                                                               \
        sim_access(MEM, sizeof *p, false, PC);                                                     \
        return *p;                                                                                 \
    }                                                                                              \
    void name##_store(volatile T *p, T v, int order)                                               \
    {                                                                                              \
        (void)order;                                                                               \
        sim_access(MEM, sizeof *p, true, PC);                                                      \
        *p = v;                                                                                    \
    }                                                                                              \
    CHANGE(T, name##_exchange, v)                                                                  \
    CHANGE(T, name##_fetch_add, was + v)                                                           \
    CHANGE(T, name##_fetch_sub, was - v)                                                           \
    CHANGE(T, name##_fetch_and, was &v)                                                            \
    CHANGE(T, name##_fetch_or, was | v)                                                            \
    CHANGE(T, name##_fetch_xor, was ^ v)                                                           \
    COMPARE(T, name##_compare_exchange)
ATOMICS(unsigned char, __tsan_atomic8)
ATOMICS(unsigned short, __tsan_atomic16)
ATOMICS(unsigned, __tsan_atomic32)
ATOMICS(unsigned long, __tsan_atomic64)
