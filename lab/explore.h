/* SPDX-License-Identifier: MIT */
/*
 * The search: random programs, or one scenario, under random schedules. What it looks for
 * is a lockup, a victim that is lost or killed twice, books that disagree, and a crash.
 */
#ifndef BHI_LAB_EXPLORE_H
#define BHI_LAB_EXPLORE_H

#include "outcome.h"
#include "scheduler.h"

struct bhi_lab_search {
	/* NULL: a random program for each seed. */
	const struct bhi_lab_scenario *scenario;
	int era;
	uint64_t first_seed;
	uint64_t nr_seeds;
	unsigned jobs; /* processes at a time */
	/* Called now and then with the sum so far. */
	void (*progress)(
		const struct bhi_lab_search *search, uint64_t done, uint64_t failures);
};

struct bhi_lab_search_result {
	uint64_t nr_runs;
	uint64_t nr_lockups, nr_crashes, nr_broken;
	uint64_t nr_with_victims,
		nr_with_errors; /* that the search met pressure at all */
	uint64_t first_failure; /* a seed; meaningful when there are failures */
};

/* 0 or -errno. */
int bhi_lab_search_run(
	const struct bhi_lab_search *search, struct bhi_lab_search_result *ret);

/*
 * One run of @seed, under bhi_lab_strategy_of() it; the same as the search's. *@outcome
 * comes from bhi_lab_outcome_new(). 0 or -errno.
 */
int bhi_lab_search_once(const struct bhi_lab_scenario *scenario, int era, uint64_t seed,
	struct bhi_lab_outcome *outcome);

/* Whether an outcome is what the search looks for. */
bool bhi_lab_search_is_failure(const struct bhi_lab_outcome *outcome);

#endif
