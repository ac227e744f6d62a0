/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include "task/task.h"

void bhi_lab_trace(
	enum bhi_lab_event_kind kind, const struct bhi_lab_run_task *task, uint64_t value)
{
	struct bhi_lab_outcome *outcome = bhi_lab_run.outcome;

	if (outcome->nr_events == BHI_LAB_EVENTS_MAX) {
		outcome->nr_lost_events++;
		return;
	}
	outcome->events[outcome->nr_events++] = (struct bhi_lab_event){
		.time_ns = bhi_lab_sched_now(),
		.value = value,
		.kind = (uint8_t)kind,
		.task = (int8_t)(task ? task->number : BHI_LAB_NONE),
		.step = (int8_t)(task ? task->step : 0),
	};
}

static void note_kill(struct bhi_lab_run_task *task)
{
	struct bhi_lab_outcome *outcome = bhi_lab_run.outcome;
	enum bh_kill_reason reason = task->task->kill.cause.reason;

	task->was_killed = true;
	bhi_lab_trace(BHI_LAB_EV_KILLED, task, task->task->kill.bytes);
	if (reason == BH_KILLED_OOM)
		outcome->victims[outcome->nr_victims++] = (uint8_t)task->number;
}

static void look_at(struct bhi_lab_run_task *task)
{
	const struct bh_task *real = task->task;
	uint64_t bytes;
	bool skipped;

	if (!task->was_killed && bhi_load(&real->kill.claimed))
		note_kill(task);
	bytes = bhi_load(&real->region.bytes);
	if (bytes != task->had_bytes) {
		task->had_bytes = bytes;
		bhi_lab_trace(BHI_LAB_EV_MEMORY, task, bytes);
	}
	if (real->nr_tries != task->had_tries) {
		task->had_tries = real->nr_tries;
		bhi_lab_trace(BHI_LAB_EV_TRY, task, real->nr_tries);
	}
	skipped = bhi_load(&real->skip);
	if (skipped && !task->was_skipped && !task->is_done) {
		task->was_skipped = true;
		bhi_lab_trace(bytes ? BHI_LAB_EV_GIVEN_UP : BHI_LAB_EV_REAPED, task, 0);
	}
}

void bhi_lab_trace_look(void)
{
	for (unsigned i = 0; i < bhi_lab_run.scenario->nr_tasks; i++) {
		struct bhi_lab_run_task *task = &bhi_lab_run.tasks[i];

		if (task->task)
			look_at(task);
	}
}
