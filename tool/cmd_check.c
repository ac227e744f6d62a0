/* SPDX-License-Identifier: MIT */
/*
 * `bulkhead check`: each allocation of a program fails once, in a run of its own, and the
 * command tells what comes of it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/interposer.h"
#include "check/interrupt.h"
#include "check/replay.h"
#include "check/report.h"
#include "check/state.h"
#include "check/tree.h"

#include "check_options.h"

static enum bhi_exit make_folder(char *ret, size_t size)
{
	const char *base = getenv("TMPDIR");

	snprintf(ret, size, "%s/bulkhead-XXXXXX", base && *base == '/' ? base : "/tmp");
	if (mkdtemp(ret))
		return BHI_EXIT_CLEAN;
	bhi_errf("bulkhead: check: %s: %s\n", ret, strerror(errno));
	return BHI_EXIT_OURS;
}

static enum bhi_check_text text_of(const struct bhi_options *options)
{
	if (options->values[BHI_CHECK_OPTION_LIST])
		return BHI_CHECK_TEXT_LIST;
	if (options->values[BHI_CHECK_OPTION_REPLAY])
		return BHI_CHECK_TEXT_REPLAY;
	return options->values[BHI_CHECK_OPTION_SHARD] ? BHI_CHECK_TEXT_PART
						       : BHI_CHECK_TEXT_REPORT;
}

static enum bhi_exit replay(
	struct bhi_check_work *work, const struct bhi_options *options, bool *ret_done)
{
	const char *id = options->values[BHI_CHECK_OPTION_REPLAY];
	struct bhi_check_point point;
	enum bhi_check_exit status;
	bool found;

	*ret_done = false;
	status = bhi_check_replay_find(work, id, &found, &point);
	if (status)
		return (enum bhi_exit)status;
	if (!found)
		return BHI_EXIT_USAGE;
	if (options->values[BHI_CHECK_OPTION_GDB])
		return (enum bhi_exit)bhi_check_replay_gdb(work, &point);
	status = bhi_check_replay_run(work, &point);
	if (status)
		return (enum bhi_exit)status;
	if (!work->session.nr_findings || strcmp(work->session.findings[0].id, id))
		bhi_errf("bulkhead: check: %s did not show this time\n", id);
	*ret_done = true;
	return BHI_EXIT_CLEAN;
}

static enum bhi_exit run_session(struct bhi_check_work *work,
	const struct bhi_options *options, struct bhi_check_output *output)
{
	bool lists = options->values[BHI_CHECK_OPTION_LIST] != NULL, done = true;
	enum bhi_exit status = (enum bhi_exit)bhi_check_record(work), reported;

	if (status)
		return status;
	if (options->values[BHI_CHECK_OPTION_REPLAY])
		status = replay(work, options, &done);
	else if (!lists)
		status = (enum bhi_exit)bhi_check_explore(work);
	if (!done || status == BHI_EXIT_USAGE)
		return status;
	/* What was seen until something failed is worth a look too. */
	reported = bhi_check_output_write(output, &work->session, text_of(options));
	if (status || reported)
		return status ? status : reported;
	return lists ? BHI_EXIT_CLEAN : (enum bhi_exit)bhi_check_verdict(&work->session);
}

/* Who waits for us sees that it was not the whole session. */
static void end_by(int signal_number)
{
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number);
}

static enum bhi_exit work_in_folder(const struct bhi_check_options *given,
	const struct bhi_options *options, struct bhi_check_output *output)
{
	struct bhi_check_options read = *given;
	char interposer[4096], folder[4096];
	struct bhi_check_work work;
	enum bhi_exit status;
	char *state = NULL;

	if (bhi_check_interposer_find(interposer, sizeof(interposer))) {
		bhi_errf("bulkhead: check: the interposer bulkhead-check.so is not where "
			 "this command belongs to\n");
		return BHI_EXIT_OURS;
	}
	status = make_folder(folder, sizeof(folder));
	if (status)
		return status;
	read.setup.interposer = interposer;
	read.setup.work_dir = folder;
	if (!options->values[BHI_CHECK_OPTION_STATE])
		state = bhi_check_state_path(&read);
	read.state_file = state ? state : options->values[BHI_CHECK_OPTION_STATE];
	bhi_check_interrupts_catch();
	bhi_check_work_init(&work, &read);
	status = run_session(&work, options, output);
	bhi_check_work_fini(&work);
	bhi_check_tree_remove(folder);
	free(state);
	bhi_check_interrupts_release();
	/* Not with findings: those are said, and the status says so. */
	if (bhi_check_interrupted() &&
		(status == BHI_EXIT_CLEAN ||
			(enum bhi_check_exit)status == BHI_CHECK_EXIT_INTERRUPTED))
		end_by(bhi_check_interrupted());
	return status;
}

static enum bhi_exit run(const struct bhi_options *options)
{
	struct bhi_check_options read;
	struct bhi_check_output output;
	enum bhi_exit status = bhi_check_options_read(options, &read);

	if (status)
		return status;
	status = bhi_check_output_init(&output, &bhi_command_check, options);
	if (!status)
		status = work_in_folder(&read, options, &output);
	bhi_check_output_fini(&output);
	free(read.given);
	return status;
}

const struct bhi_command bhi_command_check = {
	.name = "check",
	.summary = "let a program's allocations fail, and see what it does",
	.usage =
		"Usage: bulkhead check [OPTION...] [--] COMMAND [ARGUMENT...]\n"
		"       bulkhead check --replay ID [--gdb] [OPTION...] [--] COMMAND "
		"[ARGUMENT...]\n"
		"       bulkhead check merge [OPTION...] FILE...\n"
		"\n"
		"Run COMMAND, note each call of malloc and its relatives with its whole "
		"stack, and run\n"
		"it again once or twice for each stack, with that call refused. Then "
		"tell "
		"where it\n"
		"crashes, hangs or gives wrong output, grouped by cause. The program is "
		"not "
		"changed;\n"
		"it must be linked dynamically, and do the same each time.\n"
		"\n"
		"  bulkhead check -- jq . file.json           a first look\n"
		"  bulkhead check --replay crash-1b2c3d4e -- jq . file.json\n"
		"                                             one finding again; with "
		"--gdb, "
		"in gdb\n"
		"\n"
		"What is tried:\n"
		"  --samples K      calls of each stack, default 2: the first and the "
		"last\n"
		"  --exhaustive     all calls\n"
		"  --mode MODE      once (default); burst=N: N calls from there on; "
		"persistent: all;\n"
		"                   pages: mmap, mremap and brk instead, whoever calls "
		"them\n"
		"  --budget TIME    stop after 60s, 5m...; what matters most comes "
		"first\n"
		"  --children WHAT  ignore (default): the first process only; follow: "
		"its "
		"children too\n"
		"  --shard I/N      that part of the stacks, for several machines\n"
		"  --list           only list the stacks\n"
		"\n"
		"What is right:\n"
		"  --expect-exit N  exit status of the clean run, default 0\n"
		"  --compare HOW    standard output: exact (default), lines (in any "
		"order), "
		"none, or a\n"
		"                   command that is given two files and exits with 0 for "
		"\"the same\"\n"
		"  --ok REGEX       output that has it means that the failure was "
		"handled\n"
		"  --fail-on CLASS  exit with 1 for this class and worse, default "
		"wrong-output-silent\n"
		"\n"
		"How it runs:\n"
		"  -j, --jobs N     runs at a time, default as many as processors\n"
		"  --fast           copy the running program at each call that is to "
		"fail, where\n"
		"                   that is sound, instead of starting it anew\n"
		"  --timeout TIME   of one run, default 10 times the clean run and 2 s\n"
		"  --copy DIR       start each run in a private copy of DIR, and compare "
		"its files\n"
		"  --stdin FILE     standard input, default /dev/null\n"
		"  --max-output SIZE, --max-memory SIZE\n"
		"  --state FILE     what is done and found; default in XDG_STATE_HOME\n"
		"  --fresh          do not go on where an interrupted call stopped\n"
		"  -q, --quiet      no progress\n"
		"\n"
		"What is written, besides text on standard output (FILE \"-\" takes its "
		"place):\n"
		"  --json[=FILE], --sarif FILE, --junit FILE, --html FILE\n"
		"  --baseline FILE  findings that are known: only others give status 1\n"
		"  --write-baseline FILE\n"
		"                   all findings that are not suppressed, for "
		"--baseline\n"
		"  --suppressions FILE\n"
		"                   lines of 'class function module # reason'; may be "
		"repeated\n"
		"\n"
		"'bulkhead check merge' unites the JSON reports of shards; 'bulkhead "
		"help check\n"
		"merge' explains it. A program of that name: bulkhead check -- merge.\n"
		"\n"
		"Classes, worst first: memory-corruption, crash, reporter-crash, "
		"deadlock, "
		"busy-hang,\n"
		"runaway-output, wrong-output-silent, wrong-output, leak, lock-held, "
		"silent-error,\n"
		"policy-abort (it ends itself on purpose); handled and absorbed are no "
		"findings.\n"
		"\n"
		"Status: 0 nothing that --fail-on names, 1 findings, 2 a mistake in the "
		"call, 3 the\n"
		"program fails or differs without any failure of ours, 4 an error of our "
		"own.\n",
	.max_arguments = -1,
	.takes_command = true,
	.has_json = true,
	.options = bhi_check_option_table,
	.repeatable = &bhi_check_option_table[BHI_CHECK_OUTPUT_SUPPRESSIONS],
	.sub = &bhi_command_check_merge,
	.run = run,
};
