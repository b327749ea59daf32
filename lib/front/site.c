/* SPDX-License-Identifier: MIT */
/*
 * What: call sites: the table of them, and the rules.
 * Why: see site.h.
 */
#include "front/site.h"

#include <string.h>

#include "core/knobs.h"
#include "core/map.h"
#include "os/object.h"

#define LOOKS       8u    /* entries that a place may be in */
#define LOOK_AGAIN  1024u /* requests by places without one */
#define LOOK_UNREAD 64u   /* requests */
#define LOOK_LISTED 4096u /* requests by a place that has one: 50 µs are 12 ns for each of them */

struct rule {
    const char *name; /* in the text of the setting, which stays */
    size_t len;
    uintptr_t offset;
    unsigned action;      /* plus one */
    _Atomic uintptr_t at; /* the address in this process; 0: its file is not mapped */
};
struct sites {
    struct hk_site site[HK_SITES];
    struct rule rule[HK_SITE_RULES];
    unsigned rules;            /* constant once published */
    _Atomic uint32_t unlisted; /* requests by places that found no entry, or while unread is set */
    _Atomic bool unread;       /* the maps were not to be had */
    _Atomic bool asked;        /* there was a request */
};
static _Atomic(struct sites *) here;

static bool hexadecimal(const char *s, const char *end, uintptr_t *out)
{
    uintptr_t v = 0;
    if (end - s < 1 || end - s > 16) return false;
    for (; s < end; s++) {
        unsigned c = (unsigned char)*s, low = c | 0x20;
        unsigned digit = c - '0' < 10 ? c - '0' : low - 'a' < 6 ? low - 'a' + 10 : 16;
        if (digit == 16) return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* Its number plus one; 0: there is none such. */
static unsigned action_of(const char *s, size_t len)
{
    const char *word;
    size_t is;
    for (unsigned a = 0; (word = hk_knob_word(hk_knob_rows[HK_KNOB_action_mid].words, a, &is));
         a++) {
        if (is == len && memcmp(word, s, len) == 0) return a + 1;
    }
    return 0;
}

/* The rule in [s, end). */
static bool parse(const char *s, const char *end, struct rule *r)
{
    const char *is = memchr(s, '=', (size_t)(end - s)), *plus = NULL;
    for (const char *p = s; is && p + 3 < is; p++) {
        if (memcmp(p, "+0x", 3) == 0) plus = p; /* the last: names may have a + */
    }
    if (!plus || plus == s || !hexadecimal(plus + 3, is, &r->offset)) return false;
    r->name = s;
    r->len = (size_t)(plus - s);
    r->action = action_of(is + 1, (size_t)(end - is - 1));
    return r->action != 0;
}

bool hk_sites_start(const char *rules, const char **wrong)
{
    *wrong = NULL;
    struct sites *t = hk_map_init() ? hk_meta_alloc(sizeof *t) : NULL;
    if (!t) return false;
    for (const char *s = rules; s && *s;) {
        size_t len = strcspn(s, ",");
        if (t->rules == HK_SITE_RULES || !parse(s, s + len, &t->rule[t->rules])) {
            *wrong = s;
            break;
        }
        t->rules++;
        s += len + (s[len] == ',');
    }
    atomic_store_explicit(&here, t, memory_order_release);
    return true;
}

static void find_rules(struct sites *t)
{
    if (!t->rules) return;
    char *maps = hk_object_maps();
    atomic_store_explicit(&t->unread, !maps, memory_order_relaxed);
    if (!maps) return; /* as it was; asked again now and then */
    for (unsigned i = 0; i < t->rules; i++) {
        struct rule *r = &t->rule[i];
        uintptr_t base, at = hk_object_base(maps, r->name, r->len, &base) ? base + r->offset : 0;
        atomic_store_explicit(&r->at, at, memory_order_relaxed);
    }
    hk_object_release(maps);
}

static unsigned rule_for(const struct sites *t, uintptr_t at)
{
    for (unsigned i = 0; i < t->rules; i++) {
        const struct rule *r = &t->rule[i];
        if (atomic_load_explicit(&r->at, memory_order_relaxed) == at) return r->action;
    }
    return 0;
}

static void find_again(struct sites *t, uint32_t every)
{
    uint32_t n = atomic_fetch_add_explicit(&t->unlisted, 1, memory_order_relaxed);
    if (n % every == 0) find_rules(t);
}

/* The place's entry, made if there is room; NULL: there is none. */
static struct hk_site *entry(struct sites *t, uintptr_t at)
{
    uint64_t first = (at * 0x9e3779b97f4a7c15u) >> 58;
    for (unsigned i = 0; i < LOOKS; i++) {
        struct hk_site *s = &t->site[(first + i) % HK_SITES];
        uintptr_t is = atomic_load_explicit(&s->at, memory_order_relaxed);
        if (is == at) return s;
        if (is) continue;
        if (atomic_compare_exchange_strong_explicit(&s->at, &is, at, memory_order_relaxed,
                                                    memory_order_relaxed)) {
            find_rules(t);
            return s;
        }
        if (is == at) return s;
    }
    find_again(t, LOOK_AGAIN);
    return NULL;
}

static void add(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

unsigned hk_site_request(const void *at, size_t n)
{
    struct sites *t = atomic_load_explicit(&here, memory_order_acquire);
    if (!t || !at) return 0;
    atomic_store_explicit(&t->asked, true, memory_order_relaxed);
    struct hk_site *s = entry(t, (uintptr_t)at);
    if (s) {
        add(&s->requests, 1);
        add(&s->bytes, n);
        /* Its file may be gone, and another one where it was. */
        if (atomic_load_explicit(&s->requests, memory_order_relaxed) % LOOK_LISTED == 0)
            find_rules(t);
    }
    if (HK_UNLIKELY(atomic_load_explicit(&t->unread, memory_order_relaxed)))
        find_again(t, LOOK_UNREAD);
    return rule_for(t, (uintptr_t)at);
}

unsigned hk_site_rule(uintptr_t at)
{
    struct sites *t = atomic_load_explicit(&here, memory_order_acquire);
    return t ? rule_for(t, at) : 0;
}

const struct hk_site *hk_sites(void)
{
    struct sites *t = atomic_load_explicit(&here, memory_order_acquire);
    return t && atomic_load_explicit(&t->asked, memory_order_relaxed) ? t->site : NULL;
}
