/* SPDX-License-Identifier: MIT */
/*
 * What: virtual CPUs: coroutines, each with its stack, its thread-local variables and its clock;
 *   who is furthest behind runs. And what the library asks the system for: time, waiting.
 * Why: in the order of virtual time a lock that is held for long is found held, as on a machine,
 *   and each run is the same.
 * Invariants: V1 a CPU is running, in the queue, or asleep. V2 CPUs change in sim_turn, sim_pass
 *   and in who waits only: nothing else happens between a test and what follows it.
 */
#include "sim.h"

#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>
#include <ucontext.h>

#include "os/cpu.h"
#include "os/lock.h"

#define AHEAD        40u /* cycles that nobody minds: less than a transfer takes */
#define TLS_MAX      4096u
#define RELAX_CYCLES 30u   /* a round of a lock's spinning */
#define YIELD_CYCLES 1500u /* a call that gives the CPU away */

struct vcpu {
    struct sim_cpu cpu;
    jmp_buf at;
    char tls[TLS_MAX];
    const void *waits_at;
    struct vcpu *next;
};

struct sim_cpu *sim_self;
unsigned sim_cpus, sim_cpus_asleep;
uint64_t sim_seed = 1;
static struct vcpu vcpu[SIM_CPUS_MAX];
static struct entry {
    uint64_t clock;
    uint32_t index;
} queue[SIM_CPUS_MAX]; /* a heap, who is furthest behind first */
static unsigned queued, met, left;
static struct vcpu *sleeper, **sleepers_end = &sleeper; /* in order of arrival */
static void (*work)(void);
static ucontext_t home;
static jmp_buf end;
static uintptr_t tls, tls_image;
static size_t tls_bytes, tls_image_bytes;

/* Stack and thread-local variables, which nobody else touches. */
bool sim_private(uintptr_t at)
{
    return at - sim_self->stack < SIM_STACK || at - tls < tls_bytes || at - (uintptr_t)&errno < 4;
}

static bool before(struct entry a, struct entry b)
{
    return a.clock != b.clock ? a.clock < b.clock : a.index < b.index;
}

static void enqueue(const struct vcpu *v)
{
    struct entry e = {v->cpu.clock, v->cpu.index};
    unsigned i = queued++;
    for (; i && before(e, queue[(i - 1) / 2]); i = (i - 1) / 2) queue[i] = queue[(i - 1) / 2];
    queue[i] = e;
}

static struct vcpu *dequeue(void)
{
    if (!queued) abort(); /* all wait for each other */
    struct vcpu *first = &vcpu[queue[0].index];
    struct entry e = queue[--queued];
    unsigned i = 0;
    for (unsigned k; (k = 2 * i + 1) < queued; i = k) {
        if (k + 1 < queued && before(queue[k + 1], queue[k])) k++;
        if (!before(queue[k], e)) break;
        queue[i] = queue[k];
    }
    queue[i] = e;
    return first;
}

static void go_on(struct vcpu *v)
{
    memcpy((void *)tls, v->tls, tls_bytes);
    sim_self = &v->cpu;
    _longjmp(v->at, 1);
}

/* The next one runs; this one once it is dequeued again. */
static void change(void)
{
    struct vcpu *me = (struct vcpu *)sim_self, *v = dequeue();
    if (v == me) return;
    memcpy(me->tls, (void *)tls, tls_bytes);
    if (!_setjmp(me->at)) go_on(v);
}

void sim_turn(void)
{
    if (!queued || sim_self->clock <= queue[0].clock + AHEAD) return;
    enqueue((struct vcpu *)sim_self);
    change();
}

void sim_pass(uint64_t cycles)
{
    sim_self->clock += cycles;
    sim_turn();
}

static void sleep_at(const void *p)
{
    struct vcpu *me = (struct vcpu *)sim_self;
    me->waits_at = p;
    me->next = NULL;
    *sleepers_end = me;
    sleepers_end = &me->next;
    sim_cpus_asleep++;
    change();
}

void sim_wake(const void *p)
{
    struct vcpu **link = &sleeper, *v;
    while (*link && (*link)->waits_at != p) link = &(*link)->next;
    if (!(v = *link)) return;
    *link = v->next;
    if (!v->next) sleepers_end = link;
    sim_cpus_asleep--;
    if (v->cpu.clock < sim_self->clock) v->cpu.clock = sim_self->clock;
    enqueue(v);
}

void sim_meet(void (*then)(void))
{
    if (++met < sim_cpus) {
        sleep_at(&met);
        return;
    }
    met = 0;
    while (sim_cpus_asleep) sim_wake(&met);
    then();
}

/* If l is free it is taken. */
static bool take(struct hk_lock *l, const void *pc)
{
    sim_access(&l->word, sizeof l->word, true, pc);
    if (l->word) return false;
    l->word = 1;
    sim_counts.waits += sim_counting;
    return true;
}

/* In place of the library's waiting for a lock: in the order of arrival, the least transfers. */
void __wrap_hk_lock_slow(struct hk_lock *l)
{
    const void *pc = __builtin_return_address(0);
    while (!take(l, pc)) {
        uint64_t since = sim_self->clock;
        sleep_at(&l->word);
        if (sim_counting)
            sim_places_note((uintptr_t)l & ~63ul, pc, true, 0, sim_self->clock - since);
    }
}

bool __wrap_hk_lock_spin(struct hk_lock *l, int rounds)
{
    const void *pc = __builtin_return_address(0);
    for (; rounds; rounds--, sim_pass(RELAX_CYCLES)) {
        sim_access(&l->word, sizeof l->word, false, pc);
        if (l->word || !take(l, pc)) continue;
        hk_lock_taken(l);
        return true;
    }
    return false;
}

uint32_t sim_random(uint32_t below)
{
    uint64_t *x = &sim_self->random;
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (uint32_t)((*x >> 32) * below >> 32);
}

void sim_new_thread(void)
{
    memset((char *)tls + tls_image_bytes, 0, tls_bytes - tls_image_bytes);
    memcpy((void *)tls, (void *)tls_image, tls_image_bytes);
}

/* The program's own thread-local variables, which are the library's. */
static int find_tls(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
        tls = (uintptr_t)info->dlpi_tls_data;
        tls_bytes = info->dlpi_phdr[i].p_memsz;
        tls_image = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        tls_image_bytes = info->dlpi_phdr[i].p_filesz;
    }
    return 1; /* the program comes first */
}

/* The first time it stops at once, and goes on when its turn comes. */
static void body(void)
{
    if (!_setjmp(((struct vcpu *)sim_self)->at)) setcontext(&home);
    work();
    if (--left) go_on(dequeue());
    _longjmp(end, 1);
}

static void prepare(struct vcpu *v, unsigned i)
{
    ucontext_t first;
    v->cpu = (struct sim_cpu){.index = i, .clock = i}; /* not all in step */
    v->cpu.stack = (uintptr_t)sim_reserve(SIM_STACK);
    v->cpu.random = (sim_seed * SIM_CPUS_MAX + i + 1) * 0x9e3779b97f4a7c15u;
    memcpy(v->tls, (void *)tls, tls_bytes);
    getcontext(&first);
    first.uc_stack = (stack_t){.ss_sp = (void *)v->cpu.stack, .ss_size = SIM_STACK};
    makecontext(&first, body, 0);
    sim_self = &v->cpu;
    swapcontext(&home, &first);
    enqueue(v);
}

void sim_run(unsigned n, void (*on_each)(void))
{
    dl_iterate_phdr(find_tls, NULL);
    if (tls_bytes > TLS_MAX) abort();
    sim_new_thread();
    work = on_each;
    sim_cpus = left = n;
    for (unsigned i = 0; i < n; i++) prepare(&vcpu[i], i);
    if (!_setjmp(end)) go_on(dequeue());
    sim_self = NULL;
}

/* ---- the system, as the library's code sees it: its calls are renamed ---- */

int sim_clock_gettime(clockid_t id, struct timespec *ts)
{
    uint64_t ns = 1000000000000u + (sim_self ? sim_self->clock / 3 : 0);
    (void)id;
    *ts = (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return 0;
}

struct hk_cpu_place sim_place(void)
{
    return (struct hk_cpu_place){sim_self->index, sim_self->index / SIM_NODE_CPUS};
}

int sim_sched_yield(void)
{
    if (sim_self) sim_pass(YIELD_CYCLES);
    return 0;
}

/* A futex, whose waiters look again; lock's waiters do not come here. All else is refused. */
long sim_syscall(long number, ...)
{
    (void)number;
    sim_sched_yield();
    return -1;
}

/* The same in each run. */
unsigned long sim_getauxval(unsigned long type)
{
    static const uint64_t bytes[2] = {1, 0};
    return type == AT_RANDOM ? (unsigned long)bytes : getauxval(type);
}

int sim_getrusage(int who, struct rusage *ru)
{
    (void)who;
    *ru = (struct rusage){0};
    return 0;
}
