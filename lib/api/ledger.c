/* SPDX-License-Identifier: MIT */
/*
 * What: the ledger of live blocks, a hash table, and the queue of freed ones.
 * Why: see ledger.h. As long as a freed block rests nobody else gets its memory, so that a use
 * after the free is seen; memcheck's own queue is as long, and tells whose block it was.
 * Invariants: L1 a slot's `p` is written last and cleared first: a child of fork finds whole slots,
 *   whoever was inside. L2 a slot once used is never EMPTY again, so that a search goes on past it.
 * Locks: `lock`, taken alone; nothing is called under it but the kernel's mmap and munmap.
 */
#include "api/ledger.h"

#include "os/probe.h"

#if HK_PROBED

#include "os/lock.h"
#include "os/sys.h"

#define EMPTY      ((uintptr_t)0)
#define GONE       ((uintptr_t)1)
#define FIRST_BITS 12
#define REST_BYTES ((size_t)20000000) /* memcheck's --freelist-vol */
#define REST_SLOTS ((size_t)1 << 18)

static struct hk_lock lock = HK_LOCK_INIT(HK_RANK_LEDGER);
struct table {
    unsigned bits; /* 1 << bits slots */
    size_t used;   /* not EMPTY */
    struct hk_noted slot[];
};
static struct table *live;
static struct hk_noted *rest; /* a ring of REST_SLOTS */
static size_t rest_first, rest_count, rest_bytes;

/* The slot of p, or the EMPTY one where the search for it ends. */
static struct hk_noted *search(struct table *t, uintptr_t p)
{
    size_t i = (size_t)((uint64_t)p * 0x9e3779b97f4a7c15u >> (64 - t->bits));
    while (t->slot[i].p != p && t->slot[i].p != EMPTY) i = (i + 1) & (((size_t)1 << t->bits) - 1);
    return &t->slot[i];
}

static void put(struct table *t, const struct hk_noted *b)
{
    struct hk_noted *s = search(t, b->p), whole = *b;
    whole.p = EMPTY;
    *s = whole;
    t->used++;
    __atomic_store_n(&s->p, b->p, __ATOMIC_RELEASE); /* L1 */
}

static size_t table_bytes(unsigned bits)
{
    return sizeof(struct table) + (sizeof(struct hk_noted) << bits);
}

/* A table with room: the live slots in one that is a third full at most. */
static bool grow(void)
{
    struct table *old = live;
    size_t count = 0, slots = old ? (size_t)1 << old->bits : 0;
    for (size_t i = 0; i < slots; i++) count += old->slot[i].p > GONE;
    unsigned bits = FIRST_BITS;
    while (((size_t)1 << bits) / 3 < count + 1) bits++;
    struct table *t = hk_sys_map_sparse(NULL, table_bytes(bits));
    if (!t) return false;
    t->bits = bits;
    for (size_t i = 0; i < slots; i++) {
        if (old->slot[i].p > GONE) put(t, &old->slot[i]);
    }
    __atomic_store_n(&live, t, __ATOMIC_RELEASE);
    if (old) hk_sys_unmap(old, table_bytes(old->bits));
    return true;
}

bool hk_ledger_add(const struct hk_noted *b)
{
    hk_lock_acquire(&lock);
    bool room = (live && live->used < ((size_t)1 << live->bits) / 4 * 3) || grow();
    if (room) put(live, b);
    hk_lock_release(&lock);
    return room;
}

/* forget: its slot is GONE. */
static bool look(const void *p, struct hk_noted *out, bool forget)
{
    bool found = false;
    hk_lock_acquire(&lock);
    if (live && (uintptr_t)p > GONE) {
        struct hk_noted *s = search(live, (uintptr_t)p);
        found = s->p != EMPTY;
        if (found) *out = *s;
        if (found && forget) s->p = GONE;
    }
    hk_lock_release(&lock);
    return found;
}

bool hk_ledger_find(const void *p, struct hk_noted *out)
{
    return look(p, out, false);
}

bool hk_ledger_take(const void *p, struct hk_noted *out)
{
    return look(p, out, true);
}

void hk_ledger_change(const void *p, size_t n, enum hk_by by)
{
    hk_lock_acquire(&lock);
    struct hk_noted *s = search(live, (uintptr_t)p);
    s->n = n;
    s->by = by;
    hk_lock_release(&lock);
}

void hk_ledger_rest(const struct hk_noted *b)
{
    hk_lock_acquire(&lock);
    if (!rest) rest = hk_sys_map_sparse(NULL, sizeof *rest * REST_SLOTS);
    if (rest) {
        rest[(rest_first + rest_count) % REST_SLOTS] = *b;
        rest_count++;
        rest_bytes += b->total;
    }
    hk_lock_release(&lock);
}

/* One slot stays free for the next. Without a queue blocks are lost, and the program goes on. */
bool hk_ledger_rested(struct hk_noted *out)
{
    hk_lock_acquire(&lock);
    bool due = rest_count > 1 && (rest_bytes > REST_BYTES || rest_count == REST_SLOTS);
    if (due) {
        *out = rest[rest_first];
        rest_first = (rest_first + 1) % REST_SLOTS;
        rest_count--;
        rest_bytes -= out->total;
    }
    hk_lock_release(&lock);
    return due;
}

void hk_ledger_fork_prepare(void)
{
    hk_lock_settle(&lock, 2000000);
}

void hk_ledger_fork_child(void)
{
    hk_lock_reset(&lock);
}

#endif
