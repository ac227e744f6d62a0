/* SPDX-License-Identifier: MIT */
/*
 * How many locks are held when the process ends: one more for each that was taken, one
 * less for each that was given back. What a wait on a condition gives back meanwhile is
 * not held. Nothing is known of a single lock, so there is nothing to find or to grow.
 */
#include <errno.h>

#include "real.h"
#include "subject.h"

static bool is_ready(void)
{
	return bhi_likely(bhi_load_acquire(&bhi_real.malloc) != NULL) ||
	       bhi_subject_start();
}

/* EOWNERDEAD: a robust mutex is held, and its owner has died. */
static inline int note_taken(int error)
{
	if ((!error || error == EOWNERDEAD) && bhi_load(&bhi_subject.is_on))
		bhi_tally(locks, 1);
	return error;
}

static inline int note_given(int error)
{
	if (!error && bhi_load(&bhi_subject.is_on))
		bhi_tally(locks, -1);
	return error;
}

#define EAGER(name) bhi_real.name
#define LAZY(name)  bhi_real_lazy(name)

#define TAKE(name, get, parameters, arguments)          \
	BHI_EXPORT int name parameters                  \
	{                                               \
		if (bhi_unlikely(!is_ready()))          \
			return 0;                       \
		return note_taken(get(name) arguments); \
	}

#define GIVE(name, get, parameters, arguments)          \
	BHI_EXPORT int name parameters                  \
	{                                               \
		if (bhi_unlikely(!is_ready()))          \
			return 0;                       \
		return note_given(get(name) arguments); \
	}

static void take_back(void *arg)
{
	(void)arg;
	(void)note_taken(0);
}

/* The mutex comes back with every result, and where the thread is cancelled. */
#define WAIT(name, get, parameters, arguments)         \
	BHI_EXPORT int name parameters                 \
	{                                              \
		int error;                             \
                                                       \
		if (bhi_unlikely(!is_ready()))         \
			return 0;                      \
		(void)note_given(0);                   \
		pthread_cleanup_push(take_back, NULL); \
		error = get(name) arguments;           \
		pthread_cleanup_pop(1);                \
		return error;                          \
	}

typedef const struct timespec *restrict deadline;

TAKE(pthread_mutex_lock, EAGER, (pthread_mutex_t * m), (m))
TAKE(pthread_mutex_trylock, EAGER, (pthread_mutex_t * m), (m))
TAKE(pthread_mutex_timedlock, LAZY, (pthread_mutex_t *restrict m, deadline t), (m, t))
TAKE(pthread_mutex_clocklock, LAZY,
	(pthread_mutex_t *restrict m, clockid_t c, deadline t), (m, c, t))
GIVE(pthread_mutex_unlock, EAGER, (pthread_mutex_t * m), (m))

TAKE(pthread_rwlock_rdlock, EAGER, (pthread_rwlock_t * l), (l))
TAKE(pthread_rwlock_tryrdlock, LAZY, (pthread_rwlock_t * l), (l))
TAKE(pthread_rwlock_timedrdlock, LAZY, (pthread_rwlock_t *restrict l, deadline t), (l, t))
TAKE(pthread_rwlock_clockrdlock, LAZY,
	(pthread_rwlock_t *restrict l, clockid_t c, deadline t), (l, c, t))
TAKE(pthread_rwlock_wrlock, EAGER, (pthread_rwlock_t * l), (l))
TAKE(pthread_rwlock_trywrlock, LAZY, (pthread_rwlock_t * l), (l))
TAKE(pthread_rwlock_timedwrlock, LAZY, (pthread_rwlock_t *restrict l, deadline t), (l, t))
TAKE(pthread_rwlock_clockwrlock, LAZY,
	(pthread_rwlock_t *restrict l, clockid_t c, deadline t), (l, c, t))
GIVE(pthread_rwlock_unlock, EAGER, (pthread_rwlock_t * l), (l))

WAIT(pthread_cond_wait, EAGER, (pthread_cond_t *restrict c, pthread_mutex_t *restrict m),
	(c, m))
WAIT(pthread_cond_timedwait, EAGER,
	(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, deadline t), (c, m, t))
WAIT(pthread_cond_clockwait, LAZY,
	(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, clockid_t k,
		deadline t),
	(c, m, k, t))
