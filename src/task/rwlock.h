/* SPDX-License-Identifier: MIT */
/*
 * Reader-writer locks that tasks share. As with the mutex, the hold section begins before
 * the lock is tried, a killed waiter leaves in order before it unwinds, and what a task
 * holds at its end is given back.
 *
 * The state is one word, changed by compare-and-swap, of two halves, each a futex:
 *
 *	low half	readers that hold it, a writer does: writers sleep on it
 *	high half	writers that wait, readers that wait, a writer holds it
 *			(once more): readers sleep on it
 *
 * All that a sleeper waits for shows in the half that it sleeps on: who looked before a
 * change does not fall asleep after it. Who counts itself among the waiters does so in
 * the same word that the holders change, so either it sees the lock free, or they see it
 * waiting and wake. Of writers one is woken; one that is killed then wakes the next. The
 * last killed writer that leaves wakes the readers it kept out.
 *
 * After the word says that the lock is given up nothing of the struct is touched: the
 * next holder may free it.
 *
 * Readers cannot be linked into a struct that many of them hold, so each thread has a
 * table of what it holds, for itself and for the task it is inside.
 */
#ifndef BHI_TASK_RWLOCK_H
#define BHI_TASK_RWLOCK_H

#include "task/task.h"

enum bhi_rwlock_mode {
	BHI_RWLOCK_READ,
	BHI_RWLOCK_WRITE,
};

/* As the public functions; @where is the caller's, for reports. All may unwind, unlock
 * after it has unlocked. Context: may wait. */
int bhi_rwlock_lock(
	struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, const void *where);
int bhi_rwlock_trylock(
	struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, const void *where);
int bhi_rwlock_unlock(struct bh_rwlock *rwlock);

/* Give back what the task that ends still holds, and report it; how many. Context: owner
 * thread only. */
uint32_t bhi_rwlocks_leak(struct bh_task *task);

#endif
