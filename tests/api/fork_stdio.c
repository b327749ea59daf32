/* SPDX-License-Identifier: MIT */
/*
 * What: fork while other threads allocate inside locked streams and flush all streams.
 * Why: fork takes the stream list's lock after the prepare handlers have run. An allocator that
 *   holds its locks over fork then waits for a flusher, who waits for a stream's owner, who waits
 *   in malloc for the allocator: the parent hangs. Measured on several allocators.
 * Usage: fork_stdio [FORKS], or HK_FORKS; 2000 by default.
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>

#define FORKS_DEFAULT 2000
#define HANG_SECONDS  60u
#define STREAMS       2
/* stdio's locks are unfair: without a pause somebody starves, on any malloc. */
#define PAUSE_US 20

static unsigned long forks = FORKS_DEFAULT;
static FILE *stream[STREAMS];
static _Atomic int stop;
static volatile pid_t watched_child;

/* All layers, so that any lock an allocator has is taken within the stream's lock. */
static void *allocate_in_stream(void *arg)
{
    FILE *f = arg;
    uint64_t seed = (uintptr_t)arg;
    while (!stop) {
        void *p[32];
        flockfile(f);
        for (size_t i = 0; i < T_COUNT(p); i++) {
            size_t n = t_random_size(&seed, i % 8 ? 16 : 22);
            p[i] = malloc(n);
            if (p[i]) memset(p[i], 1, n < 64 ? n : 64);
        }
        fprintf(f, "%p\n", p[0]);
        for (size_t i = 0; i < T_COUNT(p); i++) free(p[i]);
        funlockfile(f);
        usleep(PAUSE_US);
    }
    return NULL;
}

static void *flush_all(void *arg)
{
    (void)arg;
    while (!stop) {
        fflush(NULL);
        usleep(PAUSE_US);
    }
    return NULL;
}

static void *open_and_close(void *arg)
{
    (void)arg;
    while (!stop) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        if (!f) continue;
        fprintf(f, "%0*d", 3000, 1);
        fclose(f);
        free(text);
        usleep(PAUSE_US);
    }
    return NULL;
}

static void parent_hangs(int sig)
{
    static const char text[] = "not ok 1 - the parent hangs in fork\n1..1\n";
    (void)sig;
    ssize_t rc = write(1, text, sizeof text - 1);
    if (watched_child > 0) kill(watched_child, SIGKILL);
    _exit(rc >= 0 ? 1 : 2);
}

static int child(void)
{
    signal(SIGALRM, SIG_DFL);
    alarm(HANG_SECONDS);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return 2;
    fprintf(f, "%0*d", 100000, 1);
    fclose(f);
    int rc = text && n == 100000 ? 0 : 3;
    free(text);
    for (size_t i = 0; i < T_COUNT(t_edges); i++) free(malloc(t_edges[i]));
    return rc;
}

static void forks_meet_streams(void)
{
    pthread_t t[STREAMS + 2];
    signal(SIGALRM, parent_hangs);
    for (int i = 0; i < STREAMS; i++) {
        stream[i] = fopen("/dev/null", "w");
        T_EXPECT(stream[i] != NULL, "fopen");
        if (!stream[i]) return;
        T_EXPECT(pthread_create(&t[i], NULL, allocate_in_stream, stream[i]) == 0, "thread");
    }
    T_EXPECT(pthread_create(&t[STREAMS], NULL, flush_all, NULL) == 0, "thread");
    T_EXPECT(pthread_create(&t[STREAMS + 1], NULL, open_and_close, NULL) == 0, "thread");
    double longest = 0;
    for (unsigned long i = 0; i < forks && !t_fails; i++) {
        alarm(HANG_SECONDS);
        double start = t_now();
        pid_t pid = fork();
        if (pid == 0) _exit(child());
        double took = t_now() - start;
        if (took > longest) longest = took;
        watched_child = pid;
        int status = -1;
        T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork %lu: errno %d", i, errno);
        watched_child = 0;
        T_EXPECT(status == 0, "child %lu ended with status %#x", i, (unsigned)status);
    }
    alarm(HANG_SECONDS);
    stop = 1;
    for (int i = 0; i < STREAMS + 2; i++) pthread_join(t[i], NULL);
    alarm(0);
    for (int i = 0; i < STREAMS; i++) fclose(stream[i]);
    printf("# %lu forks, longest fork call %.1f ms\n", forks, longest * 1e3);
}

int main(int argc, char **argv)
{
    forks = t_number(argc, argv, "HK_FORKS", FORKS_DEFAULT);
    t_case("forks while streams are locked by threads in malloc", forks_meet_streams);
    return hktest_done();
}
