/* SPDX-License-Identifier: MIT */
/* Tasks, OOMs and kills as JSON. docs/report.md documents each field. */
#include "api/report_tasks.h"

void bhi_report_json_kill_verdict(
	struct bhi_out *out, const struct bhi_report_verdict *verdict)
{
	bhi_json_u64(out, "oom_kills", verdict->nr_kills);
	bhi_json_u64(out, "unable_to_reap", verdict->reaper.nr_given_up);
	if (!verdict->nr_ooms) {
		bhi_json_str(out, "last_oom", NULL);
		return;
	}
	bhi_json_begin(out, "last_oom", '{');
	bhi_json_u64(out, "ago_ns", verdict->oom_ago_ns);
	bhi_json_str(out, "over", verdict->oom_group);
	bhi_json_str(out, "victim", verdict->victim[0] ? verdict->victim : NULL);
	bhi_json_end(out, '}');
}

static void put_points(struct bhi_out *out, const char *key, int64_t points)
{
	if (points == BH_OOM_NEVER)
		bhi_json_str(out, key, NULL);
	else
		bhi_json_i64(out, key, points);
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static void put_row(struct bhi_out *out, const struct bh_oom_row *row)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "name", row->name);
	bhi_json_str(out, "group", row->group);
	bhi_json_u64(out, "bytes", row->bytes);
	bhi_json_i64(out, "oom_score_adj", row->oom_score_adj);
	put_points(out, "points", row->points);
	bhi_json_str(out, "state", bhi_report_state_name(row->state));
	bhi_json_bool(out, "chosen", row->is_chosen);
	bhi_json_bool(out, "asker", row->is_asker);
	bhi_json_end(out, '}');
}

static void put_flags(struct bhi_out *out, uint32_t flags)
{
	bhi_json_begin(out, "flags", '[');
	for (uint32_t flag = 1; flags >= flag; flag *= 2) {
		if (flags & flag)
			bhi_json_str(out, NULL, bhi_report_flag_name(flag));
	}
	bhi_json_end(out, ']');
}

static void put_request(struct bhi_out *out, const struct bh_oom_event *event)
{
	bhi_json_str(out, "asker", or_null(event->asker));
	bhi_json_str(out, "asker_group", or_null(event->asker_group));
	if (event->asker[0])
		bhi_json_i64(out, "asker_adj", event->asker_adj);
	else
		bhi_json_str(out, "asker_adj", NULL);
	bhi_json_str(out, "origin", bhi_report_origin_name(event->origin));
	put_flags(out, event->flags);
	bhi_json_bool(out, "private", event->is_private);
	bhi_json_u64(out, "asked", event->asked);
}

static void put_over(struct bhi_out *out, const struct bh_oom_event *event)
{
	bhi_json_str(out, "over", event->over);
	bhi_json_str(out, "constraint", bhi_report_constraint_name(event->constraint));
	bhi_json_u64(out, "usage", event->usage);
	bhi_json_u64(out, "limit", event->limit);
	bhi_json_u64(out, "failcnt", event->failcnt);
	bhi_json_begin(out, "stat", '{');
	bhi_json_u64(out, "private", event->private_bytes);
	bhi_json_u64(out, "shared", event->shared_bytes);
	bhi_json_u64(out, "external", event->external);
	bhi_json_u64(out, "left_behind", event->left_behind);
	bhi_json_end(out, '}');
}

/* What was killed, and what became of it. */
static void put_kill(struct bhi_out *out, const struct bh_oom_event *event)
{
	if (!event->has_victim) {
		bhi_json_str(out, "kill", NULL);
		bhi_json_str(out, "reaping", NULL);
		return;
	}
	bhi_json_begin(out, "kill", '{');
	bhi_json_str(out, "group", event->victim_group);
	bhi_json_i64(out, "oom_score_adj", event->victim_adj);
	put_points(out, "points", event->victim_points);
	bhi_json_str(out, "state", bhi_report_state_name(event->victim_state));
	bhi_json_u64(out, "bytes", event->victim_bytes);
	bhi_json_str(out, "all_of", or_null(event->killed_group));
	bhi_json_u64(out, "all_bytes", event->killed_bytes);
	bhi_json_end(out, '}');
	bhi_json_begin(out, "reaping", '{');
	bhi_json_u64(out, "reaped", event->nr_reaped);
	bhi_json_u64(out, "bytes", event->reaped);
	bhi_json_u64(out, "ns", event->reaped_ns);
	bhi_json_u64(out, "given_up", event->nr_given_up);
	bhi_json_u64(out, "tries", event->nr_tries);
	bhi_json_str(out, "why_not", bhi_report_unreaped_name(event->unreaped));
	bhi_json_end(out, '}');
}

void bhi_report_json_oom(struct bhi_out *out, const struct bhi_report_oom *oom)
{
	const struct bh_oom_event *event = &oom->event;

	bhi_json_begin(out, NULL, '{');
	bhi_json_u64(out, "number", event->number);
	bhi_json_u64(out, "ago_ns", oom->ago_ns);
	put_request(out, event);
	put_over(out, event);
	bhi_json_str(out, "victim", event->has_victim ? event->victim : NULL);
	bhi_json_str(out, "why", event->why);
	bhi_json_bool(out, "group_kill", event->is_group_kill);
	bhi_json_u64(out, "killed", event->nr_killed);
	put_kill(out, event);
	bhi_json_u64(out, "candidates", event->nr_candidates);
	bhi_json_begin(out, "table", '[');
	for (uint32_t i = 0; i < event->nr_rows; i++)
		put_row(out, &event->rows[i]);
	bhi_json_end(out, ']');
	bhi_json_u64(out, "more", event->nr_more);
	bhi_json_end(out, '}');
}

static void put_latency(struct bhi_out *out, const char *key, enum bh_victim_state state,
	enum bhi_latency_kind kind)
{
	const struct bhi_latency *latency = bhi_latency_of(state, kind);

	bhi_json_begin(out, key, '{');
	bhi_json_u64(out, "count", bhi_load(&latency->nr));
	bhi_json_u64(out, "p50_ns", bhi_latency_percentile(latency, 500));
	bhi_json_u64(out, "p99_ns", bhi_latency_percentile(latency, 990));
	bhi_json_u64(out, "max_ns", bhi_load(&latency->max_ns));
	bhi_json_end(out, '}');
}

void bhi_report_json_kills(struct bhi_out *out, enum bh_victim_state state)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "state", bhi_report_state_name(state));
	put_latency(out, "first_byte", state, BHI_LATENCY_FIRST_BYTE);
	put_latency(out, "all_bytes", state, BHI_LATENCY_ALL_BYTES);
	put_latency(out, "unwound", state, BHI_LATENCY_UNWOUND);
	bhi_json_end(out, '}');
}

void bhi_report_json_task(struct bhi_out *out, const struct bhi_report_task *task)
{
	const struct bh_task_stat *stat = &task->stat;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "name", stat->name);
	bhi_json_str(out, "group", task->path);
	bhi_json_u64(out, "bytes", stat->bytes);
	bhi_json_u64(out, "peak", stat->peak);
	bhi_json_u64(out, "enters", stat->nr_enters);
	bhi_json_i64(out, "oom_score_adj", stat->oom_score_adj);
	bhi_json_bool(out, "cooperative", task->is_cooperative);
	bhi_json_bool(out, "inside", stat->is_inside);
	bhi_json_str(out, "killed", bhi_report_reason_name(stat->killed));
	bhi_json_bool(out, "reaped", stat->is_reaped);
	bhi_json_end(out, '}');
}

void bhi_report_json_tasks(struct bhi_out *out, const struct bhi_report_tasks *tasks)
{
	bhi_json_begin(out, "task_counts", '{');
	bhi_json_u64(out, "all", tasks->nr);
	bhi_json_u64(out, "inside", tasks->nr_inside);
	bhi_json_u64(out, "killed", tasks->nr_killed);
	bhi_json_u64(out, "reaped", tasks->nr_reaped);
	bhi_json_u64(out, "bytes", tasks->bytes);
	bhi_json_end(out, '}');
}

void bhi_report_json_private(
	struct bhi_out *out, const struct bhi_report_private *private)
{
	bhi_json_begin(out, "private", '{');
	bhi_json_str(out, "backend", private->is_uffd ? "uffd" : "mprotect");
	bhi_json_u64(out, "window", private->window);
	bhi_json_u64(out, "taken", private->taken);
	bhi_json_u64(out, "warm", private->warm);
	bhi_json_end(out, '}');
	bhi_json_begin(out, "reaper", '{');
	bhi_json_u64(out, "reaped", private->reaper.nr_reaped);
	bhi_json_u64(out, "given_up", private->reaper.nr_given_up);
	bhi_json_end(out, '}');
}
