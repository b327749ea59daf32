/* SPDX-License-Identifier: MIT */
/*
 * What: runs something in a child: how it ends, and what it says.
 * Why: what ends a program, and the line it leaves, are seen from outside only.
 */
#ifndef HK_TESTS_ENDING_H
#define HK_TESTS_ENDING_H

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hktest.h"

#define T_HANG_SECONDS 300u /* no case takes a tenth of this, even on a loaded machine */

/* The status of a child that runs f(arg), or exits with 0 then; text: what it wrote to fd. */
HKTEST_UNUSED static int t_ending(void (*f)(const void *), const void *arg, int fd, char *text,
                                  size_t room)
{
    int to[2], status = -1;
    size_t n = 0;
    if (pipe(to)) hktest_bail("no pipe");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(to[1], fd);
        alarm(T_HANG_SECONDS);
        f(arg);
        _exit(0);
    }
    close(to[1]);
    for (ssize_t got; n + 1 < room && (got = read(to[0], text + n, room - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = 0;
    close(to[0]);
    if (child < 0 || waitpid(child, &status, 0) != child) hktest_bail("no child");
    return status;
}

/* Whether that was an abort, after one line, which begins so. */
HKTEST_UNUSED static bool t_aborted(int status, const char *text, const char *line)
{
    size_t len = strlen(text);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && len &&
           strchr(text, '\n') == text + len - 1 && strncmp(text, line, strlen(line)) == 0;
}

#endif
