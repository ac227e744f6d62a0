/* SPDX-License-Identifier: MIT */
/*
 * Giving dirty free blocks back to the kernel. Blocks are isolated under the lock, some
 * at a time: off their lists and of type TAKEN, so that nobody takes them or merges with
 * them. They are discarded without it, and put back under it, clean, or dirty as before
 * when the kernel refused. All the time their dirty pages count as dirty.
 *
 * Old blocks are at the tails of the dirty lists (free_list.h). Ages are differences of
 * 8-bit epochs: a block that nobody purged for 254 steps looks young again, and
 * everything before it on its list waits two more steps. That is all the harm.
 */
#include <limits.h>

#include "alloc/buddy.h"
#include "alloc/dirty.h"
#include "alloc/free_list.h"
#include "base/process.h"

/* Freed in one epoch, and a whole one later: at least one full decay interval. */
#define OLD_AGE 2

/* Blocks isolated at once: many against the price of the lock, few against the memory
 * that others miss meanwhile. */
#define BATCH 16

/* A zone that is full wants the next page soon: make room for some. */
#define MIN_PAGES ((uint64_t)256)

/* Rounds of one allocation in which the kernel took nothing, or others took what came
 * back, before it fails; as many as direct reclaim has. */
#define MAX_FRUITLESS 16

struct isolated {
	uint32_t number;
	size_t nr_pages, nr_dirty;
	bool discarded;
};

struct batch {
	struct isolated blocks[BATCH];
	unsigned nr;
	bool refused;
	uint64_t nr_given; /* pages */
};

static uint32_t find_dirty(bool any_age) BH_REQUIRES(bhi_buddy.lock)
{
	bhi_assert_held(&bhi_buddy.lock);
	for (int order = BHI_BLOCK_ORDER; order >= 0; order--) {
		uint32_t tail = bhi_buddy.lists[BHI_DIRTY][order].tail;

		if (tail == BHI_NO_PAGE)
			continue;
		if (any_age || (uint8_t)(bhi_buddy.epoch -
					 bhi_window.pages[tail].epoch) >= OLD_AGE)
			return tail;
	}
	return BHI_NO_PAGE;
}

/* Isolate blocks with @nr_wanted dirty pages, @max blocks at most. */
static void isolate(struct batch *batch, uint64_t max, uint64_t nr_wanted, bool any_age)
	BH_REQUIRES(bhi_buddy.lock)
{
	uint64_t nr_dirty = 0;
	uint32_t number;

	bhi_assert_held(&bhi_buddy.lock);
	batch->nr = 0;
	max = bhi_min(max, (uint64_t)BATCH);
	while (batch->nr < max && nr_dirty < nr_wanted &&
		(number = find_dirty(any_age)) != BHI_NO_PAGE) {
		struct bhi_page *page = &bhi_window.pages[number];

		batch->blocks[batch->nr++] = (struct isolated){
			.number = number,
			.nr_pages = (size_t)1 << page->order,
			.nr_dirty = page->owner,
		};
		bhi_buddy.nr_isolated += (size_t)1 << page->order;
		nr_dirty += page->owner;
		bhi_free_remove(number);
		bhi_store(&page->type, BHI_PAGE_TAKEN);
	}
}

static void discard(struct batch *batch)
{
	bhi_assert_none_held();
	for (unsigned i = 0; i < batch->nr && !batch->refused; i++) {
		struct isolated *block = &batch->blocks[i];

		block->discarded = !bhi_sys_discard(bhi_page_address(block->number),
			block->nr_pages << BHI_PAGE_SHIFT);
		batch->refused = !block->discarded;
	}
}

static void put_back(struct batch *batch) BH_REQUIRES(bhi_buddy.lock)
{
	bhi_assert_held(&bhi_buddy.lock);
	for (unsigned i = 0; i < batch->nr; i++) {
		struct isolated *block = &batch->blocks[i];

		if (block->discarded) {
			bhi_dirty_clear(block->number, block->nr_pages);
			bhi_buddy.nr_dirty -= block->nr_dirty;
			bhi_buddy.nr_discards++;
			batch->nr_given += block->nr_dirty;
		}
		bhi_buddy.nr_isolated -= block->nr_pages;
		bhi_store(&bhi_window.pages[block->number].type, BHI_PAGE_UNUSED);
		bhi_free_add(block->number, block->nr_pages);
	}
	bhi_store(&bhi_buddy.nr_settled, bhi_buddy.nr_settled + 1);
}

static uint64_t count_dirty_blocks(void)
{
	uint64_t nr = 0;

	bhi_lock_acquire(&bhi_buddy.lock);
	for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++)
		nr += bhi_buddy.lists[BHI_DIRTY][order].nr;
	bhi_lock_release(&bhi_buddy.lock);
	return nr;
}

/*
 * Give back @nr_wanted pages, old ones or of @any_age, and not more blocks than there are
 * dirty ones now: others may free faster than the kernel takes. A refusal ends it.
 * Returns pages.
 */
static uint64_t purge(uint64_t nr_wanted, bool any_age)
{
	uint64_t nr_left = count_dirty_blocks();
	struct batch batch = {.nr = 0};
	bool awaited;

	while (nr_left && !batch.refused && batch.nr_given < nr_wanted) {
		bhi_lock_acquire(&bhi_buddy.lock);
		isolate(&batch, nr_left, nr_wanted - batch.nr_given, any_age);
		bhi_lock_release(&bhi_buddy.lock);
		if (!batch.nr)
			break;
		discard(&batch);
		bhi_lock_acquire(&bhi_buddy.lock);
		put_back(&batch);
		awaited = bhi_buddy.nr_waiting > 0;
		bhi_lock_release(&bhi_buddy.lock);
		if (awaited)
			bhi_sys_futex_wake(&bhi_buddy.nr_settled, INT_MAX);
		nr_left -= batch.nr;
	}
	return batch.nr_given;
}

size_t bhi_buddy_purge(bool all)
{
	if (bhi_process_inert())
		return 0;
	if (all)
		bhi_page_caches_drain();
	return (size_t)(purge(UINT64_MAX, all) << BHI_PAGE_SHIFT);
}

void bhi_buddy_age(void)
{
	if (bhi_process_inert())
		return;
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_buddy.epoch++;
	bhi_lock_release(&bhi_buddy.lock);
}

/*
 * Wait until another thread has put isolated blocks back, unless that has happened since
 * .nr_settled was @seen. The word is looked at under the lock under which it changes, so
 * no wake-up is lost.
 */
static void wait_for_others(uint32_t seen)
{
	bool wait;

	bhi_lock_acquire(&bhi_buddy.lock);
	wait = bhi_buddy.nr_isolated && bhi_buddy.nr_settled == seen;
	bhi_buddy.nr_waiting += wait;
	bhi_lock_release(&bhi_buddy.lock);
	if (!wait)
		return;
	bhi_sys_futex_wait(&bhi_buddy.nr_settled, seen, 0);
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_buddy.nr_waiting--;
	bhi_lock_release(&bhi_buddy.lock);
}

bool bhi_purge_room(uint64_t nr_pages, uint64_t growth, unsigned *fruitless)
{
	uint64_t used, nr_held, nr_cached;
	uint32_t seen;

	bhi_lock_acquire(&bhi_buddy.lock);
	used = bhi_buddy.nr_taken + bhi_buddy.nr_dirty + growth;
	nr_cached = bhi_page_caches_count();
	nr_held = bhi_buddy.nr_taken - bhi_min(nr_cached, bhi_buddy.nr_taken);
	seen = bhi_buddy.nr_settled;
	bhi_lock_release(&bhi_buddy.lock);

	if (used <= bhi_buddy.zone_pages)
		return true;
	if (nr_held + nr_pages > bhi_buddy.zone_pages)
		return false;
	if (purge(bhi_max(used - bhi_buddy.zone_pages, MIN_PAGES), true))
		return true;
	if (nr_cached && bhi_page_caches_drain())
		return true;
	if (++*fruitless > MAX_FRUITLESS)
		return false;
	wait_for_others(seen);
	return true;
}
