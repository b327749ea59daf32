/* SPDX-License-Identifier: MIT */
/*
 * What: faulty programs, each a function of its own, chosen by its name; and some without a fault.
 * Why: memcheck must say the same of each on its own malloc and on ours. Nothing here is checked or
 *   survives: each makes the one mistake that it is called after.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faulty.h"

volatile char sink;
void *volatile kept;

void write_at(char *p, long at)
{
    p[at] = 'x';
}

void read_at(const char *p, long at)
{
    sink = p[at];
}

void *in_thread(void *(*f)(void *), void *arg)
{
    pthread_t t;
    void *result = NULL;
    pthread_create(&t, NULL, f, arg);
    pthread_join(t, &result);
    return result;
}

void *thread_frees(void *p)
{
    free(p);
    return NULL;
}

static void *thread_writes(void *p)
{
    write_at(p, 3);
    return NULL;
}

/* ---- beyond a block ---- */

static void overflow_1(void)
{
    char *p = malloc(10);
    write_at(p, 10);
    free(p);
}

static void overflow_8(void)
{
    char *p = malloc(24);
    *(long *)(p + 24) = 1;
    free(p);
}

static void overflow_16(void)
{
    char *p = malloc(64);
    for (long i = 0; i < 16; i++) write_at(p, 64 + i);
    free(p);
}

static void overflow_large(void)
{
    char *p = malloc(300000);
    for (long i = 0; i < 16; i++) write_at(p, 300000 + i);
    free(p);
}

static void overflow_big(void)
{
    char *p = malloc(5 << 20);
    write_at(p, 5 << 20);
    free(p);
}

static void overflow_read(void)
{
    char *p = calloc(10, 3);
    read_at(p, 30);
    free(p);
}

static void overflow_calloc(void)
{
    int *p = calloc(7, sizeof *p);
    p[7] = 1;
    free(p);
}

static void overflow_aligned(void)
{
    char *p = aligned_alloc(64, 100);
    write_at(p, 100);
    free(p);
}

static void overflow_memalign(void)
{
    void *p = NULL;
    if (posix_memalign(&p, 4096, 50) == 0) write_at(p, 50);
    free(p);
}

static void overflow_grown(void)
{
    char *p = realloc(malloc(10), 40);
    write_at(p, 40);
    free(p);
}

static void overflow_shrunk(void)
{
    char *p = realloc(malloc(100), 20);
    write_at(p, 20);
    free(p);
}

static void overflow_usable(void)
{
    char *p = malloc(13);
    write_at(p, (long)malloc_usable_size(p));
    free(p);
}

static void overflow_new(void)
{
    char *p = _Znam(5);
    write_at(p, 5);
    _ZdaPv(p);
}

static void underflow_1(void)
{
    char *p = malloc(10);
    write_at(p, -1);
    free(p);
}

static void underflow_16(void)
{
    char *p = malloc(100);
    for (long i = 1; i <= 16; i++) read_at(p, -i);
    free(p);
}

static void off_by_one_string(void)
{
    const char *text = "twelve chars";
    char *p = malloc(strlen(text));
    strcpy(p, text);
    free(p);
}

static void string_without_end(void)
{
    char *p = malloc(8);
    memset(p, 'a', 8);
    sink = (char)strlen(p);
    free(p);
}

static void zero_bytes(void)
{
    char *p = malloc(0);
    write_at(p, 0);
    free(p);
}

/* ---- after its end ---- */

static void use_after_free_read(void)
{
    char *p = malloc(32);
    memset(p, 1, 32);
    free(p);
    read_at(p, 5);
}

static void use_after_free_write(void)
{
    char *p = malloc(32);
    free(p);
    write_at(p, 31);
}

static void use_after_free_later(void)
{
    char *p = malloc(32), *other[20];
    free(p);
    for (int i = 0; i < 1000; i++) free(malloc(32));
    for (int i = 0; i < 20; i++) other[i] = malloc(32);
    write_at(p, 0);
    for (int i = 0; i < 20; i++) free(other[i]);
}

static void use_after_free_large(void)
{
    char *p = malloc(200000);
    free(p);
    kept = malloc(200000);
    write_at(p, 100000);
    free(kept);
}

static void use_after_realloc(void)
{
    char *p = malloc(20), *q = realloc(p, 24);
    write_at(p, 3);
    free(q);
}

static void use_after_shrink(void)
{
    char *p = malloc(100), *q = realloc(p, 90);
    read_at(p, 3);
    free(q);
}

static void use_after_remote_free(void)
{
    char *p = malloc(40);
    in_thread(thread_frees, p);
    write_at(p, 8);
}

static void write_in_thread_after_free(void)
{
    char *p = malloc(40);
    free(p);
    in_thread(thread_writes, p);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
static const struct {
    const char *name;
    void (*f)(void);
} cases[] = {
    CASE(overflow_1),
    CASE(overflow_8),
    CASE(overflow_16),
    CASE(overflow_large),
    CASE(overflow_big),
    CASE(overflow_read),
    CASE(overflow_calloc),
    CASE(overflow_aligned),
    CASE(overflow_memalign),
    CASE(overflow_grown),
    CASE(overflow_shrunk),
    CASE(overflow_usable),
    CASE(overflow_new),
    CASE(underflow_1),
    CASE(underflow_16),
    CASE(off_by_one_string),
    CASE(string_without_end),
    CASE(zero_bytes),
    CASE(use_after_free_read),
    CASE(use_after_free_write),
    CASE(use_after_free_later),
    CASE(use_after_free_large),
    CASE(use_after_realloc),
    CASE(use_after_shrink),
    CASE(use_after_remote_free),
    CASE(write_in_thread_after_free),
    CASE(double_free),
    CASE(double_free_remote),
    CASE(double_free_after_realloc),
    CASE(realloc_after_free),
    CASE(free_interior),
    CASE(free_stack),
    CASE(free_static),
    CASE(free_wild),
    CASE(mismatch_new_free),
    CASE(mismatch_array_delete),
    CASE(mismatch_malloc_delete),
    CASE(mismatch_new_realloc),
    CASE(sized_delete_wrong),
    CASE(uninitialised_malloc),
    CASE(uninitialised_reused),
    CASE(uninitialised_tail),
    CASE(uninitialised_new),
    CASE(uninitialised_index),
    CASE(uninitialised_written_out),
    CASE(negative_size),
    CASE(calloc_overflow),
    CASE(aligned_alloc_bad),
    CASE(string_overlap),
    CASE(leak_definite),
    CASE(leak_indirect),
    CASE(leak_possible),
    CASE(leak_reachable),
    CASE(leak_large),
    CASE(leak_after_realloc),
    CASE(leak_of_thread),
    CASE(leak_new),
    CASE(clean),
    CASE(clean_calloc),
    CASE(clean_fork),
    CASE(clean_cxx),
};

/* What the stack below held before, so that no pointer of a case stays there. */
static void wipe(void)
{
    volatile char old[4096];
    memset((char *)old, 0, sizeof old);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (argc < 2) puts(cases[i].name);
        if (argc < 2 || strcmp(argv[1], cases[i].name) != 0) continue;
        cases[i].f();
        wipe();
        return 0;
    }
    return argc > 1;
}
