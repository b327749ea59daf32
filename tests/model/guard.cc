/* SPDX-License-Identifier: MIT */
/*
 * What: two slots of guarded blocks go round three threads, which make the pool, free what others
 * allocated and strangers; a look at a block that is free; a block freed twice at once; and a fork
 * at each call. Why: slots change hands without a lock, and their pages are opened and closed
 * outside of any (G1).
 */
#include "layer.h"

#define SLOTS         2
#define PAGE          16
#define PAGES         (2 * SLOTS + 1)
#define THREADS       3
#define HK_GUARD_FILL 0xab
enum { FREE, TAKEN, LIVE, GOING, STATES };
#define STATE_BITS 2
enum hk_sys_access { HK_ACCESS_NONE, HK_ACCESS_ALL };

/* Where mappings begin: also a number. */
struct base : cell<char *> {
    using cell<char *>::operator=;
    explicit operator uintptr_t()
    {
        return (uintptr_t)(char *)*this;
    }
};
struct slot {
    shared<uint64_t> word, rests;
    cell<char *> p;
    cell<size_t> n;
    cell<void *> allocated, freed;
    cell<uint64_t> allocator, freer;
};
struct pool {
    struct base base;
    cell<size_t> page, bytes;
    cell<uint32_t> slots;
    shared<uint64_t> frees, sampled;
    struct slot slot[SLOTS];
};

/* A mapping each for who may make the pool; of its pages what can be seen. */
struct page {
    cell<bool> open;
    cell<int> content;
};
struct words {
    struct pool made[THREADS];
    struct page page[THREADS][PAGES];
    shared<struct pool *> pool{NULL};
    shared<uint32_t> wanted{SLOTS};
    shared<char *> box{NULL};
    cell<bool> mapped[THREADS];
    bool forked = false;
    unsigned twice = 0;
    int calls[THREADS]; /* until the fork, which the thread is not in the child of */
    unsigned out[THREADS];
};
EACH_RUN(struct words, words);
static auto &pool = words.pool;
static auto &slots_wanted = words.wanted;
static char memory[THREADS][PAGES * PAGE];
static int64_t left;
struct died {
};

static unsigned self()
{
    return rl::ctx().threadx_->index_;
}
static void may_fork()
{
    if (!words.forked && words.calls[self()]-- == 0) throw died();
}
static uintptr_t hk_lock_me()
{
    return words.forked ? THREADS + 1 : self() + 1;
}
static struct page *at(const char *p)
{
    size_t off = (size_t)(p - memory[0]);
    return &words.page[off / sizeof memory[0]][off % sizeof memory[0] / PAGE];
}
static size_t hk_sys_page_bytes()
{
    return PAGE;
}
static bool hk_map_init()
{
    return true;
}
static char *hk_sys_map_closed(size_t bytes)
{
    RL_ASSERT(bytes == sizeof memory[0]);
    words.mapped[self()] = true;
    return memory[self()];
}
static void hk_sys_drop(char *p, size_t)
{
    RL_ASSERT(p == memory[self()] && words.mapped[self()]);
    words.mapped[self()] = false;
}
static void *hk_meta_alloc(size_t)
{
    return &words.made[self()];
}
static bool hk_sys_protect(char *page, size_t, enum hk_sys_access access)
{
    may_fork();
    at(page)->open = access == HK_ACCESS_ALL;
    may_fork();
    return true;
}
/* Who writes a page has it, and it is open. */
static void write(char *p, int c, size_t n)
{
    may_fork();
    if (!n) return;
    RL_ASSERT(at(p)->open);
    at(p)->content = c;
}
static char *place(char *page, size_t, size_t, size_t)
{
    may_fork();
    return page;
}
static void check_fill(struct pool *, struct slot *s)
{
    RL_ASSERT(at(s->p)->open && at(s->p)->content == (int)s->n);
}
static void die(const char *what, const void *, struct slot *)
{
    RL_ASSERT(!strcmp(what, "double free"));
    words.twice++;
    throw died();
}
static struct pool *get_pool();
bool hk_guard_holds(const void *p);

#define const /* cells know of none */
#define memset write
#include "cut.h"
#undef const
#undef memset

static void *const site = memory;

static char *take()
{
    size_t n = self() + 1;
    char *p = (char *)hk_guard_alloc(n, 1, false, site);
    if (!p) return NULL;
    words.out[self()]++;
    write(p, (int)n, n);
    return p;
}

static void give(char *p)
{
    if (!p) return;
    words.out[self()]--; /* no fork comes before it is GOING */
    RL_ASSERT(hk_guard_free(p, site));
}

static void begin()
{
    make_anew(words);
    for (unsigned i = 0; i < THREADS; i++) {
        words.mapped[i] = false;
        words.calls[i] = -1;
        words.out[i] = 0;
        for (struct page &page : words.page[i]) page.open = page.content = 0;
        for (struct slot &s : words.made[i].slot) {
            store(&s.word, 0, rl::mo_relaxed);
            store(&s.rests, 0, rl::mo_relaxed);
            s.p = NULL;
        }
        store(&words.made[i].frees, 0, rl::mo_relaxed);
        store(&words.made[i].sampled, 0, rl::mo_relaxed);
    }
}

/* All slots but so many can be had; one pool was made. */
static void end(unsigned live)
{
    struct pool *g = get_pool();
    for (unsigned i = 0; i < THREADS; i++) RL_ASSERT(words.mapped[i] == (g == &words.made[i]));
    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned state = state_of(&g->slot[i]);
        RL_ASSERT(state == FREE || state == LIVE);
        RL_ASSERT(state != LIVE || (g->slot[i].p && at(g->slot[i].p)->open));
        live -= state == LIVE;
        RL_ASSERT(state != FREE || !g->slot[i].p || g->slot[i].freed == site);
    }
    RL_ASSERT(live == 0);
    unmake(words);
}

/* Blocks go from hand to hand. */
struct rounds : rl::test_suite<rounds, THREADS> {
    void before()
    {
        begin();
    }
    void thread(unsigned i)
    {
        char stranger;
        if (i == 2) RL_ASSERT(!hk_guard_free(&stranger, site));
        for (unsigned n = 0; n < 2; n++) {
            char *p = take();
            give(words.box.is.exchange(p, rl::mo_acq_rel, $));
        }
    }
    void after()
    {
        char *p = words.box.is.exchange(NULL, rl::mo_acq_rel, $);
        give(p);
        end(0);
    }
};

/* One frees, another one is at fault and looks who it was. */
struct looks : rl::test_suite<looks, 2> {
    char *p;
    void before()
    {
        begin();
        p = take();
    }
    void thread(unsigned i)
    {
        struct slot *s = get_pool()->slot;
        if (i == 0)
            give(p);
        else if (state_of(s) == FREE)
            RL_ASSERT(s->freed == site && s->freer == 1 && !at(p)->open);
    }
    void after()
    {
        end(0);
    }
};

/* Both free it: one of them ends the program. */
struct twice : rl::test_suite<twice, 2> {
    char *p;
    void before()
    {
        begin();
        p = take();
    }
    void thread(unsigned)
    {
        try {
            give(p);
        } catch (struct died) {
        }
    }
    void after()
    {
        RL_ASSERT(words.twice == 1);
        end(0);
    }
};

/* Threads that are not in the child were in the midst of it. */
struct forks : rl::test_suite<forks, 2> {
    void before()
    {
        begin();
        get_pool();
    }
    void thread(unsigned i)
    {
        words.calls[i] = (int)rl::rand(14);
        try {
            char *p = take();
            give(p);
            take();
        } catch (struct died) {
        }
    }
    void after()
    {
        words.forked = true;
        hk_guard_fork_child();
        for (struct slot &s : get_pool()->slot)
            if (state_of(&s) == LIVE) RL_ASSERT(s.p && at(s.p)->open);
        end(words.out[0] + words.out[1]);
    }
};

MAIN(holds<rounds>(runs); holds<looks>(runs); holds<twice>(runs); holds<forks>(runs))
