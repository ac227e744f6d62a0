/* SPDX-License-Identifier: MIT */
#include "task/signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/failpoint.h"
#include "base/pool.h"
#include "task/access.h"
#include "task/kill.h"
#include "task/landing.h"

/*
 * Our stack. A host's handler that we pass a signal on to runs on it, although it may
 * have been written for the stack of a thread; and so do handlers of other signals that
 * come while a pagefault waits for a victim. So it is not a few KiB, which our own path
 * takes, but what our background threads have, who run code of the host as well: twice
 * what musl gives a whole thread. Only what is used of it becomes resident. Below it is a
 * page without access, so that what needs more dies of it and overwrites nothing.
 */
#define STACK_SIZE  ((size_t)256 * 1024)
#define STACK_GUARD BHI_PAGE_SIZE

/* What a stack of the host must have beyond what the kernel saves on it, which depends on
 * the vector registers of the machine: four times the most that our path was seen to
 * take, so that there is as much again for a sanitizer, and for a small handler that
 * interrupts us. Those of Go's and AddressSanitizer's threads, 32 KiB, are large enough.
 */
#define STACK_NEEDED ((size_t)16 * 1024)

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* How far below the stack a touch is still taken for an overflow: a frame of a megabyte
 * skips the guard page. */
#define OVERFLOW_REACH ((uintptr_t)1 << 20)

enum bhi_pagefault_end (*bhi_pagefault_hook)(struct bh_task *task, void *addr);

static struct {
	/* immutable after init */
	struct sigaction segv, bus;
	bool has_segv, has_bus;
} state;

static BHI_TLS struct {
	bool ready;
	char *stack;      /* ours, its guard below it, or NULL */
	uintptr_t lowest; /* of the thread's stack */
} self;

static bool is_overflow(const void *addr, const ucontext_t *context)
{
	uintptr_t at = (uintptr_t)addr, sp = bhi_landing_stack(context);

	return self.lowest && at < self.lowest + BHI_PAGE_SIZE &&
	       at >= self.lowest - OVERFLOW_REACH &&
	       sp < self.lowest + OVERFLOW_REACH / 16 && sp + OVERFLOW_REACH > at;
}

static bool end_overflow(struct bh_task *task, ucontext_t *context)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_STACK};

	if (!bhi_task_may_unwind(task))
		return false;
	bhi_task_kill(task, &cause);
	bhi_landing_redirect(context, task->landing);
	return true;
}

/* False: not ours. */
static bool handle(siginfo_t *info, ucontext_t *context)
{
	struct bh_task *task = bhi_task_current;
	void *addr = info->si_addr;

	/* Sent by somebody, not raised by an instruction. */
	if (info->si_code <= 0 || info->si_code == SI_KERNEL || bhi_process_inert())
		return false;
	if (bhi_private_contains(addr))
		bhi_access_check(addr, context);
	if (!task)
		return false;
	if (!bhi_private_contains(addr))
		return is_overflow(addr, context) && end_overflow(task, context);
	if (bhi_load(&bhi_private.areas[bhi_area_number(addr)].task) != task)
		return false;
	/* Who holds a lock of the library, or is in a section, touches no private memory.
	 */
	bhi_assert_none_held();
	bh_assert(!bhi_load(&bhi_thread_current->busy));
	switch (bhi_pagefault_hook(task, addr)) {
	case BHI_PAGEFAULT_RESTART:
		return true;
	case BHI_PAGEFAULT_UNWIND:
		bhi_landing_redirect(context, task->landing);
		return true;
	default:
		return false;
	}
}

/* The default action: the instruction runs again, with nobody to catch it, so that a core
 * dump shows where it happened. */
static void die(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	sigaction(sig, &dfl, NULL);
}

/* As the kernel would have called it, but for the stack. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction *old = sig == SIGSEGV ? &state.segv : &state.bus;
	void (*handler)(int) = old->sa_handler;
	int flags = old->sa_flags;
	sigset_t mask = old->sa_mask, before;

	/* The kernel does not let an instruction's signal be ignored. */
	if (!(flags & SA_SIGINFO) && (handler == SIG_DFL || handler == SIG_IGN)) {
		bool sent = info->si_code <= 0;

		if (sent && handler == SIG_IGN)
			return;
		die(sig);
		if (sent)
			raise(sig);
		return;
	}
	if (!(flags & SA_NODEFER))
		sigaddset(&mask, sig);
	/* All of it before the call, from which the handler may jump away. */
	if (flags & SA_RESETHAND) {
		old->sa_handler = SIG_DFL;
		old->sa_flags = flags & ~SA_SIGINFO;
	}
	pthread_sigmask(SIG_BLOCK, &mask, &before);
	if (flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))(void (*)(void))handler)(
			sig, info, context);
	else
		handler(sig);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!handle(info, context))
		pass_on(sig, info, context);
	errno = saved;
}

static int install(int sig, struct sigaction *old, bool *has)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	if (*has)
		return 0;
	if (bhi_failpoint(BHI_FP_SIGNAL) || sigaction(sig, &action, old))
		return -ENOMEM;
	*has = true;
	return 0;
}

static char *map_stack(void)
{
	char *p = bhi_meta_map(STACK_GUARD + STACK_SIZE);

	if (!p)
		return NULL;
	if (!mprotect(p, STACK_GUARD, PROT_NONE))
		return p + STACK_GUARD;
	bhi_meta_unmap(p, STACK_GUARD + STACK_SIZE);
	return NULL;
}

static void unmap_stack(char *stack)
{
	if (stack)
		bhi_meta_unmap(stack - STACK_GUARD, STACK_GUARD + STACK_SIZE);
}

/* A thread that ends with our stack gives it back. One of the host that it replaced may
 * be no more. */
static void thread_exit(struct bhi_thread *thread)
{
	const stack_t none = {.ss_flags = SS_DISABLE};
	stack_t now;

	(void)thread;
	if (self.stack && !sigaltstack(NULL, &now) && now.ss_sp == self.stack)
		sigaltstack(&none, NULL);
	unmap_stack(self.stack);
	self.stack = NULL;
	self.ready = false;
}

static struct bhi_thread_hook hook = {.exit = thread_exit};

int bhi_signal_init(void)
{
	int r = install(SIGSEGV, &state.segv, &state.has_segv);

	if (!r)
		r = install(SIGBUS, &state.bus, &state.has_bus);
	bhi_thread_hook_register(&hook);
	return r;
}

static uintptr_t lowest_of_stack(void)
{
	pthread_attr_t attr;
	void *lowest = NULL;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr))
		return 0;
	pthread_attr_getstack(&attr, &lowest, &size);
	pthread_attr_destroy(&attr);
	return (uintptr_t)lowest;
}

static bool is_enough(const stack_t *stack)
{
	return !(stack->ss_flags & SS_DISABLE) &&
	       stack->ss_size >= STACK_NEEDED + getauxval(AT_MINSIGSTKSZ);
}

static int make_stack(void)
{
	stack_t now, ours = {.ss_size = STACK_SIZE};

	if (bhi_failpoint(BHI_FP_SIGNAL) || sigaltstack(NULL, &now))
		return -ENOMEM;
	if (is_enough(&now))
		return 0;
	ours.ss_sp = map_stack();
	if (!ours.ss_sp)
		return -ENOMEM;
	if (sigaltstack(&ours, NULL)) {
		unmap_stack(ours.ss_sp);
		return -ENOMEM;
	}
	self.stack = ours.ss_sp;
	return 0;
}

int bhi_signal_thread_init(void)
{
	int r;

	if (bhi_likely(self.ready))
		return 0;
	/* Its end gives the stack back. */
	if (!bhi_thread_self())
		return -ENOMEM;
	r = make_stack();
	if (r)
		return r;
	self.lowest = lowest_of_stack();
	self.ready = true;
	return 0;
}
