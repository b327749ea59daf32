/* SPDX-License-Identifier: MIT */
/*
 * What: first touches, timed.
 * Why: see touch.h.
 */
#include "large/touch.h"

#include "core/huge.h"
#include "os/sys.h"
#include "policy/huge.h"

#define EVERY      64u /* runs of which one is timed */
#define PAGES      8u  /* of it */
#define PRICE_MOST 100000u
#define RESIDENT   250u /* ns: what is there already is touched in less, its clock and all */

static _Atomic uint32_t runs, small_price, huge_price; /* ns a KiB; 0: not known */

/* What is high may be another thread that had the processor, so the low counts more. */
static void note(_Atomic uint32_t *price, uint64_t is)
{
    uint32_t was = atomic_load_explicit(price, memory_order_relaxed);
    if (is < 1) is = 1;
    if (is > PRICE_MOST) is = PRICE_MOST;
    uint64_t now = was == 0 ? is : is < was ? (was + is) / 2 : was + (is - was) / 8;
    atomic_store_explicit(price, (uint32_t)now, memory_order_relaxed);
}

/* Writing zeros over zeros changes nothing but who pays for the page faults, now. */
static uint64_t time_touches(char *p, unsigned pages, size_t page)
{
    uint64_t begin = hk_sys_now_ns();
    for (size_t i = 0; i < pages; i++) *(volatile char *)(p + i * page) = 0;
    return hk_sys_now_ns() - begin;
}

void hk_touch_small(void *p)
{
    size_t page = hk_sys_page_bytes();
    note(&small_price, time_touches(p, PAGES, page) / (PAGES * page / HK_KIB));
}

void hk_touch(void *p, size_t bytes)
{
    uint32_t n = atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    if (n % EVERY || bytes < hk_sys_page_bytes() * 2 * PAGES || hk_huge_is(p)) return;
    hk_touch_small(p);
}

/* The kernel may have had no huge page: then the chunk's middle is not there after the touch. */
void hk_touch_huge(void *chunk)
{
    uint64_t first = time_touches(chunk, 1, 0);
    uint64_t middle = time_touches((char *)chunk + HK_CHUNK_BYTES / 2, 1, 0);
    if (middle < RESIDENT) note(&huge_price, first / (HK_CHUNK_BYTES / HK_KIB));
}

void hk_touch_prices(uint32_t out[2])
{
    out[0] = atomic_load_explicit(&small_price, memory_order_relaxed);
    out[1] = atomic_load_explicit(&huge_price, memory_order_relaxed);
}

bool hk_touch_huge_pays(void)
{
    return hk_policy_huge_pays(atomic_load_explicit(&small_price, memory_order_relaxed),
                               atomic_load_explicit(&huge_price, memory_order_relaxed));
}
