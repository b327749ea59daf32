/* SPDX-License-Identifier: MIT */
/*
 * What: Linux behind sys.h.
 * Why: see sys.h. The C library's thin wrappers are used where they do nothing but the call;
 *   each saves and restores errno, because malloc and free must not change it on success.
 */
#include "os/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "os/probe.h"

HK_LINE_ALIGNED _Atomic uint64_t hk_sys_count[HK_SYS_COUNTS];
const char *const hk_sys_name[HK_SYS_CALLS] = {
    "mmap",        "munmap",    "madvise", "mremap",        "futex",
    "sched_yield", "getrusage", "mbind",   "get_mempolicy", "mprotect"};

static void count(enum hk_sys_call call)
{
    atomic_fetch_add_explicit(&hk_sys_count[call], 1, memory_order_relaxed);
}

_Atomic size_t hk_sys_page;

size_t hk_sys_page_learn(void)
{
    size_t p = getauxval(AT_PAGESZ);
    if (p == 0) p = 4096;
    atomic_store_explicit(&hk_sys_page, p, memory_order_relaxed);
    return p;
}

/*
 * Mappings of no use that the kernel would not unmap, as at the end of its count of mappings: each
 * holds its own entry. Taken whole, so there is no ABA.
 */
struct left {
    struct left *next;
    size_t bytes;
};
static _Atomic(struct left *) left;

static void leave(void *p, size_t bytes)
{
    struct left *l = p;
    l->bytes = bytes;
    l->next = atomic_load_explicit(&left, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&left, &l->next, l, memory_order_release,
                                                  memory_order_relaxed))
        continue;
}

size_t hk_sys_drop_again(void)
{
    size_t got = 0;
    if (HK_LIKELY(!atomic_load_explicit(&left, memory_order_relaxed))) return 0;
    struct left *l = atomic_exchange_explicit(&left, NULL, memory_order_acquire);
    for (struct left *next; l; l = next) {
        size_t bytes = l->bytes;
        next = l->next;
        if (hk_sys_unmap(l, bytes))
            got += bytes;
        else
            leave(l, bytes);
    }
    return got;
}

void hk_sys_drop(void *p, size_t bytes)
{
    if (hk_sys_unmap(p, bytes)) return;
    hk_sys_purge(p, bytes);
    leave(p, bytes);
}

static void *map(void *at, size_t bytes, int prot, int flags)
{
    int saved = errno;
    hk_sys_drop_again();
    count(HK_SYS_MMAP);
    void *p = mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED) p = NULL;
    if (p && at && p != at) { /* a hint that was taken is no answer */
        hk_sys_drop(p, bytes);
        p = NULL;
    }
    if (p) hk_probe_mapped(p, bytes);
    errno = saved;
    return p;
}

void *hk_sys_map(void *at, size_t bytes)
{
    return map(at, bytes, PROT_READ | PROT_WRITE, 0);
}

void *hk_sys_map_sparse(void *at, size_t bytes)
{
    return map(at, bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
}

void *hk_sys_map_closed(size_t bytes)
{
    return map(NULL, bytes, PROT_NONE, MAP_NORESERVE);
}

bool hk_sys_unmap(void *p, size_t bytes)
{
    int saved = errno;
    count(HK_SYS_MUNMAP);
    bool done = munmap(p, bytes) == 0;
    errno = saved;
    return done;
}

/*
 * The kernel hands an address that one thread's mremap has left to another's. The thread sanitizer
 * knows that of mmap and munmap only.
 */
#if HK_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
static char kernel;
#define KERNEL_TAKES() __tsan_release(&kernel)
#define KERNEL_GIVES() __tsan_acquire(&kernel)
#else
#define KERNEL_TAKES() ((void)0)
#define KERNEL_GIVES() ((void)0)
#endif

bool hk_sys_protect(void *p, size_t bytes, enum hk_sys_access access)
{
    static const int of[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
    int saved = errno;
    count(HK_SYS_MPROTECT);
    bool done = mprotect(p, bytes, of[access]) == 0;
    errno = saved;
    return done;
}

void *hk_sys_remap(void *p, size_t from, size_t to)
{
    int saved = errno;
    count(HK_SYS_MREMAP);
    KERNEL_TAKES();
    void *q = mremap(p, from, to, MREMAP_MAYMOVE);
    KERNEL_GIVES();
    errno = saved;
    return q == MAP_FAILED ? NULL : q;
}

static bool advise(void *p, size_t bytes, int advice)
{
    int saved = errno;
    count(HK_SYS_MADVISE);
    bool done = madvise(p, bytes, advice) == 0;
    errno = saved;
    return done;
}

static _Atomic bool time_purges;
_Atomic uint64_t hk_sys_purge_ns, hk_sys_purges_timed, hk_sys_purge_bytes;

void hk_sys_time_purges(bool on)
{
    atomic_store_explicit(&time_purges, on, memory_order_relaxed);
}

bool hk_sys_purge(void *p, size_t bytes)
{
    bool timed = atomic_load_explicit(&time_purges, memory_order_relaxed);
    uint64_t begin = timed ? hk_sys_now_ns() : 0;
    bool done = advise(p, bytes, MADV_DONTNEED);
    if (HK_UNLIKELY(timed)) {
        atomic_fetch_add_explicit(&hk_sys_purge_ns, hk_sys_now_ns() - begin, memory_order_relaxed);
        atomic_fetch_add_explicit(&hk_sys_purges_timed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&hk_sys_purge_bytes, bytes, memory_order_relaxed);
    }
    return done;
}

bool hk_sys_nohuge(void *p, size_t bytes)
{
    return advise(p, bytes, MADV_NOHUGEPAGE);
}

bool hk_sys_huge(void *p, size_t bytes)
{
    return advise(p, bytes, MADV_HUGEPAGE);
}

#define NODES 1024u /* more than kernels know */
struct nodes {
    unsigned long bits[NODES / (8 * sizeof(unsigned long))];
};

static bool policy(void *p, size_t bytes, int how, const struct nodes *n)
{
    int saved = errno;
    count(HK_SYS_MBIND);
    bool done = syscall(SYS_mbind, p, bytes, how, n->bits, NODES + 1, 0) == 0;
    errno = saved;
    return done;
}

bool hk_sys_prefer_node(void *p, size_t bytes, uint32_t node)
{
    const unsigned each = 8 * sizeof(unsigned long);
    struct nodes n = {{0}};
    if (node >= NODES) return false;
    n.bits[node / each] = 1ul << (node % each);
    return policy(p, bytes, MPOL_PREFERRED, &n);
}

bool hk_sys_interleave(void *p, size_t bytes)
{
    struct nodes n = {{0}};
    int saved = errno;
    count(HK_SYS_GET_MEMPOLICY);
    bool known =
        syscall(SYS_get_mempolicy, NULL, n.bits, NODES + 1, NULL, MPOL_F_MEMS_ALLOWED) == 0;
    errno = saved;
    return known && policy(p, bytes, MPOL_INTERLEAVE, &n);
}

size_t hk_sys_thread_faults(void)
{
    struct rusage ru;
    int saved = errno;
    count(HK_SYS_GETRUSAGE);
    size_t faults = getrusage(RUSAGE_THREAD, &ru) == 0 ? (size_t)ru.ru_minflt : 0;
    errno = saved;
    return faults;
}

static struct timespec clock_of(clockid_t id)
{
    struct timespec ts;
    int saved = errno;
    if (clock_gettime(id, &ts) != 0) ts = (struct timespec){0, 0};
    errno = saved;
    return ts;
}

uint64_t hk_sys_now_ms(void)
{
    struct timespec ts = clock_of(CLOCK_MONOTONIC_COARSE);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t hk_sys_now_ns(void)
{
    struct timespec ts = clock_of(CLOCK_MONOTONIC);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void hk_sys_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    int saved = errno;
    count(HK_SYS_FUTEX);
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, ns ? &ts : NULL, NULL, 0);
    /* A filter refuses: whoever is waited for may need this CPU. */
    if (rc < 0 && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT) hk_sys_yield();
    errno = saved;
}

void hk_sys_wake(_Atomic uint32_t *word, int n)
{
    int saved = errno;
    count(HK_SYS_FUTEX);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
    errno = saved;
}

bool hk_sys_readable(const void *p)
{
    const struct timespec none = {0, 0};
    int saved = errno;
    count(HK_SYS_FUTEX);
    bool read = syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, 0, &none, NULL, 0) == 0 ||
                errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR;
    errno = saved;
    return read;
}

void hk_sys_yield(void)
{
    int saved = errno;
    count(HK_SYS_YIELD);
    sched_yield();
    errno = saved;
}

void hk_sys_pause(void)
{
    _Atomic uint32_t nobody = 0;
    hk_sys_wait(&nobody, 0, 50000);
}

void hk_sys_write(int fd, const char *buf, size_t len)
{
    int saved = errno;
    while (len) {
        /* Raw: write() of the C library is a cancellation point. */
        long n = syscall(SYS_write, fd, buf, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        buf += n;
        len -= (size_t)n;
    }
    errno = saved;
}

uint64_t hk_sys_random(void)
{
    const void *bytes = (const void *)getauxval(AT_RANDOM); /* 16 of them, not aligned */
    uint64_t r[2] = {0, 0};
    if (bytes) memcpy(r, bytes, sizeof r);
    return r[0] ^ (r[1] << 7);
}

/* After Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t stir(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t hk_sys_secret(unsigned which)
{
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    uint64_t r[2] = {0, 0};
    if (bytes) memcpy(r, bytes, sizeof r);
    return stir(stir(r[0] + (which + 1) * 0x9e3779b97f4a7c15u) + r[1]);
}

bool hk_sys_secure(void)
{
    return getauxval(AT_SECURE) != 0;
}

static void (*as_function(void *at))(void)
{
    union {
        void *p;
        void (*f)(void);
    } found = {at};
    return found.f;
}

void (*hk_sys_next_function(const char *name))(void)
{
    int saved = errno;
    /* A dlsym that somebody put before the C library's would look behind itself, and find us. */
    void *at = dlvsym(RTLD_NEXT, name, "GLIBC_2.34");
    if (!at) at = dlsym(RTLD_NEXT, name); /* an older C library */
    errno = saved;
    return as_function(at);
}

struct link_map *hk_sys_loaded(const char *library)
{
    int saved = errno;
    /* Past api/deep.c's, which asks too. */
    void *(*next)(const char *, int) = (void *(*)(const char *, int))hk_sys_next_function("dlopen");
    struct link_map *lib = next ? next(library, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    errno = saved;
    return lib;
}

void (*hk_sys_function_in(struct link_map *library, const char *name))(void)
{
    /* The C library's own: who wraps dlsym may call dlopen in it, and so come here again. */
    struct link_map *libc = hk_sys_loaded("libc.so.6");
    int saved = errno;
    typedef void *look(void *library, const char *name);
    look *its = libc ? (look *)as_function(dlvsym(libc, "dlsym", "GLIBC_2.34")) : NULL;
    void (*f)(void) = as_function((its ? its : dlsym)(library, name));
    errno = saved;
    return f;
}

long hk_sys_read_file(const char *path, char *out, size_t bytes)
{
    int saved = errno;
    long n = -1;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = syscall(SYS_read, fd, out, bytes - 1);
        syscall(SYS_close, fd);
    }
    out[n > 0 ? n : 0] = 0;
    errno = saved;
    return n;
}

long hk_sys_map_file(const char *path, char **text, size_t most)
{
    int saved = errno;
    long n = -1, got = 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *text = fd >= 0 ? hk_sys_map(NULL, most + 1) : NULL;
    for (size_t at = 0; *text && at < most; at += (size_t)got) {
        got = syscall(SYS_read, fd, *text + at, most - at);
        if (got < 0) break;
        n = (long)at + got;
        if (got == 0) break;
    }
    if (fd >= 0) syscall(SYS_close, fd);
    errno = saved;
    return n;
}

size_t hk_sys_resident_bytes(void)
{
    char buf[128];
    size_t pages = 0;
    const char *at =
        hk_sys_read_file("/proc/self/statm", buf, sizeof buf) > 0 ? strchr(buf, ' ') : NULL;
    for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
        pages = pages * 10 + (size_t)(*at - '0');
    return pages * hk_sys_page_bytes();
}

size_t hk_sys_peak_bytes(void)
{
    struct rusage ru;
    int saved = errno;
    size_t peak = getrusage(RUSAGE_SELF, &ru) == 0 ? (size_t)ru.ru_maxrss * 1024 : 0;
    errno = saved;
    return peak;
}

int hk_sys_open_output(const char *path)
{
    int saved = errno;
    int fd =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    errno = saved;
    return fd;
}

void hk_sys_close(int fd)
{
    int saved = errno;
    syscall(SYS_close, fd);
    errno = saved;
}

#ifdef HK_DEBUG
size_t hk_sys_left_bytes(void)
{
    size_t bytes = 0;
    for (const struct left *l = atomic_load_explicit(&left, memory_order_acquire); l; l = l->next)
        bytes += l->bytes;
    return bytes;
}
#endif
