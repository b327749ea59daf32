/* SPDX-License-Identifier: MIT */
/*
 * What: entries of the C library's table of symbols lead elsewhere, in this process's memory.
 * Why: see api/deep.c. The table is only read while names are bound, by whoever binds one: the
 *   C library itself and all that is bound already stay as they are.
 * The table lies in a segment that may be read and nothing else, or, where the C library was linked
 * without -z separate-code (64-bit Arm), in one with the code, but before it: its pages may be read
 * alone from then on. What is executed may not become writable: where a page has both, or cannot be
 * told, all stays as it is. Threads: an entry is a word, changed by one store; others may be
 * binding names meanwhile.
 */
#include "os/deep.h"

#include <link.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "os/sys.h"

struct table {
    uintptr_t base; /* what addresses in the file are relative to */
    ElfW(Sym) * symbols;
    const char *texts;
    const uint32_t *hash;
    size_t end;            /* of the last symbol that is hashed, plus one */
    uintptr_t before_code; /* the end of the relocations, which linkers put before all code */
};

/* ld.so has added the base already, where it could write to what it read that from. */
static const void *place(const struct table *t, uintptr_t at)
{
    return (const void *)(at < t->base ? t->base + at : at);
}

static bool find_table(const struct link_map *l, struct table *t)
{
    uintptr_t relocations = 0, bytes = 0;
    *t = (struct table){.base = l->l_addr};
    for (const ElfW(Dyn) *d = l->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB) t->symbols = (ElfW(Sym) *)place(t, d->d_un.d_ptr);
        if (d->d_tag == DT_STRTAB) t->texts = place(t, d->d_un.d_ptr);
        if (d->d_tag == DT_GNU_HASH) t->hash = place(t, d->d_un.d_ptr);
        if (d->d_tag == DT_RELA) relocations = (uintptr_t)place(t, d->d_un.d_ptr);
        if (d->d_tag == DT_RELASZ) bytes = d->d_un.d_val;
    }
    t->before_code = relocations + bytes;
    return t->symbols && t->texts && t->hash;
}

static uint32_t hash_of(const char *name)
{
    uint32_t h = 5381;
    for (; *name; name++) h = h * 33 + (unsigned char)*name;
    return h;
}

/* All symbols of that name, of whatever version, lead to `to`; 0: these are only to be counted. */
static size_t lead(struct table *t, const char *name, uintptr_t to)
{
    uint32_t buckets = t->hash[0], first = t->hash[1], words = t->hash[2];
    const uint32_t *bucket = t->hash + 4 + words * sizeof(ElfW(Addr)) / sizeof(uint32_t);
    const uint32_t *chain = bucket + buckets, h = hash_of(name);
    size_t found = 0;
    for (uint32_t i = bucket[h % buckets]; i >= first; i++) {
        ElfW(Sym) *s = &t->symbols[i];
        if ((chain[i - first] | 1) == (h | 1) && strcmp(t->texts + s->st_name, name) == 0 &&
            s->st_value != 0 && ELF64_ST_TYPE(s->st_info) == STT_FUNC) {
            found++;
            if (i >= t->end) t->end = i + 1;
            if (to) __atomic_store_n(&s->st_value, to - t->base, __ATOMIC_RELAXED);
        }
        if (chain[i - first] & 1) break;
    }
    return found;
}

/* Are these pages of a segment without code, or of one that has it behind them? */
static bool is_data(const struct table *t, uintptr_t from, uintptr_t to)
{
    const ElfW(Ehdr) *e = (const ElfW(Ehdr) *)t->base;
    if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0) return false;
    const ElfW(Phdr) *p = (const ElfW(Phdr) *)(t->base + e->e_phoff);
    for (unsigned i = 0; i < e->e_phnum; i++) {
        uintptr_t start = t->base + p[i].p_vaddr, end = start + p[i].p_filesz;
        if (p[i].p_type != PT_LOAD || from < start || from >= end) continue;
        if (p[i].p_flags == PF_R) return to <= hk_align_up(end, hk_sys_page_bytes());
        return p[i].p_flags == (PF_R | PF_X) && to <= t->before_code && t->before_code <= end;
    }
    return false;
}

bool hk_deep_replace(const struct link_map *libc, const struct hk_instead *names, size_t count)
{
    struct table t;
    if (!find_table(libc, &t)) return false;
    for (size_t i = 0; i < count; i++) lead(&t, names[i].name, 0);
    uintptr_t from = (uintptr_t)t.symbols, to = (uintptr_t)(t.symbols + t.end);
    size_t page = hk_sys_page_bytes();
    from = from / page * page;
    to = hk_align_up(to, page);
    if (!t.end || !is_data(&t, from, to)) return false;
    void *at = (void *)from;
    if (!hk_sys_protect(at, to - from, HK_ACCESS_ALL)) return false;
    for (size_t i = 0; i < count; i++) lead(&t, names[i].name, (uintptr_t)names[i].to);
    hk_sys_protect(at, to - from, HK_ACCESS_READ);
    return true;
}
