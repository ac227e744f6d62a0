/* SPDX-License-Identifier: MIT */
/* Who dies when a group of tasks is over its limit, what is counted, and what is said. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "account/stock.h"
#include "base/policy.h"
#include "oom/oom.h"
#include "support.h"
#include "support_task.h"

#if defined(__clang__)
/* Another function takes the lock. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

/* For the current task: memory it wants, through which door, and what came of it. */
struct want {
	uint64_t size;
	bool by_call; /* bh_malloc, or a touch of a map */
	void *got;    /* by the call */
	uint32_t done;
};

static int ask(void *arg)
{
	struct want *want = arg;

	if (want->by_call)
		want->got = bh_malloc(want->size);
	else
		support_filled_map(want->size, 1);
	bhi_store_release(&want->done, 1);
	return 1;
}

/* The same in small pieces: what it has had so far counts against it. */
static int ask_in_pieces(void *arg)
{
	struct want *want = arg;
	struct want piece = {.size = 256 * KIB, .by_call = want->by_call};

	for (uint64_t size = 0; size < want->size; size += piece.size)
		(void)ask(&piece);
	want->done = 1;
	return 1;
}

static bool is_killed(struct bh_task *task)
{
	return support_task_stat(task).killed == BH_KILLED_OOM;
}

static void put_all(struct bh_task **tasks, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		bh_task_put(tasks[i]);
}

/* A call for what an idle task has, at a limit that says @on_limit. */
static struct bh_group *call_at_limit(
	enum bh_on_limit on_limit, struct want *want, struct bh_task **ret_idle)
{
	struct bh_group *group = support_limited(NULL, "small", 8 * MIB);

	support_set(group, BH_ON_LIMIT, on_limit);
	*ret_idle = support_idle_task(group, "idle", 0, 5 * MIB);
	errno = 0;
	ck_assert_int_eq(bh_task_run(group, NULL, ask, want, NULL), 0);
	return group;
}

START_TEST(at_a_limit_that_fails_a_call_gets_enomem_and_nobody_dies)
{
	struct want want = {.size = 4 * MIB, .by_call = true};
	struct bh_group *group;
	struct bh_task *idle;

	support_start_tasks(TASK_ZONE, 0);
	group = call_at_limit(BH_FAIL, &want, &idle);
	ck_assert_ptr_null(want.got);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert(!is_killed(idle));
	ck_assert_uint_eq(bhi_oom_events_count(), 0);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 0);
	ck_assert_uint_gt(support_stat(group).local.oom, 0);
	bh_task_put(idle);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Linux 4.19 kills for a call, whatever the group says; and so does BH_KILL. */
START_TEST(where_calls_kill_the_same_call_is_served_and_somebody_dies)
{
	struct want want = {.size = 4 * MIB, .by_call = true};
	struct bh_group *group;
	struct bh_task *idle;

	support_start_tasks(TASK_ZONE, 0);
	if (_i)
		bhi_policy.call = BHI_CALL_KILLS;
	group = call_at_limit(_i ? BH_FAIL : BH_KILL, &want, &idle);
	ck_assert_ptr_nonnull(want.got);
	ck_assert(is_killed(idle));
	ck_assert_uint_eq(bhi_oom_events_count(), 1);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 1);
	bh_task_put(idle);
	bh_group_put(group);
	support_end();
}
END_TEST

/* over (8 MiB) has a and b; the asker is in a, the largest in b, a larger one outside. */
START_TEST(victims_come_from_all_of_the_group_that_is_over)
{
	struct want want = {.size = 3 * MIB, .by_call = _i};
	struct bh_group *over, *a, *b;
	struct bh_task *tasks[4];
	struct bh_oom_event event;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	over = support_limited(NULL, "over", 8 * MIB);
	a = support_limited(over, "a", 7 * MIB);
	b = support_group(over, "b");
	tasks[0] = support_idle_task(a, "small", 0, MIB);
	tasks[1] = support_idle_task(b, "large", 0, 5 * MIB);
	tasks[2] = support_idle_task(NULL, "outside", 0, 50 * MIB);
	tasks[3] = support_task(a, "asker", 0);
	ck_assert_int_eq(bh_task_enter(tasks[3], ask, &want, &report), 0);
	ck_assert_uint_eq(want.done, 1);
	ck_assert(is_killed(tasks[1]));
	ck_assert(!is_killed(tasks[0]) && !is_killed(tasks[2]) && !is_killed(tasks[3]));
	ck_assert_uint_eq(support_stat(b).local.oom_kill, 1);
	ck_assert_uint_eq(support_stat(a).events.oom_kill, 0);
	ck_assert_uint_eq(support_stat(over).local.oom_kill, 0);
	ck_assert_uint_eq(support_stat(over).events.oom_kill, 1);
	ck_assert_uint_gt(support_stat(over).local.oom, 0);
	ck_assert_uint_eq(support_stat(a).local.oom, 0);
	ck_assert_uint_eq(support_stat(over).events.oom_group_kill, 0);
	event = support_last_oom();
	ck_assert_uint_eq(event.number, 1);
	ck_assert(event.has_victim && !event.is_group_kill);
	ck_assert_uint_eq(event.nr_killed, 1);
	ck_assert_uint_eq(event.nr_candidates, 3);
	ck_assert_uint_eq(event.nr_rows, 3);
	ck_assert_str_eq(event.rows[0].name, "large");
	ck_assert(event.rows[0].is_chosen && !event.rows[1].is_chosen);
	ck_assert_uint_eq(event.rows[0].bytes, 5 * MIB);
	ck_assert_str_eq(event.over, "/over");
	ck_assert_str_eq(event.asker, "asker");
	ck_assert_uint_eq(event.asked, want.by_call ? want.size : PAGE);
	ck_assert_uint_eq(event.limit, 8 * MIB);
	ck_assert_uint_le(event.usage, 8 * MIB);
	ck_assert_uint_gt(event.failcnt, 0);
	/* The victim hears the same. */
	ck_assert_int_eq(bh_task_enter(tasks[1], ask, &want, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	ck_assert_str_eq(report.over, "/over");
	ck_assert_str_eq(report.asker, "asker");
	ck_assert_uint_eq(report.asked, event.asked);
	ck_assert_uint_eq(report.limit, 8 * MIB);
	ck_assert_uint_eq(report.bytes, 5 * MIB);
	ck_assert_uint_eq(report.reaped, 5 * MIB);
	put_all(tasks, 4);
	bh_group_put(a);
	bh_group_put(b);
	bh_group_put(over);
	support_end();
}
END_TEST

START_TEST(who_asks_for_most_is_the_victim_itself_and_unwinds)
{
	struct want want = {.size = 30 * MIB, .by_call = _i};
	struct bh_group *group;
	struct bh_task *tasks[2];
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "small", 16 * MIB);
	tasks[0] = support_idle_task(group, "idle", 0, MIB);
	tasks[1] = support_task(group, "hog", 0);
	ck_assert_int_eq(
		bh_task_enter(tasks[1], ask_in_pieces, &want, &report), -ECANCELED);
	ck_assert_uint_eq(want.done, 0);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(report.victim_state,
		want.by_call ? BH_VICTIM_IN_CALL : BH_VICTIM_IN_PAGEFAULT);
	ck_assert_str_eq(report.asker, "hog");
	ck_assert_str_eq(report.over, "/small");
	ck_assert_uint_eq(report.limit, 16 * MIB);
	ck_assert_uint_eq(report.reaped, report.bytes);
	ck_assert_uint_eq(support_task_stat(tasks[1]).bytes, 0);
	ck_assert(!is_killed(tasks[0]));
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 1);
	put_all(tasks, 2);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_zone_is_the_limit_of_the_root)
{
	struct want want = {.size = 24 * MIB, .by_call = true};
	struct bh_task *tasks[3];
	struct bh_group *group;

	support_start_tasks(64 * MIB, 0);
	group = support_limited(NULL, "group", 60 * MIB);
	tasks[0] = support_idle_task(group, "small", 0, 8 * MIB);
	tasks[1] = support_idle_task(NULL, "large", 0, 36 * MIB);
	tasks[2] = support_task(group, "asker", 0);
	ck_assert_int_eq(bh_task_enter(tasks[2], ask, &want, NULL), 0);
	ck_assert(is_killed(tasks[1]));
	ck_assert(!is_killed(tasks[0]));
	ck_assert_str_eq(support_last_oom().over, "/");
	put_all(tasks, 3);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_high_oom_score_adj_is_preferred_to_size)
{
	struct want want = {.size = 2 * MIB, .by_call = true};
	struct bh_group *group;
	struct bh_task *tasks[3];

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 16 * MIB);
	tasks[0] = support_idle_task(group, "large", 0, 11 * MIB);
	tasks[1] = support_idle_task(group, "wanted", 900, 4 * MIB);
	tasks[2] = support_task(group, "asker", 0);
	ck_assert_int_eq(bh_task_enter(tasks[2], ask, &want, NULL), 0);
	ck_assert(is_killed(tasks[1]));
	ck_assert(!is_killed(tasks[0]));
	ck_assert_str_eq(support_last_oom().rows[0].name, "wanted");
	ck_assert_int_eq(support_last_oom().rows[0].oom_score_adj, 900);
	put_all(tasks, 3);
	bh_group_put(group);
	support_end();
}
END_TEST

/* All of the leaf dies, the parent's other child does not. */
START_TEST(an_oom_group_leaf_dies_as_one)
{
	struct want want = {.size = 40 * MIB};
	struct bh_group *parent, *leaf, *other;
	struct bh_task *tasks[5];

	support_start_tasks(TASK_ZONE, 0);
	parent = support_group(NULL, "parent");
	leaf = support_limited(parent, "leaf", 16 * MIB);
	other = support_group(parent, "other");
	support_set(leaf, BH_OOM_GROUP, 1);
	for (int i = 0; i < 3; i++)
		tasks[i] = support_idle_task(leaf, "idle", 0, MIB);
	tasks[3] = support_task(leaf, "asker", 0);
	tasks[4] = support_idle_task(other, "other", 0, 20 * MIB);
	ck_assert_int_eq(bh_task_enter(tasks[3], ask, &want, NULL), -ECANCELED);
	for (int i = 0; i < 4; i++)
		ck_assert(is_killed(tasks[i]));
	ck_assert(!is_killed(tasks[4]));
	ck_assert_uint_eq(support_stat(leaf).local.oom_kill, 4);
	ck_assert_uint_eq(support_stat(leaf).local.oom_group_kill, 1);
	ck_assert_uint_eq(support_stat(parent).events.oom_kill, 4);
	ck_assert_uint_eq(support_stat(parent).local.oom_kill, 0);
	ck_assert_uint_eq(support_stat(parent).events.oom_group_kill, 1);
	ck_assert_uint_eq(support_last_oom().nr_killed, 4);
	ck_assert(support_last_oom().is_group_kill);
	for (int i = 0; i < 3; i++)
		support_await_reaped(tasks[i]);
	ck_assert_uint_eq(support_usage(leaf), 0);
	put_all(tasks, 5);
	bh_group_put(leaf);
	bh_group_put(other);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* The highest group with the flag, up to the one that is over, and not above. */
START_TEST(the_highest_oom_group_below_the_limit_dies_as_one)
{
	struct want want = {.size = 60 * MIB};
	struct bh_group *above, *parent, *leaf, *sibling;
	struct bh_task *tasks[4];

	support_start_tasks(TASK_ZONE, 0);
	above = support_group(NULL, "above");
	parent = support_limited(above, "parent", 32 * MIB);
	leaf = support_group(parent, "leaf");
	sibling = support_group(parent, "sibling");
	support_set(above, BH_OOM_GROUP, 1);
	support_set(parent, BH_OOM_GROUP, 1);
	support_set(leaf, BH_OOM_GROUP, 1);
	tasks[0] = support_idle_task(leaf, "idle", 0, MIB);
	tasks[1] = support_idle_task(sibling, "sibling", 0, 2 * MIB);
	tasks[2] = support_idle_task(above, "above", 0, 30 * MIB);
	tasks[3] = support_task(leaf, "asker", 0);
	ck_assert_int_eq(bh_task_enter(tasks[3], ask, &want, NULL), -ECANCELED);
	ck_assert(is_killed(tasks[0]) && is_killed(tasks[1]) && is_killed(tasks[3]));
	ck_assert(!is_killed(tasks[2]));
	ck_assert_uint_eq(support_stat(parent).local.oom_group_kill, 1);
	ck_assert_uint_eq(support_stat(leaf).events.oom_group_kill, 0);
	ck_assert_uint_eq(support_stat(above).events.oom_kill, 3);
	put_all(tasks, 4);
	bh_group_put(leaf);
	bh_group_put(sibling);
	bh_group_put(parent);
	bh_group_put(above);
	support_end();
}
END_TEST

START_TEST(who_is_never_killed_survives_the_kill_of_its_group)
{
	struct want want = {.size = 60 * MIB};
	struct bh_group *group;
	struct bh_task *tasks[4];

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 50 * MIB);
	support_set(group, BH_OOM_GROUP, 1);
	tasks[0] = support_idle_task(group, "never", -1000, 10 * MIB);
	tasks[1] = support_idle_task(group, "b", 0, MIB);
	tasks[2] = support_idle_task(group, "c", 0, MIB);
	tasks[3] = support_task(group, "asker", 0);
	ck_assert_int_eq(bh_task_enter(tasks[3], ask, &want, NULL), -ECANCELED);
	ck_assert(!is_killed(tasks[0]));
	ck_assert_uint_eq(support_task_stat(tasks[0]).bytes, 10 * MIB);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 3);
	ck_assert_uint_eq(support_stat(group).local.oom_group_kill, 1);
	put_all(tasks, 4);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(with_nobody_to_kill_a_call_fails)
{
	struct want want = {.size = 4 * MIB, .by_call = true};
	struct bh_group *group;
	struct bh_task *tasks[2];

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 8 * MIB);
	tasks[0] = support_idle_task(group, "idle", -1000, 5 * MIB);
	tasks[1] = support_task(group, "asker", -1000);
	ck_assert_int_eq(bh_task_enter(tasks[1], ask, &want, NULL), 0);
	ck_assert_ptr_null(want.got);
	ck_assert_uint_eq(bhi_oom_events_count(), 1);
	ck_assert(!support_last_oom().has_victim);
	ck_assert_uint_eq(support_last_oom().nr_candidates, 0);
	ck_assert_uint_eq(support_last_oom().nr_rows, 2);
	ck_assert_uint_eq(support_last_oom().nr_killed, 0);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 0);
	put_all(tasks, 2);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(with_nobody_to_kill_a_pagefault_ends_its_task)
{
	struct want want = {.size = 8 * MIB};
	struct bh_group *group;
	struct bh_task *tasks[2];
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 8 * MIB);
	tasks[0] = support_idle_task(group, "idle", -1000, 5 * MIB);
	tasks[1] = support_task(group, "asker", -1000);
	ck_assert_int_eq(bh_task_enter(tasks[1], ask, &want, &report), -ECANCELED);
	ck_assert_uint_eq(want.done, 0);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_str_eq(report.over, "/group");
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 1);
	ck_assert(!is_killed(tasks[0]));
	put_all(tasks, 2);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_ring_keeps_the_last_ooms)
{
	struct bh_oom_event event;
	struct bh_group *group;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", MIB);
	ck_assert(!bhi_oom_events_read(0, &event));
	for (unsigned i = 1; i <= BHI_OOM_EVENTS + 3; i++) {
		struct want want = {.size = 2 * MIB};
		struct bh_task *task = support_task(group, "asker", 0);

		ck_assert_int_eq(bh_task_enter(task, ask, &want, NULL), -ECANCELED);
		bh_task_put(task);
		ck_assert_uint_eq(bhi_oom_events_count(), i);
		ck_assert_uint_eq(support_last_oom().number, i);
	}
	ck_assert(bhi_oom_events_read(BHI_OOM_EVENTS - 1, &event));
	ck_assert_uint_eq(event.number, 4);
	ck_assert(!bhi_oom_events_read(BHI_OOM_EVENTS, &event));
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(losing_the_oom_lock_is_progress)
{
	struct want want = {.size = 4 * MIB, .by_call = _i};
	struct bh_group *group;
	struct bh_task *tasks[2];
	struct support_entry entry;
	uint64_t seen;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", 8 * MIB);
	tasks[0] = support_idle_task(group, "idle", 0, 6 * MIB);
	tasks[1] = support_task(group, "asker", 0);
	bhi_lock_acquire(&bhi_oom_lock);
	support_enter(&entry, tasks[1], ask, &want);
	/* It comes back again and again, and neither fails nor kills. */
	for (seen = 0; seen < 10; seen = support_stat(group).local.oom)
		sched_yield();
	ck_assert_uint_eq(bhi_load(&want.done), 0);
	ck_assert(!is_killed(tasks[0]) && !is_killed(tasks[1]));
	bhi_lock_release(&bhi_oom_lock);
	ck_assert_int_eq(support_enter_end(&entry), 0);
	ck_assert(is_killed(tasks[0]));
	ck_assert_uint_eq(bhi_oom_events_count(), 1);
	put_all(tasks, 2);
	bh_group_put(group);
	support_end();
}
END_TEST

#define NR_PAIRS 8

/* Shortages in several groups at the same time: each has a victim, none is forgotten. */
START_TEST(ooms_at_the_same_time_lose_no_victim)
{
	struct want wants[NR_PAIRS];
	struct support_entry entries[NR_PAIRS];
	struct bh_group *groups[NR_PAIRS];
	struct bh_task *victims[NR_PAIRS], *askers[NR_PAIRS];

	support_start_tasks(TASK_ZONE, 0);
	for (int i = 0; i < NR_PAIRS; i++) {
		groups[i] = support_limited(NULL, "group", 8 * MIB);
		victims[i] = support_idle_task(groups[i], "victim", 0, 6 * MIB);
		askers[i] = support_task(groups[i], "asker", 0);
		wants[i] = (struct want){.size = 4 * MIB, .by_call = i % 2};
	}
	for (int i = 0; i < NR_PAIRS; i++)
		support_enter(&entries[i], askers[i], ask, &wants[i]);
	for (int i = 0; i < NR_PAIRS; i++) {
		ck_assert_int_eq(support_enter_end(&entries[i]), 0);
		ck_assert(is_killed(victims[i]));
		support_await_reaped(victims[i]);
		ck_assert_uint_eq(support_task_stat(victims[i]).bytes, 0);
	}
	ck_assert_uint_eq(bhi_oom_events_count(), NR_PAIRS);
	for (int i = 0; i < NR_PAIRS; i++) {
		bh_task_put(victims[i]);
		bh_task_put(askers[i]);
		bh_group_put(groups[i]);
	}
	support_end();
}
END_TEST

START_TEST(setting_a_max_below_the_usage_kills_until_it_fits)
{
	struct bh_group *group;
	struct bh_task *tasks[4];

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	support_set(group, BH_ON_LIMIT, BH_KILL);
	for (int i = 0; i < 4; i++)
		tasks[i] = support_idle_task(group, "idle", 0, (uint64_t)(i + 1) * MIB);
	support_set(group, BH_MAX, 4 * MIB);
	ck_assert_uint_le(support_usage(group), 4 * MIB);
	ck_assert(!is_killed(tasks[0]) && !is_killed(tasks[1]));
	ck_assert(is_killed(tasks[2]) && is_killed(tasks[3]));
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 2);
	put_all(tasks, 4);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, at_a_limit_that_fails_a_call_gets_enomem_and_nobody_dies);
	tcase_add_loop_test(
		tcase, where_calls_kill_the_same_call_is_served_and_somebody_dies, 0, 2);
	tcase_add_loop_test(tcase, victims_come_from_all_of_the_group_that_is_over, 0, 2);
	tcase_add_loop_test(
		tcase, who_asks_for_most_is_the_victim_itself_and_unwinds, 0, 2);
	tcase_add_test(tcase, the_zone_is_the_limit_of_the_root);
	tcase_add_test(tcase, a_high_oom_score_adj_is_preferred_to_size);
	tcase_add_test(tcase, an_oom_group_leaf_dies_as_one);
	tcase_add_test(tcase, the_highest_oom_group_below_the_limit_dies_as_one);
	tcase_add_test(tcase, who_is_never_killed_survives_the_kill_of_its_group);
	tcase_add_test(tcase, with_nobody_to_kill_a_call_fails);
	tcase_add_test(tcase, with_nobody_to_kill_a_pagefault_ends_its_task);
	tcase_add_test(tcase, the_ring_keeps_the_last_ooms);
	tcase_add_loop_test(tcase, losing_the_oom_lock_is_progress, 0, 2);
	tcase_add_test(tcase, ooms_at_the_same_time_lose_no_victim);
	tcase_add_test(tcase, setting_a_max_below_the_usage_kills_until_it_fits);
}

int main(void)
{
	return support_run("oom_kill", add);
}
