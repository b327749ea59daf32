/* SPDX-License-Identifier: MIT */
/*
 * What: which CPU has which cache line: a directory, and what an access costs by it.
 * Why: see sim.h. A line that one CPU has names it; a set of bits is only made for those that
 *   several read, so that a gigabyte of lines fits into memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim.h"

#define LINE_SHIFT 6
#define LEAF_SHIFT 30
#define LEAF_LINES ((size_t)1 << (LEAF_SHIFT - LINE_SHIFT))
#define WORDS      (SIM_CPUS_MAX / SIM_NODE_CPUS) /* of a set: one a node */
#define SETS       ((size_t)1 << 23)

struct line {
    uint64_t busy;  /* until then it is under way */
    uint32_t set;   /* of those that share it; 0: owner has it alone */
    uint32_t owner; /* a CPU's index and 1; 0: nobody */
};
struct set {
    uint64_t word[WORDS];
};

struct sim_counts sim_counts;
bool sim_counting;
static struct line *leaves[1 << (48 - LEAF_SHIFT)];
static struct set *sets;
static uint32_t spare, sets_made; /* sets not in use, chained by their first words */
static uintptr_t blocks_from, blocks_bytes;

void sim_machine_blocks(uintptr_t from, size_t bytes)
{
    blocks_from = from;
    blocks_bytes = bytes;
}

/* Address space, touched by need. */
void *sim_reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}

static struct line *line_of(uintptr_t at)
{
    struct line **leaf = &leaves[at >> LEAF_SHIFT];
    if (!*leaf) *leaf = sim_reserve(LEAF_LINES * sizeof **leaf);
    return &(*leaf)[at >> LINE_SHIFT & (LEAF_LINES - 1)];
}

static uint32_t set_new(void)
{
    if (!sets) sets = sim_reserve(SETS * sizeof *sets);
    uint32_t i = spare ? spare : ++sets_made;
    if (i == SETS) abort();
    spare = (uint32_t)sets[i].word[0];
    memset(&sets[i], 0, sizeof *sets);
    return i;
}

static void set_drop(uint32_t i)
{
    sets[i].word[0] = spare;
    spare = i;
}

static void add(struct set *s, unsigned cpu)
{
    s->word[cpu / SIM_NODE_CPUS] |= (uint64_t)1 << cpu % SIM_NODE_CPUS;
}

/* Whether a CPU of another node than cpu's is among them. */
static bool elsewhere(const struct set *s, unsigned cpu)
{
    uint64_t others = 0;
    for (unsigned i = 0; i < WORDS; i++) others |= i == cpu / SIM_NODE_CPUS ? 0 : s->word[i];
    return others != 0;
}

enum way { HIT, COLD, NEAR, FAR };

/* The line comes to cpu, for reading or alone; from where. */
static enum way obtain(struct line *l, unsigned cpu, bool alone)
{
    unsigned had = l->owner - 1;
    if (!l->set) {
        if (had == cpu) return HIT;
        l->owner = l->owner && !alone ? l->owner : cpu + 1;
        if (had == UINT32_MAX) return COLD;
        if (!alone) {
            l->set = set_new();
            add(&sets[l->set], had);
            add(&sets[l->set], cpu);
        }
        return had / SIM_NODE_CPUS == cpu / SIM_NODE_CPUS ? NEAR : FAR;
    }
    struct set *s = &sets[l->set];
    uint64_t ours = s->word[cpu / SIM_NODE_CPUS];
    if (alone) { /* a set has two members at least: others lose it */
        bool far = elsewhere(s, cpu);
        set_drop(l->set);
        l->set = 0;
        l->owner = cpu + 1;
        return far ? FAR : NEAR;
    }
    if (ours >> cpu % SIM_NODE_CPUS & 1) return HIT;
    add(s, cpu);
    return ours ? NEAR : FAR;
}

static void touch(uintptr_t at, bool write, const void *pc)
{
    static const unsigned cost[] = {1, SIM_COLD, SIM_TRANSFER, SIM_TRANSFER_FAR};
    struct line *l = line_of(at);
    bool shared = l->set != 0;
    enum way way = obtain(l, sim_self->index, write);
    if (way == HIT) {
        sim_self->clock++;
        return;
    }
    uint64_t since = sim_self->clock;
    /* Any number may read what nobody writes; else one after the other. */
    bool queues = write || !shared;
    if (queues && l->busy > sim_self->clock) sim_self->clock = l->busy;
    sim_self->clock += cost[way];
    if (queues) l->busy = sim_self->clock;
    if (way == COLD || !pc || !sim_counting) return;
    enum sim_kind kind = at - blocks_from < blocks_bytes ? SIM_BLOCK : SIM_META;
    sim_counts.transfers[kind]++;
    sim_counts.far[kind] += way == FAR;
    if (kind != SIM_META) return;
    sim_places_note(at >> LINE_SHIFT << LINE_SHIFT, pc, write, 1, sim_self->clock - since);
}

void sim_access(const void *p, size_t bytes, bool write, const void *pc)
{
    uintptr_t at = (uintptr_t)p, line = (uintptr_t)1 << LINE_SHIFT;
    if (!sim_self || sim_private(at)) return;
    sim_turn();
    for (uintptr_t end = at + bytes; at < end; at = (at & ~(line - 1)) + line) touch(at, write, pc);
}
