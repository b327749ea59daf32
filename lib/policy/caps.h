/* SPDX-License-Identifier: MIT */
/*
 * What: how many free blocks to keep of each class: learnt from hit rates, held to a budget.
 * Why: a class that misses wants more, one that never does may give; memory for all has an end.
 * Invariants: I1 after each function: sum of cap × bytes ≤ budget, and cap ≤ most. I2 cap ≥ least,
 *   if all leasts fit in the budget; if not, the budget goes before. I3 between two forgettings or
 *   budgets a class turns from growing to shrinking at most HK_CAPS_TURNS times, whatever it is
 *   told; in between it goes one way. So it changes in at most HK_CAPS_CHANGES(s) windows, s being
 *   the steps from 0 to its most, and then is at rest.
 * Source: hit rates against a target, with a budget filled like water: the prototype's CAP
 *   learning; the same aim as cache sizes in Zhou et al., Characterizing a memory allocator at
 *   warehouse scale (2024).
 */
#ifndef HK_POLICY_CAPS_H
#define HK_POLICY_CAPS_H

#include "policy/fixed.h"

#define HK_CAPS_CLASSES     8u
#define HK_CAPS_BLOCKS_MOST (1u << 24)          /* of a class */
#define HK_CAPS_BYTES_MOST  ((uint64_t)1 << 32) /* of a block */
#define HK_CAPS_MARGIN      HK_Q16_PCT(2)       /* around the target nothing changes */
#define HK_CAPS_REQUESTS    16u                 /* of a class; a window with less tells nothing */
#define HK_CAPS_ROUNDS      4u                  /* steps up that a class may get in one window */
/* A class that misses takes from one whose misses, and so many parts of them more, are fewer. */
#define HK_CAPS_TAKE 4u
/*
 * A cap that was found too small is not tried again for so many windows, twice as many each time,
 * and only so often: a rate that jumps across the target between two caps would be chased for ever.
 */
#define HK_CAPS_WAIT  16u
#define HK_CAPS_TURNS 4u
/* Twice or half as many requests in so many windows in a row: another load; what was too small or
 * how often it turned is forgotten. */
#define HK_CAPS_ODD 3u
/* Runs of one way, shrinking first, each of so many steps and a shorter one. */
#define HK_CAPS_CHANGES(steps) ((2 * HK_CAPS_TURNS + 2) * ((uint64_t)(steps) + 1))

struct hk_caps_class {
    uint64_t bytes;                  /* of a block */
    uint32_t cap, least, most, step; /* blocks */
    uint32_t enough;                 /* fewer were found too few; 0: not known */
    uint32_t wait, waited;           /* windows until that is doubted */
    uint64_t demand;                 /* misses a window lately, times 16 */
    uint64_t usual;                  /* requests a window; 0: not known */
    uint8_t turns, odd;
    int8_t way;  /* of the last change: 1 up, -1 down */
    bool shrunk; /* ever */
};

struct hk_caps {
    uint32_t classes;
    hk_q16 target; /* of the hit rate */
    uint64_t budget;
    struct hk_caps_class of[HK_CAPS_CLASSES];
};

/* What a class saw in a window. */
struct hk_caps_seen {
    uint64_t hits, misses;
};

/* Budget in bytes; target in [0, 1], else moved there. */
void hk_caps_init(struct hk_caps *c, uint64_t budget, hk_q16 target);
/*
 * Adds a class that starts at its least if that fits. bytes 1 … 2^32, blocks at most 2^24,
 * least ≤ most, 1 ≤ step: else moved there. Its number; HK_CAPS_CLASSES if all are taken.
 */
uint32_t hk_caps_add(struct hk_caps *c, uint64_t bytes, uint32_t least, uint32_t most,
                     uint32_t step);
/* Another budget: caps that do not fit give up at once, the least demanded class first. */
void hk_caps_budget(struct hk_caps *c, uint64_t budget);
/* A window ended: seen[i] for class i. Returns how many caps changed. */
uint32_t hk_caps_window(struct hk_caps *c, const struct hk_caps_seen *seen);
/* The load is another one: all may turn again. Caps stay. */
void hk_caps_forget(struct hk_caps *c);
/* Bytes that all caps allow. */
uint64_t hk_caps_sum(const struct hk_caps *c);

#endif
