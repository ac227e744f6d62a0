/* SPDX-License-Identifier: MIT */
/*
 * The reaper and a victim that is changing many pages: a large request, or a large free.
 * The victim is stopped in the third of its steps, or before the fourth.
 */
#include <errno.h>

#include "debug/inject.h"
#include "base/testpoint.h"
#include "oom/reaper.h"
#include "private.h"
#include "support_task.h"
#include "task/kill.h"

#define SIZE (64 * MIB)
#define NR   3u

/* What is changed in a step. */
#define STEP ((uint64_t)BHI_STEP_PAGES * PAGE)
#define ZAP  ((uint64_t)BHI_ZAP_PAGES * PAGE)

static struct bh_group *group;
static struct bh_task *victim;

static struct {
	/* immutable while the hook is set */
	enum bhi_testpoint point;
	void (*then)(void);
	/* the victim's */
	uint32_t nr_steps;
	/* atomic */
	uint32_t nr_claims;
} stop;

static void count_and_stop(enum bhi_testpoint point)
{
	if (point == BHI_TP_CLAIM)
		(void)bhi_add_return(&stop.nr_claims, 1);
	if (point == stop.point && bhi_task_current == victim && ++stop.nr_steps == NR)
		stop.then();
}

/* @then runs on the victim's thread when it passes @point for the third time. */
static void stop_at(enum bhi_testpoint point, void (*then)(void))
{
	stop.point = point;
	stop.then = then;
	bhi_store_release(&bhi_testpoint_hook, count_and_stop);
}

static void kill_victim(void)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};

	ck_assert(bhi_task_kill(victim, &cause));
}

static void start(int backend, const char *interval_ms)
{
	setenv("BULKHEAD_REAP_INTERVAL_MS", interval_ms, 1);
	start_private(backend, TASK_ZONE);
	group = support_limited(NULL, "group", 2 * SIZE);
	victim = task_in(group, "victim");
}

static void end(void)
{
	bhi_store_release(&bhi_testpoint_hook, NULL);
	support_await_refs(victim, 1);
	bh_task_put(victim);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_group_put(group);
	support_end();
}

/* What the victim does; it returns only if it is not unwound. */

static int do_malloc(void *arg)
{
	(void)arg;
	stop.nr_steps = 0;
	(void)bh_malloc(SIZE);
	return 1;
}

static int do_touch(void *arg)
{
	char *p = bh_map(SIZE, 0);

	(void)arg;
	stop.nr_steps = 0;
	(void)bh_touch(p, SIZE);
	return 1;
}

static int do_free(void *arg)
{
	char *p = bh_malloc(SIZE);

	(void)arg;
	stop.nr_steps = 0;
	bh_free(p);
	return 1;
}

static int do_unmap(void *arg)
{
	char *p = bh_map(SIZE, 0);

	(void)arg;
	ck_assert_int_eq(bh_touch(p, SIZE), 0);
	stop.nr_steps = 0;
	(void)bh_unmap(p, SIZE);
	return 1;
}

static int do_discard(void *arg)
{
	char *p = bh_map(SIZE, 0);

	(void)arg;
	ck_assert_int_eq(bh_touch(p, SIZE), 0);
	stop.nr_steps = 0;
	(void)bh_discard(p, SIZE);
	return 1;
}

/* What it has when it was stopped in its third step. */
static const struct {
	int (*fn)(void *arg);
	uint64_t bytes;
} doings[] = {
	{do_malloc, NR *STEP},
	{do_touch, NR *STEP},
	{do_free, SIZE - NR *ZAP},
	{do_unmap, SIZE - NR *ZAP},
	{do_discard, SIZE - NR *ZAP},
};

#define NR_DOINGS ((int)bhi_array_size(doings))

/* It is met again and again. */
static void be_met_busy(void)
{
	kill_victim();
	support_await(&stop.nr_claims, 3);
	ck_assert_uint_eq(bhi_load(&victim->nr_tries), 0);
	ck_assert_uint_eq(bhi_load(&victim->skip), 0);
}

/* The count of steps begins with what the victim is to be met in, so that the steps by
 * which it got its memory do not count. */
static void run_victim(int doing, struct bh_report *ret)
{
	stop.nr_steps = NR;
	ck_assert_int_eq(bh_task_enter(victim, doings[doing].fn, NULL, ret), -ECANCELED);
	ck_assert_uint_eq(stop.nr_steps, NR);
}

START_TEST(a_victim_that_changes_many_pages_stops_after_the_step_it_is_in)
{
	int doing = _i / NR_BACKENDS;
	struct bhi_reaper_stat stat;
	struct bh_report report;

	/* So far apart that none is counted while it is met. */
	start(_i % NR_BACKENDS, "10000");
	stop_at(BHI_TP_BUSY, be_met_busy);
	run_victim(doing, &report);
	ck_assert_uint_eq(report.bytes, doings[doing].bytes);
	ck_assert_uint_eq(report.reaped, doings[doing].bytes);
	ck_assert_uint_eq(stat_of(victim).bytes, 0);
	support_await_refs(victim, 1);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_given_up, 0);
	end();
}
END_TEST

/* The reaper brings back all that was charged, the steps to come included, while the
 * victim does not move. */
static void be_reaped(void)
{
	kill_victim();
	support_await(&victim->skip, 1);
	ck_assert_uint_eq(victim->region.bytes, 0);
	ck_assert_uint_eq(support_usage(group), 0);
}

START_TEST(a_victim_between_two_steps_is_reaped_with_all_that_it_was_charged_for)
{
	struct bh_report report;

	start(_i % NR_BACKENDS, "100");
	stop_at(BHI_TP_STEP, be_reaped);
	run_victim(_i / NR_BACKENDS, &report);
	ck_assert_uint_eq(report.reaped, report.bytes);
	end();
}
END_TEST

/* In a hold section it is met in that, which counts, and goes on to its end. */
static void be_met_in_hold(void)
{
	kill_victim();
	support_await(&victim->nr_tries, 1);
}

static int malloc_in_hold(void *arg)
{
	char *p;

	(void)arg;
	bh_hold();
	stop.nr_steps = 0;
	p = bh_malloc(SIZE);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(stop.nr_steps, SIZE / STEP);
	ck_assert(is_filled(p, SIZE, 0));
	ck_assert_uint_eq(bytes_here(), SIZE);
	bh_free(p);
	ck_assert_uint_eq(bytes_here(), 0);
	bh_release();
	return 1;
}

START_TEST(a_victim_in_a_hold_section_gets_the_whole_of_a_large_request)
{
	struct bh_report report;

	start(_i, "100");
	stop_at(BHI_TP_BUSY, be_met_in_hold);
	ck_assert_int_eq(
		bh_task_enter(victim, malloc_in_hold, NULL, &report), -ECANCELED);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_uint_eq(report.bytes, NR * STEP);
	end();
}
END_TEST

/* Its thread does not run, or the kernel has no page for it: others must go on. */
static void be_given_up(void)
{
	kill_victim();
	support_await(&victim->skip, 1);
	ck_assert_uint_gt(bhi_load(&stop.nr_claims), bhi_load(&victim->nr_tries));
}

static void stay_busy(void *arg)
{
	(void)arg;
	setenv("BULKHEAD_REAP_TRIES", "2", 1);
	setenv("BULKHEAD_REAP_INTERVAL_MS", "20", 1);
	support_start(TASK_ZONE);
	victim = task_in(NULL, "stuck");
	stop_at(BHI_TP_BUSY, be_given_up);
	ck_assert_int_eq(bh_task_enter(victim, do_malloc, NULL, NULL), -ECANCELED);
	ck_assert_uint_eq(stat_of(victim).bytes, 0);
	bh_task_put(victim);
}

START_TEST(a_victim_that_never_gets_out_of_a_step_is_given_up_in_the_time_of_the_tries)
{
	struct support_output output;

	support_capture(stay_busy, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert_str_eq(output.err,
		"bulkhead: unable to reap task 'stuck' (3145728 bytes) in 2 tries: it "
		"was changing its pages each time\n");
	support_output_fini(&output);
}
END_TEST

/* Every request to the kernel in turn: what was charged for the steps that did not come
 * is given back. */
#define KERNEL_POINTS (1u << BHI_FP_UFFD | 1u << BHI_FP_MPROTECT | 1u << BHI_FP_MADVISE)

static int malloc_refused(void *arg)
{
	unsigned *ret_nr = arg, nr_hit = 1;

	for (unsigned nth = 1; nr_hit; nth++) {
		void *p;

		bhi_failpoint_arm(nth, BHI_FP_ONCE, KERNEL_POINTS);
		p = bh_malloc(8 * MIB);
		nr_hit = bhi_failpoint_disarm();
		*ret_nr += nr_hit;
		ck_assert(nr_hit ? !p && errno == ENOMEM : p != NULL);
		bh_free(p);
		ck_assert_uint_eq(bytes_here(), 0);
		ck_assert_uint_eq(support_usage(group), 0);
	}
	return 0;
}

START_TEST(a_large_request_that_the_kernel_refuses_in_the_middle_leaves_nothing_charged)
{
	unsigned nr = 0;

	start(_i, "100");
	enter(victim, malloc_refused, &nr);
	ck_assert_uint_ge(nr, 8 * MIB / STEP);
	end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		a_victim_that_changes_many_pages_stops_after_the_step_it_is_in, 0,
		NR_BACKENDS * NR_DOINGS);
	tcase_add_loop_test(tcase,
		a_victim_between_two_steps_is_reaped_with_all_that_it_was_charged_for, 0,
		NR_BACKENDS * NR_DOINGS);
	tcase_add_loop_test(tcase,
		a_victim_in_a_hold_section_gets_the_whole_of_a_large_request, 0,
		NR_BACKENDS);
	tcase_add_test(tcase,
		a_victim_that_never_gets_out_of_a_step_is_given_up_in_the_time_of_the_tries);
	tcase_add_loop_test(tcase,
		a_large_request_that_the_kernel_refuses_in_the_middle_leaves_nothing_charged,
		0, NR_BACKENDS);
}

int main(void)
{
	return support_run("reaper_busy", add);
}
