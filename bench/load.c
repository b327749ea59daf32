/* SPDX-License-Identifier: MIT */
/*
 * What: runs one scenario and prints one line of NAME=VALUE: operations, time, latencies, faults,
 *   memory. Usage: load SCENARIO [-t THREADS] [-n OPERATIONS] [-s SEED] [-l] [-m]; load without:
 *   the list.
 * Why: links no allocator; the one to be measured is preloaded. With -l each operation is timed,
 *   which costs time itself: take throughput from runs without. With -m a thread looks at the
 *   resident memory every 5 ms, for its mean.
 */
#include "load.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double ns_a_tick;

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void calibrate(void)
{
    double s = seconds();
    uint64_t t = ticks();
    while (seconds() - s < 0.02) continue;
    ns_a_tick = (seconds() - s) * 1e9 / (double)(ticks() - t);
}

void note_time(struct load *l, uint64_t ticks_taken)
{
    uint64_t v = ticks_taken + 8;
    unsigned b = 63u - (unsigned)__builtin_clzll(v);
    l->times->count[(b - 3) * 8 + (unsigned)(v >> (b - 3) & 7)]++;
}

/* Upper end of the bucket that holds the q-th part, nanoseconds. */
static double quantile(const struct histogram *h, double q)
{
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) all += h->count[i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += h->count[i];
        if (seen && (double)seen >= q * (double)all)
            return (double)(((uint64_t)(9 + i % 8) << (i / 8)) - 8) * ns_a_tick;
    }
    return 0;
}

struct start {
    struct load load;
    void (*f)(struct load *l);
};

static void *thread_main(void *arg)
{
    struct start *s = arg;
    s->f(&s->load);
    return NULL;
}

void run_threads(struct load *l, void (*f)(struct load *l))
{
    pthread_t *t = calloc(l->threads, sizeof *t);
    struct start *s = calloc(l->threads, sizeof *s);
    for (unsigned i = 0; i < l->threads; i++) {
        s[i].load = *l;
        s[i].load.thread = i;
        s[i].load.seed = l->seed + i * 7919u;
        s[i].load.done = 0;
        s[i].load.times = calloc(1, sizeof *l->times);
        s[i].f = f;
        if (pthread_create(&t[i], NULL, thread_main, &s[i])) abort();
    }
    for (unsigned i = 0; i < l->threads; i++) {
        pthread_join(t[i], NULL);
        l->done += s[i].load.done;
        for (int b = 0; b < BUCKETS; b++) l->times->count[b] += s[i].load.times->count[b];
        free(s[i].load.times);
    }
    free(s);
    free(t);
}

static long resident_kib(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &size, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Not ru_maxrss: that remembers the program which started this one. */
static long peak_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && !kib && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %ld", &kib) != 1) kib = 0;
    }
    if (f) fclose(f);
    return kib;
}

static _Atomic bool over;

/* Mean of what is resident, KiB; no malloc in it. */
static void *watch(void *arg)
{
    struct timespec nap = {0, 5000000};
    double sum = 0;
    long looks = 0;
    for (char text[64]; !over; nanosleep(&nap, NULL)) {
        int fd = open("/proc/self/statm", O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        if (n <= 0) continue;
        text[n] = 0;
        const char *pages = strchr(text, ' ');
        sum += pages ? (double)strtol(pages, NULL, 10) * ((double)sysconf(_SC_PAGESIZE) / 1024) : 0;
        looks++;
    }
    *(double *)arg = looks ? sum / (double)looks : 0;
    return NULL;
}

static const struct scenario *find(const char *name)
{
    const struct scenario *s = scenarios;
    while (s->name && strcmp(s->name, name) != 0) s++;
    return s->name ? s : NULL;
}

static int usage(void)
{
    fprintf(stderr, "usage: load SCENARIO [-t THREADS] [-n OPERATIONS] [-s SEED] [-l] [-m]\n");
    for (const struct scenario *s = scenarios; s->name; s++)
        fprintf(stderr, "  %-14s %s\n", s->name, s->what);
    return 2;
}

static void report(const struct load *l, double took, double mean_kib)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    printf("scenario=%s threads=%u ops=%llu seconds=%.6f mops=%.4f", l->name, l->threads,
           (unsigned long long)l->done, took, (double)l->done / took / 1e6);
    printf(" minflt=%ld peak_kib=%ld final_kib=%ld", ru.ru_minflt, peak_kib(), resident_kib());
    printf(" cpu=%.6f", (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
                            (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6);
    if (mean_kib > 0) printf(" mean_kib=%.0f", mean_kib);
    if (l->timed)
        printf(" p50_ns=%.0f p99_ns=%.0f p999_ns=%.0f", quantile(l->times, 0.5),
               quantile(l->times, 0.99), quantile(l->times, 0.999));
    putchar('\n');
}

int main(int argc, char **argv)
{
    static struct histogram times;
    const struct scenario *s = argc > 1 ? find(argv[1]) : NULL;
    if (!s) return usage();
    bool watched = false;
    struct load l = {s->name, s->threads, 0, s->ops, 0, 1, false, &times};
    optind = 2;
    for (int c; (c = getopt(argc, argv, "t:n:s:lm")) != -1;) {
        if (c == 't')
            l.threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'n')
            l.ops = strtoull(optarg, NULL, 10);
        else if (c == 's')
            l.seed = strtoull(optarg, NULL, 10);
        else if (c == 'l')
            l.timed = true;
        else if (c == 'm')
            watched = true;
        else
            return usage();
    }
    if (!l.threads || !l.ops || optind != argc) return usage();
    if (l.timed) calibrate();
    pthread_t watcher;
    double mean = 0;
    if (watched && pthread_create(&watcher, NULL, watch, &mean)) return 1;
    double from = seconds();
    s->run(&l);
    double took = seconds() - from;
    over = true;
    if (watched) pthread_join(watcher, NULL);
    report(&l, took, mean);
    return 0;
}
