/* SPDX-License-Identifier: MIT */
#include "task/rwlock.h"

#include <errno.h>
#include <limits.h>

#include "base/fmt.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/where.h"
#include "task/holder.h"

/* What is counted in the state. */
#define READER         ((uint64_t)1)
#define WRITER         ((uint64_t)1 << 31 | (uint64_t)1 << 63)
#define WAITING_READER ((uint64_t)1 << 32)
#define WAITING_WRITER ((uint64_t)1 << 48)

#define READERS         ((uint64_t)INT32_MAX)
#define WAITING_READERS ((uint64_t)UINT16_MAX << 32)
#define WAITING_WRITERS ((uint64_t)INT16_MAX << 48)

/* With more waiters than can be counted, the others look from time to time. */
#define LOOK_AGAIN_NS BHI_NS_PER_MS

/* In .flags_; changed by writers that hold the lock. */
#define OWNER_DIED (1u << 0)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");

struct held {
	struct bh_rwlock *rwlock;
	const void *owner;
	const void *where;
	enum bhi_rwlock_mode mode;
};

/* What this thread holds, outside of tasks and inside; owner thread only. */
static BHI_TLS struct {
	uint32_t nr;
	struct held locks[BH_RWLOCKS_HELD_MAX];
} self;

static struct held *find_held(const struct bh_rwlock *rwlock)
{
	for (uint32_t i = self.nr; i--;) {
		if (self.locks[i].rwlock == rwlock)
			return &self.locks[i];
	}
	return NULL;
}

static bool admits(uint64_t state, enum bhi_rwlock_mode mode)
{
	if (state & WRITER)
		return false;
	return !(state & (mode == BHI_RWLOCK_WRITE ? READERS : WAITING_WRITERS));
}

static uint64_t holding(enum bhi_rwlock_mode mode)
{
	return mode == BHI_RWLOCK_WRITE ? WRITER : READER;
}

static uint64_t waiting(enum bhi_rwlock_mode mode)
{
	return mode == BHI_RWLOCK_WRITE ? WAITING_WRITER : WAITING_READER;
}

static uint32_t *futex_of(struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode)
{
	return (uint32_t *)(void *)&rwlock->state_ + (mode == BHI_RWLOCK_READ);
}

static uint32_t half_of(uint64_t state, enum bhi_rwlock_mode mode)
{
	return (uint32_t)(mode == BHI_RWLOCK_READ ? state >> 32 : state);
}

/* @state is what somebody has just made of it. */
static void wake_next(struct bh_rwlock *rwlock, uint64_t state)
{
	if ((state & WAITING_WRITERS) && admits(state, BHI_RWLOCK_WRITE))
		bhi_sys_futex_wake(futex_of(rwlock, BHI_RWLOCK_WRITE), 1);
	else if ((state & WAITING_READERS) && admits(state, BHI_RWLOCK_READ))
		bhi_sys_futex_wake(futex_of(rwlock, BHI_RWLOCK_READ), INT_MAX);
}

static bool try_take(struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, bool is_counted)
{
	uint64_t state = bhi_load(&rwlock->state_), next;

	do {
		if (!admits(state, mode))
			return false;
		next = state + holding(mode) - (is_counted ? waiting(mode) : 0);
	} while (!bhi_compare_exchange(&rwlock->state_, &state, next));
	return true;
}

/* False: the lock can be had meanwhile, or nobody more can be counted. */
static bool try_count(struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode)
{
	uint64_t all = mode == BHI_RWLOCK_WRITE ? WAITING_WRITERS : WAITING_READERS;
	uint64_t state = bhi_load(&rwlock->state_);

	do {
		if (admits(state, mode) || (state & all) == all)
			return false;
	} while (!bhi_compare_exchange(&rwlock->state_, &state, state + waiting(mode)));
	return true;
}

static int wait(struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, bool is_counted)
{
	uint64_t state = bhi_load(&rwlock->state_);

	if (admits(state, mode))
		return 0;
	return bhi_holder_wait(futex_of(rwlock, mode), half_of(state, mode),
		is_counted ? 0 : LOOK_AGAIN_NS);
}

/* False: the task is killed and has left. */
static bool take_waiting(struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode)
{
	bool is_counted = false;

	while (bhi_holder_try_hold()) {
		if (try_take(rwlock, mode, is_counted))
			return true;
		bhi_holder_unhold();
		if (!is_counted)
			is_counted = try_count(rwlock, mode);
		if (wait(rwlock, mode, is_counted) == -ECANCELED)
			break;
	}
	if (is_counted)
		wake_next(rwlock, bhi_sub_return(&rwlock->state_, waiting(mode)));
	return false;
}

/* The lock is taken, in its hold section. */
static int become_owner(
	struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, const void *where)
{
	self.locks[self.nr++] = (struct held){
		.rwlock = rwlock,
		.owner = bhi_holder_self(),
		.where = where,
		.mode = mode,
	};
	if (bhi_likely(!(rwlock->flags_ & OWNER_DIED)))
		return 0;
	if (mode == BHI_RWLOCK_WRITE)
		rwlock->flags_ &= ~OWNER_DIED;
	return -EOWNERDEAD;
}

int bhi_rwlock_lock(
	struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, const void *where)
{
	bhi_holder_begin();
	if (find_held(rwlock))
		return -EDEADLK;
	if (self.nr == BH_RWLOCKS_HELD_MAX)
		return -EAGAIN;
	if (!take_waiting(rwlock, mode))
		return bhi_holder_cancel();
	return become_owner(rwlock, mode, where);
}

int bhi_rwlock_trylock(
	struct bh_rwlock *rwlock, enum bhi_rwlock_mode mode, const void *where)
{
	bhi_holder_begin();
	if (find_held(rwlock))
		return -EBUSY;
	if (self.nr == BH_RWLOCKS_HELD_MAX)
		return -EAGAIN;
	if (!bhi_holder_try_hold())
		return bhi_holder_cancel();
	if (try_take(rwlock, mode, false))
		return become_owner(rwlock, mode, where);
	bhi_holder_unhold();
	return -EBUSY;
}

static void give_up(struct held *held)
{
	struct bh_rwlock *rwlock = held->rwlock;
	enum bhi_rwlock_mode mode = held->mode;

	*held = self.locks[--self.nr];
	wake_next(rwlock, bhi_sub_return(&rwlock->state_, holding(mode)));
}

int bhi_rwlock_unlock(struct bh_rwlock *rwlock)
{
	struct held *held = find_held(rwlock);

	if (!held || held->owner != bhi_holder_self())
		return -EPERM;
	give_up(held);
	bhi_holder_unhold();
	bhi_holder_begin();
	return 0;
}

static void report_leak(const struct bh_task *task, const struct held *held)
{
	const char *name = held->rwlock->name_;
	char where[BHI_WHERE_SIZE];

	bhi_errf("bulkhead: task '%s' ended with rwlock '%s' held for %s, taken at %s\n",
		task->name, name ? name : "?",
		held->mode == BHI_RWLOCK_WRITE ? "writing" : "reading",
		bhi_where(held->where, where));
}

/* What was only read is as whole as it was. */
uint32_t bhi_rwlocks_leak(struct bh_task *task)
{
	uint32_t nr = 0;

	for (uint32_t i = self.nr; i--;) {
		struct held *held = &self.locks[i];

		if (held->owner != task)
			continue;
		report_leak(task, held);
		if (held->mode == BHI_RWLOCK_WRITE && !bhi_policy.without.owner_died)
			held->rwlock->flags_ |= OWNER_DIED;
		give_up(held);
		nr++;
	}
	return nr;
}
