/* SPDX-License-Identifier: MIT */
/*
 * What: the cost of each way to treat freed memory.
 * Why: see idle.h.
 */
#include "policy/idle.h"

uint32_t hk_action_ms(uint32_t action)
{
    static const uint32_t ms[HK_ACTIONS] = {HK_ACTION_KEEP_MS, HK_ACTION_LAZY_MS,
                                            HK_ACTION_BATCH_MS, HK_ACTION_NOW_MS};
    return ms[action < HK_ACTIONS ? action : HK_ACTION_KEEP];
}

uint32_t hk_idle_ms(uint32_t bucket)
{
    if (bucket == 0) return HK_IDLE_FIRST / 2;
    if (bucket >= HK_IDLE_BUCKETS) bucket = HK_IDLE_BUCKETS - 1;
    /* (1 + √2) / 2 and (√2 + 2) / 2, in thousandths. */
    uint32_t from = 1u << (2 + (bucket - 1) / 2);
    return from * (bucket % 2 ? 1207u : 1707u) / 1000;
}

void hk_idle_again(struct hk_idle *h, uint64_t ms, uint64_t kib)
{
    uint64_t *sum = &h->again[hk_idle_bucket(ms)];
    *sum = hk_sat_add(*sum, kib);
}

void hk_idle_still(struct hk_idle *h, uint64_t ms, uint64_t kib)
{
    uint64_t *sum = &h->still[hk_idle_bucket(ms)];
    *sum = hk_sat_add(*sum, kib);
}

void hk_idle_fade(struct hk_idle *h)
{
    for (uint32_t b = 0; b < HK_IDLE_BUCKETS; b++) {
        uint64_t part = h->again[b] / HK_IDLE_FADE + (h->again[b] % HK_IDLE_FADE != 0);
        h->again[b] -= part;
    }
}

/* ns for KiB at the price of HK_IDLE_CALL_KIB: < 2^56, so the product fits 128 bits. */
static uint64_t priced(uint64_t kib, uint64_t ns_a_call)
{
    unsigned __int128 ns = (unsigned __int128)kib * ns_a_call / HK_IDLE_CALL_KIB;
    return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

void hk_idle_costs(const struct hk_idle *h, const struct hk_prices *p, uint64_t cost[HK_ACTIONS])
{
    for (uint32_t a = 0; a < HK_ACTIONS; a++) {
        uint64_t most = hk_action_ms(a), sum = 0;
        for (uint32_t b = 0; b < HK_IDLE_BUCKETS; b++) {
            if ((h->again[b] | h->still[b]) == 0) continue;
            uint64_t ms = hk_idle_ms(b), held = ms < most ? ms : most;
            uint64_t ns = HK_IDLE_CALL_KIB * (uint64_t)p->hold_ns_per_kib_s * held / 1000;
            if (ms > most) ns += p->give_ns; /* it went back meanwhile */
            sum = hk_sat_add(sum, priced(h->still[b], ns));
            if (ms > most) ns += HK_IDLE_CALL_KIB * (uint64_t)p->refault_ns_per_kib;
            sum = hk_sat_add(sum, priced(h->again[b], ns));
        }
        cost[a] = sum;
    }
}
