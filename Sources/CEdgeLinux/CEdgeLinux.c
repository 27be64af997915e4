#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CEdgeLinux.h"
#include <sched.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int edge_malloc_set_mmap_threshold(int bytes) { return mallopt(M_MMAP_THRESHOLD, bytes); }

int edge_malloc_set_arena_max(int arenas) { return mallopt(M_ARENA_MAX, arenas); }

int edge_malloc_set_trim_threshold(int bytes) { return mallopt(M_TRIM_THRESHOLD, bytes); }

int edge_malloc_trim(size_t keep) { return malloc_trim(keep); }

size_t edge_malloc_usable_size(void *pointer) { return malloc_usable_size(pointer); }

void edge_malloc_totals(size_t *held, size_t *in_use) {
    struct mallinfo2 totals = mallinfo2();
    *held = totals.arena + totals.hblkhd;
    *in_use = totals.uordblks + totals.hblkhd;
}

int edge_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int edge_punch_hole(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

int edge_allocate_range(int fd, int64_t offset, int64_t length) { return fallocate(fd, 0, offset, length); }

// Debian 12's headers lack the number and the structures, so they stand here as the kernel defines them.
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

int64_t edge_cached_pages(int fd, int64_t offset, int64_t length) {
    struct { uint64_t offset, length; } range = {(uint64_t)offset, (uint64_t)length};
    struct { uint64_t cached, dirty, writeback, evicted, recently_evicted; } found = {0, 0, 0, 0, 0};
    if (syscall(SYS_cachestat, (long)fd, &range, &found, 0L) != 0) return -1;
    return (int64_t)found.cached;
}

int edge_semaphore_wait(sem_t *semaphore, int milliseconds) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += (milliseconds % 1000) * 1000000L;
    end.tv_sec += milliseconds / 1000 + end.tv_nsec / 1000000000L;
    end.tv_nsec %= 1000000000L;
    return sem_clockwait(semaphore, CLOCK_MONOTONIC, &end);
}

int edge_file_status(int fd, uint32_t *mode, uint32_t *owner) {
    struct stat found;
    if (fstat(fd, &found) != 0) return -1;
    *mode = found.st_mode;
    *owner = found.st_uid;
    return 0;
}

int64_t edge_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}

int edge_usable_processors(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}
