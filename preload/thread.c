/* SPDX-License-Identifier: MIT */
/*
 * A thread starts in a function of ours, which gives it an alternate signal stack and a
 * tally and takes them back however the thread ends. What it is to run, and the stack,
 * are in one mapping; it is the thread's own from the moment it runs.
 */
#include <errno.h>
#include <sys/mman.h>

#include "crash.h"
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

BHI_EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attributes,
	void *(*function)(void *arg), void *arg)
{
	struct start *start;
	int error;

	if (!bhi_real.pthread_create && !bhi_subject_start())
		return EAGAIN;
	if (!bhi_load(&bhi_subject.is_on))
		return bhi_real.pthread_create(ret, attributes, function, arg);
	start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return bhi_real.pthread_create(ret, attributes, function, arg);
	start->run = function;
	start->arg = arg;
	start->number = bhi_add_return(&bhi_subject.shared->nr_threads, 1);
	error = bhi_real.pthread_create(ret, attributes, run, start);
	if (error)
		(void)munmap(start, sizeof(*start));
	return error;
}
