/* SPDX-License-Identifier: MIT */
/*
 * A lockup is told from a long wait by two things together: nobody can run, and for
 * longer than any wait of the library lasts nothing has happened: no step ended, nobody
 * was killed, reaped or tried again, no byte was charged or given back. Then waits.c says
 * why.
 */
#include "run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account/group.h"
#include "base/bug.h"
#include "base/sys.h"
#include "task/task.h"

#include "cache.h"
#include "steps.h"
#include "trace.h"
#include "waits.h"

/* The reaper tries for a second, and who is above BH_HIGH sleeps for two. */
#define STILL_NS (5 * BHI_NS_PER_SEC)

/* Far more than a scenario that ends has. */
#define POINTS_MAX 1000000

struct bhi_lab_run bhi_lab_run;

#define run bhi_lab_run

/* What has happened so far; the same twice: nothing has. */
struct signature {
	uint64_t nr_steps, nr_done, nr_victims, nr_skipped, nr_tries;
	int64_t usage;
};

static _Noreturn void finish(enum bhi_lab_verdict verdict)
{
	struct bhi_lab_outcome *outcome = run.outcome;

	outcome->verdict = verdict;
	outcome->time_ns = bhi_lab_sched_now();
	outcome->nr_points = bhi_lab_sched_points();
	outcome->is_complete = true;
	_exit(0);
}

static _Noreturn void break_off(const char *why)
{
	struct bhi_lab_outcome *outcome = run.outcome;

	if (outcome->nr_sentences < BHI_LAB_SENTENCES)
		snprintf(outcome->sentences[outcome->nr_sentences++],
			sizeof(outcome->sentences[0]), "%s", why);
	finish(BHI_LAB_BROKEN);
}

struct bh_group *bhi_lab_run_group(int number)
{
	return number == BHI_LAB_NONE ? bh_root() : run.groups[number];
}

/* Whether the schedule's next point is the step that @task is at. */
static bool is_at_turn(const struct bhi_lab_run_task *task)
{
	const struct bhi_lab_point *point = &run.scenario->points[run.turn];

	return run.turn < run.scenario->nr_points && point->task == task->number &&
	       point->step == task->step;
}

static bool is_later_point(const struct bhi_lab_run_task *task)
{
	for (unsigned i = run.turn; i < run.scenario->nr_points; i++) {
		const struct bhi_lab_point *point = &run.scenario->points[i];

		if (point->task == task->number && point->step == task->step)
			return i != run.turn;
	}
	return false;
}

static void pass_turn(void)
{
	const struct bhi_lab_point *points = run.scenario->points;

	do
		run.turn++;
	while (run.turn < run.scenario->nr_points &&
		run.tasks[points[run.turn].task].is_done);
	bhi_sys_futex_wake(&run.turn, BHI_LAB_THREADS);
}

static void await_turn(struct bhi_lab_run_task *task)
{
	task->awaits_turn = true;
	while (is_later_point(task))
		bhi_sys_futex_wait(&run.turn, run.turn, 0);
	task->awaits_turn = false;
}

static int inside(void *arg)
{
	struct bhi_lab_run_task *task = arg;

	bhi_lab_trace(BHI_LAB_EV_ENTER, task, 0);
	while (task->step < (int)task->plan->nr_steps) {
		int next;

		await_turn(task);
		task->was_asleep = false;
		bhi_lab_trace(BHI_LAB_EV_STEP, task, 0);
		next = bhi_lab_step(task);
		run.nr_steps++;
		bhi_lab_trace(BHI_LAB_EV_STEP_DONE, task, (uint64_t)task->error);
		if (is_at_turn(task))
			pass_turn();
		if (next == BHI_LAB_STEPS)
			return 0;
		task->step = next;
		/* Where the kernel would return to user mode. */
		(void)bh_check();
		bhi_lab_sched_yield();
	}
	return 0;
}

/* As a process that exits: the compartment goes too. */
static void end_task(struct bhi_lab_run_task *task, bool killed)
{
	struct bh_task *real = task->task;
	struct bhi_lab_task_end *end = &run.outcome->tasks[task->number];

	end->end = killed        ? BHI_LAB_ENDED_KILLED
		   : task->error ? BHI_LAB_ENDED_ERROR
				 : BHI_LAB_ENDED;
	end->error = task->error;
	if (end->end == BHI_LAB_ENDED_ERROR)
		run.outcome->errors |= 1u << task->number;
	for (unsigned i = 0; i < run.scenario->nr_locks; i++)
		run.locks[i].holders &= ~(1u << task->number);
	bhi_lab_trace_look();
	task->is_done = true;
	task->task = NULL;
	bh_task_put(real);
	if (task->had_bytes)
		bhi_lab_trace(BHI_LAB_EV_MEMORY, task, 0);
	bhi_lab_trace(BHI_LAB_EV_END, task, end->end);
	if (run.turn < run.scenario->nr_points &&
		run.scenario->points[run.turn].task == task->number)
		pass_turn();
	run.nr_done++;
	bhi_sys_futex_wake(&run.nr_done, 1);
}

static void task_main(void *arg)
{
	struct bhi_lab_run_task *task = arg;
	struct bh_report report;
	int r;

	for (;;) {
		task->idle = BHI_LAB_NONE;
		r = bh_task_enter(task->task, inside, task, &report);
		if (r || task->idle == BHI_LAB_NONE)
			break;
		bhi_lab_await(task->idle);
		task->step++;
	}
	end_task(task, r != 0);
}

static int set_knob(
	struct bh_group *group, enum bh_knob knob, uint64_t value, uint64_t unset)
{
	return value == unset ? 0 : bh_group_set(group, knob, value);
}

static int make_group(unsigned number)
{
	const struct bhi_lab_group *plan = &run.scenario->groups[number];
	struct bh_group *group =
		bh_group_new(bhi_lab_run_group(plan->parent), plan->name);

	run.groups[number] = group;
	if (!group || set_knob(group, BH_MIN, plan->min, 0) ||
		set_knob(group, BH_LOW, plan->low, 0) ||
		set_knob(group, BH_HIGH, plan->high, BH_UNLIMITED) ||
		set_knob(group, BH_MAX, plan->max, BH_UNLIMITED) ||
		set_knob(group, BH_OOM_GROUP, plan->oom_group, 0))
		return -1;
	return plan->has_on_limit ? bh_group_set(group, BH_ON_LIMIT, plan->on_limit) : 0;
}

static int make_task(unsigned number)
{
	struct bhi_lab_run_task *task = &run.tasks[number];
	const struct bhi_lab_task *plan = &run.scenario->tasks[number];
	const struct bh_task_attr attr = {
		.name = plan->name,
		.oom_score_adj = plan->adj,
		.flags = plan->cooperative ? BH_TASK_COOPERATIVE : 0,
		.deadline_ns = plan->deadline_ms * BHI_NS_PER_MS,
	};

	task->plan = plan;
	task->number = (int)number;
	task->group = bhi_lab_run_group(plan->group);
	task->task = bh_task_new(task->group, &attr);
	return task->task ? 0 : -1;
}

static int set_up(void)
{
	const struct bh_config config = {.size = run.scenario->zone};

	if (bh_init(&config))
		return -1;
	for (unsigned i = 0; i < run.scenario->nr_groups; i++) {
		if (make_group(i))
			return -1;
	}
	for (unsigned i = 0; i < run.scenario->nr_locks; i++) {
		const struct bhi_lab_lock *plan = &run.scenario->locks[i];

		if (plan->is_rwlock)
			(void)bh_rwlock_init(&run.locks[i].rwlock, plan->name);
		else
			(void)bh_mutex_init(&run.locks[i].mutex, plan->name);
	}
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (make_task(i))
			return -1;
	}
	return bhi_lab_caches_start();
}

/* What must be so whenever all have ended, whatever has happened. */
static void check(void)
{
	struct bh_group_stat stat;

	(void)bh_group_stat(bh_root(), &stat);
	if (stat.events.oom_kill != run.outcome->nr_victims + run.nr_late_victims)
		break_off("a task was counted as killed twice, or not at all");
	/* Their last references are the reaper's, which is done with each in a second. */
	for (uint64_t ms = 0; ms < 2000 && bhi_tasks_count(); ms += 10)
		bhi_sys_pause(10 * BHI_NS_PER_MS);
	if (bhi_tasks_count())
		break_off("a victim was lost: nobody has finished with it");
}

static void tear_down(void)
{
	bhi_lab_caches_stop();
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		for (int m = 0; m < BHI_LAB_MEMORIES; m++)
			bhi_lab_memory_free(&run.tasks[i].memories[m], BHI_LAB_SHARED);
	}
	for (unsigned i = run.scenario->nr_groups; i-- > 0;)
		bh_group_put(run.groups[i]);
	if (bh_audit())
		break_off("the books do not agree: bh_audit() found a difference");
}

static struct signature read_signature(void)
{
	struct signature now = {
		.nr_steps = run.nr_steps,
		.nr_done = run.nr_done,
		.nr_victims = run.outcome->nr_victims,
		.usage = bhi_load(&bhi_group_root()->counter.usage),
	};

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		now.nr_skipped += run.tasks[i].was_skipped;
		now.nr_tries += run.tasks[i].had_tries;
	}
	return now;
}

static bool somebody_awaits_turn(void)
{
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (run.tasks[i].awaits_turn && !run.tasks[i].is_done)
			return true;
	}
	return false;
}

static void on_idle(bool forever)
{
	static struct signature last;
	static uint64_t since;
	struct signature now = read_signature();

	if (memcmp(&now, &last, sizeof(now))) {
		last = now;
		since = bhi_lab_sched_now();
	}
	if (!forever && bhi_lab_sched_now() - since < STILL_NS)
		return;
	if (somebody_awaits_turn()) {
		bhi_lab_trace(BHI_LAB_EV_ORDER, NULL, run.turn);
		since = bhi_lab_sched_now();
		pass_turn();
		return;
	}
	bhi_lab_trace(BHI_LAB_EV_LOCKUP, NULL, 0);
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++)
		run.outcome->tasks[i].step = run.tasks[i].step;
	bhi_lab_waits_explain();
	finish(BHI_LAB_LOCKUP);
}

static void on_sleep(int thread)
{
	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		struct bhi_lab_run_task *task = &run.tasks[i];

		if (task->thread != thread || task->awaits_turn || task->is_done ||
			!task->thread)
			continue;
		if (!task->was_asleep) {
			task->was_asleep = true;
			bhi_lab_trace(BHI_LAB_EV_SLEEP, task, 0);
		}
		if (is_at_turn(task))
			pass_turn();
	}
}

static void on_look(void)
{
	bhi_lab_trace_look();
	if (bhi_lab_sched_points() > POINTS_MAX)
		break_off("it does not come to an end");
}

/* Bulkhead's handler passes on what is none of its business. */
static void on_crash(int sig)
{
	struct bh_task *current = bh_current();
	struct bhi_lab_outcome *outcome = run.outcome;

	for (unsigned i = 0; i < run.scenario->nr_tasks; i++) {
		if (!current || run.tasks[i].task != current)
			continue;
		snprintf(outcome->sentences[outcome->nr_sentences++],
			sizeof(outcome->sentences[0]),
			"%s used memory that it was not given (signal %d)",
			run.tasks[i].plan->name, sig);
		finish(BHI_LAB_CRASH);
	}
	break_off("the run crashed outside of its tasks");
}

static void catch_crashes(void)
{
	const struct sigaction action = {.sa_handler = on_crash};

	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
}

/* What an era says; switches that only tests of single mechanisms set stay on. */
static void apply_policy(const struct bhi_policy *era)
{
	bhi_policy.small_must_succeed = era->small_must_succeed;
	bhi_policy.call = era->call;
	bhi_policy.noreclaim_gives_up = era->noreclaim_gives_up;
	bhi_policy.pagefault_defers = era->pagefault_defers;
	bhi_policy.reaper = era->reaper;
	bhi_policy.killable_waits = era->killable_waits;
}

void bhi_lab_run_here(const struct bhi_lab_scenario *scenario, int era,
	enum bhi_lab_strategy strategy, uint64_t seed, struct bhi_lab_outcome *outcome)
{
	static const struct bhi_lab_sched_hooks hooks = {
		.sleeps = on_sleep,
		.looks = on_look,
		.idle = on_idle,
	};

	run.scenario = scenario;
	run.outcome = outcome;
	apply_policy(&bhi_lab_eras[era].policy);
	catch_crashes();
	bhi_lab_sched_start(strategy, seed, &hooks);
	if (set_up())
		break_off("the zone is too small for the scenario's groups and caches");
	for (unsigned i = 0; i < scenario->nr_tasks; i++)
		run.tasks[i].thread = bhi_lab_sched_spawn(task_main, &run.tasks[i]);
	while (run.nr_done < scenario->nr_tasks)
		bhi_sys_futex_wait(&run.nr_done, run.nr_done, 0);
	check();
	tear_down();
	finish(BHI_LAB_COMPLETES);
}
