/* SPDX-License-Identifier: MIT */
/*
 * The report as text, for somebody who was woken by it: the verdict first, then from the
 * zone down to the details. Groups, caches and shrinkers that have nothing to say take
 * one line each, events and stalls that are zero none.
 */
#include <unistd.h>

#include "api/report_failures.h"
#include "api/report_injected.h"
#include "api/report_tasks.h"
#include "base/sys.h"

#define NAME_WIDTH 28
#define COLUMN     8

/* Deeper groups stand below each other. */
#define MAX_INDENT 20u

static uint64_t percent(uint64_t part, uint64_t whole)
{
	return whole ? (uint64_t)((unsigned __int128)part * 100 / whole) : 0;
}

static void put_size(struct bhi_out *out, uint64_t size)
{
	bhi_out_size(out, size, COLUMN);
}

static void put_groups(
	struct bhi_out *out, const char *what, const struct bhi_report_groups *groups)
{
	if (!groups->nr)
		return;
	for (uint32_t i = 0; i < groups->nr && i < BHI_REPORT_NAMED; i++)
		bhi_outf(out, "%s %s", i ? "," : what, groups->paths[i]);
	if (groups->nr > BHI_REPORT_NAMED)
		bhi_outf(out, " and %u more", groups->nr - BHI_REPORT_NAMED);
}

static void put_verdict(struct bhi_out *out, const struct bhi_report_verdict *verdict,
	const struct bhi_report_zone *zone)
{
	static const char *const states[] = {
		[BHI_REPORT_OK] = "ok",
		[BHI_REPORT_BELOW_LOW] = "below low",
		[BHI_REPORT_BELOW_MIN] = "below min",
	};

	bhi_outf(out, "bulkhead %s, pid %d: zone %s, ", bh_version(), (int)getpid(),
		states[verdict->state]);
	bhi_out_size(out, zone->free, 0);
	bhi_outf(out, " of ");
	bhi_out_size(out, bhi_zone.size, 0);
	bhi_outf(out, " free");
	put_groups(out, "; at max:", &verdict->at_max);
	put_groups(out, "; out of memory:", &verdict->failed);
	put_groups(out, "; at max before:", &verdict->limited);
	bhi_report_text_kill_verdict(out, verdict);
	bhi_outf(out, "\n");
}

static void put_row(struct bhi_out *out, const char *name, uint64_t size)
{
	bhi_outf(out, "  %-16s ", name);
	put_size(out, size);
}

static void put_zone(struct bhi_out *out, const struct bhi_report_zone *zone)
{
	bhi_outf(out, "\nZone\n");
	put_row(out, "size", bhi_zone.size);
	bhi_outf(out, "  from %s\n", bhi_zone_origin_name(bhi_zone.origin));
	put_row(out, "charged", zone->charged);
	bhi_outf(out, "  %lu %%, ", percent(zone->charged, bhi_zone.size));
	bhi_out_size(out, zone->stocks, 0);
	bhi_outf(out, " of it in advance, for stocks of threads\n");
	put_row(out, "free", zone->free);
	bhi_outf(out, "  %lu %%\n", percent(zone->free, bhi_zone.size));
	put_row(out, "high", bhi_zone.marks.high);
	bhi_outf(out, "  the background reclaimer works until this is free\n");
	put_row(out, "low", bhi_zone.marks.low);
	bhi_outf(out, "  below this it is woken\n");
	put_row(out, "min", bhi_zone.marks.min);
	bhi_outf(out, "  ordinary requests reclaim or fail below this\n");
	put_row(out, "reserve", zone->reserve);
	bhi_outf(out, "  of the free bytes are not for ordinary requests\n");
	put_row(out, "BH_NOFAIL", zone->floor_nofail);
	bhi_outf(out, "  of them those that must not fail leave, and victims\n");
	put_row(out, "BH_ATOMIC", zone->floor_atomic);
	bhi_outf(out, "  of them those that may not wait leave; shrinkers leave none\n");
}

static void put_memory(struct bhi_out *out, const struct bhi_buddy_stat *pages)
{
	bhi_outf(out, "\nPages of shared memory\n");
	put_row(out, "taken", pages->taken);
	bhi_outf(out, "  ");
	bhi_out_size(out, pages->cached, 0);
	bhi_outf(out, " of it in page caches of threads\n");
	put_row(out, "free, resident", pages->dirty);
	bhi_outf(out, "  until it decays\n");
	put_row(out, "free, returned", pages->clean);
	bhi_outf(out, "  to the kernel, in %lu calls, or never touched\n",
		pages->discards);
	put_row(out, "blocks opened", pages->blocks * BHI_BLOCK_SIZE);
	bhi_outf(out, "  %lu of 4M\n", pages->blocks);
}

static void put_begin(struct bhi_out *out, const struct bhi_report_verdict *verdict,
	const struct bhi_report_zone *zone)
{
	put_verdict(out, verdict, zone);
	put_zone(out, zone);
	put_memory(out, &zone->pages);
}

static bool has_kills(void)
{
	for (unsigned i = 0; i < BHI_VICTIM_STATES * BHI_LATENCY_NR; i++) {
		if (bhi_load(&bhi_latency_of((enum bh_victim_state)(i / BHI_LATENCY_NR),
			    (enum bhi_latency_kind)(i % BHI_LATENCY_NR))
				      ->nr))
			return true;
	}
	return false;
}

static void put_list_begin(struct bhi_out *out, enum bhi_report_list list)
{
	switch (list) {
	case BHI_REPORT_LIST_OOMS:
	case BHI_REPORT_LIST_FAILURES:
	case BHI_REPORT_LIST_INJECTING:
	case BHI_REPORT_LIST_INJECTIONS:
		break;
	case BHI_REPORT_LIST_KILLS:
		if (has_kills())
			bhi_outf(out, "\n%-*s%7s%10s%10s%10s\n", NAME_WIDTH,
				"Kill to memory back", "kills", "p50", "p99", "max");
		break;
	case BHI_REPORT_LIST_TASKS:
		bhi_outf(out, "\n%-*s%8s%8s%7s  %s\n", NAME_WIDTH, "Tasks", "private",
			"peak", "adj", "group, state");
		break;
	case BHI_REPORT_LIST_GROUPS:
		bhi_outf(out, "\n%-*s%8s%8s%8s%8s%8s%8s%8s%10s\n", NAME_WIDTH, "Groups",
			"usage", "parent", "peak", "min", "low", "high", "max",
			"failcnt");
		break;
	case BHI_REPORT_LIST_CLASSES:
		bhi_outf(out, "\n%-*s%10s%10s%8s%8s%8s%8s\n", NAME_WIDTH, "Size classes",
			"live", "objects", "slabs", "shared", "bytes", "fill");
		break;
	case BHI_REPORT_LIST_CACHES:
		bhi_outf(out, "\n%-*s%8s%10s%10s%8s%8s%8s\n", NAME_WIDTH - 8, "Caches",
			"size", "live", "objects", "slabs", "bytes", "fill");
		break;
	case BHI_REPORT_LIST_SHRINKERS:
		bhi_outf(out, "\n%-*s%10s%12s%12s  %s\n", NAME_WIDTH, "Shrinkers",
			"calls", "freed", "deferred", "group");
		break;
	}
}

static void put_list_end(struct bhi_out *out, enum bhi_report_list list)
{
	(void)out;
	(void)list;
}

static void put_event(
	struct bhi_out *out, const char **between, const char *name, uint64_t nr)
{
	if (!nr)
		return;
	bhi_outf(out, "%s%s %lu", *between, name, nr);
	*between = ", ";
}

static void put_events(
	struct bhi_out *out, const char *what, const struct bh_events *events)
{
	const char *between = what;

	put_event(out, &between, "low", events->low);
	put_event(out, &between, "high", events->high);
	put_event(out, &between, "max", events->max);
	put_event(out, &between, "oom", events->oom);
	put_event(out, &between, "oom_kill", events->oom_kill);
	put_event(out, &between, "oom_group_kill", events->oom_group_kill);
	if (between != what)
		bhi_outf(out, "\n");
}

static void put_stall(struct bhi_out *out, const char *what, const struct bh_stall *stall)
{
	const uint32_t avg[] = {stall->avg10, stall->avg60, stall->avg300};
	bool is_long = stall->total_ns >= BHI_NS_PER_SEC;
	uint64_t total = stall->total_ns / (is_long ? BHI_NS_PER_MS : 1000);

	if (!stall->total_ns)
		return;
	bhi_outf(out, "      stalled, %s:", what);
	for (size_t i = 0; i < bhi_array_size(avg); i++)
		bhi_outf(out, " %u.%02u", avg[i] / 100, avg[i] % 100);
	bhi_outf(out, " %% over 10, 60, 300 s; %lu.%03lu %s in all\n", total / 1000,
		total % 1000, is_long ? "s" : "ms");
}

static void put_group_line(struct bhi_out *out, const struct bhi_report_group *group)
{
	const struct bh_group_stat *stat = &group->stat;
	const uint64_t limits[] = {stat->min, stat->low, stat->high, stat->max};
	int indent = 2 * (int)bhi_min(group->depth, MAX_INDENT);

	bhi_outf(
		out, "%*s%-*s", indent, "", bhi_max(NAME_WIDTH - indent, 1), group->name);
	put_size(out, stat->usage);
	bhi_outf(out, "%6lu %%", percent(stat->usage, group->parent_usage));
	put_size(out, stat->peak);
	for (size_t i = 0; i < bhi_array_size(limits); i++)
		put_size(out, limits[i]);
	bhi_outf(out, "%10lu\n", stat->failcnt);
}

static void put_group(struct bhi_out *out, const struct bhi_report_group *group)
{
	const struct bh_group_stat *stat = &group->stat;

	put_group_line(out, group);
	put_events(out, "      events: ", &stat->events);
	if (stat->nr_children)
		put_events(out, "      events of its own: ", &stat->local);
	put_stall(out, "some", &stat->some);
	put_stall(out, "full", &stat->full);
	if (stat->external) {
		bhi_outf(out, "      charged by the host: ");
		bhi_out_size(out, stat->external, 0);
		bhi_outf(out, "\n");
	}
	if (stat->left_behind) {
		bhi_outf(out, "      left behind by deleted groups: ");
		bhi_out_size(out, stat->left_behind, 0);
		bhi_outf(out, "\n");
	}
	if (stat->overdraft) {
		bhi_outf(out, "      overdrawn by holders and victims: ");
		bhi_out_size(out, stat->overdraft, 0);
		bhi_outf(out, "\n");
	}
	if (stat->on_limit == BH_KILL)
		bhi_outf(out, "      at its limit: kill%s\n",
			stat->oom_group ? ", the whole group" : "");
	else if (group->on_limit_private == BH_FAIL)
		bhi_outf(out, "      at its limit: fail, private memory too\n");
	else if (stat->oom_group)
		bhi_outf(out, "      a kill takes the whole group\n");
}

static void put_class(struct bhi_out *out, const struct bhi_report_class *class)
{
	bhi_outf(out, "  %-*u%10lu%10lu%8lu%8lu", NAME_WIDTH - 2, class->size,
		class->nr_live, class->nr_objects, class->nr_slabs, class->nr_shared);
	put_size(out, class->bytes);
	bhi_outf(out, "%6lu %%\n", percent(class->nr_live * class->size, class->bytes));
}

static void put_cache(struct bhi_out *out, const struct bhi_cache_info *cache)
{
	bhi_outf(out, "  %-*s%8u%10lu%10lu%8lu", NAME_WIDTH - 10, cache->name,
		cache->object_size, cache->nr_live, cache->nr_objects, cache->nr_slabs);
	put_size(out, cache->bytes);
	bhi_outf(out, "%6lu %%\n", percent(cache->nr_live * cache->stride, cache->bytes));
}

/* Names of shrinkers are whatever their owners gave: they must not end the line. */
static void put_shrinker(struct bhi_out *out, const struct bhi_report_shrinker *shrinker)
{
	const struct bhi_shrinker_info *info = &shrinker->info;
	char name[sizeof(info->name)];
	size_t i;

	for (i = 0; info->name[i]; i++) {
		unsigned char c = (unsigned char)info->name[i];

		name[i] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
	}
	name[i] = '\0';
	bhi_outf(out, "  %-*s%10lu%12lu%12lu  %s\n", NAME_WIDTH - 2, name, info->nr_calls,
		info->nr_freed, info->nr_deferred,
		info->global ? "(any)" : shrinker->path);
}

static void put_end(struct bhi_out *out, const struct bhi_background_stat *background,
	const struct bhi_report_overhead *overhead)
{
	bhi_outf(out, "\nBackground reclaimer\n  woken %lu times, %lu runs, ",
		background->wakeups, background->runs);
	bhi_out_size(out, background->reclaimed, 0);
	bhi_outf(out, " reclaimed, %lu fruitless runs in a row\n", background->failures);
	bhi_outf(out, "\nBulkhead itself\n");
	put_row(out, "metadata", overhead->metadata);
	bhi_outf(out, "  of address space, most of it never touched\n");
	put_row(out, "page structs", overhead->page_structs);
	bhi_outf(out, "\n");
	put_row(out, "slab descriptors", overhead->descriptors);
	bhi_outf(out, "\n  %-16s %8u  attached\n", "threads", overhead->nr_threads);
}

const struct bhi_report_rendering bhi_report_text = {
	.begin = put_begin,
	.list_begin = put_list_begin,
	.oom = bhi_report_text_oom,
	.failure = bhi_report_text_failure,
	.injecting = bhi_report_text_injecting,
	.injection = bhi_report_text_injection,
	.kills = bhi_report_text_kills,
	.tasks = bhi_report_text_tasks,
	.group = put_group,
	.class = put_class,
	.cache = put_cache,
	.shrinker = put_shrinker,
	.list_end = put_list_end,
	.private = bhi_report_text_private,
	.end = put_end,
};
