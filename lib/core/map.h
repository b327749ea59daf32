/* SPDX-License-Identifier: MIT */
/*
 * What: the heap's address window and the map from an address to the record of its 64 KiB unit.
 * Why: one subtraction, one compare and one load answer "whose is p?" for every pointer there is,
 *   ours or not: outside the window the compare fails, inside it untouched records read as zero.
 * Owns: struct hk_unit, struct hk_chunk, the window.
 * Invariants: W1 base is constant once set; end only grows, and limit with it; every record below
 * is mapped and readable before limit covers it. W2 owner is 0 unless the unit starts or continues
 * a slab or starts a run. W3 the window is a convention, not a reservation: only what is used is
 * mapped, so it lives under any RLIMIT_AS. Layout, from the window's start: chunk records (first
 * piece) · metadata (first piece) · unit records, growing up · … · at 20 GiB hardened mode's
 * shadow, growing up · … · at 64 GiB the heap, growing up. Locks: HK_RANK_GROW. Threads: lookups
 * take no lock; growth is serialised.
 */
#ifndef HK_CORE_MAP_H
#define HK_CORE_MAP_H

#include <stdatomic.h>

#include "base/sizeclass.h"

/*
 * Owner words: the owning heap's address, with HK_OWNER_LONG set in every unit of a slab of several
 * units; or one of these.
 */
#define HK_OWNER_NONE  ((uintptr_t)0)
#define HK_OWNER_RUN   ((uintptr_t)2) /* a large or big run: no heap owns it */
#define HK_OWNER_LOOSE ((uintptr_t)3) /* a full slab: whoever frees into it first owns it */
#define HK_OWNER_LONG  ((uintptr_t)1) /* free then looks for the slab's first unit */

/*
 * Record of a unit, of a whole slab or run if the unit starts one. One cache line. Units that
 * continue a slab name its heap too, so that any of them tells a local free; but only the first
 * one's word decides: the others may say LOOSE instead, never another heap.
 */
struct hk_unit {
    _Atomic uintptr_t owner; /* written by whoever owns the slab; read by all */
    void *free;              /* blocks freed by the owner since the list was last taken */
    union {
        struct {
            uint32_t magic, phase, bound; /* each unit: where blocks begin, see slab/begin.h */
        };
        struct {
            uint32_t tail;      /* run: bytes of it that its block does not use */
            uint32_t stamp, as; /* run on its way to the pool: hk_shard_free */
        };
    };
    uint32_t needed; /* local frees until hk_slab_event must look */
    union {
        uint16_t left; /* asleep: blocks still out once needed reaches 0 */
        uint16_t rule; /* run: of the place that asked for it, see large.h */
    };
    uint16_t follow;         /* distance to the record of the slab's first unit, bytes; 0: it is */
    uint16_t linked, blocks; /* blocks on the list or out · blocks of the slab */
    _Atomic uint16_t holes; /* each unit: a bit a page whose blocks are unlinked, its memory gone */
    uint8_t cls;
    uint8_t clean : 1;  /* never written since zeroed: fresh blocks are, but for link and mark */
    uint8_t asleep : 1; /* not in its class queue: needed counts to the wake-up */
    uint8_t purged : 1; /* since the list last changed */
    uint8_t looks : 5;  /* until what is beyond fresh goes back; 0: it went */
    union {
        uint32_t run_units; /* runs: length, units */
        struct {
            uint16_t seen;  /* the list's head at the last look for idle pages, see purge.c */
            uint16_t fresh; /* blocks from this one on were never linked */
        };
    };
    struct hk_unit *next, *prev; /* class queue of the owning heap */
} HK_LINE_ALIGNED;
_Static_assert(sizeof(struct hk_unit) == HK_LINE_BYTES, "one record, one line");
_Static_assert(HK_ALL_CLASSES <= UINT8_MAX + 1, "a class fits its byte");

enum hk_chunk_state { HK_CHUNK_NONE, HK_CHUNK_USED, HK_CHUNK_FREE, HK_CHUNK_LOST };

#define HK_SHARD_NONE 0u /* nobody's: never mapped, or on its way from one shard to another */

/* Record of a 2 MiB chunk; all fields belong to its shard of the pool, under that one's lock. */
struct hk_chunk {
    uint32_t used, dirty; /* a bit a unit: taken · may hold bytes other than zero */
    uint32_t index;       /* place in the window, chunks */
    uint32_t run;         /* free run: its length, at the first and the last chunk */
    uint32_t freed_ms;    /* clock at the last free into it, wraps */
    uint32_t purged;      /* a bit a unit: the kernel got it back, and it was not taken since */
    uint32_t soiled;      /* a bit a unit: became resident by itself, and was not freed since */
    uint8_t state, span;  /* enum hk_chunk_state · longest free run of units, as binned */
    uint8_t taken;        /* bits set in used */
    uint8_t huge;         /* see core/huge.h */
    uint8_t band;         /* enum hk_band of what was freed into it last */
    uint8_t patience;     /* in HK_PATIENCE_MS: how much longer what is free in it may lie idle */
    /*
     * Whose it is: an id, or HK_SHARD_NONE. Set to NONE under the lock of who lets go, and to an id
     * under that one's lock: who reads its own id under its own lock may rely on it.
     */
    _Atomic uint16_t shard;
    struct hk_chunk *next, *prev;
} HK_LINE_ALIGNED;
_Static_assert(sizeof(struct hk_chunk) == HK_LINE_BYTES, "one record, one line");

#define HK_HEAP_MAX (16 * HK_TIB) /* bytes of the window: no block is longer */

/* Parts of one line, by names of their own: each is then an operand by itself on x86. */
extern HK_HIDDEN uintptr_t hk_window_base;       /* first heap address, 2 MiB aligned */
extern HK_HIDDEN _Atomic size_t hk_window_limit; /* heap bytes whose records can be read */
extern HK_HIDDEN uintptr_t hk_window_units;      /* address of the record of the unit at base */
/* As limit, which hardened mode has at 0: so every free goes the long way, and nobody pays. */
extern HK_HIDDEN _Atomic size_t hk_window_end;
extern HK_HIDDEN uintptr_t hk_link_key; /* xor-ed to links of free blocks; 0 unless hardened */
#define HK_LINK_KEY_MASK                                                                           \
    (((uintptr_t)1 << 48) - 1) /* what is above tells segments, see front/segment.h */

/* Whether off bytes from base lie below *limit: hk_window_limit, or hk_window_end. */
HK_INLINE bool hk_window_holds(uintptr_t off, const _Atomic size_t *limit)
{
#if defined(__x86_64__) && !HK_TSAN
    bool below; /* compilers do not fold an atomic load, relaxed or not, into the compare */
    __asm__("cmpq %2, %1" : "=@ccb"(below) : "r"(off), "m"(*limit));
    return below;
#else
    return off < atomic_load_explicit(limit, memory_order_relaxed);
#endif
}

/* Record of the unit at off bytes from base, below limit. */
HK_INLINE struct hk_unit *hk_unit_at(uintptr_t off)
{
    return (struct hk_unit *)(hk_window_units + ((off >> (HK_UNIT_SHIFT - 6)) & ~(uintptr_t)63));
}

/* Record of p's unit; NULL when p lies outside the window. */
HK_INLINE struct hk_unit *hk_unit_of(const void *p)
{
    uintptr_t off = (uintptr_t)p - hk_window_base;
    return HK_LIKELY(hk_window_holds(off, &hk_window_end)) ? hk_unit_at(off) : NULL;
}

/* What the word at p says next, where free blocks are linked; and to say it. */
HK_INLINE void *hk_link_next(const void *p)
{
    return (void *)(*(const uintptr_t *)p ^ hk_link_key);
}

HK_INLINE void hk_link_set(void *p, const void *next)
{
    *(uintptr_t *)p = (uintptr_t)next ^ hk_link_key;
}

/* First address of a unit. */
HK_INLINE char *hk_unit_addr(const struct hk_unit *u)
{
    return (char *)(hk_window_base + (((uintptr_t)u - hk_window_units) << (HK_UNIT_SHIFT - 6)));
}

HK_INLINE size_t hk_chunk_index(const void *p)
{
    return ((uintptr_t)p - hk_window_base) >> HK_CHUNK_SHIFT;
}

HK_INLINE char *hk_chunk_addr(size_t index)
{
    return (char *)(hk_window_base + (index << HK_CHUNK_SHIFT));
}

/* Chunk records come in pieces: 2 MiB for 64 GiB. */
#define HK_PIECE_CHUNKS ((size_t)4096)
extern HK_HIDDEN struct hk_chunk **hk_chunk_pieces;

/* Record of chunk i; its piece of the table must exist. */
HK_INLINE struct hk_chunk *hk_chunk_at(size_t index)
{
    return &hk_chunk_pieces[index / HK_PIECE_CHUNKS][index % HK_PIECE_CHUNKS];
}
/* Chunks that the window spans now (some may have been skipped: HK_CHUNK_NONE). */
size_t hk_map_chunks(void);

/* Choose and map the window; false if the kernel gives no memory at all. Idempotent. */
bool hk_map_init(void);
/*
 * From now on the heap has a shadow, see harden.h, and limit is 0; links get the key if nothing was
 * linked yet. Where the byte of address 0 would be; 0 without memory.
 */
uintptr_t hk_map_harden(uintptr_t key);
/*
 * From here to the end nobody else lets the heap grow. False, and not begun, if it has grown by
 * `chunks` or more since hk_map_chunks() was `seen`: who waited had better look again. SIZE_MAX:
 * whatever others did.
 */
bool hk_map_grow_begin(size_t chunks, size_t seen);
void hk_map_grow_end(void);
/*
 * Between the two: fresh zeroed chunks with readable records, at least `chunks` of them, *got as
 * many as were mapped. NULL if refused; nothing is lost then.
 */
void *hk_map_grow(size_t chunks, size_t *got);
/* Metadata, zeroed, 128-byte aligned, never freed; NULL if refused. */
void *hk_meta_alloc(size_t bytes);
/* In the child of fork, before any other call here: locks anew. */
void hk_map_fork_child(void);
/* Before fork: wait a bounded time for the locks of this file to be free. */
void hk_map_fork_prepare(void);
#ifdef HK_DEBUG
/* Abort on a broken invariant; bytes of heap and records that are mapped. Nobody grows it now. */
size_t hk_map_check(void);
#endif
/* Bytes of metadata mapped so far. */
size_t hk_meta_bytes(void);

#endif
