/* SPDX-License-Identifier: MIT */
/*
 * What: the settings as the manual tells them, parsed a second time in another way, to compare
 * with; and what the library's parser is given in place of memory, files and standard error. Why: a
 * parser that neither crashes nor does what is documented is wrong too.
 */
#ifndef HK_TESTS_FUZZ_EXPECT_H
#define HK_TESTS_FUZZ_EXPECT_H

#include "core/knobs.h"
#include "fuzz.h"

/* Nothing is set, in the library and here; memory that settings kept is released. */
void expect_nothing(void);
/* NAME=VALUE, what follows HAKMEM_, by that source; true if it is fine. */
bool expect_set(const char *var, enum hk_source from);
/* The lines of a file up to its first 0; how many are wrong. */
unsigned expect_lines(const char *text, enum hk_source from);
/* HAKMEM_NAME=VALUE or something else; 1 if it is ours and wrong. */
unsigned expect_variable(const char *var);
/* Every setting of the library is what is expected; what it prints sets the same. */
void expect_all(void);

/* What hk_sys_map_file finds under a name. */
struct stub_file {
    const char *path, *bytes; /* NULL: it is not there */
    size_t n;
};
extern struct stub_file stub_files[2];
/* Lines written to standard error. */
extern unsigned stub_lines;

#endif
