/* SPDX-License-Identifier: MIT */
/* Tasks, OOMs and kills as text: the last OOM in full, those before in a line each. */
#include "api/report_tasks.h"

#include "base/sys.h"

#define NAME_WIDTH 28
#define COLUMN     8

/* "12.3 s", three figures at least. */
void bhi_report_text_ns(struct bhi_out *out, uint64_t ns, int width)
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
		bhi_report_text_ns(out, verdict->oom_ago_ns, 0);
		bhi_outf(out, " ago");
	}
	if (verdict->reaper.nr_given_up)
		bhi_outf(out, "; unable to reap: %lu", verdict->reaper.nr_given_up);
}

static void put_named_size(struct bhi_out *out, const char *name, uint64_t size)
{
	bhi_outf(out, "%s", name);
	bhi_out_size(out, size, 0);
}

static void put_row(struct bhi_out *out, const struct bh_oom_row *row)
{
	if (row->points == BH_OOM_NEVER)
		bhi_outf(out, "%12s", "never");
	else
		bhi_outf(out, "%12ld", (long)row->points);
	bhi_out_size(out, row->bytes, 10);
	bhi_outf(out, "%7d  %-12s  %s, %s", row->oom_score_adj,
		bhi_report_state_name(row->state), row->name, row->group);
	if (row->is_asker)
		bhi_outf(out, "  <- asked");
	bhi_outf(out, "%s\n", row->is_chosen ? "  <- chosen" : "");
}

static void put_table(struct bhi_out *out, const struct bh_oom_event *event)
{
	if (!event->nr_rows)
		return;
	bhi_outf(out, "%12s%10s%7s  %-12s  %s\n", "points", "private", "adj", "state",
		"task, group");
	for (uint32_t i = 0; i < event->nr_rows; i++)
		put_row(out, &event->rows[i]);
	if (event->nr_more)
		bhi_outf(out, "%12s and %u more\n", "", event->nr_more);
}

static void put_flags(struct bhi_out *out, uint32_t flags)
{
	const char *between = ", ";

	for (uint32_t flag = 1; flags >= flag; flag *= 2) {
		if (!(flags & flag))
			continue;
		bhi_outf(out, "%s%s", between, bhi_report_flag_name(flag));
		between = "|";
	}
}

static void put_request(struct bhi_out *out, const struct bh_oom_event *event)
{
	static const char *const origins[] = {
		[BH_OOM_CALL] = "in a call",
		[BH_OOM_PAGEFAULT] = "in a pagefault",
		[BH_OOM_LIMIT] = "by a lower BH_MAX",
	};

	bhi_outf(out, "      ");
	if (event->asker[0])
		bhi_outf(out, "task '%s' of %s, adj %d,", event->asker,
			event->asker_group, event->asker_adj);
	else
		bhi_outf(out, "a thread outside of tasks");
	put_named_size(out, " asked for ", event->asked);
	bhi_outf(out, "%s %s", event->is_private ? " of private memory" : "",
		origins[event->origin]);
	put_flags(out, event->flags);
	bhi_outf(out, "\n");
}

static void put_over(struct bhi_out *out, const struct bh_oom_event *event)
{
	put_named_size(out, "      usage ", event->usage);
	put_named_size(out, ": private ", event->private_bytes);
	put_named_size(out, ", shared ", event->shared_bytes);
	put_named_size(out, ", of the host ", event->external);
	put_named_size(out, ", left behind ", event->left_behind);
	put_named_size(out, "; limit ", event->limit);
	bhi_outf(out, ", failcnt %lu\n", event->failcnt);
}

static void put_kill(struct bhi_out *out, const struct bh_oom_event *event)
{
	if (!event->has_victim) {
		bhi_outf(out, "      nobody could be killed: %s\n", event->why);
		return;
	}
	bhi_outf(out, "      chosen: '%s' of %u, %s\n", event->victim,
		event->nr_candidates, event->why);
	bhi_outf(out, "      killed: %s, with ",
		bhi_report_state_name(event->victim_state));
	bhi_out_size(out, event->victim_bytes, 0);
	bhi_outf(out, " of private memory");
	if (event->is_group_kill) {
		bhi_outf(out, "; with all of %s: %u tasks, ", event->killed_group,
			event->nr_killed);
		bhi_out_size(out, event->killed_bytes, 0);
	}
	bhi_outf(out, "\n");
}

/* The reaper's lines; of a group's victims it may have some, and others not. */
static void put_reaping(struct bhi_out *out, const struct bh_oom_event *event)
{
	static const char *const whys[] = {
		[BH_UNREAPED_NONE] = "",
		[BH_UNREAPED_HOLDING] = "in a hold section",
		[BH_UNREAPED_DUMPED] = "being dumped",
		[BH_UNREAPED_COOPERATIVE] = "cooperative",
		[BH_UNREAPED_BUSY] = "changing its pages",
	};

	if (event->nr_given_up)
		bhi_outf(out, "      unable to reap: %u of %u in %u tries, %s\n",
			event->nr_given_up, event->nr_killed, event->nr_tries,
			whys[event->unreaped]);
	if (event->nr_reaped) {
		bhi_outf(out, "      reaped: %u of %u, ", event->nr_reaped,
			event->nr_killed);
		bhi_out_size(out, event->reaped, 0);
		bhi_outf(out, " in ");
		bhi_report_text_ns(out, event->reaped_ns, 0);
		bhi_outf(out, "\n");
	} else if (event->has_victim && !event->nr_given_up) {
		bhi_outf(out, "      reaped: nothing yet\n");
	}
}

static void put_shortage(struct bhi_out *out, const struct bh_oom_event *event)
{
	static const char *const texts[] = {
		[BH_OOM_IN_GROUP] = "was over its limit",
		[BH_OOM_IN_ZONE] = "was over its limit, the zone",
		[BH_OOM_IN_KERNEL] = "had room, and the kernel had no page",
	};

	bhi_outf(out, " ago: %s %s", event->over, texts[event->constraint]);
}

void bhi_report_text_oom(struct bhi_out *out, const struct bhi_report_oom *oom)
{
	const struct bh_oom_event *event = &oom->event;

	if (oom->is_newest)
		bhi_outf(out, "\nLast OOMs, %lu in all\n", event->number);
	bhi_outf(out, "  #%lu, ", event->number);
	bhi_report_text_ns(out, oom->ago_ns, 0);
	put_shortage(out, event);
	if (!oom->is_newest) {
		if (event->has_victim)
			bhi_outf(out, ", '%s' was killed\n", event->victim);
		else
			bhi_outf(out, ", nobody could be killed\n");
		return;
	}
	bhi_outf(out, "\n");
	put_request(out, event);
	put_over(out, event);
	put_table(out, event);
	put_kill(out, event);
	put_reaping(out, event);
}

static void put_latency(
	struct bhi_out *out, enum bh_victim_state state, enum bhi_latency_kind kind)
{
	const struct bhi_latency *latency = bhi_latency_of(state, kind);

	bhi_outf(out, "%7lu", bhi_load(&latency->nr));
	bhi_report_text_ns(out, bhi_latency_percentile(latency, 500), 10);
	bhi_report_text_ns(out, bhi_latency_percentile(latency, 990), 10);
	bhi_report_text_ns(out, bhi_load(&latency->max_ns), 10);
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
