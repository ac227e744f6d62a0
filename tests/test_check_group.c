/* SPDX-License-Identifier: MIT */
/* Which frame is to blame, which tests are one finding, and in which order points are
 * tried. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "check/group.h"
#include "check/merge.h"
#include "check/plan.h"

#include "support.h"

#define MAX_FRAMES 8
#define MAX_TESTS  6

/* "module!function+offset" words, innermost first; without a name or an offset where one
 * is left out. */
struct stack {
	struct bhi_check_place places[MAX_FRAMES];
	struct bhi_check_backtrace trace;
	char text[512];
};

static void make_stack(const char *words, struct stack *ret)
{
	char *rest, *word;

	*ret = (struct stack){.trace.places = ret->places};
	strncpy(ret->text, words ? words : "", sizeof(ret->text) - 1);
	for (word = strtok_r(ret->text, " ", &rest); word;
		word = strtok_r(NULL, " ", &rest)) {
		struct bhi_check_place *place = &ret->places[ret->trace.nr++];
		char *mark = strchr(word, '!'), *plus = strchr(word, '+');

		ck_assert_ptr_nonnull(mark);
		*mark = 0;
		place->module = place->path = word;
		place->build_id = "b1";
		if (plus) {
			*plus = 0;
			place->offset = strtoull(plus + 1, NULL, 16);
		}
		if (!mark[1])
			continue;
		place->function = place->own_function = mark + 1;
		place->function_offset = place->own_offset = place->offset & 0xff;
	}
}

struct site_row {
	const char *stack;
	const char *site; /* function, or offset, of the frame; NULL: none */
};

static const struct site_row crash_sites[] = {
	{"prog!f prog!main", "f"},
	/* What the caller gave to the library. */
	{"libc.so.6!strcmp prog!f prog!main", "f"},
	{"libc.so.6!strlen libc.so.6!strdup prog!f", "f"},
	{"libc.so.6!+10 prog!f prog!main", "f"},
	{"libc.so.6!strlen libc.so.6!+10 libc.so.6!printf prog!f", "f"},
	{"libc.so.6!+10 libc.so.6!+20 libc.so.6!vfprintf prog!f", "f"},
	{"libc.so.6!pthread_rwlock_rdlock libcrypto.so.3!lock libcrypto.so.3!init",
		"lock"},
	{"libc.so.6!+10 libc.so.6!raise libc.so.6!abort prog!f prog!main", "f"},
	{"libc.so.6!raise libc.so.6!abort libc.so.6!__assert_fail prog!f", "f"},
	{"libc.so.6!+10 libc.so.6!abort libc.so.6!+20 libc.so.6!free prog!f", "f"},
	/* What is wrong in the library itself. */
	{"libc.so.6!+10 libc.so.6!+20 libc.so.6!getpwuid_r libc.so.6!getpwuid ls!main",
		"10"},
	{"libc.so.6!raise libc.so.6!abort libc.so.6!__assert_fail libc.so.6!+20 "
	 "libc.so.6!getpwuid ls!main",
		"20"},
	{"libc.so.6!strlen libc.so.6!+30 libc.so.6!getpwuid ls!main", "30"},
	{"libc.so.6!start_thread libc.so.6!clone", "start_thread"},
	{"libc.so.6!abort", NULL},
	{"", NULL},
};

static const struct site_row injection_sites[] = {
	{"prog!f prog!main", "f"},
	{"prog!xmalloc prog!f prog!main", "f"},
	{"libc.so.6!strdup prog!xstrdup prog!f prog!main", "f"},
	{"libcrypto.so.3!CRYPTO_malloc libcrypto.so.3!CRYPTO_zalloc "
	 "libcrypto.so.3!LH_new",
		"LH_new"},
	{"libc.so.6!+10 libc.so.6!re_search sed!+20 sed!main", "20"},
	{"prog!xmalloc", "xmalloc"},
	{"libc.so.6!strdup", NULL},
	{"", NULL},
};

static void check_site(
	const struct site_row *row, size_t (*find)(const struct bhi_check_backtrace *))
{
	struct stack stack;
	char offset[24];
	size_t site;

	make_stack(row->stack, &stack);
	site = find(&stack.trace);
	if (!row->site) {
		ck_assert_msg(site == stack.trace.nr, "%s: %zu", row->stack, site);
		return;
	}
	ck_assert_msg(site < stack.trace.nr, "%s: none", row->stack);
	snprintf(offset, sizeof(offset), "%lx", stack.places[site].offset);
	ck_assert_str_eq(
		stack.places[site].function ? stack.places[site].function : offset,
		row->site);
}

START_TEST(a_crash_is_put_down_to_the_right_frame)
{
	check_site(&crash_sites[_i], bhi_check_crash_site);
}
END_TEST

START_TEST(a_refused_call_is_put_down_to_who_asked)
{
	check_site(&injection_sites[_i], bhi_check_injection_site);
}
END_TEST

struct test_row {
	enum bhi_check_class class;
	int signal;
	const char *injected, *crash, *message;
};

struct group_row {
	const char *what;
	size_t nr_findings;
	struct test_row tests[MAX_TESTS];
};

static const struct group_row groups[] = {
	{"the same crash, whatever was refused", 1,
		{{BHI_CHECK_CRASH, SIGSEGV, "p!f p!main", "libc.so.6!strcmp p!x+12 p!a",
			 NULL},
			{BHI_CHECK_CRASH, SIGSEGV, "p!g p!main",
				"libc.so.6!strcmp p!x+12 p!b", NULL}}},
	{"two places in one function, or two signals", 3,
		{{BHI_CHECK_CRASH, SIGSEGV, "p!f", "p!x+12 p!a", NULL},
			{BHI_CHECK_CRASH, SIGSEGV, "p!f", "p!x+13 p!a", NULL},
			{BHI_CHECK_CRASH, SIGBUS, "p!f", "p!x+13 p!a", NULL}}},
	{"one bug of the library in two programs", 1,
		{{BHI_CHECK_CRASH, SIGSEGV, "libc.so.6!+1 libc.so.6!getpwuid ls!f",
			 "libc.so.6!+10 libc.so.6!+11 libc.so.6!getpwuid ls!f", NULL},
			{BHI_CHECK_CRASH, SIGSEGV,
				"libc.so.6!+2 libc.so.6!getpwnam curl!g",
				"libc.so.6!+10 libc.so.6!+14 libc.so.6!getpwnam curl!g",
				NULL}}},
	{"wrong output, one cause: a function of the library that one place calls", 1,
		{{BHI_CHECK_WRONG_SILENT, 0, "libc.so.6!+1 libc.so.6!re_search sed!+20",
			 NULL, NULL},
			{BHI_CHECK_WRONG_SILENT, 0,
				"libc.so.6!+2 libc.so.6!+3 libc.so.6!re_search sed!+20",
				NULL, NULL}}},
	{"wrong output, two causes", 2,
		{{BHI_CHECK_WRONG_SILENT, 0, "libc.so.6!re_search sed!+20", NULL, NULL},
			{BHI_CHECK_WRONG_SILENT, 0, "libc.so.6!getdelim sed!+30", NULL,
				NULL}}},
	{"leaks in a library, one call of the program", 1,
		{{BHI_CHECK_LEAK, 0, "ssl!f ssl!init p!main libc.so.6!start", NULL, NULL},
			{BHI_CHECK_LEAK, 0,
				"ssl!g libc.so.6!once ssl!init p!main libc.so.6!start",
				NULL, NULL}}},
	{"leaks in the program", 2,
		{{BHI_CHECK_LEAK, 0, "p!f p!main libc.so.6!start", NULL, NULL},
			{BHI_CHECK_LEAK, 0, "p!g p!main libc.so.6!start", NULL, NULL}}},
	{"one loop, wherever it was looked at", 1,
		{{BHI_CHECK_BUSY_HANG, 0, "p!f p!main", "ssl!g ssl!h p!loop+1 p!main",
			 NULL},
			{BHI_CHECK_BUSY_HANG, 0, "p!g p!main",
				"libc.so.6!write ssl!i p!loop+5 p!main", NULL}}},
	{"two waits", 2,
		{{BHI_CHECK_DEADLOCK, 0, "p!f", "libc.so.6!futex_wait p!f+1 p!main",
			 NULL},
			{BHI_CHECK_DEADLOCK, 0, "p!f",
				"libc.so.6!futex_wait p!g+1 p!main", NULL}}},
	{"one policy, by the name of the reporter", 1,
		{{BHI_CHECK_POLICY_ABORT, SIGABRT, "p!f",
			 "libc.so.6!abort p!oom_handler+1 p!f", NULL},
			{BHI_CHECK_POLICY_ABORT, SIGABRT, "p!g",
				"libc.so.6!abort p!oom_handler+2 p!g", "other"}}},
	{"one policy, by what it says", 1,
		{{BHI_CHECK_POLICY_ABORT, SIGABRT, "p!f", "libc.so.6!abort p!+1 p!f",
			 "no memory for 12 bytes"},
			{BHI_CHECK_POLICY_ABORT, SIGABRT, "p!g",
				"libc.so.6!abort p!+2 p!g", "no memory for 7 bytes"}}},
	{"what was handled is none", 0,
		{{BHI_CHECK_HANDLED, 0, "p!f", NULL, NULL},
			{BHI_CHECK_ABSORBED, 0, "p!g", NULL, NULL},
			{BHI_CHECK_UNREACHED, 0, "p!g", NULL, NULL}}},
	{"worst first", 3,
		{{BHI_CHECK_LEAK, 0, "p!f", NULL, NULL},
			{BHI_CHECK_CORRUPTION, SIGABRT, "p!g",
				"libc.so.6!abort libc.so.6!free p!h p!main", NULL},
			{BHI_CHECK_BUSY_HANG, 0, "p!g", "p!loop p!main", NULL}}},
};

START_TEST(tests_of_one_cause_are_one_finding)
{
	const struct group_row *row = &groups[_i];
	static struct stack stacks[2 * MAX_TESTS];
	struct bhi_check_test tests[MAX_TESTS];
	struct bhi_check_session session = {.tests = tests};

	for (; session.nr_tests < MAX_TESTS && row->tests[session.nr_tests].injected;
		session.nr_tests++) {
		size_t i = session.nr_tests;
		const struct test_row *from = &row->tests[i];

		make_stack(from->injected, &stacks[2 * i]);
		make_stack(from->crash, &stacks[2 * i + 1]);
		tests[i] = (struct bhi_check_test){.stack = i + 1,
			.occurrence = 1,
			.class = from->class,
			.signal = from->signal,
			.injected = stacks[2 * i].trace,
			.crash = stacks[2 * i + 1].trace,
			.message = (char *)(uintptr_t)from->message};
		tests[i].key = bhi_check_test_key(&tests[i]);
	}
	bhi_check_group(&session);
	ck_assert_msg(session.nr_findings == row->nr_findings, "%s: %zu", row->what,
		session.nr_findings);
	for (size_t i = 0; i < session.nr_findings; i++) {
		ck_assert_ptr_nonnull(session.findings[i].site);
		if (i)
			ck_assert_int_ge(
				session.findings[i].class, session.findings[i - 1].class);
	}
	for (size_t i = 0; i < session.nr_tests; i++)
		ck_assert_int_eq(tests[i].finding < session.nr_findings,
			bhi_check_class_is_finding(tests[i].class));
	bhi_check_ungroup(&session);
}
END_TEST

START_TEST(a_finding_has_an_id_and_a_title)
{
	struct stack injected, crash;
	struct bhi_check_test test = {
		.stack = 1, .occurrence = 1, .class = BHI_CHECK_CRASH, .signal = SIGSEGV};
	struct bhi_check_session session = {.tests = &test, .nr_tests = 1};

	make_stack("libc.so.6!strdup p!gen p!main", &injected);
	make_stack("libc.so.6!strcmp p!find+17 p!main", &crash);
	test.injected = injected.trace;
	test.crash = crash.trace;
	test.key = bhi_check_test_key(&test);
	bhi_check_group(&session);
	ck_assert_uint_eq(session.nr_findings, 1);
	/* IDs are in people's baselines: they stay what they are. */
	ck_assert_str_eq(session.findings[0].id, "crash-82440817");
	ck_assert_str_eq(session.findings[0].module, "p");
	ck_assert_str_eq(session.findings[0].title,
		"SIGSEGV in strcmp, called by find when malloc in strdup, called by gen "
		"fails");
	bhi_check_ungroup(&session);
}
END_TEST

/* f and g call each other; it ends in either, wherever the stack ends. */
START_TEST(a_stack_that_is_used_up_is_one_finding)
{
	struct bhi_check_place f = {.module = "p",
		.path = "/p",
		.function = "f",
		.own_function = "f",
		.build_id = ""};
	struct bhi_check_place g = f, places[200];
	struct bhi_check_test test = {.class = BHI_CHECK_CRASH, .signal = SIGSEGV};
	uint64_t keys[3];

	g.function = g.own_function = "g";
	for (size_t i = 0; i < 200; i++)
		places[i] = i % 2 ? f : g;
	test.crash = (struct bhi_check_backtrace){places, 200};
	test.address = 0x7ffcd4e52ffc;
	keys[0] = bhi_check_test_key(&test);
	places[0] = f;
	places[0].own_offset = 7;
	keys[1] = bhi_check_test_key(&test);
	ck_assert_uint_eq(keys[0], keys[1]);
	/* It is as deep, and dies of a null pointer. */
	test.address = 8;
	keys[2] = bhi_check_test_key(&test);
	ck_assert_uint_ne(keys[0], keys[2]);
}
END_TEST

START_TEST(occurrences_are_spread_from_both_ends)
{
	static const struct {
		uint64_t nr_calls;
		unsigned samples;
		uint64_t expected[5];
	} rows[] = {
		{1, 2, {1, 0}},
		{2, 2, {1, 2, 0}},
		{9, 1, {1, 0}},
		{9, 2, {1, 9, 0}},
		{9, 3, {1, 9, 5, 0}},
		{100, 4, {1, 100, 34, 67, 0}},
		{3, 4, {1, 2, 3, 0}},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		unsigned sample = 0;

		do {
			ck_assert_uint_eq(bhi_check_occurrence(rows[i].nr_calls,
						  rows[i].samples, sample),
				rows[i].expected[sample]);
		} while (rows[i].expected[sample++]);
	}
}
END_TEST

/* Stacks 0, 1 and 3 are of module a, 2 of b. */
static void make_session(struct stack stacks[4], struct bhi_check_point_stack points[4],
	struct bhi_check_session *ret)
{
	static const char *const words[] = {"a!f", "libc.so.6!strdup a!g", "b!h", "a!i"};
	static const uint64_t nr_calls[] = {3, 1, 5, 2};

	for (size_t i = 0; i < 4; i++) {
		make_stack(words[i], &stacks[i]);
		points[i] = (struct bhi_check_point_stack){.hash = 100 + i,
			.trace = stacks[i].trace,
			.nr_calls = nr_calls[i]};
	}
	*ret = (struct bhi_check_session){.stacks = points, .nr_stacks = 4};
}

static void check_plan(const struct bhi_check_plan_options *options,
	const struct bhi_check_point *expected, size_t nr_expected)
{
	struct stack stacks[4];
	struct bhi_check_point_stack points[4];
	struct bhi_check_session session;
	struct bhi_check_point *plan;
	size_t nr;

	make_session(stacks, points, &session);
	nr = bhi_check_plan(&session, options, &plan);
	ck_assert_uint_eq(nr, nr_expected);
	for (size_t i = 0; i < nr; i++) {
		ck_assert_uint_eq(plan[i].stack, expected[i].stack);
		ck_assert_uint_eq(plan[i].occurrence, expected[i].occurrence);
	}
	free(plan);
}

START_TEST(every_stack_is_tried_once_before_any_is_tried_again)
{
	static const struct bhi_check_point expected[] = {{0, 1, 0}, {2, 1, 0}, {1, 1, 0},
		{3, 1, 0}, {0, 3, 0}, {2, 5, 0}, {3, 2, 0}};
	const struct bhi_check_plan_options options = {.samples = 2};

	check_plan(&options, expected, bhi_array_size(expected));
}
END_TEST

START_TEST(exhaustive_is_every_call)
{
	static const struct bhi_check_point expected[] = {{0, 1, 0}, {2, 1, 0}, {1, 1, 0},
		{3, 1, 0}, {0, 2, 0}, {2, 2, 0}, {3, 2, 0}, {0, 3, 0}, {2, 3, 0},
		{2, 4, 0}, {2, 5, 0}};
	const struct bhi_check_plan_options options = {.samples = 2, .exhaustive = true};

	check_plan(&options, expected, bhi_array_size(expected));
}
END_TEST

START_TEST(shards_are_all_of_it_together)
{
	struct bhi_check_plan_options options = {.samples = 2, .nr_shards = 3};
	struct stack stacks[4];
	struct bhi_check_point_stack points[4];
	struct bhi_check_session session;
	unsigned seen[4] = {0};

	make_session(stacks, points, &session);
	for (options.shard = 1; options.shard <= 3; options.shard++) {
		struct bhi_check_point *plan;
		size_t nr = bhi_check_plan(&session, &options, &plan);

		for (size_t i = 0; i < nr; i++) {
			ck_assert(bhi_check_in_shard(
				points[plan[i].stack].hash, options.shard, 3));
			seen[plan[i].stack]++;
		}
		free(plan);
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(seen[i], bhi_min(points[i].nr_calls, 2UL));
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_crash_is_put_down_to_the_right_frame, 0,
		(int)bhi_array_size(crash_sites));
	tcase_add_loop_test(tcase, a_refused_call_is_put_down_to_who_asked, 0,
		(int)bhi_array_size(injection_sites));
	tcase_add_loop_test(tcase, tests_of_one_cause_are_one_finding, 0,
		(int)bhi_array_size(groups));
	tcase_add_test(tcase, a_finding_has_an_id_and_a_title);
	tcase_add_test(tcase, a_stack_that_is_used_up_is_one_finding);
	tcase_add_test(tcase, occurrences_are_spread_from_both_ends);
	tcase_add_test(tcase, every_stack_is_tried_once_before_any_is_tried_again);
	tcase_add_test(tcase, exhaustive_is_every_call);
	tcase_add_test(tcase, shards_are_all_of_it_together);
}

int main(void)
{
	return support_run("check_group", add_tests);
}
