/* SPDX-License-Identifier: MIT */
/*
 * Hold and block sections of the current task, and the places where a killed task
 * unwinds. region.h has the protocol of holds.
 */
#ifndef BHI_TASK_SECTION_H
#define BHI_TASK_SECTION_H

#include "task/kill.h"

/* @over was over its limit in a hold section that is at its end: decide now. Set at start
 * by the charge floor. Context: may wait. */
extern void (*bhi_task_oom_hook)(struct bh_group *over);

/* Leave fn of the current task, which is killed and in no hold section. Context: owner
 * thread only; the frames between are lost. */
__attribute__((noreturn)) BHI_COLD void bhi_task_unwind(struct bh_task *task);

/* Unwinds if the current task is killed and may be. 0, or -ECANCELED if it is killed and
 * may not. Context: owner thread only. */
int bhi_task_check(struct bh_task *task);

/* The two ends of a hold section for code that has to tidy up before it unwinds.
 * try_hold: false, and nothing has begun: the task is being reaped. Context: owner thread
 * only; unhold may wait. */
bool bhi_task_try_hold(struct bh_task *task);
void bhi_task_unhold(struct bh_task *task);

/* Context: owner thread only. May unwind. */
void bhi_task_hold(struct bh_task *task);
void bhi_task_release(struct bh_task *task);

/* The task does not touch private memory until leave. Nested in nothing. leave may
 * unwind. Context: owner thread only. */
void bhi_task_block_enter(struct bh_task *task);
void bhi_task_block_leave(struct bh_task *task);

#endif
