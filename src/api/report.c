/* SPDX-License-Identifier: MIT */
/* The walk; see report.h. */
#include <errno.h>
#include <string.h>

#include "account/stock.h"
#include "alloc/slab.h"
#include "api/report.h"
#include "api/report_failures.h"
#include "api/report_injected.h"
#include "api/report_tasks.h"
#include "api/start.h"
#include "base/pool.h"
#include "base/process.h"
#include "base/sys.h"
#include "task/overdraft.h"

struct walk {
	struct bhi_out out;
	const struct bhi_report_rendering *rendering;
};

static uint64_t positive(int64_t value)
{
	return value > 0 ? (uint64_t)value : 0;
}

static uint64_t limit_of(int64_t value)
{
	return value == BHI_COUNTER_MAX ? BH_UNLIMITED : positive(value);
}

/* Bytes charged in advance to a group and its descendants. */
struct stocks {
	const struct bh_group *within;
	uint64_t sum;
};

static void add_stock(struct bh_group *group, int64_t size, int64_t external, void *arg)
{
	struct stocks *stocks = arg;

	(void)external;
	if (bhi_group_is_within(group, stocks->within))
		stocks->sum += positive(size);
}

static uint64_t read_stocks(const struct bh_group *group)
{
	struct stocks stocks = {.within = group};

	bhi_stock_for_each(add_stock, &stocks);
	return stocks.sum;
}

static void read_zone(struct bhi_report_zone *ret)
{
	const struct bhi_counter *root = &bhi_group_root()->counter;

	*ret = (struct bhi_report_zone){
		.charged = positive(bhi_load(&root->usage)),
		.free = positive(bhi_counter_free(root)),
		.reserve = bhi_zone.marks.min,
		.floor_nofail =
			(uint64_t)bhi_zone_floor(&bhi_zone.marks, BHI_RESERVE_HALF),
		.floor_atomic =
			(uint64_t)bhi_zone_floor(&bhi_zone.marks, BHI_RESERVE_ATOMIC),
	};
	ret->stocks = read_stocks(bhi_group_root());
	bhi_buddy_stat(&ret->pages);
}

/* What stocks hold is there for the asking, and takes a look at all threads to know: only
 * where it makes the difference. */
static bool is_at_max(const struct bh_group *group)
{
	uint64_t margin = positive(bhi_counter_margin(&group->counter, BHI_RESERVE_NONE));

	if (!group->parent || margin >= BHI_PAGE_SIZE)
		return false;
	return !bhi_load(&group->counter.usage) ||
	       margin + read_stocks(group) < BHI_PAGE_SIZE;
}

static bool has_event(const struct bh_group *group, enum bhi_event event)
{
	return bhi_load(&group->local_events[event]);
}

static void add_group(struct bhi_report_groups *groups, const struct bh_group *group)
{
	if (groups->nr < BHI_REPORT_NAMED)
		bhi_group_path(group, groups->paths[groups->nr], BHI_REPORT_PATH_SIZE);
	groups->nr++;
}

static void judge_group(struct bhi_report_verdict *verdict, const struct bh_group *group)
{
	bool at_max = is_at_max(group), failed = has_event(group, BHI_EVENT_OOM);

	if (at_max)
		add_group(&verdict->at_max, group);
	if (failed)
		add_group(&verdict->failed, group);
	if (!at_max && !failed && has_event(group, BHI_EVENT_MAX))
		add_group(&verdict->limited, group);
}

/* The verdict stands in the first line, so it takes a walk of its own. */
static void judge(const struct bhi_report_zone *zone, struct bhi_report_verdict *ret)
{
	struct bh_group *group = NULL;

	ret->state = zone->free < bhi_zone.marks.min   ? BHI_REPORT_BELOW_MIN
		     : zone->free < bhi_zone.marks.low ? BHI_REPORT_BELOW_LOW
						       : BHI_REPORT_OK;
	ret->at_max.nr = ret->failed.nr = ret->limited.nr = 0;
	while ((group = bhi_group_next(bhi_group_root(), group)))
		judge_group(ret, group);
	bhi_report_judge_kills(ret);
	ret->nr_failed = bhi_failures_count();
}

static void begin(struct walk *walk)
{
	struct bhi_report_verdict verdict;
	struct bhi_report_zone zone;

	read_zone(&zone);
	judge(&zone, &verdict);
	walk->rendering->begin(&walk->out, &verdict, &zone);
}

static struct bh_events copy_events(const uint64_t *events)
{
	return (struct bh_events){
		.low = bhi_load(&events[BHI_EVENT_LOW]),
		.high = bhi_load(&events[BHI_EVENT_HIGH]),
		.max = bhi_load(&events[BHI_EVENT_MAX]),
		.oom = bhi_load(&events[BHI_EVENT_OOM]),
		.oom_kill = bhi_load(&events[BHI_EVENT_OOM_KILL]),
		.oom_group_kill = bhi_load(&events[BHI_EVENT_OOM_GROUP_KILL]),
	};
}

/*
 * As bh_group_stat(), but for what threads hold of .external: that would stop all of them
 * once for each of perhaps 100,000 groups.
 */
static struct bh_group_stat read_stat(struct bh_group *group)
{
	const struct bhi_counter *counter = &group->counter;
	struct bh_group_stat stat = {
		.usage = positive(bhi_load(&counter->usage)),
		.peak = positive(bhi_load(&counter->peak)),
		.min = limit_of(bhi_load(&counter->min)),
		.low = limit_of(bhi_load(&counter->low)),
		.high = limit_of(bhi_load(&counter->high)),
		.max = limit_of(bhi_load(&counter->max)),
		.emin = positive(bhi_load(&counter->emin)),
		.elow = positive(bhi_load(&counter->elow)),
		.failcnt = bhi_load(&counter->failcnt),
		.external = positive(bhi_load(&group->external)),
		.left_behind = bhi_group_left_behind(group),
		.events = copy_events(group->events),
		.local = copy_events(group->local_events),
		.nr_children = bhi_load(&group->nr_children),
		.oom_group = bhi_load(&group->oom_group),
		.on_limit = (enum bh_on_limit)bhi_load(&group->on_limit),
		.overdraft = bhi_overdraft_of(group),
	};

	bhi_stall_clock_read(&group->stall, bhi_sys_now_ns(), &stat.some, &stat.full);
	return stat;
}

static void read_group(struct bh_group *group, struct bhi_report_group *ret)
{
	const struct bh_group *parent = group->parent ? group->parent : group;

	ret->name = group->name;
	bhi_group_path(group, ret->path, sizeof(ret->path));
	ret->id = group->id;
	ret->parent_id = parent->id;
	ret->depth = group->depth;
	ret->stat = read_stat(group);
	ret->on_limit_private =
		bhi_load(&group->on_limit_set) ? ret->stat.on_limit : BH_KILL;
	ret->parent_usage = group == parent ? ret->stat.usage
					    : positive(bhi_load(&parent->counter.usage));
}

static void walk_ooms(struct walk *walk)
{
	bhi_report_walk_ooms(&walk->out, walk->rendering);
}

static void walk_failures(struct walk *walk)
{
	bhi_report_walk_failures(&walk->out, walk->rendering);
}

static void walk_injecting(struct walk *walk)
{
	bhi_report_walk_injecting(&walk->out, walk->rendering);
}

static void walk_injections(struct walk *walk)
{
	bhi_report_walk_injections(&walk->out, walk->rendering);
}

static void walk_kills(struct walk *walk)
{
	for (unsigned i = 0; i < BHI_VICTIM_STATES; i++)
		walk->rendering->kills(&walk->out, (enum bh_victim_state)i);
}

static void walk_tasks(struct walk *walk)
{
	if (walk->rendering->task)
		bhi_report_walk_tasks(&walk->out, walk->rendering);
}

static void sum_tasks(struct walk *walk)
{
	struct bhi_report_tasks tasks;

	bhi_report_sum_tasks(&tasks);
	walk->rendering->tasks(&walk->out, &tasks);
}

static void walk_groups(struct walk *walk)
{
	struct bhi_report_group item;
	struct bh_group *group = NULL;

	while ((group = bhi_group_next(bhi_group_root(), group))) {
		/* Nobody reads it any more: a large tree is not worth going on. */
		if (walk->out.error) {
			bhi_group_put(group);
			return;
		}
		read_group(group, &item);
		walk->rendering->group(&walk->out, &item);
	}
}

/*
 * Descriptors are read while their slabs come and go: each is of the type whatever
 * happens, and a slab that changes hands at this moment counts as either.
 */
static void add_slab(const struct bhi_slab *slab, struct bhi_report_class *classes)
{
	unsigned class_id = bhi_load(&slab->class_id);
	uint8_t state = bhi_load(&slab->state);
	struct bhi_report_class *class = &classes[class_id];

	if (state == BHI_SLAB_UNUSED || bhi_load(&slab->cache) ||
		class_id >= BHI_NR_CLASSES)
		return;
	class->nr_slabs++;
	class->nr_shared += state == BHI_SLAB_SHARED;
	class->nr_objects += bhi_load(&slab->nr_objects);
	class->nr_live += bhi_slab_nr_live(slab);
	class->bytes += bhi_slab_bytes(slab);
}

static void walk_classes(struct walk *walk)
{
	struct bhi_report_class classes[BHI_NR_CLASSES];
	uint32_t nr = bhi_load(&bhi_slabs.nr);

	memset(classes, 0, sizeof(classes));
	for (uint32_t i = 0; i < nr; i++)
		add_slab(&bhi_slabs.array[i], classes);
	for (unsigned i = 0; i < BHI_NR_CLASSES; i++) {
		classes[i].size = bhi_class_sizes[i];
		if (classes[i].nr_slabs)
			walk->rendering->class(&walk->out, &classes[i]);
	}
}

static void walk_caches(struct walk *walk)
{
	struct bhi_cache_info info;

	for (unsigned i = 0; !walk->out.error && bhi_cache_info(i, &info); i++)
		walk->rendering->cache(&walk->out, &info);
}

/* The shrinker may be gone by now and its group with it: the lock keeps whatever group
 * has the id. */
static void copy_path(uint32_t group_id, char *buf, size_t size)
{
	struct bh_group *group;

	bhi_lock_acquire(&bhi_group_tree_lock);
	group = bhi_group_by_id(group_id);
	if (group)
		bhi_group_path(group, buf, size);
	bhi_lock_release(&bhi_group_tree_lock);
}

static void walk_shrinkers(struct walk *walk)
{
	struct bhi_report_shrinker item;

	for (unsigned i = 0; !walk->out.error && bhi_shrinker_info(i, &item.info); i++) {
		item.path[0] = '\0';
		if (!item.info.global)
			copy_path(item.info.group_id, item.path, sizeof(item.path));
		walk->rendering->shrinker(&walk->out, &item);
	}
}

static void end(struct walk *walk)
{
	struct bhi_background_stat background;
	struct bhi_report_overhead overhead;
	struct bhi_report_private private;
	struct bhi_buddy_stat pages;

	bhi_report_read_private(&private);
	walk->rendering->private(&walk->out, &private);
	bhi_background_stat(&background);
	bhi_buddy_stat(&pages);
	overhead = (struct bhi_report_overhead){
		.metadata = bhi_meta_bytes(),
		.page_structs = pages.metadata,
		.descriptors = bhi_load(&bhi_slabs.nr) * sizeof(struct bhi_slab),
		.nr_threads = bhi_threads_count(),
	};
	walk->rendering->end(&walk->out, &background, &overhead);
}

static int write_report(int fd, const struct bhi_report_rendering *rendering)
{
	static void (*const lists[])(struct walk * walk) = {
		[BHI_REPORT_LIST_OOMS] = walk_ooms,
		[BHI_REPORT_LIST_FAILURES] = walk_failures,
		[BHI_REPORT_LIST_INJECTING] = walk_injecting,
		[BHI_REPORT_LIST_INJECTIONS] = walk_injections,
		[BHI_REPORT_LIST_KILLS] = walk_kills,
		[BHI_REPORT_LIST_TASKS] = walk_tasks,
		[BHI_REPORT_LIST_GROUPS] = walk_groups,
		[BHI_REPORT_LIST_CLASSES] = walk_classes,
		[BHI_REPORT_LIST_CACHES] = walk_caches,
		[BHI_REPORT_LIST_SHRINKERS] = walk_shrinkers,
	};
	struct walk walk = {.rendering = rendering};

	bhi_out_init(&walk.out, fd);
	begin(&walk);
	for (unsigned i = 0; i < bhi_array_size(lists); i++) {
		rendering->list_begin(&walk.out, (enum bhi_report_list)i);
		lists[i](&walk);
		rendering->list_end(&walk.out, (enum bhi_report_list)i);
		if (i == BHI_REPORT_LIST_TASKS)
			sum_tasks(&walk);
	}
	end(&walk);
	return bhi_out_flush(&walk.out);
}

BHI_API int bh_report_write(int fd, enum bh_format format)
{
	int r = bhi_start();

	if (r)
		return r;
	if (fd < 0 || (format != BH_TEXT && format != BH_JSON) || bhi_process_inert())
		return -EINVAL;
	return write_report(fd, format == BH_JSON ? &bhi_report_json : &bhi_report_text);
}
