/* SPDX-License-Identifier: MIT */
/*
 * What: a run of operations: what is left of the input, who does the next one, what is in force.
 * Why: two files: the calls of the interface (calls.c), and what happens around them (ops.c).
 */
#ifndef HK_TESTS_FUZZ_OPS_H
#define HK_TESTS_FUZZ_OPS_H

#include "fuzz.h"

struct run {
    struct fuzz_in in;
    unsigned who;  /* of the crew */
    bool limited;  /* NULL is an answer */
    unsigned left; /* operations; bounded, as inputs are */
};

typedef void operation(struct run *r);

/* calls.c: what programs call; many of them, as most of an input should be these. */
#define CALLS 11u
extern operation *const calls[CALLS];
/* Free everything. */
void free_all(void);

#endif
