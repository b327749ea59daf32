/* SPDX-License-Identifier: MIT */
/*
 * What: `topology`: nodes, CPUs, pages and limits of this machine, as far as they matter to a
 *   malloc.
 *
 * Why: where memory lies and what the kernel does with it is the other half of why a program is
 *   slow or big. By libnuma, so that what is told is what numactl(8) tells.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tool.h"

#if HK_LIBNUMA
#include <numa.h>
#endif

#define NODES 64 /* that are told */

struct node {
    unsigned number;
    char *cpus; /* a list, as "0-3,8" */
    long long bytes, free;
    int distance[NODES]; /* to the nodes, in their order; 10 is its own */
};

struct topology {
    bool by_libnuma;
    unsigned nodes;
    struct node node[NODES];
    long cpus, online;
    int allowed; /* CPUs that this process may use; 0: not known */
    long page;
    char huge[128], huge_page[32], overcommit[32], maps[32]; /* of files; empty: not known */
    uint64_t space;                                          /* RLIMIT_AS; UINT64_MAX: no limit */
};

/* The first line of a file, without its end. */
static void first_line(const char *path, char *out, size_t bytes)
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)bytes, f)) *out = 0;
    if (f) fclose(f);
    out[strcspn(out, "\n")] = 0;
}

/* Of words, the one in brackets. */
static void keep_chosen(char *words)
{
    char *open = strchr(words, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close) return;
    *close = 0;
    memmove(words, open + 1, strlen(open + 1) + 1);
}

#if HK_LIBNUMA
static char *cpu_list(const struct bitmask *m)
{
    char *all = grow(NULL, m->size * 12 + 1), *end = all;
    *all = 0;
    for (unsigned i = 0, n; i < m->size; i = n) {
        n = i + 1;
        if (!numa_bitmask_isbitset(m, i)) continue;
        while (n < m->size && numa_bitmask_isbitset(m, n)) n++;
        end += sprintf(end, end == all ? "%u" : ",%u", i);
        if (n > i + 1) end += sprintf(end, "-%u", n - 1);
    }
    return all;
}

static void read_nodes(struct topology *t)
{
    t->by_libnuma = numa_available() >= 0;
    if (!t->by_libnuma) return;
    struct bitmask *cpus = numa_allocate_cpumask();
    for (int i = 0; i <= numa_max_node() && t->nodes < NODES; i++) {
        if (!numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)i) &&
            !numa_bitmask_isbitset(numa_nodes_ptr, (unsigned)i))
            continue;
        struct node *n = &t->node[t->nodes++];
        n->number = (unsigned)i;
        n->bytes = numa_node_size64(i, &n->free);
        if (n->bytes < 0) n->bytes = n->free = 0; /* it has none */
        numa_bitmask_clearall(cpus);
        numa_node_to_cpus(i, cpus);
        n->cpus = cpu_list(cpus);
    }
    numa_free_cpumask(cpus);
    for (unsigned i = 0; i < t->nodes; i++)
        for (unsigned k = 0; k < t->nodes; k++)
            t->node[i].distance[k] = numa_distance((int)t->node[i].number, (int)t->node[k].number);
}
#else
static void read_nodes(struct topology *t)
{
    t->by_libnuma = false;
}
#endif

/* With room for as many CPUs as the kernel may know; 0: it does not tell. */
static int count_allowed(void)
{
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set) return 0;
        size_t bytes = CPU_ALLOC_SIZE(cpus);
        bool done = sched_getaffinity(0, bytes, set) == 0;
        int n = done ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (done) return n;
    }
    return 0;
}

static void read_all(struct topology *t)
{
    struct rlimit space;
    read_nodes(t);
    t->cpus = sysconf(_SC_NPROCESSORS_CONF);
    t->online = sysconf(_SC_NPROCESSORS_ONLN);
    t->allowed = count_allowed();
    t->page = sysconf(_SC_PAGESIZE);
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", t->huge, sizeof t->huge);
    keep_chosen(t->huge);
    first_line("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", t->huge_page,
               sizeof t->huge_page);
    first_line("/proc/sys/vm/overcommit_memory", t->overcommit, sizeof t->overcommit);
    first_line("/proc/sys/vm/max_map_count", t->maps, sizeof t->maps);
    bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    t->space = limited ? space.rlim_cur : UINT64_MAX;
}

static const char *or_unknown(const char *text)
{
    return *text ? text : "not known";
}

static void nodes_plain(const struct topology *t)
{
    struct table nodes = {.columns = 5};
    static const char *const head[] = {"node", "CPUs", "MiB", "MiB free", "distances"};
    for (unsigned i = 0; i < 5; i++) table_cell(&nodes, "%s", head[i]);
    for (unsigned i = 0; i < t->nodes; i++) {
        const struct node *n = &t->node[i];
        char far[NODES * 8] = "", *end = far;
        for (unsigned k = 0; k < t->nodes; k++)
            end += sprintf(end, k ? " %d" : "%d", n->distance[k]);
        table_cell(&nodes, "%u", n->number);
        table_cell(&nodes, "%s", *n->cpus ? n->cpus : "-");
        table_cell(&nodes, "%lld", n->bytes >> 20);
        table_cell(&nodes, "%lld", n->free >> 20);
        table_cell(&nodes, "%s", far);
    }
    table_end(&nodes);
}

static void plain(const struct topology *t)
{
    struct table all = {.columns = 2};
    table_cell(&all, "CPUs");
    table_cell(&all, "%ld, online %ld, for this process %d", t->cpus, t->online, t->allowed);
    table_cell(&all, "page size");
    table_cell(&all, "%ld bytes", t->page);
    table_cell(&all, "huge pages");
    table_cell(&all, "%s, %s bytes", or_unknown(t->huge), or_unknown(t->huge_page));
    table_cell(&all, "address space");
    if (t->space == UINT64_MAX)
        table_cell(&all, "no limit");
    else
        table_cell(&all, "%" PRIu64 " bytes", t->space);
    table_cell(&all, "vm.overcommit_memory");
    table_cell(&all, "%s", or_unknown(t->overcommit));
    table_cell(&all, "vm.max_map_count");
    table_cell(&all, "%s", or_unknown(t->maps));
    table_end(&all);
    putchar('\n');
    if (t->by_libnuma)
        nodes_plain(t);
    else
        puts(HK_LIBNUMA ? "nodes: the kernel does not tell"
                        : "nodes: not told, as this tool was built without libnuma");
}

static void nodes_json(const struct topology *t)
{
    json_open("nodes", '[');
    for (unsigned i = 0; i < t->nodes; i++) {
        const struct node *n = &t->node[i];
        json_open(NULL, '{');
        json_count("node", n->number);
        json_text("cpus", n->cpus);
        json_int("bytes", n->bytes);
        json_int("free_bytes", n->free);
        json_open("distances", '[');
        for (unsigned k = 0; k < t->nodes; k++) json_int(NULL, n->distance[k]);
        json_close(']');
        json_close('}');
    }
    json_close(']');
}

static void json_number(const char *name, const char *digits)
{
    if (*digits)
        json_count(name, strtoull(digits, NULL, 10));
    else
        json_text(name, NULL);
}

static void json(const struct topology *t)
{
    json_open(NULL, '{');
    json_int("cpus", t->cpus);
    json_int("cpus_online", t->online);
    json_int("cpus_allowed", t->allowed);
    json_int("page_bytes", t->page);
    json_text("huge_pages", *t->huge ? t->huge : NULL);
    json_number("huge_page_bytes", t->huge_page);
    json_number("overcommit_memory", t->overcommit);
    json_number("max_map_count", t->maps);
    if (t->space == UINT64_MAX)
        json_text("address_space_bytes", NULL);
    else
        json_count("address_space_bytes", t->space);
    json_bool("libnuma", t->by_libnuma);
    nodes_json(t);
    json_close('}');
}

enum status tool_topology(const struct request *r)
{
    static struct topology t;
    if (r->count) return complain(USAGE, "topology takes no arguments, and got %s", r->args[0]);
    read_all(&t);
    if (r->form == JSON)
        json(&t);
    else
        plain(&t);
    for (unsigned i = 0; i < t.nodes; i++) free(t.node[i].cpus);
    return GOOD;
}
