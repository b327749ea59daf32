/* SPDX-License-Identifier: MIT */
/*
 * What: a look at each memory fault before the program's own handler, or the kernel, has it.
 * Why: who guards blocks by inaccessible pages learns of their misuse by SIGSEGV alone.
 * Invariants: T1 what is not ours goes on as if we were not there: to the handler that was there
 *   before, to the kernel's default, or nowhere if the program ignores a signal that was sent.
 * Threads: installed once, at the start; called in any thread, on its alternate stack if it has
 * one.
 */
#ifndef HK_OS_TRAP_H
#define HK_OS_TRAP_H

/* look is told the address of each fault; it returns if that is none of its business. */
void hk_trap_start(void (*look)(const void *at));

#endif
