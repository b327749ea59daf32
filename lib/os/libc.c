/* SPDX-License-Identifier: MIT */
/*
 * What: whose block is it, if not ours: the places where glibc's malloc keeps its blocks.
 * Why: a plugin opened with RTLD_DEEPBIND and a direct call of __libc_malloc get them there, and
 *   hand them to code whose free is ours. Its heap at the program break is known by its place.
 * Blocks with a mapping of their own, and those of its further arenas, may lie anywhere: they are
 * known by what glibc writes before them, which is read only where the kernel says that it can be.
 * Where a sanitizer has a malloc of its own every block is that one's (os/beside.h).
 * Invariants: what glibc cannot have written by all its own rules is not passed on.
 * Threads: any; the block is the caller's, so what is before it stays.
 */
#include "os/sys.h"

#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "base/attr.h"
#include "os/beside.h"
#include "os/probe.h"

/* Where the C library keeps the program break; reading it costs no call. */
extern void *__curbrk HK_WEAK;
extern void __libc_free(void *p) HK_WEAK;

/* Before a block of glibc's: its length with this word, a multiple of 16, and three flags. */
struct head {
    size_t before; /* the free bytes before it; of one with a mapping of its own, from its start */
    size_t bytes;
};
#define FLAG_MAPPED ((size_t)2)
#define FLAG_ARENA  ((size_t)4)
#define FLAGS       ((size_t)7)

/* Blocks of further arenas lie in parts that start at a multiple of their most bytes, with this. */
#define PART_BYTES ((size_t)64 << 20)
struct part {
    const void *arena;
    const struct part *before;
    size_t bytes, writable;
};

static const struct head *head_of(const void *p)
{
    return (const struct head *)p - 1;
}

static bool on_page(uintptr_t n)
{
    return n % hk_sys_page_bytes() == 0;
}

/* End of the program's own image, below which the heap at the break cannot start. */
static uintptr_t image_end(void)
{
    const ElfW(Phdr) *ph = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t n = getauxval(AT_PHNUM);
    uintptr_t bias = 0, end = 0;
    for (size_t i = 0; ph && i < n; i++) {
        if (ph[i].p_type == PT_PHDR) bias = (uintptr_t)ph - ph[i].p_vaddr;
        if (ph[i].p_type == PT_LOAD && ph[i].p_vaddr + ph[i].p_memsz > end)
            end = ph[i].p_vaddr + ph[i].p_memsz;
    }
    return end ? bias + end : UINTPTR_MAX;
}

static bool at_break(const void *p)
{
    if (!&__curbrk) return false;
    uintptr_t end = (uintptr_t)__curbrk, from = image_end();
    if (from > end) from = 0; /* started by ld.so itself: the image is elsewhere */
    return (uintptr_t)p < end && (uintptr_t)p >= from;
}

/* Start and end of the mapping are its pages', and both are there. */
HK_UNSANITIZED static bool is_mapped(const struct head *h)
{
    uintptr_t start = (uintptr_t)h - h->before, end = (uintptr_t)h + (h->bytes & ~FLAGS);
    if ((h->bytes & FLAGS) != FLAG_MAPPED || !on_page(start) || !on_page(end)) return false;
    if (start > (uintptr_t)h || end <= (uintptr_t)h) return false;
    return hk_sys_readable((const void *)start) && hk_sys_readable((const uint32_t *)end - 1);
}

HK_UNSANITIZED static bool in_arena(const struct head *h)
{
    uintptr_t at = (uintptr_t)h % PART_BYTES;
    size_t bytes = h->bytes & ~FLAGS;
    const struct part *p = (const struct part *)((uintptr_t)h - at);
    if ((h->bytes & (FLAG_MAPPED | FLAG_ARENA)) != FLAG_ARENA || at < sizeof *p) return false;
    if (bytes < 2 * sizeof *h || bytes > PART_BYTES || !hk_sys_readable(p)) return false;
    if (!p->arena || (uintptr_t)p->before % PART_BYTES || (uintptr_t)p->arena % sizeof(size_t))
        return false;
    return on_page(p->bytes) && on_page(p->writable) && p->bytes <= p->writable &&
           p->writable <= PART_BYTES && at + bytes <= p->bytes;
}

bool hk_sys_libc_owns(const void *p)
{
    if (hk_beside_on()) return true; /* whose it is, and whether it is one, is looked at there */
    if (!__libc_free || (uintptr_t)p % sizeof(struct head) || !p) return false;
    if (at_break(p)) return true;
#if HK_PROBED
    if (hk_probe_ask() != HK_PROBE_NOBODY) return false; /* who listens would tell of the look */
#endif
    const struct head *h = head_of(p);
    return hk_sys_readable(h) && (is_mapped(h) || in_arena(h));
}

void hk_sys_libc_free(void *p)
{
    int saved = errno;
    if (hk_beside_on())
        __interceptor_free(p);
    else
        __libc_free(p);
    errno = saved;
}

/* The last word of a block is the next one's first, but of one with a mapping of its own. */
size_t hk_sys_libc_bytes(const void *p)
{
    if (hk_beside_on()) return __interceptor_malloc_usable_size((void *)(uintptr_t)p);
    size_t bytes = head_of(p)->bytes, lost = bytes & FLAG_MAPPED ? 16 : 8;
    bytes &= ~FLAGS;
    return bytes > lost ? bytes - lost : 0;
}
