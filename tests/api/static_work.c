/* SPDX-License-Identifier: MIT */
/*
 * What: a program for the static library: every function of the family, threads, fork, and the end.
 *   With arguments it does the little that settings are seen by. Its last line says who served it.
 * Why: static.sh and setuid.sh link it in several ways; symbols that are missing or there twice
 * show when a program is linked.
 */
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define THREADS 4
#define BLOCKS  300
#define STEPS   30000

extern const char *hakmem_version(void) __attribute__((weak));
static void *_Atomic mailbox[64];

static size_t size_of(unsigned i)
{
    return ((size_t)1 << (i % 18)) + i % 13;
}

static void *work(void *arg)
{
    unsigned char *block[BLOCKS] = {NULL};
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (step * 7 + (unsigned)(uintptr_t)arg) % BLOCKS;
        CHECK(!block[i] || block[i][0] == (unsigned char)i);
        free(__atomic_exchange_n(&mailbox[step % 64], block[i], __ATOMIC_ACQ_REL));
        block[i] = step % 3 ? malloc(size_of(step)) : calloc(1, size_of(step));
        CHECK(block[i] && (step % 3 || block[i][size_of(step) - 1] == 0));
        if (step % 5 == 0) block[i] = realloc(block[i], size_of(step + 1));
        CHECK(block[i]);
        block[i][0] = (unsigned char)i;
    }
    for (unsigned i = 0; i < BLOCKS; i++) free(block[i]);
    return NULL;
}

static void family(void)
{
    void *p = NULL;
    CHECK(posix_memalign(&p, 256, 1000) == 0 && (uintptr_t)p % 256 == 0);
    free(p);
    p = aligned_alloc(64, 640);
    CHECK(p && malloc_usable_size(p) >= 640);
    free(p);
    free(memalign(4096, 10));
    free(valloc(10));
    free(pvalloc(10));
    p = reallocarray(NULL, 30, 30);
    CHECK(p);
    free(p);
    free(strdup("text"));
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
    malloc_trim(0);
    CHECK(mallinfo2().arena + mallinfo2().hblkhd > 0);
}

static void threads(void)
{
    pthread_t t[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
}

/* Each page of the program's variables can be written, but for what its linker asked to seal. */
static int write_pages(struct dl_phdr_info *o, size_t bytes, void *arg)
{
    uintptr_t sealed = 0, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)bytes;
    (void)arg;
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &o->dlpi_phdr[i];
        if (ph->p_type == PT_GNU_RELRO) sealed = o->dlpi_addr + ph->p_vaddr + ph->p_memsz;
    }
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &o->dlpi_phdr[i];
        uintptr_t at = o->dlpi_addr + ph->p_vaddr, end = at + ph->p_memsz;
        if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_W)) continue;
        for (at = at < sealed ? sealed : at; at < end; at += page)
            *(volatile char *)at = *(volatile char *)at;
    }
    return 1; /* the program is the first one */
}

static void *last;
static void at_exit(void)
{
    free(last);
    free(malloc(100000));
}

int main(int argc, char **argv)
{
    int status = -1;
    (void)argv;
    if (argc == 1) {
        family();
        threads();
        CHECK(dl_iterate_phdr(write_pages, NULL) == 1);
        pid_t child = fork();
        if (child == 0) {
            threads();
            exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        last = malloc(50);
        CHECK(atexit(at_exit) == 0);
    }
    free(malloc(1000));
    printf("%s%s\n", getauxval(AT_SECURE) ? "secure, " : "", hakmem_version ? "hakmem" : "another");
    return 0;
}
