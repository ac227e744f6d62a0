/* SPDX-License-Identifier: MIT */
#include "task/warm.h"

#include <string.h>

#include "base/testpoint.h"
#include "task/access.h"

static struct {
	/* protected by .lock */
	struct bhi_lock lock;
	uint32_t areas[BHI_WARM_AREAS];
	uint32_t nr;
	/* atomic; written under the lock */
	uint64_t bytes;
} state = {.lock = BHI_LOCK_INIT(BHI_RANK_WARM)};

uint32_t bhi_area_populated(const struct bhi_area *area)
{
	uint32_t nr = 0;

	for (unsigned i = 0; i < bhi_array_size(area->populated); i++)
		nr += (uint32_t)__builtin_popcountll(area->populated[i]);
	return nr;
}

static uint64_t bytes_of(uint32_t number)
{
	return (uint64_t)bhi_area_populated(&bhi_private.areas[number]) << BHI_PAGE_SHIFT;
}

/* What the next task finds must not be what this one left. */
static void zero(uint32_t number)
{
	const struct bhi_area *area = &bhi_private.areas[number];
	char *base = bhi_area_address(number);

	for (uint32_t page = 0; page < BHI_AREA_PAGES; page++) {
		if (area->populated[page / 64] >> (page % 64) & 1)
			memset(base + (size_t)page * BHI_PAGE_SIZE, 0, BHI_PAGE_SIZE);
	}
}

static bool is_small(const struct bhi_region *region)
{
	const struct bhi_area *area = &bhi_private.areas[region->spans];

	return region->nr_areas == 1 && area->kind == BHI_AREA_HEAP && region->bytes &&
	       region->bytes <= (uint64_t)BHI_WARM_PAGES * BHI_PAGE_SIZE &&
	       bhi_load(&region->end) == BHI_REGION_LIVE;
}

static void disown(uint32_t number)
{
	struct bhi_area *area = &bhi_private.areas[number];

	bhi_store(&area->task, NULL);
	memset(area->used, 0, sizeof(area->used));
}

bool bhi_warm_put(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	bool kept = false;
	uint32_t number;

	if (bhi_region_is_empty(region) || !is_small(region) ||
		bhi_load(&state.nr) == BHI_WARM_AREAS)
		return false;
	/* Only the thread that ends the task may touch it now. */
	if (bhi_access_open(task))
		return false;
	number = region->spans;
	zero(number);
	bhi_access_close(task);
	disown(number);
	bhi_testpoint(BHI_TP_KEEP_WARM);
	bhi_lock_acquire(&state.lock);
	if (state.nr < BHI_WARM_AREAS) {
		state.areas[state.nr] = number;
		bhi_store(&state.nr, state.nr + 1);
		bhi_store(&state.bytes, state.bytes + region->bytes);
		kept = true;
	}
	bhi_lock_release(&state.lock);
	if (!kept) {
		bhi_store(&bhi_private.areas[number].task, task);
		return false;
	}
	bhi_counter_uncharge_below_root(&task->group->counter, (int64_t)region->bytes);
	/* Whoever walks the list may still look at it. */
	bhi_store(&region->spans, BHI_NO_AREA);
	bhi_store(&region->nr_areas, 0);
	bhi_store(&region->bytes, 0);
	return true;
}

uint32_t bhi_warm_take(struct bh_task *task)
{
	uint32_t number = BHI_NO_AREA;

	if (!bhi_load(&state.nr))
		return BHI_NO_AREA;
	bhi_lock_acquire(&state.lock);
	if (state.nr) {
		number = state.areas[state.nr - 1];
		bhi_store(&state.nr, state.nr - 1);
		bhi_store(&state.bytes, state.bytes - bytes_of(number));
	}
	bhi_lock_release(&state.lock);
	if (number != BHI_NO_AREA)
		bhi_store(&bhi_private.areas[number].task, task);
	return number;
}

uint64_t bhi_warm_purge(void)
{
	uint64_t sum = 0;
	uint32_t number;

	while ((number = bhi_warm_take(NULL)) != BHI_NO_AREA) {
		struct bhi_area *area = &bhi_private.areas[number];

		sum += bytes_of(number);
		bhi_window_zap(bhi_area_address(number), BHI_AREA_SIZE);
		memset(area->populated, 0, sizeof(area->populated));
		bhi_areas_give(number, 1);
	}
	return sum;
}

uint64_t bhi_warm_bytes(void)
{
	return bhi_load(&state.bytes);
}
