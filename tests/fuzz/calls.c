/* SPDX-License-Identifier: MIT */
/*
 * What: the calls of include/hakmem.h that get, change and free blocks, by bytes of the input, each
 *   looked at: place, length, contents, errno.
 * Why: sizes are chosen where the code decides: around classes, units, chunks, and beyond all.
 */
#include <errno.h>

#include "base/sizeclass.h"
#include "hakmem.h"
#include "ops.h"
#include "shadow.h"

#define SENTINEL 4711 /* errno before each call */

/* A size, and sometimes one that no machine has. */
static size_t size_of(struct run *r)
{
    unsigned kind = fuzz_byte(&r->in), near = fuzz_byte(&r->in);
    size_t off = (size_t)(near % 5) - 2, k = near / 5;
    switch (kind % 8) {
    case 0:
        return near;
    case 1:
        return hk_class_bytes(1 + kind / 8 % (HK_CLASSES - 5)) + off;
    case 2:
        return k % 34 * HK_UNIT_BYTES + off;
    case 3:
        return k % 6 * HK_CHUNK_BYTES + (kind / 8 % 3) * HK_UNIT_BYTES + off;
    case 4:
        return fuzz_number(&r->in, 2);
    case 5:
        return 32768 + (size_t)near * 256 + kind / 8;
    case 6:
        return fuzz_number(&r->in, 3) % ((size_t)12 << 20);
    default:
        return (size_t)near << (kind / 8 % 16);
    }
}

static size_t huge_of(struct run *r)
{
    unsigned kind = fuzz_byte(&r->in);
    size_t off = fuzz_number(&r->in, 2);
    static const size_t most[] = {SIZE_MAX, PTRDIFF_MAX, (size_t)1 << 63, (size_t)1 << 48};
    size_t n = most[kind % 4];
    return kind % 4 >= 2 ? n + off : n - off;
}

/* What a call that may be refused gave: true: a block. */
static bool got(struct run *r, const void *p, const char *by)
{
    if (p)
        FUZZ_CHECK(errno == SENTINEL, "%s gave a block, and errno %d", by, errno);
    else
        FUZZ_CHECK(r->limited && errno == ENOMEM, "%s gave none, errno %d", by, errno);
    return p != NULL;
}

static unsigned pick(struct run *r)
{
    return (unsigned)fuzz_number(&r->in, 2) % shadow_count();
}

static void op_malloc(struct run *r)
{
    size_t n = size_of(r);
    if (!shadow_room(n)) return;
    errno = SENTINEL;
    void *p = hakmem_malloc(n);
    if (got(r, p, "malloc")) shadow_add(p, n, 16, "malloc");
}

static void op_calloc(struct run *r)
{
    static const size_t counts[] = {1, 2, 3, 7, 16, 1000};
    size_t count = counts[fuzz_byte(&r->in) % 6], n = size_of(r) / count;
    if (!shadow_room(n * count)) return;
    errno = SENTINEL;
    unsigned char *p = hakmem_calloc(count, n);
    if (!got(r, p, "calloc")) return;
    shadow_zero(p, n * count);
    shadow_add(p, n * count, 16, "calloc");
}

static void resize(struct run *r, unsigned i, size_t n, bool array)
{
    struct block b = *shadow_at(i);
    if (!shadow_room(n)) return;
    shadow_verify(i);
    if (n) shadow_mark(&b, n);
    errno = SENTINEL;
    unsigned char *p = array ? hakmem_reallocarray(b.p, n, 1) : hakmem_realloc(b.p, n);
    if (!p && n) {
        got(r, p, "realloc");
        shadow_same(&b, b.p, b.n);
        return;
    }
    shadow_remove(i);
    FUZZ_CHECK(errno == SENTINEL, "realloc to %zu set errno to %d", n, errno);
    FUZZ_CHECK(n || !p, "realloc to 0 gave %p", (void *)p);
    if (!n) return;
    shadow_same(&b, p, n);
    shadow_add(p, n, 16, "realloc");
}

static void op_realloc(struct run *r)
{
    bool array = fuzz_byte(&r->in) % 4 == 0;
    if (shadow_count()) {
        unsigned i = pick(r);
        resize(r, i, size_of(r), array);
        return;
    }
    size_t n = size_of(r);
    if (!shadow_room(n)) return;
    errno = SENTINEL;
    void *p = hakmem_realloc(NULL, n);
    if (got(r, p, "realloc(NULL)")) shadow_add(p, n, 16, "realloc(NULL)");
}

/* A block grown step by step, as vectors are. */
static void op_grow(struct run *r)
{
    unsigned steps = fuzz_byte(&r->in) % 24, by = fuzz_byte(&r->in);
    if (!shadow_count()) return;
    unsigned char *p = shadow_at(pick(r))->p;
    for (; steps; steps--) {
        unsigned i = 0;
        while (i < shadow_count() && shadow_at(i)->p != p) i++;
        if (i == shadow_count()) return; /* it moved, and is another one's number now */
        size_t n = shadow_at(i)->n;
        resize(r, i, n + n / 2 + by, false);
    }
}

static void op_aligned(struct run *r)
{
    unsigned how = fuzz_byte(&r->in), odd = fuzz_byte(&r->in);
    size_t align = (size_t)1 << (how / 4 % 23), n = size_of(r);
    void *p = NULL;
    int error = 0;
    if (!shadow_room(n) || !shadow_room(align)) return;
    errno = SENTINEL;
    if (how % 4 == 0) {
        p = hakmem_aligned_alloc(align, n);
    } else if (how % 4 == 1) {
        size_t least = align - (align > 2 && odd % 2 ? odd / 2 % (align / 2) : 0);
        p = hakmem_memalign(least, n);
    } else {
        if (align < sizeof(void *)) align = sizeof(void *);
        error = hakmem_posix_memalign(&p, align, n);
        FUZZ_CHECK(errno == (error == ENOMEM ? ENOMEM : SENTINEL), "posix_memalign: %d, errno %d",
                   error, errno);
        FUZZ_CHECK(!error == !!p, "posix_memalign said %d and gave %p", error, p);
        if (error) errno = error;
    }
    if (got(r, p, "an aligned form")) shadow_add(p, n, align, "an aligned form");
}

static void release(struct run *r, unsigned i)
{
    unsigned how = fuzz_byte(&r->in);
    shadow_verify(i);
    struct block b = shadow_remove(i);
    errno = SENTINEL;
    if (how % 8 == 0)
        hakmem_free_sized(b.p, b.n);
    else if (how % 8 == 1)
        hakmem_free_aligned_sized(b.p, 16, b.n);
    else
        hakmem_free(b.p);
    FUZZ_CHECK(errno == SENTINEL, "free set errno to %d", errno);
}

static void op_free(struct run *r)
{
    if (shadow_count()) release(r, pick(r));
}

/* Many of one size: whole slabs and more. */
static void op_burst(struct run *r)
{
    unsigned count = 2 * (fuzz_byte(&r->in) + 1), zero = fuzz_byte(&r->in);
    size_t n = size_of(r);
    while (count-- && shadow_room(n) && shadow_bytes() < SHADOW_BYTES / 8) {
        errno = SENTINEL;
        unsigned char *p = zero % 4 ? hakmem_malloc(n) : hakmem_calloc(1, n);
        if (!got(r, p, "malloc")) return;
        if (zero % 4 == 0) shadow_zero(p, n);
        shadow_add(p, n, 16, "malloc of many");
    }
}

/* Many, by their addresses: slabs empty one after the other, or are full of holes. */
static void op_thin(struct run *r)
{
    unsigned count = 2 * (fuzz_byte(&r->in) + 1), step = fuzz_byte(&r->in) % 8;
    if (!shadow_count()) return;
    for (unsigned i = pick(r); count-- && i < shadow_count(); i += step) {
        shadow_verify(i);
        hakmem_free(shadow_remove(i).p);
    }
}

void free_all(void)
{
    while (shadow_count()) {
        shadow_verify(shadow_count() - 1);
        hakmem_free(shadow_remove(shadow_count() - 1).p);
    }
}

/* Sizes and alignments that must be refused, with nothing changed. */
static void op_absurd(struct run *r)
{
    unsigned how = fuzz_byte(&r->in) % 9;
    volatile size_t n = huge_of(r); /* compilers warn of what is meant here */
    size_t align = (size_t)1 << (n % 40), wide = n | (size_t)1 << 40;
    volatile size_t *w = &wide;
    int want = ENOMEM;
    void *p = NULL, *kept = (void *)&want;
    errno = SENTINEL;
    if (how == 0) p = hakmem_malloc(n);
    if (how == 1) p = hakmem_calloc(n / 2, 2);
    if (how == 2) p = hakmem_calloc(*w, *w);
    if (how == 3) p = hakmem_realloc(shadow_count() ? shadow_at(0)->p : NULL, n);
    if (how == 4) p = hakmem_reallocarray(shadow_count() ? shadow_at(0)->p : NULL, n, n);
    if (how == 5) p = hakmem_aligned_alloc(align, n);
    if (how == 6) p = hakmem_aligned_alloc(n % 7 * 3, 100); /* no power of two */
    if (how == 7) {
        errno = hakmem_posix_memalign(&kept, n % 2 ? align | 4 : align | 24, 100);
        want = EINVAL;
        FUZZ_CHECK(kept == (void *)&want, "posix_memalign failed and wrote");
    }
    if (how == 8) p = hakmem_memalign(n < (size_t)1 << 62 ? (size_t)1 << 62 : n, n);
    if (how == 6 || (how == 8 && errno == EINVAL)) want = EINVAL;
    FUZZ_CHECK(!p && errno == want, "way %u with %zu gave %p, errno %d", how, n, p, errno);
    if (shadow_count()) shadow_verify(0);
}

operation *const calls[CALLS] = {op_malloc, op_calloc, op_realloc, op_realloc, op_grow,  op_aligned,
                                 op_free,   op_free,   op_burst,   op_thin,    op_absurd};
