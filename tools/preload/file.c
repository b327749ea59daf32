/* SPDX-License-Identifier: MIT */
/*
 * What: a tree's etc/ld.so.preload: read as the dynamic loader reads it, changed, written.
 * Why: whatever happens in the midst, there is either the old file or the new one, whole; and what
 *   others have in it stays, letter by letter.
 * Names end at blanks, tabs, colons and lines; from # on a line is a comment.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "preload.h"

#define MOST_BYTES ((off_t)1 << 20)
#define LABEL      "security.selinux"

static bool is_gap(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == ':';
}

/* Links are followed, so that a link stays one; but not out of the tree. */
static enum status find(const char *root, struct preload *p)
{
    char real[PATH_MAX], top[PATH_MAX] = "";
    p->path = text_of("%s/etc/ld.so.preload", root);
    if (!realpath(p->path, real)) {
        if (errno == ENOENT) return GOOD;
        return complain(WRONG, "%s: %s", p->path, strerror(errno));
    }
    if (*root && !realpath(root, top)) return complain(WRONG, "%s: %s", root, strerror(errno));
    size_t n = strlen(top);
    if (strncmp(real, top, n) != 0 || real[n] != '/')
        return complain(WRONG, "%s leads out of the tree, to %s", p->path, real);
    free(p->path);
    p->path = text_of("%s", real);
    return GOOD;
}

enum status preload_read(const char *root, struct preload *p)
{
    *p = (struct preload){0};
    enum status s = find(root, p);
    if (s != GOOD) return s;
    int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        p->text = text_of("%s", "");
        return GOOD;
    }
    if (fd < 0 || fstat(fd, &p->st) < 0) return complain(WRONG, "%s: %s", p->path, strerror(errno));
    if (!S_ISREG(p->st.st_mode) || p->st.st_size > MOST_BYTES)
        return complain(WRONG, "%s is no file, or far too long", p->path);
    p->there = true;
    p->text = grow(NULL, (size_t)p->st.st_size + 1);
    for (ssize_t n; p->len < (size_t)p->st.st_size; p->len += (size_t)n) {
        n = read(fd, p->text + p->len, (size_t)p->st.st_size - p->len);
        if (n < 0) return complain(WRONG, "%s: %s", p->path, strerror(errno));
        if (n == 0) break;
    }
    p->text[p->len] = 0;
    close(fd);
    if (strlen(p->text) != p->len) return complain(WRONG, "%s has a byte 0 in it", p->path);
    return GOOD;
}

bool preload_next(const struct preload *p, size_t *at, const char **entry, size_t *len)
{
    const char *s = p->text + *at;
    while (*s && (is_gap(*s) || *s == '#')) s += *s == '#' ? strcspn(s, "\n") : 1;
    *entry = s;
    *len = strcspn(s, " \t\n:#");
    *at = (size_t)(s + *len - p->text);
    return *len > 0;
}

bool preload_is_ours(const char *entry, size_t len)
{
    static const char name[] = "libhakmem.so";
    size_t n = sizeof name - 1;
    const char *slash = memrchr(entry, '/', len), *base = slash ? slash + 1 : entry;
    size_t left = len - (size_t)(base - entry);
    return left >= n && memcmp(base, name, n) == 0 && (left == n || base[n] == '.');
}

/* The line from s to end, without our names and the gaps before them, to out; its end. */
static char *copy_line(const char *s, const char *end, char *out)
{
    bool cut = false;
    char *begin = out;
    const char *note = memchr(s, '#', (size_t)(end - s));
    if (!note) note = end;
    while (s < note) {
        size_t gap = strspn(s, " \t:");
        size_t len = strcspn(s + gap, " \t\n:#");
        if (len && preload_is_ours(s + gap, len)) {
            cut = true;
        } else {
            memcpy(out, s, gap + len);
            out += gap + len;
        }
        s += gap + len;
    }
    while (cut && note == end && out > begin && is_gap(out[-1])) out--;
    if (cut && note == end && out == begin) return begin; /* nothing is left of it */
    memcpy(out, note, (size_t)(end - note));
    out += end - note;
    if (*end) *out++ = '\n';
    return out;
}

char *preload_text(const struct preload *p, const char *line)
{
    char *text = grow(NULL, p->len + (line ? strlen(line) : 0) + 3), *out = text;
    for (const char *s = p->text; *s;) {
        const char *end = s + strcspn(s, "\n");
        out = copy_line(s, end, out);
        s = *end ? end + 1 : end;
    }
    if (line) {
        if (out > text && out[-1] != '\n') *out++ = '\n';
        out = stpcpy(stpcpy(out, line), "\n");
    }
    *out = 0;
    return text;
}

/* What the old file was to others, the new one is. */
static bool as_before(int fd, const struct preload *p)
{
    char label[256];
    if (!p->there) return fchmod(fd, 0644) == 0;
    ssize_t n = getxattr(p->path, LABEL, label, sizeof label);
    if (n > 0 && fsetxattr(fd, LABEL, label, (size_t)n, 0) < 0 && errno != ENOTSUP) return false;
    return fchown(fd, p->st.st_uid, p->st.st_gid) == 0 && fchmod(fd, p->st.st_mode & 07777) == 0;
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t n = write(fd, text, left);
        if (n < 0) return false;
        text += n;
        left -= (size_t)n;
    }
    return true;
}

/* A rename is there after a power cut only if its folder was written. */
static void settle(const char *path)
{
    char *dir = text_of("%.*s", (int)(strrchr(path, '/') - path), path);
    int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

static enum status refused(const struct preload *p)
{
    const char *how = errno == EROFS   ? " (`mount -o remount,rw /' may help)"
                      : errno == EBUSY ? " (something is mounted there)"
                                       : "";
    return complain(WRONG, "cannot change %s: %s%s", p->path, strerror(errno), how);
}

enum status preload_write(const struct preload *p, const char *text)
{
    if (text[strspn(text, " \t\n")] == 0) {
        if (p->there && unlink(p->path) < 0) return refused(p);
        settle(p->path);
        return GOOD;
    }
    char *fresh = text_of("%s.XXXXXX", p->path);
    int fd = mkostemp(fresh, O_CLOEXEC), saved = errno;
    if (fd >= 0) {
        bool done = write_all(fd, text) && as_before(fd, p) && fsync(fd) == 0 &&
                    rename(fresh, p->path) == 0;
        saved = errno;
        close(fd);
        if (!done) unlink(fresh);
        if (done) saved = 0;
    }
    free(fresh);
    errno = saved;
    if (saved) return refused(p);
    settle(p->path);
    return GOOD;
}
