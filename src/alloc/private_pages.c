/* SPDX-License-Identifier: MIT */
/*
 * Populating and zapping by the thread inside, in steps as region.h wants them: between
 * two a killed task unwinds, and the reaper gets in.
 */
#include <errno.h>

#include "alloc/private.h"
#include "base/failpoint.h"
#include "base/testpoint.h"
#include "charge/charge.h"
#include "task/section.h"

/* Those of @nr pages that are not there, in one section. 0, -ENOMEM, or -ECANCELED: the
 * task is killed and is to unwind. */
static int populate_step(struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr)
{
	struct bhi_region *region = &task->region;
	uint32_t done;
	int r;

	bhi_testpoint(BHI_TP_STEP);
	if (!bhi_region_enter(region))
		return -ECANCELED;
	done = bhi_region_missing(first, page, nr);
	r = bhi_region_populate(region, first, page, nr);
	if (r)
		done -= bhi_region_missing(first, page, nr);
	/* Before the reaper may come: what it zaps it uncharges itself. */
	bhi_store(&region->pending, region->pending - ((uint64_t)done << BHI_PAGE_SHIFT));
	bhi_testpoint(BHI_TP_BUSY);
	bhi_region_leave(region);
	return r;
}

/* All is charged, in steps. */
static int populate(struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr)
{
	int r = 0;

	while (nr && !r) {
		uint32_t step = bhi_min(nr, BHI_STEP_PAGES);

		if (bhi_task_killed(task) && bhi_task_may_unwind(task))
			return -ECANCELED;
		r = populate_step(task, first, page, step);
		page += step;
		nr -= step;
	}
	return r;
}

int bhi_private_populate(struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr)
{
	uint32_t missing = bhi_region_missing(first, page, nr);
	int64_t bytes = (int64_t)missing * (int64_t)BHI_PAGE_SIZE;
	int r;

	if (!missing)
		return 0;
	if (bhi_fault(BH_FAULT_PAGE, bhi_page_order(missing), BHI_FAULT_PRIVATE)) {
		(void)bhi_task_check(task);
		return -ENOMEM;
	}
	r = bhi_charge(task->group, bytes, BHI_CHARGE_PRIVATE, false);
	if (r) {
		(void)bhi_task_check(task);
		return r;
	}
	bhi_store(&task->region.pending, (uint64_t)bytes);
	r = populate(task, first, page, nr);
	bytes = (int64_t)bhi_region_take_pending(&task->region);
	if (bhi_unlikely(bytes))
		bhi_uncharge(task->group, bytes, false);
	if (bhi_unlikely(r == -ECANCELED))
		bhi_task_unwind(task);
	return r;
}

/* Of @nr pages in one section; how many the kernel refused to zap. */
static uint32_t zap_step(struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr)
{
	uint64_t bytes;
	uint32_t left;

	bhi_testpoint(BHI_TP_STEP);
	/* If it is refused, the task is killed and not holding. */
	if (!bhi_region_enter(&task->region))
		bhi_task_unwind(task);
	bytes = bhi_region_zap(&task->region, first, page, nr);
	left = nr - bhi_region_missing(first, page, nr);
	if (bhi_unlikely(left))
		bhi_region_clear(first, page, nr);
	bhi_testpoint(BHI_TP_BUSY);
	bhi_region_leave(&task->region);
	if (bytes)
		bhi_uncharge(task->group, (int64_t)bytes, false);
	return left;
}

uint32_t bhi_private_zap(struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr)
{
	uint32_t end = page + nr, left = 0;

	for (uint32_t at = page; at < end; at += BHI_ZAP_PAGES) {
		if (at > page)
			(void)bhi_task_check(task);
		left += zap_step(task, first, at, bhi_min(BHI_ZAP_PAGES, end - at));
	}
	/* The whole of what is left may be one mapping, where a part cuts it in two. */
	if (bhi_unlikely(left) && nr > BHI_ZAP_PAGES)
		left = zap_step(task, first, page, nr);
	return left;
}
