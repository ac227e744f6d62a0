/* SPDX-License-Identifier: MIT */
/*
 * The threads that use the library, and their sections.
 *
 * Every floor keeps per-thread caches. Their owner uses them inside a section, at the
 * price of two plain stores and a load; the rare other thread that must look into them
 * (draining, auditing, dropping a group) claims the section and pays with membarrier(2).
 *
 * Protocol (asymmetric Dekker):
 *
 *	owner					claimer
 *	busy = 1				claimed = 1
 *	compiler fence				membarrier on all threads
 *	claimed? -> busy = 0, wait, again	wait until busy == 0
 *	... section ...				... the owner's data ...
 *	busy = 0 (release)			claimed = 0 (release), wake
 *
 * Not both get in: the membarrier falls, in the owner's instruction order, either after
 * its store to busy, which the claimer then sees and waits for, or before it, and then
 * the owner's later load sees claimed. The release of busy pairs with the claimer's
 * acquiring load of it, the release of claimed with the owner's acquiring load, so each
 * side sees all that the other did. Where the kernel has no membarrier the owner runs a
 * full fence in its place (bhi_thread_fenced).
 *
 * Inside a section the owner takes locks of a rank above BHI_RANK_THREAD only, runs no
 * code of the host and does not wait otherwise: a claimer waits for it.
 */
#ifndef BHI_BASE_THREAD_H
#define BHI_BASE_THREAD_H

#include "base/list.h"
#include "base/lock.h"
#include "base/process.h"

/* What a floor keeps for each thread; reached by claimers through thread->data. */
enum bhi_thread_slot {
	BHI_SLOT_STOCK, /* account/stock.c */
	BHI_SLOT_STALL, /* account/stall.c */
	BHI_SLOT_PAGES, /* alloc/page_cache.c */
	BHI_SLOT_HEAPS, /* alloc/heap_table.c */
	BHI_SLOT_NR,
};

struct bhi_thread {
	/* protocol above */
	uint32_t busy;
	uint32_t claimed;
	/* protected by the section of this thread */
	void *data[BHI_SLOT_NR];
	/* this thread only */
	uint32_t nesting;   /* of reclaim: a nonzero thread does not reclaim again */
	uint64_t uncharged; /* bytes this thread has uncharged, for reclaim's progress */
	uint64_t high_debt; /* bytes charged above BH_HIGH and not yet paid for */
	/* immutable after init */
	uint32_t id;
	/* protected by the list's lock */
	struct bhi_list node;
};

/*
 * How floors hear of the end of a thread, and of its copy in the child of fork(3), which
 * may be NULL. Called on that thread, newest hook first.
 */
struct bhi_thread_hook {
	void (*exit)(struct bhi_thread *self);
	void (*fork)(void);
	struct bhi_thread_hook *next;
};

extern BHI_TLS struct bhi_thread *bhi_thread_current;
/* What stands for no thread where NULL could be mistaken for one not yet attached. */
extern struct bhi_thread bhi_thread_nobody;
extern bool bhi_thread_fenced;

/* 0 or -EAGAIN (no pthread key left). Context: any; during start only. */
int bhi_thread_init(void);

/* Context: any; during start only. */
void bhi_thread_hook_register(struct bhi_thread_hook *hook);

/*
 * Register this thread. NULL when there is no memory, when the thread has ended so often
 * that nobody would unregister it again, or when the process is inert. Context: any.
 */
BHI_COLD struct bhi_thread *bhi_thread_attach(void);

/* This thread, registered at its first use; NULL as above. Context: any. */
static inline struct bhi_thread *bhi_thread_self(void)
{
	struct bhi_thread *self = bhi_thread_current;

	return bhi_likely(self) ? self : bhi_thread_attach();
}

/* False: the process is inert, and the section was not entered. Context: owner thread
 * only. */
BHI_COLD bool bhi_thread_enter_slow(struct bhi_thread *self);

/* Enter this thread's section; not nested. Context: owner thread only. */
static inline bool bhi_thread_enter(struct bhi_thread *self)
{
	bhi_store(&self->busy, 1);
	if (bhi_unlikely(bhi_thread_fenced))
		bhi_fence();
	else
		bhi_compiler_fence();
	/* acquire pairs with the release of claimed in release_all() */
	if (bhi_likely(!bhi_load_acquire(&self->claimed)))
		return true;
	return bhi_thread_enter_slow(self);
}

/* Context: owner thread only. */
static inline void bhi_thread_leave(struct bhi_thread *self)
{
	/* pairs with the acquiring load of busy in wait_idle() */
	bhi_store_release(&self->busy, 0);
}

/*
 * Call fn(thread, arg) for every thread with all sections claimed, this thread's own
 * included: the caller is in no section. fn follows the rules of a section.
 * Context: may wait.
 */
void bhi_threads_claim(void (*fn)(struct bhi_thread *thread, void *arg), void *arg);

/*
 * What a section is to claimers, for a thread that cannot be registered: no claim begins
 * between the two. The rules are those of a section. Context: may wait.
 */
void bhi_threads_lock(void);
void bhi_threads_unlock(void);

/* Threads registered now. Context: any. */
unsigned bhi_threads_count(void);

#endif
