/* SPDX-License-Identifier: MIT */
#include "alloc/pagefault.h"

#include "account/stock.h"
#include "base/failpoint.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "charge/charge.h"
#include "oom/killer.h"
#include "task/end.h"
#include "task/keep.h"
#include "task/overdraft.h"
#include "task/section.h"

/* What is populated around a touch: 64 KiB, which costs half as much a page as one page
 * at a time; a sixty-fourth of a large map, up to what is still done in a millisecond. */
#define AROUND_PAGES     16u
#define AROUND_PAGES_MAX 256u
#define AROUND_SHARE     64u

_Static_assert(AROUND_PAGES_MAX <= BHI_STEP_PAGES, "the reaper waits for a step at most");

/* When the kernel has no memory: so often, a tick apart, then the task ends. */
#define TRIES   BHI_MAX_RECLAIM_RETRIES
#define TICK_NS BHI_NS_PER_MS

enum outcome {
	POPULATED,
	OVER_LIMIT,
	NO_MEMORY, /* in the kernel; or the reaper came between */
	INJECTED,  /* a failure, before anything was asked for */
};

struct touch {
	struct bh_task *task;
	uint32_t first; /* area of the map */
	uint32_t page;
	/* around it */
	uint32_t start, nr;
};

static bool find_page(struct touch *touch, const void *addr)
{
	uint32_t number = bhi_area_number(addr), around = AROUND_PAGES;
	const struct bhi_area *area = &bhi_private.areas[number];
	uint32_t nr_pages;

	if (area->kind != BHI_AREA_MAP)
		return false;
	touch->first = bhi_span_of(number);
	nr_pages = bhi_private.areas[touch->first].nr_pages;
	touch->page = (uint32_t)(((uintptr_t)addr -
					 (uintptr_t)bhi_area_address(touch->first)) >>
				 BHI_PAGE_SHIFT);
	if (touch->page >= nr_pages)
		return false;
	while (around < nr_pages / AROUND_SHARE && around < AROUND_PAGES_MAX)
		around *= 2;
	touch->start = touch->page & ~(around - 1);
	touch->nr = bhi_min(around, nr_pages - touch->start);
	return true;
}

static uint64_t missing_bytes(const struct touch *touch)
{
	return (uint64_t)bhi_region_missing(touch->first, touch->start, touch->nr)
	       << BHI_PAGE_SHIFT;
}

/* The charge is made; what is not populated is taken back. */
static enum outcome populate(const struct touch *touch, uint64_t bytes)
{
	struct bhi_region *region = &touch->task->region;
	uint64_t left;
	int r;

	bhi_testpoint(BHI_TP_FAULT);
	if (!bhi_region_enter(region)) {
		bhi_task_uncharge(touch->task, bytes);
		return NO_MEMORY;
	}
	r = bhi_region_populate(region, touch->first, touch->start, touch->nr);
	/* Before the reaper may come: what it zaps it uncharges itself. */
	left = r ? missing_bytes(touch) : 0;
	bhi_region_leave(region);
	bhi_task_uncharge(touch->task, left);
	return r ? NO_MEMORY : POPULATED;
}

static enum outcome try_populate(const struct touch *touch, struct bh_group **ret_over)
{
	uint64_t bytes = missing_bytes(touch);

	/* Around the page that was touched some may have been had before. */
	if (!bytes)
		return POPULATED;
	if (bhi_fault(BH_FAULT_PAGE, bhi_page_order((uint32_t)(bytes >> BHI_PAGE_SHIFT)),
		    BHI_FAULT_PRIVATE))
		return INJECTED;
	if (bhi_charge_pagefault(touch->task->group, (int64_t)bytes, ret_over))
		return OVER_LIMIT;
	return populate(touch, bytes);
}

/* With what is around it, or alone. */
static enum outcome try_charge(struct touch *touch, struct bh_group **ret_over)
{
	enum outcome outcome = try_populate(touch, ret_over);

	if (outcome == POPULATED || touch->nr == 1)
		return outcome;
	touch->start = touch->page;
	touch->nr = 1;
	return try_populate(touch, ret_over);
}

/*
 * In a hold section the touch can neither wait for a kill nor end the task. The decision
 * is put off to the end of the section. When even the reserve is used up, memory of
 * others is waited for. False: there is none. Likewise in a cooperative task that is
 * killed, or where nobody can be.
 */
static bool overdraw(struct touch *touch, struct bh_group *over)
{
	struct bh_task *task = touch->task;

	task->oom_over = over;
	if (!bhi_overdraft_charge(task, task->group, (int64_t)BHI_PAGE_SIZE, true)) {
		(void)populate(touch, BHI_PAGE_SIZE);
		return true;
	}
	/* A wait on behalf of a victim ends at once. */
	if (bhi_task_killed(task))
		bhi_sys_pause(TICK_NS);
	return bhi_charge_pagefault_oom(over, (int64_t)BHI_PAGE_SIZE, false);
}

/* Somebody is killed, and if nobody else can be it is the current task. */
static void end_by_oom(struct bh_group *over)
{
	/* False: there is no killer to say so. */
	if (!bhi_charge_pagefault_oom(over, (int64_t)BHI_PAGE_SIZE, true))
		bhi_oom_kill_self(over, (int64_t)BHI_PAGE_SIZE, false);
}

/* The charge did not fit. False: nothing can be done about it. */
static bool decide(struct touch *touch, struct bh_group *over)
{
	struct bh_task *task = touch->task;

	if ((task->region.hold && bhi_policy.pagefault_defers) ||
		(bhi_task_killed(task) && !bhi_task_may_unwind(task)))
		return overdraw(touch, over);
	if (bhi_task_is_cooperative(task))
		return bhi_charge_pagefault_oom(over, (int64_t)BHI_PAGE_SIZE, false) ||
		       overdraw(touch, over);
	end_by_oom(over);
	return true;
}

/* The charge fitted, and the kernel had no page. False: nothing can be done about it. */
static bool wait_for_kernel(struct touch *touch, int tries)
{
	struct bh_task *task = touch->task;

	/* It may have more when others keep less. */
	(void)bhi_keep_trim(bhi_group_root(), (uint64_t)BHI_STOCK_BATCH);
	bhi_task_sleep(TICK_NS);
	if (tries < TRIES)
		return true;
	if (!bhi_task_may_unwind(task))
		return false;
	bhi_oom_kill_self(task->group, (int64_t)BHI_PAGE_SIZE, true);
	return true;
}

static enum bhi_pagefault_end handle(struct touch *touch, const void *addr)
{
	struct bh_task *task = touch->task;
	int tries = 0;

	/* A page that is there raises no signal but for another reason: it was executed,
	 * or the machine has lost it. A victim's may be going just now. */
	if (find_page(touch, addr) && bhi_region_has(touch->first, touch->page) &&
		!bhi_task_killed(task))
		return BHI_PAGEFAULT_FOREIGN;
	for (;;) {
		struct bh_group *over;
		bool again;

		if (bhi_task_killed(task) && bhi_task_may_unwind(task))
			return BHI_PAGEFAULT_UNWIND;
		if (!find_page(touch, addr))
			return BHI_PAGEFAULT_FOREIGN;
		if (bhi_region_has(touch->first, touch->page))
			return BHI_PAGEFAULT_RESTART;
		switch (try_charge(touch, &over)) {
		case INJECTED:
			/* Nobody is killed for it, and a touch has nobody to tell: the
			 * instruction runs again, and asks again. */
		case POPULATED:
			return BHI_PAGEFAULT_RESTART;
		case OVER_LIMIT:
			again = decide(touch, over);
			break;
		default:
			again = wait_for_kernel(touch, tries++);
			break;
		}
		if (!again)
			return BHI_PAGEFAULT_FOREIGN;
	}
}

enum bhi_pagefault_end bhi_pagefault(struct bh_task *task, void *addr)
{
	struct touch touch = {.task = task};
	enum bhi_pagefault_end end;

	bhi_store(&task->in_fault, 1);
	end = handle(&touch, addr);
	bhi_store(&task->in_fault, 0);
	return end;
}

static void settle(struct bh_group *over)
{
	/* As for a touch: what was overdrawn must not add up from section to section. */
	end_by_oom(over);
}

void bhi_pagefault_init(void)
{
	bhi_pagefault_hook = bhi_pagefault;
	bhi_task_oom_hook = settle;
}
