/* SPDX-License-Identifier: MIT */
/*
 * What: what is known to all, where blocks lie, against the secrets of hardened mode.
 * Why: who sees one address is not to know half of what he needs to make up a link.
 */
#include "core/harden.h"

#include "hktest.h"

/* Of the window's place, above those of a chunk, which are random. */
#define PLACE_BITS 21
#define MASK       (((uint64_t)1 << PLACE_BITS) - 1)

int main(void)
{
    hktest_ok(hk_harden_start(1) && hk_hardened(), "it begins");
    uint64_t place = (uintptr_t)hk_chunk_pieces[0] >> HK_CHUNK_SHIFT;
    uint64_t canary = hk_harden.canary >> HK_SLACK_BITS;
    hktest_ok(hk_link_key && hk_link_key <= HK_LINK_KEY_MASK && (hk_link_key ^ place) & MASK,
              "no address shows the key of links");
    hktest_ok(canary && !(hk_harden.canary & ((1u << HK_SLACK_BITS) - 1)) &&
                  (canary ^ place) & MASK,
              "nor the canaries");
    /* To multiply by an odd number can be undone, from the lowest bit on. */
    hktest_ok((canary * 0xf1de83e19937733du ^ place) & MASK && canary != hk_link_key,
              "nor is one made of the other");
    return hktest_done();
}
