/* SPDX-License-Identifier: MIT */
/* Who is killed, as tables: kernel mm/oom_kill.c, oom_badness() and oom_evaluate_task().
 */
#include "base/sys.h"
#include "oom/choose.h"
#include "oom/events.h"
#include "support.h"

#define PAGES(n) ((uint64_t)(n) << BHI_PAGE_SHIFT)

static const struct {
	uint64_t bytes, total;
	int64_t expected;
	int32_t adj;
	bool is_inside;
} scores[] = {
	/* Pages, whatever is left of the last one. */
	{PAGES(100), PAGES(2000), 100, 0, false},
	{PAGES(100) + 4095, PAGES(2000), 100, 0, false},
	{PAGES(1), PAGES(1), 1, 0, true},
	/* adj is in thousandths of the total, rounded down. */
	{PAGES(100), PAGES(1000), 101, 1, false},
	{PAGES(100), PAGES(1999), 101, 1, false},
	{PAGES(100), PAGES(2000), 102, 1, false},
	{PAGES(100), PAGES(2000), 100 + 2000, 1000, false},
	{PAGES(100), PAGES(2000), 100 - 1998, -999, false},
	{PAGES(100), PAGES(1000) + 4095, 90, -10, false},
	/* Under 1000 pages it is nothing. */
	{PAGES(100), PAGES(999), 100, 1000, false},
	{PAGES(100), PAGES(999), 100, -999, false},
	{PAGES(100), 0, 100, 500, false},
	/* -1000 is never, in the smallest zone too. */
	{PAGES(100), PAGES(2000), BHI_OOM_NEVER, -1000, false},
	{PAGES(100), PAGES(999), BHI_OOM_NEVER, -1000, true},
	/* Nothing comes back from an idle task without memory; a thread inside of one
	 * ends its request. */
	{0, PAGES(2000), BHI_OOM_NEVER, 1000, false},
	{0, PAGES(2000), 0, 0, true},
	{0, PAGES(2000), -1998, -999, true},
	{1, PAGES(2000), 0, 0, false},
	/* As large as they get. */
	{(uint64_t)1 << 62, (uint64_t)1 << 62, ((int64_t)1 << 50), 0, true},
	{(uint64_t)1 << 62, (uint64_t)1 << 62,
		((int64_t)1 << 50) + ((int64_t)1 << 50) / 1000 * 1000, 1000, true},
};

START_TEST(points_are_pages_and_thousandths_of_the_total)
{
	const struct bhi_oom_candidate candidate = {
		.bytes = scores[_i].bytes,
		.adj = scores[_i].adj,
		.is_inside = scores[_i].is_inside,
	};

	ck_assert_int_eq(
		bhi_oom_points(&candidate, scores[_i].total), scores[_i].expected);
}
END_TEST

/* Up to five tasks in the order in which they are looked at. */
struct scan {
	const char *about;
	uint64_t total;
	struct bhi_oom_candidate tasks[5];
	unsigned nr;
	int chosen; /* -1: nobody; -2: a victim is not finished */
};

#define TASK(nr_pages, score)                                               \
	{                                                                   \
		.bytes = PAGES(nr_pages), .adj = (score), .is_inside = true \
	}
#define IDLE(nr_pages)                   \
	{                                \
		.bytes = PAGES(nr_pages) \
	}
#define VICTIM(nr_pages)                                    \
	{                                                   \
		.bytes = PAGES(nr_pages), .is_victim = true \
	}
#define SKIPPED(nr_pages)                                                       \
	{                                                                       \
		.bytes = PAGES(nr_pages), .is_victim = true, .is_skipped = true \
	}

static const struct scan scans[] = {
	{"nobody", PAGES(2000), {TASK(0, 0)}, 0, -1},
	{"the only one", PAGES(2000), {TASK(1, 0)}, 1, 0},
	{"the largest", PAGES(2000), {TASK(5, 0), TASK(9, 0), TASK(7, 0)}, 3, 1},
	{"a tie", PAGES(2000), {TASK(9, 0), TASK(9, 0), TASK(5, 0)}, 3, 1},
	{"a tie of three", PAGES(2000), {TASK(9, 0), TASK(9, 0), TASK(9, 0)}, 3, 2},
	{"a tie by adj", PAGES(2000), {TASK(9, 0), TASK(7, 1), TASK(8, 0)}, 3, 1},
	{"the least negative", PAGES(2000), {TASK(5, -900), TASK(5, -800)}, 2, 1},
	{"all below zero", PAGES(2000), {TASK(5, -900)}, 1, 0},
	{"small but wanted", PAGES(2000), {TASK(900, 0), TASK(1, 500)}, 2, 1},
	{"adj in a small zone", PAGES(999), {TASK(9, -999), TASK(8, 1000)}, 2, 0},
	{"all are never killed", PAGES(2000), {TASK(9, -1000), TASK(5, -1000)}, 2, -1},
	{"the largest is not killed", PAGES(2000), {TASK(9, -1000), TASK(5, 0)}, 2, 1},
	{"never, in a small zone", PAGES(999), {TASK(9, -1000), TASK(5, 0)}, 2, 1},
	{"idle tasks count", PAGES(2000), {TASK(5, 0), IDLE(6)}, 2, 1},
	{"idle and empty", PAGES(2000), {IDLE(0)}, 1, -1},
	{"idle and empty, and another", PAGES(2000), {TASK(0, 0), IDLE(0)}, 2, 0},
	{"a victim before", PAGES(2000), {VICTIM(1), TASK(9, 0)}, 2, -2},
	{"a victim behind", PAGES(2000), {TASK(9, 0), VICTIM(1)}, 2, -2},
	{"a victim without memory", PAGES(2000), {TASK(9, 0), VICTIM(0)}, 2, -2},
	{"a finished victim", PAGES(2000), {SKIPPED(99), TASK(9, 0)}, 2, 1},
	{"only finished victims", PAGES(2000), {SKIPPED(99), SKIPPED(1)}, 2, -1},
	{"a finished and another", PAGES(2000), {SKIPPED(1), TASK(9, 0), VICTIM(1)}, 3,
		-2},
};

static int choose(const struct scan *scan)
{
	int64_t best = BHI_OOM_NEVER;
	int chosen = -1;

	for (unsigned i = 0; i < scan->nr; i++) {
		switch (bhi_oom_consider(&scan->tasks[i], scan->total, &best)) {
		case BHI_OOM_ABORT:
			return -2;
		case BHI_OOM_TAKE:
			chosen = (int)i;
			break;
		case BHI_OOM_PASS:
			break;
		}
	}
	return chosen;
}

START_TEST(the_scan_takes_the_last_of_the_best_and_waits_for_victims)
{
	int chosen = choose(&scans[_i]);

	ck_assert_msg(chosen == scans[_i].chosen, "%s: %d", scans[_i].about, chosen);
}
END_TEST

/* Rows of the OOM report, in the order of the scan. */
START_TEST(the_table_of_an_oom_has_the_best_and_the_one_that_is_chosen_first)
{
	static const int64_t points[] = {3, 9, BHI_OOM_NEVER, 9, 1, 9, 4, 5, 9, 2, 8, 9,
		-7, 0, 0, -8, 6, 6, BHI_OOM_NEVER, 7};
	static const int64_t sorted[BH_OOM_ROWS] = {
		9, 9, 9, 9, 9, 8, 7, 6, 6, 5, 4, 3, 2, 1, 0, 0};
	struct bh_oom_event event = {0};

	for (uint32_t i = 0; i < bhi_array_size(points); i++) {
		struct bh_oom_row *row = bhi_oom_event_row(&event, points[i]);

		ck_assert_uint_eq(event.nr_rows + event.nr_more, i + 1);
		/* The second one that is never chosen finds the table full. */
		ck_assert((row == NULL) == (i == 18));
		if (row)
			row->bytes = i;
	}
	ck_assert_uint_eq(event.nr_rows, BH_OOM_ROWS);
	ck_assert_uint_eq(event.nr_more, bhi_array_size(points) - BH_OOM_ROWS);
	ck_assert_uint_eq(event.rows[0].bytes, 11);
	for (uint32_t i = 0; i < BH_OOM_ROWS; i++)
		ck_assert_int_eq(event.rows[i].points, sorted[i]);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, points_are_pages_and_thousandths_of_the_total, 0,
		(int)bhi_array_size(scores));
	tcase_add_loop_test(tcase,
		the_scan_takes_the_last_of_the_best_and_waits_for_victims, 0,
		(int)bhi_array_size(scans));
	tcase_add_test(
		tcase, the_table_of_an_oom_has_the_best_and_the_one_that_is_chosen_first);
}

int main(void)
{
	return support_run("oom_choose", add);
}
