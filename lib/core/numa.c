/* SPDX-License-Identifier: MIT */
/*
 * What: placement by memory policies.
 * Why: see numa.h. A node that has no memory, or that the process may not use, is refused by the
 *   kernel, and first touch is what remains.
 */
#include "core/numa.h"

#include "core/shard.h"
#include "os/sys.h"

static _Atomic uint8_t mode = HK_NUMA_LOCAL;

void hk_numa_place(void *p, size_t bytes, uint32_t node)
{
    uint8_t how = atomic_load_explicit(&mode, memory_order_relaxed);
    if (HK_LIKELY(how <= HK_NUMA_LOCAL)) return;
    if (how == HK_NUMA_BIND)
        hk_sys_prefer_node(p, bytes, node);
    else
        hk_sys_interleave(p, bytes);
}

/* Others' constructors came first, and have the first memory. */
static void place_all(void)
{
    for (size_t i = 0; i < hk_map_chunks(); i++) {
        const struct hk_shard *s = hk_shard_of(hk_chunk_addr(i));
        if (s) hk_numa_place(hk_chunk_addr(i), HK_CHUNK_BYTES, s->node);
    }
}

void hk_numa_set(enum hk_numa how)
{
    uint8_t was = atomic_exchange_explicit(&mode, (uint8_t)how, memory_order_relaxed);
    if (how == HK_NUMA_OFF) hk_shards_one_node();
    if (was != how && how > HK_NUMA_LOCAL) place_all();
}

void hk_numa_place_here(void *p, size_t bytes)
{
    if (HK_LIKELY(atomic_load_explicit(&mode, memory_order_relaxed) <= HK_NUMA_LOCAL)) return;
    const struct hk_shard *s = hk_shard_here();
    if (s) hk_numa_place(p, bytes, s->node);
}
