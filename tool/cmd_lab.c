/* SPDX-License-Identifier: MIT */
/*
 * `bulkhead lab`: scenarios replayed under the rules of kernel eras; the matrix of all of
 * them; and the search for lockups in random programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "explore.h"
#include "generate.h"
#include "lab_output.h"
#include "library.h"
#include "matrix.h"
#include "print.h"
#include "shrink.h"

#define SEEDS_DEFAULT 10000

enum {
	OPTION_ERA,
	OPTION_ALL,
	OPTION_TRACE,
	OPTION_SVG,
	OPTION_RANDOM,
	OPTION_SEEDS,
	OPTION_SEED,
	OPTION_JOBS,
};

static const struct bhi_command_option option_table[] = {
	[OPTION_ERA] = {"era", true, 0},
	[OPTION_ALL] = {"all", false, 0},
	[OPTION_TRACE] = {"trace", false, 0},
	[OPTION_SVG] = {"svg", true, 0},
	[OPTION_RANDOM] = {"random", false, 0},
	[OPTION_SEEDS] = {"seeds", true, 0},
	[OPTION_SEED] = {"seed", true, 0},
	[OPTION_JOBS] = {"jobs", true, 0},
	{NULL, false, 0},
};

static enum bhi_exit complain(const char *what, const char *why)
{
	bhi_errf("bulkhead: lab: %s: %s\n", what, why);
	return BHI_EXIT_USAGE;
}

static enum bhi_exit fail(const char *what, int error)
{
	bhi_errf("bulkhead: lab: %s: %s\n", what, strerror(-error));
	return BHI_EXIT_FAILED;
}

/* BHI_LAB_ERAS: all of them, since none was named. */
static int read_era(const struct bhi_options *options, int *ret)
{
	const char *name = options->values[OPTION_ERA];

	*ret = name ? bhi_lab_era_find(name) : BHI_LAB_ERAS;
	if (*ret >= 0)
		return 0;
	bhi_errf("bulkhead: lab: --era: '%s' is no era; 'bulkhead help lab' lists them\n",
		name);
	return -EINVAL;
}

static int read_number(const struct bhi_options *options, int option, uint64_t least,
	uint64_t most, uint64_t *ret)
{
	const char *text = options->values[option];
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (!errno && end != text && !*end && *text != '-' && *ret >= least &&
		*ret <= most)
		return 0;
	bhi_errf("bulkhead: lab: --%s: '%s' is no number from %lu to %lu\n",
		option_table[option].name, text, least, most);
	return -EINVAL;
}

static void list_scenarios(struct bhi_out *out)
{
	bhi_outf(out, "Scenarios:\n");
	for (unsigned i = 0; i < bhi_lab_library_count(); i++) {
		const struct bhi_lab_scenario *scenario = bhi_lab_library_get(i);

		bhi_outf(out, "  %-22s %s\n", scenario->name, scenario->title);
	}
	bhi_outf(out, "\nEras:\n");
	for (int i = 0; i < BHI_LAB_ERAS; i++)
		bhi_outf(
			out, "  %-22s %s\n", bhi_lab_eras[i].name, bhi_lab_eras[i].rules);
	bhi_outf(out, "\n'bulkhead lab NAME' runs one, 'bulkhead lab --all' all.\n");
}

static enum bhi_exit run_list(void)
{
	struct bhi_out out;

	bhi_out_init(&out, 1);
	list_scenarios(&out);
	return bhi_finish(&out);
}

/* Text, or the start of a JSON document. */
static enum bhi_exit open_output(struct bhi_out *out, const struct bhi_options *options)
{
	if (!options->json) {
		bhi_out_init(out, 1);
		return BHI_EXIT_CLEAN;
	}
	if (bhi_open_file(out, &bhi_command_lab, options->json_file))
		return BHI_EXIT_USAGE;
	bhi_lab_json_begin(out);
	return BHI_EXIT_CLEAN;
}

static enum bhi_exit close_output(
	struct bhi_out *out, const struct bhi_options *options, bool as_expected)
{
	enum bhi_exit status;

	if (options->json)
		bhi_lab_json_end(out, as_expected);
	status = bhi_finish(out);
	return status ? status : as_expected ? BHI_EXIT_CLEAN : BHI_EXIT_FAILED;
}

static enum bhi_exit write_svg(const struct bhi_lab_cell *cell, const char *file)
{
	struct bhi_out out;

	if (bhi_open_file(&out, &bhi_command_lab, file))
		return BHI_EXIT_USAGE;
	bhi_lab_svg_write(&out, cell);
	return bhi_finish(&out);
}

static enum bhi_exit run_one(const struct bhi_options *options)
{
	const struct bhi_lab_scenario *scenario =
		bhi_lab_library_find(options->arguments[0]);
	const char *svg = options->values[OPTION_SVG];
	bool trace = options->values[OPTION_TRACE], as_expected = true;
	struct bhi_lab_cell cell;
	struct bhi_out out;
	int wanted, r;

	if (!scenario || read_era(options, &wanted))
		return BHI_EXIT_USAGE;
	if ((svg || trace) && wanted == BHI_LAB_ERAS)
		return complain(svg ? "--svg" : "--trace",
			"one run at a time: say --era, and "
			"'bulkhead help lab' lists them");
	if (open_output(&out, options))
		return BHI_EXIT_USAGE;
	if (!options->json)
		bhi_lab_text_about(&out, scenario);
	for (int era = 0; era < BHI_LAB_ERAS; era++) {
		if (wanted != BHI_LAB_ERAS && era != wanted)
			continue;
		r = bhi_lab_cell_run(scenario, era, true, &cell);
		if (r)
			return fail("a run", r);
		as_expected &= cell.matches;
		bhi_lab_cell_write(&out, &cell, options->json, trace);
		if (svg && write_svg(&cell, svg))
			return BHI_EXIT_USAGE;
	}
	return close_output(&out, options, as_expected);
}

static enum bhi_exit run_all(const struct bhi_options *options)
{
	struct bhi_lab_cell cells[BHI_LAB_ERAS];
	bool as_expected = true;
	char texts[BHI_LAB_ERAS][16];
	struct bhi_out out;
	int r;

	if (options->arguments[0])
		return complain(options->arguments[0],
			"--all runs all; a scenario's name "
			"runs that one");
	if (open_output(&out, options))
		return BHI_EXIT_USAGE;
	if (!options->json)
		bhi_lab_matrix_heading(&out);
	for (unsigned i = 0; i < bhi_lab_library_count(); i++) {
		const struct bhi_lab_scenario *scenario = bhi_lab_library_get(i);

		for (int era = 0; era < BHI_LAB_ERAS; era++) {
			r = bhi_lab_cell_run(scenario, era, true, &cells[era]);
			if (r)
				return fail("a run", r);
			as_expected &= cells[era].matches;
			bhi_lab_cell_short(&cells[era], texts[era]);
			if (options->json)
				bhi_lab_cell_json(&out, &cells[era], false);
		}
		if (!options->json)
			bhi_lab_matrix_row(
				&out, cells, (const char(*)[16])texts, bhi_has_colours());
	}
	if (!options->json && !as_expected)
		bhi_outf(&out,
			"\n! is not what the scenario expects: 'bulkhead lab NAME' "
			"says what is\n");
	return close_output(&out, options, as_expected);
}

/* Where it fails: the small scenario, on standard output, to be kept in a file. */
static enum bhi_exit show_failure(
	const struct bhi_lab_search *search, uint64_t seed, bool json)
{
	static struct bhi_lab_scenario scenario;
	struct bhi_out out;
	int r;

	if (search->scenario)
		scenario = *search->scenario;
	else
		bhi_lab_generate(seed, &scenario);
	scenario.has_seed = true;
	scenario.seed = seed;
	if (json)
		return BHI_EXIT_FAILED;
	bhi_errf("bulkhead: lab: seed %lu fails; making it smaller\n", seed);
	r = bhi_lab_shrink(&scenario, search->era);
	if (r < 0)
		return fail("a run", r);
	bhi_out_init(&out, 1);
	bhi_outf(&out,
		"\n# The first failure, made smaller in %d runs. Keep it in a "
		"file:\n# bulkhead lab FILE.lab --era %s --trace\n",
		r, bhi_lab_eras[search->era].name);
	bhi_lab_print(&out, &scenario);
	(void)bhi_finish(&out);
	return BHI_EXIT_FAILED;
}

static enum bhi_exit search_one_era(
	struct bhi_out *out, struct bhi_lab_search *search, bool json, bool *ret_found)
{
	struct bhi_lab_search_result result;
	enum bhi_exit status;
	int r;

	r = bhi_lab_search_run(search, &result);
	bhi_lab_progress_end();
	if (r)
		return fail("a run", r);
	if (json)
		bhi_lab_search_json(out, search, &result);
	else
		bhi_lab_search_text(out, search, &result);
	if (result.first_failure == UINT64_MAX)
		return BHI_EXIT_CLEAN;
	*ret_found = true;
	/* Old rules lock up, and are known to: a look at one is asked for. */
	if (search->era != BHI_LAB_BULKHEAD && search->nr_seeds > 1)
		return BHI_EXIT_CLEAN;
	(void)bhi_out_flush(out);
	status = show_failure(search, result.first_failure, json);
	return search->era == BHI_LAB_BULKHEAD ? status : BHI_EXIT_CLEAN;
}

static int read_search(const struct bhi_options *options, struct bhi_lab_search *search)
{
	uint64_t jobs = (uint64_t)bhi_max(sysconf(_SC_NPROCESSORS_ONLN), 1L);

	search->nr_seeds = SEEDS_DEFAULT;
	search->first_seed = 1;
	if (read_number(options, OPTION_SEEDS, 1, UINT32_MAX, &search->nr_seeds) ||
		read_number(options, OPTION_SEED, 0, INT64_MAX, &search->first_seed) ||
		read_number(options, OPTION_JOBS, 1, 64, &jobs))
		return -EINVAL;
	search->jobs = (unsigned)jobs;
	search->progress = bhi_lab_progress;
	return 0;
}

static enum bhi_exit run_explore(const struct bhi_options *options)
{
	struct bhi_lab_search search = {.era = 0};
	enum bhi_exit status = BHI_EXIT_CLEAN;
	const char *name = options->arguments[1];
	static struct bhi_lab_scenario scenario;
	bool found = false;
	struct bhi_out out;
	int wanted;

	if (!name == !options->values[OPTION_RANDOM])
		return complain("explore", "a scenario's name, or --random, is wanted");
	if (name) {
		search.scenario = bhi_lab_library_find(name);
		if (!search.scenario)
			return BHI_EXIT_USAGE;
		/* In random order, not in its own. */
		scenario = *search.scenario;
		scenario.nr_points = 0;
		search.scenario = &scenario;
	}
	if (read_era(options, &wanted) || read_search(options, &search) ||
		open_output(&out, options))
		return BHI_EXIT_USAGE;
	for (int era = 0; era < BHI_LAB_ERAS && !status; era++) {
		search.era = era;
		if (wanted == BHI_LAB_ERAS || era == wanted)
			status = search_one_era(&out, &search, options->json, &found);
	}
	if (options->json)
		bhi_lab_json_end(&out, !status);
	else if (found && !status && search.nr_seeds > 1)
		bhi_outf(&out, "\nTo see one of them, made small: --era ERA --seed N "
			       "--seeds 1\n");
	return bhi_finish(&out) ? BHI_EXIT_FAILED : status;
}

static enum bhi_exit run(const struct bhi_options *options)
{
	const char *first = options->arguments[0];

	if (first && !strcmp(first, "explore"))
		return run_explore(options);
	if (options->values[OPTION_RANDOM] || options->values[OPTION_SEEDS] ||
		options->values[OPTION_SEED] || options->values[OPTION_JOBS])
		return complain("--random, --seeds, --seed, --jobs",
			"are options of 'bulkhead lab explore'");
	if (first && options->arguments[1])
		return complain(options->arguments[1], "one argument too many");
	if (options->values[OPTION_ALL])
		return run_all(options);
	return first ? run_one(options) : run_list();
}

const struct bhi_command bhi_command_lab = {
	.name = "lab",
	.summary = "replay deadlocks under the rules of kernel eras",
	.usage =
		"Usage: bulkhead lab\n"
		"       bulkhead lab NAME|FILE.lab [--era ERA [--trace] [--svg FILE]] "
		"[--json[=FILE]]\n"
		"       bulkhead lab --all [--json[=FILE]]\n"
		"       bulkhead lab explore NAME|--random [--era ERA] [--seeds N] "
		"[--seed N] [--jobs N]\n"
		"\n"
		"Run a scenario on the library, with its rules set to those of a kernel "
		"era, and say\n"
		"what comes of it: it completes, requests fail, tasks are killed, or all "
		"lock up, and\n"
		"then who waits for whom. Without a name: list scenarios and eras. "
		"Status "
		"1 when a\n"
		"verdict is not what the scenario expects.\n"
		"\n"
		"Options:\n"
		"  --era ERA      only that one: 3.11, 3.12, 4.6, 4.19, small-may-fail, "
		"bulkhead\n"
		"  --trace        what happened, a line an event\n"
		"  --svg FILE     the same as a picture: a lane for each task\n"
		"  --all          all scenarios under all eras\n"
		"  --json[=FILE]  print a JSON object; bulkhead-lab(1) describes it\n"
		"\n"
		"explore looks for lockups in random programs, or in random schedules of "
		"one scenario;\n"
		"a failure under the rules of bulkhead is made small and printed (status "
		"1):\n"
		"  --random       a random program for each seed\n"
		"  --seeds N      how many, 10000 if not given\n"
		"  --seed N       the first one; the same seed is the same run\n"
		"  --jobs N       processes at a time, as many as processors if not "
		"given\n"
		"\n"
		"Examples:\n"
		"  bulkhead lab inode-lock --era 3.11 --trace\n"
		"  bulkhead lab explore --random --era bulkhead --seeds 100000\n",
	.max_arguments = 2,
	.has_json = true,
	.options = option_table,
	.run = run,
};
