/* SPDX-License-Identifier: MIT */
/*
 * A thread starts in a function of ours, which gives it an alternate signal stack and a
 * tally and takes them back however the thread ends. What it is to run, and the stack,
 * are in one mapping; it is the thread's own from the moment it runs.
 */
#include <errno.h>
#include <sys/mman.h>

#include "crash.h"
#include "pages.h"
#include "real.h"
#include "subject.h"

/* For our handler and one of the program. */
#define STACK_SIZE (64u << 10)

struct start {
	void *(*run)(void *arg);
	void *arg;
	uint32_t number;
	char stack[STACK_SIZE];
};

static void leave(void *arg)
{
	bhi_crash_leave_thread();
	bhi_tally_release();
	(void)munmap(arg, sizeof(struct start));
}

static void *run(void *arg)
{
	struct start *start = arg;
	void *result;

	bhi_thread.number = start->number;
	bhi_tally_claim();
	bhi_crash_enter_thread(start->stack, sizeof(start->stack));
	pthread_cleanup_push(leave, start);
	result = start->run(start->arg);
	pthread_cleanup_pop(1);
	return result;
}

/* The stack of a thread is pages that the C library asks for. */
static int create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *arg), void *arg, const void *caller)
{
	int error;

	if (bhi_subject.pages && !bhi_thread.nesting)
		bhi_pages_enter(caller);
	bhi_thread.nesting += bhi_subject.pages;
	error = bhi_real.pthread_create(ret, attributes, function, arg);
	bhi_thread.nesting -= bhi_subject.pages;
	if (bhi_thread.has_window && !bhi_thread.nesting)
		bhi_pages_leave();
	return error;
}

static struct start *make_start(void)
{
	struct start *start;

	/* It is not the program that asks. */
	if (bhi_subject.pages && !bhi_thread.nesting)
		bhi_pages_enter(NULL);
	bhi_thread.nesting++;
	start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bhi_thread.nesting--;
	if (bhi_thread.has_window && !bhi_thread.nesting)
		bhi_pages_leave();
	return start == MAP_FAILED ? NULL : start;
}

BHI_EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *arg), void *arg)
{
	const void *caller = __builtin_return_address(0);
	struct start *start;
	int error;

	if (!bhi_real.pthread_create && !bhi_subject_start())
		return EAGAIN;
	if (!bhi_load(&bhi_subject.is_on))
		return bhi_real.pthread_create(ret, attributes, function, arg);
	start = make_start();
	if (!start)
		return create(ret, attributes, function, arg, caller);
	start->run = function;
	start->arg = arg;
	start->number = bhi_add_return(&bhi_subject.shared->nr_threads, 1);
	error = create(ret, attributes, run, start, caller);
	if (error)
		(void)munmap(start, sizeof(*start));
	return error;
}
