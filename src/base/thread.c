/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "base/failpoint.h"
#include "base/pool.h"
#include "base/sys.h"
#include "base/thread.h"

/* A section is a few hundred instructions: yield that often, then assume that its owner
 * has lost the processor and sleep between looks. */
#define YIELDS_BEFORE_SLEEP 64
#define LOOK_INTERVAL_NS    (50 * 1000)

/* Values of bhi_thread.claimed; AWAITED: the owner sleeps on it. */
#define CLAIMED 1u
#define AWAITED 2u

BHI_TLS struct bhi_thread *bhi_thread_current;
struct bhi_thread bhi_thread_nobody;
bool bhi_thread_fenced;

/* How often this thread was unregistered. The C library runs destructors in so many
 * rounds at most; what is registered in the last one stays for ever. */
static BHI_TLS unsigned nr_ends;

static struct {
	/* immutable after init */
	pthread_key_t key;
	bool has_key, has_fork_handler;
	struct bhi_thread_hook *hooks;
	/* protected by .lock */
	struct bhi_lock lock;
	struct bhi_list list;
	unsigned nr;
} state = {
	.lock = BHI_LOCK_INIT(BHI_RANK_THREAD),
	.list = {&state.list, &state.list},
};

static struct bhi_pool pool = BHI_POOL_INIT(struct bhi_thread);

/*
 * A thread-specific destructor. Later destructors of the host may use the library again:
 * that attaches the thread anew, and the C library calls us once more.
 */
static void detach(void *arg)
{
	struct bhi_thread *self = arg;

	if (bhi_process_inert())
		return;
	for (struct bhi_thread_hook *hook = state.hooks; hook; hook = hook->next)
		hook->exit(self);
	bhi_lock_acquire(&state.lock);
	bhi_list_unlink(&self->node);
	state.nr--;
	bhi_lock_release(&state.lock);
	bhi_thread_current = NULL;
	nr_ends++;
	bhi_pool_free(&pool, self);
}

/* Nothing of this thread's is used any more, so that every request comes to a place that
 * looks whether the process is inert. */
static void in_child(void)
{
	for (struct bhi_thread_hook *hook = state.hooks; hook; hook = hook->next) {
		if (hook->fork)
			hook->fork();
	}
	bhi_thread_current = NULL;
}

int bhi_thread_init(void)
{
	if (!state.has_key) {
		if (bhi_failpoint(BHI_FP_TLS) || pthread_key_create(&state.key, detach))
			return -EAGAIN;
		state.has_key = true;
	}
	if (!state.has_fork_handler) {
		if (bhi_failpoint(BHI_FP_TLS) || pthread_atfork(NULL, NULL, in_child))
			return -EAGAIN;
		state.has_fork_handler = true;
	}
	bhi_thread_fenced = bhi_sys_membarrier_register() != 0;
	return 0;
}

void bhi_thread_hook_register(struct bhi_thread_hook *hook)
{
	for (struct bhi_thread_hook *h = state.hooks; h; h = h->next) {
		if (h == hook)
			return;
	}
	hook->next = state.hooks;
	state.hooks = hook;
}

static struct bhi_thread *attach(void)
{
	struct bhi_thread *self = bhi_pool_alloc(&pool);

	if (!self)
		return NULL;
	self->id = bhi_sys_thread_id();
	if (bhi_failpoint(BHI_FP_TLS) || pthread_setspecific(state.key, self)) {
		bhi_pool_free(&pool, self);
		return NULL;
	}
	bhi_lock_acquire(&state.lock);
	bhi_list_append(&state.list, &self->node);
	state.nr++;
	bhi_lock_release(&state.lock);
	bhi_thread_current = self;
	return self;
}

/* A thread's first use may be bh_free, which preserves errno. */
struct bhi_thread *bhi_thread_attach(void)
{
	struct bhi_thread *self;
	int saved = errno;

	if (bhi_process_inert() || nr_ends >= PTHREAD_DESTRUCTOR_ITERATIONS)
		return NULL;
	self = attach();
	errno = saved;
	return self;
}

bool bhi_thread_enter_slow(struct bhi_thread *self)
{
	for (;;) {
		uint32_t claimed;

		bhi_thread_leave(self);
		if (bhi_process_inert())
			return false;
		claimed = CLAIMED;
		if (bhi_compare_exchange(&self->claimed, &claimed, AWAITED) ||
			claimed == AWAITED)
			bhi_sys_futex_wait(&self->claimed, AWAITED, 0);
		bhi_store(&self->busy, 1);
		bhi_fence();
		if (!bhi_load_acquire(&self->claimed))
			return true;
	}
}

static void wait_idle(struct bhi_thread *thread)
{
	/* acquire pairs with the release in bhi_thread_leave() */
	for (unsigned i = 0; bhi_load_acquire(&thread->busy); i++)
		bhi_sys_pause(i < YIELDS_BEFORE_SLEEP ? 0 : LOOK_INTERVAL_NS);
}

static void claim_all(void) BH_REQUIRES(state.lock)
{
	bhi_assert_held(&state.lock);
	bhi_list_for_each (node, &state.list)
		bhi_store(
			&bhi_list_entry(node, struct bhi_thread, node)->claimed, CLAIMED);
	/* pairs with the fence between busy and claimed in bhi_thread_enter() */
	bhi_sys_membarrier();
	bhi_list_for_each (node, &state.list)
		wait_idle(bhi_list_entry(node, struct bhi_thread, node));
}

static void release_all(void) BH_REQUIRES(state.lock)
{
	bhi_assert_held(&state.lock);
	bhi_list_for_each (node, &state.list) {
		struct bhi_thread *thread = bhi_list_entry(node, struct bhi_thread, node);

		/* pairs with the acquiring loads of claimed in bhi_thread_enter() */
		if (bhi_exchange(&thread->claimed, 0) == AWAITED)
			bhi_sys_futex_wake(&thread->claimed, 1);
	}
}

void bhi_threads_claim(void (*fn)(struct bhi_thread *thread, void *arg), void *arg)
{
	bhi_lock_acquire(&state.lock);
	claim_all();
	bhi_list_for_each (node, &state.list)
		fn(bhi_list_entry(node, struct bhi_thread, node), arg);
	release_all();
	bhi_lock_release(&state.lock);
}

void bhi_threads_lock(void) BHI_UNCHECKED
{
	bhi_lock_acquire(&state.lock);
}

void bhi_threads_unlock(void) BHI_UNCHECKED
{
	bhi_lock_release(&state.lock);
}

unsigned bhi_threads_count(void)
{
	unsigned nr;

	bhi_lock_acquire(&state.lock);
	nr = state.nr;
	bhi_lock_release(&state.lock);
	return nr;
}
