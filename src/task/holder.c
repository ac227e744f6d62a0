/* SPDX-License-Identifier: MIT */
#include "task/holder.h"

#include <errno.h>

#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"

void *bhi_holder_thread(void)
{
	static BHI_TLS char here;

	return &here;
}

static int wait_killably(
	struct bh_task *task, uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	/* The wait may be inside of a block section. */
	uint32_t was_blocked = task->blocked;
	int r;

	bhi_store(&task->blocked, 1);
	r = bhi_policy.killable_waits ? bhi_task_wait(word, value, timeout_ns)
				      : bhi_sys_futex_wait(word, value, timeout_ns);
	bhi_store(&task->blocked, was_blocked);
	return bhi_policy.killable_waits && bhi_task_killed(task) ? -ECANCELED : r;
}

int bhi_holder_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct bh_task *task = bhi_task_current;
	int r = task ? wait_killably(task, word, value, timeout_ns)
		     : bhi_sys_futex_wait(word, value, timeout_ns);

	bhi_testpoint(BHI_TP_WOKEN);
	return r;
}

int bhi_holder_cancel(void)
{
	(void)bhi_task_check(bhi_task_current);
	return -ECANCELED;
}
