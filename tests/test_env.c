/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "debug/inject.h"
#include "task/task.h"

#include "support.h"

extern char **environ;

/* One reading of an environment; the outcome goes to standard output as text. */
static void read_and_print(void *arg)
{
	struct bhi_option_value values[BHI_OPTION_NR];
	int r;

	memset(values, 0xee, sizeof(values));
	environ = arg;
	r = bhi_env_read(values);
	if (r) {
		for (const char *p = (char *)values; p < (char *)(values + BHI_OPTION_NR);
			p++)
			ck_assert_int_eq((unsigned char)*p, 0xee);
		printf("%d", r);
		return;
	}
	for (size_t i = 0; i < BHI_OPTION_NR; i++) {
		if (values[i].set)
			printf("%zu=%lu ", i, values[i].value);
	}
}

static void check_env(
	char *const *env, const char *expected_out, const char *expected_err)
{
	struct support_output output;

	support_capture(read_and_print, (void *)env, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.out, expected_out);
	ck_assert_str_eq(output.err, expected_err);
	support_output_fini(&output);
}

/* @entry among others that are fine. */
static void check_entry(
	const char *entry, const char *expected_out, const char *expected_err)
{
	char *const env[] = {"PATH=/bin", "BULK=1", "NOBULKHEAD_SIZE=x", (char *)entry,
		"bulkhead_size=x", "BULKHEAD=x", NULL};

	check_env(env, expected_out, expected_err);
}

START_TEST(nothing_set_gives_nothing)
{
	char *const none[] = {NULL};

	check_env(none, "", "");
	check_env(NULL, "", "");
	check_entry("A=B", "", "");
}
END_TEST

START_TEST(every_variable_is_read)
{
	char *const env[] = {"BULKHEAD_SIZE=1.5G", "BULKHEAD_DECAY_MS=250",
		"BULKHEAD_MIN_FREE=64k", "BULKHEAD_WATERMARK_SCALE=3000",
		"BULKHEAD_REAP_INTERVAL_MS=20", "BULKHEAD_REAP_TRIES=3",
		"BULKHEAD_PAGEFAULT=mprotect", NULL};
	char expected[128];

	snprintf(expected, sizeof(expected),
		"%d=1610612736 %d=65536 %d=3000 %d=250 %d=%d %d=3 %d=20 ",
		BHI_OPTION_SIZE, BHI_OPTION_MIN_FREE, BHI_OPTION_WATERMARK_SCALE,
		BHI_OPTION_DECAY_MS, BHI_OPTION_PAGEFAULT, BHI_PAGEFAULT_MPROTECT,
		BHI_OPTION_REAP_TRIES, BHI_OPTION_REAP_INTERVAL_MS);
	check_env(env, expected, "");
}
END_TEST

START_TEST(values_at_the_bounds_are_taken)
{
	check_entry("BULKHEAD_SIZE=1M", "0=1048576 ", "");
	check_entry("BULKHEAD_SIZE=max", "0=18446744073709551615 ", "");
	check_entry("BULKHEAD_MIN_FREE=0", "1=0 ", "");
	check_entry("BULKHEAD_WATERMARK_SCALE=1", "2=1 ", "");
	check_entry("BULKHEAD_DECAY_MS=1", "3=1 ", "");
	check_entry("BULKHEAD_DECAY_MS=3600000", "3=3600000 ", "");
	check_entry("BULKHEAD_PAGEFAULT=uffd", "4=0 ", "");
	check_entry("BULKHEAD_PAGEFAULT=mprotect", "4=1 ", "");
	check_entry("BULKHEAD_REAP_TRIES=1", "5=1 ", "");
	check_entry("BULKHEAD_REAP_TRIES=1000", "5=1000 ", "");
	check_entry("BULKHEAD_REAP_INTERVAL_MS=1", "6=1 ", "");
	check_entry("BULKHEAD_REAP_INTERVAL_MS=10000", "6=10000 ", "");
}
END_TEST

START_TEST(empty_variable_is_as_if_it_were_not_there)
{
	check_entry("BULKHEAD_SIZE=", "", "");
	check_entry("BULKHEAD_DECAY_MS=", "", "");
	check_entry("BULKHEAD_OPTIONS=", "", "");
	check_entry("BULKHEAD_PAGEFAULT=", "", "");
	check_entry("BULKHEAD_REAP_TRIES=", "", "");
	/* No entry that setenv(3) makes, but one that execve(2) takes. */
	check_entry("BULKHEAD_SIZE", "", "");
}
END_TEST

START_TEST(bad_value_is_one_line_with_name_value_and_what_is_allowed)
{
	static const struct {
		const char *entry, *form;
	} rows[] = {
		{"BULKHEAD_SIZE=junk", "1M and more, or max"},
		{"BULKHEAD_SIZE=0", "1M and more, or max"},
		{"BULKHEAD_SIZE=1023K", "1M and more, or max"},
		{"BULKHEAD_SIZE=8E", "1M and more, or max"},
		{"BULKHEAD_SIZE=-1", "1M and more, or max"},
		{"BULKHEAD_SIZE= 1G", "1M and more, or max"},
		{"BULKHEAD_SIZE=1G=", "1M and more, or max"},
		{"BULKHEAD_MIN_FREE=max", "a size"},
		{"BULKHEAD_MIN_FREE=x", "a size"},
		{"BULKHEAD_WATERMARK_SCALE=0", "1 to 3000"},
		{"BULKHEAD_WATERMARK_SCALE=3001", "1 to 3000"},
		{"BULKHEAD_WATERMARK_SCALE=1K", "1 to 3000"},
		{"BULKHEAD_DECAY_MS=0", "1 to 3600000"},
		{"BULKHEAD_DECAY_MS=3600001", "1 to 3600000"},
		{"BULKHEAD_DECAY_MS=1s", "1 to 3600000"},
		{"BULKHEAD_DECAY_MS=99999999999999999999", "1 to 3600000"},
		{"BULKHEAD_PAGEFAULT=userfaultfd", "uffd|mprotect"},
		{"BULKHEAD_PAGEFAULT=uff", "uffd|mprotect"},
		{"BULKHEAD_PAGEFAULT=UFFD", "uffd|mprotect"},
		{"BULKHEAD_PAGEFAULT=uffd|mprotect", "uffd|mprotect"},
		{"BULKHEAD_PAGEFAULT=1", "uffd|mprotect"},
		{"BULKHEAD_REAP_TRIES=0", "1 to 1000"},
		{"BULKHEAD_REAP_TRIES=1001", "1 to 1000"},
		{"BULKHEAD_REAP_TRIES=ten", "1 to 1000"},
		{"BULKHEAD_REAP_INTERVAL_MS=0", "1 to 10000"},
		{"BULKHEAD_REAP_INTERVAL_MS=10001", "1 to 10000"},
		{"BULKHEAD_REAP_INTERVAL_MS=100ms", "1 to 10000"},
		{"BULKHEAD_OPTIONS=halp", "help"},
	};
	char line[128], einval[16];

	snprintf(einval, sizeof(einval), "%d", -EINVAL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(line, sizeof(line), "bulkhead: %s: expected %s\n", rows[i].entry,
			rows[i].form);
		check_entry(rows[i].entry, einval, line);
	}
}
END_TEST

START_TEST(unknown_variable_is_one_line)
{
	static const char *const entries[] = {"BULKHEAD_SIZ=1G", "BULKHEAD_SIZES=1G",
		"BULKHEAD_=1", "BULKHEAD_size=1G", "BULKHEAD_LIMIT"};
	char line[128], einval[16];

	snprintf(einval, sizeof(einval), "%d", -EINVAL);
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		snprintf(line, sizeof(line),
			"bulkhead: %s: no such variable; BULKHEAD_OPTIONS=help lists "
			"them\n",
			entries[i]);
		check_entry(entries[i], einval, line);
	}
}
END_TEST

START_TEST(variables_of_a_run_under_check_are_not_read)
{
	check_entry("BULKHEAD_CHECK=/tmp/file", "", "");
	check_entry("BULKHEAD_INJECTED=call 17", "", "");
}
END_TEST

START_TEST(value_of_any_length_is_still_one_line)
{
	static char entry[100000] = "BULKHEAD_SIZE=";
	char *const env[] = {entry, NULL};
	struct support_output output;

	memset(entry + strlen(entry), 'x', sizeof(entry) - strlen(entry) - 1);
	support_capture(read_and_print, (void *)env, &output);
	ck_assert_int_eq(support_count_lines(output.err), 1);
	ck_assert(!strncmp(output.err, "bulkhead: BULKHEAD_SIZE=xxx", 27));
	support_output_fini(&output);
}
END_TEST

static void print_help(void *arg)
{
	(void)arg;
	exit(bhi_env_help(1) ? 1 : 0);
}

static char *help_text(void)
{
	struct support_output output;

	support_capture(print_help, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	free(output.err);
	return output.out;
}

START_TEST(options_help_prints_the_table_and_reading_goes_on)
{
	char *const env[] = {"BULKHEAD_OPTIONS=help", "BULKHEAD_DECAY_MS=7", NULL};
	char *help = help_text();

	check_env(env, "3=7 ", help);
	free(help);
}
END_TEST

START_TEST(help_has_one_line_for_each_variable)
{
	char *help = help_text();

	/* A heading, the values, and the one that prints this. */
	ck_assert_int_eq(support_count_lines(help), 1 + BHI_OPTION_NR + 1);
	free(help);
}
END_TEST

START_TEST(help_reports_a_failed_write)
{
	ck_assert_int_eq(bhi_env_help(-1), -EBADF);
}
END_TEST

/* Those that the library knows of and does not read, and so are not in its help. */
static bool is_foreign(const char *name)
{
	return !strcmp(name, "BULKHEAD_CHECK") || !strcmp(name, "BULKHEAD_INJECTED");
}

/* @file of the source tree names every variable of the help, and no other. */
static void check_documented(const char *file)
{
	static const char prefix[] = "BULKHEAD_";
	const char *root = getenv("BH_SOURCE_ROOT");
	char path[PATH_MAX], name[64], *help = help_text(), *text;

	ck_assert_msg(root != NULL, "BH_SOURCE_ROOT is not set");
	snprintf(path, sizeof(path), "%s/%s", root, file);
	text = support_read_file(path);
	for (const char *p = help; (p = strstr(p, prefix)); p += strlen(prefix)) {
		ck_assert_int_eq(sscanf(p, "%63[A-Z_]", name), 1);
		ck_assert_msg(support_contains(text, name), "%s: no %s", file, name);
	}
	for (const char *p = text; (p = strstr(p, prefix)); p += strlen(prefix)) {
		if (p[strlen(prefix)] == '*')
			continue;
		ck_assert_int_eq(sscanf(p, "%63[A-Z_]", name), 1);
		ck_assert_msg(support_contains(help, name) || is_foreign(name), "%s: %s?",
			file, name);
	}
	free(help);
	free(text);
}

START_TEST(every_variable_is_documented)
{
	check_documented("docs/environment.md");
	check_documented("man/bulkhead.1.scd");
}
END_TEST

static void print_backend(void *arg)
{
	int r;

	environ = arg;
	r = bh_init(NULL);
	printf("%d %s", r,
		r                                 ? "none"
		: bh_features() & BH_FEATURE_UFFD ? "uffd"
						  : "mprotect");
}

static void print_backend_without_uffd(void *arg)
{
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_UFFD);
	print_backend(arg);
}

static void check_output(void (*fn)(void *arg), char *const *env,
	const char *expected_out, const char *expected_err)
{
	struct support_output output;

	support_capture(fn, (void *)env, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.out, expected_out);
	ck_assert_str_eq(output.err, expected_err);
	support_output_fini(&output);
}

START_TEST(pagefault_variable_chooses_the_backend)
{
	char *const none[] = {NULL};
	char *const mprotect[] = {"BULKHEAD_PAGEFAULT=mprotect", NULL};
	char *const uffd[] = {"BULKHEAD_PAGEFAULT=uffd", NULL};
	char einval[16];

	snprintf(einval, sizeof(einval), "%d none", -EINVAL);
	check_output(print_backend, mprotect, "0 mprotect", "");
	check_output(print_backend_without_uffd, none, "0 mprotect", "");
	check_output(print_backend_without_uffd, uffd, einval,
		"bulkhead: BULKHEAD_PAGEFAULT=uffd: this system does not allow "
		"userfaultfd(2) to this process\n");
}
END_TEST

/* A victim that ends its hold section when it was given up. */
static int hold_until_given_up(void *arg)
{
	struct bh_task *task = bh_current();

	(void)arg;
	ck_assert_ptr_nonnull(bh_malloc(1));
	bh_hold();
	ck_assert_int_eq(bh_task_kill(task), 0);
	while (!bhi_load(&task->skip))
		sched_yield();
	bh_release();
	return 0;
}

static void print_victim(void *arg)
{
	environ = arg;
	printf("%d", bh_task_run(NULL, NULL, hold_until_given_up, NULL, NULL));
}

START_TEST(reap_variables_say_how_often_and_how_fast_a_holder_is_tried)
{
	/* With the default interval this takes 99.9 s. */
	char *const env[] = {
		"BULKHEAD_REAP_TRIES=1000", "BULKHEAD_REAP_INTERVAL_MS=1", NULL};
	char ecanceled[16];

	snprintf(ecanceled, sizeof(ecanceled), "%d", -ECANCELED);
	check_output(print_victim, env, ecanceled,
		"bulkhead: unable to reap task 'task' (4096 bytes) in 1000 tries: it is "
		"in a hold section\n");
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, nothing_set_gives_nothing);
	tcase_add_test(tcase, every_variable_is_read);
	tcase_add_test(tcase, values_at_the_bounds_are_taken);
	tcase_add_test(tcase, empty_variable_is_as_if_it_were_not_there);
	tcase_add_test(tcase, bad_value_is_one_line_with_name_value_and_what_is_allowed);
	tcase_add_test(tcase, unknown_variable_is_one_line);
	tcase_add_test(tcase, variables_of_a_run_under_check_are_not_read);
	tcase_add_test(tcase, value_of_any_length_is_still_one_line);
	tcase_add_test(tcase, options_help_prints_the_table_and_reading_goes_on);
	tcase_add_test(tcase, help_has_one_line_for_each_variable);
	tcase_add_test(tcase, help_reports_a_failed_write);
	tcase_add_test(tcase, every_variable_is_documented);
	tcase_add_test(tcase, pagefault_variable_chooses_the_backend);
	tcase_add_test(
		tcase, reap_variables_say_how_often_and_how_fast_a_holder_is_tried);
}

int main(void)
{
	return support_run("env", add_tests);
}
