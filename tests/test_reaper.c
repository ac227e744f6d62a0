/* SPDX-License-Identifier: MIT */
/*
 * The OOM reaper: whatever a victim does, its bytes are back. They are measured as what
 * the kernel says is resident in the private window.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/policy.h"
#include "oom/reaper.h"
#include "support.h"
#include "support_stop.h"
#include "support_task.h"

#define VICTIM_SIZE (16 * MIB)

/* What a victim does when it is killed. */
struct victim {
	struct support_entry entry;
	struct bh_task *task;
	uint32_t ready;    /* atomic */
	uint32_t returned; /* atomic: what it was blocked in has returned */
	uint32_t may_end;  /* atomic */
	int pipe[2];
	struct bh_mutex mutex;
	pthread_mutex_t foreign;
};

static int spin(void *arg)
{
	struct victim *victim = arg;

	volatile char *p = support_filled_map(VICTIM_SIZE, 1);

	bhi_store_release(&victim->ready, 1);
	while (!bhi_load(&victim->may_end))
		p[0]++;
	bhi_store_release(&victim->returned, 1);
	return 0;
}

/* A script that catches every error and tries again: the last MiB never comes, for its
 * group has no room. */
static int retry_allocation(void *arg)
{
	struct victim *victim = arg;

	support_filled_map(VICTIM_SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	for (;;) {
		void *p = bh_malloc(VICTIM_SIZE);

		if (p)
			return 0;
	}
}

static int block_in_mutex(void *arg)
{
	struct victim *victim = arg;

	support_filled_map(VICTIM_SIZE, 1);
	bhi_store_release(&victim->ready, 1);
	ck_assert_int_eq(bh_mutex_lock(&victim->mutex), 0);
	bhi_store_release(&victim->returned, 1);
	bh_mutex_unlock(&victim->mutex);
	return 0;
}

/* A lock of libc, which knows nothing of kills. */
static int block_in_foreign_mutex(void *arg)
{
	struct victim *victim = arg;

	support_filled_map(VICTIM_SIZE, 1);
	bh_block_enter();
	bhi_store_release(&victim->ready, 1);
	pthread_mutex_lock(&victim->foreign);
	bhi_store_release(&victim->returned, 1);
	pthread_mutex_unlock(&victim->foreign);
	bh_block_leave();
	return 0;
}

static int block_in_read(void *arg)
{
	struct victim *victim = arg;
	char byte;

	support_filled_map(VICTIM_SIZE, 1);
	bh_block_enter();
	bhi_store_release(&victim->ready, 1);
	ck_assert_int_eq(read(victim->pipe[0], &byte, 1), 1);
	bhi_store_release(&victim->returned, 1);
	bh_block_leave();
	return 0;
}

/* The same by somebody who does not say that he blocks. */
static int read_silently(void *arg)
{
	struct victim *victim = arg;
	volatile char *p = support_filled_map(VICTIM_SIZE, 1);
	char byte;

	bhi_store_release(&victim->ready, 1);
	ck_assert_int_eq(read(victim->pipe[0], &byte, 1), 1);
	bhi_store_release(&victim->returned, 1);
	p[0] = 1;
	return 0;
}

static void victim_begin(
	struct victim *victim, struct bh_group *group, int (*fn)(void *arg))
{
	*victim = (struct victim){.task = support_task(group, "victim", 0)};
	ck_assert_int_eq(pipe2(victim->pipe, O_CLOEXEC), 0);
	bh_mutex_init(&victim->mutex, "contended");
	ck_assert_int_eq(bh_mutex_lock(&victim->mutex), 0);
	pthread_mutex_init(&victim->foreign, NULL);
	pthread_mutex_lock(&victim->foreign);
	support_enter(&victim->entry, victim->task, fn, victim);
	support_await(&victim->ready, 1);
}

/* Whatever it is blocked in returns. */
static void victim_end(struct victim *victim)
{
	ck_assert_int_eq(bh_mutex_unlock(&victim->mutex), 0);
	pthread_mutex_unlock(&victim->foreign);
	bhi_store(&victim->may_end, 1);
	ck_assert_int_eq(write(victim->pipe[1], "x", 1), 1);
	ck_assert_int_eq(support_enter_end(&victim->entry), -ECANCELED);
	ck_assert_int_eq(bh_mutex_destroy(&victim->mutex), 0);
	close(victim->pipe[0]);
	close(victim->pipe[1]);
	bh_task_put(victim->task);
}

static void await_gone(void)
{
	while (support_private_rss())
		sched_yield();
}

static const struct {
	int (*fn)(void *arg);
	enum bh_victim_state state;
	bool blocked; /* until somebody else acts: the reaper alone brings the bytes */
	bool stays;   /* in the mutex, by the policy */
} doings[] = {
	{spin, BH_VICTIM_RUNNING, false, false},
	{retry_allocation, BH_VICTIM_RUNNING, false, false},
	{block_in_mutex, BH_VICTIM_BLOCKED, false, false},
	{block_in_mutex, BH_VICTIM_BLOCKED, true, true},
	{block_in_foreign_mutex, BH_VICTIM_BLOCKED, true, false},
	{block_in_read, BH_VICTIM_BLOCKED, true, false},
	{read_silently, BH_VICTIM_RUNNING, true, false},
};

START_TEST(the_bytes_of_a_victim_are_back_whatever_it_does)
{
	struct victim victim;
	struct bh_group *group;
	struct bh_report *report = &victim.entry.report;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", VICTIM_SIZE + 2 * MIB);
	/* It retries for ever; nobody else kills it. */
	if (doings[_i].fn == retry_allocation)
		support_set(group, BH_ON_LIMIT, BH_FAIL);
	bhi_policy.killable_waits = !doings[_i].stays;
	victim_begin(&victim, group, doings[_i].fn);
	if (doings[_i].fn == block_in_mutex)
		support_await_asleep(victim.task);
	else if (doings[_i].blocked)
		support_await_inside_asleep(victim.task);
	ck_assert_uint_ge(support_private_rss(), VICTIM_SIZE);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await_reaped(victim.task);
	await_gone();
	ck_assert_uint_eq(bhi_load(&victim.returned), 0);
	ck_assert_uint_eq(support_task_stat(victim.task).bytes, 0);
	ck_assert_uint_eq(support_usage(group), 0);
	/* Its bytes are back while it still is where it was. */
	if (doings[_i].blocked) {
		support_await_inside_asleep(victim.task);
		ck_assert_uint_eq(support_private_rss(), 0);
		ck_assert_uint_eq(bhi_load(&victim.returned), 0);
		ck_assert_uint_eq(bhi_load(&victim.task->blocked),
			doings[_i].state == BH_VICTIM_BLOCKED);
	}
	victim_end(&victim);
	if (doings[_i].fn != retry_allocation)
		ck_assert_int_eq(report->victim_state, doings[_i].state);
	ck_assert_uint_ge(report->bytes, VICTIM_SIZE);
	ck_assert_uint_eq(report->reaped, report->bytes);
	ck_assert_uint_gt(report->kill_to_bytes_ns, 0);
	ck_assert_uint_gt(report->kill_to_first_byte_ns, 0);
	ck_assert_uint_gt(report->kill_to_unwound_ns, 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(without_the_reaper_a_victim_that_does_not_look_keeps_its_bytes)
{
	int (*const fns[])(void *) = {spin, block_in_read, read_silently,
		block_in_foreign_mutex, block_in_mutex};
	struct victim victim;
	struct bh_group *group;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.reaper = false;
	bhi_policy.killable_waits = false;
	group = support_group(NULL, "group");
	victim_begin(&victim, group, fns[_i]);
	if (fns[_i] != spin)
		support_await_inside_asleep(victim.task);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	ck_assert_uint_ge(support_private_rss(), VICTIM_SIZE);
	ck_assert_uint_ge(support_usage(group), VICTIM_SIZE);
	ck_assert_uint_eq(support_task_stat(victim.task).is_reaped, 0);
	victim_end(&victim);
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(without_the_reaper_an_idle_victim_keeps_its_bytes)
{
	struct bh_task *task;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.reaper = false;
	task = support_idle_task(NULL, "idle", 0, VICTIM_SIZE);
	ck_assert_int_eq(bh_task_kill(task), 0);
	ck_assert_uint_ge(support_private_rss(), VICTIM_SIZE);
	/* The next enter takes them back. */
	ck_assert_int_eq(bh_task_enter(task, spin, NULL, &report), -ECANCELED);
	ck_assert_uint_eq(report.reaped, VICTIM_SIZE);
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_task_put(task);
	support_end();
}
END_TEST

/* A victim that is about to publish a word of its memory, as a whole, when it is reaped.
 */
struct publisher {
	struct support_entry entry;
	struct bh_task *task;
	uint32_t ready, go_on; /* atomic */
	uint32_t has_published;
	char published;
};

static int publish(void *arg)
{
	struct publisher *p = arg;
	volatile char *map = support_filled_map(MIB, 5);

	bhi_store_release(&p->ready, 1);
	support_await(&p->go_on, 1);
	bh_hold();
	p->published = map[MIB / 2];
	p->has_published = 1;
	bh_release();
	return 0;
}

static void publish_when_reaped(struct publisher *p)
{
	*p = (struct publisher){.task = support_task(NULL, "publisher", 0)};
	support_enter(&p->entry, p->task, publish, p);
	support_await(&p->ready, 1);
	ck_assert_int_eq(bh_task_kill(p->task), 0);
	support_await_reaped(p->task);
	bhi_store_release(&p->go_on, 1);
	ck_assert_int_eq(support_enter_end(&p->entry), -ECANCELED);
	bh_task_put(p->task);
}

START_TEST(what_was_reaped_is_not_read_as_zero)
{
	struct publisher p;

	support_start_tasks(TASK_ZONE, 0);
	publish_when_reaped(&p);
	ck_assert_uint_eq(p.has_published, 0);
	support_end();
}
END_TEST

/* A fresh page comes in its place. Others now have a zero where there was a five. */
START_TEST(were_a_reaped_region_not_unstable_it_would_be_read_as_zero)
{
	struct publisher p;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.without.unstable = true;
	publish_when_reaped(&p);
	ck_assert_uint_eq(p.has_published, 1);
	ck_assert_int_eq(p.published, 0);
	support_end();
}
END_TEST

/* A victim in a hold section, until it may go on. */
struct holder {
	struct support_entry entry;
	struct bh_task *task;
	uint32_t holding, go_on; /* atomic */
	uint64_t size;
};

static int hold_on(void *arg)
{
	struct holder *holder = arg;
	char *p = support_filled_map(holder->size, 7);

	bh_hold();
	bhi_store_release(&holder->holding, 1);
	support_await(&holder->go_on, 1);
	/* Never reaped in it. */
	ck_assert(support_is_filled(p, holder->size, 7));
	bh_release();
	return 0;
}

static void holder_begin(
	struct holder *holder, struct bh_group *group, const char *name, uint64_t size)
{
	*holder = (struct holder){
		.task = support_task(group, name, 0),
		.size = size,
	};
	support_enter(&holder->entry, holder->task, hold_on, holder);
	support_await(&holder->holding, 1);
}

/* What the reaper says of it is said by then. */
static void holder_end(struct holder *holder)
{
	bhi_store_release(&holder->go_on, 1);
	ck_assert_int_eq(support_enter_end(&holder->entry), -ECANCELED);
	ck_assert_int_eq(holder->entry.report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(holder->entry.report.reaped, holder->size);
	support_await_refs(holder->task, 1);
	bh_task_put(holder->task);
}

static int want_most(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	return 0;
}

/* The asker needs more than the second victim has; the first one never lets go. */
static struct {
	struct bh_group *group;
	struct bh_task *second, *asker;
	struct holder holder;
	struct support_entry asking;
	uint64_t size;
} stuck;

static void ask_where_holder_is_stuck(void)
{
	stuck.size = 6 * MIB;
	support_start_tasks(TASK_ZONE, 10);
	stuck.group = support_limited(NULL, "group", 16 * MIB);
	holder_begin(&stuck.holder, stuck.group, "never-lets-go", 7 * MIB);
	stuck.second = support_idle_task(stuck.group, "second", 0, 6 * MIB);
	stuck.asker = support_task(stuck.group, "asker", 0);
	support_enter(&stuck.asking, stuck.asker, want_most, &stuck.size);
}

static void end_stuck(void)
{
	holder_end(&stuck.holder);
	bh_task_put(stuck.second);
	bh_task_put(stuck.asker);
	bh_group_put(stuck.group);
	support_end();
}

static uint64_t nr_given_up(void)
{
	struct bhi_reaper_stat stat;

	bhi_reaper_stat(&stat);
	return stat.nr_given_up;
}

static void give_up_holder(void *arg)
{
	struct bh_task *holder;

	(void)arg;
	ask_where_holder_is_stuck();
	holder = stuck.holder.task;
	ck_assert_int_eq(support_enter_end(&stuck.asking), 0);
	ck_assert_int_eq(support_task_stat(holder).killed, BH_KILLED_OOM);
	ck_assert_uint_eq(support_task_stat(holder).is_reaped, 1);
	ck_assert_uint_eq(support_task_stat(holder).bytes, 7 * MIB);
	ck_assert_uint_eq(holder->nr_tries, 10);
	ck_assert_int_eq(support_task_stat(stuck.second).killed, BH_KILLED_OOM);
	ck_assert_uint_eq(bhi_oom_events_count(), 2);
	ck_assert_uint_eq(nr_given_up(), 1);
	end_stuck();
}

START_TEST(a_hold_section_that_never_ends_is_given_up_by_name_and_the_next_is_chosen)
{
	struct support_output output;

	support_capture(give_up_holder, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert_str_eq(output.err,
		"bulkhead: unable to reap task 'never-lets-go' (7340032 bytes) in 10 "
		"tries: it is in a hold section\n");
	support_output_fini(&output);
}
END_TEST

/* Standard error is a pipe, until the end; full: and nobody can write to it. */
struct error_pipe {
	int saved;
	int ends[2];
};

static void error_pipe_begin(struct error_pipe *error, bool full)
{
	static const char bytes[PIPE_BUF];

	error->saved = dup(2);
	ck_assert_int_eq(pipe2(error->ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (full && write(error->ends[1], bytes, sizeof(bytes)) > 0)
		;
	ck_assert_int_eq(fcntl(error->ends[0], F_SETFL, 0), 0);
	ck_assert_int_eq(fcntl(error->ends[1], F_SETFL, 0), 0);
	ck_assert_int_eq(dup2(error->ends[1], 2), 2);
}

static void error_pipe_end(struct error_pipe *error)
{
	ck_assert_int_eq(dup2(error->saved, 2), 2);
	close(error->saved);
	close(error->ends[0]);
	close(error->ends[1]);
}

START_TEST(the_reaper_goes_on_where_nobody_reads_what_it_says)
{
	struct error_pipe error;
	struct bhi_reaper_stat stat;
	struct holder holder;
	struct bh_task *second;

	support_start_tasks(TASK_ZONE, 3);
	holder_begin(&holder, NULL, "never-lets-go", MIB);
	second = support_idle_task(NULL, "second", 0, VICTIM_SIZE);
	error_pipe_begin(&error, true);
	ck_assert_int_eq(bh_task_kill(holder.task), 0);
	support_await_reaped(holder.task);
	ck_assert_int_eq(bh_task_kill(second), 0);
	support_await_reaped(second);
	ck_assert_uint_eq(support_private_rss(), MIB);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_given_up, 1);
	holder_end(&holder);
	error_pipe_end(&error);
	bh_task_put(second);
	support_end();
}
END_TEST

START_TEST(who_reads_that_a_victim_is_given_up_need_not_wait_for_it)
{
	struct error_pipe error;
	struct holder holder;
	char text[256] = "";

	support_start_tasks(TASK_ZONE, 3);
	holder_begin(&holder, NULL, "never-lets-go", MIB);
	error_pipe_begin(&error, false);
	ck_assert_int_eq(bh_task_kill(holder.task), 0);
	ck_assert_int_gt(read(error.ends[0], text, sizeof(text) - 1), 0);
	ck_assert_uint_eq(support_task_stat(holder.task).is_reaped, 1);
	ck_assert_str_eq(text,
		"bulkhead: unable to reap task 'never-lets-go' (1048576 bytes) in 3 "
		"tries: it is in a hold section\n");
	error_pipe_end(&error);
	holder_end(&holder);
	support_end();
}
END_TEST

/* Its end, and not the reaper's, is what ends the wait: that may never come. */
static void give_up_and_wait(void *arg)
{
	uint64_t seen;

	(void)arg;
	bhi_policy.without.skip_of_given_up = true;
	ask_where_holder_is_stuck();
	while (!nr_given_up())
		sched_yield();
	seen = support_stat(stuck.group).local.oom;
	while (support_stat(stuck.group).local.oom < seen + 3)
		sched_yield();
	ck_assert_uint_eq(support_task_stat(stuck.asker).is_inside, 1);
	ck_assert_int_eq(support_task_stat(stuck.second).killed, BH_NOT_KILLED);
	ck_assert_uint_eq(bhi_oom_events_count(), 1);
	bhi_store_release(&stuck.holder.go_on, 1);
	ck_assert_int_eq(support_enter_end(&stuck.asking), 0);
	ck_assert_int_eq(support_task_stat(stuck.second).killed, BH_NOT_KILLED);
	end_stuck();
}

START_TEST(were_those_given_up_not_skipped_nobody_else_would_be_chosen)
{
	struct support_output output;

	support_capture(give_up_and_wait, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert(support_contains(output.err, "unable to reap task 'never-lets-go'"));
	support_output_fini(&output);
}
END_TEST

static void await_try(void)
{
	static struct support_stop tries[4];
	static unsigned nr;

	support_watch(&tries[nr], BHI_TP_BACK_OFF, SUPPORT_OUTSIDE);
	support_stop_await(&tries[nr++]);
}

START_TEST(a_victim_that_lets_go_in_time_is_reaped)
{
	struct bhi_reaper_stat stat;
	struct holder holder;

	support_start_tasks(TASK_ZONE, 1000);
	holder_begin(&holder, NULL, "holder", VICTIM_SIZE);
	ck_assert_int_eq(bh_task_kill(holder.task), 0);
	await_try();
	await_try();
	ck_assert_uint_eq(support_task_stat(holder.task).bytes, VICTIM_SIZE);
	ck_assert_uint_eq(support_task_stat(holder.task).is_reaped, 0);
	holder_end(&holder);
	ck_assert_uint_eq(support_private_rss(), 0);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_given_up, 0);
	support_end();
}
END_TEST

START_TEST(a_task_that_is_dumped_is_reaped_afterwards)
{
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 1000);
	task = support_idle_task(NULL, "dumped", 0, VICTIM_SIZE);
	ck_assert_int_eq(bh_task_dump_begin(task), 0);
	ck_assert_int_eq(bh_task_dump_begin(task), 0);
	ck_assert_int_eq(bh_task_kill(task), 0);
	await_try();
	await_try();
	ck_assert_uint_ge(support_private_rss(), VICTIM_SIZE);
	bh_task_dump_end(task);
	await_try();
	await_try();
	ck_assert_uint_ge(support_private_rss(), VICTIM_SIZE);
	bh_task_dump_end(task);
	support_await_reaped(task);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_int_eq(bh_task_dump_begin(task), -ESRCH);
	bh_task_put(task);
	support_end();
}
END_TEST

static void dump_for_ever(void *arg)
{
	uint64_t size = 6 * MIB;
	struct bh_task *task, *asker;
	struct bh_group *group;

	(void)arg;
	support_start_tasks(TASK_ZONE, 3);
	group = support_limited(NULL, "group", 8 * MIB);
	task = support_idle_task(group, "dumped", 0, 7 * MIB);
	asker = support_task(group, "asker", -1000);
	ck_assert_int_eq(bh_task_dump_begin(task), 0);
	/* The only victim is given up, so the pagefault ends the asker. */
	ck_assert_int_eq(bh_task_enter(asker, want_most, &size, NULL), -ECANCELED);
	ck_assert_uint_eq(support_task_stat(task).bytes, 7 * MIB);
	bh_task_dump_end(task);
	support_await_refs(task, 1);
	bh_task_put(task);
	bh_task_put(asker);
	bh_group_put(group);
	support_end();
}

START_TEST(a_dump_that_never_ends_is_given_up)
{
	struct support_output output;

	support_capture(dump_for_ever, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert(support_contains(output.err,
		"unable to reap task 'dumped' (7340032 bytes) in 3 tries: it is being "
		"dumped\n"));
	support_output_fini(&output);
}
END_TEST

#define NR_VICTIMS 200

/* Faster than the reaper takes them over. */
START_TEST(many_victims_at_once_are_all_reaped)
{
	struct bh_task *tasks[NR_VICTIMS];
	struct bhi_reaper_stat stat;

	support_start_tasks(TASK_ZONE, 0);
	for (int i = 0; i < NR_VICTIMS; i++)
		tasks[i] = support_idle_task(NULL, "victim", 0, 128 * KIB);
	for (int i = 0; i < NR_VICTIMS; i++)
		ck_assert_int_eq(bh_task_kill(tasks[i]), 0);
	for (int i = 0; i < NR_VICTIMS; i++) {
		support_await_reaped(tasks[i]);
		support_await_refs(tasks[i], 1);
	}
	ck_assert_uint_eq(support_private_rss(), 0);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_reaped, NR_VICTIMS);
	for (int i = 0; i < NR_VICTIMS; i++)
		bh_task_put(tasks[i]);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, the_bytes_of_a_victim_are_back_whatever_it_does, 0,
		(int)bhi_array_size(doings));
	tcase_add_loop_test(tcase,
		without_the_reaper_a_victim_that_does_not_look_keeps_its_bytes, 0, 5);
	tcase_add_test(tcase, without_the_reaper_an_idle_victim_keeps_its_bytes);
	tcase_add_test(tcase, what_was_reaped_is_not_read_as_zero);
	tcase_add_test(tcase, were_a_reaped_region_not_unstable_it_would_be_read_as_zero);
	tcase_add_test(tcase,
		a_hold_section_that_never_ends_is_given_up_by_name_and_the_next_is_chosen);
	tcase_add_test(tcase, the_reaper_goes_on_where_nobody_reads_what_it_says);
	tcase_add_test(tcase, who_reads_that_a_victim_is_given_up_need_not_wait_for_it);
	tcase_add_test(
		tcase, were_those_given_up_not_skipped_nobody_else_would_be_chosen);
	tcase_add_test(tcase, a_victim_that_lets_go_in_time_is_reaped);
	tcase_add_test(tcase, a_task_that_is_dumped_is_reaped_afterwards);
	tcase_add_test(tcase, a_dump_that_never_ends_is_given_up);
	tcase_add_test(tcase, many_victims_at_once_are_all_reaped);
}

int main(void)
{
	return support_run("reaper", add);
}
