/* SPDX-License-Identifier: MIT */
/*
 * What: a dictionary for libFuzzer out of the table of settings: names, words, bounds.
 * Why: no fuzzer guesses a name of twenty letters; and there is no second list of them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/knobs.h"

static void entry(const char *s, size_t n)
{
    if (n) printf("\"%.*s\"\n", (int)n, s);
}

int main(void)
{
    static const char *const others[] = {
        "HAKMEM_", "HAKMEM_CONF=", ".exe+0x400=", "+0x",  "\\x00",    "\\x0c",    "65536",
        "1.999",   "8388607T",     "0,0,0,0,0,0", "r-xp", "00000000", "1,1.5,2,4"};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) printf("\"%s\"\n", others[i]);
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        const struct hk_knob_row *row = &hk_knob_rows[k];
        const char *word;
        size_t len;
        char text[256];
        printf("\"%s=\"\n", row->name);
        for (int64_t i = 0; (word = hk_knob_word(row->words, i, &len)) != NULL; i++)
            entry(word, len);
        if (row->type == HK_TYPE_WORD || row->type == HK_TYPE_TEXT || row->type == HK_TYPE_BOOL)
            continue;
        int64_t v[] = {row->def, row->least, row->most};
        for (unsigned i = 0; i < 3; i++) printf("\"%" PRId64 "\"\n", v[i]);
        hk_knob_print((enum hk_knob)k, row->def, text, sizeof text);
        printf("\"%s=%s\"\n", row->name, text);
    }
    return 0;
}
