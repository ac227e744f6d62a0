/* SPDX-License-Identifier: MIT */
/*
 * The runner's side of the protocol in preload/protocol.h. While a copy runs the subject
 * waits, so the output and the shared file are the copy's; afterwards both are cut back
 * and written back to what they were.
 */
#include "copies.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

#include "clock.h"
#include "interrupt.h"
#include "launch.h"
#include "processes.h"
#include "stage.h"
#include "watch.h"

/* Its end does not wake who waits for its word. */
#define LOOK_NS 10000000

#define HEAD_FROM offsetof(struct bhi_check_shared, started)
#define HEAD_SIZE (offsetof(struct bhi_check_shared, nr_modules) - HEAD_FROM)

struct copies {
	struct bhi_check_stage stage;
	const struct bhi_check_order *orders;
	struct bhi_check_child subject;
	int slot;
	const struct bhi_check_copier *copier;
	struct bhi_check_order order; /* of the subject */
	char head[HEAD_SIZE];
	off_t out_size, err_size;
};

static struct bhi_check_copies *copies_of(const struct copies *copies)
{
	return &copies->stage.shared->copies;
}

static void tell(struct copies *copies, enum bhi_check_copy_state news)
{
	uint32_t *word = &copies_of(copies)->state;

	/* Pairs with the acquire in wait_while() of preload/copy.c. */
	bhi_store_release(word, news);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool has_ended(int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	return poll(&end, 1, 0) > 0;
}

/* What the subject says when it is its turn; NONE when it has ended, or has not come to
 * anything within the time limit. */
static enum bhi_check_copy_state wait_while(
	struct copies *copies, enum bhi_check_copy_state old)
{
	uint32_t *word = &copies_of(copies)->state, now;
	uint64_t timeout = copies->stage.setup->timeout_ms * 1000000;
	uint64_t start = bhi_check_now();

	while ((now = bhi_load_acquire(word)) == old) {
		const struct timespec look = {.tv_nsec = LOOK_NS};

		(void)syscall(SYS_futex, word, FUTEX_WAIT, old, &look, NULL, 0);
		if (bhi_load_acquire(word) != old)
			continue;
		if (has_ended(copies->subject.pidfd) ||
			(timeout && bhi_check_now() - start >= timeout))
			return BHI_CHECK_COPY_NONE;
	}
	return (enum bhi_check_copy_state)now;
}

static off_t size_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) ? 0 : status.st_size;
}

static void save(struct copies *copies)
{
	struct bhi_check_shared *shared = copies->stage.shared;

	copies->order = shared->order;
	memcpy(copies->head, (char *)shared + HEAD_FROM, HEAD_SIZE);
	copies->out_size = size_of(copies->stage.out);
	copies->err_size = size_of(copies->stage.err);
}

static int put_back(struct copies *copies)
{
	struct bhi_check_shared *shared = copies->stage.shared;

	shared->order = copies->order;
	memcpy((char *)shared + HEAD_FROM, copies->head, HEAD_SIZE);
	if (ftruncate(copies->stage.out, copies->out_size) ||
		ftruncate(copies->stage.err, copies->err_size))
		return -errno;
	return 0;
}

static void grant(struct copies *copies, const struct bhi_check_order *order)
{
	struct bhi_check_shared *shared = copies->stage.shared;
	char *mark = bhi_check_mark(order);

	shared->order = *order;
	if (!shared->order.burst)
		shared->order.burst = 1;
	/* It has the length of the subject's, which is shorter than this. */
	strncpy(copies_of(copies)->mark, mark, BHI_CHECK_MARK_SIZE - 1);
	free(mark);
	tell(copies, BHI_CHECK_COPY_GRANTED);
}

/* What a result needs of the shared file, which is the subject's again after it. */
static int keep_shared(
	const struct bhi_check_shared *shared, struct bhi_check_result *result)
{
	/* Call stacks are of runs that record. */
	size_t size = offsetof(struct bhi_check_shared, stacks);
	size_t modules = bhi_min(bhi_load_acquire(&shared->nr_modules),
				 (uint32_t)BHI_CHECK_MAX_MODULES) *
			 sizeof(shared->modules[0]);
	struct bhi_check_shared *kept = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (kept == MAP_FAILED)
		return -errno;
	memcpy(kept, shared, HEAD_FROM + HEAD_SIZE);
	kept->nr_modules = shared->nr_modules;
	memcpy(kept->modules, shared->modules, modules);
	result->shared = kept;
	result->shared_size = size;
	return 0;
}

static int wait_for_copy(struct copies *copies, struct bhi_check_result *result)
{
	const struct bhi_check_stage *stage = &copies->stage;
	struct bhi_check_child child = {.pid = copies_of(copies)->pid, .listener = -1};
	enum bhi_check_end end;
	struct rusage usage;
	uint64_t start = bhi_check_now();
	int status, r;

	child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	if (child.pidfd < 0)
		return -errno;
	bhi_check_processes_begin_copy(copies->slot, child.pid, child.pidfd);
	/* The signal may have come before the copy could be found. */
	if (bhi_check_interrupted())
		bhi_check_processes_kill_leaders();
	end = bhi_check_watch(
		stage->setup, &child, stage->out, stage->err, stage->shared);
	result->wall_ns = bhi_check_now() - start;
	bhi_check_processes_end_copy(copies->slot, &status, &usage);
	(void)close(child.pidfd);
	bhi_check_result_set_end(result, &child, end, status, &usage);
	r = bhi_check_stage_collect(stage, result);
	return r ? r : keep_shared(stage->shared, result);
}

/* The subject has asked. 0, 1: it will not ask again, or -errno. */
static int make_copy(struct copies *copies)
{
	unsigned i = copies_of(copies)->at;
	struct bhi_check_result result = {.out = NULL};
	bool goes_on;
	int r;

	if (i >= copies_of(copies)->nr_points)
		return -EPROTO;
	if (!copies->copier->wants(copies->copier->arg, i)) {
		tell(copies, BHI_CHECK_COPY_OVER);
		return 0;
	}
	if (bhi_check_processes_has_orphans(copies->slot)) {
		copies_of(copies)->reason = BHI_CHECK_COPY_CHILDREN;
		tell(copies, BHI_CHECK_COPY_REFUSED);
		return 1;
	}
	save(copies);
	grant(copies, &copies->orders[i]);
	if (wait_while(copies, BHI_CHECK_COPY_GRANTED) != BHI_CHECK_COPY_MADE)
		return 1;
	r = wait_for_copy(copies, &result);
	if (!r)
		r = put_back(copies);
	if (r) {
		bhi_check_result_fini(&result);
		return r;
	}
	goes_on = copies->copier->take(copies->copier->arg, i, &result);
	tell(copies, goes_on ? BHI_CHECK_COPY_OVER : BHI_CHECK_COPY_REFUSED);
	return goes_on ? 0 : 1;
}

static int make_copies(struct copies *copies)
{
	enum bhi_check_copy_state old = BHI_CHECK_COPY_NONE;
	int r = 0;

	while (!r && wait_while(copies, old) == BHI_CHECK_COPY_ASKED) {
		r = make_copy(copies);
		old = BHI_CHECK_COPY_OVER;
	}
	return r < 0 ? r : 0;
}

static void set_points(struct copies *copies, unsigned nr)
{
	struct bhi_check_copies *shared = copies_of(copies);
	const int fds[] = {copies->stage.out, copies->stage.err};

	shared->nr_points = nr;
	for (unsigned i = 0; i < nr; i++) {
		shared->points[i].stack = copies->orders[i].stack;
		shared->points[i].call = copies->orders[i].call;
	}
	for (int i = 0; i < 2; i++) {
		struct stat status;

		if (fstat(fds[i], &status))
			continue;
		shared->output_devices[i] = status.st_dev;
		shared->output_inodes[i] = status.st_ino;
	}
}

static int run_subject(struct copies *copies, struct bhi_check_result *result)
{
	const struct bhi_check_stage *stage = &copies->stage;
	enum bhi_check_end end = BHI_CHECK_EXITED;
	uint64_t start = bhi_check_now();
	struct rusage usage;
	int status = 0, r, error = 0;

	r = bhi_check_start_subject(stage, copies->slot, &copies->subject);
	if (r)
		return r;
	if (!copies->subject.exec_error) {
		error = make_copies(copies);
		if (!error)
			end = bhi_check_watch(stage->setup, &copies->subject, stage->out,
				stage->err, stage->shared);
	}
	result->wall_ns = bhi_check_now() - start;
	bhi_check_processes_end(copies->slot, &status, &usage);
	(void)close(copies->subject.pidfd);
	bhi_check_result_set_end(result, &copies->subject, end, status, &usage);
	return error;
}

int bhi_check_run_copies(const struct bhi_check_setup *setup,
	const struct bhi_check_order *orders, unsigned nr, int slot,
	const struct bhi_check_copier *copier, struct bhi_check_result *ret)
{
	const struct bhi_check_order order = {
		.action = BHI_CHECK_COPY, .call = orders[0].call};
	struct copies copies = {.stage = BHI_CHECK_STAGE_INIT(setup, &order),
		.orders = orders,
		.slot = slot,
		.copier = copier};
	struct bhi_check_result result = {.out = NULL};
	int r;

	bhi_check_processes_start();
	r = bhi_check_stage_set_up(&copies.stage, slot);
	if (!r) {
		set_points(&copies, nr);
		r = run_subject(&copies, &result);
	}
	if (!r)
		r = bhi_check_stage_collect(&copies.stage, &result);
	if (!r)
		bhi_check_stage_give(&copies.stage, &result);
	bhi_check_stage_clean_up(&copies.stage);
	if (r) {
		bhi_check_result_fini(&result);
		return r;
	}
	*ret = result;
	return 0;
}
