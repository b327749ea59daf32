/* SPDX-License-Identifier: MIT */
/*
 * What: what the parts of hakmem-preload share: the request, the file, libraries, the battery.
 * Why: a static program of its own: where /etc/ld.so.preload names a broken library nothing
 *   dynamic starts, so it may use neither the dynamic loader nor any other program to mend that.
 */
#ifndef HK_PRELOAD_H
#define HK_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define TOOL              "hakmem-preload"
#define PRINTF(at, first) __attribute__((format(printf, at, first)))

/* Exit statuses; hakmem-preload(8) tells them. */
enum status { GOOD, WRONG, USAGE, OFF, UNABLE };

struct request {
    const char *root;    /* of the tree acted upon; "": this machine's */
    const char *library; /* NULL: the one that is installed */
    bool dry_run, json, no_test, quick, list;
    char **names; /* of the battery's rows, NULL at the end */
};
enum status do_enable(const struct request *r);
enum status do_disable(const struct request *r);
enum status do_status(const struct request *r);
enum status do_test(const struct request *r);

/* main.c: a line on standard error; the status it stands for. */
PRINTF(2, 3) enum status complain(enum status s, const char *format, ...);
/* Text to be freed; ends the program where there is no memory. */
PRINTF(1, 2) char *text_of(const char *format, ...);
void *grow(void *p, size_t bytes);
void json_put(const char *text); /* a string of JSON */

/* file.c: a tree's etc/ld.so.preload. */
struct preload {
    char *path; /* where it is, links followed */
    char *text;
    size_t len;
    struct stat st;
    bool there;
};
enum status preload_read(const char *root, struct preload *p);
/* The next name from *at on, as ld.so reads it; false: no more. */
bool preload_next(const struct preload *p, size_t *at, const char **entry, size_t *len);
bool preload_is_ours(const char *entry, size_t len);
/* Its text without our names, and with this one at its end if it is not NULL; to be freed. */
char *preload_text(const struct preload *p, const char *line);
/* By a new file that takes the old one's place; nothing but blanks: it is removed. */
enum status preload_write(const struct preload *p, const char *text);

/* library.c */
enum library_state { LIBRARY_GOOD, LIBRARY_MISSING, LIBRARY_TRUNCATED, LIBRARY_BAD };
struct library {
    enum library_state state;
    char why[200]; /* empty if it is good */
};
extern const char *const library_state[];
void library_judge(const char *path, struct library *out);
/* Does it have a malloc that others would get? */
bool library_has_malloc(const char *path);
/* What whoever may write to it could do with everybody's programs; NULL: only root may. */
const char *library_danger(const char *path);
/* The file that a name of ld.so.preload stands for in that tree, for this kind of programs. */
char *library_path(const char *root, const char *entry, size_t len);
/* What to write for the request: a name, to be freed, or NULL, told. Its file, too. */
char *library_entry(const struct request *r, char **path);

/* battery.c: rows run without and with that entry; quick: half of them. */
enum status battery_run(const struct request *r, const char *entry, const char *path);

/* apart.c: what becomes of a command in a mount namespace of its own. */
struct outcome {
    bool apart, late; /* there was a namespace; it was ended after its seconds */
    int status;       /* as waitpid tells it */
    char why[160];    /* if not apart */
};
/* Its output goes to fd; preload is the text of its own /etc/ld.so.preload. */
void apart_run(const char *root, const char *room, const char *preload, const char *command,
               unsigned seconds, int fd, struct outcome *out);

#endif
