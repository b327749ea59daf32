/* SPDX-License-Identifier: MIT */
/*
 * What: what a run has learned, as HAKMEM_POLICY_FILE tells it, and what the commands over it
 * share. Why: policy, its chart and profile show one thing in three ways. Invariants: P1 numbers
 * with a point are in thousandths. P2 bands, actions, arms and states in here exist, and rounding
 * is within the bounds of its setting, whatever the file said.
 */
#ifndef HK_TOOLS_POLICY_H
#define HK_TOOLS_POLICY_H

#include "tool.h"

/* read.c: JSON as the library writes it: no backslash in texts, no sign, exponent or word. */
struct json {
    enum json_kind { JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_GROUP } kind;
    unsigned line;
    const char *name, *text;   /* NULL: it is in a list; it is no text */
    uint64_t whole;            /* of a number */
    unsigned rest;             /* thousandths of it */
    struct json *first, *next; /* in it; after it. NULL: none */
    unsigned count;            /* in it */
};
struct reader {
    const char *path;
    unsigned line;
    char *all, *at, *end; /* the file */
    struct json *nodes;   /* of one process */
    size_t used;
};
/* False, told: it cannot be read. To be ended anyway. */
bool reader_open(struct reader *r, const char *path);
void reader_end(struct reader *r);
/* The next group; NULL: the end, or, told and counted in *wrong, garbage. Ends the last one's life.
 */
struct json *reader_next(struct reader *r, bool *wrong);
/* A line on standard error about a place in it. */
PRINTF(3, 4) void reader_tell(const struct reader *r, unsigned line, const char *format, ...);

#define BANDS     3
#define ACTIONS   4
#define ARMS      5
#define CLASSES   6
#define SIZES     2
#define DECISIONS 64
#define POINTS    64
#define PLACES    64
#define RATINGS   (BANDS * ACTIONS)

enum { STATE_OFF, STATE_BUSY, STATE_LEARN, STATE_CANARY, STATE_FROZEN, STATES };
enum { ORDER_TRY, ORDER_KEEP, ORDER_REVERT, ORDER_RELEARN, ORDERS };

struct in_force {
    unsigned action[BANDS];
    uint64_t wmax[2];
    uint64_t cap_units[CLASSES], size[SIZES]; /* bytes; 0: none */
    uint64_t threshold;                       /* of huge pages, bytes */
    bool caps_on;
};
struct decision {
    uint64_t window;
    enum { ABOUT_ACTION, ABOUT_WMAX, ABOUT_HUGE, ABOUT_CAPS, ABOUT_SIZES, ABOUT_STATE } about;
    unsigned band, order;    /* of an action or a rounding; of the state */
    unsigned from, to;       /* actions */
    uint64_t wmax[2];        /* from, to: thousandths; of ABOUT_HUGE: bytes */
    uint64_t cost[2];        /* ns of from and to; rewards; ns a request now and before; -, bytes */
    uint64_t changed;        /* caps */
    uint64_t size[2][SIZES]; /* from, to */
};
struct policy {
    unsigned process; /* its number in the file, from 1 on */
    unsigned state;   /* off: what follows in_force is not known */
    struct in_force in_force, before;
    uint64_t windows, requests, tried, kept, reverted, relearnt, median, p99;
    struct rating {
        uint64_t rating, matches, cost;
    } rating[BANDS][ACTIONS];
    struct arm {
        uint64_t wmax, pulls, mean, bound;
    } arm[2][ARMS], huge[ARMS]; /* wmax of huge: a threshold, bytes */
    struct cap {
        uint64_t units, cap, most, misses;
    } cap[CLASSES];
    unsigned sites;
    struct site {
        char object[80]; /* cut, if its name is longer */
        uint64_t offset, requests, bytes;
        unsigned rule; /* ACTIONS: none */
    } site[PLACES];
    unsigned decisions, points;
    struct decision decision[DECISIONS];
    struct point {
        uint64_t window, rating[RATINGS], cap[CLASSES];
    } point[POINTS];
};
extern const char *const band_names[BANDS], *const state_names[STATES];

/* learned.c: the process asked for, or the last one; not GOOD: told. */
enum status policy_read(struct policy *p, const struct request *r, const char *command);
/* The word of an action. */
const char *action_name(unsigned action, char out[SHOW_BYTES]);

/* The arm whose rounding is in force; ARMS: it is not known. */
unsigned arm_in_force(const struct policy *p, unsigned band);

/* told.c: a decision in words; to be freed. */
char *decision_told(const struct decision *d);
/* Nanoseconds in the unit that suits; thousandths with a point. */
const char *show_ns(uint64_t ns, char out[SHOW_BYTES]);
/* Sizes with `and` between, or `none`. */
const char *show_sizes(const uint64_t size[SIZES], char out[2 * SHOW_BYTES]);
/* Bytes, or `none`. */
const char *show_threshold(uint64_t bytes, char out[SHOW_BYTES]);
const char *show_thousandths(uint64_t v, char out[SHOW_BYTES]);

/* chart.c */
enum status chart_write(const struct policy *p, const char *path);

#endif
