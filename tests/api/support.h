/* SPDX-License-Identifier: MIT */
/*
 * What: what the black-box tests share: cases and expectations on top of hktest.h, isolation in a
 *   child, patterns, random numbers, resident size, look-up of functions the libc may lack.
 * Why: the tests run on any malloc that keeps glibc's contract, so nothing here knows hakmem beyond
 *   the question whether it is there; and a crash or hang of one case must not silence the others.
 * Threads: T_EXPECT may be used from any thread of a case.
 */
#ifndef HK_TESTS_API_SUPPORT_H
#define HK_TESTS_API_SUPPORT_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ending.h"
#include "hktest.h"

#define T_UNUSED       __attribute__((unused))
#define T_KIB          ((size_t)1 << 10)
#define T_MIB          ((size_t)1 << 20)
#define T_GIB          ((size_t)1 << 30)
#define T_COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define T_TOLD_MAX     10 /* failures of one case that are printed; the rest is counted */
#define T_EXIT_FAILED  1
#define T_EXIT_SKIPPED 77

static _Atomic int t_fails;        /* expectations missed in the running case */
static const char *_Atomic t_skip; /* why the running case was skipped */

/* Never malloc's result directly in expectations about sizes: the compiler must not know them. */
static inline T_UNUSED size_t t_opaque(size_t n)
{
    volatile size_t v = n;
    return v;
}

static T_UNUSED __attribute__((format(printf, 4, 5))) void
t_missed(const char *file, int line, const char *what, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (atomic_fetch_add(&t_fails, 1) < T_TOLD_MAX) {
        printf("# %s:%d: expected %s: %s\n", file, line, what, text);
        fflush(stdout);
    }
}

/* Note a failure of the running case, with a printf-like account, and go on. */
#define T_EXPECT(cond, ...) ((cond) ? (void)0 : t_missed(__FILE__, __LINE__, #cond, __VA_ARGS__))

/* Leave the running case as skipped; only from the case's own function. */
#define T_SKIP_IF(cond, why)                                                                       \
    do {                                                                                           \
        if (cond) {                                                                                \
            t_skip = (why);                                                                        \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static T_UNUSED void t_report(const char *name)
{
    if (t_skip)
        hktest_skip(name, t_skip);
    else
        hktest_ok(t_fails == 0, "%s", name);
}

/* Run one case in this process. */
static T_UNUSED void t_case(const char *name, void (*fn)(void))
{
    t_fails = 0;
    t_skip = NULL;
    fn();
    t_report(name);
}

static T_UNUSED void t_describe(int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("# hangs: still running after %u s\n", T_HANG_SECONDS);
    else if (WIFSIGNALED(status))
        printf("# dies of signal %d\n", WTERMSIG(status));
    else
        printf("# exits with %d\n", WEXITSTATUS(status));
}

/* Run one case in a child with a hang watchdog: a crash or hang is a failure like another. */
static T_UNUSED void t_isolated(const char *name, void (*fn)(void))
{
    t_fails = 0;
    t_skip = NULL;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(T_HANG_SECONDS);
        fn();
        if (t_skip) printf("# skipped: %s\n", t_skip);
        fflush(stdout);
        _exit(t_skip ? T_EXIT_SKIPPED : t_fails ? T_EXIT_FAILED : 0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        t_fails = 1;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == T_EXIT_SKIPPED) {
        t_skip = "see the line above";
    } else if (status != 0) {
        t_fails = 1;
        t_describe(status);
    }
    t_report(name);
}

/* A function by name, from the preloaded library or the libc; NULL if neither has it. */
static T_UNUSED void *t_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

static T_UNUSED bool t_on_hakmem(void)
{
    return t_symbol("hakmem_version") != NULL;
}

/* splitmix64: any seed, also 0, gives a good sequence. */
static inline T_UNUSED uint64_t t_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A size in [1, 2^bits], all magnitudes equally likely. */
static inline T_UNUSED size_t t_random_size(uint64_t *state, unsigned bits)
{
    unsigned magnitude = (unsigned)(t_random(state) % (bits + 1));
    return 1 + (size_t)(t_random(state) & (((uint64_t)1 << magnitude) - 1));
}

/* Fill n bytes with a pattern that depends on seed and position. */
static T_UNUSED void t_fill(void *p, size_t n, uint64_t seed)
{
    unsigned char *b = p;
    uint64_t w = (seed + 1) * 0x9e3779b97f4a7c15u;
    size_t i = 0;
    for (; i + 8 <= n; i += 8, w += 0x0101010101010107u) memcpy(b + i, &w, 8);
    memcpy(b + i, &w, n - i);
}

/* Is the pattern still there? */
static T_UNUSED bool t_holds(const void *p, size_t n, uint64_t seed)
{
    const unsigned char *b = p;
    uint64_t w = (seed + 1) * 0x9e3779b97f4a7c15u, got;
    size_t i = 0;
    for (; i + 8 <= n; i += 8, w += 0x0101010101010107u) {
        memcpy(&got, b + i, 8);
        if (got != w) return false;
    }
    return memcmp(b + i, &w, n - i) == 0;
}

static T_UNUSED bool t_is_zero(const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t got;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&got, b + i, 8);
        if (got != 0) return false;
    }
    for (; i < n; i++)
        if (b[i] != 0) return false;
    return true;
}

/* Resident (which = 1) or virtual (which = 0) bytes of this process, without malloc. */
static T_UNUSED size_t t_statm(int which)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    unsigned long pages[2] = {0, 0};
    if (got <= 0 || sscanf(text, "%lu %lu", &pages[0], &pages[1]) != 2) return 0;
    return pages[which] * (size_t)sysconf(_SC_PAGESIZE);
}

static T_UNUSED size_t t_resident(void)
{
    return t_statm(1);
}

static T_UNUSED double t_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A number from argv[1], else the environment, else the default. */
static T_UNUSED unsigned long t_number(int argc, char **argv, const char *env, unsigned long def)
{
    const char *s = argc > 1 ? argv[1] : getenv(env);
    unsigned long n = s ? strtoul(s, NULL, 10) : 0;
    return n ? n : def;
}

/* Sizes where an allocator changes its mind: around every layer's and many classes' limits. */
static T_UNUSED const size_t t_edges[] = {
    1,       8,       15,      16,      17,      24,      100,     512,     1007,
    1008,    1023,    1024,    1025,    2000,    4095,    4096,    4097,    8192,
    8193,    16384,   16385,   32767,   32768,   32769,   40000,   65535,   65536,
    65537,   131072,  200000,  262145,  524288,  1048575, 1048577, 2097136, 2097151,
    2097152, 2097153, 3000000, 4194304, 4194305, 8388609,
};

#endif
