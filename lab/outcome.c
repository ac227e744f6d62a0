/* SPDX-License-Identifier: MIT */
#include "outcome.h"

#include <stdio.h>
#include <string.h>

const char *const bhi_lab_verdict_names[] = {
	[BHI_LAB_COMPLETES] = "completes",
	[BHI_LAB_LOCKUP] = "lockup",
	[BHI_LAB_CRASH] = "crash",
	[BHI_LAB_BROKEN] = "broken",
};

bool bhi_lab_outcome_matches(const struct bhi_lab_scenario *scenario, int era,
	const struct bhi_lab_outcome *outcome)
{
	const struct bhi_lab_expect *expect = &scenario->expect[era];

	if (!outcome->is_complete || outcome->verdict == BHI_LAB_BROKEN)
		return false;
	if (!expect->is_set)
		return true;
	if (outcome->verdict != expect->verdict || outcome->errors != expect->errors)
		return false;
	if (expect->any_victims)
		return true;
	return outcome->nr_victims == expect->nr_victims &&
	       !memcmp(outcome->victims, expect->victims, expect->nr_victims);
}

struct text {
	char *buf;
	size_t size, used;
};

static void add(struct text *text, const char *word)
{
	int n = snprintf(text->buf + text->used, text->size - text->used, "%s", word);

	text->used = bhi_min(text->used + (size_t)n, text->size - 1);
}

static void add_task(
	struct text *text, const struct bhi_lab_scenario *scenario, unsigned task)
{
	add(text, " ");
	add(text, scenario->tasks[task].name);
}

static char *describe(const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_expect *what, char *buf, size_t size)
{
	struct text text = {.buf = buf, .size = size};

	add(&text, bhi_lab_verdict_names[what->verdict]);
	if (what->errors)
		add(&text, "; error");
	for (unsigned i = 0; i < scenario->nr_tasks; i++) {
		if (what->errors >> i & 1)
			add_task(&text, scenario, i);
	}
	if (what->nr_victims)
		add(&text, "; victims");
	for (unsigned i = 0; i < what->nr_victims; i++)
		add_task(&text, scenario, what->victims[i]);
	return buf;
}

char *bhi_lab_outcome_text(const struct bhi_lab_scenario *scenario,
	const struct bhi_lab_outcome *outcome, char *buf, size_t size)
{
	struct bhi_lab_expect what = {
		.verdict = outcome->verdict,
		.errors = outcome->errors,
		.nr_victims = outcome->nr_victims,
	};

	memcpy(what.victims, outcome->victims, sizeof(what.victims));
	return describe(scenario, &what, buf, size);
}

char *bhi_lab_expect_text(
	const struct bhi_lab_scenario *scenario, int era, char *buf, size_t size)
{
	*buf = '\0';
	if (!scenario->expect[era].is_set)
		return buf;
	return describe(scenario, &scenario->expect[era], buf, size);
}
