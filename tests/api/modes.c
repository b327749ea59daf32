/* SPDX-License-Identifier: MIT */
/*
 * What: the five modes, cell by cell of their table: what each of them does, not what it is set to.
 * Why: a mode is a promise. Settings are read at the start, so every cell is this program once
 * more, in an environment of its own; what it sees is its exit status.
 */
#include <pthread.h>

#include "hakmem.h"
#include "support.h"

#define THREADS 4
#define RUNS    128
#define RUN     (256 * T_KIB)
#define BIG     (8 * T_MIB)

static struct hakmem_stats stats(void)
{
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    int (*read)(struct hakmem_stats *) = NULL;
    *(void **)&read = dlsym(RTLD_DEFAULT, "hakmem_stats");
    if (!read || read(&s) != 0) _exit(99);
    return s;
}

static pthread_barrier_t all_there;

static void *one_malloc(void *arg)
{
    free(malloc(t_opaque(100)));
    pthread_barrier_wait(&all_there);
    return arg;
}

/* Of threads that are there at the same time. */
static int heaps(void)
{
    pthread_t t[THREADS];
    pthread_barrier_init(&all_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, one_malloc, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    return (int)stats().heaps;
}

/* MiB of a freed block of 64 that stay. */
static int big_stays(void)
{
    size_t n = 64 * T_MIB, before = t_resident();
    free(memset(malloc(t_opaque(n)), 1, n));
    size_t after = t_resident();
    return after > before ? (int)((after - before) / T_MIB) : 0;
}

/* Calls that give back 32 MiB in one piece. */
static int calls(void)
{
    static char *p[RUNS];
    for (int i = 0; i < RUNS; i++) p[i] = memset(malloc(t_opaque(RUN)), 1, RUN);
    uint64_t before = stats().purges;
    for (int i = 0; i < RUNS; i++) free(p[i]);
    int (*trim)(size_t) = NULL;
    *(void **)&trim = dlsym(RTLD_DEFAULT, "malloc_trim");
    trim(0);
    return (int)(stats().purges - before);
}

/* MiB advised to be huge pages, for a small block, and for big ones that are filled. */
static int huge_small(void)
{
    free(malloc(t_opaque(100)));
    return (int)(stats().huge_bytes / T_MIB);
}

static int huge_big(void)
{
    for (int i = 0; i < 12; i++) {
        char *volatile p = malloc(t_opaque(BIG));
        for (size_t at = 0; at < BIG; at += 4096) p[at] = 1;
    }
    return (int)(stats().huge_bytes / T_MIB);
}

/* 1 if memory may lie idle for longer once what went back is taken again all the time. */
static int patience(void)
{
    static char *kept[5 * RUNS], *p[4 * RUNS];
    for (int i = 0; i < 5 * RUNS; i++) kept[i] = memset(malloc(t_opaque(RUN)), 1, RUN);
    for (double end = t_now() + 8; t_now() < end && kept[0];) {
        for (int i = 0; i < 4 * RUNS; i++) p[i] = memset(malloc(t_opaque(RUN)), 1, RUN);
        for (int i = 0; i < 4 * RUNS; i++) free(p[i]);
        for (double rest = t_now() + 0.8; t_now() < rest;) free(malloc(t_opaque(T_MIB + 1)));
        if (stats().decay_ms > 500) return 1;
    }
    return 0;
}

static int nothing(void)
{
    free(malloc(t_opaque(100)));
    return 0;
}

static const char *const modes[] = {"minimal", "fast", "balanced", "learning", "research"};
#define MODES 5

struct cell {
    int least, most;
};
static const struct {
    const char *what;
    int (*seen)(void);
    struct cell of[MODES];
} rows[] = {
    {"heaps of 4 threads", heaps, {{0, 2}, {5, 99}, {5, 99}, {5, 99}, {5, 99}}},
    {"MiB of 64 that stay when freed", big_stays, {{0, 2}, {60, 66}, {60, 66}, {60, 66}, {60, 66}}},
    {"calls to give 32 MiB back", calls, {{14, 99}, {1, 6}, {1, 6}, {1, 6}, {1, 6}}},
    {"MiB of huge pages for a small block", huge_small, {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {2, 99}}},
    {"MiB of huge pages for filled blocks",
     huge_big,
     /* While they are timed as dear, one block in sixteen gets them. */
     {{0, 0}, {8, 99}, {8, 99}, {8, 99}, {32, 200}}},
    {"patience learned", patience, {{0, 0}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}},
};

/* The case's exit status, and the lines that it wrote on standard error. */
static int run_case(unsigned mode, const char *number, int *lines)
{
    char setting[64], text[4096];
    int fd[2], status;
    if (pipe(fd) != 0) return -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        snprintf(setting, sizeof setting, "HAKMEM_MODE=%s", modes[mode]);
        putenv(setting);
        dup2(fd[1], 2);
        close(fd[0]);
        execl("/proc/self/exe", "modes", number, (char *)NULL);
        _exit(126);
    }
    close(fd[1]);
    *lines = 0;
    for (ssize_t n; (n = read(fd[0], text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < n; i++) *lines += text[i] == '\n';
    close(fd[0]);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -2;
    return WEXITSTATUS(status);
}

static void walk(unsigned mode)
{
    static const struct cell logged[MODES] = {{0, 0}, {0, 0}, {0, 0}, {1, 1}, {2, 99}};
    int lines;
    for (unsigned i = 0; i < T_COUNT(rows); i++) {
        char number[8];
        snprintf(number, sizeof number, "%u", i);
        int got = run_case(mode, number, &lines);
        hktest_ok(got >= rows[i].of[mode].least && got <= rows[i].of[mode].most, "%s: %s: %d",
                  modes[mode], rows[i].what, got);
    }
    run_case(mode, "-1", &lines);
    hktest_ok(lines >= logged[mode].least && lines <= logged[mode].most, "%s: lines logged: %d",
              modes[mode], lines);
}

int main(int argc, char **argv)
{
    if (argc > 1) return atoi(argv[1]) < 0 ? nothing() : rows[atoi(argv[1])].seen();
    if (!t_on_hakmem()) {
        hktest_skip("modes", "not on hakmem");
        return hktest_done();
    }
    unsetenv("HAKMEM_MODE");
    unsetenv("HAKMEM_LOG");
    for (unsigned m = 0; m < MODES; m++) walk(m);
    return hktest_done();
}
