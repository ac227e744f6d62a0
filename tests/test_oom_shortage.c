/* SPDX-License-Identifier: MIT */
/* One shortage has one victim, and none of them is lost; and what it would be without. */
#include <errno.h>
#include <sched.h>

#include "base/policy.h"
#include "support.h"
#include "support_stop.h"
#include "support_task.h"

/* For the current task: memory it wants, by a call or by touching a map. */
struct want {
	uint64_t size;
	bool by_call;
	uint32_t done; /* atomic */
};

static int ask(void *arg)
{
	struct want *want = arg;

	if (!want->by_call)
		support_filled_map(want->size, 1);
	else
		ck_assert_ptr_nonnull(bh_malloc(want->size));
	bhi_store_release(&want->done, 1);
	return 1;
}

static bool is_killed(struct bh_task *task)
{
	return support_task_stat(task).killed == BH_KILLED_OOM;
}

/* One shortage, whose victim is in a hold section until it is told to end it; the reaper
 * tries for longer than that. */
static void start_patient(void)
{
	struct bh_config config = {
		.size = TASK_ZONE,
		.decay_ms = 3600000,
		.reap_tries = 1000,
		.reap_interval_ms = 100,
	};

	ck_assert_int_eq(bh_init(&config), 0);
}

static struct {
	struct support_entry holding;
	uint32_t holds, may_end; /* atomic */
} slow;

static int hold_until_told(void *arg)
{
	(void)arg;
	support_filled_map(5 * MIB, 1);
	bh_hold();
	bhi_store_release(&slow.holds, 1);
	support_await(&slow.may_end, 1);
	bh_release();
	return 0;
}

static uint64_t kills_for_slow_victim(void)
{
	struct bh_group *group = support_limited(NULL, "group", 8 * MIB);
	struct bh_task *holder = support_task(group, "holder", 0), *idle, *asker;
	struct want want = {.size = 2 * MIB};
	struct support_entry asking;
	uint64_t nr;

	support_enter(&slow.holding, holder, hold_until_told, NULL);
	support_await(&slow.holds, 1);
	idle = support_idle_task(group, "idle", 0, 2 * MIB);
	asker = support_task(group, "asker", -500);
	support_enter(&asking, asker, ask, &want);
	/* The asker comes to the decision again and again. */
	while (support_stat(group).local.oom < 5 && !is_killed(idle))
		sched_yield();
	ck_assert(is_killed(holder));
	nr = support_stat(group).local.oom_kill;
	ck_assert_int_eq(is_killed(idle), nr > 1);
	bhi_store_release(&slow.may_end, 1);
	ck_assert_int_eq(support_enter_end(&slow.holding), -ECANCELED);
	/* It may have been the third. */
	ck_assert_int_eq(support_enter_end(&asking), is_killed(asker) ? -ECANCELED : 0);
	ck_assert(nr > 1 || !is_killed(asker));
	bh_task_put(holder);
	bh_task_put(idle);
	bh_task_put(asker);
	bh_group_put(group);
	support_end();
	return nr;
}

START_TEST(while_a_victim_is_not_finished_nobody_else_is_killed)
{
	start_patient();
	ck_assert_uint_eq(kills_for_slow_victim(), 1);
}
END_TEST

START_TEST(were_victims_not_waited_for_one_shortage_would_have_many)
{
	start_patient();
	bhi_policy.without.wait_for_victim = true;
	ck_assert_uint_gt(kills_for_slow_victim(), 1);
}
END_TEST

/* Two find the same shortage. The second one comes to the lock when the victim of the
 * first is gone, and both could be served. */
static struct support_stop late;

static unsigned kills_for_two(void)
{
	struct bh_group *group = support_limited(NULL, "group", 16 * MIB);
	struct want wants[2];
	struct support_entry asking[2];
	struct bh_task *askers[2], *idle[2];
	unsigned nr;

	idle[0] = support_idle_task(group, "small", 0, 6 * MIB);
	idle[1] = support_idle_task(group, "large", 0, 7 * MIB);
	support_stop_at(&late, BHI_TP_SHORT, SUPPORT_INSIDE);
	for (int i = 0; i < 2; i++) {
		wants[i] = (struct want){.size = 4 * MIB, .by_call = true};
		askers[i] = support_task(group, "asker", -500);
		support_enter(&asking[i], askers[i], ask, &wants[i]);
		if (i == 0)
			support_stop_await(&late);
	}
	ck_assert_int_eq(support_enter_end(&asking[1]), 0);
	ck_assert(is_killed(idle[1]) && !is_killed(idle[0]));
	support_await_reaped(idle[1]);
	support_stop_go_on(&late);
	ck_assert_int_eq(support_enter_end(&asking[0]), 0);
	nr = (unsigned)support_stat(group).local.oom_kill;
	for (int i = 0; i < 2; i++) {
		bh_task_put(idle[i]);
		bh_task_put(askers[i]);
	}
	bh_group_put(group);
	support_end();
	return nr;
}

START_TEST(who_comes_late_to_a_shortage_that_is_over_kills_nobody)
{
	support_start_tasks(TASK_ZONE, 0);
	ck_assert_uint_eq(kills_for_two(), 1);
}
END_TEST

START_TEST(without_a_last_look_under_the_lock_one_shortage_would_have_two_victims)
{
	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.without.last_look = true;
	ck_assert_uint_eq(kills_for_two(), 2);
}
END_TEST

/* The victim of a shortage ends between the last look and the choice of another. */
static unsigned kills_after_one_that_just_ended(void)
{
	struct bh_group *group = support_limited(NULL, "group", 16 * MIB);
	struct bh_task *asker = support_task(group, "asker", -500);
	struct bh_task *victim = support_idle_task(group, "victim", 0, 7 * MIB);
	struct bh_task *idle = support_idle_task(group, "idle", 0, 7 * MIB);
	struct want want = {.size = 4 * MIB, .by_call = true};
	struct support_entry asking;
	unsigned nr;

	support_stop_at(&late, BHI_TP_LOOKED, SUPPORT_INSIDE);
	support_enter(&asking, asker, ask, &want);
	support_stop_await(&late);
	ck_assert_int_eq(bh_task_kill(victim), 0);
	support_await_reaped(victim);
	support_stop_go_on(&late);
	ck_assert_int_eq(support_enter_end(&asking), 0);
	nr = (unsigned)support_stat(group).local.oom_kill;
	ck_assert_int_eq(is_killed(idle), nr == 1);
	bh_task_put(victim);
	bh_task_put(idle);
	bh_task_put(asker);
	bh_group_put(group);
	support_end();
	return nr;
}

START_TEST(what_a_victim_gives_back_after_the_last_look_saves_the_next)
{
	support_start_tasks(TASK_ZONE, 0);
	ck_assert_uint_eq(kills_after_one_that_just_ended(), 0);
}
END_TEST

START_TEST(without_a_look_after_the_choice_there_would_be_a_second_victim)
{
	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.without.last_look = true;
	ck_assert_uint_eq(kills_after_one_that_just_ended(), 1);
}
END_TEST

/* Three shortages while the reaper is busy with the victim of the first. */
static struct support_stop busy;
static struct shortage {
	struct want want;
	struct support_entry asking;
	struct bh_group *group;
	struct bh_task *victim, *asker;
} shortages[3];

static void shortage_begin(struct shortage *s)
{
	*s = (struct shortage){.want = {.size = 4 * MIB}};
	s->group = support_limited(NULL, "group", 8 * MIB);
	s->victim = support_idle_task(s->group, "victim", 0, 6 * MIB);
	s->asker = support_task(s->group, "asker", 0);
	support_enter(&s->asking, s->asker, ask, &s->want);
}

/* Again and again the asker has come to the decision. */
static void await_decisions(const struct shortage *s, unsigned nr)
{
	uint64_t until = support_stat(s->group).local.oom + nr;

	while (support_stat(s->group).local.oom < until)
		sched_yield();
}

static void three_shortages(void)
{
	support_stop_at(&busy, BHI_TP_REAP, SUPPORT_OUTSIDE);
	for (int i = 0; i < 3; i++) {
		shortage_begin(&shortages[i]);
		if (i == 0)
			support_stop_await(&busy);
		/* It may lose the lock to the others a few times. By its next decision it
		 * has handed its victim over. */
		while (!is_killed(shortages[i].victim))
			sched_yield();
		await_decisions(&shortages[i], 1);
		ck_assert_uint_eq(support_task_stat(shortages[i].victim).bytes, 6 * MIB);
	}
	support_stop_go_on(&busy);
}

static void shortage_end(struct shortage *s)
{
	ck_assert_int_eq(support_enter_end(&s->asking), 0);
	bh_task_put(s->victim);
	bh_task_put(s->asker);
	bh_group_put(s->group);
}

START_TEST(ooms_while_the_reaper_is_busy_lose_no_victim)
{
	support_start_tasks(TASK_ZONE, 0);
	three_shortages();
	for (int i = 0; i < 3; i++) {
		support_await_reaped(shortages[i].victim);
		shortage_end(&shortages[i]);
	}
	ck_assert_uint_eq(bhi_oom_events_count(), 3);
	support_end();
}
END_TEST

/* Linux before the list: somebody else's victim is in the way, and this one is waited for
 * for ever. */
START_TEST(were_the_hand_over_no_list_one_victim_would_be_lost)
{
	struct shortage *lost = &shortages[2];

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.without.victim_list = true;
	three_shortages();
	support_await_reaped(shortages[0].victim);
	support_await_reaped(shortages[1].victim);
	await_decisions(lost, 3);
	ck_assert_uint_eq(bhi_load(&lost->want.done), 0);
	ck_assert_uint_eq(support_task_stat(lost->victim).is_reaped, 0);
	ck_assert_uint_eq(support_task_stat(lost->victim).bytes, 6 * MIB);
	support_set(lost->group, BH_MAX, BH_UNLIMITED);
	for (int i = 0; i < 3; i++)
		shortage_end(&shortages[i]);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, while_a_victim_is_not_finished_nobody_else_is_killed);
	tcase_add_test(tcase, were_victims_not_waited_for_one_shortage_would_have_many);
	tcase_add_test(tcase, who_comes_late_to_a_shortage_that_is_over_kills_nobody);
	tcase_add_test(tcase,
		without_a_last_look_under_the_lock_one_shortage_would_have_two_victims);
	tcase_add_test(
		tcase, what_a_victim_gives_back_after_the_last_look_saves_the_next);
	tcase_add_test(
		tcase, without_a_look_after_the_choice_there_would_be_a_second_victim);
	tcase_add_test(tcase, ooms_while_the_reaper_is_busy_lose_no_victim);
	tcase_add_test(tcase, were_the_hand_over_no_list_one_victim_would_be_lost);
}

int main(void)
{
	return support_run("oom_shortage", add);
}
