/* SPDX-License-Identifier: MIT */
#include "alloc/blocks.h"
#include "alloc/dirty.h"
#include "alloc/free_list.h"

struct bhi_buddy bhi_buddy = {
	.lock = BHI_LOCK_INIT(BHI_RANK_BUDDY),
	.caches = {&bhi_buddy.caches, &bhi_buddy.caches},
};

static struct bhi_page *page_at(uint32_t number)
{
	return &bhi_window.pages[number];
}

static struct bhi_free_list *list_of(const struct bhi_page *page)
{
	return &bhi_buddy.lists[page->dirty ? BHI_DIRTY : BHI_CLEAN][page->order];
}

void bhi_free_init(void)
{
	for (unsigned kind = 0; kind < BHI_NR_KINDS; kind++) {
		for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++)
			bhi_buddy.lists[kind][order] = (struct bhi_free_list){
				.head = BHI_NO_PAGE,
				.tail = BHI_NO_PAGE,
			};
	}
}

static void list_push(struct bhi_free_list *list, uint32_t number)
{
	struct bhi_page *page = page_at(number);

	page->prev = BHI_NO_PAGE;
	page->next = list->head;
	if (list->head == BHI_NO_PAGE)
		list->tail = number;
	else
		page_at(list->head)->prev = number;
	list->head = number;
	list->nr++;
}

static void list_remove(struct bhi_free_list *list, uint32_t number)
{
	struct bhi_page *page = page_at(number);

	if (page->prev == BHI_NO_PAGE)
		list->head = page->next;
	else
		page_at(page->prev)->next = page->next;
	if (page->next == BHI_NO_PAGE)
		list->tail = page->prev;
	else
		page_at(page->next)->prev = page->prev;
	list->nr--;
}

static void insert(uint32_t number, unsigned order, uint32_t nr_dirty)
	BH_REQUIRES(bhi_buddy.lock)
{
	struct bhi_page *page = page_at(number);

	bhi_assert_held(&bhi_buddy.lock);
	bh_assert(bhi_load(&page->type) == BHI_PAGE_UNUSED);
	bh_assert(!(number & ((1u << order) - 1)));
	bhi_store(&page->type, BHI_PAGE_FREE);
	page->order = (uint8_t)order;
	page->epoch = bhi_buddy.epoch;
	page->owner = nr_dirty;
	page->dirty = nr_dirty != 0;
	list_push(list_of(page), number);
	bhi_buddy.orders[page->dirty ? BHI_DIRTY : BHI_CLEAN] |= 1u << order;
	if (order == BHI_BLOCK_ORDER)
		bhi_block_set_used(number >> BHI_BLOCK_ORDER, false);
}

void bhi_free_remove(uint32_t number)
{
	struct bhi_page *page = page_at(number);
	struct bhi_free_list *list = list_of(page);

	bhi_assert_held(&bhi_buddy.lock);
	BUG_ON(bhi_load(&page->type) != BHI_PAGE_FREE);
	list_remove(list, number);
	if (!list->nr)
		bhi_buddy.orders[page->dirty ? BHI_DIRTY : BHI_CLEAN] &=
			~(1u << page->order);
	bhi_store(&page->type, BHI_PAGE_UNUSED);
	if (page->order == BHI_BLOCK_ORDER)
		bhi_block_set_used(number >> BHI_BLOCK_ORDER, true);
}

uint32_t bhi_free_find(unsigned order)
{
	uint32_t wanted = ~0u << order;

	bhi_assert_held(&bhi_buddy.lock);
	for (int kind = BHI_DIRTY; kind >= BHI_CLEAN; kind--) {
		uint32_t usable = bhi_buddy.orders[kind] & wanted;

		if (usable)
			return bhi_buddy.lists[kind][__builtin_ctz(usable)].head;
	}
	return BHI_NO_PAGE;
}

/* Dirty pages of one half of a free block with @nr_dirty: mostly it has all or none. */
static uint32_t half_dirty(uint32_t number, uint32_t half, uint32_t nr_dirty)
{
	if (!nr_dirty || nr_dirty == 2 * half)
		return nr_dirty / 2;
	return (uint32_t)bhi_dirty_count(number, half);
}

void bhi_free_split(uint32_t number, uint32_t part, unsigned order)
{
	unsigned size = page_at(number)->order;
	uint32_t nr_dirty = page_at(number)->owner;

	bhi_assert_held(&bhi_buddy.lock);
	bh_assert(size >= order && number <= part);
	bhi_free_remove(number);
	while (size > order) {
		uint32_t half = 1u << --size;
		uint32_t rest = part & half ? number : number + half;
		uint32_t rest_dirty = half_dirty(rest, half, nr_dirty);

		insert(rest, size, rest_dirty);
		nr_dirty -= rest_dirty;
		number += part & half;
	}
	bh_assert(number == part);
}

/*
 * A page that is FREE and of the same order is the first of a whole free block: pages
 * inside of one are UNUSED, and types of pages that are handed out never become FREE
 * without the lock. The order is looked at only then, since it is ours only then.
 */
static bool is_mergeable(uint32_t number, unsigned order)
{
	const struct bhi_page *page = page_at(number);

	return bhi_load(&page->type) == BHI_PAGE_FREE && page->order == order;
}

static void add_block(uint32_t number, unsigned order, uint32_t nr_dirty)
	BH_REQUIRES(bhi_buddy.lock)
{
	bhi_assert_held(&bhi_buddy.lock);
	for (; order < BHI_BLOCK_ORDER; order++) {
		uint32_t other = number ^ (1u << order);

		if (!is_mergeable(other, order))
			break;
		nr_dirty += page_at(other)->owner;
		bhi_free_remove(other);
		number &= other;
	}
	insert(number, order, nr_dirty);
}

/* The order of the first block that a run is made of. */
static unsigned first_order(uint32_t number, size_t nr_pages)
{
	unsigned order = 63u - (unsigned)__builtin_clzll(nr_pages);

	/* The bit bounds it, also for page 0. */
	return bhi_min(order, (unsigned)__builtin_ctz(number | BHI_BLOCK_PAGES));
}

void bhi_free_add(uint32_t number, size_t nr_pages)
{
	bhi_assert_held(&bhi_buddy.lock);
	while (nr_pages) {
		unsigned order = first_order(number, nr_pages);
		size_t nr = (size_t)1 << order;

		add_block(number, order, (uint32_t)bhi_dirty_count(number, nr));
		number += (uint32_t)nr;
		nr_pages -= nr;
	}
}

bool bhi_free_to_taken(uint32_t number, size_t nr_pages)
{
	size_t nr_dirty = bhi_dirty_count(number, nr_pages);

	bhi_assert_held(&bhi_buddy.lock);
	if (nr_dirty)
		bhi_dirty_clear(number, nr_pages);
	bhi_buddy.nr_dirty -= nr_dirty;
	bhi_buddy.nr_taken += nr_pages;
	return nr_dirty != 0;
}

void bhi_taken_to_free(uint32_t number, size_t nr_pages, bool dirty)
{
	bhi_assert_held(&bhi_buddy.lock);
	BUG_ON(bhi_buddy.nr_taken < nr_pages);
	if (dirty) {
		bhi_dirty_set(number, nr_pages);
		bhi_buddy.nr_dirty += nr_pages;
	}
	bhi_buddy.nr_taken -= nr_pages;
	while (nr_pages) {
		unsigned order = first_order(number, nr_pages);
		uint32_t nr = 1u << order;

		add_block(number, order, dirty ? nr : 0);
		number += nr;
		nr_pages -= nr;
	}
}
