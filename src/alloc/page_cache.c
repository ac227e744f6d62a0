/* SPDX-License-Identifier: MIT */
/*
 * Per-thread caches of small blocks, a stack for each order. Its thread uses a cache
 * inside its section, without a lock; others drain it when they have claimed the section.
 * Refilling and flushing move several blocks under the buddy's lock, which ranks above
 * the sections. Whatever may make a system call, opening blocks, purging, mapping the
 * cache itself, happens outside of the section.
 *
 * A cached block is of type CACHED, the pages in it UNUSED. It counts as taken: what a
 * thread caches is bounded, and drained before an allocation fails for want of room.
 */
#include <string.h>

#include "alloc/buddy.h"
#include "alloc/free_list.h"
#include "base/failpoint.h"
#include "base/pool.h"
#include "base/process.h"
#include "base/thread.h"

#define MAX_ORDER 4u

/* 256 KiB a thread; in small zones a 64th of the zone, for some threads must fit in. */
#define MAX_PAGES   64u
#define CACHE_SHARE 64u

struct cache {
	/* protected by the section of its thread; .nr is read without, as an atomic, by
	 * bhi_page_caches_count() */
	uint32_t nr[MAX_ORDER + 1];
	uint32_t nr_pages;
	uint32_t blocks[MAX_ORDER + 1][MAX_PAGES];
	/* protected by the buddy's lock */
	struct bhi_list node;
};

static struct bhi_pool pool = BHI_POOL_INIT(struct cache);

/* immutable after init: pages a thread may cache */
static uint32_t max_pages;

static struct bhi_page *page_at(uint32_t number)
{
	return &bhi_window.pages[number];
}

/* No memory for one: the thread goes without. */
static BHI_COLD void new_cache(struct bhi_thread *self)
{
	struct cache *cache = bhi_pool_alloc(&pool);

	if (!cache)
		return;
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_list_append(&bhi_buddy.caches, &cache->node);
	bhi_lock_release(&bhi_buddy.lock);
	if (!bhi_thread_enter(self))
		return;
	self->data[BHI_SLOT_PAGES] = cache;
	bhi_thread_leave(self);
}

static void push(struct cache *cache, unsigned order, uint32_t number)
{
	uint32_t nr = cache->nr[order];

	cache->blocks[order][nr] = number;
	bhi_store(&cache->nr[order], nr + 1);
	cache->nr_pages += 1u << order;
}

static uint32_t pop(struct cache *cache, unsigned order)
{
	uint32_t nr = cache->nr[order] - 1;

	bhi_store(&cache->nr[order], nr);
	cache->nr_pages -= 1u << order;
	return cache->blocks[order][nr];
}

/* Give the @nr blocks that were cached first back to the buddy. */
static void flush(struct cache *cache, unsigned order, uint32_t nr)
{
	uint32_t *blocks = cache->blocks[order];
	uint32_t nr_left = cache->nr[order] - nr;

	bhi_lock_acquire(&bhi_buddy.lock);
	for (uint32_t i = 0; i < nr; i++) {
		struct bhi_page *page = page_at(blocks[i]);

		bhi_store(&page->type, BHI_PAGE_UNUSED);
		bhi_taken_to_free(blocks[i], (size_t)1 << order, page->dirty);
	}
	bhi_store(&cache->nr[order], nr_left);
	bhi_lock_release(&bhi_buddy.lock);
	memmove(blocks, blocks + nr, nr_left * sizeof(*blocks));
	cache->nr_pages -= nr << order;
}

static void flush_all(struct cache *cache)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		if (cache->nr[order])
			flush(cache, order, cache->nr[order]);
	}
}

/* Half of what there is most of, until @nr_pages fit in. */
static BHI_NOINLINE void make_space(struct cache *cache, uint32_t nr_pages)
{
	while (cache->nr_pages + nr_pages > max_pages) {
		unsigned most = 0;

		for (unsigned order = 1; order <= MAX_ORDER; order++) {
			if (cache->nr[order] << order > cache->nr[most] << most)
				most = order;
		}
		flush(cache, most, (cache->nr[most] + 1) / 2);
	}
}

/* Up to half of the bound at once, so that neither allocating nor freeing comes back for
 * the lock soon; pushed in falling order, for rising addresses to be handed out. */
static BHI_NOINLINE void refill(struct cache *cache, unsigned order)
{
	uint32_t nr = bhi_min(max_pages / 2, max_pages - cache->nr_pages) >> order;
	uint32_t blocks[MAX_PAGES / 2];

	if (!nr)
		return;
	bhi_lock_acquire(&bhi_buddy.lock);
	nr = bhi_buddy_take_cached(blocks, nr, order);
	bhi_lock_release(&bhi_buddy.lock);
	while (nr)
		push(cache, order, blocks[--nr]);
}

/* From this thread's cache, or BHI_NO_PAGE. */
static uint32_t take_cached(struct bhi_thread *self, unsigned order, bool *ret_zeroed)
{
	uint32_t number = BHI_NO_PAGE;
	struct cache *cache;

	if (bhi_unlikely(!self->data[BHI_SLOT_PAGES]))
		new_cache(self);
	if (!bhi_thread_enter(self))
		return BHI_NO_PAGE;
	cache = self->data[BHI_SLOT_PAGES];
	if (bhi_likely(cache)) {
		if (bhi_unlikely(!cache->nr[order]))
			refill(cache, order);
		if (bhi_likely(cache->nr[order])) {
			number = pop(cache, order);
			*ret_zeroed = !page_at(number)->dirty;
			bhi_store(&page_at(number)->type, BHI_PAGE_TAKEN);
		}
	}
	bhi_thread_leave(self);
	return number;
}

static bool put_cached(struct bhi_thread *self, uint32_t number, unsigned order)
{
	struct bhi_page *page = page_at(number);
	uint32_t nr_pages = 1u << order;
	struct cache *cache;

	if (!bhi_thread_enter(self))
		return false;
	cache = self->data[BHI_SLOT_PAGES];
	if (bhi_likely(cache)) {
		if (bhi_unlikely(cache->nr_pages + nr_pages > max_pages))
			make_space(cache, nr_pages);
		bhi_pages_untype(number, nr_pages);
		page->order = (uint8_t)order;
		page->dirty = true;
		bhi_store(&page->type, BHI_PAGE_CACHED);
		push(cache, order, number);
	}
	bhi_thread_leave(self);
	return cache;
}

static void exit_thread(struct bhi_thread *self)
{
	struct cache *cache;

	if (!bhi_thread_enter(self))
		return;
	cache = self->data[BHI_SLOT_PAGES];
	if (cache)
		flush_all(cache);
	self->data[BHI_SLOT_PAGES] = NULL;
	bhi_thread_leave(self);
	if (!cache)
		return;
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_list_unlink(&cache->node);
	bhi_lock_release(&bhi_buddy.lock);
	bhi_pool_free(&pool, cache);
}

static struct bhi_thread_hook hook = {.exit = exit_thread};

void bhi_page_caches_init(void)
{
	max_pages = (uint32_t)bhi_min(
		(uint64_t)MAX_PAGES, bhi_buddy.zone_pages / CACHE_SHARE);
	bhi_thread_hook_register(&hook);
}

static void drain_one(struct bhi_thread *thread, void *arg)
{
	struct cache *cache = thread->data[BHI_SLOT_PAGES];
	size_t *nr_drained = arg;

	if (!cache)
		return;
	*nr_drained += cache->nr_pages;
	flush_all(cache);
}

size_t bhi_page_caches_drain(void)
{
	size_t nr_drained = 0;

	bhi_threads_claim(drain_one, &nr_drained);
	return nr_drained;
}

size_t bhi_page_caches_count(void)
{
	size_t nr_pages = 0;

	bhi_assert_held(&bhi_buddy.lock);
	bhi_list_for_each (node, &bhi_buddy.caches) {
		struct cache *cache = bhi_list_entry(node, struct cache, node);

		for (unsigned order = 0; order <= MAX_ORDER; order++)
			nr_pages += (size_t)bhi_load(&cache->nr[order]) << order;
	}
	return nr_pages;
}

void *bhi_pages_alloc(unsigned order, bool *ret_zeroed)
{
	if (bhi_failpoint(BHI_FP_PAGES) || bhi_process_inert())
		return NULL;
	bhi_assert_none_held();
	if (order <= MAX_ORDER) {
		struct bhi_thread *self = bhi_thread_self();
		uint32_t number =
			self ? take_cached(self, order, ret_zeroed) : BHI_NO_PAGE;

		if (bhi_likely(number != BHI_NO_PAGE))
			return bhi_page_address(number);
	}
	if (order > BHI_BLOCK_ORDER)
		return NULL;
	return bhi_buddy_alloc((size_t)1 << order, 0, ret_zeroed);
}

/* A thread that has cached nothing yet does not begin here: that would need memory. */
void bhi_pages_free(void *pages, unsigned order)
{
	struct bhi_thread *self = bhi_thread_current;
	size_t number = bhi_page_number(pages);

	if (bhi_process_inert())
		return;
	bhi_assert_none_held();
	if (bhi_likely(self && (1u << order) <= max_pages && order <= MAX_ORDER) &&
		put_cached(self, (uint32_t)number, order))
		return;
	bhi_pages_put(pages, (size_t)1 << order);
}
