/* SPDX-License-Identifier: MIT */
/* Runs the built command, whose path is in BH_COMMAND. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bulkhead.h"

#include "support.h"

#define MAX_ARGUMENTS 10

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
#define VERSION \
	TEXT(BH_VERSION_MAJOR) "." TEXT(BH_VERSION_MINOR) "." TEXT(BH_VERSION_PATCH)

#define OVERVIEW                                                                      \
	"Usage: bulkhead COMMAND [OPTION...]\n"                                       \
	"\n"                                                                          \
	"Memory groups, limits and reliable out-of-memory handling inside one "       \
	"process.\n"                                                                  \
	"\n"                                                                          \
	"Commands:\n"                                                                 \
	"  check     let a program's allocations fail, and see what it does\n"        \
	"  fail      run a program whose allocations fail at random, or as you say\n" \
	"  help      explain a command\n"                                             \
	"  info      show the zone a program would get here, and what the machine "   \
	"allows\n"                                                                    \
	"  lab       replay deadlocks under the rules of kernel eras\n"               \
	"  version   print the version\n"                                             \
	"\n"                                                                          \
	"Options:\n"                                                                  \
	"  -h, --help     explain the command, or print this\n"                       \
	"  -V, --version  print the version\n"                                        \
	"\n"                                                                          \
	"Exit status: 0 clean, 1 findings or a failure, 2 a mistake in the call.\n"

struct call {
	const char *env; /* NAME=value, or NULL */
	const char *out; /* where standard output goes instead, or NULL */
	bool confined;   /* the kernel refuses what containers refuse */
	char *argv[MAX_ARGUMENTS];
};

static const char *command_path(void)
{
	const char *path = getenv("BH_COMMAND");

	ck_assert_msg(path != NULL, "BH_COMMAND is not set");
	return path;
}

#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (nr))
#define REFUSE(error)          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* A kernel that lacks all that `info` asks for by system call. */
static void confine(void)
{
	static struct sock_filter filter[] = {
		LOAD(nr),
		SKIP_UNLESS(SYS_userfaultfd, 1),
		REFUSE(EPERM),
		SKIP_UNLESS(SYS_membarrier, 1),
		REFUSE(ENOSYS),
		SKIP_UNLESS(SYS_pidfd_open, 1),
		REFUSE(EPERM),
		SKIP_UNLESS(SYS_madvise, 3),
		LOAD(args[2]),
		SKIP_UNLESS(MADV_WIPEONFORK, 1),
		REFUSE(EINVAL),
		ALLOW,
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("seccomp");
		exit(125);
	}
}

static void execute(void *arg)
{
	struct call *call = arg;

	if (call->confined)
		confine();
	if (call->env)
		putenv((char *)call->env);
	if (call->out) {
		int fd = open(call->out, O_WRONLY);

		dup2(fd, 1);
	}
	execv(command_path(), call->argv);
	perror(command_path());
	exit(125);
}

/* The arguments are one string, split at blanks. */
static void run_call(struct call *call, const char *arguments, struct support_output *ret)
{
	char copy[256], *rest = copy;
	int nr = 0;

	ck_assert_uint_lt(
		(size_t)snprintf(copy, sizeof(copy), "%s", arguments), sizeof(copy));
	call->argv[nr++] = (char *)"bulkhead";
	for (char *word; (word = strsep(&rest, " ")) && *word;) {
		ck_assert_int_lt(nr, MAX_ARGUMENTS - 1);
		call->argv[nr++] = word;
	}
	call->argv[nr] = NULL;
	support_capture(execute, call, ret);
}

static void check_call(
	const char *arguments, int status, const char *out, const char *err)
{
	struct support_output output;
	struct call call = {.env = NULL};

	run_call(&call, arguments, &output);
	ck_assert_str_eq(output.err, err);
	ck_assert_str_eq(output.out, out);
	ck_assert_int_eq(support_exit_status(&output), status);
	support_output_fini(&output);
}

/* Runs well and says nothing on standard error; what it printed is to be freed. */
static char *output_of(const char *env, const char *arguments)
{
	struct support_output output;
	struct call call = {.env = env};

	run_call(&call, arguments, &output);
	ck_assert_str_eq(output.err, "");
	ck_assert_int_eq(support_exit_status(&output), 0);
	free(output.err);
	return output.out;
}

START_TEST(help_lists_all_commands)
{
	check_call("help", 0, OVERVIEW, "");
	check_call("--help", 0, OVERVIEW, "");
	check_call("-h", 0, OVERVIEW, "");
}
END_TEST

START_TEST(without_a_command_the_overview_is_an_error)
{
	check_call("", 2, "", OVERVIEW);
}
END_TEST

START_TEST(help_of_a_command_is_the_same_wherever_it_is_asked_for)
{
	static const char *const commands[] = {"help", "info", "version"};
	static const char *const forms[] = {"%s --help", "%s -h", "--help %s", "-h %s",
		"%s --he", "%s --json --help", "%s junk --help"};
	char arguments[64], expected[64];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char *help;

		snprintf(arguments, sizeof(arguments), "help %s", commands[i]);
		help = output_of(NULL, arguments);
		snprintf(expected, sizeof(expected), "Usage: bulkhead %s", commands[i]);
		ck_assert_msg(!strncmp(help, expected, strlen(expected)), "%s", help);
		for (size_t j = 0; j < sizeof(forms) / sizeof(forms[0]); j++) {
			const char *hole = strstr(forms[j], "%s");

			snprintf(arguments, sizeof(arguments), "%.*s%s%s",
				(int)(hole - forms[j]), forms[j], commands[i], hole + 2);
			check_call(arguments, 0, help, "");
		}
		free(help);
	}
}
END_TEST

START_TEST(version_is_that_of_the_header)
{
	check_call("version", 0, "bulkhead " VERSION "\n", "");
	check_call("--version", 0, "bulkhead " VERSION "\n", "");
	check_call("-V", 0, "bulkhead " VERSION "\n", "");
	check_call("version --json", 0, "{\n  \"version\": \"" VERSION "\"\n}\n", "");
}
END_TEST

START_TEST(mistake_in_the_call_is_one_line_and_status_2)
{
	static const struct {
		const char *arguments, *err;
	} rows[] = {
		{"frob", "bulkhead: frob: no such command; 'bulkhead help' lists them\n"},
		{"frob --help",
			"bulkhead: frob: no such command; 'bulkhead help' lists them\n"},
		{"help frob",
			"bulkhead: frob: no such command; 'bulkhead help' lists them\n"},
		{"--help frob",
			"bulkhead: frob: no such command; 'bulkhead help' lists them\n"},
		{"inf", "bulkhead: inf: no such command; 'bulkhead help' lists them\n"},
		{"--frob",
			"bulkhead: --frob: no such option; 'bulkhead help' lists them\n"},
		{"-x info", "bulkhead: -x: no such option; 'bulkhead help' lists them\n"},
		{"--json",
			"bulkhead: --json: no such option; 'bulkhead help' lists them\n"},
		{"info --frob",
			"bulkhead: info: --frob: no such option; 'bulkhead help info' "
			"lists them\n"},
		{"info --json -xy",
			"bulkhead: info: -xy: no such option; 'bulkhead help info' "
			"lists them\n"},
		{"info --json=/nowhere/x",
			"bulkhead: info: /nowhere/x: No such file or directory\n"},
		{"help --json",
			"bulkhead: help: --json: no such option; 'bulkhead help help' "
			"lists them\n"},
		{"info junk",
			"bulkhead: info: junk: one argument too many; 'bulkhead help "
			"info' shows how to call it\n"},
		{"version -- --help", "bulkhead: version: --help: one argument too many; "
				      "'bulkhead help version' shows how to call it\n"},
		{"fail",
			"bulkhead: fail: no program is named; 'bulkhead help fail' shows "
			"how to call it\n"},
		{"fail -- true", "bulkhead: fail: nothing is to fail without --set or "
				 "--nth; 'bulkhead help fail' shows how to call it\n"},
		{"fail --nth 0 -- true", "bulkhead: fail: --nth: '0' is not a number "
					 "from 1 to 4294967295\n"},
		{"fail --children all --nth 1 -- true",
			"bulkhead: fail: --children: 'all' is neither follow nor "
			"ignore\n"},
		{"fail --library --nth 1 -- true",
			"bulkhead: fail: --library goes with --set alone; 'bulkhead help "
			"fail' shows how to call it\n"},
		{"help info version", "bulkhead: help: version: one argument too many; "
				      "'bulkhead help help' shows how to call it\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_call(rows[i].arguments, 2, "", rows[i].err);
}
END_TEST

START_TEST(output_that_cannot_be_written_is_one_line_and_status_1)
{
	static const char *const arguments[] = {
		"help", "help info", "version", "info", "info --json"};

	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		struct support_output output;
		struct call call = {.out = "/dev/full"};

		run_call(&call, arguments[i], &output);
		ck_assert_str_eq(output.err,
			"bulkhead: standard output: No space left on device\n");
		ck_assert_int_eq(support_exit_status(&output), 1);
		support_output_fini(&output);
	}
}
END_TEST

START_TEST(info_shows_zone_limits_and_machine)
{
	static const char *const parts[] = {"Zone\n  size ", "\n  min ", "\n  BH_ATOMIC ",
		"\nLimits of the machine\n  RAM ", "\n  userfaultfd ", "\n  pagefaults ",
		"\n  membarrier ", "\n  pidfd_open ", "\n  MADV_WIPEONFORK ", "\n  PSI ",
		"\n  overcommit ", "\n  huge pages "};
	char *text = output_of(NULL, "info");

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(support_contains(text, parts[i]), "no \"%s\" in:\n%s",
			parts[i], text);
	ck_assert_int_gt(support_count_lines(text), 15);
	/* Not a terminal. */
	ck_assert(!support_contains(text, "\033"));
	free(text);
}
END_TEST

START_TEST(info_of_a_given_zone_has_the_figures_of_the_formulas)
{
	char *text = output_of("BULKHEAD_SIZE=1G", "info");
	static const char expected[] =
		"Zone\n"
		"  size                   1G  from BULKHEAD_SIZE\n"
		"  high                   6M  the background reclaimer works until this "
		"much "
		"is free\n"
		"  low                    5M  below this it starts to work\n"
		"  min                    4M  an ordinary request leaves this much free\n"
		"  BH_NOFAIL              2M  a request that must not fail leaves this "
		"much\n"
		"  BH_ATOMIC            1.5M  a request that may not wait leaves this "
		"much\n"
		"  reclaim                 0  inside shrinkers the last byte may go\n";

	ck_assert_msg(!strncmp(text, expected, strlen(expected)), "%s", text);
	free(text);
}
END_TEST

START_TEST(info_warns_of_a_zone_above_the_limits)
{
	char *text = output_of("BULKHEAD_SIZE=1024T", "info");

	ck_assert(support_contains(text, "larger than the smallest limit"));
	free(text);
	text = output_of("BULKHEAD_SIZE=1M", "info");
	ck_assert(!support_contains(text, "larger than the smallest limit"));
	free(text);
}
END_TEST

START_TEST(info_json_is_valid_and_has_exact_bytes)
{
	char *text = output_of("BULKHEAD_SIZE=1G", "info --json");
	static const char expected[] = "{\n"
				       "  \"schema\": \"bulkhead-info\",\n"
				       "  \"schema_version\": 1,\n"
				       "  \"zone\": {\n"
				       "    \"size\": 1073741824,\n"
				       "    \"origin\": \"environment\",\n"
				       "    \"source\": \"BULKHEAD_SIZE\",\n"
				       "    \"free_after_request\": {\n"
				       "      \"high\": 6340608,\n"
				       "      \"low\": 5267456,\n"
				       "      \"min\": 4194304,\n"
				       "      \"nofail\": 2097152,\n"
				       "      \"atomic\": 1572864,\n"
				       "      \"reclaim\": 0\n"
				       "    }\n"
				       "  },\n"
				       "  \"ram\": ";

	ck_assert(support_json_valid(text));
	ck_assert_msg(!strncmp(text, expected, strlen(expected)), "%s", text);
	ck_assert(support_contains(text, "\"name\": \"userfaultfd\""));
	free(text);
	text = output_of(NULL, "info --json");
	ck_assert(support_json_valid(text));
	free(text);
}
END_TEST

START_TEST(info_takes_the_other_variables_as_the_library_does)
{
	char *text = output_of("BULKHEAD_MIN_FREE=64K", "info --json");

	ck_assert(support_contains(text, "\"min\": 65536,"));
	ck_assert(support_contains(text, "\"nofail\": 32768,"));
	ck_assert(support_contains(text, "\"atomic\": 24576,"));
	free(text);
}
END_TEST

START_TEST(info_with_a_bad_variable_is_one_line_and_status_2)
{
	static const struct {
		const char *env, *err;
	} rows[] = {
		{"BULKHEAD_SIZE=lots",
			"bulkhead: BULKHEAD_SIZE=lots: expected 1M and more, "
			"or max\n"},
		{"BULKHEAD_SIZ=1G", "bulkhead: BULKHEAD_SIZ=1G: no such variable; "
				    "BULKHEAD_OPTIONS=help lists them\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct support_output output;
		struct call call = {.env = rows[i].env};

		run_call(&call, "info", &output);
		ck_assert_str_eq(output.err, rows[i].err);
		ck_assert_str_eq(output.out, "");
		ck_assert_int_eq(support_exit_status(&output), 2);
		support_output_fini(&output);
	}
}
END_TEST

START_TEST(info_where_everything_is_refused_says_what_follows)
{
	static const char *const parts[] = {"userfaultfd      no (EPERM) ",
		"pagefaults       mprotect ", "vm.max_map_count bounds",
		"membarrier       no (ENOSYS) ", "pidfd_open       no (EPERM) ",
		"MADV_WIPEONFORK  no (EINVAL) ",
		"every allocation pays for a full memory fence"};
	struct support_output output;
	struct call call = {.confined = true};

	run_call(&call, "info", &output);
	ck_assert_str_eq(output.err, "");
	ck_assert_int_eq(support_exit_status(&output), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(support_contains(output.out, parts[i]), "no \"%s\" in:\n%s",
			parts[i], output.out);
	support_output_fini(&output);
	run_call(&call, "info --json", &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert(support_json_valid(output.out));
	ck_assert(support_contains(output.out, "\"state\": \"no (ENOSYS)\""));
	support_output_fini(&output);
}
END_TEST

START_TEST(info_shows_the_backend_that_was_asked_for)
{
	struct support_output output;
	struct call call = {.confined = true, .env = "BULKHEAD_PAGEFAULT=uffd"};
	char *text = output_of("BULKHEAD_PAGEFAULT=mprotect", "info");

	ck_assert_msg(
		support_contains(text, "\n  pagefaults       mprotect "), "%s", text);
	free(text);
	run_call(&call, "info", &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_msg(support_contains(output.out, "\n  pagefaults       none "), "%s",
		output.out);
	ck_assert(support_contains(output.out, "the library will not start"));
	support_output_fini(&output);
}
END_TEST

START_TEST(help_works_whatever_the_variables_are)
{
	char *text = output_of("BULKHEAD_SIZE=lots", "help");

	ck_assert_str_eq(text, OVERVIEW);
	free(text);
}
END_TEST

/* What `info` prints on a terminal; to be freed. */
static char *output_on_terminal(const char *env)
{
	static char text[65536];
	struct call call = {
		.env = env, .argv = {(char *)"bulkhead", (char *)"info", NULL}};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		setenv("TERM", "xterm", 1);
		unsetenv("NO_COLOR");
		call.out = ptsname(master);
		execute(&call);
	}
	/* EIO once the last writer is gone; and before there is one. */
	for (;;) {
		n = read(master, text + len, sizeof(text) - len - 1);
		if (n > 0)
			len += (size_t)n;
		else if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	while ((n = read(master, text + len, sizeof(text) - len - 1)) > 0)
		len += (size_t)n;
	close(master);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	text[len] = '\0';
	return strdup(text);
}

START_TEST(info_has_colours_only_on_a_terminal_that_wants_them)
{
	char *text = output_on_terminal("A=B");

	ck_assert(support_contains(text, "\033[1mZone\033[0m"));
	free(text);
	text = output_on_terminal("NO_COLOR=1");
	ck_assert(support_contains(text, "Zone"));
	ck_assert(!support_contains(text, "\033"));
	free(text);
	text = output_on_terminal("TERM=dumb");
	ck_assert(support_contains(text, "Zone"));
	ck_assert(!support_contains(text, "\033"));
	free(text);
}
END_TEST

START_TEST(every_command_is_in_the_manual)
{
	const char *root = getenv("BH_SOURCE_ROOT");
	char path[PATH_MAX], name[64], wanted[80], *manual;
	const char *line = strstr(OVERVIEW, "Commands:\n") + strlen("Commands:\n");
	int nr = 0;

	ck_assert_msg(root != NULL, "BH_SOURCE_ROOT is not set");
	snprintf(path, sizeof(path), "%s/man/bulkhead.1.scd", root);
	manual = support_read_file(path);
	for (; *line == ' '; line = strchr(line, '\n') + 1, nr++) {
		ck_assert_int_eq(sscanf(line, " %63s", name), 1);
		snprintf(wanted, sizeof(wanted), "\n*%s*", name);
		ck_assert_msg(support_contains(manual, wanted), "%s", name);
	}
	ck_assert_int_ge(nr, 3);
	free(manual);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, help_lists_all_commands);
	tcase_add_test(tcase, without_a_command_the_overview_is_an_error);
	tcase_add_test(tcase, help_of_a_command_is_the_same_wherever_it_is_asked_for);
	tcase_add_test(tcase, version_is_that_of_the_header);
	tcase_add_test(tcase, mistake_in_the_call_is_one_line_and_status_2);
	tcase_add_test(tcase, output_that_cannot_be_written_is_one_line_and_status_1);
	tcase_add_test(tcase, info_shows_zone_limits_and_machine);
	tcase_add_test(tcase, info_of_a_given_zone_has_the_figures_of_the_formulas);
	tcase_add_test(tcase, info_warns_of_a_zone_above_the_limits);
	tcase_add_test(tcase, info_json_is_valid_and_has_exact_bytes);
	tcase_add_test(tcase, info_takes_the_other_variables_as_the_library_does);
	tcase_add_test(tcase, info_with_a_bad_variable_is_one_line_and_status_2);
	tcase_add_test(tcase, info_where_everything_is_refused_says_what_follows);
	tcase_add_test(tcase, info_shows_the_backend_that_was_asked_for);
	tcase_add_test(tcase, help_works_whatever_the_variables_are);
	tcase_add_test(tcase, info_has_colours_only_on_a_terminal_that_wants_them);
	tcase_add_test(tcase, every_command_is_in_the_manual);
}

int main(void)
{
	return support_run("command", add_tests);
}
