// System calls and allocator controls that Swift's Glibc module does not import (GNU extensions and variadic
// functions). One thin function each, no policy.
#pragma once

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>

#include "edge_crc32c.h"

// --- malloc (glibc) ---

// Sets M_MMAP_THRESHOLD, which also stops glibc from raising it by itself. Returns 1 on success, 0 on failure.
int edge_malloc_set_mmap_threshold(int bytes);
// Sets M_ARENA_MAX, the number of heaps that threads share. Returns 1 on success, 0 on failure.
int edge_malloc_set_arena_max(int arenas);
// Sets M_TRIM_THRESHOLD: free memory on top of the heap beyond this goes back to the system.
int edge_malloc_set_trim_threshold(int bytes);
// Gives free memory inside the heaps back to the system, keeping `keep` bytes on top. 1 if any was given back.
int edge_malloc_trim(size_t keep);
// The bytes that the allocator holds for `pointer`; 0 for NULL.
size_t edge_malloc_usable_size(void *pointer);
// The bytes that malloc got from the system (heaps and mappings), and the bytes in use by the program.
void edge_malloc_totals(size_t *held, size_t *in_use);

// --- files in memory, holes, page cache ---

// memfd_create with MFD_CLOEXEC. Returns a descriptor, or -1 with errno.
int edge_memfd_create(const char *name);
// fallocate(PUNCH_HOLE | KEEP_SIZE): the range reads as zero and its pages leave the file. 0, or -1 with errno.
int edge_punch_hole(int fd, int64_t offset, int64_t length);
// fallocate(0): reserves the range. 0, or -1 with errno.
int edge_allocate_range(int fd, int64_t offset, int64_t length);
// cachestat (Linux 6.5): pages of the range that are in memory, or -1 with errno (ENOSYS on older kernels).
int64_t edge_cached_pages(int fd, int64_t offset, int64_t length);

// --- descriptors ---

// What an open file is: mode and type (st_mode) and owner. 0, or -1 with errno.
int edge_file_status(int fd, uint32_t *mode, uint32_t *owner);
// Sets the soft limit of open descriptors (RLIMIT_NOFILE) to the hard one, and returns the soft limit that then holds;
// -1 with errno where it cannot be known.
int64_t edge_raise_descriptor_limit(void);

// --- threads ---

// Takes a semaphore within so many milliseconds, whatever happens to the wall clock. 0, or -1 with errno (ETIMEDOUT).
int edge_semaphore_wait(sem_t *semaphore, int milliseconds);

/* How many processors this process may run on (sched_getaffinity), at least 1. */
int edge_usable_processors(void);

/* --- sockets --- */

/* The beginning of the kernel's struct tcp_info (TCP_INFO), which glibc declares without its newer fields. */
typedef struct {
    uint8_t before[44];
    /* Milliseconds since data was sent, and since data came. */
    uint32_t last_data_sent;
    uint32_t last_ack_sent;
    uint32_t last_data_received;
    uint8_t between[64];
    /* Bytes that the far end has acknowledged (Linux 4.1). */
    uint64_t bytes_acked;
} edge_tcp_info;
