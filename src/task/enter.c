/* SPDX-License-Identifier: MIT */
#include "task/enter.h"

#include <errno.h>
#include <string.h>

#include "base/fmt.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "task/access.h"
#include "task/end.h"
#include "task/kill.h"
#include "task/landing.h"
#include "task/latency.h"
#include "task/mutex.h"
#include "task/overdraft.h"
#include "task/rwlock.h"
#include "task/signal.h"

void (*bhi_task_leave_hook)(struct bh_task *task);
void (*bhi_task_deadline_hook)(struct bh_task *task, bool begins);

static void fill_report(const struct bh_task *task, struct bh_report *ret)
{
	const struct bhi_kill *kill = &task->kill;

	ret->reason = bhi_task_killed(task);
	ret->victim_state = kill->state;
	ret->bytes = kill->bytes;
	ret->reaped = bhi_load(&kill->reaped);
	ret->kill_to_first_byte_ns = bhi_load(&kill->first_byte_ns);
	ret->kill_to_bytes_ns = bhi_load(&kill->all_bytes_ns);
	ret->asked = kill->cause.asked;
	ret->limit = kill->cause.limit;
	ret->usage = kill->cause.usage;
	memcpy(ret->over, kill->cause.over, sizeof(ret->over));
	memcpy(ret->asker, kill->cause.asker, sizeof(ret->asker));
}

/* The task is killed and this thread is out of it, but still the only one that may be
 * inside: its memory goes, if it is not gone already. */
static int leave_killed(struct bh_task *task, bool was_run, struct bh_report *ret)
{
	uint64_t unwound_ns = bhi_sys_now_ns() - task->kill.time_ns;

	if (!bhi_task_is_cooperative(task)) {
		bhi_task_reap_own(task);
		bhi_overdraft_end(task);
	}
	bhi_task_set_skip(task);
	fill_report(task, ret);
	/* Killed before this enter, which unwound nobody. */
	if (!was_run)
		return -ECANCELED;
	ret->kill_to_unwound_ns = unwound_ns;
	bhi_latency_note(ret->victim_state, BHI_LATENCY_UNWOUND, unwound_ns);
	return -ECANCELED;
}

static void run_defers(struct bh_task *task)
{
	while (task->nr_defers) {
		struct bhi_defer *defer = &task->defers[--task->nr_defers];

		defer->fn(defer->arg);
	}
}

static bool take_inside(struct bh_task *task, const struct bhi_thread *self)
{
	uint32_t nobody = 0;

	/* Sequentially consistent: a killer that still sees nobody inside has set .killed
	 * before the look that follows. */
	return bhi_compare_exchange(&task->inside, &nobody, self->id);
}

static bool run(struct bh_task *task, int (*fn)(void *arg), void *arg, int *ret)
{
	bool returned;

	bhi_add(&task->nr_enters, 1);
	bhi_task_current = task;
	if (task->deadline_ns && bhi_task_deadline_hook)
		bhi_task_deadline_hook(task, true);
	returned = bhi_landing_call(&task->landing, fn, arg, ret);
	bhi_testpoint(BHI_TP_LEAVING);
	if (task->deadline_ns && bhi_task_deadline_hook)
		bhi_task_deadline_hook(task, false);
	bhi_task_current = NULL;
	return returned;
}

/* What code inside should have ended and did not; a block section may be unwound. */
static void clear_sections(struct bh_task *task, bool returned, struct bh_report *ret)
{
	ret->nr_leaked_locks = bhi_mutexes_leak(task) + bhi_rwlocks_leak(task);
	if (task->region.hold && !ret->nr_leaked_locks)
		bhi_errf("bulkhead: task '%s' ended in a hold section\n", task->name);
	if (task->blocked && returned)
		bhi_errf("bulkhead: task '%s' ended in a block section\n", task->name);
	/* pairs with the acquiring load in bhi_region_try_claim() */
	bhi_store_release(&task->region.hold, 0);
	bhi_store(&task->blocked, 0);
	bhi_store(&task->in_call, 0);
	bhi_store(&task->in_fault, 0);
	/* A section that never ended decides nothing any more. */
	task->oom_over = NULL;
	bhi_overdraft_settle(task);
	bhi_region_leave(&task->region);
}

static int prepare(struct bh_task *task)
{
	int r = bhi_signal_thread_init();

	return r ? r : bhi_access_open(task);
}

int bhi_task_enter(
	struct bh_task *task, int (*fn)(void *arg), void *arg, struct bh_report *ret)
{
	const struct bhi_thread *self = bhi_thread_self();
	bool was_run = false;
	int r;

	*ret = (struct bh_report){0};
	if (!self)
		return -ENOMEM;
	if (bhi_task_current || !take_inside(task, self))
		return -EBUSY;
	bhi_task_get(task);
	bhi_testpoint(BHI_TP_ENTERED);
	r = bhi_task_killed_for_sure(task) ? 0 : prepare(task);
	if (!bhi_task_killed(task) && !r) {
		was_run = true;
		clear_sections(task, run(task, fn, arg, &ret->value), ret);
		if (bhi_unlikely(task->keeps))
			bhi_task_leave_hook(task);
	}
	bhi_access_close(task);
	if (!r && bhi_task_killed_for_sure(task))
		r = leave_killed(task, was_run, ret);
	else
		bhi_testpoint(BHI_TP_UNKILLED);
	run_defers(task);
	bhi_store_release(&task->inside, 0);
	bhi_testpoint(BHI_TP_LEFT);
	bhi_task_put(task);
	return r;
}
