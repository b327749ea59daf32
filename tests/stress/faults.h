/* SPDX-License-Identifier: MIT */
/*
 * What: for the stress under HK_STRESS_FAULTS: the library's own names, a kernel that refuses by
 *   chance, in a weather that changes, and what every structure must be like in the end. Else: what
 *   does nothing.
 * Why: the fault walk refuses calls one by one, in one thread after another; here they are refused
 *   to many threads at once, in the middle of each other's steps, and across forks.
 */
#ifndef HK_TESTS_STRESS_FAULTS_H
#define HK_TESTS_STRESS_FAULTS_H

static _Atomic unsigned long nulls; /* requests that got nothing */

#ifdef HK_STRESS_FAULTS

#include "core/units.h"
#include "front/check.h"
#include "hakmem.h"
#include "os/fault.h"

#define malloc             hakmem_malloc
#define calloc             hakmem_calloc
#define realloc            hakmem_realloc
#define free               hakmem_free
#define memalign           hakmem_memalign
#define posix_memalign     hakmem_posix_memalign
#define malloc_usable_size hakmem_usable_size

#define FAULTS_SECONDS 5
#define BIG_OF_1000    20 /* they come from the kernel, and go back to it */
#define KINDS          1024u
#define MILD           16u /* from here on no request meets as many refusals as it has ways */

static _Atomic unsigned long weather; /* how often it changed, and one call in so many that fails */

/* A request that began in the weather `then` got NULL: whether it may be. */
static bool null_may_be(unsigned long then)
{
    unsigned long one_in = then % KINDS;
    return atomic_load(&weather) != then || (one_in && one_in < MILD);
}

static void next_weather(uint64_t *seed)
{
    static const unsigned kinds[] = {0, 4 * MILD, MILD, MILD, 8, 3, 1};
    unsigned one_in = kinds[t_random(seed) % T_COUNT(kinds)];
    unsigned long change = weather / KINDS + 1;
    atomic_store(&weather, change * KINDS + 1); /* until it is there anything may be */
    hk_fault_chance(one_in, t_random(seed));
    atomic_store(&weather, (change + 1) * KINDS + one_in);
}

static void fair_weather(void)
{
    hk_fault_chance(0, 0);
    printf("# %u calls failed, %lu requests got NULL\n", atomic_load(&hk_fault_hits),
           (unsigned long)nulls);
    T_EXPECT(hk_fault_hits > 0, "no call failed");
}

/* What the kernel refused is tried again. */
static void catch_up(void)
{
    usleep(HK_REFUSED_MS * 1000);
    hakmem_trim(0);
}

/* All blocks are freed, all threads gone. */
static void look_everywhere(void)
{
    hakmem_trim(0);
    struct hk_found found = hk_check_all();
    T_EXPECT(found.live == 0 && found.runs == 0, "%zu blocks, %zu runs", found.live, found.runs);
    T_EXPECT(found.mapped_bytes == 0 && found.left_bytes == 0 && found.lost_units == 0,
             "%zu and %zu bytes not unmapped, %zu units lost", found.mapped_bytes, found.left_bytes,
             found.lost_units);
    size_t mapped = atomic_load(&hk_fault_mapped);
    T_EXPECT(found.address_bytes == mapped, "%zu bytes mapped, %zu known", mapped,
             found.address_bytes);
}

#else

#define FAULTS_SECONDS 10
#define BIG_OF_1000    2

static const unsigned long weather;

static bool null_may_be(unsigned long then)
{
    (void)then;
    return false;
}

static void next_weather(const uint64_t *seed)
{
    (void)seed;
}

static void fair_weather(void)
{
}

static void catch_up(void)
{
}

static void look_everywhere(void)
{
}

#endif
#endif
