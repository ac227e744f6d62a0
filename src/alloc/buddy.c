/* SPDX-License-Identifier: MIT */
/*
 * Taking and giving back pages past the caches of the threads.
 *
 * An attempt runs under the lock and makes no system call. It ends with the pages, or
 * with what has to be done first, without the lock, before the next attempt: make room
 * in the zone (purge.c), or open blocks of the window. Blocks are opened in three steps,
 * reserve, commit, settle (blocks.h); a settled block is an ordinary free one, which
 * another thread may take before the one that opened it comes back: that one opens
 * another. So an attempt fails only because other threads got pages.
 *
 * A run of up to 4 MiB is cut from one block, whose tail stays free. A longer one takes
 * neighbouring wholly free blocks, and only the tail of the last stays free. Runs are
 * given back as what they are, some aligned pieces; nobody remembers what a run was cut
 * from.
 */
#include <errno.h>

#include "alloc/blocks.h"
#include "alloc/buddy.h"
#include "alloc/dirty.h"
#include "alloc/free_list.h"
#include "base/failpoint.h"
#include "base/process.h"

/* Address space is cheap and the blocks of a window fragment. The upper bound keeps page
 * numbers below BHI_NO_PAGE. */
#define WINDOW_PER_ZONE 4u
#define WINDOW_MIN      ((uint64_t)1 << 30)
#define WINDOW_MAX      (((uint64_t)1 << 44) - BHI_BLOCK_SIZE)

/* From here on the kernel's work for the discard is far more than a purge would save,
 * and the memory is too much to sit on for the decay time. */
#define DISCARD_AT_ONCE_PAGES (((size_t)64 << 20) >> BHI_PAGE_SHIFT)

struct bhi_window bhi_window;

enum outcome {
	GOT_PAGES, /* .number, .zeroed */
	NO_ROOM,   /* in the zone, for .growth more pages */
	NO_BLOCK,  /* no free block that is large enough */
};

struct request {
	size_t nr_pages;
	unsigned order;   /* of the block to cut the pages from */
	size_t nr_blocks; /* more than one: whole blocks */
	/* the outcome */
	uint32_t number;
	bool zeroed;
	size_t growth; /* of taken plus dirty pages */
};

static struct bhi_page *page_at(size_t number)
{
	return &bhi_window.pages[number];
}

static uint64_t window_size(uint64_t zone_size)
{
	uint64_t size = zone_size;

	size = size < WINDOW_MAX / WINDOW_PER_ZONE ? size * WINDOW_PER_ZONE : WINDOW_MAX;
	size = (size + BHI_BLOCK_SIZE - 1) & ~(uint64_t)(BHI_BLOCK_SIZE - 1);
	return bhi_min(bhi_max(size, WINDOW_MIN), WINDOW_MAX);
}

int bhi_buddy_init(uint64_t zone_size)
{
	size_t size = (size_t)window_size(zone_size);
	size_t nr_pages = size >> BHI_PAGE_SHIFT;
	size_t nr_blocks = nr_pages >> BHI_BLOCK_ORDER;
	void *base, *pages;
	int r;

	r = bhi_blocks_init(nr_blocks);
	if (r)
		return r;
	r = bhi_dirty_init(nr_pages);
	if (r)
		goto err_blocks;
	r = bhi_sys_reserve(nr_pages * sizeof(struct bhi_page), BHI_PAGE_SIZE, &pages);
	if (r)
		goto err_dirty;
	r = bhi_sys_reserve(size, BHI_BLOCK_SIZE, &base);
	if (r)
		goto err_pages;
	bhi_buddy.zone_pages = zone_size >> BHI_PAGE_SHIFT;
	bhi_free_init();
	bhi_page_caches_init();
	bhi_window = (struct bhi_window){.base = base, .size = size, .pages = pages};
	return 0;

err_pages:
	bhi_sys_unmap(pages, nr_pages * sizeof(struct bhi_page));
err_dirty:
	bhi_dirty_fini(nr_pages);
err_blocks:
	bhi_blocks_fini(nr_blocks);
	return r;
}

static bool has_room(struct request *rq, size_t growth) BH_REQUIRES(bhi_buddy.lock)
{
	bhi_assert_held(&bhi_buddy.lock);
	rq->growth = growth;
	return bhi_buddy.nr_taken + bhi_buddy.nr_dirty + growth <= bhi_buddy.zone_pages;
}

/* Taking dirty pages is no growth. */
static bool has_room_at(struct request *rq, size_t number) BH_REQUIRES(bhi_buddy.lock)
{
	return has_room(rq, rq->nr_pages - bhi_dirty_count(number, rq->nr_pages));
}

static enum outcome take_at(struct request *rq, uint32_t number, size_t nr_tail)
	BH_REQUIRES(bhi_buddy.lock)
{
	struct bhi_page *page = page_at(number);
	bool dirty = bhi_free_to_taken(number, rq->nr_pages);

	bhi_free_add((uint32_t)(number + rq->nr_pages), nr_tail);
	page->order = (uint8_t)rq->order;
	page->dirty = dirty;
	bhi_store(&page->type, BHI_PAGE_TAKEN);
	rq->number = number;
	rq->zeroed = !dirty;
	return GOT_PAGES;
}

static enum outcome take_part(struct request *rq) BH_REQUIRES(bhi_buddy.lock)
{
	uint32_t size = 1u << rq->order;
	uint32_t block = bhi_free_find(rq->order);
	uint32_t part;

	bhi_assert_held(&bhi_buddy.lock);
	if (block == BHI_NO_PAGE)
		return has_room(rq, rq->nr_pages) ? NO_BLOCK : NO_ROOM;
	part = (uint32_t)bhi_dirty_first(block, (size_t)1 << page_at(block)->order) &
	       ~(size - 1);
	if (!has_room_at(rq, part))
		return NO_ROOM;
	bhi_free_split(block, part, rq->order);
	return take_at(rq, part, size - rq->nr_pages);
}

static enum outcome take_blocks(struct request *rq) BH_REQUIRES(bhi_buddy.lock)
{
	size_t first = bhi_blocks_find(rq->nr_blocks);
	size_t nr_open = 0;

	bhi_assert_held(&bhi_buddy.lock);
	if (first == BHI_NO_BLOCK)
		return NO_BLOCK;
	if (!has_room_at(rq, first << BHI_BLOCK_ORDER))
		return NO_ROOM;
	for (size_t i = 0; i < rq->nr_blocks; i++)
		nr_open += bhi_block_is_open(first + i);
	if (nr_open < rq->nr_blocks)
		return NO_BLOCK;
	for (size_t i = 0; i < rq->nr_blocks; i++)
		bhi_free_remove((uint32_t)((first + i) << BHI_BLOCK_ORDER));
	return take_at(rq, (uint32_t)(first << BHI_BLOCK_ORDER),
		(rq->nr_blocks << BHI_BLOCK_ORDER) - rq->nr_pages);
}

static enum outcome take(struct request *rq)
{
	enum outcome outcome;

	bhi_lock_acquire(&bhi_buddy.lock);
	outcome = rq->nr_blocks > 1 ? take_blocks(rq) : take_part(rq);
	bhi_lock_release(&bhi_buddy.lock);
	return outcome;
}

/* The end of opening the blocks of a range that this thread reserved. */
static void settle(size_t first, size_t nr, bool committed)
{
	bhi_lock_acquire(&bhi_buddy.lock);
	for (size_t block = first; block < first + nr; block++) {
		if (!bhi_block_is_reserved(block))
			continue;
		bhi_block_settle(block, committed);
		if (committed) {
			bhi_block_set_used(block, true);
			bhi_free_add(
				(uint32_t)(block << BHI_BLOCK_ORDER), BHI_BLOCK_PAGES);
		}
	}
	bhi_lock_release(&bhi_buddy.lock);
}

/* See to @nr neighbouring free blocks. 0, also when others did meanwhile, or -ENOMEM. */
static int open_blocks(size_t nr)
{
	size_t first, nr_reserved = 0;
	int r;

	bhi_lock_acquire(&bhi_buddy.lock);
	first = bhi_blocks_find(nr);
	if (first != BHI_NO_BLOCK)
		nr_reserved = bhi_blocks_reserve(first, nr);
	bhi_lock_release(&bhi_buddy.lock);
	if (first == BHI_NO_BLOCK)
		return -ENOMEM;
	if (!nr_reserved)
		return 0;
	r = bhi_blocks_commit(first, nr);
	settle(first, nr, r == 0);
	return r;
}

static void *alloc(struct request *rq, bool *ret_zeroed)
{
	unsigned fruitless = 0;

	for (;;) {
		switch (take(rq)) {
		case GOT_PAGES:
			*ret_zeroed = rq->zeroed;
			return bhi_page_address(rq->number);
		case NO_ROOM:
			if (!bhi_purge_room(rq->nr_pages, rq->growth, &fruitless))
				return NULL;
			break;
		case NO_BLOCK:
			if (open_blocks(rq->nr_blocks))
				return NULL;
			break;
		}
	}
}

static unsigned order_for(size_t nr_pages)
{
	return nr_pages > 1 ? 64 - (unsigned)__builtin_clzll(nr_pages - 1) : 0;
}

void *bhi_buddy_alloc(size_t nr_pages, unsigned align_order, bool *ret_zeroed)
{
	struct request rq = {.nr_pages = nr_pages, .nr_blocks = 1};

	if (!nr_pages || align_order > BHI_BLOCK_ORDER ||
		nr_pages > bhi_window.size >> BHI_PAGE_SHIFT)
		return NULL;
	rq.order = bhi_max(order_for(nr_pages), align_order);
	if (rq.order > BHI_BLOCK_ORDER) {
		rq.order = BHI_BLOCK_ORDER;
		rq.nr_blocks = (nr_pages + BHI_BLOCK_PAGES - 1) >> BHI_BLOCK_ORDER;
	}
	return alloc(&rq, ret_zeroed);
}

unsigned bhi_buddy_take_cached(uint32_t *ret, unsigned nr, unsigned order)
{
	unsigned got = 0;

	bhi_assert_held(&bhi_buddy.lock);
	while (got < nr) {
		struct request rq = {
			.nr_pages = (size_t)1 << order, .order = order, .nr_blocks = 1};

		if (take_part(&rq) != GOT_PAGES)
			break;
		bhi_store(&page_at(rq.number)->type, BHI_PAGE_CACHED);
		ret[got++] = rq.number;
	}
	return got;
}

void bhi_pages_untype(size_t number, size_t nr_pages)
{
	struct bhi_page *page = page_at(number), *end = page + nr_pages;
	uint8_t type = bhi_load(&page->type);

	BUG_ON(type == BHI_PAGE_UNUSED || type == BHI_PAGE_FREE ||
		type == BHI_PAGE_CACHED);
	/* Written only where that changes something: the structs of pages in the middle
	 * of a run may never have been touched. */
	for (; page < end; page++) {
		if (bhi_load(&page->type) != BHI_PAGE_UNUSED)
			bhi_store(&page->type, BHI_PAGE_UNUSED);
	}
}

/* A block at a time, so that nobody waits long for the lock. */
static void release(size_t number, size_t nr_pages, bool dirty)
{
	while (nr_pages) {
		size_t part = BHI_BLOCK_PAGES - number % BHI_BLOCK_PAGES;

		part = bhi_min(part, nr_pages);
		bhi_lock_acquire(&bhi_buddy.lock);
		bhi_taken_to_free((uint32_t)number, part, dirty);
		bhi_lock_release(&bhi_buddy.lock);
		number += part;
		nr_pages -= part;
	}
}

void bhi_pages_put(void *pages, size_t nr_pages)
{
	if (bhi_process_inert())
		return;
	bhi_pages_untype(bhi_page_number(pages), nr_pages);
	release(bhi_page_number(pages), nr_pages, true);
}

/* Whether a run is a block, which the caches of threads may serve. */
static bool is_block(size_t nr_pages)
{
	return __builtin_popcountll(nr_pages) == 1 && nr_pages <= BHI_BLOCK_PAGES;
}

void *bhi_run_alloc(size_t nr_pages, unsigned align_order, bool *ret_zeroed)
{
	if (is_block(nr_pages) && align_order <= order_for(nr_pages))
		return bhi_pages_alloc(order_for(nr_pages), ret_zeroed);
	if (bhi_failpoint(BHI_FP_PAGES) || bhi_process_inert())
		return NULL;
	return bhi_buddy_alloc(nr_pages, align_order, ret_zeroed);
}

static bool discard(void *pages, size_t nr_pages)
{
	bhi_assert_none_held();
	if (bhi_sys_discard(pages, nr_pages << BHI_PAGE_SHIFT))
		return false;
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_buddy.nr_discards++;
	bhi_lock_release(&bhi_buddy.lock);
	return true;
}

void bhi_run_free(void *pages, size_t nr_pages)
{
	size_t number = bhi_page_number(pages);

	if (is_block(nr_pages) && number % nr_pages == 0) {
		bhi_pages_free(pages, order_for(nr_pages));
		return;
	}
	if (bhi_process_inert())
		return;
	bhi_pages_untype(number, nr_pages);
	release(number, nr_pages,
		nr_pages < DISCARD_AT_ONCE_PAGES || !discard(pages, nr_pages));
}

void bhi_buddy_stat(struct bhi_buddy_stat *ret)
{
	struct bhi_buddy_stat stat = {0};
	uint64_t open;

	if (!bhi_process_inert()) {
		bhi_lock_acquire(&bhi_buddy.lock);
		open = bhi_blocks_open();
		stat.taken = bhi_buddy.nr_taken << BHI_PAGE_SHIFT;
		stat.cached = bhi_page_caches_count() << BHI_PAGE_SHIFT;
		stat.dirty = bhi_buddy.nr_dirty << BHI_PAGE_SHIFT;
		stat.clean = open * BHI_BLOCK_SIZE - stat.taken - stat.dirty;
		stat.blocks = open;
		for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++)
			stat.free_blocks[order] = bhi_buddy.lists[BHI_DIRTY][order].nr +
						  bhi_buddy.lists[BHI_CLEAN][order].nr;
		stat.discards = bhi_buddy.nr_discards;
		stat.metadata = open * (BHI_BLOCK_PAGES * sizeof(struct bhi_page) +
					       BHI_BLOCK_PAGES / 8);
		bhi_lock_release(&bhi_buddy.lock);
	}
	*ret = stat;
}
