/* SPDX-License-Identifier: MIT */
/*
 * What: what AddressSanitizer, or memcheck, is told of the blocks of hakmem_malloc: what may be
 *   touched before, inside, behind and after.
 * Why: tests/faulty compares verdicts of whole programs; this asks byte by byte, and for the one
 *   request that no program can show there: a shrink in place, for want of memory.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hakmem.h"
#include "hktest.h"
#include "os/probe.h"
#include "os/sys.h"

#if HK_PROBED

#if HK_ASAN
#include <sanitizer/asan_interface.h>
static bool usable(const void *p)
{
    return !__asan_address_is_poisoned(p);
}
#else
#include <valgrind/memcheck.h>
static bool usable(const void *p)
{
    unsigned char bits;
    return VALGRIND_GET_VBITS(p, &bits, 1) != 3;
}
#endif

/* All of its n bytes may be touched, none of the sixteen on either side. */
static bool lies_alone(const char *p, size_t n)
{
    bool right = p != NULL;
    for (long i = -16; right && i < (long)n + 16; i += i >= 64 && i + 64 < (long)n ? 31 : 1)
        right = usable(p + i) == (i >= 0 && i < (long)n);
    return right;
}

static bool all_shut(const char *p, size_t n)
{
    bool shut = true;
    for (size_t i = 0; i < n; i += n / 100 + 1) shut = shut && !usable(p + i);
    return shut;
}

static void sizes(void)
{
    static const size_t size[] = {0,    1,    7,    8,     13,     16,     100,
                                  1000, 1024, 5000, 40000, 300000, 5 << 20};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        size_t n = size[i];
        char *p = hakmem_malloc(n), *z = hakmem_calloc(1, n), *a = hakmem_memalign(256, n);
        bool ok = lies_alone(p, n) && lies_alone(z, n) && lies_alone(a, n);
        hktest_ok(ok && (size_t)a % 256 == 0, "blocks of %zu bytes lie alone", n);
        memset(p, 1, n);
        bool zero = n == 0 || (z[0] == 0 && z[n / 2] == 0 && z[n - 1] == 0);
        hakmem_free(p);
        hakmem_free(z);
        hakmem_free(a);
        ok = zero && all_shut(p, n) && all_shut(z, n) && all_shut(a, n);
        hktest_ok(ok, "and are out of bounds when freed");
    }
}

static void moves(void)
{
    char *p = hakmem_malloc(100), *old = p;
    memset(p, 7, 100);
    p = hakmem_realloc(p, 90);
    hktest_ok(p != old && lies_alone(p, 90) && all_shut(old, 100), "realloc moves");
    hktest_ok(p[0] == 7 && p[89] == 7, "with what it held");
    hktest_ok(hakmem_usable_size(p) == 90, "only what was asked for may be used");
    hakmem_free(p);
}

/* Enough goes through that blocks which have rested are handed out again, and are whole then. */
static void returns(void)
{
    bool right = true;
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)(i % 97 * 53 + 1);
        char *p = hakmem_malloc(n);
        right = right && p && usable(p) && usable(p + n - 1) && !usable(p + n) && !usable(p - 1);
        if (p) memset(p, i, n);
        hakmem_free(p);
    }
    HKTEST(right);
}

static void shrinks_without_memory(void)
{
    size_t big = 64 << 20, less = 40 << 20;
    char *p = hakmem_malloc(big);
    struct rlimit before, tight;
    getrlimit(RLIMIT_AS, &before);
    tight = before;
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (f && fscanf(f, "%lu", &pages) != 1) pages = 0;
    if (f) fclose(f);
    tight.rlim_cur = pages * hk_sys_page_bytes() + (20 << 20);
    setrlimit(RLIMIT_AS, &tight);
    char *q = hakmem_realloc(p, less);
    setrlimit(RLIMIT_AS, &before);
    hktest_ok(q == p, "a shrink without memory stays where it is");
    hktest_ok(usable(p + less - 1) && !usable(p + less), "and ends where it should");
    hktest_ok(hakmem_usable_size(q) == less, "and knows it");
    hakmem_free(q);
}

static void use_after_free(void)
{
    volatile char *p = hakmem_malloc(50);
    hakmem_free((void *)p);
    p[3] = 1;
}

static void overflow(void)
{
    volatile char *volatile p = hakmem_malloc(50);
    p[50] = 1;
}

static void double_free(void)
{
    void *p = hakmem_malloc(50);
    hakmem_free(p);
    hakmem_free(p);
}

/* ASan ends a program at its first fault; memcheck goes on. */
static bool dies(void (*f)(void))
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(0);
        f();
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && status != 0;
}

int main(void)
{
    hk_probe_asan = true;
    if (hk_probe_ask() != HK_PROBE_ASAN && hk_probe_ask() != HK_PROBE_MEMCHECK) {
        puts("1..0 # SKIP nobody listens: for AddressSanitizer's builds, and under memcheck");
        return 0;
    }
    sizes();
    moves();
    returns();
    shrinks_without_memory();
    if (HK_ASAN) {
        HKTEST(dies(use_after_free));
        HKTEST(dies(overflow));
        HKTEST(dies(double_free));
    }
    return hktest_done();
}

#else

int main(void)
{
    puts("1..0 # SKIP this build tells nobody of its blocks");
    return 0;
}

#endif
