/* SPDX-License-Identifier: MIT */
/*
 * What: faulty programs, the other half: wrong frees, uninitialised bytes, arguments, leaks.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faulty.h"

static char statics[64];

static void *thread_allocates(void *arg)
{
    (void)arg;
    return malloc(48);
}

/* ---- free of what is not to be freed ---- */

void double_free(void)
{
    char *p = malloc(50);
    free(p);
    free(p);
}

void double_free_remote(void)
{
    char *p = malloc(50);
    in_thread(thread_frees, p);
    in_thread(thread_frees, p);
}

void double_free_after_realloc(void)
{
    char *p = malloc(50), *q = realloc(p, 5000);
    free(p);
    free(q);
}

void realloc_after_free(void)
{
    char *p = malloc(50);
    free(p);
    kept = realloc(p, 60);
}

void free_interior(void)
{
    char *p = malloc(50);
    free(p + 16);
    free(p);
}

void free_stack(void)
{
    char local[64];
    void *volatile p = local + 16;
    free(p);
}

void free_static(void)
{
    void *volatile p = statics + 16;
    free(p);
}

void free_wild(void)
{
    free((void *)0x123456789ab0);
}

void mismatch_new_free(void)
{
    free(_Znwm(16));
}

void mismatch_array_delete(void)
{
    _ZdlPv(_Znam(16));
}

void mismatch_malloc_delete(void)
{
    _ZdaPv(malloc(16));
}

void mismatch_new_realloc(void)
{
    free(realloc(_Znwm(16), 32));
}

void sized_delete_wrong(void)
{
    _ZdlPvm(_Znwm(16), 64);
}

/* ---- never written ---- */

void uninitialised_malloc(void)
{
    char *p = malloc(16);
    if (p[7] == 'a') puts("a");
    free(p);
}

void uninitialised_reused(void)
{
    char *p = malloc(16);
    memset(p, 'a', 16);
    free(p);
    p = malloc(16);
    if (p[7] == 'a') sink = 1;
    free(p);
}

void uninitialised_tail(void)
{
    char *p = calloc(1, 16);
    p = realloc(p, 32);
    if (p[7] == 'a') sink = 1;
    if (p[20] == 'a') sink = 2;
    free(p);
}

void uninitialised_new(void)
{
    int *p = _Znwm(sizeof *p);
    if (*p > 5) sink = 1;
    _ZdlPv(p);
}

void uninitialised_index(void)
{
    static char table[256];
    unsigned char *p = malloc(8);
    sink = table[p[3]];
    free(p);
}

void uninitialised_written_out(void)
{
    char *p = malloc(8);
    FILE *f = fopen("/dev/null", "w");
    setvbuf(f, NULL, _IONBF, 0);
    fwrite(p, 1, 8, f);
    fclose(f);
    free(p);
}

/* ---- arguments ---- */

void negative_size(void)
{
    long n = -5;
    kept = malloc((size_t)n);
}

void calloc_overflow(void)
{
    volatile size_t half = (size_t)1 << 63;
    char *p = calloc(half, 2);
    if (p) write_at(p, 0);
}

void aligned_alloc_bad(void)
{
    volatile size_t align = 64;
    char *p = aligned_alloc(align, 65); /* no multiple of it */
    write_at(p, 64);
    write_at(p, 65);
    free(p);
}

/* memcpy cannot be told from memmove in today's C library. */
void string_overlap(void)
{
    char *p = calloc(1, 64);
    strcpy(p, "text of some length");
    strcpy(p, p + 4);
    free(p);
}

/* ---- never freed ---- */

void leak_definite(void)
{
    kept = malloc(111);
    kept = malloc(222);
    kept = NULL;
}

void leak_indirect(void)
{
    void **head = malloc(sizeof *head * 2);
    head[0] = malloc(100);
    head[1] = calloc(1, 5000);
    kept = head;
    kept = head = NULL;
}

void leak_possible(void)
{
    kept = (char *)malloc(333) + 100;
}

void leak_reachable(void)
{
    void **head = malloc(sizeof *head);
    *head = malloc(44);
    kept = head;
}

void leak_large(void)
{
    kept = malloc(400000);
    kept = calloc(1, 3 << 20);
    kept = NULL;
}

void leak_after_realloc(void)
{
    kept = realloc(malloc(10), 700);
    kept = realloc(kept, 70000);
    kept = NULL;
}

void leak_of_thread(void)
{
    kept = in_thread(thread_allocates, NULL);
    kept = NULL;
}

void leak_new(void)
{
    kept = _Znwm(99);
    kept = _Znam(990);
    kept = NULL;
}

/* ---- no fault at all ---- */

void clean(void)
{
    enum { BLOCKS = 400 };
    static char *block[BLOCKS];
    unsigned seed = 1;
    for (int i = 0; i < 8000; i++) {
        seed = seed * 1103515245 + 12345;
        char **b = &block[seed / 65536 % BLOCKS];
        size_t n = seed / 7 % (i % 50 ? 700 : 70000) + 1;
        if (*b && i % 3 == 0) {
            *b = realloc(*b, n);
        } else {
            free(*b);
            *b = i % 5 ? malloc(n) : memalign(64, n);
        }
        memset(*b, i, n);
    }
    for (int i = 0; i < BLOCKS; i++) free(block[i]);
}

void clean_calloc(void)
{
    for (size_t n = 1; n < 1000000; n += n / 3 + 1) {
        char *p = calloc(1, n);
        for (size_t i = 0; i < n; i += 1 + n / 1000) {
            if (p[i]) sink = 3;
        }
        if (p[n - 1]) abort();
        memset(p, 5, n);
        free(p);
    }
}

static volatile int stop;

static void *churn(void *arg)
{
    while (!stop) free(malloc(50));
    return arg;
}

/* Children of a busy program allocate, and free what it had. */
void clean_fork(void)
{
    pthread_t t;
    pthread_create(&t, NULL, churn, NULL);
    for (int i = 0; i < 10; i++) {
        int status = -1;
        char *p = malloc(100);
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            for (int k = 0; k < 200; k++) free(calloc(3, (size_t)k));
            free(p);
            _exit(0);
        }
        free(p);
        if (waitpid(child, &status, 0) != child || status) abort();
    }
    stop = 1;
    pthread_join(t, NULL);
}

void clean_cxx(void)
{
    _ZdlPv(_Znwm(0));
    _ZdaPv(_Znam(3000));
    _ZdlPvm(_Znwm(70000), 70000);
    free(reallocarray(NULL, 10, 10));
    free(valloc(10));
    free(NULL);
}
