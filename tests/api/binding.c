/* SPDX-License-Identifier: MIT */
/*
 * What: a program in which several mallocs meet: its argument says how (see `cases` at the end),
 * the next one names binding_lib.c's library. It prints "done" when all was as it should be. Why:
 * binding.sh preloads it. What one malloc gave comes to the free of another. Build: -DBINDING_OWN
 * with malloc and free of its own, and no more of the family; -DBINDING_ASKS with such as ask the C
 * library's.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define THREADS 8
#define BLOCKS  200

extern void *__libc_malloc(size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static const char *path;
static void *(*make)(size_t);
static void (*lib_free)(void *);
static void *(*lib_resize)(void *, size_t);
static int (*lib_register)(void);
static pthread_barrier_t all;
static const size_t sizes[] = {1, 24, 100, 1000, 5000, 40000, 120000, 140000, 300000, 5000000};
#define SIZES (sizeof sizes / sizeof *sizes)

static void *look_up(void *library)
{
    if (!library) fail(__LINE__, dlerror());
    make = (void *(*)(size_t))dlsym(library, "lib_make");
    lib_free = (void (*)(void *))dlsym(library, "lib_free");
    lib_resize = (void *(*)(void *, size_t))dlsym(library, "lib_resize");
    lib_register = (int (*)(void))dlsym(library, "lib_register");
    CHECK(make && lib_free && lib_resize && lib_register);
    return library;
}

static void *open_deep(void)
{
    return look_up(dlopen(path, RTLD_NOW | RTLD_DEEPBIND));
}

/* Of n bytes, by another malloc: its length is known, it grows with its contents, and goes. */
static void pass(unsigned char *p, size_t n, unsigned char mark)
{
    CHECK(p && malloc_usable_size(p) >= n);
    CHECK(p[0] == mark && p[n - 1] == mark);
    p = realloc(p, n * 2);
    CHECK(p && p[0] == mark && p[n - 1] == mark);
    free(p);
}

static void deep(void)
{
    open_deep();
    for (size_t i = 0; i < SIZES; i++) {
        pass(make(sizes[i]), sizes[i], 7);
        free(make(sizes[i]));
        lib_free(make(sizes[i]));
    }
}

static unsigned char *block[THREADS][BLOCKS];
static size_t size_of(size_t i)
{
    return i * 160 + 1;
}

/* At the same time, so that each has an arena. */
static void *fill(void *k)
{
    unsigned char **mine = block[(uintptr_t)k];
    for (size_t i = 0; i < BLOCKS; i++) {
        mine[i] = __libc_malloc(size_of(i));
        if (mine[i]) memset(mine[i], 9, size_of(i));
    }
    pthread_barrier_wait(&all);
    return NULL;
}

static void arenas(void)
{
    pthread_t t[THREADS];
    unsigned apart = 0;
    pthread_barrier_init(&all, NULL, THREADS);
    for (uintptr_t k = 0; k < THREADS; k++)
        CHECK(pthread_create(&t[k], NULL, fill, (void *)k) == 0);
    for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
    for (int k = 0; k < THREADS; k++) {
        apart += (uintptr_t)block[k][0] >> 26 != (uintptr_t)block[0][0] >> 26;
        for (size_t i = 0; i < BLOCKS; i++) pass(block[k][i], size_of(i), 9);
    }
    CHECK(apart > 0); /* else this is about nothing */
    for (size_t align = 32; align <= 65536; align *= 8) {
        unsigned char *p = __libc_memalign(align, 200000);
        CHECK(p && (uintptr_t)p % align == 0);
        pass(memset(p, 5, 200000), 200000, 5);
    }
}

/* One of ours among many, with what no length of the C library's can be before each. */
static void *ours(void)
{
    size_t *p[BLOCKS];
    open_deep();
    for (int i = 0; i < BLOCKS; i++) {
        p[i] = malloc(4 * sizeof *p[i]);
        p[i][3] = ~(size_t)14;
    }
    return p[BLOCKS / 2];
}

const char *whose(void)
{
    return "program";
}

/* Mappings of the C library's file. */
static int libc_writable(void)
{
    char line[4096];
    int count = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    CHECK(f);
    while (fgets(line, sizeof line, f))
        count += strstr(line, " rw-p ") && strstr(line, "/libc.so.6");
    fclose(f);
    return count;
}

/* Its constructor, the C library for it, and the program allocate; it frees; the rest stays deep.
 */
static void deep_text(void)
{
    int writable = libc_writable();
    void *library = open_deep();
    CHECK(libc_writable() == writable); /* nothing of it was left so */
    void (*text)(void) = (void (*)(void))dlsym(library, "lib_text");
    const char *(*its)(void) = (const char *(*)(void))dlsym(library, "lib_whose");
    CHECK(text && its);
    text();
    CHECK(!strcmp(its(), "plugin"));
    for (size_t i = 0; i < SIZES; i++) {
        lib_free(malloc(sizes[i]));
        lib_free(lib_resize(malloc(sizes[i]), 2 * sizes[i]));
        pass(make(sizes[i]), sizes[i], 7);
    }
}

/* A plugin is looked for where the caller says, not where the malloc does. */
static void found(void)
{
    void *library = look_up(dlopen(path, RTLD_NOW));
    void *(*open)(const char *) = (void *(*)(const char *))dlsym(library, "lib_open");
    CHECK(open && !dlopen("binding_found.so", RTLD_NOW | RTLD_DEEPBIND));
    CHECK(open("binding_found.so"));
}

/* The C library by its name, as foreign function interfaces do. */
static void by_name(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    CHECK(libc);
    char *(*its_strdup)(const char *) = (char *(*)(const char *))dlsym(libc, "strdup");
    make = (void *(*)(size_t))dlsym(libc, "malloc");
    lib_free = (void (*)(void *))dlsym(libc, "free");
    lib_resize = (void *(*)(void *, size_t))dlsym(libc, "realloc");
    CHECK(its_strdup && make && lib_free && lib_resize);
    lib_free(its_strdup("text"));
    for (size_t i = 0; i < SIZES; i++) {
        lib_free(lib_resize(its_strdup("text"), sizes[i]));
        free(lib_resize(make(sizes[i]), 2 * sizes[i]));
        lib_free(malloc(sizes[i]));
    }
}

/* In whatever library, which has it from the C library. */
static void through(void)
{
    void *library = look_up(dlopen(path, RTLD_NOW));
    void (*its_free)(void *) = (void (*)(void *))dlsym(library, "free");
    void *(*its_malloc)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
    CHECK(its_free && its_malloc);
    for (size_t i = 0; i < SIZES; i++) {
        its_free(make(sizes[i]));
        lib_free(its_malloc(sizes[i]));
    }
}

/* A plugin that is on the library, in a program that is not. */
static void bystander(void)
{
    void *before = dlsym(RTLD_DEFAULT, "malloc"), *library = open_deep();
    void *(*open)(const char *) = (void *(*)(const char *))dlsym(library, "lib_open");
    CHECK(open && open("libc.so.6") && dlsym(library, "hakmem_version"));
    CHECK(dlsym(RTLD_DEFAULT, "malloc") == before);
    lib_free(make(100));
}

static _Atomic int other; /* the thread that opens meanwhile; below 0: it is to begin */

static void *open_meanwhile(void *unused)
{
    other = gettid();
    CHECK(dlopen("libc.so.6", RTLD_NOW));
    return unused;
}

/* Called by a constructor, which has the loader's lock; another thread's dlopen waits for it. */
void opening(void)
{
    char name[64], text[512] = "";
    pthread_t t;
    if (other != -1) return;
    other = 0;
    CHECK(!pthread_create(&t, NULL, open_meanwhile, NULL));
    while (!other) sched_yield();
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", other);
    while (!strstr(text, ") S ")) {
        FILE *f = fopen(name, "r");
        CHECK(f && fgets(text, sizeof text, f));
        fclose(f);
    }
    pthread_detach(t);
    CHECK(dlopen("libc.so.6", RTLD_NOW));
}

static void nested(void)
{
    other = -1;
    CHECK(dlopen(NULL, RTLD_NOW) && dlmopen(LM_ID_BASE, path, RTLD_NOW)); /* not the first one */
    CHECK(other > 0);
}

static void *open_and_text(void *unused)
{
    pthread_barrier_wait(&all);
    void *library = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
    CHECK(library);
    ((void (*)(void))dlsym(library, "lib_text"))();
    return unused;
}

/* The first ones, all at once, and a child of theirs. */
static void at_once(void)
{
    pthread_t t[THREADS];
    pthread_barrier_init(&all, NULL, THREADS + 1);
    for (uintptr_t k = 0; k < THREADS; k++)
        CHECK(!pthread_create(&t[k], NULL, open_and_text, NULL));
    pthread_barrier_wait(&all);
    pid_t child = fork();
    if (child == 0) _exit(dlopen("libc.so.6", RTLD_NOW) ? 0 : 3);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int k = 0; k < THREADS; k++) pthread_join(t[k], NULL);
}

/* To one whose scope has the C library's free alone. */
static void back(void)
{
    void *p = ours();
    lib_free(p);
}

static void back_resized(void)
{
    void *p = ours();
    lib_resize(p, 100);
}

/* Opened and closed: its destructors free what its constructors made. */
static void closed(void)
{
    for (int i = 0; i < 100; i++) {
        void *kept = NULL, *library = look_up(dlopen(path, RTLD_NOW));
        CHECK(lib_register() == 0);
        kept = make(1000);
        CHECK(dlclose(library) == 0);
        pass(kept, 1000, 7);
    }
}

/* Another C library, with a malloc of its own, as often as there are spaces. */
static void spaces(void)
{
    for (int i = 0; i < 60; i++) {
        void *library = look_up(dlmopen(LM_ID_NEWLM, path, RTLD_NOW)), *kept[SIZES];
        for (size_t k = 0; k < SIZES; k++) {
            unsigned char *p = make(sizes[k]);
            kept[k] = malloc(sizes[k]);
            CHECK(p && kept[k] && p[0] == 7 && p[sizes[k] - 1] == 7);
            lib_free(lib_resize(p, sizes[k] * 2));
        }
        CHECK(dlclose(library) == 0);
        for (size_t k = 0; k < SIZES; k++) free(kept[k]);
    }
}

/* The library in another space too. */
static void second(void)
{
    void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
    if (!library) fail(__LINE__, dlerror());
    void *(*its_malloc)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
    void (*its_free)(void *) = (void (*)(void *))dlsym(library, "free");
    CHECK(its_malloc && its_free && its_malloc != malloc);
    char *own[BLOCKS], *its[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        own[i] = memset(malloc(size_of(i)), 1, size_of(i));
        its[i] = memset(its_malloc(size_of(i)), 2, size_of(i));
    }
    CHECK(dlclose(library) == 0); /* it stays */
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(own[i][i] == 1 && its[i][i] == 2);
        free(own[i]);
        its_free(its[i]);
    }
}

/* What is almost, but cannot be, the C library's: two words before a place in memory of the
 * program's. */
static void forged(size_t at, size_t before, size_t bytes)
{
    char *room = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room + (1 << 19), 1 << 19) == 0);
    ((size_t *)(room + at))[-2] = before;
    ((size_t *)(room + at))[-1] = bytes;
    void (*volatile give)(void *) = free;
    give(room + at);
}

static void forged_end(void)
{
    forged(16, 0, (1 << 20) | 2); /* its end is not there */
}

static void forged_start(void)
{
    forged(4096 + 16, 16, 4096 | 2); /* it begins within a page */
}

static void forged_flags(void)
{
    forged(16, 0, 4096 | 3);
}

static void forged_arena(void)
{
    forged(4096 + 16, 0, 64 | 5);
}

static void forged_guard(void)
{
    char *room = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void (*volatile give)(void *) = free;
    CHECK(room != MAP_FAILED);
    give(room + 16);
}

/* An allocator at the program break, by other names, does not meet ours. */
static void beside(void)
{
    char *break_block[100];
    for (int i = 0; i < 100; i++) {
        break_block[i] = sbrk(5000);
        CHECK(break_block[i] != (void *)-1);
        memset(break_block[i], i, 5000);
        free(memset(malloc(5000), 0xee, 5000));
    }
    for (int i = 0; i < 100; i++) CHECK(break_block[i][0] == i && break_block[i][4999] == i);
}

#if defined(BINDING_ASKS)
/* Asks the C library's, which it looks for by name. */
static void *asked(const char *name)
{
    return dlsym(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), name);
}

static _Alignas(16) char store[1 << 16];
static size_t used;
void *malloc(size_t n)
{
    static void *(*ask)(size_t);
    static int asking;
    if (!ask && !asking++) ask = (void *(*)(size_t))asked("malloc");
    if (ask) return ask(n);
    used += (n + 15) & ~(size_t)15;
    return used < sizeof store ? store + used - ((n + 15) & ~(size_t)15) : NULL;
}

void free(void *p)
{
    if ((char *)p < store || (char *)p >= store + sizeof store)
        ((void (*)(void *))asked("free"))(p);
}
#endif

static void asks(void)
{
    for (size_t i = 0; i < SIZES; i++) free(malloc(sizes[i]));
    free(strdup("text"));
}

#ifdef BINDING_OWN
static _Alignas(16) char store[1 << 22];
static size_t used;

void *malloc(size_t n)
{
    size_t at = __atomic_fetch_add(&used, (n + 31) & ~(size_t)15, __ATOMIC_RELAXED);
    return at + n < sizeof store ? store + at : NULL;
}

/* What is not its own goes to the next one, which is ours. */
void free(void *p)
{
    if ((char *)p >= store && (char *)p < store + sizeof store) return;
    void (*next)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    if (next) next(p);
}

static void incomplete(void)
{
    void *p = NULL;
    char *line = NULL, text[] = "a line\nanother\n";
    size_t n = 0;
    CHECK(malloc_usable_size(malloc(100)) == 0); /* a stranger to us */
    for (int i = 0; i < 1000; i++) {
        CHECK(posix_memalign(&p, 64, 1000) == 0 && malloc_usable_size(p) >= 1000);
        free(p);
        p = aligned_alloc(4096, 8192);
        free(p);
        p = calloc(3, 100);
        p = realloc(p, 1000);
        CHECK(p && malloc_usable_size(p) >= 1000);
        free(p);
    }
    FILE *f = fmemopen(text, sizeof text, "r");
    CHECK(f && getline(&line, &n, f) == 7 && !strcmp(line, "a line\n"));
    fclose(f);
    free(line);
    free(strdup("text"));
}
#else
static void incomplete(void)
{
    fail(__LINE__, "built without BINDING_OWN");
}
#endif

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"deep", deep},
             {"arenas", arenas},
             {"deep-text", deep_text},
             {"found", found},
             {"by-name", by_name},
             {"through", through},
             {"bystander", bystander},
             {"nested", nested},
             {"asks", asks},
             {"at-once", at_once},
             {"back", back},
             {"back-resized", back_resized},
             {"closed", closed},
             {"spaces", spaces},
             {"second", second},
             {"forged-end", forged_end},
             {"forged-start", forged_start},
             {"forged-flags", forged_flags},
             {"forged-arena", forged_arena},
             {"forged-guard", forged_guard},
             {"beside", beside},
             {"incomplete", incomplete}};

int main(int argc, char **argv)
{
    path = argc > 2 ? argv[2] : "";
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, argv[1])) continue;
        cases[i].run();
        puts("done");
        return 0;
    }
    return 2;
}
