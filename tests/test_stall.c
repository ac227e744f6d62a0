/* SPDX-License-Identifier: MIT */
/*
 * Stall clocks on a made-up time, against a model in double precision that integrates
 * the stalled time of each period from the list of changes, whoever looked when.
 */
#include <math.h>
#include <stdlib.h>

#include "account/stall.h"
#include "support.h"

#define SECOND UINT64_C(1000000000)
#define PERIOD (2 * SECOND)
#define YEAR   (365 * 24 * 3600 * SECOND)
#define START  (UINT64_C(7) * YEAR + 12345)

/* What the report may differ by from the exact value: half of its last digit, 1/200 %,
 * and the rounding of the fixed point, which stays far below 1/10000 %. */
#define TOLERANCE 0.0051

/* The clock from .at on, both counts absolute. */
struct step {
	double at; /* seconds after START */
	int working, waiting;
};

struct model {
	double avg[3];   /* percent */
	double total_ns; /* up to the time asked for */
};

struct expected {
	struct model some, full;
};

/* How much of [@from, @to) lies in [@begin, @end). */
static double overlap(double from, double to, double begin, double end)
{
	double lo = from > begin ? from : begin;
	double hi = to < end ? to : end;

	return hi > lo ? hi - lo : 0;
}

static bool stalls(const struct step *step, bool full)
{
	return step->waiting > 0 && (!full || step->waiting >= step->working);
}

/* Stalled seconds of [@from, @to). */
static double stalled(
	const struct step *steps, size_t nr, bool full, double from, double to)
{
	double sum = 0;

	for (size_t i = 0; i < nr; i++) {
		double end = i + 1 < nr ? steps[i + 1].at : INFINITY;

		if (stalls(&steps[i], full))
			sum += overlap(from, to, steps[i].at, end);
	}
	return sum;
}

static struct model model_at(const struct step *steps, size_t nr, bool full, double at)
{
	static const double seconds[3] = {10, 60, 300};
	struct model model = {.total_ns = stalled(steps, nr, full, 0, at) * 1e9};
	size_t nr_periods = (size_t)(at / 2);

	for (size_t p = 0; p < nr_periods; p++) {
		double from = 2.0 * (double)p;
		double share = 50 * stalled(steps, nr, full, from, from + 2);

		for (int i = 0; i < 3; i++) {
			double decay = exp(-2 / seconds[i]);

			model.avg[i] = model.avg[i] * decay + share * (1 - decay);
		}
	}
	return model;
}

static uint64_t time_of(double at)
{
	return START + (uint64_t)llround(at * 1e9);
}

static void assert_matches(const struct bh_stall *stall, const struct model *model)
{
	ck_assert_double_eq_tol(stall->avg10 / 100.0, model->avg[0], TOLERANCE);
	ck_assert_double_eq_tol(stall->avg60 / 100.0, model->avg[1], TOLERANCE);
	ck_assert_double_eq_tol(stall->avg300 / 100.0, model->avg[2], TOLERANCE);
	/* doubles of seconds carry 1e-9 of the total */
	ck_assert_double_eq_tol(
		(double)stall->total_ns, model->total_ns, 2 + model->total_ns * 1e-9);
}

static void clock_go_to(struct bhi_stall_clock *clock, const struct step *step)
{
	bhi_stall_clock_change(clock, step->working - clock->nr_working,
		step->waiting - clock->nr_waiting, time_of(step->at));
}

/* Run @steps, looking at the clock every @interval seconds (0: never), and compare at
 * @end. */
static void check_steps(const struct step *steps, size_t nr, double interval, double end)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full;
	struct model model;
	double next = interval;

	bhi_stall_clock_init(&clock, time_of(0));
	for (size_t i = 0; i <= nr; i++) {
		double until = i < nr ? steps[i].at : end;

		for (; interval > 0 && next < until; next += interval)
			bhi_stall_clock_read(&clock, time_of(next), &some, &full);
		if (i < nr)
			clock_go_to(&clock, &steps[i]);
	}
	bhi_stall_clock_read(&clock, time_of(end), &some, &full);
	model = model_at(steps, nr, false, end);
	assert_matches(&some, &model);
	model = model_at(steps, nr, true, end);
	assert_matches(&full, &model);
}

static void check_all_intervals(const struct step *steps, size_t nr, double end)
{
	static const double intervals[] = {0, 0.013, 0.5, 1.9999, 2, 2.0001, 7.3, 61};

	for (size_t i = 0; i < bhi_array_size(intervals); i++)
		check_steps(steps, nr, intervals[i], end);
}

#define CHECK_STEPS(steps, end) check_all_intervals(steps, bhi_array_size(steps), end)

START_TEST(some_runs_while_one_waits_and_full_while_all_wait)
{
	static const struct {
		int working, waiting;
		bool some, full;
	} table[] = {
		{0, 0, false, false},
		{1, 0, false, false},
		{5, 0, false, false},
		{1, 1, true, true},
		{2, 1, true, false},
		{2, 2, true, true},
		{100000, 1, true, false},
		{100000, 99999, true, false},
		{100000, 100000, true, true},
	};

	for (size_t i = 0; i < bhi_array_size(table); i++) {
		struct bhi_stall_clock clock;
		struct bh_stall some, full;

		bhi_stall_clock_init(&clock, START);
		bhi_stall_clock_change(&clock, table[i].working, table[i].waiting, START);
		bhi_stall_clock_read(&clock, START + 777, &some, &full);
		ck_assert_uint_eq(some.total_ns, table[i].some ? 777 : 0);
		ck_assert_uint_eq(full.total_ns, table[i].full ? 777 : 0);
	}
}
END_TEST

START_TEST(a_new_clock_reads_zero)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full, zero = {0};

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_read(&clock, START + YEAR, &some, &full);
	ck_assert_mem_eq(&some, &zero, sizeof(zero));
	ck_assert_mem_eq(&full, &zero, sizeof(zero));
}
END_TEST

START_TEST(averages_follow_the_model_through_a_burst)
{
	static const struct step steps[] = {
		{0.3, 2, 0}, {1.1, 2, 1}, {3.7, 2, 2}, {4.2, 2, 1}, {9.9, 2, 0}};

	CHECK_STEPS(steps, 9.95);
	CHECK_STEPS(steps, 10);
	CHECK_STEPS(steps, 15.5);
	CHECK_STEPS(steps, 100);
	CHECK_STEPS(steps, 2000);
}
END_TEST

START_TEST(averages_follow_the_model_through_short_stalls)
{
	struct step steps[400];

	/* 1 ms in each 250 ms: 0.4 % for 50 s, where coarse fixed point would show */
	for (size_t i = 0; i < bhi_array_size(steps); i += 2) {
		steps[i] = (struct step){0.125 * (double)i, 1, 1};
		steps[i + 1] = (struct step){0.125 * (double)i + 0.001, 1, 0};
	}
	CHECK_STEPS(steps, 50);
	CHECK_STEPS(steps, 600);
}
END_TEST

START_TEST(averages_settle_at_the_share_that_is_stalled)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full;

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_change(&clock, 1, 0, START);
	for (uint64_t p = 0; p < 3000; p++) {
		bhi_stall_clock_change(&clock, 0, 1, START + p * PERIOD);
		bhi_stall_clock_change(&clock, 0, -1, START + p * PERIOD + PERIOD / 3);
	}
	bhi_stall_clock_read(&clock, START + 3000 * PERIOD, &some, &full);
	ck_assert_uint_eq(some.avg10, 3333);
	ck_assert_uint_eq(some.avg60, 3333);
	ck_assert_uint_eq(some.avg300, 3333);
	ck_assert_mem_eq(&some, &full, sizeof(some));
}
END_TEST

START_TEST(a_random_history_matches_the_model_however_it_is_read)
{
	enum {
		NR_STEPS = 60
	};
	struct step steps[NR_STEPS];

	for (unsigned seed = 1; seed <= 40; seed++) {
		double at = 0;

		srand(seed);
		for (size_t i = 0; i < NR_STEPS; i++) {
			/* mostly short, now and then several periods */
			at += (rand() % 7 ? 0.4 : 9.0) * rand() / RAND_MAX;
			steps[i].at = at;
			steps[i].working = 1 + rand() % 4;
			steps[i].waiting = rand() % (steps[i].working + 1);
		}
		check_all_intervals(steps, NR_STEPS, at + 20.0 * rand() / RAND_MAX);
	}
}
END_TEST

START_TEST(reading_inside_a_period_changes_no_average)
{
	struct bhi_stall_clock clock;
	struct bh_stall before, now, full;

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_change(&clock, 1, 1, START);
	bhi_stall_clock_read(&clock, START + 5 * PERIOD, &before, &full);
	ck_assert_uint_gt(before.avg300, 0);
	for (uint64_t ns = 1; ns < PERIOD; ns += 999983) {
		bhi_stall_clock_read(&clock, START + 5 * PERIOD + ns, &now, &full);
		ck_assert_uint_eq(now.avg10, before.avg10);
		ck_assert_uint_eq(now.avg60, before.avg60);
		ck_assert_uint_eq(now.avg300, before.avg300);
		ck_assert_uint_eq(now.total_ns, before.total_ns + ns);
	}
	bhi_stall_clock_read(&clock, START + 6 * PERIOD, &now, &full);
	ck_assert_uint_gt(now.avg300, before.avg300);
}
END_TEST

START_TEST(a_stall_before_a_long_gap_decays_through_the_gap)
{
	static const struct step steps[] = {{0, 1, 1}, {31, 1, 0}};
	static const double gaps[] = {1, 3, 60, 599, 3600, 7001};

	for (size_t i = 0; i < bhi_array_size(gaps); i++)
		CHECK_STEPS(steps, 31 + gaps[i]);
}
END_TEST

START_TEST(a_stall_that_lasts_for_years_reads_one_hundred_percent)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full;

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_change(&clock, 3, 3, START + 1);
	bhi_stall_clock_read(&clock, START + 300 * YEAR, &some, &full);
	ck_assert_uint_eq(some.total_ns, 300 * YEAR - 1);
	ck_assert_uint_eq(some.avg10, 10000);
	ck_assert_uint_eq(some.avg60, 10000);
	ck_assert_uint_eq(some.avg300, 10000);
	ck_assert_mem_eq(&some, &full, sizeof(some));

	bhi_stall_clock_change(&clock, -3, -3, START + 300 * YEAR);
	bhi_stall_clock_read(&clock, START + 500 * YEAR, &some, &full);
	ck_assert_uint_eq(some.total_ns, 300 * YEAR - 1);
	ck_assert_uint_eq(some.avg300, 0);
}
END_TEST

START_TEST(a_time_that_ran_backwards_counts_as_no_time)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full;

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_change(&clock, 2, 1, START + SECOND);
	bhi_stall_clock_read(&clock, START + 3 * SECOND, &some, &full);
	ck_assert_uint_eq(some.total_ns, 2 * SECOND);
	/* another thread that read the time earlier and got the lock later */
	bhi_stall_clock_change(&clock, 0, 1, START + 2 * SECOND);
	bhi_stall_clock_read(&clock, START + SECOND, &some, &full);
	ck_assert_uint_eq(some.total_ns, 2 * SECOND);
	ck_assert_uint_eq(full.total_ns, 0);
	bhi_stall_clock_read(&clock, START + 4 * SECOND, &some, &full);
	ck_assert_uint_eq(some.total_ns, 3 * SECOND);
	ck_assert_uint_eq(full.total_ns, SECOND);
}
END_TEST

START_TEST(totals_never_fall_and_full_never_exceeds_some)
{
	struct bhi_stall_clock clock;
	struct bh_stall some = {0}, full = {0}, last_some, last_full;
	uint64_t now = START;
	int working = 0, waiting = 0;

	srand(5);
	bhi_stall_clock_init(&clock, now);
	for (int i = 0; i < 20000; i++) {
		int new_working = rand() % 5;
		int new_waiting = rand() % (new_working + 1);

		/* one step in eight goes back */
		now += (uint64_t)(rand() % 900000000) - (i % 8 ? 0 : 300000000);
		bhi_stall_clock_change(
			&clock, new_working - working, new_waiting - waiting, now);
		working = new_working;
		waiting = new_waiting;
		last_some = some;
		last_full = full;
		bhi_stall_clock_read(&clock, now, &some, &full);
		ck_assert_uint_ge(some.total_ns, last_some.total_ns);
		ck_assert_uint_ge(full.total_ns, last_full.total_ns);
		ck_assert_uint_le(full.total_ns, some.total_ns);
		ck_assert_uint_le(full.avg10, some.avg10);
		ck_assert_uint_le(some.avg10, 10000);
	}
	ck_assert_uint_gt(full.total_ns, 0);
}
END_TEST

START_TEST(more_leaving_than_entered_is_reported_and_clamped)
{
	struct bhi_stall_clock clock;
	struct bh_stall some, full;
	unsigned warnings = bhi_warn_count();

	bhi_stall_clock_init(&clock, START);
	bhi_stall_clock_change(&clock, -1, -1, START);
	ck_assert_uint_eq(bhi_warn_count(), warnings + 2);
	bhi_stall_clock_change(&clock, 1, 1, START);
	bhi_stall_clock_read(&clock, START + 5, &some, &full);
	ck_assert_uint_eq(full.total_ns, 5);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, some_runs_while_one_waits_and_full_while_all_wait);
	tcase_add_test(tcase, a_new_clock_reads_zero);
	tcase_add_test(tcase, averages_follow_the_model_through_a_burst);
	tcase_add_test(tcase, averages_follow_the_model_through_short_stalls);
	tcase_add_test(tcase, averages_settle_at_the_share_that_is_stalled);
	tcase_add_test(tcase, a_random_history_matches_the_model_however_it_is_read);
	tcase_add_test(tcase, reading_inside_a_period_changes_no_average);
	tcase_add_test(tcase, a_stall_before_a_long_gap_decays_through_the_gap);
	tcase_add_test(tcase, a_stall_that_lasts_for_years_reads_one_hundred_percent);
	tcase_add_test(tcase, a_time_that_ran_backwards_counts_as_no_time);
	tcase_add_test(tcase, totals_never_fall_and_full_never_exceeds_some);
	tcase_add_test(tcase, more_leaving_than_entered_is_reported_and_clamped);
}

int main(void)
{
	return support_run("stall", add_tests);
}
