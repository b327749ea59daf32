/* SPDX-License-Identifier: MIT */
/*
 * What: the values of the knobs of knobs.def, read once from the environment.
 * Why: one table, one pass, no allocation; a wrong value costs one line and the default is used.
 * Invariants: nothing is read in a setuid program. Written once, before threads can see it.
 */
#ifndef HK_CORE_KNOBS_H
#define HK_CORE_KNOBS_H

#include <stdint.h>

enum hk_knob {
#define HK_KNOB(id, name, type, def, least, most, help) HK_KNOB_##id,
#include "core/knobs.def"
#undef HK_KNOB
    HK_KNOBS
};

struct hk_knob_row {
    const char *name; /* after HAKMEM_ */
    enum { HK_TYPE_BOOL, HK_TYPE_SIZE, HK_TYPE_TEXT, HK_TYPE_OFF_AUTO_ON } type;
    int64_t def, least, most;
    const char *help;
};
extern const struct hk_knob_row hk_knob_rows[HK_KNOBS];

/* Read all HAKMEM_* of env, a list as environ(7); wrong ones counted and reported. */
unsigned hk_knobs_read(char *const *env);
int64_t hk_knob_value(enum hk_knob k);
/* NULL if it is not set. */
const char *hk_knob_text(enum hk_knob k);

#endif
