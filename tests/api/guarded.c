/* SPDX-License-Identifier: MIT */
/*
 * What: HAKMEM_GUARD_SAMPLE seen from outside: each misuse of a guarded block ends its program with
 *   one line that says which, of what block, and where it was allocated and freed; errno, fork,
 *   threads and handlers of SIGSEGV are as ever; as many blocks are guarded as asked for.
 * Why: a line is of use only if it is right, and the setting only if programs run as before.
 * The program starts itself anew for each case, as settings are read at the start.
 */
#include <malloc.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>

#include "hakmem.h"
#include "support.h"

static void *(*volatile get)(size_t) = malloc;
static void (*volatile give)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static char *volatile p;
static size_t page;
static volatile char sink;

static int (*stats_of)(struct hakmem_stats *);

static struct hakmem_stats stats(void)
{
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    if (stats_of(&s)) _exit(90);
    return s;
}

/* A guarded block of n bytes that begins or ends a page. */
static char *at_end(size_t n, bool begins)
{
    for (int i = 0; i < 1000; i++) {
        char *q = get(n);
        if (((uintptr_t)q % page == 0) == begins) return q;
        give(q);
    }
    _exit(91);
}

static void in_thread(void *(*f)(void *), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, arg) || pthread_join(t, NULL)) _exit(92);
}

static void *frees(void *q)
{
    return give(q), NULL;
}

static void *allocates(void *n)
{
    return p = get((size_t)n), NULL;
}

/* ---- misuse ---- */

static void reads_freed(void)
{
    p = get(40);
    give(p);
    sink = p[3];
}

static void writes_freed(void)
{
    p = calloc(1, 100);
    give(p);
    p[0] = 1;
}

static void freed_there(void)
{
    p = get(40);
    in_thread(frees, p);
    p[39] = 1;
}

static void allocated_there(void)
{
    in_thread(allocates, (void *)64);
    give(p);
    p[1] = 1;
}

static void left_by_realloc(void)
{
    p = get(40);
    char *volatile q = resize(p, 6000);
    p[1] = q[0];
}

static void beside_freed(void)
{
    p = at_end(40, false);
    give(p);
    p[44] = 1;
}

static void one_beyond(void)
{
    p = at_end(48, false);
    p[48] = 1;
}

static void reads_beyond(void)
{
    p = at_end(20, false);
    for (size_t i = 0; i < 40; i++) sink = p[i];
}

static void one_before(void)
{
    p = at_end(48, true);
    sink = p[-1];
}

static void few_beyond(void)
{
    p = at_end(40, false);
    memset(p, 0, 43);
    give(p);
}

static void few_before(void)
{
    p = at_end(40, false);
    p[-2] = 0;
    in_thread(frees, p);
}

static void beyond_found_by_realloc(void)
{
    p = at_end(40, true);
    p[40] = 0;
    p = resize(p, 400);
}

static void twice(void)
{
    p = get(40);
    give(p);
    give(p);
}

static void twice_there(void)
{
    p = get(40);
    in_thread(frees, p);
    give(p);
}

static void inside(void)
{
    give((char *)get(40) + 16);
}

static void outside(void)
{
    give(at_end(40, true) - 16);
}

static void resizes_freed(void)
{
    p = get(40);
    give(p);
    p = resize(p, 50);
}

static void resizes_inside(void)
{
    p = resize((char *)get(40) + 8, 50);
}

static void aligned(void)
{
    p = aligned_alloc(256, t_opaque(512));
    if ((uintptr_t)p % 256) _exit(93);
    give(p);
    p[5] = 0;
}

static void in_a_child(void)
{
    int status;
    p = get(40);
    give(p);
    pid_t child = fork();
    if (child == 0) sink = p[7];
    if (waitpid(child, &status, 0) == child && WIFSIGNALED(status)) abort();
}

static struct sigaction theirs;

static void first_mine(int sig, siginfo_t *info, void *context)
{
    theirs.sa_sigaction(sig, info, context);
}

static void through_a_handler(void)
{
    struct sigaction a = {.sa_sigaction = first_mine, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, &theirs);
    reads_freed();
}

#define AT     ": 0x[0-9a-f]+, "
#define WHERE  "0x[0-9a-f]+ \\(guarded\\.api\\+0x[0-9a-f]+\\)"
#define BY     ", allocated by " WHERE
#define FREED  ", freed by " WHERE
#define THERE  " in another thread"
#define INTO   " bytes into a block of "
#define BEYOND " bytes beyond the end of a block of "
#define BEFORE " bytes before a block of "

static const struct death {
    const char *name;
    void (*f)(void);
    const char *line;
} deaths[] = {
    {"reads_freed", reads_freed, "use after free" AT "3" INTO "40" BY FREED},
    {"writes_freed", writes_freed, "use after free" AT "0" INTO "100" BY FREED},
    {"freed_there", freed_there, "use after free" AT "39" INTO "40" BY FREED THERE},
    {"allocated_there", allocated_there, "use after free" AT "1" INTO "64" BY THERE FREED},
    {"left_by_realloc", left_by_realloc, "use after free" AT "1" INTO "40" BY ", freed by realloc"},
    {"beside_freed", beside_freed, "use after free" AT "4" BEYOND "40" BY FREED},
    {"one_beyond", one_beyond, "overflow" AT "0" BEYOND "48" BY},
    {"reads_beyond", reads_beyond, "overflow" AT "12" BEYOND "20" BY},
    {"one_before", one_before, "underflow" AT "1" BEFORE "48" BY},
    {"few_beyond", few_beyond, "write beyond a block" AT "0" BEYOND "40" BY FREED},
    {"few_before", few_before, "write before a block" AT "2" BEFORE "40" BY THERE FREED},
    {"beyond_found_by_realloc", beyond_found_by_realloc,
     "write beyond a block" AT "0" BEYOND "40" BY ", freed by realloc"},
    {"twice", twice, "double free" AT "0" INTO "40" BY FREED},
    {"twice_there", twice_there, "double free" AT "0" INTO "40" BY FREED THERE},
    {"inside", inside, "free of an invalid pointer" AT "16" INTO "40" BY},
    {"outside", outside, "free of an invalid pointer" AT "16" BEFORE "40" BY},
    {"resizes_freed", resizes_freed, "realloc of a freed block" AT "0" INTO "40" BY FREED},
    {"resizes_inside", resizes_inside, "realloc of an invalid pointer" AT "8" INTO "40" BY},
    {"aligned", aligned, "use after free" AT "5" INTO "512" FREED},
    {"in_a_child", in_a_child, "use after free" AT "7" INTO "40" BY FREED},
    {"through_a_handler", through_a_handler, "use after free" AT "3" INTO "40" BY FREED},
};

/* ---- what goes on as ever ---- */

static void elsewhere(void)
{
    *(volatile char *)t_opaque(16) = 1;
}

static void keeps_errno(void)
{
    for (size_t n = 1; n < 3000; n += 100) {
        errno = 4242;
        char *q = get(n);
        T_EXPECT(errno == 4242 && malloc_usable_size(q) >= n, "malloc(%zu)", n);
        t_fill(q, n, n);
        q = resize(q, n + 70);
        T_EXPECT(q && t_holds(q, n, n) && errno == 4242, "realloc to %zu", n + 70);
        q = resize(q, n / 2 + 1);
        T_EXPECT(q && t_holds(q, n / 2 + 1, n) && errno == 4242, "realloc to %zu", n / 2);
        give(q);
        q = calloc(t_opaque(n), 1);
        T_EXPECT(t_is_zero(q, n) && errno == 4242, "calloc(%zu)", n);
        give(q);
        T_EXPECT(errno == 4242, "free of %zu", n);
    }
    struct hakmem_stats s = stats();
    T_EXPECT(s.guarded_allocs > 60, "%lu guarded", (unsigned long)s.guarded_allocs);
}

/* Of each alignment, blocks that are no multiple of it long. */
static void keeps_alignment(void)
{
    char *kept[30] = {NULL};
    for (size_t i = 0; i < 6000; i++) {
        size_t align = (size_t)32 << i % 7, n = align + (i % 3 ? 16 : i % align);
        void *q = NULL;
        if (i & 1)
            q = aligned_alloc(align, n);
        else
            T_EXPECT(posix_memalign(&q, align, n) == 0, "posix_memalign");
        T_EXPECT(q && (uintptr_t)q % align == 0, "%p for a multiple of %zu", q, align);
        t_fill(q, n, i);
        give(kept[i % T_COUNT(kept)]);
        kept[i % T_COUNT(kept)] = q;
    }
    for (size_t i = 0; i < T_COUNT(kept); i++) give(kept[i]);
    struct hakmem_stats s = stats();
    T_EXPECT(s.guarded_allocs > 60, "%lu guarded", (unsigned long)s.guarded_allocs);
}

static void fills_up(void)
{
    char *q[300];
    for (size_t i = 0; i < T_COUNT(q); i++) t_fill(q[i] = get(200), 200, i);
    T_EXPECT(stats().guarded_blocks == 64, "%zu of 64 slots", stats().guarded_blocks);
    for (size_t i = 0; i < T_COUNT(q); i++) T_EXPECT(t_holds(q[i], 200, i), "block %zu", i);
    for (size_t i = 0; i < T_COUNT(q); i++) give(q[i]);
    T_EXPECT(stats().guarded_blocks <= 8, "%zu are left", stats().guarded_blocks);
}

static void across_fork(void)
{
    char *q[30];
    int status = -1;
    for (size_t i = 0; i < T_COUNT(q); i++) t_fill(q[i] = get(100), 100, i);
    size_t live = stats().guarded_blocks;
    pid_t child = fork();
    for (size_t i = 0; i < T_COUNT(q); i++) {
        T_EXPECT(t_holds(q[i], 100, i), "block %zu", i);
        q[i] = resize(q[i], 150);
        T_EXPECT(t_holds(q[i], 100, i), "moved block %zu", i);
        give(q[i]);
    }
    if (child == 0) _exit(t_fails != 0);
    waitpid(child, &status, 0);
    T_EXPECT(live >= T_COUNT(q) && status == 0, "%zu live, %d", live, status);
}

#define BOXES 256
static _Atomic(char *) box[BOXES];

/* Blocks go from hand to hand; the first byte of each tells the rest. */
static void *exchange(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (int i = 0; i < 200000; i++) {
        size_t n = 2 + t_random_size(&seed, 12);
        char *q = i % 3 ? get(n) : calloc(1, n), c = (char)t_random(&seed);
        T_EXPECT(i % 3 || t_is_zero(q, n), "calloc");
        q[0] = q[1] = q[n - 1] = c;
        if (i % 7 == 0) q = resize(q, 2 * n);
        T_EXPECT(q[0] == c && q[n - 1] == c, "kept");
        q = atomic_exchange(&box[t_random(&seed) % BOXES], q);
        if (!q) continue;
        T_EXPECT(q[0] == q[1], "of another thread");
        give(q);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];
    for (uintptr_t i = 0; i < T_COUNT(t); i++)
        if (pthread_create(&t[i], NULL, exchange, (void *)(i + 1))) _exit(94);
    for (size_t i = 0; i < T_COUNT(t); i++) pthread_join(t[i], NULL);
    for (size_t i = 0; i < BOXES; i++) give(box[i]);
    struct hakmem_stats s = stats();
    T_EXPECT(s.guarded_allocs > 4000, "%lu guarded", (unsigned long)s.guarded_allocs);
    T_EXPECT(s.guarded_blocks <= 8, "%zu left", s.guarded_blocks);
}

#define LOTS 10000000

/* Live ones: of each size some. */
static void rate(void)
{
    static char *live[2000];
    uint64_t seed = 1;
    for (size_t i = 0; i < LOTS; i++) {
        size_t k = t_random(&seed) % T_COUNT(live);
        give(live[k]);
        live[k] = get(t_random_size(&seed, 12));
    }
    uint64_t n = stats().guarded_allocs;
    printf("# %lu of %d allocations were guarded, one of %.0f\n", (unsigned long)n, LOTS,
           (double)LOTS / (double)n);
    T_EXPECT(n > LOTS / 1000 / 2 && n < LOTS / 1000 * 2, "one of 1000: %lu", (unsigned long)n);
}

static void off(void)
{
    for (int i = 0; i < 100000; i++) give(get(t_opaque(1 + (size_t)i % 4000)));
    T_EXPECT(stats().guarded_allocs == 0, "%lu guarded", (unsigned long)stats().guarded_allocs);
    struct sigaction a;
    sigaction(SIGSEGV, NULL, &a);
    T_EXPECT(a.sa_handler == SIG_DFL, "a handler");
}

static const struct whole {
    const char *name, *setting;
    void (*f)(void);
    int status;
} wholes[] = {
    {"errno and contents, every allocation", "1", keeps_errno, 0},
    {"alignment, every allocation", "1", keeps_alignment, 0},
    {"when all slots are in use, requests are served as usual", "1", fills_up, 0},
    {"fork: both free what there was", "1", across_fork, 0},
    {"threads that pass on their blocks, one of 50", "50", threads, 0},
    {"10 million allocations, one of 1000", "1000", rate, 0},
    {"off: no blocks, no handler", "0", off, 0},
    {"a fault elsewhere is what it was", "1", elsewhere, SIGSEGV},
};

/* ---- the cases, each in a program of its own ---- */

static char out[4096];

struct start {
    const char *self, *name, *setting;
};

static void start(const void *arg)
{
    const struct start *s = arg;
    setenv("HAKMEM_GUARD_SAMPLE", s->setting, 1);
    execl(s->self, s->self, s->name, (char *)NULL);
    _exit(95);
}

static void judge_death(const char *self, const struct death *d)
{
    char pattern[500];
    regex_t re;
    struct start s = {self, d->name, "1"};
    int status = t_ending(start, &s, 2, out, sizeof out);
    char *line = out, *next; /* the last one: a mode may tell itself first */
    while ((next = strchr(line, '\n')) && next[1]) line = next + 1;
    snprintf(pattern, sizeof pattern, "^hakmem: %s\n$", d->line);
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB)) hktest_bail("no pattern");
    bool is = regexec(&re, line, 0, NULL, 0) == 0;
    regfree(&re);
    if (!is) printf("# not %s\n", d->line);
    hktest_ok(is && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s: %.*s", d->name,
              (int)strcspn(line, "\n"), line);
}

static void judge_whole(const char *self, const struct whole *w)
{
    struct start s = {self, w->name, w->setting};
    int status = t_ending(start, &s, 1, out, sizeof out);
    int end = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    printf("%s", out);
    hktest_ok(end == w->status, "%s", w->name);
}

int main(int argc, char **argv)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    *(void **)&stats_of = t_symbol("hakmem_stats");
    if (!stats_of) {
        hktest_skip("guarded blocks", "not on hakmem");
        return hktest_done();
    }
    for (size_t i = 0; argc > 1 && i < T_COUNT(deaths); i++)
        if (!strcmp(argv[1], deaths[i].name)) deaths[i].f();
    for (size_t i = 0; argc > 1 && i < T_COUNT(wholes); i++)
        if (!strcmp(argv[1], wholes[i].name)) wholes[i].f();
    if (argc > 1) return t_fails != 0;
    for (size_t i = 0; i < T_COUNT(deaths); i++) judge_death(argv[0], &deaths[i]);
    for (size_t i = 0; i < T_COUNT(wholes); i++) judge_whole(argv[0], &wholes[i]);
    return hktest_done();
}
