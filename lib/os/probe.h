/* SPDX-License-Identifier: MIT */
/*
 * What: what the library tells valgrind's tools and AddressSanitizer about memory: blocks that are
 *   born and die, memory that is nobody's, and that the library's own steps are not to be judged.
 * Why: they take a malloc of the program's own for just another part of it, which reads memory that
 *   was freed. One header knows their requests; where there are none it is empty.
 * Invariants: a release build has no request. Under memcheck all memory that is mapped for the heap
 *   and its records is out of bounds but for live blocks, so that no pointer in it keeps a leak
 * from being seen; the library looks at it between hk_probe_quiet and hk_probe_loud. Threads: all;
 * quiet is a count of the calling thread's, kept by valgrind.
 */
#ifndef HK_OS_PROBE_H
#define HK_OS_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

#ifndef HK_VALGRIND
#define HK_VALGRIND 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HK_ASAN 1
#endif
#endif
#ifndef HK_ASAN
#define HK_ASAN 0
#endif

/* A build in which somebody may listen. */
#define HK_PROBED (HK_VALGRIND || HK_ASAN)

#if HK_PROBED

enum hk_probe {
    HK_PROBE_UNKNOWN,
    HK_PROBE_NOBODY,
    HK_PROBE_MEMCHECK,
    HK_PROBE_RACES, /* helgrind or DRD */
    HK_PROBE_ASAN
};

/* Who listens, found out by the first call. */
enum hk_probe hk_probe_ask(void);
/* ASan: whether to tell it of blocks. Off, as tests look at the memory of free ones; set it first.
 */
extern HK_HIDDEN bool hk_probe_asan;

/* Fresh memory from the kernel: out of bounds until a block of it is born. */
void hk_probe_mapped(void *p, size_t bytes);
/* p, of n bytes, in the raw block [raw, raw + total), becomes the program's. */
void hk_probe_born(void *raw, size_t total, void *p, size_t n, bool zeroed);
/* It no longer is. Of a pointer that is no block, this is what makes memcheck report it. */
void hk_probe_dead(void *p, size_t n);
/* It has n bytes from now on, fewer than before. */
void hk_probe_shrunk(void *p, size_t before, size_t n);
/* The raw block goes back to the allocator, which writes into it. */
void hk_probe_back(void *raw, size_t total);
/*
 * At the end of the process: only the program's own pointers keep a block in [p, p + bytes) from
 * being a leak, not what lies in other blocks there.
 */
void hk_probe_end(void *p, size_t bytes);
/* Reports that valgrind's own malloc makes and has no request for; count as errors all the same. */
void hk_probe_mismatched(const void *p, const char *made, const char *freed);
void hk_probe_fishy(size_t n);

/*
 * After a call: it is in no tail position, so that who calls is in valgrind's traces. Elsewhere
 * such calls have to stay jumps, as what they lead to asks where the program goes on.
 */
HK_INLINE void hk_probe_traced(void)
{
    __asm__ volatile("");
}

/* From the one to the other the library is at work: nothing it does is reported. They nest. */
void hk_probe_quiet(void);
void hk_probe_loud(void);

#else

HK_INLINE void hk_probe_traced(void)
{
}
HK_INLINE void hk_probe_mapped(void *p HK_UNUSED, size_t bytes HK_UNUSED)
{
}
HK_INLINE void hk_probe_quiet(void)
{
}
HK_INLINE void hk_probe_loud(void)
{
}
#endif
#endif
