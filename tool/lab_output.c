/* SPDX-License-Identifier: MIT */
#include "lab_output.h"

#include <time.h>
#include <unistd.h>

#include "command.h"
#include "svg.h"
#include "timeline.h"

#define BAR_WIDTH   30
#define LOG_SECONDS 10

void bhi_lab_json_begin(struct bhi_out *out)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(out, "schema", "bulkhead-lab");
	bhi_json_u64(out, "schema_version", BHI_LAB_JSON_VERSION);
	bhi_json_begin(out, "runs", '[');
}

void bhi_lab_json_end(struct bhi_out *out, bool as_expected)
{
	bhi_json_end(out, ']');
	bhi_json_bool(out, "as_expected", as_expected);
	bhi_json_end(out, '}');
}

void bhi_lab_text_about(struct bhi_out *out, const struct bhi_lab_scenario *scenario)
{
	bhi_outf(out, "%s: %s\n", scenario->name, scenario->title);
	if (scenario->about[0])
		bhi_outf(out, "%s\n", scenario->about);
	bhi_outf(out, "\n");
}

void bhi_lab_cell_write(
	struct bhi_out *out, const struct bhi_lab_cell *cell, bool json, bool trace)
{
	if (json) {
		bhi_lab_cell_json(out, cell, trace);
		return;
	}
	if (trace) {
		bhi_lab_timeline(out, cell->scenario, cell->outcome);
		bhi_outf(out, "\n");
	}
	bhi_lab_cell_text(out, cell, bhi_has_colours());
}

void bhi_lab_svg_write(struct bhi_out *out, const struct bhi_lab_cell *cell)
{
	bhi_lab_svg(out, cell->scenario, cell->era, cell->outcome);
}

/* Failures in ten thousand runs, in hundredths. */
static unsigned long per_10000(uint64_t nr, uint64_t of)
{
	return of ? (unsigned long)(nr * 1000000 / of) : 0;
}

void bhi_lab_search_text(struct bhi_out *out, const struct bhi_lab_search *search,
	const struct bhi_lab_search_result *result)
{
	unsigned long lockups = per_10000(result->nr_lockups, result->nr_runs);

	bhi_outf(out,
		"%-15s %lu runs: %lu lockups (%lu.%02lu in 10,000), %lu crashes, %lu "
		"broken; %lu had victims, %lu errors\n",
		bhi_lab_eras[search->era].name, result->nr_runs, result->nr_lockups,
		lockups / 100, lockups % 100, result->nr_crashes, result->nr_broken,
		result->nr_with_victims, result->nr_with_errors);
	if (result->first_failure != UINT64_MAX)
		bhi_outf(out, "%-15s   the first is seed %lu\n", "",
			result->first_failure);
}

void bhi_lab_search_json(struct bhi_out *out, const struct bhi_lab_search *search,
	const struct bhi_lab_search_result *result)
{
	bhi_json_begin(out, NULL, '{');
	bhi_json_str(
		out, "scenario", search->scenario ? search->scenario->name : "random");
	bhi_json_str(out, "era", bhi_lab_eras[search->era].name);
	bhi_json_u64(out, "first_seed", search->first_seed);
	bhi_json_u64(out, "runs", result->nr_runs);
	bhi_json_u64(out, "lockups", result->nr_lockups);
	bhi_json_u64(out, "crashes", result->nr_crashes);
	bhi_json_u64(out, "broken", result->nr_broken);
	bhi_json_u64(out, "with_victims", result->nr_with_victims);
	bhi_json_u64(out, "with_errors", result->nr_with_errors);
	if (result->first_failure != UINT64_MAX)
		bhi_json_u64(out, "first_failure", result->first_failure);
	bhi_json_end(out, '}');
}

static bool has_bar;

static void draw_bar(
	const struct bhi_lab_search *search, uint64_t done, uint64_t failures)
{
	char bar[BAR_WIDTH + 1];
	uint64_t filled = done * BAR_WIDTH / search->nr_seeds;

	for (unsigned i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	bhi_errf("\r%-15s [%s] %lu of %lu, %lu failed ", bhi_lab_eras[search->era].name,
		bar, done, search->nr_seeds, failures);
	has_bar = true;
}

void bhi_lab_progress(
	const struct bhi_lab_search *search, uint64_t done, uint64_t failures)
{
	static time_t last;
	time_t now = time(NULL);

	if (isatty(2)) {
		draw_bar(search, done, failures);
		return;
	}
	if (!last)
		last = now;
	if (now - last < LOG_SECONDS)
		return;
	last = now;
	bhi_errf("%s: %lu of %lu runs, %lu failed\n", bhi_lab_eras[search->era].name,
		done, search->nr_seeds, failures);
}

/* The line of the bar is for the result. */
void bhi_lab_progress_end(void)
{
	if (has_bar)
		bhi_errf("\r%78s\r", "");
	has_bar = false;
}
