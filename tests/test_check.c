/* SPDX-License-Identifier: MIT */
/* `bulkhead check` as it is called: on small subjects with known faults, and on programs
 * that everybody has. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "support_check.h"

#define MAX_ARGUMENTS 24

struct call {
	const char *env[2]; /* NAME=value, or NULL */
	const char *argv[MAX_ARGUMENTS];
	const char *program;
};

static void execute(void *arg)
{
	const struct call *call = arg;

	for (int i = 0; i < 2 && call->env[i]; i++)
		putenv((char *)(uintptr_t)call->env[i]);
	if (!call->program)
		exit(125);
	execv(call->program, (char **)(uintptr_t)call->argv);
	perror(call->program);
	exit(125);
}

/* State goes to a folder of the test's own, unless the test has set one. */
static void run_program(
	const char *program, struct call *call, struct support_output *ret)
{
	call->program = program;
	if (SUPPORT_SANITIZED)
		support_skip("an interposer and a sanitizer both replace malloc");
	if (!getenv("BH_TEST_STATE")) {
		setenv("XDG_STATE_HOME", support_dir(), 1);
		setenv("BH_TEST_STATE", "1", 1);
	}
	support_capture(execute, call, ret);
}

static void run_call(struct call *call, struct support_output *ret)
{
	run_program(getenv("BH_COMMAND"), call, ret);
}

/* "bulkhead check -q OPTIONS -- subject_session PROGRAM"; options are split at blanks. */
static void check_subject(const char *options, const char *program, const char *env,
	struct support_output *ret)
{
	struct call call = {.env = {env}, .argv = {"bulkhead", "check", "-q"}};
	char copy[256], *rest = copy;
	int nr = 3;

	snprintf(copy, sizeof(copy), "%s", options);
	for (char *word; (word = strsep(&rest, " ")) && *word;) {
		ck_assert_int_lt(nr, MAX_ARGUMENTS - 4);
		call.argv[nr++] = word;
	}
	call.argv[nr++] = "--";
	call.argv[nr++] = support_subject("subject_session");
	call.argv[nr++] = program;
	run_call(&call, ret);
}

/* The first ID of this class in a report. */
static const char *find_id(const struct support_output *output, const char *class)
{
	static char id[64];
	char pattern[64];
	const char *at;

	snprintf(pattern, sizeof(pattern), "\n%s-", class);
	at = strstr(output->out, pattern);
	ck_assert_msg(at != NULL, "no %s in:\n%s", class, output->out);
	snprintf(id, sizeof(id), "%.*s", (int)strcspn(at + 1, " \n"), at + 1);
	return id;
}

START_TEST(each_cause_is_one_finding)
{
	struct support_output output;

	check_subject("", "mixed", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_assert_says(
		&output, "SIGSEGV in print_name when malloc in set_name fails");
	support_assert_says(
		&output, "2 tests; 2 calls with 2 stacks of the clean run lead to it");
	support_assert_says(&output,
		"the output is wrong and nothing says so when malloc in find "
		"fails");
	support_assert_says(&output, "difference: line 3 is missing: \"found\"");
	support_assert_says(&output,
		"ends by its own policy in memory_exhausted when malloc in mixed "
		"fails");
	support_assert_says(
		&output, "2 tests, 3 calls with 1 stacks: subject: memory exhausted");
	support_assert_says(&output,
		"Findings: 1 crash, 1 wrong-output-silent, 1 policy-abort. "
		"Tests that were handled: 1, absorbed: 0.");
	support_assert_says(
		&output, "7 calls with 5 stacks seen; 5 stacks tested at 6 points");
	support_assert_says(&output, "injected by bulkhead");
	support_output_fini(&output);
}
END_TEST

static const struct cxx {
	const char *what;
	int status;
	const char *says;
} cxx[] = {
	{"caught", 0, "Findings: none. Tests that were handled: 1"},
	{"uncaught", 0, "Findings: 1 policy-abort."},
	{"nothrow", 0, "Findings: none. Tests that were handled: 0"},
	{"unchecked", 1, "SIGSEGV in"},
	{"aligned", 0, "Findings: none. Tests that were handled: 1"},
	{"noexcept", 0, "Findings: 1 policy-abort."},
};
#define NR_CXX ((int)(sizeof(cxx) / sizeof(cxx[0])))

START_TEST(operator_new_throws_or_gives_null)
{
	struct support_output output;
	struct call call = {.argv = {"bulkhead", "check", "-q", "--",
				    support_subject("subject_cxx"), cxx[_i].what}};

	run_call(&call, &output);
	ck_assert_msg(support_exit_status(&output) == cxx[_i].status, "%s: %s%s",
		cxx[_i].what, output.out, output.err);
	support_assert_says(&output, cxx[_i].says);
	support_output_fini(&output);
}
END_TEST

START_TEST(a_program_that_handles_all_is_clean)
{
	struct support_output output;

	check_subject("", "clean", NULL, &output);
	ck_assert_str_eq(output.err, "");
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_assert_says(
		&output, "Findings: none. Tests that were handled: 1, absorbed: 1.");
	support_output_fini(&output);
}
END_TEST

START_TEST(the_last_call_of_a_stack_is_tried_too)
{
	struct support_output output;

	check_subject("--samples 1", "last", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
	check_subject("", "last", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_assert_says(&output, "SIGSEGV in last when malloc in last fails");
	support_output_fini(&output);
	check_subject("--exhaustive --mode burst=4", "last", NULL, &output);
	support_assert_says(&output, "4 tests; 10 calls with 1 stacks");
	support_assert_says(&output, "10 points");
	support_output_fini(&output);
}
END_TEST

START_TEST(what_varies_is_masked_and_said)
{
	struct support_output output;

	check_subject("", "unstable", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_assert_says(&output, "note: standard output differs in 1 of 2 lines");
	support_assert_says(&output, "Findings: 1 wrong-output-silent.");
	support_output_fini(&output);
	check_subject("--compare none", "unstable", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
	check_subject("--compare true", "unstable", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
	check_subject("--compare false", "clean", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_output_fini(&output);
}
END_TEST

START_TEST(files_that_a_run_leaves_are_compared_in_its_copy)
{
	char folder[4096];
	struct call call = {.argv = {"bulkhead", "check", "-q", "--copy", folder, "--",
				    "sh", "-c", "cat a >b; date +%N >c; sort a >d"}};
	struct support_output output;
	char path[4096 + 8];

	snprintf(folder, sizeof(folder), "%s", support_dir());
	support_write_file(folder, "a", "one\ntwo\n");
	run_call(&call, &output);
	ck_assert_str_eq(output.err, "");
	support_assert_says(
		&output, "note: the list of the files it leaves differs in 1 of 4 lines");
	ck_assert(!support_contains(output.out, "wrong-output-silent-"));
	support_output_fini(&output);
	call.argv[5] = "--children";
	call.argv[6] = "follow";
	call.argv[7] = "sh";
	call.argv[8] = "-c";
	call.argv[9] = "sort a >d; echo done";
	run_call(&call, &output);
	support_assert_says(&output, "difference: files: ");
	snprintf(path, sizeof(path), "%s/d", folder);
	ck_assert_int_ne(access(path, F_OK), 0);
	support_output_fini(&output);
}
END_TEST

START_TEST(a_hang_ends_at_the_time_limit)
{
	struct support_output output;

	check_subject("--timeout 700ms", "hang", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_assert_says(&output, "loops for ever in hang when malloc in hang fails");
	support_assert_says(&output, "then it stays here:");
	support_output_fini(&output);
}
END_TEST

START_TEST(a_finding_has_the_same_id_in_another_environment)
{
	struct support_output output;
	char id[64];

	check_subject("", "mixed", NULL, &output);
	snprintf(id, sizeof(id), "%s", find_id(&output, "crash"));
	support_output_fini(&output);
	check_subject("--fresh", "mixed", "SOMETHING=else", &output);
	ck_assert_str_eq(find_id(&output, "crash"), id);
	support_output_fini(&output);
}
END_TEST

START_TEST(a_finding_is_repeated_by_its_id)
{
	struct support_output output;
	char options[128], id[64];

	check_subject("", "mixed", NULL, &output);
	snprintf(id, sizeof(id), "%s", find_id(&output, "crash"));
	support_output_fini(&output);
	snprintf(options, sizeof(options), "--replay %s", id);
	check_subject(options, "mixed", NULL, &output);
	ck_assert_str_eq(output.err, "");
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_assert_says(&output, "1 stacks tested at 1 points");
	ck_assert_str_eq(find_id(&output, "crash"), id);
	support_output_fini(&output);
	/* Nobody left a state: it is looked for. */
	snprintf(options, sizeof(options), "--state %s/none --replay %s", support_dir(),
		id);
	check_subject(options, "mixed", NULL, &output);
	ck_assert(support_contains(output.err, "looking for it"));
	support_assert_says(&output, "1 stacks tested at 1 points");
	ck_assert_int_eq(support_exit_status(&output), 1);
	ck_assert_str_eq(find_id(&output, "crash"), id);
	support_output_fini(&output);
	check_subject("--replay crash-00000000", "clean", NULL, &output);
	ck_assert(support_contains(output.err, "no point of this command shows it"));
	ck_assert_int_eq(support_exit_status(&output), 2);
	support_output_fini(&output);
}
END_TEST

START_TEST(what_a_budget_left_undone_the_next_call_does)
{
	struct support_output output;

	check_subject("--budget 1ms -j 1", "mixed", NULL, &output);
	support_assert_says(&output, "The budget is used up");
	support_output_fini(&output);
	check_subject("", "mixed", NULL, &output);
	support_assert_says(&output, "tested at 6 points, 6 runs");
	support_assert_says(
		&output, "Findings: 1 crash, 1 wrong-output-silent, 1 policy-abort.");
	support_output_fini(&output);
}
END_TEST

/* Their own limit is far away. */
START_TEST(runs_that_hang_end_soon_after_the_budget)
{
	struct support_output output;

	check_subject(_i ? "--fast --timeout 1h --budget 1s -j 1"
			 : "--timeout 1h --budget 1s -j 1",
		"hang-afterwards", NULL, &output);
	support_assert_says(&output, "Findings: none.");
	support_assert_says(&output, "The budget is used up");
	ck_assert(!support_contains(output.out, "loops for ever"));
	support_output_fini(&output);
	/* What was cut off is not done. */
	check_subject("--timeout 700ms", "hang-afterwards", NULL, &output);
	support_assert_says(&output, "loops for ever in hang when malloc in hang fails");
	support_output_fini(&output);
}
END_TEST

START_TEST(json_has_all_of_it)
{
	struct support_output output;

	check_subject("--json", "mixed", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	ck_assert(support_json_valid(output.out));
	ck_assert(support_contains(output.out, "\"schema\": \"bulkhead-check\""));
	ck_assert(support_contains(output.out, "\"class\": \"wrong-output-silent\""));
	ck_assert(support_contains(output.out, "\"function\": \"print_name\""));
	support_output_fini(&output);
}
END_TEST

START_TEST(fail_on_says_what_is_bad_enough)
{
	struct support_output output;

	check_subject("--fail-on memory-corruption", "mixed", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
	check_subject("--ok found|first|^f", "unstable", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 1);
	support_output_fini(&output);
	check_subject("--ok process", "unstable", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_output_fini(&output);
}
END_TEST

START_TEST(mistakes_and_failing_programs_have_their_own_status)
{
	static const struct {
		const char *argv[6];
		int status;
		const char *err;
	} rows[] = {
		{{"check"}, 2, "which command?"},
		{{"check", "--samples", "0", "true"}, 2, "'0' is not a number"},
		{{"check", "--nothing", "true"}, 2, "--nothing: no such option"},
		{{"check", "--mode", "thrice", "true"}, 2, "once, burst=N, persistent"},
		{{"check", "--budget", "soon", "true"}, 2, "a time such as"},
		{{"check", "--fail-on", "handled", "true"}, 2, "a class of findings"},
		{{"check", "--gdb", "true"}, 2, "--replay ID"},
		{{"check", "--mode=pages", "--gdb", "--replay=x", "true"}, 2,
			"not in mode pages"},
		{{"check", "--", "/no/such/program"}, 2, "No such file"},
		{{"check", "--", "false"}, 3, "ended with status 1, not 0"},
		{{"check", "-q", "--expect-exit", "1", "false"}, 0, ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct call call = {.argv = {"bulkhead"}};
		struct support_output output;

		for (int k = 0; k < 6 && rows[i].argv[k]; k++)
			call.argv[k + 1] = rows[i].argv[k];
		run_call(&call, &output);
		ck_assert_msg(support_exit_status(&output) == rows[i].status,
			"%zu: %d %s", i, support_exit_status(&output), output.err);
		ck_assert_msg(
			support_contains(output.err, rows[i].err), "%s", output.err);
		support_output_fini(&output);
	}
}
END_TEST

START_TEST(a_comparison_without_an_answer_is_an_error_of_ours)
{
	struct support_output output;

	check_subject("-j 2 --compare /no/such/program", "clean", NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 4);
	ck_assert_str_eq(output.err,
		"bulkhead: check: --compare: '/no/such/program' gave no answer: a signal "
		"ended it, or its status was 126 or above\n");
	support_output_fini(&output);
}
END_TEST

static const struct {
	const char *script;
	int signal;
} interrupts[] = {
	{"kill -INT $PPID; exec sleep 60", SIGINT},
	{"kill -TERM $PPID; exec sleep 60", SIGTERM},
	{"kill -HUP $PPID; exec sleep 60", SIGHUP},
};

/* While the clean run is under way, by the subject itself. */
START_TEST(a_session_that_is_asked_to_end_ends_by_that_signal_and_leaves_nothing)
{
	struct call call = {.argv = {"bulkhead", "check", "-q", "--", "sh", "-c",
				    interrupts[_i].script}};
	char folder[4096], variable[4200];
	struct support_output output;

	snprintf(folder, sizeof(folder), "%s/work", support_dir());
	snprintf(variable, sizeof(variable), "TMPDIR=%s", folder);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	call.env[0] = variable;
	/* Whoever runs this under nohup has it ignored, and the session respects that. */
	signal(interrupts[_i].signal, SIG_DFL);
	run_call(&call, &output);
	ck_assert_msg(WIFSIGNALED(output.status) &&
			      WTERMSIG(output.status) == interrupts[_i].signal,
		"%#x %s", (unsigned)output.status, output.err);
	ck_assert_str_eq(output.err, "");
	ck_assert_str_eq(output.out, "");
	/* It is empty. */
	ck_assert_int_eq(rmdir(folder), 0);
	support_output_fini(&output);
}
END_TEST

/* A shell that executes us leaves us its children. One in a session of its own looks like
 * the daemon of a subject. */
START_TEST(children_that_were_there_before_are_left_alone)
{
	static const char script[] = "cd \"$2\" && mkfifo ready && "
				     "{ setsid sh -c 'echo >ready; exec sleep 60' & } && "
				     "read x <ready && echo $! >pid && "
				     "exec \"$0\" check -q --samples 1 -- \"$1\" clean";
	const char *folder = support_dir();
	struct call call = {
		.argv = {"sh", "-c", script, getenv("BH_COMMAND"), NULL, folder}};
	struct support_output output;
	char path[4096];
	int pid = 0;
	FILE *file;

	call.argv[4] = support_subject("subject_session");
	run_program("/bin/sh", &call, &output);
	ck_assert_msg(support_exit_status(&output) == 0, "%s", output.err);
	snprintf(path, sizeof(path), "%s/pid", folder);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
	fclose(file);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	support_output_fini(&output);
}
END_TEST

/* In a session of its own, and nobody's child when the subject has ended. */
START_TEST(a_daemon_of_the_subject_does_not_outlive_the_session)
{
	static const char script[] =
		"cd \"$1\" && mkfifo ready && "
		"\"$0\" check -q --samples 1 --shard 1/8 --timeout 2s -- sh -c '"
		"setsid sh -c \"echo \\$\\$ >>pids; echo >ready; exec sleep 300\" & "
		"read x <ready' >report; "
		"for pid in $(cat pids); do "
		"echo started; kill -0 $pid 2>/dev/null && echo left; done";
	struct call call = {
		.argv = {"sh", "-c", script, getenv("BH_COMMAND"), support_dir()}};
	struct support_output output;

	run_program("/bin/sh", &call, &output);
	support_assert_says(&output, "started");
	ck_assert(!support_contains(output.out, "left"));
	support_output_fini(&output);
}
END_TEST

START_TEST(a_finding_is_shown_in_gdb_with_its_input_and_its_copy)
{
	static const char script[] =
		"cd \"$1\" && mkdir copied && printf 'line a\\nline b\\n' >copied/in && "
		"set -- --copy copied --stdin copied/in -- "
		"sed -n 's/line \\(a\\|b\\)/L\\1/p' && "
		"id=$(\"$0\" check -q \"$@\" | "
		"grep -o -m 1 '^wrong-output-silent-[0-9a-f]*') && "
		"printf 'bt\\ninfo proc cwd\\n' | \"$0\" check --replay $id --gdb \"$@\"";
	struct call call = {
		.argv = {"sh", "-c", script, getenv("BH_COMMAND"), support_dir()}};
	struct support_output output;

	run_program("/bin/sh", &call, &output);
	support_assert_says(&output, "SIGTRAP");
	support_assert_says(&output, "re_search");
	support_assert_says(&output, "gdb-copy");
	support_output_fini(&output);
}
END_TEST

START_TEST(closed_standard_descriptors_are_no_trouble)
{
	static const char script[] =
		"\"$0\" check -q --fail-on crash --json=\"$2/json\" -- "
		"\"$1\" clean <&- >&- 2>&-; echo $?; "
		"grep -c '\"class\": \"handled\"' \"$2/json\"";
	struct call call = {
		.argv = {"sh", "-c", script, getenv("BH_COMMAND"), NULL, support_dir()}};
	struct support_output output;

	call.argv[4] = support_subject("subject_session");
	run_program("/bin/sh", &call, &output);
	ck_assert_str_eq(output.out, "0\n1\n");
	support_output_fini(&output);
}
END_TEST

/* It prints the mark of the run, which is another one in each. */
START_TEST(a_program_that_prints_its_environment_is_not_wrong_for_that)
{
	struct call call = {.argv = {"bulkhead", "check", "-q", "--fresh",
				    _i ? "--fast" : "--samples=2", "--", "env"}};
	struct support_output output;

	run_call(&call, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_assert_says(&output, "Findings: none.");
	support_output_fini(&output);
}
END_TEST

/* A part of it: whole sessions take longer than a test should. */
START_TEST(jq_ends_by_its_own_policy)
{
	struct call call = {.argv = {"bulkhead", "check", "-q", "--samples", "1",
				    "--shard", "1/8", "--", "jq", "-n", "1"}};
	struct support_output output;

	run_call(&call, &output);
	support_assert_says(&output, "error: cannot allocate memory");
	support_assert_says(&output, " policy-abort");
	ck_assert(!support_contains(output.out, "memory-corruption-"));
	support_output_fini(&output);
}
END_TEST

START_TEST(sqlite_has_no_wrong_output)
{
	struct call call = {
		.argv = {"bulkhead", "check", "-q", "--samples", "1", "--shard", "1/4",
			"--", "sqlite3", ":memory:", "select 1"}};
	struct support_output output;

	run_call(&call, &output);
	support_assert_says(&output, "stacks tested at");
	ck_assert(!support_contains(output.out, "wrong-output"));
	ck_assert(!support_contains(output.out, "hang"));
	support_output_fini(&output);
}
END_TEST

START_TEST(lua_handles_every_failure)
{
	struct call call = {.argv = {"bulkhead", "check", "-q", "--shard", "1/2", "--",
				    "lua5.4", "-e", "print(#string.rep('x', 9))"}};
	struct support_output output;

	run_call(&call, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	support_assert_says(&output, "Findings: none.");
	support_output_fini(&output);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, each_cause_is_one_finding);
	tcase_add_loop_test(tcase, operator_new_throws_or_gives_null, 0, NR_CXX);
	tcase_add_test(tcase, a_program_that_handles_all_is_clean);
	tcase_add_test(tcase, the_last_call_of_a_stack_is_tried_too);
	tcase_add_test(tcase, what_varies_is_masked_and_said);
	tcase_add_test(tcase, files_that_a_run_leaves_are_compared_in_its_copy);
	tcase_add_test(tcase, a_hang_ends_at_the_time_limit);
	tcase_add_test(tcase, a_finding_has_the_same_id_in_another_environment);
	tcase_add_test(tcase, a_finding_is_repeated_by_its_id);
	tcase_add_test(tcase, what_a_budget_left_undone_the_next_call_does);
	tcase_add_loop_test(tcase, runs_that_hang_end_soon_after_the_budget, 0, 2);
	tcase_add_test(tcase, json_has_all_of_it);
	tcase_add_test(tcase, fail_on_says_what_is_bad_enough);
	tcase_add_test(tcase, mistakes_and_failing_programs_have_their_own_status);
	tcase_add_test(tcase, a_comparison_without_an_answer_is_an_error_of_ours);
	tcase_add_loop_test(tcase,
		a_session_that_is_asked_to_end_ends_by_that_signal_and_leaves_nothing, 0,
		(int)(sizeof(interrupts) / sizeof(interrupts[0])));
	tcase_add_test(tcase, children_that_were_there_before_are_left_alone);
	tcase_add_test(tcase, a_daemon_of_the_subject_does_not_outlive_the_session);
	tcase_add_test(tcase, a_finding_is_shown_in_gdb_with_its_input_and_its_copy);
	tcase_add_test(tcase, closed_standard_descriptors_are_no_trouble);
	tcase_add_loop_test(
		tcase, a_program_that_prints_its_environment_is_not_wrong_for_that, 0, 2);
	tcase_add_test(tcase, jq_ends_by_its_own_policy);
	tcase_add_test(tcase, sqlite_has_no_wrong_output);
	tcase_add_test(tcase, lua_handles_every_failure);
}

int main(void)
{
	return support_run("check", add_tests);
}
