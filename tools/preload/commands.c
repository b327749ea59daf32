/* SPDX-License-Identifier: MIT */
/*
 * What: enable, disable and status.
 * Why: enabling is refused as long as anything speaks against it; disabling asks nothing, as it is
 *   needed most where the library is gone or broken.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

static enum status may(const struct request *r, const char *what)
{
    if (*r->root || r->dry_run || geteuid() == 0) return GOOD;
    return complain(WRONG, "%s: only root can change /etc/ld.so.preload", what);
}

static enum status change(const struct request *r, const struct preload *p, const char *text)
{
    if (!r->dry_run) return preload_write(p, text);
    if (text[strspn(text, " \t\n")] == 0)
        printf("%s would be removed\n", p->path);
    else
        printf("%s would be:\n%s", p->path, text);
    return GOOD;
}

/* One of the others that has a malloc and stands before ours would get all calls. */
static void warn_of_others(const struct request *r, const struct preload *p)
{
    const char *entry;
    size_t len;
    for (size_t at = 0; preload_next(p, &at, &entry, &len);) {
        char *path = library_path(r->root, entry, len);
        if (!preload_is_ours(entry, len) && library_has_malloc(path))
            complain(GOOD, "%.*s is in it too, before hakmem, and has a malloc: that one is used",
                     (int)len, entry);
        free(path);
    }
}

/* Nothing of ours in it but this entry, once. */
static bool is_in(const struct preload *p, const char *wanted)
{
    const char *entry;
    size_t len, count = 0, same = 0;
    for (size_t at = 0; preload_next(p, &at, &entry, &len);) {
        count += preload_is_ours(entry, len);
        same += len == strlen(wanted) && memcmp(entry, wanted, len) == 0;
    }
    return count == 1 && same == 1;
}

static enum status tried(const struct request *r, const char *entry, const char *path)
{
    if (r->no_test) return GOOD;
    struct request quick = *r;
    quick.quick = true;
    enum status s = battery_run(&quick, entry, path);
    if (s == UNABLE)
        return complain(s, "not enabled, as it could not be tried; --no-test does without");
    return s == GOOD ? s : complain(s, "not enabled");
}

enum status do_enable(const struct request *r)
{
    struct preload p;
    struct library l;
    char *path = NULL, *entry = NULL, *text = NULL;
    enum status s = may(r, "enable");
    if (s == GOOD) s = preload_read(r->root, &p);
    if (s != GOOD) return s;
    entry = library_entry(r, &path);
    if (!entry) return WRONG;
    library_judge(path, &l);
    const char *danger = *r->root ? NULL : library_danger(path);
    if (l.state != LIBRARY_GOOD) {
        s = complain(WRONG, "%s is %s: %s", path, library_state[l.state], l.why);
    } else if (danger) {
        s = complain(WRONG, "%s is not for everybody's programs: %s", path, danger);
    } else if (is_in(&p, entry)) {
        printf("%s has %s already\n", p.path, entry);
    } else {
        warn_of_others(r, &p);
        s = tried(r, entry, path);
        text = preload_text(&p, entry);
        if (s == GOOD) s = change(r, &p, text);
        if (s == GOOD && !r->dry_run) printf("%s: %s is in it now\n", p.path, entry);
    }
    free(text), free(entry), free(path);
    free(p.text), free(p.path);
    return s;
}

enum status do_disable(const struct request *r)
{
    struct preload p;
    enum status s = may(r, "disable");
    if (s == GOOD) s = preload_read(r->root, &p);
    if (s != GOOD) return s;
    char *text = preload_text(&p, NULL);
    if (strcmp(text, p.text) == 0) {
        printf("%s does not have it\n", p.path);
    } else {
        s = change(r, &p, text);
        if (s == GOOD && !r->dry_run) printf("%s: it is not in it any more\n", p.path);
    }
    free(text), free(p.text), free(p.path);
    return s;
}

struct users {
    unsigned mapped, old, unread;
};

/* Lines end with the path of what is mapped. */
static void count_user(struct users *u, const char *pid, const char *root)
{
    char line[PATH_MAX + 200], *path = text_of("/proc/%s/maps", pid);
    bool has = false, old = false;
    FILE *f = fopen(path, "re");
    free(path);
    if (!f) {
        u->unread += errno != ENOENT && errno != ESRCH;
        return;
    }
    while (fgets(line, sizeof line, f)) {
        char *file = strchr(line, '/'), *end = file ? strchr(file, '\n') : NULL;
        if (!end) continue;
        size_t gone = sizeof " (deleted)" - 1, len = (size_t)(end - file);
        bool deleted = len > gone && memcmp(end - gone, " (deleted)", gone) == 0;
        if (strncmp(file, root, strlen(root)) != 0) continue;
        if (!preload_is_ours(file, deleted ? len - gone : len)) continue;
        has = true;
        old |= deleted;
    }
    u->unread += ferror(f) && errno != ESRCH; /* it ended meanwhile */
    fclose(f);
    u->mapped += has;
    u->old += old;
}

static bool count_users(struct users *u, const char *root)
{
    DIR *d = opendir("/proc");
    char *real = *root ? realpath(root, NULL) : NULL;
    if (!d) return false;
    for (struct dirent *e; (e = readdir(d));) {
        if (isdigit((unsigned char)*e->d_name)) count_user(u, e->d_name, real ? real : "");
    }
    closedir(d);
    free(real);
    return true;
}

static void tell_entry(const struct request *r, const char *entry, size_t len, bool first,
                       bool *bad)
{
    struct library l;
    char *path = library_path(r->root, entry, len), *name = text_of("%.*s", (int)len, entry);
    library_judge(path, &l);
    *bad |= l.state != LIBRARY_GOOD;
    if (r->json) {
        printf("%s\n    {\"entry\": ", first ? "" : ",");
        json_put(name);
        printf(", \"path\": ");
        json_put(path);
        printf(", \"state\": \"%s\", \"why\": ", library_state[l.state]);
        json_put(l.why);
        putchar('}');
    } else {
        printf("  %s: %s is %s%s%s\n", name, path, library_state[l.state], *l.why ? ": " : "",
               l.why);
    }
    free(path), free(name);
}

static void tell_users(const struct request *r)
{
    struct users u = {0};
    bool known = count_users(&u, r->root);
    if (r->json && known)
        printf("  \"processes\": %u,\n  \"processes_old\": %u,\n  \"processes_unread\": %u\n}\n",
               u.mapped, u.old, u.unread);
    else if (r->json)
        printf("  \"processes\": null\n}\n");
    else if (!known)
        printf("processes: not known without /proc\n");
    else
        printf("processes that have it: %u, of them with a file that was replaced or removed: %u; "
               "could not be "
               "asked: %u\n",
               u.mapped, u.old, u.unread);
}

enum status do_status(const struct request *r)
{
    struct preload p;
    enum status s = preload_read(r->root, &p);
    if (s != GOOD) return s;
    const char *entry;
    size_t len;
    unsigned count = 0;
    bool bad = false;
    for (size_t at = 0; preload_next(&p, &at, &entry, &len);) count += preload_is_ours(entry, len);
    if (r->json) {
        printf("{\n  \"file\": ");
        json_put(p.path);
        printf(",\n  \"enabled\": %s,\n  \"entries\": [", count ? "true" : "false");
    } else {
        printf("%s: %s\n", p.path, count ? "enabled" : "not enabled");
    }
    unsigned told = 0;
    for (size_t at = 0; preload_next(&p, &at, &entry, &len);) {
        if (preload_is_ours(entry, len)) tell_entry(r, entry, len, told++ == 0, &bad);
    }
    if (r->json) printf("%s],\n", told ? "\n  " : "");
    tell_users(r);
    free(p.text), free(p.path);
    return bad ? WRONG : count ? GOOD : OFF;
}

enum status do_test(const struct request *r)
{
    char *path = NULL, *entry = NULL;
    struct library l;
    enum status s;
    if (r->list) return battery_run(r, NULL, NULL);
    entry = library_entry(r, &path);
    if (!entry) return WRONG;
    library_judge(path, &l);
    if (l.state == LIBRARY_GOOD)
        s = battery_run(r, entry, path);
    else
        s = complain(WRONG, "%s is %s: %s", path, library_state[l.state], l.why);
    free(entry), free(path);
    return s;
}
