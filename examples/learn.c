/* SPDX-License-Identifier: MIT */
/*
 * What: a program that chooses its own settings, and asks hakmem at its end what it learned.
 * Why: settings are read once, at the start, so a program that wants its own starts itself anew
 *   with them. What is learned can be frozen: hakmem-config profile makes settings of it.
 */
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Large blocks that come and go: what learning is about. */
static int work(void)
{
    for (int round = 0; round < 200; round++) {
        char *block[16];
        for (int i = 0; i < 16; i++) {
            size_t bytes = (size_t)(64 + 16 * i) << 10;
            block[i] = malloc(bytes);
            if (!block[i]) return -1;
            memset(block[i], round, bytes);
        }
        for (int i = 0; i < 16; i++) free(block[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    /* Who set a mode outside is obeyed. */
    if (!getenv("HAKMEM_MODE")) {
        setenv("HAKMEM_MODE", "learning", 1);
        setenv("HAKMEM_LOG", "off", 0);
        execv("/proc/self/exe", argv);
        perror("execv");
        return 1;
    }
    printf("hakmem %s, mode %s\n", hakmem_version(), getenv("HAKMEM_MODE"));
    fflush(stdout);
    if (work() != 0) return 1;
    /* As text; with 1 as JSON, for programs. It is written without stdio and without malloc. */
    hakmem_policy_dump(STDOUT_FILENO, 0);
    return 0;
}
