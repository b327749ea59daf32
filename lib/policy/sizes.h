/* SPDX-License-Identifier: MIT */
/*
 * What: a histogram of the sizes of large requests, and the two sizes that deserve a class.
 * Why: blocks above 32 KiB take whole units of 64 KiB; who asks for 68 KiB all day wastes nearly
 *   half of them, and a class of just that size does not.
 * Invariants: I1 a size chosen is a multiple of 256 in (32 KiB, 84 KiB] and saves an eighth of its
 *   units at least. I2 the two differ, in ascending order, what is none last. I3 with the histogram
 *   unchanged a second choice is the first.
 * Source: the prototype's DYN1 and DYN2; classes by statistics of sizes: Zhou et al.,
 *   Characterizing a memory allocator at warehouse scale (2024).
 */
#ifndef HK_POLICY_SIZES_H
#define HK_POLICY_SIZES_H

#include "base/sizeclass.h"
#include "policy/fixed.h"

#define HK_SIZES_ABOVE HK_MID_MAX
/* Twelve a slab. Fewer, and slabs fall asleep and wake too often: 100 KiB took 1.4 times as long.
 */
#define HK_SIZES_MOST    (84 * HK_KIB)
#define HK_SIZES_GRAIN   (4 * HK_KIB)
#define HK_SIZES_BUCKETS ((unsigned)((HK_SIZES_MOST - HK_SIZES_ABOVE) / HK_SIZES_GRAIN))
#define HK_SIZES_COUNT   ((uint64_t)1 << 40) /* of a bucket, at most */
#define HK_SIZES_KNOWN   64u                 /* requests; with fewer counted nothing changes */
/* In thousandths of all requests, and of the units a request takes: to be chosen, and to stay. */
#define HK_SIZES_SHARE 125u
#define HK_SIZES_SAVES 125u
#define HK_SIZES_STAYS 60u

struct hk_sizes {
    uint64_t count[HK_SIZES_BUCKETS];
    uint32_t largest[HK_SIZES_BUCKETS]; /* bytes asked for; 0: none */
};

/* The bucket of a size; HK_SIZES_BUCKETS: it is not counted. */
HK_INLINE unsigned hk_sizes_bucket(size_t size)
{
    return size > HK_SIZES_ABOVE && size <= HK_SIZES_MOST
               ? (unsigned)((size - HK_SIZES_ABOVE - 1) / HK_SIZES_GRAIN)
               : HK_SIZES_BUCKETS;
}
/* So many requests for size bytes; sizes outside of (32 KiB, 84 KiB] are not counted. */
void hk_sizes_seen(struct hk_sizes *h, size_t size, uint64_t times);
/* Half of each count is forgotten. */
void hk_sizes_fade(struct hk_sizes *h);
/*
 * Chooses up to `most` sizes, two at most, that save most: requests × (bytes of their units - those
 * of a slab). out has the previous choice, 0 for none (so is any other number): such a size stays
 * until its bucket has less than 6 % of the requests, or another one saves more than 1.5 times as
 * much; it grows with the largest request of its bucket. Those that a class of the sizes in set
 * serves are left out, 0 for none. Returns whether out changed.
 */
bool hk_sizes_choose(const struct hk_sizes *h, const size_t set[HK_DYN_CHOSEN], unsigned most,
                     size_t out[HK_DYN_CHOSEN]);

#endif
