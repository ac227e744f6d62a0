/* SPDX-License-Identifier: MIT */
/*
 * Three bounds, so that neither one task nor many, one after the other or at a time, take
 * more and more:
 *
 *	task	BHI_TASK_OVERDRAFT, anew once its groups are within their limits again;
 *		for a victim it was the last
 *	group	BHI_GROUP_OVERDRAFT for it and all below
 *	zone	half of the min mark, as the charge itself says
 *
 * A group counts private bytes until the task has repaid them, by its end at the latest,
 * and bytes of shared memory, which outlive their tasks, until the group is within its
 * limit. It has never more overdrawn than what it is over its limit by: memory that comes
 * back repays, whoever it belonged to. So, as long as nothing else passes limits,
 *
 *	usage <= max + BHI_GROUP_OVERDRAFT
 */
#include "task/overdraft.h"

#include <errno.h>

#include "base/policy.h"

/* Counts, and the charges that they are for, change together. */
static struct bhi_lock lock = BHI_LOCK_INIT(BHI_RANK_OVERDRAFT);

static int64_t outstanding(const struct bh_group *group, int64_t excess)
{
	return bhi_min(
		bhi_load(&group->overdraft) + bhi_load(&group->overdraft_shared), excess);
}

uint32_t bhi_overdraft_of(const struct bh_group *group)
{
	return (uint32_t)bhi_min(outstanding(group, bhi_counter_excess(&group->counter)),
		(int64_t)UINT32_MAX);
}

static bool is_over(const struct bh_group *group)
{
	for (; group; group = group->parent) {
		if (bhi_counter_excess(&group->counter))
			return true;
	}
	return false;
}

static bool fits(struct bh_group *group, int64_t size) BH_REQUIRES(lock)
{
	bhi_assert_held(&lock);
	for (; group; group = group->parent) {
		int64_t excess = bhi_counter_excess(&group->counter);

		if (!excess)
			bhi_store(&group->overdraft_shared, 0);
		if (outstanding(group, excess) + size > BHI_GROUP_OVERDRAFT)
			return false;
	}
	return true;
}

static bool is_within_bounds(const struct bh_task *task, struct bh_group *group,
	int64_t size) BH_REQUIRES(lock)
{
	bhi_assert_held(&lock);
	if (bhi_policy.without.overdraft_cap)
		return true;
	return size <= BHI_TASK_OVERDRAFT - task->overdraft && fits(group, size);
}

static void add(struct bh_group *group, int64_t size, bool is_private) BH_REQUIRES(lock)
{
	bhi_assert_held(&lock);
	for (; group; group = group->parent) {
		int64_t *sum = is_private ? &group->overdraft : &group->overdraft_shared;

		bhi_store(sum, *sum + size);
	}
}

static void repay_private(struct bh_task *task) BH_REQUIRES(lock)
{
	bhi_assert_held(&lock);
	add(task->group, -task->overdraft_private, true);
	task->overdraft_private = 0;
}

static void settle(struct bh_task *task) BH_REQUIRES(lock)
{
	bhi_assert_held(&lock);
	if (!task->overdraft || bhi_task_killed(task) || is_over(task->group))
		return;
	repay_private(task);
	task->overdraft = 0;
}

int bhi_overdraft_charge(
	struct bh_task *task, struct bh_group *group, int64_t size, bool is_private)
{
	struct bhi_counter *over;
	int r = -ENOMEM;

	bhi_lock_acquire(&lock);
	settle(task);
	if (is_within_bounds(task, group, size) &&
		bhi_counter_try_charge(
			&group->counter, size, BHI_RESERVE_HALF, true, &over)) {
		add(group, size, is_private);
		task->overdraft += size;
		if (is_private)
			task->overdraft_private += size;
		r = 0;
	}
	bhi_lock_release(&lock);
	return r;
}

void bhi_overdraft_settle(struct bh_task *task)
{
	if (bhi_likely(!task->overdraft))
		return;
	bhi_lock_acquire(&lock);
	settle(task);
	bhi_lock_release(&lock);
}

void bhi_overdraft_end(struct bh_task *task)
{
	if (bhi_likely(!task->overdraft_private))
		return;
	bhi_lock_acquire(&lock);
	repay_private(task);
	bhi_lock_release(&lock);
}
