/* SPDX-License-Identifier: MIT */
/* A max that is set below the usage where tasks are: who sets it, and who dies for it. */
#include <errno.h>
#include <sched.h>

#include "support.h"
#include "support_task.h"
#include "task/kill.h"

/* A task that sets the max of a group to a MiB. */
struct setter {
	struct support_entry entry;
	struct bh_task *task;
	struct bh_group *group;
	bool holds;
	uint32_t begun, returned; /* atomic */
};

static int set_max(void *arg)
{
	struct setter *setter = arg;
	int r;

	if (setter->holds)
		bh_hold();
	r = bh_group_set(setter->group, BH_MAX, MIB);
	bhi_store_release(&setter->returned, 1);
	if (setter->holds)
		bh_release();
	return r;
}

/* It touches nothing of its own, so that only the call can unwind it. */
static int set_max_when_killed(void *arg)
{
	struct setter *setter = arg;

	bhi_store_release(&setter->begun, 1);
	support_await_reaped(bh_current());
	return set_max(arg);
}

/* The group, which kills, is 7 MiB above that; they do not come back by a kill. The task
 * is one of the group, or not. */
static void begin(struct setter *setter, bool within, unsigned flags)
{
	const struct bh_task_attr attr = {.name = "setter", .flags = flags};

	*setter = (struct setter){.group = support_group(NULL, "group")};
	support_set(setter->group, BH_ON_LIMIT, BH_KILL);
	ck_assert_int_eq(bh_charge(setter->group, 8 * MIB, 0), 0);
	setter->task = bh_task_new(within ? setter->group : NULL, &attr);
	ck_assert_ptr_nonnull(setter->task);
}

static void end(struct setter *setter)
{
	ck_assert_uint_eq(support_stat(setter->group).max, MIB);
	bh_task_put(setter->task);
	bh_uncharge(setter->group, 8 * MIB);
	bh_group_put(setter->group);
	support_end();
}

/* It leaves the enforcement to others. */
START_TEST(a_killed_task_that_sets_a_max_is_unwound_when_it_is_set)
{
	struct setter setter;
	struct bh_task *idle;

	support_start_tasks(TASK_ZONE, 0);
	begin(&setter, false, 0);
	idle = support_idle_task(setter.group, "idle", 0, MIB);
	support_enter(&setter.entry, setter.task, set_max_when_killed, &setter);
	support_await(&setter.begun, 1);
	ck_assert_int_eq(bh_task_kill(setter.task), 0);
	ck_assert_int_eq(support_enter_end(&setter.entry), -ECANCELED);
	ck_assert_uint_eq(setter.returned, 0);
	ck_assert_int_eq(support_task_stat(idle).killed, BH_NOT_KILLED);
	bh_task_put(idle);
	end(&setter);
}
END_TEST

START_TEST(a_task_that_is_the_victim_of_the_max_it_sets_is_unwound)
{
	struct setter setter;

	support_start_tasks(TASK_ZONE, 0);
	begin(&setter, true, 0);
	support_enter(&setter.entry, setter.task, set_max, &setter);
	ck_assert_int_eq(support_enter_end(&setter.entry), -ECANCELED);
	ck_assert_int_eq(setter.entry.report.reason, BH_KILLED_OOM);
	ck_assert_uint_eq(setter.returned, 0);
	ck_assert_uint_eq(support_stat(setter.group).local.oom_kill, 1);
	end(&setter);
}
END_TEST

/* It may not be unwound, so it waits, until it is given up and nobody is left. A look at
 * the group is an event: asking without a wait there would be millions. */
START_TEST(a_victim_that_may_not_be_unwound_waits_and_returns_when_it_is_given_up)
{
	struct setter setter;

	support_start_tasks(TASK_ZONE, 50);
	begin(&setter, true, _i ? BH_TASK_COOPERATIVE : 0);
	setter.holds = !_i;
	support_enter(&setter.entry, setter.task, set_max, &setter);
	ck_assert_int_eq(support_enter_end(&setter.entry), -ECANCELED);
	ck_assert_int_eq(setter.entry.report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(setter.entry.report.value, 0);
	ck_assert_uint_eq(setter.returned, 1);
	ck_assert_uint_eq(setter.task->nr_tries, 50);
	ck_assert_uint_eq(support_stat(setter.group).local.oom_kill, 1);
	ck_assert_uint_lt(support_stat(setter.group).local.oom, 20);
	end(&setter);
}
END_TEST

/* A victim that nothing comes back from for now. */
struct holder {
	struct support_entry entry;
	struct bh_task *task;
	uint32_t holds, go_on; /* atomic */
};

static int hold(void *arg)
{
	struct holder *holder = arg;

	bh_hold();
	support_filled_map(64 * KIB, 1);
	bhi_store_release(&holder->holds, 1);
	support_await(&holder->go_on, 1);
	bh_release();
	return 0;
}

static void *set_lower(void *arg)
{
	support_set(arg, BH_MAX, MIB / 2);
	return NULL;
}

/* Both wait for the same victim; the first one's max is no longer to be enforced. */
START_TEST(who_sets_a_max_leaves_it_to_whoever_sets_another)
{
	struct holder holder = {0};
	struct setter setter;
	pthread_t other;
	/* The holder is not given up meanwhile. */
	const struct bh_config config = {.size = TASK_ZONE, .reap_interval_ms = 1000};

	ck_assert_int_eq(bh_init(&config), 0);
	begin(&setter, false, 0);
	holder.task = support_task(setter.group, "holder", 0);
	support_enter(&holder.entry, holder.task, hold, &holder);
	support_await(&holder.holds, 1);
	support_enter(&setter.entry, setter.task, set_max, &setter);
	while (support_task_stat(holder.task).killed != BH_KILLED_OOM)
		sched_yield();
	other = support_thread(set_lower, setter.group);
	ck_assert_int_eq(support_enter_end(&setter.entry), 0);
	ck_assert_uint_eq(support_task_stat(holder.task).is_reaped, 0);
	bhi_store_release(&holder.go_on, 1);
	support_join(other);
	ck_assert_int_eq(support_enter_end(&holder.entry), -ECANCELED);
	ck_assert_uint_eq(support_stat(setter.group).max, MIB / 2);
	support_set(setter.group, BH_MAX, MIB);
	bh_task_put(holder.task);
	end(&setter);
}
END_TEST

static int await_end(void *arg)
{
	while (!bhi_load_acquire((uint32_t *)arg))
		(void)bh_check();
	return 1;
}

/* The policy of a group, and who dies for a max of 3 MiB: of two idle tasks with 1 and 2
 * MiB next to 2 MiB of shared memory. Who has nothing private is of no use. */
static const struct {
	int policy; /* -1: never set */
	bool kills;
} policies[] = {
	{-1, true},
	{BH_KILL, true},
	{BH_FAIL, false},
};

START_TEST(a_policy_that_was_never_set_kills_for_a_max_where_memory_is_private)
{
	struct bh_task *smaller, *larger, *inside;
	struct support_entry entry;
	struct bh_group *group;
	uint32_t go_on = 0;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	if (policies[_i].policy >= 0)
		support_set(group, BH_ON_LIMIT, (uint64_t)policies[_i].policy);
	ck_assert_int_eq(bh_charge(group, 2 * MIB, 0), 0);
	smaller = support_idle_task(group, "smaller", 0, MIB);
	larger = support_idle_task(group, "larger", 0, 2 * MIB);
	inside = support_task(group, "inside", 0);
	support_enter(&entry, inside, await_end, &go_on);
	while (!support_task_stat(inside).is_inside)
		sched_yield();
	support_set(group, BH_MAX, 3 * MIB);
	ck_assert_int_eq(support_task_stat(smaller).killed, BH_NOT_KILLED);
	ck_assert_int_eq(
		support_task_stat(larger).killed == BH_KILLED_OOM, policies[_i].kills);
	if (policies[_i].policy < 0) {
		/* With the last private memory the reason to kill is gone. */
		support_set(group, BH_MAX, MIB);
		ck_assert_int_eq(support_task_stat(smaller).killed, BH_KILLED_OOM);
	}
	ck_assert_int_eq(support_task_stat(inside).killed, BH_NOT_KILLED);
	bhi_store_release(&go_on, 1);
	ck_assert_int_eq(support_enter_end(&entry), 0);
	bh_task_put(smaller);
	bh_task_put(larger);
	bh_task_put(inside);
	bh_uncharge(group, 2 * MIB);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_killed_task_that_sets_a_max_is_unwound_when_it_is_set);
	tcase_add_test(tcase, a_task_that_is_the_victim_of_the_max_it_sets_is_unwound);
	tcase_add_loop_test(tcase,
		a_victim_that_may_not_be_unwound_waits_and_returns_when_it_is_given_up, 0,
		2);
	tcase_add_test(tcase, who_sets_a_max_leaves_it_to_whoever_sets_another);
	tcase_add_loop_test(tcase,
		a_policy_that_was_never_set_kills_for_a_max_where_memory_is_private, 0,
		(int)bhi_array_size(policies));
}

int main(void)
{
	return support_run("task_max", add);
}
