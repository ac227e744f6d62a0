/* SPDX-License-Identifier: MIT */
/* Killing a task, and waiting in a way that a kill ends. task.h has the order of events.
 */
#ifndef BHI_TASK_KILL_H
#define BHI_TASK_KILL_H

#include "task/task.h"

/* What the oom floor does with a victim that was signalled: queues it for the reaper,
 * which takes a reference. Context: any, no allocation. */
extern void (*bhi_task_reap_hook)(struct bh_task *task);

/*
 * Claim the kill and record it. False: the task is killed already. The caller delivers
 * it. Context: any, no allocation, any lock.
 */
bool bhi_task_claim_kill(struct bh_task *task, const struct bhi_kill_cause *cause);

/* What the task is doing, which may change while it is looked at. Context: any, no
 * allocation. */
enum bh_victim_state bhi_task_state(const struct bh_task *task);

/* Signal, wake and hand over to the reaper; calls on_kill, so no lock is held. Context:
 * any, no allocation. */
void bhi_task_deliver_kill(struct bh_task *task);

/* As bhi_task_killed(), but a kill that is claimed is waited for: the killer is about to
 * deliver it. Context: may wait. */
enum bh_kill_reason bhi_task_killed_for_sure(struct bh_task *task);

/* Both. Context: any, no allocation; no lock is held. */
bool bhi_task_kill(struct bh_task *task, const struct bhi_kill_cause *cause);

/*
 * Sleep while *@word == @value, on behalf of the current task if there is one: a kill of
 * it ends the sleep. Returns as bhi_sys_futex_wait(). Context: may wait.
 */
int bhi_task_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Sleep @ns nanoseconds, or until the current task is killed. Context: may wait. */
void bhi_task_sleep(uint64_t ns);

/* Whether this thread is inside a task that is killed. Context: signal-safe. */
static inline bool bhi_task_dying(void)
{
	const struct bh_task *task = bhi_task_current;

	return task && bhi_task_killed(task);
}

#endif
