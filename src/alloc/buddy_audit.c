/* SPDX-License-Identifier: MIT */
/*
 * Two walks that must agree: over the free lists, and over the pages of all opened
 * blocks. It runs with all sections claimed, so that nobody moves blocks in or out of
 * caches, and under the lock. Pages that are handed out may change their types
 * meanwhile, but never to or from the types that are looked at.
 */
#include "alloc/blocks.h"
#include "alloc/buddy.h"
#include "alloc/dirty.h"
#include "alloc/free_list.h"
#include "base/fmt.h"
#include "base/process.h"
#include "base/thread.h"

struct audit {
	bool done;
	unsigned nr_wrong;
	/* found in the pages */
	uint64_t nr_free, nr_cached, nr_dirty;
	uint64_t nr_blocks[BHI_NR_KINDS][BHI_BLOCK_ORDER + 1];
};

static void expect(struct audit *audit, bool right, const char *what, uint64_t where)
{
	if (right)
		return;
	audit->nr_wrong++;
	bhi_errf("bulkhead: audit: pages: %s (%llu)\n", what, (unsigned long long)where);
}

static void expect_equal(
	struct audit *audit, uint64_t counted, uint64_t found, const char *what)
{
	if (counted == found)
		return;
	audit->nr_wrong++;
	bhi_errf("bulkhead: audit: pages: %s: counted %llu, found %llu\n", what,
		(unsigned long long)counted, (unsigned long long)found);
}

static bool is_unused(uint32_t number, size_t nr_pages)
{
	for (size_t i = number; i < number + nr_pages; i++) {
		if (bhi_load(&bhi_window.pages[i].type) != BHI_PAGE_UNUSED)
			return false;
	}
	return true;
}

static void check_free(struct audit *audit, uint32_t number, const struct bhi_page *page)
{
	uint32_t nr_pages = 1u << page->order;
	uint32_t other = number ^ nr_pages;
	size_t nr_dirty = bhi_dirty_count(number, nr_pages);

	expect(audit, is_unused(number + 1, nr_pages - 1), "typed page in free block",
		number);
	expect(audit, page->owner == nr_dirty, "dirty pages of free block", number);
	expect(audit, page->dirty == (nr_dirty != 0), "kind of free block", number);
	if (page->order < BHI_BLOCK_ORDER)
		expect(audit,
			bhi_load(&bhi_window.pages[other].type) != BHI_PAGE_FREE ||
				bhi_window.pages[other].order != page->order,
			"free neighbours not merged", number);
	audit->nr_free += nr_pages;
	audit->nr_blocks[page->dirty ? BHI_DIRTY : BHI_CLEAN][page->order]++;
}

/* Returns how many pages were looked at. */
static uint32_t check_page(struct audit *audit, uint32_t number)
{
	const struct bhi_page *page = &bhi_window.pages[number];
	uint8_t type = bhi_load(&page->type);
	uint32_t nr_pages;

	if (type != BHI_PAGE_FREE && type != BHI_PAGE_CACHED)
		return 1;
	nr_pages = 1u << page->order;
	if (page->order > BHI_BLOCK_ORDER || number & (nr_pages - 1)) {
		expect(audit, false, "order of free or cached block", number);
		return 1;
	}
	if (type == BHI_PAGE_FREE) {
		check_free(audit, number, page);
	} else {
		expect(audit, is_unused(number + 1, nr_pages - 1),
			"typed page in cached block", number);
		audit->nr_cached += nr_pages;
	}
	return nr_pages;
}

static void check_block(struct audit *audit, size_t block)
{
	uint32_t number = (uint32_t)(block << BHI_BLOCK_ORDER);
	uint32_t end = number + BHI_BLOCK_PAGES;
	const struct bhi_page *page = &bhi_window.pages[number];
	bool whole;

	if (!bhi_block_is_open(block)) {
		expect(audit, !bhi_dirty_count(number, BHI_BLOCK_PAGES),
			"dirty closed block", block);
		return;
	}
	whole = bhi_load(&page->type) == BHI_PAGE_FREE && page->order == BHI_BLOCK_ORDER;
	expect(audit, bhi_block_is_idle(block) == whole, "block in the map", block);
	audit->nr_dirty += bhi_dirty_count(number, BHI_BLOCK_PAGES);
	while (number < end)
		number += check_page(audit, number);
}

static void check_list(struct audit *audit, unsigned kind, unsigned order)
	BH_REQUIRES(bhi_buddy.lock)
{
	const struct bhi_free_list *list = &bhi_buddy.lists[kind][order];
	uint32_t prev = BHI_NO_PAGE;
	uint32_t number = list->head;
	uint64_t nr = 0;

	while (number != BHI_NO_PAGE && nr < list->nr) {
		const struct bhi_page *page = &bhi_window.pages[number];

		expect(audit,
			bhi_load(&page->type) == BHI_PAGE_FREE && page->order == order &&
				(page->dirty ? BHI_DIRTY : BHI_CLEAN) == kind,
			"block on the wrong free list", number);
		expect(audit, page->prev == prev, "links of free block", number);
		prev = number;
		number = page->next;
		nr++;
	}
	expect(audit, number == BHI_NO_PAGE && list->tail == prev, "end of free list",
		order);
	expect_equal(audit, list->nr, nr, "blocks on a free list");
	expect_equal(audit, nr, audit->nr_blocks[kind][order], "free blocks of an order");
	expect(audit, (bhi_buddy.orders[kind] >> order & 1) == (nr != 0), "order in use",
		order);
}

static void check_counters(struct audit *audit) BH_REQUIRES(bhi_buddy.lock)
{
	expect_equal(audit, bhi_buddy.nr_taken + bhi_buddy.nr_isolated,
		((uint64_t)bhi_blocks_open() << BHI_BLOCK_ORDER) - audit->nr_free,
		"pages taken");
	expect_equal(audit, bhi_page_caches_count(), audit->nr_cached, "pages cached");
	expect_equal(audit, bhi_buddy.nr_dirty, audit->nr_dirty, "dirty pages");
	expect(audit, audit->nr_cached <= bhi_buddy.nr_taken, "more cached than taken",
		audit->nr_cached);
	expect(audit, bhi_buddy.nr_taken + bhi_buddy.nr_dirty <= bhi_buddy.zone_pages,
		"more than the zone", bhi_buddy.nr_taken + bhi_buddy.nr_dirty);
}

/* For the first thread that is claimed; all others are by then. */
static void audit_once(struct bhi_thread *thread, void *arg)
{
	struct audit *audit = arg;
	size_t nr_open = 0;

	(void)thread;
	if (audit->done)
		return;
	audit->done = true;
	bhi_lock_acquire(&bhi_buddy.lock);
	for (size_t block = 0; block < bhi_blocks_end(); block++) {
		nr_open += bhi_block_is_open(block);
		check_block(audit, block);
	}
	expect_equal(audit, bhi_blocks_open(), nr_open, "opened blocks");
	for (unsigned kind = 0; kind < BHI_NR_KINDS; kind++) {
		for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++)
			check_list(audit, kind, order);
	}
	check_counters(audit);
	bhi_lock_release(&bhi_buddy.lock);
}

unsigned bhi_buddy_audit(void)
{
	struct audit audit = {.done = false};

	if (bhi_process_inert() || !bhi_window.base)
		return 0;
	/* This thread is one to be claimed. Should there be no memory for its struct and
	 * no other thread, nobody caches anything. */
	bhi_thread_self();
	bhi_threads_claim(audit_once, &audit);
	audit_once(NULL, &audit);
	return audit.nr_wrong;
}
