/* SPDX-License-Identifier: MIT */
/*
 * The lab: what every scenario that comes with it gives under the rules of every era;
 * that a run is the same again; and that the search finds what it looks for, where it is.
 */
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "explore.h"
#include "generate.h"
#include "library.h"
#include "matrix.h"
#include "parse.h"
#include "shrink.h"
#include "svg.h"
#include "timeline.h"

#include "support.h"

static struct bhi_lab_scenario scenario;

static void read_scenario(const char *text)
{
	struct bhi_lab_error error = {.line = 0};
	int r = bhi_lab_parse("test", text, strlen(text), &scenario, &error);

	ck_assert_msg(!r, "%d:%d: %s", error.line, error.column, error.text);
}

static struct bhi_lab_outcome *run(int era, enum bhi_lab_strategy strategy, uint64_t seed)
{
	struct bhi_lab_outcome *outcome = bhi_lab_outcome_new();

	ck_assert_ptr_nonnull(outcome);
	ck_assert_int_eq(
		bhi_lab_child_run(&scenario, era, strategy, seed, true, outcome), 0);
	return outcome;
}

START_TEST(every_scenario_gives_what_it_expects_in_every_era)
{
	const struct bhi_lab_scenario *one = bhi_lab_library_get((unsigned)_i);

	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		struct bhi_lab_cell cell;
		char got[256], expected[256];

		ck_assert_msg(one->expect[era].is_set, "%s says nothing of %s", one->name,
			bhi_lab_eras[era].name);
		ck_assert_int_eq(bhi_lab_cell_run(one, era, true, &cell), 0);
		bhi_lab_outcome_text(one, cell.outcome, got, sizeof(got));
		bhi_lab_expect_text(one, era, expected, sizeof(expected));
		ck_assert_msg(cell.matches, "%s under %s: %s, not %s; %s", one->name,
			bhi_lab_eras[era].name, got, expected,
			cell.outcome->sentences[0]);
	}
}
END_TEST

START_TEST(no_scenario_locks_up_under_the_rules_of_bulkhead)
{
	for (unsigned i = 0; i < bhi_lab_library_count(); i++) {
		const struct bhi_lab_scenario *one = bhi_lab_library_get(i);

		ck_assert_int_ne(one->expect[BHI_LAB_BULKHEAD].verdict, BHI_LAB_LOCKUP);
		ck_assert_int_ne(one->expect[BHI_LAB_BULKHEAD].verdict, BHI_LAB_CRASH);
	}
	ck_assert_uint_ge(bhi_lab_library_count(), 16);
}
END_TEST

START_TEST(a_lockup_is_told_as_who_waits_for_whom)
{
	static const char *const sentences[] = {
		"a cycle: truncate waits for writer, which waits for truncate",
		"truncate, which was killed, waits for lock inode, which writer holds",
		"writer, which holds inode, waits for memory of group web, which comes "
		"back "
		"when truncate ends",
	};
	struct bhi_lab_cell cell;

	ck_assert_int_eq(bhi_lab_cell_run(bhi_lab_library_find("inode-lock"),
				 BHI_LAB_3_11, true, &cell),
		0);
	ck_assert_uint_eq(cell.outcome->nr_sentences, bhi_array_size(sentences));
	for (size_t i = 0; i < bhi_array_size(sentences); i++)
		ck_assert_str_eq(cell.outcome->sentences[i], sentences[i]);
}
END_TEST

START_TEST(a_wait_that_ends_late_is_no_lockup)
{
	/* The reaper tries for a second, which is virtual. */
	read_scenario("zone 16M\nevent e\n"
		      "task slow\n\thold\n\tmap 1M as m\n\ttouch m\n\tdump\n\tdumped\n"
		      "\trelease\n\tidle until e\n"
		      "task other\n\tsignal e\n"
		      "expect all completes\n");
	ck_assert_int_eq(
		run(BHI_LAB_BULKHEAD, BHI_LAB_ORDERLY, 1)->verdict, BHI_LAB_COMPLETES);
}
END_TEST

START_TEST(an_event_that_nobody_signals_is_a_lockup_that_says_so)
{
	struct bhi_lab_outcome *outcome;

	read_scenario("zone 16M\nevent never\ntask waits\n\twait never\n");
	outcome = run(BHI_LAB_BULKHEAD, BHI_LAB_ORDERLY, 1);
	ck_assert_int_eq(outcome->verdict, BHI_LAB_LOCKUP);
	ck_assert_str_eq(outcome->sentences[1],
		"waits waits for event never, which nobody will signal");
}
END_TEST

START_TEST(locks_taken_in_two_orders_are_a_cycle_in_every_era)
{
	read_scenario("zone 16M\nlock a mutex\nlock b mutex\n"
		      "task one\n\tfirst: lock a\n\tlock b\n\tunlock b\n\tunlock a\n"
		      "task two\n\tsecond: lock b\n\tlock a\n\tunlock a\n\tunlock b\n"
		      "schedule\n\tone.first two.second\n");
	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		struct bhi_lab_outcome *outcome = run(era, BHI_LAB_ORDERLY, 1);

		ck_assert_int_eq(outcome->verdict, BHI_LAB_LOCKUP);
		ck_assert_str_eq(outcome->sentences[0],
			"a cycle: one waits for two, which waits for one");
	}
}
END_TEST

START_TEST(memory_that_was_not_had_and_is_used_is_a_crash_of_that_task)
{
	struct bhi_lab_outcome *outcome;

	read_scenario("zone 16M\ngroup g max 64K on-limit fail\n"
		      "task careless in g\n\talloc 256K as p or ignore\n\tuse p\n");
	outcome = run(BHI_LAB_BULKHEAD, BHI_LAB_ORDERLY, 1);
	ck_assert_int_eq(outcome->verdict, BHI_LAB_CRASH);
	ck_assert(support_contains(outcome->sentences[0], "careless used memory"));
}
END_TEST

/* To the byte: the process that runs it fills in zeroed memory. */
static bool is_same(const void *one, const void *two, size_t size)
{
	return !memcmp(one, two, size);
}

START_TEST(the_same_seed_is_the_same_run)
{
	for (uint64_t seed = 1; seed < 40; seed++) {
		struct bhi_lab_outcome *one = bhi_lab_outcome_new();
		struct bhi_lab_outcome *two = bhi_lab_outcome_new();

		bhi_lab_generate(seed, &scenario);
		ck_assert_int_eq(
			bhi_lab_search_once(&scenario, BHI_LAB_3_11, seed, one), 0);
		ck_assert_int_eq(
			bhi_lab_search_once(&scenario, BHI_LAB_3_11, seed, two), 0);
		ck_assert(is_same(one, two, sizeof(*one)));
	}
}
END_TEST

START_TEST(another_seed_is_another_order)
{
	struct bhi_lab_outcome *one, *two;

	scenario = *bhi_lab_library_find("size-choice");
	scenario.nr_points = 0;
	one = run(BHI_LAB_BULKHEAD, BHI_LAB_RANDOM, 1);
	two = run(BHI_LAB_BULKHEAD, BHI_LAB_RANDOM, 2);
	ck_assert(!is_same(one->events, two->events, sizeof(one->events)));
}
END_TEST

static struct bhi_lab_search_result search(int era, uint64_t nr_seeds)
{
	const struct bhi_lab_search search = {
		.era = era, .first_seed = 1, .nr_seeds = nr_seeds, .jobs = 2};
	struct bhi_lab_search_result result;

	ck_assert_int_eq(bhi_lab_search_run(&search, &result), 0);
	ck_assert_uint_eq(result.nr_runs, nr_seeds);
	return result;
}

START_TEST(the_search_finds_lockups_where_there_are_some)
{
	struct bhi_lab_search_result result = search(BHI_LAB_3_11, 2000);

	ck_assert_uint_gt(result.nr_lockups, 0);
	ck_assert_uint_eq(result.nr_broken + result.nr_crashes, 0);
}
END_TEST

START_TEST(the_search_finds_none_under_the_rules_of_bulkhead)
{
	struct bhi_lab_search_result result = search(BHI_LAB_BULKHEAD, 2000);

	ck_assert_uint_eq(result.first_failure, UINT64_MAX);
	/* It has met what it was looking for. */
	ck_assert_uint_gt(result.nr_with_victims, 100);
	ck_assert_uint_gt(result.nr_with_errors, 10);
}
END_TEST

static unsigned count_steps(const struct bhi_lab_scenario *of)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < of->nr_tasks; i++)
		nr += of->tasks[i].nr_steps;
	return nr;
}

START_TEST(a_failure_is_made_smaller_and_still_fails)
{
	struct bhi_lab_outcome *outcome = bhi_lab_outcome_new();
	struct bhi_lab_search_result result = search(BHI_LAB_3_11, 1000);
	unsigned before;

	ck_assert_uint_ne(result.first_failure, UINT64_MAX);
	bhi_lab_generate(result.first_failure, &scenario);
	before = count_steps(&scenario);
	ck_assert_int_gt(bhi_lab_shrink(&scenario, BHI_LAB_3_11), 0);
	ck_assert_uint_lt(count_steps(&scenario), before);
	ck_assert_int_eq(
		bhi_lab_search_once(&scenario, BHI_LAB_3_11, scenario.seed, outcome), 0);
	ck_assert_int_eq(outcome->verdict, BHI_LAB_LOCKUP);
}
END_TEST

static struct bhi_lab_cell cell;

static void draw(void *arg)
{
	struct bhi_out out;

	bhi_out_init(&out, 1);
	((void (*)(struct bhi_out *))arg)(&out);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
}

static void draw_svg(struct bhi_out *out)
{
	bhi_lab_svg(out, cell.scenario, cell.era, cell.outcome);
}

static void draw_timeline(struct bhi_out *out)
{
	bhi_lab_timeline(out, cell.scenario, cell.outcome);
}

static void draw_json(struct bhi_out *out)
{
	bhi_lab_cell_json(out, &cell, true);
}

START_TEST(pictures_timelines_and_objects_tell_the_run)
{
	struct support_output svg, text, json;

	ck_assert_int_eq(bhi_lab_cell_run(bhi_lab_library_find("endless-hold"),
				 BHI_LAB_BULKHEAD, true, &cell),
		0);
	support_capture(draw, (void *)draw_svg, &svg);
	ck_assert(support_contains(svg.out, "<svg xmlns="));
	ck_assert(support_contains(svg.out, ">given up</text>"));
	ck_assert(support_contains(svg.out, ">reaped</text>"));
	ck_assert(support_contains(svg.out, "</svg>\n"));
	support_capture(draw, (void *)draw_timeline, &text);
	ck_assert(support_contains(text.out, "KILLED, with 8M"));
	ck_assert(support_contains(text.out, "the reaper was refused, try 10"));
	support_capture(draw, (void *)draw_json, &json);
	ck_assert(support_json_valid(json.out));
	ck_assert(support_contains(json.out, "\"given-up\""));
	support_output_fini(&svg);
	support_output_fini(&text);
	support_output_fini(&json);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, every_scenario_gives_what_it_expects_in_every_era, 0,
		(int)bhi_lab_library_count());
	tcase_add_test(tcase, no_scenario_locks_up_under_the_rules_of_bulkhead);
	tcase_add_test(tcase, a_lockup_is_told_as_who_waits_for_whom);
	tcase_add_test(tcase, a_wait_that_ends_late_is_no_lockup);
	tcase_add_test(tcase, an_event_that_nobody_signals_is_a_lockup_that_says_so);
	tcase_add_test(tcase, locks_taken_in_two_orders_are_a_cycle_in_every_era);
	tcase_add_test(
		tcase, memory_that_was_not_had_and_is_used_is_a_crash_of_that_task);
	tcase_add_test(tcase, the_same_seed_is_the_same_run);
	tcase_add_test(tcase, another_seed_is_another_order);
	tcase_add_test(tcase, the_search_finds_lockups_where_there_are_some);
	tcase_add_test(tcase, the_search_finds_none_under_the_rules_of_bulkhead);
	tcase_add_test(tcase, a_failure_is_made_smaller_and_still_fails);
	tcase_add_test(tcase, pictures_timelines_and_objects_tell_the_run);
}

int main(void)
{
	return support_run("lab", add_tests);
}
