/* SPDX-License-Identifier: MIT */
/*
 * What: threads that allocate, hand blocks on and free, with contents and errno checked, in the
 *   place that its words describe, in their order: see `words` at the end. It exits with 77 where
 *   such a place cannot be had.
 * Why: places.sh starts it on few CPUs, without /proc and /sys, under filters of system calls.
 */
#include <linux/mempolicy.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "filters.h"

#define THREADS 4
#define STEPS   2500
#define SLOTS   128
#define KEPT    12345 /* an errno that nobody sets */
#define MOVE_AT 64    /* steps between a thread's own moves */

struct block {
    size_t n; /* bytes after this */
    uint64_t seed;
    unsigned char bytes[];
};

static struct block *_Atomic mailbox[SLOTS];
static pthread_barrier_t start, listed;
static cpu_set_t cpus; /* to move to */
static struct filter list;
static bool moves, has_list, calls_more, unregisters;
static int steps = STEPS;
static atomic_int busy;
static _Atomic long moved;

/* ---- the work ---- */

static void check_kept(const char *call, size_t n)
{
    T_EXPECT(errno == KEPT, "%s of %zu bytes left errno %d", call, n, errno);
}

/* Long blocks carry the pattern at both ends. */
static size_t carried(const struct block *b)
{
    return b->n < 4096 ? b->n : 64;
}

static void fill(struct block *b, size_t n, uint64_t seed)
{
    b->n = n;
    b->seed = seed;
    t_fill(b->bytes, carried(b), seed);
    t_fill(b->bytes + n - carried(b), carried(b), seed);
}

static bool intact(const struct block *b)
{
    return (carried(b) == b->n || t_holds(b->bytes, carried(b), b->seed)) &&
           t_holds(b->bytes + b->n - carried(b), carried(b), b->seed);
}

static struct block *make(size_t n, uint64_t seed)
{
    errno = KEPT;
    struct block *b = seed % 4 ? malloc(sizeof *b + n) : calloc(1, sizeof *b + n);
    check_kept("allocation", n);
    if (!b) leave("no memory", T_EXIT_FAILED);
    if (seed % 4 == 0) T_EXPECT(t_is_zero(b, n < 4096 ? n : 4096), "calloc of %zu bytes", n);
    fill(b, n, seed);
    return b;
}

static struct block *resize(struct block *b, size_t n)
{
    size_t old = b->n, was = carried(b);
    errno = KEPT;
    struct block *to = realloc(b, sizeof *b + n);
    check_kept("realloc", n);
    if (!to) leave("no memory", T_EXIT_FAILED);
    bool kept = n < old ? t_holds(to->bytes, n < was ? n : was, to->seed) : intact(to);
    T_EXPECT(kept, "%zu to %zu bytes", old, n);
    fill(to, n, to->seed);
    return to;
}

/* To a mapping of its own, which is longer then. */
static struct block *grow(struct block *b)
{
    struct block *fence[8];
    for (size_t n = 2 * T_MIB, k = 0; k < T_COUNT(fence); n += n / 2, k++) {
        b = resize(b, n);
        fence[k] = make(T_MIB, n);
    }
    for (size_t k = 0; k < T_COUNT(fence); k++) free(fence[k]);
    return b;
}

static void destroy(struct block *b)
{
    if (!b) return;
    T_EXPECT(intact(b), "block of %zu bytes", b->n);
    errno = KEPT;
    size_t n = b->n;
    free(b);
    check_kept("free", n);
}

static void move_to(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    int failed = sched_setaffinity(0, sizeof one, &one);
    T_EXPECT(!failed, "not let on CPU %d", cpu);
    int is = has_list ? -1 : sched_getcpu();
    T_EXPECT(is < 0 || is == cpu, "sent to CPU %d, is on %d", cpu, is);
    atomic_fetch_add(&moved, 1);
}

/* The next allowed one, round and round. */
static int cpu_after(int cpu)
{
    do cpu = (cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(cpu, &cpus));
    return cpu;
}

#if defined(__x86_64__)
#define AREA_MARK 0x53053053 /* of the C library's rseq area */
#else
#define AREA_MARK 0xd428bc00
#endif
extern const ptrdiff_t __rseq_offset __attribute__((weak));

/* The kernel then takes back the CPU that it wrote there. */
static void unregister_area(void)
{
    for (long size = 32; size <= 64; size++) {
        char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
        if (syscall(SYS_rseq, area, size, 1, AREA_MARK) == 0) return;
    }
    leave("the area of rseq stays registered", T_EXIT_SKIPPED);
}

static void *work(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    int cpu = 0;
    bool moves_self = moves && (uintptr_t)arg % 2;
    if (unregisters) unregister_area();
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&listed);
    for (int i = 0; i < steps; i++) {
        if (moves_self && i % MOVE_AT == 0) move_to(cpu = cpu_after(cpu));
        struct block *b = make(t_random_size(&seed, i % 64 ? 13 : 22), t_random(&seed));
        if (i % 8 == 0) b = resize(b, t_random_size(&seed, 14));
        if (i == 0) b = grow(b);
        destroy(atomic_exchange(&mailbox[t_random(&seed) % SLOTS], b));
        if (i == STEPS / 2) malloc_trim(0);
    }
    atomic_fetch_sub(&busy, 1);
    return NULL;
}

/* Every other thread is sent from CPU to CPU and let loose, wherever it may be in its work. */
static void move_others(const pthread_t *t)
{
    int cpu = 0;
    for (unsigned n = 0; atomic_load(&busy) > 0; n++, sched_yield()) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu = cpu_after(cpu), &one);
        for (int i = 0; i < THREADS; i += 2)
            pthread_setaffinity_np(t[i], sizeof one, n % 3 ? &one : &cpus);
        atomic_fetch_add(&moved, 1);
    }
}

/* The first memory that is asked for on a CPU, in a process that has been on one only. */
static void visit_cpus(void)
{
    int n = CPU_COUNT(&cpus);
    for (int cpu = 0; n > 0; n--) {
        move_to(cpu = cpu_after(cpu));
        for (size_t bytes = 1; bytes < 4 * T_MIB; bytes *= 5) destroy(make(bytes, bytes));
    }
}

/* ---- what the words mean ---- */

static void denied(const char *names)
{
    struct filter f = {0, {{0}}};
    rules(&f, names, SECCOMP_RET_ERRNO | EPERM);
    install(&f, SECCOMP_RET_ALLOW);
    for (size_t k = 0; k < T_COUNT(known); k++) {
        if (!strstr(names, known[k].name)) continue;
        errno = 0;
        T_EXPECT(syscall(known[k].nr, 0, 0, 0, 0, 0, 0) == -1 && errno == EPERM, "%s is not denied",
                 known[k].name);
    }
}

static void allow(const char *names)
{
    struct sigaction act = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &act, NULL);
    has_list = true;
    rules(&list, names, SECCOMP_RET_ALLOW);
    rules(&list, "write,exit,exit_group,rt_sigprocmask,restart_syscall,sched_setaffinity",
          SECCOMP_RET_ALLOW);
    if (clock_calls()) rules(&list, "clock_gettime", SECCOMP_RET_ALLOW);
}

static void refuse(const char *names)
{
    rules(&list, names, SECCOMP_RET_ERRNO | EPERM);
}

static void expect_cpus(const char *n)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    sched_getaffinity(0, sizeof all, &all);
    T_EXPECT(CPU_COUNT(&all) == atoi(n), "%d CPUs allowed, not %s", CPU_COUNT(&all), n);
}

static void expect_bare(const char *none)
{
    (void)none;
    T_EXPECT(access("/proc/self", F_OK) != 0, "/proc is there");
    T_EXPECT(access("/sys/devices", F_OK) != 0, "/sys is there");
}

static void expect_no_rseq(const char *none)
{
    const unsigned *size = t_symbol("__rseq_size");
    (void)none;
    T_EXPECT(!size || !*size, "the C library registered an area of %u bytes", *size);
}

static void expect_no_vdso(const char *none)
{
    (void)none;
    T_EXPECT(!getauxval(AT_SYSINFO_EHDR), "the vDSO is there");
}

/* The kernel's policy for the pages of small blocks and of large ones. */
static void expect_policy(const char *n)
{
    for (size_t bytes = 100; bytes < 16 * T_MIB; bytes *= 10) {
        int is = -1;
        char *p = malloc(bytes);
        if (syscall(SYS_get_mempolicy, &is, NULL, 0, p, MPOL_F_ADDR) != 0)
            leave("the kernel has no policies of memory", T_EXIT_SKIPPED);
        T_EXPECT(is == atoi(n), "policy of %zu bytes: %d, not %s", bytes, is, n);
        free(p);
    }
}

static void pin(const char *cpu)
{
    move_to(atoi(cpu));
}

/* Numbers with commas between. */
static void move(const char *to)
{
    for (char *end; *to; to = end + (*end == ',')) CPU_SET(strtoul(to, &end, 10), &cpus);
    moves = true;
}

static void unregister(const char *none)
{
    const unsigned *size = t_symbol("__rseq_size");
    (void)none;
    if (!&__rseq_offset || !size || !*size) leave("no rseq", T_EXIT_SKIPPED);
    unregisters = true;
}

static void set_steps(const char *n)
{
    steps = atoi(n);
}

static void call_more(const char *none)
{
    (void)none;
    calls_more = true;
}

/* ---- the same program again, with the words behind this one ---- */

static _Noreturn void again(char **argv, int at)
{
    argv[at] = argv[0];
    if (t_fails == 0) execv(argv[0], argv + at);
    leave("not started again", T_EXIT_FAILED);
}

#ifdef __x86_64__
/* Where the vDSO is stands on the stack, above argv and the environment. */
static bool hide_vdso(pid_t pid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) return false;
    unsigned long at = regs.rsp + sizeof(long), ends = 0;
    for (; ends < 2; at += sizeof(long)) ends += !ptrace(PTRACE_PEEKDATA, pid, (void *)at, NULL);
    for (; at < regs.rsp + 16 * T_MIB; at += 2 * sizeof(long)) {
        long type = ptrace(PTRACE_PEEKDATA, pid, (void *)at, NULL);
        if (type == AT_NULL) return true;
        if (type == AT_SYSINFO_EHDR)
            return ptrace(PTRACE_POKEDATA, pid, (void *)at, (void *)AT_IGNORE) == 0;
    }
    return false;
}

static _Noreturn void again_without_vdso(char **argv, int at)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) leave("no tracing", T_EXIT_SKIPPED);
        again(argv, at);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) leave("no child", T_EXIT_FAILED);
    if (WIFSTOPPED(status)) {
        if (!hide_vdso(pid)) kill(pid, SIGKILL);
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
        waitpid(pid, &status, 0);
    }
    if (status != 0) t_describe(status);
    fflush(stdout);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : T_EXIT_FAILED);
}
#else
static _Noreturn void again_without_vdso(char **argv, int at)
{
    (void)argv, (void)at;
    leave("the library does not ask the vDSO here", T_EXIT_SKIPPED);
}
#endif

/* ---- words ---- */

static const struct {
    const char *word;
    void (*does)(const char *arg);
} words[] = {
    {"cpus=", expect_cpus},     /* expect: so many allowed, */
    {"policy=", expect_policy}, /* of memory, for the pages of blocks, */
    {"bare", expect_bare},      /* empty /proc and /sys, */
    {"norseq", expect_no_rseq},
    {"novdso", expect_no_vdso},
    {"deny=", denied},          /* do: forbid these calls from here on, */
    {"allow=", allow},          /* while the threads work, stop the program at all others ... */
    {"refuse=", refuse},        /* ... but these, which are forbidden then, */
    {"pin=", pin},              /* go to a CPU, */
    {"move=", move},            /* move threads from CPU to CPU of these, */
    {"unregister", unregister}, /* take their area of rseq from the threads, */
    {"steps=", set_steps},      /* work so much, */
    {"more", call_more},        /* call getcpu by itself while the threads work */
};

static void obey(const char *arg)
{
    for (size_t k = 0; k < T_COUNT(words); k++) {
        size_t len = strlen(words[k].word);
        if (strncmp(arg, words[k].word, len)) continue;
        words[k].does(arg + len);
        return;
    }
    leave(arg, T_EXIT_FAILED);
}

int main(int argc, char **argv)
{
    pthread_t t[THREADS];
    printf("# %s\n", t_on_hakmem() ? "on hakmem" : "not on hakmem");
    fflush(stdout);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "again")) again(argv, i);
        if (!strcmp(argv[i], "again-without-vdso")) again_without_vdso(argv, i);
        obey(argv[i]);
    }
    free(malloc(100)); /* the first one reads the files of settings */
    atomic_store(&busy, THREADS);
    pthread_barrier_init(&start, NULL, THREADS + 1);
    pthread_barrier_init(&listed, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], NULL, work, (void *)i)) leave("no thread", T_EXIT_FAILED);
    pthread_barrier_wait(&start);
    if (has_list) install(&list, SECCOMP_RET_TRAP);
    pthread_barrier_wait(&listed);
    if (calls_more) syscall(SYS_getcpu, NULL, NULL, NULL);
    if (moves) visit_cpus();
    if (moves) move_others(t);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < SLOTS; i++) destroy(mailbox[i]);
    printf("# %d failures, %ld moves\n", t_fails, moved);
    fflush(stdout);
    return t_fails != 0;
}
