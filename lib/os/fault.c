/* SPDX-License-Identifier: MIT */
/*
 * What: what --wrap puts in the place of the C library's thin wrappers.
 * Why: see fault.h.
 */
#include "os/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

const char *const hk_fault_name[HK_FAULT_CALLS] = {
    "mmap",  "munmap",        "mremap", "madvise", "mprotect", "futex", "sched_yield", "getrusage",
    "mbind", "get_mempolicy", "openat", "read",    "write",    "close", "memory"};
_Atomic unsigned hk_fault_seen[HK_FAULT_CALLS], hk_fault_hits;
_Atomic size_t hk_fault_mapped;
#define FUTEX_RARITY 4u /* at least: who waits for a lock is to sleep at last */
static struct hk_fault fault;
static _Atomic bool armed;
static _Atomic unsigned rarity; /* of what fails by chance; 0: nothing does */
static _Atomic uint64_t throws;
static _Atomic uint64_t clock_ns; /* 0: it runs */

void hk_fault_arm(const struct hk_fault *f)
{
    fault = *f;
    for (unsigned i = 0; i < HK_FAULT_CALLS; i++) atomic_store(&hk_fault_seen[i], 0);
    atomic_store(&hk_fault_hits, 0);
    atomic_store(&armed, true);
}

void hk_fault_disarm(void)
{
    atomic_store(&armed, false);
}

void hk_fault_chance(unsigned one_in, uint64_t seed)
{
    atomic_store(&throws, seed);
    atomic_store(&rarity, one_in);
}

bool hk_fault_pause(void)
{
    return atomic_exchange(&armed, false);
}

void hk_fault_resume(bool was)
{
    atomic_store(&armed, was);
}

/* What this call, counted as `call`, is to do: 0, or as hk_fault.how. */
static int fate_as(enum hk_fault_call call)
{
    unsigned nth = atomic_fetch_add(&hk_fault_seen[call], 1) + 1;
    if (call != fault.call || !fault.nth || nth < fault.nth || (nth > fault.nth && !fault.sticky))
        return 0;
    atomic_fetch_add(&hk_fault_hits, 1);
    return fault.how;
}

/* Errors after which the next call may do. */
static int by_chance(enum hk_fault_call call)
{
    static const int how[HK_FAULT_CALLS][4] = {
        [HK_FAULT_MMAP] = {ENOMEM, EAGAIN, ENOMEM, HK_FAULT_ELSEWHERE},
        [HK_FAULT_MUNMAP] = {ENOMEM, ENOMEM, ENOMEM, ENOMEM},
        [HK_FAULT_MREMAP] = {ENOMEM, EAGAIN, ENOMEM, ENOMEM},
        [HK_FAULT_MADVISE] = {ENOMEM, EAGAIN, EINVAL, HK_FAULT_HALF},
        [HK_FAULT_MPROTECT] = {ENOMEM, ENOMEM, ENOMEM, ENOMEM},
        [HK_FAULT_FUTEX] = {EINTR, EAGAIN, EINTR, EAGAIN},
    };
    unsigned one_in = atomic_load(&rarity);
    if (!one_in || !how[call][0]) return 0;
    if (call == HK_FAULT_FUTEX && one_in < FUTEX_RARITY) one_in = FUTEX_RARITY;
    uint64_t z = atomic_fetch_add(&throws, 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    if ((z >> 2) % one_in != 0) return 0;
    atomic_fetch_add(&hk_fault_hits, 1);
    return how[call][one_in == 1 ? 0 : z % 4];
}

static int fate(enum hk_fault_call call)
{
    if (!atomic_load(&armed)) return by_chance(call);
    int how = fate_as(call), any = call <= HK_FAULT_MADVISE ? fate_as(HK_FAULT_MEMORY) : 0;
    return how ? how : any;
}

/* Whether it fails; errno is set then. */
static bool fails(enum hk_fault_call call)
{
    int how = fate(call);
    if (how) errno = how;
    return how != 0;
}

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    int how = fate(HK_FAULT_MMAP);
    if (how > 0) {
        errno = how;
        return MAP_FAILED;
    }
    if (how == HK_FAULT_ELSEWHERE) at = NULL;
    void *p = __real_mmap(at, bytes, prot, flags, fd, offset);
    if (p != MAP_FAILED) atomic_fetch_add(&hk_fault_mapped, bytes);
    return p;
}

int __real_munmap(void *p, size_t bytes);
int __wrap_munmap(void *p, size_t bytes);
int __wrap_munmap(void *p, size_t bytes)
{
    if (fails(HK_FAULT_MUNMAP)) return -1;
    int rc = __real_munmap(p, bytes);
    if (rc == 0) atomic_fetch_sub(&hk_fault_mapped, bytes);
    return rc;
}

void *__real_mremap(void *p, size_t from, size_t to, int flags, ...);
void *__wrap_mremap(void *p, size_t from, size_t to, int flags, ...);
void *__wrap_mremap(void *p, size_t from, size_t to, int flags, ...)
{
    if (fails(HK_FAULT_MREMAP)) return MAP_FAILED;
    void *q = __real_mremap(p, from, to, flags);
    if (q != MAP_FAILED) atomic_fetch_add(&hk_fault_mapped, to - from);
    return q;
}

int __real_madvise(void *p, size_t bytes, int advice);
int __wrap_madvise(void *p, size_t bytes, int advice);
int __wrap_madvise(void *p, size_t bytes, int advice)
{
    int how = fate(HK_FAULT_MADVISE);
    if (!how) return __real_madvise(p, bytes, advice);
    if (how == HK_FAULT_HALF && bytes >= 8192) __real_madvise(p, bytes / 2 & ~(size_t)4095, advice);
    errno = how == HK_FAULT_HALF ? ENOMEM : how;
    return -1;
}

int __real_mprotect(void *p, size_t bytes, int prot);
int __wrap_mprotect(void *p, size_t bytes, int prot);
int __wrap_mprotect(void *p, size_t bytes, int prot)
{
    return fails(HK_FAULT_MPROTECT) ? -1 : __real_mprotect(p, bytes, prot);
}

int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    return fails(HK_FAULT_YIELD) ? -1 : __real_sched_yield();
}

int __real_getrusage(int who, struct rusage *out);
int __wrap_getrusage(int who, struct rusage *out);
int __wrap_getrusage(int who, struct rusage *out)
{
    return fails(HK_FAULT_GETRUSAGE) ? -1 : __real_getrusage(who, out);
}

static enum hk_fault_call raw_call(long number)
{
    switch (number) {
    case SYS_futex:
        return HK_FAULT_FUTEX;
    case SYS_mbind:
        return HK_FAULT_MBIND;
    case SYS_get_mempolicy:
        return HK_FAULT_GET_MEMPOLICY;
    case SYS_openat:
        return HK_FAULT_OPEN;
    case SYS_read:
        return HK_FAULT_READ;
    case SYS_write:
        return HK_FAULT_WRITE;
    case SYS_close:
        return HK_FAULT_CLOSE;
    default:
        return HK_FAULT_CALLS;
    }
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    enum hk_fault_call call = raw_call(number);
    long a[6];
    va_list ap;
    int how = call == HK_FAULT_CALLS ? 0 : fate(call);
    if (how && call != HK_FAULT_CLOSE) {
        errno = how;
        return -1;
    }
    va_start(ap, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(ap, long);
    va_end(ap);
    long rc = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (!how) return rc;
    errno = how; /* Linux closes the file whatever it says */
    return -1;
}

void hk_fault_clock_stop(void)
{
    atomic_store(&clock_ns, (uint64_t)1000000000000);
}

void hk_fault_clock_move(uint64_t ms)
{
    atomic_fetch_add(&clock_ns, ms * 1000000);
}

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    uint64_t now = atomic_load(&clock_ns);
    if (!now) return __real_clock_gettime(id, ts);
    *ts = (struct timespec){(time_t)(now / 1000000000), (long)(now % 1000000000)};
    return 0;
}

/* The heap lies at the same place in every run. */
unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type)
{
    static const unsigned char dice[16] = {0x5a, 0x17, 0xc3, 0x0d, 0x9e, 0x44, 0x21, 0x73,
                                           0xe8, 0x02, 0x6b, 0xf5, 0x90, 0x3c, 0xd7, 0x11};
    return type == AT_RANDOM ? (unsigned long)dice : __real_getauxval(type);
}
