/* SPDX-License-Identifier: MIT */
/*
 * What: the file that an address was loaded from.
 * Why: see object.h. A line of the text is "START-END RIGHTS OFFSET DEVICE INODE   PATH".
 */
#include "os/object.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/attr.h"
#include "os/sys.h"

#define MAPS_MOST ((size_t)1 << 20) /* some ten thousand mappings; what is beyond is not known */

/* The number that *s starts with, in hexadecimal; *s goes on behind it. */
static uintptr_t number(const char **s)
{
    uintptr_t v = 0;
    for (;; (*s)++) {
        unsigned c = (unsigned char)**s;
        if (c - '0' < 10)
            v = v << 4 | (c - '0');
        else if (c - 'a' < 6)
            v = v << 4 | (c - 'a' + 10);
        else
            return v;
    }
}

struct line {
    uintptr_t start, end, offset;
    const char *path;
    size_t len;
};

/* The line at s; the next one, or NULL at the text's end. */
static const char *parse(const char *s, struct line *l)
{
    const char *end = strchr(s, '\n');
    if (!end) end = s + strlen(s);
    *l = (struct line){0};
    l->start = number(&s);
    if (*s == '-') s++;
    l->end = number(&s);
    if (end - s > 6) s += 6; /* " r-xp " */
    l->offset = number(&s);
    for (const char *p = s; p < end && !l->path; p++) {
        if (*p == '/') {
            l->path = p;
            l->len = (size_t)(end - p);
        }
    }
    return *end ? end + 1 : NULL;
}

static void name_of(const struct line *l, struct hk_object *out)
{
    out->name = l->path;
    for (const char *p = l->path; p < l->path + l->len; p++) {
        if (*p == '/') out->name = p + 1;
    }
    out->len = (size_t)(l->path + l->len - out->name);
}

bool hk_object_of(const char *maps, uintptr_t addr, struct hk_object *out)
{
    struct line l, first = {0}; /* the last start of a file that was seen */
    for (const char *s = maps; s && *s;) {
        s = parse(s, &l);
        if (l.path && l.offset == 0) first = l;
        if (addr < l.start || addr >= l.end) continue;
        if (!l.path || !first.path || l.len != first.len || memcmp(l.path, first.path, l.len) != 0)
            return false;
        name_of(&l, out);
        out->offset = addr - first.start;
        return true;
    }
    return false;
}

bool hk_object_base(const char *maps, const char *name, size_t len, uintptr_t *base)
{
    struct line l;
    struct hk_object o;
    for (const char *s = maps; s && *s;) {
        s = parse(s, &l);
        if (!l.path || l.offset != 0) continue;
        name_of(&l, &o);
        if (o.len != len || memcmp(o.name, name, len) != 0) continue;
        *base = l.start;
        return true;
    }
    return false;
}

#ifdef DLFO_STRUCT_HAS_EH_DBASE /* glibc 2.35 */
extern __typeof__(_dl_find_object) _dl_find_object HK_WEAK;

bool hk_object_loaded(const void *addr, struct hk_object *out)
{
    struct dl_find_object found;
    struct line l = {0};
    if (!_dl_find_object || _dl_find_object((void *)(uintptr_t)addr, &found)) return false;
    l.path = found.dlfo_link_map->l_name;
    if (!*l.path) l.path = (const char *)getauxval(AT_EXECFN); /* the program itself */
    if (!l.path) return false;
    l.len = strlen(l.path);
    name_of(&l, out);
    out->offset = (uintptr_t)addr - (uintptr_t)found.dlfo_map_start;
    return true;
}
#else
bool hk_object_loaded(const void *addr HK_UNUSED, struct hk_object *out HK_UNUSED)
{
    return false;
}
#endif

char *hk_object_maps(void)
{
    char *text = NULL;
    if (hk_sys_map_file("/proc/self/maps", &text, MAPS_MOST) > 0) return text;
    hk_object_release(text);
    return NULL;
}

void hk_object_release(char *maps)
{
    if (maps) hk_sys_drop(maps, MAPS_MOST + 1);
}
