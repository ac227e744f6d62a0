/* SPDX-License-Identifier: MIT */
/* What is seen of a run to its class, and output to its difference: tables. */
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "check/classify.h"
#include "check/compare.h"

#include "support.h"

#define MAX_FRAMES 8

/* A stack in short: "module!function" words, innermost first; "module!" has no symbol.
 * The frame's place is its word, so equal words are equal places. */
struct stack {
	struct bhi_check_place places[MAX_FRAMES];
	uint64_t cfa[MAX_FRAMES];
	struct bhi_check_backtrace trace;
	char text[512];
};

static uint64_t offset_of(const char *word)
{
	uint64_t offset = 5381;

	while (*word)
		offset = offset * 33 + (unsigned char)*word++;
	return offset;
}

static void make_stack(const char *words, struct stack *ret)
{
	char *rest, *word;

	*ret = (struct stack){.trace.places = ret->places};
	strncpy(ret->text, words ? words : "", sizeof(ret->text) - 1);
	for (word = strtok_r(ret->text, " ", &rest); word;
		word = strtok_r(NULL, " ", &rest)) {
		struct bhi_check_place *place = &ret->places[ret->trace.nr++];
		char *mark;

		place->offset = offset_of(word);
		mark = strchr(word, '!');
		ck_assert_ptr_nonnull(mark);
		*mark = 0;
		place->module = place->path = word;
		place->build_id = "";
		place->function = mark[1] ? mark + 1 : NULL;
		mark += strcspn(mark + 1, "#") + 1;
		*mark = 0;
	}
	/* Stacks grow downwards: the outermost frame has the highest address. */
	for (size_t i = 0; i < ret->trace.nr; i++)
		ret->cfa[i] = 0x10000 - 64 * (ret->trace.nr - i);
}

struct row {
	const char *what;
	enum bhi_check_class expected;
	enum bhi_check_end end;
	int status;
	const char *err; /* the clean run has none */
	const char *out; /* NULL: as the clean run */
	const char *injected, *crash;
	uint64_t address;
};

static const struct row rows[] = {
	{"nothing differs", BHI_CHECK_ABSORBED, BHI_CHECK_EXITED, 0, NULL, NULL, NULL,
		NULL, 0},
	{"a warning", BHI_CHECK_HANDLED, BHI_CHECK_EXITED, 0, "warning: no memory\n",
		NULL, NULL, NULL, 0},
	{"a message and a status", BHI_CHECK_HANDLED, BHI_CHECK_EXITED, 1, "no memory\n",
		"", NULL, NULL, 0},
	{"a status alone", BHI_CHECK_SILENT_ERROR, BHI_CHECK_EXITED, 1, NULL, "", NULL,
		NULL, 0},
	{"a status, and the message in the log on stdout", BHI_CHECK_HANDLED,
		BHI_CHECK_EXITED, 1, NULL, "12:00 Out of memory\n", NULL, NULL, 0},
	{"lines are missing", BHI_CHECK_WRONG_SILENT, BHI_CHECK_EXITED, 0, NULL, "", NULL,
		NULL, 0},
	{"lines are missing and a message", BHI_CHECK_WRONG_MESSAGE, BHI_CHECK_EXITED, 0,
		"cannot match\n", "", NULL, NULL, 0},
	{"ended by a signal that is no crash", BHI_CHECK_SILENT_ERROR, BHI_CHECK_SIGNALED,
		SIGTERM, NULL, "", NULL, NULL, 0},
	{"loops", BHI_CHECK_BUSY_HANG, BHI_CHECK_TIMED_OUT_BUSY, 0, NULL, NULL, NULL,
		NULL, 0},
	{"waits for a lock", BHI_CHECK_DEADLOCK, BHI_CHECK_TIMED_OUT_LOCKED, 0, NULL,
		NULL, NULL, NULL, 0},
	{"sleeps", BHI_CHECK_DEADLOCK, BHI_CHECK_TIMED_OUT_ASLEEP, 0, NULL, NULL, NULL,
		NULL, 0},
	{"writes and writes", BHI_CHECK_RUNAWAY_OUTPUT, BHI_CHECK_TOO_MUCH_OUTPUT, 0,
		NULL, "x", NULL, NULL, 0},

	{"uses the result that it did not look at", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED,
		SIGSEGV, NULL, "", "prog!f prog!main", "prog!f prog!main", 0},
	{"no stack was seen", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED, SIGSEGV, NULL, "",
		"prog!f prog!main", NULL, 0},
	{"dies later, of what was left half done", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED,
		SIGSEGV, NULL, "", "prog!xmalloc prog!load prog!main",
		"libc.so.6!strcmp prog!find prog!main", 0},
	{"glibc finds a block corrupt", BHI_CHECK_CORRUPTION, BHI_CHECK_SIGNALED, SIGABRT,
		"free(): invalid pointer\n", "", "prog!f prog!main",
		"libc.so.6!abort libc.so.6! libc.so.6!free prog!g prog!main", 0},
	{"double free", BHI_CHECK_CORRUPTION, BHI_CHECK_SIGNALED, SIGABRT,
		"double free or corruption (out)\n", "", "prog!f prog!main",
		"libc.so.6!abort libc.so.6!free prog!g prog!main", 0},
	{"the stack is smashed", BHI_CHECK_CORRUPTION, BHI_CHECK_SIGNALED, SIGABRT,
		"*** stack smashing detected ***: terminated\n", "", "prog!f prog!main",
		"libc.so.6!abort libc.so.6!__fortify_fail prog!main", 0},

	{"its reporter aborts", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED, SIGABRT, NULL,
		"", "prog!jv_mem_alloc prog!parse prog!main",
		"libc.so.6!abort prog!memory_exhausted prog!jv_mem_alloc prog!parse "
		"prog!main",
		0},
	{"it has no symbols, but says so", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED,
		SIGABRT, "jq: error: cannot allocate memory\n", "", "prog! prog!main",
		"libc.so.6!abort lib! lib! prog!main", 0},
	{"aborts where it was given NULL", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED,
		SIGABRT, NULL, "", "prog!f prog!main", "libc.so.6!abort prog!f prog!main",
		0},
	{"aborts elsewhere without a word", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED, SIGABRT,
		NULL, "", "prog!f prog!main", "libc.so.6!abort prog!g prog!h prog!main#2",
		0},
	{"a fatal error of Python's", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED, SIGABRT,
		"Fatal Python error: init\n", "", "python3!f python3!main",
		"libc.so.6!abort python3!fatal_error_exit python3!g python3!main", 0},
	{"an exception nobody catches", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED,
		SIGABRT,
		"terminate called after throwing an instance of 'std::bad_alloc'\n", "",
		"prog!f prog!main", "libc.so.6!abort libstdc++.so.6! prog!g prog!main",
		0},
	{"a trap in its reporter", BHI_CHECK_POLICY_ABORT, BHI_CHECK_SIGNALED, SIGILL,
		NULL, "", "prog!zmalloc prog!main",
		"prog!oom_handler prog!zmalloc prog!main", 0},
	{"an assertion", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED, SIGABRT,
		"jq: src/compile.c:330: bind: Assertion `x' failed.\n", "",
		"prog!strdup prog!gen prog!main",
		"libc.so.6!abort libc.so.6!__assert_fail prog!bind prog!main", 0},
	{"an assertion in the call that was given NULL", BHI_CHECK_CRASH,
		BHI_CHECK_SIGNALED, SIGABRT, NULL, "", "prog!f prog!main",
		"libc.so.6!abort libc.so.6!__assert_fail prog!f prog!main", 0},
	{"an assertion after its message", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED, SIGABRT,
		"out of memory\nprog: Assertion `0' failed.\n", "", "prog!f prog!main",
		"libc.so.6!abort prog!g prog!main", 0},

	{"its reporter dies", BHI_CHECK_REPORTER_CRASH, BHI_CHECK_SIGNALED, SIGSEGV, NULL,
		"", "redis!zmalloc redis!dictNew redis!main",
		"redis!raxSize redis!serverLog redis!redisOutOfMemoryHandler "
		"redis!zmalloc redis!dictNew redis!main",
		8},
	{"its reporter dies after its message", BHI_CHECK_REPORTER_CRASH,
		BHI_CHECK_SIGNALED, SIGSEGV, "Out of memory\n", "",
		"p!zmalloc p!f p!main", "p! p! p!zmalloc p!f p!main", 8},
	{"the reporter has returned", BHI_CHECK_CRASH, BHI_CHECK_SIGNALED, SIGSEGV, NULL,
		"", "redis!load redis!init redis!main",
		"redis!raxSize redis!redisOutOfMemoryHandler redis!main", 8},
	{"says so, goes back, and dies in the cleanup", BHI_CHECK_CRASH,
		BHI_CHECK_SIGNALED, SIGSEGV, "malloc: Cannot allocate memory\n", "",
		"p!jq_init p!main", "p!jq_teardown p!main#2", 0},
};

static enum bhi_check_class classify(const struct row *row)
{
	const struct bhi_check_rules rules = {.expected_exit = 0};
	struct stack injected, crash;
	struct bhi_check_seen seen = {.end = row->end,
		.status = row->status,
		.out = row->out ? row->out : "clean\n",
		.err = row->err ? row->err : "",
		.output_differs = row->out != NULL,
		.err_differs = row->err != NULL,
		.nr_injected = 1,
		.address = row->address};

	make_stack(row->injected, &injected);
	make_stack(row->crash, &crash);
	seen.out_len = strlen(seen.out);
	seen.err_len = strlen(seen.err);
	seen.injected = injected.trace;
	seen.crash = crash.trace;
	seen.injected_cfa = injected.cfa;
	seen.crash_cfa = crash.cfa;
	if (row->crash)
		seen.signal = row->status;
	return bhi_check_classify(&rules, &seen);
}

START_TEST(each_row_has_its_class)
{
	const struct row *row = &rows[_i];
	enum bhi_check_class class = classify(row);

	ck_assert_msg(class == row->expected, "%s: %s, not %s", row->what,
		bhi_check_class_name(class), bhi_check_class_name(row->expected));
}
END_TEST

static struct bhi_check_seen seen_clean(void)
{
	return (struct bhi_check_seen){
		.end = BHI_CHECK_EXITED, .out = "", .err = "", .nr_injected = 1};
}

START_TEST(what_is_left_at_the_end_counts_when_all_else_is_as_before)
{
	const struct bhi_check_rules rules = {
		.live_blocks = 3, .live_bytes = 100, .locks_held = 1};
	struct bhi_check_seen seen = seen_clean();

	seen.exit_seen = true;
	seen.live_blocks = 4;
	seen.live_bytes = 101;
	seen.locks_held = 1;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_LEAK);
	seen.exit_seen = false;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_ABSORBED);
	seen.exit_seen = true;
	seen.live_blocks = 3;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_ABSORBED);
	seen.locks_held = 2;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_LOCK_HELD);
	seen.live_blocks = 9;
	seen.status = 1;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_SILENT_ERROR);
}
END_TEST

START_TEST(a_crash_that_the_program_catches_is_a_crash)
{
	struct bhi_check_rules rules = {.expected_exit = 0};
	struct bhi_check_seen seen = seen_clean();

	seen.signal = SIGSEGV;
	seen.status = 7;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_CRASH);
	/* Unless it does so without any failure. */
	rules.crash_is_caught = true;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_SILENT_ERROR);
}
END_TEST

START_TEST(marks_of_the_owner_are_believed)
{
	struct bhi_check_rules rules = {.expected_exit = 0};
	struct bhi_check_seen seen = seen_clean();
	regex_t ok;

	seen.end = BHI_CHECK_SIGNALED;
	seen.status = SIGABRT;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_CRASH);
	seen.nr_policy_aborts = 1;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_POLICY_ABORT);
	seen = seen_clean();
	seen.out = "sorry\n";
	seen.out_len = 6;
	seen.output_differs = true;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_WRONG_SILENT);
	ck_assert_int_eq(regcomp(&ok, "^sorry", REG_EXTENDED | REG_NOSUB), 0);
	rules.ok = &ok;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_HANDLED);
	regfree(&ok);
	seen.nr_injected = 0;
	ck_assert_int_eq(bhi_check_classify(&rules, &seen), BHI_CHECK_UNREACHED);
}
END_TEST

struct compare_row {
	enum bhi_check_compare how;
	const char *clean[3]; /* of clean runs, the first always */
	const char *other;
	const char *difference; /* NULL: none */
};

static const struct compare_row compare_rows[] = {
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n"}, "a\nb\n", NULL},
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n"}, "a\nc\n", "line 2 is \"c\", not \"b\""},
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n"}, "a\n", "line 2 is missing: \"b\""},
	{BHI_CHECK_COMPARE_EXACT, {"a\n"}, "a\nb\n", "line 2 is too much: \"b\""},
	{BHI_CHECK_COMPARE_EXACT, {"a\n"}, "a", "the last line ends otherwise"},
	{BHI_CHECK_COMPARE_EXACT, {""}, "", NULL},
	{BHI_CHECK_COMPARE_EXACT, {"a\n"}, "", "line 1 is missing: \"a\""},
	{BHI_CHECK_COMPARE_EXACT, {""}, "a", "line 1 is too much: \"a\""},
	{BHI_CHECK_COMPARE_LINES, {"a\nb\n"}, "b\na\n", NULL},
	{BHI_CHECK_COMPARE_LINES, {"a\nb\n"}, "b\n", "a line is missing: \"a\""},
	{BHI_CHECK_COMPARE_LINES, {"b\n"}, "a\nb\n", "a line is too much: \"a\""},
	{BHI_CHECK_COMPARE_NONE, {"a\n"}, "z\n", NULL},
	/* A pid and a time. */
	{BHI_CHECK_COMPARE_EXACT, {"pid 120 up\nx\n", "pid 133 up\nx\n"}, "pid 7 up\nx\n",
		NULL},
	{BHI_CHECK_COMPARE_EXACT, {"pid 120 up\nx\n", "pid 133 up\nx\n"},
		"pid 7 down\nx\n", "line 1 is \"pid 7 down\", not \"pid 120 up\""},
	{BHI_CHECK_COMPARE_EXACT, {"pid 120 up\nx\n", "pid 133 up\nx\n"}, "pid 120 up\n",
		"line 2 is missing: \"x\""},
	{BHI_CHECK_COMPARE_EXACT, {"at 1:05 p1 up\n", "at 1:05 p2 up\n"},
		"at 1:06 p3 up\n", NULL},
	{BHI_CHECK_COMPARE_EXACT, {"at 1:05 p1 up\n", "at 1:05 p2 up\n"},
		"on 1:06 p3 up\n", "line 1 is \"on 1:06 p3 up\", not \"at 1:05 p1 up\""},
	{BHI_CHECK_COMPARE_EXACT, {"p1 of 7\n", "p2 of 7\n"}, "p3 of 8\n", NULL},
	{BHI_CHECK_COMPARE_EXACT, {"1 a\n2 b\n", "1 a\n3 b\n", "5 a\n2 b\n"},
		"7 a\n8 b\n", NULL},
	/* Another order each time. */
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n", "b\na\n"}, "b\na\n", NULL},
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n", "b\na\n"}, "b\n",
		"a line is missing: \"a\""},
	/* Another number of lines each time. */
	{BHI_CHECK_COMPARE_EXACT, {"a\nb\n", "b\n"}, "z\n", NULL},
};

START_TEST(output_is_compared_with_that_of_clean_runs)
{
	const struct compare_row *row = &compare_rows[_i];
	struct bhi_check_reference reference;
	char *difference = NULL;
	bool differs;

	bhi_check_reference_init(
		&reference, row->how, row->clean[0], strlen(row->clean[0]));
	for (int i = 1; i < 3 && row->clean[i]; i++)
		bhi_check_reference_mask(
			&reference, row->clean[i], strlen(row->clean[i]));
	differs = bhi_check_reference_differs(
		&reference, row->other, strlen(row->other), &difference);
	ck_assert_int_eq(differs, row->difference != NULL);
	if (differs)
		ck_assert_str_eq(difference, row->difference);
	free(difference);
	bhi_check_reference_fini(&reference);
}
END_TEST

START_TEST(a_file_that_varies_is_known_by_its_name)
{
	static const char clean[] = "0a1b 117 100644 b.log\n77aa 8 100644 c\n";
	static const char again[] = "0c1f 117 100644 b.log\n77aa 8 100644 c\n";
	static const char other[] = "9e00 120 100644 b.log\n77aa 8 100644 c\n";
	static const char moved[] = "9e00 120 100644 a.log\n77aa 8 100644 c\n";
	static const char empty[] = "9e00 120 100644 b.log\n0000 0 100644 c\n";
	struct bhi_check_reference reference;

	bhi_check_reference_init(
		&reference, BHI_CHECK_COMPARE_EXACT, clean, sizeof(clean) - 1);
	reference.is_of_files = true;
	bhi_check_reference_mask(&reference, again, sizeof(again) - 1);
	ck_assert(
		!bhi_check_reference_differs(&reference, other, sizeof(other) - 1, NULL));
	ck_assert(
		bhi_check_reference_differs(&reference, moved, sizeof(moved) - 1, NULL));
	ck_assert(
		bhi_check_reference_differs(&reference, empty, sizeof(empty) - 1, NULL));
	bhi_check_reference_fini(&reference);
}
END_TEST

START_TEST(a_new_line_is_one_that_no_clean_run_has)
{
	static const char clean[] = "started 5\nready\n", again[] = "started 7\nready\n";
	static const char other[] = "started 9\nready\nout of memory\nbye\n";
	struct bhi_check_reference reference;
	char *line;

	bhi_check_reference_init(
		&reference, BHI_CHECK_COMPARE_EXACT, clean, sizeof(clean) - 1);
	bhi_check_reference_mask(&reference, again, sizeof(again) - 1);
	ck_assert_uint_eq(reference.nr_masked, 1);
	line = bhi_check_reference_new_line(&reference, other, sizeof(other) - 1);
	ck_assert_str_eq(line, "out of memory");
	free(line);
	line = bhi_check_reference_new_line(&reference, again, sizeof(again) - 1);
	ck_assert_ptr_null(line);
	bhi_check_reference_fini(&reference);
}
END_TEST

START_TEST(every_class_has_a_name_that_is_read_back)
{
	for (int i = 0; i < BHI_CHECK_NR_CLASSES; i++)
		ck_assert_int_eq(bhi_check_class_parse(
					 bhi_check_class_name((enum bhi_check_class)i)),
			i);
	ck_assert_int_eq(bhi_check_class_parse("fine"), -1);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, each_row_has_its_class, 0, (int)bhi_array_size(rows));
	tcase_add_test(tcase, what_is_left_at_the_end_counts_when_all_else_is_as_before);
	tcase_add_test(tcase, a_crash_that_the_program_catches_is_a_crash);
	tcase_add_test(tcase, marks_of_the_owner_are_believed);
	tcase_add_loop_test(tcase, output_is_compared_with_that_of_clean_runs, 0,
		(int)bhi_array_size(compare_rows));
	tcase_add_test(tcase, a_file_that_varies_is_known_by_its_name);
	tcase_add_test(tcase, a_new_line_is_one_that_no_clean_run_has);
	tcase_add_test(tcase, every_class_has_a_name_that_is_read_back);
}

int main(void)
{
	return support_run("check_classify", add_tests);
}
