/* SPDX-License-Identifier: MIT */
/*
 * What: what fuzz targets share: the two entry points of libFuzzer, which replay.c calls too, a
 *   reader of the input, and how a finding is told.
 * Why: one source is the target of a fuzzer and, with the kept inputs, a test in `make check`.
 */
#ifndef HK_TESTS_FUZZ_FUZZ_H
#define HK_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Replays also do what is too slow to be done millions of times: forks. */
extern bool fuzz_replays;

#define FUZZ_UNUSED __attribute__((unused))

/* A finding: told, and the end, which a fuzzer and the replay both see. */
#define FUZZ_CHECK(cond, ...)                                                                      \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                             \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct fuzz_in {
    const uint8_t *at, *end;
};

/* The next byte; 0 beyond the end. */
FUZZ_UNUSED static unsigned fuzz_byte(struct fuzz_in *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* A number of so many bytes. */
FUZZ_UNUSED static uint64_t fuzz_number(struct fuzz_in *in, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes--) v = v << 8 | fuzz_byte(in);
    return v;
}

/*
 * The part up to the next of the bytes `by`, or to the end, as a text of exactly its length, to be
 * freed; NULL: there is no more.
 */
FUZZ_UNUSED static char *fuzz_part(struct fuzz_in *in, uint8_t by)
{
    if (in->at >= in->end) return NULL;
    const uint8_t *to = memchr(in->at, by, (size_t)(in->end - in->at));
    if (!to) to = in->end;
    size_t n = (size_t)(to - in->at);
    char *text = malloc(n + 1);
    if (!text) abort();
    memcpy(text, in->at, n);
    text[n] = 0;
    in->at = to < in->end ? to + 1 : to;
    return text;
}

#endif
