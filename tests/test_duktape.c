/* SPDX-License-Identifier: MIT */
/* The Duktape adapter against the system's Duktape: heaps in private memory, and their
 * end. */
#include <errno.h>
#include <sched.h>

#include <bulkhead/duktape.h>

#include "support.h"
#include "task/task.h"

#define MIB UINT64_C(1048576)

/* What happens inside one bh_task_enter(). */
struct work {
	const char *source;
	size_t budget;
	duk_context *ctx; /* NULL: a new one */
	double result;
	struct bh_duktape heap; /* as it was in the end */
};

static struct bh_group *make_group(uint64_t max)
{
	struct bh_config config = {.size = 128 * MIB};
	struct bh_group *group;

	ck_assert_int_eq(bh_init(&config), 0);
	group = bh_group_new(NULL, "scripts");
	ck_assert_ptr_nonnull(group);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, max), 0);
	return group;
}

/* Usage without what threads keep in stock: a limit of nothing takes that back. */
static uint64_t settled_usage(struct bh_group *group)
{
	struct bh_group_stat stat;

	ck_assert_int_eq(bh_group_set(group, BH_MAX, 0), 0);
	ck_assert_int_eq(bh_group_stat(group, &stat), 0);
	return stat.usage;
}

static int run_source(void *arg)
{
	struct work *work = arg;

	if (!work->ctx)
		work->ctx = bh_duktape_new(work->budget);
	if (!work->ctx)
		return -1;
	duk_set_top(work->ctx, 0);
	if (duk_peval_string(work->ctx, work->source))
		return -2;
	work->result = duk_get_number_default(work->ctx, -1, -1);
	work->heap = *bh_duktape_of(work->ctx);
	return 1;
}

static void expect_kill(const char *source)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {.source = source};
	struct bh_report report;

	ck_assert_int_eq(
		bh_task_run(group, NULL, run_source, &work, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_str_eq(report.over, "/scripts");
	ck_assert_uint_eq(report.limit, 8 * MIB);
	ck_assert_uint_gt(report.bytes, 0);
	/* The reaper may be the last to let go of the victim, and ends it then. */
	while (bhi_tasks_count())
		sched_yield();
	ck_assert_uint_eq(settled_usage(group), 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_group_put(group);
}

START_TEST(outside_of_a_task_there_is_no_heap)
{
	ck_assert_ptr_null(bh_duktape_new(0));
}
END_TEST

START_TEST(a_heap_is_private_memory_of_its_task)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {
		.source = "var s = 0; for (var i = 1; i <= 100; i++) s += i; s"};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert(work.result == 5050);
	ck_assert_uint_eq(settled_usage(group), 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_group_put(group);
}
END_TEST

START_TEST(a_heap_is_there_at_the_next_enter)
{
	struct bh_group *group = make_group(8 * MIB);
	struct bh_task *task = bh_task_new(group, NULL);
	struct work work = {.source = "var n = (typeof n == 'undefined' ? 0 : n) + 1; n"};
	struct bh_report report;

	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(bh_task_enter(task, run_source, &work, &report), 0);
		ck_assert(work.result == i);
	}
	bh_task_put(task);
	ck_assert_uint_eq(settled_usage(group), 0);
	bh_group_put(group);
}
END_TEST

START_TEST(an_array_that_doubles_is_killed)
{
	expect_kill("var a = [1]; for (;;) a = a.concat(a);");
}
END_TEST

START_TEST(a_string_that_doubles_is_killed)
{
	expect_kill("var s = 'x'; for (;;) s += s;");
}
END_TEST

START_TEST(a_retry_loop_is_killed)
{
	expect_kill("var kept = []; for (;;) { try { for (;;)"
		    " kept.push(new Array(1000).join('x') + kept.length);"
		    " } catch (e) { } }");
}
END_TEST

/* What refers to itself is freed by a collection only. */
static const char garbage[] = "var kept = 'x', i;"
			      "for (i = 0; i < 21; i++) kept += kept;"
			      "var part = kept.slice(0, 200000);"
			      "for (i = 0; i < 100; i++) {"
			      "	var o = {s: part + i};"
			      "	o.self = o;"
			      "}"
			      "kept.length";

START_TEST(a_budget_collects_garbage_before_the_limit)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {.source = garbage, .budget = 5 * MIB};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert(work.result == 2097152);
	ck_assert_uint_gt(work.heap.nr_refused, 0);
	bh_group_put(group);
}
END_TEST

START_TEST(without_a_budget_garbage_counts_as_memory)
{
	expect_kill(garbage);
}
END_TEST

START_TEST(a_budget_is_no_limit)
{
	struct bh_group *group = make_group(64 * MIB);
	struct work work = {.source = "var a = []; for (var i = 0; i < 50000; i++)"
				      " a.push({i: i}); a.length",
		.budget = MIB};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert(work.result == 50000);
	/* each refusal moves the mark by a quarter: few, not one for each object */
	ck_assert_uint_gt(work.heap.nr_refused, 0);
	ck_assert_uint_lt(work.heap.nr_refused, 30);
	bh_group_put(group);
}
END_TEST

START_TEST(in_a_group_that_fails_the_script_sees_the_error)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {.source = "var caught = 0, s = 'x';"
				      "try { for (;;) s += s; } catch (e) { caught = 7; }"
				      "caught"};
	struct bh_report report;

	ck_assert_int_eq(bh_group_set(group, BH_ON_LIMIT, BH_FAIL), 0);
	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert(work.result == 7);
	ck_assert_uint_eq(settled_usage(group), 0);
	bh_group_put(group);
}
END_TEST

static int throw_unprotected(void *arg)
{
	duk_context *ctx = bh_duktape_new(0);

	(void)arg;
	duk_push_string(ctx, "nobody catches this");
	return duk_throw(ctx);
}

START_TEST(an_error_that_nobody_catches_ends_the_task_and_not_the_process)
{
	struct bh_group *group = make_group(8 * MIB);
	struct bh_report report;

	ck_assert_int_eq(
		bh_task_run(group, NULL, throw_unprotected, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	bh_group_put(group);
}
END_TEST

static int open_and_close(void *arg)
{
	struct bh_task_stat before, after;
	size_t left = 1;

	(void)arg;
	bh_duktape_close(bh_duktape_new(0));
	bh_task_stat(bh_current(), &before);
	for (int i = 0; i < 100; i++) {
		duk_context *ctx = bh_duktape_new(0);
		struct bh_duktape *heap = bh_duktape_of(ctx);

		left = heap->used;
		bh_duktape_close(ctx);
	}
	bh_duktape_close(NULL);
	bh_task_stat(bh_current(), &after);
	/* 100 heaps at once would be ten times as much */
	return left > 0 && after.bytes < before.bytes + 512 * 1024;
}

START_TEST(a_closed_heap_leaves_its_memory_to_the_task)
{
	struct bh_group *group = make_group(64 * MIB);
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, open_and_close, NULL, &report), 0);
	ck_assert_int_eq(report.value, 1);
	bh_group_put(group);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, outside_of_a_task_there_is_no_heap);
	tcase_add_test(tcase, a_heap_is_private_memory_of_its_task);
	tcase_add_test(tcase, a_heap_is_there_at_the_next_enter);
	tcase_add_test(tcase, an_array_that_doubles_is_killed);
	tcase_add_test(tcase, a_string_that_doubles_is_killed);
	tcase_add_test(tcase, a_retry_loop_is_killed);
	tcase_add_test(tcase, a_budget_collects_garbage_before_the_limit);
	tcase_add_test(tcase, without_a_budget_garbage_counts_as_memory);
	tcase_add_test(tcase, a_budget_is_no_limit);
	tcase_add_test(tcase, in_a_group_that_fails_the_script_sees_the_error);
	tcase_add_test(
		tcase, an_error_that_nobody_catches_ends_the_task_and_not_the_process);
	tcase_add_test(tcase, a_closed_heap_leaves_its_memory_to_the_task);
}

int main(void)
{
	return support_run("duktape", add);
}
