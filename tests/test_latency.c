/* SPDX-License-Identifier: MIT */
/* How long victims took: the histograms by themselves, and a kill in each of the states.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"
#include "support_task.h"
#include "task/latency.h"

#define US ((uint64_t)1000)
#define MS (1000 * US)

/* Any of them; each test is a process of its own. */
#define STATE BH_VICTIM_BLOCKED
#define KIND  BHI_LATENCY_ALL_BYTES

static void note(uint64_t ns)
{
	bhi_latency_note(STATE, KIND, ns);
}

static uint64_t percentile(unsigned permille)
{
	return bhi_latency_percentile(bhi_latency_of(STATE, KIND), permille);
}

static const struct {
	uint64_t ns;
	unsigned bucket;
	uint64_t end; /* where it ends */
} buckets[] = {
	{0, 0, US},
	{US - 1, 0, US},
	{US, 1, 2 * US},
	{4 * US - 1, 3, 4 * US},
	{4 * US, 4, 5 * US},
	{5 * US - 1, 4, 5 * US},
	{7 * US, 7, 8 * US},
	{8 * US - 1, 7, 8 * US},
	{8 * US, 8, 10 * US},
	{10 * US - 1, 8, 10 * US},
	{10 * US, 9, 12 * US},
	{15 * US, 11, 16 * US},
	{16 * US, 12, 20 * US},
	{MS, 35, 1024 * US},
	{1024 * US - 1, 35, 1024 * US},
	{1024 * US, 36, 1280 * US},
	{1000 * MS, 75, 1048576 * US},
	/* The last one has all that is longer than two hours. */
	{(UINT64_C(7) << 30) * US - 1, 126, (UINT64_C(7) << 30) * US},
	{(UINT64_C(7) << 30) * US, 127, (UINT64_C(8) << 30) * US},
	{(UINT64_C(1) << 40) * US, 127, (UINT64_C(8) << 30) * US},
	{UINT64_MAX / 2, 127, (UINT64_C(8) << 30) * US},
};

START_TEST(a_time_is_counted_in_its_bucket)
{
	const struct bhi_latency *latency = bhi_latency_of(STATE, KIND);

	note(buckets[_i].ns);
	ck_assert_uint_eq(latency->nr, 1);
	ck_assert_uint_eq(latency->max_ns, buckets[_i].ns);
	for (unsigned i = 0; i < BHI_LATENCY_BUCKETS; i++)
		ck_assert_uint_eq(latency->buckets[i], i == buckets[_i].bucket);
	/* Alone it is the maximum, which is exact. */
	ck_assert_uint_eq(percentile(500), bhi_min(buckets[_i].ns, buckets[_i].end));
	note(UINT64_MAX);
	ck_assert_uint_eq(percentile(500), buckets[_i].end);
	ck_assert_uint_eq(latency->max_ns, UINT64_MAX);
}
END_TEST

/* Every eighth of every doubling, up to an hour. */
START_TEST(a_percentile_is_at_most_a_quarter_or_a_microsecond_too_high)
{
	struct bhi_latency *latency = (struct bhi_latency *)bhi_latency_of(STATE, KIND);

	for (uint64_t base = 64; base < 3600 * 1000 * MS; base *= 2) {
		for (uint64_t ns = base; ns < 2 * base; ns += base / 8) {
			*latency = (struct bhi_latency){0};
			note(ns);
			note(UINT64_MAX);
			ck_assert_uint_gt(percentile(500), ns);
			ck_assert_uint_le(percentile(500), ns + bhi_max(ns / 4, US));
		}
	}
}
END_TEST

/* The values are @first, @first + @step and so on. */
static const struct {
	const char *about;
	unsigned nr, permille;
	uint64_t first, step, expected;
} percentiles[] = {
	{"none", 0, 500, 0, 0, 0},
	{"one", 1, 500, 3 * MS, 0, 3 * MS},
	{"one, the lowest thousandth", 1, 1, 3 * MS, 0, 3 * MS},
	{"one, all", 1, 1000, 3 * MS, 0, 3 * MS},
	{"half of 100 is the 50th", 100, 500, US, US, 56 * US},
	{"51 % is the 51st", 100, 510, US, US, 56 * US},
	{"the 56th is in the next bucket", 100, 560, US, US, 64 * US},
	{"99 % is cut to the maximum", 100, 990, US, US, 100 * US},
	{"half of 3 is the 2nd", 3, 500, US, 10 * US, 12 * US},
	{"a third of 3 is the 1st", 3, 333, US, 10 * US, 2 * US},
	{"and a little more is the 2nd", 3, 334, US, 10 * US, 12 * US},
	{"99 % of 101 is the 100th", 101, 990, US, US, 101 * US},
	{"all the same", 1000, 990, 500, 0, 500},
};

START_TEST(a_percentile_is_the_end_of_the_bucket_that_so_many_reach)
{
	for (unsigned i = 0; i < percentiles[_i].nr; i++)
		note(percentiles[_i].first + i * percentiles[_i].step);
	ck_assert_msg(percentile(percentiles[_i].permille) == percentiles[_i].expected,
		"%s: %lu", percentiles[_i].about, percentile(percentiles[_i].permille));
}
END_TEST

START_TEST(the_kinds_and_states_are_counted_apart)
{
	unsigned nr = 0;

	for (unsigned state = 0; state < BHI_VICTIM_STATES; state++) {
		for (unsigned kind = 0; kind < BHI_LATENCY_NR; kind++) {
			nr++;
			for (unsigned i = 0; i < nr; i++)
				bhi_latency_note((enum bh_victim_state)state,
					(enum bhi_latency_kind)kind, US);
		}
	}
	for (unsigned i = 0; i < nr; i++)
		ck_assert_uint_eq(
			bhi_latency_of((enum bh_victim_state)(i / BHI_LATENCY_NR),
				(enum bhi_latency_kind)(i % BHI_LATENCY_NR))
				->nr,
			i + 1);
}
END_TEST

/* A victim, until it may go on. */
#define VICTIM_SIZE (2 * MIB)

static struct {
	struct bh_mutex mutex;
	uint32_t ready, may_go_on; /* atomic */
} victim;

static int run(void *arg)
{
	(void)arg;
	return support_spin_touching(&victim.ready);
}

/* The last byte is too much: it is the only one that can be killed. */
static int call(void *arg)
{
	(void)arg;
	support_filled_map(VICTIM_SIZE, 1);
	(void)bh_malloc(VICTIM_SIZE);
	return 0;
}

static int touch(void *arg)
{
	(void)arg;
	support_filled_map(2 * VICTIM_SIZE, 1);
	return 0;
}

static int hold(void *arg)
{
	(void)arg;
	support_filled_map(VICTIM_SIZE, 1);
	bh_hold();
	bhi_store_release(&victim.ready, 1);
	support_await(&victim.may_go_on, 1);
	bh_release();
	return 0;
}

static int block(void *arg)
{
	(void)arg;
	support_filled_map(VICTIM_SIZE, 1);
	bh_block_enter();
	bhi_store_release(&victim.ready, 1);
	support_await(&victim.may_go_on, 1);
	bh_block_leave();
	return 0;
}

static int lock(void *arg)
{
	(void)arg;
	support_filled_map(VICTIM_SIZE, 1);
	bhi_store_release(&victim.ready, 1);
	(void)bh_mutex_lock(&victim.mutex);
	return 0;
}

static int fill(void *arg)
{
	(void)arg;
	support_filled_map(VICTIM_SIZE, 1);
	return 0;
}

static const struct {
	enum bh_victim_state state;
	const char *name;
	int (*fn)(void *arg);
	bool kills_itself; /* at the limit of its group */
} kills[] = {
	{BH_VICTIM_RUNNING, "running", run, false},
	{BH_VICTIM_IN_CALL, "in_call", call, true},
	{BH_VICTIM_IN_PAGEFAULT, "in_pagefault", touch, true},
	{BH_VICTIM_HOLDING, "holding", hold, false},
	{BH_VICTIM_BLOCKED, "blocked", block, false},
	{BH_VICTIM_BLOCKED, "blocked", lock, false},
	{BH_VICTIM_IDLE, "idle", fill, false},
};

/* The figures that the victim's own report has. */
static void check_figures(enum bh_victim_state state, const struct bh_report *report)
{
	const uint64_t figures[BHI_LATENCY_NR] = {
		[BHI_LATENCY_FIRST_BYTE] = report->kill_to_first_byte_ns,
		[BHI_LATENCY_ALL_BYTES] = report->kill_to_bytes_ns,
		[BHI_LATENCY_UNWOUND] = report->kill_to_unwound_ns,
	};

	ck_assert_int_eq(report->victim_state, state);
	for (unsigned i = 0; i < BHI_VICTIM_STATES * BHI_LATENCY_NR; i++) {
		enum bh_victim_state s = (enum bh_victim_state)(i / BHI_LATENCY_NR);
		enum bhi_latency_kind kind = (enum bhi_latency_kind)(i % BHI_LATENCY_NR);
		const struct bhi_latency *latency = bhi_latency_of(s, kind);
		/* An idle one has no thread to unwind. */
		bool counts = s == state &&
			      (state != BH_VICTIM_IDLE || kind != BHI_LATENCY_UNWOUND);

		ck_assert_uint_eq(latency->nr, counts);
		ck_assert_uint_eq(latency->max_ns, counts ? figures[kind] : 0);
		ck_assert(!counts || latency->max_ns);
	}
}

static void check_text(const char *name, bool unwound)
{
	static const char *const kinds[] = {"first byte", "all bytes", "unwound"};
	char path[256], line[64], *text;
	FILE *file;

	snprintf(path, sizeof(path), "%s/report", support_dir());
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(bh_report_write(fileno(file), BH_TEXT), 0);
	fclose(file);
	text = support_read_file(path);
	for (unsigned i = 0; i < BHI_LATENCY_NR; i++) {
		snprintf(line, sizeof(line), "\n  %-14s%-12s%7d ", name, kinds[i], 1);
		ck_assert_msg(support_contains(text, line) == (unwound || i < 2), "%s%s",
			line, text);
	}
	free(text);
}

/* Told or not, it does what it did until the kill is delivered. */
static void kill_it(struct bh_task *task, int (*fn)(void *arg))
{
	if (fn != fill)
		support_await(&victim.ready, 1);
	if (fn == lock)
		support_await_asleep(task);
	ck_assert_int_eq(bh_task_kill(task), 0);
	if (fn != hold)
		support_await_reaped(task);
	bhi_store_release(&victim.may_go_on, 1);
}

START_TEST(a_kill_is_counted_for_what_the_victim_did)
{
	struct support_entry entry;
	struct bh_group *group;
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	bh_mutex_init(&victim.mutex, "contended");
	ck_assert_int_eq(bh_mutex_lock(&victim.mutex), 0);
	group = support_limited(NULL, "group", VICTIM_SIZE + MIB);
	task = support_task(group, "victim", 0);
	support_enter(&entry, task, kills[_i].fn, NULL);
	if (kills[_i].fn == fill)
		ck_assert_int_eq(support_enter_end(&entry), 0);
	if (!kills[_i].kills_itself)
		kill_it(task, kills[_i].fn);
	/* An idle one hears of it when it is entered again. */
	if (kills[_i].fn == fill)
		support_enter(&entry, task, fill, NULL);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	check_figures(kills[_i].state, &entry.report);
	check_text(kills[_i].name, kills[_i].state != BH_VICTIM_IDLE);
	ck_assert_int_eq(bh_mutex_unlock(&victim.mutex), 0);
	bh_task_put(task);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, a_time_is_counted_in_its_bucket, 0, (int)bhi_array_size(buckets));
	tcase_add_test(
		tcase, a_percentile_is_at_most_a_quarter_or_a_microsecond_too_high);
	tcase_add_loop_test(tcase,
		a_percentile_is_the_end_of_the_bucket_that_so_many_reach, 0,
		(int)bhi_array_size(percentiles));
	tcase_add_test(tcase, the_kinds_and_states_are_counted_apart);
	tcase_add_loop_test(tcase, a_kill_is_counted_for_what_the_victim_did, 0,
		(int)bhi_array_size(kills));
}

int main(void)
{
	return support_run("latency", add);
}
