/* SPDX-License-Identifier: MIT */
/*
 * What: the library opened at run time: beside glibc's malloc, by threads older than it, closed
 *   again, and as a second copy in one process.
 * Why: plugins bring it into programs that never preloaded it. Its thread storage must still find
 *   room, threads must outlive dlclose, and it must not take malloc over.
 */
#include <limits.h>
#include <pthread.h>

#include "support.h"

#define THREADS 6
#define STEPS   20000

static struct functions {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    size_t (*usable_size)(const void *);
    const char *(*version)(void);
} hk;
static void *library;
static const char *library_path;
static _Atomic int opened, release_threads;
static void *_Atomic mailbox[64];

static bool look_up(void *handle, struct functions *f)
{
    f->malloc = (void *(*)(size_t))dlsym(handle, "hakmem_malloc");
    f->free = (void (*)(void *))dlsym(handle, "hakmem_free");
    f->calloc = (void *(*)(size_t, size_t))dlsym(handle, "hakmem_calloc");
    f->realloc = (void *(*)(void *, size_t))dlsym(handle, "hakmem_realloc");
    f->usable_size = (size_t(*)(const void *))dlsym(handle, "hakmem_usable_size");
    f->version = (const char *(*)(void))dlsym(handle, "hakmem_version");
    return f->malloc && f->free && f->calloc && f->realloc && f->usable_size && f->version;
}

/* Blocks of the library, kept in a mailbox where any thread may find and free them. */
static void use_library(uint64_t seed)
{
    for (int i = 0; i < STEPS; i++) {
        size_t n = sizeof n + t_random_size(&seed, i % 100 ? 13 : 22);
        unsigned char *p = seed & 1 ? hk.malloc(n) : hk.calloc(1, n);
        T_EXPECT(p != NULL, "hakmem_malloc(%zu)", n);
        if (!p) return;
        if (!(seed & 1)) T_EXPECT(t_is_zero(p, n), "hakmem_calloc(1, %zu)", n);
        if (i % 16 == 0) p = hk.realloc(p, n += n / 2);
        T_EXPECT(p && hk.usable_size(p) >= n, "usable size of %zu", n);
        memcpy(p, &n, sizeof n);
        t_fill(p + sizeof n, n - sizeof n, n);
        p = atomic_exchange(&mailbox[t_random(&seed) % T_COUNT(mailbox)], p);
        if (!p) continue;
        memcpy(&n, p, sizeof n);
        T_EXPECT(t_holds(p + sizeof n, n - sizeof n, n), "block of %zu bytes lost content", n);
        hk.free(p);
        free(malloc(n)); /* the program's own malloc goes on beside it */
    }
}

static void *user(void *arg)
{
    while (!opened) usleep(1000);
    use_library((uintptr_t)arg);
    while (!release_threads) usleep(1000);
    use_library((uintptr_t)arg + 1000);
    return NULL;
}

static void open_use_close(void)
{
    pthread_t old[THREADS], young[THREADS];
    void *own = malloc(1000);
    for (uintptr_t i = 0; i < THREADS; i++)
        T_EXPECT(pthread_create(&old[i], NULL, user, (void *)i) == 0, "pthread_create");
    library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    T_EXPECT(library != NULL, "dlopen: %s", library ? "" : dlerror());
    bool found = library && look_up(library, &hk);
    T_EXPECT(found, "the public functions of %s", library_path);
    if (!found) return;
    T_EXPECT(hk.version()[0] != '\0', "hakmem_version");
    opened = 1;
    for (uintptr_t i = 0; i < THREADS; i++)
        T_EXPECT(pthread_create(&young[i], NULL, user, (void *)(i + 50)) == 0, "pthread_create");
    use_library(7);
    T_EXPECT(dlsym(RTLD_DEFAULT, "hakmem_malloc") == NULL, "RTLD_LOCAL shows its symbols");
    T_EXPECT(dlclose(library) == 0, "dlclose: %s", dlerror());
    release_threads = 1; /* they use it again, and end, after dlclose */
    for (int i = 0; i < THREADS; i++) {
        pthread_join(old[i], NULL);
        pthread_join(young[i], NULL);
    }
    use_library(8);
    for (size_t i = 0; i < T_COUNT(mailbox); i++) hk.free(atomic_exchange(&mailbox[i], NULL));
    free(own);
    library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    T_EXPECT(library != NULL, "dlopen again");
    use_library(9);
}

static void fork_after_dlopen(void)
{
    library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (!library || !look_up(library, &hk)) {
        T_EXPECT(false, "dlopen %s", library_path);
        return;
    }
    use_library(1);
    for (int i = 0; i < 20; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(T_HANG_SECONDS);
            use_library((uint64_t)i);
            _exit(t_fails != 0);
        }
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child %d: %#x", i,
                 (unsigned)status);
    }
}

static bool copy_file(const char *from, char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = mkstemp(to);
    ssize_t got = -1;
    while (in >= 0 && out >= 0 && (got = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)got) != got) break;
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return got == 0;
}

/* Two copies know nothing of each other; each must find its own place and its own blocks. */
static void two_copies(void)
{
    char path[] = "/tmp/hk-second-copy-XXXXXX";
    struct functions second;
    T_SKIP_IF(!copy_file(library_path, path), "the library cannot be copied");
    void *a = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    void *b = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    bool found = a && b && look_up(a, &hk) && look_up(b, &second);
    T_EXPECT(found, "two copies: %p and %p", a, b);
    if (!found) return;
    T_EXPECT(hk.malloc != second.malloc, "the copies are one");
    enum { BLOCKS = 3000 };
    static unsigned char *p[BLOCKS], *q[BLOCKS];
    uint64_t seed = 4;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = t_random_size(&seed, i % 50 ? 12 : 22);
        p[i] = hk.malloc(n);
        q[i] = second.malloc(n);
        T_EXPECT(p[i] && q[i], "block %zu of %zu bytes", i, n);
        if (!p[i] || !q[i]) return;
        t_fill(p[i], n < 4096 ? n : 4096, i);
        t_fill(q[i], n < 4096 ? n : 4096, i + 1);
    }
    seed = 4;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = t_random_size(&seed, i % 50 ? 12 : 22);
        T_EXPECT(t_holds(p[i], n < 4096 ? n : 4096, i), "first copy's block %zu", i);
        T_EXPECT(t_holds(q[i], n < 4096 ? n : 4096, i + 1), "second copy's block %zu", i);
        hk.free(p[i]);
        second.free(q[i]);
    }
}

/* Opened although it is already there by preload: one library, two names for its functions. */
static void preloaded_too(void)
{
    library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (!library || !look_up(library, &hk)) {
        T_EXPECT(false, "dlopen %s", library_path);
        return;
    }
    for (size_t i = 0; i < T_COUNT(t_edges); i++) {
        free(hk.malloc(t_edges[i]));
        hk.free(malloc(t_edges[i]));
        void *p = hk.realloc(malloc(t_edges[i]), t_edges[i] * 2);
        T_EXPECT(p && hk.usable_size(p) >= t_edges[i] * 2, "realloc to %zu", t_edges[i] * 2);
        free(p);
    }
    T_EXPECT(dlclose(library) == 0, "dlclose: %s", dlerror());
    use_library(3);
}

int main(int argc, char **argv)
{
    library_path = getenv("HK_LIB");
    if (!library_path || access(library_path, R_OK) != 0) {
        hktest_skip("dlopen", "HK_LIB does not name the library");
        return hktest_done();
    }
    if (argc > 1) { /* second run of this program, without preload */
        hktest_count = atoi(argv[1]);
        hktest_failed = atoi(argv[2]);
        t_isolated("opened, used by old and young threads, closed", open_use_close);
        t_isolated("fork of a program that opened it", fork_after_dlopen);
        t_isolated("two copies in one process", two_copies);
        return hktest_done();
    }
    if (t_on_hakmem()) t_isolated("opened while preloaded", preloaded_too);
    char count[16], failed[16], *again[] = {argv[0], count, failed, NULL};
    snprintf(count, sizeof count, "%d", hktest_count);
    snprintf(failed, sizeof failed, "%d", hktest_failed);
    unsetenv("LD_PRELOAD");
    fflush(stdout);
    execv("/proc/self/exe", again);
    hktest_bail("cannot run itself again");
}
