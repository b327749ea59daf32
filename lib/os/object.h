/* SPDX-License-Identifier: MIT */
/*
 * What: which file an address of code was loaded from, by the text of /proc/self/maps, or by
 *   the loader's lock-free table.
 * Why: where a program is mapped differs from run to run, its addresses within the file do not.
 *   The loader's own functions may take its lock, whose holder may be in malloc.
 * Threads: any.
 */
#ifndef HK_OS_OBJECT_H
#define HK_OS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hk_object {
    const char *name; /* the file's, without its folders; in the text */
    size_t len;
    uintptr_t offset; /* of the address from where the file's start is mapped */
};

/* False: the address lies in no file's mapping, or that file's start is not mapped. */
bool hk_object_of(const char *maps, uintptr_t addr, struct hk_object *out);
/*
 * The same without the text, from the loader, where it tells that without a lock:
 * async-signal-safe.
 */
bool hk_object_loaded(const void *addr, struct hk_object *out);
/* Where the start of the first file of that name is mapped; false: nowhere. */
bool hk_object_base(const char *maps, const char *name, size_t len, uintptr_t *base);
/*
 * The text of the process's maps, to be released; NULL without. Makes system calls: mmap, openat,
 * read, close.
 */
char *hk_object_maps(void);
void hk_object_release(char *maps);

#endif
