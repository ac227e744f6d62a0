/* SPDX-License-Identifier: MIT */
/* The report as JSON. docs/report.md documents each field; change both together. */
#include <unistd.h>

#include "api/report_failures.h"
#include "api/report_injected.h"
#include "api/report_tasks.h"

static void put_limit(struct bhi_out *out, const char *key, uint64_t value)
{
	if (value == BH_UNLIMITED)
		bhi_json_str(out, key, NULL);
	else
		bhi_json_u64(out, key, value);
}

static void put_groups(
	struct bhi_out *out, const char *key, const struct bhi_report_groups *groups)
{
	bhi_json_begin(out, key, '{');
	bhi_json_u64(out, "count", groups->nr);
	bhi_json_begin(out, "first", '[');
	for (uint32_t i = 0; i < groups->nr && i < BHI_REPORT_NAMED; i++)
		bhi_json_str(out, NULL, groups->paths[i]);
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}

static void put_verdict(struct bhi_out *out, const struct bhi_report_verdict *verdict)
{
	static const char *const states[] = {
		[BHI_REPORT_OK] = "ok",
		[BHI_REPORT_BELOW_LOW] = "below_low",
		[BHI_REPORT_BELOW_MIN] = "below_min",
	};

	bhi_json_begin(out, "verdict", '{');
	bhi_json_str(out, "zone", states[verdict->state]);
	put_groups(out, "at_max", &verdict->at_max);
	put_groups(out, "failed", &verdict->failed);
	put_groups(out, "limited", &verdict->limited);
	bhi_report_json_kill_verdict(out, verdict);
	bhi_json_u64(out, "failed_requests", verdict->nr_failed);
	bhi_json_end(out, '}');
}

static void put_zone(struct bhi_out *out, const struct bhi_report_zone *zone)
{
	bhi_json_begin(out, "zone", '{');
	bhi_json_u64(out, "size", bhi_zone.size);
	bhi_json_str(out, "origin", bhi_zone_origin_name(bhi_zone.origin));
	bhi_json_u64(out, "min", bhi_zone.marks.min);
	bhi_json_u64(out, "low", bhi_zone.marks.low);
	bhi_json_u64(out, "high", bhi_zone.marks.high);
	bhi_json_u64(out, "charged", zone->charged);
	bhi_json_u64(out, "free", zone->free);
	bhi_json_u64(out, "reserve", zone->reserve);
	bhi_json_u64(out, "nofail", zone->floor_nofail);
	bhi_json_u64(out, "atomic", zone->floor_atomic);
	bhi_json_u64(out, "stocks", zone->stocks);
	bhi_json_end(out, '}');
}

static void put_memory(struct bhi_out *out, const struct bhi_buddy_stat *pages)
{
	bhi_json_begin(out, "memory", '{');
	bhi_json_u64(out, "taken", pages->taken);
	bhi_json_u64(out, "cached", pages->cached);
	bhi_json_u64(out, "free_resident", pages->dirty);
	bhi_json_u64(out, "free_returned", pages->clean);
	bhi_json_u64(out, "blocks", pages->blocks);
	bhi_json_u64(out, "discards", pages->discards);
	bhi_json_end(out, '}');
}

static void put_begin(struct bhi_out *out, const struct bhi_report_verdict *verdict,
	const struct bhi_report_zone *zone)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-report");
	bhi_json_u64(out, "version", BHI_REPORT_VERSION);
	bhi_json_str(out, "library", bh_version());
	bhi_json_u64(out, "pid", (uint64_t)getpid());
	put_verdict(out, verdict);
	put_zone(out, zone);
	put_memory(out, &zone->pages);
}

static void put_list_begin(struct bhi_out *out, enum bhi_report_list list)
{
	static const char *const keys[] = {
		[BHI_REPORT_LIST_OOMS] = "ooms",
		[BHI_REPORT_LIST_FAILURES] = "failures",
		[BHI_REPORT_LIST_INJECTING] = "injecting",
		[BHI_REPORT_LIST_INJECTIONS] = "injected",
		[BHI_REPORT_LIST_KILLS] = "kills",
		[BHI_REPORT_LIST_TASKS] = "tasks",
		[BHI_REPORT_LIST_GROUPS] = "groups",
		[BHI_REPORT_LIST_CLASSES] = "classes",
		[BHI_REPORT_LIST_CACHES] = "caches",
		[BHI_REPORT_LIST_SHRINKERS] = "shrinkers",
	};

	bhi_json_begin(out, keys[list], '[');
}

static void put_list_end(struct bhi_out *out, enum bhi_report_list list)
{
	(void)list;
	bhi_json_end(out, ']');
}

static void put_events(
	struct bhi_out *out, const char *key, const struct bh_events *events)
{
	bhi_json_begin(out, key, '{');
	bhi_json_u64(out, "low", events->low);
	bhi_json_u64(out, "high", events->high);
	bhi_json_u64(out, "max", events->max);
	bhi_json_u64(out, "oom", events->oom);
	bhi_json_u64(out, "oom_kill", events->oom_kill);
	bhi_json_u64(out, "oom_group_kill", events->oom_group_kill);
	bhi_json_end(out, '}');
}

static void put_stall(struct bhi_out *out, const char *key, const struct bh_stall *stall)
{
	bhi_json_begin(out, key, '{');
	bhi_json_u64(out, "total_ns", stall->total_ns);
	bhi_json_u64(out, "avg10", stall->avg10);
	bhi_json_u64(out, "avg60", stall->avg60);
	bhi_json_u64(out, "avg300", stall->avg300);
	bhi_json_end(out, '}');
}

static void put_group(struct bhi_out *out, const struct bhi_report_group *group)
{
	const struct bh_group_stat *stat = &group->stat;

	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "id", group->id);
	put_limit(out, "parent", group->depth ? group->parent_id : BH_UNLIMITED);
	bhi_json_u64(out, "depth", group->depth);
	bhi_json_str(out, "name", group->name);
	bhi_json_str(out, "path", group->path);
	bhi_json_u64(out, "usage", stat->usage);
	bhi_json_u64(out, "peak", stat->peak);
	put_limit(out, "min", stat->min);
	put_limit(out, "low", stat->low);
	put_limit(out, "high", stat->high);
	put_limit(out, "max", stat->max);
	bhi_json_u64(out, "emin", stat->emin);
	bhi_json_u64(out, "elow", stat->elow);
	bhi_json_u64(out, "failcnt", stat->failcnt);
	bhi_json_u64(out, "external", stat->external);
	bhi_json_u64(out, "left_behind", stat->left_behind);
	bhi_json_u64(out, "overdraft", stat->overdraft);
	bhi_json_u64(out, "children", stat->nr_children);
	bhi_json_str(out, "on_limit", stat->on_limit == BH_KILL ? "kill" : "fail");
	bhi_json_str(out, "on_limit_private",
		group->on_limit_private == BH_KILL ? "kill" : "fail");
	bhi_json_bool(out, "oom_group", stat->oom_group);
	put_events(out, "events", &stat->events);
	put_events(out, "events_local", &stat->local);
	put_stall(out, "some", &stat->some);
	put_stall(out, "full", &stat->full);
	bhi_json_end(out, '}');
}

static void put_class(struct bhi_out *out, const struct bhi_report_class *class)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "size", class->size);
	bhi_json_u64(out, "live", class->nr_live);
	bhi_json_u64(out, "objects", class->nr_objects);
	bhi_json_u64(out, "slabs", class->nr_slabs);
	bhi_json_u64(out, "slabs_shared", class->nr_shared);
	bhi_json_u64(out, "bytes", class->bytes);
	bhi_json_end(out, '}');
}

static void put_cache(struct bhi_out *out, const struct bhi_cache_info *cache)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "name", cache->name);
	bhi_json_u64(out, "size", cache->object_size);
	bhi_json_u64(out, "stride", cache->stride);
	bhi_json_u64(out, "live", cache->nr_live);
	bhi_json_u64(out, "objects", cache->nr_objects);
	bhi_json_u64(out, "slabs", cache->nr_slabs);
	bhi_json_u64(out, "bytes", cache->bytes);
	bhi_json_end(out, '}');
}

static void put_shrinker(struct bhi_out *out, const struct bhi_report_shrinker *shrinker)
{
	const struct bhi_shrinker_info *info = &shrinker->info;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "name", info->name);
	bhi_json_str(out, "group", info->global ? NULL : shrinker->path);
	bhi_json_u64(out, "calls", info->nr_calls);
	bhi_json_u64(out, "freed", info->nr_freed);
	bhi_json_u64(out, "deferred", info->nr_deferred);
	bhi_json_end(out, '}');
}

static void put_end(struct bhi_out *out, const struct bhi_background_stat *background,
	const struct bhi_report_overhead *overhead)
{
	bhi_json_begin(out, "background", '{');
	bhi_json_u64(out, "wakeups", background->wakeups);
	bhi_json_u64(out, "runs", background->runs);
	bhi_json_u64(out, "reclaimed", background->reclaimed);
	bhi_json_u64(out, "failures", background->failures);
	bhi_json_end(out, '}');
	bhi_json_begin(out, "overhead", '{');
	bhi_json_u64(out, "metadata", overhead->metadata);
	bhi_json_u64(out, "page_structs", overhead->page_structs);
	bhi_json_u64(out, "slab_descriptors", overhead->descriptors);
	bhi_json_u64(out, "threads", overhead->nr_threads);
	bhi_json_end(out, '}');
	bhi_json_end(out, '}');
}

const struct bhi_report_rendering bhi_report_json = {
	.begin = put_begin,
	.list_begin = put_list_begin,
	.oom = bhi_report_json_oom,
	.failure = bhi_report_json_failure,
	.injecting = bhi_report_json_injecting,
	.injection = bhi_report_json_injection,
	.kills = bhi_report_json_kills,
	.task = bhi_report_json_task,
	.tasks = bhi_report_json_tasks,
	.group = put_group,
	.class = put_class,
	.cache = put_cache,
	.shrinker = put_shrinker,
	.list_end = put_list_end,
	.private = bhi_report_json_private,
	.end = put_end,
};
