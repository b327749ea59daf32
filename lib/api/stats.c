/* SPDX-License-Identifier: MIT */
/*
 * What: the statistics, gathered from every layer, as a struct and as text.
 * Why: counters live where they are bumped, on slow paths; this file alone adds them up. Blocks
 *   handed out are counted when a bin is refilled, so that malloc itself counts nothing; what the
 *   caller's own bins still hold is taken off, other threads' bins and those kept for the next
 *   thread are not.
 * Threads: all; other threads' counters are read while they change: each is a recent value.
 */
#include <string.h>

#include "api/api.h"
#include "core/pool.h"
#include "front/fast.h"
#include "front/harden.h"
#include "large/guard.h"
#include "large/large.h"
#include "large/mapped.h"
#include "os/probe.h"
#include "os/report.h"
#include "os/sys.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

HK_EXPORT const char *hakmem_version(void)
{
    return PACKAGE_VERSION;
}

/* Blocks in the calling thread's bin. */
static uint64_t in_bin(unsigned c)
{
    uint64_t n = 0;
    for (void *p = hk_thread.bin[c]; p; p = *(void **)p) n++;
    return n;
}

static void add_heaps(struct hakmem_stats *s)
{
    for (struct hk_heap *h = hk_heap_first(); h; h = h->next_all) {
        for (unsigned c = 1; c < HK_ALL_CLASSES; c++) {
            uint64_t n = h->handed[c];
            if (h == hk_thread.heap) n -= in_bin(c);
            if (h->hard && c < HK_CLASSES) n = h->hard->magazine[c].served;
            *(c < HK_MID_FIRST ? &s->tiny_allocs
              : c < HK_CLASSES ? &s->mid_allocs
                               : &s->large_allocs) += n;
        }
        s->heaps++;
        s->remote_frees += h->drained;
        s->refills += h->refills;
        s->held_bytes += (size_t)h->run_units << HK_UNIT_SHIFT;
    }
}

static void add_pool(struct hakmem_stats *s)
{
    struct hk_pool_stats pool;
    hk_pool_read_stats(&pool);
    s->mapped_bytes = pool.mapped_bytes + pool.outside_bytes;
    s->used_bytes = pool.used_bytes + pool.outside_bytes;
    s->free_dirty_bytes = pool.dirty_free_bytes;
    s->mapped_block_bytes = pool.outside_bytes;
    s->purged_bytes = pool.purged_bytes;
    s->purges = pool.purges;
    s->purges_refused = pool.refused;
    s->refault_bytes = pool.refault_bytes;
    s->huge_bytes = pool.huge_bytes;
    s->pool_takes = pool.takes;
    s->pool_warm = pool.warm;
    s->heap_grows = pool.grows;
}

static void add_large(struct hakmem_stats *s)
{
    struct hk_large_stats large;
    struct hk_mapped_stats mapped;
    hk_heap_large_stats(&large);
    hk_mapped_read_stats(&mapped);
    s->large_allocs += large.large_allocs;
    s->big_allocs = large.big_allocs;
    s->large_bytes = large.units << HK_UNIT_SHIFT;
    s->held_hits = large.hits;
    s->mapped_blocks = mapped.blocks;
    struct hk_guard_stats guard;
    hk_guard_read_stats(&guard);
    s->guarded_blocks = guard.live;
    s->guarded_allocs = guard.sampled;
}

HK_EXPORT int hakmem_stats(struct hakmem_stats *out)
{
    struct hakmem_stats s = {.struct_bytes = out->struct_bytes};
    if (out->struct_bytes < sizeof out->struct_bytes || out->struct_bytes > sizeof s) {
        errno = EINVAL;
        return -1;
    }
    hk_probe_quiet();
    add_pool(&s);
    add_large(&s);
    add_heaps(&s);
    size_t others = s.large_bytes + s.held_bytes + s.mapped_block_bytes;
    s.slab_bytes = s.used_bytes > others ? s.used_bytes - others : 0;
    s.metadata_bytes = hk_meta_bytes();
    s.decay_ms = hk_front_decay_ms();
    for (unsigned i = 0; i < HK_SYS_CALLS; i++)
        s.system_calls += atomic_load_explicit(&hk_sys_count[i], memory_order_relaxed);
    hk_probe_loud();
    memcpy(out, &s, out->struct_bytes);
    return 0;
}

static void row(struct hk_text *t, const char *name, uint64_t v, const char *unit)
{
    size_t start = t->len;
    hk_text_str(t, name);
    while (t->len - start < 32) hk_text_str(t, " ");
    hk_text_pad(t, v, 16);
    hk_text_str(t, unit);
    hk_text_str(t, "\n");
}

HK_EXPORT void hakmem_stats_write(int fd)
{
    char buf[4096];
    struct hk_text t = {buf, sizeof buf, 0};
    struct hakmem_stats s = {.struct_bytes = sizeof s};
    hakmem_stats(&s);
    hk_text_str(&t, "hakmem " PACKAGE_VERSION "\n");
    row(&t, "allocations, tiny (to 1 KiB)", s.tiny_allocs, "");
    row(&t, "allocations, mid (to 32 KiB)", s.mid_allocs, "");
    row(&t, "allocations, large (to 2 MiB)", s.large_allocs, "");
    row(&t, "allocations, big", s.big_allocs, "");
    row(&t, "frees from other threads", s.remote_frees, "");
    row(&t, "refills", s.refills, "");
    row(&t, "large blocks from held ones", s.held_hits, "");
    row(&t, "taken from the pool", s.pool_takes, "");
    row(&t, "  resident already", s.pool_warm, "");
    row(&t, "  heap had to grow", s.heap_grows, "");
    row(&t, "heaps", s.heaps, "");
    row(&t, "mapped", s.mapped_bytes, " bytes");
    row(&t, "in use", s.used_bytes, " bytes");
    row(&t, "  slabs", s.slab_bytes, " bytes");
    row(&t, "  large and big blocks", s.large_bytes, " bytes");
    row(&t, "  freed, held by threads", s.held_bytes, " bytes");
    row(&t, "free, resident", s.free_dirty_bytes, " bytes");
    row(&t, "advised to be huge pages", s.huge_bytes, " bytes");
    row(&t, "blocks mapped by themselves", s.mapped_blocks, "");
    row(&t, "  they hold", s.mapped_block_bytes, " bytes");
    row(&t, "guarded blocks", s.guarded_blocks, "");
    row(&t, "  since the start", s.guarded_allocs, "");
    row(&t, "metadata mapped", s.metadata_bytes, " bytes");
    row(&t, "returned to the kernel", s.purged_bytes, " bytes");
    row(&t, "  taken again", s.refault_bytes, " bytes");
    row(&t, "  refused, calls", s.purges_refused, "");
    row(&t, "goes back after", s.decay_ms, " ms");
    row(&t, "process resident, peak", hk_sys_peak_bytes(), " bytes");
    row(&t, "process resident, now", hk_sys_resident_bytes(), " bytes");
    row(&t, "system calls by hakmem", s.system_calls, "");
    for (unsigned i = 0; i < HK_SYS_CALLS; i++) {
        hk_text_str(&t, "  ");
        row(&t, hk_sys_name[i], atomic_load_explicit(&hk_sys_count[i], memory_order_relaxed), "");
    }
    hk_sys_write(fd, buf, t.len);
}
