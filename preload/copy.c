/* SPDX-License-Identifier: MIT */
#include "copy.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject.h"
#include "open_files.h"
#include "real.h"
#include "sound.h"
#include "stack.h"

static uint32_t next_point;

static void tell(enum bhi_check_copy_state news)
{
	uint32_t *word = &bhi_subject.shared->copies.state;

	/* Pairs with the acquire in wait_while() of the other side. */
	bhi_store_release(word, news);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static enum bhi_check_copy_state wait_while(enum bhi_check_copy_state old)
{
	uint32_t *word = &bhi_subject.shared->copies.state, now;

	while ((now = bhi_load_acquire(word)) == old)
		(void)syscall(SYS_futex, word, FUTEX_WAIT, old, NULL, NULL, 0);
	return (enum bhi_check_copy_state)now;
}

static void aim(void)
{
	const struct bhi_check_copies *copies = &bhi_subject.shared->copies;

	bhi_subject.hint = next_point < copies->nr_points
				   ? copies->points[next_point].call
				   : UINT64_MAX;
}

static void give_up(enum bhi_check_copy_reason reason)
{
	struct bhi_check_copies *copies = &bhi_subject.shared->copies;

	copies->reason = reason;
	copies->at = next_point;
	next_point = copies->nr_points;
	tell(BHI_CHECK_COPY_REFUSED);
}

void bhi_copy_start(void)
{
	struct bhi_check_copies *copies = &bhi_subject.shared->copies;

	/* What was executed before may have come to the end of it. */
	if (bhi_load(&copies->state) == BHI_CHECK_COPY_REFUSED)
		next_point = copies->nr_points;
	aim();
}

/* In place: the program has the list, and may have pointers to it. */
static void set_mark(const char *mark)
{
	size_t name = sizeof(BHI_CHECK_MARK_ENV);

	for (char **entry = environ; entry && *entry; entry++) {
		if (!strncmp(*entry, mark, name) && strlen(*entry) == strlen(mark))
			memcpy(*entry, mark, strlen(mark));
	}
}

/* What clone(2) does not take over of a thread. */
struct thread {
	void *robust_list, *tid_address;
	size_t robust_size;
	pid_t parent;
};

static void look_at_thread(struct thread *ret)
{
	*ret = (struct thread){.parent = getppid()};
	(void)syscall(SYS_get_robust_list, 0, &ret->robust_list, &ret->robust_size);
	(void)prctl(PR_GET_TID_ADDRESS, &ret->tid_address);
}

static void be_copy(const struct thread *thread)
{
	struct bhi_check_shared *shared = bhi_subject.shared;

	/* As launch.c has it for the subject. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != thread->parent)
		bhi_real._exit(127);
	(void)setpgid(0, 0);
	if (thread->robust_list)
		(void)syscall(
			SYS_set_robust_list, thread->robust_list, thread->robust_size);
	if (thread->tid_address)
		(void)syscall(SYS_set_tid_address, thread->tid_address);
	bhi_subject.pid = getpid();
	bhi_subject.hint = shared->order.call;
	bhi_thread.tid = 0;
	shared->first_pid = bhi_subject.pid;
	set_mark(shared->copies.mark);
}

/* Whether this is the copy. */
static bool make_copy(void)
{
	struct bhi_check_copies *copies = &bhi_subject.shared->copies;
	struct bhi_open_files files;
	struct thread thread;
	enum bhi_check_copy_reason reason = bhi_sound_look(&files);
	long pid;

	if (reason) {
		give_up(reason);
		return false;
	}
	copies->at = next_point;
	tell(BHI_CHECK_COPY_ASKED);
	switch (wait_while(BHI_CHECK_COPY_ASKED)) {
	case BHI_CHECK_COPY_GRANTED:
		break;
	case BHI_CHECK_COPY_OVER:
		return false;
	default:
		next_point = copies->nr_points;
		return false;
	}
	look_at_thread(&thread);
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid) {
		be_copy(&thread);
		return true;
	}
	if (pid < 0) {
		give_up(BHI_CHECK_COPY_FAILED);
		return false;
	}
	copies->pid = (int32_t)pid;
	tell(BHI_CHECK_COPY_MADE);
	if (wait_while(BHI_CHECK_COPY_MADE) != BHI_CHECK_COPY_OVER)
		next_point = copies->nr_points;
	bhi_open_files_put_back(&files);
	return false;
}

bool bhi_copy_meet(enum bhi_check_function function, size_t size, uint64_t call)
{
	const struct bhi_check_copies *copies = &bhi_subject.shared->copies;
	struct bhi_stack stack;
	int error = errno;
	bool fails = false;

	/* A child of vfork(2) has this memory. */
	if (getpid() != bhi_subject.pid)
		return false;
	bhi_stack_capture(&stack);
	if (copies->points[next_point].call == call &&
		copies->points[next_point].stack == stack.hash && !bhi_thread.benign)
		fails = make_copy();
	if (fails) {
		bhi_inject_note(&stack, call, function, size);
		bhi_add(&bhi_subject.shared->nr_injected, 1);
	} else {
		while (next_point < copies->nr_points &&
			copies->points[next_point].call <= call)
			next_point++;
		aim();
	}
	errno = error;
	return fails;
}

void bhi_copy_end(void)
{
	if (bhi_subject.shared->order.action == BHI_CHECK_COPY &&
		getpid() == bhi_subject.pid) {
		/* Destructors that come later may allocate, and nobody listens. */
		next_point = bhi_subject.shared->copies.nr_points;
		aim();
		tell(BHI_CHECK_COPY_ENDED);
	}
}
