/* SPDX-License-Identifier: MIT */
/*
 * What: slots of size classes chosen at run time get other sizes while threads route requests to
 *   them, make slabs and let them go. Numbers (D1, D2, D3) are those of lib/base/dynclass.h.
 * Why: the instants between reading a slot's size and counting a slab are too short for a stress.
 * Scenes: a setter puts short and long classes in force, in any slot that is free, three times; two
 *   threads ask for a long block and one for a short one, twice each, by a word that may be stale.
 * Proven: whoever has a block has one that is long enough, and of the size that its slot has.
 */
#define SLOTS 2
#define SHORT 1
#define LONG  2

byte size[SLOTS], slabs[SLOTS];
byte word; /* the slot in force plus one; 0: none */

proctype ask(byte want)
{
    byte slot, got, times = 2;
    do
    :: times == 0 -> break
    :: else ->
        times--;
        slot = word;
        if
        :: slot == 0 || size[slot - 1] < want -> skip
        :: else ->
            slot--;
#ifdef MUTANT_CLAIM_IN_TWO /* D2 */
            got = size[slot];
            slabs[slot]++;
#else
            atomic { got = size[slot]; slabs[slot]++ };
#endif
            if
#ifndef MUTANT_NOT_LOOKED_AT /* D3 */
            :: got < want -> skip
#endif
            :: else ->
                assert(got >= want);
                assert(size[slot] == got)
            fi;
            slabs[slot]--
        fi
    od
}

proctype set()
{
    byte slot, is, next, times = 3;
    do
    :: times == 0 -> break
    :: else ->
        times--;
        if
        :: next = SHORT
        :: next = LONG
        fi;
        if
        :: slot = 0
        :: slot = 1
        fi;
        if
        :: word == slot + 1 || slabs[slot] > 0 -> skip /* no slot for it now */
        :: else ->
            is = size[slot];
#ifdef MUTANT_CHANGE_IN_TWO /* D1 */
            size[slot] = next;
            word = slot + 1
#else
            if
            :: atomic { slabs[slot] == 0 && size[slot] == is -> size[slot] = next };
                word = slot + 1
            :: else -> skip
            fi
#endif
        fi
    od
}

init
{
    atomic {
        run set();
        run ask(LONG);
        run ask(LONG);
        run ask(SHORT)
    }
}
