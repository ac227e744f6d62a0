/* SPDX-License-Identifier: MIT */
/* Mode pages: which page calls are seen, what a refused one gives, and what is let alone.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"
#include "support_check.h"

#define LARGE (1u << 20)

static struct bhi_check_setup set_up(const char *habit)
{
	static char program[4096], word[64];
	static char *command[] = {program, word, NULL};
	struct bhi_check_setup setup;

	(void)snprintf(program, sizeof(program), "%s", support_subject("subject_pages"));
	(void)snprintf(word, sizeof(word), "%s", habit);
	setup = support_setup(command);
	setup.pages = true;
	return setup;
}

/* Record it, then refuse call number @call. */
static void refuse(const char *habit, uint64_t call, bool hint,
	struct bhi_check_result *clean, struct bhi_check_result *ret)
{
	struct bhi_check_setup setup = set_up(habit);
	struct bhi_check_order order;

	support_record(&setup, clean);
	ck_assert_int_eq(clean->end, BHI_CHECK_EXITED);
	ck_assert_int_eq(clean->status, 0);
	ck_assert_uint_eq(clean->shared->nr_injected, 0);
	order = support_order(clean, call, hint);
	setup.timeout_ms = 2000;
	support_run_order(&setup, &order, ret);
	ck_assert_uint_eq(ret->shared->nr_injected, 1);
	ck_assert_uint_eq(ret->shared->drifted, 0);
	ck_assert_uint_eq(ret->shared->nr_met, hint ? 0 : order.occurrence);
}

static void fini(struct bhi_check_result *clean, struct bhi_check_result *result)
{
	bhi_check_result_fini(result);
	bhi_check_result_fini(clean);
}

static const struct row {
	const char *habit;
	uint64_t nr_calls; /* of the clean run */
	uint64_t call;     /* that is refused */
	enum bhi_check_function function;
	uint64_t size; /* 0: any */
	int status;
	const char *out;
} rows[] = {
	{"maps", 1, 1, BHI_CHECK_MMAP, LARGE, 3, "not mapped: Cannot allocate memory\n"},
	{"remaps", 2, 1, BHI_CHECK_MMAP, LARGE, 4, ""},
	{"remaps", 2, 2, BHI_CHECK_MREMAP, 2 * LARGE, 0, "Cannot allocate memory, x\n"},
	/* The library's break and the kernel's are the old one, so what follows works. */
	{"breaks", 2, 1, BHI_CHECK_BRK, LARGE, 0, "Cannot allocate memory\nset\n"},
	{"breaks", 2, 2, BHI_CHECK_BRK, LARGE, 0, "moved\nCannot allocate memory\n"},
	{"gives_back", 2, 1, BHI_CHECK_MMAP, 2 * LARGE, 4, ""},
	/* One block of a thousand: the next one gets what it asks for. */
	{"grows", 8, 1, BHI_CHECK_BRK, 0, 0, "1 failed\n"},
	{"grows", 8, 8, BHI_CHECK_BRK, 0, 0, "1 failed\n"},
	/* The heap, then a mapping of its own, are refused to the same block. */
	{"maps_block", 2, 1, BHI_CHECK_BRK, 0, 0, "Cannot allocate memory\nthere\n"},
	{"maps_block", 2, 2, BHI_CHECK_MREMAP, 0, 0, "there\nCannot allocate memory\n"},
	{"threads", 2, 1, BHI_CHECK_MMAP, 0, 0,
		"Resource temporarily unavailable, none\n"},
	{"threads", 2, 2, BHI_CHECK_MMAP, 0, 0, "a thread, none\n"},
	{"starts", 1, 1, BHI_CHECK_MMAP, LARGE, 3,
		"mapped\nnot mapped: Cannot allocate memory\n"},
	{"loads", 1, 1, BHI_CHECK_BRK, 0, 0, NULL},
};
#define NR_ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

static void check_row(const struct row *row, bool hint)
{
	struct bhi_check_result clean, result;
	const struct bhi_check_shared *shared;

	refuse(row->habit, row->call, hint, &clean, &result);
	shared = result.shared;
	ck_assert_uint_eq(clean.shared->nr_calls, row->nr_calls);
	ck_assert_int_eq(result.end, BHI_CHECK_EXITED);
	ck_assert_int_eq(result.status, row->status);
	if (row->out)
		ck_assert_str_eq(result.out, row->out);
	ck_assert_uint_eq(shared->injected.state, 2);
	ck_assert_uint_eq(shared->injected_call, row->call);
	ck_assert_uint_eq(shared->injected_function, row->function);
	if (row->size)
		ck_assert_uint_eq(shared->injected_size, row->size);
	ck_assert_uint_eq(shared->crash.state, 0);
	fini(&clean, &result);
}

START_TEST(a_refused_page_call_is_what_the_kernel_makes_of_it)
{
	check_row(&rows[_i], true);
}
END_TEST

START_TEST(a_page_call_is_found_without_its_number)
{
	check_row(&rows[_i], false);
}
END_TEST

START_TEST(another_stack_at_the_hint_is_drift)
{
	struct bhi_check_setup setup = set_up("remaps");
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	support_record(&setup, &clean);
	order = support_order(&clean, 1, true);
	order.call++;
	support_run_order(&setup, &order, &result);
	ck_assert_uint_eq(result.shared->drifted, 1);
	ck_assert_uint_eq(result.shared->nr_injected, 0);
	ck_assert_uint_eq(result.shared->injected.state, 0);
	fini(&clean, &result);
}
END_TEST

START_TEST(a_result_that_is_not_checked_is_a_crash)
{
	struct bhi_check_result clean, result;

	refuse("maps_unchecked", 1, true, &clean, &result);
	ck_assert_int_eq(result.end, BHI_CHECK_SIGNALED);
	ck_assert_int_eq(result.status, SIGSEGV);
	ck_assert_uint_eq(result.shared->crash.state, 2);
	ck_assert_uint_eq(result.shared->crash.address, UINT64_MAX);
	fini(&clean, &result);
}
END_TEST

START_TEST(files_and_the_loader_are_let_through)
{
	struct bhi_check_setup files = set_up("files"), loads;
	struct bhi_check_result result;

	support_record(&files, &result);
	ck_assert_str_eq(result.out, "mapped\n");
	ck_assert_uint_eq(result.shared->nr_calls, 0);
	/* A page of its heap and a thread's data at least. */
	ck_assert_uint_ge(result.shared->nr_loader_pages, 2);
	ck_assert_uint_eq(result.shared->nr_other_pages, 0);
	bhi_check_result_fini(&result);
	loads = set_up("loads");
	support_record(&loads, &result);
	ck_assert_str_eq(result.out, "constructor: yes\nloaded\n");
	bhi_check_result_fini(&result);
	/* What we map for a thread is not the program's, and nobody else's. */
	loads = set_up("threads");
	support_record(&loads, &result);
	ck_assert_uint_eq(result.shared->nr_threads, 1);
	ck_assert_uint_eq(result.shared->nr_other_pages, 0);
	bhi_check_result_fini(&result);
}
END_TEST

START_TEST(children_are_followed_when_asked)
{
	struct bhi_check_setup setup = set_up("starts");
	struct bhi_check_result clean, result;
	struct bhi_check_order order;

	setup.follow_children = true;
	support_record(&setup, &clean);
	/* The child's block, then its mapping after exec, then the parent's. */
	ck_assert_uint_eq(clean.shared->nr_calls, 3);
	ck_assert_str_eq(clean.out, "mapped\nmapped\n");
	order = support_order(&clean, 2, false);
	support_run_order(&setup, &order, &result);
	ck_assert_uint_eq(result.shared->nr_injected, 1);
	ck_assert_str_eq(result.out, "not mapped: Cannot allocate memory\n"
				     "the child failed\nmapped\n");
	fini(&clean, &result);
}
END_TEST

START_TEST(a_subject_that_hangs_is_ended)
{
	struct bhi_check_result clean, result;
	int pid;

	refuse("sleeps", 1, true, &clean, &result);
	ck_assert_int_eq(result.end, BHI_CHECK_TIMED_OUT_ASLEEP);
	pid = atoi(result.out);
	ck_assert_int_gt(pid, 1);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
	fini(&clean, &result);
}
END_TEST

START_TEST(each_run_sees_the_same)
{
	struct bhi_check_setup setup = set_up(rows[_i].habit);
	struct bhi_check_result first, second;
	size_t nr_others = 0;

	support_record(&setup, &first);
	setenv("SUPPORT_MORE", "moves the stack, and what is on it", 1);
	support_record(&setup, &second);
	ck_assert_uint_eq(first.shared->nr_calls, second.shared->nr_calls);
	for (size_t i = 0; i < BHI_CHECK_MAX_STACKS; i++) {
		const struct bhi_check_stack *a = &first.shared->stacks[i];
		const struct bhi_check_stack *b = &second.shared->stacks[i];

		nr_others += a->hash != b->hash || a->nr_calls != b->nr_calls;
	}
	ck_assert_uint_eq(nr_others, 0);
	fini(&first, &second);
}
END_TEST

/* As under a container's rules that know no filters of others. */
static void forbid_seccomp(void)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]),
		.filter = (struct sock_filter *)code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(a_machine_that_does_not_let_us_listen_is_our_error)
{
	struct bhi_check_setup setup = set_up("maps");
	struct bhi_check_order order = {.action = BHI_CHECK_RECORD};
	struct bhi_check_result result;

	forbid_seccomp();
	ck_assert_int_eq(bhi_check_run(&setup, &order, 0, &result), -EPERM);
	setup.pages = false;
	support_record(&setup, &result);
	ck_assert_int_eq(result.status, 0);
	bhi_check_result_fini(&result);
}
END_TEST

struct call {
	const char *argv[8];
	bool is_forbidden;
};

static void execute(void *arg)
{
	const struct call *call = arg;
	const char *command = getenv("BH_COMMAND");

	if (!command)
		exit(125);
	if (call->is_forbidden)
		forbid_seccomp();
	execv(command, (char **)(uintptr_t)call->argv);
	exit(125);
}

/* "bulkhead check --mode=pages OPTION subject_pages HABIT" */
static int check(const char *option, const char *habit, bool is_forbidden,
	struct support_output *ret)
{
	struct call call = {.argv = {"bulkhead", "check", "-q", "--mode=pages", option,
				    support_subject("subject_pages"), habit},
		.is_forbidden = is_forbidden};

	if (SUPPORT_SANITIZED)
		support_skip("an interposer and a sanitizer both replace malloc");
	if (!getenv("BH_TEST_STATE")) {
		setenv("XDG_STATE_HOME", support_dir(), 1);
		setenv("BH_TEST_STATE", "1", 1);
	}
	support_capture(execute, &call, ret);
	return support_exit_status(ret);
}

static void assert_says(const char *text, const char *part)
{
	ck_assert_msg(support_contains(text, part), "no \"%s\" in:\n%s", part, text);
}

START_TEST(the_command_reports_and_repeats_a_finding)
{
	struct support_output output;
	char option[64];
	const char *at;

	ck_assert_int_eq(check("--fresh", "maps_unchecked", false, &output), 1);
	assert_says(output.out, "SIGSEGV in maps_unchecked when mmap in map fails");
	assert_says(output.out, "when this call fails: mmap of 1048576 bytes");
	assert_says(output.out, "repeat: bulkhead check --mode pages --replay crash-");
	assert_says(output.out, "1 calls with 1 stacks seen");
	assert_says(output.out, "page calls of the loader");
	assert_says(output.out, "and 0 of the C library for itself");
	at = strstr(output.out, "crash-");
	(void)snprintf(option, sizeof(option), "--replay=%.14s", at);
	support_output_fini(&output);
	ck_assert_int_eq(check(option, "maps_unchecked", false, &output), 1);
	ck_assert_str_eq(output.err, "");
	assert_says(output.out, "SIGSEGV in maps_unchecked when mmap in map fails");
	support_output_fini(&output);
	ck_assert_int_eq(check("--json", "maps_unchecked", false, &output), 1);
	assert_says(output.out, "\"loader_calls\":");
	assert_says(output.out, "\"function\": \"mmap\"");
	support_output_fini(&output);
}
END_TEST

START_TEST(the_command_says_why_it_cannot_listen)
{
	struct support_output output;

	ck_assert_int_eq(check("--fresh", "maps", true, &output), 4);
	ck_assert_str_eq(output.err,
		"bulkhead: check: a run: Operation not permitted (mode pages needs "
		"seccomp(2) with user notifications)\n");
	support_output_fini(&output);
}
END_TEST

/* Programs of the system; none of these dies of a refused page call, or hangs. */
static const struct program {
	const char *words[8];
} programs[] = {
	{{"lua5.4", "-e",
		"local t = {} for i = 1, 20000 do t[i] = 's' .. i end print(#t)"}},
	{{"sqlite3", ":memory:",
		"create table t(a); insert into t values(1); "
		"select count(*) from t"}},
	{{"sed", "-n", "s/a/b/p", "/dev/null"}},
	{{"sort", "/dev/null"}},
	{{"xz", "-c", "/dev/null"}},
	{{"bash", "--norc", "-c", "echo $(echo sub)"}},
};
#define NR_PROGRAMS ((int)(sizeof(programs) / sizeof(programs[0])))

START_TEST(no_page_call_of_a_program_is_a_false_crash)
{
	static char *command[9];
	struct bhi_check_setup setup;
	struct bhi_check_result clean, result;
	char line[256];

	memcpy(command, programs[_i].words, sizeof(programs[_i].words));
	(void)snprintf(line, sizeof(line), "command -v %s >/dev/null", command[0]);
	if (system(line))
		support_skip("the program is not installed");
	setup = support_setup(command);
	setup.pages = true;
	support_record(&setup, &clean);
	ck_assert_int_eq(clean.status, 0);
	ck_assert_uint_ge(clean.shared->nr_calls, 1);
	for (uint64_t call = 1; call <= clean.shared->nr_calls; call++) {
		struct bhi_check_order order = support_order(&clean, call, true);

		support_run_order(&setup, &order, &result);
		ck_assert_uint_eq(result.shared->nr_injected, 1);
		ck_assert_msg(result.end == BHI_CHECK_EXITED, "%s, call %lu: %s",
			command[0], (unsigned long)call, result.err);
		ck_assert_uint_eq(result.shared->crash.state, 0);
		bhi_check_result_fini(&result);
	}
	bhi_check_result_fini(&clean);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, a_refused_page_call_is_what_the_kernel_makes_of_it, 0, NR_ROWS);
	tcase_add_loop_test(tcase, a_page_call_is_found_without_its_number, 0, NR_ROWS);
	tcase_add_test(tcase, another_stack_at_the_hint_is_drift);
	tcase_add_test(tcase, a_result_that_is_not_checked_is_a_crash);
	tcase_add_test(tcase, files_and_the_loader_are_let_through);
	tcase_add_test(tcase, children_are_followed_when_asked);
	tcase_add_test(tcase, a_subject_that_hangs_is_ended);
	tcase_add_loop_test(tcase, each_run_sees_the_same, 0, NR_ROWS);
	tcase_add_test(tcase, a_machine_that_does_not_let_us_listen_is_our_error);
	tcase_add_test(tcase, the_command_reports_and_repeats_a_finding);
	tcase_add_test(tcase, the_command_says_why_it_cannot_listen);
	tcase_add_loop_test(
		tcase, no_page_call_of_a_program_is_a_false_crash, 0, NR_PROGRAMS);
}

int main(void)
{
	return support_run("check_pages", add_tests);
}
