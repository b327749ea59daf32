/* SPDX-License-Identifier: MIT */
/*
 * What: threads of which one at a time does something, when and what the caller says.
 * Why: hand-over between threads, with the same order for the same input.
 */
#ifndef HK_TESTS_FUZZ_CREW_H
#define HK_TESTS_FUZZ_CREW_H

#define CREW 4u /* number 0 is the caller */

/* f(arg) by that thread, which is born if it is not there; back when it is done. */
void crew_do(unsigned who, void (*f)(void *), void *arg);
/* The thread ends, if it is there. */
void crew_end(unsigned who);

#endif
