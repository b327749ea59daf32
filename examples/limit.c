/* SPDX-License-Identifier: MIT */
/*
 * What: a cache that takes what memory there is: when no more is to be had, the oldest entries go.
 * Why: under a soft limit malloc fails in time, before the kernel's out-of-memory killer comes.
 */
#include <errno.h>
#include <hakmem.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES = 4096, ENTRY_BYTES = 100000 };
static char *entry[ENTRIES];
static unsigned oldest, next, dropped;

static void drop_oldest(void)
{
    hakmem_free(entry[oldest]);
    entry[oldest] = NULL;
    oldest = (oldest + 1) % ENTRIES;
    dropped++;
}

/* Room for one more entry: others make it, if need be. */
static char *make_room(size_t bytes)
{
    char *p;
    while (!(p = hakmem_malloc(bytes)) && errno == ENOMEM && oldest != next) drop_oldest();
    return p;
}

int main(void)
{
    /* HAKMEM_LIMIT=64M in the environment would do the same. */
    hakmem_set_limit(64 << 20);
    for (unsigned i = 0; i < ENTRIES - 1; i++) {
        char *p = make_room(ENTRY_BYTES);
        if (!p) return 1;
        memset(p, (int)i, ENTRY_BYTES);
        entry[next] = p;
        next = (next + 1) % ENTRIES;
    }
    unsigned held = (next + ENTRIES - oldest) % ENTRIES;
    printf("%u entries were cached, %u of them dropped, %u are left\n", ENTRIES - 1, dropped, held);
    /* 64 MiB hold some 600 of them. */
    return !(dropped > 0 && held > 100 && held * (size_t)ENTRY_BYTES <= 64 << 20);
}
