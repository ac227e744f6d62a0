/* SPDX-License-Identifier: MIT */
#include "task/kill.h"

#include <limits.h>

#include "account/waiters.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"

void (*bhi_task_reap_hook)(struct bh_task *task);

enum bh_victim_state bhi_task_state(const struct bh_task *task)
{
	if (!bhi_load(&task->inside))
		return BH_VICTIM_IDLE;
	if (bhi_load(&task->region.hold))
		return BH_VICTIM_HOLDING;
	if (bhi_load(&task->blocked))
		return BH_VICTIM_BLOCKED;
	if (bhi_load(&task->in_fault))
		return BH_VICTIM_IN_PAGEFAULT;
	return bhi_load(&task->in_call) ? BH_VICTIM_IN_CALL : BH_VICTIM_RUNNING;
}

static bool claim(struct bhi_kill *kill)
{
	if (bhi_load(&kill->claimed))
		return false;
	bhi_testpoint(BHI_TP_UNCLAIMED);
	return !bhi_exchange(&kill->claimed, 1) || bhi_policy.without.exclusive_claims;
}

bool bhi_task_claim_kill(struct bh_task *task, const struct bhi_kill_cause *cause)
{
	struct bhi_kill *kill = &task->kill;

	if (!claim(kill))
		return false;
	kill->state = bhi_task_state(task);
	kill->time_ns = bhi_sys_now_ns();
	kill->bytes = bhi_load(&task->region.bytes);
	kill->cause = *cause;
	return true;
}

void bhi_task_deliver_kill(struct bh_task *task)
{
	bhi_testpoint(BHI_TP_DELIVER);
	/* pairs with the acquire in bhi_task_killed() */
	__atomic_store_n(&task->killed, task->kill.cause.reason, __ATOMIC_SEQ_CST);
	bhi_testpoint(BHI_TP_KILLED);
	bhi_sys_futex_wake(&task->killed, INT_MAX);
	bhi_waiters_wake();
	if (task->on_kill)
		task->on_kill(task->on_kill_arg);
	if (bhi_task_reap_hook)
		bhi_task_reap_hook(task);
}

enum bh_kill_reason bhi_task_killed_for_sure(struct bh_task *task)
{
	if (bhi_likely(!__atomic_load_n(&task->kill.claimed, __ATOMIC_SEQ_CST)))
		return BH_NOT_KILLED;
	while (!bhi_task_killed(task))
		bhi_sys_futex_wait(&task->killed, BH_NOT_KILLED, 0);
	return bhi_task_killed(task);
}

bool bhi_task_kill(struct bh_task *task, const struct bhi_kill_cause *cause)
{
	if (!bhi_task_claim_kill(task, cause))
		return false;
	bhi_task_deliver_kill(task);
	return true;
}

int bhi_task_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct bh_task *task = bhi_task_current;

	if (!task)
		return bhi_sys_futex_wait(word, value, timeout_ns);
	return bhi_sys_futex_wait_two(
		word, value, &task->killed, BH_NOT_KILLED, timeout_ns);
}

void bhi_task_sleep(uint64_t ns)
{
	struct bh_task *task = bhi_task_current;

	if (!task)
		bhi_sys_pause(ns);
	else
		(void)bhi_sys_futex_wait(&task->killed, BH_NOT_KILLED, ns);
}
