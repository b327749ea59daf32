/* SPDX-License-Identifier: MIT */
/*
 * What: children that run no fork handlers or share the heap: vfork, posix_spawn, system, popen,
 *   _Fork, a raw fork system call; and fork in depth.
 * Why: an allocator that notices "I was forked" by other means can reset a heap that the parent
 *   still uses, or wait in the child for what exists only in the parent.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

#define KEPT 400
static unsigned char *kept[KEPT];

static void fill_kept(void)
{
    uint64_t seed = 1;
    for (size_t i = 0; i < KEPT; i++) {
        size_t n = t_random_size(&seed, i % 40 ? 13 : 21);
        kept[i] = realloc(kept[i], n + 8);
        T_EXPECT(kept[i] != NULL, "realloc");
        if (kept[i]) t_fill(kept[i], 8, i);
    }
}

static void check_kept(void)
{
    for (size_t i = 0; i < KEPT; i++)
        T_EXPECT(kept[i] && t_holds(kept[i], 8, i), "block %zu lost its content", i);
}

static void *keep_busy(void *arg)
{
    _Atomic int *stop = arg;
    uint64_t seed = 9;
    while (!*stop) free(malloc(t_random_size(&seed, 17)));
    return NULL;
}

/* Run fn while another thread uses the heap. */
static void beside_a_thread(void (*fn)(void))
{
    _Atomic int stop = 0;
    pthread_t t;
    bool made = pthread_create(&t, NULL, keep_busy, &stop) == 0;
    T_EXPECT(made, "pthread_create");
    fill_kept();
    fn();
    check_kept();
    fill_kept();
    check_kept();
    stop = 1;
    if (made) pthread_join(t, NULL);
}

static int wait_for(pid_t pid)
{
    int status = -1;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid) return -1;
    return status;
}

/* vfork returns twice into the same frame: keep it in functions without loop variables. */
__attribute__((noinline)) static pid_t vfork_true(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(111);
    }
    return pid;
}

static void vfork_and_exec(void)
{
    for (int i = 0; i < 100; i++) T_EXPECT(wait_for(vfork_true()) == 0, "vfork number %d", i);
}

/* What shells do: the vfork child allocates in the shared heap, and the parent frees it. */
static void *volatile from_child[64];

__attribute__((noinline)) static void allocate_for_parent(void)
{
    for (size_t i = 0; i < T_COUNT(from_child); i++) {
        from_child[i] = malloc(t_edges[i % T_COUNT(t_edges)]);
        if (i % 4 == 0) {
            free(from_child[i]);
            from_child[i] = NULL;
        }
    }
}

__attribute__((noinline)) static pid_t vfork_allocating(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        allocate_for_parent();
        _exit(0);
    }
    return pid;
}

static void vfork_and_allocate(void)
{
    for (int i = 0; i < 100; i++) {
        T_EXPECT(wait_for(vfork_allocating()) == 0, "vfork number %d", i);
        for (size_t j = 0; j < T_COUNT(from_child); j++) {
            T_EXPECT(from_child[j] != NULL || j % 4 == 0, "the child's malloc");
            free(from_child[j]);
            from_child[j] = NULL;
        }
    }
}

static void spawn(void)
{
    char *argv[] = {(char *)"true", NULL};
    for (int i = 0; i < 100; i++) {
        pid_t pid = 0;
        int rc = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ);
        T_EXPECT(rc == 0, "posix_spawn returned %d", rc);
        T_EXPECT(rc != 0 || wait_for(pid) == 0, "posix_spawn number %d", i);
    }
}

static void shell(void)
{
    for (int i = 0; i < 30; i++) {
        int rc = system("exit 7");
        T_EXPECT(WIFEXITED(rc) && WEXITSTATUS(rc) == 7, "system returned %#x", (unsigned)rc);
        char line[64] = "";
        FILE *f = popen("echo from the shell", "r");
        T_EXPECT(f != NULL, "popen");
        if (!f) continue;
        T_EXPECT(fgets(line, sizeof line, f) && !strcmp(line, "from the shell\n"), "read %s", line);
        T_EXPECT(pclose(f) == 0, "pclose");
    }
}

static void vfork_and_exec_case(void)
{
    beside_a_thread(vfork_and_exec);
}

static void vfork_and_allocate_case(void)
{
    beside_a_thread(vfork_and_allocate);
}

static void spawn_case(void)
{
    beside_a_thread(spawn);
}

static void shell_case(void)
{
    beside_a_thread(shell);
}

static int use_heap(void)
{
    alarm(T_HANG_SECONDS);
    check_kept();
    for (size_t i = 0; i < KEPT; i++) free(kept[i]);
    memset(kept, 0, sizeof kept);
    fill_kept();
    check_kept();
    return t_fails != 0;
}

/* Single-threaded children without fork handlers: the copied heap is whole, so it must work. */
static void fork_without_handlers(void)
{
    pid_t (*fork_)(void) = (pid_t(*)(void))t_symbol("_Fork");
    T_SKIP_IF(!fork_, "no _Fork here");
    for (int i = 0; i < 50; i++) {
        fill_kept();
        pid_t pid = fork_();
        if (pid == 0) _exit(use_heap());
        int status = wait_for(pid);
        T_EXPECT(status == 0, "_Fork number %d: status %#x", i, (unsigned)status);
        check_kept();
    }
}

static void raw_fork(void)
{
    for (int i = 0; i < 50; i++) {
        fill_kept();
        pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) _exit(use_heap());
        int status = wait_for(pid);
        T_EXPECT(status == 0, "raw fork number %d: status %#x", i, (unsigned)status);
        check_kept();
    }
}

static void generations(void)
{
    fill_kept();
    for (int depth = 0; depth < 20; depth++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid > 0) { /* the parent of this generation ends the chain */
            int status = wait_for(pid);
            T_EXPECT(status == 0, "generation %d: status %#x", depth, (unsigned)status);
            if (depth) _exit(t_fails != 0);
            return;
        }
        alarm(T_HANG_SECONDS);
        int rc = use_heap();
        if (pid < 0 || rc) _exit(1);
    }
    _exit(t_fails != 0);
}

static void (*forking_thread_work)(void);

static void *run_in_thread(void *arg)
{
    (void)arg;
    forking_thread_work();
    return NULL;
}

static void fork_and_use(void)
{
    for (int i = 0; i < 30; i++) {
        fill_kept();
        pid_t pid = fork();
        if (pid == 0) _exit(use_heap());
        int status = wait_for(pid);
        T_EXPECT(status == 0, "fork number %d: status %#x", i, (unsigned)status);
    }
}

/* The forking thread is the child's only one; the main thread's heap has no thread there. */
static void fork_from_thread(void)
{
    for (int i = 0; i < 10; i++) {
        pthread_t t;
        fill_kept();
        forking_thread_work = fork_and_use;
        if (pthread_create(&t, NULL, run_in_thread, NULL) != 0) {
            T_EXPECT(false, "pthread_create");
            return;
        }
        pthread_join(t, NULL);
        check_kept();
    }
}

int main(void)
{
    t_isolated("vfork and exec", vfork_and_exec_case);
    t_isolated("vfork child allocates, parent frees", vfork_and_allocate_case);
    t_isolated("posix_spawn", spawn_case);
    t_isolated("system and popen", shell_case);
    t_isolated("_Fork child uses the heap", fork_without_handlers);
    t_isolated("raw fork child uses the heap", raw_fork);
    t_isolated("twenty generations of fork", generations);
    t_isolated("fork from a thread other than main", fork_from_thread);
    return hktest_done();
}
