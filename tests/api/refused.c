/* SPDX-License-Identifier: MIT */
/*
 * What: work that takes a refusal as an answer: NULL with ENOMEM is fine, anything else that is
 *   wrong (content, zero, errno, a crash) is not. refusals.sh runs it with system calls failing.
 * Why: paths that only run when the kernel says no are never met by chance.
 */
#include <malloc.h>

#include "support.h"

#define SLOTS  400
#define STEPS  10000
#define MARKED 64u /* bytes of a block that carry the pattern */

static struct {
    unsigned char *p;
    size_t n;
} slot[SLOTS];
static long served, refused;

static size_t marked(size_t n)
{
    return n < MARKED ? n : MARKED;
}

static void fill_slot(size_t k, uint64_t *seed)
{
    size_t n = t_random_size(seed, *seed % 32 ? 14 : 23);
    unsigned how = (unsigned)(t_random(seed) % 4);
    errno = 0;
    unsigned char *p = how == 0 ? calloc(1, n) : how == 1 ? memalign(256, n) : malloc(n);
    if (!p) {
        T_EXPECT(errno == ENOMEM, "%zu bytes refused with errno %d", n, errno);
        refused++;
        return;
    }
    if (how == 0) T_EXPECT(t_is_zero(p, n), "calloc(1, %zu)", n);
    memset(p, 0xaa, n);
    t_fill(p, marked(n), k);
    slot[k].p = p;
    slot[k].n = n;
    served++;
}

static void resize_slot(size_t k, uint64_t *seed)
{
    size_t n = t_random_size(seed, *seed % 32 ? 14 : 23), old = slot[k].n;
    errno = 0;
    unsigned char *p = realloc(slot[k].p, n);
    if (!p) {
        T_EXPECT(errno == ENOMEM, "realloc to %zu: errno %d", n, errno);
        T_EXPECT(t_holds(slot[k].p, marked(old), k), "content after a refused realloc");
        refused++;
        return;
    }
    T_EXPECT(t_holds(p, marked(n < old ? n : old), k), "content from %zu to %zu", old, n);
    memset(p, 0xaa, n);
    t_fill(p, marked(n), k);
    slot[k].p = p;
    slot[k].n = n;
}

static void work(void)
{
    uint64_t seed = 1;
    for (int i = 0; i < STEPS; i++) {
        size_t k = (size_t)(t_random(&seed) % SLOTS);
        if (!slot[k].p) {
            fill_slot(k, &seed);
        } else if (i % 5 == 0) {
            resize_slot(k, &seed);
        } else {
            T_EXPECT(t_holds(slot[k].p, marked(slot[k].n), k), "block of %zu bytes", slot[k].n);
            free(slot[k].p);
            slot[k].p = NULL;
        }
        if (i % 1000 == 0) malloc_trim(0);
    }
    for (size_t k = 0; k < SLOTS; k++) {
        T_EXPECT(!slot[k].p || t_holds(slot[k].p, marked(slot[k].n), k), "block %zu", k);
        free(slot[k].p);
    }
    errno = 4242;
    free(NULL);
    malloc_trim(0);
    printf("# %ld served, %ld refused\n", served, refused);
}

/* A vector that can never grow where it stands, so that it must go elsewhere. */
static void vector(void)
{
    size_t n = 3 * T_MIB, spans = 0;
    unsigned char *p = malloc(n), *fence[16] = {NULL};
    for (size_t at = 0; p && at < n; at += 4096) p[at] = (unsigned char)(at >> 12);
    while (p && n < 40 * T_MIB) {
        fence[spans++] = malloc(2 * T_MIB);
        unsigned char *q = realloc(p, n + n / 2);
        if (!q) break;
        p = q;
        for (size_t at = 0; at < n; at += 4096)
            T_EXPECT(p[at] == (unsigned char)(at >> 12), "byte %zu of %zu", at, n);
        for (size_t at = (n + 4095) / 4096 * 4096; at < n + n / 2; at += 4096)
            p[at] = (unsigned char)(at >> 12);
        n = n + n / 2;
    }
    unsigned char *zero = calloc(1, 30 * T_MIB);
    T_EXPECT(!zero || t_is_zero(zero, 30 * T_MIB), "calloc where the vector was");
    free(zero);
    free(p);
    while (spans) free(fence[--spans]);
}

int main(void)
{
    t_case("refusals do no harm", work);
    t_case("a vector grows", vector);
    return hktest_done();
}
