/* SPDX-License-Identifier: MIT */
/*
 * What: first touches, timed.
 * Why: see touch.h.
 */
#include "large/touch.h"

#include "core/huge.h"
#include "os/sys.h"

#define EVERY      64u /* runs of which one is timed */
#define PAGES      8u  /* of it */
#define PRICE_MOST 100000u

static _Atomic uint32_t runs, price;

/* Writing zeros over zeros changes nothing but who pays for the page faults, now. */
static uint64_t time_touches(char *p, size_t page)
{
    uint64_t begin = hk_sys_now_ns();
    for (size_t i = 0; i < PAGES; i++) *(volatile char *)(p + i * page) = 0;
    return (hk_sys_now_ns() - begin) / (PAGES * page / HK_KIB);
}

void hk_touch(void *p, size_t bytes)
{
    size_t page = hk_sys_page_bytes();
    uint32_t n = atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    if (n % EVERY || bytes < 2 * PAGES * page || hk_huge_is(p)) return;
    uint64_t is = time_touches(p, page);
    uint32_t was = atomic_load_explicit(&price, memory_order_relaxed);
    if (is < 1) is = 1;
    if (is > PRICE_MOST) is = PRICE_MOST;
    /* What is high may be another thread that had the processor, so the low counts more. */
    uint64_t now = was == 0 ? is : is < was ? (was + is) / 2 : was + (is - was) / 8;
    atomic_store_explicit(&price, (uint32_t)now, memory_order_relaxed);
}

uint32_t hk_touch_price(void)
{
    return atomic_load_explicit(&price, memory_order_relaxed);
}
