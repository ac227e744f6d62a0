/* SPDX-License-Identifier: MIT */
/* Tasks, OOMs and kills as text: the last OOM in full, those before in a line each. */
#include "api/report_tasks.h"

#include "base/sys.h"

#define NAME_WIDTH 28
#define COLUMN     8

/* "12.3 s", three figures at least. */
static void put_ns(struct bhi_out *out, uint64_t ns, int width)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	uint64_t whole = ns, rest = 0;
	char text[32];
	unsigned unit = 0;

	for (; whole >= 1000 && unit < bhi_array_size(units) - 1; unit++) {
		rest = whole % 1000 / 100;
		whole /= 1000;
	}
	if (unit)
		bhi_format(text, sizeof(text), "%lu.%lu %s", whole, rest, units[unit]);
	else
		bhi_format(text, sizeof(text), "%lu %s", whole, units[unit]);
	bhi_outf(out, "%*s", width, text);
}

void bhi_report_text_kill_verdict(
	struct bhi_out *out, const struct bhi_report_verdict *verdict)
{
	if (verdict->nr_kills)
		bhi_outf(out, "; tasks killed: %lu", verdict->nr_kills);
	if (verdict->nr_ooms) {
		if (verdict->victim[0])
			bhi_outf(out, "%s '%s' for %s, ",
				verdict->nr_kills ? ", the last one" : "; killed:",
				verdict->victim, verdict->oom_group);
		else
			bhi_outf(out, "; nobody to kill for %s, ", verdict->oom_group);
		put_ns(out, verdict->oom_ago_ns, 0);
		bhi_outf(out, " ago");
	}
	if (verdict->reaper.nr_given_up)
		bhi_outf(out, "; unable to reap: %lu", verdict->reaper.nr_given_up);
}

static void put_row(struct bhi_out *out, const struct bhi_oom_row *row)
{
	if (row->points == INT64_MIN)
		bhi_outf(out, "%12s", "never");
	else
		bhi_outf(out, "%12ld", (long)row->points);
	bhi_out_size(out, row->bytes, 10);
	bhi_outf(out, "%7d  %s%s\n", row->adj, row->name,
		row->is_chosen ? "  <- chosen" : "");
}

static void put_why(struct bhi_out *out, const struct bhi_report_oom *oom)
{
	const struct bhi_oom_event *event = &oom->event;

	if (!oom->victim) {
		bhi_outf(out, "      nobody could be killed: the call failed, or ended "
			      "its task\n");
		return;
	}
	bhi_outf(out, "      chosen: '%s', most points of %u; ", oom->victim,
		event->nr_tasks);
	if (event->is_group_kill)
		bhi_outf(out, "with all of its group: ");
	bhi_outf(out, "%u killed\n", event->nr_killed);
}

static void put_table(struct bhi_out *out, const struct bhi_oom_event *event)
{
	if (!event->nr_rows)
		return;
	bhi_outf(out, "%12s%10s%7s  %s\n", "points", "private", "adj", "task");
	for (uint32_t i = 0; i < event->nr_rows; i++)
		put_row(out, &event->rows[i]);
	if (event->nr_tasks > event->nr_rows)
		bhi_outf(out, "%12s and %u more\n", "", event->nr_tasks - event->nr_rows);
}

static void put_shortage(struct bhi_out *out, const struct bhi_report_oom *oom)
{
	const struct bhi_oom_event *event = &oom->event;
	const struct bhi_kill_cause *cause = &event->cause;

	bhi_outf(out, "      ");
	if (cause->asker[0])
		bhi_outf(out, "task '%s'", cause->asker);
	else
		bhi_outf(out, "a thread outside of tasks");
	bhi_outf(out, " asked for ");
	bhi_out_size(out, cause->asked, 0);
	bhi_outf(out, "; usage ");
	bhi_out_size(out, cause->usage, 0);
	bhi_outf(out, ", limit ");
	bhi_out_size(out, cause->limit, 0);
	bhi_outf(out, ", failcnt %lu\n", event->failcnt);
}

void bhi_report_text_oom(struct bhi_out *out, const struct bhi_report_oom *oom)
{
	const struct bhi_oom_event *event = &oom->event;

	if (oom->is_newest)
		bhi_outf(out, "\nLast OOMs, %lu in all\n", event->number);
	bhi_outf(out, "  #%lu, ", event->number);
	put_ns(out, oom->ago_ns, 0);
	bhi_outf(out, " ago: %s was over its limit", event->cause.over);
	if (!oom->is_newest) {
		if (oom->victim)
			bhi_outf(out, ", '%s' was killed\n", oom->victim);
		else
			bhi_outf(out, ", nobody could be killed\n");
		return;
	}
	bhi_outf(out, "\n");
	put_shortage(out, oom);
	put_why(out, oom);
	put_table(out, event);
}

static void put_latency(
	struct bhi_out *out, enum bh_victim_state state, enum bhi_latency_kind kind)
{
	const struct bhi_latency *latency = bhi_latency_of(state, kind);

	bhi_outf(out, "%7lu", bhi_load(&latency->nr));
	put_ns(out, bhi_latency_percentile(latency, 500), 10);
	put_ns(out, bhi_latency_percentile(latency, 990), 10);
	put_ns(out, bhi_load(&latency->max_ns), 10);
	bhi_outf(out, "\n");
}

/* A line for each kind of which there are any. */
void bhi_report_text_kills(struct bhi_out *out, enum bh_victim_state state)
{
	static const char *const kinds[] = {
		[BHI_LATENCY_FIRST_BYTE] = "first byte",
		[BHI_LATENCY_ALL_BYTES] = "all bytes",
		[BHI_LATENCY_UNWOUND] = "unwound",
	};

	for (unsigned i = 0; i < BHI_LATENCY_NR; i++) {
		enum bhi_latency_kind kind = (enum bhi_latency_kind)i;

		if (!bhi_load(&bhi_latency_of(state, kind)->nr))
			continue;
		bhi_outf(out, "  %-14s%-12s", bhi_report_state_name(state), kinds[i]);
		put_latency(out, state, kind);
	}
}

static const char *describe(const struct bh_task_stat *stat)
{
	if (!stat->is_reaped)
		return "not reaped";
	return stat->bytes ? "will not be reaped" : "reaped";
}

static void put_task(struct bhi_out *out, const struct bhi_report_task *task)
{
	const struct bh_task_stat *stat = &task->stat;
	const char *reason = bhi_report_reason_name(stat->killed);

	bhi_outf(out, "  %-*s", NAME_WIDTH - 2, stat->name);
	bhi_out_size(out, stat->bytes, COLUMN);
	bhi_out_size(out, stat->peak, COLUMN);
	bhi_outf(out, "%7d  %s, %s", stat->oom_score_adj, task->path,
		stat->is_inside ? "inside" : "idle");
	if (task->is_cooperative)
		bhi_outf(out, ", cooperative");
	if (reason)
		bhi_outf(out, ", killed (%s), %s", reason, describe(stat));
	bhi_outf(out, "\n");
}

void bhi_report_text_tasks(struct bhi_out *out, const struct bhi_report_tasks *tasks)
{
	uint64_t rest = tasks->bytes;

	bhi_outf(out, "  %u in all, %u inside, %u killed, %u of them reaped; private ",
		tasks->nr, tasks->nr_inside, tasks->nr_killed, tasks->nr_reaped);
	bhi_out_size(out, tasks->bytes, 0);
	bhi_outf(out, "\n");
	for (uint32_t i = 0; i < tasks->nr_largest; i++) {
		put_task(out, &tasks->largest[i]);
		rest -= bhi_min(rest, tasks->largest[i].stat.bytes);
	}
	if (tasks->nr == tasks->nr_largest)
		return;
	bhi_outf(out, "  and %u more with ", tasks->nr - tasks->nr_largest);
	bhi_out_size(out, rest, 0);
	bhi_outf(out, "\n");
}

void bhi_report_text_private(
	struct bhi_out *out, const struct bhi_report_private *private)
{
	bhi_outf(out, "\nPrivate window\n  ");
	bhi_out_size(out, private->taken, 0);
	bhi_outf(out, " of ");
	bhi_out_size(out, private->window, 0);
	bhi_outf(out, " of address space taken, first touches caught by %s\n  ",
		private->is_uffd ? "userfaultfd" : "mprotect");
	bhi_out_size(out, private->warm, 0);
	bhi_outf(out, " kept warm for the next tasks\n");
	bhi_outf(out, "\nReaper\n  victims reaped: %lu, given up: %lu\n",
		private->reaper.nr_reaped, private->reaper.nr_given_up);
}
