/* SPDX-License-Identifier: MIT */
/*
 * What: the requests to valgrind and AddressSanitizer.
 * Why: see probe.h. For helgrind and DRD a block that is born is new memory, of the thread that got
 *   it: this is the hand-over of a block from thread to thread through the allocator. There is no
 *   happens-before from a free to the malloc that takes the memory over: their own malloc has none
 *   either, and with it a race of the program would hide behind two calls that have nothing to do
 *   with it. What the library's threads do among themselves is quiet.
 */
#include "os/probe.h"

#if HK_PROBED

#include <stdatomic.h>
#include <stdint.h>

#if HK_VALGRIND
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/helgrind.h>
#include <valgrind/memcheck.h>
#endif
#if HK_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define REDZONE 16u /* told to memcheck, as its own malloc has it: descriptions are alike */

bool hk_probe_asan;
static _Atomic int listener; /* of enum hk_probe */

#if HK_VALGRIND
/* On the real CPU, where the C library has no thread: a call of the kernel by hand. */
static long unseen_mprotect(unsigned thread HK_UNUSED, void *p, size_t bytes)
{
    long prot = PROT_READ | PROT_WRITE;
#if defined(__x86_64__)
    long r = SYS_mprotect;
    __asm__ volatile("syscall" : "+a"(r) : "D"(p), "S"(bytes), "d"(prot) : "rcx", "r11", "memory");
    return r;
#else
    register long number __asm__("x8") = SYS_mprotect, a __asm__("x0") = (long)p,
                         b __asm__("x1") = (long)bytes, c __asm__("x2") = prot;
    __asm__ volatile("svc 0" : "+r"(a) : "r"(number), "r"(b), "r"(c) : "memory");
    return a;
#endif
}

/*
 * Memcheck takes all that can be read and written, but for its own heap, for a root: what a lost
 * block points to would be reachable. So valgrind is told that the range can no longer be written,
 * and the kernel, past it, that it can.
 */
static void no_root(void *p, size_t bytes)
{
    if (syscall(SYS_mprotect, p, bytes, PROT_READ) == 0)
        VALGRIND_NON_SIMD_CALL2(unseen_mprotect, p, bytes);
}

/* As drd.h has it, which cannot be included beside helgrind.h: 'D' 'R', 1, the tool's thread. */
#define DRD_THREAD_ID (VG_USERREQ_TOOL_BASE('D', 'R') + 1)

static enum hk_probe tool(void)
{
    char here = 0, bits;
    if (!RUNNING_ON_VALGRIND) return HK_PROBE_NOBODY;
    if (VALGRIND_MAKE_MEM_DEFINED(&here, 1)) return HK_PROBE_MEMCHECK;
    bool helgrind = VALGRIND_HG_GET_ABITS(&here, &bits, 1) != -2;
    bool drd = VALGRIND_DO_CLIENT_REQUEST_EXPR(0, DRD_THREAD_ID, 0, 0, 0, 0, 0) != 0;
    return helgrind || drd ? HK_PROBE_RACES : HK_PROBE_NOBODY;
}
#else
static enum hk_probe tool(void)
{
    return hk_probe_asan ? HK_PROBE_ASAN : HK_PROBE_NOBODY;
}
/* Nobody is there to answer them. */
#define VALGRIND_MAKE_MEM_NOACCESS(p, n)              ((void)(p), (void)(n))
#define VALGRIND_MALLOCLIKE_BLOCK(p, n, rz, zeroed)   ((void)(zeroed))
#define VALGRIND_FREELIKE_BLOCK(p, rz)                ((void)(p))
#define VALGRIND_RESIZEINPLACE_BLOCK(p, from, to, rz) ((void)(from))
#define VALGRIND_HG_CLEAN_MEMORY(p, n)                ((void)(p))
#define VALGRIND_HG_DISABLE_CHECKING(p, n)            ((void)(p))
#define VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, n)       ((void)(p))
#define no_root(p, n)                                 ((void)(p), (void)(n))
#define VALGRIND_PRINTF(...)                          ((void)0)
#define VALGRIND_DISABLE_ERROR_REPORTING              ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING               ((void)0)
#endif
#if !HK_ASAN
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum hk_probe hk_probe_ask(void)
{
    int who = atomic_load_explicit(&listener, memory_order_relaxed);
    if (HK_UNLIKELY(who == HK_PROBE_UNKNOWN)) {
        who = tool();
        atomic_store_explicit(&listener, who, memory_order_relaxed);
    }
    return who;
}

void hk_probe_mapped(void *p, size_t bytes)
{
    enum hk_probe who = hk_probe_ask();
    if (who == HK_PROBE_MEMCHECK) VALGRIND_MAKE_MEM_NOACCESS(p, bytes);
    if (who == HK_PROBE_RACES) VALGRIND_HG_DISABLE_CHECKING(p, bytes);
}

void hk_probe_born(void *raw, size_t total, void *p, size_t n, bool zeroed)
{
    char *from = raw, *to = from + total, *mine = p;
    switch (hk_probe_ask()) {
    case HK_PROBE_MEMCHECK:
        VALGRIND_MALLOCLIKE_BLOCK(p, n, REDZONE, zeroed);
        break;
    case HK_PROBE_RACES:
        VALGRIND_HG_CLEAN_MEMORY(p, n);
        break;
    case HK_PROBE_ASAN:
        ASAN_POISON_MEMORY_REGION(from, mine - from);
        ASAN_POISON_MEMORY_REGION(mine + n, to - mine - n);
        break;
    default:
        break;
    }
}

void hk_probe_dead(void *p, size_t n)
{
    switch (hk_probe_ask()) {
    case HK_PROBE_MEMCHECK:
        VALGRIND_FREELIKE_BLOCK(p, REDZONE);
        break;
    case HK_PROBE_RACES:
        VALGRIND_HG_DISABLE_CHECKING(p, n);
        break;
    case HK_PROBE_ASAN:
        ASAN_POISON_MEMORY_REGION(p, n);
        break;
    default:
        break;
    }
}

void hk_probe_shrunk(void *p, size_t before, size_t n)
{
    char *end = (char *)p + n;
    if (hk_probe_ask() == HK_PROBE_MEMCHECK) VALGRIND_RESIZEINPLACE_BLOCK(p, before, n, REDZONE);
    if (hk_probe_ask() == HK_PROBE_ASAN) ASAN_POISON_MEMORY_REGION(end, before - n);
}

void hk_probe_back(void *raw, size_t total)
{
    if (hk_probe_ask() == HK_PROBE_ASAN) ASAN_UNPOISON_MEMORY_REGION(raw, total);
}

void hk_probe_end(void *p, size_t bytes)
{
    if (hk_probe_ask() == HK_PROBE_MEMCHECK) no_root(p, bytes);
}

HK_NOINLINE void hk_probe_mismatched(const void *p, const char *made HK_UNUSED,
                                     const char *freed HK_UNUSED)
{
    if (hk_probe_ask() != HK_PROBE_MEMCHECK) return;
    VALGRIND_PRINTF("hakmem: mismatched free: a block of %s is freed by %s\n", made, freed);
    VALGRIND_CHECK_MEM_IS_ADDRESSABLE((const char *)p - 1, 1); /* which it is not */
}

HK_NOINLINE void hk_probe_fishy(size_t n HK_UNUSED)
{
    static char here;
    if (hk_probe_ask() != HK_PROBE_MEMCHECK) return;
    VALGRIND_PRINTF("hakmem: a fishy (possibly negative) size: %ld\n", (long)n);
    VALGRIND_MAKE_MEM_NOACCESS(&here, 1);
    VALGRIND_CHECK_MEM_IS_ADDRESSABLE(&here, 1);
}

void hk_probe_quiet(void)
{
    VALGRIND_DISABLE_ERROR_REPORTING;
}

void hk_probe_loud(void)
{
    VALGRIND_ENABLE_ERROR_REPORTING;
}

#endif
