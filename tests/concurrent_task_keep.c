/* SPDX-License-Identifier: MIT */
/*
 * Idle pages that a task keeps for itself: whoever is short of memory gets them first,
 * and the races of taking them from a thread that runs.
 */
#include <errno.h>
#include <string.h>

#include "support.h"
#include "support_stop.h"
#include "support_task.h"

#define LIMIT  (16 * MIB)
/* What a keeper keeps at least, and what others ask for meanwhile: not both fit. */
#define KEPT   (5 * MIB)
#define WANTED (12 * MIB)

#define OBJECT ((size_t)128 * KIB)
#define NR     60

static struct support_stop stop, other_stop;

struct keeper {
	struct bh_group *group;
	struct bh_task *task;
	struct support_entry entry;
	int (*then)(struct keeper *keeper);
	uint32_t ready, go_on, reached; /* atomic */
};

static void use_and_free(void)
{
	void *objects[NR];

	for (int i = 0; i < NR; i++)
		ck_assert_ptr_nonnull(objects[i] = bh_malloc(OBJECT));
	for (int i = 0; i < NR; i++)
		bh_free(objects[i]);
}

static uint64_t kept(const struct bh_task *task)
{
	return (uint64_t)bhi_load(&task->region.nr_idle) * PAGE;
}

/* It comes to keep much by and by. */
static int keep(void *arg)
{
	struct keeper *keeper = arg;

	for (int i = 0; i < 10 && kept(bh_current()) < KEPT; i++)
		use_and_free();
	ck_assert_uint_ge(kept(bh_current()), KEPT);
	ck_assert_uint_eq(support_usage(keeper->group), kept(bh_current()));
	bhi_store_release(&keeper->ready, 1);
	support_await(&keeper->go_on, 1);
	return keeper->then ? keeper->then(keeper) : 0;
}

static void begin(struct keeper *keeper, int (*then)(struct keeper *keeper))
{
	memset(keeper, 0, sizeof(*keeper));
	support_start_tasks(TASK_ZONE, 1000);
	keeper->group = support_limited(NULL, "group", LIMIT);
	keeper->task = support_task(keeper->group, "keeper", 0);
	keeper->then = then;
	support_enter(&keeper->entry, keeper->task, keep, keeper);
	support_await(&keeper->ready, 1);
}

static void end(struct keeper *keeper, int result)
{
	bhi_store_release(&keeper->go_on, 1);
	ck_assert_int_eq(support_enter_end(&keeper->entry), result);
	support_stops_clear();
	support_await_refs(keeper->task, 1);
	/* When the thread has left it is not much. */
	ck_assert_uint_le(support_task_stat(keeper->task).bytes, 256 * KIB);
	ck_assert_uint_eq(
		support_usage(keeper->group), support_task_stat(keeper->task).bytes);
	ck_assert_uint_eq(support_stat(keeper->group).events.oom, 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_task_put(keeper->task);
	ck_assert_uint_eq(support_usage(keeper->group), 0);
	bh_group_put(keeper->group);
	support_end();
}

static void *charge(void *arg)
{
	struct bh_group *group = arg;

	ck_assert_int_eq(bh_charge(group, WANTED, 0), 0);
	bh_uncharge(group, WANTED);
	return NULL;
}

/* Those who are short. */

static int ask_in_calls(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < WANTED / OBJECT; i++)
		ck_assert_ptr_nonnull(bh_malloc(OBJECT));
	return 0;
}

static int ask_at_once(void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(WANTED));
	return 0;
}

static int ask_by_touch(void *arg)
{
	(void)arg;
	(void)support_filled_map(WANTED, 1);
	return 0;
}

static int ask_by_touch_in_hold(void *arg)
{
	bh_hold();
	(void)ask_by_touch(arg);
	bh_release();
	return 0;
}

static int ask_for_shared(void *arg)
{
	(void)charge(arg);
	return 0;
}

static int (*const asking[])(void *) = {
	ask_in_calls, ask_at_once, ask_by_touch, ask_by_touch_in_hold, ask_for_shared};

START_TEST(what_a_task_keeps_is_given_to_others_before_anybody_is_killed)
{
	struct keeper keeper;

	begin(&keeper, NULL);
	ck_assert_int_eq(
		bh_task_run(keeper.group, NULL, asking[_i], keeper.group, NULL), 0);
	ck_assert_uint_eq(kept(keeper.task), 0);
	end(&keeper, 0);
}
END_TEST

static int ask_oneself(struct keeper *keeper)
{
	(void)keeper;
	return ask_at_once(NULL);
}

START_TEST(what_a_task_keeps_is_there_for_its_own_large_objects)
{
	struct keeper keeper;

	begin(&keeper, ask_oneself);
	bhi_store_release(&keeper.go_on, 1);
	ck_assert_int_eq(support_enter_end(&keeper.entry), 0);
	ck_assert_int_eq(support_task_stat(keeper.task).killed, BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(keeper.group).events.oom, 0);
	bh_task_put(keeper.task);
	bh_group_put(keeper.group);
	support_end();
}
END_TEST

START_TEST(protection_does_not_cover_pages_that_nobody_uses)
{
	struct keeper keeper;
	struct bh_group *other;

	memset(&keeper, 0, sizeof(keeper));
	support_start_tasks(TASK_ZONE, 1000);
	other = support_limited(NULL, "parent", LIMIT);
	support_set(other, BH_MIN, LIMIT);
	keeper.group = support_limited(other, "group", LIMIT);
	support_set(keeper.group, BH_MIN, LIMIT);
	keeper.task = support_task(keeper.group, "keeper", 0);
	support_enter(&keeper.entry, keeper.task, keep, &keeper);
	support_await(&keeper.ready, 1);
	charge(other);
	ck_assert_uint_eq(kept(keeper.task), 0);
	bh_group_put(other);
	end(&keeper, 0);
}
END_TEST

/* The thread inside, while its pages are being taken. */

/* So little that it fits beside what the others ask for. */
static int use_again(struct keeper *keeper)
{
	char *object = bh_malloc(OBJECT);

	ck_assert_ptr_nonnull(object);
	bh_free(object);
	bhi_store_release(&keeper->reached, 1);
	return 0;
}

START_TEST(a_thread_that_needs_pages_waits_for_those_that_are_being_taken)
{
	struct keeper keeper;
	pthread_t other;

	begin(&keeper, use_again);
	support_stop_at(&stop, BHI_TP_QUIET, SUPPORT_OUTSIDE);
	other = support_thread(charge, keeper.group);
	support_stop_await(&stop);
	bhi_store_release(&keeper.go_on, 1);
	/* It cannot get on, and is not taken for a victim. */
	for (int i = 0; i < 20; i++)
		bhi_sys_pause(BHI_NS_PER_MS);
	ck_assert_uint_eq(bhi_load(&keeper.reached), 0);
	ck_assert_uint_ge(kept(keeper.task), KEPT);
	support_stop_go_on(&stop);
	support_join(other);
	end(&keeper, 0);
	ck_assert_uint_eq(keeper.reached, 1);
}
END_TEST

static int hold(struct keeper *keeper)
{
	bh_hold();
	bhi_store_release(&keeper->reached, 1);
	bh_release();
	return 0;
}

START_TEST(a_hold_section_does_not_wait_for_those_who_take_pages)
{
	struct keeper keeper;
	pthread_t other;

	begin(&keeper, hold);
	support_stop_at(&stop, BHI_TP_QUIET, SUPPORT_OUTSIDE);
	other = support_thread(charge, keeper.group);
	support_stop_await(&stop);
	bhi_store_release(&keeper.go_on, 1);
	support_await(&keeper.reached, 1);
	support_stop_go_on(&stop);
	support_join(other);
	end(&keeper, 0);
}
END_TEST

static int populate(struct keeper *keeper)
{
	ck_assert_ptr_nonnull(bh_malloc(MIB));
	bhi_store_release(&keeper->reached, 1);
	return 0;
}

START_TEST(who_takes_pages_waits_for_a_change_that_is_under_way)
{
	struct keeper keeper;
	pthread_t other;

	begin(&keeper, populate);
	support_stop_at(&stop, BHI_TP_BUSY, SUPPORT_INSIDE);
	support_watch(&other_stop, BHI_TP_TRIM, SUPPORT_OUTSIDE);
	bhi_store_release(&keeper.go_on, 1);
	support_stop_await(&stop);
	other = support_thread(charge, keeper.group);
	support_stop_await(&other_stop);
	ck_assert_uint_ge(kept(keeper.task), KEPT);
	support_stop_go_on(&stop);
	support_join(other);
	/* The object is the task's until it ends. */
	bhi_store_release(&keeper.go_on, 1);
	ck_assert_int_eq(support_enter_end(&keeper.entry), 0);
	ck_assert_uint_eq(keeper.reached, 1);
	ck_assert_uint_eq(support_stat(keeper.group).events.oom, 0);
	ck_assert_uint_eq(support_task_stat(keeper.task).bytes, MIB);
	support_stops_clear();
	bh_task_put(keeper.task);
	ck_assert_uint_eq(support_usage(keeper.group), 0);
	bh_group_put(keeper.group);
	support_end();
}
END_TEST

static int check(struct keeper *keeper)
{
	(void)bh_check();
	use_and_free();
	bhi_store_release(&keeper->reached, 1);
	return 0;
}

START_TEST(a_kill_while_pages_are_being_taken_gets_the_rest)
{
	struct keeper keeper;
	pthread_t other;

	begin(&keeper, check);
	support_stop_at(&stop, BHI_TP_QUIET, SUPPORT_OUTSIDE);
	other = support_thread(charge, keeper.group);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(keeper.task), 0);
	bhi_store_release(&keeper.go_on, 1);
	support_stop_go_on(&stop);
	support_join(other);
	end(&keeper, -ECANCELED);
	ck_assert_uint_eq(keeper.reached, 0);
}
END_TEST

/* Threads that keep, and threads that take, at a limit that none of them is over when
 * nobody keeps anything. */

#define NR_KEEPERS 3
#define NR_ROUNDS  60

static int churn(void *arg)
{
	(void)arg;
	for (int i = 0; i < NR_ROUNDS; i++) {
		unsigned char *objects[16];

		for (size_t k = 0; k < bhi_array_size(objects); k++) {
			size_t size = (k + 1) * 8 * KIB;

			objects[k] = bh_malloc(size);
			memset(objects[k], (int)k + 1, size);
		}
		for (size_t k = 0; k < bhi_array_size(objects); k++) {
			ck_assert_int_eq(objects[k][(k + 1) * 8 * KIB - 1], k + 1);
			bh_free(objects[k]);
		}
	}
	return 0;
}

START_TEST(at_the_limit_those_who_keep_and_those_who_take_get_on)
{
	struct support_entry entries[NR_KEEPERS];
	struct bh_group *group;

	support_start_tasks(TASK_ZONE, 1000);
	/* What is in use: 1.1 MiB each, and 12 MiB. */
	group = support_limited(NULL, "group", LIMIT + MIB);
	for (int i = 0; i < NR_KEEPERS; i++)
		support_enter(&entries[i], support_task(group, "keeper", 0), churn, NULL);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(bh_task_run(group, NULL, ask_by_touch, NULL, NULL), 0);
	for (int i = 0; i < NR_KEEPERS; i++) {
		ck_assert_int_eq(support_enter_end(&entries[i]), 0);
		bh_task_put(entries[i].task);
	}
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		what_a_task_keeps_is_given_to_others_before_anybody_is_killed, 0,
		(int)bhi_array_size(asking));
	tcase_add_test(tcase, what_a_task_keeps_is_there_for_its_own_large_objects);
	tcase_add_test(tcase, protection_does_not_cover_pages_that_nobody_uses);
	tcase_add_test(
		tcase, a_thread_that_needs_pages_waits_for_those_that_are_being_taken);
	tcase_add_test(tcase, a_hold_section_does_not_wait_for_those_who_take_pages);
	tcase_add_test(tcase, who_takes_pages_waits_for_a_change_that_is_under_way);
	tcase_add_test(tcase, a_kill_while_pages_are_being_taken_gets_the_rest);
	tcase_add_test(tcase, at_the_limit_those_who_keep_and_those_who_take_get_on);
}

int main(void)
{
	return support_run("task_keep", add);
}
