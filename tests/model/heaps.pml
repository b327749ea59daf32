/* SPDX-License-Identifier: MIT */
/*
 * What: heaps change hands while blocks of their slabs are freed: remote free, parking, adoption,
 *   stealing, slabs let loose and claimed. Numbers (O1, R2, R3, C1) are those of the cards in
 *   lib/front/heap.c, lib/front/remote.c and lib/slab/slab.h.
 * Why: exhaustive where a stress is lucky. Each mutant (-DMUTANT_…) undoes one ordering, or allows the
 *   reordering that a weaker memory order would, and must be found out.
 * Scenes: one slab with live blocks. A owns it and ends; B frees a block and ends; D comes without a
 *   heap, frees a block and ends. And: C looks for a slab in a parked heap, frees a block and ends;
 *   or (-DSCENE_LOOSE) A lets the slab loose.
 * Proven: who touches the slab owns it and is alone; each block is freed once; at the end, when
 *   every heap is parked, no block is under way.
 */
#define HEAPS  4
#define BLOCKS 3
#define LOOSE  9

mtype = { PARKED, BUSY, ATTACHED };
mtype state[HEAPS] = ATTACHED;
byte inbox[HEAPS]; /* blocks under way, a bit each */
byte owner = 0;
bool touched, freed[BLOCKS];
byte ended;

/* Not atomic: two at once, or one that is not the owner, is what must never be. */
inline enter(h)
{
    assert(owner == h && !touched);
    touched = true
}
inline leave()
{
    touched = false
}

inline free_here(h, b)
{
    enter(h);
    assert(!freed[b]);
    freed[b] = true;
    leave()
}

/* C1; ok: h is the owner now. */
inline claim(h, ok)
{
#ifdef MUTANT_PLAIN_CLAIM
    ok = (owner == LOOSE);
    if
    :: ok -> owner = h
    :: else
    fi
#else
    atomic {
        ok = (owner == LOOSE);
        if
        :: ok -> owner = h
        :: else
        fi
    }
#endif
}

/* Block b to the slab if that is h's or becomes h's, else into its owner's inbox: `to`. */
inline place(h, b, to, ok)
{
    do
    :: to = owner;
       if
       :: to == h -> free_here(h, b); to = HEAPS; break
       :: to == LOOSE ->
          claim(h, ok);
          if
          :: ok -> free_here(h, b); to = HEAPS; break
          :: else
          fi
       :: else -> break
       fi
    od
}

/* Everything in h's inbox; what belongs to another goes on (R3): away is that heap. */
inline drain(h, m, b, to, ok, away)
{
    do
    :: atomic { m = inbox[h]; inbox[h] = 0 };
       if
       :: m == 0 -> break
       :: else
       fi;
       b = 0;
       do
       :: b < BLOCKS && (m >> b & 1) ->
          place(h, b, to, ok);
          if
          :: to < HEAPS -> atomic { inbox[to] = inbox[to] | (1 << b) }; away = to
          :: else
          fi;
          b++
       :: b < BLOCKS && !(m >> b & 1) -> b++
       :: b == BLOCKS -> break
       od
    od
}

inline seize(h, ok)
{
    atomic {
        ok = (state[h] == PARKED);
        if
        :: ok -> state[h] = BUSY
        :: else
        fi
    }
}

/* O1: the state first, then the inbox. */
inline let_go(h, m, b, to, ok, away)
{
    do
    ::
#ifdef MUTANT_PARK_RELAXED
       m = inbox[h];
       state[h] = PARKED;
#else
       state[h] = PARKED;
       m = inbox[h];
#endif
#ifdef MUTANT_NO_SECOND_LOOK
       break;
#endif
       if
       :: m == 0 -> break
       :: else
       fi;
       seize(h, ok);
       if
       :: !ok -> break
       :: else -> drain(h, m, b, to, ok, away)
       fi
    od
}

/* R2: mail for `visit` was pushed; whoever finds it parked drains it, and follows what goes on. */
inline deliver(visit, m, b, to, ok, away)
{
    do
    :: visit == HEAPS -> break
    :: else ->
       away = HEAPS;
       seize(visit, ok);
       if
       :: ok ->
          drain(visit, m, b, to, ok, away);
          let_go(visit, m, b, to, ok, away)
       :: else
       fi;
       visit = away
    od
}

/* free(b) by the thread that has heap h. */
inline free_block(h, blk, visit, m, b, to, ok, away)
{
    place(h, blk, to, ok);
    visit = to;
    if
    :: visit < HEAPS ->
#ifdef MUTANT_PUSH_RELAXED
       if
       :: state[visit] == PARKED -> away = visit
       :: else -> away = HEAPS
       fi;
       atomic { inbox[visit] = inbox[visit] | (1 << blk) };
       visit = away;
#else
       atomic { inbox[visit] = inbox[visit] | (1 << blk) };
#endif
       deliver(visit, m, b, to, ok, away)
    :: else
    fi
}

/* The thread of heap h ends. */
inline park(h, visit, m, b, to, ok, away)
{
    away = HEAPS;
    drain(h, m, b, to, ok, away);
    let_go(h, m, b, to, ok, away);
    visit = away;
    deliver(visit, m, b, to, ok, away)
}

#define LOCALS byte visit = HEAPS, m, b, to, away; bool ok

proctype A()
{
    LOCALS;
#ifdef SCENE_LOOSE
    /* The slab's last block went out. */
#ifdef MUTANT_LOOSE_EARLY
    owner = LOOSE;
    assert(!touched);
    touched = true;
    leave();
#else
    enter(0);
    leave();
    owner = LOOSE;
#endif
#endif
    park(0, visit, m, b, to, ok, away);
    ended++
}

proctype B()
{
    LOCALS;
    free_block(1, 0, visit, m, b, to, ok, away);
    park(1, visit, m, b, to, ok, away);
    ended++
}

proctype C()
{
    LOCALS;
    seize(0, ok);
    if
    :: ok ->
       if
       :: owner == 0 ->
          enter(0);
          leave();
          owner = 2
       :: else
       fi;
       let_go(0, m, b, to, ok, away)
    :: else
    fi;
    free_block(2, 1, visit, m, b, to, ok, away);
    park(2, visit, m, b, to, ok, away);
    ended++
}

proctype D()
{
    LOCALS;
    byte mine = 3, seen = owner;
    /* A heap that is parked, or a new one. */
    atomic {
        if
        :: state[0] == PARKED -> state[0] = ATTACHED; mine = 0
        :: else
        fi
    }
#ifdef MUTANT_STALE_OWNER
    if
    :: seen == mine -> touched = true; freed[2] = true; assert(owner == mine); leave()
    :: else -> free_block(mine, 2, visit, m, b, to, ok, away)
    fi;
#else
    free_block(mine, 2, visit, m, b, to, ok, away);
#endif
    park(mine, visit, m, b, to, ok, away);
    ended++
}

init
{
    atomic {
        run A();
        run B();
#ifdef SCENE_LOOSE
        ended = 1;
        freed[1] = true;
#else
        run C();
#endif
        run D()
    }
    ended == 4;
    assert(freed[0] && freed[1] && freed[2])
}
