/* SPDX-License-Identifier: MIT */
/*
 * What: tables of symbols made to lead elsewhere, in made-up libraries: which entries change, and
 *   which libraries stay as they are.
 * Why: nothing may become writable that is executed, and C libraries that are linked in other ways
 *   than the one at hand are not to be had here.
 */
#include "os/deep.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hktest.h"

#define PAGES 4

/* In pages: the header, the hashes and the texts; the symbols; relocations and code. */
static char *image;
static size_t page;
static struct {
    ElfW(Word) flags;
    size_t relocations, bytes;
    const char *magic;
} made;

static const char texts[] = "\0malloc\0free\0mallob";
enum { TEXT_MALLOC = 1, TEXT_FREE = 8, TEXT_OTHER = 13 }; /* the first and the last look alike */
enum { NONE, ONE, ANOTHER, OBJECT, UNDEFINED, FREE, OTHER, SYMBOLS };
static const ElfW(Sym) symbols[SYMBOLS] = {
    [ONE] = {.st_name = TEXT_MALLOC, .st_info = STT_FUNC, .st_value = ONE},
    [ANOTHER] = {.st_name = TEXT_MALLOC, .st_info = STT_FUNC, .st_value = ANOTHER},
    [OBJECT] = {.st_name = TEXT_MALLOC, .st_info = STT_OBJECT, .st_value = OBJECT},
    [UNDEFINED] = {.st_name = TEXT_MALLOC, .st_info = STT_FUNC, .st_value = 0},
    [FREE] = {.st_name = TEXT_FREE, .st_info = STT_FUNC, .st_value = FREE},
    [OTHER] = {.st_name = TEXT_OTHER, .st_info = STT_FUNC, .st_value = OTHER}};

static void here(void)
{
}

/* Of one bucket, which begins with the first symbol. */
static void put_hashes(uint32_t *at)
{
    const uint32_t head[] = {1, 1, 1, 0, 0, 0, 1}; /* a word of 64 bits that nobody reads */
    memcpy(at, head, sizeof head);
    for (int i = 1; i < SYMBOLS; i++) {
        uint32_t h = 5381;
        for (const char *s = texts + symbols[i].st_name; *s; s++) h = h * 33 + (unsigned char)*s;
        at[sizeof head / sizeof *head + i - 1] = (h & ~1u) | (i == SYMBOLS - 1);
    }
}

static int access_of(ElfW(Word) flags)
{
    return PROT_READ | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
}

static void make(void)
{
    ElfW(Ehdr) e = {.e_phoff = sizeof e, .e_phnum = 2};
    ElfW(Phdr) p[] = {{.p_type = PT_NOTE}, {.p_type = PT_LOAD, .p_flags = made.flags}};
    page = (size_t)sysconf(_SC_PAGESIZE);
    p[1].p_filesz = p[1].p_memsz = PAGES * page;
    image = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (image == MAP_FAILED) hktest_bail("no memory");
    memcpy(e.e_ident, made.magic, SELFMAG);
    memcpy(image, &e, sizeof e);
    memcpy(image + sizeof e, p, sizeof p);
    put_hashes((uint32_t *)(image + 512));
    memcpy(image + 1024, texts, sizeof texts);
    memcpy(image + page, symbols, sizeof symbols);
    if (mprotect(image, PAGES * page, access_of(made.flags))) hktest_bail("no such memory");
}

static bool replaced(const char *name)
{
    ElfW(Dyn) d[] = {{DT_SYMTAB, {page}},
                     {DT_STRTAB, {(uintptr_t)image + 1024}}, /* as ld.so leaves it, and as not */
                     {DT_GNU_HASH, {512}},
                     {DT_RELASZ, {made.bytes}},
                     {DT_RELA, {made.relocations}},
                     {DT_NULL, {0}}};
    struct link_map l = {.l_addr = (uintptr_t)image, .l_ld = d};
    return hk_deep_replace(&l, &(struct hk_instead){name, here}, 1);
}

/* May the page of the symbols be written, behind them? Emulators tell less in /proc/self/maps. */
static bool writable(void)
{
    int ends[2];
    if (pipe(ends) || write(ends[1], "", 1) != 1) hktest_bail("no pipe");
    bool done = read(ends[0], image + 2 * page - 1, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return done;
}

static uintptr_t leads(int i)
{
    return ((const ElfW(Sym) *)(image + page))[i].st_value;
}

static void expect_changed(const char *what)
{
    make();
    uintptr_t to = (uintptr_t)here - (uintptr_t)image;
    hktest_ok(replaced("malloc"), "%s: changed", what);
    hktest_ok(leads(ONE) == to && leads(ANOTHER) == to, "%s: all of the name", what);
    hktest_ok(!leads(UNDEFINED) && leads(OBJECT) == OBJECT && leads(FREE) == FREE &&
                  leads(OTHER) == OTHER,
              "%s: nothing else", what);
    hktest_ok(!writable(), "%s: not writable then", what);
    munmap(image, PAGES * page);
}

static void expect_same(const char *what, const char *name)
{
    make();
    bool was = writable();
    hktest_ok(!replaced(name), "%s: not changed", what);
    hktest_ok(!memcmp(image + page, symbols, sizeof symbols) && writable() == was,
              "%s: it is as it was", what);
    munmap(image, PAGES * page);
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    made.magic = ELFMAG;
    made.flags = PF_R;
    expect_changed("a segment of its own");
    expect_same("no such name", "calloc");
    made.magic = "\177ELf";
    expect_same("not a library", "malloc");
    made.magic = ELFMAG;

    made.flags = PF_R | PF_X;
    expect_same("with the code, which may be anywhere", "malloc");
    made.relocations = page + 512;
    made.bytes = page - 512;
    expect_changed("with the code, which begins with the next page");
    made.bytes = page - 536;
    expect_same("with the code, which begins in the same page", "malloc");
    made.relocations = 768;
    made.bytes = 256;
    expect_same("with the code, and other tables before it", "malloc");
    made.relocations = 2 * page;
    made.bytes = 2 * page + 24;
    expect_same("with the code, and tables that end in another segment", "malloc");
    made.bytes = page;
    made.flags = PF_R | PF_W | PF_X;
    expect_same("a segment for all", "malloc");
    return hktest_done();
}
