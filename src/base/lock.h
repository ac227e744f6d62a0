/* SPDX-License-Identifier: MIT */
/*
 * Locks inside the library: futex mutexes with a rank. A thread takes locks only in
 * rising rank; taking one of a lower or equal rank aborts a debug build. No lock is held
 * over code of the host, over giving pages back to the kernel, or over any wait but for
 * another lock.
 */
#ifndef BHI_BASE_LOCK_H
#define BHI_BASE_LOCK_H

#include "base/bug.h"
#include "base/compiler.h"

/* Outermost first; where the lock lives and what it protects. */
enum bhi_rank {
	BHI_RANK_START,    /* api/start.c: starting the library */
	BHI_RANK_OOM,      /* oom/oom.c: one OOM decision at a time, the ring of OOMs */
	BHI_RANK_TASKS,    /* task/task.c: the list of tasks, deadlines, idle pages */
	BHI_RANK_TREE,     /* account/group.c: shape of the group tree, ids, references */
	BHI_RANK_SHRINKER, /* reclaim/shrinker.c: the list of shrinkers */
	BHI_RANK_CACHE,    /* alloc/cache.c: the list of typed caches */
	BHI_RANK_THREAD,   /* base/thread.c: the list of threads; claims on their sections
			    */
	BHI_RANK_SMALL,  /* alloc/small.c: slabs shared by very small groups, per class */
	BHI_RANK_OWNED,  /* alloc/: heaps, orphans and page runs of one group */
	BHI_RANK_BUDDY,  /* alloc/buddy.c: free blocks */
	BHI_RANK_STALL,  /* account/stall.c: the stall clock of one group */
	BHI_RANK_REAPER, /* oom/reaper.c: the victims that wait to be reaped */
	BHI_RANK_WARM,   /* task/warm.c: areas that small tasks left behind */
	BHI_RANK_WINDOW, /* task/window.c: free areas of the private window */
	BHI_RANK_POOL,   /* base/pool.c: free metadata objects */
	BHI_RANK_COND,   /* task/cond.c: the waiters of some bh_conds */
	BHI_RANK_OVERDRAFT, /* task/overdraft.c: what tasks have past limits */
	BHI_RANK_FAILURES,  /* charge/failures.c: records of requests that failed */
	BHI_RANK_FAULT,     /* debug/inject.c: settings of injected failures */
	BHI_RANK_NR,
};

#if defined(__clang__)
#define BHI_CAPABILITY     __attribute__((capability("mutex")))
#define BHI_ACQUIRES(l)    __attribute__((acquire_capability(l)))
#define BHI_RELEASES(l)    __attribute__((release_capability(l)))
#define BHI_TRY_ACQUIRE(l) __attribute__((try_acquire_capability(true, l)))
#define BH_REQUIRES(l)     __attribute__((requires_capability(l)))
#define BHI_ASSERTS(l)     __attribute__((assert_capability(l)))
#define BHI_UNCHECKED      __attribute__((no_thread_safety_analysis))
#else
#define BHI_CAPABILITY
#define BHI_ACQUIRES(l)
#define BHI_RELEASES(l)
#define BHI_TRY_ACQUIRE(l)
#define BH_REQUIRES(l)
#define BHI_ASSERTS(l)
#define BHI_UNCHECKED
#endif

/* 0 free, 1 held, 2 held and somebody may be waiting. Zeroed memory plus a rank is a
 * lock; nothing to destroy. */
struct BHI_CAPABILITY bhi_lock {
	uint32_t word;
	uint16_t rank;
	uint16_t unused;
	uint32_t owner; /* thread id; debug builds only */
};

#define BHI_LOCK_INIT(r)    \
	{                   \
		.rank = (r) \
	}

static inline void bhi_lock_init(struct bhi_lock *lock, enum bhi_rank rank)
{
	*lock = (struct bhi_lock)BHI_LOCK_INIT(rank);
}

/* Context: may wait. */
void bhi_lock_acquire(struct bhi_lock *lock) BHI_ACQUIRES(*lock);

/* Context: any, no allocation. Never waits. Ranks do not matter for it. */
bool bhi_lock_try(struct bhi_lock *lock) BHI_TRY_ACQUIRE(*lock);

/* Context: any, no allocation. */
void bhi_lock_release(struct bhi_lock *lock) BHI_RELEASES(*lock);

#if BH_DEBUG
/* Context: any, no allocation. */
void bhi_assert_held(struct bhi_lock *lock) BHI_ASSERTS(*lock);
/* Context: any, no allocation. Aborts if this thread holds any lock of the library. */
void bhi_assert_none_held(void);
#else
static inline void bhi_assert_held(struct bhi_lock *lock) BHI_ASSERTS(*lock)
{
	(void)lock;
}
static inline void bhi_assert_none_held(void)
{
}
#endif

#endif
