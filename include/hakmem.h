/* SPDX-License-Identifier: MIT */
/*
 * hakmem: a malloc for Linux.
 *
 * Linked or preloaded, libhakmem takes the place of the C library's malloc family; nothing of this
 * header is needed for that. The functions below are the same allocator under names of its own,
 * and what goes beyond the C interface. They may be mixed freely with the standard names:
 * hakmem_free(malloc(n)) is fine while the library is the program's malloc.
 *
 * All functions are thread-safe; none is async-signal-safe. Sizes are in bytes. Functions that
 * return memory return blocks aligned to 16 bytes, or NULL with errno set to ENOMEM; they leave
 * errno alone on success, and hakmem_free always does.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef HAKMEM_ATTR
#if defined(__GNUC__)
#define HAKMEM_ATTR(x) __attribute__(x)
#else
#define HAKMEM_ATTR(x)
#endif
#endif

/* A block of at least size bytes, contents undefined. Size 0 gives a unique block. */
void *hakmem_malloc(size_t size) HAKMEM_ATTR((malloc, alloc_size(1), warn_unused_result));

/* Release a block; NULL is ignored. A pointer that is not a block aborts the program. */
void hakmem_free(void *ptr);

/* Like hakmem_free, for callers that know the size they asked for. */
void hakmem_free_sized(void *ptr, size_t size);
void hakmem_free_aligned_sized(void *ptr, size_t alignment, size_t size);

/* A block for count objects of size bytes each, all bytes zero; ENOMEM on overflow. */
void *hakmem_calloc(size_t count, size_t size)
    HAKMEM_ATTR((malloc, alloc_size(1, 2), warn_unused_result));

/*
 * Change a block's size, keeping the contents up to the smaller of both. The block may move. NULL
 * as ptr allocates; size 0 frees and returns NULL. On failure ptr is untouched.
 */
void *hakmem_realloc(void *ptr, size_t size) HAKMEM_ATTR((alloc_size(2), warn_unused_result));
void *hakmem_reallocarray(void *ptr, size_t count, size_t size)
    HAKMEM_ATTR((alloc_size(2, 3), warn_unused_result));

/*
 * A block at a multiple of alignment. hakmem_aligned_alloc: EINVAL unless alignment is a power of
 * two. hakmem_memalign rounds alignment up to a power of two. hakmem_posix_memalign returns
 * 0, EINVAL (alignment is not a power-of-two multiple of sizeof(void *)) or ENOMEM, and leaves *out
 * alone unless it returns 0.
 */
void *hakmem_aligned_alloc(size_t alignment, size_t size)
    HAKMEM_ATTR((malloc, alloc_size(2), warn_unused_result));
void *hakmem_memalign(size_t alignment, size_t size)
    HAKMEM_ATTR((malloc, alloc_size(2), warn_unused_result));
int hakmem_posix_memalign(void **out, size_t alignment, size_t size);

/* Bytes that may be used of a block: at least what was asked for. 0 for NULL or what is not ours.
 */
size_t hakmem_usable_size(const void *ptr);

/*
 * Return free memory to the kernel, keeping at least pad bytes of it. 1 if any was returned, else
 * 0. Costs system calls, and page faults later: for programs that know they will be idle.
 */
int hakmem_trim(size_t pad);

/*
 * A soft limit on the memory that the allocator holds: used or free and resident, without its own
 * records (a thousandth). Before it is passed all that can be is returned to the kernel; what does
 * not fit then is refused with ENOMEM. Blocks that are there stay, also beyond a limit set too
 * late. 0: none. HAKMEM_LIMIT sets it at start.
 */
void hakmem_set_limit(size_t bytes);

/* What the allocator holds, in bytes and counts, at some instant during the call. */
struct hakmem_stats {
    size_t struct_bytes;     /* in: sizeof(struct hakmem_stats), so that it can grow */
    size_t mapped_bytes;     /* address space of the heap, and of blocks mapped by themselves */
    size_t used_bytes;       /* of it, in slabs, runs and such blocks handed out */
    size_t free_dirty_bytes; /* of it, free and probably resident */
    size_t metadata_bytes;   /* address space of the records; a fraction is resident */
    uint64_t tiny_allocs;    /* blocks handed out since the start: up to 1 KiB */
    uint64_t mid_allocs;     /* up to 32 KiB */
    uint64_t large_allocs;   /* below 2 MiB */
    uint64_t big_allocs;     /* from 2 MiB */
    uint64_t remote_frees;   /* blocks freed by another thread than their owner, taken in */
    uint64_t refills;        /* times a thread's bin was refilled */
    uint64_t heaps;          /* heaps made; threads that end leave theirs to later ones */
    uint64_t purged_bytes;   /* returned to the kernel since the start */
    uint64_t purges;         /* calls that returned them */
    uint64_t system_calls;   /* made by the allocator since the start */
    size_t mapped_blocks;    /* live blocks in mappings of their own: grown ones, from 4 MiB */
    size_t mapped_block_bytes;
    size_t slab_bytes;      /* of used_bytes: slabs of tiny and mid blocks, free ones among them */
    size_t large_bytes;     /* of used_bytes: live large and big blocks, without mapped ones */
    size_t held_bytes;      /* of used_bytes: freed large blocks that threads hold for their next */
    uint64_t held_hits;     /* large blocks that came out of those */
    uint64_t pool_takes;    /* times slabs and blocks were taken from the shared memory behind, */
    uint64_t pool_warm;     /* from memory that was probably resident, */
    uint64_t heap_grows;    /* and times the heap had to grow */
    uint64_t refault_bytes; /* of purged_bytes: taken again; it steers when memory goes back */
    uint64_t purges_refused; /* calls that returned nothing */
    size_t huge_bytes;       /* of mapped_bytes: advised to be huge pages */
    uint64_t decay_ms;       /* how long memory has to be idle now before it goes back */
    size_t guarded_blocks;   /* live blocks between inaccessible pages, HAKMEM_GUARD_SAMPLE, */
    uint64_t guarded_allocs; /* and such blocks handed out since the start */
};

/* Fill *out up to out->struct_bytes. 0, or -1 with errno EINVAL if that is no size of it. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* the structure has the same name */
#endif
int hakmem_stats(struct hakmem_stats *out);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* Write the statistics as text to a file descriptor; no allocation. */
void hakmem_stats_write(int fd);

/*
 * Write what was learned about large and big blocks, what is in force, and why, to a file
 * descriptor: as indented text, or as JSON. No allocation.
 */
void hakmem_policy_dump(int fd, int json);

/* "MAJOR.MINOR.PATCH" of the library that is running. */
const char *hakmem_version(void);

#ifdef __cplusplus
}
#endif

#endif
