/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#include "check/merge.h"
#include "check/report.h"

#include "check_options.h"

#define SAMPLES_DEFAULT    2
#define MAX_OUTPUT_DEFAULT (16UL << 20)

const struct bhi_command_option bhi_check_option_table[] = {
	BHI_CHECK_OUTPUT_OPTIONS,
	[BHI_CHECK_OPTION_SAMPLES] = {"samples", true, 0},
	[BHI_CHECK_OPTION_EXHAUSTIVE] = {"exhaustive", false, 0},
	[BHI_CHECK_OPTION_BUDGET] = {"budget", true, 0},
	[BHI_CHECK_OPTION_MODE] = {"mode", true, 0},
	[BHI_CHECK_OPTION_JOBS] = {"jobs", true, 'j'},
	[BHI_CHECK_OPTION_TIMEOUT] = {"timeout", true, 0},
	[BHI_CHECK_OPTION_MAX_OUTPUT] = {"max-output", true, 0},
	[BHI_CHECK_OPTION_MAX_MEMORY] = {"max-memory", true, 0},
	[BHI_CHECK_OPTION_COMPARE] = {"compare", true, 0},
	[BHI_CHECK_OPTION_EXPECT_EXIT] = {"expect-exit", true, 0},
	[BHI_CHECK_OPTION_OK] = {"ok", true, 0},
	[BHI_CHECK_OPTION_CHILDREN] = {"children", true, 0},
	[BHI_CHECK_OPTION_COPY] = {"copy", true, 0},
	[BHI_CHECK_OPTION_STDIN] = {"stdin", true, 0},
	[BHI_CHECK_OPTION_SHARD] = {"shard", true, 0},
	[BHI_CHECK_OPTION_LIST] = {"list", false, 0},
	[BHI_CHECK_OPTION_REPLAY] = {"replay", true, 0},
	[BHI_CHECK_OPTION_GDB] = {"gdb", false, 0},
	[BHI_CHECK_OPTION_STATE] = {"state", true, 0},
	[BHI_CHECK_OPTION_FAST] = {"fast", false, 0},
	[BHI_CHECK_OPTION_FRESH] = {"fresh", false, 0},
	[BHI_CHECK_OPTION_QUIET] = {"quiet", false, 'q'},
	[BHI_CHECK_NR_OPTIONS] = {NULL, false, 0},
};

_Static_assert(BHI_CHECK_NR_OPTIONS <= BHI_COMMAND_OPTIONS, "the command has more room");

static const char *value_of(const struct bhi_options *options, int option)
{
	return options->values[option];
}

static int refuse(const struct bhi_options *options, int option, const char *wanted)
{
	bhi_errf("bulkhead: check: --%s: '%s' is not %s\n",
		bhi_check_option_table[option].name, value_of(options, option), wanted);
	return -EINVAL;
}

static int read_number(const struct bhi_options *options, int option, uint64_t least,
	uint64_t most, uint64_t *ret)
{
	const char *text = value_of(options, option);
	uint64_t number;
	char wanted[64];

	if (!text)
		return 0;
	if (bhi_parse_u64(text, most, &number) || number < least)
		return refuse(options, option,
			bhi_format(wanted, sizeof(wanted), "a number from %lu to %lu",
				least, most));
	*ret = number;
	return 0;
}

static int read_size(const struct bhi_options *options, int option, uint64_t *ret)
{
	const char *text = value_of(options, option);

	if (text && bhi_parse_size(text, ret))
		return refuse(options, option, "a size such as 16M");
	return 0;
}

/* "500ms", "60s", "5m", "1h"; a number alone is seconds. */
static int read_time(const struct bhi_options *options, int option, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		double ms;
	} units[] = {
		{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"min", 6e4}, {"h", 3.6e6}, {"", 1e3}};
	const char *text = value_of(options, option);
	double number;
	char *end;

	if (!text)
		return 0;
	number = strtod(text, &end);
	for (size_t i = 0; end != text && number > 0 && i < bhi_array_size(units); i++) {
		double ms = number * units[i].ms;

		if (strcmp(end, units[i].unit) || ms < 1 || ms > 1e12)
			continue;
		*ret_ms = (uint64_t)ms;
		return 0;
	}
	return refuse(options, option, "a time such as 60s, 500ms or 5m");
}

static int read_mode(const struct bhi_options *options, struct bhi_check_options *ret)
{
	const char *text = value_of(options, BHI_CHECK_OPTION_MODE);

	ret->mode = text ? text : "once";
	ret->burst = 1;
	if (!strcmp(ret->mode, "once"))
		return 0;
	if (!strcmp(ret->mode, "persistent")) {
		ret->is_persistent = true;
		return 0;
	}
	if (!strcmp(ret->mode, "pages")) {
		ret->setup.pages = true;
		return 0;
	}
	if (!strncmp(ret->mode, "burst=", 6) &&
		!bhi_parse_u64(ret->mode + 6, UINT32_MAX, &ret->burst) && ret->burst)
		return 0;
	return refuse(
		options, BHI_CHECK_OPTION_MODE, "once, burst=N, persistent or pages");
}

static int read_compare(const struct bhi_options *options, struct bhi_check_options *ret)
{
	const char *text = value_of(options, BHI_CHECK_OPTION_COMPARE);

	if (!text || !strcmp(text, "exact")) {
		ret->compare = BHI_CHECK_COMPARE_EXACT;
	} else if (!strcmp(text, "lines")) {
		ret->compare = BHI_CHECK_COMPARE_LINES;
	} else if (!strcmp(text, "none")) {
		ret->compare = BHI_CHECK_COMPARE_NONE;
	} else {
		ret->compare = BHI_CHECK_COMPARE_COMMAND;
		ret->compare_command = text;
	}
	return 0;
}

static int read_ok(const struct bhi_options *options, struct bhi_check_options *ret)
{
	regex_t regex;

	ret->ok = value_of(options, BHI_CHECK_OPTION_OK);
	if (!ret->ok)
		return 0;
	if (regcomp(&regex, ret->ok, REG_EXTENDED | REG_NOSUB))
		return refuse(
			options, BHI_CHECK_OPTION_OK, "an extended regular expression");
	regfree(&regex);
	return 0;
}

static int read_children(const struct bhi_options *options, struct bhi_check_options *ret)
{
	const char *text = value_of(options, BHI_CHECK_OPTION_CHILDREN);

	ret->setup.follow_children = text && !strcmp(text, "follow");
	if (!text || !strcmp(text, "follow") || !strcmp(text, "ignore"))
		return 0;
	return refuse(options, BHI_CHECK_OPTION_CHILDREN, "follow or ignore");
}

static int read_shard(const struct bhi_options *options, struct bhi_check_options *ret)
{
	const char *text = value_of(options, BHI_CHECK_OPTION_SHARD);

	if (!text || bhi_check_shard_parse(text, &ret->plan.shard, &ret->plan.nr_shards))
		return 0;
	return refuse(options, BHI_CHECK_OPTION_SHARD, "a shard such as 1/4");
}

static int read_setup(const struct bhi_options *options, struct bhi_check_options *ret)
{
	struct bhi_check_setup *setup = &ret->setup;

	setup->command = options->arguments;
	setup->copy_dir = value_of(options, BHI_CHECK_OPTION_COPY);
	setup->stdin_file = value_of(options, BHI_CHECK_OPTION_STDIN);
	setup->max_output = MAX_OUTPUT_DEFAULT;
	if (setup->copy_dir && access(setup->copy_dir, R_OK | X_OK)) {
		bhi_errf("bulkhead: check: --copy: %s: %s\n", setup->copy_dir,
			strerror(errno));
		return -EINVAL;
	}
	if (setup->stdin_file && access(setup->stdin_file, R_OK)) {
		bhi_errf("bulkhead: check: --stdin: %s: %s\n", setup->stdin_file,
			strerror(errno));
		return -EINVAL;
	}
	if (read_time(options, BHI_CHECK_OPTION_TIMEOUT, &setup->timeout_ms) ||
		read_size(options, BHI_CHECK_OPTION_MAX_OUTPUT, &setup->max_output) ||
		read_size(options, BHI_CHECK_OPTION_MAX_MEMORY, &setup->max_memory))
		return -EINVAL;
	return read_children(options, ret);
}

/* Those that somebody who repeats a test has to give again. */
static char *join_given(const struct bhi_options *options)
{
	static const int repeated[] = {BHI_CHECK_OPTION_MODE, BHI_CHECK_OPTION_TIMEOUT,
		BHI_CHECK_OPTION_MAX_OUTPUT, BHI_CHECK_OPTION_MAX_MEMORY,
		BHI_CHECK_OPTION_COMPARE, BHI_CHECK_OPTION_EXPECT_EXIT,
		BHI_CHECK_OPTION_OK, BHI_CHECK_OPTION_CHILDREN, BHI_CHECK_OPTION_COPY,
		BHI_CHECK_OPTION_STDIN};
	char names[bhi_array_size(repeated)][32];
	char *words[2 * bhi_array_size(repeated) + 1];
	size_t nr = 0;

	for (size_t i = 0; i < bhi_array_size(repeated); i++) {
		const char *value = value_of(options, repeated[i]);

		if (!value)
			continue;
		words[nr++] = bhi_format(names[i], sizeof(names[i]), "--%s",
			bhi_check_option_table[repeated[i]].name);
		words[nr++] = (char *)(uintptr_t)value;
	}
	words[nr] = NULL;
	return bhi_check_quote(words);
}

enum bhi_exit bhi_check_options_read(
	const struct bhi_options *options, struct bhi_check_options *ret)
{
	uint64_t samples = SAMPLES_DEFAULT, expected = 0, budget_ms = 0;
	uint64_t jobs = (uint64_t)bhi_max(sysconf(_SC_NPROCESSORS_ONLN), 1L);

	*ret = (struct bhi_check_options){.burst = 1};
	if (!options->arguments[0]) {
		bhi_errf(
			"bulkhead: check: which command? 'bulkhead help check' shows how "
			"to call it\n");
		return BHI_EXIT_USAGE;
	}
	if (read_setup(options, ret) || read_mode(options, ret) ||
		read_compare(options, ret) ||
		bhi_check_read_fail_on(&bhi_command_check, options,
			BHI_CHECK_WRONG_SILENT, &ret->fail_on) ||
		read_ok(options, ret) || read_shard(options, ret) ||
		read_time(options, BHI_CHECK_OPTION_BUDGET, &budget_ms) ||
		read_number(options, BHI_CHECK_OPTION_SAMPLES, 1, UINT32_MAX, &samples) ||
		read_number(options, BHI_CHECK_OPTION_EXPECT_EXIT, 0, 255, &expected) ||
		read_number(options, BHI_CHECK_OPTION_JOBS, 1, 256, &jobs))
		return BHI_EXIT_USAGE;
	ret->plan.samples = (unsigned)samples;
	ret->plan.exhaustive = value_of(options, BHI_CHECK_OPTION_EXHAUSTIVE) != NULL;
	ret->expected_exit = (int)expected;
	ret->budget_ns = budget_ms * 1000000;
	ret->jobs = (unsigned)jobs;
	ret->fast = value_of(options, BHI_CHECK_OPTION_FAST) != NULL;
	ret->fresh = value_of(options, BHI_CHECK_OPTION_FRESH) != NULL;
	ret->quiet = value_of(options, BHI_CHECK_OPTION_QUIET) != NULL;
	if (value_of(options, BHI_CHECK_OPTION_GDB) &&
		!value_of(options, BHI_CHECK_OPTION_REPLAY)) {
		bhi_errf("bulkhead: check: --gdb: which finding? --replay ID says\n");
		return BHI_EXIT_USAGE;
	}
	if (ret->fast &&
		(ret->setup.pages || ret->setup.follow_children || ret->setup.copy_dir)) {
		bhi_errf("bulkhead: check: --fast: not with %s: %s\n",
			ret->setup.pages             ? "--mode pages"
			: ret->setup.follow_children ? "--children follow"
						     : "--copy",
			ret->setup.pages             ? "the runner has to answer"
			: ret->setup.follow_children ? "only one process is copied"
						     : "copies would share the folder");
		return BHI_EXIT_USAGE;
	}
	if (value_of(options, BHI_CHECK_OPTION_GDB) && ret->setup.pages) {
		bhi_errf("bulkhead: check: --gdb: not in mode pages, where the runner "
			 "has to answer\n");
		return BHI_EXIT_USAGE;
	}
	ret->given = join_given(options);
	return BHI_EXIT_CLEAN;
}
