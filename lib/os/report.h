/* SPDX-License-Identifier: MIT */
/*
 * What: the last words: die, warn, asserts, and a small text builder on a caller's buffer.
 * Why: stdio mallocs; a message about a broken heap must not touch the heap.
 * Threads: all; each message is one write(2), so that lines of threads do not mix.
 */
#ifndef HK_OS_REPORT_H
#define HK_OS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* One line on fd 2, "hakmem: WHAT: 0xPOINTER", then abort. */
_Noreturn HK_COLD void hk_die(const char *what, const void *ptr);
/* The same of a pointer so many bytes into a block of `size` bytes. */
_Noreturn HK_COLD void hk_die_block(const char *what, const void *ptr, size_t into, size_t size);
/* The same with more text behind the pointer. */
_Noreturn HK_COLD void hk_die_more(const char *what, const void *ptr, const char *more);
/* One line on fd 2, "hakmem: A B C"; NULL parts are left out. */
HK_COLD void hk_warn(const char *a, const char *b, const char *c);

/* Text on a fixed buffer; what does not fit is cut, and len never passes cap. */
struct hk_text {
    char *buf;
    size_t cap, len;
};
void hk_text_str(struct hk_text *t, const char *s);
void hk_text_dec(struct hk_text *t, uint64_t v);
void hk_text_hex(struct hk_text *t, uint64_t v);
/* Thousandths as a decimal, without zeros at its end: 1.5 */
void hk_text_ratio(struct hk_text *t, uint64_t thousandths);
/* Right-aligned decimal in a field of width characters. */
void hk_text_pad(struct hk_text *t, uint64_t v, unsigned width);

#define HK_STR2(x) #x
#define HK_STR(x)  HK_STR2(x)
/* Always on: cheap checks on slow paths. */
#define HK_CHECK(cond, ptr)                                                                        \
    do {                                                                                           \
        if (HK_UNLIKELY(!(cond)))                                                                  \
            hk_die("internal error: " #cond " at " __FILE__ ":" HK_STR(__LINE__), (ptr));          \
    } while (0)
#ifdef HK_DEBUG
#define HK_ASSERT(cond) HK_CHECK(cond, NULL)
#else
#define HK_ASSERT(cond) ((void)0)
#endif

#endif
