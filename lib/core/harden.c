/* SPDX-License-Identifier: MIT */
/*
 * What: the decision for hardened mode, sealed.
 * Why: see harden.h. What an attacker would switch off first must not be writable.
 */
#include "core/harden.h"

#include <link.h>

#include "os/sys.h"

#define WIPE_LEVEL_1   64u
#define GUARDS_LEVEL_1 1024u /* each cuts a mapping in two; the kernel allows 65530 of them */
#define GUARDS_LEVEL_2 16384u

/* Among what the dynamic linker sealed: no page more for those who are not hardened. */
__attribute__((section(".data.rel.ro"))) struct hk_harden hk_harden = {0};

extern const char __ehdr_start[] HK_HIDDEN HK_WEAK; /* by the linker; more follows it */

/* Whether the dynamic linker sealed [from, end), or would have: else variables lie there too. */
static bool sealed(uintptr_t from, uintptr_t end)
{
    const ElfW(Ehdr) *e = (const void *)__ehdr_start;
    if (!e) return false;
    const ElfW(Phdr) *ph = (const void *)((const char *)e + e->e_phoff);
    uintptr_t page = hk_sys_page_bytes(), bias = 0;
    for (unsigned i = 0; i < e->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0) bias = (uintptr_t)e - ph[i].p_vaddr;
    }
    for (unsigned i = 0; i < e->e_phnum; i++) {
        uintptr_t at = bias + ph[i].p_vaddr;
        if (ph[i].p_type == PT_GNU_RELRO && from >= (at & ~(page - 1)) &&
            end <= ((at + ph[i].p_memsz) & ~(page - 1)))
            return true;
    }
    return false;
}

/* The pages of it, if nothing else is there; false if refused. */
static bool seal(enum hk_sys_access access)
{
    uintptr_t page = hk_sys_page_bytes(), from = (uintptr_t)&hk_harden & ~(page - 1);
    size_t end = hk_align_up((uintptr_t)(&hk_harden + 1), page);
    return !sealed(from, end) || hk_sys_protect((void *)from, end - from, access);
}

bool hk_harden_start(unsigned level)
{
    if (!seal(HK_ACCESS_ALL)) return false;
    uintptr_t shadow = hk_map_harden((uintptr_t)hk_sys_secret(0) & HK_LINK_KEY_MASK);
    if (shadow) {
        hk_harden.expected = level > 1 ? HK_SHADOW_NEVER : HK_SHADOW_FREED;
        hk_harden.wipe = level > 1 ? SIZE_MAX : WIPE_LEVEL_1;
        hk_harden.guards = level > 1 ? GUARDS_LEVEL_2 : GUARDS_LEVEL_1;
        hk_harden.shadow = shadow;
        hk_harden.canary = hk_sys_secret(1) << HK_SLACK_BITS;
        hk_harden.kinds = level > 1 ? 0 : HK_TINY_CLASSES;
        atomic_store_explicit(&hk_harden.on, true, memory_order_release);
        if (level == 1)
            atomic_store_explicit(&hk_harden.small, HK_SMALL_MOST + 1, memory_order_release);
    }
    seal(HK_ACCESS_READ);
    return shadow != 0;
}
