/* SPDX-License-Identifier: MIT */
/*
 * What: the simulated machine: up to 1024 CPUs, their caches, locks and clocks, and what is run on
 * it. Why: how an allocator scales beyond the machine at hand is a question of cache lines that
 * move between CPUs and of locks that are waited for. Both can be counted exactly: the allocator's
 * own code runs here, each of its memory accesses seen, on CPUs that take turns in virtual time.
 * Model: a line is with one CPU, or shared by readers. Reading a line that one does not share, and
 *   writing one that one does not have alone, is a transfer. It takes time, more from another node,
 *   and transfers of one line queue up. Caches have no end. A node has 64 CPUs.
 * Threads: one; virtual CPUs are coroutines. The same seed gives the same run.
 */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_CPUS_MAX  1024u
#define SIM_NODE_CPUS 64u

/* Cycles of 3 GHz. */
#define SIM_TRANSFER     150u /* from another core's cache */
#define SIM_TRANSFER_FAR 400u /* from another node's */
#define SIM_COLD         250u /* from memory */
#define SIM_THINK        100u /* the program's own work between two operations, in the mean */

/* ---- machine.c: who has which line ---- */

enum sim_kind { SIM_META, SIM_BLOCK, SIM_KINDS }; /* records and locks · the blocks themselves */
struct sim_counts {
    uint64_t ops, bytes;           /* mallocs with their frees · of them */
    uint64_t transfers[SIM_KINDS]; /* of lines */
    uint64_t far[SIM_KINDS];       /* of them from other nodes */
    uint64_t waits;                /* for locks */
    uint64_t cycles;               /* of all CPUs */
};
extern struct sim_counts sim_counts;
extern bool sim_counting;
void sim_machine_blocks(uintptr_t from, size_t bytes); /* where they lie */
void *sim_reserve(size_t bytes);                       /* address space, touched by need */
/* The running CPU reads or writes; from the code at pc, NULL: by the program, not counted. */
void sim_access(const void *p, size_t bytes, bool write, const void *pc);

/* ---- cpus.c: virtual CPUs ---- */

struct sim_cpu {
    uint64_t clock, random;
    uintptr_t stack;
    unsigned index;
};
#define SIM_STACK ((size_t)128 * 1024)
extern struct sim_cpu *sim_self;           /* NULL: not on a virtual CPU */
extern unsigned sim_cpus, sim_cpus_asleep; /* in all · waiting for another one */
extern uint64_t sim_seed;
/* Run body on n CPUs until all have returned. */
void sim_run(unsigned n, void (*body)(void));
/* Let those CPUs go on that are behind in time. */
void sim_turn(void);
/* Spend time; others may run. */
void sim_pass(uint64_t cycles);
/* Wait until all CPUs have come here; the last one runs then() before they go on. */
void sim_meet(void (*then)(void));
/* Who waits at p, the longest one, goes on. */
void sim_wake(const void *p);
/* Where the running CPU is, for os/cpu.h. */
struct hk_cpu_place sim_place(void);
/* Whether only the running CPU touches what is at that address. */
bool sim_private(uintptr_t at);
uint32_t sim_random(uint32_t below);
/* A new thread begins: variables of its own. */
void sim_new_thread(void);

/* ---- places.c: names for lines and code ---- */

void sim_places_note(uintptr_t line, const void *pc, bool write, unsigned moves, uint64_t cycles);
/*
 * The `most` places that cost most time an operation, by name: who waits there, the share of it,
 * and transfers an operation.
 */
void sim_places_print(unsigned most, uint64_t ops);

/* ---- schemes and loads ---- */

struct sim_scheme {
    const char *name;
    void (*start)(void); /* before all others, on no CPU */
    void *(*alloc)(size_t n);
    void (*free)(void *p);
    void (*thread_end)(void);
    void *(*units)(size_t n); /* without caches of its own; or NULL */
    void (*units_free)(void *p, size_t n);
};
extern const struct sim_scheme sim_hakmem, sim_pages, sim_batches;
/* For models: lists, and classes of four sizes a doubling, from 1 on. */
struct sim_item {
    struct sim_item *next, *prev;
};
#define SIM_LINK(q, p)   sim_link((struct sim_item **)(q), (struct sim_item *)(p))
#define SIM_UNLINK(q, p) sim_unlink((struct sim_item **)(q), (struct sim_item *)(p))
static inline void sim_link(struct sim_item **q, struct sim_item *p)
{
    *p = (struct sim_item){*q, NULL};
    if (p->next) p->next->prev = p;
    *q = p;
}
static inline void sim_unlink(struct sim_item **q, struct sim_item *p)
{
    *(p->prev ? &p->prev->next : q) = p->next;
    if (p->next) p->next->prev = p->prev;
}
#define SIM_CLASSES 80u
static inline unsigned sim_class(size_t n)
{
    if (n <= 64) return (unsigned)((n + 15) / 16);
    unsigned b = 63 - (unsigned)__builtin_clzll(n - 1);
    return 5 + (b - 6) * 4 + (unsigned)((n - 1) >> (b - 2) & 3);
}
static inline size_t sim_class_bytes(unsigned c)
{
    return c <= 4 ? (size_t)16 * c : (size_t)((c - 5) % 4 + 5) << ((c - 5) / 4 + 4);
}

struct work;
struct sim_load {
    const char *name;
    void (*step)(struct work *w); /* on each CPU, over and over */
    uint32_t warm, ops;           /* a CPU, in the mean: before what is measured, and of it */
};
extern const struct sim_load sim_loads[]; /* the last one has no name */
extern const struct sim_scheme *sim_scheme;
/* Once in a process: sim_counts is the result. percent: of the load's usual length. */
void sim_load_run(const struct sim_scheme *s, const struct sim_load *l, unsigned cpus,
                  unsigned percent);

#endif
