/* SPDX-License-Identifier: MIT */
/* Tasks that take locks, each on a thread of its own, for the tests of the three locks.
 */
#ifndef BHI_TESTS_SUPPORT_LOCKS_H
#define BHI_TESTS_SUPPORT_LOCKS_H

#include "support_memory.h"
#include "task/task.h"

struct support_visit {
	struct bh_task *task;
	int (*fn)(void *arg);
	void *arg;
	pthread_t thread;
	int result;
	struct bh_report report;
};

/* A task with the name @name and @flags, of the root; fn(arg) begins in it on a new
 * thread. */
void support_visit(struct support_visit *visit, const char *name, unsigned flags,
	int (*fn)(void *arg), void *arg);

/* Wait for its end; what bh_task_enter() returned, which is in @visit too. */
int support_visit_end(struct support_visit *visit);

/* The kernel says of the thread with this id that it sleeps. */
bool support_is_asleep(uint32_t thread);

/* The task sleeps: it waits for a lock, and no wake-up is on its way. */
void support_await_asleep(const struct bh_task *task);

/* The thread inside the task, or about to leave it, sleeps, for whatever. */
void support_await_inside_asleep(const struct bh_task *task);

/* The killed task is reaped, or the reaper has given it up. */
void support_await_reaped(const struct bh_task *task);

/*
 * Forced interleaving: hold @task when it has woken from the wait for
 * a lock, and has not looked at the lock yet; await that; let it go on.
 */
void support_stop_when_woken(struct bh_task *task);
void support_await_stopped(void);
void support_go_on(void);

#endif
