/* SPDX-License-Identifier: MIT */
/*
 * Overdrafts: what a task that can neither fail nor be unwound where it is takes past the
 * limits of its groups, and out of half of the zone's reserve: first touches in hold
 * sections, and all that a victim asks for in one, or that is cooperative.
 */
#ifndef BHI_TASK_OVERDRAFT_H
#define BHI_TASK_OVERDRAFT_H

#include "task/task.h"

/* The most that all tasks of a group and below have past its limit: eight that need as
 * much as they may, or many that need a stock for what is done under a lock. A lock that
 * many wait for has one holder. */
#define BHI_GROUP_OVERDRAFT (8 * BHI_TASK_OVERDRAFT)

/*
 * Charge @size bytes to @group for the current task, @task: 0, or -ENOMEM when that would
 * be more than it, or a group, may have overdrawn. @is_private: for its private memory,
 * which is its own group's. Context: any, no allocation; in no section.
 */
int bhi_overdraft_charge(
	struct bh_task *task, struct bh_group *group, int64_t size, bool is_private);

/* A hold section of the current task has ended, and what was to be decided is. If the
 * groups are within their limits, and it is not killed, it may overdraw anew. Context:
 * any, no allocation. */
void bhi_overdraft_settle(struct bh_task *task);

/* The private memory of @task is gone, what was overdrawn for it too. On the thread that
 * is inside, or put the last reference. Context: any, no allocation. */
void bhi_overdraft_end(struct bh_task *task);

/* What is overdrawn in @group and below. Context: any. */
uint32_t bhi_overdraft_of(const struct bh_group *group);

#endif
