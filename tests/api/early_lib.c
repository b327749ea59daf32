/* SPDX-License-Identifier: MIT */
/*
 * What: a library (or, with EARLY_PROGRAM, a program) that allocates as early and as late as code
 *   can: in an IFUNC resolver, in a constructor of any order, in a destructor, which resizes what
 *   the constructor left.
 * Why: malloc is called before its library's constructor has run, and after the destructors of
 *   others. early.sh builds this and preloads it before and behind hakmem.
 * Build: -DEARLY_RESOLVER with the IFUNC, else the resolver runs in the constructor;
 *   -DEARLY_PROGRAM as a program. Environment: HK_EARLY=keys takes every thread-specific key first.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS     200
#define THREADS    500
#define GROWTH_KIB 8192L

static void *from_resolver[8];
static unsigned char *early[BLOCKS];

static size_t size_of(int i)
{
    return (size_t)1 << (i % 23);
}

static void complain(const char *what)
{
    if (write(2, what, strlen(what)) < 0) _exit(4);
    _exit(3);
}

static int answer(void)
{
    return 42;
}

/* While objects are being relocated: no libc call but malloc is safe here. */
static int (*resolve(void))(void)
{
    for (int i = 0; i < 8; i++) from_resolver[i] = malloc((size_t)16 << (2 * i));
    free(from_resolver[0]);
    from_resolver[0] = calloc(3, 100);
    from_resolver[1] = realloc(from_resolver[1], 5000);
    return answer;
}

#ifdef EARLY_RESOLVER
/* Hidden: the loader resolves it after this object's references to malloc are in place. */
int early_answer(void) __attribute__((ifunc("resolve"), visibility("hidden")));
#else
static int early_answer(void)
{
    return (resolve())();
}
#endif

/* Thread storage may not work before TLS is final; threads may start in constructors. */
static void *thread(void *arg)
{
    for (int i = 0; i < BLOCKS; i++) free(malloc(size_of(i % 15)));
    return arg;
}

static long resident_kib(void)
{
    long pages[2] = {0, 0};
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages[0], &pages[1]) != 2)
        complain("early: /proc/self/statm\n");
    fclose(f);
    return pages[1] * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Many, one after the other: each must leave its heap to the next, hooks or no hooks. */
static void use_threads(void)
{
    long before = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, thread, NULL) == 0) pthread_join(t, NULL);
        if (i == THREADS / 20) before = resident_kib();
    }
    if (resident_kib() > before + GROWTH_KIB)
        complain("early: ended threads leave memory behind\n");
}

__attribute__((constructor(101))) static void first(void)
{
    const char *how = getenv("HK_EARLY");
    pthread_key_t key;
    while (how && !strcmp(how, "keys") && pthread_key_create(&key, NULL) == 0) continue;
    for (int i = 0; i < BLOCKS; i++) {
        early[i] = i % 3 ? malloc(size_of(i)) : calloc(1, size_of(i));
        if (!early[i]) complain("early: malloc in a constructor\n");
        memset(early[i], i, size_of(i));
    }
    if (dlsym(RTLD_NEXT, "hk_no_such_symbol") || !dlerror()) complain("early: dlsym\n");
    use_threads();
    if (early_answer() != 42) complain("early: the resolved function\n");
    for (int i = 0; i < 8; i++)
        if (!from_resolver[i]) complain("early: malloc in a resolver\n");
}

__attribute__((destructor)) static void last(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        early[i] = realloc(early[i], 3 * size_of(i));
        for (size_t k = 0; k < size_of(i); k++)
            if (early[i][k] != (unsigned char)i) complain("early: a block lost its content\n");
        free(early[i]);
    }
    for (int i = 0; i < 8; i++) free(from_resolver[i]);
    use_threads();
    printf("early and late: done\n");
    fflush(stdout);
}

#ifdef EARLY_PROGRAM
int main(void)
{
    return early_answer() == 42 ? 0 : 5;
}
#endif
