/* SPDX-License-Identifier: MIT */
/*
 * What: a library for binding.c to open: it allocates, frees and resizes for its caller, by the
 *   malloc that its own scope has, and has blocks of its own from its constructor to its
 * destructor. Why: RTLD_DEEPBIND, dlmopen and LD_AUDIT decide whose malloc that is. Build:
 * -DBINDING_AUDIT adds what ld.so calls in an audit library.
 */
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN 400
static unsigned char *own[OWN];
extern const char *hakmem_version(void) __attribute__((weak));

void *lib_make(size_t n);
void lib_free(void *p);
void *lib_resize(void *p, size_t n);
int lib_register(void);
void lib_text(void);
const char *lib_whose(void);
const char *whose(void);
void *lib_open(const char *name);
void *lib_open_in(const char *name);

/* A block that the C library asks for on its behalf. */
void lib_text(void)
{
    char *line = NULL, text[] = "a line\n";
    size_t n = 0;
    free(strdup("text"));
    FILE *f = fmemopen(text, sizeof text, "r");
    if (!f || getline(&line, &n, f) != 7) abort();
    free(line);
    fclose(f);
}

/* The program has one of these too. */
const char *whose(void)
{
    return "plugin";
}

const char *lib_whose(void)
{
    return whose();
}

/* Looked for where this library says. */
void *lib_open(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_DEEPBIND);
}

void *lib_open_in(const char *name)
{
    return dlmopen(LM_ID_BASE, name, RTLD_NOW | RTLD_DEEPBIND);
}

void *lib_make(size_t n)
{
    void *p = malloc(n);
    return p ? memset(p, 7, n) : NULL;
}

void lib_free(void *p)
{
    free(p);
}

void *lib_resize(void *p, size_t n)
{
    return realloc(p, n);
}

static size_t size_of(int i)
{
    return (size_t)1 << (i % 21);
}

static void renew(int i)
{
    if (own[i] && (own[i][0] != (unsigned char)i || own[i][size_of(i) - 1] != (unsigned char)i))
        abort();
    free(own[i]);
    own[i] = malloc(size_of(i));
    if (!own[i]) abort();
    memset(own[i], i, size_of(i));
}

extern void opening(void) __attribute__((weak)); /* of the program */
__attribute__((constructor)) static void first(void)
{
    if (opening) opening();
    for (int i = 0; i < OWN; i++) renew(i);
}

__attribute__((destructor)) static void last(void)
{
    for (int i = 0; i < OWN; i++) {
        renew(i);
        free(own[i]);
        own[i] = NULL;
    }
}

static void at_exit(void)
{
    for (int i = 0; i < OWN; i += 3) renew(i);
}

/* Run when this library is closed, after its destructor. */
int lib_register(void)
{
    return atexit(at_exit);
}

#ifdef BINDING_AUDIT
static void work(void)
{
    for (int i = 0; i < OWN; i += 7) renew(i);
}

unsigned la_version(unsigned version)
{
    work();
    return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie)
{
    (void)map, (void)space, (void)cookie;
    work();
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

#if __SIZEOF_POINTER__ == 8
uintptr_t la_symbind64(Elf64_Sym *sym, unsigned index, uintptr_t *from, uintptr_t *to,
                       unsigned *flags, const char *name)
{
    (void)index, (void)from, (void)to, (void)flags, (void)name;
    work();
    return sym->st_value;
}
#endif

void la_preinit(uintptr_t *cookie)
{
    (void)cookie;
    work();
    dprintf(2, "audited on %s\n", hakmem_version ? "hakmem" : "another");
}

unsigned la_objclose(uintptr_t *cookie)
{
    (void)cookie;
    work();
    return 0;
}
#endif
