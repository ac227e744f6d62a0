/* SPDX-License-Identifier: MIT */
/* Holders of a mutex and those who wait for it as victims of the OOM killer. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "base/policy.h"
#include "base/sys.h"
#include "base/testpoint.h"
#include "oom/reaper.h"
#include "support.h"
#include "support_locks.h"

#define ZONE (64 * MIB)

static struct bh_mutex mutex = {.name_ = "mutex"};
static uint32_t may_end;

static void check_is_free(void)
{
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
}

static int lock_and_unlock(void)
{
	int r = bh_mutex_lock(&mutex);

	if (!r)
		r = bh_mutex_unlock(&mutex);
	return r;
}

static int have_and_lock(void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(MIB));
	return lock_and_unlock();
}

START_TEST(a_waiter_that_holds_nothing_is_reaped_while_it_waits)
{
	struct support_visit waiter;
	struct bh_task_stat stat;

	support_start(ZONE);
	/* So that it stays where it is. */
	bhi_policy.killable_waits = false;
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	support_visit(&waiter, "waiter", 0, have_and_lock, NULL);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_task_kill(waiter.task), 0);
	support_await_reaped(waiter.task);
	ck_assert_int_eq(bh_task_stat(waiter.task, &stat), 0);
	ck_assert_uint_eq(stat.bytes, 0);
	support_await_asleep(waiter.task);
	ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	ck_assert_int_eq(support_visit_end(&waiter), -ECANCELED);
	ck_assert_uint_ge(waiter.report.reaped, MIB);
	check_is_free();
	support_end();
}
END_TEST

static struct bh_group *group;

static int have_most_and_lock(void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(8 * MIB));
	return lock_and_unlock();
}

static void *enter_victim(void *arg)
{
	struct support_visit *victim = arg;

	victim->result =
		bh_task_enter(victim->task, have_most_and_lock, NULL, &victim->report);
	return NULL;
}

static int lock_and_ask(void *arg)
{
	struct support_visit *victim = arg;

	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	victim->thread = support_thread(enter_victim, victim);
	support_await_asleep(victim->task);
	/* There is room for it once the one who waits for us is gone. */
	ck_assert_ptr_nonnull(bh_malloc(8 * MIB));
	return bh_mutex_unlock(&mutex);
}

START_TEST(a_holder_gets_the_memory_of_the_victim_that_waits_for_it)
{
	const struct bh_task_attr attr = {.name = "victim"};
	struct support_visit victim = {0};
	struct bh_report report;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 12 * MIB);
	victim.task = bh_task_new(group, &attr);
	ck_assert_int_eq(bh_task_run(group, NULL, lock_and_ask, &victim, &report), 0);
	ck_assert_int_eq(report.value, 0);
	ck_assert_int_eq(support_visit_end(&victim), -ECANCELED);
	ck_assert_int_eq(victim.report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(victim.report.victim_state, BH_VICTIM_BLOCKED);
	bh_group_put(group);
	check_is_free();
	support_end();
}
END_TEST

/* What the tasks of the next test have; the holder has the most. */
#define HOLDER_BYTES (8 * MIB)
#define NEXT_BYTES   (4 * MIB)
#define ASKER_BYTES  (2 * MIB)
#define LIMIT        (12 * MIB)

static int hold_much(void *arg)
{
	uint32_t *holds = arg;

	ck_assert_ptr_nonnull(bh_malloc(HOLDER_BYTES));
	ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	bhi_store_release(holds, 1);
	support_await(&may_end, 1);
	(void)bh_mutex_unlock(&mutex);
	return 0;
}

static int have_much(void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(NEXT_BYTES));
	return 0;
}

static int ask_for_more(void *arg)
{
	(void)arg;
	return !bh_malloc(ASKER_BYTES);
}

static void *enter_holder(void *arg)
{
	struct bh_task_attr attr = {.name = "holder"};
	struct bh_report report;

	ck_assert_int_eq(bh_task_run(group, &attr, hold_much, arg, &report), -ECANCELED);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(report.nr_leaked_locks, 0);
	return NULL;
}

static void exhaust(void *arg)
{
	struct bh_config config = {.size = ZONE,
		.decay_ms = 3600000,
		.reap_tries = 10,
		.reap_interval_ms = 1};
	struct bh_task_attr attr = {.name = "next"};
	struct bhi_reaper_stat stat;
	struct bh_report report;
	struct bh_task *next;
	uint32_t holds = 0;
	pthread_t holder;

	(void)arg;
	ck_assert_int_eq(bh_init(&config), 0);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, LIMIT + MIB);
	holder = support_thread(enter_holder, &holds);
	support_await(&holds, 1);
	next = bh_task_new(group, &attr);
	ck_assert_int_eq(bh_task_enter(next, have_much, NULL, NULL), 0);
	attr.name = "asker";
	ck_assert_int_eq(bh_task_run(group, &attr, ask_for_more, NULL, &report), 0);
	ck_assert_int_eq(report.value, 0);
	bhi_reaper_stat(&stat);
	printf("given up %u, holder held %d\n", (unsigned)stat.nr_given_up,
		bh_mutex_trylock(&mutex) == -EBUSY);
	ck_assert_int_eq(bh_task_enter(next, have_much, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	bhi_store_release(&may_end, 1);
	support_join(holder);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 2);
	bh_task_put(next);
	bh_group_put(group);
	check_is_free();
	support_end();
}

START_TEST(a_holder_is_given_up_after_ten_tries_and_the_next_victim_is_chosen)
{
	struct support_output output;

	support_capture(exhaust, NULL, &output);
	ck_assert_msg(support_exit_status(&output) == 0, "%s%s", output.out, output.err);
	ck_assert_str_eq(output.out, "given up 1, holder held 1\n");
	ck_assert_int_eq(support_count_lines(output.err), 1);
	ck_assert(
		support_contains(output.err, "bulkhead: unable to reap task 'holder' ("));
	ck_assert(support_contains(
		output.err, "bytes) in 10 tries: it is in a hold section\n"));
	support_output_fini(&output);
}
END_TEST

static struct {
	struct bh_task *task;
	/* atomic */
	uint32_t takes_back, may_go_on;
} itself;

/* The victim's thread is out, and has taken it on itself to give its memory back, before
 * the reaper is told of it; there it stays. */
static void take_back_first(enum bhi_testpoint point)
{
	if (point == BHI_TP_KILLED)
		support_await(&itself.takes_back, 1);
	if (point != BHI_TP_REAP || bhi_load(&itself.task->inside) != bhi_sys_thread_id())
		return;
	bhi_store_release(&itself.takes_back, 1);
	support_await(&itself.may_go_on, 1);
}

static int have_and_spin(void *arg)
{
	ck_assert_ptr_nonnull(bh_malloc(MIB));
	bhi_store_release((uint32_t *)arg, 1);
	for (;;) {
		(void)bh_check();
		sched_yield();
	}
}

static int have_a_little(void *arg)
{
	(void)arg;
	return !bh_malloc(PAGE);
}

START_TEST(a_victim_that_gives_its_memory_back_itself_is_done_when_it_has)
{
	struct support_visit victim;
	struct bh_task_stat stat;
	struct bh_task *other;
	uint32_t spins = 0;

	support_start(ZONE);
	other = bh_task_new(NULL, NULL);
	ck_assert_int_eq(bh_task_enter(other, have_a_little, NULL, NULL), 0);
	support_visit(&victim, "victim", 0, have_and_spin, &spins);
	support_await(&spins, 1);
	itself.task = victim.task;
	bhi_store_release(&bhi_testpoint_hook, take_back_first);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	/* The reaper comes to this one after it has been at the other. */
	ck_assert_int_eq(bh_task_kill(other), 0);
	support_await_reaped(other);
	ck_assert_int_eq(bh_task_stat(victim.task, &stat), 0);
	ck_assert_uint_ge(stat.bytes, MIB);
	ck_assert_uint_eq(stat.is_reaped, 0);
	bhi_store_release(&itself.may_go_on, 1);
	support_await_reaped(victim.task);
	ck_assert_int_eq(support_visit_end(&victim), -ECANCELED);
	bh_task_put(other);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_waiter_that_holds_nothing_is_reaped_while_it_waits);
	tcase_add_test(tcase, a_holder_gets_the_memory_of_the_victim_that_waits_for_it);
	tcase_add_test(tcase,
		a_holder_is_given_up_after_ten_tries_and_the_next_victim_is_chosen);
	tcase_add_test(
		tcase, a_victim_that_gives_its_memory_back_itself_is_done_when_it_has);
}

int main(void)
{
	return support_run("test_lock_victims", add_tests);
}
