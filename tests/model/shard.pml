/* SPDX-License-Identifier: MIT */
/*
 * What: a shard's lock with the frees of those who did not wait for it, and chunks that change hands.
 *   F1, F2 and H2 are those of lib/core/shard.h.
 * Why: that nothing is left waiting at a free lock hangs on two looks in the right order.
 * Scenes: three threads free twice each into one shard · a chunk goes from shard to shard and back
 *   while whoever holds a lock merges what is his.
 * Proven: in the end the lock is free, nothing waits, and all that was freed is there · nobody takes
 *   a chunk for his own that is another's.
 */
#ifdef SCENE_FREES
#define THREADS 3
#define TIMES   2

bit lock;
byte waiting, there, done;

inline try(got) { atomic { got = !lock; lock = 1 } }
inline leave() { lock = 0 }

inline serve()
{
    do
    :: waiting == 0 -> break
    :: else ->
        try(got);
        if
        :: !got -> break
        :: else
        fi;
        atomic { list = waiting; waiting = 0 }; /* F2 */
        there = there + list;
        leave();
#ifdef MUTANT_SERVES_ONCE
        break
#endif
    od
}

proctype freer()
{
    byte times = TIMES, list;
    bit got, seen;
    do
    :: times == 0 -> break
    :: else ->
        times--;
        try(got);
        if
        :: got ->
            there++;
#ifdef MUTANT_LOOKS_BEFORE_IT_LEAVES
            seen = waiting != 0;
            leave();
#else
            leave();
            seen = waiting != 0;
#endif
#ifdef MUTANT_LEAVES_WITHOUT_A_LOOK
            seen = 0;
#endif
        :: else ->
#ifdef MUTANT_LOOKS_BEFORE_IT_PUSHES
            seen = !lock;
            waiting++
#else
            waiting++;
            seen = !lock;
#endif
#ifdef MUTANT_PUSHES_WITHOUT_A_LOOK
            seen = 0
#endif
        fi;
        if
        :: seen -> serve()
        :: else
        fi
    od;
    done++
}

init
{
    atomic { run freer(); run freer(); run freer() };
    done == THREADS;
    assert(lock == 0 && waiting == 0 && there == THREADS * TIMES)
}
#endif

#ifdef SCENE_CHUNK
#define NONE 0
#define FREE 1
#define AWAY 2 /* taken, or on its way */

bit lock[3]; /* of shards 1 and 2 */
byte shard = 1, state = FREE;
byte holder; /* who merges the chunk with a run of his */

inline enter(s) { atomic { !lock[s]; lock[s] = 1 } }

/* Lends it from `from` to `to`, twice. */
proctype lend(byte from, to)
{
    byte times = 2;
    bit mine;
    do
    :: times == 0 -> break
    :: else ->
        times--;
        enter(from);
        mine = shard == from && state == FREE;
        if
        :: mine ->
            state = AWAY;
#ifndef MUTANT_KEEPS_ITS_NAME /* H2 */
            shard = NONE;
#endif
#ifdef MUTANT_NAMED_TOO_EARLY
            shard = to;
            state = FREE;
#endif
        :: else
        fi;
        lock[from] = 0;
        if
        :: mine ->
            enter(to);
            shard = to;
            state = FREE;
            lock[to] = 0
        :: else
        fi
    od
}

proctype merge(byte me)
{
    byte times = 2;
    do
    :: times == 0 -> break
    :: else ->
        times--;
#ifndef MUTANT_LOOKS_WITHOUT_THE_LOCK
        enter(me);
#endif
        if
        :: shard == me ->
            if
            :: state == FREE ->
                assert(shard == me && holder == 0);
                holder = me;
                state = AWAY;
                assert(shard == me && holder == me);
                state = FREE;
                holder = 0
            :: else
            fi
        :: else
        fi;
#ifndef MUTANT_LOOKS_WITHOUT_THE_LOCK
        lock[me] = 0
#endif
    od
}

init
{
    atomic { run lend(1, 2); run lend(2, 1); run merge(1); run merge(2) }
}
#endif
