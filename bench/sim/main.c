/* SPDX-License-Identifier: MIT */
/*
 * What: sim [-s SCHEME] [-l LOAD] [-c CPUS,…] [-p PERCENT] [-r SEED] [-k PLACES]:
 *   tables of what each load costs each scheme on so many CPUs.
 * Why: see sim.h. Each row is a process of its own: the library has one life in one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim.h"

#define REMOTE_BATCH 32768.0 /* bytes that hakmem sends to another heap at once */

static const struct sim_scheme *const schemes[] = {&sim_hakmem, &sim_pages, &sim_batches};
static unsigned cpus[16] = {2, 8, 32, 128, 512, 1024}, sizes = 6, percent = 100, places;
static const char *only_scheme, *only_load;

static void row(const struct sim_scheme *s, const struct sim_load *l, unsigned n)
{
    sim_load_run(s, l, n, percent);
    const struct sim_counts *c = &sim_counts;
    double ops = (double)c->ops, batches = (double)c->bytes / REMOTE_BATCH;
    printf("%-9s %-9s %5u %9.4f %9.4f %9.4f %9.2f %9.4f %9.1f\n", l->name, s->name, n,
           (double)c->transfers[SIM_META] / ops, (double)c->far[SIM_META] / ops,
           (double)c->transfers[SIM_BLOCK] / ops, (double)c->transfers[SIM_META] / batches,
           (double)c->waits / ops, (double)c->cycles / ops / 3);
    if (places) sim_places_print(places, c->ops);
    fflush(stdout);
}

static void in_child(const struct sim_scheme *s, const struct sim_load *l, unsigned n)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        row(s, l, n);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "sim: %s %s %u failed\n", s->name, l->name, n);
        exit(1);
    }
}

static void options(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "s:l:c:p:r:k:")) != -1;) {
        if (c == 's') only_scheme = optarg;
        if (c == 'l') only_load = optarg;
        if (c == 'p') percent = (unsigned)atoi(optarg);
        if (c == 'r') sim_seed = (uint64_t)atoll(optarg);
        if (c == 'k') places = (unsigned)atoi(optarg);
        if (c == '?') exit(2);
        if (c != 'c') continue;
        sizes = 0;
        for (char *at = strtok(optarg, ","); at && sizes < 16; at = strtok(NULL, ","))
            cpus[sizes++] = (unsigned)atoi(at);
    }
}

int main(int argc, char **argv)
{
    options(argc, argv);
    printf(
        "# per operation: transfers of records' lines, those from other nodes, of blocks' lines;\n"
        "# records' transfers per 32 KiB; locks found held; virtual time of a CPU, ns\n");
    printf("%-9s %-9s %5s %9s %9s %9s %9s %9s %9s\n", "load", "scheme", "cpus", "transfers", "far",
           "blocks", "per32KiB", "waits", "ns");
    for (const struct sim_load *l = sim_loads; l->name; l++) {
        if (only_load && strcmp(only_load, l->name) != 0) continue;
        for (unsigned i = 0; i < sizeof schemes / sizeof *schemes; i++) {
            const struct sim_scheme *s = schemes[i];
            if (only_scheme && strcmp(only_scheme, s->name) != 0) continue;
            if (l >= &sim_loads[3] && !s->units) continue; /* of hakmem's inside */
            for (unsigned k = 0; k < sizes; k++) in_child(s, l, cpus[k]);
        }
    }
    return 0;
}
