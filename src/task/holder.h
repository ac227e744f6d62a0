/* SPDX-License-Identifier: MIT */
/*
 * Who takes, holds and waits for a lock of the host: the task that this thread is inside,
 * or outside of any task the thread itself, for which hold sections are nothing and no
 * wait is cut short.
 *
 * A killed waiter may unwind only after it has left the lock in order. So nothing here
 * unwinds but bhi_holder_cancel(), which comes last.
 */
#ifndef BHI_TASK_HOLDER_H
#define BHI_TASK_HOLDER_H

#include "base/testpoint.h"
#include "task/section.h"

/* This thread outside of tasks: a value that is no pointer to a task. Context:
 * signal-safe. */
void *bhi_holder_thread(void);

/* Context: signal-safe. */
static inline void *bhi_holder_self(void)
{
	return bhi_task_current ? (void *)bhi_task_current : bhi_holder_thread();
}

/* Where a call begins, before it has taken anything: a killed task need not go on.
 * Context: owner thread only. May unwind. */
static inline void bhi_holder_begin(void)
{
	bhi_testpoint(BHI_TP_LOCK);
	if (bhi_task_current)
		(void)bhi_task_check(bhi_task_current);
}

/* Begin a hold section. False: the task is being reaped. Context: owner thread only. */
static inline bool bhi_holder_try_hold(void)
{
	return !bhi_task_current || bhi_task_try_hold(bhi_task_current);
}

/* Context: owner thread only, may wait. */
static inline void bhi_holder_unhold(void)
{
	if (bhi_task_current)
		bhi_task_unhold(bhi_task_current);
}

/*
 * Sleep while *@word == @value, at most @timeout_ns (0: for ever). -ECANCELED: the task
 * is killed, whatever else has happened; else as bhi_sys_futex_wait(), whose 0 says
 * little. Context: owner thread only, may wait.
 */
int bhi_holder_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* The killed task has left the lock. -ECANCELED, if it may not be unwound here. Context:
 * owner thread only. May unwind. */
int bhi_holder_cancel(void);

#endif
