/* SPDX-License-Identifier: MIT */
/*
 * The shared file has no name: the program finds it in /proc as a descriptor of ours, so
 * nothing is left wherever this ends.
 */
#include "fail.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocate.h"
#include "interposer.h"
#include "shared.h"
#include "symbols.h"

/* Set before the handler is. */
static volatile sig_atomic_t child;

static void hand_on(int signal)
{
	if (child > 0)
		(void)kill(child, signal);
}

static int make_shared(
	const struct bhi_check_fail *fail, struct bhi_check_shared **ret, int *ret_fd)
{
	int r = bhi_check_shared_make(ret, ret_fd);
	struct bhi_check_shared *shared = *ret;

	if (r)
		return r;
	shared->order.action = BHI_CHECK_SETTINGS;
	shared->order.follow_children = fail->follow_children;
	(void)strncpy(shared->settings, fail->settings, sizeof(shared->settings) - 1);
	shared->settings_nth = fail->nth;
	shared->version = BHI_CHECK_VERSION;
	shared->magic = BHI_CHECK_MAGIC;
	return 0;
}

/* Our own is what the program gets. */
static int set_environment(const struct bhi_check_fail *fail, int fd)
{
	char *preload = bhi_check_interposer_preload(fail->interposer);
	char file[BHI_CHECK_SHARED_NAME_SIZE];
	int r;

	bhi_check_shared_name(fd, file);
	r = setenv("LD_PRELOAD", preload, 1) || setenv(BHI_CHECK_ENV, file, 1) ||
			    setenv(BHI_CHECK_MARK_ENV, "bulkhead-fail: calls fail", 1)
		    ? -errno
		    : 0;
	free(preload);
	return r;
}

/* Handlers do not outlive the exec; what was ignored stays so, but for those two that we
 * ignore for ourselves. */
static int start(const struct bhi_check_fail *fail, int *ret_error)
{
	struct sigaction ignored = {.sa_handler = SIG_IGN}, interrupt, quit;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	pid_t pid = -1;

	(void)sigaction(SIGINT, &ignored, &interrupt);
	(void)sigaction(SIGQUIT, &ignored, &quit);
	sigemptyset(&defaults);
	if (interrupt.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGINT);
	if (quit.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGQUIT);
	*ret_error = posix_spawnattr_init(&attributes);
	if (*ret_error)
		return -1;
	(void)posix_spawnattr_setsigdefault(&attributes, &defaults);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	*ret_error = posix_spawnp(
		&pid, fail->command[0], NULL, &attributes, fail->command, environ);
	(void)posix_spawnattr_destroy(&attributes);
	return *ret_error ? -1 : pid;
}

static int wait_for(pid_t pid)
{
	struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
	int status = 0;

	child = pid;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	return status;
}

static int by_first_call(const void *a, const void *b)
{
	const struct bhi_check_failure *first = a, *second = b;

	return (first->first_call > second->first_call) -
	       (first->first_call < second->first_call);
}

static void take_crash(struct bhi_check_failed *failed)
{
	const struct bhi_check_shared *shared = failed->shared;

	if (!bhi_load_acquire(&shared->crash.state))
		return;
	failed->signal = shared->crash.signal;
	bhi_check_symbols_look_up(failed->symbols, shared, shared->crash.trace.frames,
		shared->crash.trace.nr_frames, true, &failed->crash);
}

static void take_failures(struct bhi_check_failed *failed)
{
	const struct bhi_check_shared *shared = failed->shared;
	size_t capacity = 0;

	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		const struct bhi_check_stack *stack = &shared->stacks[i];
		struct bhi_check_failure *failure;

		/* 1: who was writing it is dead. */
		if (bhi_load_acquire(&stack->hash) < 2)
			continue;
		failed->failures = bhi_check_grow(failed->failures, &capacity,
			failed->nr_failures + 1, sizeof(*failed->failures));
		failure = &failed->failures[failed->nr_failures++];
		*failure = (struct bhi_check_failure){.functions = stack->functions,
			.nr_calls = stack->nr_calls,
			.first_call = stack->first_call,
			.size = stack->size};
		bhi_check_symbols_look_up(failed->symbols, shared,
			shared->frames + stack->first_frame, stack->nr_frames, false,
			&failure->trace);
	}
	if (failed->nr_failures)
		qsort(failed->failures, failed->nr_failures, sizeof(*failed->failures),
			by_first_call);
}

int bhi_check_fail_run(const struct bhi_check_fail *fail, struct bhi_check_failed *ret)
{
	struct bhi_check_failed failed = {.status = 0};
	int fd = -1, r = make_shared(fail, &failed.shared, &fd);
	pid_t pid;

	if (!failed.shared)
		return r;
	/* Inherited as ignored, it would take the status away. */
	(void)signal(SIGCHLD, SIG_DFL);
	r = set_environment(fail, fd);
	if (!r) {
		pid = start(fail, &failed.exec_error);
		if (pid > 0)
			failed.status = wait_for(pid);
		failed.symbols = bhi_check_symbols_new();
		take_failures(&failed);
		take_crash(&failed);
	}
	(void)close(fd);
	if (r)
		bhi_check_failed_fini(&failed);
	else
		*ret = failed;
	return r;
}

void bhi_check_failed_fini(struct bhi_check_failed *failed)
{
	for (size_t i = 0; i < failed->nr_failures; i++)
		free(failed->failures[i].trace.places);
	free(failed->failures);
	free(failed->crash.places);
	if (failed->symbols)
		bhi_check_symbols_free(failed->symbols);
	(void)munmap(failed->shared, sizeof(*failed->shared));
	*failed = (struct bhi_check_failed){.status = 0};
}
