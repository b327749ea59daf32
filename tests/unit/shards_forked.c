/* SPDX-License-Identifier: MIT */
/*
 * What: what a child of fork makes of a purge, a free and a count that another thread was in the
 *   midst of.
 * Why: each of these was wrong once, and chance would not find it again.
 * Two files of the library are part of this one: their state is made what such a fork finds.
 */
#include "core/huge.c"
#include "core/poolpurge.c"
#include "scenes.h"

static char *run_a, *run_b, *run_c;

/* Has run_b in flight and is about to note run_a, whose shard it is in: its length is not there. */
static void *fly(void *arg)
{
    struct hk_shard *s = hk_shard_of(run_a);
    hk_shard_enter(s);
    atomic_store(&pilot, hk_lock_me());
    flight.range[0] = (struct range){run_b, CHUNKS(2), CHUNKS(2)};
    flight.range[1] = (struct range){run_a, CHUNKS(16), 0}; /* of the batch before */
    flight.ranges = 2;
    atomic_store(&step, 1);
    wait_for(2);
    hk_shard_leave(s);
    return arg;
}

static void lands(void)
{
    const struct hk_shard *a = hk_shard_of(run_a), *b = hk_shard_of(run_b), *c = hk_shard_of(run_c);
    EXPECT(a->used == 0 && atomic_load(&a->runs.count) == 0);
    for (size_t i = 0; i < 14; i++)
        EXPECT(hk_chunk_at(hk_chunk_index(run_c) + i)->used == UINT32_MAX);
    EXPECT(c->used == CHUNKS(14));
    EXPECT(b->used == 0); /* that one was whole */
    EXPECT(hk_pool_used_units() == CHUNKS(14));
    EXPECT(hk_pool_purge(0, 0) == CHUNKS(2) * HK_UNIT_BYTES);
    go_to(0, 0);
    EXPECT(take_units(CHUNKS(4)) != NULL);
    hk_pool_check();
}

static void torn_flight(void)
{
    go_to(0, 0);
    run_a = take_units(CHUNKS(2));
    go_to(8, 0);
    run_c = take_units(CHUNKS(14));
    go_to(16, 0);
    run_b = take_units(CHUNKS(2));
    EXPECT(run_c == run_a + CHUNKS(2) * HK_UNIT_BYTES);
    pthread_t t = start(fly, NULL);
    wait_for(1);
    EXPECT(in_child(lands) == 0);
    end(t, 2);
}

/* Goes away with run_a's shard, then between its lock and what waits there. */
static void *hold_up(void *arg)
{
    struct hk_shard *s = hk_shard_of(run_a);
    hk_shard_enter(s);
    atomic_store(&step, 1);
    wait_for(2);
    hk_shard_tell(s);
    hk_lock_release(&s->lock);
    atomic_store(&step, 3);
    wait_for(4);
    hk_shard_serve(s);
    return arg;
}

static void nothing_waits(size_t used)
{
    const struct hk_shard *s = hk_shard_of(run_a);
    EXPECT(!atomic_load(&s->waiting) && s->used == used);
    EXPECT(hk_pool_used_units() == used + 5);
    go_to(0, 0);
    EXPECT(take_units(1) != NULL);
    hk_pool_check();
}

static void is_written_off(void)
{
    nothing_waits(0);
}

static void is_freed(void)
{
    nothing_waits(2);
}

static void waiting_frees(void)
{
    hk_shards_set_exact(true);
    go_to(0, 0);
    run_a = take_units(2);
    run_b = take_units(3);
    go_to(8, 0);
    take_units(5);
    struct hk_shard *s = hk_shard_of(run_a);
    EXPECT(s == hk_shard_of(run_b) && s->used == 5);
    pthread_t t = start(hold_up, NULL);
    wait_for(1);
    hk_pool_free(run_b, 3);
    EXPECT(in_child(is_written_off) == 0);
    atomic_store(&step, 2);
    wait_for(3);
    EXPECT(atomic_load(&s->waiting) != NULL && s->used == 5);
    EXPECT(in_child(is_freed) == 0);
    end(t, 4);
    EXPECT(!atomic_load(&s->waiting) && s->used == 2);
}

static void *hold_marks(void *arg)
{
    hk_lock_acquire(&marks);
    atomic_store(&step, 1);
    wait_for(2);
    hk_lock_release(&marks);
    return arg;
}

static void counts_anew(void)
{
    EXPECT(atomic_load(&marked) == 1 && atomic_load(&borders) == 2);
    hk_huge_advise(run_a, CHUNKS(1), HK_HUGE_NO);
    EXPECT(atomic_load(&marked) == 0 && atomic_load(&borders) == 0);
    hk_huge_advise(run_a, CHUNKS(1), HK_HUGE_BIG);
    EXPECT(hk_huge_is(run_a));
}

static void borders_at_the_end(void)
{
    run_a = take_units(CHUNKS(8));
    while (hk_chunk_index(run_a) + 1 < hk_map_chunks()) run_a = take_units(CHUNKS(1));
    hk_huge_advise(run_a, CHUNKS(1), HK_HUGE_BIG);
    if (!hk_huge_is(run_a)) _exit(SKIPPED); /* a kernel without huge pages */
    EXPECT(atomic_load(&borders) == 2);
    pthread_t t = start(hold_marks, NULL);
    wait_for(1);
    EXPECT(in_child(counts_anew) == 0);
    end(t, 2);
}

int main(void)
{
    scenes_begin();
    scene(torn_flight, "a child lands what was noted whole, and nothing of a torn shard");
    scene(waiting_frees, "a child frees what waited for a thread that is not there");
    scene(borders_at_the_end, "a child counts the border behind the heap's last chunk");
    return hktest_done();
}
