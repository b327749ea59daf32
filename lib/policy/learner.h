/* SPDX-License-Identifier: MIT */
/*
 * What: the controller of all that is learned about large and big blocks: windows of observations
 *   in, decisions out, and an account of why.
 * Why: the deciders know one thing each; here they meet the life of a policy: measured, tried,
 *   kept or taken back, left alone, learned anew when the load is another one.
 * Invariants: W1 no clock, lock or allocation: the same configuration and the same windows give
 *   the same decisions. W2 what is decided is valid whatever the windows say: every decider holds
 *   its own bounds. W3 what was measured to be worse than what was before is taken back.
 * Threads: whoever owns the struct.
 */
#ifndef HK_POLICY_LEARNER_H
#define HK_POLICY_LEARNER_H

#include "policy/caps.h"
#include "policy/elo.h"
#include "policy/idle.h"
#include "policy/lifecycle.h"
#include "policy/p2.h"
#include "policy/sizes.h"
#include "policy/snapshot.h"
#include "policy/ucb.h"

#define HK_LEARN_HUGE  2u /* of ucb and canary: from which size on blocks get huge pages */
#define HK_LEARN_BANDS 3u /* mid, large, big: enum hk_band less one */
/* KiB that a band must have had freed and taken again, or free, before its actions are rated. */
#define HK_LEARN_KIB 1024u
/* What the pool's lock and search cost a request that no held run served, and its free. */
#define HK_LEARN_MISS_NS 150u
/*
 * A reward that leaves nothing to gain: no other rounding is tried. A longer run is colder, which
 * no count tells: phases of bench/ took 1.6 times as long with 0.99 of hits instead of 0.97.
 */
#define HK_LEARN_ENOUGH HK_Q16_PCT(90)
/* Windows of the start, which tell of first touches more than of anything else; or so long. */
#define HK_LEARN_WARMUP    4u
#define HK_LEARN_WARMUP_MS 1000u
/* Ratings by which another action must be ahead of the one in force. */
#define HK_LEARN_MARGIN (20u * HK_ELO_POINT)
/* Points within which an action is as likely as not to be tried for a window, if all may be. */
#define HK_LEARN_TEMPERATURE 20u
#define HK_LEARN_DECISIONS   64u /* the last ones, to be told */
/* Points of the history: one in so many windows at first, in twice as many when all are taken. */
#define HK_LEARN_POINTS 64u
#define HK_LEARN_EVERY  8u
/* A window ends after so many requests, or after LEARN_WINDOW_MS. */
#define HK_LEARN_REQUESTS 64u
/* After so many windows half of what is known of sizes is forgotten. */
#define HK_LEARN_SIZES_FADE 8u

enum hk_elo_mode { HK_ELO_OFF, HK_ELO_FROZEN, HK_ELO_LEARN };

struct hk_learn_config {
    enum hk_life_mode life;
    enum hk_elo_mode elo;
    bool wmax, caps, huge; /* whether these are learned */
    unsigned sizes;        /* so many classes are chosen, */
    uint64_t seed;
    struct hk_snapshot start;        /* in force until something else is learned */
    size_t sizes_set[HK_DYN_CHOSEN]; /* beside those set by hand; none last, as 0 */
    hk_q16 target[2];                /* hit rates, of the mid and the large band */
    uint64_t budget[2];              /* bytes a thread */
    uint32_t step[2];                /* runs */
};

/* What was seen between the ends of two windows, by all threads. */
struct hk_window {
    uint64_t ms, us;                                     /* that it lasted, either way */
    uint64_t requests;                                   /* for large and big blocks */
    uint64_t big;                                        /* of them, for big ones */
    uint64_t asked[HK_RUN_CLASSES], had[HK_RUN_CLASSES]; /* of a thread's own runs */
    uint64_t rounded[2];                                 /* units more than asked for, by band */
    uint64_t live;                                       /* runs that are blocks, at its end */
    uint64_t refault_kib, calls;                         /* what giving back has cost */
    uint64_t held_kib;                                   /* free and resident at its end */
    uint64_t
        touched_kib[2];   /* of big blocks that were not resident: in small pages, in huge ones */
    uint32_t touch_ns[2]; /* that a KiB of such costs; 0: not known */
    uint32_t size_count[HK_SIZES_BUCKETS], size_largest[HK_SIZES_BUCKETS];
    struct hk_idle idle[HK_LEARN_BANDS]; /* again: since the last one; still: at its end */
    struct hk_prices prices;
};

enum hk_decided {
    HK_DECIDED_ACTION_MID, /* in the order of the bands */
    HK_DECIDED_ACTION_LARGE,
    HK_DECIDED_ACTION_BIG,
    HK_DECIDED_WMAX_MID,
    HK_DECIDED_WMAX_LARGE,
    HK_DECIDED_HUGE,
    HK_DECIDED_CAPS,
    HK_DECIDED_SIZES,
    HK_DECIDED_STATE /* of the lifecycle; by enum hk_life_order */
};

struct hk_decision {
    uint64_t window;
    uint8_t what, from, to, order;
    /*
     * Of actions: ns that all that is remembered would have cost under each. Of arms: mean
     * rewards, Q16. Of sizes: bytes of the two that were, and that are, the second one above bit
     * 32. Of caps: how many changed, and bytes that all allow. Of the state: ns a request
     * in the window, or for a verdict in the trial, and before (Q16).
     */
    uint64_t cost_from, cost_to;
};

/* How a window found the ratings, in points, with its own match, and the caps, in runs. */
struct hk_learn_point {
    uint16_t rating[HK_LEARN_BANDS][HK_ACTIONS];
    uint8_t cap[HK_RUN_CLASSES];
};

/* To be drawn; nothing is decided by it. */
struct hk_learn_history {
    uint64_t every; /* windows */
    uint32_t points;
    struct hk_learn_point point[HK_LEARN_POINTS]; /* number p: of window (p + 1) every */
};

struct hk_learner {
    struct hk_learn_config config;
    struct hk_lifecycle life;
    struct hk_elo elo;
    struct hk_idle idle[HK_LEARN_BANDS];
    uint64_t cost[HK_LEARN_BANDS][HK_ACTIONS]; /* by all that is remembered, ns */
    struct hk_ucb ucb[3];                      /* rounding, of both bands; HK_LEARN_HUGE */
    struct hk_canary canary[3];
    struct hk_caps caps[2];
    uint64_t asked, had; /* of a thread's own runs, in this LEARN */
    struct hk_sizes sizes;
    size_t sizes_chosen[HK_DYN_CHOSEN]; /* by what is known of sizes */
    size_t sizes_now[HK_DYN_CHOSEN], sizes_learned[HK_DYN_CHOSEN], sizes_before[HK_DYN_CHOSEN];
    struct hk_p2 median, tail; /* of the windows' cost, ns a request */
    struct hk_random random;
    struct hk_snapshot now, learned, before; /* in force · by what is known · to go back to */
    uint64_t windows, requests, ms;
    struct hk_decision decision[HK_LEARN_DECISIONS]; /* number d is at d % HK_LEARN_DECISIONS */
    uint64_t decisions;
    struct hk_learn_history history;
};

void hk_learner_init(struct hk_learner *l, const struct hk_learn_config *config);
/* A window ended; true if what is in force changed: l->now. */
bool hk_learner_window(struct hk_learner *l, const struct hk_window *w);

#endif
