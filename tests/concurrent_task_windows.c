/* SPDX-License-Identifier: MIT */
/*
 * Windows of a few instructions in the life of a kill, in entering and leaving a task,
 * in its end, and in the reaper's way in: each held open until the other side has come.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "debug/inject.h"
#include "base/policy.h"
#include "oom/reaper.h"
#include "support.h"
#include "support_stop.h"
#include "support_task.h"

#define SIZE (4 * MIB)

static struct support_stop stop, other_stop;

/* A task whose map is full, and what it does next when told. */
struct subject {
	struct bh_group *group;
	struct bh_task *task;
	struct support_entry entry;
	char *map;
	uint32_t ready, go_on, reached, nr_kills, nr_defers; /* atomic */
};

static void count_kill(void *arg)
{
	bhi_add(&((struct subject *)arg)->nr_kills, 1);
}

static void start(struct subject *s)
{
	const struct bh_task_attr attr = {
		.name = "subject", .on_kill = count_kill, .on_kill_arg = s};

	memset(s, 0, sizeof(*s));
	support_start_tasks(TASK_ZONE, 1000);
	s->group = support_limited(NULL, "group", 2 * SIZE);
	s->task = bh_task_new(s->group, &attr);
	ck_assert_ptr_nonnull(s->task);
}

/* The library without membarrier: then guards are fenced, and a test point is there. */
static void start_fenced(struct subject *s)
{
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MEMBARRIER);
	start(s);
	bhi_failpoint_disarm();
	ck_assert(bhi_thread_fenced);
}

/* Nothing of it is left, and nobody was told of its kill twice. */
static void end(struct subject *s)
{
	support_stops_clear();
	support_await_refs(s->task, 1);
	ck_assert_uint_eq(bhi_load(&s->nr_kills), 1);
	bh_task_put(s->task);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(support_usage(s->group), 0);
	bh_group_put(s->group);
	support_end();
}

static void defer(void *arg)
{
	bhi_add(&((struct subject *)arg)->nr_defers, 1);
}

static int fill(void *arg)
{
	struct subject *s = arg;

	s->map = support_filled_map(SIZE, 1);
	return 0;
}

static int fill_and_return(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	ck_assert_int_eq(bh_defer(defer, s), 0);
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	return 9;
}

static int must_not_run(void *arg)
{
	bhi_store(&((struct subject *)arg)->reached, 1);
	return 0;
}

static void *kill_in_thread(void *arg)
{
	ck_assert_int_eq(bh_task_kill(arg), 0);
	return NULL;
}

static void *kill_in_vain(void *arg)
{
	ck_assert_int_eq(bh_task_kill(arg), -ESRCH);
	return NULL;
}

/* Between the look at .kill.claimed and its exchange. */

/* An idle task is killed and reaped while the other killer is about to claim it. */
static void kill_with_two(struct subject *s, void *(*other)(void *arg))
{
	pthread_t late;

	ck_assert_int_eq(bh_task_enter(s->task, fill, s, NULL), 0);
	support_stop_at(&stop, BHI_TP_UNCLAIMED, SUPPORT_OUTSIDE);
	late = support_thread(other, s->task);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(s->task), 0);
	support_await_reaped(s->task);
	support_await_refs(s->task, 1);
	support_stop_go_on(&stop);
	support_join(late);
	support_await_refs(s->task, 1);
}

START_TEST(of_two_killers_that_saw_nobody_else_one_kills)
{
	struct bhi_reaper_stat stat;
	struct subject s;

	start(&s);
	kill_with_two(&s, kill_in_vain);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_reaped, 1);
	end(&s);
}
END_TEST

START_TEST(were_a_kill_claimed_by_a_look_two_would_be_counted)
{
	struct subject s;

	start(&s);
	bhi_policy.without.exclusive_claims = true;
	kill_with_two(&s, kill_in_thread);
	/* The host was told twice. */
	ck_assert_uint_eq(bhi_load(&s.nr_kills), 2);
	bh_task_put(s.task);
	bh_group_put(s.group);
	support_end();
}
END_TEST

/* Between the claim and the delivery. */

START_TEST(an_enter_waits_for_a_kill_that_is_claimed)
{
	struct subject s;
	pthread_t killer;

	start(&s);
	ck_assert_int_eq(bh_task_enter(s.task, fill, &s, NULL), 0);
	support_stop_at(&stop, BHI_TP_DELIVER, SUPPORT_OUTSIDE);
	killer = support_thread(kill_in_thread, s.task);
	support_stop_await(&stop);
	support_enter(&s.entry, s.task, must_not_run, &s);
	support_await_inside_asleep(s.task);
	ck_assert_int_eq(support_task_stat(s.task).killed, BH_NOT_KILLED);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	support_join(killer);
	ck_assert_uint_eq(s.reached, 0);
	ck_assert_int_eq(s.entry.report.reason, BH_KILLED_CALLER);
	ck_assert_int_eq(s.entry.report.victim_state, BH_VICTIM_IDLE);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	end(&s);
}
END_TEST

START_TEST(a_return_waits_for_a_kill_that_is_claimed)
{
	struct subject s;
	pthread_t killer;

	start(&s);
	support_enter(&s.entry, s.task, fill_and_return, &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_DELIVER, SUPPORT_OUTSIDE);
	killer = support_thread(kill_in_thread, s.task);
	support_stop_await(&stop);
	bhi_store_release(&s.go_on, 1);
	support_await_inside_asleep(s.task);
	ck_assert_uint_eq(support_task_stat(s.task).bytes, SIZE);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	support_join(killer);
	ck_assert_int_eq(s.entry.report.value, 9);
	ck_assert_int_eq(s.entry.report.reason, BH_KILLED_CALLER);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	ck_assert_uint_eq(s.nr_defers, 1);
	end(&s);
}
END_TEST

/* Who asks for SIZE in a group where others have most. */
struct asker {
	struct bh_task *task;
	struct support_entry entry;
	size_t size;
	bool by_call;
};

static int ask(void *arg)
{
	struct asker *asker = arg;

	if (!asker->by_call)
		support_filled_map(asker->size, 1);
	else
		ck_assert_ptr_nonnull(bh_malloc(asker->size));
	return 0;
}

static void asker_begin(
	struct asker *asker, struct bh_group *group, size_t size, bool by_call)
{
	*asker = (struct asker){.size = size, .by_call = by_call};
	asker->task = support_task(group, "asker", -500);
	support_enter(&asker->entry, asker->task, ask, asker);
}

static void asker_end(struct asker *asker)
{
	ck_assert_int_eq(support_enter_end(&asker->entry), 0);
	bh_task_put(asker->task);
}

/* The asker has come to the decision again and again. */
static void await_decisions(struct bh_group *group, unsigned nr)
{
	uint64_t until = support_stat(group).local.oom + nr;

	while (support_stat(group).local.oom < until)
		sched_yield();
}

/* The victim is put by its owner, and a second one asks: the first is not finished. */
START_TEST(a_victim_that_is_claimed_stays_and_nobody_else_is_killed)
{
	struct asker first, second;
	struct bh_task *idle;
	struct subject s;

	start(&s);
	ck_assert_int_eq(bh_task_enter(s.task, fill, &s, NULL), 0);
	idle = support_idle_task(s.group, "idle", -400, 2 * MIB);
	support_stop_at(&stop, BHI_TP_DELIVER, SUPPORT_INSIDE);
	asker_begin(&first, s.group, 2 * MIB + MIB / 2, _i);
	support_stop_await(&stop);
	/* It has a reference of the killer's; this is one more for the end. */
	ck_assert_uint_eq(bhi_load(&s.task->refs), 2);
	asker_begin(&second, s.group, 3 * MIB, _i);
	await_decisions(s.group, 3);
	ck_assert_int_eq(support_task_stat(idle).killed, BH_NOT_KILLED);
	ck_assert_uint_eq(support_stat(s.group).local.oom_kill, 1);
	ck_assert_uint_eq(support_task_stat(s.task).bytes, SIZE);
	support_stop_go_on(&stop);
	/* What the victim had is enough for both. */
	ck_assert_int_eq(support_enter_end(&first.entry), 0);
	bh_task_put(first.task);
	asker_end(&second);
	ck_assert_uint_eq(support_stat(s.group).local.oom_kill, 1);
	ck_assert_uint_eq(support_nr_hopeless_ooms(), 0);
	bh_task_put(idle);
	end(&s);
}
END_TEST

/* Between .inside and the look at .killed. */

enum how_far {
	CLAIMED,
	KILLED,
	REAPED,
	NR_HOW_FAR,
};

START_TEST(a_kill_that_meets_somebody_entering_is_seen)
{
	struct subject s;
	pthread_t killer;

	start(&s);
	ck_assert_int_eq(bh_task_enter(s.task, fill, &s, NULL), 0);
	support_stop_at(&stop, BHI_TP_ENTERED, SUPPORT_OUTSIDE);
	if (_i == CLAIMED)
		support_stop_at(&other_stop, BHI_TP_DELIVER, SUPPORT_OUTSIDE);
	support_enter(&s.entry, s.task, must_not_run, &s);
	support_stop_await(&stop);
	killer = support_thread(kill_in_thread, s.task);
	if (_i == CLAIMED)
		support_stop_await(&other_stop);
	else
		support_join(killer);
	if (_i == REAPED)
		support_await_reaped(s.task);
	support_stop_go_on(&stop);
	if (_i == CLAIMED) {
		support_await_inside_asleep(s.task);
		ck_assert_int_eq(support_task_stat(s.task).killed, BH_NOT_KILLED);
		support_stop_go_on(&other_stop);
		support_join(killer);
	}
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_eq(s.reached, 0);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	/* Nobody was unwound. */
	ck_assert_uint_eq(s.entry.report.kill_to_unwound_ns, 0);
	end(&s);
}
END_TEST

/* Between the last look at .killed and .inside = 0. */

START_TEST(a_kill_after_the_last_look_is_for_the_next_enter)
{
	struct bh_report report;
	struct subject s;

	start(&s);
	support_enter(&s.entry, s.task, fill_and_return, &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_UNKILLED, SUPPORT_OUTSIDE);
	bhi_store_release(&s.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	if (_i)
		support_await_reaped(s.task);
	ck_assert_int_eq(bh_task_enter(s.task, must_not_run, &s, NULL), -EBUSY);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), 0);
	ck_assert_int_eq(s.entry.report.value, 9);
	ck_assert_int_eq(s.entry.report.reason, BH_NOT_KILLED);
	ck_assert_uint_eq(s.nr_defers, 1);
	ck_assert_int_eq(bh_task_enter(s.task, must_not_run, &s, &report), -ECANCELED);
	ck_assert_uint_eq(report.reaped, SIZE);
	ck_assert_uint_eq(s.reached, 0);
	end(&s);
}
END_TEST

/* Between the look at .end and its exchange: the reaper saw that nobody takes the memory
 * back when the task has ended, and is about to take it back itself. */

static int check_when_told(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	return bh_check();
}

static void take_back_with_two(struct subject *s)
{
	support_enter(&s->entry, s->task, check_when_told, s);
	support_await(&s->ready, 1);
	support_stop_at(&stop, BHI_TP_LIVE, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(s->task), 0);
	support_stop_await(&stop);
	support_stop_at(&other_stop, BHI_TP_UNMARKED, SUPPORT_OUTSIDE);
	bhi_store_release(&s->go_on, 1);
	support_stop_await(&other_stop);
	support_stop_go_on(&stop);
	/* The reaper has done with it, whatever that was. */
	support_await_refs(s->task, 2);
	support_stop_go_on(&other_stop);
	ck_assert_int_eq(support_enter_end(&s->entry), -ECANCELED);
}

START_TEST(of_two_that_saw_a_region_live_one_takes_it_back)
{
	struct subject s;

	start(&s);
	take_back_with_two(&s);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	end(&s);
}
END_TEST

static void take_back_twice(void *arg)
{
	struct bh_task *other;
	struct subject s;

	(void)arg;
	start(&s);
	other = support_idle_task(s.group, "other", 0, SIZE);
	bhi_policy.without.exclusive_claims = true;
	take_back_with_two(&s);
	ck_assert_uint_eq(s.entry.report.reaped, 2 * SIZE);
	/* What the other has is no longer charged to anybody. */
	ck_assert_uint_eq(support_task_stat(other).bytes, SIZE);
	ck_assert_uint_eq(support_usage(s.group), 0);
	ck_assert_int_ne(bh_audit(), 0);
}

START_TEST(were_a_region_taken_by_a_look_its_bytes_would_be_given_back_twice)
{
	struct support_output output;

	support_capture(take_back_twice, NULL, &output);
	ck_assert_msg(!support_exit_status(&output), "%s%s", output.out, output.err);
	ck_assert(support_contains(output.err, "audit: usage of group 'group' is 0"));
	support_output_fini(&output);
}
END_TEST

/* The reaper met a guard: between TAKEN and LIVE. */

static int hold_until_told(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bh_hold();
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	ck_assert(support_is_filled(s->map, SIZE, 1));
	bh_release();
	bhi_store(&s->reached, 1);
	return 0;
}

START_TEST(who_unwinds_while_the_reaper_backs_off_waits_and_takes_its_memory_back)
{
	static struct support_stop takes;
	struct bhi_reaper_stat stat;
	struct subject s;

	start(&s);
	support_enter(&s.entry, s.task, hold_until_told, &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_BACK_OFF, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	support_stop_await(&stop);
	support_watch(&takes, BHI_TP_REAP, SUPPORT_OUTSIDE);
	bhi_store_release(&s.go_on, 1);
	/* It is out, and finds the region taken. */
	support_await_inside_asleep(s.task);
	ck_assert_uint_eq(bhi_load(&s.task->region.end), BHI_REGION_ASKED);
	ck_assert_uint_eq(bhi_load(&takes.reached), 0);
	ck_assert_uint_eq(support_task_stat(s.task).bytes, SIZE);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_eq(s.reached, 0);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	bhi_reaper_stat(&stat);
	ck_assert_uint_eq(stat.nr_given_up, 0);
	end(&s);
}
END_TEST

/* A hold section that begins then sees no more than a reaper that is gone. */
static int hold_twice(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bh_hold();
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	bh_hold();
	ck_assert(support_is_filled(s->map, SIZE, 1));
	bh_release();
	/* Pages can be had, too. */
	*(volatile char *)bh_map(PAGE, 0) = 1;
	bhi_store_release(&s->reached, 1);
	support_await(&s->go_on, 2);
	bh_release();
	return 0;
}

START_TEST(in_a_hold_section_nothing_is_noticed_of_a_reaper_that_backs_off)
{
	struct subject s;

	start(&s);
	support_enter(&s.entry, s.task, hold_twice, &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_BACK_OFF, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	support_stop_await(&stop);
	bhi_store_release(&s.go_on, 1);
	support_await(&s.reached, 1);
	support_stop_go_on(&stop);
	bhi_store_release(&s.go_on, 2);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_ge(s.entry.report.reaped, SIZE + PAGE);
	end(&s);
}
END_TEST

/* No references are left, and the task is still on the list. */

static const struct {
	enum bhi_testpoint point;
	bool is_small; /* its area is kept for the next one */
} endings[] = {
	{BHI_TP_ENDING, false},
	{BHI_TP_ENDING, true},
	{BHI_TP_KEEP_WARM, true},
};

static int have_little(void *arg)
{
	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(1000));
	return 0;
}

static void *put_in_thread(void *arg)
{
	bh_task_put(arg);
	return NULL;
}

static void report_to_nobody(enum bh_format format)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bh_report_write(fd, format), 0);
	close(fd);
}

/* A full group; one task is about to give back what the asker wants. */
START_TEST(a_task_that_ends_is_waited_for_and_nobody_is_killed_instead)
{
	bool is_small = endings[_i].is_small;
	struct bh_task *ending, *idle;
	struct bh_group *group;
	struct asker asker;
	pthread_t putter;

	support_start_tasks(TASK_ZONE, 1000);
	group = support_group(NULL, "group");
	idle = support_idle_task(group, "idle", 0, 2 * SIZE);
	ending = is_small ? support_task(group, "ending", 0)
			  : support_idle_task(group, "ending", 0, SIZE);
	if (is_small)
		ck_assert_int_eq(bh_task_enter(ending, have_little, NULL, NULL), 0);
	support_set(group, BH_MAX, support_usage(group));
	support_stop_at(&stop, endings[_i].point, SUPPORT_OUTSIDE);
	putter = support_thread(put_in_thread, ending);
	support_stop_await(&stop);
	ck_assert_uint_eq(bhi_tasks_count(), 2);
	report_to_nobody(BH_TEXT);
	report_to_nobody(BH_JSON);
	asker_begin(&asker, group, is_small ? 1000 : MIB, is_small);
	await_decisions(group, 3);
	ck_assert_int_eq(support_task_stat(idle).killed, BH_NOT_KILLED);
	support_stop_go_on(&stop);
	support_join(putter);
	asker_end(&asker);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 0);
	ck_assert_uint_eq(support_nr_hopeless_ooms(), 0);
	support_stops_clear();
	bh_task_put(idle);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static void *audit_in_thread(void *arg)
{
	(void)arg;
	ck_assert_int_eq(bh_audit(), 0);
	return NULL;
}

/* Somebody is held at @stop who is about to take a region apart, or half through. */
static void audit_waits_until_it_goes_on(void)
{
	pthread_t auditor;

	support_watch(&other_stop, BHI_TP_AUDIT_WAITS, SUPPORT_OUTSIDE);
	auditor = support_thread(audit_in_thread, NULL);
	support_stop_await(&other_stop);
	support_stop_go_on(&stop);
	support_join(auditor);
}

START_TEST(an_audit_waits_for_tasks_that_end)
{
	bool is_small = endings[_i].is_small;
	struct bh_task *ending;
	pthread_t putter;

	support_start_tasks(TASK_ZONE, 1000);
	ending = is_small ? support_task(NULL, "ending", 0)
			  : support_idle_task(NULL, "ending", 0, SIZE);
	if (is_small)
		ck_assert_int_eq(bh_task_enter(ending, have_little, NULL, NULL), 0);
	support_stop_at(&stop, endings[_i].point, SUPPORT_OUTSIDE);
	putter = support_thread(put_in_thread, ending);
	support_stop_await(&stop);
	audit_waits_until_it_goes_on();
	support_join(putter);
	support_stops_clear();
	support_end();
}
END_TEST

/* Its pages are gone and still counted; nobody but the reaper refers to it. */
START_TEST(an_audit_waits_for_what_the_reaper_still_does)
{
	struct bh_task *victim;

	support_start_tasks(TASK_ZONE, 1000);
	victim = support_idle_task(NULL, "victim", 0, SIZE);
	support_stop_at(&stop, BHI_TP_UNMARKED, SUPPORT_OUTSIDE);
	ck_assert_int_eq(bh_task_kill(victim), 0);
	support_stop_await(&stop);
	bh_task_put(victim);
	audit_waits_until_it_goes_on();
	support_stops_clear();
	support_end();
}
END_TEST

static int check_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		ck_assert_int_eq(bh_check(), 0);
	return 0;
}

/* The victim has unwound before it was handed over. */
START_TEST(an_audit_waits_for_the_kill_of_a_deadline)
{
	struct bh_task_attr attr = {.name = "late", .deadline_ns = 50 * BHI_NS_PER_MS};

	support_start_tasks(TASK_ZONE, 1000);
	support_stop_at(&stop, BHI_TP_KILLED, SUPPORT_OUTSIDE);
	ck_assert_int_eq(
		bh_task_run(NULL, &attr, check_for_ever, NULL, NULL), -ECANCELED);
	support_stop_await(&stop);
	audit_waits_until_it_goes_on();
	support_stops_clear();
	support_end();
}
END_TEST

/* It has nothing to give: the group is killed without it. */
START_TEST(a_task_without_references_is_not_killed_with_its_group)
{
	struct bh_task *ending, *idle;
	struct bh_group *group;
	struct asker asker;
	pthread_t putter;

	support_start_tasks(TASK_ZONE, 1000);
	group = support_limited(NULL, "group", SIZE);
	support_set(group, BH_OOM_GROUP, 1);
	ending = support_task(group, "ending", 0);
	idle = support_idle_task(group, "idle", 0, SIZE - MIB);
	support_stop_at(&stop, BHI_TP_ENDING, SUPPORT_OUTSIDE);
	putter = support_thread(put_in_thread, ending);
	support_stop_await(&stop);
	asker_begin(&asker, group, 2 * MIB, _i);
	ck_assert_int_eq(support_enter_end(&asker.entry), -ECANCELED);
	ck_assert_int_eq(support_task_stat(idle).killed, BH_KILLED_OOM);
	ck_assert_uint_eq(support_last_oom().nr_killed, 2);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 2);
	support_stop_go_on(&stop);
	support_join(putter);
	support_stops_clear();
	bh_task_put(asker.task);
	bh_task_put(idle);
	while (bhi_tasks_count())
		sched_yield();
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* A guard is up and unstable not yet seen: who comes first gets in, and never both. */

static int hold_and_look(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	bh_hold();
	ck_assert(support_is_filled(s->map, SIZE, 1));
	bhi_store_release(&s->reached, 1);
	bh_release();
	return 0;
}

static int allocate(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	(void)bh_malloc(MIB);
	bhi_store_release(&s->reached, 1);
	(void)bh_check();
	return 0;
}

static int (*const guarded[])(void *) = {hold_and_look, allocate};

START_TEST(a_guard_that_is_up_keeps_the_reaper_out)
{
	static struct support_stop backs_off;
	struct subject s;

	start_fenced(&s);
	support_enter(&s.entry, s.task, guarded[_i], &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_GUARD, SUPPORT_INSIDE);
	support_watch(&backs_off, BHI_TP_BACK_OFF, SUPPORT_OUTSIDE);
	bhi_store_release(&s.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	/* It has said unstable, and seen the guard. */
	support_stop_await(&backs_off);
	ck_assert_uint_ge(support_task_stat(s.task).bytes, SIZE);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_ge(s.entry.report.reaped, SIZE);
	end(&s);
}
END_TEST

START_TEST(a_guard_that_meets_unstable_is_taken_back)
{
	static struct support_stop refused;
	struct subject s;

	start_fenced(&s);
	support_enter(&s.entry, s.task, guarded[_i], &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_GUARD, SUPPORT_INSIDE);
	support_stop_at(&other_stop, BHI_TP_CLAIM, SUPPORT_OUTSIDE);
	support_watch(&refused, BHI_TP_LEAVING, SUPPORT_INSIDE);
	bhi_store_release(&s.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	support_stop_await(&other_stop);
	/* The reaper has said unstable and not yet looked; the guard is up. */
	support_stop_go_on(&stop);
	support_stop_await(&refused);
	ck_assert_uint_eq(bhi_load(&s.reached), 0);
	ck_assert_uint_eq(bhi_load(&s.task->region.hold), 0);
	ck_assert_uint_eq(bhi_load(&s.task->region.busy), 0);
	support_stop_go_on(&other_stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	end(&s);
}
END_TEST

/* The slow path of a charge begins. */

static int allocate_shared(void *arg)
{
	struct subject *s = arg;

	(void)fill(arg);
	bhi_store_release(&s->ready, 1);
	support_await(&s->go_on, 1);
	/* Does not unwind, and may be served or not. */
	bh_free(bh_alloc(s->group, MIB, 0));
	ck_assert_int_eq(bhi_load(&s->reached), 0);
	(void)bh_check();
	bhi_store_release(&s->reached, 1);
	return 0;
}

static int (*const charging[])(void *) = {allocate, allocate_shared};

START_TEST(a_victim_at_the_slow_path_of_a_charge_leaves_nothing_charged)
{
	struct subject s;

	start(&s);
	support_enter(&s.entry, s.task, charging[_i], &s);
	support_await(&s.ready, 1);
	support_stop_at(&stop, BHI_TP_CHARGE, SUPPORT_INSIDE);
	bhi_store_release(&s.go_on, 1);
	support_stop_await(&stop);
	ck_assert_int_eq(bh_task_kill(s.task), 0);
	support_await_reaped(s.task);
	ck_assert_uint_eq(support_usage(s.group), 0);
	support_stop_go_on(&stop);
	ck_assert_int_eq(support_enter_end(&s.entry), -ECANCELED);
	ck_assert_uint_eq(s.reached, 0);
	ck_assert_uint_eq(s.entry.report.reaped, SIZE);
	end(&s);
}
END_TEST

START_TEST(what_comes_back_before_the_slow_path_is_enough_and_nobody_is_killed)
{
	struct bh_task *ending, *idle;
	struct bh_group *group;
	struct asker asker;

	support_start_tasks(TASK_ZONE, 1000);
	group = support_limited(NULL, "group", 2 * SIZE);
	idle = support_idle_task(group, "idle", 0, SIZE - 128 * KIB);
	ending = support_idle_task(group, "ending", 0, SIZE);
	support_stop_at(&stop, BHI_TP_CHARGE, SUPPORT_INSIDE);
	asker_begin(&asker, group, MIB, true);
	support_stop_await(&stop);
	bh_task_put(ending);
	support_stop_go_on(&stop);
	asker_end(&asker);
	ck_assert_uint_eq(support_stat(group).local.oom, 0);
	ck_assert_int_eq(support_task_stat(idle).killed, BH_NOT_KILLED);
	support_stops_clear();
	bh_task_put(idle);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, of_two_killers_that_saw_nobody_else_one_kills);
	tcase_add_test(tcase, were_a_kill_claimed_by_a_look_two_would_be_counted);
	tcase_add_test(tcase, an_enter_waits_for_a_kill_that_is_claimed);
	tcase_add_test(tcase, a_return_waits_for_a_kill_that_is_claimed);
	tcase_add_loop_test(
		tcase, a_victim_that_is_claimed_stays_and_nobody_else_is_killed, 0, 2);
	tcase_add_loop_test(
		tcase, a_kill_that_meets_somebody_entering_is_seen, 0, NR_HOW_FAR);
	tcase_add_loop_test(
		tcase, a_kill_after_the_last_look_is_for_the_next_enter, 0, 2);
	tcase_add_test(tcase, of_two_that_saw_a_region_live_one_takes_it_back);
	tcase_add_test(
		tcase, were_a_region_taken_by_a_look_its_bytes_would_be_given_back_twice);
	tcase_add_test(tcase,
		who_unwinds_while_the_reaper_backs_off_waits_and_takes_its_memory_back);
	tcase_add_test(
		tcase, in_a_hold_section_nothing_is_noticed_of_a_reaper_that_backs_off);
	tcase_add_loop_test(tcase,
		a_task_that_ends_is_waited_for_and_nobody_is_killed_instead, 0,
		(int)bhi_array_size(endings));
	tcase_add_loop_test(tcase, an_audit_waits_for_tasks_that_end, 0,
		(int)bhi_array_size(endings));
	tcase_add_test(tcase, an_audit_waits_for_what_the_reaper_still_does);
	tcase_add_test(tcase, an_audit_waits_for_the_kill_of_a_deadline);
	tcase_add_loop_test(
		tcase, a_task_without_references_is_not_killed_with_its_group, 0, 2);
	tcase_add_loop_test(tcase, a_guard_that_is_up_keeps_the_reaper_out, 0,
		(int)bhi_array_size(guarded));
	tcase_add_loop_test(tcase, a_guard_that_meets_unstable_is_taken_back, 0,
		(int)bhi_array_size(guarded));
	tcase_add_loop_test(tcase,
		a_victim_at_the_slow_path_of_a_charge_leaves_nothing_charged, 0,
		(int)bhi_array_size(charging));
	tcase_add_test(tcase,
		what_comes_back_before_the_slow_path_is_enough_and_nobody_is_killed);
}

int main(void)
{
	return support_run("task_windows", add);
}
