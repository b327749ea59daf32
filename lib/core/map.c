/* SPDX-License-Identifier: MIT */
/*
 * What: where the window lies, and how heap, unit records, chunk records and metadata grow in it.
 * Why: see map.h. The window is placed by hints: a random place far from everything that programs
 *   and kernels use by habit; under valgrind, sanitizers and small address spaces the later
 *   candidates take over.
 * Locks: grow_lock over the growth of heap and records, meta_lock over the metadata arena. Both
 *   are held over mmap: growth is rare and whoever waits needs just that memory.
 */
#include "core/map.h"

#include "os/lock.h"
#include "os/report.h"
#include "os/sys.h"

#define WINDOW_HEAP     (64 * HK_GIB) /* offset of the heap: records of 16 TiB fit before it */
#define WINDOW_SHADOW   (20 * HK_GIB)
#define SHADOWED_MAX    ((WINDOW_HEAP - WINDOW_SHADOW) << 4) /* 704 GiB */
#define PIECE_BYTES     (HK_PIECE_CHUNKS * sizeof(struct hk_chunk))
#define PIECES          (HK_HEAP_MAX / HK_CHUNK_BYTES / HK_PIECE_CHUNKS)
#define META_BYTES      (256 * HK_KIB) /* a piece of metadata: some forty heaps */
#define UNITS_BYTES     (64 * HK_KIB)  /* first unit records: 64 MiB of heap */
#define UNITS_STEP_MAX  (16 * HK_MIB)
#define GROW_MIN_CHUNKS ((size_t)2)
#define GROW_MAX_CHUNKS ((size_t)32)  /* 64 MiB: few calls, and little to lose if refused */
#define PROBE_CHUNKS    ((size_t)512) /* 1 GiB */
/* When somebody sits in the window, go on behind him: 1 GiB on, then 2, 4 … */
#define SKIP_BYTES HK_GIB
#define SKIPS      12

/* Until base is set no pointer of a program is near it, whatever limit reads as. */
#define BASE_UNSET ((uintptr_t)1 << 63)
/* One line, nobody else's: in this order, in a section of their own. */
#define IN_WINDOW_LINE HK_IN_ORDER __attribute__((section(".data.hk_window")))
IN_WINDOW_LINE HK_LINE_ALIGNED uintptr_t hk_window_base = BASE_UNSET;
IN_WINDOW_LINE _Atomic size_t hk_window_limit = 0;
IN_WINDOW_LINE uintptr_t hk_window_units = 0;
IN_WINDOW_LINE _Atomic size_t hk_window_end = 0;
IN_WINDOW_LINE uintptr_t hk_link_key = 0;
HK_USED IN_WINDOW_LINE static _Alignas(8) char window_rest[HK_LINE_BYTES - 40] = {0};

static struct hk_lock grow_lock = HK_LOCK_INIT(HK_RANK_GROW);
static struct hk_lock meta_lock = HK_LOCK_INIT(HK_RANK_META);
struct hk_chunk **hk_chunk_pieces; /* PIECES, the first metadata: .bss must not need a page */
static size_t heap_end;            /* next heap byte to hand out, from base */
static size_t heap_ready;          /* mapped up to here when the window was made */

/* Bytes for the heap's, so many for each of its bytes, that grow with it. */
struct table {
    uintptr_t at;    /* 0: there is none */
    size_t end;      /* bytes mapped */
    size_t step;     /* and being mapped right now behind them */
    size_t step_max; /* at once, unless more is needed */
    unsigned shift;  /* one for 1 << shift */
};
static struct table units = {.step_max = UNITS_STEP_MAX, .shift = HK_UNIT_SHIFT - 6};
static struct table shadow = {.step_max = UNITS_STEP_MAX, .shift = 4};
static bool hardened;

static char *meta_next;
static size_t meta_room;
static _Atomic size_t meta_mapped;

/* First mapping of a window at w. */
static bool try_window(uintptr_t w)
{
    size_t bytes = PIECE_BYTES + META_BYTES + UNITS_BYTES;
    if (!hk_sys_map_sparse((void *)w, bytes)) return false;
    /* The place of the heap must be usable too; the first growth finds this part done. */
    heap_ready = GROW_MIN_CHUNKS * HK_CHUNK_BYTES;
    while (heap_ready && !hk_sys_map((void *)(w + WINDOW_HEAP), heap_ready))
        heap_ready -= HK_CHUNK_BYTES;
    if (!heap_ready) {
        hk_sys_drop((void *)w, bytes);
        return false;
    }
    hk_chunk_pieces = (struct hk_chunk **)(w + PIECE_BYTES);
    hk_chunk_pieces[0] = (struct hk_chunk *)w;
    meta_next = (char *)(hk_chunk_pieces + PIECES);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is the table of pointers that is meant */
    meta_room = META_BYTES - PIECES * sizeof *hk_chunk_pieces;
    atomic_fetch_add_explicit(&meta_mapped, bytes, memory_order_relaxed);
    units.end = UNITS_BYTES;
    units.at = hk_window_units = w + PIECE_BYTES + META_BYTES;
    hk_window_base = w + WINDOW_HEAP;
    return true;
}

/* Random part of an address: below range, 2 MiB aligned. */
static uintptr_t place(uintptr_t from, uintptr_t range)
{
    return from + ((hk_sys_random() * HK_CHUNK_BYTES) & (range - 1) & ~(HK_CHUNK_BYTES - 1));
}

static bool choose_window(void)
{
    /* Far from executables (85 TiB), libraries (127 TiB) and the habits of language runtimes. */
    if (try_window(place(32 * HK_TIB, 16 * HK_TIB))) return true;
    /* valgrind ends at 16 TiB. */
    if (try_window(place(2 * HK_TIB, 4 * HK_TIB))) return true;
    /* Small or shadowed address spaces: somewhere below where the kernel itself would map. */
    void *probe = hk_sys_map(NULL, HK_CHUNK_BYTES);
    if (!probe) return false;
    hk_sys_drop(probe, HK_CHUNK_BYTES);
    for (size_t below = HK_TIB; below >= 128 * HK_MIB; below /= 2) {
        uintptr_t w = ((uintptr_t)probe & ~(HK_CHUNK_BYTES - 1)) - below - WINDOW_HEAP;
        if (w < (uintptr_t)probe && w > HK_GIB && try_window(w)) return true;
    }
    return false;
}

bool hk_map_init(void)
{
    static _Atomic bool ready;
    if (HK_LIKELY(atomic_load_explicit(&ready, memory_order_acquire))) return true;
    hk_lock_acquire(&grow_lock);
    bool done = hk_window_base != BASE_UNSET || choose_window();
    atomic_store_explicit(&ready, done, memory_order_release);
    hk_lock_release(&grow_lock);
    return done;
}

size_t hk_map_chunks(void)
{
    return atomic_load_explicit(&hk_window_end, memory_order_acquire) >> HK_CHUNK_SHIFT;
}

/* What a thread had under way when this child was forked is in the way still. */
static bool table_mend(struct table *t)
{
    if (t->step && !hk_sys_unmap((void *)(t->at + t->end), t->step)) return false;
    t->step = 0;
    return true;
}

/* Make the part of t for heap bytes [0, end) readable. */
static bool table_grow(struct table *t, size_t end)
{
    size_t need = hk_align_up(end >> t->shift, UNITS_BYTES);
    if (need <= t->end) return true;
    if (!table_mend(t)) return false;
    size_t step = t->end / 2 < t->step_max ? hk_align_up(t->end / 2, UNITS_BYTES) : t->step_max;
    if (step < need - t->end) step = need - t->end;
    void *at = (void *)(t->at + t->end);
    t->step = step;
    bool done = hk_sys_map_sparse(at, step);
    if (!done) {
        t->step = step = need - t->end;
        done = hk_sys_map_sparse(at, step);
    }
    if (done) {
        t->end += step;
        atomic_fetch_add_explicit(&meta_mapped, step, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_release); /* a forked child must not see this one first */
    t->step = 0;
    if (!done) return false;
    /* A huge page of records would make megabytes resident for a few lines of them. */
    if (t->end >= 2 * HK_CHUNK_BYTES) hk_sys_nohuge(at, step);
    return true;
}

static bool map_pieces(size_t end)
{
    size_t last = (end - 1) / HK_CHUNK_BYTES / HK_PIECE_CHUNKS;
    for (size_t i = 0; i <= last; i++) {
        if (hk_chunk_pieces[i]) continue;
        hk_chunk_pieces[i] = hk_sys_map_sparse(NULL, PIECE_BYTES);
        if (!hk_chunk_pieces[i]) return false;
        hk_sys_nohuge(hk_chunk_pieces[i], PIECE_BYTES);
        atomic_fetch_add_explicit(&meta_mapped, PIECE_BYTES, memory_order_relaxed);
    }
    return true;
}

/* Map heap bytes [at, at + bytes) with their records first, so that a refusal loses nothing. */
static bool map_heap(size_t at, size_t bytes)
{
    if (at + bytes > HK_HEAP_MAX || at + bytes < at) return false;
    if (!table_grow(&units, at + bytes) || !map_pieces(at + bytes)) return false;
    if (hardened && (at + bytes > SHADOWED_MAX || !table_grow(&shadow, at + bytes))) return false;
    size_t done = at < heap_ready ? heap_ready - at : 0;
    if (done < bytes && !hk_sys_map((void *)(hk_window_base + at + done), bytes - done))
        return false;
    for (size_t i = at >> HK_CHUNK_SHIFT; i < (at + bytes) >> HK_CHUNK_SHIFT; i++) {
        struct hk_chunk *c = hk_chunk_at(i);
        c->index = (uint32_t)i;
    }
    heap_end = at + bytes;
    if (!hardened) atomic_store_explicit(&hk_window_limit, heap_end, memory_order_release);
    atomic_store_explicit(&hk_window_end, heap_end, memory_order_release);
    return true;
}

uintptr_t hk_map_harden(uintptr_t key)
{
    hk_lock_acquire(&grow_lock);
    bool first = hk_window_base == BASE_UNSET, done = !first || choose_window();
    shadow.at = hk_window_base - WINDOW_HEAP + WINDOW_SHADOW;
    done = done && table_grow(&shadow, heap_end > heap_ready ? heap_end : heap_ready);
    if (done) {
        hardened = true;
        if (first) hk_link_key = key;
        atomic_store_explicit(&hk_window_limit, 0, memory_order_release);
    }
    hk_lock_release(&grow_lock);
    return done ? shadow.at - (hk_window_base >> shadow.shift) : 0;
}

/* Whether a refusal was about the place and not about the memory. */
static bool kernel_has(size_t bytes)
{
    void *p = hk_sys_map(NULL, bytes);
    if (p) hk_sys_drop(p, bytes);
    return p != NULL;
}

bool hk_map_grow_begin(size_t chunks, size_t seen)
{
    hk_lock_acquire(&grow_lock);
    if (seen == SIZE_MAX || (heap_end >> HK_CHUNK_SHIFT) - seen < chunks) return true;
    hk_lock_release(&grow_lock);
    return false;
}

void hk_map_grow_end(void)
{
    hk_lock_release(&grow_lock);
}

void *hk_map_grow(size_t chunks, size_t *got)
{
    HK_ASSERT(hk_lock_mine(&grow_lock));
    if (chunks > HK_HEAP_MAX >> HK_CHUNK_SHIFT) return NULL;
    /* Records come first: do not map gigabytes of them for what the kernel never gives. */
    if (chunks > PROBE_CHUNKS && !kernel_has(chunks << HK_CHUNK_SHIFT)) return NULL;
    size_t want = heap_end / HK_CHUNK_BYTES / 4;
    if (want > GROW_MAX_CHUNKS) want = GROW_MAX_CHUNKS;
    if (want < GROW_MIN_CHUNKS) want = GROW_MIN_CHUNKS;
    if (want < chunks) want = chunks;
    size_t at = heap_end;
    bool done = map_heap(at, want << HK_CHUNK_SHIFT);
    if (!done) done = map_heap(at, (want = chunks) << HK_CHUNK_SHIFT);
    for (int i = 0; !done && i < SKIPS && kernel_has(want << HK_CHUNK_SHIFT); i++) {
        at += SKIP_BYTES << i;
        done = map_heap(at, want << HK_CHUNK_SHIFT);
    }
    if (!done) return NULL;
    *got = want;
    return (void *)(hk_window_base + at);
}

void *hk_meta_alloc(size_t bytes)
{
    bytes =
        hk_align_up(bytes, (size_t)2 * HK_LINE_BYTES); /* no two owners share a prefetched pair */
    HK_CHECK(bytes <= META_BYTES, NULL);
    hk_lock_acquire(&meta_lock);
    if (meta_room < bytes) {
        char *piece = hk_sys_map_sparse(NULL, META_BYTES);
        if (piece) {
            meta_next = piece;
            meta_room = META_BYTES;
            atomic_fetch_add_explicit(&meta_mapped, META_BYTES, memory_order_relaxed);
        }
    }
    char *p = NULL;
    if (meta_room >= bytes) {
        p = meta_next;
        meta_next += bytes;
        meta_room -= bytes;
    }
    hk_lock_release(&meta_lock);
    return p;
}

size_t hk_meta_bytes(void)
{
    return atomic_load_explicit(&meta_mapped, memory_order_relaxed);
}

void hk_map_fork_prepare(void)
{
    hk_lock_settle(&grow_lock, 5000000);
    hk_lock_settle(&meta_lock, 1000000);
}

void hk_map_fork_child(void)
{
    /*
     * A torn growth leaves at most mappings behind that heap_end and the tables' ends do not cover
     * yet. The heap skips its own; the tables must go on without a gap, so theirs is undone, or
     * before the next growth. Torn metadata: drop the rest of the piece.
     */
    if (hk_lock_reset(&grow_lock)) {
        table_mend(&units);
        table_mend(&shadow);
    }
    if (hk_lock_reset(&meta_lock)) meta_room = 0;
}

#ifdef HK_DEBUG
size_t hk_map_check(void)
{
    size_t limit = atomic_load_explicit(&hk_window_end, memory_order_relaxed), chunks = 0;
    HK_CHECK(limit == heap_end && units.step == 0 && shadow.step == 0, &heap_end);
    HK_CHECK(limit >> units.shift <= units.end, &units.end);
    for (size_t i = 0; i < limit >> HK_CHUNK_SHIFT; i++)
        chunks += hk_chunk_at(i)->state != HK_CHUNK_NONE;
    size_t ahead = heap_ready > heap_end ? heap_ready - heap_end : 0;
    return (chunks << HK_CHUNK_SHIFT) + ahead + hk_meta_bytes();
}
#endif
