/* SPDX-License-Identifier: MIT */
#include "command.h"

static void print_overview(struct bhi_out *out)
{
	bhi_outf(out,
		"Usage: bulkhead COMMAND [OPTION...]\n"
		"\n"
		"Memory groups, limits and reliable out-of-memory handling inside one "
		"process.\n"
		"\n"
		"Commands:\n");
	for (const struct bhi_command *const *c = bhi_commands; *c; c++)
		bhi_outf(out, "  %-9s %s\n", (*c)->name, (*c)->summary);
	bhi_outf(out, "\n"
		      "Options:\n"
		      "  -h, --help     explain the command, or print this\n"
		      "  -V, --version  print the version\n"
		      "\n"
		      "Exit status: 0 clean, 1 findings or a failure, 2 a mistake in the "
		      "call.\n");
}

enum bhi_exit bhi_usage_print(const struct bhi_command *command, int fd)
{
	struct bhi_out out;

	bhi_out_init(&out, fd);
	if (command)
		bhi_outf(&out, "%s", command->usage);
	else
		print_overview(&out);
	return bhi_finish(&out);
}

static enum bhi_exit run(const struct bhi_options *options)
{
	char **words = options->arguments;
	const struct bhi_command *command = words[0] ? bhi_command_find(words[0]) : NULL;
	const struct bhi_command *sub;

	if (!words[0])
		return bhi_usage_print(NULL, 1);
	if (!command)
		return BHI_EXIT_USAGE;
	sub = bhi_command_find_sub(command, words[1]);
	if (!words[1] || sub)
		return bhi_usage_print(sub ? sub : command, 1);
	bhi_errf("bulkhead: help: %s: one argument too many; 'bulkhead help help' shows "
		 "how to call it\n",
		words[1]);
	return BHI_EXIT_USAGE;
}

const struct bhi_command bhi_command_help = {
	.name = "help",
	.summary = "explain a command",
	.usage = "Usage: bulkhead help [COMMAND]\n"
		 "\n"
		 "Explain COMMAND, or list all commands.\n",
	.max_arguments = 2,
	.run = run,
};
