/* SPDX-License-Identifier: MIT */
/*
 * The files that are given to `bulkhead check`: suppressions, baselines, and the reports
 * of shards. What is wrong in one is said with its place; what is right does what it says
 * and no more.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "baseline.h"
#include "check_session.h"
#include "merge.h"
#include "read.h"
#include "suppress.h"

#include "support.h"

static struct made made;

static char *written(int (*write)(struct bhi_out *, const struct bhi_check_session *),
	const struct bhi_check_session *session)
{
	int fd = memfd_create("report", MFD_CLOEXEC);
	struct bhi_out out;
	off_t size;
	char *text;

	bhi_out_init(&out, fd);
	ck_assert_int_eq(write(&out, session), 0);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	size = lseek(fd, 0, SEEK_CUR);
	text = calloc(1, (size_t)size + 1);
	ck_assert_int_eq(pread(fd, text, (size_t)size, 0), size);
	close(fd);
	return text;
}

static const struct {
	const char *text, *error;
} bad_suppressions[] = {
	{"crash f m", "s:1:10: the reason is missing: \"# why\" at the end"},
	{"crash f m #  \n", "s:1:14: the reason is empty"},
	{"crash f # why", "s:1:9: the module is missing"},
	{"crash # why", "s:1:7: the function is missing"},
	{"\n# fine\n  crush f m # why", "s:3:3: no class is called so"},
	{"crash f m x # why", "s:1:11: class, function and module are all; \"#\" and the "
			      "reason come next"},
	{"crash \"f m # why", "s:1:7: the quote is not closed"},
	{"crash \"f\\", "s:1:7: the quote is not closed"},
	{"crash \"f\"m x # why", "s:1:10: a blank must follow the quote"},
	{"crash \"\" m # why", "s:1:7: an empty field matches nothing"},
	{"crash f m # why\n\tx* f m # why\n", "s:2:2: no class is called so"},
};

START_TEST(a_bad_suppression_is_refused_at_its_line_and_column)
{
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_error error = {""};
	const char *text = bad_suppressions[_i].text;

	ck_assert_int_eq(
		bhi_check_suppressions_parse(&list, "s", text, strlen(text), &error),
		-EINVAL);
	ck_assert_str_eq(error.text, bad_suppressions[_i].error);
	bhi_check_suppressions_fini(&list);
}
END_TEST

START_TEST(a_zero_byte_in_suppressions_is_refused)
{
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_error error = {""};

	ck_assert_int_eq(bhi_check_suppressions_parse(
				 &list, "s", "crash f\0g m # why", 17, &error),
		-EINVAL);
	ck_assert_str_eq(error.text, "s:1:8: a byte is 0: this is no text");
	bhi_check_suppressions_fini(&list);
}
END_TEST

START_TEST(the_fields_of_a_suppression_are_what_was_written)
{
	static const char text[] =
		"# head\r\n"
		"\n"
		"wrong-*\t\"operator new(unsigned \\\"long)\" *#why not \r\n"
		"crash f \"a#b\" # it's \"known\"";
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_error error = {""};

	ck_assert_int_eq(
		bhi_check_suppressions_parse(&list, "s", text, strlen(text), &error), 0);
	ck_assert_uint_eq(list.nr, 2);
	ck_assert_str_eq(list.rules[0].class, "wrong-*");
	ck_assert_str_eq(list.rules[0].function, "operator new(unsigned \"long)");
	ck_assert_str_eq(list.rules[0].module, "*");
	ck_assert_str_eq(list.rules[0].reason, "why not");
	ck_assert_uint_eq(list.rules[0].line, 3);
	ck_assert_str_eq(list.rules[1].module, "a#b");
	ck_assert_str_eq(list.rules[1].reason, "it's \"known\"");
	bhi_check_suppressions_fini(&list);
}
END_TEST

START_TEST(a_glob_is_stars_and_question_marks_and_nothing_else)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{"*", "", true},
		{"*", "abc", true},
		{"", "", true},
		{"", "a", false},
		{"?", "", false},
		{"a?c", "abc", true},
		{"a*c", "abbbc", true},
		{"a*c", "abbbcd", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"operator new[]*", "operator new[](unsigned long)", true},
		{"[ab]", "a", false},
		{"a\\*", "a\\b", true},
		{"**x**", "x", true},
		{"*aab", "aaaaab", true},
	};

	for (size_t i = 0; i < bhi_array_size(cases); i++)
		ck_assert_msg(bhi_check_glob(cases[i].pattern, cases[i].text) ==
				      cases[i].matches,
			"%s of %s", cases[i].pattern, cases[i].text);
}
END_TEST

/* Two tests of one finding, below "outer" and below "other", both dying in "inner". */
static struct bhi_check_session *two_tests(void)
{
	static struct bhi_check_place outer[] = {{.module = "app", .function = "outer"},
		{.module = "app", .function = "main"}};
	static struct bhi_check_place other[] = {{.module = "lib.so", .offset = 0x1f0},
		{.module = "app", .function = "main"}};
	static struct bhi_check_place inner[] = {
		{.module = "libc.so.6", .function = "inner"}};
	static struct bhi_check_test tests[2];
	static struct bhi_check_finding finding;
	static size_t indices[] = {0, 1};
	static struct bhi_check_session session;

	tests[0] = (struct bhi_check_test){
		.injected = {outer, 2}, .crash = {inner, 1}, .class = BHI_CHECK_CRASH};
	tests[1] = (struct bhi_check_test){
		.injected = {other, 2}, .crash = {inner, 1}, .class = BHI_CHECK_CRASH};
	finding = (struct bhi_check_finding){.id = "crash-00000001",
		.class = BHI_CHECK_CRASH,
		.example = &tests[0],
		.tests = indices,
		.nr_tests = 2};
	session = (struct bhi_check_session){.tests = tests,
		.nr_tests = 2,
		.findings = &finding,
		.nr_findings = 1,
		.fail_on = BHI_CHECK_LEAK};
	return &session;
}

static const struct {
	const char *text;
	bool suppresses;
	unsigned used; /* by the first rule */
} suppressions[] = {
	{"crash inner libc* # the stack where it died", true, 2},
	{"* main app # an outer frame", true, 2},
	{"crash outer app # one of two", false, 1},
	{"crash outer app # one\ncrash 0x1f0 lib.so # and the other", true, 1},
	{"crash inner app # function and module of two frames", false, 0},
	{"leak inner libc* # another class", false, 0},
	{"cr?sh * * # all", true, 2},
};

START_TEST(a_finding_is_suppressed_when_each_of_its_tests_is_matched)
{
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_error error = {""};
	struct bhi_check_session *session = two_tests();
	const char *text = suppressions[_i].text;

	ck_assert(bhi_check_finding_fails(session, &session->findings[0]));
	ck_assert_int_eq(
		bhi_check_suppressions_parse(&list, "s", text, strlen(text), &error), 0);
	bhi_check_suppressions_apply(&list, session);
	ck_assert(session->findings[0].is_suppressed == suppressions[_i].suppresses);
	ck_assert(bhi_check_finding_fails(session, &session->findings[0]) !=
		  suppressions[_i].suppresses);
	ck_assert_uint_eq(list.rules[0].nr_used, suppressions[_i].used);
	if (suppressions[_i].suppresses)
		ck_assert_str_eq(
			session->findings[0].suppressed_by, list.rules[0].reason);
	bhi_check_suppressions_fini(&list);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
	struct bhi_check_suppressions list = {.nr = 0};
	struct bhi_check_baseline baseline;
	struct bhi_check_error error = {""};

	ck_assert_int_eq(bhi_check_suppressions_read(&list, "/none/s", &error), -ENOENT);
	ck_assert_str_eq(error.text, "/none/s: No such file or directory");
	ck_assert_int_eq(bhi_check_baseline_read("/none/b", &baseline, &error), -ENOENT);
	ck_assert_str_eq(error.text, "/none/b: No such file or directory");
}
END_TEST

/* A baseline in each form, of a session with one finding less. */
START_TEST(only_what_is_not_in_the_baseline_is_new)
{
	struct bhi_check_baseline baseline;
	struct bhi_check_error error = {""};
	struct bhi_check_session *session = &made.session;
	char *text;
	size_t nr;

	made_init(&made, 200, 1, 1);
	nr = session->nr_findings;
	ck_assert_uint_gt(nr, 5);
	session->nr_findings = nr - 1;
	text = written(_i ? bhi_check_write_json : bhi_check_write_baseline, session);
	session->nr_findings = nr;
	ck_assert_msg(
		!bhi_check_baseline_parse("b", text, strlen(text), &baseline, &error),
		"%s", error.text);
	ck_assert_uint_eq(baseline.nr, nr - 1);
	bhi_check_baseline_apply(&baseline, session);
	for (size_t i = 0; i < nr; i++)
		ck_assert(session->findings[i].is_known == (i < nr - 1));
	for (size_t i = 0; i < nr - 1; i++)
		ck_assert(baseline.entries[i].was_found);
	bhi_check_baseline_fini(&baseline);
	free(text);
	made_fini(&made);
}
END_TEST

START_TEST(a_baseline_is_lines_sorted_by_id_without_the_suppressed)
{
	struct bhi_check_session *session = &made.session;
	char *text, *again;

	made_init(&made, 60, 1, 1);
	session->findings[0].title = (char *)"two\nlines\x1b[31m";
	session->findings[1].is_suppressed = true;
	text = written(bhi_check_write_baseline, session);
	ck_assert_int_eq(support_count_lines(text), (int)session->nr_findings);
	ck_assert(!support_contains(text, session->findings[1].id));
	ck_assert(support_contains(text, "two?lines?[31m\n"));
	for (char *line = strchr(text, '\n') + 1, *next; *line; line = next) {
		next = strchr(line, '\n') + 1;
		ck_assert(!*next || strncmp(line, next, 31) < 0);
	}
	again = written(bhi_check_write_baseline, session);
	ck_assert_str_eq(text, again);
	free(text);
	free(again);
	made_fini(&made);
}
END_TEST

static const struct {
	const char *text, *error;
} bad_baselines[] = {
	{"# head\ncrash-1 crash\n\n-\x01 crash\n",
		"b:4: does not begin with the ID of a finding"},
	{"crash-1 crush x y\n", "b:1: no class stands behind the ID"},
	{"crash-1\n", "b:1: no class stands behind the ID"},
	{" crash-1 crash\n", "b:1: does not begin with the ID of a finding"},
	{"crash-1 crash\nabcdefghijklmnopqrstuvwxyz0123456 crash",
		"b:2: does not begin with the ID of a finding"},
	{"{\"findings\": [", NULL},
	{"{}", "b: is no report of bulkhead check"},
	{"{\"schema\": \"bulkhead-check\", \"schema_version\": 1, \"findings\": [{}]}",
		"b: findings[0].id: is no ID"},
	{"{\"schema\": \"bulkhead-check\", \"schema_version\": 2, \"findings\": [{}]}",
		"b: schema_version: is not 1, which is all that is known"},
};

START_TEST(a_bad_baseline_is_refused_at_its_line)
{
	struct bhi_check_baseline baseline;
	struct bhi_check_error error = {""};
	const char *text = bad_baselines[_i].text;

	ck_assert_int_eq(
		bhi_check_baseline_parse("b", text, strlen(text), &baseline, &error),
		-EINVAL);
	if (bad_baselines[_i].error)
		ck_assert_str_eq(error.text, bad_baselines[_i].error);
	else
		ck_assert_int_eq(strncmp(error.text, "b:1:", 4), 0);
	ck_assert_ptr_null(baseline.entries);
}
END_TEST

START_TEST(each_stack_is_in_one_shard_and_shards_are_of_a_size)
{
	unsigned sizes[7] = {0};

	for (uint64_t hash = 0; hash < 7000; hash++) {
		unsigned in = 0;

		for (unsigned i = 1; i <= 7; i++) {
			/* As bad a hash as can be. */
			if (bhi_check_in_shard(hash << 32, i, 7)) {
				in++;
				sizes[i - 1]++;
			}
		}
		ck_assert_uint_eq(in, 1);
		ck_assert(bhi_check_in_shard(hash, 1, 1));
	}
	for (unsigned i = 0; i < 7; i++) {
		ck_assert_uint_gt(sizes[i], 850);
		ck_assert_uint_lt(sizes[i], 1150);
	}
}
END_TEST

START_TEST(a_shard_is_i_of_n)
{
	static const char *const bad[] = {"", "1", "1/", "/2", "0/2", "3/2", "-1/2",
		"1/2x", " 1/2", "1/ 2", "1/0", "1/99999999999999999999", "a/b"};
	unsigned i = 0, n = 0;

	ck_assert(bhi_check_shard_parse("3/8", &i, &n));
	ck_assert_uint_eq(i, 3);
	ck_assert_uint_eq(n, 8);
	for (size_t k = 0; k < bhi_array_size(bad); k++)
		ck_assert_msg(!bhi_check_shard_parse(bad[k], &i, &n), "%s", bad[k]);
}
END_TEST

/* Reports of @n shards in files of @dir, whose names are put into @files. */
static void write_shards(const char *dir, unsigned n, char **files)
{
	for (unsigned i = 1; i <= n; i++) {
		struct made shard;
		char name[32], path[256], *text;

		made_init(&shard, 300, i, n);
		text = written(bhi_check_write_json, &shard.session);
		bhi_format(name, sizeof(name), "%u.json", i);
		support_write_file(dir, name, text);
		bhi_format(path, sizeof(path), "%s/%s", dir, name);
		files[i - 1] = strdup(path);
		free(text);
		made_fini(&shard);
	}
}

static char *merged(char *const *files, size_t nr)
{
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_error error = {""};
	struct bhi_check_session session;
	char *text;

	ck_assert_msg(
		!bhi_check_merge(files, nr, &session, &arena, &error), "%s", error.text);
	text = written(bhi_check_write_json, &session);
	bhi_check_arena_fini(&arena);
	return text;
}

START_TEST(shards_in_any_order_are_the_whole)
{
	const char *dir = support_dir();
	char *files[3], *single[1], *whole[1], *turned[3], *a, *b, *c, *again, name[256];

	write_shards(dir, 3, files);
	turned[0] = files[2];
	turned[1] = files[0];
	turned[2] = files[1];
	a = merged(files, 3);
	b = merged(turned, 3);
	ck_assert(!strcmp(a, b));
	support_write_file(dir, "merged.json", a);
	whole[0] = bhi_format(name, sizeof(name), "%s/merged.json", dir);
	again = merged(whole, 1);
	ck_assert(!strcmp(a, again));
	write_shards(dir, 1, single);
	c = merged(single, 1);
	ck_assert(!strcmp(a, c));
	ck_assert(support_contains(a, "\"class\": \"crash\""));
	for (int i = 0; i < 3; i++)
		free(files[i]);
	free(single[0]);
	free(a);
	free(b);
	free(c);
	free(again);
}
END_TEST

START_TEST(a_test_that_two_reports_have_counts_once_with_the_worse_verdict)
{
	struct bhi_check_session parts[2], whole;
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_error error = {""};
	char *names[] = {(char *)"a", (char *)"b"};
	struct bhi_check_test test;
	size_t changed = SIZE_MAX;

	made_init(&made, 100, 1, 1);
	parts[0] = parts[1] = made.session;
	for (size_t i = 0; i < made.session.nr_tests && changed == SIZE_MAX; i++) {
		if (made.session.tests[i].class == BHI_CHECK_ABSORBED)
			changed = i;
	}
	ck_assert_uint_lt(changed, made.session.nr_tests);
	parts[1].tests = calloc(made.session.nr_tests, sizeof(test));
	ck_assert_ptr_nonnull(parts[1].tests);
	memcpy(parts[1].tests, made.session.tests, made.session.nr_tests * sizeof(test));
	parts[1].tests[changed].class = BHI_CHECK_CORRUPTION;
	ck_assert_int_eq(
		bhi_check_sessions_unite(parts, names, 2, &whole, &arena, &error), 0);
	ck_assert_uint_eq(whole.nr_tests, made.session.nr_tests);
	ck_assert_uint_eq(whole.nr_findings, made.session.nr_findings);
	ck_assert_uint_eq(whole.nr_by_class[BHI_CHECK_CORRUPTION], 1);
	ck_assert_uint_eq(whole.nr_calls, made.session.nr_calls);
	bhi_check_arena_fini(&arena);
	free(parts[1].tests);
	made_fini(&made);
}
END_TEST

START_TEST(reports_of_different_things_are_not_merged)
{
	static char *const command[] = {(char *)"server", NULL};
	static const char *const errors[] = {"b: has another command than a",
		"b: has another mode than a", "b: has other options than a",
		"b: has another exit status of the clean run than a",
		"b: has another --fail-on than a"};
	struct bhi_check_session parts[2], whole;
	struct bhi_check_arena arena = {NULL};
	struct bhi_check_error error = {""};
	char *names[] = {(char *)"a", (char *)"b"};

	made_init(&made, 10, 1, 1);
	for (int i = 0; i < 5; i++) {
		parts[0] = parts[1] = made.session;
		if (i == 0)
			parts[1].command = command;
		else if (i == 1)
			parts[1].mode = "burst=3";
		else if (i == 2)
			parts[1].given = "";
		else if (i == 3)
			parts[1].clean_status = 1;
		else
			parts[1].fail_on = BHI_CHECK_CRASH;
		ck_assert_int_eq(
			bhi_check_sessions_unite(parts, names, 2, &whole, &arena, &error),
			-EINVAL);
		ck_assert_str_eq(error.text, errors[i]);
	}
	bhi_check_arena_fini(&arena);
	made_fini(&made);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_bad_suppression_is_refused_at_its_line_and_column, 0,
		(int)bhi_array_size(bad_suppressions));
	tcase_add_test(tcase, a_zero_byte_in_suppressions_is_refused);
	tcase_add_test(tcase, the_fields_of_a_suppression_are_what_was_written);
	tcase_add_test(tcase, a_glob_is_stars_and_question_marks_and_nothing_else);
	tcase_add_loop_test(tcase,
		a_finding_is_suppressed_when_each_of_its_tests_is_matched, 0,
		(int)bhi_array_size(suppressions));
	tcase_add_test(tcase, a_file_that_is_not_there_is_named);
	tcase_add_loop_test(tcase, only_what_is_not_in_the_baseline_is_new, 0, 2);
	tcase_add_test(tcase, a_baseline_is_lines_sorted_by_id_without_the_suppressed);
	tcase_add_loop_test(tcase, a_bad_baseline_is_refused_at_its_line, 0,
		(int)bhi_array_size(bad_baselines));
	tcase_add_test(tcase, each_stack_is_in_one_shard_and_shards_are_of_a_size);
	tcase_add_test(tcase, a_shard_is_i_of_n);
	tcase_add_test(tcase, shards_in_any_order_are_the_whole);
	tcase_add_test(
		tcase, a_test_that_two_reports_have_counts_once_with_the_worse_verdict);
	tcase_add_test(tcase, reports_of_different_things_are_not_merged);
}

int main(void)
{
	return support_run("check_files", add);
}
