/* SPDX-License-Identifier: MIT */
/*
 * Somebody looks at the memory of a task while it is killed, unwinds, is put for the last
 * time, or meets the reaper: it is all there until the dump ends, and gone afterwards.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/testpoint.h"
#include "oom/reaper.h"
#include "support.h"
#include "support_task.h"

#define SIZE (4 * MIB)

static struct {
	struct support_entry entry;
	struct bh_task *task;
	struct bh_group *group;
	char *map;
	uint32_t ready, go_on, left; /* atomic */
} victim;

/* Left by unwinding: what comes next is that its memory goes. */
static void note_left(enum bhi_testpoint point)
{
	if (point == BHI_TP_LEAVING)
		bhi_store_release(&victim.left, 1);
}

static int fill_and_wait(void *arg)
{
	(void)arg;
	victim.map = support_filled_map(SIZE, 'v');
	bhi_store_release(&victim.ready, 1);
	support_await(&victim.go_on, 1);
	(void)bh_check();
	return 1;
}

static int hold_and_wait(void *arg)
{
	int r;

	bh_hold();
	r = fill_and_wait(arg);
	bh_release();
	return r;
}

static void begin(int (*fn)(void *arg), uint32_t tries)
{
	support_start_tasks(TASK_ZONE, tries);
	victim.group = support_limited(NULL, "group", 2 * SIZE);
	victim.task = support_task(victim.group, "victim", 0);
	support_enter(&victim.entry, victim.task, fn, NULL);
	support_await(&victim.ready, 1);
	bhi_store_release(&bhi_testpoint_hook, note_left);
}

static void await_no_tasks(void)
{
	while (bhi_tasks_count())
		sched_yield();
	bhi_store_release(&bhi_testpoint_hook, NULL);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_usage(victim.group), 0);
	bh_group_put(victim.group);
	support_end();
}

/* Its thread has unwound and waits, or has taken the memory, which would be wrong. */
static void await_unwound(void)
{
	bhi_store_release(&victim.go_on, 1);
	support_await(&victim.left, 1);
	while (bhi_load(&victim.task->region.end) != BHI_REGION_GONE &&
		!support_is_asleep(bhi_load(&victim.task->inside)))
		sched_yield();
}

static void check_whole(void)
{
	ck_assert_uint_eq(support_task_stat(victim.task).bytes, SIZE);
	ck_assert_uint_eq(support_private_rss(), SIZE);
	ck_assert(support_is_filled(victim.map, SIZE, 'v'));
}

START_TEST(a_victim_that_unwinds_leaves_its_memory_to_those_who_dump_it)
{
	begin(fill_and_wait, 1000);
	ck_assert_int_eq(bh_task_dump_begin(victim.task), 0);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	await_unwound();
	check_whole();
	/* No other one begins that it would have to wait for. */
	ck_assert_int_eq(bh_task_dump_begin(victim.task), -ESRCH);
	check_whole();
	ck_assert_uint_eq(support_task_stat(victim.task).is_inside, 1);
	bh_task_dump_end(victim.task);
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
	ck_assert_uint_eq(support_task_stat(victim.task).bytes, 0);
	ck_assert_int_eq(bh_task_dump_begin(victim.task), -ESRCH);
	bh_task_put(victim.task);
	await_no_tasks();
}
END_TEST

/* The next one is chosen, although the thread of this one waits as well. */
static void dump_for_long(void *arg)
{
	struct bhi_reaper_stat stat;

	(void)arg;
	begin(fill_and_wait, 3);
	ck_assert_int_eq(bh_task_dump_begin(victim.task), 0);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	await_unwound();
	support_await_reaped(victim.task);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_given_up, 1);
	check_whole();
	bh_task_dump_end(victim.task);
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
	bh_task_put(victim.task);
	await_no_tasks();
}

START_TEST(a_victim_that_waits_for_a_dump_is_given_up_in_the_time_of_the_tries)
{
	struct support_output output;

	support_capture(dump_for_long, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert_str_eq(output.err,
		"bulkhead: unable to reap task 'victim' (4194304 bytes) in 3 tries: it "
		"is being dumped\n");
	support_output_fini(&output);
}
END_TEST

static int leave_map(void *arg)
{
	(void)arg;
	victim.map = support_filled_map(SIZE, 'v');
	return 0;
}

/* Killed or not, the last reference is the dump's. */
START_TEST(a_task_that_is_put_while_it_is_dumped_goes_with_the_end_of_the_dump)
{
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 1000);
	victim.group = support_group(NULL, "group");
	task = victim.task = support_task(victim.group, "dumped", 0);
	ck_assert_int_eq(bh_task_enter(task, leave_map, NULL, NULL), 0);
	ck_assert_int_eq(bh_task_dump_begin(task), 0);
	if (_i)
		ck_assert_int_eq(bh_task_kill(task), 0);
	bh_task_put(task);
	ck_assert_uint_eq(bhi_tasks_count(), 1);
	check_whole();
	bh_task_dump_end(task);
	await_no_tasks();
}
END_TEST

static struct {
	/* atomic */
	uint32_t stopped, go_on, done;
	int result;
} dumper;

static void stop_reaper(enum bhi_testpoint point)
{
	if (point != BHI_TP_CLAIM || bhi_exchange(&dumper.stopped, 1))
		return;
	support_await(&dumper.go_on, 1);
}

static void *dump(void *arg)
{
	dumper.result = bh_task_dump_begin(victim.task);
	bhi_store_release(&dumper.done, 1);
	return arg;
}

/* The reaper has asked for the end, and is about to meet a hold section: a dump that
 * begins just then is none that came too late. */
START_TEST(a_dump_that_begins_while_the_reaper_backs_off_is_not_too_late)
{
	pthread_t thread;

	begin(hold_and_wait, 1000);
	bhi_store_release(&bhi_testpoint_hook, stop_reaper);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await(&dumper.stopped, 1);
	thread = support_thread(dump, NULL);
	while (!bhi_load(&victim.task->dumping) && !bhi_load_acquire(&dumper.done))
		sched_yield();
	ck_assert_uint_eq(bhi_load_acquire(&dumper.done), 0);
	bhi_store_release(&dumper.go_on, 1);
	support_join(thread);
	ck_assert_int_eq(dumper.result, 0);
	bhi_store_release(&bhi_testpoint_hook, note_left);
	await_unwound();
	check_whole();
	bh_task_dump_end(victim.task);
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	ck_assert_uint_eq(victim.entry.report.reaped, SIZE);
	bh_task_put(victim.task);
	await_no_tasks();
}
END_TEST

/* And one that begins when it is about to succeed waits for that, and is. */
START_TEST(a_dump_that_begins_while_the_reaper_gets_in_is_too_late)
{
	pthread_t thread;

	begin(fill_and_wait, 1000);
	bhi_store_release(&bhi_testpoint_hook, stop_reaper);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await(&dumper.stopped, 1);
	thread = support_thread(dump, NULL);
	support_await(&victim.task->dumping, 1);
	bhi_store_release(&dumper.go_on, 1);
	support_join(thread);
	ck_assert_int_eq(dumper.result, -ESRCH);
	ck_assert_uint_eq(bhi_load(&victim.task->dumping), 0);
	bhi_store_release(&victim.go_on, 1);
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	bh_task_put(victim.task);
	await_no_tasks();
}
END_TEST

static int dump_self(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_task_dump_begin(bh_current()), -EDEADLK);
	return 0;
}

START_TEST(a_task_cannot_be_dumped_from_inside)
{
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "inside", 0);
	ck_assert_int_eq(bh_task_enter(task, dump_self, NULL, NULL), 0);
	ck_assert_uint_eq(bhi_load(&task->dumping), 0);
	ck_assert_uint_eq(bhi_load(&task->refs), 1);
	bh_task_put(task);
	support_end();
}
END_TEST

#define NR_ROUNDS 200

/* The thread that looks, the one that kills, and the one that unwinds, without order. */
static void *look_for_long(void *arg)
{
	while (!bhi_load_acquire(&dumper.done)) {
		struct bh_task *task = bhi_load_acquire(&victim.task);
		int r;

		r = task ? bh_task_dump_begin(task) : -ESRCH;
		ck_assert(!r || r == -ESRCH);
		if (r) {
			sched_yield();
			continue;
		}
		ck_assert(support_is_filled(victim.map, SIZE / 16, 'v'));
		bh_task_dump_end(task);
	}
	return arg;
}

static int fill_and_be_killed(void *arg)
{
	const char *p = victim.map = support_filled_map(SIZE / 16, 'v');

	bhi_store_release(&victim.task, bh_current());
	for (;;) {
		(void)bh_check();
		ck_assert_int_eq(*(const volatile char *)p, 'v');
	}
	return arg != NULL;
}

static void *kill_each(void *arg)
{
	unsigned seed = 1;

	while (!bhi_load_acquire(&dumper.done)) {
		struct bh_task *task = bhi_load_acquire(&victim.task);
		int r;

		for (int spins = rand_r(&seed) % 20000; spins; spins--)
			bhi_compiler_fence();
		r = task ? bh_task_kill(task) : 0;
		ck_assert(!r || r == -ESRCH);
		sched_yield();
	}
	return arg;
}

/* All tasks stay until the end, so that what the threads have seen is valid. */
START_TEST(nobody_who_dumps_meets_a_page_that_is_gone)
{
	static struct bh_task *tasks[NR_ROUNDS];
	pthread_t looker, killer;

	support_start_tasks(TASK_ZONE, 1000);
	victim.group = support_group(NULL, "group");
	looker = support_thread(look_for_long, NULL);
	killer = support_thread(kill_each, NULL);
	for (int i = 0; i < NR_ROUNDS; i++) {
		tasks[i] = support_task(victim.group, "dumped", 0);
		ck_assert_int_eq(bh_task_enter(tasks[i], fill_and_be_killed, NULL, NULL),
			-ECANCELED);
		bhi_store_release(&victim.task, NULL);
		ck_assert_uint_eq(support_task_stat(tasks[i]).bytes, 0);
	}
	bhi_store_release(&dumper.done, 1);
	support_join(looker);
	support_join(killer);
	for (int i = 0; i < NR_ROUNDS; i++)
		bh_task_put(tasks[i]);
	await_no_tasks();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_victim_that_unwinds_leaves_its_memory_to_those_who_dump_it);
	tcase_add_test(tcase,
		a_victim_that_waits_for_a_dump_is_given_up_in_the_time_of_the_tries);
	tcase_add_loop_test(tcase,
		a_task_that_is_put_while_it_is_dumped_goes_with_the_end_of_the_dump, 0,
		2);
	tcase_add_test(
		tcase, a_dump_that_begins_while_the_reaper_backs_off_is_not_too_late);
	tcase_add_test(tcase, a_dump_that_begins_while_the_reaper_gets_in_is_too_late);
	tcase_add_test(tcase, a_task_cannot_be_dumped_from_inside);
	tcase_add_test(tcase, nobody_who_dumps_meets_a_page_that_is_gone);
}

int main(void)
{
	return support_run("task_dump", add);
}
