/* SPDX-License-Identifier: MIT */
/*
 * What: the variables that say how memory goes back: HAKMEM_BACKGROUND_THREAD and
 *   HAKMEM_THP.
 * Why: each is tested by what it does: resident memory, threads, mappings' flags. They are read at
 *   the start, so every case is this program once more, in an environment of its own.
 */
#include <dirent.h>

#include "support.h"

#define BLOCKS 640
#define BLOCK  (100 * T_KIB)
#define BIG    (8 * T_MIB)

static void fill_and_free(void)
{
    static char *p[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) p[i] = memset(malloc(t_opaque(BLOCK)), 1, BLOCK);
    for (int i = 0; i < BLOCKS; i++) free(p[i]);
}

/* Seconds until the resident memory is below a quarter of what was freed, without a call. */
static double shrinks_within(double most)
{
    struct timespec nap = {0, 50000000};
    double waited = 0;
    while (t_resident() > BLOCKS * BLOCK / 4 && waited < most) {
        nanosleep(&nap, NULL);
        waited += 0.05;
    }
    return waited;
}

static int threads(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

static int with_thread(void)
{
    if (threads() != 2) return 10 + threads();
    fill_and_free();
    if (shrinks_within(20) >= 20) return 1;
    pid_t child = fork();
    if (child == 0) {
        fill_and_free();
        _exit(threads() == 1 ? 0 : 2);
    }
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 3;
}

static int without_thread(void)
{
    if (threads() != 1) return 10 + threads();
    fill_and_free();
    return shrinks_within(1.5) < 1.5; /* nobody comes by */
}

/* KiB of mappings whose flags have the word. */
static size_t mapped_with(const char *flag)
{
    static char line[512];
    size_t sum = 0, kib = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "Size: %zu kB", &kib);
        if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag)) sum += kib;
    }
    if (f) fclose(f);
    return sum;
}

/* Twelve big blocks one after the other, each page touched or one in 64; KiB advised then. */
static size_t big_blocks(size_t step)
{
    for (int i = 0; i < 12; i++) {
        char *volatile p = malloc(t_opaque(BIG));
        for (size_t at = 0; at < BIG; at += step) p[at] = 1;
    }
    return mapped_with(" hg");
}

static int thp_filled(void)
{
    return big_blocks(4096) >= 4 * BIG / T_KIB ? 0 : 1;
}

static int thp_sparse(void)
{
    return big_blocks(64 * 4096) != 0;
}

static int thp_any(void)
{
    free(malloc(t_opaque(100)));
    return mapped_with(" hg") > 0 ? 0 : 1;
}

static const struct {
    const char *set, *what;
    int (*run)(void);
} cases[] = {
    {"HAKMEM_BACKGROUND_THREAD=1", "with a thread of its own memory goes back without a call",
     with_thread},
    {"HAKMEM_BACKGROUND_THREAD=0", "without one there is one thread, and it stays", without_thread},
    {"HAKMEM_THP=off", "THP=off: no huge pages for filled blocks", thp_sparse},
    {"HAKMEM_THP=auto", "THP=auto: huge pages for filled blocks", thp_filled},
    {"HAKMEM_THP=auto", "THP=auto: none for sparse ones", thp_sparse},
    {"HAKMEM_THP=on", "THP=on: for everything", thp_any},
};

static int exec_case(const char *self, size_t i)
{
    char number[8];
    int status;
    pid_t child = fork();
    if (child == 0) {
        snprintf(number, sizeof number, "%zu", i);
        putenv((char *)(uintptr_t)cases[i].set);
        execl(self, self, number, (char *)NULL);
        _exit(126);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

int main(int argc, char **argv)
{
    if (argc > 1) return cases[atoi(argv[1])].run();
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        int is = t_on_hakmem() ? exec_case("/proc/self/exe", i) : 0;
        hktest_ok(is == 0, "%s (%d)", cases[i].what, is);
    }
    return hktest_done();
}
