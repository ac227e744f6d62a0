/* SPDX-License-Identifier: MIT */
/*
 * Taking all private memory of a task back: by the reaper, by the thread that unwound
 * from it, or by whoever put the last reference. region.end says how far that is:
 *
 *	LIVE	nobody is at it
 *	ASKED	the reaper or the thread that unwound has asked for it, by exchange, and
 *		looks at .dumping, the reaper at the guards too; nothing is waited for
 *		until it is one of the others. Or somebody takes idle pages, which
 *		lasts for a section of the owner and a chunk of pages
 *	ENDING	the thread that unwound waits for dumps that had begun
 *	TAKEN	who asked has got it, and zaps; others wait for GONE, or leave it to him
 *	GONE	for ever
 *
 * From ASKED the reaper goes back to LIVE if it met something, and tries again as with a
 * hold section; who takes idle pages always goes back; the thread that unwound goes on
 * to ENDING if it met a dump.
 *
 * Dumps. Somebody who looks at the memory announces himself in .dumping, and looks at
 * region.end then; who asks does it the other way round, both sequentially consistent.
 * So not both go on: who asked later sees the dump, and who began to dump later sees
 * ASKED and looks until that is decided, or is too late. In ENDING no dump begins, so the
 * wait is for those that had, on the futex .dumping. They must not wait for the thread:
 * it cannot dump the task that it is inside. A dump has a reference of its own, so the
 * last one is not put before its end.
 */
#ifndef BHI_TASK_END_H
#define BHI_TASK_END_H

#include "task/task.h"

/* What became of the reaper's try. */
enum bhi_reap {
	BHI_REAP_DONE, /* nothing more will come back, or somebody else sees to it */
	BHI_REAP_BUSY, /* the owner was changing pages: try again soon */
	/* try again later: */
	BHI_REAP_HOLD,  /* the owner is in a hold section */
	BHI_REAP_DUMP,  /* somebody looks at the memory */
	BHI_REAP_NEVER, /* the task is cooperative */
};

/* Context: any, no allocation. */
enum bhi_reap bhi_task_try_reap(struct bh_task *task);

/*
 * Take back the idle pages of a task that lives, and uncharge them: the bytes that came
 * back. Waits for a change of pages that is under way, and for others who trim.
 * Context: any, may wait.
 */
uint64_t bhi_task_trim(struct bh_task *task);

/*
 * As try_reap, for the thread that is inside and has unwound, or for a killed task that
 * nobody is inside: waits for whoever is at it, and for dumps. All bytes are back then,
 * but those that the kernel refused to zap, which go with the task. Context: may wait.
 */
void bhi_task_reap_own(struct bh_task *task);

/* The last reference is gone: nobody else looks at the task any more. Context: may wait.
 */
void bhi_task_end(struct bh_task *task);

/* What the oom floor notes when all private memory of a killed task is back. Set at
 * start. Context: any, no allocation. */
extern void (*bhi_task_reaped_hook)(struct bh_task *task);

/* Leave the memory alone until end. 0; -ESRCH: it is going or gone; -EDEADLK: this thread
 * is inside. Context: may wait, but only for the reaper to decide, or for somebody who
 * takes idle pages to be done with a chunk of them. */
int bhi_task_dump_begin(struct bh_task *task);

/* May drop the last reference. Context: may wait. */
void bhi_task_dump_end(struct bh_task *task);

/* Nothing more comes back by reaping: the next victim may be chosen. Context: any, no
 * allocation. */
void bhi_task_set_skip(struct bh_task *task);

/* Uncharge @bytes of @task. What it has overdrawn goes on counting as such until it ends.
 * Context: any, no allocation. */
void bhi_task_uncharge(struct bh_task *task, uint64_t bytes);

#endif
