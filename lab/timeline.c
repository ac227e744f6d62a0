/* SPDX-License-Identifier: MIT */
/*
 * A step that goes through at once is one line. What is written while a step lasts (that
 * it waits, what it took) stands below its beginning.
 */
#include "timeline.h"

#include <string.h>

#include "base/sys.h"

#include "print.h"

/* Rounds of a loop that say nothing new, from the second on. */
static bool is_repeated(const struct bhi_lab_outcome *outcome, unsigned number)
{
	const struct bhi_lab_event *event = &outcome->events[number];

	if (event->kind != BHI_LAB_EV_STEP)
		return false;
	for (unsigned i = number; i-- > 0;) {
		const struct bhi_lab_event *before = &outcome->events[i];

		if (before->task != event->task)
			continue;
		if (before->kind == BHI_LAB_EV_STEP && before->step == event->step)
			return true;
	}
	return false;
}

static const char *lock_name(const struct bhi_lab_scenario *scenario, uint64_t number)
{
	return scenario->locks[number].name;
}

static const char *end_text(uint64_t end)
{
	switch (end) {
	case BHI_LAB_ENDED_ERROR:
		return "ends with an error";
	case BHI_LAB_ENDED_KILLED:
		return "is unwound";
	default:
		return "ends";
	}
}

static void write_what(struct bhi_out *out, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_event *event)
{
	char text[96];

	switch ((enum bhi_lab_event_kind)event->kind) {
	case BHI_LAB_EV_ENTER:
		bhi_outf(out, "is entered");
		break;
	case BHI_LAB_EV_STEP:
		bhi_outf(out, "%s",
			bhi_lab_step_text(
				scenario, event->task, event->step, text, sizeof(text)));
		break;
	case BHI_LAB_EV_STEP_DONE:
		bhi_outf(out, event->value ? "  failed: %s" : "  done%s",
			event->value ? strerror((int)event->value) : "");
		break;
	case BHI_LAB_EV_SLEEP:
		bhi_outf(out, "  waits");
		break;
	case BHI_LAB_EV_LOCKED:
		bhi_outf(out, "  has lock %s", lock_name(scenario, event->value));
		break;
	case BHI_LAB_EV_UNLOCKED:
		bhi_outf(out, "  gave lock %s up", lock_name(scenario, event->value));
		break;
	case BHI_LAB_EV_KILLED:
		bhi_outf(out, "KILLED, with ");
		bhi_out_size(out, event->value, 0);
		break;
	case BHI_LAB_EV_MEMORY:
		bhi_outf(out, "  has ");
		bhi_out_size(out, event->value, 0);
		break;
	case BHI_LAB_EV_TRY:
		bhi_outf(out, "  the reaper was refused, try %u", (unsigned)event->value);
		break;
	case BHI_LAB_EV_GIVEN_UP:
		bhi_outf(out, "given up by the reaper: the next may be chosen");
		break;
	case BHI_LAB_EV_REAPED:
		bhi_outf(out, "reaped: its memory is back");
		break;
	case BHI_LAB_EV_END:
		bhi_outf(out, "%s", end_text(event->value));
		break;
	case BHI_LAB_EV_ORDER:
		bhi_outf(out, "the schedule's next point cannot be had: passed over");
		break;
	case BHI_LAB_EV_LOCKUP:
		bhi_outf(out, "LOCKUP: nothing has happened for five seconds, and "
			      "nothing can");
		break;
	}
}

/* Uneventful ends of steps are left out. */
static bool is_quiet(const struct bhi_lab_outcome *outcome, unsigned number)
{
	const struct bhi_lab_event *event = &outcome->events[number];

	if (event->kind == BHI_LAB_EV_STEP_DONE && !event->value) {
		const struct bhi_lab_event *before = number ? event - 1 : event;

		return before->kind != BHI_LAB_EV_SLEEP || before->task != event->task;
	}
	return is_repeated(outcome, number);
}

void bhi_lab_timeline(struct bhi_out *out, const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_outcome *outcome)
{
	bhi_outf(out, "%10s  %-16s %s\n", "ms", "task", "what");
	for (unsigned i = 0; i < outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &outcome->events[i];
		uint64_t us = event->time_ns / 1000;

		if (is_quiet(outcome, i))
			continue;
		bhi_outf(out, "%6lu.%03lu  %-16s ", us / 1000, us % 1000,
			event->task == BHI_LAB_NONE ? "-"
						    : scenario->tasks[event->task].name);
		write_what(out, scenario, event);
		bhi_outf(out, "\n");
	}
	if (outcome->nr_lost_events)
		bhi_outf(out, "%u later events are not shown\n", outcome->nr_lost_events);
}
