/* SPDX-License-Identifier: MIT */
#include "base/sys.h"
#include "oom/oom.h"

/* How long a caller that lost the race lets the winner work: a kernel tick. */
#define TICK_NS BHI_NS_PER_MS

struct bhi_lock bhi_oom_lock = BHI_LOCK_INIT(BHI_RANK_OOM);
bool (*bhi_oom_killer)(struct bh_group *over, int64_t size);

bool bhi_oom(struct bh_group *over, int64_t size)
{
	bool progress;

	/* Losing is progress: the winner frees memory for both, and a second kill for one
	 * shortage is what the lock is there to prevent. */
	if (!bhi_lock_try(&bhi_oom_lock)) {
		bhi_sys_pause(TICK_NS);
		return true;
	}
	/* The last look asks for more than the request needs, the high mark: memory that
	 * is coming back in bulk is worth waiting for. */
	progress = bhi_counter_margin(&over->counter, BHI_RESERVE_HIGH) >= size ||
		   (bhi_oom_killer && bhi_oom_killer(over, size));
	bhi_lock_release(&bhi_oom_lock);
	return progress;
}
