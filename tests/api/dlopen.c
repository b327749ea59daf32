/* SPDX-License-Identifier: MIT */
/*
 * What: the library as a plugin, in a program that was started without it: statistics, threads that
 *   are inside it when the process exits, forks while they are, opened by threads that end, opened
 *   and closed over and over, opened when every thread-specific key is taken.
 * Why: a library that came late must go, or stay, without the program noticing.
 */
#include <pthread.h>

#include "hakmem.h"
#include "support.h"

#define THREADS   4
#define SIZE_BITS 20
#define EXIT_RUNS 40
#define FORKS     60
#define REOPENS   300
#define GROWTH    (512 * T_KIB)

static const char *library_path;
static struct {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*realloc)(void *, size_t);
    int (*stats)(struct hakmem_stats *);
    int (*trim)(size_t);
    const char *(*version)(void);
} hk;
static _Atomic int stop, at_work;

/* NULL, with a failure noted, if the library cannot be had. */
static void *open_library(void)
{
    void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    T_EXPECT(library != NULL, "dlopen: %s", library ? "" : dlerror());
    if (!library) return NULL;
    hk.malloc = (void *(*)(size_t))dlsym(library, "hakmem_malloc");
    hk.free = (void (*)(void *))dlsym(library, "hakmem_free");
    hk.realloc = (void *(*)(void *, size_t))dlsym(library, "hakmem_realloc");
    hk.stats = (int (*)(struct hakmem_stats *))dlsym(library, "hakmem_stats");
    hk.trim = (int (*)(size_t))dlsym(library, "hakmem_trim");
    hk.version = (const char *(*)(void))dlsym(library, "hakmem_version");
    bool all = hk.malloc && hk.free && hk.realloc && hk.stats && hk.trim && hk.version;
    T_EXPECT(all, "not all functions are there");
    return all ? library : NULL;
}

static void use(uint64_t *seed, int blocks)
{
    unsigned char *p[50];
    for (int done = 0; done < blocks; done += (int)T_COUNT(p)) {
        size_t n[T_COUNT(p)];
        for (size_t i = 0; i < T_COUNT(p); i++) {
            n[i] = t_random_size(seed, i % 16 ? 12 : SIZE_BITS);
            p[i] = hk.malloc(n[i]);
            T_EXPECT(p[i] != NULL, "hakmem_malloc(%zu)", n[i]);
            if (!p[i]) return;
            t_fill(p[i], n[i], i);
        }
        for (size_t i = 0; i < T_COUNT(p); i++) {
            if (i % 3 == 0) p[i] = hk.realloc(p[i], n[i] + n[i] / 2 + 1);
            T_EXPECT(p[i] && t_holds(p[i], n[i], i), "block of %zu bytes", n[i]);
            hk.free(p[i]);
        }
    }
}

static void *use_until_stop(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    at_work++;
    while (!stop) use(&seed, 50);
    return NULL;
}

static void *use_once(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    use(&seed, 200);
    return NULL;
}

static void start(pthread_t *t, void *(*f)(void *), uintptr_t arg)
{
    if (pthread_create(t, NULL, f, (void *)arg) != 0) abort();
}

static void counted(void)
{
    struct hakmem_stats before = {.struct_bytes = sizeof before}, after = before;
    unsigned part[3];
    char rest;
    uint64_t seed = 1;
    if (!open_library()) return;
    T_EXPECT(sscanf(hk.version(), "%u.%u.%u%c", &part[0], &part[1], &part[2], &rest) == 3,
             "version %s", hk.version());
    use(&seed, 50);
    T_EXPECT(hk.stats(&before) == 0, "hakmem_stats");
    use(&seed, 5000);
    char *big = hk.malloc(64 * T_MIB);
    if (big) memset(big, 1, 64 * T_MIB);
    T_EXPECT(hk.stats(&after) == 0, "hakmem_stats");
    T_EXPECT(after.tiny_allocs > before.tiny_allocs + 2000, "tiny: %lu, %lu",
             (unsigned long)before.tiny_allocs, (unsigned long)after.tiny_allocs);
    T_EXPECT(after.large_allocs > before.large_allocs, "large: %lu, %lu",
             (unsigned long)before.large_allocs, (unsigned long)after.large_allocs);
    T_EXPECT(after.big_allocs > before.big_allocs, "big: %lu, %lu",
             (unsigned long)before.big_allocs, (unsigned long)after.big_allocs);
    T_EXPECT(after.used_bytes >= before.used_bytes + 64 * T_MIB, "used: %zu, %zu",
             before.used_bytes, after.used_bytes);
    T_EXPECT(after.mapped_bytes >= after.used_bytes, "mapped %zu, used %zu", after.mapped_bytes,
             after.used_bytes);
    size_t full = t_resident();
    hk.free(big);
    T_EXPECT(hk.trim(0) == 1, "nothing returned");
    T_EXPECT(t_resident() + 48 * T_MIB < full, "resident: %zu, before: %zu", t_resident(), full);
    free(malloc(1000)); /* the C library's: not counted */
    T_EXPECT(hk.stats(&before) == 0, "hakmem_stats");
    for (int i = 0; i < 10000; i++) free(malloc((size_t)i));
    T_EXPECT(hk.stats(&after) == 0 && after.tiny_allocs == before.tiny_allocs,
             "it has taken malloc over: %lu, %lu", (unsigned long)before.tiny_allocs,
             (unsigned long)after.tiny_allocs);
}

static void last_use(void)
{
    uint64_t seed = 3;
    use(&seed, 500);
    if (t_fails) _exit(T_EXIT_FAILED);
}

/* Threads old and young are inside while it is closed and the process exits. */
static void closed_and_exited(void)
{
    for (int i = 0; i < EXIT_RUNS; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t t;
            alarm(T_HANG_SECONDS);
            void *library = open_library();
            if (!library) _exit(T_EXIT_FAILED);
            if (i & 1) atexit(last_use);
            for (uintptr_t k = 0; k < THREADS; k++) start(&t, use_until_stop, k);
            while (at_work < THREADS) usleep(100);
            if (i & 2 && dlclose(library) != 0) _exit(T_EXIT_FAILED);
            usleep(500);
            exit(t_fails ? T_EXIT_FAILED : 33);
        }
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: errno %d", errno);
        T_EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 33, "run %d: %#x", i,
                 (unsigned)status);
    }
}

static void forked_at_work(void)
{
    pthread_t t[THREADS], young;
    uint64_t seed = 8;
    if (!open_library()) return;
    for (uintptr_t k = 0; k < THREADS; k++) start(&t[k], use_until_stop, k);
    while (at_work < THREADS) usleep(100);
    for (int i = 0; i < FORKS; i++) {
        use(&seed, 100);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(T_HANG_SECONDS);
            use(&seed, 1000);
            start(&young, use_once, 4);
            pthread_join(young, NULL);
            exit(t_fails != 0);
        }
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child %d: %#x", i,
                 (unsigned)status);
    }
    stop = 1;
    for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
}

static void *opener(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    void *library = open_library();
    if (library) use(&seed, 200);
    return library;
}

static void *closer(void *library)
{
    T_EXPECT(dlclose(library) == 0, "dlclose: %s", dlerror());
    return NULL;
}

/* Opened by one thread, closed by another, hundreds of times, with users between. */
static void opened_again_and_again(void)
{
    size_t early = 0;
    for (uintptr_t i = 0; i < REOPENS; i++) {
        pthread_t t[THREADS];
        void *library = NULL;
        start(&t[0], opener, i);
        pthread_join(t[0], &library);
        if (!library) return;
        for (uintptr_t k = 0; k < THREADS; k++) start(&t[k], use_once, k);
        for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
        start(&t[0], closer, (uintptr_t)library);
        pthread_join(t[0], NULL);
        if (i == REOPENS / 5) early = t_statm(0);
    }
    T_EXPECT(t_statm(0) < early + 64 * T_MIB, "address space grew from %zu to %zu", early,
             t_statm(0));
}

/* Too late for a key of its own: heaps of ended threads must be found all the same. */
static void no_key_left(void)
{
    pthread_key_t k;
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    size_t early = 0;
    while (pthread_key_create(&k, NULL) == 0) continue;
    if (!open_library()) return;
    for (uintptr_t i = 0; i < 1000; i++) {
        pthread_t t[THREADS];
        for (uintptr_t j = 0; j < THREADS; j++) start(&t[j], use_once, i);
        for (int j = 0; j < THREADS; j++) pthread_join(t[j], NULL);
        if (i != 100 && i != 999) continue;
        hk.trim(0); /* what is free goes, what is lost does not */
        if (i == 100) early = t_resident();
    }
    T_EXPECT(t_resident() < early + GROWTH, "grew from %zu to %zu", early, t_resident());
    T_EXPECT(hk.stats(&s) == 0 && s.heaps < 50, "%lu heaps for 4 threads at a time",
             (unsigned long)s.heaps);
}

int main(int argc, char **argv)
{
    library_path = getenv("HK_LIB");
    if (!library_path || access(library_path, R_OK) != 0) {
        hktest_skip("dlopen", "HK_LIB does not name the library");
        return hktest_done();
    }
    if (argc == 1) { /* a second run of this program, without preload */
        char *again[] = {argv[0], (char[]){"plain"}, NULL};
        unsetenv("LD_PRELOAD");
        execv("/proc/self/exe", again);
        hktest_bail("cannot run itself again");
    }
    if (t_on_hakmem()) hktest_bail("the library is there without having been opened");
    t_isolated("statistics and version of an opened library", counted);
    t_isolated("closed, and exit while threads are inside", closed_and_exited);
    t_isolated("fork while threads are inside", forked_at_work);
    t_isolated("opened and closed again and again", opened_again_and_again);
    t_isolated("opened when no thread-specific key is left", no_key_left);
    return hktest_done();
}
