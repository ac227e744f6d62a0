/* SPDX-License-Identifier: MIT */
#include "api/report_failures.h"

#include "api/report_tasks.h"
#include "base/sys.h"
#include "charge/charge.h"

static const struct {
	unsigned flag;
	const char *name;
} flags[] = {
	{BH_ZERO, "BH_ZERO"},
	{BH_NORETRY, "BH_NORETRY"},
	{BH_RETRY_MAYFAIL, "BH_RETRY_MAYFAIL"},
	{BH_ATOMIC, "BH_ATOMIC"},
	{BH_NORECLAIM, "BH_NORECLAIM"},
};

void bhi_report_walk_failures(
	struct bhi_out *out, const struct bhi_report_rendering *rendering)
{
	struct bhi_report_failure item = {.nr_failed = bhi_failures_count()};
	uint64_t last = UINT64_MAX;

	for (unsigned i = 0; !out->error && bhi_failure_read(i, &item.failure); i++) {
		uint64_t now = bhi_sys_now_ns();

		/* New ones came in front of those that were read. */
		if (item.failure.number >= last)
			continue;
		item.is_newest = last == UINT64_MAX;
		last = item.failure.number;
		item.ago_ns = now - bhi_min(now, item.failure.time_ns);
		rendering->failure(out, &item);
	}
}

static void put_flags(struct bhi_out *out, unsigned set)
{
	for (size_t i = 0; i < bhi_array_size(flags); i++) {
		if (set & flags[i].flag)
			bhi_outf(out, ", %s", flags[i].name);
	}
}

void bhi_report_text_failure(struct bhi_out *out, const struct bhi_report_failure *item)
{
	const struct bhi_failure *failure = &item->failure;

	if (item->is_newest)
		bhi_outf(out, "\nFailed requests, %lu in all, one in 10 s told\n",
			item->nr_failed);
	bhi_outf(out, "  #%lu, ", failure->number);
	bhi_report_text_ns(out, item->ago_ns, 0);
	if (failure->asker[0])
		bhi_outf(out, " ago: task '%s' asked for ", failure->asker);
	else
		bhi_outf(out, " ago: a thread outside of tasks asked for ");
	bhi_out_size(out, failure->size, 0);
	bhi_outf(out, "%s for %s",
		failure->flags & BHI_CHARGE_PRIVATE ? " of private memory" : "",
		failure->group);
	put_flags(out, failure->flags);
	bhi_outf(out, "; %s was full", failure->over);
	if (failure->missed)
		bhi_outf(out, "; %lu before it not told", failure->missed);
	bhi_outf(out, "\n");
}

void bhi_report_json_failure(struct bhi_out *out, const struct bhi_report_failure *item)
{
	const struct bhi_failure *failure = &item->failure;

	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "number", failure->number);
	bhi_json_u64(out, "not_told", failure->missed);
	bhi_json_u64(out, "ago_ns", item->ago_ns);
	bhi_json_str(out, "asker", failure->asker[0] ? failure->asker : NULL);
	bhi_json_u64(out, "asked", failure->size);
	bhi_json_str(out, "group", failure->group);
	bhi_json_str(out, "over", failure->over);
	bhi_json_bool(out, "private", failure->flags & BHI_CHARGE_PRIVATE);
	bhi_json_begin(out, "flags", '[');
	for (size_t i = 0; i < bhi_array_size(flags); i++) {
		if (failure->flags & flags[i].flag)
			bhi_json_str(out, NULL, flags[i].name);
	}
	bhi_json_end(out, ']');
	bhi_json_end(out, '}');
}
