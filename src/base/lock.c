/* SPDX-License-Identifier: MIT */
/*
 * The three-state futex mutex of Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 2.
 * acquire pairs with release through the word itself.
 */
#include "base/lock.h"
#include "base/sys.h"

#define FREE      0u
#define HELD      1u
#define CONTENDED 2u

#if BH_DEBUG
/* One bit a rank; locks of one rank are never nested, so a mask is enough. */
static BHI_TLS uint32_t held_ranks;
static BHI_TLS uint32_t self_id;

_Static_assert(BHI_RANK_NR <= 32, "held_ranks has 32 bits");

static void note_acquired(struct bhi_lock *lock)
{
	if (!self_id)
		self_id = bhi_sys_thread_id();
	held_ranks |= 1u << lock->rank;
	bhi_store(&lock->owner, self_id);
}

static void note_wanted(const struct bhi_lock *lock)
{
	BUG_ON(held_ranks >> lock->rank);
}

static void note_released(struct bhi_lock *lock)
{
	BUG_ON(bhi_load(&lock->word) == FREE || bhi_load(&lock->owner) != self_id);
	bhi_store(&lock->owner, 0);
	held_ranks &= ~(1u << lock->rank);
}

void bhi_assert_held(struct bhi_lock *lock) BHI_UNCHECKED
{
	BUG_ON(bhi_load(&lock->word) == FREE || bhi_load(&lock->owner) != self_id);
}

void bhi_assert_none_held(void)
{
	BUG_ON(held_ranks);
}
#else
static inline void note_acquired(struct bhi_lock *lock)
{
	(void)lock;
}
static inline void note_wanted(const struct bhi_lock *lock)
{
	(void)lock;
}
static inline void note_released(struct bhi_lock *lock)
{
	(void)lock;
}
#endif

void bhi_lock_acquire(struct bhi_lock *lock) BHI_UNCHECKED
{
	uint32_t seen = FREE;

	note_wanted(lock);
	if (!__atomic_compare_exchange_n(&lock->word, &seen, HELD, false,
		    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		while (__atomic_exchange_n(&lock->word, CONTENDED, __ATOMIC_ACQUIRE) !=
			FREE)
			bhi_sys_futex_wait(&lock->word, CONTENDED, 0);
	}
	note_acquired(lock);
}

bool bhi_lock_try(struct bhi_lock *lock) BHI_UNCHECKED
{
	uint32_t seen = FREE;

	if (!__atomic_compare_exchange_n(
		    &lock->word, &seen, HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	note_acquired(lock);
	return true;
}

void bhi_lock_release(struct bhi_lock *lock) BHI_UNCHECKED
{
	note_released(lock);
	if (__atomic_exchange_n(&lock->word, FREE, __ATOMIC_RELEASE) == CONTENDED)
		bhi_sys_futex_wake(&lock->word, 1);
}
