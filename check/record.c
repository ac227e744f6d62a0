/* SPDX-License-Identifier: MIT */
/*
 * The clean runs. One gives the stacks and the output that all others are compared with;
 * a second one tells whether the program does the same again. When it does not, the first
 * may only have filled a cache: then the second one is what others are compared with.
 * What varies even so is masked, and said; more runs are made to see all of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"

#include "allocate.h"
#include "interrupt.h"
#include "session.h"

#define FIRST_TIMEOUT_MS 60000
#define MAX_CLEAN_RUNS   5

static void add_instability(struct bhi_check_session *session, char *sentence)
{
	size_t capacity = session->nr_instabilities;

	session->instabilities = bhi_check_grow(session->instabilities, &capacity,
		session->nr_instabilities + 1, sizeof(*session->instabilities));
	session->instabilities[session->nr_instabilities++] = sentence;
}

static void show_tail(const char *text, size_t len)
{
	size_t start = len;

	for (int lines = 0; start && lines < 6; start--)
		lines += text[start - 1] == '\n' && start < len;
	if (len)
		bhi_errf("bulkhead: check: its standard error ends with: %s\n",
			text + start);
}

static enum bhi_check_exit refuse(const struct bhi_check_result *result, const char *why)
{
	bhi_errf("bulkhead: check: the clean run %s; nothing was injected yet\n", why);
	show_tail(result->err, result->err_len);
	return BHI_CHECK_EXIT_UNSTABLE;
}

static enum bhi_check_exit judge_clean(
	const struct bhi_check_work *work, const struct bhi_check_result *result)
{
	char why[128];

	switch (result->end) {
	case BHI_CHECK_NOT_STARTED:
		bhi_errf("bulkhead: check: %s: %s\n", work->setup.command[0],
			strerror(result->status));
		return BHI_CHECK_EXIT_USAGE;
	case BHI_CHECK_SIGNALED:
		return refuse(result,
			bhi_format(why, sizeof(why), "was ended by signal %d (%s)",
				result->status, strsignal(result->status)));
	case BHI_CHECK_TIMED_OUT_BUSY:
	case BHI_CHECK_TIMED_OUT_ASLEEP:
	case BHI_CHECK_TIMED_OUT_LOCKED:
		return refuse(result, "did not end in time (--timeout gives it more)");
	case BHI_CHECK_TOO_MUCH_OUTPUT:
		return refuse(result, "writes more than --max-output");
	case BHI_CHECK_EXITED:
		break;
	}
	if (result->status != work->rules.expected_exit)
		return refuse(result, bhi_format(why, sizeof(why),
					      "ended with status %d, not %d "
					      "(--expect-exit says what is "
					      "right)",
					      result->status, work->rules.expected_exit));
	if (!bhi_load(&result->shared->started))
		return refuse(result,
			"did not load the interposer: the program is linked statically, "
			"or gets privileges when it starts");
	return BHI_CHECK_EXIT_CLEAN;
}

/* 1: a process that died while it wrote it. */
static bool is_written(const struct bhi_check_stack *stack)
{
	return stack->hash > 1;
}

static int by_first_call(const void *a, const void *b)
{
	const struct bhi_check_point_stack *x = a, *y = b;

	return (x->first_call > y->first_call) - (x->first_call < y->first_call);
}

static void name_caller(struct bhi_check_point_stack *stack,
	const struct bhi_check_shared *shared, bhi_check_frame frame)
{
	if (frame >> 48 >= BHI_CHECK_MAX_MODULES)
		return;
	stack->caller_module = shared->modules[frame >> 48].name_hash;
	stack->caller_offset = frame & ~(0xffffUL << 48);
}

static void take_stacks(
	struct bhi_check_work *work, const struct bhi_check_shared *shared)
{
	struct bhi_check_session *session = &work->session;
	size_t capacity = 0;

	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		const struct bhi_check_stack *seen = &shared->stacks[i];
		struct bhi_check_point_stack *stack;

		if (!is_written(seen))
			continue;
		session->stacks = bhi_check_grow(session->stacks, &capacity,
			session->nr_stacks + 1, sizeof(*session->stacks));
		stack = &session->stacks[session->nr_stacks++];
		*stack = (struct bhi_check_point_stack){.hash = seen->hash,
			.nr_calls = seen->nr_calls,
			.first_call = seen->first_call,
			.size = seen->size,
			.functions = seen->functions,
			.worst = BHI_CHECK_NR_CLASSES};
		name_caller(stack, shared, shared->frames[seen->first_frame]);
		bhi_check_symbols_look_up(work->symbols, shared,
			shared->frames + seen->first_frame, seen->nr_frames, false,
			&stack->trace);
	}
	if (session->nr_stacks)
		qsort(session->stacks, session->nr_stacks, sizeof(*session->stacks),
			by_first_call);
	session->nr_calls = shared->nr_calls;
	session->nr_loader_calls = shared->nr_loader_pages;
	session->nr_other_calls = shared->nr_other_pages;
}

/* The numbers of all calls of each stack, so that a point can be found without a look at
 * the stacks of the calls before it. */
static void take_calls(struct bhi_check_work *work, const struct bhi_check_shared *shared)
{
	struct bhi_check_session *session = &work->session;
	uint64_t nr_calls = bhi_min(shared->nr_calls, (uint64_t)BHI_CHECK_MAX_CALLS);
	uint32_t *index = bhi_check_alloc(BHI_CHECK_MAX_STACKS, sizeof(*index));
	size_t *used = bhi_check_alloc(session->nr_stacks, sizeof(*used)), total = 0;

	work->first_call = bhi_check_alloc(session->nr_stacks + 1, sizeof(size_t));
	for (size_t i = 0; i < session->nr_stacks; i++) {
		work->first_call[i] = total;
		total += session->stacks[i].nr_calls;
	}
	work->first_call[session->nr_stacks] = total;
	work->calls = bhi_check_alloc(total, sizeof(*work->calls));
	/* The first call of a stack leads to its slot. */
	for (size_t i = 0; i < session->nr_stacks; i++) {
		uint64_t call = session->stacks[i].first_call;

		if (call && call <= nr_calls && shared->calls[call - 1])
			index[shared->calls[call - 1] - 1] = (uint32_t)i + 1;
	}
	for (uint64_t call = 0; call < nr_calls; call++) {
		uint32_t slot = shared->calls[call], i;

		if (!slot || slot > BHI_CHECK_MAX_STACKS || !index[slot - 1])
			continue;
		i = index[slot - 1] - 1;
		if (used[i] < session->stacks[i].nr_calls)
			work->calls[work->first_call[i] + used[i]++] = (uint32_t)call + 1;
	}
	free(index);
	free(used);
}

static void take_limits(
	struct bhi_check_work *work, const struct bhi_check_result *result)
{
	struct bhi_check_session *session = &work->session;
	const struct bhi_check_shared *shared = result->shared;
	struct bhi_check_rules *rules = &work->rules;

	rules->live_blocks = bhi_max(rules->live_blocks, shared->live_blocks);
	rules->live_bytes = bhi_max(rules->live_bytes, shared->live_bytes);
	rules->locks_held = bhi_max(rules->locks_held, shared->locks_held);
	if (shared->crash.state == 2 && !shared->crash.asked)
		rules->crash_is_caught = true;
	session->clean_wall_ns = bhi_max(session->clean_wall_ns, result->wall_ns);
	session->clean_cpu_ns = bhi_max(session->clean_cpu_ns, result->cpu_ns);
}

static void take_first(struct bhi_check_work *work, const struct bhi_check_result *result)
{
	take_stacks(work, result->shared);
	take_calls(work, result->shared);
	take_limits(work, result);
	work->session.clean_status = result->status;
	bhi_check_reference_init(
		&work->out, work->options->compare, result->out, result->out_len);
	bhi_check_reference_init(
		&work->err, BHI_CHECK_COMPARE_EXACT, result->err, result->err_len);
	work->compares_files = result->files != NULL;
	bhi_check_reference_init(&work->files, BHI_CHECK_COMPARE_EXACT,
		result->files ? result->files : "",
		result->files ? strlen(result->files) : 0);
	work->files.is_of_files = true;
	if (result->shared->overflow)
		add_instability(&work->session,
			bhi_check_strdup("the program has more stacks or calls than the "
					 "tables hold: those beyond are not tested"));
}

static void forget_first(struct bhi_check_work *work)
{
	struct bhi_check_session *session = &work->session;

	for (size_t i = 0; i < session->nr_stacks; i++)
		free(session->stacks[i].trace.places);
	for (size_t i = 0; i < session->nr_instabilities; i++)
		free(session->instabilities[i]);
	free(session->stacks);
	free(session->instabilities);
	session->stacks = NULL;
	session->instabilities = NULL;
	session->nr_stacks = session->nr_instabilities = 0;
	free(work->first_call);
	free(work->calls);
	work->first_call = NULL;
	work->calls = NULL;
	bhi_check_reference_fini(&work->out);
	bhi_check_reference_fini(&work->err);
	bhi_check_reference_fini(&work->files);
}

static int by_hash(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How many of the session's stacks @shared has too, and how many it has. */
static size_t count_common(const struct bhi_check_session *session,
	const struct bhi_check_shared *shared, size_t *ret_nr)
{
	uint64_t *hashes = bhi_check_alloc(BHI_CHECK_MAX_STACKS, sizeof(*hashes));
	size_t nr = 0, common = 0;

	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		if (is_written(&shared->stacks[i]))
			hashes[nr++] = shared->stacks[i].hash;
	}
	qsort(hashes, nr, sizeof(*hashes), by_hash);
	for (size_t i = 0; i < session->nr_stacks; i++)
		common += bsearch(&session->stacks[i].hash, hashes, nr, sizeof(*hashes),
				  by_hash) != NULL;
	free(hashes);
	*ret_nr = nr;
	return common;
}

static enum bhi_check_exit compare_stacks(
	struct bhi_check_work *work, const struct bhi_check_result *result)
{
	struct bhi_check_session *session = &work->session;
	const struct bhi_check_shared *shared = result->shared;
	size_t nr, common = count_common(session, shared, &nr);

	if (common * 2 < session->nr_stacks) {
		bhi_errf("bulkhead: check: two clean runs have only %zu of %zu stacks in "
			 "common: the program is too unstable to be checked\n",
			common, session->nr_stacks);
		return BHI_CHECK_EXIT_UNSTABLE;
	}
	if (common < session->nr_stacks || nr > common)
		add_instability(session,
			bhi_check_format(
				"%zu of %zu stacks were only in one of two clean "
				"runs",
				session->nr_stacks + nr - 2 * common,
				session->nr_stacks + nr - common));
	if (shared->nr_calls != session->nr_calls)
		add_instability(session,
			bhi_check_format("one clean run made %lu calls, another %lu",
				session->nr_calls, shared->nr_calls));
	return BHI_CHECK_EXIT_CLEAN;
}

static void mask(struct bhi_check_work *work, const struct bhi_check_result *result)
{
	if (work->options->compare != BHI_CHECK_COMPARE_COMMAND)
		bhi_check_reference_mask(&work->out, result->out, result->out_len);
	bhi_check_reference_mask(&work->err, result->err, result->err_len);
	if (result->files)
		bhi_check_reference_mask(
			&work->files, result->files, strlen(result->files));
}

static void describe_masks(struct bhi_check_session *session,
	const struct bhi_check_reference *reference, const char *name)
{
	if (reference->varies && reference->how == BHI_CHECK_COMPARE_NONE)
		add_instability(session,
			bhi_check_format(
				"%s has other lines each time: it is not compared",
				name));
	else if (reference->varies)
		add_instability(session,
			bhi_check_format(
				"%s has its lines in another order each time: the "
				"order is not compared",
				name));
	if (reference->nr_masked)
		add_instability(session,
			bhi_check_format(
				"%s differs in %zu of %zu lines: what differs is "
				"masked",
				name, reference->nr_masked, reference->nr_lines));
}

static void set_timeout(struct bhi_check_work *work)
{
	if (!work->options->setup.timeout_ms)
		work->setup.timeout_ms =
			work->session.clean_wall_ns / 1000000 * 10 + 2000;
}

static enum bhi_check_exit run_clean(
	struct bhi_check_work *work, struct bhi_check_result *result)
{
	const struct bhi_check_order order = {.action = BHI_CHECK_RECORD,
		.burst = 1,
		.follow_children = work->setup.follow_children};
	int r = bhi_check_run(&work->setup, &order, 0, result);
	enum bhi_check_exit status;

	if (bhi_check_interrupted()) {
		if (!r)
			bhi_check_result_fini(result);
		return BHI_CHECK_EXIT_INTERRUPTED;
	}
	if (r) {
		bhi_errf("bulkhead: check: a run: %s%s\n", strerror(-r),
			work->setup.pages ? " (mode pages needs seccomp(2) with user "
					    "notifications)"
					  : "");
		return BHI_CHECK_EXIT_OURS;
	}
	status = judge_clean(work, result);
	if (status)
		bhi_check_result_fini(result);
	return status;
}

static bool is_as_recorded(
	const struct bhi_check_session *session, const struct bhi_check_shared *shared)
{
	size_t nr, common = count_common(session, shared, &nr);

	return common == nr && nr == session->nr_stacks &&
	       shared->nr_calls == session->nr_calls;
}

/* One more clean run. */
static enum bhi_check_exit repeat_clean(
	struct bhi_check_work *work, bool is_second, bool *ret_forgot)
{
	struct bhi_check_result result;
	enum bhi_check_exit status = run_clean(work, &result);

	*ret_forgot = false;
	if (status)
		return status;
	if (is_second && !is_as_recorded(&work->session, result.shared)) {
		forget_first(work);
		take_first(work, &result);
		*ret_forgot = true;
	} else {
		take_limits(work, &result);
		mask(work, &result);
	}
	bhi_check_result_fini(&result);
	return status;
}

static enum bhi_check_exit check_stability(struct bhi_check_work *work)
{
	struct bhi_check_result result;
	enum bhi_check_exit status = run_clean(work, &result);

	if (status)
		return status;
	take_limits(work, &result);
	mask(work, &result);
	status = compare_stacks(work, &result);
	bhi_check_result_fini(&result);
	return status;
}

static bool varies(const struct bhi_check_work *work)
{
	return work->out.nr_masked || work->out.varies || work->err.nr_masked ||
	       work->err.varies || work->files.nr_masked || work->files.varies;
}

enum bhi_check_exit bhi_check_record(struct bhi_check_work *work)
{
	bool forgot = false;
	struct bhi_check_result result;
	enum bhi_check_exit status;

	if (!work->setup.timeout_ms)
		work->setup.timeout_ms = FIRST_TIMEOUT_MS;
	status = run_clean(work, &result);
	if (status)
		return status;
	take_first(work, &result);
	bhi_check_result_fini(&result);
	status = repeat_clean(work, true, &forgot);
	if (!status && forgot)
		status = check_stability(work);
	for (int i = 2; !status && varies(work) && i < MAX_CLEAN_RUNS; i++)
		status = repeat_clean(work, false, &forgot);
	if (status)
		return status;
	describe_masks(&work->session, &work->out, "standard output");
	describe_masks(&work->session, &work->err, "standard error");
	describe_masks(&work->session, &work->files, "the list of the files it leaves");
	work->is_unstable = work->session.nr_instabilities != 0;
	set_timeout(work);
	return BHI_CHECK_EXIT_CLEAN;
}
