/* SPDX-License-Identifier: MIT */
#include "task/section.h"

#include <errno.h>

#include "task/access.h"
#include "task/landing.h"
#include "task/overdraft.h"

void (*bhi_task_oom_hook)(struct bh_group *over);

void bhi_task_unwind(struct bh_task *task)
{
	BUG_ON(task != bhi_task_current || task->region.hold || !bhi_task_killed(task));
	bhi_landing_unwind(task->landing);
}

int bhi_task_check(struct bh_task *task)
{
	if (bhi_likely(!bhi_task_killed(task)))
		return 0;
	if (bhi_task_may_unwind(task))
		bhi_task_unwind(task);
	return -ECANCELED;
}

bool bhi_task_try_hold(struct bh_task *task)
{
	struct bhi_region *region = &task->region;

	bhi_store(&region->hold, region->hold + 1);
	if (region->hold > 1)
		return true;
	bhi_region_fence();
	/* The task is killed, and what it wants to keep whole is going. Who trims takes
	 * what is in nobody's use. */
	if (bhi_likely(bhi_load(&region->unstable) != BHI_UNSTABLE))
		return true;
	bhi_store_release(&region->hold, 0);
	return false;
}

/* A cooperative task is never reaped. */
void bhi_task_hold(struct bh_task *task)
{
	if (!bhi_task_try_hold(task))
		bhi_task_unwind(task);
}

/* The OOM decision that the hold section put off. What was overdrawn stays charged. */
static BHI_COLD void settle(struct bh_task *task)
{
	struct bh_group *over = task->oom_over;

	task->oom_over = NULL;
	if (!bhi_task_killed(task))
		bhi_task_oom_hook(over);
	bhi_overdraft_settle(task);
}

void bhi_task_unhold(struct bh_task *task)
{
	struct bhi_region *region = &task->region;

	if (WARN_ONCE(!region->hold, "more hold sections ended than began"))
		return;
	/* pairs with the acquiring load in bhi_region_try_claim() */
	bhi_store_release(&region->hold, region->hold - 1);
	if (!region->hold && bhi_unlikely(task->oom_over))
		settle(task);
}

void bhi_task_release(struct bh_task *task)
{
	bhi_task_unhold(task);
	if (!task->region.hold)
		(void)bhi_task_check(task);
}

/* The inner section is none: the first leave ends them. */
void bhi_task_block_enter(struct bh_task *task)
{
	if (WARN_ONCE(task->blocked, "bh_block_enter in a block section"))
		return;
	bhi_store(&task->blocked, 1);
	bhi_access_block(task);
}

void bhi_task_block_leave(struct bh_task *task)
{
	if (!WARN_ONCE(!task->blocked, "bh_block_leave without bh_block_enter")) {
		bhi_access_unblock(task);
		bhi_store(&task->blocked, 0);
	}
	(void)bhi_task_check(task);
}
