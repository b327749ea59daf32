/* SPDX-License-Identifier: MIT */
/*
 * What: which blocks a watched program has, and those it freed lately.
 * Why: a block under valgrind or ASan lies inside a longer one of the allocator's, with bytes out
 * of bounds around it. Kept beside the heap and not in a header, a program that writes below its
 *   block cannot lead free astray, and any pointer can be asked for.
 */
#ifndef HK_API_LEDGER_H
#define HK_API_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who a block was asked for by. */
enum hk_by { HK_BY_MALLOC, HK_BY_NEW, HK_BY_NEW_ARRAY };

struct hk_noted {
    uintptr_t p; /* the program's pointer */
    void *raw;   /* the allocator's, */
    size_t total, n;
    enum hk_by by;
};

/* False without memory. */
bool hk_ledger_add(const struct hk_noted *b);
/* Whether p is the start of a live block; what of it. */
bool hk_ledger_find(const void *p, struct hk_noted *out);
/* The same, and it is not from now on: of two threads one gets it. */
bool hk_ledger_take(const void *p, struct hk_noted *out);
/* p, which is live, has n bytes now, and is by whom it says. */
void hk_ledger_change(const void *p, size_t n, enum hk_by by);
/* The block, just freed, rests; then take what has rested enough out until false. */
void hk_ledger_rest(const struct hk_noted *b);
bool hk_ledger_rested(struct hk_noted *out);

void hk_ledger_fork_prepare(void);
void hk_ledger_fork_child(void);

#endif
