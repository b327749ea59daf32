/* SPDX-License-Identifier: MIT */
/*
 * What: a slab moves to a heap that was just born, or is let loose, while its blocks are freed and
 * its heap's thread ends. Why: the orders O1, O2, R1 to R4 and C1, on a machine that may show old
 * values.
 */
#include "heaps.h"

#include "cut.h"

static void ends(struct hk_heap *h)
{
    hk_remote_drain(h, UINT32_MAX);
    hk_heap_let_go(h);
}

static void frees(struct hk_heap *h, unsigned i)
{
    hk_remote_free_from(h, &now.slab, &now.slab.block[i]);
}

template <bool loose> struct scene : rl::test_suite<scene<loose>, 3> {
    void before()
    {
        begin(2);
    }
    void thread(unsigned i)
    {
        struct hk_heap *h = &now.heap[0];
        if (i == 0) {
            if (loose) fall_asleep(h, &now.slab, 0);
        } else if (i == 1) {
            h = &now.heap[1];
            if (!loose) hk_heap_steal_far(h, 0);
            frees(h, 0);
        } else {
            h = hk_heap_new(HK_HEAP_ATTACHED, 0);
            if (!loose) steal_from(h, &now.heap[0], 0);
            frees(h, 1);
            frees(h, 2);
        }
        ends(h);
    }
    void after()
    {
        end(BLOCKS);
    }
};

MAIN(holds<scene<false>>(runs); holds<scene<true>>(runs))
