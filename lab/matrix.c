/* SPDX-License-Identifier: MIT */
#include "matrix.h"

#include <errno.h>
#include <string.h>

#include "child.h"
#include "print.h"

#define NAME_WIDTH 22
#define CELL_WIDTH 15

int bhi_lab_cell_run(const struct bhi_lab_scenario *scenario, int era, bool quiet,
	struct bhi_lab_cell *ret)
{
	static struct bhi_lab_outcome *outcome;
	int r;

	if (!outcome)
		outcome = bhi_lab_outcome_new();
	if (!outcome)
		return -ENOMEM;
	r = bhi_lab_child_run(scenario, era,
		scenario->has_seed ? bhi_lab_strategy_of(scenario->seed)
				   : BHI_LAB_ORDERLY,
		scenario->seed, quiet, outcome);
	if (r)
		return r;
	*ret = (struct bhi_lab_cell){
		.scenario = scenario,
		.era = era,
		.matches = bhi_lab_outcome_matches(scenario, era, outcome),
		.outcome = outcome,
	};
	return 0;
}

static const char *colour_of(enum bhi_lab_verdict verdict)
{
	switch (verdict) {
	case BHI_LAB_COMPLETES:
		return "\033[32m";
	case BHI_LAB_LOCKUP:
		return "\033[31m";
	default:
		return "\033[35m";
	}
}

void bhi_lab_cell_text(struct bhi_out *out, const struct bhi_lab_cell *cell, bool colours)
{
	char text[256];

	bhi_outf(out, "%-15s %s%s%s\n", bhi_lab_eras[cell->era].name,
		colours ? colour_of(cell->outcome->verdict) : "",
		bhi_lab_outcome_text(cell->scenario, cell->outcome, text, sizeof(text)),
		colours ? "\033[0m" : "");
	for (unsigned i = 0; i < cell->outcome->nr_sentences; i++)
		bhi_outf(out, "%-15s   %s\n", "", cell->outcome->sentences[i]);
	if (!cell->matches)
		bhi_outf(out, "%-15s   NOT AS EXPECTED: %s\n", "",
			bhi_lab_expect_text(
				cell->scenario, cell->era, text, sizeof(text)));
}

void bhi_lab_cell_short(const struct bhi_lab_cell *cell, char text[16])
{
	const struct bhi_lab_outcome *outcome = cell->outcome;

	if (outcome->verdict != BHI_LAB_COMPLETES)
		bhi_format(text, 16, "%s", bhi_lab_verdict_names[outcome->verdict]);
	else if (outcome->nr_victims)
		bhi_format(text, 16, "%u victim%s", outcome->nr_victims,
			outcome->nr_victims > 1 ? "s" : "");
	else
		bhi_format(text, 16, "%s", outcome->errors ? "error" : "completes");
}

void bhi_lab_matrix_heading(struct bhi_out *out)
{
	bhi_outf(out, "%-*s", NAME_WIDTH, "");
	for (int era = 0; era < BHI_LAB_ERAS; era++)
		bhi_outf(out, " %-*s", CELL_WIDTH, bhi_lab_eras[era].name);
	bhi_outf(out, "\n");
}

void bhi_lab_matrix_row(struct bhi_out *out, const struct bhi_lab_cell *cells,
	const char (*texts)[16], bool colours)
{
	bhi_outf(out, "%-*s", NAME_WIDTH, cells[0].scenario->name);
	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		bool is_lockup = !strcmp(texts[era], "lockup");
		const char *colour = is_lockup ? "\033[31m" : "\033[32m";

		bhi_outf(out, " %s%s%-*s%s", colours ? colour : "",
			cells[era].matches ? "" : "!", CELL_WIDTH - !cells[era].matches,
			texts[era], colours ? "\033[0m" : "");
	}
	bhi_outf(out, "\n");
}

static const char *end_name(enum bhi_lab_end end)
{
	static const char *const names[] = {
		[BHI_LAB_NOT_ENDED] = "not-ended",
		[BHI_LAB_ENDED] = "ended",
		[BHI_LAB_ENDED_ERROR] = "error",
		[BHI_LAB_ENDED_KILLED] = "killed",
	};

	return names[end];
}

static void json_tasks(struct bhi_out *out, const struct bhi_lab_cell *cell)
{
	const struct bhi_lab_outcome *outcome = cell->outcome;
	char text[96];

	bhi_json_begin(out, "tasks", '[');
	for (unsigned i = 0; i < cell->scenario->nr_tasks; i++) {
		const struct bhi_lab_task_end *end = &outcome->tasks[i];

		bhi_json_begin(out, NULL, '{');
		bhi_json_str(out, "name", cell->scenario->tasks[i].name);
		bhi_json_str(out, "end", end_name(end->end));
		if (end->error)
			bhi_json_str(out, "error", strerror(end->error));
		if (end->end == BHI_LAB_NOT_ENDED && cell->scenario->tasks[i].nr_steps)
			bhi_json_str(out, "in_step",
				bhi_lab_step_text(cell->scenario, (int)i, end->step, text,
					sizeof(text)));
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

static void json_events(struct bhi_out *out, const struct bhi_lab_cell *cell)
{
	static const char *const names[] = {
		[BHI_LAB_EV_ENTER] = "enter",
		[BHI_LAB_EV_STEP] = "step",
		[BHI_LAB_EV_STEP_DONE] = "step-done",
		[BHI_LAB_EV_SLEEP] = "waits",
		[BHI_LAB_EV_LOCKED] = "locked",
		[BHI_LAB_EV_UNLOCKED] = "unlocked",
		[BHI_LAB_EV_KILLED] = "killed",
		[BHI_LAB_EV_MEMORY] = "memory",
		[BHI_LAB_EV_TRY] = "reaper-refused",
		[BHI_LAB_EV_GIVEN_UP] = "given-up",
		[BHI_LAB_EV_REAPED] = "reaped",
		[BHI_LAB_EV_END] = "end",
		[BHI_LAB_EV_ORDER] = "point-passed-over",
		[BHI_LAB_EV_LOCKUP] = "lockup",
	};

	bhi_json_begin(out, "events", '[');
	for (unsigned i = 0; i < cell->outcome->nr_events; i++) {
		const struct bhi_lab_event *event = &cell->outcome->events[i];

		bhi_json_begin(out, NULL, '{');
		bhi_json_u64(out, "time_ns", event->time_ns);
		bhi_json_str(out, "kind", names[event->kind]);
		if (event->task != BHI_LAB_NONE) {
			bhi_json_str(
				out, "task", cell->scenario->tasks[event->task].name);
			bhi_json_u64(out, "step", (uint64_t)event->step);
		}
		bhi_json_u64(out, "value", event->value);
		bhi_json_end(out, '}');
	}
	bhi_json_end(out, ']');
}

void bhi_lab_cell_json(struct bhi_out *out, const struct bhi_lab_cell *cell, bool events)
{
	const struct bhi_lab_outcome *outcome = cell->outcome;

	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "scenario", cell->scenario->name);
	bhi_json_str(out, "era", bhi_lab_eras[cell->era].name);
	bhi_json_str(out, "verdict", bhi_lab_verdict_names[outcome->verdict]);
	bhi_json_bool(out, "as_expected", cell->matches);
	bhi_json_begin(out, "victims", '[');
	for (unsigned i = 0; i < outcome->nr_victims; i++)
		bhi_json_str(out, NULL, cell->scenario->tasks[outcome->victims[i]].name);
	bhi_json_end(out, ']');
	json_tasks(out, cell);
	bhi_json_begin(out, "why", '[');
	for (unsigned i = 0; i < outcome->nr_sentences; i++)
		bhi_json_str(out, NULL, outcome->sentences[i]);
	bhi_json_end(out, ']');
	bhi_json_u64(out, "virtual_ns", outcome->time_ns);
	if (events)
		json_events(out, cell);
	bhi_json_end(out, '}');
}
