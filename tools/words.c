/* SPDX-License-Identifier: MIT */
/*
 * What: --shell: commands, options, settings and their values, as tables for the completions of
 *   bash, zsh and fish.
 * Why: the same lists that the tool itself goes by; what stands around them in completions/ is
 *   written by hand. `make man-tables' puts them there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* After a command, or as an option's value: what this word says; PRELOAD: what hakmem-preload
 * takes. */
static const struct about {
    const char *name, *rest, *what;
} abouts[] = {
    {"modes", "", "what each mode is for, and what it sets"},
    {"knobs", "KNOB", "all settings, or some in full"},
    {"explain", "SETTING", "what a process that starts now would use, and why"},
    {"check", "FILE", "whether files of settings are right"},
    {"policy", "FILE", "what a run has learned, and why"},
    {"profile", "FILE", "the settings that freeze what a run has learned"},
    {"topology", "", "nodes, CPUs, pages and limits of this machine"},
    {"preload", "PRELOAD", "the library in all programs of the system"},
    {"--version", "", "version of the library"},
    {"--prefix", "", "folder it was installed below"},
    {"--includedir", "", "folder of its header"},
    {"--libdir", "", "folder of the library"},
    {"--cmakedir", "", "folder of its files for CMake"},
    {"--cflags", "", "options to compile with"},
    {"--libs", "", "options to link with"},
    {"--static", "", "with --libs: what the static library needs too"},
    {"--help", "", "a summary"},
    {"--json", "", "as JSON"},
    {"--conf", "FILE", "in place of /etc/hakmem.conf"},
    {"--svg", "FILE", "write a chart too"},
    {"--process", "NUMBER", "of this process in the file, from 1 on"},
    {"--env", "", "as words for env(1)"},
};
#define ABOUTS (sizeof abouts / sizeof *abouts)

static const struct about *about(const char *name)
{
    for (unsigned i = 0; i < ABOUTS; i++) {
        if (strcmp(abouts[i].name, name) == 0) return &abouts[i];
    }
    exit(complain(WRONG, "tools/words.c does not know %s", name));
}

/* Within single quotes; what is in special gets a backslash. */
static void quoted(const char *text, const char *special, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(special, *text)) putchar('\\');
        putchar(*text);
    }
}

/* Bash and zsh: the words of k's value, as the rest of a command. */
static void knob_rest(enum hk_knob k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    fputs(row->type == HK_TYPE_WORD   ? row->words
          : row->type == HK_TYPE_BOOL ? "0 1"
          : row->type == HK_TYPE_TEXT ? "FILE"
                                      : "NUMBER",
          stdout);
}

/* Bash and zsh: what an option's value, and what a setting's value may be. */
static void values(void)
{
    fputs("_hakmem_config_argument()\n{\n    case $1 in\n", stdout);
    for (unsigned i = 0; i < ABOUTS; i++) {
        if (abouts[i].name[0] == '-' && *abouts[i].rest)
            printf("    %s) rest='%s' ;;\n", abouts[i].name, abouts[i].rest);
    }
    fputs("    *) return 1 ;;\n    esac\n}\n", stdout);
    fputs("_hakmem_config_value()\n{\n    case ${1#HAKMEM_} in\n", stdout);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        printf("    %s) rest='", hk_knob_rows[k].name);
        knob_rest(k);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n}\n", stdout);
}

static bool nested;
static void command_name(const char *command, const char *option)
{
    if (!command || option) return;
    printf("%s%s", nested ? " " : "", command);
    nested = true;
}

/* A line of a case for each command: what may follow, and its options. */
static void bash_row(const char *command, const char *option)
{
    if (option)
        printf(" --%s", option);
    else
        printf("' ;;\n    %s) rest='%s' options='", command, about(command)->rest);
}

static void bash(void)
{
    fputs("_hakmem_config_of()\n{\n    case $1 in\n    '') rest='", stdout);
    words_walk(command_name);
    fputs("' options='", stdout);
    words_walk(bash_row);
    fputs("' ;;\n    esac\n}\n", stdout);
    values();
    fputs("_hakmem_config_knobs='", stdout);
    for (unsigned k = 0; k < HK_KNOBS; k++) printf("%s%s", k ? " " : "", hk_knob_rows[k].name);
    fputs("'\n", stdout);
}

static void zsh_command(const char *command, const char *option)
{
    if (!command || option) return;
    printf("    '%s:", command);
    quoted(about(command)->what, ":", "'\\''");
    fputs("'\n", stdout);
}

static void zsh_row(const char *command, const char *option)
{
    char name[SHOW_BYTES];
    if (!option) {
        printf("    ) ;;\n    %s)\n        rest='%s' takes=(\n", command, about(command)->rest);
        return;
    }
    snprintf(name, sizeof name, "--%s", option);
    const struct about *a = about(name);
    printf("        '%s%s[", name, *a->rest ? "=" : "");
    quoted(a->what, "[]:", "'\\''");
    fputs("]", stdout);
    if (*a->rest) printf(":%s:%s", a->rest, a->rest[0] == 'F' ? "_files" : "");
    fputs("'\n", stdout);
}

static void zsh(void)
{
    fputs("_hakmem_config_commands=(\n", stdout);
    words_walk(zsh_command);
    fputs(")\n_hakmem_config_of()\n{\n    case $1 in\n    '')\n        rest='' takes=(\n", stdout);
    words_walk(zsh_row);
    fputs("    ) ;;\n    esac\n}\n", stdout);
    values();
    fputs("_hakmem_config_knobs=(\n", stdout);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        printf("    '%s:", hk_knob_rows[k].name);
        quoted(hk_knob_rows[k].help, ":", "'\\''");
        fputs("'\n", stdout);
    }
    fputs(")\n", stdout);
}

static void fish_line(const char *when, const char *how, const char *word, const char *what)
{
    printf("complete -c " TOOL " -n '%s' %s '%s'", when, how, word);
    if (what) {
        fputs(" -d '", stdout);
        quoted(what, "\\", "\\'");
        fputs("'", stdout);
    }
    putchar('\n');
}

static void fish_option(const char *when, const char *option)
{
    char name[SHOW_BYTES];
    snprintf(name, sizeof name, "--%s", option);
    const struct about *a = about(name);
    const char *how = "-l";
    if (*a->rest) how = a->rest[0] == 'F' ? "-r -F -l" : "-x -l";
    fish_line(when, how, option, a->what);
}

/* A setting in front of its value. */
static void fish_setting(const char *when, enum hk_knob k)
{
    const struct hk_knob_row *row = &hk_knob_rows[k];
    char pair[2 * SHOW_BYTES], word[SHOW_BYTES];
    snprintf(pair, sizeof pair, "%s=", row->name);
    fish_line(when, "-a", pair, row->help);
    for (int64_t i = 0; row->type == HK_TYPE_WORD && show_word(k, i, word); i++) {
        snprintf(pair, sizeof pair, "%s=%s", row->name, word);
        fish_line(when, "-a", pair, NULL);
    }
}

static void fish_command(const char *when, const char *command)
{
    const struct about *a = about(command);
    fish_line("__fish_use_subcommand", "-a", command, a->what);
    if (strcmp(a->rest, "FILE") == 0) printf("complete -c " TOOL " -n '%s' -F\n", when);
    if (strcmp(a->rest, "PRELOAD") == 0) fish_line(when, "-a", "(__hakmem_config_preload)", NULL);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        if (strcmp(a->rest, "KNOB") == 0)
            fish_line(when, "-a", hk_knob_rows[k].name, hk_knob_rows[k].help);
        if (strcmp(a->rest, "SETTING") == 0) fish_setting(when, k);
    }
}

static void fish_row(const char *command, const char *option)
{
    char when[2 * SHOW_BYTES] = "__fish_use_subcommand";
    if (command) snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", command);
    if (option)
        fish_option(when, option);
    else if (command)
        fish_command(when, command);
}

static void fish(void)
{
    words_walk(fish_row);
}

enum status words_print(const char *shell)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (unsigned i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].name, shell) != 0) continue;
        shells[i].print();
        return GOOD;
    }
    return complain(USAGE, "--shell is bash, zsh or fish");
}
