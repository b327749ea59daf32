/* SPDX-License-Identifier: MIT */
/*
 * What: <stdatomic.h> and plain memory as Relacy sees them, for functions of lib/ that
 * tests/model/cut cut out of their files, word by word. Why: the library is written over the
 * generic names of C11; whoever gives these names another meaning compiles the same lines. Here
 * each atomic operation is one that may see old values, with the order that the library names, and
 * each plain access is checked for races. Format: cut has numbered the orders: ORDER(n, acquire).
 * Number `weakened` is made weaker by main.
 */
#ifndef HK_TESTS_MODEL_LAYER_H
#define HK_TESTS_MODEL_LAYER_H

#include <relacy/relacy.hpp>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef new /* Relacy's would take part in the run */

/* Globals of the library: made anew for each run, at one place. */
template <class T> void make_anew(T &is)
{
    ::new (&is) T;
}
template <class T> void unmake(T &is)
{
    is.~T();
}
#define EACH_RUN(type, name)                                                                       \
    alignas(16) static char name##_room[sizeof(type)];                                             \
    static type &name = *(type *)name##_room

static int weakened = -1;
static rl::memory_order weaker = rl::mo_relaxed;

static rl::memory_order order(int n, rl::memory_order named)
{
    return n == weakened ? weaker : named;
}
#define ORDER(n, named) order(n, rl::mo_##named)

/* A plain word: who reads it must come after who wrote it. */
template <class T> struct cell {
    rl::var<T> is;
    operator T()
    {
        return is($).load();
    }
    T operator->()
    {
        return is($).load();
    }
    cell &operator=(T v)
    {
        is($).store(v);
        return *this;
    }
    cell &operator=(cell &v)
    {
        return *this = (T)v;
    }
    T operator+=(T v)
    {
        return *this = (T)(*this + v);
    }
    T operator-=(T v)
    {
        return *this = (T)(*this - v);
    }
    T operator++(int)
    {
        T v = *this;
        *this = (T)(v + 1);
        return v;
    }
    T operator--()
    {
        *this = (T)(*this - 1);
        return *this;
    }
};

template <class T> struct shared {
    rl::atomic<T> is;
    shared()
    {
    }
    shared(T v)
    {
        is.store(v, rl::mo_relaxed, $);
    }
};

template <class T> T load(shared<T> *p, rl::memory_order o)
{
    /* Weaker than acquire, a load is relaxed. */
    return p->is.load(o == rl::mo_acq_rel ? rl::mo_acquire : o, $);
}
template <class T, class V> void store(shared<T> *p, V v, rl::memory_order o)
{
    p->is.store((T)v, o == rl::mo_acq_rel ? rl::mo_release : o, $);
}
/* Relacy wants the order of a failure to be no stronger than the other. */
static rl::memory_order at_failure(rl::memory_order o, rl::memory_order named)
{
    return o == rl::mo_relaxed || o == rl::mo_release ? rl::mo_relaxed : named;
}
template <class T, class S, class V>
bool exchange_if(shared<T> *p, S *seen, V v, rl::memory_order o, rl::memory_order f, bool weak)
{
    f = at_failure(o, f);
    T was = *seen;
    bool done = weak ? p->is.compare_exchange_weak(was, (T)v, o, $, f, $)
                     : p->is.compare_exchange_strong(was, (T)v, o, $, f, $);
    if (!done) *seen = was;
    return done;
}

#define atomic_load_explicit(p, o)                             load(p, o)
#define atomic_store_explicit(p, v, o)                         store(p, v, o)
#define atomic_exchange_explicit(p, v, o)                      (p)->is.exchange(v, o, $)
#define atomic_fetch_add_explicit(p, v, o)                     (p)->is.fetch_add(v, o, $)
#define atomic_fetch_sub_explicit(p, v, o)                     (p)->is.fetch_sub(v, o, $)
#define atomic_compare_exchange_weak_explicit(p, s, v, o, f)   exchange_if(p, s, v, o, f, true)
#define atomic_compare_exchange_strong_explicit(p, s, v, o, f) exchange_if(p, s, v, o, f, false)

/* The library's own words. */
#define HK_LIKELY(x)   (x)
#define HK_UNLIKELY(x) (x)
#define HK_INLINE      static inline
#define HK_NOINLINE
#define HK_UNUSED
#define HK_HIDDEN
typedef cell<void *> cell_of_pointer;
typedef cell<uintptr_t> cell_of_word;

/* ---- what main does ---- */

/* So many runs of the scene, each with choices of its own, the same ones each time; ends with 1 at
 * an error. */
template <class scene> void holds(unsigned runs)
{
    rl::test_params p;
    p.iteration_count = runs;
    p.execution_depth_limit = 4000;
    if (rl::simulate<scene>(p)) return;
    std::cout << "error: " << rl::test_result_str(p.test_result) << std::endl;
    _exit(1);
}

/* scene [NUMBER WEAKER], RUNS in the environment. */
#define MAIN(...)                                                                                  \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        unsigned runs = (unsigned)atoi(getenv("RUNS"));                                            \
        if (argc > 1) weakened = atoi(argv[1]);                                                    \
        if (argc > 2 && !strcmp(argv[2], "acq_rel")) weaker = rl::mo_acq_rel;                      \
        __VA_ARGS__;                                                                               \
        std::cout << "no error" << std::endl;                                                      \
        _exit(0);                                                                                  \
    }

#define HK_ASSERT RL_ASSERT

#endif
