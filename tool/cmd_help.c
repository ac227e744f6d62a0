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
	const struct bhi_command *command = NULL;

	if (options->arguments[0]) {
		command = bhi_command_find(options->arguments[0]);
		if (!command)
			return BHI_EXIT_USAGE;
	}
	return bhi_usage_print(command, 1);
}

const struct bhi_command bhi_command_help = {
	.name = "help",
	.summary = "explain a command",
	.usage = "Usage: bulkhead help [COMMAND]\n"
		 "\n"
		 "Explain COMMAND, or list all commands.\n",
	.max_arguments = 1,
	.run = run,
};
