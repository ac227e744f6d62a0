/* SPDX-License-Identifier: MIT */
/*
 * Workers take points in the order of the plan. A test stands at its point's place, so
 * that the session is the same whatever the workers' order was.
 */
#include "points.h"

#include <string.h>

#include "allocate.h"
#include "group.h"
#include "interrupt.h"
#include "progress.h"
#include "state.h"

#define LEAST_SHARE  8
#define SAVE_NS      10000000000UL
/* What runs have beyond the budget: more than most take, and less than a hang. */
#define LAST_RUNS_NS 2000000000UL
/* From BHI_CHECK_SITE_HANGS on, one point of a site in so many is tried. */
#define HANG_SAMPLE  8
/* From this many hangs of all sites on, one hang of a site is enough for that. */
#define MANY_HANGS   24

/* Whether a point of this site is one of those that are left out. */
static bool is_left_out(struct bhi_check_work *work, const struct bhi_check_point *point)
{
	size_t nr = 0;

	for (size_t i = 0; i < work->nr_hangs; i++)
		nr += work->hang_sites[i] == point->site;
	if (nr < (work->nr_hangs < MANY_HANGS ? BHI_CHECK_SITE_HANGS : 1))
		return false;
	return work->nr_sampled++ % HANG_SAMPLE != 0;
}

/* The same, and says so in the session. */
static bool leave_out(struct bhi_check_work *work, size_t at)
{
	if (!is_left_out(work, &work->points[at]))
		return false;
	work->session.nr_left_out++;
	return true;
}

/* With the lock held. */
static void look_at_budget(struct bhi_check_work *work)
{
	if (!work->options->budget_ns ||
		bhi_check_now() - work->started_ns < work->options->budget_ns)
		return;
	work->session.ran_out_of_budget = true;
	bhi_store(&work->stop, true);
}

bool bhi_check_is_over(struct bhi_check_work *work)
{
	pthread_mutex_lock(&work->lock);
	look_at_budget(work);
	pthread_mutex_unlock(&work->lock);
	return bhi_load(&work->stop);
}

bool bhi_check_is_cut_short(struct bhi_check_work *work)
{
	uint64_t cut_off = bhi_load(&work->setup.cut_off_ns);

	if (bhi_check_interrupted())
		return true;
	return cut_off && bhi_check_now() >= cut_off && bhi_check_is_over(work);
}

void bhi_check_limit_runs(struct bhi_check_work *work)
{
	if (work->options->budget_ns)
		bhi_store(&work->setup.cut_off_ns,
			work->started_ns + work->options->budget_ns + LAST_RUNS_NS);
}

/* With the lock held. Not so few that a batch does not pay. */
static size_t share_of_rest(const struct bhi_check_work *work)
{
	size_t jobs = bhi_max(work->options->jobs, 1U);

	return bhi_max((work->nr_points - work->next) / jobs, (size_t)LEAST_SHARE);
}

size_t bhi_check_take_points(struct bhi_check_work *work, size_t *ret, size_t most)
{
	size_t nr = 0;

	pthread_mutex_lock(&work->lock);
	if (work->next && work->next < work->nr_points)
		look_at_budget(work);
	most = bhi_min(most, share_of_rest(work));
	while (nr < most && !work->stop && !bhi_check_interrupted() &&
		work->next < work->nr_points) {
		size_t at = work->next++;

		if (work->is_done[at])
			continue;
		if (most == 1 && leave_out(work, at))
			continue;
		ret[nr++] = at;
	}
	pthread_mutex_unlock(&work->lock);
	return nr;
}

bool bhi_check_leave_out(struct bhi_check_work *work, size_t at)
{
	bool result;

	pthread_mutex_lock(&work->lock);
	result = leave_out(work, at);
	pthread_mutex_unlock(&work->lock);
	return result;
}

static void note_key(struct bhi_check_work *work, uint64_t key)
{
	for (size_t i = 0; i < work->nr_keys; i++) {
		if (work->keys[i] == key)
			return;
	}
	work->keys = bhi_check_grow(
		work->keys, &work->keys_capacity, work->nr_keys + 1, sizeof(*work->keys));
	work->keys[work->nr_keys++] = key;
}

void bhi_check_note_test(struct bhi_check_work *work, size_t at)
{
	const struct bhi_check_test *test = &work->session.tests[at];
	char id[32];

	if (bhi_check_is_hang(test->class)) {
		work->hang_sites = bhi_check_grow(work->hang_sites, &work->hangs_capacity,
			work->nr_hangs + 1, sizeof(*work->hang_sites));
		work->hang_sites[work->nr_hangs++] = work->points[at].site;
	}
	if (test->class < BHI_CHECK_POLICY_ABORT)
		note_key(work, test->key);
	if (work->wanted_id && bhi_check_class_is_finding(test->class)) {
		bhi_check_format_id(test->class, test->key, id);
		if (!strcmp(id, work->wanted_id))
			bhi_store(&work->stop, true);
	}
}

static void save_now_and_then(struct bhi_check_work *work)
{
	uint64_t now = bhi_check_now();

	if (!work->options->state_file || now - work->last_saved_ns < SAVE_NS)
		return;
	work->last_saved_ns = now;
	(void)bhi_check_state_save(work, work->options->state_file, false);
}

void bhi_check_finish_point(
	struct bhi_check_work *work, size_t at, int r, const struct bhi_check_test *test)
{
	pthread_mutex_lock(&work->lock);
	if (r) {
		work->error = work->error ? work->error : r;
		bhi_store(&work->stop, true);
	} else {
		work->session.tests[at] = *test;
		work->is_done[at] = true;
		work->nr_done++;
		bhi_check_limit_runs(work);
		bhi_check_note_test(work, at);
		bhi_check_progress(work);
		save_now_and_then(work);
	}
	pthread_mutex_unlock(&work->lock);
}
