/* SPDX-License-Identifier: MIT */
#include "oom/choose.h"

#include "base/sys.h"
#include "task/task.h"

int64_t bhi_oom_points(const struct bhi_oom_candidate *candidate, uint64_t total_bytes)
{
	int64_t total = (int64_t)(total_bytes >> BHI_PAGE_SHIFT);

	if (candidate->adj == BHI_ADJ_UNKILLABLE)
		return BHI_OOM_NEVER;
	if (!candidate->bytes && !candidate->is_inside)
		return BHI_OOM_NEVER;
	return (int64_t)(candidate->bytes >> BHI_PAGE_SHIFT) +
	       candidate->adj * (total / BHI_ADJ_MAX);
}

enum bhi_oom_verdict bhi_oom_consider(
	const struct bhi_oom_candidate *candidate, uint64_t total_bytes, int64_t *best)
{
	int64_t points;

	if (candidate->is_victim)
		return candidate->is_skipped ? BHI_OOM_PASS : BHI_OOM_ABORT;
	points = bhi_oom_points(candidate, total_bytes);
	if (points == BHI_OOM_NEVER || points < *best)
		return BHI_OOM_PASS;
	*best = points;
	return BHI_OOM_TAKE;
}
