/* SPDX-License-Identifier: MIT */
/*
 * What: files of settings into the knobs.
 * Why: see conf.h.
 */
#include "core/conf.h"

#include "core/knobs.h"
#include "os/report.h"
#include "os/sys.h"

static unsigned read_file(const char *path, enum hk_source from, bool must)
{
    unsigned wrong = 0;
    char *text = NULL;
    long n = hk_sys_map_file(path, &text, HK_CONF_MOST);
    if (n < 0 && must) hk_warn("cannot read HAKMEM_CONF=", path, NULL);
    if (n < 0) wrong += must;
    if (n == (long)HK_CONF_MOST) {
        hk_warn(path, ": too long, the rest is ignored", NULL);
        wrong++;
    }
    if (n > 0) wrong += hk_knobs_read_text(text, path, from);
    if (text) hk_sys_drop(text, HK_CONF_MOST + 1);
    return wrong;
}

unsigned hk_conf_read(void)
{
    unsigned wrong = read_file(HK_CONF_SYSTEM, HK_FROM_SYSTEM, false);
    const char *path = hk_knob_text(HK_KNOB_conf);
    return path ? wrong + read_file(path, HK_FROM_FILE, true) : wrong;
}
