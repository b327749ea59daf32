/* SPDX-License-Identifier: MIT */
/*
 * What: three threads free into one shard, each twice: under its lock, or onto the stack of what
 * waits. Why: nothing is left waiting at a free lock (F1), each run is freed once, its record whole
 * (F2).
 */
#include "layer.h"

#include "locks.h"

#define SPIN_ROUNDS 1
#define THREADS     3
#define TIMES       2

struct hk_unit {
    cell<struct hk_unit *> next;
    cell<uint32_t> run_units, stamp, as;
    cell<bool> freed;
};
struct hk_shard {
    struct hk_lock lock;
    shared<struct hk_unit *> waiting{NULL};
    cell<unsigned> there;
};

static struct hk_unit *hk_unit_of(char *p)
{
    return (struct hk_unit *)p;
}
static char *hk_unit_addr(struct hk_unit *u)
{
    return (char *)u;
}
static void hk_shard_tell(struct hk_shard *)
{
}
static void free_now(struct hk_shard *s, char *p, size_t units, uint32_t stamp, uint32_t as)
{
    struct hk_unit *u = (struct hk_unit *)p;
    RL_ASSERT(!u->freed && units == 1 && stamp == 2 && as == 3);
    u->freed = true;
    s->there += 1;
}
void hk_shard_serve(struct hk_shard *s);

#include "cut.h"

struct scene : rl::test_suite<scene, THREADS> {
    struct hk_shard shard;
    struct hk_unit unit[THREADS * TIMES];
    void before()
    {
        shard.there = 0;
        for (struct hk_unit &u : unit) {
            u.next = NULL;
            u.freed = false;
        }
    }
    void thread(unsigned i)
    {
        for (unsigned n = 0; n < TIMES; n++)
            hk_shard_free(&shard, (char *)&unit[i * TIMES + n], 1, 2, 3);
    }
    void after()
    {
        RL_ASSERT(shard.there == THREADS * TIMES);
        RL_ASSERT(!shard.waiting.is.debug_value() && !shard.lock.word.is.debug_value());
    }
};

MAIN(holds<scene>(runs))
