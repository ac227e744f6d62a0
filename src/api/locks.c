/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>

#include "task/cond.h"
#include "task/mutex.h"
#include "task/rwlock.h"

#define CALLER __builtin_return_address(0)

/* Private memory goes with its task, while others may be waiting. */
static bool can_be_shared(const void *lock)
{
	return lock && (!bhi_private.base || !bhi_private_contains(lock));
}

BHI_API int bh_mutex_init(struct bh_mutex *mutex, const char *name)
{
	if (!can_be_shared(mutex))
		return -EINVAL;
	*mutex = (struct bh_mutex){.name_ = name};
	return 0;
}

BHI_API int bh_mutex_lock(struct bh_mutex *mutex)
{
	return can_be_shared(mutex) ? bhi_mutex_lock(mutex, CALLER) : -EINVAL;
}

BHI_API int bh_mutex_trylock(struct bh_mutex *mutex)
{
	return can_be_shared(mutex) ? bhi_mutex_trylock(mutex, CALLER) : -EINVAL;
}

BHI_API int bh_mutex_unlock(struct bh_mutex *mutex)
{
	return can_be_shared(mutex) ? bhi_mutex_unlock(mutex) : -EINVAL;
}

BHI_API int bh_mutex_destroy(struct bh_mutex *mutex)
{
	if (!can_be_shared(mutex))
		return -EINVAL;
	return bhi_load(&mutex->word_) ? -EBUSY : 0;
}

BHI_API int bh_rwlock_init(struct bh_rwlock *rwlock, const char *name)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	*rwlock = (struct bh_rwlock){.name_ = name};
	return 0;
}

BHI_API int bh_rwlock_rdlock(struct bh_rwlock *rwlock)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	return bhi_rwlock_lock(rwlock, BHI_RWLOCK_READ, CALLER);
}

BHI_API int bh_rwlock_tryrdlock(struct bh_rwlock *rwlock)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	return bhi_rwlock_trylock(rwlock, BHI_RWLOCK_READ, CALLER);
}

BHI_API int bh_rwlock_wrlock(struct bh_rwlock *rwlock)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	return bhi_rwlock_lock(rwlock, BHI_RWLOCK_WRITE, CALLER);
}

BHI_API int bh_rwlock_trywrlock(struct bh_rwlock *rwlock)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	return bhi_rwlock_trylock(rwlock, BHI_RWLOCK_WRITE, CALLER);
}

BHI_API int bh_rwlock_unlock(struct bh_rwlock *rwlock)
{
	return can_be_shared(rwlock) ? bhi_rwlock_unlock(rwlock) : -EINVAL;
}

BHI_API int bh_rwlock_destroy(struct bh_rwlock *rwlock)
{
	if (!can_be_shared(rwlock))
		return -EINVAL;
	return bhi_load(&rwlock->state_) ? -EBUSY : 0;
}

BHI_API int bh_cond_init(struct bh_cond *cond, const char *name)
{
	if (!can_be_shared(cond))
		return -EINVAL;
	*cond = (struct bh_cond){.name_ = name};
	return 0;
}

BHI_API int bh_cond_wait(struct bh_cond *cond, struct bh_mutex *mutex)
{
	if (!can_be_shared(cond) || !can_be_shared(mutex))
		return -EINVAL;
	return bhi_cond_wait(cond, mutex, 0, CALLER);
}

/* The beginning of time has passed as much as the moment after it. */
BHI_API int bh_cond_timedwait(
	struct bh_cond *cond, struct bh_mutex *mutex, uint64_t until_ns)
{
	if (!can_be_shared(cond) || !can_be_shared(mutex))
		return -EINVAL;
	return bhi_cond_wait(cond, mutex, until_ns ? until_ns : 1, CALLER);
}

BHI_API int bh_cond_signal(struct bh_cond *cond)
{
	if (!can_be_shared(cond))
		return -EINVAL;
	bhi_cond_signal(cond, 1);
	return 0;
}

BHI_API int bh_cond_broadcast(struct bh_cond *cond)
{
	if (!can_be_shared(cond))
		return -EINVAL;
	bhi_cond_signal(cond, UINT_MAX);
	return 0;
}

BHI_API int bh_cond_destroy(struct bh_cond *cond)
{
	if (!can_be_shared(cond))
		return -EINVAL;
	return bhi_cond_is_busy(cond) ? -EBUSY : 0;
}
