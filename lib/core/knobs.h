/* SPDX-License-Identifier: MIT */
/*
 * What: the settings of knobs.def: where their values come from, in this order, the last one wins:
 *   the default, the mode (modes.def), /etc/hakmem.conf, the file that HAKMEM_CONF names, the
 *   environment.
 * Why: one table, no allocation; a wrong value costs one line and changes nothing.
 * Invariants: nothing is read in a setuid program. K1 a value is only replaced by one of a source
 *   that comes later in that order. Threads: the environment is read before there are any, files
 *   under the caller's lock; readers of values come after both.
 */
#ifndef HK_CORE_KNOBS_H
#define HK_CORE_KNOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum hk_knob {
#define HK_KNOB(id, name, type, def, least, most, when, settled, words, help) HK_KNOB_##id,
#include "core/knobs.def"
#undef HK_KNOB
    HK_KNOBS
};

enum hk_mode {
#define HK_MODE(id, purpose) HK_MODE_##id,
#define HK_PRESET(knob, a, b, c, d, e)
#include "core/modes.def"
#undef HK_MODE
#undef HK_PRESET
    HK_MODES
};

enum hk_source { HK_FROM_DEFAULT, HK_FROM_MODE, HK_FROM_SYSTEM, HK_FROM_FILE, HK_FROM_ENVIRONMENT };

#define HK_TEXT_MAX 4096 /* bytes of a TEXT, with the 0: a path */

/* Four numbers of thousandths, each below 32.768, in one. */
#define HK_RATIOS(a, b, c, d)                                                                      \
    ((int64_t)(a) | (int64_t)(b) << 16 | (int64_t)(c) << 32 | (int64_t)(d) << 48)
#define HK_RATIOS_MOST 4u
HK_INLINE int64_t hk_ratio_of(int64_t ratios, unsigned i)
{
    return ratios >> (16 * i) & 0x7fff;
}

/* Six numbers, each below 256, in one. */
#define HK_INTS_MOST 6u
HK_INLINE int64_t hk_int_of(int64_t ints, unsigned i)
{
    return ints >> (8 * i) & 0xff;
}

struct hk_knob_row {
    const char *name; /* after HAKMEM_ */
    enum {
        HK_TYPE_BOOL,
        HK_TYPE_SIZE,
        HK_TYPE_TEXT,
        HK_TYPE_INT,
        HK_TYPE_RATIO,
        HK_TYPE_RATIOS,
        HK_TYPE_INTS,
        HK_TYPE_WORD
    } type;
    int64_t def, least, most;
    enum { HK_WHEN_START, HK_WHEN_LATER } when;
    enum { HK_SETTLED_STABLE, HK_SETTLED_NEW } settled;
    const char *words, *help;
};
extern const struct hk_knob_row hk_knob_rows[HK_KNOBS];
extern const char *const hk_mode_purpose[HK_MODES];

/* Read all HAKMEM_* of env, a list as environ(7); wrong ones counted and reported. */
unsigned hk_knobs_read(char *const *env);
/*
 * Read the lines NAME=VALUE of a file's text, which is changed; a name may go without HAKMEM_, what
 * follows # is skipped. path is for complaints.
 */
unsigned hk_knobs_read_text(char *text, const char *path, enum hk_source from);

/* The parts of both, for tools that tell by themselves what is wrong. */
/* The next line that says something, what follows HAKMEM_ in it; NULL: no more. *line counts up. */
char *hk_knobs_next(char **text, unsigned *line);
/* One NAME=VALUE, what follows HAKMEM_; false: wrong, and *whose is HK_KNOBS if it is nobody's. */
bool hk_knobs_set(const char *var, enum hk_source from, enum hk_knob *whose);

/* As before the first was read; for tests, and tools that read more than once. */
void hk_knobs_forget(void);

int64_t hk_knob_value(enum hk_knob k);
/* NULL if it is not set. */
const char *hk_knob_text(enum hk_knob k);
enum hk_source hk_knob_source(enum hk_knob k);
/* What a mode sets k to; false: nothing, then it is the default. */
bool hk_knob_preset(enum hk_knob k, enum hk_mode m, int64_t *value);
/* k's value as text into out: a word, a number, the text itself; out. */
char *hk_knob_print(enum hk_knob k, int64_t value, char *out, size_t bytes);
/* Word number i of a list with spaces between, and its length; NULL: there are fewer. */
const char *hk_knob_word(const char *words, int64_t i, size_t *len);

#endif
