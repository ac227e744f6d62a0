/* SPDX-License-Identifier: MIT */
#include "waits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "account/group.h"
#include "account/zone.h"
#include "task/task.h"

#define run bhi_lab_run

enum wait_kind {
	RUNS, /* or could */
	FOR_LOCK,
	FOR_MEMORY,
	FOR_EVENT,
};

struct wait {
	enum wait_kind kind;
	int object;    /* the lock or event */
	uint32_t whom; /* a mask of tasks, any of which could end it */
};

static const struct bhi_lab_step *step_of(const struct bhi_lab_run_task *task)
{
	return &task->plan->steps[task->step];
}

/* The nearest level that is full; the task's own if none is any more. */
struct bh_group *bhi_lab_waits_for_memory_of(const struct bhi_lab_run_task *task)
{
	for (struct bh_group *group = task->group; group; group = group->parent) {
		if (bhi_counter_margin(&group->counter, BHI_RESERVE_HIGH) <
			(int64_t)bhi_max(step_of(task)->size, BHI_PAGE_SIZE))
			return group;
	}
	return task->group;
}

/* Victims whose end would give memory of @group back. */
static uint32_t victims_in(const struct bh_group *group)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		const struct bhi_lab_run_task *task = &run.tasks[i];

		if (task->was_killed && !task->is_done && !bhi_load(&task->task->skip) &&
			bhi_group_is_within(task->group, group))
			mask |= 1u << i;
	}
	return mask;
}

/* Those that have a step left that signals the event. */
static uint32_t signallers_of(int event)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		const struct bhi_lab_run_task *task = &run.tasks[i];

		for (int s = task->step; !task->is_done && s < (int)task->plan->nr_steps;
			s++) {
			const struct bhi_lab_step *step = &task->plan->steps[s];

			if (step->op == BHI_LAB_SIGNAL && step->object == event)
				mask |= 1u << i;
		}
	}
	return mask;
}

static struct wait wait_of(const struct bhi_lab_run_task *task)
{
	const struct bhi_lab_step *step = step_of(task);

	if (task->is_done || !bhi_lab_sched_is_asleep(task->thread))
		return (struct wait){.kind = RUNS};
	switch (step->op) {
	case BHI_LAB_LOCK:
	case BHI_LAB_RDLOCK:
	case BHI_LAB_TRYLOCK:
		return (struct wait){FOR_LOCK, step->object,
			run.locks[step->object].holders & ~(1u << task->number)};
	case BHI_LAB_WAIT:
	case BHI_LAB_BLOCK:
	case BHI_LAB_IDLE:
		return (struct wait){
			FOR_EVENT, step->object, signallers_of(step->object)};
	default:
		return (struct wait){FOR_MEMORY, BHI_LAB_NONE,
			victims_in(bhi_lab_waits_for_memory_of(task))};
	}
}

static void add(char *text, size_t size, const char *format, ...) BHI_PRINTF(3, 4);

static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

static void add_tasks(char *text, size_t size, uint32_t mask, const char *verb)
{
	const char *between = " ";

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (!(mask >> i & 1))
			continue;
		add(text, size, "%s%s", between, run.tasks[i].plan->name);
		between = " and ";
	}
	add(text, size, " %s", verb);
}

/* ", which was killed and holds a and b," or nothing. */
static void add_state(char *text, size_t size, const struct bhi_lab_run_task *task)
{
	const char *between = task->was_killed ? " and holds " : ", which holds ";
	bool any = task->was_killed;

	if (task->was_killed)
		add(text, size, ", which was killed");
	for (unsigned i = 0; i < run.scenario->nr_locks; i++) {
		if (!(run.locks[i].holders >> task->number & 1))
			continue;
		add(text, size, "%s%s", between, run.scenario->locks[i].name);
		between = " and ";
		any = true;
	}
	if (any)
		add(text, size, ",");
}

static void name_group(struct bh_group *group, char path[64])
{
	char own[56];

	if (!group->parent) {
		strcpy(path, "the zone");
		return;
	}
	bhi_group_path(group, own, sizeof(own));
	snprintf(path, 64, "group %s", own + 1);
}

static void explain_wait(
	char *text, size_t size, const struct bhi_lab_run_task *task, struct wait wait)
{
	char path[64];

	switch (wait.kind) {
	case FOR_LOCK:
		add(text, size, " waits for lock %s, which",
			run.scenario->locks[wait.object].name);
		if (wait.whom)
			add_tasks(text, size, wait.whom,
				wait.whom & (wait.whom - 1) ? "hold" : "holds");
		else
			add(text, size, " nobody holds");
		break;
	case FOR_MEMORY:
		name_group(bhi_lab_waits_for_memory_of(task), path);
		add(text, size, " waits for memory of %s,", path);
		if (wait.whom) {
			add(text, size, " which comes back when");
			add_tasks(text, size, wait.whom,
				wait.whom & (wait.whom - 1) ? "end" : "ends");
		} else {
			add(text, size, " which nobody can give back");
		}
		break;
	case FOR_EVENT:
		add(text, size, " waits for event %s, which",
			run.scenario->events[wait.object]);
		if (wait.whom)
			add_tasks(text, size, wait.whom, "would signal");
		else
			add(text, size, " nobody will signal");
		break;
	case RUNS:
		add(text, size, " goes on");
		break;
	}
}

static void explain_task(const struct bhi_lab_run_task *task)
{
	struct bhi_lab_outcome *outcome = run.outcome;
	char *text = outcome->sentences[outcome->nr_sentences++];
	size_t size = sizeof(outcome->sentences[0]);

	add(text, size, "%s", task->plan->name);
	add_state(text, size, task);
	explain_wait(text, size, task, wait_of(task));
}

static int first_of(uint32_t mask)
{
	return mask ? __builtin_ctz(mask) : BHI_LAB_NONE;
}

/* Follow the waits from @start: they come back to a task, which is a cycle, or end at one
 * whom nobody can help. */
static void explain_cycle(int start)
{
	struct bhi_lab_outcome *outcome = run.outcome;
	char *text = outcome->sentences[outcome->nr_sentences++];
	size_t size = sizeof(outcome->sentences[0]);
	uint32_t seen = 0;
	int at = start, last = start;

	for (; at != BHI_LAB_NONE && !(seen >> at & 1);
		at = first_of(wait_of(&run.tasks[at]).whom)) {
		seen |= 1u << at;
		last = at;
	}
	if (at == BHI_LAB_NONE) {
		add(text, size, "all hangs on %s: what it waits for cannot come",
			run.tasks[last].plan->name);
		return;
	}
	last = at;
	add(text, size, "a cycle: %s", run.tasks[at].plan->name);
	while ((at = first_of(wait_of(&run.tasks[at]).whom)) != BHI_LAB_NONE) {
		add(text, size, " waits for %s", run.tasks[at].plan->name);
		if (at == last)
			break;
		add(text, size, ", which");
	}
}

void bhi_lab_waits_explain(void)
{
	bool has_cycle = false;

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (run.tasks[i].is_done)
			continue;
		if (!has_cycle)
			explain_cycle((int)i);
		has_cycle = true;
	}
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (!run.tasks[i].is_done)
			explain_task(&run.tasks[i]);
	}
}
