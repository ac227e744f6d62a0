/* SPDX-License-Identifier: MIT */
#include "alloc/map.h"

#include <errno.h>

#include "alloc/private.h"
#include "task/section.h"

/* How much is charged at a time when a whole range is wanted: a victim notices between.
 */
#define TOUCH_PAGES BHI_AREA_PAGES

/* Pages of one map. */
struct range {
	uint32_t first; /* area of the map */
	uint32_t page, nr;
};

static bool find_range(
	const struct bh_task *task, const void *ptr, size_t size, struct range *ret)
{
	uintptr_t start = (uintptr_t)ptr & ~(BHI_PAGE_SIZE - 1), end;
	const struct bhi_area *area;
	size_t offset;

	if (!bhi_private_contains(ptr) || !size ||
		__builtin_add_overflow((uintptr_t)ptr, size, &end))
		return false;
	ret->first = bhi_area_number(ptr);
	area = &bhi_private.areas[ret->first];
	if (bhi_load(&area->task) != task || area->kind != BHI_AREA_MAP)
		return false;
	ret->first = bhi_span_of(ret->first);
	area = &bhi_private.areas[ret->first];
	offset = start - (uintptr_t)bhi_area_address(ret->first);
	size = (size_t)area->nr_pages << BHI_PAGE_SHIFT;
	/* The last area reaches further than the map. */
	if (offset >= size || end - start > size - offset)
		return false;
	ret->page = (uint32_t)(offset >> BHI_PAGE_SHIFT);
	ret->nr = (uint32_t)(bhi_page_align(end - start) >> BHI_PAGE_SHIFT);
	return true;
}

void *bhi_map_new(struct bh_task *task, size_t size)
{
	uint32_t first;

	if (size > bhi_private.size / 2)
		return NULL;
	if (!bhi_region_enter(&task->region))
		bhi_task_unwind(task);
	first = bhi_region_take(&task->region, task, BHI_AREA_MAP,
		(uint32_t)(bhi_page_align(size) >> BHI_PAGE_SHIFT));
	bhi_region_leave(&task->region);
	return first == BHI_NO_AREA ? NULL : bhi_area_address(first);
}

int bhi_map_free(struct bh_task *task, void *ptr, size_t size)
{
	struct range range;

	if (!find_range(task, ptr, size, &range) || range.page ||
		range.nr != bhi_private.areas[range.first].nr_pages ||
		(uintptr_t)ptr % BHI_PAGE_SIZE)
		return -EINVAL;
	bhi_private_drop(task, range.first, range.nr);
	return 0;
}

/* Whole pages only: what lies beside a range in the same page is not to be lost. */
int bhi_map_discard(struct bh_task *task, void *ptr, size_t size)
{
	struct range range;

	if (((uintptr_t)ptr | size) % BHI_PAGE_SIZE ||
		!find_range(task, ptr, size, &range))
		return -EINVAL;
	(void)bhi_private_zap(task, range.first, range.page, range.nr);
	return 0;
}

int bhi_map_touch(struct bh_task *task, void *ptr, size_t size)
{
	struct range range;

	if (!find_range(task, ptr, size, &range))
		return -EINVAL;
	while (range.nr) {
		uint32_t nr = bhi_min(range.nr, (uint32_t)TOUCH_PAGES);
		int r;

		/* A victim is no longer slowed down by BH_HIGH, so it would go far. */
		(void)bhi_task_check(task);
		r = bhi_private_populate(task, range.first, range.page, nr);
		if (r)
			return r;
		range.page += nr;
		range.nr -= nr;
	}
	return 0;
}
