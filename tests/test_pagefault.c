/* SPDX-License-Identifier: MIT */
/*
 * A first touch when memory is short: the group that is over is recorded, everything is
 * left, and only then somebody is killed; in a hold section not before its end. On both
 * backends, by reading and by writing.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/map.h"
#include "debug/inject.h"
#include "base/testpoint.h"
#include "oom/events.h"
#include "private.h"
#include "support_task.h"
#include "task/kill.h"

#define ZONE      (64 * MIB)
#define LIMIT     (4 * MIB)
/* What the neighbour has, more than the one who asks. */
#define NEIGHBOUR (3 * MIB)
#define OVERDRAFT ((uint64_t)BHI_TASK_OVERDRAFT)

#define NR_WAYS (2 * NR_BACKENDS)

static struct bh_group *group;
static struct bh_task *neighbour, *asker;
static bool writes;

static int take_bytes(void *arg)
{
	char *p = bh_map(*(size_t *)arg, 0);

	ck_assert_int_eq(bh_touch(p, *(size_t *)arg), 0);
	return 0;
}

/* A group at its limit but for 1 MiB, which an idle task has. */
static void start_group(int way)
{
	size_t size = NEIGHBOUR;

	writes = way % 2;
	start_private(way / 2, ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, LIMIT);
	neighbour = task_in(group, "neighbour");
	enter(neighbour, take_bytes, &size);
	asker = task_in(group, "asker");
}

static void end_group(void)
{
	bh_task_put(asker);
	bh_task_put(neighbour);
	bh_group_put(group);
	support_end();
}

static void touch(char *at)
{
	if (writes)
		*(volatile char *)at = 't';
	else
		ck_assert_int_eq(*(volatile char *)at, 0);
}

static enum bh_kill_reason killed(struct bh_task *task)
{
	return stat_of(task).killed;
}

/* Of 4 MiB one is left: touch the second. */
static int touch_two(void *arg)
{
	char *p = bh_map(2 * MIB, 0);

	for (size_t i = 0; i < 2 * MIB; i += 4096) {
		touch(p + i);
		if (i < MIB)
			ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	}
	return *(int *)arg;
}

START_TEST(at_the_limit_the_largest_task_is_killed_and_the_instruction_runs_again)
{
	struct bh_report report;
	struct bh_oom_event event;
	int value = 42;

	start_group(_i);
	ck_assert_int_eq(bh_task_enter(asker, touch_two, &value, &report), 0);
	ck_assert_int_eq(report.value, 42);
	ck_assert_int_eq(killed(neighbour), BH_KILLED_OOM);
	support_await(&neighbour->skip, 1);
	ck_assert_uint_eq(stat_of(neighbour).bytes, 0);
	ck_assert_uint_eq(stat_of(asker).bytes, 2 * MIB);
	ck_assert_uint_eq(support_usage(group), 2 * MIB);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 1);
	ck_assert_uint_le(support_stat(group).peak, LIMIT);
	/* Who was over its limit, and who asked for what. */
	ck_assert(bhi_oom_events_read(0, &event));
	ck_assert_str_eq(event.over, "/group");
	ck_assert_str_eq(event.asker, "asker");
	ck_assert_uint_eq(event.asked, 4096);
	ck_assert_uint_eq(event.limit, LIMIT);
	ck_assert(!bhi_oom_events_read(1, &event));
	ck_assert_int_eq(
		bh_task_enter(neighbour, touch_two, &value, &report), -ECANCELED);
	ck_assert_str_eq(report.over, "/group");
	ck_assert_str_eq(report.asker, "asker");
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IDLE);
	ck_assert_uint_eq(report.bytes, NEIGHBOUR);
	ck_assert_uint_eq(report.reaped, NEIGHBOUR);
	end_group();
}
END_TEST

/* The level that refused is not the group of the one who asks. */
START_TEST(the_group_over_its_limit_is_the_one_that_refused)
{
	struct bh_group *inner, *beside;
	struct bh_task *other;
	size_t size = 2 * NEIGHBOUR;
	int value = 1;

	start_group(_i);
	beside = support_group(NULL, "beside");
	inner = support_group(group, "inner");
	other = task_in(beside, "other");
	enter(other, take_bytes, &size);
	bh_task_put(asker);
	asker = task_in(inner, "asker");
	ck_assert_int_eq(bh_task_enter(asker, touch_two, &value, NULL), 0);
	/* Of those in the group above, and none beside it. */
	ck_assert_int_eq(killed(neighbour), BH_KILLED_OOM);
	ck_assert_int_eq(killed(other), BH_NOT_KILLED);
	ck_assert_uint_ge(support_stat(group).local.oom, 1);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 1);
	ck_assert_uint_eq(support_stat(inner).events.oom, 0);
	bh_task_put(other);
	bh_group_put(beside);
	bh_group_put(inner);
	end_group();
}
END_TEST

static int fill_up(char *p)
{
	for (size_t i = 0; i < MIB; i += 4096)
		touch(p + i);
	ck_assert_uint_eq(support_usage(group), LIMIT);
	return 0;
}

static struct bh_mutex mutex;

static void hold_somehow(bool by_mutex)
{
	if (by_mutex)
		ck_assert_int_eq(bh_mutex_lock(&mutex), 0);
	else
		bh_hold();
}

static void release_somehow(bool by_mutex)
{
	if (by_mutex)
		ck_assert_int_eq(bh_mutex_unlock(&mutex), 0);
	else
		bh_release();
}

static int touch_in_hold(void *arg)
{
	bool by_mutex = *(bool *)arg;
	char *p = bh_map(2 * MIB, 0);

	fill_up(p);
	hold_somehow(by_mutex);
	bh_hold();
	touch(p + MIB);
	touch(p + MIB + 4096);
	ck_assert_uint_eq(support_usage(group), LIMIT + 8192);
	bh_release();
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(group).events.oom, 0);
	release_somehow(by_mutex);
	ck_assert_int_eq(killed(neighbour), BH_KILLED_OOM);
	return 0;
}

START_TEST(in_a_hold_section_nobody_is_killed_before_its_end)
{
	bool by_mutex = _i >= NR_WAYS;

	start_group(_i % NR_WAYS);
	enter(asker, touch_in_hold, &by_mutex);
	support_await(&neighbour->skip, 1);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 1);
	ck_assert_uint_eq(support_usage(group), MIB + 8192);
	end_group();
}
END_TEST

static int touch_and_discard(void *arg)
{
	char *p = bh_map(2 * MIB, 0);

	(void)arg;
	fill_up(p);
	bh_hold();
	touch(p + MIB);
	ck_assert_ptr_nonnull(bh_current()->oom_over);
	ck_assert_int_eq(bh_discard(p, 64 * KIB), 0);
	bh_release();
	ck_assert_ptr_null(bh_current()->oom_over);
	ck_assert_int_eq(bh_current()->overdraft, 0);
	/* And it is not left over for the next one. */
	bh_hold();
	bh_release();
	return 0;
}

START_TEST(a_recorded_oom_whose_charge_fits_at_the_end_kills_nobody)
{
	start_group(_i);
	enter(asker, touch_and_discard, NULL);
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(group).events.oom, 0);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	end_group();
}
END_TEST

static int overdraw(void *arg)
{
	char *p = bh_map(4 * MIB, 0);

	(void)arg;
	fill_up(p);
	bh_hold();
	for (size_t i = MIB; i < MIB + OVERDRAFT; i += 4096)
		touch(p + i);
	ck_assert_uint_eq(support_usage(group), LIMIT + OVERDRAFT);
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	/* The reserve is used up: what others have is waited for. */
	touch(p + MIB + OVERDRAFT);
	ck_assert_int_eq(killed(neighbour), BH_KILLED_OOM);
	bh_release();
	/* Each section has the reserve anew. */
	ck_assert_int_eq(bh_current()->overdraft, 0);
	return 0;
}

START_TEST(a_hold_section_overdraws_by_its_reserve_and_no_more)
{
	start_group(_i);
	enter(asker, overdraw, NULL);
	ck_assert_uint_eq(support_stat(group).peak, LIMIT + OVERDRAFT);
	end_group();
}
END_TEST

static int touch_all(void *arg)
{
	size_t size = *(size_t *)arg;
	char *p = bh_map(size, 0);

	for (size_t i = 0; i < size; i += 4096)
		touch(p + i);
	return 0;
}

static void check_ended(const struct bh_report *report)
{
	ck_assert_int_eq(report->reason, BH_KILLED_OOM);
	ck_assert_uint_eq(report->bytes, report->reaped);
	ck_assert_str_eq(report->over, "/group");
	ck_assert_uint_eq(report->limit, LIMIT);
}

/* Alone: the OOM killer has but one choice. */
START_TEST(a_task_that_is_alone_at_the_limit_ends)
{
	struct bh_report report;
	size_t size = 2 * LIMIT;

	start_group(_i);
	ck_assert_int_eq(bh_task_kill(neighbour), 0);
	support_await(&neighbour->skip, 1);
	ck_assert_int_eq(bh_task_enter(asker, touch_all, &size, &report), -ECANCELED);
	check_ended(&report);
	ck_assert_uint_eq(report.bytes, LIMIT);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IN_PAGEFAULT);
	ck_assert_uint_eq(support_usage(group), 0);
	end_group();
}
END_TEST

/* Nobody may be chosen: an error cannot be returned, so it is the one who asks. */
START_TEST(where_nobody_is_killable_the_task_that_touches_ends)
{
	struct bh_task_attr attr = {.name = "protected", .oom_score_adj = -1000};
	struct bh_report report;
	struct bh_task *task;
	size_t size = 2 * LIMIT;

	start_group(_i);
	ck_assert_int_eq(bh_task_kill(neighbour), 0);
	support_await(&neighbour->skip, 1);
	task = bh_task_new(group, &attr);
	ck_assert_int_eq(bh_task_enter(task, touch_all, &size, &report), -ECANCELED);
	check_ended(&report);
	ck_assert_str_eq(report.asker, "protected");
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 1);
	bh_task_put(task);
	end_group();
}
END_TEST

static int overdraw_alone(void *arg)
{
	char *p = bh_map(2 * LIMIT, 0);

	bh_hold();
	for (size_t i = 0; i < 2 * LIMIT; i += 4096)
		touch(p + i);
	bh_release();
	return *(int *)arg;
}

/* The process ends with this signal: not before the reaper has said why. */
static void await_reaper(int signal_number)
{
	support_await_refs(bh_current(), 2);
	signal(signal_number, SIG_DFL);
}

static void run_overdraw_alone(void *arg)
{
	const struct sigaction action = {.sa_handler = await_reaper};

	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
	setenv("BULKHEAD_REAP_TRIES", "2", 1);
	setenv("BULKHEAD_REAP_INTERVAL_MS", "5", 1);
	writes = *(int *)arg % 2;
	if (*(int *)arg / 2)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	group = bh_group_new(NULL, "group");
	if (!group || bh_group_set(group, BH_MAX, LIMIT))
		_exit(1);
	bh_task_run(group, NULL, overdraw_alone, arg, NULL);
	_exit(2);
}

/* It can neither end nor go on, and there is nobody to wait for. */
START_TEST(a_hold_section_that_nobody_has_memory_for_ends_the_process_and_does_not_hang)
{
	struct support_output output;

	need_backend(_i / 2);
	support_capture(run_overdraw_alone, &_i, &output);
	ck_assert_msg(WIFSIGNALED(output.status), "%#x", (unsigned)output.status);
	ck_assert(
		WTERMSIG(output.status) == SIGSEGV || WTERMSIG(output.status) == SIGBUS);
	ck_assert(support_contains(output.err, "unable to reap task 'task'"));
	support_output_fini(&output);
}
END_TEST

/* A victim that holds gets to the end of its section, and no further. */
static uint32_t released;

static int die_holding(void *arg)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};
	char *p = bh_map(2 * MIB, 0);

	(void)arg;
	fill_up(p);
	bh_hold();
	ck_assert(bhi_task_kill(bh_current(), &cause));
	touch(p + MIB);
	released = 1;
	bh_release();
	released = 2;
	return 0;
}

START_TEST(a_victim_may_touch_to_the_end_of_its_hold_section)
{
	struct bh_report report;

	start_group(_i);
	ck_assert_int_eq(bh_task_enter(asker, die_holding, NULL, &report), -ECANCELED);
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(report.reason, BH_KILLED_CALLER);
	ck_assert_int_eq(report.victim_state, BH_VICTIM_HOLDING);
	/* The recorded OOM went with it. */
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR);
	end_group();
}
END_TEST

/* A cooperative task cannot be unwound either: the others go first. */
START_TEST(a_cooperative_task_at_the_limit_has_others_killed)
{
	struct bh_task_attr attr = {.name = "polite", .flags = BH_TASK_COOPERATIVE};
	struct bh_task *task;
	size_t size = 3 * MIB;

	start_group(_i);
	task = bh_task_new(group, &attr);
	enter(task, touch_all, &size);
	ck_assert_int_eq(killed(neighbour), BH_KILLED_OOM);
	ck_assert_int_eq(killed(task), BH_NOT_KILLED);
	ck_assert_uint_le(support_stat(group).peak, LIMIT);
	bh_task_put(task);
	end_group();
}
END_TEST

/* Nobody can be killed, and it cannot be unwound: it has the reserve of a victim. */
START_TEST(a_cooperative_task_that_nobody_can_be_killed_for_overdraws)
{
	struct bh_task_attr attr = {
		.name = "polite", .flags = BH_TASK_COOPERATIVE, .oom_score_adj = -1000};
	struct bh_task *task;
	size_t size = LIMIT + OVERDRAFT / 2;

	start_group(_i);
	ck_assert_int_eq(bh_task_kill(neighbour), 0);
	support_await(&neighbour->skip, 1);
	task = bh_task_new(group, &attr);
	enter(task, touch_all, &size);
	ck_assert_int_eq(killed(task), BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	ck_assert_uint_gt(support_stat(group).peak, LIMIT);
	ck_assert_uint_le(support_stat(group).peak, LIMIT + OVERDRAFT);
	bh_task_put(task);
	ck_assert_uint_eq(support_usage(group), 0);
	end_group();
}
END_TEST

static int touch_uncharged(void *arg)
{
	char *p = bh_map(MIB, 0);

	(void)arg;
	touch(p);
	bhi_failpoint_arm(1, BHI_FP_ONCE, 1u << BHI_FP_CHARGE);
	touch(p + MIB / 2);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
	return 0;
}

/* The charge is tried with one page after that with what is around it. */
START_TEST(a_charge_that_fails_where_there_is_room_kills_nobody)
{
	start_group(_i);
	enter(asker, touch_uncharged, NULL);
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(group).events.oom, 0);
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR + stat_of(asker).bytes);
	end_group();
}
END_TEST

START_TEST(what_a_touch_takes_above_high_is_paid_for_by_the_background)
{
	struct support_cache cache;
	size_t size = MIB / 2;

	start_group(_i);
	support_cache_init(&cache, group, 0);
	ck_assert_uint_eq(support_cache_fill(&cache, 64, 0), 64);
	support_set(group, BH_HIGH, NEIGHBOUR + 64 * PAGE);
	enter(asker, touch_all, &size);
	support_background_wakeups();
	ck_assert_uint_lt(bhi_load(&cache.nr), 64);
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	support_cache_fini(&cache);
	end_group();
}
END_TEST

/* The kernel has no memory, or no more mappings. */

#define KERNEL_POINTS (1u << BHI_FP_UFFD | 1u << BHI_FP_MPROTECT | 1u << BHI_FP_MADVISE)

static int touch_refused(void *arg)
{
	char *p = bh_map(MIB, 0);

	touch(p);
	bhi_failpoint_arm(1, *(enum bhi_failpoint_mode *)arg, KERNEL_POINTS);
	touch(p + MIB / 2);
	ck_assert_uint_ge(bhi_failpoint_disarm(), 1);
	return 0;
}

START_TEST(a_page_that_the_kernel_refuses_once_is_asked_for_again)
{
	enum bhi_failpoint_mode mode = BHI_FP_ONCE;

	start_group(_i);
	enter(asker, touch_refused, &mode);
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR + stat_of(asker).bytes);
	ck_assert_int_eq(bh_audit(), 0);
	end_group();
}
END_TEST

START_TEST(a_task_whose_page_the_kernel_refuses_for_good_ends)
{
	enum bhi_failpoint_mode mode = BHI_FP_PERSISTENT;
	struct bh_report report;

	start_group(_i);
	ck_assert_int_eq(bh_task_enter(asker, touch_refused, &mode, &report), -ECANCELED);
	bhi_failpoint_disarm();
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(killed(neighbour), BH_NOT_KILLED);
	/* The same kernel refused to zap what there was. */
	if (bhi_private.backend == BHI_PAGEFAULT_UFFD)
		ck_assert_uint_eq(stat_of(asker).bytes, 0);
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR + stat_of(asker).bytes);
	ck_assert_int_eq(report.kill_to_bytes_ns > 0, !stat_of(asker).bytes);
	support_await_refs(asker, 1);
	bh_task_put(asker);
	asker = NULL;
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR);
	end_group();
}
END_TEST

/* The reaper comes after the charge and before the page. */
static void kill_at_fault(enum bhi_testpoint point)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};

	if (point != BHI_TP_FAULT || !bhi_task_kill(asker, &cause))
		return;
	support_await(&asker->skip, 1);
}

START_TEST(a_page_that_comes_after_the_reaper_is_not_populated_and_not_charged)
{
	struct bh_report report;
	size_t size = 4096;

	start_group(_i);
	bhi_testpoint_hook = kill_at_fault;
	ck_assert_int_eq(bh_task_enter(asker, touch_all, &size, &report), -ECANCELED);
	bhi_testpoint_hook = NULL;
	ck_assert_int_eq(report.victim_state, BH_VICTIM_IN_PAGEFAULT);
	ck_assert_uint_eq(stat_of(asker).bytes, 0);
	ck_assert_uint_eq(support_usage(group), NEIGHBOUR);
	end_group();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		at_the_limit_the_largest_task_is_killed_and_the_instruction_runs_again, 0,
		NR_WAYS);
	tcase_add_loop_test(
		tcase, the_group_over_its_limit_is_the_one_that_refused, 0, NR_WAYS);
	tcase_add_loop_test(
		tcase, in_a_hold_section_nobody_is_killed_before_its_end, 0, 2 * NR_WAYS);
	tcase_add_loop_test(tcase,
		a_recorded_oom_whose_charge_fits_at_the_end_kills_nobody, 0, NR_WAYS);
	tcase_add_loop_test(
		tcase, a_hold_section_overdraws_by_its_reserve_and_no_more, 0, NR_WAYS);
	tcase_add_loop_test(tcase, a_task_that_is_alone_at_the_limit_ends, 0, NR_WAYS);
	tcase_add_loop_test(
		tcase, where_nobody_is_killable_the_task_that_touches_ends, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		a_hold_section_that_nobody_has_memory_for_ends_the_process_and_does_not_hang,
		0, NR_WAYS);
	tcase_add_loop_test(
		tcase, a_victim_may_touch_to_the_end_of_its_hold_section, 0, NR_WAYS);
	tcase_add_loop_test(
		tcase, a_cooperative_task_at_the_limit_has_others_killed, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		a_cooperative_task_that_nobody_can_be_killed_for_overdraws, 0, NR_WAYS);
	tcase_add_loop_test(
		tcase, a_charge_that_fails_where_there_is_room_kills_nobody, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		what_a_touch_takes_above_high_is_paid_for_by_the_background, 0, NR_WAYS);
	tcase_add_loop_test(tcase, a_page_that_the_kernel_refuses_once_is_asked_for_again,
		0, NR_WAYS);
	tcase_add_loop_test(
		tcase, a_task_whose_page_the_kernel_refuses_for_good_ends, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		a_page_that_comes_after_the_reaper_is_not_populated_and_not_charged, 0,
		NR_WAYS);
}

int main(void)
{
	return support_run("pagefault", add);
}
