/* SPDX-License-Identifier: MIT */
/*
 * Most runs end within milliseconds and never get to the first look. Later the size of
 * the output is looked at often, and what the threads do from time to time: when all of
 * them wait in futexes for ever, and none has moved for a second, waiting for the limit
 * would show nothing more.
 */
#include "watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "clock.h"
#include "pages.h"
#include "processes.h"

#define TICK_MS      10
#define SAMPLE_MS    200
#define LOCKED_MS    1000
#define JUDGE_MS     100
/* It answers at once, unless it blocks the signal or the machine is busy. */
#define ANSWER_MS    1000
#define NS_PER_MS    1000000u
/* A subject that polls with short sleeps uses less, one that spins more. */
#define BUSY_PERCENT 20

struct watch {
	const struct bhi_check_setup *setup;
	const struct bhi_check_child *child;
	struct bhi_check_shared *shared;
	struct bhi_check_sample last;
	uint64_t locked_since_ms; /* 0: the last sample was not locked, or moved */
};

static uint64_t now_ms(void)
{
	return bhi_check_now() / NS_PER_MS;
}

/* Whether the child ended within @ms. Its page calls are answered meanwhile. */
static bool wait_for_end(const struct watch *watch, uint64_t ms)
{
	const struct bhi_check_child *child = watch->child;
	struct pollfd fds[] = {{.fd = child->pidfd, .events = POLLIN},
		{.fd = child->listener, .events = POLLIN}};
	uint64_t end = now_ms() + ms, now;

	do {
		int r;

		now = now_ms();
		r = poll(fds, bhi_array_size(fds), now < end ? (int)(end - now) : 0);
		if (r <= 0)
			continue;
		if (fds[0].revents)
			return true;
		if (fds[1].revents & POLLIN)
			bhi_check_pages_answer(
				child->listener, child->pid, watch->shared);
		else if (fds[1].revents)
			fds[1].fd = -1;
	} while (now < end);
	return false;
}

static bool is_too_large(int fd, uint64_t max)
{
	struct stat status;

	return max && !fstat(fd, &status) && (uint64_t)status.st_size > max;
}

static void take_sample(struct watch *watch)
{
	bhi_check_sample(watch->child->pid, (pid_t)bhi_load(&watch->shared->injected_tid),
		&watch->last);
}

/* Whether nothing can move, and has not for LOCKED_MS. */
static bool is_stuck(struct watch *watch, uint64_t now)
{
	struct bhi_check_sample before = watch->last;

	take_sample(watch);
	if (!bhi_check_sample_is_locked(&watch->last) ||
		before.fingerprint != watch->last.fingerprint ||
		before.active_ns != watch->last.active_ns) {
		watch->locked_since_ms = 0;
		return false;
	}
	if (!watch->locked_since_ms)
		watch->locked_since_ms = now;
	return now - watch->locked_since_ms >= LOCKED_MS;
}

/* At the time limit: what is it doing? */
static enum bhi_check_end judge(struct watch *watch)
{
	uint64_t before;

	take_sample(watch);
	before = watch->last.active_ns;
	if (wait_for_end(watch, JUDGE_MS))
		return BHI_CHECK_EXITED;
	take_sample(watch);
	if (watch->last.active_ns - before >= JUDGE_MS * NS_PER_MS / 100 * BUSY_PERCENT)
		return BHI_CHECK_TIMED_OUT_BUSY;
	return bhi_check_sample_is_locked(&watch->last) ? BHI_CHECK_TIMED_OUT_LOCKED
							: BHI_CHECK_TIMED_OUT_ASLEEP;
}

/* Have the thread that is of most interest say where it is. */
static void ask(struct watch *watch)
{
	const struct bhi_check_sample *sample = &watch->last;
	struct bhi_check_crash *crash = &watch->shared->crash;
	uint64_t end = now_ms() + ANSWER_MS;

	if (!sample->ask_pid || !bhi_load(&watch->shared->started) ||
		bhi_load(&crash->state))
		return;
	if (syscall(SYS_tgkill, sample->ask_pid, sample->ask_tid, BHI_CHECK_ASK_SIGNAL))
		return;
	while (bhi_load_acquire(&crash->state) != 2 && now_ms() < end) {
		if (wait_for_end(watch, 1))
			return;
	}
}

/* Who reads the result sees that it is, too. Not the subject that is copied: it ends by
 * itself when no more copies are wanted, and what they showed counts only then. */
static bool is_cut_off(const struct watch *watch)
{
	uint64_t cut_off = bhi_load(&watch->setup->cut_off_ns);

	return cut_off && watch->shared->order.action != BHI_CHECK_COPY &&
	       bhi_check_now() >= cut_off;
}

static enum bhi_check_end watch_until(struct watch *watch, int out, int err)
{
	uint64_t start = now_ms(), next_sample = start + SAMPLE_MS;
	uint64_t timeout = watch->setup->timeout_ms;

	while (!wait_for_end(watch, TICK_MS)) {
		uint64_t now = now_ms();

		if (is_too_large(out, watch->setup->max_output) ||
			is_too_large(err, watch->setup->max_output))
			return BHI_CHECK_TOO_MUCH_OUTPUT;
		if (timeout && now - start >= timeout)
			return judge(watch);
		if (is_cut_off(watch))
			return BHI_CHECK_EXITED;
		if (now < next_sample)
			continue;
		next_sample = now + SAMPLE_MS;
		if (is_stuck(watch, now))
			return BHI_CHECK_TIMED_OUT_LOCKED;
	}
	/* It may have ended with more than it was allowed to write. */
	if (is_too_large(out, watch->setup->max_output) ||
		is_too_large(err, watch->setup->max_output))
		return BHI_CHECK_TOO_MUCH_OUTPUT;
	return BHI_CHECK_EXITED;
}

enum bhi_check_end bhi_check_watch(const struct bhi_check_setup *setup,
	const struct bhi_check_child *child, int out, int err,
	struct bhi_check_shared *shared)
{
	struct watch watch = {.setup = setup, .child = child, .shared = shared};
	enum bhi_check_end end = watch_until(&watch, out, err);

	if (end == BHI_CHECK_TOO_MUCH_OUTPUT)
		take_sample(&watch);
	if (end != BHI_CHECK_EXITED)
		ask(&watch);
	return end;
}
