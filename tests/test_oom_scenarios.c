/* SPDX-License-Identifier: MIT */
/*
 * Deadlocks and stalls of real kernels, with tasks for processes; the names T1 to T16 are
 * those of the list they come from. Where a mechanism is what ends one, it is switched
 * off too.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/policy.h"
#include "base/testpoint.h"
#include "support.h"
#include "support_task.h"

/* T1 and T6: a holder of a lock asks for memory at the limit; the victim, the largest,
 * waits for that lock. */
struct deadlock {
	struct bh_group *group;
	struct bh_mutex mutex;
	struct bh_rwlock rwlock;
	bool by_call, by_rwlock;
	struct bh_task *holder, *waiter;
	struct support_entry holding, waiting;
	uint32_t is_held, may_ask, is_served; /* atomic */
};

static int lock_shared(struct deadlock *d)
{
	return d->by_rwlock ? bh_rwlock_rdlock(&d->rwlock) : bh_mutex_lock(&d->mutex);
}

static int hold_and_ask(void *arg)
{
	struct deadlock *d = arg;

	ck_assert_int_eq(
		d->by_rwlock ? bh_rwlock_wrlock(&d->rwlock) : bh_mutex_lock(&d->mutex),
		0);
	bhi_store_release(&d->is_held, 1);
	support_await(&d->may_ask, 1);
	for (int i = 0; i < 32; i++) {
		if (d->by_call)
			ck_assert_ptr_nonnull(bh_malloc(64 * KIB));
		else
			support_filled_map(64 * KIB, 1);
	}
	bhi_store_release(&d->is_served, 1);
	ck_assert_int_eq(
		d->by_rwlock ? bh_rwlock_unlock(&d->rwlock) : bh_mutex_unlock(&d->mutex),
		0);
	return 1;
}

static int fill_and_wait(void *arg)
{
	struct deadlock *d = arg;

	support_filled_map(12 * MIB, 1);
	if (!lock_shared(d))
		d->by_rwlock ? bh_rwlock_unlock(&d->rwlock) : bh_mutex_unlock(&d->mutex);
	return 2;
}

static void deadlock_begin(struct deadlock *d, int kind)
{
	*d = (struct deadlock){.by_call = kind & 1, .by_rwlock = kind & 2};
	d->group = support_limited(NULL, "group", 13 * MIB);
	d->holder = support_task(d->group, "holder", 0);
	d->waiter = support_task(d->group, "waiter", 0);
	support_enter(&d->holding, d->holder, hold_and_ask, d);
	support_await(&d->is_held, 1);
	support_enter(&d->waiting, d->waiter, fill_and_wait, d);
	support_await_asleep(d->waiter);
	bhi_store_release(&d->may_ask, 1);
}

static void deadlock_end(struct deadlock *d)
{
	ck_assert_int_eq(bh_mutex_destroy(&d->mutex), 0);
	ck_assert_int_eq(bh_rwlock_destroy(&d->rwlock), 0);
	bh_task_put(d->holder);
	bh_task_put(d->waiter);
	ck_assert_uint_eq(support_usage(d->group), 0);
	bh_group_put(d->group);
	support_end();
}

START_TEST(t1_a_holder_at_the_limit_and_a_victim_that_waits_for_its_lock_both_end)
{
	struct deadlock d;

	support_start_tasks(TASK_ZONE, 0);
	deadlock_begin(&d, _i);
	ck_assert_int_eq(support_enter_end(&d.holding), 0);
	ck_assert_int_eq(support_enter_end(&d.waiting), -ECANCELED);
	ck_assert_int_eq(d.waiting.report.reason, BH_KILLED_OOM);
	ck_assert_int_eq(d.waiting.report.victim_state, BH_VICTIM_BLOCKED);
	ck_assert_str_eq(d.waiting.report.asker, "holder");
	ck_assert_uint_eq(support_stat(d.group).local.oom_kill, 1);
	deadlock_end(&d);
}
END_TEST

/* Linux 3.11: no reaper, and waits do not end. The holder asks again and again and the
 * victim's memory does not come, until somebody raises the limit. */
START_TEST(t1_without_reaper_and_killable_waits_it_is_a_lockup)
{
	struct deadlock d;
	uint64_t seen;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.reaper = false;
	bhi_policy.killable_waits = false;
	/* In 3.11 pagefaults killed and waited where they were, too. */
	bhi_policy.pagefault_defers = false;
	deadlock_begin(&d, _i);
	while (support_task_stat(d.waiter).killed != BH_KILLED_OOM)
		sched_yield();
	seen = support_stat(d.group).local.oom;
	while (support_stat(d.group).local.oom < seen + 3)
		sched_yield();
	ck_assert_uint_eq(bhi_load(&d.is_served), 0);
	ck_assert_uint_eq(support_task_stat(d.waiter).bytes, 12 * MIB);
	ck_assert_uint_eq(support_task_stat(d.waiter).is_reaped, 0);
	support_set(d.group, BH_MAX, BH_UNLIMITED);
	ck_assert_int_eq(support_enter_end(&d.holding), 0);
	ck_assert_int_eq(support_enter_end(&d.waiting), -ECANCELED);
	deadlock_end(&d);
}
END_TEST

/* Either mechanism alone is enough. */
START_TEST(t1_ends_by_the_reaper_or_by_the_killable_wait_alone)
{
	struct deadlock d;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.reaper = _i;
	bhi_policy.killable_waits = !_i;
	deadlock_begin(&d, 1);
	ck_assert_int_eq(support_enter_end(&d.holding), 0);
	ck_assert_int_eq(support_enter_end(&d.waiting), -ECANCELED);
	deadlock_end(&d);
}
END_TEST

struct faulter {
	struct bh_group *group;
	struct bh_task *idle;
	struct bh_mutex mutex;
	bool by_mutex; /* or by nested hold sections */
	uint64_t kills_in_hold, kills_after;
	bool was_over; /* its limit, in the hold section */
};

static int fault_in_hold(void *arg)
{
	struct faulter *f = arg;
	volatile char *p = bh_map(64 * KIB, 0);

	f->by_mutex ? (void)bh_mutex_lock(&f->mutex) : bh_hold();
	bh_hold();
	for (size_t i = 0; i < 64 * KIB; i += PAGE)
		p[i] = 3;
	bh_release();
	f->kills_in_hold = support_stat(f->group).events.oom_kill;
	f->was_over = support_stat(f->group).usage > 8 * MIB;
	f->by_mutex ? (void)bh_mutex_unlock(&f->mutex) : bh_release();
	f->kills_after = support_stat(f->group).events.oom_kill;
	/* What was populated stays. */
	for (size_t i = 0; i < 64 * KIB; i += PAGE)
		ck_assert_int_eq(p[i], 3);
	return 1;
}

static void fault_at_limit(struct faulter *f, bool by_mutex)
{
	*f = (struct faulter){.by_mutex = by_mutex};
	f->group = support_limited(NULL, "group", 8 * MIB);
	f->idle = support_idle_task(f->group, "idle", 0, 8 * MIB);
	ck_assert_int_eq(bh_task_run(f->group, NULL, fault_in_hold, f, NULL), 0);
	ck_assert_uint_eq(f->kills_after, 1);
	ck_assert_int_eq(support_task_stat(f->idle).killed, BH_KILLED_OOM);
	ck_assert_int_eq(bh_mutex_destroy(&f->mutex), 0);
	bh_task_put(f->idle);
	bh_group_put(f->group);
	support_end();
}

START_TEST(a_pagefault_with_a_lock_held_kills_when_the_lock_is_given_up)
{
	struct faulter f;

	support_start_tasks(TASK_ZONE, 0);
	fault_at_limit(&f, _i);
	ck_assert_uint_eq(f.kills_in_hold, 0);
	ck_assert(f.was_over);
}
END_TEST

/* Linux 3.11: the holder of the lock kills, and waits for who may want that lock. */
START_TEST(a_pagefault_that_is_not_put_off_kills_with_the_lock_held)
{
	struct faulter f;

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.pagefault_defers = false;
	fault_at_limit(&f, _i);
	ck_assert_uint_eq(f.kills_in_hold, 1);
	ck_assert(!f.was_over);
}
END_TEST

static int overdraw_in_many_holds(void *arg)
{
	struct bh_group *group = arg;

	for (int i = 0; i < 100; i++) {
		volatile char *p = bh_map(64 * KIB, 0);

		bh_hold();
		for (size_t k = 0; k < 64 * KIB; k += PAGE)
			p[k] = 1;
		ck_assert_uint_le(
			support_stat(group).usage, MIB + (uint64_t)BHI_TASK_OVERDRAFT);
		bh_release();
	}
	return 1;
}

/* What a hold section took past the limit is decided on at its end, each time: nobody
 * else can be killed, so it is this one. */
START_TEST(hold_sections_do_not_add_up_past_the_limit)
{
	struct bh_group *group;
	struct bh_task *task;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", MIB);
	task = support_task(group, "holder", _i ? -1000 : 0);
	ck_assert_int_eq(
		bh_task_enter(task, overdraw_in_many_holds, group, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_uint_le(support_stat(group).peak, MIB + (uint64_t)BHI_TASK_OVERDRAFT);
	bh_task_put(task);
	bh_group_put(group);
	support_end();
}
END_TEST

/*
 * T4, oom-write: small tasks that append to one file, which is a lock that one of them
 * holds and does not give up for now, and a hog. The first victim is the holder, which is
 * given up; the second one waits for the first one's lock, and is reaped; both bring next
 * to nothing. Each is done with before the next one is chosen, and then it is the hog.
 */
#define NR_WRITERS 10

static struct {
	struct bh_task *writers[NR_WRITERS], *hog;
	struct bh_mutex file;
	bool by_call;
	uint32_t is_held, go_on, nr_written; /* atomic */
	uint32_t nr_kills, nr_too_early;     /* atomic */
} oom_write;

static int append(void *arg)
{
	volatile char *p = support_filled_map(64 * KIB, 1);

	(void)arg;
	ck_assert_int_eq(bh_mutex_lock(&oom_write.file), 0);
	bhi_store_release(&oom_write.is_held, 1);
	support_await(&oom_write.go_on, 1);
	p[0]++;
	bhi_add(&oom_write.nr_written, 1);
	ck_assert_int_eq(bh_mutex_unlock(&oom_write.file), 0);
	return 1;
}

static int eat_for_ever(void *arg)
{
	(void)arg;
	for (;;) {
		if (oom_write.by_call)
			ck_assert_ptr_nonnull(bh_malloc(64 * KIB));
		else
			support_filled_map(64 * KIB, 1);
	}
}

static void look_at_order(enum bhi_testpoint point)
{
	struct bh_task *const order[] = {
		oom_write.writers[0], oom_write.writers[1], oom_write.hog};

	if (point != BHI_TP_KILLED)
		return;
	bhi_add(&oom_write.nr_kills, 1);
	for (int i = 1; i < 3; i++) {
		if (bhi_load(&order[i]->kill.claimed) &&
			!bhi_load_acquire(&order[i - 1]->skip))
			bhi_add(&oom_write.nr_too_early, 1);
	}
}

START_TEST(t4_small_victims_are_done_with_before_the_next_until_the_hog_dies)
{
	static const int adj[NR_WRITERS] = {1000, 900};
	struct support_entry entries[NR_WRITERS];
	struct bh_group *group;
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 3);
	oom_write.by_call = _i;
	group = support_limited(NULL, "group", 16 * MIB);
	for (int i = 0; i < NR_WRITERS; i++) {
		oom_write.writers[i] = support_task(group, "writer", adj[i]);
		support_enter(&entries[i], oom_write.writers[i], append, NULL);
		if (i)
			support_await_asleep(oom_write.writers[i]);
		else
			support_await(&oom_write.is_held, 1);
	}
	oom_write.hog = support_task(group, "hog", -500);
	bhi_store_release(&bhi_testpoint_hook, look_at_order);
	ck_assert_int_eq(
		bh_task_enter(oom_write.hog, eat_for_ever, NULL, &report), -ECANCELED);
	bhi_store_release(&bhi_testpoint_hook, NULL);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	ck_assert_uint_gt(report.bytes, 15 * MIB);
	ck_assert_uint_eq(oom_write.nr_kills, 3);
	ck_assert_uint_eq(oom_write.nr_too_early, 0);
	ck_assert_uint_eq(support_stat(group).local.oom_kill, 3);
	/* The lock is held all the time. */
	ck_assert_uint_eq(bhi_load(&oom_write.nr_written), 0);
	bhi_store_release(&oom_write.go_on, 1);
	for (int i = 0; i < NR_WRITERS; i++) {
		ck_assert_int_eq(support_enter_end(&entries[i]), i < 2 ? -ECANCELED : 0);
		ck_assert_int_eq(entries[i].report.value, i >= 2);
		ck_assert_uint_eq(entries[i].report.nr_leaked_locks, 0);
		bh_task_put(oom_write.writers[i]);
	}
	ck_assert_int_eq(entries[0].report.victim_state, BH_VICTIM_HOLDING);
	ck_assert_int_eq(entries[1].report.victim_state, BH_VICTIM_BLOCKED);
	/* All but the one that was unwound from its wait. */
	ck_assert_uint_eq(oom_write.nr_written, NR_WRITERS - 1);
	bh_task_put(oom_write.hog);
	bh_group_put(group);
	support_end();
}
END_TEST

/* T7: five groups of 16 MiB in a zone of 64: the zone is short before a group is. */
static int grow(void *arg)
{
	support_filled_map(*(uint64_t *)arg, 1);
	return 0;
}

START_TEST(t7_the_zone_is_short_before_a_group_is)
{
	struct bh_group *groups[5];
	struct bh_task *tasks[5];
	uint64_t size = 15 * MIB;

	support_start_tasks(64 * MIB, 0);
	for (int i = 0; i < 5; i++)
		groups[i] = support_limited(NULL, "sixteen", 16 * MIB);
	for (int i = 0; i < 4; i++)
		tasks[i] = support_idle_task(groups[i], "task", 0, 14 * MIB);
	tasks[4] = support_task(groups[4], "grows", 0);
	ck_assert_int_eq(bh_task_enter(tasks[4], grow, &size, NULL), 0);
	ck_assert_uint_eq(support_stat(bh_root()).events.oom_kill, 1);
	ck_assert_str_eq(support_last_oom().over, "/");
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(support_stat(groups[i]).local.oom, 0);
		bh_task_put(tasks[i]);
		bh_group_put(groups[i]);
	}
	support_end();
}
END_TEST

/* T9: killed, in a hold section, and charging as if for ever. A touch that finds nothing
 * more would end the process. */
#define MUCH (4 * BHI_TASK_OVERDRAFT)

struct glutton {
	bool by_call;
	int64_t touches;
	int64_t got;
};

static int charge_although_killed(void *arg)
{
	struct glutton *g = arg;

	support_filled_map(MIB, 1);
	bh_hold();
	bh_task_kill(bh_current());
	while (g->by_call && g->got < MUCH && bh_malloc(64 * KIB))
		g->got += 64 * (int64_t)KIB;
	if (!g->by_call) {
		volatile char *p = bh_map((size_t)g->touches, 0);

		for (; g->got < g->touches; g->got += (int64_t)PAGE)
			p[g->got] = 1;
	}
	bh_release();
	return 0;
}

/* How far past its limit the group was. */
static int64_t overcharge_of(struct glutton *g)
{
	struct bh_group *group = support_limited(NULL, "group", MIB);
	struct bh_task *other = support_idle_task(NULL, "other", 0, 50 * MIB);
	int64_t peak;

	ck_assert_int_eq(
		bh_task_run(group, NULL, charge_although_killed, g, NULL), -ECANCELED);
	peak = (int64_t)support_stat(group).peak;
	ck_assert_uint_eq(support_stat(bh_root()).events.oom_kill, 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_task_put(other);
	bh_group_put(group);
	support_end();
	return peak - (int64_t)MIB;
}

START_TEST(t9_a_dying_task_takes_no_more_than_its_overdraft_past_the_limit)
{
	struct glutton g = {.by_call = _i, .touches = BHI_TASK_OVERDRAFT / 2};
	int64_t over;

	support_start_tasks(TASK_ZONE, 0);
	over = overcharge_of(&g);
	ck_assert_int_gt(g.got, 0);
	ck_assert_int_lt(g.got, MUCH);
	ck_assert_int_gt(over, 0);
	ck_assert_int_le(over, BHI_TASK_OVERDRAFT);
}
END_TEST

START_TEST(t9_were_the_overdraft_not_capped_a_dying_task_would_take_what_it_wants)
{
	struct glutton g = {.by_call = _i, .touches = MUCH};

	support_start_tasks(TASK_ZONE, 0);
	bhi_policy.without.overdraft_cap = true;
	ck_assert_int_ge(overcharge_of(&g), MUCH);
	ck_assert_int_eq(g.got, MUCH);
}
END_TEST

/* T10: a lock that is still held when its holder's task has ended. */
static int lock_and_return(void *arg)
{
	ck_assert_int_eq(bh_mutex_lock(arg), 0);
	return 0;
}

struct inheritance {
	struct bh_mutex mutex;
	int first, second;    /* what the lock protects is whole when they are equal */
	uint32_t held, go_on; /* atomic */
};

static int lock_of_the_dead(void *arg)
{
	struct inheritance *it = arg;
	int r = bh_mutex_lock(&it->mutex);

	/* Who is told makes it whole. */
	if (r == -EOWNERDEAD)
		it->second = it->first;
	ck_assert_int_eq(bh_mutex_unlock(&it->mutex), 0);
	return r;
}

static int lock_and_end_when_told(void *arg)
{
	struct inheritance *it = arg;

	(void)lock_and_return(&it->mutex);
	it->first++;
	bhi_store_release(&it->held, 1);
	support_await(&it->go_on, 1);
	return 0;
}

/* What the waiter was told; *@ret_whole: what the lock protects is. */
static int inherit(bool *ret_whole)
{
	struct inheritance it = {0};
	struct support_entry holder, waiter;
	struct bh_task *tasks[2];

	bh_mutex_init(&it.mutex, "left");
	tasks[0] = support_task(NULL, "holder", 0);
	tasks[1] = support_task(NULL, "waiter", 0);
	support_enter(&holder, tasks[0], lock_and_end_when_told, &it);
	support_await(&it.held, 1);
	support_enter(&waiter, tasks[1], lock_of_the_dead, &it);
	support_await_asleep(tasks[1]);
	ck_assert_int_eq(bh_task_kill(tasks[0]), 0);
	support_await_reaped(tasks[0]);
	bhi_store_release(&it.go_on, 1);
	ck_assert_int_eq(support_enter_end(&holder), -ECANCELED);
	ck_assert_uint_eq(holder.report.nr_leaked_locks, 1);
	ck_assert_int_eq(support_enter_end(&waiter), 0);
	bh_task_put(tasks[0]);
	bh_task_put(tasks[1]);
	support_end();
	*ret_whole = it.first == it.second;
	return waiter.report.value;
}

START_TEST(t10_who_waits_for_the_lock_of_a_killed_holder_gets_it_and_is_told)
{
	bool whole;

	support_start_tasks(TASK_ZONE, 3);
	ck_assert_int_eq(inherit(&whole), -EOWNERDEAD);
	ck_assert(whole);
}
END_TEST

START_TEST(t10_were_the_waiter_not_told_it_would_take_half_for_whole)
{
	bool whole;

	support_start_tasks(TASK_ZONE, 3);
	bhi_policy.without.owner_died = true;
	ck_assert_int_eq(inherit(&whole), 0);
	ck_assert(!whole);
}
END_TEST

/* T12: a system call with reaped memory fails, and does not read zeros. */
struct refault {
	int pipe[2];
	uint32_t ready, reached; /* atomic */
};

static int write_after_reap(void *arg)
{
	struct refault *r = arg;
	char *map = support_filled_map(MIB, 4), *object = bh_malloc(PAGE);

	memset(object, 5, PAGE);
	bhi_store_release(&r->ready, 1);
	support_await_reaped(bh_current());
	errno = 0;
	ck_assert_int_eq(write(r->pipe[1], map, PAGE), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(write(r->pipe[1], object, PAGE), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(write(r->pipe[1], "x", 1), 1);
	ck_assert_int_eq(read(r->pipe[0], map, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	bhi_store_release(&r->reached, 1);
	(void)*(volatile char *)map;
	bhi_store_release(&r->reached, 2);
	return 0;
}

START_TEST(t12_reaped_memory_is_an_error_and_not_zeros)
{
	struct refault r = {0};
	struct support_entry entry;
	struct bh_task *task;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(pipe2(r.pipe, O_CLOEXEC | O_NONBLOCK), 0);
	task = support_task(NULL, "task", 0);
	support_enter(&entry, task, write_after_reap, &r);
	support_await(&r.ready, 1);
	ck_assert_int_eq(bh_task_kill(task), 0);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	ck_assert_uint_eq(r.reached, 1);
	bh_task_put(task);
	close(r.pipe[0]);
	close(r.pipe[1]);
	support_end();
}
END_TEST

/* T14: who is killed above BH_HIGH is not slowed down any more. */
static int allocate_above_high(void *arg)
{
	struct bh_group *group = arg;
	uint64_t seen;

	bh_hold();
	seen = support_stat(group).local.high;
	(void)bh_malloc(MIB);
	ck_assert_uint_gt(support_stat(group).local.high, seen);
	bh_task_kill(bh_current());
	seen = support_stat(group).local.high;
	(void)bh_malloc(MIB);
	ck_assert_uint_eq(support_stat(group).local.high, seen);
	bh_release();
	return 0;
}

START_TEST(t14_a_victim_is_not_throttled)
{
	struct bh_group *group;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	support_set(group, BH_HIGH, MIB / 2);
	ck_assert_int_eq(
		bh_task_run(group, NULL, allocate_above_high, group, NULL), -ECANCELED);
	bh_group_put(group);
	support_end();
}
END_TEST

/* T16: the total is the limit of the group that is over. With the zone's, a hundred
 * thousandths of it would make a small one the victim. */
START_TEST(t16_scores_are_relative_to_the_limit_that_was_hit)
{
	struct bh_group *group;
	struct bh_task *small[3], *eater;
	uint64_t size = 50 * MIB;
	struct bh_report report;

	support_start_tasks(512 * MIB, 0);
	group = support_limited(NULL, "fifty", 50 * MIB);
	for (int i = 0; i < 3; i++)
		small[i] = support_idle_task(group, "small", 100, 8 * MIB);
	eater = support_task(group, "eater", 0);
	ck_assert_int_eq(bh_task_enter(eater, grow, &size, &report), -ECANCELED);
	ck_assert_int_eq(report.reason, BH_KILLED_OOM);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(support_task_stat(small[i]).killed, BH_NOT_KILLED);
		bh_task_put(small[i]);
	}
	bh_task_put(eater);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		t1_a_holder_at_the_limit_and_a_victim_that_waits_for_its_lock_both_end, 0,
		4);
	tcase_add_loop_test(
		tcase, t1_without_reaper_and_killable_waits_it_is_a_lockup, 0, 4);
	tcase_add_loop_test(
		tcase, t1_ends_by_the_reaper_or_by_the_killable_wait_alone, 0, 2);
	tcase_add_loop_test(tcase,
		a_pagefault_with_a_lock_held_kills_when_the_lock_is_given_up, 0, 2);
	tcase_add_loop_test(
		tcase, a_pagefault_that_is_not_put_off_kills_with_the_lock_held, 0, 2);
	tcase_add_loop_test(tcase, hold_sections_do_not_add_up_past_the_limit, 0, 2);
	tcase_add_loop_test(tcase,
		t4_small_victims_are_done_with_before_the_next_until_the_hog_dies, 0, 2);
	tcase_add_test(tcase, t7_the_zone_is_short_before_a_group_is);
	tcase_add_loop_test(tcase,
		t9_a_dying_task_takes_no_more_than_its_overdraft_past_the_limit, 0, 2);
	tcase_add_loop_test(tcase,
		t9_were_the_overdraft_not_capped_a_dying_task_would_take_what_it_wants, 0,
		2);
	tcase_add_test(
		tcase, t10_who_waits_for_the_lock_of_a_killed_holder_gets_it_and_is_told);
	tcase_add_test(tcase, t10_were_the_waiter_not_told_it_would_take_half_for_whole);
	tcase_add_test(tcase, t12_reaped_memory_is_an_error_and_not_zeros);
	tcase_add_test(tcase, t14_a_victim_is_not_throttled);
	tcase_add_test(tcase, t16_scores_are_relative_to_the_limit_that_was_hit);
}

int main(void)
{
	return support_run("oom_scenarios", add);
}
