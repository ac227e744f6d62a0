/* SPDX-License-Identifier: MIT */
/* `bulkhead check --fast`: what copies show is what ordinary runs show, and where one
 * would not be sound none is made. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "support_check.h"

#define AGAIN   "\"$BH_COMMAND\" check -q -j 1 "
#define CHECK   AGAIN "--fresh "
#define SUBJECT " -- \"$BH_SUBJECTS/subject_copies\" "

/* The JSON report that the shell's line prints. */
static json_t *report_of(const char *script, int status)
{
	struct support_output output;
	json_t *report;

	support_shell(&output, status, script);
	report = json_loads(output.out, 0, NULL);
	ck_assert_msg(report != NULL, "%s: %s%s", script, output.out, output.err);
	support_output_fini(&output);
	return report;
}

/* Of the subject under this name, made with these options. */
static json_t *check(const char *name, const char *options, int status)
{
	char script[512];

	snprintf(script, sizeof(script), CHECK "%s --json" SUBJECT "%s", options, name);
	return report_of(script, status);
}

/* The same, going on where the call before stopped. */
static json_t *check_again(const char *name, const char *options, const char *more)
{
	char script[512];

	snprintf(script, sizeof(script), AGAIN "%s %s --json" SUBJECT "%s", options, more,
		name);
	return report_of(script, 0);
}

static const json_t *session(const json_t *report, const char *member)
{
	return json_object_get(json_object_get(report, "session"), member);
}

static json_int_t number(const json_t *report, const char *member)
{
	return json_integer_value(session(report, member));
}

static json_int_t nr_copies(const json_t *report)
{
	return number(report, "copies");
}

static void assert_same_tests(const json_t *one, const json_t *other)
{
	static const char *const members[] = {
		"stack", "occurrence", "class", "status", "signal", "key", "message"};
	const json_t *a = json_object_get(one, "tests"),
		     *b = json_object_get(other, "tests");

	ck_assert_uint_gt(json_array_size(a), 0);
	ck_assert_uint_eq(json_array_size(a), json_array_size(b));
	/* An ordinary run may set right what copies show, and is not needed for that. */
	ck_assert_int_eq(number(one, "unconfirmed"), number(other, "unconfirmed"));
	for (size_t i = 0; i < json_array_size(a); i++) {
		for (size_t k = 0; k < sizeof(members) / sizeof(*members); k++) {
			const json_t *x =
				json_object_get(json_array_get(a, i), members[k]);
			const json_t *y =
				json_object_get(json_array_get(b, i), members[k]);

			ck_assert_msg(
				json_equal(x, y), "test %zu: %s differs", i, members[k]);
		}
	}
}

static const struct way {
	const char *name, *options;
	int status;
	const char *reason; /* NULL: copies are made */
} ways[] = {
	{"thread", "", 0, "threads"},
	{"child", "", 0, "child processes"},
	{"memory", "", 0, "memory that is shared and writable"},
	{"file", "", 0, "files open for writing"},
	{"lock", "", 0, "locks on files"},
	{"pipe", "", 0, "pipes, sockets or other descriptors"},
	{"timer", "", 0, "timers"},
	{"orphan", "", 0, "child processes"},
	{"read_file", "", 0, NULL},
	{"reads", "--exhaustive --stdin $BH_SOURCE_ROOT/.editorconfig", 0, NULL},
	{"recursive", "", 0, NULL},
	{"errorcheck", "", 0, NULL},
	{"knows_itself", "", 0, NULL},
	{"leaves_process", "", 0, NULL},
	{"kills_group", "", 0, NULL},
	{"crashes", "--exhaustive", 1, NULL},
	{"crashes", "--exhaustive --mode persistent", 1, NULL},
	{"crashes", "--exhaustive --mode burst=2 -j 4", 1, NULL},
};
#define NR_WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

START_TEST(a_copy_shows_what_a_run_shows)
{
	const struct way *way = &ways[_i];
	json_t *ordinary = check(way->name, way->options, way->status), *fast;
	char options[128];

	snprintf(options, sizeof(options), "--fast %s", way->options);
	fast = check(way->name, options, way->status);
	assert_same_tests(ordinary, fast);
	ck_assert_ptr_null(session(ordinary, "copies"));
	if (way->reason) {
		const char *reason =
			json_string_value(session(fast, "no_more_copies_for"));

		ck_assert_ptr_nonnull(reason);
		ck_assert_str_eq(reason, way->reason);
	} else {
		ck_assert_ptr_null(session(fast, "no_more_copies_for"));
		ck_assert_int_eq(nr_copies(fast),
			(json_int_t)json_array_size(json_object_get(fast, "tests")));
	}
	json_decref(ordinary);
	json_decref(fast);
}
END_TEST

/* The outcome of the subject itself says so, and all is tested again. */
START_TEST(what_a_copy_leaves_behind_is_noticed)
{
	static const char *const names[] = {"leaves_file", "leaves_file_warns"};
	json_t *ordinary = check(names[_i], "", 0), *fast;

	fast = check(names[_i], "--fast", 0);
	assert_same_tests(ordinary, fast);
	ck_assert_int_ge(nr_copies(fast), 3);
	ck_assert_int_ge(number(fast, "runs"), 2 * nr_copies(fast));
	ck_assert_str_eq(json_string_value(session(fast, "no_more_copies_for")),
		"what a copy left behind");
	json_decref(ordinary);
	json_decref(fast);
}
END_TEST

/* What was executed goes on to the end, and what the copies showed before counts. */
START_TEST(a_program_that_executes_another_one_is_not_asked_again)
{
	json_t *ordinary = check("executes", "", 0), *fast;

	fast = check("executes", "--fast", 0);
	assert_same_tests(ordinary, fast);
	ck_assert_int_eq(nr_copies(fast), 1);
	ck_assert_int_eq(number(fast, "runs"), number(ordinary, "runs"));
	json_decref(ordinary);
	json_decref(fast);
}
END_TEST

START_TEST(where_a_run_shows_something_else_it_counts)
{
	json_t *ordinary = check("sees_itself", "--exhaustive", 0), *fast;

	fast = check("sees_itself", "--fast --exhaustive", 0);
	ck_assert_uint_eq(json_array_size(json_object_get(fast, "findings")), 1);
	ck_assert_int_eq(nr_copies(fast), 3);
	ck_assert_int_eq(number(fast, "unconfirmed"), 3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *a = json_array_get(json_object_get(ordinary, "tests"), i);
		const json_t *b = json_array_get(json_object_get(fast, "tests"), i);

		ck_assert(
			json_equal(json_object_get(a, "key"), json_object_get(b, "key")));
	}
	json_decref(ordinary);
	json_decref(fast);
}
END_TEST

/* Twelve points in one batch: three hang, and one in eight of the rest is tried. */
START_TEST(a_site_that_hangs_is_not_tried_at_each_of_its_calls)
{
	json_t *fast = check("hangs", "--fast --exhaustive --timeout 300ms", 1);

	ck_assert_int_ge(number(fast, "left_out"), 7);
	ck_assert_int_le(nr_copies(fast), 4);
	json_decref(fast);
}
END_TEST

/* The budget is used up at once: each call does something, and loses nothing. */
START_TEST(budget_after_budget_it_comes_to_the_end)
{
	static const char options[] = "--exhaustive --stdin $BH_SOURCE_ROOT/.gitignore ";
	json_t *ordinary = check("reads", options, 0), *fast = NULL;
	json_int_t nr_tests, before = 0;
	char all[256];
	int nr_calls = 0;

	do {
		snprintf(all, sizeof(all), "%s %s", nr_calls ? "" : "--fresh", options);
		json_decref(fast);
		fast = check_again("reads", "--fast --budget 1ms", all);
		nr_tests = (json_int_t)json_array_size(json_object_get(fast, "tests"));
		ck_assert_int_gt(nr_tests, before);
		before = nr_tests;
		nr_calls++;
	} while (json_is_true(session(fast, "out_of_budget")));
	assert_same_tests(ordinary, fast);
	json_decref(ordinary);
	json_decref(fast);
}
END_TEST

/* A crash is a finding once an ordinary run has shown it too; the fourth call is that of
 * standard output. */
START_TEST(a_finding_is_shown_by_an_ordinary_run_too)
{
	json_t *fast = check("crashes", "--fast --exhaustive", 1);

	ck_assert_int_eq(nr_copies(fast), 4);
	ck_assert_int_eq(number(fast, "runs"), 5);
	json_decref(fast);
}
END_TEST

START_TEST(the_report_says_how_many_were_copies)
{
	struct support_output output;

	support_shell(&output, 1, CHECK "--fast --exhaustive" SUBJECT "crashes");
	support_assert_says(&output, "4 of the runs were copies at the failing call.\n");
	support_output_fini(&output);
	support_shell(&output, 0, CHECK "--fast" SUBJECT "pipe");
	support_assert_says(&output,
		"0 of the runs were copies at the failing call; in the way of more were "
		"pipes, sockets or other descriptors.\n");
	support_output_fini(&output);
}
END_TEST

static const char *const refused[] = {
	"--mode pages", "--children follow", "--copy $BH_SUBJECTS"};

START_TEST(what_it_does_not_go_with_is_refused)
{
	struct support_output output;
	char script[512];

	snprintf(
		script, sizeof(script), CHECK "--fast %s" SUBJECT "crashes", refused[_i]);
	support_shell(&output, 2, script);
	ck_assert_str_eq(output.out, "");
	ck_assert_int_eq(support_count_lines(output.err), 1);
	ck_assert(support_contains(output.err, "bulkhead: check: --fast: not with --"));
	support_output_fini(&output);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_copy_shows_what_a_run_shows, 0, NR_WAYS);
	tcase_add_loop_test(tcase, what_a_copy_leaves_behind_is_noticed, 0, 2);
	tcase_add_test(tcase, a_program_that_executes_another_one_is_not_asked_again);
	tcase_add_test(tcase, where_a_run_shows_something_else_it_counts);
	tcase_add_test(tcase, a_site_that_hangs_is_not_tried_at_each_of_its_calls);
	tcase_add_test(tcase, budget_after_budget_it_comes_to_the_end);
	tcase_add_test(tcase, a_finding_is_shown_by_an_ordinary_run_too);
	tcase_add_test(tcase, the_report_says_how_many_were_copies);
	tcase_add_loop_test(tcase, what_it_does_not_go_with_is_refused, 0, 3);
}

int main(void)
{
	return support_run("check_fast", add_tests);
}
