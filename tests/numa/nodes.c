/* SPDX-License-Identifier: MIT */
/*
 * What: on which NUMA nodes the pages of blocks lie: nodes local|bind|interleave|off [short]. The
 *   argument names what HAKMEM_NUMA is, and so what is promised.
 * Why: only the kernel knows where a page is (move_pages(2)), and a promise about places is broken
 *   by what threads do to each other's memory, not by the first malloc.
 */
#include "team.h"

#define PAGES_MAX   (1u << 16) /* of one worker and kind, 256 MiB */
#define RESULTS_MAX 256
#define ENOUGH      95.0 /* percent of pages on the node where they belong */
#define ENOUGH_KIND 90.0 /* of each kind; few of the largest blocks live at a time */

/* What a case's process tells the first one. */
static struct {
    unsigned results;
    struct {
        bool ok;
        char text[160];
    } result[RESULTS_MAX];
} * shared;

static const char *mode;
static bool promised; /* is where blocks lie? */
static unsigned rounds = 8, crew = CPUS_MAX, memories;
static size_t budget = 16 * T_MIB;
static bool has_memory[NODES_MAX];

__attribute__((format(printf, 2, 3))) static void result(bool ok, const char *format, ...)
{
    unsigned i = shared->results;
    if (i == RESULTS_MAX) return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(shared->result[i].text, sizeof shared->result[i].text, format, ap);
    va_end(ap);
    shared->result[i].ok = ok;
    shared->results++;
}

/* Measuring. */

struct tally {
    size_t pages[KINDS][NODES_MAX];
};

/* Add where the pages of w's blocks of this round or later lie, each page once. */
static void measure(const struct worker *w, unsigned round, struct tally *t)
{
    static void *page[PAGES_MAX];
    static int status[PAGES_MAX];
    static uint64_t seen[2 * PAGES_MAX],
        turn; /* page numbers have 36 bits, others are of earlier turns */
    for (unsigned k = 0; k < KINDS; k++) {
        size_t n = 0;
        turn += (uint64_t)1 << 40;
        for (const struct block *b = w->block; b < w->block + w->used; b++) {
            if (b->kind != k || b->round < round) continue;
            uintptr_t at = (uintptr_t)b->p >> 12, end = ((uintptr_t)b->p + b->n - 1) >> 12;
            for (; at <= end && n < PAGES_MAX; at++) {
                size_t h = (at * 0x9e3779b97f4a7c15u) >> 47; /* 17 bits */
                while (seen[h] > turn && seen[h] != turn + at) h = (h + 1) % T_COUNT(seen);
                if (seen[h] < turn) page[n++] = (void *)(at << 12);
                seen[h] = turn + at;
            }
        }
        T_EXPECT(!n || numa_move_pages(0, n, page, NULL, status, 0) == 0, "errno %d", errno);
        for (size_t i = 0; i < n; i++) {
            if (status[i] >= 0 && status[i] < NODES_MAX) t->pages[k][status[i]]++;
        }
    }
}

static void measure_all(struct tally *t, int but)
{
    for (unsigned i = 0; i < workers; i++) {
        if (worker[i].node != but) measure(&worker[i], 0, &t[worker[i].node]);
    }
}

/* Pages on a node, or all of them. */
static size_t pages(const struct tally *t, unsigned kind, int on)
{
    size_t sum = 0;
    for (int i = 0; i < NODES_MAX; i++) sum += on < 0 || i == on ? t->pages[kind][i] : 0;
    return sum;
}

static size_t pages_of_all(const struct tally *t, int on)
{
    size_t sum = 0;
    for (unsigned k = 0; k < KINDS; k++) sum += pages(t, k, on);
    return sum;
}

static double percent(size_t part, size_t all)
{
    return all ? 100.0 * (double)part / (double)all : 100.0;
}

/* How much of the tally is on a node, where it belongs if the node has memory. */
static void verdict(const char *what, int home, const struct tally *t)
{
    double kind[KINDS], least = 100;
    for (unsigned k = 0; k < KINDS; k++) {
        kind[k] = percent(pages(t, k, home), pages(t, k, -1));
        if (kind[k] < least) least = kind[k];
    }
    size_t all = pages_of_all(t, -1);
    double near = percent(pages_of_all(t, home), all);
    bool must = promised && has_memory[home];
    result(all > 0 && (!must || (near >= ENOUGH && least >= ENOUGH_KIND)),
           "%s: node %d: %.1f %% (to 1 KiB %.1f, 64 KiB %.1f, 512 KiB %.1f, 4 MiB %.1f)%s", what,
           home, near, kind[0], kind[1], kind[2], kind[3],
           must               ? ""
           : has_memory[home] ? ", not promised"
                              : ", has no memory");
}

static void verdicts(const char *what, const struct tally *t)
{
    for (unsigned n = 0; n < nodes; n++) verdict(what, node[n].number, &t[node[n].number]);
}

/* Cases; each in a process of its own. */

static void case_alone(void)
{
    struct tally fresh[NODES_MAX] = {0}, churned[NODES_MAX] = {0};
    hire_all(crew, budget);
    run_all(job_fill, -1);
    measure_all(fresh, -1);
    for (unsigned r = 0; r < rounds; r++) run_all(job_churn, -1);
    measure_all(churned, -1);
    verdicts("first blocks", fresh);
    verdicts("after rounds of frees", churned);
}

/* What one node's threads freed is there when others want more, and those free when they want it
 * back. */
static void case_others(void)
{
    struct tally more[NODES_MAX] = {0}, again[NODES_MAX] = {0};
    hire_all(crew, budget);
    run_all(job_fill, -1);
    for (unsigned r = 0; r < rounds || r < nodes; r++) {
        int one = node[r % nodes].number;
        for (unsigned i = 0; i < workers; i++) {
            if (worker[i].node == one) run(&worker[i], job_empty);
            worker[i].goal = worker[i].node == one ? budget : budget * 3 / 2;
        }
        run_all(job_fill, one);
        measure_all(more, one);
        for (unsigned i = 0; i < workers; i++) worker[i].goal = budget;
        run_all(job_shrink, one);
        run_all(job_fill, -1);
        measure_all(again, -1);
    }
    if (nodes > 1) verdicts("more, while others have freed", more);
    verdicts("again, after others took more", again);
}

static void case_producer(void)
{
    struct tally made[NODES_MAX] = {0}, own[NODES_MAX] = {0};
    for (unsigned n = 0; n < nodes; n++) {
        struct worker *p = hire(n, 0, budget), *c = hire(n + 1, 1, budget);
        c->peer = p;
        for (unsigned r = 0; r < rounds; r++) {
            p->random = c->random = r; /* the same sizes */
            run(p, job_fill);
            if (r > 0) measure(p, 0, &made[p->node]);
            run(c, job_empty);
            run(c, job_empty_peer);
            run(c, job_fill);
            measure(c, 0, &own[c->node]);
        }
        dismiss(p);
        dismiss(c);
    }
    verdicts("the producer's next", made);
    verdicts("the consumer's own", own);
}

static void case_migrant(void)
{
    for (unsigned n = 0; n < nodes; n++) {
        struct worker *w = hire(n, 0, budget);
        struct tally t = {0};
        int from = w->node;
        run(w, job_fill);
        w->node = node[(n + 1) % nodes].number;
        w->cpu = node[(n + 1) % nodes].cpu[0];
        run(w, job_pin);
        printf("# %s: migrant: from node %d to %d, round by round:", mode, from, w->node);
        while (w->round++ < 2 * rounds) {
            t = (struct tally){0};
            run(w, job_churn);
            measure(w, w->round, &t);
            printf(" %.1f", percent(pages_of_all(&t, w->node), pages_of_all(&t, -1)));
        }
        puts(" %");
        verdict("newest blocks", w->node, &t);
        run(w, job_empty);
        dismiss(w);
    }
}

static void case_heir(void)
{
    struct tally t[NODES_MAX] = {0};
    for (unsigned i = 0; i < nodes * rounds && workers + 2 <= WORKERS_MAX; i++) {
        struct worker *a = hire(i, 0, budget);
        run(a, job_fill);
        run(a, job_churn);
        a->goal = i / nodes % 2 ? budget / 2 : 0; /* some leave live blocks behind */
        run(a, job_shrink);
        dismiss(a);
        struct worker *b = hire(i + 1, 0, budget);
        run(b, job_fill);
        measure(b, 0, &t[b->node]);
        b->peer = a;
        run(b, job_empty_peer);
        run(b, job_empty);
        dismiss(b);
    }
    verdicts("a new thread's", t);
}

static void case_touch(void)
{
    struct tally t[NODES_MAX] = {0};
    for (unsigned n = 0; n < nodes; n++) {
        struct worker *a = hire(n, 0, budget), *b = hire(n + 1, 1, budget);
        a->reserves = true;
        b->peer = a;
        for (unsigned r = 0; r < rounds; r++) {
            run(a, job_fill);
            run(b, job_touch_peer);
            measure(a, 0, &t[a->node]);
            run(r % 2 ? a : b, r % 2 ? job_empty : job_empty_peer);
        }
        dismiss(a);
        dismiss(b);
    }
    verdicts("touched first elsewhere", t);
}

static void spread(const char *what, const struct worker *w)
{
    struct tally t = {0};
    measure(w, 0, &t);
    size_t all = pages_of_all(&t, -1);
    for (int i = 0; i < NODES_MAX; i++) {
        double near = percent(pages_of_all(&t, i), all), share = near * memories / 100;
        if (has_memory[i])
            result(!promised || (share >= 0.7 && share <= 1.3), "%s: node %d: %.1f %%%s", what, i,
                   near, promised ? "" : ", not promised");
    }
}

static void case_spread(void)
{
    struct worker *w = hire(0, 0, 48 * T_MIB);
    take(w, 64 * T_MIB, 3);
    spread("a block of 64 MiB", w);
    run(w, job_empty);
    run(w, job_fill);
    spread("many blocks", w);
    run(w, job_empty);
}

static const struct {
    const char *name, *modes;
    void (*run)(void);
} cases[] = {
    {"alone", "local bind interleave off", case_alone},
    {"others", "local", case_others},
    {"producer and consumer", "local bind off", case_producer},
    {"migrant", "local", case_migrant},
    {"heir", "local", case_heir},
    {"first touch", "bind", case_touch},
    {"spread", "interleave", case_spread},
};

static void isolated(const char *name, void (*fn)(void))
{
    shared->results = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(T_HANG_SECONDS);
        fn();
        result(t_fails == 0, "contents");
        fflush(stdout);
        _exit(0);
    }
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        t_describe(status);
        result(false, "comes to its end");
    }
    for (unsigned i = 0; i < shared->results; i++)
        hktest_ok(shared->result[i].ok, "%s: %s: %s", mode, name, shared->result[i].text);
}

/* Which nodes have CPUs for us, and which memory; the first thread to the first node. */
static void explore(void)
{
    cpu_set_t set;
    void *page = &memories;
    int status;
    if (numa_available() < 0 || numa_move_pages(0, 1, &page, NULL, &status, 0) != 0 ||
        sched_getaffinity(0, sizeof set, &set) != 0) {
        printf("1..0 # SKIP the kernel does not tell nodes\n");
        exit(0);
    }
    for (int i = 0; i <= numa_max_node() && i < NODES_MAX && nodes < T_COUNT(node); i++) {
        has_memory[i] = numa_node_size64(i, NULL) > 0;
        memories += has_memory[i];
        node[nodes].number = i;
        for (int cpu = 0; cpu < CPU_SETSIZE && node[nodes].cpus < CPUS_MAX; cpu++) {
            if (CPU_ISSET(cpu, &set) && numa_node_of_cpu(cpu) == i)
                node[nodes].cpu[node[nodes].cpus++] = cpu;
        }
        nodes += node[nodes].cpus > 0;
    }
    CPU_ZERO(&set);
    CPU_SET(node[0].cpu[0], &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv)
{
    mode = argc > 1 ? argv[1] : "local";
    bool quick = argc > 2 && strcmp(argv[2], "short") == 0;
    if (quick) crew = 2, budget = 8 * T_MIB;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) hktest_bail("no memory");
    explore();
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        if (!strstr(cases[i].modes, mode)) continue;
        promised = strcmp(mode, "off") != 0 &&
                   (strcmp(mode, "interleave") != 0 || cases[i].run == case_spread);
        if (quick) rounds = promised ? 3 : 2;
        isolated(cases[i].name, cases[i].run);
    }
    return hktest_done();
}
