/* SPDX-License-Identifier: MIT */
/*
 * What `bulkhead check` and `bulkhead check merge` say at their end, and to whom: the
 * options that both have.
 */
#ifndef BHI_TOOL_CHECK_OUTPUT_H
#define BHI_TOOL_CHECK_OUTPUT_H

#include "check/baseline.h"
#include "check/finding.h"
#include "check/suppress.h"

#include "command.h"

/* The first ones of the commands' tables. */
enum {
	BHI_CHECK_OUTPUT_FAIL_ON,
	BHI_CHECK_OUTPUT_SARIF,
	BHI_CHECK_OUTPUT_JUNIT,
	BHI_CHECK_OUTPUT_HTML,
	BHI_CHECK_OUTPUT_BASELINE,
	BHI_CHECK_OUTPUT_WRITE_BASELINE,
	BHI_CHECK_OUTPUT_SUPPRESSIONS,
	BHI_CHECK_OUTPUT_NR_OPTIONS,
};

/* Their rows. */
#define BHI_CHECK_OUTPUT_OPTIONS                                         \
	[BHI_CHECK_OUTPUT_FAIL_ON] = {"fail-on", true, 0},               \
	[BHI_CHECK_OUTPUT_SARIF] = {"sarif", true, 0},                   \
	[BHI_CHECK_OUTPUT_JUNIT] = {"junit", true, 0},                   \
	[BHI_CHECK_OUTPUT_HTML] = {"html", true, 0},                     \
	[BHI_CHECK_OUTPUT_BASELINE] = {"baseline", true, 0},             \
	[BHI_CHECK_OUTPUT_WRITE_BASELINE] = {"write-baseline", true, 0}, \
	[BHI_CHECK_OUTPUT_SUPPRESSIONS] = {"suppressions", true, 0}

/* The text for people, where standard output is not wanted for something else. */
enum bhi_check_text {
	BHI_CHECK_TEXT_REPORT, /* of a whole session */
	BHI_CHECK_TEXT_PART,   /* of some of it: what is not there says nothing */
	BHI_CHECK_TEXT_REPLAY, /* what is known or accepted is told in full */
	BHI_CHECK_TEXT_LIST,   /* of the stacks */
};

struct bhi_check_output {
	const struct bhi_command *command;
	const struct bhi_options *options;
	struct bhi_check_baseline baseline;
	struct bhi_check_suppressions suppressions;
};

/* Read the files that say what is known, and see whether the others could be written:
 * a mistake shows before the work, and not after it. BHI_EXIT_USAGE after a line; to be
 * ended by fini in any case. Context of all: may wait. */
enum bhi_exit bhi_check_output_init(struct bhi_check_output *output,
	const struct bhi_command *command, const struct bhi_options *options);

/* The value of --fail-on, or @fallback. BHI_EXIT_USAGE after a line. */
enum bhi_exit bhi_check_read_fail_on(const struct bhi_command *command,
	const struct bhi_options *options, enum bhi_check_class fallback,
	enum bhi_check_class *ret);

/* Mark what is known and accepted, and write all that is asked for. */
enum bhi_exit bhi_check_output_write(struct bhi_check_output *output,
	struct bhi_check_session *session, enum bhi_check_text text);

/* The reasons in the session's findings go with it. */
void bhi_check_output_fini(struct bhi_check_output *output);

#endif
