/* SPDX-License-Identifier: MIT */
/*
 * Mutexes that tasks share. The word is the three-state futex mutex of Ulrich Drepper,
 * "Futexes Are Tricky"; around it:
 *
 * - The hold section begins before the lock is tried and ends after it is given up, so a
 *   holder is never reaped nor unwound. Whoever waits is in none on account of this lock.
 * - A waiter that is killed leaves without the lock, and passes on the wake-up that it
 * may have been given, before it unwinds.
 * - A task that ends with the lock held hands it over marked as owner-died.
 * - After the word says that the lock is free, nothing of the struct is touched: the next
 *   holder may free it.
 */
#ifndef BHI_TASK_MUTEX_H
#define BHI_TASK_MUTEX_H

#include "task/task.h"

/* As the public functions; @where is the caller's, for reports. lock and trylock may
 * unwind, and so may unlock, after it has unlocked. Context: may wait. */
int bhi_mutex_lock(struct bh_mutex *mutex, const void *where);
int bhi_mutex_trylock(struct bh_mutex *mutex, const void *where);
int bhi_mutex_unlock(struct bh_mutex *mutex);

/* The same for a holder that waits for something else meanwhile: neither unwinds. After
 * -ECANCELED the caller has to call bhi_holder_cancel(). Context: may wait. */
int bhi_mutex_relock(struct bh_mutex *mutex, const void *where);
void bhi_mutex_unlock_to_wait(struct bh_mutex *mutex);

/* Whether the current task, or the thread outside of any, holds it. Context: any. */
bool bhi_mutex_is_mine(const struct bh_mutex *mutex);

/* Hand over what the task that ends still holds, and report it; how many. Context: owner
 * thread only. */
uint32_t bhi_mutexes_leak(struct bh_task *task);

#endif
