/* SPDX-License-Identifier: MIT */
/* What `bulkhead check` writes for others, and the reports of shards made one. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "support_check.h"

#define CHECK "\"$BH_COMMAND\" check -q "
#define MIXED "-- \"$BH_SUBJECTS/subject_session\" mixed"

static void run_quietly(int status, const char *script)
{
	struct support_output output;

	support_shell(&output, status, script);
	support_output_fini(&output);
}

static void assert_file_has(const char *file, const char *part)
{
	char *text = support_read_file(file);

	ck_assert_msg(support_contains(text, part), "no \"%s\" in %s", part, file);
	free(text);
}

START_TEST(each_report_goes_to_its_file)
{
	struct support_output output;

	support_shell(&output, 1,
		CHECK "--json=a.json --sarif a.sarif --junit a.xml --html a.html "
		      "--write-baseline a.txt " MIXED);
	support_assert_says(
		&output, "Findings: 1 crash, 1 wrong-output-silent, 1 policy-abort.");
	support_output_fini(&output);
	assert_file_has("a.json", "\"schema\": \"bulkhead-check\"");
	assert_file_has("a.sarif", "\"version\": \"2.1.0\"");
	assert_file_has("a.xml", "<testsuites");
	assert_file_has("a.html", "<!DOCTYPE html>");
	assert_file_has("a.txt", "\tcrash\tsubject_session\t");
}
END_TEST

START_TEST(one_report_takes_the_place_of_the_text)
{
	struct support_output output;

	support_shell(&output, 1, CHECK "--junit - " MIXED);
	ck_assert(!strncmp(output.out, "<?xml", 5));
	ck_assert(!support_contains(output.out, "Findings:"));
	support_output_fini(&output);
	support_shell(&output, 2, CHECK "--junit - --json " MIXED);
	ck_assert(support_contains(output.err, "only one report"));
	support_output_fini(&output);
}
END_TEST

/* Before the work, which may take hours. */
START_TEST(a_file_that_cannot_be_written_is_a_mistake)
{
	struct support_output output;

	support_shell(&output, 2, CHECK "--html none/a.html " MIXED);
	ck_assert_str_eq(output.out, "");
	ck_assert_str_eq(
		output.err, "bulkhead: check: none/a.html: No such file or directory\n");
	support_output_fini(&output);
	support_shell(&output, 2, CHECK "--baseline none.txt " MIXED);
	ck_assert(support_contains(output.err, "bulkhead: check: none.txt"));
	support_output_fini(&output);
}
END_TEST

START_TEST(what_is_in_the_baseline_does_not_fail)
{
	struct support_output output;

	run_quietly(1, CHECK "--write-baseline a.txt " MIXED);
	support_shell(&output, 0,
		"echo 'crash-00000000 crash' >>a.txt; " CHECK "--baseline a.txt " MIXED);
	support_assert_says(&output, "Known, from the baseline:\n  crash-");
	support_assert_says(&output, "Findings: none.");
	support_assert_says(
		&output, "In the baseline, and not found any more:\n  crash-00000000\n");
	support_output_fini(&output);
	support_shell(&output, 1,
		"grep -v ^wrong a.txt >b.txt; " CHECK "--baseline b.txt " MIXED);
	support_assert_says(&output, "Findings: 1 wrong-output-silent.");
	support_output_fini(&output);
	/* Of a part nobody knows what the rest would show. */
	support_shell(&output, 0, CHECK "--shard 1/2 --baseline a.txt " MIXED);
	ck_assert(!support_contains(output.out, "not found any more"));
	support_output_fini(&output);
	support_shell(&output, 0,
		CHECK "--shard 1/2 --fail-on memory-corruption --json=1.json " MIXED
		      ">one; \"$BH_COMMAND\" check merge --baseline a.txt 1.json");
	ck_assert(!support_contains(output.out, "not found any more"));
	support_output_fini(&output);
	support_shell(&output, 0,
		CHECK "--shard 2/2 --fail-on memory-corruption --json=2.json " MIXED
		      ">two; \"$BH_COMMAND\" check merge --baseline a.txt 1.json 2.json");
	support_assert_says(&output, "not found any more:\n  crash-00000000\n");
	support_output_fini(&output);
}
END_TEST

START_TEST(what_is_suppressed_does_not_fail)
{
	struct support_output output;

	support_shell(&output, 1,
		"printf 'crash print_name * # one\\ncrash none * # two\\n' >a; "
		"printf 'wrong* find * # three\\n' >b; " CHECK "--suppressions a " MIXED);
	support_assert_says(&output, "Findings: 1 wrong-output-silent, 1 policy-abort.");
	support_output_fini(&output);
	support_shell(&output, 0, CHECK "--suppressions a --suppressions b " MIXED);
	support_assert_says(&output, "Suppressed:\n  crash-");
	support_assert_says(&output, "    # one\n");
	support_assert_says(&output, "    # three\n");
	support_assert_says(&output, "Findings: 1 policy-abort.");
	support_assert_says(
		&output, "Suppressions that nothing matched:\n  a:2: crash none *\n");
	support_output_fini(&output);
	support_shell(
		&output, 2, "echo 'crash * *' >a; " CHECK "--suppressions a " MIXED);
	ck_assert(support_contains(output.err, "a:1:"));
	support_output_fini(&output);
}
END_TEST

/* "ID title stacks calls tests" of each, in their order. */
static char *list_findings(const char *file)
{
	json_error_t error;
	json_t *report = json_load_file(file, 0, &error), *finding;
	char *list = strdup("");
	size_t i;

	ck_assert_msg(report != NULL, "%s: %s", file, error.text);
	json_array_foreach(json_object_get(report, "findings"), i, finding)
	{
		char *longer;
		int r = asprintf(&longer, "%s%s %s %lld %lld %zu\n", list,
			json_string_value(json_object_get(finding, "id")),
			json_string_value(json_object_get(finding, "title")),
			(long long)json_integer_value(json_object_get(finding, "stacks")),
			(long long)json_integer_value(json_object_get(finding, "calls")),
			json_array_size(json_object_get(finding, "tests")));

		ck_assert_int_ge(r, 0);
		free(list);
		list = longer;
	}
	json_decref(report);
	return list;
}

/* Findings are united by ID, so an ID must be made of what one test shows. */
static void check_shards(const char *command)
{
	char script[1024], *whole, *merged;
	struct support_output output;

	snprintf(script, sizeof(script),
		"for i in 1 2 3; do " CHECK "--shard $i/3 --json=$i.json -- %s; "
		"[ $? -le 1 ] || exit 4; done; " CHECK "--json=whole.json -- %s",
		command, command);
	run_quietly(1, script);
	support_shell(&output, 1,
		"\"$BH_COMMAND\" check merge --json=merged.json 3.json 1.json 2.json");
	support_assert_says(&output, "bulkhead check: ");
	support_output_fini(&output);
	whole = list_findings("whole.json");
	merged = list_findings("merged.json");
	ck_assert_str_ne(whole, "");
	ck_assert_str_eq(merged, whole);
	free(whole);
	free(merged);
}

START_TEST(shards_have_the_findings_of_the_whole)
{
	check_shards("\"$BH_SUBJECTS/subject_session\" mixed");
}
END_TEST

START_TEST(shards_of_a_program_have_the_findings_of_the_whole)
{
	check_shards("ls -la /etc/hostname /etc/passwd");
}
END_TEST

START_TEST(a_merge_has_the_options_of_output)
{
	struct support_output output;

	run_quietly(1, CHECK "--json=a.json " MIXED);
	support_shell(&output, 0,
		"\"$BH_COMMAND\" check merge --fail-on memory-corruption --sarif - "
		"a.json");
	ck_assert(support_json_valid(output.out));
	support_output_fini(&output);
	run_quietly(0, "\"$BH_COMMAND\" check merge --write-baseline a.txt --fail-on "
		       "memory-corruption a.json && "
		       "\"$BH_COMMAND\" check merge --baseline a.txt a.json");
}
END_TEST

START_TEST(mistakes_in_a_merge_are_told)
{
	struct support_output output;

	support_shell(&output, 2, "\"$BH_COMMAND\" check merge");
	ck_assert(support_contains(output.err, "bulkhead: check merge: which reports?"));
	support_output_fini(&output);
	support_shell(&output, 2, "echo '{' >a; \"$BH_COMMAND\" check merge a");
	ck_assert(support_contains(output.err, "bulkhead: check merge: a:"));
	support_output_fini(&output);
	support_shell(&output, 2, "\"$BH_COMMAND\" check merge --samples 1 a");
	ck_assert_str_eq(output.err, "bulkhead: check merge: --samples: no such option; "
				     "'bulkhead help check merge' lists them\n");
	support_output_fini(&output);
	support_shell(&output, 0, "\"$BH_COMMAND\" help check merge");
	support_assert_says(&output, "Usage: bulkhead check merge ");
	support_output_fini(&output);
	/* A program of this name. */
	support_shell(&output, 2, "\"$BH_COMMAND\" check -- merge");
	ck_assert(!support_contains(output.err, "check merge"));
	support_output_fini(&output);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, each_report_goes_to_its_file);
	tcase_add_test(tcase, one_report_takes_the_place_of_the_text);
	tcase_add_test(tcase, a_file_that_cannot_be_written_is_a_mistake);
	tcase_add_test(tcase, what_is_in_the_baseline_does_not_fail);
	tcase_add_test(tcase, what_is_suppressed_does_not_fail);
	tcase_add_test(tcase, shards_have_the_findings_of_the_whole);
	tcase_add_test(tcase, shards_of_a_program_have_the_findings_of_the_whole);
	tcase_add_test(tcase, a_merge_has_the_options_of_output);
	tcase_add_test(tcase, mistakes_in_a_merge_are_told);
}

int main(void)
{
	return support_run("check_output", add_tests);
}
