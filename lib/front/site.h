/* SPDX-License-Identifier: MIT */
/*
 * What: the places in the program that ask for large and big blocks, and rules for some of them.
 * Why: what a program does with a block is mostly the same for all that one call asks for; who
 *   knows it can say so, and is told which places there are.
 * Invariants: Z1 an entry's place is set once, by a compare-exchange from 0. Z2 counts may lose
 * some: a tendency is all that is asked of them. Threads: any.
 */
#ifndef HK_FRONT_SITE_H
#define HK_FRONT_SITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HK_SITES      64u
#define HK_SITE_RULES 16u

struct hk_site {
    _Atomic uintptr_t at; /* the return address of the call; 0: free */
    _Atomic uint64_t requests, bytes;
};

/*
 * Begin; rules: "OBJECT+0xOFFSET=ACTION" with commas between, NULL for none. False without memory.
 * Once a process. *wrong: a rule that is none, NULL: all are good; those before it are in force.
 */
bool hk_sites_start(const char *rules, const char **wrong);
/*
 * A request by the call that returns to `at`, for n bytes: the rule for its block, enum hk_action
 * plus one, or 0. Where files are mapped is looked up at each new place, and now and then.
 */
unsigned hk_site_request(const void *at, size_t n);
/* The rule alone. */
unsigned hk_site_rule(uintptr_t at);
/* All HK_SITES of them, or NULL: there was no request yet. */
const struct hk_site *hk_sites(void);

#endif
