/* SPDX-License-Identifier: MIT */
/*
 * Killers, the reaper and the thread inside a task, held at the places where one could
 * meet another in the wrong order.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/sys.h"
#include "oom/reaper.h"
#include "support.h"
#include "support_stop.h"
#include "support_task.h"

#define SIZE (4 * MIB)

static struct support_stop stop;

/* A task that has filled a map and then does @fn, step by step. */
struct victim {
	struct support_entry entry;
	struct bh_task *task;
	struct bh_group *group;
	char *map;
	uint32_t ready, go_on, reached; /* atomic */
};

static void victim_begin(struct victim *victim, int (*fn)(void *arg))
{
	memset(victim, 0, sizeof(*victim));
	support_start_tasks(TASK_ZONE, 1000);
	victim->group = support_limited(NULL, "group", 2 * SIZE);
	victim->task = support_task(victim->group, "victim", 0);
	support_enter(&victim->entry, victim->task, fn, victim);
}

/* What it was charged is back, whichever side took it. */
static void victim_end(struct victim *victim, int expected)
{
	ck_assert_int_eq(support_enter_end(&victim->entry), expected);
	support_stops_clear();
	support_await_refs(victim->task, 1);
	bh_task_put(victim->task);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_usage(victim->group), 0);
	bh_group_put(victim->group);
	support_end();
}

static void *kill_in_thread(void *arg)
{
	ck_assert_int_eq(bh_task_kill(arg), 0);
	return NULL;
}

static int fill_and_return(void *arg)
{
	struct victim *victim = arg;

	victim->map = support_filled_map(SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	return 9;
}

static int fill_and_unwind(void *arg)
{
	(void)fill_and_return(arg);
	(void)bh_check();
	bhi_store_release(&((struct victim *)arg)->reached, 1);
	return 9;
}

/* The reaper has the region and has zapped nothing: the end waits for it, and does not
 * take the bytes a second time. */
START_TEST(a_task_that_ends_while_it_is_reaped_waits_for_the_reaper)
{
	enum bhi_testpoint points[] = {BHI_TP_REAP, BHI_TP_ZAPPED};
	struct victim victim;

	victim_begin(&victim, fill_and_unwind);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, points[_i], SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_stop_await(&stop);
	bhi_store_release(&victim.go_on, 1);
	/* It has unwound, and sleeps until all is back. */
	while (bhi_load(&victim.task->in_call) || bhi_load(&victim.task->nr_defers))
		sched_yield();
	ck_assert_uint_eq(bhi_load(&victim.task->region.end), BHI_REGION_TAKEN);
	ck_assert_uint_eq(support_task_stat(victim.task).is_inside, 1);
	support_stop_go_on(&stop);
	support_await_reaped(victim.task);
	victim_end(&victim, -ECANCELED);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
	ck_assert_uint_eq(victim.reached, 0);
}
END_TEST

/* The reaper has said that it is coming when the task has already taken its end. */
START_TEST(a_task_that_was_unwound_first_is_left_alone_by_the_reaper)
{
	struct bhi_reaper_stat stat;
	struct victim victim;
	pthread_t killer;

	victim_begin(&victim, fill_and_unwind);
	support_await(&victim.ready, 1);
	/* The reason is set, the reaper does not know yet. */
	support_stop_at(&stop, BHI_TP_KILLED, SUPPORT_OUTSIDE);
	killer = support_thread(kill_in_thread, victim.task);
	support_stop_await(&stop);
	bhi_store_release(&victim.go_on, 1);
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_task_stat(victim.task).is_reaped, 1);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_reaped, 0);
	support_stop_go_on(&stop);
	support_join(killer);
	support_await_refs(victim.task, 1);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
	support_stops_clear();
	bh_task_put(victim.task);
	ck_assert_uint_eq(support_usage(victim.group), 0);
	bh_group_put(victim.group);
	support_end();
}
END_TEST

/* All references but the killer's go while it is about to tell the reaper. */
START_TEST(a_task_that_is_put_while_it_is_killed_stays_until_the_reaper_is_done)
{
	struct bh_group *group;
	struct bh_task *task;
	pthread_t killer;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	task = support_idle_task(group, "idle", 0, SIZE);
	support_stop_at(&stop, BHI_TP_REAP, SUPPORT_OUTSIDE);
	killer = support_thread(kill_in_thread, task);
	support_stop_await(&stop);
	support_join(killer);
	/* The reaper's reference is the last. */
	bh_task_put(task);
	ck_assert_uint_eq(bhi_tasks_count(), 1);
	support_stop_go_on(&stop);
	while (bhi_tasks_count())
		sched_yield();
	support_stops_clear();
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Killed after fn has returned and before anybody looked: it counts as killed, and what
 * fn returned is told all the same. */
START_TEST(a_kill_between_the_return_and_the_leaving_is_reported)
{
	struct victim victim;

	victim_begin(&victim, fill_and_return);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, BHI_TP_LEAVING, SUPPORT_INSIDE);
	bhi_store_release(&victim.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	if (_i)
		support_await_reaped(victim.task);
	support_stop_go_on(&stop);
	victim_end(&victim, -ECANCELED);
	ck_assert_int_eq(victim.entry.report.value, 9);
	ck_assert_int_eq(victim.entry.report.reason, BH_KILLED_CALLER);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
}
END_TEST

/* Killed when nobody is inside any more, before enter has returned: this enter was good,
 * the next one says so. */
START_TEST(a_kill_just_after_the_leaving_met_an_idle_task)
{
	struct bh_report report;
	struct victim victim;

	victim_begin(&victim, fill_and_return);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, BHI_TP_LEFT, SUPPORT_OUTSIDE);
	bhi_store_release(&victim.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await_reaped(victim.task);
	ck_assert_int_eq(
		bh_task_enter(victim.task, fill_and_return, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	ck_assert_uint_eq(report.reaped, SIZE);
	ck_assert_uint_eq(report.kill_to_unwound_ns, 0);
	support_stop_go_on(&stop);
	victim_end(&victim, 0);
	ck_assert_int_eq(victim.entry.report.value, 9);
	ck_assert_int_eq(victim.entry.report.reason, BH_NOT_KILLED);
}
END_TEST

/* A thread comes in while the task is being killed. */
START_TEST(an_enter_while_the_reason_is_set_does_not_run_fn)
{
	struct bh_report report;
	struct bh_task *task;
	pthread_t killer;

	support_start_tasks(TASK_ZONE, 0);
	task = support_idle_task(NULL, "idle", 0, SIZE);
	support_stop_at(&stop, BHI_TP_KILLED, SUPPORT_OUTSIDE);
	killer = support_thread(kill_in_thread, task);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_enter(task, fill_and_return, NULL, &report), -ECANCELED);
	ck_assert_uint_eq(report.reaped, SIZE);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	support_stop_go_on(&stop);
	support_join(killer);
	support_stops_clear();
	support_await_refs(task, 1);
	bh_task_put(task);
	support_end();
}
END_TEST

/* Charged, the region not yet entered: the claim comes first, so nothing is populated,
 * and the charge is given back. */
static int touch_new(void *arg)
{
	struct victim *victim = arg;
	volatile char *p = bh_map(MIB, 0);

	victim->map = support_filled_map(SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	p[0] = 1;
	bhi_store_release(&victim->reached, 1);
	return 0;
}

START_TEST(a_pagefault_that_the_reaper_overtakes_populates_nothing)
{
	struct victim victim;

	victim_begin(&victim, touch_new);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, BHI_TP_FAULT, SUPPORT_INSIDE);
	bhi_store_release(&victim.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await_reaped(victim.task);
	ck_assert_uint_eq(support_private_rss(), 0);
	support_stop_go_on(&stop);
	victim_end(&victim, -ECANCELED);
	ck_assert_uint_eq(victim.reached, 0);
	ck_assert_int_eq(victim.entry.report.victim_state, BH_VICTIM_IN_PAGEFAULT);
}
END_TEST

/* The reaper has said unstable and not yet looked at the guards. */
static int touch_when_claimed(void *arg)
{
	struct victim *victim = arg;
	volatile char *p = bh_map(MIB, 0);

	victim->map = support_filled_map(SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	p[0] = 1;
	bhi_store_release(&victim->reached, 1);
	return 0;
}

static int hold_when_claimed(void *arg)
{
	struct victim *victim = arg;

	victim->map = support_filled_map(SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	bh_hold();
	bhi_store_release(&victim->reached, 1);
	bh_release();
	return 0;
}

static int alloc_when_claimed(void *arg)
{
	struct victim *victim = arg;

	victim->map = support_filled_map(SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	(void)bh_malloc(MIB);
	bhi_store_release(&victim->reached, 1);
	return 0;
}

START_TEST(what_begins_after_the_claim_is_refused)
{
	int (*const fns[])(void *) = {
		touch_when_claimed, hold_when_claimed, alloc_when_claimed};
	static struct support_stop refused;
	struct victim victim;

	victim_begin(&victim, fns[_i]);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, BHI_TP_CLAIM, SUPPORT_OUTSIDE);
	support_watch(&refused, BHI_TP_LEAVING, SUPPORT_INSIDE);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_stop_await(&stop);
	bhi_store_release(&victim.go_on, 1);
	/* It unwinds without the reaper, and waits for it. */
	support_stop_await(&refused);
	ck_assert_uint_eq(bhi_load(&victim.reached), 0);
	ck_assert_uint_eq(bhi_load(&victim.task->region.unstable), 1);
	ck_assert_uint_eq(bhi_load(&victim.task->region.end), BHI_REGION_ASKED);
	support_stop_go_on(&stop);
	victim_end(&victim, -ECANCELED);
	ck_assert_uint_eq(victim.reached, 0);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
}
END_TEST

/* A hold section that began before the claim: the reaper backs off, the owner reads and
 * even populates in it, and then unwinds. */
static int hold_and_touch(void *arg)
{
	struct victim *victim = arg;
	volatile char *p = bh_map(MIB, 0);

	victim->map = support_filled_map(SIZE, 1);
	bh_hold();
	bhi_store_release(&victim->ready, 1);
	support_await(&victim->go_on, 1);
	for (size_t i = 0; i < MIB; i += PAGE)
		p[i] = 1;
	ck_assert(support_is_filled(victim->map, SIZE, 1));
	bhi_store_release(&victim->reached, 1);
	bh_release();
	bhi_store_release(&victim->reached, 2);
	return 0;
}

START_TEST(the_reaper_backs_off_from_a_hold_section_in_which_pages_are_populated)
{
	struct victim victim;

	victim_begin(&victim, hold_and_touch);
	support_await(&victim.ready, 1);
	support_stop_at(&stop, BHI_TP_CLAIM, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_stop_await(&stop);
	/* It meets unstable and waits for the reaper to see its hold. */
	bhi_store_release(&victim.go_on, 1);
	while (!bhi_load(&victim.task->in_fault))
		sched_yield();
	ck_assert_uint_eq(bhi_load(&victim.reached), 0);
	support_stop_go_on(&stop);
	victim_end(&victim, -ECANCELED);
	ck_assert_uint_eq(victim.reached, 1);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE + MIB);
}
END_TEST

/* A second victim of the same kill time: the reaper is busy with the first. */
START_TEST(a_victim_that_is_killed_while_another_is_reaped_is_not_lost)
{
	struct bh_task *first, *second;

	support_start_tasks(TASK_ZONE, 0);
	first = support_idle_task(NULL, "first", 0, SIZE);
	second = support_idle_task(NULL, "second", 0, SIZE);
	support_stop_at(&stop, _i ? BHI_TP_ZAPPED : BHI_TP_REAP, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(first), 0);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(second), 0);
	ck_assert_uint_eq(support_task_stat(second).bytes, SIZE);
	support_stop_go_on(&stop);
	support_await_reaped(first);
	support_await_reaped(second);
	support_stops_clear();
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_task_put(first);
	bh_task_put(second);
	support_end();
}
END_TEST

/* Two kills: one reason, one hand-over. */
static void *kill_again(void *arg)
{
	ck_assert_int_eq(bh_task_kill(arg), -ESRCH);
	return NULL;
}

START_TEST(a_task_is_killed_and_queued_at_most_once)
{
	struct bhi_reaper_stat stat;
	struct bh_task *task;
	pthread_t first, second;

	support_start_tasks(TASK_ZONE, 0);
	task = support_idle_task(NULL, "twice", 0, SIZE);
	support_stop_at(&stop, BHI_TP_KILLED, SUPPORT_OUTSIDE);
	first = support_thread(kill_in_thread, task);
	support_stop_await(&stop);
	second = support_thread(kill_again, task);
	support_join(second);
	support_stop_go_on(&stop);
	support_join(first);
	support_await_reaped(task);
	support_await_refs(task, 1);
	support_stops_clear();
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_reaped, 1);
	bh_task_put(task);
	support_end();
}
END_TEST

/* A dump that begins after the reaper has the region comes too late. */
START_TEST(a_dump_that_begins_during_the_reap_comes_too_late)
{
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	task = support_idle_task(NULL, "dumped", 0, SIZE);
	support_stop_at(&stop, BHI_TP_REAP, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(task), 0);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_dump_begin(task), -ESRCH);
	support_stop_go_on(&stop);
	support_await_reaped(task);
	support_stops_clear();
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_task_put(task);
	support_end();
}
END_TEST

/* The copy is made when the kill comes: the task unwinds, and nobody has the copy. */
static int export_some(void *arg)
{
	struct victim *victim = arg;
	char *p = support_filled_map(PAGE, 1);

	victim->map = bh_export(victim->group, p, PAGE);
	bhi_store_release(&victim->reached, 1);
	return 0;
}

START_TEST(a_copy_that_nobody_gets_is_freed)
{
	struct victim victim;

	/* Everything is in place before the point is passed by the export. */
	memset(&victim, 0, sizeof(victim));
	support_start_tasks(TASK_ZONE, 1000);
	victim.group = support_group(NULL, "group");
	victim.task = support_task(victim.group, "victim", 0);
	support_stop_at(&stop, BHI_TP_FIND_HEAP, SUPPORT_INSIDE);
	support_enter(&victim.entry, victim.task, export_some, &victim);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_stop_go_on(&stop);
	victim_end(&victim, -ECANCELED);
	ck_assert_uint_eq(victim.reached, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, a_task_that_ends_while_it_is_reaped_waits_for_the_reaper, 0, 2);
	tcase_add_test(tcase, a_task_that_was_unwound_first_is_left_alone_by_the_reaper);
	tcase_add_test(tcase,
		a_task_that_is_put_while_it_is_killed_stays_until_the_reaper_is_done);
	tcase_add_loop_test(
		tcase, a_kill_between_the_return_and_the_leaving_is_reported, 0, 2);
	tcase_add_test(tcase, a_kill_just_after_the_leaving_met_an_idle_task);
	tcase_add_test(tcase, an_enter_while_the_reason_is_set_does_not_run_fn);
	tcase_add_test(tcase, a_pagefault_that_the_reaper_overtakes_populates_nothing);
	tcase_add_loop_test(tcase, what_begins_after_the_claim_is_refused, 0, 3);
	tcase_add_test(tcase,
		the_reaper_backs_off_from_a_hold_section_in_which_pages_are_populated);
	tcase_add_loop_test(
		tcase, a_victim_that_is_killed_while_another_is_reaped_is_not_lost, 0, 2);
	tcase_add_test(tcase, a_task_is_killed_and_queued_at_most_once);
	tcase_add_test(tcase, a_dump_that_begins_during_the_reap_comes_too_late);
	tcase_add_test(tcase, a_copy_that_nobody_gets_is_freed);
}

int main(void)
{
	return support_run("task_races", add);
}
