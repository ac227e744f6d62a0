/* SPDX-License-Identifier: MIT */
/* What must hold of the library's figures, by the model's. */
#include <sched.h>

#include "account/stock.h"
#include "alloc/cache.h"
#include "alloc/heap.h"
#include "alloc/slab.h"

#include "support_model.h"

/* Looks before a disagreement counts as one that stays. */
#define MAX_LOOKS 1000

static void check_knobs(struct model_group *group, const struct bh_group_stat *stat)
{
	model_require(stat->min == group->min && stat->low == group->low &&
			      stat->high == group->high &&
			      stat->max == model_load(&group->max),
		"limits of '%s'", group->name);
	model_require((uint32_t)stat->on_limit == group->on_limit &&
			      stat->oom_group == group->oom_group,
		"policy of '%s'", group->name);
}

/* Counts never fall, and the group's own are part of all. */
static void check_events(struct model_group *group, const struct bh_group_stat *stat)
{
	const struct bh_events *now = &stat->events, *last = &group->last_events;

	model_require(now->low >= last->low && now->high >= last->high &&
			      now->max >= last->max && now->oom >= last->oom &&
			      now->oom_kill >= last->oom_kill &&
			      stat->failcnt >= group->last_failcnt,
		"events of '%s' went back", group->name);
	group->last_events = *now;
	group->last_failcnt = stat->failcnt;
}

void model_group_check(struct model_group *group, bool owner)
{
	int64_t allocated = model_load(&group->allocated);
	struct bh_group_stat stat;
	int64_t least;

	model_require(bh_group_stat(group->group, &stat) == 0, "stat");
	least = allocated - model_load(&group->freed);
	model_require((int64_t)stat.usage >= least, "usage of '%s' is %ld, below %ld",
		group->name, (long)stat.usage, (long)least);
	/* Written by chargers after the test, without a lock: not always the highest. */
	model_require(stat.peak > 0 || !stat.usage, "no peak in '%s'", group->name);
	if (owner && group->parent) {
		check_knobs(group, &stat);
		check_events(group, &stat);
	}
}

static int audit(void)
{
	int r = 0;

	for (int looks = 0; looks < MAX_LOOKS; looks++) {
		r = bh_audit();
		if (r <= 0)
			break;
		sched_yield();
	}
	return r;
}

static void check_exact(struct model_group *group, const struct bh_group_stat *stat)
{
	int64_t live = model_load(&group->allocated) - model_load(&group->freed);
	int64_t slots = model_load(&group->had_children) ? 4 : 1;
	int64_t over = (int64_t)stat->usage - live;

	model_require(live == model_load(&group->wanted) - model_load(&group->returned),
		"the model contradicts itself in '%s'", group->name);
	model_require(over <= (int64_t)model.nr_threads * slots * BHI_STOCK_BATCH,
		"usage of '%s' is %ld, in use are %ld", group->name, (long)stat->usage,
		(long)live);
}

/* What holds only while nobody calls. */
static void check_quiet(struct model_group *group)
{
	struct bh_group_stat stat;

	model_group_check(group, true);
	model_require(bh_group_stat(group->group, &stat) == 0, "stat");
	model_require(stat.external == (uint64_t)model_load(&group->external),
		"%lu bytes of bh_charge in '%s' instead of %ld",
		(unsigned long)stat.external, group->name,
		(long)model_load(&group->external));
	model_require(stat.nr_children == (uint32_t)model_load(&group->nr_children),
		"%u children of '%s'", stat.nr_children, group->name);
	model_require(model_load(&group->excused) || stat.usage <= stat.max,
		"usage of '%s' is %lu, max %lu", group->name, (unsigned long)stat.usage,
		(unsigned long)stat.max);
	if (stat.usage <= stat.max)
		model_store(&group->excused, 0);
	if (group->exact)
		check_exact(group, &stat);
	model_store(&group->max_least, model_load(&group->max));
}

static void check_live(void)
{
	int64_t live[MODEL_NR_SIZES] = {0};
	uint32_t nr = bhi_load(&bhi_slabs.nr);

	for (uint32_t i = 0; i < nr; i++) {
		const struct bhi_slab *slab = &bhi_slabs.array[i];

		if (bhi_load(&slab->state) != BHI_SLAB_UNUSED && !bhi_load(&slab->cache))
			live[bhi_load(&slab->class_id)] += bhi_slab_nr_live(slab);
	}
	for (unsigned i = 0; i < MODEL_NR_SIZES; i++)
		model_require(live[i] == model_load(&model.nr_live[i]),
			"%ld objects of class %u are live instead of %ld", (long)live[i],
			i, (long)model.nr_live[i]);
}

static void check_caches(void)
{
	struct bhi_cache_info info;

	for (unsigned i = 0; i < MODEL_NR_CACHES; i++) {
		model_require(bhi_cache_info(i, &info), "cache %u is gone", i);
		model_require(
			(int64_t)info.nr_live == model_load(&model.caches[i].nr_live),
			"%lu objects of %s are live instead of %ld",
			(unsigned long)info.nr_live, info.name,
			(long)model.caches[i].nr_live);
	}
}

void model_check(struct model_group *const *groups)
{
	int r = audit();

	model_require(r == 0, "the audit finds %d disagreements", r);
	for (; *groups; groups++)
		check_quiet(*groups);
	check_live();
	check_caches();
}

void model_check_empty(struct model_group *group)
{
	struct bh_group_stat stat = {0};

	for (int looks = 0; looks < MAX_LOOKS; looks++) {
		bhi_heaps_collect(group->group);
		bhi_stock_drain(group->group);
		model_require(bh_group_stat(group->group, &stat) == 0, "stat");
		if (!stat.usage)
			return;
		sched_yield();
	}
	model_fail(__FILE__, __LINE__, "!usage", "%lu bytes stay charged to '%s'",
		(unsigned long)stat.usage, group->name);
}
