/* SPDX-License-Identifier: MIT */
/*
 * The decision whether a failure is injected, as tables: the order of Linux 6.12,
 * lib/fault-inject.c should_fail_ex(), and what each step leaves behind. The text that
 * sets it is test_fault_parse.c's, what becomes of it in the library test_inject.c's.
 */
#include <errno.h>
#include <string.h>

#include "debug/fault.h"
#include "support.h"

/* A stack with three frames. */
static const uintptr_t frames[] = {0x1000, 0x2000, 0x3000};

/* What a decision asked for, and with what it was answered. */
static struct {
	uint32_t drawn;
	unsigned nr_draws, nr_captures, nr_reports;
	unsigned most;
	int32_t reported_times;
} world;

static uint32_t draw(void *arg)
{
	ck_assert_ptr_eq(arg, &world);
	world.nr_draws++;
	return world.drawn;
}

static unsigned capture(uintptr_t *ret, unsigned most, void *arg)
{
	unsigned nr = most < 3 ? most : 3;

	ck_assert_ptr_eq(arg, &world);
	memcpy(ret, frames, nr * sizeof(*ret));
	world.nr_captures++;
	world.most = most;
	return nr;
}

static void report(const struct bhi_fault_attr *attr, const struct bhi_fault_call *call,
	int32_t times)
{
	(void)attr;
	ck_assert_ptr_eq(call->arg, &world);
	world.nr_reports++;
	world.reported_times = times;
}

/* One decision: what is set, what is asked, the answer, and what is left. */
static const struct row {
	const char *what;
	/* set */
	uint32_t probability, interval, task_filter, depth;
	int32_t times;
	uint64_t space, count;
	struct bhi_range require, reject;
	/* asked */
	size_t size;
	bool is_no_task, is_marked, no_warn;
	uint32_t nth, drawn;
	/* answered */
	bool fails;
	int32_t times_left;
	uint64_t space_left, count_left;
	uint32_t nth_left;
	unsigned nr_captures, nr_draws, nr_reports;
} rows[] = {
	{"nothing is set", .interval = 1, .times = 1, .depth = 32, .times_left = 1},
	{"always", .probability = 100, .interval = 1, .times = -1, .depth = 32,
		.drawn = 99, .fails = true, .times_left = -1, .nr_draws = 1,
		.nr_reports = 1},
	{"it fails when the percentage is above what is drawn", .probability = 51,
		.interval = 1, .times = -1, .depth = 32, .drawn = 50, .fails = true,
		.times_left = -1, .nr_draws = 1, .nr_reports = 1},
	{"and not when it is the same", .probability = 50, .interval = 1, .times = -1,
		.depth = 32, .drawn = 50, .times_left = -1, .nr_draws = 1},
	{"one per cent is 0 of 100", .probability = 1, .interval = 1, .times = -1,
		.depth = 32, .drawn = 0, .fails = true, .times_left = -1, .nr_draws = 1,
		.nr_reports = 1},
	/* 2: probability 0 */
	{"with probability 0 nothing else is looked at", .interval = 2, .times = 3,
		.space = 100, .depth = 32, .require = {0x2000, 0x2001}, .size = 1,
		.times_left = 3, .space_left = 100},
	/* 3: the task filter */
	{"the task filter keeps others out, before the stack", .probability = 100,
		.interval = 1, .times = 5, .task_filter = 1, .depth = 32,
		.require = {0x2000, 0x2001}, .times_left = 5},
	{"the task filter lets who is marked through", .probability = 100, .interval = 1,
		.times = 5, .task_filter = 1, .is_marked = true, .depth = 32,
		.fails = true, .times_left = 4, .nr_draws = 1, .nr_reports = 1},
	{"an interrupt is no task, marked or not", .probability = 100, .interval = 1,
		.times = 5, .task_filter = 1, .is_marked = true, .is_no_task = true,
		.depth = 32, .times_left = 5},
	{"without the filter an interrupt fails", .probability = 100, .interval = 1,
		.times = 5, .is_no_task = true, .depth = 32, .fails = true,
		.times_left = 4, .nr_draws = 1, .nr_reports = 1},
	/* 4: times */
	{"times 0 stops, before the stack", .probability = 100, .interval = 1, .times = 0,
		.space = 9, .depth = 32, .reject = {0x2000, 0x2001}, .size = 1,
		.times_left = 0, .space_left = 9},
	{"the last one", .probability = 100, .interval = 1, .times = 1, .depth = 32,
		.fails = true, .times_left = 0, .nr_draws = 1, .nr_reports = 1},
	/* 5: the stack */
	{"a required frame is there", .probability = 100, .interval = 1, .times = 5,
		.depth = 32, .require = {0x2000, 0x2001}, .fails = true, .times_left = 4,
		.nr_captures = 1, .nr_draws = 1, .nr_reports = 1},
	{"the end is not in the range, and space is not consumed", .probability = 100,
		.interval = 1, .times = 5, .space = 9, .depth = 32,
		.require = {0x1001, 0x2000}, .size = 1, .times_left = 5, .space_left = 9,
		.nr_captures = 1},
	{"a rejected frame is there", .probability = 100, .interval = 1, .times = 5,
		.depth = 32, .reject = {0x3000, 0x3001}, .times_left = 5,
		.nr_captures = 1},
	{"a required frame does not outweigh a rejected one", .probability = 100,
		.interval = 1, .times = 5, .depth = 32, .require = {0x1000, 0x1001},
		.reject = {0x3000, 0x3001}, .times_left = 5, .nr_captures = 1},
	{"frames beyond the depth are not seen", .probability = 100, .interval = 1,
		.times = 5, .depth = 2, .reject = {0x3000, 0x3001}, .fails = true,
		.times_left = 4, .nr_captures = 1, .nr_draws = 1, .nr_reports = 1},
	{"depth 0 rejects nothing", .probability = 100, .interval = 1, .times = 5,
		.depth = 0, .reject = {0x1000, 0x4000}, .fails = true, .times_left = 4,
		.nr_draws = 1, .nr_reports = 1},
	{"depth 0 finds nothing that is required", .probability = 100, .interval = 1,
		.times = 5, .depth = 0, .require = {0x1000, 0x4000}, .times_left = 5},
	/* 6: space */
	{"space above the size lets through, before the interval", .probability = 100,
		.interval = 2, .times = 5, .space = 100, .depth = 32, .size = 99,
		.times_left = 5, .space_left = 1},
	{"space of the size stays and does not block", .probability = 100, .interval = 1,
		.times = 5, .space = 100, .depth = 32, .size = 100, .fails = true,
		.times_left = 4, .space_left = 100, .nr_draws = 1, .nr_reports = 1},
	{"a remainder stays and does not block", .probability = 100, .interval = 1,
		.times = 5, .space = 1, .depth = 32, .size = 64, .fails = true,
		.times_left = 4, .space_left = 1, .nr_draws = 1, .nr_reports = 1},
	/* 7: the interval */
	{"the interval counts, before the draw", .probability = 100, .interval = 3,
		.times = 5, .depth = 32, .times_left = 5, .count_left = 1},
	{"every third one", .probability = 100, .interval = 3, .times = 5, .count = 2,
		.depth = 32, .fails = true, .times_left = 4, .count_left = 3,
		.nr_draws = 1, .nr_reports = 1},
	{"an interval of 1 does not count", .probability = 100, .interval = 1, .times = 5,
		.count = 7, .depth = 32, .fails = true, .times_left = 4, .count_left = 7,
		.nr_draws = 1, .nr_reports = 1},
	{"an interval of 0 neither", .probability = 100, .interval = 0, .times = 5,
		.count = 7, .depth = 32, .fails = true, .times_left = 4, .count_left = 7,
		.nr_draws = 1, .nr_reports = 1},
	/* 8: the draw, which leaves what was counted as it is */
	{"what the draw lets through has counted", .probability = 10, .interval = 3,
		.times = 5, .count = 2, .depth = 32, .drawn = 10, .times_left = 5,
		.count_left = 3, .nr_draws = 1},
	/* 9: the report */
	{"without a warning there is no report, and one less", .probability = 100,
		.interval = 1, .times = 5, .no_warn = true, .depth = 32, .fails = true,
		.times_left = 4, .nr_draws = 1},
	/* 1: fail-nth */
	{"the next one fails, though nothing is set", .interval = 1, .times = 1,
		.depth = 32, .nth = 1, .fails = true, .times_left = 0, .nr_reports = 1},
	{"fail-nth goes past times 0, filters, space and the interval", .interval = 9,
		.times = 0, .task_filter = 1, .space = 100, .depth = 32, .size = 1,
		.nth = 1, .fails = true, .times_left = 0, .space_left = 100,
		.nr_reports = 1},
	{"the next but one does not, and nothing else is asked", .probability = 100,
		.interval = 1, .times = -1, .depth = 32, .nth = 2, .times_left = -1,
		.nth_left = 1},
	{"a stack that is not meant does not count down", .probability = 100,
		.interval = 1, .times = -1, .depth = 32, .require = {0x9000, 0x9001},
		.nth = 1, .times_left = -1, .nth_left = 1, .nr_captures = 1},
	{"a rejected stack neither", .interval = 1, .times = -1, .depth = 32,
		.reject = {0x1000, 0x1001}, .nth = 1, .times_left = -1, .nth_left = 1,
		.nr_captures = 1},
	{"a stack that is meant counts down", .interval = 1, .times = -1, .depth = 32,
		.require = {0x2000, 0x2001}, .nth = 1, .fails = true, .times_left = -1,
		.nr_captures = 1, .nr_reports = 1},
	{"fail-nth is a task's", .interval = 1, .times = 1, .depth = 32, .nth = 1,
		.is_no_task = true, .times_left = 1, .nth_left = 1},
	{"fail-nth takes one of the times", .interval = 1, .times = 7, .depth = 32,
		.nth = 1, .fails = true, .times_left = 6, .nr_reports = 1},
};

static struct bhi_fault_attr attr_of(const struct row *row)
{
	return (struct bhi_fault_attr){
		.probability = row->probability,
		.interval = row->interval,
		.task_filter = row->task_filter,
		.stack_depth = row->depth,
		.times = row->times,
		.space = row->space,
		.count = row->count,
		.verbose = 2,
		.nr_require = row->require.end != 0,
		.require = {row->require},
		.nr_reject = row->reject.end != 0,
		.reject = {row->reject},
	};
}

START_TEST(the_order_is_the_kernels)
{
	const struct row *row = &rows[_i];
	struct bhi_fault_attr attr = attr_of(row);
	uint32_t nth = row->nth;
	const struct bhi_fault_call call = {
		.size = row->size,
		.no_warn = row->no_warn,
		.is_no_task = row->is_no_task,
		.is_marked = row->is_marked,
		.nth = &nth,
		.draw = draw,
		.capture = capture,
		.report = report,
		.arg = &world,
	};
	bool fails;

	world.drawn = row->drawn;
	world.reported_times = INT32_MIN;
	fails = bhi_fault_should_fail(&attr, &call);
	ck_assert_msg(fails == row->fails, "%s", row->what);
	ck_assert_msg(attr.times == row->times_left, "%s", row->what);
	ck_assert_msg(attr.space == row->space_left, "%s", row->what);
	ck_assert_msg(attr.count == row->count_left, "%s", row->what);
	ck_assert_msg(nth == row->nth_left, "%s", row->what);
	ck_assert_msg(world.nr_captures == row->nr_captures, "%s", row->what);
	ck_assert_msg(world.nr_draws == row->nr_draws, "%s", row->what);
	ck_assert_msg(world.nr_reports == row->nr_reports, "%s", row->what);
	ck_assert_msg(!row->nr_reports || world.reported_times == row->times,
		"%s: a report has the times as they were before", row->what);
	ck_assert_uint_eq(attr.nr_calls, 1);
	ck_assert_uint_eq(attr.nr_failed, row->fails);
}
END_TEST

START_TEST(without_verbose_nothing_is_reported)
{
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	const struct bhi_fault_call call = {.report = report, .arg = &world};

	attr.probability = 100;
	attr.verbose = 0;
	ck_assert(bhi_fault_should_fail(&attr, &call));
	ck_assert_uint_eq(world.nr_reports, 0);
}
END_TEST

START_TEST(the_depth_is_cut_to_32)
{
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	const struct bhi_fault_call call = {.capture = capture, .arg = &world};

	attr.probability = 100;
	attr.stack_depth = 1000;
	attr.nr_require = 1;
	attr.require[0] = (struct bhi_range){0, UINTPTR_MAX};
	ck_assert(bhi_fault_should_fail(&attr, &call));
	ck_assert_uint_eq(world.most, 32);
}
END_TEST

START_TEST(a_budget_is_used_up_and_its_rest_stays)
{
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	const struct bhi_fault_call call = {.size = 64};

	attr.probability = 100;
	attr.times = BHI_FAULT_UNLIMITED;
	attr.space = 200;
	/* 200, 136, 72, 8: three are let through, then the 8 are no more in the way. */
	for (int i = 0; i < 3; i++)
		ck_assert(!bhi_fault_should_fail(&attr, &call));
	for (int i = 0; i < 10; i++)
		ck_assert(bhi_fault_should_fail(&attr, &call));
	ck_assert_uint_eq(attr.space, 8);
	ck_assert_uint_eq(attr.nr_failed, 10);
}
END_TEST

START_TEST(the_interval_counts_the_eligible_ones_of_all)
{
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	const struct bhi_fault_call call = {.size = 1};
	unsigned mask = 0;

	attr.probability = 100;
	attr.times = BHI_FAULT_UNLIMITED;
	attr.interval = 4;
	for (unsigned i = 0; i < 12; i++)
		mask |= (unsigned)bhi_fault_should_fail(&attr, &call) << i;
	ck_assert_uint_eq(mask, 0x888);
}
END_TEST

START_TEST(fail_nth_fires_once_whichever_kind_it_meets)
{
	struct bhi_fault_attr attrs[2] = {BHI_FAULT_ATTR_INIT, BHI_FAULT_ATTR_INIT};
	uint32_t nth = 3;
	const struct bhi_fault_call call = {.nth = &nth};

	ck_assert(!bhi_fault_should_fail(&attrs[0], &call));
	ck_assert(!bhi_fault_should_fail(&attrs[1], &call));
	ck_assert_uint_eq(nth, 1);
	ck_assert(bhi_fault_should_fail(&attrs[0], &call));
	ck_assert_uint_eq(nth, 0);
	ck_assert(!bhi_fault_should_fail(&attrs[0], &call));
	ck_assert(!bhi_fault_should_fail(&attrs[1], &call));
}
END_TEST

START_TEST(draws_follow_the_seed_and_are_even)
{
	struct bhi_fault_attr one = BHI_FAULT_ATTR_INIT, two = BHI_FAULT_ATTR_INIT;
	const struct bhi_fault_call call = {0};
	unsigned nr = 0;

	one.probability = two.probability = 30;
	one.times = two.times = BHI_FAULT_UNLIMITED;
	one.random = two.random = 42;
	for (int i = 0; i < 100000; i++) {
		bool fails = bhi_fault_should_fail(&one, &call);

		ck_assert(fails == bhi_fault_should_fail(&two, &call));
		nr += fails;
	}
	/* Seven standard deviations. */
	ck_assert_uint_ge(nr, 29000);
	ck_assert_uint_le(nr, 31000);
}
END_TEST

START_TEST(a_system_call_fails_as_the_kernels_does)
{
	ck_assert_int_eq(bhi_fault_syscall_result(BHI_FAULT_MMAP, 0x5000), -ENOMEM);
	ck_assert_int_eq(bhi_fault_syscall_result(BHI_FAULT_MREMAP, 0x5000), -ENOMEM);
	/* brk(2) has no errors: the break stays where it is. */
	ck_assert_int_eq(bhi_fault_syscall_result(BHI_FAULT_BRK, 0x5000), 0x5000);
}
END_TEST

static BHI_NOINLINE unsigned walk(uintptr_t *ret, unsigned most)
{
	unsigned nr = bhi_stack_walk(ret, most);

	/* No tail call: this frame is to be there. */
	__asm__ volatile("" ::: "memory");
	return nr;
}

static BHI_NOINLINE unsigned walk_from_here(uintptr_t *ret, unsigned most)
{
	unsigned nr = walk(ret, most);

	__asm__ volatile("" ::: "memory");
	return nr;
}

START_TEST(a_stack_begins_behind_who_asked_for_it)
{
	struct bhi_range range, module;
	uintptr_t stack[BHI_STACK_DEPTH];
	unsigned nr = walk_from_here(stack, BHI_STACK_DEPTH);
	char place[100];

	ck_assert_uint_ge(nr, 3);
	ck_assert_int_eq(bhi_stack_find_function("walk_from_here", &range), 0);
	ck_assert(stack[0] >= range.start && stack[0] < range.end);
	ck_assert_int_eq(bhi_stack_find_module("test_fault", &module), 0);
	ck_assert(range.start >= module.start && range.end <= module.end);
	ck_assert_uint_eq(walk_from_here(stack, 1), 1);
	bhi_stack_describe(stack[0], place, sizeof(place));
	ck_assert_msg(!strncmp(place, "test_fault+0x", 13), "%s", place);
	ck_assert_str_eq(bhi_stack_describe(1, place, sizeof(place)), "0x1");
}
END_TEST

START_TEST(names_are_found_as_people_write_them)
{
	struct bhi_range libc, again, function;

	ck_assert_int_eq(bhi_stack_find_module("libc.so.6", &libc), 0);
	ck_assert_int_eq(bhi_stack_find_module("libc.so", &again), 0);
	ck_assert_uint_eq(libc.start, again.start);
	ck_assert_int_eq(bhi_stack_find_module("libc", &again), 0);
	ck_assert_uint_eq(libc.start, again.start);
	ck_assert_int_eq(bhi_stack_find_module("lib", &again), -ENOENT);
	ck_assert_int_eq(bhi_stack_find_module("", &again), -ENOENT);
	/* A dynamic symbol of another module, a static one of this. */
	ck_assert_int_eq(bhi_stack_find_function("__libc_start_main", &function), 0);
	ck_assert(function.start >= libc.start && function.end <= libc.end);
	ck_assert_int_eq(bhi_stack_find_function("walk", &function), 0);
	ck_assert_uint_le(function.start, (uintptr_t)walk);
	ck_assert_uint_gt(function.end, (uintptr_t)walk);
	ck_assert_int_eq(bhi_stack_find_function("", &function), -ENOENT);
	ck_assert_int_eq(bhi_stack_find_function("no_such_function", &function), -ENOENT);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, the_order_is_the_kernels, 0, (int)bhi_array_size(rows));
	tcase_add_test(tcase, without_verbose_nothing_is_reported);
	tcase_add_test(tcase, the_depth_is_cut_to_32);
	tcase_add_test(tcase, a_budget_is_used_up_and_its_rest_stays);
	tcase_add_test(tcase, the_interval_counts_the_eligible_ones_of_all);
	tcase_add_test(tcase, fail_nth_fires_once_whichever_kind_it_meets);
	tcase_add_test(tcase, draws_follow_the_seed_and_are_even);
	tcase_add_test(tcase, a_system_call_fails_as_the_kernels_does);
	tcase_add_test(tcase, a_stack_begins_behind_who_asked_for_it);
	tcase_add_test(tcase, names_are_found_as_people_write_them);
}

int main(void)
{
	return support_run("fault", add);
}
