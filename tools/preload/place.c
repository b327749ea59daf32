/* SPDX-License-Identifier: MIT */
/*
 * What: which file a name of ld.so.preload stands for, which name should be written, and who else
 *   could write to that file.
 * Why: $LIB is the folder of libraries of each kind of programs, 64 bits or 32; a name that has it
 *   is right for both, and none but an absolute one works in set-user-ID programs.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"

#define DEBIAN_FOLDER "lib/" HK_MULTIARCH

/* What $LIB is for 64-bit programs of that tree: the C library's folder. */
static const char *lib_folder(const char *root)
{
    static const char *const folders[] = {DEBIAN_FOLDER, "lib64", "lib"};
    const char *found = NULL;
    for (unsigned i = 0; i < sizeof folders / sizeof *folders && !found; i++) {
        char *a = text_of("%s/%s/libc.so.6", root, folders[i]);
        char *b = text_of("%s/usr/%s/libc.so.6", root, folders[i]);
        if (access(a, F_OK) == 0 || access(b, F_OK) == 0) found = folders[i];
        free(a);
        free(b);
    }
    return found ? found : folders[0];
}

char *library_path(const char *root, const char *entry, size_t len)
{
    static const char *const marks[] = {"$LIB", "${LIB}"};
    const char *folder = lib_folder(root), *end = entry + len;
    if (!memchr(entry, '/', len)) return text_of("%s/usr/%s/%.*s", root, folder, (int)len, entry);
    for (unsigned i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = memmem(entry, len, marks[i], strlen(marks[i]));
        if (!at) continue;
        const char *rest = at + strlen(marks[i]);
        return text_of("%s%.*s%s%.*s", root, (int)(at - entry), entry, folder, (int)(end - rest),
                       rest);
    }
    return text_of("%s%.*s", root, (int)len, entry);
}

/* Where it was installed, or where a package of the system has it. */
static char *usual(const char *root)
{
    char *mine = text_of("%s%s/libhakmem.so.1", root, HK_LIBDIR);
    if (access(mine, F_OK) == 0) return mine;
    char *system = text_of("%s/usr/%s/libhakmem.so.1", root, lib_folder(root));
    if (access(system, F_OK) != 0) return free(system), mine;
    return free(mine), system;
}

char *library_entry(const struct request *r, char **path)
{
    static const char any[] = "/usr/$LIB/libhakmem.so.1";
    size_t skip = strlen(r->root);
    *path = r->library ? text_of("%s%s", r->root, r->library) : usual(r->root);
    const char *plain = *path + skip;
    if (plain[strcspn(plain, " \t\n:#$")]) {
        complain(WRONG, "%s: a name in ld.so.preload cannot have blanks, colons, # or $", plain);
        return NULL;
    }
    if (!preload_is_ours(plain, strlen(plain))) {
        complain(WRONG, "%s: it is to be named libhakmem.so.1, or would not be found again", plain);
        return NULL;
    }
    char *at_its_place = library_path(r->root, any, sizeof any - 1);
    const char *there = at_its_place + skip;
    /* /lib may be a link to /usr/lib. */
    bool same = strcmp(there, plain) == 0 || strcmp(there + strlen("/usr"), plain) == 0;
    char *entry = text_of("%s", same && access(at_its_place, F_OK) == 0 ? any : plain);
    free(at_its_place);
    return entry;
}

const char *library_danger(const char *path)
{
    const char *odd = NULL;
    char *part = realpath(path, NULL);
    for (bool first = true; part && *part && !odd; first = false) {
        struct stat st;
        if (stat(part, &st) < 0)
            odd = "it cannot be looked at";
        else if (st.st_uid != 0)
            odd = first ? "it is not root's" : "a folder above it is not root's";
        else if (st.st_mode & 022 && !(st.st_mode & S_ISVTX && !first))
            odd = "others may write to it, or to a folder above it";
        else if (!(st.st_mode & (first ? 04 : 01)))
            odd = "not everybody may read it";
        char *slash = strrchr(part, '/');
        if (slash) *slash = 0;
    }
    free(part);
    return odd;
}
