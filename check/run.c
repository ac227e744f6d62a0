/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

#include "clock.h"
#include "interrupt.h"
#include "launch.h"
#include "processes.h"
#include "stage.h"
#include "watch.h"

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

void bhi_check_result_set_end(struct bhi_check_result *result,
	const struct bhi_check_child *child, enum bhi_check_end end, int status,
	const struct rusage *usage)
{
	result->cpu_ns = timeval_ns(usage->ru_utime) + timeval_ns(usage->ru_stime);
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

int bhi_check_start_subject(
	const struct bhi_check_stage *stage, int slot, struct bhi_check_child *ret)
{
	const struct bhi_check_setup *setup = stage->setup;
	const struct bhi_check_launch launch = {
		.command = setup->command,
		.environment = stage->environment,
		.directory = setup->copy_dir ? stage->copy : NULL,
		.input = setup->stdin_file ? setup->stdin_file : "/dev/null",
		.out = stage->out,
		.err = stage->err,
		/* What the interposer maps is not the subject's. */
		.max_memory = setup->max_memory
				      ? setup->max_memory + sizeof(*stage->shared)
				      : 0,
		.pages = setup->pages,
	};
	int r;

	*ret = (struct bhi_check_child){.pidfd = -1, .listener = -1};
	bhi_check_processes_announce();
	r = bhi_check_launch(&launch, ret);
	bhi_check_processes_begin(slot, ret->pid, ret->pidfd);
	/* The signal may have come before the child could be found. */
	if (!r && bhi_check_interrupted())
		bhi_check_processes_kill_leaders();
	return r;
}

static int run_child(
	struct bhi_check_stage *stage, int slot, struct bhi_check_result *result)
{
	enum bhi_check_end end = BHI_CHECK_EXITED;
	uint64_t start = bhi_check_now();
	struct bhi_check_child child;
	struct rusage usage;
	int status = 0, r;

	r = bhi_check_start_subject(stage, slot, &child);
	if (r)
		return r;
	if (!child.exec_error && !child.pages_error)
		end = bhi_check_watch(
			stage->setup, &child, stage->out, stage->err, stage->shared);
	result->wall_ns = bhi_check_now() - start;
	bhi_check_processes_end(slot, &status, &usage);
	(void)close(child.pidfd);
	if (child.listener >= 0)
		(void)close(child.listener);
	if (child.pages_error)
		return -child.pages_error;
	bhi_check_result_set_end(result, &child, end, status, &usage);
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
	if (!r)
		bhi_check_stage_give(&stage, &result);
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
