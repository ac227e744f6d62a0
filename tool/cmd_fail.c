/* SPDX-License-Identifier: MIT */
/* `bulkhead fail`: run a program in which calls fail by the settings of fault injection.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"

#include "check/fail.h"
#include "check/interposer.h"

#include "command.h"

#define VARIABLE "BULKHEAD_FAIL"

enum {
	OPTION_SET,
	OPTION_NTH,
	OPTION_CHILDREN,
	OPTION_LIBRARY,
	OPTION_QUIET,
	NR_OPTIONS,
};

static const struct bhi_command_option table[] = {
	[OPTION_SET] = {"set", true, 's'},
	[OPTION_NTH] = {"nth", true, 'n'},
	[OPTION_CHILDREN] = {"children", true, 0},
	[OPTION_LIBRARY] = {"library", false, 0},
	[OPTION_QUIET] = {"quiet", false, 'q'},
	[NR_OPTIONS] = {NULL, false, 0},
};

/* All --set, one text. */
static enum bhi_exit join(
	const struct bhi_options *options, char ret[BHI_CHECK_SETTINGS_SIZE])
{
	size_t len = 0;

	for (const char *const *text = options->repeated; *text; text++) {
		size_t size = strlen(*text);

		if (len + size + 2 > BHI_CHECK_SETTINGS_SIZE) {
			bhi_errf("bulkhead: fail: --set: no more than %d bytes\n",
				BHI_CHECK_SETTINGS_SIZE - 1);
			return BHI_EXIT_USAGE;
		}
		if (len)
			ret[len++] = ';';
		memcpy(ret + len, *text, size);
		len += size;
	}
	ret[len] = '\0';
	return BHI_EXIT_CLEAN;
}

static enum bhi_exit read_nth(const char *text, uint32_t *ret)
{
	uint64_t nth = 0;

	if (text && (bhi_parse_u64(text, UINT32_MAX, &nth) || !nth)) {
		bhi_errf("bulkhead: fail: --nth: '%s' is not a number from 1 to %u\n",
			text, UINT32_MAX);
		return BHI_EXIT_USAGE;
	}
	*ret = (uint32_t)nth;
	return BHI_EXIT_CLEAN;
}

static enum bhi_exit read_children(const char *text, bool *ret)
{
	*ret = text && !strcmp(text, "follow");
	if (!text || *ret || !strcmp(text, "ignore"))
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: fail: --children: '%s' is neither follow nor ignore\n", text);
	return BHI_EXIT_USAGE;
}

static enum bhi_exit refuse_call(const char *what)
{
	bhi_errf("bulkhead: fail: %s; 'bulkhead help fail' shows how to call it\n", what);
	return BHI_EXIT_USAGE;
}

/* The library in the program reads the settings by itself. */
static enum bhi_exit execute(char *const *command, const char *settings)
{
	if (!setenv(VARIABLE, settings, 1))
		(void)execvp(command[0], command);
	bhi_errf("bulkhead: fail: %s: %s\n", command[0], strerror(errno));
	return BHI_EXIT_USAGE;
}

/* Whether it ran at all, and by the settings. */
static enum bhi_exit check_start(
	const struct bhi_check_fail *fail, const struct bhi_check_failed *failed)
{
	const struct bhi_check_shared *shared = failed->shared;

	if (failed->exec_error)
		bhi_errf("bulkhead: fail: %s: %s\n", fail->command[0],
			strerror(failed->exec_error));
	else if (*shared->refused)
		bhi_errf("bulkhead: fail: --set, at \"%s\" (byte %u): %s\n",
			fail->settings + shared->refused_at, shared->refused_at,
			shared->refused);
	else if (!bhi_load(&shared->started))
		bhi_errf("bulkhead: fail: %s: nothing was made to fail; it is not linked "
			 "dynamically, or it runs with the rights of another user\n",
			fail->command[0]);
	else
		return BHI_EXIT_CLEAN;
	return BHI_EXIT_USAGE;
}

static enum bhi_exit report(const struct bhi_options *options,
	const struct bhi_check_fail *fail, const struct bhi_check_failed *failed)
{
	struct bhi_out out;
	enum bhi_exit status;

	if (!options->values[OPTION_QUIET]) {
		bhi_out_init(&out, STDERR_FILENO);
		bhi_check_failed_text(&out, failed);
		(void)bhi_out_flush(&out);
	}
	if (!options->json)
		return BHI_EXIT_CLEAN;
	status = bhi_open_file(&out, &bhi_command_fail, options->json_file);
	if (status)
		return status;
	bhi_check_failed_json(&out, fail, failed);
	bhi_outf(&out, "\n");
	return bhi_finish(&out);
}

/* As a shell says it: the program's own status, 128 and the number of a signal. */
static int status_of(const struct bhi_check_failed *failed)
{
	return WIFEXITED(failed->status) ? WEXITSTATUS(failed->status)
					 : 128 + WTERMSIG(failed->status);
}

static enum bhi_exit run_with_interposer(
	const struct bhi_options *options, const struct bhi_check_fail *fail)
{
	struct bhi_check_failed failed;
	enum bhi_exit status;
	int r;

	r = bhi_check_fail_run(fail, &failed);
	if (r) {
		bhi_errf("bulkhead: fail: running it: %s\n", strerror(-r));
		return BHI_EXIT_OURS;
	}
	status = check_start(fail, &failed);
	if (!status)
		status = report(options, fail, &failed);
	if (!status)
		status = (enum bhi_exit)status_of(&failed);
	bhi_check_failed_fini(&failed);
	return status;
}

static enum bhi_exit run(const struct bhi_options *options)
{
	char settings[BHI_CHECK_SETTINGS_SIZE], interposer[PATH_MAX];
	struct bhi_check_fail fail = {
		.command = options->arguments,
		.interposer = interposer,
		.settings = settings,
	};
	bool uses_library = options->values[OPTION_LIBRARY] != NULL;
	enum bhi_exit status = join(options, settings);

	if (!status)
		status = read_nth(options->values[OPTION_NTH], &fail.nth);
	if (!status)
		status = read_children(
			options->values[OPTION_CHILDREN], &fail.follow_children);
	if (status)
		return status;
	if (!*options->arguments)
		return refuse_call("no program is named");
	if (!*settings && !fail.nth)
		return refuse_call("nothing is to fail without --set or --nth");
	if (uses_library && (fail.nth || options->json || fail.follow_children))
		return refuse_call("--library goes with --set alone");
	if (uses_library)
		return execute(options->arguments, settings);
	if (bhi_check_interposer_find(interposer, sizeof(interposer))) {
		bhi_errf("bulkhead: fail: the interposer bulkhead-check.so is not where "
			 "this command belongs to\n");
		return BHI_EXIT_OURS;
	}
	return run_with_interposer(options, &fail);
}

const struct bhi_command bhi_command_fail = {
	.name = "fail",
	.summary = "run a program whose allocations fail at random, or as you say",
	.usage =
		"Usage: bulkhead fail --set SETTINGS [option...] [--] COMMAND "
		"[ARGUMENT...]\n"
		"       bulkhead fail --nth N [option...] [--] COMMAND [ARGUMENT...]\n"
		"\n"
		"Run COMMAND with the fault injection of the Linux kernel for its calls "
		"of "
		"malloc and\n"
		"the like. Standard error ends with what was made to fail, and from "
		"where it "
		"was called.\n"
		"To try every single allocation instead, see 'bulkhead help check'.\n"
		"\n"
		"  bulkhead fail --set slab:probability=5,times=-1 -- jq . file.json\n"
		"  bulkhead fail --set slab:probability=100,space=1M -- ls\n"
		"  bulkhead fail --set 'slab:probability=100,require=module:libssl' -- "
		"curl "
		"URL\n"
		"\n"
		"Options:\n"
		"  -s, --set SETTINGS  KIND:KNOB=VALUE,...; as BULKHEAD_FAIL, see "
		"bulkhead-fail(1).\n"
		"                      Kinds: slab (malloc, calloc, realloc, new, ...), "
		"syscall (mmap,\n"
		"                      mremap, brk, as the program calls them). Knobs: "
		"probability,\n"
		"                      interval, times, space, require, reject, seed, "
		"... "
		"May be repeated\n"
		"  -n, --nth N         the Nth call of the first thread fails, once\n"
		"  --children WHAT     follow: those of the program too; ignore "
		"(default)\n"
		"  --library           set it for the library in a program that uses "
		"Bulkhead; its malloc\n"
		"                      is left alone\n"
		"  -q, --quiet         do not say what failed\n"
		"  --json[=FILE]       write it as JSON too; bulkhead-fail(1) describes "
		"it\n"
		"\n"
		"Exit status: that of COMMAND, 128 and the number of a signal that ended "
		"it; "
		"2 for a\n"
		"mistake in the call or when COMMAND cannot be run so, 4 for an error of "
		"ours.\n",
	.max_arguments = -1,
	.takes_command = true,
	.has_json = true,
	.options = table,
	.repeatable = &table[OPTION_SET],
	.run = run,
};
