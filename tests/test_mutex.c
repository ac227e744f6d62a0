/* SPDX-License-Identifier: MIT */
/* bh_mutex: what its calls return, and what becomes of holders and waiters that die. */
#include <errno.h>

#include "base/policy.h"
#include "support.h"
#include "support_locks.h"
#include "support_stop.h"

#define ZONE (64 * MIB)

static struct bh_mutex mutex = {.name_ = "mutex"}, second = {.name_ = "second"};

/* What fn of a task does with the mutex, and says by what it returns. */
static int lock_and_unlock(void *arg)
{
	int r = bh_mutex_lock(&mutex);

	(void)arg;
	if (!r || r == -EOWNERDEAD)
		ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return r;
}

static int lock_and_end(void *arg)
{
	(void)arg;
	return bh_mutex_lock(&mutex);
}

static int in_a_task(const char *name, int (*fn)(void *arg), struct bh_report *report)
{
	const struct bh_task_attr attr = {.name = name};

	return bh_task_run(NULL, &attr, fn, NULL, report);
}

/* The lock is whole and nobody's. */
static void check_is_free(void)
{
	struct bh_report report;

	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	ck_assert_int_eq(in_a_task("checker", lock_and_unlock, &report), 0);
	ck_assert_int_eq(report.value, 0);
	ck_assert_int_eq(bh_mutex_destroy(&mutex), 0);
}

enum state {
	FREE,
	MINE,    /* of who calls */
	THREADS, /* of the thread that calls in a task, since before it entered */
	OTHERS,  /* of another thread */
	LEFT,    /* by a task that ended */
	NR_STATES,
};

enum call {
	LOCK,
	TRYLOCK,
	UNLOCK,
	DESTROY,
	NR_CALLS,
};

/* 1: would wait. */
static const int outside[NR_STATES][NR_CALLS] = {
	[FREE] = {0, 0, -EPERM, 0},
	[MINE] = {-EDEADLK, -EBUSY, 0, -EBUSY},
	[OTHERS] = {1, -EBUSY, -EPERM, -EBUSY},
	[LEFT] = {-EOWNERDEAD, -EOWNERDEAD, -EPERM, 0},
};
static const int inside[NR_STATES][NR_CALLS] = {
	[FREE] = {0, 0, -EPERM, 0},
	[MINE] = {-EDEADLK, -EBUSY, 0, -EBUSY},
	[THREADS] = {-EDEADLK, -EBUSY, -EPERM, -EBUSY},
	[OTHERS] = {1, -EBUSY, -EPERM, -EBUSY},
	[LEFT] = {-EOWNERDEAD, -EOWNERDEAD, -EPERM, 0},
};

static int call_it(enum call call)
{
	switch (call) {
	case LOCK:
		return bh_mutex_lock(&mutex);
	case TRYLOCK:
		return bh_mutex_trylock(&mutex);
	case UNLOCK:
		return bh_mutex_unlock(&mutex);
	default:
		return bh_mutex_destroy(&mutex);
	}
}

static void *lock_in_thread(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	return NULL;
}

static void bring_to(enum state state)
{
	ck_assert_int_eq(bh_mutex_init(&mutex, "mutex"), 0);
	if (state == OTHERS)
		support_join(support_thread(lock_in_thread, NULL));
	else if (state == LEFT)
		ck_assert_int_eq(in_a_task("ends", lock_and_end, NULL), 0);
	else if (state == THREADS)
		ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
}

struct row {
	enum state state;
	enum call call;
	int expected;
};

static int check_row(void *arg)
{
	const struct row *row = arg;
	int r;

	if (row->state == MINE)
		ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	r = call_it(row->call);
	ck_assert_msg(r == row->expected, "state %d, call %d: %d", (int)row->state,
		(int)row->call, r);
	/* Who has it now gives it up. */
	if (r != -EPERM && row->call != DESTROY && row->state != OTHERS)
		(void)bh_mutex_unlock(&mutex);
	else if (row->state == MINE)
		ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return 0;
}

START_TEST(each_mutex_call_returns_what_the_table_says)
{
	support_start(ZONE);
	for (int i = 0; i < NR_STATES * NR_CALLS; i++) {
		struct row row = {.state = i / NR_CALLS, .call = i % NR_CALLS};
		struct bh_report report;

		row.expected = outside[row.state][row.call];
		if (row.state != THREADS && row.expected != 1) {
			bring_to(row.state);
			check_row(&row);
		}
		row.expected = inside[row.state][row.call];
		if (row.expected == 1)
			continue;
		bring_to(row.state);
		ck_assert_int_eq(bh_task_run(NULL, NULL, check_row, &row, &report), 0);
		ck_assert_uint_eq(report.nr_leaked_locks, 0);
	}
	ck_assert_int_eq(bh_mutex_init(NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_mutex_lock(NULL), -EINVAL);
	ck_assert_int_eq(bh_mutex_trylock(NULL), -EINVAL);
	ck_assert_int_eq(bh_mutex_unlock(NULL), -EINVAL);
	ck_assert_int_eq(bh_mutex_destroy(NULL), -EINVAL);
	support_end();
}
END_TEST

static int use_a_private_one(void *arg)
{
	struct bh_mutex *private = bh_calloc(1, sizeof(*private));

	(void)arg;
	ck_assert_ptr_nonnull(private);
	ck_assert_int_eq(bh_mutex_init(private, NULL), -EINVAL);
	ck_assert_int_eq(bh_mutex_lock(private), -EINVAL);
	ck_assert_int_eq(bh_mutex_trylock(private), -EINVAL);
	ck_assert_int_eq(bh_mutex_unlock(private), -EINVAL);
	ck_assert_int_eq(bh_mutex_destroy(private), -EINVAL);
	return 0;
}

START_TEST(a_mutex_in_private_memory_is_refused)
{
	support_start(ZONE);
	ck_assert_int_eq(in_a_task("task", use_a_private_one, NULL), 0);
	support_end();
}
END_TEST

static int die_with_both(void *arg)
{
	uint32_t *step = arg;

	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_lock(&second), 0);
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	ck_assert_int_eq(bh_check(), -ECANCELED);
	/* The first one of two, which is not the newest. */
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	ck_assert_int_eq(bh_check(), -ECANCELED);
	*step = 1;
	(void)bh_mutex_unlock(&second);
	*step = 2;
	return 0;
}

START_TEST(a_killed_holder_goes_on_until_it_has_unlocked_the_last_mutex)
{
	struct bh_report report;
	uint32_t step = 0;

	support_start(ZONE);
	ck_assert_int_eq(
		bh_task_run(NULL, NULL, die_with_both, &step, &report), -ECANCELED);
	ck_assert_uint_eq(step, 1);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(report.nr_leaked_locks, 0);
	check_is_free();
	ck_assert_int_eq(bh_mutex_destroy(&second), 0);
	support_end();
}
END_TEST

START_TEST(a_killed_waiter_leaves_without_the_mutex_and_unwinds)
{
	struct support_visit waiter;

	support_start(ZONE);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&waiter, "waiter", 0, lock_and_unlock, NULL);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	/* It is out while the mutex is still held. */
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	ck_assert_int_eq(waiter.report.victim_state, BH_VICTIM_BLOCKED);
	ck_assert_uint_eq(waiter.report.nr_leaked_locks, 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_free();
	support_end();
}
END_TEST

static int wait_in_a_hold_section(void *arg)
{
	uint32_t *step = arg;

	bh_hold();
	ck_assert_int_eq(bh_mutex_lock(&mutex), -ECANCELED);
	/* Nobody is waited for any more, but what is free can be had. */
	ck_assert_int_eq(bh_mutex_lock(&mutex), -ECANCELED);
	ck_assert_int_eq(bh_mutex_lock(&second), 0);
	ck_assert_int_eq(bh_mutex_unlock(&second), 0);
	*step = 1;
	bh_release();
	*step = 2;
	return 0;
}

START_TEST(a_killed_waiter_in_a_hold_section_is_told_and_unwinds_at_its_end)
{
	struct support_visit waiter;
	uint32_t step = 0;

	support_start(ZONE);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&waiter, "waiter", 0, wait_in_a_hold_section, &step);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	ck_assert_uint_eq(step, 1);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_free();
	support_end();
}
END_TEST

static int lock_and_say(void *arg)
{
	*(int *)arg = lock_and_unlock(NULL);
	return 0;
}

START_TEST(a_killed_waiter_that_is_cooperative_is_told)
{
	struct support_visit waiter;
	int said = 0;

	support_start(ZONE);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&waiter, "waiter", BH_TASK_COOPERATIVE, lock_and_say, &said);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	ck_assert_int_eq(said, -ECANCELED);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_free();
	support_end();
}
END_TEST

static int spin_and_lock(void *arg)
{
	bhi_store_release((uint32_t *)arg, 1);
	support_await(arg, 2);
	return bh_mutex_lock(&mutex);
}

START_TEST(a_killed_task_takes_no_mutex_any_more)
{
	struct support_visit visit;
	uint32_t step = 0;

	support_start(ZONE);
	/* Which would see to it too. */
	bhi_policy.reaper = false;
	support_visit(&visit, "victim", 0, spin_and_lock, &step);
	support_await(&step, 1);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	bhi_store_release(&step, 2);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(owner_died_reaches_the_next_holder_and_no_other)
{
	struct support_visit waiter;
	struct bh_report report;

	support_start(ZONE);
	ck_assert_int_eq(in_a_task("holder", lock_and_end, &report), 0);
	ck_assert_int_eq(report.value, 0);
	ck_assert_uint_eq(report.nr_leaked_locks, 1);
	ck_assert_int_eq(bh_mutex_lock(&mutex), -EOWNERDEAD);
	support_visit(&waiter, "waiter", 0, lock_and_unlock, NULL);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	ck_assert_int_eq(support_visit_end(&waiter), 0);
	ck_assert_int_eq(waiter.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

static uint32_t may_end;

static int hold_until_told(void *arg)
{
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	bhi_store_release((uint32_t *)arg, 1);
	support_await(&may_end, 1);
	return 0;
}

/* What a waiter that sleeps is told when the holder's task ends. */
static int told_at_the_end(void)
{
	struct support_visit holder, waiter;
	uint32_t holds = 0;

	support_visit(&holder, "holder", 0, hold_until_told, &holds);
	support_await(&holds, 1);
	support_visit(&waiter, "waiter", 0, lock_and_unlock, NULL);
	support_await_asleep(waiter.task);
	bhi_store_release(&may_end, 1);
	ck_assert_int_eq(support_visit_end(&holder), 0);
	ck_assert_uint_eq(holder.report.nr_leaked_locks, 1);
	ck_assert_int_eq(support_visit_end(&waiter), 0);
	check_is_free();
	support_end();
	return waiter.report.value;
}

START_TEST(a_sleeping_waiter_gets_the_mutex_of_a_task_that_ends_and_is_told)
{
	support_start(ZONE);
	ck_assert_int_eq(told_at_the_end(), -EOWNERDEAD);
}
END_TEST

START_TEST(were_the_mutex_not_marked_its_next_holder_would_not_be_told)
{
	support_start(ZONE);
	bhi_policy.without.owner_died = true;
	ck_assert_int_eq(told_at_the_end(), 0);
}
END_TEST

static int end_with_two(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_lock(&second), 0);
	return 0;
}

static void leak_two(void *arg)
{
	struct bh_report report;

	(void)arg;
	support_start(ZONE);
	ck_assert_int_eq(in_a_task("leaker", end_with_two, &report), 0);
	ck_assert_uint_eq(report.nr_leaked_locks, 2);
}

START_TEST(a_task_that_ends_with_mutexes_held_is_reported_with_the_place)
{
	struct support_output output;

	support_capture(leak_two, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_int_eq(support_count_lines(output.err), 2);
	ck_assert(support_contains(output.err,
		"bulkhead: task 'leaker' ended with mutex 'mutex' held, taken at 0x"));
	ck_assert(support_contains(output.err, "mutex 'second' held"));
	ck_assert(support_contains(output.err, "(test_mutex+0x"));
	support_output_fini(&output);
}
END_TEST

START_TEST(a_waiter_reaped_when_it_was_woken_wakes_the_next)
{
	struct support_visit first, next;

	support_start(ZONE);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&first, "first", 0, lock_and_unlock, NULL);
	support_await_asleep(first.task);
	support_visit(&next, "next", 0, lock_and_unlock, NULL);
	support_await_asleep(next.task);
	support_stop_when_woken(first.task);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	support_await_stopped();
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_reaped(first.task);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(support_visit_end(&next), 0);
	ck_assert_int_eq(next.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_waiter_killed_by_chance_as_it_is_woken_wakes_the_next)
{
	struct support_visit first, next;

	support_start(ZONE);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&first, "first", 0, lock_and_unlock, NULL);
	support_await_asleep(first.task);
	support_visit(&next, "next", 0, lock_and_unlock, NULL);
	support_await_asleep(next.task);
	/* The kill ends its sleep; it has not left yet when the mutex is unlocked. */
	support_stop_when_woken(first.task);
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_stopped();
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(support_visit_end(&next), 0);
	ck_assert_int_eq(next.report.value, 0);
	check_is_free();
	support_end();
}
END_TEST

static int come_for_it(void *arg)
{
	int r = *(int *)arg % 2 ? bh_mutex_trylock(&mutex) : bh_mutex_lock(&mutex);

	*(int *)arg = -1;
	return r;
}

static struct support_stop stop;

START_TEST(a_task_killed_as_it_comes_for_the_mutex_leaves_without_it)
{
	struct support_visit visit;
	int way = _i;

	support_start(ZONE);
	support_stop_at(&stop, BHI_TP_LOCK, SUPPORT_INSIDE);
	support_visit(&visit, "victim", 0, come_for_it, &way);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	if (_i / 2)
		support_await_reaped(visit.task);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_int_eq(way, _i);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	check_is_free();
	support_end();
}
END_TEST

static int lock_and_unlock_when_told(void *arg)
{
	uint32_t *step = arg;

	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	bhi_store_release(step, 1);
	support_await(step, 2);
	(void)bh_mutex_unlock(&mutex);
	*step = 3;
	return 0;
}

START_TEST(a_holder_killed_as_it_has_unlocked_leaves_the_mutex_to_others)
{
	struct support_visit visit;
	uint32_t step = 0;

	support_start(ZONE);
	support_visit(&visit, "victim", 0, lock_and_unlock_when_told, &step);
	support_await(&step, 1);
	support_stop_at(&stop, BHI_TP_LOCK, SUPPORT_INSIDE);
	bhi_store_release(&step, 2);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	support_await_reaped(visit.task);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_eq(step, 2);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_free();
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, each_mutex_call_returns_what_the_table_says);
	tcase_add_test(tcase, a_mutex_in_private_memory_is_refused);
	tcase_add_test(
		tcase, a_killed_holder_goes_on_until_it_has_unlocked_the_last_mutex);
	tcase_add_test(tcase, a_killed_waiter_leaves_without_the_mutex_and_unwinds);
	tcase_add_test(
		tcase, a_killed_waiter_in_a_hold_section_is_told_and_unwinds_at_its_end);
	tcase_add_test(tcase, a_killed_waiter_that_is_cooperative_is_told);
	tcase_add_test(tcase, a_killed_task_takes_no_mutex_any_more);
	tcase_add_test(tcase, owner_died_reaches_the_next_holder_and_no_other);
	tcase_add_test(
		tcase, a_sleeping_waiter_gets_the_mutex_of_a_task_that_ends_and_is_told);
	tcase_add_test(
		tcase, were_the_mutex_not_marked_its_next_holder_would_not_be_told);
	tcase_add_test(
		tcase, a_task_that_ends_with_mutexes_held_is_reported_with_the_place);
	tcase_add_test(tcase, a_waiter_reaped_when_it_was_woken_wakes_the_next);
	tcase_add_test(tcase, a_waiter_killed_by_chance_as_it_is_woken_wakes_the_next);
	tcase_add_loop_test(
		tcase, a_task_killed_as_it_comes_for_the_mutex_leaves_without_it, 0, 4);
	tcase_add_test(
		tcase, a_holder_killed_as_it_has_unlocked_leaves_the_mutex_to_others);
}

int main(void)
{
	return support_run("test_mutex", add_tests);
}
