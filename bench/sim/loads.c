/* SPDX-License-Identifier: MIT */
/*
 * What: what the CPUs do: blocks of their own, blocks for others, units, threads that come and go.
 * Why: each is the worst that some part of an allocator is made for. The program's own memory is
 *   not simulated, but that it uses its blocks is: whoever gets one writes or reads its first line.
 * How: all warm up until so many operations were done by all together, meet, and go on until so
 *   many more were: who is held up does fewer, as on a machine.
 */
#include <stdlib.h>

#include "sim.h"

#define SLOTS 96u
#define RING  512u
#define BATCH 64u   /* handed over at once */
#define IDLE  3000u /* cycles between two looks for more */

struct slot {
    void *p;
    size_t n;
};
/* What a CPU works on. */
struct work {
    struct slot slot[SLOTS];
    uint32_t lives;
};
/* On its way to a CPU. */
static struct ring {
    struct slot slot[RING];
    uint32_t in, out;
} rings[SIM_CPUS_MAX];

const struct sim_scheme *sim_scheme;
static const struct sim_load *load;
static uint64_t target, begun_at;
static unsigned percent;

static bool over(void)
{
    return sim_counts.ops >= target;
}

static void count(size_t bytes)
{
    if (over()) return;
    sim_counts.bytes += bytes;
    if (++sim_counts.ops < target) return;
    sim_counting = false;
    sim_counts.cycles = (sim_self->clock - begun_at) * sim_cpus;
}

static void begin(void)
{
    sim_counts = (struct sim_counts){0};
    sim_counting = true;
    target = (uint64_t)load->ops * percent / 100 * sim_cpus;
    begun_at = sim_self->clock;
}

static void think(void)
{
    sim_pass(SIM_THINK / 2 + sim_random(SIM_THINK));
}

static struct slot take(size_t n)
{
    struct slot s = {sim_scheme->alloc(n), n};
    if (!s.p) abort();
    sim_access(s.p, sizeof(void *), true, NULL);
    return s;
}

static void put(struct slot *s, bool others)
{
    if (s->p && others) sim_access(s->p, sizeof(void *), false, NULL);
    if (s->p) sim_scheme->free(s->p);
    s->p = NULL;
}

/* Mostly small, a few large. */
static size_t any_size(void)
{
    static const size_t usual[] = {16, 32, 48, 64, 96, 128, 256, 512, 1024, 48, 64, 32},
                        mid[] = {1536, 3072, 4096, 8192, 16384, 32768};
    uint32_t dice = sim_random(100);
    if (dice < 88) return usual[sim_random(sizeof usual / sizeof *usual)];
    if (dice < 98) return mid[sim_random(sizeof mid / sizeof *mid)];
    return (size_t)65536 + 16384 * (size_t)sim_random(29);
}

static void local(struct work *w)
{
    struct slot *s = &w->slot[sim_random(SLOTS)];
    think();
    put(s, false);
    think();
    *s = take(any_size());
    count(s->n);
}

static size_t message_size(void)
{
    return (size_t)128 << sim_random(3);
}

/* Half of the CPUs make, the others free; from another node if there are several. */
static void remote(struct work *w)
{
    unsigned half = sim_cpus / 2, i = sim_self->index;
    struct ring *r = &rings[i % half];
    uint32_t under_way = r->in - r->out;
    if (i < half ? under_way > RING - BATCH : under_way < BATCH) {
        sim_pass(IDLE);
        return;
    }
    for (uint32_t n = 0; n < BATCH; n++, think()) {
        struct slot s;
        if (i < half) {
            s = take(message_size());
            r->slot[r->in++ % RING] = s;
            continue;
        }
        s = r->slot[r->out++ % RING];
        count(s.n);
        put(&s, true);
    }
    (void)w;
}

/* Each CPU makes for another one, and frees what a third one made. */
static void exchange(struct work *w)
{
    struct ring *mine = &rings[sim_self->index],
                *to = &rings[(sim_self->index + sim_cpus / 2) % sim_cpus];
    think();
    struct slot s = take(message_size());
    count(s.n);
    think();
    if (to->in - to->out < RING)
        to->slot[to->in++ % RING] = s;
    else
        put(&s, false);
    for (unsigned i = 0; i < 2 && mine->in - mine->out > BATCH; i++)
        put(&mine->slot[mine->out++ % RING], true);
    (void)w;
}

/* Slabs and large runs, without the caches before the pool. */
static void units(struct work *w)
{
    static const size_t length[] = {1, 1, 1, 16, 2, 3, 5, 8};
    struct slot *s = &w->slot[sim_random(16)];
    think();
    if (s->p) sim_scheme->units_free(s->p, s->n);
    think();
    s->n = length[sim_random(sizeof length / sizeof *length)];
    s->p = sim_scheme->units(s->n);
    if (!s->p) abort();
    count(s->n << 16);
}

/* A thread's life: it frees what the last one left, and leaves some. */
static void life(struct work *w)
{
    for (unsigned i = 0; i < 32; i++) {
        struct slot *s = &w->slot[i % 8 ? 0 : i / 8];
        think();
        put(s, true);
        think();
        *s = take(message_size() >> 2);
    }
    sim_scheme->thread_end();
    sim_new_thread();
    count(0);
}

const struct sim_load sim_loads[] = {
    {"local", local, 2500, 1500},
    {"remote", remote, 4000, 3000},
    {"exchange", exchange, 4000, 2000},
    {"pool", units, 300, 300},
    {"lives", life, 30, 30},
    {NULL, NULL, 0, 0},
};

static void nothing(void)
{
}

static void on_each(void)
{
    struct work *w = calloc(1, sizeof *w);
    if (!w) abort();
    sim_scheme->free(sim_scheme->alloc(1)); /* births are not what is measured */
    sim_meet(nothing);
    while (!over()) load->step(w);
    sim_meet(begin);
    while (!over()) load->step(w);
    free(w);
}

void sim_load_run(const struct sim_scheme *s, const struct sim_load *l, unsigned cpus,
                  unsigned length)
{
    sim_scheme = s;
    load = l;
    percent = length;
    target = (uint64_t)l->warm * percent / 100 * cpus;
    s->start();
    sim_run(cpus, on_each);
}
