/* SPDX-License-Identifier: MIT */
/*
 * What: size classes that are chosen at run time.
 * Why: see dynclass.h.
 */
#include "base/dynclass.h"

#define A_SLAB ((uint64_t)1 << 32)

_Atomic uint64_t hk_dyn_slot[HK_DYN_SLOTS];
_Atomic uint32_t hk_dyn_word;

size_t hk_dyn_claim(unsigned slot)
{
    return (uint32_t)atomic_fetch_add_explicit(&hk_dyn_slot[slot], A_SLAB, memory_order_acquire);
}

void hk_dyn_drop(unsigned slot)
{
    atomic_fetch_sub_explicit(&hk_dyn_slot[slot], A_SLAB, memory_order_release);
}

/* One that has the size, in force or not; HK_DYN_SLOTS: none. */
static unsigned having(size_t bytes)
{
    unsigned slot = 0;
    while (slot < HK_DYN_SLOTS && hk_dyn_bytes(slot) != bytes) slot++;
    return slot;
}

/* One that has no slab and is not in force gets the size; HK_DYN_SLOTS: none can. */
static unsigned given(size_t bytes)
{
    for (unsigned slot = 0; slot < HK_DYN_SLOTS; slot++) {
        uint64_t is = atomic_load_explicit(&hk_dyn_slot[slot], memory_order_relaxed);
        if (hk_dyn_in_force(slot) || is >= A_SLAB) continue;
        if (atomic_compare_exchange_strong_explicit(&hk_dyn_slot[slot], &is, bytes,
                                                    memory_order_acquire, memory_order_relaxed))
            return slot;
    }
    return HK_DYN_SLOTS;
}

/* Each slot, HK_DYN_SLOTS for none; the shorter one's first. */
static void put_in_force(const unsigned slot[HK_DYN_CHOSEN])
{
    uint32_t word = 0;
    for (unsigned i = HK_DYN_CHOSEN; i-- > 0;)
        if (slot[i] < HK_DYN_SLOTS) word = word << 8 | (slot[i] + 1);
    atomic_store_explicit(&hk_dyn_word, word, memory_order_release);
}

bool hk_dyn_set(const size_t sizes[HK_DYN_CHOSEN])
{
    unsigned slot[HK_DYN_CHOSEN];
    bool all = true;
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++)
        slot[i] = sizes[i] ? having(sizes[i]) : HK_DYN_SLOTS;
    put_in_force(slot); /* what stays, first: the slots of those that go may be free at once */
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++) {
        if (!sizes[i] || slot[i] < HK_DYN_SLOTS) continue;
        slot[i] = given(sizes[i]);
        all &= slot[i] < HK_DYN_SLOTS;
        put_in_force(slot);
    }
    return all;
}

void hk_dyn_read(size_t sizes[HK_DYN_CHOSEN])
{
    uint32_t now = hk_dyn_now();
    for (unsigned i = 0; i < HK_DYN_CHOSEN; i++, now >>= 8)
        sizes[i] = now & 0xff ? hk_dyn_bytes((now & 0xff) - 1) : 0;
}
