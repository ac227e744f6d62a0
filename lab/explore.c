/* SPDX-License-Identifier: MIT */
/*
 * Workers share the seeds by turns and add to sums that they share with the one that
 * asked; each run is a child of its worker.
 */
#include "explore.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "generate.h"

#define JOBS_MAX    64
#define PROGRESS_MS 500

/* Of the workers' memory: atomic. */
struct sums {
	struct bhi_lab_search_result result;
	int error; /* 0 or -errno of a worker */
};

bool bhi_lab_search_is_failure(const struct bhi_lab_outcome *outcome)
{
	return outcome->verdict != BHI_LAB_COMPLETES;
}

int bhi_lab_search_once(const struct bhi_lab_scenario *scenario, int era, uint64_t seed,
	struct bhi_lab_outcome *outcome)
{
	return bhi_lab_child_run(
		scenario, era, bhi_lab_strategy_of(seed), seed, true, outcome);
}

static void note(struct bhi_lab_search_result *result,
	const struct bhi_lab_outcome *outcome, uint64_t seed)
{
	bhi_add(&result->nr_runs, 1);
	bhi_add(&result->nr_lockups, outcome->verdict == BHI_LAB_LOCKUP);
	bhi_add(&result->nr_crashes, outcome->verdict == BHI_LAB_CRASH);
	bhi_add(&result->nr_broken, outcome->verdict == BHI_LAB_BROKEN);
	bhi_add(&result->nr_with_victims, outcome->nr_victims != 0);
	bhi_add(&result->nr_with_errors, outcome->errors != 0);
	if (!bhi_lab_search_is_failure(outcome))
		return;
	/* The lowest, so that the result does not hang on which worker was faster. */
	for (uint64_t first = bhi_load(&result->first_failure); seed < first;) {
		if (bhi_compare_exchange(&result->first_failure, &first, seed))
			break;
	}
}

static int work(const struct bhi_lab_search *search, unsigned worker, struct sums *sums)
{
	static struct bhi_lab_scenario random;
	struct bhi_lab_outcome *outcome = bhi_lab_outcome_new();
	const struct bhi_lab_scenario *scenario = search->scenario;

	if (!outcome)
		return -ENOMEM;
	for (uint64_t i = worker; i < search->nr_seeds; i += search->jobs) {
		uint64_t seed = search->first_seed + i;
		int r;

		if (!search->scenario) {
			bhi_lab_generate(seed, &random);
			scenario = &random;
		}
		r = bhi_lab_search_once(scenario, search->era, seed, outcome);
		if (r)
			return r;
		note(&sums->result, outcome, seed);
	}
	return 0;
}

static pid_t start_worker(
	const struct bhi_lab_search *search, unsigned worker, struct sums *sums)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	sums->error = work(search, worker, sums);
	_exit(sums->error != 0);
}

static int await_workers(
	const struct bhi_lab_search *search, unsigned nr, const struct sums *sums)
{
	int status, r = 0;

	while (nr) {
		pid_t pid = waitpid(-1, &status, search->progress ? WNOHANG : 0);

		if (pid < 0 && errno != EINTR)
			return -errno;
		if (pid > 0) {
			nr--;
			if (status && !r)
				r = sums->error ? sums->error : -ECHILD;
			continue;
		}
		if (!search->progress)
			continue;
		search->progress(search, bhi_load(&sums->result.nr_runs),
			bhi_load(&sums->result.nr_lockups) +
				bhi_load(&sums->result.nr_crashes) +
				bhi_load(&sums->result.nr_broken));
		(void)poll(NULL, 0, PROGRESS_MS);
	}
	return r;
}

int bhi_lab_search_run(
	const struct bhi_lab_search *search, struct bhi_lab_search_result *ret)
{
	struct sums *sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned nr = 0;
	int r = 0;

	if (sums == MAP_FAILED)
		return -ENOMEM;
	*sums = (struct sums){.result.first_failure = UINT64_MAX};
	while (nr < bhi_min(search->jobs, (unsigned)JOBS_MAX) && !r) {
		r = start_worker(search, nr, sums) < 0 ? -errno : 0;
		nr += !r;
	}
	if (await_workers(search, nr, sums) && !r)
		r = sums->error ? sums->error : -ECHILD;
	*ret = sums->result;
	(void)munmap(sums, sizeof(*sums));
	return r;
}
