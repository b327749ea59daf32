/* SPDX-License-Identifier: MIT */
/*
 * What: a buffer that grows, at a multiple of a cache line or a page, as devices and vector code
 *   want them; overflow of a product of sizes is found.
 * Why: realloc keeps 16 bytes of alignment only; more takes a new block and a copy.
 */
#include <errno.h>
#include <hakmem.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct buffer {
    unsigned char *bytes;
    size_t alignment, size;
};

/* At least size bytes; false, and all as it was, if they are not to be had. */
static int buffer_grow(struct buffer *b, size_t size)
{
    if (size <= b->size) return 1;
    void *p;
    errno = hakmem_posix_memalign(&p, b->alignment, size);
    if (errno != 0) return 0;
    if (b->bytes) memcpy(p, b->bytes, b->size);
    hakmem_free(b->bytes);
    b->bytes = p;
    b->size = size;
    return 1;
}

int main(void)
{
    int bad = 0;
    for (size_t alignment = 64; alignment <= 4096; alignment *= 8) {
        struct buffer b = {NULL, alignment, 0};
        for (size_t size = 100; size < 1000000; size *= 3) {
            if (!buffer_grow(&b, size)) return 1;
            bad += (uintptr_t)b.bytes % alignment != 0;
            memset(b.bytes, 1, b.size);
        }
        printf("alignment %zu: %zu bytes at %p\n", alignment, b.size, (void *)b.bytes);
        hakmem_free_aligned_sized(b.bytes, b.alignment, b.size);
    }
    /* Too many of them: no block, instead of one that is too small. */
    volatile size_t many = SIZE_MAX / 8;
    void *rows = hakmem_reallocarray(NULL, many, 16);
    printf("%zu times 16 bytes: %s\n", many, rows ? "there" : strerror(errno));
    bad += rows != NULL;
    hakmem_free(rows);
    return bad != 0;
}
