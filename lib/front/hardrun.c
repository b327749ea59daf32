/* SPDX-License-Identifier: MIT */
/*
 * What: hardened mode's runs: their seals, and the pages behind big ones.
 * Why: see harden.h.
 * Threads: whoever has the block.
 */
#include "front/harden.h"
#include "front/seal.h"
#include "os/report.h"
#include "os/sys.h"

static _Atomic size_t guards;

static bool is_big(const struct hk_unit *u)
{
    return u->run_units >= HK_CHUNK_UNITS;
}

static bool has_guard(const struct hk_unit *u)
{
    return is_big(u) && hk_shadow_get(hk_unit_addr(u)) == HK_SHADOW_GUARD;
}

size_t hk_hard_run_extra(size_t n)
{
    bool big = hk_bytes_to_units(n) >= HK_CHUNK_UNITS;
    return big ? HK_CANARY_BYTES + hk_sys_page_bytes() : 0;
}

/* Where the last page that was asked for ends, or the guard begins. */
static size_t run_end(const struct hk_unit *u)
{
    return hk_large_bytes(u) - u->tail - (has_guard(u) ? hk_sys_page_bytes() : 0);
}

size_t hk_hard_run_bytes(const struct hk_unit *u)
{
    const void *p = hk_unit_addr(u);
    if (!(u->rule & HK_RUN_ARMED)) return hk_large_bytes(u); /* from before hardened mode */
    if (u->rule & HK_RUN_BARE) return run_end(u);
    size_t n = hk_sealed(p, run_end(u));
    if (hk_overrun(p, run_end(u), n)) hk_die_block(hk_says_beyond, p, 0, hk_large_bytes(u));
    return n;
}

void hk_hard_run_arm(struct hk_unit *u, void *p, size_t n)
{
    if (is_big(u)) {
        size_t page = hk_sys_page_bytes();
        bool room = atomic_fetch_add_explicit(&guards, 1, memory_order_relaxed) < hk_harden.guards;
        hk_shadow_set(p, 0);
        room = room && hk_sys_protect((char *)p + run_end(u) - page, page, HK_ACCESS_NONE);
        if (room)
            hk_shadow_set(p, HK_SHADOW_GUARD);
        else
            atomic_fetch_sub_explicit(&guards, 1, memory_order_relaxed);
    }
    bool bare = run_end(u) - n < HK_CANARY_BYTES;
    u->rule = (uint16_t)((u->rule & ~HK_RUN_BARE) | HK_RUN_ARMED | (bare ? HK_RUN_BARE : 0));
    if (!bare) hk_seal(p, run_end(u), n);
}

void hk_hard_run_resize(struct hk_unit *u, void *p, size_t n)
{
    if ((u->rule & HK_RUN_ARMED) && hk_hard_run_disarm(u, p)) hk_hard_run_arm(u, p, n);
}

void hk_hard_run_sized(const void *p, size_t n)
{
    const struct hk_unit *u = hk_unit_of(p);
    if (!u || atomic_load_explicit(&u->owner, memory_order_relaxed) != HK_OWNER_RUN) return;
    if (p != hk_unit_addr(u) || !(u->rule & HK_RUN_ARMED)) return;
    size_t have = hk_hard_run_bytes(u);
    bool right = u->rule & HK_RUN_BARE ? have - n < HK_CANARY_BYTES : n == have;
    if (!right) hk_die_block(hk_says_size, p, 0, hk_large_bytes(u));
}

bool hk_hard_run_disarm(struct hk_unit *u, void *p)
{
    if (!has_guard(u)) return true;
    if (!hk_sys_protect((char *)p + run_end(u), hk_sys_page_bytes(), HK_ACCESS_ALL)) return false;
    hk_shadow_set(p, 0);
    atomic_fetch_sub_explicit(&guards, 1, memory_order_relaxed);
    return true;
}

void hk_hard_run_wipe(const struct hk_unit *u, void *p)
{
    size_t n = hk_hard_run_bytes(u);
    if (n > hk_harden.wipe) n = hk_harden.wipe;
    /* What was never touched is not to become resident. */
    size_t pages = hk_align_up(n, hk_sys_page_bytes());
    if (n < HK_CHUNK_BYTES || !hk_sys_purge(p, pages)) memset(p, 0, n);
}
