/* SPDX-License-Identifier: MIT */
/*
 * What: one thread puts sizes in force, two others begin slabs of them, by a word that may be
 * stale, and end them. Why: all slabs of a slot have one size (D1, D2), and who begins one comes
 * after all that ended with another size (E1).
 */
#include "layer.h"

#define HK_DYN_SLOTS  2u
#define HK_DYN_CHOSEN 2u
#define A_SLAB        ((uint64_t)1 << 32)
#define SIZES         4
struct words {
    shared<uint64_t> slot[HK_DYN_SLOTS];
    shared<uint32_t> word{0};
    cell<unsigned> live[HK_DYN_SLOTS][SIZES][3];
};
EACH_RUN(struct words, words);
static auto &hk_dyn_slot = words.slot;
static auto &hk_dyn_word = words.word;

#include "cut.h"

/* A slab of slot that is for so many bytes at least. */
static void slab(unsigned slot, unsigned bytes, unsigned me)
{
    size_t got = hk_dyn_claim(slot);
#ifndef NOT_LOOKED_AT
    if (got >= bytes)
#endif
    {
        RL_ASSERT(got >= bytes);
        words.live[slot][got][me] = 1;
        for (unsigned size = 1; size < SIZES; size++)
            if (size != got) RL_ASSERT(!words.live[slot][size][3 - me]);
        RL_ASSERT(hk_dyn_bytes(slot) == got);
        words.live[slot][got][me] = 0;
    }
    hk_dyn_drop(slot);
}

struct scene : rl::test_suite<scene, 3> {
    void before()
    {
        make_anew(words);
        for (auto &slot : words.slot) store(&slot, 0, rl::mo_relaxed);
        for (auto &slot : words.live)
            for (auto &size : slot)
                for (auto &of : size) of = 0;
        size_t first[HK_DYN_CHOSEN] = {1, 2};
        hk_dyn_set(first);
    }
    void thread(unsigned i)
    {
        static const size_t sizes[3][HK_DYN_CHOSEN] = {{3, 2}, {3, 1}, {2, 1}};
        for (unsigned n = 0; n < 3; n++) {
            uint32_t seen = hk_dyn_now();
            unsigned slot = ((n & 1 ? seen >> 8 : seen) & 0xff) - 1;
            if (i == 0)
                hk_dyn_set(sizes[n]);
            else if (slot < HK_DYN_SLOTS)
                slab(slot, n, i);
        }
    }
    void after()
    {
        for (auto &slot : words.slot) RL_ASSERT(slot.is.debug_value() < A_SLAB);
        unmake(words);
    }
};

MAIN(holds<scene>(runs))
