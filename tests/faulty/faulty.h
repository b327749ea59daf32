/* SPDX-License-Identifier: MIT */
/*
 * What: what the two halves of the faulty programs share.
 * Why: a file has at most 500 lines.
 */
#ifndef HK_TESTS_FAULTY_FAULTY_H
#define HK_TESTS_FAULTY_FAULTY_H

#include <stddef.h>

/* operator new, new[], their deletes, delete with a size. */
void *_Znwm(size_t n);
void *_Znam(size_t n);
void _ZdlPv(void *p);
void _ZdaPv(void *p);
void _ZdlPvm(void *p, size_t n);

extern volatile char sink;
extern void *volatile kept;

void write_at(char *p, long at);
void read_at(const char *p, long at);
void *in_thread(void *(*f)(void *), void *arg);
void *thread_frees(void *p);

void double_free(void);
void double_free_remote(void);
void double_free_after_realloc(void);
void realloc_after_free(void);
void free_interior(void);
void free_stack(void);
void free_static(void);
void free_wild(void);
void mismatch_new_free(void);
void mismatch_array_delete(void);
void mismatch_malloc_delete(void);
void mismatch_new_realloc(void);
void sized_delete_wrong(void);
void uninitialised_malloc(void);
void uninitialised_reused(void);
void uninitialised_tail(void);
void uninitialised_new(void);
void uninitialised_index(void);
void uninitialised_written_out(void);
void negative_size(void);
void calloc_overflow(void);
void aligned_alloc_bad(void);
void string_overlap(void);
void leak_definite(void);
void leak_indirect(void);
void leak_possible(void);
void leak_reachable(void);
void leak_large(void);
void leak_after_realloc(void);
void leak_of_thread(void);
void leak_new(void);
void clean(void);
void clean_calloc(void);
void clean_fork(void);
void clean_cxx(void);

#endif
