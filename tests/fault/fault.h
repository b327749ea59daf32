/* SPDX-License-Identifier: MIT */
/*
 * What: what the loads of the fault walk share: blocks that know what they hold, and what is
 *   expected of every call whether the kernel refuses or not.
 * Why: the walk is worth what is looked at after each call.
 */
#ifndef HK_TESTS_FAULT_H
#define HK_TESTS_FAULT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/check.h"
#include "hakmem.h"
#include "os/fault.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* What went wrong is said, and the run fails. */
void wrong(const char *file, int line, const char *what);
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) wrong(__FILE__, __LINE__, #cond);                                             \
    } while (0)

/* Blocks by number. A refusal leaves the place empty, and what was there as it was. */
#define BLOCKS 6000
struct block {
    unsigned char *p;
    size_t n;
};
extern struct block block[BLOCKS];
enum kind { PLAIN, ZERO, ALIGNED };
bool take(size_t i, size_t n, enum kind kind, size_t align);
bool resize(size_t i, size_t n);
void drop(size_t i);
void take_many(size_t first, size_t count, size_t n);
void drop_many(size_t first, size_t count);
/* Requests that got NULL so far, and whether any may: when all mappings are refused, or a limit is
 * set. */
extern unsigned nulls;
extern bool nulls_may_be, limited;
/* The kernel says yes again: nothing will do but everything. */
void forgive(void);

/* In a thread of its own, which has ended when this returns. */
void in_thread(void (*f)(void));
/* Everything is walked, and what lives is what is in block[]. */
void look(void);
/* The library's clock goes on, and something comes by its slow paths. */
void rest(uint64_t ms);

struct load {
    const char *name;
    void (*run)(void);
};
extern const struct load loads[];
extern const size_t load_count;
extern bool forked; /* in a child of a load: what other threads had under way is lost to it */

#endif
