/* SPDX-License-Identifier: MIT */
/*
 * Taking all private memory of a task back: by the reaper, by the thread that unwound
 * from it, or by whoever put the last reference. Whoever moves region.end from LIVE to
 * TAKEN does it; the others wait for GONE, or leave it to him.
 */
#ifndef BHI_TASK_END_H
#define BHI_TASK_END_H

#include "task/task.h"

/* What became of the reaper's try. */
enum bhi_reap {
	BHI_REAP_DONE, /* all bytes are back, or somebody else sees to it */
	BHI_REAP_BUSY, /* the owner was changing pages: try again soon */
	/* try again later: */
	BHI_REAP_HOLD,  /* the owner is in a hold section */
	BHI_REAP_DUMP,  /* somebody looks at the memory */
	BHI_REAP_NEVER, /* the task is cooperative */
};

/* Context: any, no allocation. */
enum bhi_reap bhi_task_try_reap(struct bh_task *task);

/*
 * The same for the thread that is inside and has unwound, or for a killed task that
 * nobody is inside: waits for whoever is at it. All bytes are back then. Context: may
 * wait.
 */
void bhi_task_reap_own(struct bh_task *task);

/* The last reference is gone: nobody else looks at the task any more. Context: may wait.
 */
void bhi_task_end(struct bh_task *task);

/* What the oom floor notes when all private memory of a killed task is back. Set at
 * start. Context: any, no allocation. */
extern void (*bhi_task_reaped_hook)(struct bh_task *task);

/* Nothing more comes back by reaping: the next victim may be chosen. Context: any, no
 * allocation. */
void bhi_task_set_skip(struct bh_task *task);

/* Uncharge @bytes of @task. What it has overdrawn goes on counting as such until it ends.
 * Context: any, no allocation. */
void bhi_task_uncharge(struct bh_task *task, uint64_t bytes);

#endif
