/* SPDX-License-Identifier: MIT */
/* bh_cond: who is woken, what a wait returns, and what becomes of a signal whose waiter
 * dies. */
#include <errno.h>

#include "base/policy.h"
#include "base/sys.h"
#include "support.h"
#include "support_locks.h"

#define ZONE (64 * MIB)

/* Far enough that no test lives to see it. */
#define AN_HOUR (3600 * BHI_NS_PER_SEC)

static struct bh_mutex mutex = {.name_ = "mutex"};
static struct bh_cond cond = {.name_ = "cond"};

/* Protected by the mutex: how often somebody was woken, and who was last. */
static uint32_t nr_woken;
static const void *last_woken;

/* What fn returns is what the wait did. */
static int wait_for_it(void *arg)
{
	int r;

	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	r = bh_cond_wait(&cond, &mutex);
	if (r == -ECANCELED) {
		ck_assert_int_eq(bh_mutex_unlock(&mutex), -EPERM);
		return r;
	}
	last_woken = bh_current();
	bhi_add(&nr_woken, 1);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return r;
}

static void start_waiting(struct support_visit *visit, const char *name)
{
	support_visit(visit, name, 0, wait_for_it, NULL);
	support_await_asleep(visit->task);
}

static void check_is_done(struct support_visit *visit)
{
	ck_assert_int_eq(support_visit_end(visit), 0);
	ck_assert_int_eq(visit->report.value, 0);
	ck_assert_uint_eq(visit->report.nr_leaked_locks, 0);
}

/* Both are whole, and nobody is there. */
static void check_is_free(void)
{
	ck_assert_int_eq(bh_cond_destroy(&cond), 0);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_destroy(&mutex), 0);
}

START_TEST(calls_that_need_not_wait_return_what_they_promise)
{
	struct support_visit visit;

	support_start(ZONE);
	ck_assert_int_eq(bh_cond_init(&cond, "cond"), 0);
	ck_assert_int_eq(bh_cond_init(NULL, NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_wait(NULL, &mutex), -EINVAL);
	ck_assert_int_eq(bh_cond_wait(&cond, NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_timedwait(NULL, &mutex, 1), -EINVAL);
	ck_assert_int_eq(bh_cond_timedwait(&cond, NULL, 1), -EINVAL);
	ck_assert_int_eq(bh_cond_signal(NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_broadcast(NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_destroy(NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_wait(&cond, &mutex), -EPERM);
	ck_assert_int_eq(bh_cond_timedwait(&cond, &mutex, 1), -EPERM);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	ck_assert_int_eq(bh_cond_broadcast(&cond), 0);
	start_waiting(&visit, "waiter");
	ck_assert_int_eq(bh_cond_destroy(&cond), -EBUSY);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	check_is_done(&visit);
	check_is_free();
	support_end();
}
END_TEST

static int use_a_private_one(void *arg)
{
	struct bh_cond *private = bh_calloc(1, sizeof(*private));

	(void)arg;
	ck_assert_ptr_nonnull(private);
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_cond_init(private, NULL), -EINVAL);
	ck_assert_int_eq(bh_cond_wait(private, &mutex), -EINVAL);
	ck_assert_int_eq(bh_cond_timedwait(private, &mutex, 1), -EINVAL);
	ck_assert_int_eq(bh_cond_signal(private), -EINVAL);
	ck_assert_int_eq(bh_cond_broadcast(private), -EINVAL);
	ck_assert_int_eq(bh_cond_destroy(private), -EINVAL);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return 0;
}

START_TEST(a_cond_in_private_memory_is_refused)
{
	support_start(ZONE);
	ck_assert_int_eq(bh_task_run(NULL, NULL, use_a_private_one, NULL, NULL), 0);
	check_is_free();
	support_end();
}
END_TEST

static int wait_until_now(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_cond_timedwait(&cond, &mutex, 0), -ETIMEDOUT);
	ck_assert_int_eq(bh_cond_timedwait(&cond, &mutex, bhi_sys_now_ns()), -ETIMEDOUT);
	/* One that sleeps: a signal that never comes. */
	ck_assert_int_eq(
		bh_cond_timedwait(&cond, &mutex, bhi_sys_now_ns() + 2 * BHI_NS_PER_MS),
		-ETIMEDOUT);
	return bh_mutex_unlock(&mutex);
}

static int wait_for_an_hour(void *arg)
{
	int r;

	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	r = bh_cond_timedwait(&cond, &mutex, bhi_sys_now_ns() + AN_HOUR);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return r;
}

START_TEST(a_wait_with_an_end_is_signalled_or_times_out_with_the_mutex_held)
{
	struct support_visit visit;

	support_start(ZONE);
	ck_assert_int_eq(wait_until_now(NULL), 0);
	support_visit(&visit, "times-out", 0, wait_until_now, NULL);
	check_is_done(&visit);
	support_visit(&visit, "signalled", 0, wait_for_an_hour, NULL);
	support_await_asleep(visit.task);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	check_is_done(&visit);
	support_visit(&visit, "killed", 0, wait_for_an_hour, NULL);
	support_await_asleep(visit.task);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	check_is_free();
	support_end();
}
END_TEST

#define NR_WAITERS 4

START_TEST(a_signal_wakes_the_one_that_has_waited_longest_and_nobody_else)
{
	struct support_visit waiters[NR_WAITERS];

	support_start(ZONE);
	for (int i = 0; i < NR_WAITERS; i++)
		start_waiting(&waiters[i], "waiter");
	for (uint32_t i = 0; i < NR_WAITERS; i++) {
		const void *task = waiters[i].task;

		/* With the mutex held, and without. */
		if (i % 2)
			ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
		ck_assert_int_eq(bh_cond_signal(&cond), 0);
		if (i % 2)
			ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
		check_is_done(&waiters[i]);
		ck_assert_ptr_eq(last_woken, task);
		ck_assert_uint_eq(nr_woken, i + 1);
	}
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_broadcast_wakes_all_that_wait)
{
	struct support_visit waiters[NR_WAITERS];

	support_start(ZONE);
	for (int i = 0; i < NR_WAITERS; i++)
		start_waiting(&waiters[i], "waiter");
	ck_assert_int_eq(bh_cond_broadcast(&cond), 0);
	for (int i = 0; i < NR_WAITERS; i++)
		check_is_done(&waiters[i]);
	ck_assert_uint_eq(nr_woken, NR_WAITERS);
	check_is_free();
	support_end();
}
END_TEST

static uint32_t flag;

static void *wait_in_thread(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	bhi_store_release(&nr_woken, 1);
	while (!flag)
		ck_assert_int_eq(bh_cond_wait(&cond, &mutex), 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	return NULL;
}

START_TEST(threads_outside_of_tasks_wait_too)
{
	pthread_t thread;

	support_start(ZONE);
	thread = support_thread(wait_in_thread, NULL);
	support_await(&nr_woken, 1);
	/* It has had the mutex, so it waits. */
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	flag = 1;
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	support_join(thread);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_killed_waiter_leaves_the_queue_and_unwinds)
{
	struct support_visit first, next;

	support_start(ZONE);
	start_waiting(&first, "first");
	start_waiting(&next, "next");
	/* The mutex is not waited for either. */
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(first.report.victim_state, BH_VICTIM_BLOCKED);
	ck_assert_uint_eq(first.report.nr_leaked_locks, 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	/* Nobody else was woken by that; the signal goes to who is there. */
	ck_assert_uint_eq(nr_woken, 0);
	support_await_asleep(next.task);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	check_is_done(&next);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_waiter_killed_after_its_signal_passes_it_on)
{
	struct support_visit first, next;

	support_start(ZONE);
	start_waiting(&first, "first");
	start_waiting(&next, "next");
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	/* It is awake, and asleep again, waiting for the mutex. */
	support_await(&mutex.word_, 2);
	support_await_asleep(first.task);
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_done(&next);
	ck_assert_uint_eq(nr_woken, 1);
	check_is_free();
	support_end();
}
END_TEST

static int wait_cooperatively(void *arg)
{
	*(int *)arg = wait_for_it(NULL);
	return 0;
}

START_TEST(a_killed_waiter_that_is_cooperative_is_told_and_has_no_mutex)
{
	struct support_visit visit;
	int said = 0;

	support_start(ZONE);
	support_visit(&visit, "waiter", BH_TASK_COOPERATIVE, wait_cooperatively, &said);
	support_await_asleep(visit.task);
	/* Who dies waits for nobody. */
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_int_eq(said, -ECANCELED);
	ck_assert_uint_eq(visit.report.nr_leaked_locks, 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	check_is_free();
	support_end();
}
END_TEST

static int wait_in_a_hold_section(void *arg)
{
	uint32_t *step = arg;

	bh_hold();
	ck_assert_int_eq(wait_for_it(NULL), -ECANCELED);
	*step = 1;
	bh_release();
	*step = 2;
	return 0;
}

START_TEST(a_killed_waiter_in_another_hold_section_is_told_and_unwinds_at_its_end)
{
	struct support_visit visit;
	uint32_t step = 0;

	support_start(ZONE);
	support_visit(&visit, "waiter", 0, wait_in_a_hold_section, &step);
	support_await_asleep(visit.task);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_eq(step, 1);
	check_is_free();
	support_end();
}
END_TEST

static int have_and_wait(void *arg)
{
	ck_assert_ptr_nonnull(bh_malloc(MIB));
	return wait_for_it(arg);
}

START_TEST(waiting_gives_up_the_hold_section_so_a_waiter_is_reaped)
{
	struct support_visit visit;
	struct bh_task_stat stat;

	support_start(ZONE);
	/* So that it stays where it is. */
	bhi_policy.killable_waits = false;
	support_visit(&visit, "waiter", 0, have_and_wait, NULL);
	support_await_asleep(visit.task);
	ck_assert_int_eq(bh_task_kill(visit.task), 0);
	support_await_reaped(visit.task);
	ck_assert_int_eq(bh_task_stat(visit.task, &stat), 0);
	ck_assert_uint_eq(stat.bytes, 0);
	support_await_asleep(visit.task);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	ck_assert_int_eq(support_visit_end(&visit), -ECANCELED);
	ck_assert_uint_ge(visit.report.reaped, MIB);
	check_is_free();
	support_end();
}
END_TEST

static int lock_and_end(void *arg)
{
	(void)arg;
	return bh_mutex_lock(&mutex);
}

START_TEST(a_wait_says_that_the_last_holder_of_the_mutex_died)
{
	struct support_visit visit;

	support_start(ZONE);
	start_waiting(&visit, "waiter");
	ck_assert_int_eq(bh_task_run(NULL, NULL, lock_and_end, NULL, NULL), 0);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	ck_assert_int_eq(support_visit_end(&visit), 0);
	ck_assert_int_eq(visit.report.value, -EOWNERDEAD);
	ck_assert_uint_eq(nr_woken, 1);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_signal_to_a_waiter_that_the_kill_has_woken_is_passed_on)
{
	struct support_visit first, next;

	support_start(ZONE);
	start_waiting(&first, "first");
	start_waiting(&next, "next");
	/* It knows that it is killed; it is still in the queue. */
	support_stop_when_woken(first.task);
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_stopped();
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	check_is_done(&next);
	check_is_free();
	support_end();
}
END_TEST

START_TEST(a_waiter_reaped_when_it_was_signalled_passes_it_on)
{
	struct support_visit first, next;

	support_start(ZONE);
	start_waiting(&first, "first");
	start_waiting(&next, "next");
	support_stop_when_woken(first.task);
	ck_assert_int_eq(bh_cond_signal(&cond), 0);
	support_await_stopped();
	ck_assert_int_eq(bh_task_kill(first.task), 0);
	support_await_reaped(first.task);
	support_go_on();
	ck_assert_int_eq(support_visit_end(&first), -ECANCELED);
	check_is_done(&next);
	check_is_free();
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, calls_that_need_not_wait_return_what_they_promise);
	tcase_add_test(tcase, a_cond_in_private_memory_is_refused);
	tcase_add_test(
		tcase, a_wait_with_an_end_is_signalled_or_times_out_with_the_mutex_held);
	tcase_add_test(
		tcase, a_signal_wakes_the_one_that_has_waited_longest_and_nobody_else);
	tcase_add_test(tcase, a_broadcast_wakes_all_that_wait);
	tcase_add_test(tcase, threads_outside_of_tasks_wait_too);
	tcase_add_test(tcase, a_killed_waiter_leaves_the_queue_and_unwinds);
	tcase_add_test(tcase, a_waiter_killed_after_its_signal_passes_it_on);
	tcase_add_test(
		tcase, a_killed_waiter_that_is_cooperative_is_told_and_has_no_mutex);
	tcase_add_test(tcase,
		a_killed_waiter_in_another_hold_section_is_told_and_unwinds_at_its_end);
	tcase_add_test(tcase, waiting_gives_up_the_hold_section_so_a_waiter_is_reaped);
	tcase_add_test(tcase, a_wait_says_that_the_last_holder_of_the_mutex_died);
	tcase_add_test(tcase, a_signal_to_a_waiter_that_the_kill_has_woken_is_passed_on);
	tcase_add_test(tcase, a_waiter_reaped_when_it_was_signalled_passes_it_on);
}

int main(void)
{
	return support_run("test_cond", add_tests);
}
