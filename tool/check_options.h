/* SPDX-License-Identifier: MIT */
/* The options of `bulkhead check`. */
#ifndef BHI_TOOL_CHECK_OPTIONS_H
#define BHI_TOOL_CHECK_OPTIONS_H

#include "check/session.h"

#include "check_output.h"

/* Behind those of check_output.h. */
enum {
	BHI_CHECK_OPTION_SAMPLES = BHI_CHECK_OUTPUT_NR_OPTIONS,
	BHI_CHECK_OPTION_EXHAUSTIVE,
	BHI_CHECK_OPTION_BUDGET,
	BHI_CHECK_OPTION_MODE,
	BHI_CHECK_OPTION_JOBS,
	BHI_CHECK_OPTION_TIMEOUT,
	BHI_CHECK_OPTION_MAX_OUTPUT,
	BHI_CHECK_OPTION_MAX_MEMORY,
	BHI_CHECK_OPTION_COMPARE,
	BHI_CHECK_OPTION_EXPECT_EXIT,
	BHI_CHECK_OPTION_OK,
	BHI_CHECK_OPTION_CHILDREN,
	BHI_CHECK_OPTION_COPY,
	BHI_CHECK_OPTION_STDIN,
	BHI_CHECK_OPTION_SHARD,
	BHI_CHECK_OPTION_LIST,
	BHI_CHECK_OPTION_REPLAY,
	BHI_CHECK_OPTION_GDB,
	BHI_CHECK_OPTION_STATE,
	BHI_CHECK_OPTION_FAST,
	BHI_CHECK_OPTION_FRESH,
	BHI_CHECK_OPTION_QUIET,
	BHI_CHECK_NR_OPTIONS,
};

extern const struct bhi_command_option bhi_check_option_table[];

/* What the command line says, with defaults for the rest. A mistake is one line on
 * standard error. Context: may wait. */
enum bhi_exit bhi_check_options_read(
	const struct bhi_options *options, struct bhi_check_options *ret);

#endif
