/* SPDX-License-Identifier: MIT */
#include "task/cond.h"

#include <errno.h>

#include "base/lock.h"
#include "base/sys.h"
#include "task/holder.h"
#include "task/mutex.h"

/* More than threads that signal at the same time on a large machine. */
#define NR_QUEUE_LOCKS 64

_Static_assert(sizeof(struct bhi_list) == sizeof(((struct bh_cond *)0)->links_),
	"the public struct has room for a list head");

struct waiter {
	struct bhi_list node;
	uint32_t signalled; /* the futex that its thread sleeps on */
};

static struct bhi_lock queue_locks[NR_QUEUE_LOCKS] = {
	[0 ... NR_QUEUE_LOCKS - 1] = BHI_LOCK_INIT(BHI_RANK_COND)};

/* A thread waits for one thing at a time. */
static BHI_TLS struct waiter self;

static struct bhi_lock *lock_of(const struct bh_cond *cond)
{
	/* Neighbours in an array are a few words apart; the product spreads them. */
	uint64_t hash = (uint64_t)(uintptr_t)cond * 0x9e3779b97f4a7c15u;

	return &queue_locks[hash >> 58];
}

_Static_assert(NR_QUEUE_LOCKS == 1 << (64 - 58), "as many as the hash has values");

/* Protected by the queue's lock. */
static struct bhi_list *queue_of(struct bh_cond *cond)
{
	struct bhi_list *queue = (struct bhi_list *)(void *)cond->links_;

	if (!queue->next)
		bhi_list_init(queue);
	return queue;
}

static void join(struct bh_cond *cond)
{
	struct bhi_lock *lock = lock_of(cond);

	bhi_lock_acquire(lock);
	bhi_store(&self.signalled, 0);
	bhi_list_append(queue_of(cond), &self.node);
	cond->nr_++;
	bhi_lock_release(lock);
}

/* Out of the queue; whether a signal was for us. */
static bool leave(struct bh_cond *cond)
{
	struct bhi_lock *lock = lock_of(cond);
	bool signalled;

	bhi_lock_acquire(lock);
	signalled = bhi_load(&self.signalled);
	if (!signalled)
		bhi_list_unlink(&self.node);
	bhi_lock_release(lock);
	return signalled;
}

/* From here on @cond may be gone. */
static void finish(struct bh_cond *cond)
{
	struct bhi_lock *lock = lock_of(cond);

	bhi_lock_acquire(lock);
	cond->nr_--;
	bhi_lock_release(lock);
}

/* 0: signalled, or gave up to look; -ETIMEDOUT; -ECANCELED. */
static int sleep_once(uint64_t until_ns)
{
	uint64_t now = until_ns ? bhi_sys_now_ns() : 0;
	int r;

	if (until_ns && now >= until_ns)
		return -ETIMEDOUT;
	r = bhi_holder_wait(&self.signalled, 0, until_ns ? until_ns - now : 0);
	return r == -ECANCELED ? r : 0;
}

int bhi_cond_wait(struct bh_cond *cond, struct bh_mutex *mutex, uint64_t until_ns,
	const void *where)
{
	bool signalled;
	int r = 0, locked;

	if (!bhi_mutex_is_mine(mutex))
		return -EPERM;
	join(cond);
	bhi_mutex_unlock_to_wait(mutex);
	while (!r && !bhi_load_acquire(&self.signalled))
		r = sleep_once(until_ns);
	signalled = leave(cond);
	locked = r == -ECANCELED ? r : bhi_mutex_relock(mutex, where);
	if (locked == -ECANCELED && signalled)
		bhi_cond_signal(cond, 1);
	finish(cond);
	if (locked == -ECANCELED)
		return bhi_holder_cancel();
	return locked || signalled ? locked : r;
}

void bhi_cond_signal(struct bh_cond *cond, unsigned nr)
{
	struct bhi_lock *lock = lock_of(cond);
	struct bhi_list *queue;

	bhi_lock_acquire(lock);
	queue = queue_of(cond);
	for (; nr && !bhi_list_empty(queue); nr--) {
		struct waiter *waiter = bhi_list_first(queue, struct waiter, node);

		bhi_list_unlink(&waiter->node);
		bhi_store_release(&waiter->signalled, 1);
		bhi_sys_futex_wake(&waiter->signalled, 1);
	}
	bhi_lock_release(lock);
}

bool bhi_cond_is_busy(struct bh_cond *cond)
{
	struct bhi_lock *lock = lock_of(cond);
	bool busy;

	bhi_lock_acquire(lock);
	busy = cond->nr_ != 0;
	bhi_lock_release(lock);
	return busy;
}
