/* SPDX-License-Identifier: MIT */
#include "charge/failures.h"

#include <string.h>

#include "base/sys.h"

uint64_t bhi_failure_interval_ns = 10 * BHI_NS_PER_SEC;

static struct {
	/* atomic */
	uint64_t nr;
	uint64_t last_ns; /* of the newest record, 0: none; written under .lock */
	/* protected by .lock */
	struct bhi_lock lock;
	struct bhi_failure ring[BHI_FAILURES];
	uint64_t nr_records;
	uint64_t last; /* number of the newest record */
} state = {.lock = BHI_LOCK_INIT(BHI_RANK_FAILURES)};

static bool is_due(uint64_t now)
{
	uint64_t last = bhi_load(&state.last_ns);

	return !last || (int64_t)(now - last) >= (int64_t)bhi_failure_interval_ns;
}

static void describe(struct bhi_failure *failure, const struct bh_group *group,
	const struct bh_group *over)
{
	const struct bh_task *asker = bhi_task_current;

	bhi_group_path(group, failure->group, sizeof(failure->group));
	bhi_group_path(over, failure->over, sizeof(failure->over));
	if (asker)
		memcpy(failure->asker, asker->name, sizeof(failure->asker));
}

static void record(struct bhi_failure *failure) BH_REQUIRES(state.lock)
{
	bhi_assert_held(&state.lock);
	/* Somebody else was quicker, perhaps with a later number. */
	if (!is_due(failure->time_ns) || failure->number <= state.last)
		return;
	failure->missed = failure->number - state.last - 1;
	state.last = failure->number;
	state.ring[state.nr_records++ % BHI_FAILURES] = *failure;
	bhi_store(&state.last_ns, failure->time_ns);
}

/* With a try: who loses is one of those without a record. */
void bhi_failure_note(const struct bh_group *group, const struct bh_group *over,
	int64_t size, unsigned flags)
{
	struct bhi_failure failure = {.size = (uint64_t)size, .flags = flags};

	if (flags & (BH_NOWARN | BH_NOWAIT))
		return;
	failure.number = bhi_add_return(&state.nr, 1);
	failure.time_ns = bhi_sys_now_ns();
	if (!is_due(failure.time_ns))
		return;
	describe(&failure, group, over);
	if (!bhi_lock_try(&state.lock))
		return;
	record(&failure);
	bhi_lock_release(&state.lock);
}

bool bhi_failure_read(unsigned index, struct bhi_failure *ret)
{
	bool found;

	bhi_lock_acquire(&state.lock);
	found = index < state.nr_records && index < BHI_FAILURES;
	if (found)
		*ret = state.ring[(state.nr_records - 1 - index) % BHI_FAILURES];
	bhi_lock_release(&state.lock);
	return found;
}

uint64_t bhi_failures_count(void)
{
	return bhi_load(&state.nr);
}
