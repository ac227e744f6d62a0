/* SPDX-License-Identifier: MIT */
/* `bulkhead check merge`: the whole of a session from the reports of its shards. */
#include "check/merge.h"
#include "check/session.h"

#include "check_output.h"

static const struct bhi_command_option option_table[] = {
	BHI_CHECK_OUTPUT_OPTIONS,
	[BHI_CHECK_OUTPUT_NR_OPTIONS] = {NULL, false, 0},
};

/* Whether shards are missing nobody says, but then stacks are. */
static enum bhi_check_text text_of(const struct bhi_check_session *session)
{
	for (size_t i = 0; i < session->nr_stacks; i++) {
		if (!session->stacks[i].nr_tested)
			return BHI_CHECK_TEXT_PART;
	}
	return BHI_CHECK_TEXT_REPORT;
}

static enum bhi_exit merge(const struct bhi_options *options,
	struct bhi_check_output *output, struct bhi_check_arena *arena)
{
	struct bhi_check_session session;
	struct bhi_check_error error;
	enum bhi_exit status;
	size_t nr = 0;

	while (options->arguments[nr])
		nr++;
	if (bhi_check_merge(options->arguments, nr, &session, arena, &error)) {
		bhi_errf("bulkhead: check merge: %s\n", error.text);
		return BHI_EXIT_USAGE;
	}
	status = bhi_check_read_fail_on(
		output->command, options, session.fail_on, &session.fail_on);
	if (!status)
		status = bhi_check_output_write(output, &session, text_of(&session));
	return status ? status : (enum bhi_exit)bhi_check_verdict(&session);
}

static enum bhi_exit run(const struct bhi_options *options)
{
	struct bhi_check_arena arena = {.blocks = NULL};
	struct bhi_check_output output;
	enum bhi_exit status;

	if (!options->arguments[0]) {
		bhi_errf("bulkhead: check merge: which reports? 'bulkhead help check "
			 "merge' shows how to call it\n");
		return BHI_EXIT_USAGE;
	}
	status = bhi_check_output_init(&output, &bhi_command_check_merge, options);
	if (!status)
		status = merge(options, &output, &arena);
	bhi_check_output_fini(&output);
	bhi_check_arena_fini(&arena);
	return status;
}

const struct bhi_command bhi_command_check_merge = {
	.name = "check merge",
	.summary = "one report from those of several shards",
	.usage = "Usage: bulkhead check merge [OPTION...] FILE...\n"
		 "\n"
		 "Unite the JSON reports of 'bulkhead check --shard I/N --json=FILE', in "
		 "any order, and\n"
		 "report as one call without --shard would have.\n"
		 "\n"
		 "  --json[=FILE], --sarif FILE, --junit FILE, --html FILE\n"
		 "                   write such a report, \"-\" is standard output\n"
		 "  --baseline FILE  findings that are known; only others count\n"
		 "  --write-baseline FILE\n"
		 "                   all findings, for --baseline\n"
		 "  --suppressions FILE\n"
		 "                   what is accepted, with reasons; may be repeated\n"
		 "  --fail-on CLASS  exit with 1 for this class and worse, default as "
		 "the parts\n"
		 "\n"
		 "Status: as that of 'bulkhead check'; 2 also for reports that do not "
		 "belong together.\n",
	.max_arguments = -1,
	.has_json = true,
	.options = option_table,
	.repeatable = &option_table[BHI_CHECK_OUTPUT_SUPPRESSIONS],
	.run = run,
};
