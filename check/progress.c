/* SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "base/fmt.h"

#include "progress.h"

#define TERMINAL_NS 200000000UL
#define LOG_NS      10000000000UL

static void format_time(uint64_t seconds, char ret[32])
{
	if (seconds >= 3600)
		bhi_format(ret, 32, "%luh%02lum", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		bhi_format(ret, 32, "%lum%02lus", seconds / 60, seconds % 60);
	else
		bhi_format(ret, 32, "%lus", seconds);
}

static uint64_t estimate_left(const struct bhi_check_work *work, uint64_t spent_ns)
{
	uint64_t left = 0, budget = work->options->budget_ns;

	if (work->nr_done)
		left = spent_ns / work->nr_done * (work->nr_points - work->next);
	if (budget)
		left = bhi_min(left, budget > spent_ns ? budget - spent_ns : 0);
	return left / 1000000000;
}

void bhi_check_progress(struct bhi_check_work *work)
{
	bool on_terminal = isatty(2);
	uint64_t now = bhi_check_now(), spent = now - work->started_ns;
	uint64_t every = on_terminal ? TERMINAL_NS : LOG_NS;
	char left[32];

	if (work->options->quiet || now - work->last_shown_ns < every)
		return;
	work->last_shown_ns = now;
	format_time(estimate_left(work, spent), left);
	bhi_errf("%s%zu of %zu points, %lu a second, %zu findings, %s left%s",
		on_terminal ? "\r" : "bulkhead: check: ", work->next, work->nr_points,
		work->session.nr_runs * 1000000000 / (spent + 1), work->nr_keys, left,
		on_terminal ? "\033[K" : "\n");
}

void bhi_check_progress_end(struct bhi_check_work *work)
{
	if (!work->options->quiet && isatty(2) && work->last_shown_ns != work->started_ns)
		bhi_errf("\r\033[K");
}
