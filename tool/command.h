/* SPDX-License-Identifier: MIT */
/*
 * The command `bulkhead`: a table of sub-commands, one file each. Exit status: 0 clean,
 * 1 findings or a failure, 2 a mistake in the call or in what was set up for it.
 */
#ifndef BHI_TOOL_COMMAND_H
#define BHI_TOOL_COMMAND_H

#include "base/fmt.h"

enum bhi_exit {
	BHI_EXIT_CLEAN = 0,
	BHI_EXIT_FAILED = 1,
	BHI_EXIT_USAGE = 2,
};

struct bhi_options {
	bool json;
	char **arguments; /* what follows the options; ends with NULL */
};

struct bhi_command {
	const char *name;
	const char *summary; /* a phrase for the overview */
	const char *usage;   /* what `bulkhead help NAME` prints */
	int max_arguments;
	bool has_json;
	enum bhi_exit (*run)(const struct bhi_options *options);
};

extern const struct bhi_command bhi_command_help;
extern const struct bhi_command bhi_command_info;
extern const struct bhi_command bhi_command_version;

/* In the order of the overview; ends with NULL. */
extern const struct bhi_command *const bhi_commands[];

/* NULL, after one line on standard error, when there is none of that name. */
const struct bhi_command *bhi_command_find(const char *name);

/* Print how to call the command, or an overview for NULL, to @fd. */
enum bhi_exit bhi_usage_print(const struct bhi_command *command, int fd);

/* Flush what goes to standard output; a failure is one line and BHI_EXIT_FAILED. */
enum bhi_exit bhi_finish(struct bhi_out *out);

#endif
