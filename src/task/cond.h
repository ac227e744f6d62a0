/* SPDX-License-Identifier: MIT */
/*
 * Condition variables: a queue of waiters, each with a futex of its own, so a signal goes
 * to one that was there, the one that has waited longest.
 *
 * A waiter that is killed while it is queued just leaves; nobody has signalled it. One
 * that has been signalled, and is killed before it has the mutex again, signals the next.
 * It leaves without the mutex: who dies must not wait for others.
 *
 * The queue's lock is one of a table, by address: a zeroed bh_cond has none of its own. A
 * waiter is woken with that lock held, and takes it once more before it goes, so it is
 * there while it is woken. Waiters are static to their threads and not on stacks, which
 * may lie in memory that is reaped.
 */
#ifndef BHI_TASK_COND_H
#define BHI_TASK_COND_H

#include "task/task.h"

/* As the public functions; @until_ns 0: for ever; @where is the caller's, for reports of
 * the mutex. Context: may wait. May unwind. */
int bhi_cond_wait(struct bh_cond *cond, struct bh_mutex *mutex, uint64_t until_ns,
	const void *where);

/* Wake up to @nr waiters. Context: any, no allocation. */
void bhi_cond_signal(struct bh_cond *cond, unsigned nr);

/* Whether a wait has not returned. Context: any, no allocation. */
bool bhi_cond_is_busy(struct bh_cond *cond);

#endif
