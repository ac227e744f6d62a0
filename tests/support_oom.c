/* SPDX-License-Identifier: MIT */
#include "support_oom.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "oom/oom.h"

#if defined(__clang__)
/* Locks are tried where the compiler does not see whose they are. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

struct support_told support_told;

static bool is_free(struct bhi_lock *lock)
{
	if (!bhi_lock_try(lock))
		return false;
	bhi_lock_release(lock);
	return true;
}

/* Maybe in a signal handler: nothing of Check's here. */
static void on_oom(const struct bh_oom_event *event, void *arg)
{
	struct support_told *told = &support_told;
	stack_t stack = {.ss_flags = 0};

	bhi_assert_none_held();
	if (!is_free(&bhi_oom_lock) || !is_free(&bhi_tasks_lock) ||
		!is_free(&bhi_group_tree_lock))
		told->saw_lock = true;
	if (told->victim && !bhi_task_killed(told->victim))
		told->came_early = true;
	sigaltstack(NULL, &stack);
	told->was_in_signal = stack.ss_flags & SS_ONSTACK;
	told->arg = arg;
	if (told->nr < bhi_array_size(told->events))
		told->events[told->nr] = *event;
	(void)bhi_add_return(&told->nr, 1);
	if (told->waits)
		support_await(&told->may_go_on, 1);
}

void support_start_told(uint64_t size, uint32_t tries)
{
	struct bh_config config = {
		.size = size,
		.decay_ms = 3600000,
		.reap_tries = tries,
		.reap_interval_ms = tries ? 1 : 0,
		.on_oom = on_oom,
		.on_oom_arg = &support_told,
	};

	ck_assert_int_eq(bh_init(&config), 0);
}

struct bh_oom_event support_only_oom(void)
{
	const struct support_told *told = &support_told;
	struct bh_oom_event event = support_last_oom();

	ck_assert_uint_eq(bhi_load(&told->nr), 1);
	ck_assert_uint_eq(bhi_oom_events_count(), 1);
	ck_assert_ptr_eq(told->arg, told);
	ck_assert(!told->saw_lock && !told->came_early);
	ck_assert_mem_eq(
		&event, &told->events[0], offsetof(struct bh_oom_event, unreaped));
	ck_assert_uint_eq(told->events[0].nr_reaped, 0);
	ck_assert_uint_eq(told->events[0].reaped, 0);
	ck_assert_uint_eq(event.size, sizeof(event));
	ck_assert_uint_eq(event.number, 1);
	ck_assert_uint_gt(event.time_ns, 0);
	return event;
}

static void *charge_pieces(void *group)
{
	while (!bhi_load(&support_told.nr))
		ck_assert_int_eq(bh_charge(group, PIECE, 0), 0);
	return NULL;
}

void support_charge_to_oom(struct bh_group *group)
{
	pthread_t thread;

	support_set(group, BH_ON_LIMIT, BH_KILL);
	support_told.waits = true;
	thread = support_thread(charge_pieces, group);
	support_await(&support_told.nr, 1);
	support_set(group, BH_MAX, BH_UNLIMITED);
	bhi_store(&support_told.may_go_on, 1);
	support_join(thread);
	support_told.waits = false;
}

void support_end_told(struct bh_group *group)
{
	/* The reaper may still have a reference to a victim. */
	while (bhi_tasks_count())
		sched_yield();
	bh_uncharge(group, support_stat(group).external);
	bh_group_put(group);
	support_end();
}

void support_add_events(uint64_t nr)
{
	static struct bh_oom_event event;

	while (!bhi_lock_try(&bhi_oom_lock))
		sched_yield();
	for (; nr; nr--) {
		uint64_t number = bhi_oom_events_count() + 1;

		memset(&event, (int)(number % 251), sizeof(event));
		event.number = number;
		bhi_oom_events_add(&event);
	}
	bhi_lock_release(&bhi_oom_lock);
}

bool support_is_whole(const struct bh_oom_event *event)
{
	static const size_t first = offsetof(struct bh_oom_event, time_ns),
			    last = offsetof(struct bh_oom_event, unreaped);
	const unsigned char *bytes = (const unsigned char *)event;

	for (size_t i = first; i < last; i++) {
		if (bytes[i] != event->number % 251)
			return false;
	}
	return true;
}
