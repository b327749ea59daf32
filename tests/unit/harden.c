/* SPDX-License-Identifier: MIT */
/*
 * What: what is known to all, where blocks lie, against the secrets of hardened mode.
 * Why: who sees one address is not to know half of what he needs to make up a link.
 */
#include "core/harden.h"

#include "hktest.h"

#define PLACE_BITS  23 /* of the window's place, above those of a chunk */
#define SECRET_BITS 48
#define MASK        (((uint64_t)1 << PLACE_BITS) - 1)

/* Whether the place's bits are those of secret anywhere in it, as they are or inverted. */
static bool shows(uint64_t secret, uint64_t place)
{
    bool any = false;
    for (unsigned at = 0; at + PLACE_BITS <= SECRET_BITS; at++)
        any |= (secret >> at & MASK) == place || (~secret >> at & MASK) == place;
    return any;
}

int main(void)
{
    hktest_ok(hk_harden_start(1) && hk_hardened(), "it begins");
    uint64_t place = hk_window_base >> HK_CHUNK_SHIFT & MASK;
    uint64_t canary = hk_harden.canary >> HK_SLACK_BITS;
    hktest_ok(hk_link_key && hk_link_key <= HK_LINK_KEY_MASK && !shows(hk_link_key, place),
              "no address shows bits of the key of links");
    hktest_ok(canary && !(hk_harden.canary & ((1u << HK_SLACK_BITS) - 1)) && !shows(canary, place),
              "nor of the canaries");
    /* What the multiplication by an odd number leaves as it was can be undone. */
    hktest_ok(!shows(canary * 0xf1de83e19937733du, place) && canary != hk_link_key,
              "nor is one made of the other");
    return hktest_done();
}
