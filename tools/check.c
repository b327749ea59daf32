/* SPDX-License-Identifier: MIT */
/*
 * What: `check`: what is wrong with files of settings, a line each.
 * Why: before every process of a system reads them.
 */
#include <stdlib.h>

#include "tool.h"

enum status tool_check(const struct request *r)
{
    unsigned wrong = 0;
    if (r->count == 0) return complain(USAGE, "check: which files?");
    for (char **path = r->args; *path; path++) {
        struct source s = {.from = HK_FROM_FILE, .path = *path};
        hk_knobs_forget();
        source_read(&s, false);
        wrong += s.wrong;
        free(s.said);
    }
    return wrong ? WRONG : GOOD;
}
