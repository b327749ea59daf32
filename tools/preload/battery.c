/* SPDX-License-Identifier: MIT */
/*
 * What: runs the rows of battery.def without and with the library, compares, prints a table.
 * Why: whether a machine's programs get along with it can only be seen on that machine.
 * A row that does not say twice the same without the library is judged by its status alone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload.h"

enum { QUICK = 1, AS_ROOT = 2, STATUS = 4, MAPPED = 8 };
static const struct row {
    const char *name;
    unsigned how, seconds;
    const char *needs, *command;
} rows[] = {
#define ROW(name, how, seconds, needs, command) {#name, how, seconds, needs, command},
#include "battery.def"
#undef ROW
};
#define ROWS (sizeof rows / sizeof *rows)

enum verdict { SAME, FAILED, NOT_HERE, NOT_JUDGED };
static const char *const verdicts[] = {"same", "FAILED", "not here", "not judged"};

struct battery {
    const struct request *r;
    char *room;           /* an empty folder, in the tree */
    char *without, *with; /* texts of ld.so.preload */
    unsigned count[NOT_JUDGED + 1];
    bool begun;
};
struct ran {
    struct outcome how;
    char *said; /* to be freed */
};

static bool is_there(const char *root, const char *name, size_t len)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    if (*name == '/') {
        char *path = text_of("%s%.*s", root, (int)len, name);
        bool there = access(path, F_OK) == 0;
        return free(path), there;
    }
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = text_of("%s%s/%.*s", root, folders[i], (int)len, name);
        struct stat st; /* of a link's target, which a root may have elsewhere */
        bool there = lstat(path, &st) == 0;
        free(path);
        if (there) return true;
    }
    return false;
}

/* The first thing missing; NULL: none. */
static char *missing(const struct battery *b, const struct row *row)
{
    if (row->how & AS_ROOT && geteuid() != 0) return text_of("only root can");
    for (const char *s = row->needs; *s;) {
        size_t len = strcspn(s, " ");
        if (!is_there(b->r->root, s, len)) return text_of("no %.*s", (int)len, s);
        s += len + (s[len] == ' ');
    }
    return NULL;
}

static char *read_all(int fd)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    if (bytes > 1 << 20) bytes = 1 << 20;
    char *text = grow(NULL, (size_t)bytes + 1);
    ssize_t n = pread(fd, text, (size_t)bytes, 0);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static struct ran run(const struct battery *b, const struct row *row, const char *preload)
{
    struct ran out = {0};
    int fd = memfd_create("output", MFD_CLOEXEC);
    if (fd < 0) exit(complain(WRONG, "no file for output: %s", strerror(errno)));
    apart_run(b->r->root, b->room, preload, row->command, row->seconds, fd, &out.how);
    out.said = read_all(fd);
    close(fd);
    return out;
}

/* To be freed. */
static char *ended(const struct outcome *o)
{
    if (o->late) return text_of("not done in time");
    if (WIFSIGNALED(o->status)) return text_of("ended by signal %d", WTERMSIG(o->status));
    return text_of("status %d", WEXITSTATUS(o->status));
}

/* The first line where they differ, of what the second one said. */
static char *difference(const char *a, const char *b)
{
    const char *line = b;
    for (; *a && *a == *b; a++, b++) {
        if (*b == '\n') line = b + 1;
    }
    return text_of("says: %.*s", (int)strcspn(line, "\n"), line);
}

static enum verdict compare(const struct battery *b, const struct row *row,
                            const struct ran *without, const struct ran *with, char **why)
{
    bool as_text = !(row->how & (STATUS | MAPPED)), alike = with->how.status == without->how.status;
    const char *ours = strstr(with->said, "hakmem: ");
    if (with->how.late || (!alike && !(row->how & MAPPED))) {
        char *how = ended(&with->how);
        const char *last = strrchr(with->said, '\n');
        while (last && last > with->said && last[-1] != '\n') last--;
        *why = text_of("%s%s%s", how, last ? ": " : "", last ? last : "");
        (*why)[strcspn(*why, "\n")] = 0;
        return free(how), FAILED;
    }
    if (ours) {
        *why = text_of("%.*s", (int)strcspn(ours, "\n"), ours);
        return FAILED;
    }
    if (row->how & MAPPED &&
        (strcmp(without->said, "0\n") != 0 || strcmp(with->said, "0\n") == 0)) {
        *why = text_of("the library does not get into programs, or does without the file");
        return FAILED;
    }
    if (!as_text || strcmp(without->said, with->said) == 0) return SAME;
    struct ran again = run(b, row, b->without);
    bool steady = strcmp(without->said, again.said) == 0;
    free(again.said);
    *why = steady ? difference(without->said, with->said) : text_of("what it says differs anyway");
    return steady ? FAILED : SAME;
}

static void tell(struct battery *b, const struct row *row, enum verdict v, const char *why)
{
    b->count[v]++;
    if (b->r->json) {
        printf("%s\n    {\"name\": \"%s\", \"verdict\": \"%s\", \"why\": ", b->begun ? "," : "",
               row->name, verdicts[v]);
        json_put(why ? why : "");
        putchar('}');
    } else {
        printf("%-16s %s%s%s\n", row->name, verdicts[v], why && *why ? ": " : "", why ? why : "");
    }
    b->begun = true;
    fflush(stdout);
}

/* False: nothing can be tried here, told. */
static bool try_row(struct battery *b, const struct row *row)
{
    enum verdict v = NOT_HERE;
    char *why = missing(b, row);
    if (!why) {
        struct ran with = {0}, without = run(b, row, b->without);
        bool apart = without.how.apart;
        if (!apart) {
            complain(UNABLE, "programs cannot be tried apart from the others here: %s",
                     without.how.why);
        } else if (without.how.late || (without.how.status && !(row->how & (STATUS | MAPPED)))) {
            char *how = ended(&without.how);
            why = text_of("%s without the library", how);
            v = NOT_JUDGED;
            free(how);
        } else {
            with = run(b, row, b->with);
            v = compare(b, row, &without, &with, &why);
        }
        free(without.said), free(with.said);
        if (!apart) return false;
    }
    tell(b, row, v, why);
    free(why);
    return true;
}

static bool is_named(const struct request *r, const struct row *row)
{
    if (!*r->names) return !r->quick || row->how & QUICK;
    for (char **n = r->names; *n; n++) {
        if (strcmp(*n, row->name) == 0) return true;
    }
    return false;
}

static enum status unknown_names(const struct request *r)
{
    for (char **n = r->names; *n; n++) {
        bool known = false;
        for (const struct row *row = rows; row < rows + ROWS; row++)
            known |= !strcmp(*n, row->name);
        if (!known) return complain(USAGE, "test has no %s (--list tells what it has)", *n);
    }
    return GOOD;
}

static enum status list(const struct request *r)
{
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        if (is_named(r, row))
            printf("%-16s %-5s  needs %s\n", row->name, row->how & QUICK ? "quick" : "",
                   row->needs);
    }
    return GOOD;
}

static enum status run_rows(struct battery *b)
{
    const struct request *r = b->r;
    enum status s = GOOD;
    if (r->json) printf("{\n  \"rows\": [");
    for (const struct row *row = rows; row < rows + ROWS && s == GOOD; row++) {
        if (is_named(r, row) && !try_row(b, row)) s = UNABLE;
    }
    if (s == GOOD && b->count[FAILED]) s = WRONG;
    if (r->json)
        printf("\n  ],\n  \"same\": %u,\n  \"failed\": %u,\n  \"not_here\": %u,\n  \"not_judged\": "
               "%u\n}\n",
               b->count[SAME], b->count[FAILED], b->count[NOT_HERE], b->count[NOT_JUDGED]);
    else if (s != UNABLE)
        printf("%u the same without and with it, %u failed, %u not here, %u not judged\n",
               b->count[SAME], b->count[FAILED], b->count[NOT_HERE], b->count[NOT_JUDGED]);
    return s;
}

enum status battery_run(const struct request *r, const char *entry, const char *path)
{
    struct battery b = {.r = r};
    struct preload p;
    enum status s = unknown_names(r);
    if (s != GOOD || r->list) return s != GOOD ? s : list(r);
    const char *danger = library_danger(path);
    if (danger) complain(GOOD, "%s: %s", path, danger);
    s = preload_read(r->root, &p);
    if (s != GOOD) return s;
    char *place = text_of("%s/tmp/" TOOL ".XXXXXX", r->root);
    if (!mkdtemp(place)) {
        s = complain(UNABLE, "%s: %s", place, strerror(errno));
    } else {
        b.room = place + strlen(r->root);
        b.without = preload_text(&p, NULL);
        b.with = preload_text(&p, entry);
        s = run_rows(&b);
        rmdir(place);
        free(b.without), free(b.with);
    }
    free(place), free(p.text), free(p.path);
    return s;
}
