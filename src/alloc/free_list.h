/* SPDX-License-Identifier: MIT */
/*
 * The free blocks and what else the files of the page allocator share (buddy.c, purge.c,
 * page_cache.c, page_batch.c, buddy_audit.c; nobody else includes this).
 *
 * A free block of order o is 2^o free pages, aligned to its size. Its first page has the
 * type BHI_PAGE_FREE and is on the list of its kind and order, all others are
 * BHI_PAGE_UNUSED. Two free neighbours that make up a block of the next order are merged
 * at once, whatever their kinds, up to whole blocks of 4 MiB. A block is on the dirty
 * list exactly if it has dirty pages (dirty.h).
 *
 * The dirty lists are sorted by age, youngest first: a block joins at the head with the
 * present epoch, also as the rest of a split or the result of a merge.
 *
 * Counters, in pages:
 *
 *	taken + isolated + free == opened
 *	dirty <= isolated + free	(exactly the set bits of dirty.h)
 *	taken + dirty <= zone
 *
 * Isolated blocks are being given back to the kernel by purge.c: on no list, their dirty
 * pages still counted as dirty.
 */
#ifndef BHI_ALLOC_FREE_LIST_H
#define BHI_ALLOC_FREE_LIST_H

#include "alloc/page.h"
#include "base/list.h"
#include "base/lock.h"

enum {
	BHI_CLEAN,
	BHI_DIRTY,
	BHI_NR_KINDS
};

struct bhi_free_list {
	uint32_t head, tail; /* page numbers, BHI_NO_PAGE when empty */
	uint32_t nr;
};

struct bhi_buddy {
	/* immutable after init */
	uint64_t zone_pages;
	/* protected by .lock */
	struct bhi_lock lock;
	struct bhi_free_list lists[BHI_NR_KINDS][BHI_BLOCK_ORDER + 1];
	uint32_t orders[BHI_NR_KINDS]; /* bit o: the list of order o is not empty */
	uint64_t nr_taken, nr_dirty, nr_isolated;
	uint64_t nr_discards;
	struct bhi_list caches; /* of all threads, see page_cache.c */
	uint32_t nr_waiting;    /* threads in wait_for_others(), purge.c */
	uint8_t epoch;
	/* atomic, see wait_for_others() in purge.c */
	uint32_t nr_settled;
};

extern struct bhi_buddy bhi_buddy;

/* Context, where nothing else is said: any, no allocation. */

void bhi_free_init(void);

/* The smallest free block of at least @order, dirty ones first, or BHI_NO_PAGE. */
uint32_t bhi_free_find(unsigned order) BH_REQUIRES(bhi_buddy.lock);

/* Take a block off its list; none of its pages is FREE then, its bits are untouched. */
void bhi_free_remove(uint32_t number) BH_REQUIRES(bhi_buddy.lock);

/*
 * Take the part of 2^@order pages at @part out of the free block @number; what is around
 * it stays free.
 */
void bhi_free_split(uint32_t number, uint32_t part, unsigned order)
	BH_REQUIRES(bhi_buddy.lock);

/*
 * Make pages that are on no list and of type UNUSED free, merging as far as possible.
 * Their dirty bits have been set before where that is due.
 */
void bhi_free_add(uint32_t number, size_t nr_pages) BH_REQUIRES(bhi_buddy.lock);

/* Count pages that were just taken off the lists as taken; whether one was dirty. */
bool bhi_free_to_taken(uint32_t number, size_t nr_pages) BH_REQUIRES(bhi_buddy.lock);

/* The way back, and bhi_free_add(). */
void bhi_taken_to_free(uint32_t number, size_t nr_pages, bool dirty)
	BH_REQUIRES(bhi_buddy.lock);

/* buddy.c: bhi_run_alloc() past the thread's cache. Context: may wait. */
void *bhi_buddy_alloc(size_t nr_pages, unsigned align_order, bool *ret_zeroed);

/*
 * buddy.c: blocks for a thread's cache, as far as they can be had at once: up to @nr of
 * 2^@order pages, type CACHED. Returns how many.
 */
unsigned bhi_buddy_take_cached(uint32_t *ret, unsigned nr, unsigned order)
	BH_REQUIRES(bhi_buddy.lock);

/* buddy.c: forget the types of pages that come back; aborts when they are not taken. */
void bhi_pages_untype(size_t number, size_t nr_pages);

/*
 * purge.c: see to room in the zone for @nr_pages, which make taken plus dirty pages
 * @growth more: purge, drain the caches, or wait for another thread that gives blocks
 * back. True: worth another attempt. False: without any cached or dirty page there would
 * be no room either, or one allocation had too many rounds that brought nothing, which
 * @fruitless counts. Context: may wait.
 */
bool bhi_purge_room(uint64_t nr_pages, uint64_t growth, unsigned *fruitless);

/* page_cache.c. Context: any; once. */
void bhi_page_caches_init(void);

/* page_cache.c: give back what all threads cache; returns pages. Context: may wait. */
size_t bhi_page_caches_drain(void);

/* page_cache.c: pages in all caches, exact while their threads are claimed or idle. */
size_t bhi_page_caches_count(void) BH_REQUIRES(bhi_buddy.lock);

#endif
