/* SPDX-License-Identifier: MIT */
/* The part of fuzz_tasks.c that is about locks, inside of tasks and outside. */
#ifndef BHI_TESTS_FUZZ_LOCKS_H
#define BHI_TESTS_FUZZ_LOCKS_H

#include "fuzz_tasks.h"

/* A lock where none may be, or which is none. */
static inline void *no_lock(void)
{
	return now.inside ? now.inside->objects[0].size >= sizeof(struct bh_mutex)
				    ? now.inside->objects[0].p
				    : NULL
			  : NULL;
}

static inline struct mutex *take_mutex(struct input *in)
{
	return &now.mutexes[take(in) % NR_MUTEXES];
}

/* It was free. */
static inline void check_taken(int r, bool *owner_died, bool is_repaired)
{
	require(r == (*owner_died ? -EOWNERDEAD : 0));
	if (is_repaired)
		*owner_died = false;
}

static void op_mutex_lock(struct input *in)
{
	struct mutex *mutex = take_mutex(in);
	bool ends = must_end();
	int r = bh_mutex_lock(&mutex->mutex);

	require(!ends);
	if (mutex->holder) {
		require(r == -EDEADLK);
		return;
	}
	check_taken(r, &mutex->owner_died, true);
	mutex->holder = holder_here();
	begin_hold();
}

static void op_mutex_trylock(struct input *in)
{
	struct mutex *mutex = take_mutex(in);
	bool ends = must_end();
	int r = bh_mutex_trylock(&mutex->mutex);

	require(!ends);
	if (mutex->holder) {
		require(r == -EBUSY);
		return;
	}
	check_taken(r, &mutex->owner_died, true);
	mutex->holder = holder_here();
	begin_hold();
}

static void op_mutex_unlock(struct input *in)
{
	struct mutex *mutex = take_mutex(in);
	bool is_mine = mutex->holder == holder_here(), ends;

	if (is_mine) {
		mutex->holder = NOBODY;
		end_hold();
	}
	ends = is_mine && must_end();
	require(bh_mutex_unlock(&mutex->mutex) == (is_mine ? 0 : -EPERM));
	require(!ends);
}

/* A lock that is free may be made anew, with or without having been destroyed. */
static void op_mutex_destroy(struct input *in)
{
	struct mutex *mutex = take_mutex(in);

	require(bh_mutex_destroy(&mutex->mutex) == (mutex->holder ? -EBUSY : 0));
	if (mutex->holder)
		return;
	require(bh_mutex_init(&mutex->mutex, take(in) % 2 ? "fuzz" : NULL) == 0);
	mutex->owner_died = false;
}

static inline unsigned nr_rwlocks_held(void)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_RWLOCKS; i++)
		nr += now.rwlocks[i].holder != NOBODY;
	return nr;
}

static void op_rwlock_lock(struct input *in)
{
	struct rwlock *rwlock = &now.rwlocks[take(in) % NR_RWLOCKS];
	unsigned kind = take(in) % 4;
	bool writes = kind & 1, tries = kind & 2, ends = must_end();
	int (*const lock[])(struct bh_rwlock * rwlock) = {bh_rwlock_rdlock,
		bh_rwlock_wrlock, bh_rwlock_tryrdlock, bh_rwlock_trywrlock};
	int r = lock[kind](&rwlock->rwlock);

	require(!ends);
	if (rwlock->holder) {
		require(r == (tries ? -EBUSY : -EDEADLK));
	} else if (nr_rwlocks_held() == BH_RWLOCKS_HELD_MAX) {
		require(r == -EAGAIN);
	} else {
		check_taken(r, &rwlock->owner_died, writes);
		rwlock->holder = holder_here();
		rwlock->writes = writes;
		begin_hold();
	}
}

static void op_rwlock_unlock(struct input *in)
{
	struct rwlock *rwlock = &now.rwlocks[take(in) % NR_RWLOCKS];
	bool is_mine = rwlock->holder == holder_here(), ends;

	if (is_mine) {
		rwlock->holder = NOBODY;
		end_hold();
	}
	ends = is_mine && must_end();
	require(bh_rwlock_unlock(&rwlock->rwlock) == (is_mine ? 0 : -EPERM));
	require(!ends);
}

static void op_rwlock_destroy(struct input *in)
{
	struct rwlock *rwlock = &now.rwlocks[take(in) % NR_RWLOCKS];

	require(bh_rwlock_destroy(&rwlock->rwlock) == (rwlock->holder ? -EBUSY : 0));
	if (rwlock->holder)
		return;
	require(bh_rwlock_init(&rwlock->rwlock, take(in) % 2 ? "fuzz" : NULL) == 0);
	rwlock->owner_died = false;
}

/* Nobody signals, so only those wait for ever who are killed. */
static void op_cond_wait(struct input *in)
{
	struct bh_cond *cond = &now.conds[take(in) % NR_CONDS];
	struct mutex *mutex = take_mutex(in);
	bool is_mine = mutex->holder == holder_here();
	unsigned how = take(in) % 4;
	uint64_t until_ns = how == 3 ? bhi_sys_now_ns() + take(in) * 200 : how;
	int r;

	if (is_mine) {
		mutex->holder = NOBODY;
		end_hold();
	}
	if (how == 2 && (!is_mine || is_killed()))
		r = bh_cond_wait(cond, &mutex->mutex);
	else
		r = bh_cond_timedwait(cond, &mutex->mutex, until_ns);
	if (!is_mine) {
		require(r == -EPERM);
		return;
	}
	require(r == -ETIMEDOUT || (r == -ECANCELED && is_killed() && !may_unwind()));
	if (r == -ETIMEDOUT) {
		mutex->holder = holder_here();
		begin_hold();
	}
}

static void op_cond_signal(struct input *in)
{
	struct bh_cond *cond = &now.conds[take(in) % NR_CONDS];

	require(bh_cond_signal(cond) == 0);
	require(bh_cond_broadcast(cond) == 0);
	require(bh_cond_destroy(cond) == 0);
	require(bh_cond_init(cond, "fuzz") == 0);
}

static void op_no_lock(struct input *in)
{
	void *bad = take(in) % 2 ? no_lock() : NULL;
	struct mutex *mutex = take_mutex(in);

	require(bh_mutex_init(bad, NULL) == -EINVAL);
	require(bh_mutex_lock(bad) == -EINVAL);
	require(bh_mutex_trylock(bad) == -EINVAL);
	require(bh_mutex_unlock(bad) == -EINVAL);
	require(bh_mutex_destroy(bad) == -EINVAL);
	require(bh_rwlock_init(bad, NULL) == -EINVAL);
	require(bh_rwlock_rdlock(bad) == -EINVAL);
	require(bh_rwlock_wrlock(bad) == -EINVAL);
	require(bh_rwlock_tryrdlock(bad) == -EINVAL);
	require(bh_rwlock_trywrlock(bad) == -EINVAL);
	require(bh_rwlock_unlock(bad) == -EINVAL);
	require(bh_rwlock_destroy(bad) == -EINVAL);
	require(bh_cond_init(bad, NULL) == -EINVAL);
	require(bh_cond_wait(bad, &mutex->mutex) == -EINVAL);
	require(bh_cond_wait(&now.conds[0], bad) == -EINVAL);
	require(bh_cond_timedwait(bad, &mutex->mutex, 1) == -EINVAL);
	require(bh_cond_signal(bad) == -EINVAL);
	require(bh_cond_broadcast(bad) == -EINVAL);
	require(bh_cond_destroy(bad) == -EINVAL);
}

/* Who ended has handed over what it held; how many locks that were. */
static unsigned leak_locks(void)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < NR_MUTEXES; i++) {
		if (now.mutexes[i].holder != INSIDE)
			continue;
		now.mutexes[i].holder = NOBODY;
		now.mutexes[i].owner_died = true;
		nr++;
	}
	for (unsigned i = 0; i < NR_RWLOCKS; i++) {
		if (now.rwlocks[i].holder != INSIDE)
			continue;
		now.rwlocks[i].holder = NOBODY;
		now.rwlocks[i].owner_died |= now.rwlocks[i].writes;
		nr++;
	}
	return nr;
}

/* At the end: nobody is inside. */
static void give_up_locks(void)
{
	for (unsigned i = 0; i < NR_MUTEXES; i++) {
		struct mutex *mutex = &now.mutexes[i];

		if (mutex->holder)
			require(bh_mutex_unlock(&mutex->mutex) == 0);
		require(bh_mutex_destroy(&mutex->mutex) == 0);
		*mutex = (struct mutex){.holder = NOBODY};
	}
	for (unsigned i = 0; i < NR_RWLOCKS; i++) {
		struct rwlock *rwlock = &now.rwlocks[i];

		if (rwlock->holder)
			require(bh_rwlock_unlock(&rwlock->rwlock) == 0);
		require(bh_rwlock_destroy(&rwlock->rwlock) == 0);
		*rwlock = (struct rwlock){.holder = NOBODY};
	}
}

#endif
