/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode's free of a small block, all in one piece.
 * Why: nearly every free of a hardened program, on level 1. What is odd goes to harden.c, which
 *   looks again: nothing was changed.
 * Threads: the calling thread's own; the shadow byte of a block that nobody else has.
 */
#include "front/hardfast.h"

HK_NOINLINE void hk_hard_pace(void)
{
    hk_front_pace(hk_thread.heap);
}

void *hk_hard_pop_mid(size_t n)
{
    unsigned c = hk_mid_class(n > HK_TINY_MAX ? n : HK_TINY_MAX + 1);
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hd) || HK_UNLIKELY(!hk_harden.kinds)) return NULL;
    struct hk_magazine *m = &hd->magazine[c];
    char *p = *m->top;
    size_t size = m->size, slack = size - HK_CANARY_BYTES - n;
    bool bare = size - n < HK_CANARY_BYTES;
    unsigned kind = bare ? c + HK_BARE : c;
    if (HK_UNLIKELY(!p)) return NULL;
    m->top--;
    m->served++;
    bool odd = hk_shadow_get(p) != HK_SHADOW_FREED || hk_hard_any(p, m, size);
    if (HK_UNLIKELY(odd)) return hk_hard_arm(p, kind, n);
    hk_shadow_set(p, HK_SHADOW_LIVE | kind);
    if (bare) return p;
    hk_seal(p, size, n);
    hk_slack_note(p, slack);
    return p;
}

/* Of the word behind a block's bytes, what of it lies before the canary, by the slack. */
static const uint64_t before_canary[16] = {
    0,          0xff,         0xffff,         0xffffff,
    0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
    UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX,
    UINT64_MAX, UINT64_MAX,   UINT64_MAX,     UINT64_MAX};

/* Whether the filler is as it was; as hk_overrun, for a slack of 15 at most, or `slack` is 8. */
HK_INLINE bool is_filled(const char *end, size_t slack)
{
    return HK_LIKELY(!((hk_word_load(end, 0) ^ HK_FILLER) & before_canary[slack]));
}

/*
 * Of a block above 1 KiB. Its last bytes are written only if they have to be: what nobody touched
 * of a bare one is not to become resident.
 */
static HK_NOINLINE void free_mid(char *p, struct hk_hard *hd, unsigned kind)
{
    struct hk_magazine *m = &hd->magazine[hk_kind_class(kind)];
    size_t size = m->size, slack = hk_slack_noted(p), most = size - HK_CANARY_BYTES;
    if (!hk_is_bare(kind)) {
        bool right = HK_LIKELY(hk_word_load(p, most) == (hk_canary_of(p) ^ slack)) &&
                     is_filled(p + most - slack, slack < 8 ? slack : 8);
        if (HK_UNLIKELY(!right)) {
            hk_front_free_hard(p, 0, false);
            return;
        }
    }
    hk_shadow_set(p, HK_SHADOW_FREED);
    hk_pair *words = (hk_pair *)p, *last = (hk_pair *)(p + size - 16);
    words[0] = words[1] = words[2] = (hk_pair){0, 0};
    if (!hk_is_bare(kind) || (*last)[0] | (*last)[1]) *last = (hk_pair){0, 0};
    hk_hard_hold(hd, m, p);
}

/* Of that function; none on level 2. */
HK_INLINE bool is_mid(unsigned kind)
{
    return kind - HK_MID_FIRST < 2 * HK_BARE && hk_harden.kinds;
}

HK_INLINE void free_small(char *p, size_t n, bool sized)
{
    uintptr_t off = (uintptr_t)p - hk_window_base;
    struct hk_hard *hd = hk_thread.hard;
    if (HK_UNLIKELY(!hk_window_holds(off, &hk_window_end)) || HK_UNLIKELY(!hd)) {
        hk_front_free_hard(p, n, sized);
        return;
    }
    _Atomic uint8_t *shadow = hk_shadow_of(p);
    unsigned c = atomic_load_explicit(shadow, memory_order_relaxed) - HK_SHADOW_LIVE;
    if (HK_UNLIKELY(c - 1 >= hk_harden.kinds) || HK_UNLIKELY((uintptr_t)p % HK_ALIGN_BYTES)) {
        if (!sized && is_mid(c) && (uintptr_t)p % HK_ALIGN_BYTES == 0)
            free_mid(p, hd, c);
        else
            hk_front_free_hard(p, n, sized);
        return;
    }
    size_t size = (size_t)c * HK_ALIGN_BYTES;
    size_t slack = hk_word_load(p, size - HK_CANARY_BYTES) ^ hk_canary_of(p);
    if (HK_UNLIKELY(slack > 15) || !is_filled(p + size - HK_CANARY_BYTES - slack, slack) ||
        (sized && HK_UNLIKELY(n != size - HK_CANARY_BYTES - slack))) {
        hk_front_free_hard(p, n, sized);
        return;
    }
    struct hk_magazine *m = &hd->magazine[c];
    atomic_store_explicit(shadow, HK_SHADOW_FREED, memory_order_relaxed);
    *(hk_pair *)p = *(hk_pair *)(p + m->second) = (hk_pair){0, 0};
    *(hk_pair *)(p + m->third) = *(hk_pair *)(p + size - 16) = (hk_pair){0, 0};
    hk_hard_hold(hd, m, p);
}

void hk_hard_free(void *p)
{
    free_small(p, 0, false);
}

void hk_hard_free_sized(void *p, size_t n)
{
    free_small(p, n, true);
}
