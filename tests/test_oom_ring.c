/* SPDX-License-Identifier: MIT */
/* The ring of OOM events: what becomes of the victims is added to it, and it is read
 * while others write. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "oom/oom.h"
#include "support.h"
#include "support_oom.h"

#if defined(__clang__)
/* Another function takes the lock. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

/* Until the reaper has given a victim up. */
static struct bh_oom_event await_given_up(void)
{
	struct bh_oom_event event;

	do {
		sched_yield();
		event = support_last_oom();
	} while (!event.nr_given_up);
	return event;
}

static char *report(enum bh_format format)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/report", support_dir());
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(bh_report_write(fileno(file), format), 0);
	fclose(file);
	return support_read_file(path);
}

static void assert_reported(const char *text_part, const char *json_part)
{
	char *text = report(BH_TEXT), *json = report(BH_JSON);

	ck_assert_msg(support_contains(text, text_part), "%s", text);
	ck_assert_msg(support_contains(json, json_part), "%s", json);
	ck_assert(support_json_valid(json));
	free(text);
	free(json);
}

/* A victim in a hold section, until it may stop. */
static uint32_t holds, may_stop; /* atomic */

static int hold(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	bh_hold();
	bhi_store_release(&holds, 1);
	support_await(&may_stop, 1);
	bh_release();
	return bh_check();
}

START_TEST(a_victim_that_holds_on_is_told_as_given_up_and_then_as_reaped)
{
	uint64_t size = 2 * MIB;
	struct support_entry entry;
	struct bh_group *over;
	struct bh_task *holder;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 3);
	over = support_limited(NULL, "over", 4 * MIB);
	holder = support_task(over, "holder", 0);
	support_enter(&entry, holder, hold, &size);
	support_await(&holds, 1);
	support_charge_to_oom(over);
	event = await_given_up();
	ck_assert_int_eq(event.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(event.nr_given_up, 1);
	ck_assert_int_eq(event.unreaped, BH_UNREAPED_HOLDING);
	ck_assert_uint_eq(event.nr_tries, 3);
	ck_assert_uint_eq(event.nr_reaped, 0);
	ck_assert_uint_eq(event.reaped, 0);
	assert_reported(
		"\n      killed: holding, with 2M of private memory\n      unable to "
		"reap: 1 of 1 in 3 tries, in a hold section\n\n",
		"\"given_up\": 1,\n        \"tries\": 3,\n        \"why_not\": "
		"\"holding\"");
	bhi_store(&may_stop, 1);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	/* By itself, and it is the same event. */
	event = support_last_oom();
	ck_assert_uint_eq(event.number, support_told.events[0].number);
	ck_assert_uint_eq(event.nr_given_up, 1);
	ck_assert_uint_eq(event.nr_reaped, 1);
	ck_assert_uint_eq(event.reaped, 2 * MIB);
	ck_assert_uint_eq(event.reaped_ns, entry.report.kill_to_bytes_ns);
	assert_reported("\n      unable to reap: 1 of 1 in 3 tries, in a hold section\n"
			"      reaped: 1 of 1, 2M in ",
		"\"reaped\": 1,\n        \"bytes\": 2097152,\n");
	bh_task_put(holder);
	support_end_told(over);
}
END_TEST

START_TEST(a_victim_that_is_dumped_is_told_as_such)
{
	struct bh_group *over;
	struct bh_task *task;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 2);
	over = support_limited(NULL, "over", 4 * MIB);
	task = support_idle_task(over, "dumped", 0, 2 * MIB);
	ck_assert_int_eq(bh_task_dump_begin(task), 0);
	support_charge_to_oom(over);
	event = await_given_up();
	ck_assert_int_eq(event.unreaped, BH_UNREAPED_DUMPED);
	ck_assert_uint_eq(event.nr_tries, 2);
	assert_reported("unable to reap: 1 of 1 in 2 tries, being dumped\n",
		"\"why_not\": \"dumped\"");
	bh_task_dump_end(task);
	bh_task_put(task);
	support_end_told(over);
}
END_TEST

/* It never ends, or ends before the reaper has given it up; its memory stays. */
START_TEST(a_cooperative_victim_is_told_as_such)
{
	const struct bh_task_attr attr = {
		.name = "cooperative", .flags = BH_TASK_COOPERATIVE};
	uint64_t size = 2 * MIB;
	struct support_entry entry;
	struct bh_group *over;
	struct bh_task *task;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, _i ? 1000 : 2);
	over = support_limited(NULL, "over", 4 * MIB);
	task = bh_task_new(over, &attr);
	support_enter(&entry, task, hold, &size);
	support_await(&holds, 1);
	support_charge_to_oom(over);
	if (_i)
		bhi_store(&may_stop, 1);
	event = await_given_up();
	ck_assert_int_eq(event.unreaped, BH_UNREAPED_COOPERATIVE);
	if (!_i)
		ck_assert_uint_eq(event.nr_tries, 2);
	ck_assert_uint_eq(event.reaped, 0);
	assert_reported("tries, cooperative\n", "\"why_not\": \"cooperative\"");
	bhi_store(&may_stop, 1);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	bh_task_put(task);
	support_end_told(over);
}
END_TEST

/* How many events come while one is copied, and which of the ring it is. */
static const struct {
	unsigned index, nr;
	uint64_t found; /* of 20 before; 0: it is no longer there */
} overtakings[] = {
	{0, 1, 20},
	{0, 15, 20},
	{0, 16, 36},
	{0, 40, 60},
	{15, 1, 6},
	{15, 16, 21},
	{7, 8, 13},
	{7, 9, 22},
};

static unsigned nr_coming;

static void overtake(enum bhi_testpoint point)
{
	unsigned nr = nr_coming;

	if (point != BHI_TP_EVENT_COPIED)
		return;
	nr_coming = 0;
	support_add_events(nr);
}

START_TEST(a_reader_that_is_overtaken_gets_a_whole_event_all_the_same)
{
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	support_add_events(20);
	nr_coming = overtakings[_i].nr;
	bhi_store_release(&bhi_testpoint_hook, overtake);
	ck_assert(bhi_oom_events_read(overtakings[_i].index, &event));
	ck_assert_uint_eq(event.number, overtakings[_i].found);
	ck_assert(support_is_whole(&event));
	ck_assert_uint_eq(nr_coming, 0);
	support_end();
}
END_TEST

START_TEST(events_are_read_and_reported_while_somebody_decides)
{
	struct bh_group *over;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", MIB);
	support_charge_to_oom(over);
	bhi_lock_acquire(&bhi_oom_lock);
	ck_assert(bhi_oom_events_read(0, &event));
	free(report(BH_TEXT));
	free(report(BH_JSON));
	bhi_lock_release(&bhi_oom_lock);
	support_end_told(over);
}
END_TEST

START_TEST(what_comes_too_late_changes_no_other_event)
{
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	support_add_events(16);
	bhi_oom_events_reaped(1, MIB, 1000);
	bhi_oom_events_given_up(1, BH_UNREAPED_HOLDING, 7);
	bhi_oom_events_reaped(1, 2 * MIB, 500);
	ck_assert(bhi_oom_events_read(15, &event));
	ck_assert_uint_eq(event.number, 1);
	ck_assert_uint_eq(event.reaped, 3 * MIB);
	ck_assert_uint_eq(event.reaped_ns, 1000);
	ck_assert_uint_eq(event.nr_reaped, 2);
	ck_assert_uint_eq(event.nr_given_up, 1);
	ck_assert_uint_eq(event.nr_tries, 7);
	ck_assert_int_eq(event.unreaped, BH_UNREAPED_HOLDING);
	support_add_events(1);
	/* The slot is event 17's now; no event is number 0. */
	for (uint64_t number = 0; number <= 1; number++) {
		bhi_oom_events_reaped(number, MIB, 1000);
		bhi_oom_events_given_up(number, BH_UNREAPED_DUMPED, 7);
	}
	ck_assert(bhi_oom_events_read(0, &event));
	ck_assert_uint_eq(event.number, 17);
	ck_assert_uint_eq(event.reaped, 0);
	ck_assert_uint_eq(event.reaped_ns, 0);
	ck_assert_uint_eq(event.nr_reaped, 0);
	ck_assert_uint_eq(event.nr_given_up, 0);
	ck_assert_int_eq(event.unreaped, BH_UNREAPED_NONE);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_victim_that_holds_on_is_told_as_given_up_and_then_as_reaped);
	tcase_add_test(tcase, a_victim_that_is_dumped_is_told_as_such);
	tcase_add_loop_test(tcase, a_cooperative_victim_is_told_as_such, 0, 2);
	tcase_add_loop_test(tcase,
		a_reader_that_is_overtaken_gets_a_whole_event_all_the_same, 0,
		(int)bhi_array_size(overtakings));
	tcase_add_test(tcase, events_are_read_and_reported_while_somebody_decides);
	tcase_add_test(tcase, what_comes_too_late_changes_no_other_event);
}

int main(void)
{
	return support_run("oom_ring", add);
}
