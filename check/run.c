/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"

#include "interrupt.h"
#include "launch.h"
#include "processes.h"
#include "stage.h"
#include "watch.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static void set_end(struct bhi_check_result *result, const struct bhi_check_child *child,
	enum bhi_check_end end, int status)
{
	result->end = end;
	if (child->exec_error) {
		result->end = BHI_CHECK_NOT_STARTED;
		result->status = child->exec_error;
	} else if (WIFEXITED(status)) {
		result->status = WEXITSTATUS(status);
	} else {
		result->status = WTERMSIG(status);
		if (end == BHI_CHECK_EXITED)
			result->end = BHI_CHECK_SIGNALED;
	}
}

static int run_child(
	struct bhi_check_stage *stage, int slot, struct bhi_check_result *result)
{
	struct bhi_check_launch launch = {
		.command = stage->setup->command,
		.environment = stage->environment,
		.directory = stage->setup->copy_dir ? stage->copy : NULL,
		.input =
			stage->setup->stdin_file ? stage->setup->stdin_file : "/dev/null",
		.out = stage->out,
		.err = stage->err,
		/* What the interposer maps is not the subject's. */
		.max_memory = stage->setup->max_memory
				      ? stage->setup->max_memory + sizeof(*stage->shared)
				      : 0,
		.pages = stage->setup->pages,
	};
	struct bhi_check_child child = {.pidfd = -1, .listener = -1};
	enum bhi_check_end end = BHI_CHECK_EXITED;
	uint64_t start = now_ns();
	struct rusage usage;
	int status = 0, r;

	bhi_check_processes_announce();
	r = bhi_check_launch(&launch, &child);
	bhi_check_processes_begin(slot, child.pid, child.pidfd);
	if (r)
		return r;
	/* The signal may have come before the child could be found. */
	if (bhi_check_interrupted())
		bhi_check_processes_kill_leaders();
	if (!child.exec_error && !child.pages_error)
		end = bhi_check_watch(
			stage->setup, &child, stage->out, stage->err, stage->shared);
	result->wall_ns = now_ns() - start;
	bhi_check_processes_end(slot, &status, &usage);
	(void)close(child.pidfd);
	if (child.listener >= 0)
		(void)close(child.listener);
	if (child.pages_error)
		return -child.pages_error;
	result->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	set_end(result, &child, end, status);
	return 0;
}

int bhi_check_run(const struct bhi_check_setup *setup,
	const struct bhi_check_order *order, int slot, struct bhi_check_result *ret)
{
	struct bhi_check_stage stage = BHI_CHECK_STAGE_INIT(setup, order);
	struct bhi_check_result result = {.out = NULL};
	int r;

	bhi_check_processes_start();
	r = bhi_check_stage_set_up(&stage, slot);
	if (!r)
		r = run_child(&stage, slot, &result);
	if (!r)
		r = bhi_check_stage_collect(&stage, &result);
	if (!r) {
		result.shared = stage.shared;
		result.shared_size = sizeof(*stage.shared);
		stage.shared = NULL;
	}
	bhi_check_stage_clean_up(&stage);
	if (r)
		bhi_check_result_fini(&result);
	else
		*ret = result;
	return r;
}

void bhi_check_result_fini(struct bhi_check_result *result)
{
	free(result->out);
	free(result->err);
	free(result->files);
	if (result->shared)
		(void)munmap(result->shared, result->shared_size);
	*result = (struct bhi_check_result){.out = NULL};
}
