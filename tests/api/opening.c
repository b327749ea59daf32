/* SPDX-License-Identifier: MIT */
/*
 * What: a program that opens its first library, in the way that its argument says; the next one
 *   names binding_lib.c's. It prints "done" when that library has this malloc, and the C library
 *   is as it should be.
 * Why: opening.sh preloads it. From the first one on, entries of the C library lead to this malloc
 *   (lib/api/deep.c): whoever asks for it, whatever happens meanwhile. Build: -DOPENING_WRAP makes
 * a library of it, to be preloaded too, with a dlsym that allocates and opens.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifdef OPENING_WRAP
void *dlsym(void *restrict library, const char *restrict name)
{
    static void *(*next)(void *, const char *);
    void *p = malloc(100), *opened = dlopen("libm.so.6", RTLD_NOW | RTLD_DEEPBIND);
    if (!p || !opened) return NULL;
    free(p);
    dlclose(opened);
    if (!next) next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", OPENING_WRAP);
    return next ? next(library, name) : NULL;
}
#else

static const char *path;
static void *(*its_valloc)(size_t), *(*its_pvalloc)(size_t);

/* Mappings of the C library's file that may be written. */
static int writable(void)
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

/* It frees what the C library and the program allocate, and the other way round. */
static void try(void *library)
{
    if (!library) fail(__LINE__, dlerror());
    void (*text)(void) = (void (*)(void))dlsym(library, "lib_text");
    void *(*make)(size_t) = (void *(*)(size_t))dlsym(library, "lib_make");
    void (*its_free)(void *) = (void (*)(void *))dlsym(library, "lib_free");
    CHECK(text && make && its_free);
    text();
    its_free(strdup("text"));
    free(make(100));
}

static void deep(void)
{
    try(dlopen(path, RTLD_NOW | RTLD_DEEPBIND));
}

static void base(void)
{
    try(dlmopen(LM_ID_BASE, path, RTLD_NOW | RTLD_DEEPBIND));
}

/* A library is looked for where the caller says, not where the malloc does. */
static void found(void)
{
    void *library = dlmopen(LM_ID_BASE, path, RTLD_NOW); /* its dlmopen is ours */
    CHECK(library && !dlmopen(LM_ID_BASE, "binding_found.so", RTLD_NOW | RTLD_DEEPBIND));
    void *(*open)(const char *) = (void *(*)(const char *))dlsym(library, "lib_open_in");
    CHECK(open);
    try(open("binding_found.so"));
}

static _Atomic int changes; /* of what may be done with memory */
static int stop_at;         /* the one at which another thread forks; the others see nothing */
static int before;
static pthread_barrier_t forking, forked;

int mprotect(void *at, size_t bytes, int how)
{
    int result = (int)syscall(SYS_mprotect, at, bytes, how);
    if (++changes == stop_at) {
        pthread_barrier_wait(&forking);
        pthread_barrier_wait(&forked);
    }
    return result;
}

/* The C library of other spaces is another one; this one's entries stay. */
static void apart(void)
{
    void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
    if (!library) fail(__LINE__, dlerror());
    CHECK(changes == 0);
    base();
    CHECK(changes == 2);
}

static void *fork_there(void *unused)
{
    pthread_barrier_wait(&forking);
    pid_t child = fork();
    if (child == 0) {
        CHECK(writable() == before); /* though the other thread is gone */
        deep();
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    pthread_barrier_wait(&forked);
    return unused;
}

/* A thread forks when another one may just write to the table, or no longer. */
static void forks(void)
{
    pthread_t t;
    before = writable();
    pthread_barrier_init(&forking, NULL, 2);
    pthread_barrier_init(&forked, NULL, 2);
    CHECK(!pthread_create(&t, NULL, fork_there, NULL));
    deep();
    CHECK(!pthread_join(t, NULL) && changes >= stop_at);
}

static void forks_first(void)
{
    stop_at = 1;
    forks();
}

static void forks_second(void)
{
    stop_at = 2;
    forks();
}

/* The program's own: they ask the C library's, which may not lead back to them. */
static unsigned asked;
void *valloc(size_t n)
{
    CHECK(++asked <= 2);
    return its_valloc(n);
}

void *pvalloc(size_t n)
{
    CHECK(++asked <= 2);
    return its_pvalloc(n);
}

static void own_pages(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    CHECK(libc);
    its_valloc = (void *(*)(size_t))dlsym(libc, "valloc");
    its_pvalloc = (void *(*)(size_t))dlsym(libc, "pvalloc");
    CHECK(its_valloc && its_pvalloc);
    void *(*volatile one)(size_t) = valloc, *(*volatile other)(size_t) = pvalloc;
    void *p = one(100), *q = other(100);
    CHECK(p && q && asked == 2);
    free(p);
    free(q);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {{"deep", deep},
             {"base", base},
             {"found", found},
             {"apart", apart},
             {"forks-first", forks_first},
             {"forks-second", forks_second},
             {"own-pages", own_pages}};

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
#endif
