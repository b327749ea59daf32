/* SPDX-License-Identifier: MIT */
/*
 * What: hakmem-config: how to build with the library, which modes and settings it has, what a
 *   process would use, whether files of settings are right, what a process has learned, and the
 *   way to have it everywhere.
 * Why: whoever sets something should see what comes of it without running a program.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char usage[] =
    "usage: " TOOL " [--version] [--prefix] [--includedir] [--libdir]\n"
    "                     [--cmakedir] [--cflags] [--libs [--static]]\n"
    "       " TOOL " modes [--json]\n"
    "       " TOOL " knobs [--json] [NAME...]\n"
    "       " TOOL " explain [--json] [--conf FILE] [NAME=VALUE...]\n"
    "       " TOOL " check FILE...\n"
    "       " TOOL " policy [--json] [--svg OUT.svg] [--process N] FILE\n"
    "       " TOOL " profile [--env] [--process N] FILE\n"
    "       " TOOL " topology [--json]\n"
    "       " TOOL " preload enable|disable|status|test [OPTION...]\n"
    "  --cflags, --libs  options to compile and link with; --static: with libhakmem.a\n"
    "  modes             what each mode is for, and what it sets\n"
    "  knobs             all settings, or those named in full\n"
    "  explain           what a process that starts now would use, and where it comes from;\n"
    "                    with FILE in place of /etc/hakmem.conf and NAME=VALUE in its environment\n"
    "  check             whether files of settings are right\n"
    "  policy            what a run has learned, and why, by the FILE of HAKMEM_POLICY_FILE: of "
    "the\n"
    "                    last process in it or of number N; --svg: a chart of it over time\n"
    "  profile           the settings that freeze that: lines of a file, or words for env(1)\n"
    "  topology          nodes, CPUs, pages and limits of this machine\n"
    "  preload           the library for all programs of this machine: runs hakmem-preload(8)\n"
    "The status is 0 if all is well, 1 if a setting or a file is wrong, 2 if the arguments are.\n";

enum {
    OPT_VALUE,
    OPT_CFLAGS,
    OPT_LIBS,
    OPT_STATIC,
    OPT_JSON,
    OPT_MDOC,
    OPT_SHELL,
    OPT_CONF,
    OPT_SVG,
    OPT_PROCESS,
    OPT_ENV,
    OPT_HELP
};
static const struct option options[] = {
    {"version", no_argument, NULL, OPT_VALUE},
    {"prefix", no_argument, NULL, OPT_VALUE},
    {"includedir", no_argument, NULL, OPT_VALUE},
    {"libdir", no_argument, NULL, OPT_VALUE},
    {"cmakedir", no_argument, NULL, OPT_VALUE},
    {"cflags", no_argument, NULL, OPT_CFLAGS},
    {"libs", no_argument, NULL, OPT_LIBS},
    {"static", no_argument, NULL, OPT_STATIC},
    {"json", no_argument, NULL, OPT_JSON},
    {"mdoc", no_argument, NULL, OPT_MDOC},
    {"shell", required_argument, NULL, OPT_SHELL},
    {"conf", required_argument, NULL, OPT_CONF},
    {"svg", required_argument, NULL, OPT_SVG},
    {"process", required_argument, NULL, OPT_PROCESS},
    {"env", no_argument, NULL, OPT_ENV},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const struct command {
    const char *name;
    enum status (*run)(const struct request *r);
    unsigned takes; /* a bit an option */
} commands[] = {
    {"modes", tool_modes, 1u << OPT_JSON | 1u << OPT_MDOC},
    {"knobs", tool_knobs, 1u << OPT_JSON | 1u << OPT_MDOC},
    {"explain", tool_explain, 1u << OPT_JSON | 1u << OPT_CONF},
    {"check", tool_check, 0},
    {"policy", tool_policy, 1u << OPT_JSON | 1u << OPT_SVG | 1u << OPT_PROCESS},
    {"profile", tool_profile, 1u << OPT_ENV | 1u << OPT_PROCESS},
    {"topology", tool_topology, 1u << OPT_JSON},
    {"preload", tool_preload, 0},
};
#define COMMANDS (sizeof commands / sizeof *commands)
#define NO_COMMAND                                                                                 \
    (1u << OPT_VALUE | 1u << OPT_CFLAGS | 1u << OPT_LIBS | 1u << OPT_STATIC | 1u << OPT_HELP)
/* For the project itself: the tables of its manual and of its completions. */
#define OURS (1u << OPT_MDOC | 1u << OPT_SHELL)

struct asked {
    unsigned given;                           /* a bit an option */
    const char *conf, *svg, *process, *shell; /* theirs */
    int *order;                               /* places in options of what was given */
    int count;
};

enum status complain(enum status s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs(TOOL ": ", stderr);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs(s == USAGE ? "\n" TOOL ": --help tells more\n" : "\n", stderr);
    return s;
}

/* False: bad usage, told by getopt_long. */
static bool read_options(struct asked *a, int argc, char **argv)
{
    a->order = grow(NULL, (size_t)argc * sizeof *a->order);
    for (int o, i; (o = getopt_long(argc, argv, "", options, &i)) != -1;) {
        if (o == '?') return false;
        a->given |= 1u << o;
        a->order[a->count++] = i;
        if (o == OPT_CONF) a->conf = optarg;
        if (o == OPT_SHELL) a->shell = optarg;
        if (o == OPT_SVG) a->svg = optarg;
        if (o == OPT_PROCESS) a->process = optarg;
    }
    return true;
}

/* The first option given that is not among those allowed; NULL: none. */
static const char *stranger(const struct asked *a, unsigned allowed)
{
    for (int i = 0; i < a->count; i++) {
        const struct option *o = &options[a->order[i]];
        if (!(allowed & 1u << o->val)) return o->name;
    }
    return NULL;
}

static enum status config(const struct asked *a)
{
    bool cflags = a->given & 1u << OPT_CFLAGS, libs = a->given & 1u << OPT_LIBS;
    bool with_static = a->given & 1u << OPT_STATIC;
    const char *odd = stranger(a, NO_COMMAND | 1u << OPT_SHELL);
    if (!odd && a->shell) return words_print(a->shell);
    if (odd) return complain(USAGE, "--%s needs a command", odd);
    if (with_static && !libs) return complain(USAGE, "--static needs --libs");
    for (int i = 0; i < a->count; i++) {
        const char *value = flags_value(options[a->order[i]].name);
        if (value) puts(value);
    }
    if (cflags || libs) flags_print(cflags, libs, with_static);
    return GOOD;
}

void words_walk(void (*tell)(const char *command, const char *option))
{
    for (unsigned c = 0; c <= COMMANDS; c++) {
        unsigned takes = c ? commands[c - 1].takes : NO_COMMAND;
        const char *name = c ? commands[c - 1].name : NULL;
        if (name) tell(name, NULL);
        for (const struct option *o = options; o->name; o++) {
            if (takes & ~OURS & 1u << o->val) tell(name, o->name);
        }
    }
}

static enum status unknown(const char *name)
{
    struct near n = {.given = name, .given_len = strlen(name)};
    for (unsigned i = 0; i < COMMANDS; i++)
        near_try(&n, commands[i].name, strlen(commands[i].name));
    if (n.best) return complain(USAGE, "unknown command %s, did you mean %s?", name, n.best);
    return complain(
        USAGE,
        "unknown command %s (there are modes, knobs, explain, check, policy, profile, topology and "
        "preload)",
        name);
}

static enum status command(const struct asked *a, char **args, int count)
{
    const struct command *c = commands;
    while (c < commands + COMMANDS && strcmp(c->name, args[0]) != 0) c++;
    if (c == commands + COMMANDS) return unknown(args[0]);
    const char *odd = stranger(a, c->takes);
    if (odd) return complain(USAGE, "%s does not take --%s", c->name, odd);
    struct request r = {.conf = a->conf, .svg = a->svg, .process = a->process, .args = args + 1};
    r.count = count - 1;
    r.env = a->given & 1u << OPT_ENV;
    if (a->given & 1u << OPT_JSON) r.form = JSON;
    if (a->given & 1u << OPT_MDOC) r.form = MDOC;
    return c->run(&r);
}

int main(int argc, char **argv)
{
    struct asked a = {0};
    enum status s;
    /* Its options are not looked at here. */
    if (argc > 1 && strcmp(argv[1], "preload") == 0)
        return tool_preload(&(struct request){.args = argv + 2, .count = argc - 2});
    if (!read_options(&a, argc, argv)) {
        fputs(TOOL ": --help tells more\n", stderr);
        s = USAGE;
    } else if (a.given & 1u << OPT_HELP) {
        fputs(usage, stdout);
        s = GOOD;
    } else if (optind < argc) {
        s = command(&a, argv + optind, argc - optind);
    } else if (a.given) {
        s = config(&a);
    } else {
        fputs(usage, stderr);
        s = USAGE;
    }
    free(a.order);
    if (fflush(stdout) != 0 || ferror(stdout)) return complain(WRONG, "cannot write the output");
    return s;
}
