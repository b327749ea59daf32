/* SPDX-License-Identifier: MIT */
/*
 * What: hakmem-preload: puts the library into /etc/ld.so.preload, takes it out, tells how that
 *   stands, and tries beforehand what would become of this machine's programs.
 * Why: a mistake in that file stops every dynamic program; see preload.h.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"

static const char usage[] =
    "usage: " TOOL " enable [--root DIR] [--library FILE] [--no-test] [--dry-run]\n"
    "       " TOOL " disable [--root DIR] [--dry-run]\n"
    "       " TOOL " status [--root DIR] [--json]\n"
    "       " TOOL " test [--root DIR] [--library FILE] [--quick] [--json] [--list] [NAME...]\n"
    "  enable   try the quick half of the test, then put the library into /etc/ld.so.preload\n"
    "  disable  take it out; also when the library is missing or broken\n"
    "  status   whether it is in, whether the library is good, how many processes have it\n"
    "  test     run programs of this machine without and with it, in mount namespaces of their\n"
    "           own, and compare; with NAMEs these alone; --list: what there is\n"
    "The status is 0 if all is well (status: it is enabled), 1 if something is wrong, 2 if the\n"
    "arguments are, 3 if status finds it not enabled, 4 if the test cannot be run here.\n";

enum {
    OPT_ROOT = 1 << 0,
    OPT_LIBRARY = 1 << 1,
    OPT_NO_TEST = 1 << 2,
    OPT_DRY = 1 << 3,
    OPT_JSON = 1 << 4
};
enum { OPT_QUICK = 1 << 5, OPT_LIST = 1 << 6, OPT_HELP = 1 << 7, OPT_VERSION = 1 << 8 };
static const struct option options[] = {
    {"root", required_argument, NULL, OPT_ROOT}, {"library", required_argument, NULL, OPT_LIBRARY},
    {"no-test", no_argument, NULL, OPT_NO_TEST}, {"dry-run", no_argument, NULL, OPT_DRY},
    {"json", no_argument, NULL, OPT_JSON},       {"quick", no_argument, NULL, OPT_QUICK},
    {"list", no_argument, NULL, OPT_LIST},       {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION}, {NULL, 0, NULL, 0},
};
static const struct command {
    const char *name;
    enum status (*run)(const struct request *r);
    int takes;
    bool names;
} commands[] = {
    {"enable", do_enable, OPT_ROOT | OPT_LIBRARY | OPT_NO_TEST | OPT_DRY, false},
    {"disable", do_disable, OPT_ROOT | OPT_DRY, false},
    {"status", do_status, OPT_ROOT | OPT_JSON, false},
    {"test", do_test, OPT_ROOT | OPT_LIBRARY | OPT_QUICK | OPT_JSON | OPT_LIST, true},
};

enum status complain(enum status s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fflush(stdout);
    fputs(TOOL ": ", stderr);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs(s == USAGE ? "\n" TOOL ": --help tells more\n" : "\n", stderr);
    return s;
}

void *grow(void *p, size_t bytes)
{
    p = realloc(p, bytes);
    if (!p) exit(complain(WRONG, "out of memory"));
    return p;
}

char *text_of(const char *format, ...)
{
    char *text;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0) exit(complain(WRONG, "out of memory"));
    va_end(ap);
    return text;
}

void json_put(const char *text)
{
    putchar('"');
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        if (*s < 0x20 || *s >= 0x7f)
            printf("\\u%04x", *s < 0x80 ? *s : 0xfffdu); /* what it is in is not known */
        else
            printf("%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
    }
    putchar('"');
}

static enum status run(const struct command *c, struct request *r, int given, char **args)
{
    for (const struct option *o = options; o->name; o++) {
        if (given & o->val && !(c->takes & o->val))
            return complain(USAGE, "%s does not take --%s", c->name, o->name);
    }
    if (*args && !c->names)
        return complain(USAGE, "%s takes no arguments, and got %s", c->name, *args);
    if (r->library && *r->library != '/')
        return complain(USAGE, "--library: %s does not begin with /", r->library);
    r->names = args;
    r->dry_run = given & OPT_DRY;
    r->json = given & OPT_JSON;
    r->no_test = given & OPT_NO_TEST;
    r->quick = given & OPT_QUICK;
    r->list = given & OPT_LIST;
    return c->run(r);
}

/* Without slashes at its end, so that a path can follow. */
static const char *tree(char *dir)
{
    for (size_t n = strlen(dir); n && dir[n - 1] == '/'; n--) dir[n - 1] = 0;
    return dir;
}

int main(int argc, char **argv)
{
    struct request r = {.root = ""};
    int given = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?') {
            fputs(TOOL ": --help tells more\n", stderr);
            return USAGE;
        }
        given |= o;
        if (o == OPT_ROOT) r.root = tree(optarg);
        if (o == OPT_LIBRARY) r.library = optarg;
    }
    enum status s = GOOD;
    const char *name = argv[optind];
    const struct command *c = commands, *end = commands + sizeof commands / sizeof *commands;
    while (name && c < end && strcmp(c->name, name) != 0) c++;
    if (given & OPT_HELP)
        fputs(usage, stdout);
    else if (given & OPT_VERSION)
        puts(PACKAGE_VERSION);
    else if (!name)
        s = complain(USAGE, "enable, disable, status or test?");
    else if (c == end)
        s = complain(USAGE, "unknown command %s (there are enable, disable, status and test)",
                     name);
    else
        s = run(c, &r, given, argv + optind + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) return complain(WRONG, "cannot write the output");
    return s;
}
