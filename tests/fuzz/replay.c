/* SPDX-License-Identifier: MIT */
/*
 * What: the kept inputs of a target, each run once: NAME.unit [FILE...].
 * Why: what a fuzzer once found stays found, with any compiler and without a fuzzer.
 */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "hktest.h"

#define INPUT_MOST ((size_t)1 << 20)

bool fuzz_replays = true;
static int told; /* the name of each input, before it is run */

static void run(const char *path, const char *name)
{
    uint8_t *data = malloc(INPUT_MOST), *exact;
    FILE *f = fopen(path, "re");
    if (write(told, name, strlen(name) + 1) < 0 || !f || !data) _exit(98);
    size_t n = fread(data, 1, INPUT_MOST, f);
    fclose(f);
    if (!(exact = malloc(n + 1))) _exit(98);
    memcpy(exact + 1, data, n); /* a sanitizer sees what is read beyond its end */
    LLVMFuzzerTestOneInput(exact + 1, n);
    free(exact);
    free(data);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void run_all(const char *folder)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, by_name);
    if (n < 0) _exit(97);
    for (int i = 0; i < n; i++) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof path) _exit(96);
        if (entry[i]->d_name[0] != '.') run(path, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
}

/* The names that came through the pipe: how many; the last one in `last`. */
static unsigned listen_to(int from, char *last, size_t bytes)
{
    unsigned count = 0;
    size_t at = 0;
    for (char c; read(from, &c, 1) == 1;) {
        if (at == 0) memset(last, 0, bytes);
        if (at < bytes - 1) last[at++] = c;
        if (c) continue;
        count++;
        at = 0;
    }
    return count;
}

int main(int argc, char **argv)
{
    char folder[4096], last[300] = "none";
    const char *source = getenv("HK_SRC");
    int pipes[2], status = -1;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/" FUZZ_NAME, source ? source : ".");
    if (pipe(pipes) != 0) hktest_bail("no pipe");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        told = pipes[1];
        LLVMFuzzerInitialize(&argc, &argv);
        for (int i = 1; i < argc; i++) run(argv[i], argv[i]);
        if (argc == 1) run_all(folder);
        exit(0);
    }
    close(pipes[1]);
    unsigned count = listen_to(pipes[0], last, sizeof last);
    waitpid(pid, &status, 0);
    hktest_ok(count > 0, FUZZ_NAME ": there are kept inputs");
    hktest_ok(pid > 0 && status == 0, FUZZ_NAME ": %u kept inputs, the last one %s; status %d",
              count, last, status);
    return hktest_done();
}
