/* SPDX-License-Identifier: MIT */
/*
 * What: is a file a library that every program can be given? Which file does a name of
 *   ld.so.preload stand for, and which name should be written?
 * Why: one that is cut short ends every dynamic program by SIGBUS, one that needs another library
 *   stops every program where that is missing, one of another machine makes each complain.
 * The file may have any contents: nothing in it is believed before it is compared with its length.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#endif
#define MOST_BYTES ((off_t)1 << 28)

const char *const library_state[] = {"good", "missing", "truncated", "bad"};

struct image {
    char *at;
    size_t bytes;
    const Elf64_Ehdr *head;
    const Elf64_Phdr *segments;
    const Elf64_Shdr *sections;
};

PRINTF(3, 4)
static void judge(struct library *out, enum library_state state, const char *format, ...)
{
    va_list ap;
    out->state = state;
    va_start(ap, format);
    vsnprintf(out->why, sizeof out->why, format, ap);
    va_end(ap);
}

static bool within(const struct image *m, uint64_t at, uint64_t bytes)
{
    return at <= m->bytes && bytes <= m->bytes - at;
}

/* The file's bytes, to be freed; false: none, and why. */
static bool load(const char *path, struct image *m, struct library *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        bool gone = errno == ENOENT || errno == ENOTDIR;
        judge(out, gone ? LIBRARY_MISSING : LIBRARY_BAD, "%s", strerror(errno));
        return false;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MOST_BYTES) {
        judge(out, LIBRARY_BAD, "it is no file, or far too long");
    } else {
        m->at = grow(NULL, (size_t)st.st_size + 1);
        for (ssize_t n = 1; n > 0 && m->bytes < (size_t)st.st_size; m->bytes += (size_t)n) {
            n = pread(fd, m->at + m->bytes, (size_t)st.st_size - m->bytes, (off_t)m->bytes);
            if (n < 0) {
                judge(out, LIBRARY_BAD, "%s", strerror(errno));
                break;
            }
        }
    }
    close(fd);
    return m->at && out->state == LIBRARY_GOOD;
}

/* Counts those bytes as needed; what cannot be, as more than any file has. */
static void need(uint64_t *most, uint64_t at, uint64_t bytes)
{
    uint64_t end;
    if (__builtin_add_overflow(at, bytes, &end)) end = UINT64_MAX;
    if (end > *most) *most = end;
}

/* Is all there that its tables speak of? */
static void judge_whole(struct image *m, struct library *out)
{
    const Elf64_Ehdr *h = m->head;
    uint64_t most = 0;
    need(&most, h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr));
    need(&most, h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr));
    if (within(m, h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr))) {
        m->segments = (const Elf64_Phdr *)(m->at + h->e_phoff);
        for (unsigned i = 0; i < h->e_phnum; i++)
            need(&most, m->segments[i].p_offset, m->segments[i].p_filesz);
    }
    if (within(m, h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr))) {
        m->sections = (const Elf64_Shdr *)(m->at + h->e_shoff);
        for (unsigned i = 0; i < h->e_shnum; i++) {
            const Elf64_Shdr *s = &m->sections[i];
            if (s->sh_type != SHT_NOBITS) need(&most, s->sh_offset, s->sh_size);
        }
    }
    if (most > m->bytes)
        judge(out, LIBRARY_TRUNCATED, "it has %zu bytes of %llu", m->bytes,
              (unsigned long long)most);
}

static void judge_kind(struct image *m, struct library *out)
{
    const Elf64_Ehdr *h = m->head = (const Elf64_Ehdr *)m->at;
    if (m->bytes == 0) {
        judge(out, LIBRARY_TRUNCATED, "it is empty");
    } else if (memcmp(m->at, ELFMAG, m->bytes < SELFMAG ? m->bytes : SELFMAG) != 0) {
        judge(out, LIBRARY_BAD, "it is no ELF file");
    } else if (m->bytes < sizeof *h) {
        judge(out, LIBRARY_TRUNCATED, "it has %zu bytes, less than its head", m->bytes);
    } else if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
               h->e_machine != MACHINE) {
        judge(out, LIBRARY_BAD, "it is for another machine");
    } else if (h->e_type != ET_DYN || h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum ||
               h->e_phoff % 8 || h->e_shoff % 8) {
        judge(out, LIBRARY_BAD, "it is no shared library");
    } else if (h->e_shentsize != sizeof(Elf64_Shdr) || !h->e_shnum) {
        judge(out, LIBRARY_BAD, "it has no table of sections, so nobody can tell");
    } else {
        judge_whole(m, out);
    }
}

/* A section of that type, and the texts it refers to; NULL: none, or not as it should be. */
static const Elf64_Shdr *section(const struct image *m, unsigned type, const Elf64_Shdr **texts)
{
    for (unsigned i = 0; m->sections && i < m->head->e_shnum; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        if (s->sh_type != type || s->sh_offset % 8 || s->sh_link >= m->head->e_shnum) continue;
        *texts = &m->sections[s->sh_link];
        if ((*texts)->sh_type != SHT_STRTAB || !(*texts)->sh_size) return NULL;
        return m->at[(*texts)->sh_offset + (*texts)->sh_size - 1] == 0 ? s : NULL;
    }
    return NULL;
}

static const char *text_at(const struct image *m, const Elf64_Shdr *texts, uint64_t at)
{
    return at < texts->sh_size ? m->at + texts->sh_offset + at : "";
}

/* Of the function it defines: its version, 1 if it has none; 0: it does not define it. */
static unsigned defines(const struct image *m, const char *name)
{
    const Elf64_Shdr *texts, *s = section(m, SHT_DYNSYM, &texts);
    const Elf64_Shdr *v = NULL;
    for (unsigned i = 0; m->sections && i < m->head->e_shnum; i++) {
        if (m->sections[i].sh_type == SHT_GNU_versym && m->sections[i].sh_offset % 2 == 0)
            v = &m->sections[i];
    }
    for (size_t i = 0; s && i < s->sh_size / sizeof(Elf64_Sym); i++) {
        const Elf64_Sym *y = (const Elf64_Sym *)(m->at + s->sh_offset) + i;
        if (y->st_shndx == SHN_UNDEF || ELF64_ST_BIND(y->st_info) == STB_LOCAL) continue;
        if (strcmp(text_at(m, texts, y->st_name), name) != 0) continue;
        if (!v || (i + 1) * sizeof(Elf64_Half) > v->sh_size) return 1;
        return ((const Elf64_Half *)(m->at + v->sh_offset))[i] & 0x7fff;
    }
    return 0;
}

/* The first library that it needs but for the C library and the loader; NULL: none. */
static const char *needs(const struct image *m)
{
    const Elf64_Shdr *texts, *s = section(m, SHT_DYNAMIC, &texts);
    for (size_t i = 0; s && i < s->sh_size / sizeof(Elf64_Dyn); i++) {
        const Elf64_Dyn *d = (const Elf64_Dyn *)(m->at + s->sh_offset) + i;
        if (d->d_tag != DT_NEEDED) continue;
        const char *name = text_at(m, texts, d->d_un.d_val);
        if (strcmp(name, "libc.so.6") != 0 && strncmp(name, "ld-linux", 8) != 0) return name;
    }
    return NULL;
}

static void judge_contents(const struct image *m, struct library *out)
{
    const char *other = needs(m);
    if (!defines(m, "malloc") || !defines(m, "free"))
        judge(out, LIBRARY_BAD, "it has no malloc");
    else if (defines(m, "malloc") > 1)
        judge(out, LIBRARY_BAD, "its malloc has a version, so nobody would get it");
    else if (!defines(m, "hakmem_version"))
        judge(out, LIBRARY_BAD, "it has a malloc, but is not hakmem");
    else if (other)
        judge(out, LIBRARY_BAD, "it needs %.100s, and no program would start without that", other);
}

void library_judge(const char *path, struct library *out)
{
    struct image m = {0};
    *out = (struct library){0};
    if (load(path, &m, out)) {
        judge_kind(&m, out);
        if (out->state == LIBRARY_GOOD) judge_contents(&m, out);
    }
    free(m.at);
}

bool library_has_malloc(const char *path)
{
    struct image m = {0};
    struct library l = {0};
    bool has = false;
    if (load(path, &m, &l)) {
        judge_kind(&m, &l);
        has = l.state == LIBRARY_GOOD && defines(&m, "malloc") == 1;
    }
    free(m.at);
    return has;
}
