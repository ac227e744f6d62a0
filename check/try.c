/* SPDX-License-Identifier: MIT */
/*
 * One point: the run, once more without the hint when that led elsewhere, and what the
 * run's evidence says. An outcome that another reason may have (a machine that was busy,
 * a program that is another one each time) is tried once more, and the milder of the two
 * counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fmt.h"

#include "allocate.h"
#include "group.h"
#include "session.h"

void bhi_check_order_fill(const struct bhi_check_work *work,
	const struct bhi_check_point *point, bool hint, struct bhi_check_order *ret)
{
	const struct bhi_check_point_stack *stack = &work->session.stacks[point->stack];

	*ret = (struct bhi_check_order){.action = BHI_CHECK_INJECT,
		.persistent = work->options->is_persistent,
		.stack = stack->hash,
		.occurrence = point->occurrence,
		.burst = work->options->burst,
		.follow_children = work->setup.follow_children,
		.caller_module = stack->caller_module,
		.caller_offset = stack->caller_offset};
	if (hint && point->occurrence <= stack->nr_calls)
		ret->call = work->calls[work->first_call[point->stack] +
					point->occurrence - 1];
}

static int run_order(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, bool hint, struct bhi_check_result *ret)
{
	struct bhi_check_order order;
	int r;

	bhi_check_order_fill(work, point, hint, &order);
	r = bhi_check_run(&work->setup, &order, slot, ret);
	if (r)
		return r;
	pthread_mutex_lock(&work->lock);
	work->session.nr_runs++;
	pthread_mutex_unlock(&work->lock);
	return ret->end == BHI_CHECK_NOT_STARTED ? -ret->status : 0;
}

static int run_point(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_result *ret)
{
	int r = run_order(work, slot, point, true, ret);

	if (r || bhi_load(&ret->shared->nr_injected))
		return r;
	/* The call of that number had another stack, or there were fewer calls. */
	bhi_check_result_fini(ret);
	return run_order(work, slot, point, false, ret);
}

static int write_file(const char *path, const char *text, size_t len)
{
	FILE *file = fopen(path, "we");
	bool failed;

	if (!file)
		return -errno;
	failed = fwrite(text, 1, len, file) != len;
	if (fclose(file) || failed)
		return -EIO;
	return 0;
}

/* Of the shell: what is wrong with the command itself. */
#define NOT_RUN 126

/* By a shell, with the two files as arguments. Its status, or -errno. */
static int run_shell(const char *command, char *clean, char *other)
{
	char *line = bhi_check_format("%s \"$@\"", command);
	char *const argv[] = {
		(char *)"sh", (char *)"-c", line, (char *)"sh", clean, other, NULL};
	posix_spawn_file_actions_t actions;
	int status = 0, r;
	pid_t pid;

	r = posix_spawn_file_actions_init(&actions);
	if (!r) {
		(void)posix_spawn_file_actions_addopen(
			&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
		(void)posix_spawn_file_actions_addopen(
			&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
		(void)posix_spawn_file_actions_adddup2(
			&actions, STDOUT_FILENO, STDERR_FILENO);
		r = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	free(line);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The user's command has the last word: status 0 is "the same". */
static int ask_command(const struct bhi_check_work *work, int slot,
	const struct bhi_check_result *result, bool *ret_differs)
{
	const char *command = work->options->compare_command;
	char *clean = bhi_check_format("%s/clean-%d", work->setup.work_dir, slot);
	char *other = bhi_check_format("%s/other-%d", work->setup.work_dir, slot);
	int r = write_file(clean, work->out.text, work->out.text_len);

	if (!r)
		r = write_file(other, result->out, result->out_len);
	if (!r)
		r = run_shell(command, clean, other);
	(void)unlink(clean);
	(void)unlink(other);
	free(clean);
	free(other);
	if (r >= NOT_RUN)
		return -EPROTO;
	*ret_differs = r > 0;
	return r < 0 ? r : 0;
}

static bool files_differ(const struct bhi_check_work *work,
	const struct bhi_check_result *result, char **ret_difference)
{
	const char *files = result->files ? result->files : "";
	char *change = NULL;

	if (!work->compares_files ||
		!bhi_check_reference_differs(&work->files, files, strlen(files), &change))
		return false;
	*ret_difference = bhi_check_format("files: %s", change);
	free(change);
	return true;
}

/* What is compared only when the program ended as it should. */
static int compare_output(const struct bhi_check_work *work, int slot,
	const struct bhi_check_result *result, struct bhi_check_seen *seen,
	char **ret_difference)
{
	bool differs = false;
	int r = 0;

	if (result->end != BHI_CHECK_EXITED)
		return 0;
	if (work->out.how != BHI_CHECK_COMPARE_COMMAND)
		differs = bhi_check_reference_differs(
			&work->out, result->out, result->out_len, ret_difference);
	else if (result->status == work->rules.expected_exit)
		r = ask_command(work, slot, result, &differs);
	if (!r && !differs)
		differs = files_differ(work, result, ret_difference);
	seen->output_differs = differs;
	return r;
}

static void look_up_trace(struct bhi_check_work *work,
	const struct bhi_check_shared *shared, const struct bhi_check_trace *trace,
	bool is_exact, struct bhi_check_backtrace *ret)
{
	if (bhi_load_acquire(&trace->state) == 2)
		bhi_check_symbols_look_up(work->symbols, shared, trace->frames,
			bhi_min(trace->nr_frames, (uint32_t)BHI_CHECK_MAX_DEPTH),
			is_exact, ret);
}

static void fill_seen(struct bhi_check_work *work, const struct bhi_check_result *result,
	struct bhi_check_seen *seen)
{
	const struct bhi_check_shared *shared = result->shared;
	const struct bhi_check_crash *crash = &shared->crash;

	*seen = (struct bhi_check_seen){.end = result->end,
		.status = result->status,
		.out = result->out,
		.out_len = result->out_len,
		.err = result->err,
		.err_len = result->err_len,
		.err_differs = bhi_check_reference_differs(
			&work->err, result->err, result->err_len, NULL),
		.nr_injected = shared->nr_injected,
		.nr_policy_aborts = shared->nr_policy_aborts,
		.exit_seen = shared->exit_seen,
		.live_blocks = shared->live_blocks,
		.live_bytes = shared->live_bytes,
		.locks_held = shared->locks_held,
		.injected_cfa = shared->injected.cfa,
		.crash_cfa = crash->trace.cfa};
	if (bhi_load_acquire(&crash->state) == 2 && !crash->asked) {
		seen->signal = crash->signal;
		seen->address = crash->address;
	}
	look_up_trace(work, shared, &shared->injected, false, &seen->injected);
	if (crash->state == 2)
		look_up_trace(work, shared, &crash->trace, true, &seen->crash);
}

static int status_of(
	const struct bhi_check_rules *rules, const struct bhi_check_seen *seen)
{
	if (seen->end == BHI_CHECK_SIGNALED && !bhi_check_seen_signal(rules, seen))
		return 128 + seen->status;
	return seen->end == BHI_CHECK_EXITED ? seen->status : 0;
}

static void fill_test(struct bhi_check_work *work, const struct bhi_check_point *point,
	const struct bhi_check_result *result, struct bhi_check_seen *seen,
	char *difference, struct bhi_check_test *ret)
{
	const struct bhi_check_shared *shared = result->shared;
	const struct bhi_check_point_stack *stack = &work->session.stacks[point->stack];
	enum bhi_check_class class = bhi_check_classify(&work->rules, seen);

	*ret = (struct bhi_check_test){.stack = stack->hash,
		.occurrence = point->occurrence,
		.function = shared->injected_function,
		.size = shared->injected_size,
		.injected = stack->trace,
		.class = class,
		.signal = bhi_check_seen_signal(&work->rules, seen),
		.address = seen->address,
		.status = status_of(&work->rules, seen),
		.message = bhi_check_reference_new_line(
			&work->err, result->err, result->err_len),
		.finding = SIZE_MAX};
	if (class == BHI_CHECK_WRONG_SILENT || class == BHI_CHECK_WRONG_MESSAGE)
		ret->difference = difference;
	else
		free(difference);
	if (class == BHI_CHECK_LEAK) {
		ret->leaked_blocks =
			(uint64_t)(shared->live_blocks - work->rules.live_blocks);
		ret->leaked_bytes =
			(uint64_t)(shared->live_bytes - work->rules.live_bytes);
	}
	if (bhi_check_class_is_finding(class)) {
		ret->crash = seen->crash;
		ret->key = bhi_check_test_key(ret);
	} else {
		free(seen->crash.places);
	}
	free(seen->injected.places);
}

int bhi_check_judge(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, const struct bhi_check_result *result,
	struct bhi_check_test *ret)
{
	struct bhi_check_seen seen;
	char *difference = NULL;
	int r;

	fill_seen(work, result, &seen);
	r = compare_output(work, slot, result, &seen, &difference);
	fill_test(work, point, result, &seen, difference, ret);
	if (r)
		bhi_check_test_fini(ret);
	return r;
}

int bhi_check_is_as_clean(struct bhi_check_work *work, int slot,
	const struct bhi_check_result *result, bool *ret)
{
	struct bhi_check_seen seen = {.output_differs = false};
	char *difference = NULL;
	int r = 0;

	*ret = result->end == BHI_CHECK_EXITED &&
	       result->status == work->rules.expected_exit &&
	       !bhi_check_reference_differs(
		       &work->err, result->err, result->err_len, NULL) &&
	       (work->is_unstable || result->shared->nr_calls == work->session.nr_calls);
	if (*ret)
		r = compare_output(work, slot, result, &seen, &difference);
	free(difference);
	*ret = *ret && !seen.output_differs;
	return r;
}

int bhi_check_try_once(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *ret)
{
	struct bhi_check_result result;
	int r = run_point(work, slot, point, &result);

	if (r)
		return r;
	r = bhi_check_judge(work, slot, point, &result, ret);
	bhi_check_result_fini(&result);
	return r;
}

static bool has_hung_before(struct bhi_check_work *work, uint64_t site)
{
	bool found = false;

	pthread_mutex_lock(&work->lock);
	for (size_t i = 0; i < work->nr_hangs && !found; i++)
		found = work->hang_sites[i] == site;
	pthread_mutex_unlock(&work->lock);
	return found;
}

static bool needs_confirmation(struct bhi_check_work *work,
	const struct bhi_check_point *point, enum bhi_check_class class)
{
	switch (class) {
	case BHI_CHECK_DEADLOCK:
	case BHI_CHECK_BUSY_HANG:
	case BHI_CHECK_RUNAWAY_OUTPUT:
		return !has_hung_before(work, point->site);
	case BHI_CHECK_WRONG_SILENT:
	case BHI_CHECK_WRONG_MESSAGE:
	/* What a program's other threads have done at its end is not always the same. */
	case BHI_CHECK_LEAK:
	case BHI_CHECK_LOCK_HELD:
		return true;
	default:
		return work->is_unstable && class < BHI_CHECK_POLICY_ABORT;
	}
}

void bhi_check_test_fini(struct bhi_check_test *test)
{
	free(test->crash.places);
	free(test->difference);
	free(test->message);
}

void bhi_check_say_error(const struct bhi_check_work *work, int error)
{
	if (error == -EPROTO)
		bhi_errf("bulkhead: check: --compare: '%s' gave no answer: a signal "
			 "ended it, or its status was %d or above\n",
			work->options->compare_command, NOT_RUN);
	else
		bhi_errf("bulkhead: check: a run: %s\n", strerror(-error));
}

int bhi_check_confirm(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *test)
{
	struct bhi_check_test second;
	int r;

	if (!needs_confirmation(work, point, test->class) || bhi_load(&work->stop))
		return 0;
	r = bhi_check_try_once(work, slot, point, &second);
	if (r)
		return r;
	if (second.class > test->class && second.class != BHI_CHECK_UNREACHED) {
		bhi_check_test_fini(test);
		*test = second;
		bhi_check_count_unconfirmed(work);
	} else {
		bhi_check_test_fini(&second);
	}
	return 0;
}

void bhi_check_count_unconfirmed(struct bhi_check_work *work)
{
	pthread_mutex_lock(&work->lock);
	work->session.nr_unconfirmed++;
	pthread_mutex_unlock(&work->lock);
}

int bhi_check_try(struct bhi_check_work *work, int slot,
	const struct bhi_check_point *point, struct bhi_check_test *ret)
{
	struct bhi_check_test test;
	int r = bhi_check_try_once(work, slot, point, &test);

	if (r)
		return r;
	r = bhi_check_confirm(work, slot, point, &test);
	if (r)
		bhi_check_test_fini(&test);
	else
		*ret = test;
	return r;
}
