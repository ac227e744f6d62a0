/* SPDX-License-Identifier: MIT */
#include "task/region.h"

#include <errno.h>

#include "base/bug.h"
#include "base/policy.h"
#include "base/testpoint.h"
#include "task/access.h"

/* Between two looks at whether idle pages are still being taken: some of a chunk. */
#define TRIM_PAUSE_NS ((uint64_t)20000)

/* A task whose region begins anew when it ends is still on the list of tasks, and looked
 * at. */
void bhi_region_init(struct bhi_region *region)
{
	bhi_store(&region->hold, 0);
	bhi_store(&region->busy, 0);
	bhi_store(&region->unstable, BHI_STABLE);
	bhi_store(&region->end, BHI_REGION_LIVE);
	bhi_store(&region->spans, BHI_NO_AREA);
	bhi_store(&region->nr_areas, 0);
	bhi_store(&region->nr_idle, 0);
	bhi_store(&region->bytes, 0);
	bhi_store(&region->peak, 0);
}

void bhi_region_full_fence(void)
{
	bhi_fence();
	bhi_testpoint(BHI_TP_GUARD);
}

bool bhi_region_enter(struct bhi_region *region)
{
	for (;;) {
		uint32_t unstable;

		bhi_store(&region->busy, 1);
		bhi_region_fence();
		/* pairs with the release in bhi_region_unclaim_idle() */
		unstable = bhi_load_acquire(&region->unstable);
		if (bhi_likely(unstable == BHI_STABLE))
			return true;
		bhi_region_leave(region);
		if (unstable == BHI_UNSTABLE && !region->hold)
			return false;
		/* The reaper that set it sees our hold, and backs off at once. Who trims
		 * is at a chunk of pages, and must get the processor for that whatever
		 * our priority. */
		bhi_sys_pause(unstable == BHI_TRIMMING ? TRIM_PAUSE_NS : 0);
	}
}

enum bhi_region_claim bhi_region_try_claim(struct bhi_region *region)
{
	enum bhi_region_claim met;

	bhi_store(&region->unstable,
		bhi_policy.without.unstable ? BHI_STABLE : BHI_UNSTABLE);
	/* pairs with bhi_region_fence() between a guard and the look at unstable */
	bhi_sys_membarrier();
	bhi_testpoint(BHI_TP_CLAIM);
	if (bhi_load_acquire(&region->hold))
		met = BHI_MET_HOLD;
	else if (bhi_load_acquire(&region->busy))
		met = BHI_MET_BUSY;
	else
		return BHI_CLAIMED;
	bhi_store_release(&region->unstable, BHI_STABLE);
	return met;
}

void bhi_region_claim_idle(struct bhi_region *region)
{
	bhi_store(&region->unstable, BHI_TRIMMING);
	/* pairs with bhi_region_fence() between a guard and the look at unstable */
	bhi_sys_membarrier();
}

uint32_t bhi_region_take(struct bhi_region *region, struct bh_task *task,
	enum bhi_area_kind kind, uint32_t nr_pages)
{
	uint32_t nr = (nr_pages + BHI_AREA_PAGES - 1) / BHI_AREA_PAGES;
	uint32_t first = bhi_areas_take(nr, task);
	struct bhi_area *areas;

	if (first == BHI_NO_AREA)
		return BHI_NO_AREA;
	areas = &bhi_private.areas[first];
	for (uint32_t i = 0; i < nr; i++) {
		areas[i].kind = (uint16_t)kind;
		for (unsigned w = 0; w < bhi_array_size(areas[i].used); w++) {
			/* A page of a former owner would not be charged. */
			bh_assert(!areas[i].populated[w]);
			areas[i].used[w] = 0;
		}
		areas[i].nr_areas = 0;
		areas[i].next = first;
	}
	areas->next = region->spans;
	areas->nr_areas = nr;
	areas->nr_pages = nr_pages;
	if (!bhi_access_join(region, first)) {
		bhi_areas_give(first, nr);
		return BHI_NO_AREA;
	}
	region->spans = first;
	region->nr_areas += nr;
	return first;
}

static void add_bytes(struct bhi_region *region, int64_t bytes)
{
	uint64_t sum = region->bytes + (uint64_t)bytes;

	bhi_store(&region->bytes, sum);
	if (sum > region->peak)
		bhi_store(&region->peak, sum);
}

void bhi_region_adopt(struct bhi_region *region, uint32_t number, uint64_t bytes)
{
	struct bhi_area *area = &bhi_private.areas[number];

	area->kind = BHI_AREA_HEAP;
	area->next = region->spans;
	area->nr_areas = 1;
	area->nr_pages = BHI_AREA_PAGES;
	region->spans = number;
	region->nr_areas++;
	BUG_ON(!bhi_access_join(region, number));
	add_bytes(region, (int64_t)bytes);
}

static void unlink_span(struct bhi_region *region, uint32_t first)
{
	uint32_t *link = &region->spans;

	while (*link != first) {
		BUG_ON(*link == BHI_NO_AREA);
		link = &bhi_private.areas[*link].next;
	}
	*link = bhi_private.areas[first].next;
	region->nr_areas -= bhi_private.areas[first].nr_areas;
}

void bhi_region_give(struct bhi_region *region, uint32_t first)
{
	unlink_span(region, first);
	bhi_access_part(region, first);
	bhi_areas_give(first, bhi_private.areas[first].nr_areas);
}

uint32_t bhi_span_of(uint32_t number)
{
	const struct bhi_area *area = &bhi_private.areas[number];

	return area->nr_areas ? number : area->next;
}

static uint64_t word_of(uint32_t first, uint32_t page)
{
	return bhi_load(&bhi_private.areas[first + page / BHI_AREA_PAGES]
				 .populated[page % BHI_AREA_PAGES / 64]);
}

uint32_t bhi_region_same_until(uint32_t first, uint32_t page, uint32_t end)
{
	uint64_t flip = bhi_region_has(first, page) ? UINT64_MAX : 0;

	while (page < end) {
		uint64_t others = (word_of(first, page) ^ flip) >> (page % 64);

		if (others)
			return bhi_min(page + (uint32_t)__builtin_ctzl(others), end);
		page = (page / 64 + 1) * 64;
	}
	return end;
}

static void mark(uint32_t first, uint32_t page, uint32_t end, bool populated)
{
	for (; page < end; page++) {
		struct bhi_area *area = &bhi_private.areas[first + page / BHI_AREA_PAGES];
		uint64_t bit = (uint64_t)1 << (page % 64);
		uint64_t *word = &area->populated[page % BHI_AREA_PAGES / 64];

		bhi_store(word, populated ? *word | bit : *word & ~bit);
	}
}

static char *page_address(uint32_t first, uint32_t page)
{
	return (char *)bhi_area_address(first) + (size_t)page * BHI_PAGE_SIZE;
}

int bhi_region_populate(
	struct bhi_region *region, uint32_t first, uint32_t page, uint32_t nr)
{
	uint32_t end = page + nr, next;

	for (uint32_t at = page; at < end; at = next) {
		next = bhi_region_same_until(first, at, end);
		if (bhi_region_has(first, at))
			continue;
		if (bhi_window_populate(page_address(first, at),
			    (size_t)(next - at) * BHI_PAGE_SIZE)) {
			/* Some may be there; what is not marked is zapped. */
			bhi_window_zap(page_address(first, at),
				(size_t)(next - at) * BHI_PAGE_SIZE);
			return -ENOMEM;
		}
		mark(first, at, next, true);
		add_bytes(region, (int64_t)(next - at) * (int64_t)BHI_PAGE_SIZE);
	}
	return 0;
}

uint64_t bhi_region_zap(
	struct bhi_region *region, uint32_t first, uint32_t page, uint32_t nr)
{
	uint32_t end = page + nr, next;
	uint64_t sum = 0;

	for (uint32_t at = page; at < end; at = next) {
		size_t size;

		next = bhi_region_same_until(first, at, end);
		if (!bhi_region_has(first, at))
			continue;
		size = (size_t)(next - at) * BHI_PAGE_SIZE;
		if (!bhi_window_try_zap(page_address(first, at), size))
			continue;
		bhi_testpoint(BHI_TP_UNMARKED);
		mark(first, at, next, false);
		add_bytes(region, -(int64_t)size);
		sum += size;
	}
	return sum;
}

uint32_t bhi_region_missing(uint32_t first, uint32_t page, uint32_t nr)
{
	uint32_t end = page + nr, missing = 0, next;

	for (; page < end; page = next) {
		next = bhi_region_same_until(first, page, end);
		if (!bhi_region_has(first, page))
			missing += next - page;
	}
	return missing;
}

void bhi_region_clear(uint32_t first, uint32_t page, uint32_t nr)
{
	bhi_window_clear(page_address(first, page), (size_t)nr * BHI_PAGE_SIZE);
}

uint64_t bhi_region_retire(struct bhi_region *region, uint32_t first)
{
	uint32_t nr_pages = bhi_private.areas[first].nr_pages;
	uint32_t nr = nr_pages - bhi_region_missing(first, 0, nr_pages);
	int64_t bytes = (int64_t)nr * (int64_t)BHI_PAGE_SIZE;

	bhi_region_clear(first, 0, nr_pages);
	mark(first, 0, nr_pages, false);
	add_bytes(region, -bytes);
	unlink_span(region, first);
	bhi_areas_retire(first, bhi_private.areas[first].nr_areas);
	return (uint64_t)bytes;
}
