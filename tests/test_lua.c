/* SPDX-License-Identifier: MIT */
/* The Lua adapter against the system's Lua: states in private memory, and their end. */
#include <errno.h>
#include <sched.h>

#include <bulkhead/lua.h>
#include <lualib.h>

#include "support.h"
#include "task/task.h"

#define MIB UINT64_C(1048576)

/* What happens inside one bh_task_enter(). */
struct work {
	const char *source;
	size_t budget;
	lua_State *L; /* NULL: a new one */
	lua_Integer result;
	struct bh_lua heap; /* as it was in the end */
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

	if (!work->L) {
		work->L = bh_lua_new(work->budget);
		if (!work->L)
			return -1;
		luaL_openlibs(work->L);
	}
	lua_settop(work->L, 0);
	if (luaL_loadstring(work->L, work->source) || lua_pcall(work->L, 0, 1, 0))
		return -2;
	work->result = lua_tointeger(work->L, -1);
	work->heap = *bh_lua_of(work->L);
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

START_TEST(outside_of_a_task_there_is_no_state)
{
	ck_assert_ptr_null(bh_lua_new(0));
}
END_TEST

START_TEST(a_state_is_private_memory_of_its_task)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {
		.source = "local s = 0; for i = 1, 100 do s = s + i end; return s"};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_int_eq(work.result, 5050);
	ck_assert_uint_eq(settled_usage(group), 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_group_put(group);
}
END_TEST

START_TEST(a_state_is_there_at_the_next_enter)
{
	struct bh_group *group = make_group(8 * MIB);
	struct bh_task *task = bh_task_new(group, NULL);
	struct work work = {.source = "n = (n or 0) + 1; return n"};
	struct bh_report report;

	for (int i = 1; i <= 3; i++) {
		ck_assert_int_eq(bh_task_enter(task, run_source, &work, &report), 0);
		ck_assert_int_eq(work.result, i);
	}
	bh_task_put(task);
	ck_assert_uint_eq(settled_usage(group), 0);
	bh_group_put(group);
}
END_TEST

START_TEST(a_table_that_doubles_is_killed)
{
	expect_kill("local t = {1} while true do table.move(t, 1, #t, #t + 1) end");
}
END_TEST

START_TEST(a_string_that_doubles_is_killed)
{
	expect_kill("local s = 'x' while true do s = s .. s end");
}
END_TEST

START_TEST(a_retry_loop_is_killed)
{
	expect_kill("local kept = {} while true do pcall(function()"
		    " while true do kept[#kept + 1] = ('x'):rep(1000 + #kept) end"
		    " end) end");
}
END_TEST

START_TEST(a_coroutine_that_is_killed_takes_its_state_along)
{
	expect_kill("local kept = {} coroutine.wrap(function()"
		    " while true do kept[#kept + 1] = {kept} end end)()");
}
END_TEST

/* Four megabytes live on, much more is garbage. */
static const char garbage[] =
	"local kept = {} for i = 1, 40 do kept[i] = ('x'):rep(100000 + i) end\n"
	"for i = 1, 2000 do local s = ('y'):rep(50000 + i) end\n"
	"return #kept";

START_TEST(a_budget_collects_garbage_before_the_limit)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {.source = garbage, .budget = 6 * MIB};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_int_eq(work.result, 40);
	ck_assert_uint_gt(work.heap.nr_refused, 0);
	bh_group_put(group);
}
END_TEST

START_TEST(without_a_budget_garbage_counts_as_memory)
{
	expect_kill(garbage);
}
END_TEST

/* They are allocated without a second attempt. */
START_TEST(a_budget_leaves_buffers_alone)
{
	struct bh_group *group = make_group(64 * MIB);
	struct work work = {
		.source = "local s = ('x'):rep(5000000)\n"
			  "local t = {s:upper(), s .. 'y', s:gsub('x', 'z', 9)}\n"
			  "return #t[1] + #table.concat(t, ' ', 1, 2)",
		.budget = MIB};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_int_eq(work.result, 15000002);
	bh_group_put(group);
}
END_TEST

START_TEST(a_budget_is_no_limit)
{
	struct bh_group *group = make_group(64 * MIB);
	struct work work = {.source = "local t = {} for i = 1, 100000 do t[i] = {i} end"
				      " return #t",
		.budget = MIB};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(work.result, 100000);
	/* each refusal moves the mark by a quarter: few, not one for each object */
	ck_assert_uint_gt(work.heap.nr_refused, 0);
	ck_assert_uint_lt(work.heap.nr_refused, 30);
	bh_group_put(group);
}
END_TEST

static int compare_counts(void *arg)
{
	struct work *work = arg;
	int r = run_source(arg);

	work->result = (lua_Integer)lua_gc(work->L, LUA_GCCOUNT) * 1024 +
		       lua_gc(work->L, LUA_GCCOUNTB);
	work->heap = *bh_lua_of(work->L);
	return r;
}

START_TEST(what_is_used_is_what_lua_counts)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {
		.source =
			"t = {} for i = 1, 1000 do t[i] = {i, tostring(i)} end return 1"};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, NULL, compare_counts, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_uint_eq(work.heap.used, (size_t)work.result);
	bh_group_put(group);
}
END_TEST

START_TEST(in_a_group_that_fails_the_script_sees_the_error)
{
	struct bh_group *group = make_group(8 * MIB);
	struct work work = {
		.source = "local ok, message = pcall(function()"
			  " local t = {1}"
			  " while true do table.move(t, 1, #t, #t + 1) end end)\n"
			  "assert(not ok and message == 'not enough memory')\n"
			  "return 7"};
	struct bh_report report;

	ck_assert_int_eq(bh_group_set(group, BH_ON_LIMIT, BH_FAIL), 0);
	ck_assert_int_eq(bh_task_run(group, NULL, run_source, &work, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_int_eq(work.result, 7);
	ck_assert_uint_eq(settled_usage(group), 0);
	bh_group_put(group);
}
END_TEST

static int raise_unprotected(void *arg)
{
	lua_State *L = bh_lua_new(0);

	(void)arg;
	lua_pushliteral(L, "nobody catches this");
	return lua_error(L);
}

START_TEST(an_error_that_nobody_catches_ends_the_task_and_not_the_process)
{
	struct bh_group *group = make_group(8 * MIB);
	struct bh_report report;

	ck_assert_int_eq(
		bh_task_run(group, NULL, raise_unprotected, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	bh_group_put(group);
}
END_TEST

static int open_and_close(void *arg)
{
	struct bh_task_stat before, after;

	(void)arg;
	bh_lua_close(bh_lua_new(0));
	bh_task_stat(bh_current(), &before);
	for (int i = 0; i < 200; i++) {
		lua_State *L = bh_lua_new(0);

		luaL_openlibs(L);
		bh_lua_close(L);
	}
	bh_lua_close(NULL);
	bh_task_stat(bh_current(), &after);
	/* 200 states at once would be ten times as much */
	return after.bytes < before.bytes + 512 * 1024;
}

START_TEST(a_closed_state_leaves_its_memory_to_the_task)
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
	tcase_add_test(tcase, outside_of_a_task_there_is_no_state);
	tcase_add_test(tcase, a_state_is_private_memory_of_its_task);
	tcase_add_test(tcase, a_state_is_there_at_the_next_enter);
	tcase_add_test(tcase, a_table_that_doubles_is_killed);
	tcase_add_test(tcase, a_string_that_doubles_is_killed);
	tcase_add_test(tcase, a_retry_loop_is_killed);
	tcase_add_test(tcase, a_coroutine_that_is_killed_takes_its_state_along);
	tcase_add_test(tcase, a_budget_collects_garbage_before_the_limit);
	tcase_add_test(tcase, without_a_budget_garbage_counts_as_memory);
	tcase_add_test(tcase, a_budget_leaves_buffers_alone);
	tcase_add_test(tcase, a_budget_is_no_limit);
	tcase_add_test(tcase, what_is_used_is_what_lua_counts);
	tcase_add_test(tcase, in_a_group_that_fails_the_script_sees_the_error);
	tcase_add_test(
		tcase, an_error_that_nobody_catches_ends_the_task_and_not_the_process);
	tcase_add_test(tcase, a_closed_state_leaves_its_memory_to_the_task);
}

int main(void)
{
	return support_run("lua", add);
}
