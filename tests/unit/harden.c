/* SPDX-License-Identifier: MIT */
/*
 * What: what is known to all, where blocks lie, against the secrets of hardened mode; a list of
 * free blocks whose slab is another heap's by now. Why: who sees one address is not to know half of
 * what he needs to make up a link. And a false alarm ends a program.
 */
#include "core/harden.h"

#include "front/fast.h"
#include "front/harden.h"
#include "hakmem.h"
#include "hktest.h"

/* Of the window's place, above those of a chunk, which are random. */
#define PLACE_BITS 21
#define MASK       (((uint64_t)1 << PLACE_BITS) - 1)

/* A slab that was let loose may have an owner that closes a hole: the bound is told a moment later.
 */
static void hole_being_closed(void)
{
    enum { SIZE = 64, CLASS = SIZE / HK_ALIGN_BYTES };
    void *p = hakmem_malloc(SIZE - HK_CANARY_BYTES);
    if (!p || !hk_thread.hard) hktest_bail("no memory");
    char *waits = hk_thread.hard->bins.bin[CLASS];
    struct hk_unit *u = hk_unit_of(waits);
    HKTEST(waits && hk_slab_first(u) == u && !hk_holes_of(u) && u->bound);
    hktest_ok(hk_is_free(u, waits) && !hk_is_free(u, waits + HK_ALIGN_BYTES), "a free block");
    uint32_t bound = u->bound;
    u->bound = 0;
    hktest_ok(hk_is_free(u, waits) && !hk_is_free(u, waits + HK_ALIGN_BYTES),
              "is one too while its slab's owner closes a hole");
    u->bound = bound;
    hakmem_free(p);
}

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
    hole_being_closed();
    return hktest_done();
}
