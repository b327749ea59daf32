/* SPDX-License-Identifier: MIT */
/*
 * What: a program that is about to wait for long gives its free memory back first.
 * Why: hakmem returns idle memory by itself, on calls of malloc and free; a process that makes
 *   none for a while has to say so.
 */
#include <hakmem.h>
#include <stdio.h>
#include <string.h>

/* Resident memory of this process in KiB, -1 if /proc does not tell. */
static long resident(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return -1;
    if (fscanf(f, "%*s %ld", &pages) != 1) pages = -1;
    fclose(f);
    return pages < 0 ? -1 : pages * 4;
}

int main(void)
{
    enum { BLOCKS = 2000, BYTES = 20000 };
    static char *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = hakmem_malloc(BYTES);
        if (!block[i]) return 1;
        memset(block[i], 1, BYTES);
    }
    for (int i = 0; i < BLOCKS; i++) hakmem_free(block[i]);
    long before = resident();
    /* Keep nothing. A service that expects work soon would keep some MiB: hakmem_trim(4 << 20). */
    int gone = hakmem_trim(0);
    long after = resident();
    printf("resident before trimming %ld KiB, after %ld KiB\n", before, after);
    return !gone || (before > 0 && after > before - 10000);
}
