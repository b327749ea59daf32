/* SPDX-License-Identifier: MIT */
/*
 * What: which variables and records the transfers were of, and which functions caused them.
 * Why: a count tells that something does not scale; its name tells what.
 * How: transfers are counted by line and code address; at the end both get names from the
 *   program's own symbol table, which has static ones too. Records of a kind count together.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/shard.h"
#include "front/front.h"
#include "sim.h"

#define NAME_BYTES 160
#define SLOTS      ((size_t)1 << 22)
#define PLACES     2048

struct note {
    uintptr_t line, code;   /* the address, one bit up, below it whether it writes */
    uint64_t count, cycles; /* transfers · until the line was there, or the lock free */
};
struct place {
    char name[NAME_BYTES], by[NAME_BYTES + 2];
    uint64_t count, cycles, of; /* of: cycles of the place */
};

static struct note *notes;
static size_t noted;
static struct {
    const Elf64_Sym *sym;
    size_t n;
    const char *names;
    uintptr_t bias;
} symbols;

void sim_places_note(uintptr_t line, const void *pc, bool write, unsigned moves, uint64_t cycles)
{
    uintptr_t code = (uintptr_t)pc << 1 | write;
    size_t i = ((line ^ code * 31) * 0x9e3779b97f4a7c15u) >> 20;
    if (!notes) notes = sim_reserve(SLOTS * sizeof *notes);
    struct note *n = &notes[i % SLOTS];
    for (; n->code && (n->line != line || n->code != code); n = &notes[++i % SLOTS]) continue;
    if (!n->code && ++noted > SLOTS / 2) abort();
    *n = (struct note){line, code, n->count + moves, n->cycles + cycles};
}

static int find_bias(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes;
    *(uintptr_t *)arg = info->dlpi_addr;
    return 1;
}

static void read_symbols(void)
{
    struct stat st;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) abort();
    const char *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) abort();
    close(fd);
    const Elf64_Ehdr *head = (const void *)file;
    const Elf64_Shdr *section = (const void *)(file + head->e_shoff);
    dl_iterate_phdr(find_bias, &symbols.bias);
    for (unsigned i = 0; i < head->e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB) continue;
        symbols.sym = (const void *)(file + section[i].sh_offset);
        symbols.n = section[i].sh_size / sizeof(Elf64_Sym);
        symbols.names = file + section[section[i].sh_link].sh_offset;
    }
}

/* Whatever overlaps [at, at + bytes), joined; how many. */
static unsigned named(uintptr_t at, size_t bytes, unsigned type, char out[NAME_BYTES])
{
    unsigned n = 0;
    size_t len = 0;
    const char *file = "";
    at -= symbols.bias;
    for (size_t i = 0; i < symbols.n; i++) {
        const Elf64_Sym *s = &symbols.sym[i];
        const char *name = symbols.names + s->st_name;
        if (ELF64_ST_TYPE(s->st_info) == STT_FILE) file = name;
        if (ELF64_ST_TYPE(s->st_info) != type || s->st_shndx == SHN_UNDEF) continue;
        if (s->st_value >= at + bytes || at >= s->st_value + s->st_size) continue;
        bool here = type == STT_OBJECT && ELF64_ST_BIND(s->st_info) == STB_LOCAL;
        size_t off = at > s->st_value ? at - s->st_value : 0;
        if (len > NAME_BYTES - 1) len = NAME_BYTES - 1;
        const char *form = off && type == STT_OBJECT ? "%s%s%s%s+0x%zx" : "%s%s%s%s";
        len += (size_t)snprintf(out + len, NAME_BYTES - len, form, n++ ? ", " : "",
                                here ? file : "", here ? ":" : "", name, off);
    }
    return n;
}

/* Records of a kind have one name. */
static void name_line(uintptr_t line, char out[NAME_BYTES])
{
    if (named(line, 64, STT_OBJECT, out)) return;
    snprintf(out, NAME_BYTES, "(other)");
    if (sim_scheme != &sim_hakmem) return;
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all)
        if (line - (uintptr_t)h < sizeof *h)
            snprintf(out, NAME_BYTES, "struct hk_heap+0x%zx", (size_t)(line - (uintptr_t)h));
    for (unsigned id = 1; id <= hk_shard_count(); id++) {
        size_t off = line - (uintptr_t)hk_shard_by_id(id);
        if (off < sizeof(struct hk_shard)) snprintf(out, NAME_BYTES, "struct hk_shard+0x%zx", off);
    }
    uintptr_t units = hk_window_units, chunks = (uintptr_t)hk_chunk_at(0);
    if (line - units < hk_map_chunks() * HK_CHUNK_UNITS * sizeof(struct hk_unit))
        snprintf(out, NAME_BYTES, "struct hk_unit");
    if (line - chunks < hk_map_chunks() * sizeof(struct hk_chunk))
        snprintf(out, NAME_BYTES, "struct hk_chunk");
}

static int by_line(const void *a, const void *b)
{
    const struct note *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line;
}

static int by_time(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->of != y->of ? (x->of < y->of) - (x->of > y->of)
                          : (x->cycles < y->cycles) - (x->cycles > y->cycles);
}

/* All notes, by what their names are. */
static size_t gather(struct place p[PLACES])
{
    char name[NAME_BYTES] = "", by[NAME_BYTES + 2];
    uintptr_t line = 0;
    size_t n = 0;
    for (size_t i = 0, k; i < noted; i++) {
        if (notes[i].line != line) name_line(line = notes[i].line, name);
        bool found = named(notes[i].code >> 1, 1, STT_FUNC, by) != 0;
        strcat(found ? by : strcpy(by, "?"), notes[i].code & 1 ? " w" : " r");
        for (k = 0; k < n && (strcmp(p[k].name, name) != 0 || strcmp(p[k].by, by) != 0);) k++;
        if (k == PLACES) continue;
        if (k == n) {
            strcpy(p[n].name, name);
            strcpy(p[n++].by, by);
        }
        p[k].count += notes[i].count;
        p[k].cycles += notes[i].cycles;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) p[i].of += strcmp(p[i].name, p[k].name) ? 0 : p[k].cycles;
    }
    return n;
}

void sim_places_print(unsigned most, uint64_t ops)
{
    struct place *p = calloc(PLACES, sizeof *p);
    if (!p) abort();
    read_symbols();
    for (size_t i = 0, k = 0; k < noted; i++) {
        if (notes[i].code) notes[k++] = notes[i];
    }
    qsort(notes, noted, sizeof *notes, by_line);
    size_t n = gather(p);
    qsort(p, n, sizeof *p, by_time);
    for (size_t i = 0, others = 0; i < n; i++) {
        bool first = i == 0 || strcmp(p[i].name, p[i - 1].name) != 0;
        others = first ? 0 : others + 1;
        if (first && !most--) break;
        if (first) printf("\n  %9.2f ns  %s\n   ", (double)p[i].of / 3 / (double)ops, p[i].name);
        if (others < 4)
            printf(" %s %.0f%% (%.4f)", p[i].by, 100.0 * (double)p[i].cycles / (double)p[i].of,
                   (double)p[i].count / (double)ops);
    }
    printf("\n");
    free(p);
}
