/* SPDX-License-Identifier: MIT */
/* Programs in which calls fail by the settings of fault injection. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "fail.h"

#include "support.h"
#include "support_check.h"

/* "PROGRAM ARGUMENT" of tests/subjects with @settings. */
static void run(const char *program, const char *argument, const char *settings,
	struct bhi_check_failed *ret)
{
	static char path[4096];
	char *command[] = {path, (char *)(uintptr_t)argument, NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_fail fail = {
		.command = command, .interposer = setup.interposer, .settings = settings};

	bhi_format(path, sizeof(path), "%s", support_subject(program));
	ck_assert_int_eq(bhi_check_fail_run(&fail, ret), 0);
	ck_assert_int_eq(ret->exec_error, 0);
	ck_assert_uint_eq(ret->shared->started, !*ret->shared->refused);
	ck_assert_uint_eq(ret->shared->overflow, 0);
}

static const struct row {
	const char *program, *argument, *settings;
	int status;
	uint64_t nr_failed;
} rows[] = {
	{"subject_faults", "handled", "slab:probability=100,require=handled", 3, 1},
	{"subject_faults", "handled", "slab:probability=0,require=handled", 0, 0},
	{"subject_faults", "handled", "slab:probability=100,times=0", 0, 0},
	/* malloc waits for nothing, whatever is ignored; and all threads are marked. */
	{"subject_faults", "handled",
		"slab:probability=100,require=handled,ignore-gfp-wait=Y,task-filter=Y", 3,
		1},
	{"subject_faults", "absorbed", "failslab:probability=100,require=absorbed", 0, 1},
	{"subject_faults", "handled", "slab:probability=100,times=-1,reject=main", 0, 0},
	{"subject_faults", "handled",
		"slab:probability=100,require=module:subject_faults,reject=main", 0, 0},
	{"subject_pages", "grows", "slab:probability=100,require=grows", 0, 1},
	{"subject_pages", "grows", "slab:probability=100,require=grows,times=7", 0, 7},
	{"subject_pages", "grows",
		"slab:probability=100,require=grows,times=-1,interval=10", 0, 100},
	/* 1,000 bytes each: nine are let through. */
	{"subject_pages", "grows",
		"slab:probability=100,require=grows,times=-1,space=10000", 0, 991},
	{"subject_pages", "maps", "syscall:probability=100", 3, 1},
	{"subject_pages", "maps", "syscall:probability=100,calls=mremap+brk", 0, 0},
	{"subject_pages", "remaps", "syscall:probability=100,calls=mremap", 0, 1},
	{"subject_pages", "breaks", "syscall:probability=100,calls=brk,times=-1", 0, 2},
	/* What becomes smaller asks for nothing. */
	{"subject_pages", "gives_back", "syscall:probability=100,times=-1,calls=mremap",
		0, 0},
};

START_TEST(calls_fail_by_the_settings)
{
	const struct row *row = &rows[_i];
	struct bhi_check_failed failed;
	uint64_t nr = 0;

	run(row->program, row->argument, row->settings, &failed);
	ck_assert_str_eq(failed.shared->refused, "");
	ck_assert(WIFEXITED(failed.status));
	ck_assert_int_eq(WEXITSTATUS(failed.status), row->status);
	ck_assert_uint_eq(failed.shared->nr_injected, row->nr_failed);
	for (size_t i = 0; i < failed.nr_failures; i++)
		nr += failed.failures[i].nr_calls;
	ck_assert_uint_eq(nr, row->nr_failed);
	bhi_check_failed_fini(&failed);
}
END_TEST

START_TEST(what_failed_is_told_with_its_stack_and_where_it_died)
{
	struct bhi_check_failed failed;

	run("subject_faults", "crash", "slab:probability=100,require=crash", &failed);
	ck_assert(WIFSIGNALED(failed.status));
	ck_assert_int_eq(WTERMSIG(failed.status), SIGSEGV);
	ck_assert_uint_eq(failed.nr_failures, 1);
	ck_assert_uint_eq(failed.failures[0].functions, 1u << BHI_CHECK_MALLOC);
	ck_assert_uint_eq(failed.failures[0].size, 10);
	ck_assert_uint_ge(failed.failures[0].trace.nr, 2);
	ck_assert_str_eq(failed.failures[0].trace.places[0].function, "crash");
	ck_assert_int_eq(failed.signal, SIGSEGV);
	ck_assert_uint_ge(failed.crash.nr, 2);
	ck_assert_str_eq(failed.crash.places[0].function, "crash");
	bhi_check_failed_fini(&failed);
}
END_TEST

START_TEST(without_a_record_it_fails_all_the_same)
{
	struct bhi_check_failed failed;

	run("subject_faults", "handled", "slab:probability=100,require=handled,verbose=0",
		&failed);
	ck_assert_int_eq(WEXITSTATUS(failed.status), 3);
	ck_assert_uint_eq(failed.shared->nr_injected, 1);
	ck_assert_uint_eq(failed.nr_failures, 0);
	bhi_check_failed_fini(&failed);
}
END_TEST

START_TEST(a_seed_is_the_same_failures_again)
{
	static const char settings[] =
		"slab:probability=20,times=-1,require=grows,seed=7";
	struct bhi_check_failed first, second;

	run("subject_pages", "grows", settings, &first);
	run("subject_pages", "grows", settings, &second);
	ck_assert_uint_gt(first.shared->nr_injected, 100);
	ck_assert_uint_lt(first.shared->nr_injected, 300);
	ck_assert_uint_eq(first.shared->nr_injected, second.shared->nr_injected);
	ck_assert_uint_eq(first.failures[0].first_call, second.failures[0].first_call);
	bhi_check_failed_fini(&first);
	bhi_check_failed_fini(&second);
}
END_TEST

START_TEST(the_nth_call_fails)
{
	char *command[] = {NULL, (char *)"absorbed", NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_fail fail = {.command = command,
		.interposer = setup.interposer,
		.settings = "slab:require=absorbed",
		.nth = 1};
	struct bhi_check_failed failed;

	command[0] = (char *)(uintptr_t)support_subject("subject_faults");
	ck_assert_int_eq(bhi_check_fail_run(&fail, &failed), 0);
	ck_assert_uint_eq(failed.shared->nr_injected, 1);
	ck_assert_uint_eq(failed.failures[0].size, 30);
	bhi_check_failed_fini(&failed);
	/* There is no second one in there. */
	fail.nth = 2;
	ck_assert_int_eq(bhi_check_fail_run(&fail, &failed), 0);
	ck_assert_uint_eq(failed.shared->nr_injected, 0);
	bhi_check_failed_fini(&failed);
}
END_TEST

START_TEST(children_are_followed_when_asked)
{
	char script[4096], *command[] = {(char *)"sh", (char *)"-c", script, NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_fail fail = {.command = command,
		.interposer = setup.interposer,
		.settings = "syscall:probability=100,calls=mmap",
		.follow_children = _i};
	struct bhi_check_failed failed;

	bhi_format(script, sizeof(script), "%s maps; exit $?",
		support_subject("subject_pages"));
	ck_assert_int_eq(bhi_check_fail_run(&fail, &failed), 0);
	ck_assert_int_eq(WEXITSTATUS(failed.status), _i ? 3 : 0);
	ck_assert_uint_eq(failed.shared->nr_injected, (unsigned)_i);
	bhi_check_failed_fini(&failed);
}
END_TEST

START_TEST(wrong_settings_end_the_program_before_it_begins)
{
	static const struct {
		const char *settings;
		uint32_t where;
		const char *what;
	} wrong[] = {
		{"slab:probability=101", 17, "expected a percentage, 0 to 100"},
		{"slab:require=no_such_function", 13,
			"no function or module of this name is loaded"},
		{"page:probability=1", 0,
			"pages fail in programs that use the library alone, with "
			"--library"},
	};

	for (size_t i = 0; i < bhi_array_size(wrong); i++) {
		struct bhi_check_failed failed;

		run("subject_faults", "handled", wrong[i].settings, &failed);
		ck_assert_int_eq(WEXITSTATUS(failed.status), 2);
		ck_assert_str_eq(failed.shared->refused, wrong[i].what);
		ck_assert_uint_eq(failed.shared->refused_at, wrong[i].where);
		ck_assert_uint_eq(failed.shared->nr_calls, 0);
		bhi_check_failed_fini(&failed);
	}
}
END_TEST

START_TEST(a_program_that_is_not_there_is_an_error)
{
	char *command[] = {(char *)"/nowhere/program", NULL};
	struct bhi_check_setup setup = support_setup(command);
	struct bhi_check_fail fail = {
		.command = command, .interposer = setup.interposer, .settings = ""};
	struct bhi_check_failed failed;

	ck_assert_int_eq(bhi_check_fail_run(&fail, &failed), 0);
	ck_assert_int_eq(failed.exec_error, ENOENT);
	bhi_check_failed_fini(&failed);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, calls_fail_by_the_settings, 0, (int)bhi_array_size(rows));
	tcase_add_test(tcase, what_failed_is_told_with_its_stack_and_where_it_died);
	tcase_add_test(tcase, without_a_record_it_fails_all_the_same);
	tcase_add_test(tcase, a_seed_is_the_same_failures_again);
	tcase_add_test(tcase, the_nth_call_fails);
	tcase_add_loop_test(tcase, children_are_followed_when_asked, 0, 2);
	tcase_add_test(tcase, wrong_settings_end_the_program_before_it_begins);
	tcase_add_test(tcase, a_program_that_is_not_there_is_an_error);
}

int main(void)
{
	return support_run("check_fail", add_tests);
}
