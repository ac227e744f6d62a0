/* SPDX-License-Identifier: MIT */
/* Entering a task, and everything that happens when it is left. */
#ifndef BHI_TASK_ENTER_H
#define BHI_TASK_ENTER_H

#include "task/task.h"

/* As bh_task_enter, the arguments checked; *@ret is not NULL. Context: may wait, runs
 * code of the host. */
int bhi_task_enter(
	struct bh_task *task, int (*fn)(void *arg), void *arg, struct bh_report *ret);

/* A deadline begins and ends. Set at start by the oom floor. Context: any. */
extern void (*bhi_task_deadline_hook)(struct bh_task *task, bool begins);

/* What the alloc floor does when the thread leaves a task that keeps idle pages. Set at
 * start. Context: owner thread only, may wait; does not unwind. */
extern void (*bhi_task_leave_hook)(struct bh_task *task);

#endif
