/* SPDX-License-Identifier: MIT */
/*
 * What: everything at once for a while: threads born and dying, blocks of 1 byte to 64 MiB freed by
 *   others, realloc, calloc, memalign, forks, signals that hold a thread up wherever it is, and, in
 *   tests/fault/stress.unit, system calls that fail by chance; then most is freed and resident
 *   memory is weighed.
 * Why: what unit tests think of is right already; the rest shows up under load. Content is verified
 *   from a record outside the block, so that the allocator's own errors are found, not followed.
 * Environment: HK_STRESS_SECONDS (10; with faults 5), HK_STRESS_SEED (from the clock),
 *   HK_STRESS_THREADS (6), HK_STRESS_RSS=0 reports the resident size without judging it.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include "support.h"

#include "faults.h"

#define BOXES           16384
#define LIVE_CAP        (256 * T_MIB)
#define THREADS_MAX     64
#define LIFE_MAX        100000u      /* steps of one thread's life at most */
#define FULL_BYTES      (64 * T_KIB) /* up to here every byte is marked, beyond one word per page */
#define HEAD_BYTES      (32 * T_KIB)
#define PAGE            ((size_t)4096)
#define FORK_PAUSE_US   100000
#define NAP_NS          300000
#define WEATHER_SECONDS 0.05
#define HANG_SECONDS    120u
#define KEPT_BYTES      (32 * T_MIB) /* of blocks stay live at the end */
#define RSS_SLACK       (16 * T_MIB)

/* A block and what it must contain. Guarded by its lock; a forked child skips locked boxes. */
struct box {
    _Atomic int locked;
    unsigned char *p;
    size_t n;
    uint64_t seed;
};

enum role { MIXED, GIVER, TAKER, ROLES };

struct worker {
    pthread_t thread;
    _Atomic int running;
    uint64_t seed;
    enum role role;
};

static struct box box[BOXES];
static struct worker worker[THREADS_MAX];
static _Atomic size_t live_bytes;
static _Atomic unsigned long steps, born, forked, signals;
static _Atomic int stop;
static uint64_t run_seed;
static volatile pid_t watched_child;

static bool try_lock(struct box *b)
{
    return atomic_exchange_explicit(&b->locked, 1, memory_order_acquire) == 0;
}

static void unlock(struct box *b)
{
    atomic_store_explicit(&b->locked, 0, memory_order_release);
}

static uint64_t word_at(uint64_t seed, size_t offset)
{
    uint64_t s = seed + offset * 0x9e3779b97f4a7c15u;
    return t_random(&s);
}

static void mark(const struct box *b)
{
    size_t head = b->n <= FULL_BYTES ? b->n : HEAD_BYTES;
    t_fill(b->p, head, b->seed);
    for (size_t at = HEAD_BYTES; b->n > FULL_BYTES && at + 8 <= b->n; at += PAGE) {
        uint64_t w = word_at(b->seed, at);
        memcpy(b->p + at, &w, sizeof w);
    }
}

/* Are the first n bytes of p what b was marked with? */
static bool marked(const struct box *b, const unsigned char *p, size_t n)
{
    size_t head = b->n <= FULL_BYTES ? b->n : HEAD_BYTES;
    if (!t_holds(p, head < n ? head : n, b->seed)) return false;
    for (size_t at = HEAD_BYTES; b->n > FULL_BYTES && at + 8 <= n; at += PAGE) {
        uint64_t w = word_at(b->seed, at);
        if (memcmp(p + at, &w, sizeof w) != 0) return false;
    }
    return true;
}

static size_t pick_size(uint64_t *seed)
{
    static const unsigned big = BIG_OF_1000, large = BIG_OF_1000 + 18;
    uint64_t luck = t_random(seed) % 1000;
    return t_random_size(seed, luck < big ? 26 : luck < large ? 20 : luck < 100 ? 16 : 12);
}

static void *get(uint64_t *seed, size_t n)
{
    uint64_t how = t_random(seed) % 16;
    void *p = NULL;
    if (how < 9) return malloc(n);
    if (how < 13) {
        p = calloc(1, n);
        if (p) T_EXPECT(t_is_zero(p, n), "calloc(1, %zu) at %p is not zero", n, p);
    } else if (how < 15) {
        size_t align = (size_t)16 << (t_random(seed) % 9);
        p = memalign(align, n);
        T_EXPECT((uintptr_t)p % align == 0, "memalign(%zu, %zu) gave %p", align, n, p);
    } else {
        size_t align = (size_t)8 << (t_random(seed) % 19);
        if (posix_memalign(&p, align, n) != 0) p = NULL;
        T_EXPECT((uintptr_t)p % align == 0, "posix_memalign(%zu, %zu) gave %p", align, n, p);
    }
    return p;
}

/* With the box locked. */
static void fill_box(struct box *b, uint64_t *seed)
{
    size_t n = pick_size(seed);
    if (atomic_load(&live_bytes) + n > LIVE_CAP) return;
    unsigned long then = weather;
    b->n = n;
    b->seed = *seed;
    b->p = get(seed, n);
    T_EXPECT(b->p || null_may_be(then), "%zu bytes, with %zu live", n, (size_t)live_bytes);
    if (!b->p) nulls++;
    if (!b->p) return;
    T_EXPECT((uintptr_t)b->p % 16 == 0, "%zu bytes at %p", n, (void *)b->p);
    T_EXPECT(malloc_usable_size(b->p) >= n, "%zu bytes, %zu usable", n, malloc_usable_size(b->p));
    atomic_fetch_add(&live_bytes, n);
    mark(b);
}

static void empty_box(struct box *b)
{
    T_EXPECT(marked(b, b->p, b->n), "block %p of %zu bytes lost its content", (void *)b->p, b->n);
    free(b->p);
    atomic_fetch_sub(&live_bytes, b->n);
    b->p = NULL;
}

static void resize_box(struct box *b, uint64_t *seed)
{
    size_t n = *seed & 256 ? pick_size(seed) : 1 + b->n / 2 + (size_t)(t_random(seed) % (b->n + 1));
    if (n > b->n && atomic_load(&live_bytes) + n > LIVE_CAP) return;
    unsigned long then = weather;
    unsigned char *p = realloc(b->p, n);
    T_EXPECT(p || (errno == ENOMEM && null_may_be(then)), "realloc from %zu to %zu", b->n, n);
    if (!p) nulls++;
    if (!p) return;
    T_EXPECT(marked(b, p, n < b->n ? n : b->n), "realloc from %zu to %zu lost content", b->n, n);
    atomic_fetch_add(&live_bytes, n - b->n);
    b->p = p;
    b->n = n;
    mark(b);
}

static void step(uint64_t *seed, enum role role)
{
    uint64_t r = t_random(seed);
    struct box *b = &box[r % BOXES];
    if (!try_lock(b)) return;
    if (b->p && role != GIVER && (r >> 32) % 8 == 0)
        resize_box(b, seed);
    else if (b->p && role != GIVER)
        empty_box(b);
    if (!b->p && role != TAKER) fill_box(b, seed);
    unlock(b);
    atomic_fetch_add_explicit(&steps, 1, memory_order_relaxed);
}

static void *live_and_die(void *arg)
{
    struct worker *w = arg;
    uint64_t seed = w->seed;
    unsigned long life = t_random(&seed) % LIFE_MAX;
    if (t_random(&seed) % 4 == 0) life %= 50; /* some hardly begin */
    for (unsigned long i = 0; i < life && !stop; i++) step(&seed, w->role);
    w->running = 0;
    return NULL;
}

static int child(uint64_t seed)
{
    signal(SIGALRM, SIG_DFL);
    alarm(HANG_SECONDS);
    for (int i = 0; i < 2000; i++) step(&seed, MIXED);
    return t_fails != 0;
}

static void parent_hangs(int sig)
{
    static const char text[] =
        "# hangs: fork, a child or a thread's end\nnot ok 1 - no hang\n1..1\n";
    (void)sig;
    ssize_t rc = write(1, text, sizeof text - 1);
    if (watched_child > 0) kill(watched_child, SIGKILL);
    _exit(rc >= 0 ? 1 : 2);
}

static void fork_once(uint64_t seed)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) _exit(child(seed));
    watched_child = pid;
    int status = -1;
    T_EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: errno %d", errno);
    T_EXPECT(status == 0, "child %lu ended with status %#x", (unsigned long)forked,
             (unsigned)status);
    watched_child = 0;
    forked++;
}

/* The thread may hold any lock of the library: now and then it keeps it for long. */
static void held_up(int sig)
{
    static const struct timespec nap = {0, NAP_NS};
    int was = errno;
    (void)sig;
    if (atomic_fetch_add(&signals, 1) % 8 == 0) nanosleep(&nap, NULL);
    errno = was;
}

static void hold_up_one(size_t threads, uint64_t *seed)
{
    const struct worker *w = &worker[t_random(seed) % threads];
    if (w->seed) pthread_kill(w->thread, SIGUSR1);
}

static void replace_the_dead(size_t threads, uint64_t *seed)
{
    for (size_t i = 0; i < threads; i++) {
        struct worker *w = &worker[i];
        if (w->running) continue;
        if (w->seed) pthread_join(w->thread, NULL);
        w->seed = t_random(seed) | 1;
        w->role = i < ROLES ? (enum role)i : MIXED;
        w->running = 1;
        if (pthread_create(&w->thread, NULL, live_and_die, w) != 0) {
            T_EXPECT(false, "pthread_create");
            w->running = 0;
            w->seed = 0;
        }
        born++;
    }
}

static void run_for(double seconds, size_t threads)
{
    uint64_t seed = run_seed;
    double end = t_now() + seconds, next_fork = t_now(), change = 0;
    struct sigaction on_signal = {.sa_handler = held_up}; /* calls are interrupted, not restarted */
    signal(SIGALRM, parent_hangs);
    sigaction(SIGUSR1, &on_signal, NULL);
    while (t_now() < end && t_fails < T_TOLD_MAX) {
        alarm(HANG_SECONDS);
        if (t_now() >= change) {
            next_weather(&seed);
            change = t_now() + WEATHER_SECONDS;
        }
        replace_the_dead(threads, &seed);
        if (t_now() >= next_fork) {
            fork_once(t_random(&seed));
            next_fork = t_now() + FORK_PAUSE_US / 1e6;
        }
        for (int i = 0; i < 50; i++) step(&seed, MIXED);
        hold_up_one(threads, &seed);
        usleep(1000);
    }
    alarm(HANG_SECONDS);
    fair_weather();
    stop = 1;
    for (size_t i = 0; i < threads; i++)
        if (worker[i].seed) pthread_join(worker[i].thread, NULL);
    alarm(0);
}

static double seconds;
static size_t threads;

static void no_errors(void)
{
    run_for(seconds, threads);
    printf("# %lu steps, %lu threads, %lu forks, %lu signals, %zu MiB live, %zu MiB resident\n",
           (unsigned long)steps, (unsigned long)born, (unsigned long)forked, (unsigned long)signals,
           (size_t)live_bytes / T_MIB, t_resident() / T_MIB);
    T_EXPECT(steps > 0 && born > 0 && forked > 0 && signals > 0, "nothing happened");
}

static void memory_comes_back(void)
{
    const char *judge = getenv("HK_STRESS_RSS");
    uint64_t seed = run_seed;
    size_t kept = 0;
    for (size_t i = 0; i < BOXES; i++) {
        if (!box[i].p) continue;
        kept += box[i].n;
        if (kept > KEPT_BYTES) {
            kept -= box[i].n;
            empty_box(&box[i]);
        } else
            T_EXPECT(marked(&box[i], box[i].p, box[i].n), "block of %zu bytes", box[i].n);
    }
    catch_up();
    for (double end = t_now() + 1; t_now() < end; usleep(1000)) /* light use */
        for (int i = 0; i < 20; i++) free(malloc(t_random_size(&seed, 17)));
    size_t live = live_bytes, resident = t_resident();
    printf("# at the end %zu KiB live, %zu KiB resident\n", live / T_KIB, resident / T_KIB);
    T_SKIP_IF(judge && judge[0] == '0', "HK_STRESS_RSS=0");
    T_EXPECT(resident <= 2 * live + RSS_SLACK, "%zu MiB resident for %zu MiB live",
             resident / T_MIB, live / T_MIB);
}

static void rest_is_whole(void)
{
    for (size_t i = 0; i < BOXES; i++)
        if (box[i].p) empty_box(&box[i]);
    T_EXPECT(live_bytes == 0, "%zu bytes live", (size_t)live_bytes);
    look_everywhere();
    printf("# empty: %zu KiB resident\n", t_resident() / T_KIB);
}

int main(int argc, char **argv)
{
    const char *s = getenv("HK_STRESS_SEED");
    run_seed = s ? strtoull(s, NULL, 0) : (uint64_t)(t_now() * 1e9);
    seconds = (double)t_number(argc, argv, "HK_STRESS_SECONDS", FAULTS_SECONDS);
    threads = t_number(0, argv, "HK_STRESS_THREADS", 6);
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    printf("# HK_STRESS_SEED=%llu HK_STRESS_SECONDS=%.0f HK_STRESS_THREADS=%zu\n",
           (unsigned long long)run_seed, seconds, threads);
    t_case("no errors under load", no_errors);
    t_case("resident memory comes back", memory_comes_back);
    t_case("what stayed is whole", rest_is_whole);
    return hktest_done();
}
