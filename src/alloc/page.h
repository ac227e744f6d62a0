/* SPDX-License-Identifier: MIT */
/*
 * The window and its page table. All memory that is handed out lives in one reserved
 * range of address space, the window; every 4 KiB page of it has a 16 byte struct in a
 * mapping of its own. A pointer is ours exactly if it falls into the window, and the
 * page struct says what it belongs to.
 */
#ifndef BHI_ALLOC_PAGE_H
#define BHI_ALLOC_PAGE_H

#include "base/bug.h"
#include "base/compiler.h"
#include "base/sys.h"

enum bhi_page_type {
	/* Never handed out by its 4 MiB block; inside a free or cached block; the second
	 * and later pages of what was handed out, until the user types them. */
	BHI_PAGE_UNUSED,
	/* First page of a free block of the buddy. */
	BHI_PAGE_FREE,
	/* First page of a block in a thread's page cache. */
	BHI_PAGE_CACHED,
	/* First page handed out by the page allocator, not yet typed by its user. */
	BHI_PAGE_TAKEN,
	/* Any page of a slab; .owner is the slab's index. */
	BHI_PAGE_SLAB,
	/* Any page of a slab that bh_free cannot serve in one screen: constructed objects
	 * or owners per object. */
	BHI_PAGE_SLAB_ODD,
	/* First page of an object of whole pages; .owner is the group id. */
	BHI_PAGE_RUN,
	/* The second and later pages of a run; the second's .owner is the number of
	 * pages. */
	BHI_PAGE_TAIL,
};

struct bhi_page {
	/* Page numbers: free lists, or a group's list of runs. */
	uint32_t next, prev;
	/* Free block: how many of its pages may be resident. Else the user's. */
	uint32_t owner;
	/* enum bhi_page_type; atomic: looked at by bh_free of wild pointers, and by the
	 * buddy on freeing a neighbour. */
	uint8_t type;
	/* Of a free or cached block. First page of a run: whether there is a second. */
	uint8_t order;
	/* Free or cached block: some page may not read as zero. */
	uint8_t dirty;
	/* Free block: when it became free, for decay. */
	uint8_t epoch;
};

_Static_assert(sizeof(struct bhi_page) == 16, "one page struct is 16 bytes");

#define BHI_BLOCK_ORDER 10u
#define BHI_BLOCK_PAGES (1u << BHI_BLOCK_ORDER)
#define BHI_BLOCK_SIZE  (BHI_PAGE_SIZE << BHI_BLOCK_ORDER)
#define BHI_NO_PAGE     UINT32_MAX

struct bhi_window {
	/* immutable after init */
	char *base; /* aligned to BHI_BLOCK_SIZE; NULL before the start */
	size_t size;
	struct bhi_page *pages;
	/* atomic, see commit_structs() in blocks.c; grows: pages below have a struct that
	 * may be looked at, those from here on were never opened */
	size_t nr_known;
};

extern struct bhi_window bhi_window;

/* The page number of an address; at least the number of pages when it is not ours, NULL
 * included. Context: signal-safe. */
static inline size_t bhi_page_number(const void *ptr)
{
	return ((uintptr_t)ptr - (uintptr_t)bhi_window.base) >> BHI_PAGE_SHIFT;
}

static inline bool bhi_window_contains(const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)bhi_window.base < bhi_window.size;
}

/* Whether @ptr has a page struct that may be looked at. False for NULL. Context:
 * signal-safe. */
static inline bool bhi_page_is_known(const void *ptr)
{
	return bhi_page_number(ptr) < bhi_load(&bhi_window.nr_known);
}

static inline struct bhi_page *bhi_page_of(const void *ptr)
{
	return &bhi_window.pages[bhi_page_number(ptr)];
}

static inline void *bhi_page_address(size_t number)
{
	return bhi_window.base + (number << BHI_PAGE_SHIFT);
}

#endif
