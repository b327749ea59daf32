/* SPDX-License-Identifier: MIT */
/*
 * What: how much memory a piece of work takes: statistics before, during and after it.
 * Why: the figures of the allocator alone, without stacks, code and what other libraries map.
 */
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* struct_bytes tells which version of the structure this program knows; a later library fills in
 * no more. */
static struct hakmem_stats read_stats(void)
{
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    if (hakmem_stats(&s) != 0) {
        perror("hakmem_stats");
        exit(1);
    }
    return s;
}

static void tell(const char *when, const struct hakmem_stats *s)
{
    printf("%-12s %8zu KiB in use, %8zu KiB free and resident, %zu KiB mapped\n", when,
           s->used_bytes >> 10, s->free_dirty_bytes >> 10, s->mapped_bytes >> 10);
}

int main(void)
{
    enum { WORDS = 100000 };
    static char *word[WORDS];
    struct hakmem_stats before = read_stats();
    tell("before", &before);
    for (int i = 0; i < WORDS; i++) {
        char text[32];
        snprintf(text, sizeof text, "word number %d", i);
        word[i] = hakmem_malloc(strlen(text) + 1);
        if (!word[i]) return 1;
        strcpy(word[i], text);
    }
    struct hakmem_stats during = read_stats();
    tell("with words", &during);
    printf("%.1f bytes a word; the block of the first has %zu\n",
           (double)(during.used_bytes - before.used_bytes) / WORDS, hakmem_usable_size(word[0]));
    for (int i = 0; i < WORDS; i++) hakmem_free(word[i]);
    struct hakmem_stats after = read_stats();
    tell("after", &after);

    /* All there is, as text. */
    fflush(stdout);
    hakmem_stats_write(1);
    return !(during.used_bytes > before.used_bytes && after.used_bytes < during.used_bytes);
}
