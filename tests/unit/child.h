/* SPDX-License-Identifier: MIT */
/*
 * What: a fork as the library sees it, for tests that link its internals and not its malloc.
 */
#ifndef HK_TESTS_UNIT_CHILD_H
#define HK_TESTS_UNIT_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

#include "front/front.h"
#include "os/lock.h"

/* Whether f is true in a child that has run the library's own clean-up. */
static bool in_child(bool (*f)(void))
{
    int status = -1;
    hk_front_fork_prepare();
    pid_t child = fork();
    if (child == 0) {
        hk_front_fork_child();
        _exit(f() ? 0 : 1);
    }
    hk_fork_end();
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

#endif
