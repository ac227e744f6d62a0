/* SPDX-License-Identifier: MIT */
/*
 * The command `bulkhead`: a table of sub-commands, one file each. Exit status: 0 clean,
 * 1 findings or a failure, 2 a mistake in the call or in what was set up for it; 3 and 4
 * are of `bulkhead check`, whose subject may be to blame where it is not.
 */
#ifndef BHI_TOOL_COMMAND_H
#define BHI_TOOL_COMMAND_H

#include "base/fmt.h"

enum bhi_exit {
	BHI_EXIT_CLEAN = 0,
	BHI_EXIT_FAILED = 1,
	BHI_EXIT_USAGE = 2,
	BHI_EXIT_UNSTABLE =
		3,         /* the subject fails on its own, or is another one each time */
	BHI_EXIT_OURS = 4, /* an error of our own */
};

/* The most that the table of one command may have. */
#define BHI_COMMAND_OPTIONS 48
/* The most values of an option that may be given again. */
#define BHI_COMMAND_REPEATS 32

struct bhi_options {
	bool json;
	const char *json_file; /* NULL: standard output */
	/* By the number of the command's option: its value, "" if it takes none, NULL if
	 * it was not given. */
	const char *values[BHI_COMMAND_OPTIONS];
	/* All values of the command's repeatable option; ends with NULL. */
	const char *repeated[BHI_COMMAND_REPEATS + 1];
	char **arguments; /* what is no option; ends with NULL */
};

/* An option of one command; a table ends with a NULL name. */
struct bhi_command_option {
	const char *name; /* without the dashes */
	bool has_value;
	char letter; /* "-j" for 'j'; 0: none */
};

struct bhi_command {
	const char *name;
	const char *summary; /* a phrase for the overview */
	const char *usage;   /* what `bulkhead help NAME` prints */
	int max_arguments;   /* -1: any number */
	/* What is no option begins the command line of another program: all that follows
	 * belongs to it. */
	bool takes_command;
	bool has_json;
	const struct bhi_command_option *options; /* NULL: none */
	/* One of .options, each value of which counts; NULL: of all of them the last. */
	const struct bhi_command_option *repeatable;
	/* Is meant by its last word when that is the first argument; NULL: none. */
	const struct bhi_command *sub;
	enum bhi_exit (*run)(const struct bhi_options *options);
};

extern const struct bhi_command bhi_command_check;
extern const struct bhi_command bhi_command_check_merge;
extern const struct bhi_command bhi_command_fail;
extern const struct bhi_command bhi_command_help;
extern const struct bhi_command bhi_command_info;
extern const struct bhi_command bhi_command_lab;
extern const struct bhi_command bhi_command_version;

/* In the order of the overview; ends with NULL. */
extern const struct bhi_command *const bhi_commands[];

/* NULL, after one line on standard error, when there is none of that name. */
const struct bhi_command *bhi_command_find(const char *name);

/* The part of @command that the word means, or NULL. */
const struct bhi_command *bhi_command_find_sub(
	const struct bhi_command *command, const char *word);

/* Print how to call the command, or an overview for NULL, to @fd. */
enum bhi_exit bhi_usage_print(const struct bhi_command *command, int fd);

/* Whether people look at standard output, on a terminal that has colours. */
bool bhi_has_colours(void);

/* Where an option names a file for output: @out writes to it, or to standard output for
 * NULL and "-". BHI_EXIT_USAGE after a line that says why not. */
enum bhi_exit bhi_open_file(
	struct bhi_out *out, const struct bhi_command *command, const char *file);

/* Flush, and close if it is a file; a failure is one line and BHI_EXIT_FAILED. */
enum bhi_exit bhi_finish(struct bhi_out *out);

#endif
