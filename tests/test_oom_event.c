/* SPDX-License-Identifier: MIT */
/* What is said of an OOM, to the host's on_oom and in the ring. */
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "account/stock.h"
#include "debug/inject.h"
#include "base/pool.h"
#include "reclaim/background.h"
#include "support.h"
#include "support_oom.h"

/* For the current task. */
static int take_by_call(void *arg)
{
	(void)bh_malloc(*(uint64_t *)arg);
	return 0;
}

static int take_by_touch(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	return 0;
}

static int charge(void *arg)
{
	int r = 0;

	for (uint64_t size = 0; size < 3 * MIB && !r; size += PIECE)
		r = bh_charge(bh_group_of(arg), PIECE, BH_NORECLAIM | BH_NOWARN);
	return r;
}

static int lower_max(void *arg)
{
	return bh_group_set(bh_group_of(arg), BH_MAX, 4 * MIB);
}

/* Who asks, in a group of 8 MiB with a victim of 6; and what is said of it. */
static const struct asking {
	int (*fn)(void *arg);
	uint64_t size;
	bool in_task, in_zone;
	enum bh_oom_origin origin;
	uint32_t flags;
	bool is_private, in_signal;
	uint64_t asked;
} askings[] = {
	{take_by_call, 3 * MIB, true, false, BH_OOM_CALL, 0, true, false, 3 * MIB},
	{take_by_touch, 3 * MIB, true, false, BH_OOM_PAGEFAULT, 0, true, true, PAGE},
	{charge, 0, true, false, BH_OOM_CALL, BH_NORECLAIM | BH_NOWARN, false, false,
		PIECE},
	{charge, 0, false, false, BH_OOM_CALL, BH_NORECLAIM | BH_NOWARN, false, false,
		PIECE},
	{lower_max, 0, true, false, BH_OOM_LIMIT, 0, false, false, 2 * MIB + PAGE},
	{lower_max, 0, false, false, BH_OOM_LIMIT, 0, false, false, 2 * MIB + PAGE},
	{take_by_call, 8 * MIB, true, true, BH_OOM_CALL, 0, true, false, 8 * MIB},
	{take_by_touch, 8 * MIB, true, true, BH_OOM_PAGEFAULT, 0, true, true, PAGE},
};

static void check_asker(const struct asking *asking, const struct bh_oom_event *event)
{
	ck_assert_str_eq(event->asker, asking->in_task ? "asker" : "");
	ck_assert_str_eq(event->asker_group, asking->in_task ? "/over/askers" : "");
	ck_assert_int_eq(event->asker_adj, asking->in_task ? -7 : 0);
	ck_assert_int_eq(event->origin, asking->origin);
	ck_assert_uint_eq(event->flags, asking->flags);
	ck_assert_uint_eq(event->is_private, asking->is_private);
	ck_assert_uint_eq(event->asked, asking->asked);
	ck_assert(support_told.was_in_signal == asking->in_signal);
}

START_TEST(the_host_is_told_once_who_asked_for_what_and_which_limit_it_was)
{
	const struct asking *asking = &askings[_i];
	struct bh_group *over, *askers;
	struct bh_task *victim, *asker;
	struct bh_oom_event event;
	uint64_t size = asking->size;
	void *object, *arg;

	support_start_told(asking->in_zone ? 16 * MIB : TASK_ZONE, 0);
	over = support_limited(NULL, "over", asking->in_zone ? BH_UNLIMITED : 8 * MIB);
	support_set(over, BH_ON_LIMIT, BH_KILL);
	askers = support_group(over, "askers");
	victim = support_told.victim =
		support_idle_task(over, "victim", 0, asking->in_zone ? 9 * MIB : 6 * MIB);
	asker = support_task(askers, "asker", -7);
	/* What leads to the group from inside. */
	object = bh_alloc_pages(over, 0, 0);
	arg = size ? (void *)&size : object;
	if (asking->in_task)
		ck_assert_int_eq(bh_task_enter(asker, asking->fn, arg, NULL), 0);
	else
		ck_assert_int_eq(asking->fn(arg), 0);
	event = support_only_oom();
	check_asker(asking, &event);
	ck_assert_str_eq(event.over, asking->in_zone ? "/" : "/over");
	ck_assert_int_eq(
		event.constraint, asking->in_zone ? BH_OOM_IN_ZONE : BH_OOM_IN_GROUP);
	ck_assert_uint_eq(
		event.limit, support_stat(asking->in_zone ? bh_root() : over).max);
	ck_assert_uint_gt(event.usage, 6 * MIB);
	ck_assert_str_eq(event.victim, "victim");
	bh_free_pages(object, 0);
	bh_task_put(victim);
	bh_task_put(asker);
	bh_group_put(askers);
	support_end_told(over);
}
END_TEST

/* private 5 MiB, shared 4, of the host 2, left behind 3, in the group and below it. */
START_TEST(the_usage_of_the_group_is_told_by_what_it_is)
{
	uint64_t size = 2 * MIB;
	struct bh_group *over, *child, *gone;
	struct bh_task *victim, *other, *asker;
	struct bh_oom_event event;
	void *shared;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 15 * MIB);
	child = support_group(over, "child");
	gone = support_group(child, "gone");
	victim = support_idle_task(child, "victim", 0, 4 * MIB);
	other = support_idle_task(over, "other", 0, MIB);
	asker = support_task(over, "asker", 0);
	shared = bh_alloc_pages(child, 10, 0);
	ck_assert_ptr_nonnull(shared);
	ck_assert_int_eq(bh_charge(child, MIB, 0), 0);
	ck_assert_int_eq(bh_charge(over, MIB, 0), 0);
	ck_assert_int_eq(bh_charge(gone, 3 * MIB, 0), 0);
	bh_group_put(gone);
	bhi_stock_drain(bh_root());
	ck_assert_uint_eq(support_stat(over).usage, 14 * MIB);
	ck_assert_int_eq(bh_task_enter(asker, take_by_call, &size, NULL), 0);
	event = support_only_oom();
	ck_assert_uint_eq(event.usage, 14 * MIB);
	ck_assert_uint_eq(event.limit, 15 * MIB);
	ck_assert_uint_eq(event.private_bytes, 5 * MIB);
	ck_assert_uint_eq(event.shared_bytes, 4 * MIB);
	ck_assert_uint_eq(event.external, 2 * MIB);
	ck_assert_uint_eq(event.left_behind, 3 * MIB);
	ck_assert_uint_gt(event.failcnt, 0);
	ck_assert_uint_le(event.failcnt, support_stat(over).failcnt);
	bh_uncharge(gone, 3 * MIB);
	bh_uncharge(child, MIB);
	bh_uncharge(over, MIB);
	bh_free_pages(shared, 10);
	bh_task_put(victim);
	bh_task_put(other);
	bh_task_put(asker);
	bh_group_put(child);
	support_end_told(over);
}
END_TEST

/* Tasks that do something until they may stop. */
static struct {
	uint32_t nr, may_stop; /* atomic */
} doers;

static int hold(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	bh_hold();
	bhi_add(&doers.nr, 1);
	support_await(&doers.may_stop, 1);
	bh_release();
	return 0;
}

static int block(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	bh_block_enter();
	bhi_add(&doers.nr, 1);
	support_await(&doers.may_stop, 1);
	bh_block_leave();
	return 0;
}

static int run(void *arg)
{
	volatile char *p = support_filled_map(*(uint64_t *)arg, 1);

	bhi_add(&doers.nr, 1);
	while (!bhi_load(&doers.may_stop))
		p[0]++;
	return 0;
}

#define NR_IDLE 16

/* The asker is preferred; 17 others have 100, 99, 98 pages and so on. */
START_TEST(the_table_has_the_16_with_most_points_and_what_they_do)
{
	static const struct {
		int (*fn)(void *arg);
		const char *name;
		enum bh_victim_state state;
	} doings[] = {
		{run, "runs", BH_VICTIM_RUNNING},
		{hold, "holds", BH_VICTIM_HOLDING},
		{block, "blocks", BH_VICTIM_BLOCKED},
	};
	uint64_t sizes[bhi_array_size(doings)], want = 8 * MIB;
	struct support_entry entries[bhi_array_size(doings)];
	struct bh_task *tasks[bhi_array_size(doings)], *idle[NR_IDLE], *asker;
	struct bh_group *over, *low;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 8 * MIB);
	low = support_group(over, "low");
	for (size_t i = 0; i < bhi_array_size(doings); i++) {
		sizes[i] = (100 - i) * PAGE;
		tasks[i] = support_task(low, doings[i].name, 0);
		support_enter(&entries[i], tasks[i], doings[i].fn, &sizes[i]);
		support_await(&doers.nr, (uint32_t)i + 1);
	}
	for (uint32_t i = 0; i < NR_IDLE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "idle-%u", i);
		idle[i] = support_idle_task(
			i % 2 ? low : over, name, i == 15 ? -1000 : 0, (97 - i) * PAGE);
	}
	asker = support_told.victim = support_task(over, "asker", 1000);
	ck_assert_int_eq(
		bh_task_enter(asker, _i ? take_by_call : take_by_touch, &want, NULL),
		-ECANCELED);
	event = support_only_oom();
	ck_assert_uint_eq(event.nr_candidates, 3 + NR_IDLE);
	ck_assert_uint_eq(event.nr_rows, BH_OOM_ROWS);
	ck_assert_uint_eq(event.nr_more, 3 + NR_IDLE + 1 - BH_OOM_ROWS);
	ck_assert_str_eq(event.rows[0].name, "asker");
	ck_assert_str_eq(event.rows[0].group, "/over");
	ck_assert_int_eq(event.rows[0].oom_score_adj, 1000);
	ck_assert_int_eq(
		event.rows[0].state, _i ? BH_VICTIM_IN_CALL : BH_VICTIM_IN_PAGEFAULT);
	ck_assert_int_eq(event.rows[0].points,
		(int64_t)(event.rows[0].bytes / PAGE) + 1000 * (2048 / 1000));
	for (uint32_t i = 0; i < BH_OOM_ROWS; i++) {
		ck_assert_uint_eq(event.rows[i].is_asker, i == 0);
		ck_assert_uint_eq(event.rows[i].is_chosen, i == 0);
		if (!i)
			continue;
		ck_assert_int_eq(event.rows[i].points, 101 - (int64_t)i);
		ck_assert_uint_eq(event.rows[i].bytes, (101 - i) * PAGE);
		ck_assert_int_eq(event.rows[i].oom_score_adj, 0);
	}
	for (uint32_t i = 0; i < bhi_array_size(doings); i++) {
		ck_assert_str_eq(event.rows[1 + i].name, doings[i].name);
		ck_assert_str_eq(event.rows[1 + i].group, "/over/low");
		ck_assert_int_eq(event.rows[1 + i].state, doings[i].state);
	}
	ck_assert_str_eq(event.rows[4].name, "idle-0");
	ck_assert_str_eq(event.rows[4].group, "/over");
	ck_assert_int_eq(event.rows[4].state, BH_VICTIM_IDLE);
	bhi_store(&doers.may_stop, 1);
	for (size_t i = 0; i < bhi_array_size(doings); i++) {
		ck_assert_int_eq(support_enter_end(&entries[i]), 0);
		bh_task_put(tasks[i]);
	}
	for (int i = 0; i < NR_IDLE; i++)
		bh_task_put(idle[i]);
	bh_task_put(asker);
	bh_group_put(low);
	support_end_told(over);
}
END_TEST

/* Why the victim is the victim: tasks of the group, and the sentence. */
static const struct {
	int nr_equal; /* idle tasks of 1 MiB; the limit is 2048 pages */
	int adj;
	const char *why, *victim;
} reasons[] = {
	{1, 0, "most points: 256 of 2048; pages 256, adj 0 -> 0", "idle-0"},
	{1, 100, "most points: 456 of 2048; pages 256, adj 100 -> 200", "idle-0"},
	{1, -50, "most points: 156 of 2048; pages 256, adj -50 -> -100", "idle-0"},
	{3, 0,
		"most points: 256 of 2048, the oldest of 3 with as many; pages 256, adj "
		"0 "
		"-> 0",
		"idle-0"},
	{1, -1000, "no task of 2 can be chosen: adj -1000, or idle without memory", ""},
	{0, 0, "no task of 1 can be chosen: adj -1000, or idle without memory", ""},
};

START_TEST(a_sentence_says_why_it_is_this_one_or_nobody)
{
	struct bh_task *tasks[3] = {NULL}, *empty;
	struct bh_group *over;
	struct bh_oom_event event;
	bool is_killed = reasons[_i].victim[0];

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 8 * MIB);
	support_set(over, BH_ON_LIMIT, BH_KILL);
	empty = support_task(over, "empty", 0);
	for (int i = 0; i < reasons[_i].nr_equal; i++) {
		char name[16];

		snprintf(name, sizeof(name), "idle-%d", i);
		tasks[i] = support_idle_task(over, name, reasons[_i].adj, MIB);
	}
	while (!bhi_load(&support_told.nr) && !bh_charge(over, PIECE, 0))
		;
	event = support_only_oom();
	ck_assert_str_eq(event.why, reasons[_i].why);
	ck_assert_uint_eq(event.has_victim, is_killed);
	ck_assert_str_eq(event.victim, reasons[_i].victim);
	ck_assert_str_eq(event.victim_group, is_killed ? "/over" : "");
	ck_assert_uint_eq(event.nr_killed, is_killed);
	ck_assert_uint_eq(event.killed_bytes, is_killed ? MIB : 0);
	ck_assert_uint_eq(event.victim_bytes, event.killed_bytes);
	if (is_killed) {
		ck_assert_int_eq(event.victim_adj, reasons[_i].adj);
		ck_assert_int_eq(event.victim_state, BH_VICTIM_IDLE);
		ck_assert_int_eq(event.victim_points, event.rows[0].points);
	}
	for (int i = 0; i < reasons[_i].nr_equal; i++)
		bh_task_put(tasks[i]);
	bh_task_put(empty);
	support_end_told(over);
}
END_TEST

START_TEST(the_kill_of_a_group_is_told_with_what_all_of_it_had)
{
	uint64_t size = 8 * MIB;
	struct bh_group *over, *whole;
	struct bh_task *tasks[3], *asker;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 9 * MIB);
	whole = support_group(over, "whole");
	support_set(whole, BH_OOM_GROUP, 1);
	for (int i = 0; i < 3; i++)
		tasks[i] = support_idle_task(whole, "member", 0, (uint64_t)(i + 1) * MIB);
	asker = support_task(over, "asker", 0);
	ck_assert_int_eq(bh_task_enter(asker, take_by_call, &size, NULL), 0);
	event = support_only_oom();
	ck_assert_str_eq(event.victim_group, "/over/whole");
	ck_assert_uint_eq(event.is_group_kill, 1);
	ck_assert_str_eq(event.killed_group, "/over/whole");
	ck_assert_uint_eq(event.nr_killed, 3);
	ck_assert_uint_eq(event.victim_bytes, 3 * MIB);
	ck_assert_uint_eq(event.killed_bytes, 6 * MIB);
	for (int i = 0; i < 3; i++)
		support_await_reaped(tasks[i]);
	event = support_last_oom();
	ck_assert_uint_eq(event.nr_reaped, 3);
	ck_assert_uint_eq(event.reaped, 6 * MIB);
	ck_assert_uint_gt(event.reaped_ns, 0);
	ck_assert_uint_eq(event.nr_given_up, 0);
	for (int i = 0; i < 3; i++)
		bh_task_put(tasks[i]);
	bh_task_put(asker);
	bh_group_put(whole);
	support_end_told(over);
}
END_TEST

/* The sentence when a first touch found nobody else. */
static const char nobody_else[] =
	"it asked, a first touch cannot fail, and nobody else could be killed";

START_TEST(a_pagefault_that_ends_its_own_task_is_one_oom_with_a_victim)
{
	uint64_t size = 8 * MIB;
	struct bh_group *over;
	struct bh_task *never, *asker;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 8 * MIB);
	never = support_idle_task(over, "never", -1000, 5 * MIB);
	asker = support_told.victim = support_task(over, "asker", -1000);
	ck_assert_int_eq(bh_task_enter(asker, take_by_touch, &size, NULL), -ECANCELED);
	event = support_only_oom();
	ck_assert_str_eq(event.why, nobody_else);
	ck_assert_uint_eq(event.has_victim, 1);
	ck_assert_uint_eq(event.nr_candidates, 0);
	ck_assert_str_eq(event.victim, "asker");
	ck_assert_int_eq(event.victim_points, BH_OOM_NEVER);
	ck_assert_int_eq(event.victim_state, BH_VICTIM_IN_PAGEFAULT);
	ck_assert_uint_eq(event.nr_killed, 1);
	ck_assert_uint_eq(event.victim_bytes, 3 * MIB);
	ck_assert_uint_eq(event.nr_rows, 2);
	for (int i = 0; i < 2; i++) {
		bool is_asker = !strcmp(event.rows[i].name, "asker");

		ck_assert_uint_eq(event.rows[i].is_asker, is_asker);
		ck_assert_uint_eq(event.rows[i].is_chosen, is_asker);
	}
	ck_assert_uint_eq(event.nr_reaped, 1);
	ck_assert_uint_eq(event.reaped, 3 * MIB);
	bh_task_put(never);
	bh_task_put(asker);
	support_end_told(over);
}
END_TEST

/* The decision that a hold section put off, in a task that is told and not unwound. */
static int overdraw(void *arg)
{
	volatile char *p = bh_map(64 * KIB, 0);

	(void)arg;
	bh_hold();
	p[0] = 1;
	bh_release();
	return bh_check();
}

START_TEST(the_end_of_a_hold_section_that_ends_its_own_task_is_one_oom_too)
{
	const struct bh_task_attr attr = {
		.name = "asker",
		.oom_score_adj = -1000,
		.flags = _i ? BH_TASK_COOPERATIVE : 0,
	};
	struct bh_group *over;
	struct bh_task *never, *asker;
	struct bh_oom_event event;
	struct bh_report report;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", MIB);
	never = support_idle_task(over, "never", -1000, MIB);
	asker = support_told.victim = bh_task_new(over, &attr);
	ck_assert_int_eq(bh_task_enter(asker, overdraw, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.value, _i ? -ECANCELED : 0);
	event = support_only_oom();
	ck_assert_str_eq(event.why, nobody_else);
	ck_assert_int_eq(event.origin, BH_OOM_PAGEFAULT);
	ck_assert(!support_told.was_in_signal);
	ck_assert_str_eq(event.victim, "asker");
	ck_assert_uint_eq(event.victim_bytes, PAGE);
	bh_task_put(never);
	bh_task_put(asker);
	support_end_told(over);
}
END_TEST

/* No zap is refused, and the pagefault's pages are. */
static int touch_refused(void *arg)
{
	char *p = bh_map(MIB, 0);

	(void)arg;
	bhi_failpoint_arm(
		1, BHI_FP_PERSISTENT, 1u << BHI_FP_UFFD | 1u << BHI_FP_MPROTECT);
	*(volatile char *)p = 1;
	return 0;
}

START_TEST(a_page_that_the_kernel_refuses_for_good_is_told_as_such)
{
	struct bh_group *group;
	struct bh_task *other, *asker;
	struct bh_oom_event event;

	support_start_told(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 8 * MIB);
	other = support_idle_task(group, "other", 0, MIB);
	asker = support_told.victim = support_task(group, "asker", 0);
	ck_assert_int_eq(bh_task_enter(asker, touch_refused, NULL, NULL), -ECANCELED);
	bhi_failpoint_disarm();
	event = support_only_oom();
	ck_assert_int_eq(event.constraint, BH_OOM_IN_KERNEL);
	ck_assert_int_eq(event.origin, BH_OOM_PAGEFAULT);
	ck_assert_uint_eq(event.asked, PAGE);
	ck_assert_str_eq(event.over, "/group");
	ck_assert_uint_eq(event.limit, 8 * MIB);
	ck_assert_uint_eq(event.private_bytes, MIB);
	ck_assert_str_eq(
		event.why, "it asked, and the kernel had no page for its first touch");
	ck_assert_str_eq(event.victim, "asker");
	ck_assert_int_eq(event.victim_points, 0);
	ck_assert_uint_eq(event.nr_rows, 2);
	ck_assert_str_eq(event.rows[1].name, "asker");
	ck_assert_uint_eq(event.rows[1].is_chosen, 1);
	ck_assert_uint_eq(event.rows[0].is_chosen, 0);
	bh_task_put(other);
	bh_task_put(asker);
	support_end_told(group);
}
END_TEST

/* All that could give the library memory. */
#define ALLOCATIONS                                                                      \
	(1u << BHI_FP_MMAP | 1u << BHI_FP_POOL | 1u << BHI_FP_PAGES | 1u << BHI_FP_TLS | \
		1u << BHI_FP_THREAD | 1u << BHI_FP_OPEN | 1u << BHI_FP_SIGNAL)

struct frugal {
	bool by_call, hopeless;
	size_t meta, malloced;
	unsigned nr_refused;
	int result;
};

/* This thread, the background's and the reaper's have what they need to run. */
static void await_threads(struct bh_group *group)
{
	uint32_t answers = bhi_background_answers(group);

	bhi_background_ask(group, (int64_t)PAGE);
	support_await(&group->nr_answers, answers + 1);
	while (bhi_threads_count() < 3)
		sched_yield();
}

/* The next page is too much. */
static int take_one_more(void *arg)
{
	struct frugal *frugal = arg;
	volatile char *p = bh_map(8 * MIB, 0);

	for (uint64_t i = 0; i < 2 * MIB; i += PAGE)
		p[i] = 1;
	frugal->meta = bhi_meta_bytes();
	frugal->malloced = mallinfo2().uordblks;
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, ALLOCATIONS);
	if (frugal->by_call)
		frugal->result = bh_touch((char *)p + 2 * MIB, PAGE);
	else
		p[2 * MIB] = 1;
	frugal->nr_refused = bhi_failpoint_disarm();
	frugal->malloced = mallinfo2().uordblks - frugal->malloced;
	frugal->meta = bhi_meta_bytes() - frugal->meta;
	return 0;
}

START_TEST(nothing_is_allocated_to_decide_and_tell)
{
	struct frugal frugal = {.by_call = _i & 1, .hopeless = _i & 2};
	struct bh_group *over;
	struct bh_task *victim, *asker;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 8 * MIB);
	victim = support_idle_task(over, "victim", frugal.hopeless ? -1000 : 0, 6 * MIB);
	asker = support_task(over, "asker", -1000);
	await_threads(over);
	/* A pagefault that finds nobody ends its task, which is counted too. */
	ck_assert_int_eq(bh_task_enter(asker, take_one_more, &frugal, NULL),
		frugal.hopeless && !frugal.by_call ? -ECANCELED : 0);
	if (frugal.hopeless && !frugal.by_call) {
		frugal.nr_refused = bhi_failpoint_disarm();
		frugal.malloced = mallinfo2().uordblks - frugal.malloced;
		frugal.meta = bhi_meta_bytes() - frugal.meta;
	}
	ck_assert_uint_eq(frugal.nr_refused, 0);
	ck_assert_uint_eq(frugal.malloced, 0);
	ck_assert_uint_eq(frugal.meta, 0);
	ck_assert_int_eq(frugal.result, frugal.hopeless && frugal.by_call ? -ENOMEM : 0);
	(void)support_only_oom();
	bh_task_put(victim);
	bh_task_put(asker);
	support_end_told(over);
}
END_TEST

START_TEST(each_oom_is_told_to_the_host_and_only_kills_for_memory_are)
{
	uint64_t size = 2 * MIB;
	struct bh_group *over;
	struct bh_task *task;

	support_start_told(TASK_ZONE, 0);
	over = support_limited(NULL, "over", MIB);
	for (unsigned i = 1; i <= bhi_array_size(support_told.events); i++) {
		task = support_task(over, "asker", 0);
		ck_assert_int_eq(
			bh_task_enter(task, take_by_touch, &size, NULL), -ECANCELED);
		bh_task_put(task);
		ck_assert_uint_eq(bhi_load(&support_told.nr), i);
		ck_assert_uint_eq(support_told.events[i - 1].number, i);
	}
	task = support_idle_task(NULL, "killed", 0, MIB);
	ck_assert_int_eq(bh_task_kill(task), 0);
	support_await_reaped(task);
	bh_task_put(task);
	ck_assert_uint_eq(
		bhi_load(&support_told.nr), bhi_array_size(support_told.events));
	ck_assert_uint_eq(bhi_oom_events_count(), bhi_array_size(support_told.events));
	support_end_told(over);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		the_host_is_told_once_who_asked_for_what_and_which_limit_it_was, 0,
		(int)bhi_array_size(askings));
	tcase_add_test(tcase, the_usage_of_the_group_is_told_by_what_it_is);
	tcase_add_loop_test(
		tcase, the_table_has_the_16_with_most_points_and_what_they_do, 0, 2);
	tcase_add_loop_test(tcase, a_sentence_says_why_it_is_this_one_or_nobody, 0,
		(int)bhi_array_size(reasons));
	tcase_add_test(tcase, the_kill_of_a_group_is_told_with_what_all_of_it_had);
	tcase_add_test(
		tcase, a_pagefault_that_ends_its_own_task_is_one_oom_with_a_victim);
	tcase_add_loop_test(tcase,
		the_end_of_a_hold_section_that_ends_its_own_task_is_one_oom_too, 0, 2);
	tcase_add_test(tcase, a_page_that_the_kernel_refuses_for_good_is_told_as_such);
	tcase_add_loop_test(tcase, nothing_is_allocated_to_decide_and_tell, 0, 4);
	tcase_add_test(tcase, each_oom_is_told_to_the_host_and_only_kills_for_memory_are);
}

int main(void)
{
	return support_run("oom_event", add);
}
