/* SPDX-License-Identifier: MIT */
/*
 * What: whose turn it is to be a guarded block.
 * Why: malloc's fast path counts nothing, so the slow one counts what was handed out of its class
 *   since it last came by, and pays all turns that passed meanwhile: the rate is right, also where
 *   one refill does for more allocations than there are between two samples.
 */
#include "front/fast.h"
#include "front/harden.h"
#include "large/guard.h"
#include "os/lock.h"

/* The request and those that bins, or magazines, served before it. */
static int64_t passed(struct hk_heap *h, unsigned c)
{
    uint32_t handed = (uint32_t)(h->hard ? h->hard->magazine[c].served : h->handed[c]);
    int64_t n = (int32_t)(handed - h->sampled[c]);
    h->sampled[c] = handed;
    return n + 1;
}

void *hk_front_sample(unsigned c, size_t n, size_t align, bool zero, const void *site)
{
    if (!hk_guard_fits(n, align)) return NULL;
    if (!hk_thread.heap) hk_heap_attach(&hk_thread); /* as ever: the first malloc reads settings */
    struct hk_heap *h = c ? hk_thread.heap : NULL;
    if (c && hk_thread.bin[c]) return NULL; /* counted when they were put there */
    hk_fork_courtesy();
    void *p = hk_guard_turn(h ? passed(h, c) : 1) ? hk_guard_alloc(n, align, zero, site) : NULL;
    if (!p && h) h->sampled[c]++; /* the refill that follows hands it out */
    return p;
}
