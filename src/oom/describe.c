/* SPDX-License-Identifier: MIT */
#include "oom/describe.h"

#include <string.h>

#include "base/fmt.h"
#include "base/sys.h"
#include "oom/events.h"
#include "task/task.h"

_Static_assert(sizeof(((struct bh_oom_event *)0)->asker) == BHI_TASK_NAME_SIZE, "name");
_Static_assert(sizeof(((struct bh_oom_event *)0)->over) == BHI_TASK_PATH_SIZE, "path");

uint64_t bhi_oom_total(const struct bh_group *over)
{
	return bhi_min((uint64_t)bhi_load(&over->counter.max), bhi_zone.size);
}

static void describe_asker(
	struct bh_oom_event *event, const struct bhi_oom_request *request)
{
	const struct bh_task *asker = bhi_task_current;

	event->origin = request->origin;
	event->flags = request->flags;
	event->is_private = request->is_private;
	if (!asker)
		return;
	memcpy(event->asker, asker->name, sizeof(event->asker));
	bhi_group_path(asker->group, event->asker_group, sizeof(event->asker_group));
	event->asker_adj = bhi_load(&asker->adj);
}

static void describe_group(struct bh_oom_event *event, struct bh_group *over)
{
	bhi_group_path(over, event->over, sizeof(event->over));
	event->constraint = over->parent ? BH_OOM_IN_GROUP : BH_OOM_IN_ZONE;
	event->usage = (uint64_t)bhi_max(bhi_load(&over->counter.usage), (int64_t)0);
	event->limit = bhi_oom_total(over);
	event->failcnt = bhi_load(&over->counter.failcnt);
	bhi_group_sums(over, &event->external, &event->left_behind);
}

void bhi_oom_describe(
	struct bhi_oom_decision *decision, struct bh_group *over, int64_t size)
{
	struct bh_oom_event *event = &decision->event;

	bhi_assert_held(&bhi_oom_lock);
	memset(event, 0, sizeof(*event));
	event->size = sizeof(*event);
	event->number = bhi_oom_events_count() + 1;
	event->time_ns = bhi_sys_now_ns();
	event->asked = (uint64_t)size;
	describe_asker(event, decision->request);
	describe_group(event, over);
}

void bhi_oom_sum(struct bh_oom_event *event)
{
	uint64_t known = event->private_bytes + event->external + event->left_behind;

	/* They were read one after the other. */
	event->shared_bytes = event->usage - bhi_min(event->usage, known);
}

void bhi_oom_explain(struct bh_oom_event *event, uint32_t nr_equal)
{
	const struct bh_oom_row *row = &event->rows[0];
	long pages = (long)(row->bytes >> BHI_PAGE_SHIFT);
	char equals[48] = "";

	if (nr_equal > 1)
		bhi_format(equals, sizeof(equals), ", the oldest of %u with as many",
			nr_equal);
	bhi_format(event->why, sizeof(event->why),
		"most points: %ld of %lu%s; pages %ld, adj %d -> %ld", (long)row->points,
		event->limit >> BHI_PAGE_SHIFT, equals, pages, row->oom_score_adj,
		(long)row->points - pages);
}

void bhi_oom_explain_self(struct bh_oom_event *event)
{
	static const char nobody_else[] = "it asked, a first touch cannot fail, and "
					  "nobody else could be killed";
	static const char no_page[] =
		"it asked, and the kernel had no page for its first touch";

	bhi_format(event->why, sizeof(event->why), "%s",
		event->constraint == BH_OOM_IN_KERNEL ? no_page : nobody_else);
}

void bhi_oom_explain_nobody(struct bh_oom_event *event)
{
	uint32_t nr = event->nr_rows + event->nr_more;

	if (nr)
		bhi_format(event->why, sizeof(event->why),
			"no task of %u can be chosen: adj %d, or idle without memory", nr,
			BHI_ADJ_UNKILLABLE);
	else
		bhi_format(event->why, sizeof(event->why), "there is no task");
}
