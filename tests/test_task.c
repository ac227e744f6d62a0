/* SPDX-License-Identifier: MIT */
/* The life of tasks: entering, leaving, what is cleaned up, and kills from outside. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "support.h"
#include "support_task.h"

static int return_42(void *arg)
{
	(void)arg;
	return 42;
}

START_TEST(what_fn_returns_is_in_the_report)
{
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	memset(&report, 0xff, sizeof(report));
	ck_assert_int_eq(bh_task_run(NULL, NULL, return_42, NULL, &report), 0);
	ck_assert_int_eq(report.value, 42);
	ck_assert_int_eq(report.reason, BH_NOT_KILLED);
	ck_assert_uint_eq(report.bytes, 0);
	ck_assert_str_eq(report.over, "");
	ck_assert_str_eq(report.asker, "");
	ck_assert_int_eq(bh_task_run(NULL, NULL, return_42, NULL, NULL), 0);
	support_end();
}
END_TEST

START_TEST(bad_attributes_make_no_task)
{
	static const struct bh_task_attr bad[] = {
		{.name = ""},
		{.name = "a/b"},
		{.name = "more than thirty-one bytes are too many"},
		{.oom_score_adj = -1001},
		{.oom_score_adj = 1001},
		{.flags = 2},
		{.deadline_ns = UINT64_MAX},
		{.reserved = {1}},
		{.reserved = {0, 0, 0, 1}},
	};

	support_start_tasks(TASK_ZONE, 0);
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(bh_task_new(NULL, &bad[i]));
		ck_assert_int_eq(errno, EINVAL);
		ck_assert_int_eq(
			bh_task_run(NULL, &bad[i], return_42, NULL, NULL), -EINVAL);
	}
	support_end();
}
END_TEST

START_TEST(null_arguments_are_refused)
{
	struct bh_task *task;
	struct bh_task_stat stat;

	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "task", 0);
	ck_assert_int_eq(bh_task_enter(NULL, return_42, NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_task_enter(task, NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_task_run(NULL, NULL, NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_task_kill(NULL), -EINVAL);
	ck_assert_int_eq(bh_task_stat(NULL, &stat), -EINVAL);
	ck_assert_int_eq(bh_task_stat(task, NULL), -EINVAL);
	ck_assert_int_eq(bh_task_dump_begin(NULL), -EINVAL);
	bh_task_dump_end(NULL);
	ck_assert_ptr_null(bh_task_get(NULL));
	bh_task_put(NULL);
	ck_assert_int_eq(bh_check(), 0);
	bh_hold();
	bh_release();
	bh_block_enter();
	bh_block_leave();
	bh_task_put(task);
	support_end();
}
END_TEST

static int enter_others(void *arg)
{
	struct bh_task *other = arg;

	ck_assert_int_eq(bh_task_enter(other, return_42, NULL, NULL), -EBUSY);
	ck_assert_int_eq(bh_task_enter(bh_current(), return_42, NULL, NULL), -EBUSY);
	ck_assert_int_eq(bh_task_run(NULL, NULL, return_42, NULL, NULL), -EBUSY);
	return 7;
}

START_TEST(a_task_is_not_entered_from_inside_of_one)
{
	struct bh_task *a, *b;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	a = support_task(NULL, "a", 0);
	b = support_task(NULL, "b", 0);
	ck_assert_int_eq(bh_task_enter(a, enter_others, b, &report), 0);
	ck_assert_int_eq(report.value, 7);
	ck_assert_int_eq(bh_task_enter(b, return_42, NULL, &report), 0);
	bh_task_put(a);
	bh_task_put(b);
	support_end();
}
END_TEST

struct gate {
	uint32_t inside, open; /* atomic */
};

static int wait_at_gate(void *arg)
{
	struct gate *gate = arg;

	bhi_store_release(&gate->inside, 1);
	support_await(&gate->open, 1);
	return 3;
}

START_TEST(one_thread_at_a_time_is_inside_of_a_task)
{
	struct gate gate = {0};
	struct support_entry entry;
	struct bh_task *task;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "task", 0);
	support_enter(&entry, task, wait_at_gate, &gate);
	support_await(&gate.inside, 1);
	ck_assert_uint_eq(support_task_stat(task).is_inside, 1);
	ck_assert_int_eq(bh_task_enter(task, return_42, NULL, &report), -EBUSY);
	ck_assert_int_eq(report.value, 0);
	ck_assert_ptr_null(bh_current());
	bhi_store_release(&gate.open, 1);
	ck_assert_int_eq(support_enter_end(&entry), 0);
	ck_assert_int_eq(entry.report.value, 3);
	ck_assert_int_eq(bh_task_enter(task, return_42, NULL, &report), 0);
	ck_assert_uint_eq(support_task_stat(task).nr_enters, 2);
	ck_assert_uint_eq(support_task_stat(task).is_inside, 0);
	bh_task_put(task);
	support_end();
}
END_TEST

/* A session: a list in the heap and a counter in a map. */
struct session {
	struct node {
		struct node *next;
		int value;
	} * list;
	char *map;
	int nr;
};

static int one_request(void *arg)
{
	struct session *s = arg;
	struct node *node = bh_malloc(sizeof(*node));
	int sum = 0;

	if (!s->map)
		s->map = bh_map(MIB, 0);
	*node = (struct node){.next = s->list, .value = ++s->nr};
	s->list = node;
	s->map[(size_t)s->nr * PAGE] = (char)s->nr;
	for (node = s->list; node; node = node->next) {
		sum += node->value;
		ck_assert_int_eq(s->map[(size_t)node->value * PAGE], node->value);
	}
	return sum;
}

START_TEST(what_is_left_in_a_task_is_there_for_the_next_thread)
{
	struct session session = {0};
	struct bh_task *task;
	struct bh_group *group;
	uint64_t bytes = 0;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	task = support_task(group, "session", 0);
	for (int i = 1; i <= 20; i++) {
		struct support_entry entry;

		support_enter(&entry, task, one_request, &session);
		ck_assert_int_eq(support_enter_end(&entry), 0);
		ck_assert_int_eq(entry.report.value, i * (i + 1) / 2);
		ck_assert_uint_ge(support_task_stat(task).bytes, bytes);
		bytes = support_task_stat(task).bytes;
		ck_assert_uint_eq(support_usage(group), bytes);
	}
	ck_assert_uint_eq(support_task_stat(task).nr_enters, 20);
	bh_task_put(task);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static int drop_the_last_reference(void *arg)
{
	char *p = support_filled_map(MIB, 5);

	bh_task_put(arg);
	bh_task_put(NULL);
	ck_assert_int_eq(p[MIB - 1], 5);
	ck_assert_ptr_nonnull(bh_malloc(100));
	return 1;
}

START_TEST(who_is_inside_keeps_the_task_and_the_task_keeps_its_group)
{
	struct bh_group *group;
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	task = support_task(group, "task", 0);
	ck_assert_ptr_eq(bh_task_get(task), task);
	bh_task_put(task);
	bh_group_put(group);
	ck_assert_uint_eq(support_stat(bh_root()).nr_children, 1);
	ck_assert_int_eq(bh_task_enter(task, drop_the_last_reference, task, NULL), 0);
	ck_assert_uint_eq(bhi_tasks_count(), 0);
	ck_assert_uint_eq(bhi_areas_taken(), 0);
	support_end();
}
END_TEST

static char trace[BHI_TASK_MAX_DEFERS + 8];

static void note(void *arg)
{
	ck_assert_ptr_null(bh_current());
	ck_assert_int_eq(bh_defer(note, arg), -EPERM);
	ck_assert_int_eq(bh_undefer(note, arg), -EPERM);
	strncat(trace, arg, 1);
}

static void note_otherwise(void *arg)
{
	note(arg);
}

static int defer_three(void *arg)
{
	ck_assert_int_eq(bh_defer(NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_undefer(note, (void *)"a"), -ENOENT);
	for (const char *p = "axbyc"; *p; p++)
		ck_assert_int_eq(bh_defer(note, (void *)(uintptr_t)p), 0);
	ck_assert_int_eq(bh_undefer(note, (void *)"no such"), -ENOENT);
	ck_assert_int_eq(bh_defer(note, (void *)"z"), 0);
	ck_assert_int_eq(bh_undefer(note_otherwise, (void *)"z"), -ENOENT);
	ck_assert_int_eq(bh_undefer(note, (void *)"z"), 0);
	if (arg)
		bh_task_kill(bh_current());
	return 1;
}

START_TEST(deferred_calls_come_newest_first_however_the_task_is_left)
{
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_defer(note, (void *)"a"), -EPERM);
	task = support_task(NULL, "task", 0);
	ck_assert_int_eq(bh_task_enter(task, defer_three, NULL, NULL), 0);
	ck_assert_str_eq(trace, "cybxa");
	trace[0] = '\0';
	/* Those of an earlier enter are over. */
	ck_assert_int_eq(bh_task_enter(task, return_42, NULL, NULL), 0);
	ck_assert_str_eq(trace, "");
	ck_assert_int_eq(bh_task_enter(task, defer_three, task, NULL), -ECANCELED);
	ck_assert_str_eq(trace, "cybxa");
	bh_task_put(task);
	support_end();
}
END_TEST

static int defer_many(void *arg)
{
	for (int i = 0; i < BHI_TASK_MAX_DEFERS; i++)
		ck_assert_int_eq(bh_defer(note, (void *)"n"), 0);
	ck_assert_int_eq(bh_defer(note, (void *)"o"), -ENOMEM);
	(void)arg;
	return 0;
}

START_TEST(thirty_two_calls_can_be_deferred)
{
	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, defer_many, NULL, NULL), 0);
	ck_assert_uint_eq(strlen(trace), 32);
	ck_assert_ptr_null(strchr(trace, 'o'));
	support_end();
}
END_TEST

static int kill_self(void *arg)
{
	support_filled_map(MIB, 1);
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	bhi_store((uint32_t *)arg, 1);
	return 1;
}

START_TEST(killing_the_current_task_does_not_return)
{
	struct bh_task *task;
	struct bh_report report;
	uint32_t reached = 0;

	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "task", 0);
	ck_assert_int_eq(bh_task_enter(task, kill_self, &reached, &report), -ECANCELED);
	ck_assert_uint_eq(reached, 0);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_RUNNING);
	ck_assert_uint_eq(report.bytes, MIB);
	ck_assert_uint_eq(report.reaped, MIB);
	ck_assert_uint_gt(report.kill_to_bytes_ns, 0);
	ck_assert_uint_ge(report.kill_to_bytes_ns, report.kill_to_first_byte_ns);
	ck_assert_uint_gt(report.kill_to_unwound_ns, 0);
	ck_assert_uint_eq(report.asked, 0);
	ck_assert_uint_eq(support_task_stat(task).bytes, 0);
	ck_assert_int_eq(bh_task_kill(task), -ESRCH);
	/* It stays killed, with the same report but for the time to unwind. */
	ck_assert_int_eq(bh_task_enter(task, kill_self, &reached, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	ck_assert_uint_eq(report.reaped, MIB);
	ck_assert_uint_eq(report.kill_to_unwound_ns, 0);
	bh_task_put(task);
	support_end();
}
END_TEST

static int kill_self_holding(void *arg)
{
	char *p = support_filled_map(MIB, 6);

	bh_hold();
	bh_hold();
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	ck_assert_int_eq(bh_check(), -ECANCELED);
	/* What is held is whole. */
	ck_assert_int_eq(p[12345], 6);
	bh_release();
	ck_assert_int_eq(bh_check(), -ECANCELED);
	ck_assert_int_eq(p[MIB - 1], 6);
	bhi_store((uint32_t *)arg, 1);
	bh_release();
	bhi_store((uint32_t *)arg, 2);
	return 1;
}

START_TEST(a_killed_task_unwinds_at_the_end_of_its_last_hold_section)
{
	struct bh_report report;
	uint32_t reached = 0;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, kill_self_holding, &reached, &report),
		-ECANCELED);
	ck_assert_uint_eq(reached, 1);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(report.nr_leaked_locks, 0);
	support_end();
}
END_TEST

START_TEST(an_idle_task_is_killed_and_the_next_enter_says_so)
{
	struct bh_group *group;
	struct bh_task *task;
	struct bh_report report;
	uint32_t reached = 0;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	task = support_idle_task(group, "idle", 0, 8 * MIB);
	ck_assert_uint_ge(support_private_rss(), 8 * MIB);
	ck_assert_int_eq(bh_task_kill(task), 0);
	support_await_reaped(task);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_task_stat(task).bytes, 0);
	ck_assert_uint_eq(support_task_stat(task).peak, 8 * MIB);
	ck_assert_uint_eq(support_task_stat(task).is_reaped, 1);
	ck_assert_int_eq(bh_task_enter(task, kill_self, &reached, &report), -ECANCELED);
	ck_assert_uint_eq(reached, 0);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	ck_assert_uint_eq(report.bytes, 8 * MIB);
	ck_assert_uint_eq(report.reaped, 8 * MIB);
	ck_assert_uint_gt(report.kill_to_bytes_ns, 0);
	ck_assert_uint_eq(report.kill_to_unwound_ns, 0);
	bh_task_put(task);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_deadline_kills_whoever_is_inside_for_too_long)
{
	struct bh_task_attr attr = {.name = "late", .deadline_ns = 1000000};
	struct support_entry entry;
	struct bh_task *task;
	uint32_t begun = 0;

	support_start_tasks(TASK_ZONE, 0);
	task = bh_task_new(NULL, &attr);
	support_enter(
		&entry, task, _i ? support_spin_checking : support_spin_touching, &begun);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	ck_assert_int_eq(entry.report.reason, BH_KILLED_DEADLINE);
	bh_task_put(task);
	support_end();
}
END_TEST

START_TEST(a_deadline_ends_with_the_enter)
{
	struct bh_task_attr attr = {.name = "soon", .deadline_ns = INT64_MAX};
	struct bh_task *task, *other;

	support_start_tasks(TASK_ZONE, 0);
	task = bh_task_new(NULL, &attr);
	attr.deadline_ns /= 2;
	other = bh_task_new(NULL, &attr);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(bh_task_enter(task, return_42, NULL, NULL), 0);
		ck_assert_int_eq(bh_task_enter(other, return_42, NULL, NULL), 0);
		ck_assert(!bhi_list_linked(&task->deadline_node));
		ck_assert_uint_eq(task->deadline_at, 0);
	}
	bh_task_put(task);
	bh_task_put(other);
	support_end();
}
END_TEST

static void count_kill(void *arg)
{
	bhi_add((uint32_t *)arg, 1);
}

static int cooperate(void *arg)
{
	char *p = support_filled_map(MIB, 9);

	bhi_store_release((uint32_t *)arg, 1);
	while (!bh_check())
		sched_yield();
	support_await_reaped(bh_current());
	/* Neither unwound nor reaped, and given up by the reaper. */
	ck_assert_int_eq(bh_check(), -ECANCELED);
	ck_assert(support_is_filled(p, MIB, 9));
	return 5;
}

START_TEST(a_cooperative_task_is_told_and_left_alone)
{
	uint32_t nr_kills = 0, begun = 0;
	struct bh_task_attr attr = {
		.flags = BH_TASK_COOPERATIVE,
		.on_kill = count_kill,
		.on_kill_arg = &nr_kills,
	};
	struct support_entry entry;
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 3);
	task = bh_task_new(NULL, &attr);
	ck_assert_str_eq(support_task_stat(task).name, "task");
	support_enter(&entry, task, cooperate, &begun);
	support_await(&begun, 1);
	ck_assert_int_eq(bh_task_kill(task), 0);
	ck_assert_uint_eq(bhi_load(&nr_kills), 1);
	ck_assert_int_eq(bh_task_kill(task), -ESRCH);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	ck_assert_uint_eq(bhi_load(&nr_kills), 1);
	ck_assert_int_eq(entry.report.value, 5);
	ck_assert_int_eq(entry.report.reason, BH_KILLED_CALLER);
	ck_assert_uint_eq(entry.report.bytes, MIB);
	ck_assert_uint_eq(entry.report.reaped, 0);
	support_await_refs(task, 1);
	bh_task_put(task);
	ck_assert_uint_eq(support_private_rss(), 0);
	support_end();
}
END_TEST

static int hold_and_return(void *arg)
{
	(void)arg;
	bh_hold();
	bh_hold();
	return 1;
}

static void end_in_hold(void *arg)
{
	struct bh_task *task;

	(void)arg;
	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "careless", 0);
	ck_assert_int_eq(bh_task_enter(task, hold_and_return, NULL, NULL), 0);
	/* The next one holds nothing: the reaper gets at it. */
	ck_assert_int_eq(bh_task_kill(task), 0);
	support_await_reaped(task);
	ck_assert_uint_eq(bhi_load(&task->region.end), BHI_REGION_GONE);
	bh_task_put(task);
	support_end();
}

static int release_twice(void *arg)
{
	(void)arg;
	bh_hold();
	bh_release();
	bh_release();
	bh_hold();
	ck_assert_uint_eq(bh_current()->region.hold, 1);
	bh_release();
	return 0;
}

static void release_too_often(void *arg)
{
	(void)arg;
	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, release_twice, NULL, NULL), 0);
	support_end();
}

START_TEST(unbalanced_holds_are_reported_and_repaired)
{
	struct support_output output;

	support_capture(end_in_hold, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(
		output.err, "bulkhead: task 'careless' ended in a hold section\n");
	support_output_fini(&output);
	support_capture(release_too_often, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_int_eq(support_count_lines(output.err), 1);
	ck_assert(support_contains(output.err, "bh_release without bh_hold"));
	support_output_fini(&output);
}
END_TEST

static int block_and_return(void *arg)
{
	(void)arg;
	bh_block_enter();
	return 0;
}

static int block_and_die(void *arg)
{
	(void)arg;
	bh_block_enter();
	bh_task_kill(bh_current());
	return 0;
}

static void end_in_block(void *arg)
{
	struct bh_task *task;

	(void)arg;
	support_start_tasks(TASK_ZONE, 0);
	task = support_task(NULL, "careless", 0);
	ck_assert_int_eq(bh_task_enter(task, block_and_return, NULL, NULL), 0);
	ck_assert_uint_eq(task->blocked, 0);
	/* Unwinding out of one is in order. */
	ck_assert_int_eq(bh_task_enter(task, block_and_die, NULL, NULL), -ECANCELED);
	bh_task_put(task);
	support_end();
}

static int block_twice(void *arg)
{
	(void)arg;
	bh_block_enter();
	bh_block_enter();
	ck_assert_uint_eq(bh_current()->blocked, 1);
	bh_block_leave();
	ck_assert_uint_eq(bh_current()->blocked, 0);
	return 0;
}

static int leave_twice(void *arg)
{
	(void)arg;
	bh_block_enter();
	bh_block_leave();
	bh_block_leave();
	ck_assert_uint_eq(bh_current()->blocked, 0);
	return 0;
}

static void run_unbalanced(void *arg)
{
	int (*fn)(void *arg) = *(int (**)(void *arg))arg;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, fn, NULL, NULL), 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, fn, NULL, NULL), 0);
	support_end();
}

START_TEST(unbalanced_block_sections_are_reported_and_repaired)
{
	static const struct {
		int (*fn)(void *arg);
		const char *said;
	} cases[] = {
		{block_twice, "bh_block_enter in a block section"},
		{leave_twice, "bh_block_leave without bh_block_enter"},
	};
	struct support_output output;

	support_capture(end_in_block, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(
		output.err, "bulkhead: task 'careless' ended in a block section\n");
	support_output_fini(&output);
	for (size_t i = 0; i < bhi_array_size(cases); i++) {
		int (*fn)(void *arg) = cases[i].fn;

		support_capture(run_unbalanced, &fn, &output);
		ck_assert_int_eq(support_exit_status(&output), 0);
		ck_assert_int_eq(support_count_lines(output.err), 1);
		ck_assert(support_contains(output.err, cases[i].said));
		support_output_fini(&output);
	}
}
END_TEST

static int export_text(void *arg)
{
	char **out = arg, *text = bh_malloc(100);

	strcpy(text, "what is to stay");
	*out = bh_export(NULL, text, 100);
	memset(text, 'x', 100);
	return 0;
}

START_TEST(a_result_leaves_a_task_as_a_copy)
{
	char *out = NULL;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, export_text, &out, NULL), 0);
	ck_assert_str_eq(out, "what is to stay");
	ck_assert_ptr_eq(bh_group_of(out), bh_root());
	bh_free(out);
	out = bh_export(NULL, "abc", 4);
	ck_assert_str_eq(out, "abc");
	bh_free(out);
	errno = 0;
	ck_assert_ptr_null(bh_export(NULL, NULL, 1));
	ck_assert_int_eq(errno, EINVAL);
	out = bh_export(NULL, NULL, 0);
	ck_assert_ptr_nonnull(out);
	bh_free(out);
	support_end();
}
END_TEST

static int export_killed(void *arg)
{
	char **out = arg;

	bh_hold();
	bh_task_kill(bh_current());
	out[0] = bh_export(NULL, "abc", 4);
	ck_assert_str_eq(out[0], "abc");
	bh_release();
	return 0;
}

START_TEST(an_export_in_a_hold_section_survives_a_kill)
{
	char *out = NULL;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, export_killed, &out, NULL), -ECANCELED);
	ck_assert_str_eq(out, "abc");
	bh_free(out);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, what_fn_returns_is_in_the_report);
	tcase_add_test(tcase, bad_attributes_make_no_task);
	tcase_add_test(tcase, null_arguments_are_refused);
	tcase_add_test(tcase, a_task_is_not_entered_from_inside_of_one);
	tcase_add_test(tcase, one_thread_at_a_time_is_inside_of_a_task);
	tcase_add_test(tcase, what_is_left_in_a_task_is_there_for_the_next_thread);
	tcase_add_test(tcase, who_is_inside_keeps_the_task_and_the_task_keeps_its_group);
	tcase_add_test(tcase, deferred_calls_come_newest_first_however_the_task_is_left);
	tcase_add_test(tcase, thirty_two_calls_can_be_deferred);
	tcase_add_test(tcase, killing_the_current_task_does_not_return);
	tcase_add_test(tcase, a_killed_task_unwinds_at_the_end_of_its_last_hold_section);
	tcase_add_test(tcase, an_idle_task_is_killed_and_the_next_enter_says_so);
	tcase_add_loop_test(tcase, a_deadline_kills_whoever_is_inside_for_too_long, 0, 2);
	tcase_add_test(tcase, a_deadline_ends_with_the_enter);
	tcase_add_test(tcase, a_cooperative_task_is_told_and_left_alone);
	tcase_add_test(tcase, unbalanced_holds_are_reported_and_repaired);
	tcase_add_test(tcase, unbalanced_block_sections_are_reported_and_repaired);
	tcase_add_test(tcase, a_result_leaves_a_task_as_a_copy);
	tcase_add_test(tcase, an_export_in_a_hold_section_survives_a_kill);
}

int main(void)
{
	return support_run("task", add);
}
