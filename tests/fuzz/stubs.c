/* SPDX-License-Identifier: MIT */
/*
 * What: memory, files and messages of the parsers, wrapped by the linker.
 * Why: what they keep is never freed, and an hour of fuzzing would have none left; and in memory of
 *   its exact length a sanitizer sees each byte too many.
 */
#include "core/map.h"
#include "expect.h"
#include "os/sys.h"

#define KEPT 16384u

void *__wrap_hk_meta_alloc(size_t bytes);
long __wrap_hk_sys_map_file(const char *path, char **text, size_t most);
void __wrap_hk_sys_drop(void *p, size_t bytes);
void __wrap_hk_sys_write(int fd, const char *buf, size_t len);

struct stub_file stub_files[2];
unsigned stub_lines;
static void *kept[KEPT];
static unsigned keeps;

void *__wrap_hk_meta_alloc(size_t bytes)
{
    return keeps < KEPT ? kept[keeps++] = calloc(1, bytes) : NULL;
}

void expect_nothing(void)
{
    hk_knobs_forget();
    while (keeps) free(kept[--keeps]);
    stub_lines = 0;
}

long __wrap_hk_sys_map_file(const char *path, char **text, size_t most)
{
    *text = NULL;
    for (unsigned i = 0; i < 2; i++) {
        const struct stub_file *f = &stub_files[i];
        if (!f->path || strcmp(f->path, path) != 0 || !f->bytes) continue;
        size_t n = f->n < most ? f->n : most;
        if (!(*text = __wrap_hk_meta_alloc(n + 1))) return -1;
        memcpy(*text, f->bytes, n);
        return (long)n;
    }
    return -1;
}

void __wrap_hk_sys_drop(void *p, size_t bytes)
{
    (void)p, (void)bytes; /* with all else that is kept */
}

void __wrap_hk_sys_write(int fd, const char *buf, size_t len)
{
    FUZZ_CHECK(fd == 2 && len > 1 && len <= 500 && buf[len - 1] == '\n', "a message of %zu bytes",
               len);
    stub_lines++;
}
