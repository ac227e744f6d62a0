/* SPDX-License-Identifier: MIT */
/*
 * System calls as the library uses them: negative errno instead of errno, and one
 * failure point each, so that the failure loop can refuse any of them.
 */
#ifndef BHI_BASE_SYS_H
#define BHI_BASE_SYS_H

#include <sys/types.h>

#include "base/compiler.h"

#define BHI_PAGE_SHIFT 12
#define BHI_PAGE_SIZE  ((size_t)1 << BHI_PAGE_SHIFT)
#define BHI_NS_PER_MS  1000000ULL
#define BHI_NS_PER_SEC 1000000000ULL

static inline size_t bhi_page_align(size_t size)
{
	return (size + BHI_PAGE_SIZE - 1) & ~(BHI_PAGE_SIZE - 1);
}

/* The order of the smallest block of 2^order pages that holds @nr_pages, 1 or more. */
static inline unsigned bhi_page_order(size_t nr_pages)
{
	return nr_pages > 1 ? 64u - (unsigned)__builtin_clzl(nr_pages - 1) : 0;
}

/*
 * Reserve @size bytes of address space that cannot be touched, aligned to @align (a
 * power of two, at least a page). Returns 0 and the address, or -ENOMEM.
 * Context: any, no allocation.
 */
int bhi_sys_reserve(size_t size, size_t align, void **ret);

/* Private zeroed memory, readable and writable. 0 or -ENOMEM. Context: any. */
int bhi_sys_map(size_t size, void **ret);

/* Context: any, no allocation. Cannot fail for ranges that were mapped whole. */
void bhi_sys_unmap(void *addr, size_t size);

/* Make a reserved range usable. 0 or -ENOMEM. Context: any. */
int bhi_sys_commit(void *addr, size_t size);

/*
 * Give the pages of a range back to the kernel; they read as zero afterwards. On failure
 * (-errno) the contents are unspecified but the range stays usable.
 * Context: any, no allocation.
 */
int bhi_sys_discard(void *addr, size_t size);

/* Pages of this range read as zero in a child made by any fork. Context: any. */
int bhi_sys_wipe_on_fork(void *addr, size_t size);

/*
 * Wait while *@word == @value, at most @timeout_ns (0: for ever). Returns 0 when woken or
 * when the word had changed, -ETIMEDOUT, -EINTR. Context: may wait.
 */
int bhi_sys_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);

/*
 * The same, but it also ends when *@kill_word is no longer @kill_value and its writer has
 * woken it. Where the kernel has no futex_waitv(2) (Linux 5.16) it wakes up from time to
 * time to look. Returns 0, -ETIMEDOUT or -EINTR. Context: may wait.
 */
int bhi_sys_futex_wait_two(uint32_t *word, uint32_t value, uint32_t *kill_word,
	uint32_t kill_value, uint64_t timeout_ns);

/* Wake up to @nr waiters. Context: signal-safe. */
void bhi_sys_futex_wake(uint32_t *word, int nr);

/* Announce the use of bhi_sys_membarrier. 0 or -errno. Context: any. */
int bhi_sys_membarrier_register(void);

/*
 * A full memory barrier on every running thread of the process. Where the kernel has
 * none, a barrier on this thread only: the other side then runs its own (thread.h).
 * Context: any, no allocation.
 */
void bhi_sys_membarrier(void);

/* Context: signal-safe. CLOCK_MONOTONIC. */
uint64_t bhi_sys_now_ns(void);

/* Context: may wait. Give the processor away, then sleep @ns (0: only yield). */
void bhi_sys_pause(uint64_t ns);

/* Context: signal-safe. */
uint32_t bhi_sys_thread_id(void);

/*
 * Read a small file whole into @buf, terminated by 0. Returns its length, -EFBIG when it
 * does not fit, or -errno. Context: may wait.
 */
ssize_t bhi_sys_read_file(const char *path, char *buf, size_t size);

/* Write all of it, however many calls that takes. 0 or -errno. Context: may wait. */
int bhi_sys_write(int fd, const void *data, size_t size);

/*
 * Write it in one piece, but only if nobody has to be waited for that reads what is there
 * already. 0, -EAGAIN (nothing was written), or another -errno. Context: signal-safe.
 */
int bhi_sys_try_write(int fd, const void *data, size_t size);

/*
 * Start a detached thread with all signals blocked, so that handlers of the host never
 * run on it. 0 or -errno. Context: any.
 */
int bhi_sys_thread_start(void *(*fn)(void *), void *arg);

#endif
