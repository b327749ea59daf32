/* SPDX-License-Identifier: MIT */
/*
 * What: the platform contract: every system call of the library is made here and counted here.
 * Why: one published list (mmap munmap madvise mremap getrusage futex sched_yield write; open, read
 *   and close for files: settings, the group's limit, the maps for call sites, what
 *   the user asked to be written; mbind and get_mempolicy if he asked for nodes; mprotect if for
 *   guarded blocks, and before the first dlopen of a library), one place
 * to inject faults, and errno kept: no function here changes it. Threads: all.
 */
#ifndef HK_OS_SYS_H
#define HK_OS_SYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct link_map;

enum hk_sys_call {
    HK_SYS_MMAP,
    HK_SYS_MUNMAP,
    HK_SYS_MADVISE,
    HK_SYS_MREMAP,
    HK_SYS_FUTEX,
    HK_SYS_YIELD,
    HK_SYS_GETRUSAGE,
    HK_SYS_MBIND,
    HK_SYS_GET_MEMPOLICY,
    HK_SYS_MPROTECT,
    HK_SYS_CALLS
};
/* In lines of their own: all threads write them. */
#define HK_SYS_COUNTS ((HK_SYS_CALLS + 7) / 8 * 8)
extern HK_LINE_ALIGNED _Atomic uint64_t hk_sys_count[HK_SYS_COUNTS];
extern const char *const hk_sys_name[HK_SYS_CALLS];

/* Page size of the running kernel, bytes. */
extern HK_HIDDEN _Atomic size_t hk_sys_page; /* 0: not asked for yet */
size_t hk_sys_page_learn(void);
HK_INLINE size_t hk_sys_page_bytes(void)
{
    size_t p = atomic_load_explicit(&hk_sys_page, memory_order_relaxed);
    return HK_LIKELY(p != 0) ? p : hk_sys_page_learn();
}
/*
 * Fresh zeroed private memory exactly at `at` (hint may be NULL: anywhere); NULL if refused.
 * hk_sys_map is for the heap: the kernel may refuse more than it could ever give. Records are
 * sparse and few of their pages are touched: hk_sys_map_sparse is not held to that.
 */
void *hk_sys_map(void *at, size_t bytes);
void *hk_sys_map_sparse(void *at, size_t bytes);
/* The same anywhere, but that nobody may read or write it. */
void *hk_sys_map_closed(size_t bytes);
/* False if the kernel refused: the range is still mapped and still ours. */
bool hk_sys_unmap(void *p, size_t bytes);
/*
 * The same for what nobody needs: what is refused is tried again before the next mapping, and by
 * hk_sys_drop_again, which tells the bytes that went.
 */
void hk_sys_drop(void *p, size_t bytes);
size_t hk_sys_drop_again(void);
#ifdef HK_DEBUG
/* Bytes that wait for that. Nobody maps anything now. */
size_t hk_sys_left_bytes(void);
#endif
/* A mapping of `from` bytes made `to` bytes long, here or elsewhere; NULL if refused: as it was. */
void *hk_sys_remap(void *p, size_t from, size_t to);
/* Whole pages, for nobody, to be read, or to be used again; false if refused: as they were. */
enum hk_sys_access { HK_ACCESS_NONE, HK_ACCESS_READ, HK_ACCESS_ALL };
bool hk_sys_protect(void *p, size_t bytes, enum hk_sys_access access);
/* Give the pages back, keep the addresses; they read as zero after. False if refused. */
bool hk_sys_purge(void *p, size_t bytes);
/* Whether purges are timed; what the timed ones took, ns, how many, and what they gave back. */
void hk_sys_time_purges(bool on);
extern _Atomic uint64_t hk_sys_purge_ns, hk_sys_purges_timed, hk_sys_purge_bytes;
/* Advise for and against huge pages; refusal is of no consequence. */
bool hk_sys_huge(void *p, size_t bytes);
bool hk_sys_nohuge(void *p, size_t bytes);
/*
 * Pages of the range come from that node, or when it is full from another · from all nodes that the
 * process may use, in turns. False if refused.
 */
bool hk_sys_prefer_node(void *p, size_t bytes, uint32_t node);
bool hk_sys_interleave(void *p, size_t bytes);
/* Page faults that the calling thread had, without input or output. */
size_t hk_sys_thread_faults(void);
/* Monotonic milliseconds from the vDSO, coarse (about 4 ms). */
uint64_t hk_sys_now_ms(void);
/* The same in nanoseconds, exact. */
uint64_t hk_sys_now_ns(void);
/* Sleep while *word == seen, at most ns nanoseconds (0: without bound). */
void hk_sys_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns);
void hk_sys_wake(_Atomic uint32_t *word, int count);
/* Can the word at p, a multiple of four, be read? A futex is looked at by the kernel, which says.
 */
bool hk_sys_readable(const void *p);
void hk_sys_yield(void);
/* Sleep about 50 µs. */
void hk_sys_pause(void);
void hk_sys_write(int fd, const char *buf, size_t len);
/* 64 random bits that the kernel gave the process at exec; no system call. */
uint64_t hk_sys_random(void);
/* Others for each number, of which those and each other tell nothing that can be guessed. */
uint64_t hk_sys_secret(unsigned which);
/* True in a setuid, setgid or file-capability program. */
bool hk_sys_secure(void);
/*
 * The C library's own malloc, for pointers that come from it all the same (os/libc.c). Is p, which
 * is none of ours, a block of its, by all that can be seen?
 */
bool hk_sys_libc_owns(const void *p);
void hk_sys_libc_free(void *p);
/* Bytes that may be used of p, which is the C library's. */
size_t hk_sys_libc_bytes(const void *p);
/*
 * The function of that name that comes after this library's own; what the loader knows of a library
 * that is loaded (NULL: the program); a function in it or in what it needs. NULL without. These may
 * malloc, and take the loader's lock: for paths that hold nothing and are not malloc's own.
 */
void (*hk_sys_next_function(const char *name))(void);
struct link_map *hk_sys_loaded(const char *library);
void (*hk_sys_function_in(struct link_map *library, const char *name))(void);
/*
 * The start of a file as text, at most bytes - 1 of it, and a 0: what was read, or -1. Raw calls:
 * the C library's are cancellation points.
 */
long hk_sys_read_file(const char *path, char *out, size_t bytes);
/* The same into a mapping of its own, most + 1 bytes long; *text is NULL if there is none. */
long hk_sys_map_file(const char *path, char **text, size_t most);
/* Resident bytes of the process now (reads /proc; 0 if unknown) and at its peak. */
size_t hk_sys_resident_bytes(void);
size_t hk_sys_peak_bytes(void);
/* Append-or-create file for text output; -1 if refused. */
int hk_sys_open_output(const char *path);
void hk_sys_close(int fd);

#endif
