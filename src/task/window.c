/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/pool.h"
#include "task/window.h"

/* Room for a million small tasks; smaller where address space is limited. */
#define LARGEST_WINDOW  ((size_t)1 << 40)
#define SMALLEST_WINDOW ((size_t)1 << 30)

/* How much is populated by one ioctl: the size of the block of zeros it copies. */
#define ZEROS_SIZE ((size_t)256 * 1024)

/* Core dumps have the front of the window, and of the tables about it, that was ever
 * taken; it grows by so many areas. For the whole of it the kernel, which looks at each
 * page, would take minutes. */
#define DUMP_STEP ((uint32_t)64)

/* The window, its pages, and which objects are live. */
#define NR_DUMPED 3

struct bhi_private bhi_private;

static struct {
	/* immutable after init */
	int uffd;
	const char *zeros;
	struct {
		char *table;
		size_t size; /* for an area */
	} dumped[NR_DUMPED];
	unsigned nr_dumped;
	/* atomic */
	uint32_t nr_dumpable; /* areas at the front */
	/* protected by .lock */
	struct bhi_lock lock;
	uint64_t *used; /* a bit for each area */
	uint32_t hint;  /* below this no area is free */
	/* atomic; written under the lock */
	uint32_t nr_used;
} state = {.uffd = -1, .lock = BHI_LOCK_INIT(BHI_RANK_WINDOW)};

static int uffd_open(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
	int fd;

	if (bhi_failpoint(BHI_FP_UFFD))
		return -ENOSYS;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int uffd_register(void *addr, size_t size)
{
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)addr, .len = size},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (bhi_failpoint(BHI_FP_UFFD))
		return -ENOMEM;
	return ioctl(state.uffd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

/* Copying zeros makes pages of our own; UFFDIO_ZEROPAGE would map the shared zero page,
 * and each first write would be a pagefault of the kernel's. */
static int uffd_populate(char *addr, size_t size)
{
	while (size) {
		/* Within one mapping; a debug build may have one for each area. */
		size_t most = bhi_min(
			ZEROS_SIZE, BHI_AREA_SIZE - (uintptr_t)addr % BHI_AREA_SIZE);
		struct uffdio_copy copy = {
			.dst = (uintptr_t)addr,
			.src = (uintptr_t)state.zeros,
			.len = bhi_min(size, most),
			.mode = UFFDIO_COPY_MODE_DONTWAKE,
		};

		if (bhi_failpoint(BHI_FP_UFFD))
			return -ENOMEM;
		/* EAGAIN: the address space is being changed; .copy says how much was
		 * done, or why nothing was. */
		if (ioctl(state.uffd, UFFDIO_COPY, &copy) && errno != EAGAIN)
			return -ENOMEM;
		if (copy.copy > 0) {
			addr += copy.copy;
			size -= (size_t)copy.copy;
		}
	}
	return 0;
}

static int mprotect_populate(char *addr, size_t size)
{
	int r = bhi_sys_commit(addr, size);

	if (r)
		return r;
	if (!bhi_failpoint(BHI_FP_MADVISE) && !madvise(addr, size, MADV_POPULATE_WRITE))
		return 0;
	/* Before Linux 5.14, or no memory: then the process is about to be killed. */
	if (errno != EINVAL)
		return -ENOMEM;
	for (size_t i = 0; i < size; i += BHI_PAGE_SIZE)
		((volatile char *)addr)[i] = 0;
	return 0;
}

int bhi_window_populate(void *addr, size_t size)
{
	int saved = errno, r;

	r = bhi_private.backend == BHI_PAGEFAULT_UFFD ? uffd_populate(addr, size)
						      : mprotect_populate(addr, size);
	errno = saved;
	return r;
}

void bhi_window_clear(void *addr, size_t size)
{
	int saved = errno;

	BUG_ON(madvise(addr, size, MADV_DONTNEED));
	errno = saved;
}

/* To end the access to a part cuts a mapping in two or three, of which the kernel allows
 * 65530. If it got halfway, what it did goes back, for which it needs none. */
static bool end_access(void *addr, size_t size)
{
	int saved = errno;
	bool done;

	if (bhi_private.backend == BHI_PAGEFAULT_UFFD)
		return true;
	if (bhi_failpoint(BHI_FP_MPROTECT))
		return false;
	done = !mprotect(addr, size, PROT_NONE);
	if (!done)
		BUG_ON(mprotect(addr, size, PROT_READ | PROT_WRITE));
	errno = saved;
	return done;
}

/* Without access first: between the two a page must not come back as zeros. */
bool bhi_window_try_zap(void *addr, size_t size)
{
	bool done = end_access(addr, size);

	if (done)
		bhi_window_clear(addr, size);
	return done;
}

void bhi_window_zap(void *addr, size_t size)
{
	int saved = errno;

	if (bhi_private.backend == BHI_PAGEFAULT_MPROTECT)
		BUG_ON(mprotect(addr, size, PROT_NONE));
	bhi_window_clear(addr, size);
	errno = saved;
}

static uint32_t nr_areas(void)
{
	return (uint32_t)(bhi_private.size >> BHI_AREA_SHIFT);
}

void bhi_window_limit_dump(void *table, size_t size)
{
	BUG_ON(state.nr_dumped == NR_DUMPED);
	state.dumped[state.nr_dumped].table = table;
	state.dumped[state.nr_dumped++].size = size;
	madvise(table, size * nr_areas(), MADV_DONTDUMP);
}

/* Where the kernel refuses, a dump has less. */
static BHI_COLD void grow_dump(uint32_t end)
{
	uint32_t from = bhi_load(&state.nr_dumpable), to;
	int saved = errno;

	do {
		if (from >= end)
			return;
		to = bhi_min(nr_areas(), bhi_max(end, from + DUMP_STEP));
	} while (!bhi_compare_exchange(&state.nr_dumpable, &from, to));
	for (unsigned i = 0; i < state.nr_dumped; i++)
		madvise(state.dumped[i].table + from * state.dumped[i].size,
			(to - from) * state.dumped[i].size, MADV_DODUMP);
	errno = saved;
}

static int reserve(size_t size)
{
	void *p;
	int r = bhi_sys_reserve(size, BHI_AREA_SIZE, &p);

	if (r)
		return r;
	bhi_private.base = p;
	bhi_private.size = size;
	/* A huge page would make one touch populate 2 MiB. */
	madvise(p, size, MADV_NOHUGEPAGE);
	return 0;
}

static void unreserve(void)
{
	bhi_sys_unmap(bhi_private.base, bhi_private.size);
	bhi_private.base = NULL;
	bhi_private.size = 0;
}

static int start_uffd(void)
{
	int fd = uffd_open(), r;

	if (fd < 0)
		return fd;
	state.uffd = fd;
	/* A debug build gives access to what is in use, access.h. */
	r = BH_DEBUG ? 0 : bhi_sys_commit(bhi_private.base, bhi_private.size);
	if (!r)
		r = uffd_register(bhi_private.base, bhi_private.size);
	if (r) {
		mprotect(bhi_private.base, bhi_private.size, PROT_NONE);
		close(fd);
		state.uffd = -1;
		return r;
	}
	bhi_private.backend = BHI_PAGEFAULT_UFFD;
	return 0;
}

static int choose_backend(const enum bhi_pagefault *wanted)
{
	bhi_private.backend = BHI_PAGEFAULT_MPROTECT;
	if (wanted && *wanted == BHI_PAGEFAULT_MPROTECT)
		return 0;
	return start_uffd() && wanted ? -EINVAL : 0;
}

static size_t used_bytes(void)
{
	return nr_areas() / 8;
}

static size_t areas_bytes(void)
{
	return nr_areas() * sizeof(struct bhi_area);
}

static int map_tables(void)
{
	state.zeros = bhi_meta_map(ZEROS_SIZE);
	state.used = bhi_meta_map(used_bytes());
	bhi_private.areas = bhi_meta_map(areas_bytes());
	return state.zeros && state.used && bhi_private.areas ? 0 : -ENOMEM;
}

static void unmap_tables(void)
{
	bhi_meta_unmap((void *)(uintptr_t)state.zeros, ZEROS_SIZE);
	bhi_meta_unmap(state.used, used_bytes());
	bhi_meta_unmap(bhi_private.areas, areas_bytes());
	bhi_private.areas = NULL;
	state.zeros = NULL;
	state.used = NULL;
}

int bhi_window_init(const enum bhi_pagefault *wanted)
{
	size_t size = LARGEST_WINDOW;
	int r;

	while ((r = reserve(size)) && size > SMALLEST_WINDOW)
		size /= 2;
	if (r)
		return r;
	r = map_tables();
	if (!r)
		r = choose_backend(wanted);
	if (r) {
		unmap_tables();
		unreserve();
		return r;
	}
	bhi_window_limit_dump(bhi_private.base, BHI_AREA_SIZE);
	return 0;
}

static bool is_used(uint32_t number)
{
	return state.used[number / 64] >> (number % 64) & 1;
}

static void set_used(uint32_t first, uint32_t nr, bool used)
{
	for (uint32_t i = first; i < first + nr; i++) {
		uint64_t bit = (uint64_t)1 << (i % 64);

		state.used[i / 64] =
			used ? state.used[i / 64] | bit : state.used[i / 64] & ~bit;
	}
}

/* First fit. */
static uint32_t find_free(uint32_t nr) BH_REQUIRES(state.lock)
{
	uint32_t end = nr_areas(), found = 0;

	bhi_assert_held(&state.lock);
	for (uint32_t i = state.hint; i < end; i++) {
		if (!(i % 64) && state.used[i / 64] == UINT64_MAX) {
			found = 0;
			i += 63;
			continue;
		}
		found = is_used(i) ? 0 : found + 1;
		if (found == nr)
			return i + 1 - nr;
	}
	return BHI_NO_AREA;
}

uint32_t bhi_areas_take(uint32_t nr, struct bh_task *task)
{
	uint32_t first;

	bhi_lock_acquire(&state.lock);
	first = find_free(nr);
	if (first != BHI_NO_AREA) {
		set_used(first, nr, true);
		bhi_store(&state.nr_used, state.nr_used + nr);
		if (first == state.hint)
			state.hint += nr;
		for (uint32_t i = 0; i < nr; i++)
			bhi_store(&bhi_private.areas[first + i].task, task);
	}
	bhi_lock_release(&state.lock);
	if (first != BHI_NO_AREA &&
		bhi_unlikely(first + nr > bhi_load(&state.nr_dumpable)))
		grow_dump(first + nr);
	return first;
}

void bhi_areas_give(uint32_t first, uint32_t nr)
{
	bhi_lock_acquire(&state.lock);
	for (uint32_t i = 0; i < nr; i++)
		bhi_store(&bhi_private.areas[first + i].task, NULL);
	set_used(first, nr, false);
	bhi_store(&state.nr_used, state.nr_used - nr);
	state.hint = bhi_min(state.hint, first);
	bhi_lock_release(&state.lock);
}

void bhi_areas_retire(uint32_t first, uint32_t nr)
{
	bhi_lock_acquire(&state.lock);
	for (uint32_t i = 0; i < nr; i++)
		bhi_store(&bhi_private.areas[first + i].task, NULL);
	bhi_lock_release(&state.lock);
}

uint32_t bhi_areas_taken(void)
{
	return bhi_load(&state.nr_used);
}
