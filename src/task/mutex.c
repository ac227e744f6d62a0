/* SPDX-License-Identifier: MIT */
#include "task/mutex.h"

#include <errno.h>

#include "base/fmt.h"
#include "base/policy.h"
#include "base/sys.h"
#include "base/where.h"
#include "task/holder.h"

#define FREE      0u
#define HELD      1u
#define CONTENDED 2u

/* In .flags_; protected by the mutex. */
#define OWNER_DIED (1u << 0)

_Static_assert(sizeof(struct bhi_list) == sizeof(((struct bh_mutex *)0)->links_),
	"the public struct has room for a list node");

static struct bhi_list *links_of(struct bh_mutex *mutex)
{
	return (struct bhi_list *)(void *)mutex->links_;
}

bool bhi_mutex_is_mine(const struct bh_mutex *mutex)
{
	return bhi_load(&mutex->owner_) == bhi_holder_self();
}

/* What the thread took before it entered its task would be waited for for ever, too. */
static bool is_of_this_thread(const struct bh_mutex *mutex)
{
	const void *owner = bhi_load(&mutex->owner_);

	return owner && (owner == bhi_task_current || owner == bhi_holder_thread());
}

static bool take_free(struct bh_mutex *mutex, uint32_t as)
{
	uint32_t seen = FREE;

	if (as == CONTENDED)
		return __atomic_exchange_n(&mutex->word_, CONTENDED, __ATOMIC_ACQUIRE) ==
		       FREE;
	return __atomic_compare_exchange_n(
		&mutex->word_, &seen, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* The lock is taken, in its hold section. */
static int become_owner(struct bh_mutex *mutex, const void *where)
{
	bhi_store(&mutex->owner_, bhi_holder_self());
	mutex->where_ = where;
	if (bhi_task_current)
		bhi_list_push(&bhi_task_current->locks, links_of(mutex));
	if (bhi_likely(!(mutex->flags_ & OWNER_DIED)))
		return 0;
	mutex->flags_ &= ~OWNER_DIED;
	return -EOWNERDEAD;
}

static void give_up(struct bh_mutex *mutex)
{
	bhi_store(&mutex->owner_, NULL);
	if (__atomic_exchange_n(&mutex->word_, FREE, __ATOMIC_RELEASE) == CONTENDED)
		bhi_sys_futex_wake(&mutex->word_, 1);
}

int bhi_mutex_relock(struct bh_mutex *mutex, const void *where)
{
	uint32_t as = HELD;

	for (;;) {
		if (!bhi_holder_try_hold())
			break;
		if (bhi_likely(take_free(mutex, as)))
			return become_owner(mutex, where);
		bhi_holder_unhold();
		if (as == CONTENDED &&
			bhi_holder_wait(&mutex->word_, CONTENDED, 0) == -ECANCELED)
			break;
		/* From now on others may be waiting too. */
		as = CONTENDED;
	}
	/* The wake-up of an unlock may have come to us: somebody else must have it. */
	if (as == CONTENDED)
		bhi_sys_futex_wake(&mutex->word_, 1);
	return -ECANCELED;
}

int bhi_mutex_lock(struct bh_mutex *mutex, const void *where)
{
	int r;

	bhi_holder_begin();
	if (is_of_this_thread(mutex))
		return -EDEADLK;
	r = bhi_mutex_relock(mutex, where);
	return bhi_unlikely(r == -ECANCELED) ? bhi_holder_cancel() : r;
}

int bhi_mutex_trylock(struct bh_mutex *mutex, const void *where)
{
	bhi_holder_begin();
	if (!bhi_holder_try_hold())
		return bhi_holder_cancel();
	if (take_free(mutex, HELD))
		return become_owner(mutex, where);
	bhi_holder_unhold();
	return -EBUSY;
}

void bhi_mutex_unlock_to_wait(struct bh_mutex *mutex)
{
	if (bhi_task_current)
		bhi_list_unlink(links_of(mutex));
	give_up(mutex);
	bhi_holder_unhold();
}

int bhi_mutex_unlock(struct bh_mutex *mutex)
{
	if (!bhi_mutex_is_mine(mutex))
		return -EPERM;
	bhi_mutex_unlock_to_wait(mutex);
	bhi_holder_begin();
	return 0;
}

uint32_t bhi_mutexes_leak(struct bh_task *task)
{
	uint32_t nr = 0;

	while (!bhi_list_empty(&task->locks)) {
		struct bhi_list *node = task->locks.next;
		struct bh_mutex *mutex =
			bhi_container_of((void *)node, struct bh_mutex, links_);
		char where[BHI_WHERE_SIZE];

		bhi_errf("bulkhead: task '%s' ended with mutex '%s' held, taken at %s\n",
			task->name, mutex->name_ ? mutex->name_ : "?",
			bhi_where(mutex->where_, where));
		bhi_list_unlink(node);
		if (!bhi_policy.without.owner_died)
			mutex->flags_ |= OWNER_DIED;
		give_up(mutex);
		nr++;
	}
	return nr;
}
