/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

enum option_id {
	OPTION_HELP = 'h',
	OPTION_VERSION = 'V',
	OPTION_JSON = 256,
	OPTION_OWN, /* and up: the command's */
};

const struct bhi_command *const bhi_commands[] = {
	&bhi_command_check,
	&bhi_command_fail,
	&bhi_command_help,
	&bhi_command_info,
	&bhi_command_lab,
	&bhi_command_version,
	NULL,
};

const struct bhi_command *bhi_command_find(const char *name)
{
	for (const struct bhi_command *const *c = bhi_commands; *c; c++) {
		if (!strcmp((*c)->name, name))
			return *c;
	}
	bhi_errf("bulkhead: %s: no such command; 'bulkhead help' lists them\n", name);
	return NULL;
}

const struct bhi_command *bhi_command_find_sub(
	const struct bhi_command *command, const char *word)
{
	const char *name = command->sub ? strrchr(command->sub->name, ' ') : NULL;

	return name && word && !strcmp(name + 1, word) ? command->sub : NULL;
}

static enum bhi_exit refuse_option(const struct bhi_command *command, const char *option)
{
	if (command)
		bhi_errf("bulkhead: %s: %s: no such option; 'bulkhead help %s' lists "
			 "them\n",
			command->name, option, command->name);
	else
		bhi_errf("bulkhead: %s: no such option; 'bulkhead help' lists them\n",
			option);
	return BHI_EXIT_USAGE;
}

static bool asks_for_help(const struct bhi_command *command, char **arguments)
{
	for (; *arguments && strcmp(*arguments, "--"); arguments++) {
		/* Whose value or command it is, getopt says. */
		if (command->takes_command && **arguments != '-')
			break;
		if (!strcmp(*arguments, "--help") || !strcmp(*arguments, "-h"))
			return true;
	}
	return false;
}

static enum bhi_exit run_command(
	const struct bhi_command *command, struct bhi_options *options)
{
	int nr = 0;

	while (options->arguments[nr])
		nr++;
	if (command->max_arguments >= 0 && nr > command->max_arguments) {
		bhi_errf("bulkhead: %s: %s: one argument too many; 'bulkhead help %s' "
			 "shows "
			 "how to call it\n",
			command->name, options->arguments[command->max_arguments],
			command->name);
		return BHI_EXIT_USAGE;
	}
	return command->run(options);
}

/* The options that all commands have, and those of @command. */
static void list_options(const struct bhi_command *command,
	struct option ret[BHI_COMMAND_OPTIONS + 3],
	char ret_letters[2 * BHI_COMMAND_OPTIONS + 4])
{
	char *letters = ret_letters;
	int nr = 0;

	if (command->takes_command)
		*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	ret[nr++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	if (command->has_json)
		ret[nr++] = (struct option){"json", optional_argument, NULL, OPTION_JSON};
	for (int i = 0; command->options && command->options[i].name; i++) {
		const struct bhi_command_option *own = &command->options[i];

		ret[nr++] = (struct option){own->name,
			own->has_value ? required_argument : no_argument, NULL,
			OPTION_OWN + i};
		if (!own->letter)
			continue;
		*letters++ = own->letter;
		if (own->has_value)
			*letters++ = ':';
	}
	*letters = 0;
	ret[nr] = (struct option){NULL, 0, NULL, 0};
}

static enum bhi_exit refuse_value(const struct bhi_command *command, const char *option)
{
	bhi_errf("bulkhead: %s: %s: a value is missing; 'bulkhead help %s' lists the "
		 "options\n",
		command->name, option, command->name);
	return BHI_EXIT_USAGE;
}

/* The number of the command's option that getopt's @id stands for; -1: none. */
static int find_own(const struct bhi_command *command, int id)
{
	if (id >= OPTION_OWN)
		return id - OPTION_OWN;
	for (int i = 0; command->options && command->options[i].name; i++) {
		if (command->options[i].letter == id)
			return i;
	}
	return -1;
}

/* 0, or -E2BIG after a line. */
static int add_value(const struct bhi_command *command, int own, const char *value,
	struct bhi_options *options)
{
	int nr = 0;

	options->values[own] = value ? value : "";
	if (&command->options[own] != command->repeatable)
		return 0;
	while (options->repeated[nr])
		nr++;
	if (nr == BHI_COMMAND_REPEATS) {
		bhi_errf("bulkhead: %s: --%s: no more than %d of them\n", command->name,
			command->repeatable->name, nr);
		return -E2BIG;
	}
	options->repeated[nr] = value;
	return 0;
}

/* @argv starts with the name of the command, or the last word of it. */
static enum bhi_exit call(const struct bhi_command *command, int argc, char **argv)
{
	struct option table[BHI_COMMAND_OPTIONS + 3];
	char letters[2 * BHI_COMMAND_OPTIONS + 4];
	struct bhi_options options = {.json = false};

	if (asks_for_help(command, argv + 1))
		return bhi_usage_print(command, 1);
	list_options(command, table, letters);
	/* 0 makes getopt start anew on another vector. */
	optind = 0;
	for (;;) {
		int at = optind ? optind : 1;
		int id = getopt_long(argc, argv, letters, table, NULL), own;

		if (id == -1)
			break;
		/* What is no option was moved behind those that are. */
		if (at >= argc || argv[at][0] != '-')
			at = optind - 1;
		if (id == OPTION_HELP)
			return bhi_usage_print(command, 1);
		if (id == ':')
			return refuse_value(command, argv[at]);
		if (id == OPTION_JSON) {
			options.json = true;
			options.json_file = optarg;
			continue;
		}
		own = id == '?' ? -1 : find_own(command, id);
		if (own < 0)
			return refuse_option(command, argv[at]);
		if (add_value(command, own, optarg, &options))
			return BHI_EXIT_USAGE;
	}
	options.arguments = argv + optind;
	return run_command(command, &options);
}

static enum bhi_exit dispatch(int argc, char **argv)
{
	const struct bhi_command *command = bhi_command_find(argv[0]);
	const struct bhi_command *sub =
		command ? bhi_command_find_sub(command, argv[1]) : NULL;

	if (!command)
		return BHI_EXIT_USAGE;
	return sub ? call(sub, argc - 1, argv + 1) : call(command, argc, argv);
}

/* A file that is opened in the place of one that is closed would be written to by what
 * means standard output. */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDWR);
	}
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{"help", no_argument, NULL, OPTION_HELP},
		{"version", no_argument, NULL, OPTION_VERSION},
		{NULL, 0, NULL, 0},
	};
	const struct bhi_options none = {.json = false};
	bool help = false;

	fill_standard_descriptors();
	opterr = 0;
	for (;;) {
		int at = optind;
		int id = getopt_long(argc, argv, "+hV", table, NULL);

		if (id == -1)
			break;
		if (id == OPTION_VERSION)
			return bhi_command_version.run(&none);
		if (id != OPTION_HELP)
			return refuse_option(NULL, argv[at]);
		help = true;
	}
	if (optind < argc && help) {
		const struct bhi_command *command = bhi_command_find(argv[optind]);

		return command ? bhi_usage_print(command, 1) : BHI_EXIT_USAGE;
	}
	if (optind < argc)
		return dispatch(argc - optind, argv + optind);
	if (help)
		return bhi_usage_print(NULL, 1);
	bhi_usage_print(NULL, 2);
	return BHI_EXIT_USAGE;
}
