/* SPDX-License-Identifier: MIT */
/*
 * What: `modes`: what each mode is for, and what it sets, a row a setting, a column a mode.
 * Why: from the library's own table; the manual's is made by it (--mdoc), so that it tells the
 * same.
 */
#include <stdio.h>

#include "tool.h"

static bool is_default(unsigned mode)
{
    return mode == (unsigned)hk_knob_rows[HK_KNOB_mode].def;
}

static void modes_json(void)
{
    char name[SHOW_BYTES], setting[SHOW_BYTES];
    int64_t v;
    json_open(NULL, '{');
    json_open("modes", '{');
    for (unsigned m = 0; m < HK_MODES; m++)
        json_text(show_word(HK_KNOB_mode, m, name), hk_mode_purpose[m]);
    json_close('}');
    json_text("default", show_word(HK_KNOB_mode, hk_knob_rows[HK_KNOB_mode].def, name));
    json_open("settings", '{');
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        if (!hk_knob_preset(k, 0, &v)) continue;
        snprintf(setting, sizeof setting, "HAKMEM_%s", hk_knob_rows[k].name);
        json_open(setting, '{');
        for (unsigned m = 0; m < HK_MODES && hk_knob_preset(k, m, &v); m++)
            json_value(show_word(HK_KNOB_mode, m, name), k, v, NULL);
        json_close('}');
    }
    json_close('}');
    json_close('}');
}

static void modes_plain(void)
{
    struct table purposes = {.columns = 2}, settings = {.columns = 1 + HK_MODES};
    char text[SHOW_BYTES];
    int64_t v;
    table_cell(&settings, "setting");
    for (unsigned m = 0; m < HK_MODES; m++) {
        table_cell(&settings, "%s", show_word(HK_KNOB_mode, m, text));
        table_cell(&purposes, "%s", text);
        table_cell(&purposes, "%s%s", hk_mode_purpose[m], is_default(m) ? " (the default)" : "");
    }
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        if (!hk_knob_preset(k, 0, &v)) continue;
        table_cell(&settings, "HAKMEM_%s", hk_knob_rows[k].name);
        for (unsigned m = 0; m < HK_MODES && hk_knob_preset(k, m, &v); m++)
            table_cell(&settings, "%s", show_value(k, v, NULL, text));
    }
    table_end(&purposes);
    putchar('\n');
    table_end(&settings);
}

static void modes_mdoc(void)
{
    char text[SHOW_BYTES];
    int64_t v;
    printf(".Bl -column HAKMEM_THREAD_CACHE");
    for (unsigned m = 0; m < HK_MODES; m++) printf(" %s", show_word(HK_KNOB_mode, m, text));
    printf("\n.It Sy Setting");
    for (unsigned m = 0; m < HK_MODES; m++) printf(" Ta Cm %s", show_word(HK_KNOB_mode, m, text));
    putchar('\n');
    for (unsigned k = 0; k < HK_KNOBS; k++) {
        if (!hk_knob_preset(k, 0, &v)) continue;
        printf(".It Ev HAKMEM_%s", hk_knob_rows[k].name);
        for (unsigned m = 0; m < HK_MODES && hk_knob_preset(k, m, &v); m++)
            printf(" Ta %s", show_value(k, v, NULL, text));
        putchar('\n');
    }
    puts(".El");
}

enum status tool_modes(const struct request *r)
{
    static void (*const print[])(void) = {modes_plain, modes_json, modes_mdoc};
    if (r->count) return complain(USAGE, "modes takes no arguments, and got %s", r->args[0]);
    print[r->form]();
    return GOOD;
}
