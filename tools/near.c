/* SPDX-License-Identifier: MIT */
/*
 * What: the name that was most likely meant: fewest letters dropped, added, changed or swapped with
 *   their neighbour (optimal string alignment), whatever their case.
 * Why: most wrong names are slips of the finger.
 */
#include <ctype.h>
#include <string.h>

#include "tool.h"

#define LONGEST 63

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return toupper((unsigned char)a) == toupper((unsigned char)b);
}

/* Rows of the table of distances between starts of a and b; three of them are needed at a time. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[3][LONGEST + 1];
    for (size_t j = 0; j <= b_len; j++) row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            now[j] = least(last[j - 1] + !same(a[i - 1], b[j - 1]), 1 + least(last[j], now[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[a_len % 3][b_len];
}

void near_try(struct near *n, const char *name, size_t len)
{
    if (n->given_len > LONGEST || len > LONGEST) return;
    unsigned d = distance(n->given, n->given_len, name, len);
    if (d > (n->given_len > len ? n->given_len : len) / 3) return;
    if (n->best && d >= n->distance) return;
    n->best = name;
    n->best_len = len;
    n->distance = d;
}

const char *near_knob(const char *given)
{
    struct near n = {.given = given, .given_len = strcspn(given, "=")};
    for (unsigned k = 0; k < HK_KNOBS; k++)
        near_try(&n, hk_knob_rows[k].name, strlen(hk_knob_rows[k].name));
    return n.best;
}
