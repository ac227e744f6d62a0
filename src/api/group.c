/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "account/protection.h"
#include "account/stock.h"
#include "account/waiters.h"
#include "alloc/freed.h"
#include "alloc/heap.h"
#include "alloc/run.h"
#include "alloc/small.h"
#include "api/names.h"
#include "api/start.h"
#include "base/sys.h"
#include "charge/charge.h"
#include "reclaim/reclaim.h"
#include "task/overdraft.h"
#include "task/section.h"

BHI_API struct bh_group *bh_root(void)
{
	int r = bhi_start();

	if (r) {
		errno = -r;
		return NULL;
	}
	return bhi_group_root();
}

BHI_API struct bh_group *bh_group_new(struct bh_group *parent, const char *name)
{
	char own_name[BHI_GROUP_NAME_SIZE];
	struct bh_group *group;

	parent = bhi_api_group(parent);
	if (!parent)
		return NULL;
	if (!bhi_name_read(own_name, name) || bhi_load(&parent->offline)) {
		errno = EINVAL;
		return NULL;
	}
	group = bhi_process_inert() ? NULL : bhi_group_new(parent, own_name);
	if (!group)
		errno = ENOMEM;
	return group;
}

BHI_API struct bh_group *bh_group_get(struct bh_group *group)
{
	if (group && !bhi_process_inert())
		bhi_group_get(group);
	return group;
}

BHI_API void bh_group_put(struct bh_group *group)
{
	/* The root is everybody's and stays. */
	if (group && group->parent && !bhi_process_inert())
		bhi_group_put(group);
}

static int64_t clamp_size(uint64_t value)
{
	return (int64_t)bhi_min(value, (uint64_t)BHI_COUNTER_MAX);
}

static int set_limit(struct bh_group *group, enum bh_knob knob, uint64_t value)
{
	struct bhi_counter *counter = &group->counter;
	int64_t size = clamp_size(value);

	if (!group->parent)
		return -EINVAL;
	switch (knob) {
	case BH_MIN:
		bhi_counter_set_min(counter, size);
		return 0;
	case BH_LOW:
		bhi_counter_set_low(counter, size);
		return 0;
	case BH_HIGH:
		bhi_store(&counter->high, size);
		if (bhi_load(&counter->usage) > size)
			bhi_charge_enforce_high(group);
		return 0;
	default:
		bhi_store(&counter->max, size);
		if (bhi_load(&counter->usage) > size)
			bhi_charge_enforce_max(group);
		return 0;
	}
}

static int set_policy(uint32_t *policy, uint64_t value, uint64_t most)
{
	if (value > most)
		return -EINVAL;
	bhi_store(policy, (uint32_t)value);
	return 0;
}

BHI_API int bh_group_set(struct bh_group *group, enum bh_knob knob, uint64_t value)
{
	int r = -EINVAL;

	if (!group || bhi_process_inert())
		return -EINVAL;
	switch (knob) {
	case BH_MIN:
	case BH_LOW:
	case BH_HIGH:
	case BH_MAX:
		r = set_limit(group, knob, value);
		break;
	case BH_OOM_GROUP:
		r = set_policy(&group->oom_group, value, 1);
		break;
	case BH_ON_LIMIT:
		r = set_policy(&group->on_limit, value, BH_KILL);
		if (!r)
			bhi_store(&group->on_limit_set, 1);
		break;
	}
	if (r)
		return r;
	/* What was hopeless may no longer be. */
	bhi_waiters_wake_all();
	/* A killed caller has waited for nothing. */
	if (bhi_task_current)
		(void)bhi_task_check(bhi_task_current);
	return 0;
}

static uint64_t limit_out(int64_t value)
{
	return value == BHI_COUNTER_MAX ? BH_UNLIMITED : (uint64_t)value;
}

static uint64_t count_out(int64_t value)
{
	return value > 0 ? (uint64_t)value : 0;
}

static void copy_events(const uint64_t *events, struct bh_events *ret)
{
	ret->low = bhi_load(&events[BHI_EVENT_LOW]);
	ret->high = bhi_load(&events[BHI_EVENT_HIGH]);
	ret->max = bhi_load(&events[BHI_EVENT_MAX]);
	ret->oom = bhi_load(&events[BHI_EVENT_OOM]);
	ret->oom_kill = bhi_load(&events[BHI_EVENT_OOM_KILL]);
	ret->oom_group_kill = bhi_load(&events[BHI_EVENT_OOM_GROUP_KILL]);
}

BHI_API int bh_group_stat(struct bh_group *group, struct bh_group_stat *ret)
{
	const struct bhi_counter *counter;
	int64_t external, emin, elow;
	struct bh_group_stat stat;

	if (!group || !ret || bhi_process_inert())
		return -EINVAL;
	counter = &group->counter;
	bhi_stock_held(group, &external);
	bhi_protection_read(counter, &emin, &elow);
	stat = (struct bh_group_stat){
		.usage = count_out(bhi_load(&counter->usage)),
		.peak = count_out(bhi_load(&counter->peak)),
		.min = limit_out(bhi_load(&counter->min)),
		.low = limit_out(bhi_load(&counter->low)),
		.high = limit_out(bhi_load(&counter->high)),
		.max = limit_out(bhi_load(&counter->max)),
		.emin = limit_out(emin),
		.elow = limit_out(elow),
		.failcnt = bhi_load(&counter->failcnt),
		.external = count_out(bhi_load(&group->external) + external),
		.left_behind = bhi_group_left_behind(group),
		.nr_children = bhi_load(&group->nr_children),
		.oom_group = bhi_load(&group->oom_group),
		.on_limit = (enum bh_on_limit)bhi_load(&group->on_limit),
		.overdraft = bhi_overdraft_of(group),
	};
	copy_events(group->events, &stat.events);
	copy_events(group->local_events, &stat.local);
	bhi_stall_clock_read(&group->stall, bhi_sys_now_ns(), &stat.some, &stat.full);
	/* @ret may be private memory, which is touched with no lock held. */
	*ret = stat;
	return 0;
}

BHI_API int bh_group_drop(struct bh_group *group)
{
	if (!group || bhi_process_inert())
		return -EINVAL;
	bhi_freed_drop_from(__builtin_return_address(0));
	bhi_heaps_drop(group);
	bhi_small_drop(group);
	bhi_runs_drop(group);
	bhi_freed_drop_from(NULL);
	bhi_stock_drain_unused(group);
	return 0;
}

BHI_API int bh_group_reclaim(struct bh_group *group, size_t size, unsigned flags)
{
	uint64_t sum = 0;
	int fruitless = 0;

	if (!group || !bhi_flags_are_valid(flags) || bhi_process_inert())
		return -EINVAL;
	while (sum < size) {
		struct bhi_reclaim_result r = bhi_reclaim(group, size - sum, flags);

		sum += r.reclaimed;
		if (!r.reclaimed &&
			(!r.reclaimable || fruitless++ >= BHI_MAX_RECLAIM_RETRIES))
			return -EAGAIN;
	}
	return 0;
}

BHI_API int bh_charge(struct bh_group *group, size_t size, unsigned flags)
{
	group = bhi_api_group(group);
	if (bhi_unlikely(!group))
		return -ENOMEM;
	if (bhi_unlikely(size > INT64_MAX || !bhi_flags_are_valid(flags)))
		return -EINVAL;
	if (bhi_unlikely(!size))
		return 0;
	return bhi_charge(group, (int64_t)size, flags, true);
}

BHI_API void bh_uncharge(struct bh_group *group, size_t size)
{
	group = bhi_api_group(group);
	if (bhi_unlikely(!group || !size || size > INT64_MAX))
		return;
	bhi_uncharge(group, (int64_t)size, true);
}
