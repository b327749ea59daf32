/* SPDX-License-Identifier: MIT */
/*
 * What: CPU and node from the rseq area or the vDSO.
 * Why: see cpu.h. The area is only read: it belongs to the C library, and others' critical sections
 *   depend on it.
 */
#include "os/cpu.h"

#ifdef HK_CPU_VIRTUAL

#include <stddef.h>

struct hk_cpu_place (*hk_cpu_virtual)(void);

struct hk_cpu_place hk_cpu_now(void)
{
    return hk_cpu_virtual ? hk_cpu_virtual() : (struct hk_cpu_place){0, 0};
}

uint32_t hk_cpu_id(void)
{
    return hk_cpu_now().cpu;
}

#else

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>

/* Of glibc 2.35 and later; the size is 0 where the kernel has no such thing or a program none. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

#define AREA_CPU      4  /* int: the CPU; negative: not registered */
#define AREA_NODE     20 /* its node, from Linux 6.3 on, which tells by the size of what it fills */
#define AREA_NODE_END 24
#define AUX_RSEQ_SIZE 27
#define AUX_VDSO      AT_SYSINFO_EHDR

static bool have_area(void)
{
    return &__rseq_size && &__rseq_offset && __rseq_size != 0;
}

static uint32_t area(size_t at)
{
    const char *self = __builtin_thread_pointer();
    return *(const volatile uint32_t *)(const volatile void *)(self + __rseq_offset + at);
}

/* On x86 the vDSO has it; elsewhere it would be a system call. */
static struct hk_cpu_place ask_vdso(void)
{
    struct hk_cpu_place at = {0, 0};
#if defined(__x86_64__)
    static _Atomic int there; /* 0: not known yet */
    int is = atomic_load_explicit(&there, memory_order_relaxed);
    int saved = errno;
    if (!is) {
        is = getauxval(AUX_VDSO) ? 1 : -1;
        atomic_store_explicit(&there, is, memory_order_relaxed);
    }
    if (is < 0 || getcpu(&at.cpu, &at.node) != 0) at = (struct hk_cpu_place){0, 0};
    errno = saved;
#endif
    return at;
}

uint32_t hk_cpu_id(void)
{
    uint32_t cpu = have_area() ? area(AREA_CPU) : UINT32_MAX;
    return HK_LIKELY(cpu <= INT32_MAX) ? cpu : ask_vdso().cpu;
}

static bool area_has_node(void)
{
    int saved = errno; /* getauxval sets it for what an old kernel does not know */
    bool has = getauxval(AUX_RSEQ_SIZE) >= AREA_NODE_END;
    errno = saved;
    return has;
}

struct hk_cpu_place hk_cpu_now(void)
{
    struct hk_cpu_place at;
    do {
        at.cpu = have_area() ? area(AREA_CPU) : UINT32_MAX;
        if (at.cpu > INT32_MAX) return ask_vdso();
        at.node = area_has_node() ? area(AREA_NODE) : ask_vdso().node;
    } while (area(AREA_CPU) != at.cpu); /* moved meanwhile: not this one's node */
    return at;
}

#endif
