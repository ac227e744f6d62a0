/* SPDX-License-Identifier: MIT */
/*
 * Who is killed: pure, so that it is tested as a table. The rules are those of Linux
 * mm/oom_kill.c, oom_badness() and oom_evaluate_task(), with tasks for processes.
 */
#ifndef BHI_OOM_CHOOSE_H
#define BHI_OOM_CHOOSE_H

#include "base/compiler.h"

/* What is known of a task when it is looked at. */
struct bhi_oom_candidate {
	uint64_t bytes;  /* private memory */
	int32_t adj;     /* -1000 to 1000 */
	bool is_victim;  /* somebody kills it already */
	bool is_skipped; /* nothing more will come back from it */
	bool is_inside;  /* a thread is: killing it ends a request for memory */
};

enum bhi_oom_verdict {
	BHI_OOM_PASS,  /* not this one */
	BHI_OOM_TAKE,  /* better than the best so far */
	BHI_OOM_ABORT, /* a victim is not finished: nobody else is killed */
};

#define BHI_OOM_NEVER INT64_MIN

/*
 * Pages of the task plus adj thousandths of the total, by integer division: with less
 * than 1000 pages in all, adj means nothing but never. BHI_OOM_NEVER for those that are
 * never killed: adj -1000, and idle tasks that have nothing. Context: signal-safe.
 */
int64_t bhi_oom_points(const struct bhi_oom_candidate *candidate, uint64_t total_bytes);

/* One step of the scan; *@best starts as BHI_OOM_NEVER. Of equals the later one is taken.
 * Context: signal-safe. */
enum bhi_oom_verdict bhi_oom_consider(
	const struct bhi_oom_candidate *candidate, uint64_t total_bytes, int64_t *best);

#endif
