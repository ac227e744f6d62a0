/* SPDX-License-Identifier: MIT */
/* From the plan to what the tests showed together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"

#include "allocate.h"
#include "fast.h"
#include "group.h"
#include "interrupt.h"
#include "points.h"
#include "processes.h"
#include "progress.h"
#include "session.h"
#include "state.h"

#define MAX_JOBS 256
struct worker {
	pthread_t thread;
	struct bhi_check_work *work;
	int slot;
};

void bhi_check_work_init(
	struct bhi_check_work *work, const struct bhi_check_options *options)
{
	*work = (struct bhi_check_work){.options = options,
		.setup = options->setup,
		.symbols = bhi_check_symbols_new(),
		.no_copies_from = UINT64_MAX,
		.session = {.command = options->setup.command,
			.mode = options->mode,
			.given = options->given,
			.fail_on = options->fail_on}};
	pthread_mutex_init(&work->lock, NULL);
	work->rules.expected_exit = options->expected_exit;
	if (options->ok && !regcomp(&work->ok, options->ok, REG_EXTENDED | REG_NOSUB))
		work->rules.ok = &work->ok;
}

void bhi_check_work_fini(struct bhi_check_work *work)
{
	struct bhi_check_session *session = &work->session;

	bhi_check_ungroup(session);
	for (size_t i = 0; i < session->nr_tests; i++)
		bhi_check_test_fini(&session->tests[i]);
	for (size_t i = 0; i < session->nr_stacks; i++)
		free(session->stacks[i].trace.places);
	for (size_t i = 0; i < session->nr_instabilities; i++)
		free(session->instabilities[i]);
	free(session->instabilities);
	free(session->tests);
	free(session->stacks);
	bhi_check_reference_fini(&work->out);
	bhi_check_reference_fini(&work->err);
	if (work->rules.ok)
		regfree(&work->ok);
	bhi_check_reference_fini(&work->files);
	free(work->first_call);
	free(work->calls);
	free(work->points);
	free(work->is_done);
	free(work->keys);
	free(work->hang_sites);
	free(work->sure_keys);
	bhi_check_symbols_free(work->symbols);
	pthread_mutex_destroy(&work->lock);
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;
	struct bhi_check_work *work = worker->work;
	size_t at;

	if (work->options->fast) {
		bhi_check_fast_work(work, worker->slot);
		return NULL;
	}
	while (bhi_check_take_points(work, &at, 1)) {
		struct bhi_check_test test;
		int r = bhi_check_try(work, worker->slot, &work->points[at], &test);

		/* What was ended by us says nothing. */
		if (bhi_check_is_cut_short(work)) {
			if (!r)
				bhi_check_test_fini(&test);
			break;
		}
		bhi_check_finish_point(work, at, r, &test);
	}
	return NULL;
}

static int run_workers(struct bhi_check_work *work)
{
	unsigned jobs = bhi_min(bhi_max(work->options->jobs, 1U), (unsigned)MAX_JOBS);
	struct worker *workers = bhi_check_alloc(jobs, sizeof(*workers));
	unsigned nr;

	for (nr = 0; nr < jobs; nr++) {
		int r;

		workers[nr].work = work;
		workers[nr].slot = (int)nr + 1;
		r = pthread_create(&workers[nr].thread, NULL, run_worker, &workers[nr]);
		if (r) {
			/* Those that run do all of it; they may have met an error. */
			if (!nr)
				work->error = -r;
			break;
		}
	}
	for (unsigned i = 0; i < nr; i++)
		pthread_join(workers[i].thread, NULL);
	bhi_check_processes_sweep();
	free(workers);
	return work->error;
}

/* Tests to the front, in the order of the plan. */
static void close_ranks(struct bhi_check_work *work)
{
	struct bhi_check_session *session = &work->session;

	for (size_t i = 0; i < work->nr_points; i++) {
		struct bhi_check_point_stack *stack =
			&session->stacks[work->points[i].stack];

		if (!work->is_done[i])
			continue;
		session->tests[session->nr_tests] = session->tests[i];
		stack->nr_tested++;
		stack->worst =
			bhi_min(stack->worst, session->tests[session->nr_tests].class);
		session->nr_tests++;
	}
}

static void start(struct bhi_check_work *work)
{
	const struct bhi_check_options *options = work->options;

	work->nr_points = bhi_check_plan(&work->session, &options->plan, &work->points);
	work->session.nr_points = work->nr_points;
	work->session.tests =
		bhi_check_alloc(work->nr_points, sizeof(*work->session.tests));
	work->is_done = bhi_check_alloc(work->nr_points, sizeof(*work->is_done));
	work->started_ns = work->last_shown_ns = work->last_saved_ns = bhi_check_now();
	if (!options->state_file || options->fresh)
		return;
	if (bhi_check_state_load(work, options->state_file) && !options->quiet)
		bhi_errf("bulkhead: check: going on where an earlier call was "
			 "interrupted; --fresh starts anew\n");
	for (size_t i = 0; i < work->nr_points; i++) {
		if (work->is_done[i])
			bhi_check_note_test(work, i);
	}
}

enum bhi_check_exit bhi_check_explore(struct bhi_check_work *work)
{
	struct bhi_check_session *session = &work->session;
	const struct bhi_check_options *options = work->options;
	int r;

	start(work);
	r = run_workers(work);
	bhi_check_progress_end(work);
	session->was_interrupted = bhi_check_interrupted() != 0;
	session->wall_ns = bhi_check_now() - work->started_ns;
	if (options->state_file) {
		int saved = bhi_check_state_save(work, options->state_file,
			!r && !work->stop && !session->was_interrupted);

		if (saved)
			bhi_errf("bulkhead: check: %s: %s; --replay will have to look "
				 "for its point\n",
				options->state_file, strerror(-saved));
	}
	close_ranks(work);
	bhi_check_group(session);
	if (!r)
		return BHI_CHECK_EXIT_CLEAN;
	bhi_check_say_error(work, r);
	return BHI_CHECK_EXIT_OURS;
}

enum bhi_check_exit bhi_check_verdict(const struct bhi_check_session *session)
{
	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct bhi_check_finding *finding = &session->findings[i];

		if (finding->class <= session->fail_on && !finding->is_suppressed &&
			!finding->is_known)
			return BHI_CHECK_EXIT_FINDINGS;
	}
	return BHI_CHECK_EXIT_CLEAN;
}
