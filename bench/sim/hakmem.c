/* SPDX-License-Identifier: MIT */
/*
 * What: hakmem as the loads see it. Compiled like the library's code: its fast paths are in here.
 */
#include "core/pool.h"
#include "front/fast.h"
#include "os/cpu.h"
#include "sim.h"

/* What the api layer has for the front layer. */
void hk_thread_born(struct hk_thread *t)
{
    (void)t;
}
void hk_settings_late(void)
{
}

static void start(void)
{
    hk_cpu_virtual = sim_place;
    hk_map_init();
    sim_machine_blocks(hk_window_base, (size_t)1 << 44);
}

static void *alloc(size_t n)
{
    void *p = hk_fast_alloc(n);
    return p ? p : hk_front_alloc(n, NULL);
}

static void give(void *p)
{
    hk_free(p);
}

static void thread_end(void)
{
    hk_heap_park(&hk_thread);
}

static void *units(size_t n)
{
    bool clean;
    return hk_pool_alloc(n, 1, &clean);
}

static void units_free(void *p, size_t n)
{
    hk_pool_free(p, n);
}

const struct sim_scheme sim_hakmem = {"hakmem", start, alloc, give, thread_end, units, units_free};
