/* SPDX-License-Identifier: MIT */
/*
 * The private window: one reserved range of address space for the private memory of all
 * tasks, carved into areas of 1 MiB. A pointer leads to its area, and that to its task,
 * by a shift and a load, in a signal handler too.
 *
 * Areas are taken in spans of one or more. Pages of a span are populated and zapped
 * through one of two backends: userfaultfd in SIGBUS mode, where the window is readable
 * and writable and a page that is not there raises SIGBUS in whoever touches it; or
 * mprotect, where it is inaccessible and raises SIGSEGV. In both a system call that
 * touches such a page fails with EFAULT.
 */
#ifndef BHI_TASK_WINDOW_H
#define BHI_TASK_WINDOW_H

#include "base/env.h"
#include "base/lock.h"
#include "base/sys.h"
#include "bulkhead.h"

#define BHI_AREA_SHIFT 20
#define BHI_AREA_SIZE  ((size_t)1 << BHI_AREA_SHIFT)
#define BHI_AREA_PAGES ((uint32_t)(BHI_AREA_SIZE / BHI_PAGE_SIZE))
#define BHI_NO_AREA    UINT32_MAX

enum bhi_area_kind {
	BHI_AREA_HEAP, /* one area, slabs and small runs of bh_malloc */
	BHI_AREA_RUN,  /* one large object of bh_malloc */
	BHI_AREA_MAP,  /* a map of bh_map, populated when touched */
};

struct bhi_area {
	/* atomic; NULL: free. Written under the window's lock */
	struct bh_task *task;
	/* protected by the task's region, region.h; atomic for those who only look */
	uint64_t populated[BHI_AREA_PAGES / 64];
	/* as populated; BHI_AREA_HEAP: pages in use */
	uint64_t used[BHI_AREA_PAGES / 64];
	/* the owner thread's; read by the reaper. First area of a span only */
	uint32_t nr_areas; /* of the span; in its other areas: 0 */
	uint32_t next; /* first area of the region's next span; in its others: of this */
	uint32_t nr_pages; /* of the span that may be used */
	/* every area of a span */
	uint16_t kind;
	/* as used; BHI_AREA_HEAP */
	uint16_t longest;              /* at most so many adjacent pages are not in use */
	uint32_t free_next, free_prev; /* others with as much room, or BHI_NO_AREA */
};

struct bhi_private {
	/* immutable after init */
	char *base; /* NULL: tasks have no private memory */
	size_t size;
	struct bhi_area *areas;
	enum bhi_pagefault backend;
};

extern struct bhi_private bhi_private;

/*
 * Reserve the window. @wanted: the backend, or NULL for the best there is. 0; -ENOMEM, or
 * -EINVAL when the backend wanted is not available. Context: any; once.
 */
int bhi_window_init(const enum bhi_pagefault *wanted);

/*
 * Of @table, which has @size bytes for each area, whole pages, core dumps are to have
 * what is about areas that were ever taken. Context: any; at start, once for each.
 */
void bhi_window_limit_dump(void *table, size_t size);

/* Context: signal-safe. */
static inline bool bhi_private_contains(const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)bhi_private.base < bhi_private.size;
}

/* The number of the area in which @ptr lies. Context: signal-safe. */
static inline uint32_t bhi_area_number(const void *ptr)
{
	return (uint32_t)(((uintptr_t)ptr - (uintptr_t)bhi_private.base) >>
			  BHI_AREA_SHIFT);
}

static inline void *bhi_area_address(uint32_t number)
{
	return bhi_private.base + ((size_t)number << BHI_AREA_SHIFT);
}

/*
 * @nr adjacent areas for @task, or BHI_NO_AREA. Their pages are not populated.
 * Context: any, no allocation.
 */
uint32_t bhi_areas_take(uint32_t nr, struct bh_task *task);

/* Give a span back, of which no page is populated. Context: any, no allocation. */
void bhi_areas_give(uint32_t first, uint32_t nr);

/*
 * Make pages of a span accessible; they read as zero. None of them is populated. 0 or
 * -ENOMEM; then some may be. Context: signal-safe.
 */
int bhi_window_populate(void *addr, size_t size);

/* Take pages away: the next touch of each raises a signal. False: the kernel has no more
 * mappings, and they are as they were. Context: signal-safe. */
bool bhi_window_try_zap(void *addr, size_t size);

/* The same of whole areas, or of what was never handed out: it cannot be refused.
 * Context: signal-safe. */
void bhi_window_zap(void *addr, size_t size);

/* Give pages to the kernel that stay accessible: they read as zero. Context: signal-safe.
 */
void bhi_window_clear(void *addr, size_t size);

/* Give up a span whose pages stay accessible: nobody gets it again. Context: any, no
 * allocation. */
void bhi_areas_retire(uint32_t first, uint32_t nr);

/* Areas that tasks have, and retired ones. Context: any. */
uint32_t bhi_areas_taken(void);

#endif
