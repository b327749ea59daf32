/* SPDX-License-Identifier: MIT */
/*
 * What: files that are read by hakmem-config: of what was learned (they begin with a brace or a
 *   blank), else of settings. The tool itself runs, its main under another name.
 * Why: a file may be cut off, mixed up, or someone else's. What profile prints must be settings
 *   that check takes, whatever the file said.
 */
#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <unistd.h>

#include "expect.h"
#include "tool.h"

int tool_main(int argc, char **argv);

static int input; /* a file in memory */
static char input_path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    input = memfd_create("fuzz", MFD_CLOEXEC);
    if (input < 0) abort();
    snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input);
    return 0;
}

/* Its status; what it printed in *out, to be freed. */
static int run(char **out, size_t *n, const char *a, const char *b, const char *c, const char *d)
{
    const char *args[] = {"hakmem-config", a, b, c, d, NULL};
    FILE *was_out = stdout, *was_err = stderr, *sink = fopen("/dev/null", "we");
    int count = 1;
    while (args[count]) count++;
    FILE *catch = open_memstream(out, n);
    if (!catch || !sink) abort();
    optind = 0;
    stdout = catch;
    stderr = sink;
    int status = tool_main(count, (char **)args);
    stdout = was_out;
    stderr = was_err;
    fclose(catch);
    fclose(sink);
    return status;
}

/* Brackets and quotes match. */
static void balanced(const char *json, size_t n)
{
    char open[64];
    unsigned depth = 0;
    bool text = false;
    for (size_t i = 0; i < n; i++) {
        char c = json[i];
        if (text && c == '\\') i++;
        if (c == '"') text = !text;
        if (text || c == '"') continue;
        if (c == '{' || c == '[') open[depth++ % 64] = c;
        if (c != '}' && c != ']') continue;
        FUZZ_CHECK(depth && open[depth - 1] == (c == '}' ? '{' : '['), "%c at %zu", c, i);
        depth--;
    }
    FUZZ_CHECK(!depth && !text, "what is printed does not end");
}

static void policy(void)
{
    char *out;
    size_t n;
    int status = run(&out, &n, "policy", "--json", input_path, NULL);
    FUZZ_CHECK(status == GOOD || status == WRONG, "status %d", status);
    if (status == GOOD) balanced(out, n);
    free(out);
    FUZZ_CHECK(run(&out, &n, "policy", "--svg=/dev/null", input_path, NULL) == status, "plain");
    free(out);
    FUZZ_CHECK(run(&out, &n, "profile", "--env", input_path, NULL) == status, "for env(1)");
    free(out);
    FUZZ_CHECK(run(&out, &n, "profile", input_path, NULL, NULL) == status, "a profile");
    stub_files[0] = (struct stub_file){"profile", out, n};
    char *told;
    if (status == GOOD)
        FUZZ_CHECK(run(&told, &n, "check", "profile", NULL, NULL) == GOOD, "it is wrong: %s", out);
    if (status == GOOD) free(told);
    free(out);
}

static void settings(const uint8_t *data, size_t size)
{
    char *out, *text = calloc(1, size + 1);
    size_t n;
    if (!text) abort();
    memcpy(text, data, size);
    stub_files[0] = (struct stub_file){"settings", (const char *)data, size};
    int status = run(&out, &n, "check", "settings", NULL, NULL);
    free(out);
    hk_knobs_forget();
    unsigned wrong = 0, line = 0;
    enum hk_knob whose;
    char *at = text;
    for (char *var; (var = hk_knobs_next(&at, &line)) != NULL;)
        wrong += !hk_knobs_set(var, HK_FROM_FILE, &whose);
    bool part = strlen(text) < size || size > 65535; /* not all of it is text, or it is cut */
    free(text);
    FUZZ_CHECK(part || (status != GOOD) == (wrong > 0), "status %d, %u are wrong", status, wrong);
    run(&out, &n, "explain", "--json", "--conf", "settings");
    balanced(out, n);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    if (ftruncate(input, 0) != 0 || pwrite(input, data, size, 0) != (ssize_t)size) abort();
    if (memchr("{ \n", data[0], 3))
        policy();
    else
        settings(data, size);
    expect_nothing(); /* at the end of the process settings are obeyed */
    return 0;
}
