/* SPDX-License-Identifier: MIT */
/* What is wrong with a scenario, and where: the message names the word at fault. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#include "support.h"

#define TEXT_SIZE 65536
#define M         (1 << 20)

/* The least that is a scenario, on one line each. */
#define ZONE  "zone 64M\n"
#define LEAST ZONE "task t\n"

/* What a task needs for every kind of step. */
#define STEPS                                                        \
	ZONE "lock mu mutex\nlock rw rwlock\nevent ev\ntask other\n" \
	     "task t\n\tmap 1M as map\n\talloc 1K as page\n\tmalloc 1K as heap\n"

/* Large, and each test is a process of its own. */
static struct bhi_lab_scenario scenario;
static char text[TEXT_SIZE];

static int parse_bytes(const char *from, size_t size, struct bhi_lab_scenario *ret,
	struct bhi_lab_error *ret_error)
{
	/* Of exactly the size, so that a read past the end is seen. */
	char *copy = malloc(size ? size : 1);
	int r;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, from, size);
	r = bhi_lab_parse("name", copy, size, ret, ret_error);
	free(copy);
	return r;
}

static int parse(
	const char *from, struct bhi_lab_scenario *ret, struct bhi_lab_error *ret_error)
{
	return parse_bytes(from, strlen(from), ret, ret_error);
}

static void parse_good(const char *from, struct bhi_lab_scenario *ret)
{
	struct bhi_lab_error error;
	int r = parse(from, ret, &error);

	ck_assert_msg(
		!r, "%d:%d: %s in:\n%s", error.line, error.column, error.text, from);
}

static void parse_bad(const char *from, int line, int column, const char *message)
{
	struct bhi_lab_error error;

	ck_assert_msg(parse(from, &scenario, &error) == -EINVAL, "good:\n%s", from);
	ck_assert_msg(error.line == line && error.column == column &&
			      !strcmp(error.text, message),
		"%d:%d: %s\nis not %d:%d: %s\nin:\n%s", error.line, error.column,
		error.text, line, column, message, from);
}

/* Append to text. */
static BHI_PRINTF(1, 2) void append(const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	ck_assert_int_lt(vsnprintf(text + len, sizeof(text) - len, format, args),
		(int)(sizeof(text) - len));
	va_end(args);
}

/* A '^' marks the place that the message must name. */
struct error_row {
	const char *text, *message;
};

static void check_errors(const char *before, const struct error_row *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const char *mark = strchr(rows[i].text, '^'), *p;
		int line = 1, column = 1;

		ck_assert_ptr_nonnull(mark);
		snprintf(text, sizeof(text), "%s%.*s%s", before,
			(int)(mark - rows[i].text), rows[i].text, mark + 1);
		for (p = text; p < text + strlen(before) + (mark - rows[i].text); p++) {
			line += *p == '\n';
			column = *p == '\n' ? 1 : column + 1;
		}
		parse_bad(text, line, column, rows[i].message);
	}
}

#define STATEMENTS \
	"title, about, zone, seed, group, lock, event, cache, task, schedule, expect"
#define GROUP_OPTIONS "min, low, high, max, on-limit, oom-group"
#define NAME_RULE     "is no name; names are 1 to 23 letters, digits, - and _"
#define SIZE_RULE     "is no size; sizes are 4096, 64K, 1.5M, 2G"

static const struct error_row statement_errors[] = {
	{"^zoned 1M", "'zoned' is not a statement; these are: " STATEMENTS},
	{"\n\n  ^1\n", "'1' is not a statement; these are: " STATEMENTS},
	{"^label: hold", "'label:' is not a statement; these are: " STATEMENTS},
	{"\t^hold", "'hold' is a step; steps stand below a task"},
	{"title^", "a title is missing"},
	{"title^ \t\n", "a title is missing"},
	{"title "
	 "^0123456789012345678901234567890123456789012345678901234567890123456789"
	 "0123456789",
		"the title is longer than 79 bytes"},
	{"title a\n^title b", "'title' may be given once only"},
	{"about ^prose\n", "'prose' must stand on the next line, with white "
			   "space before it"},
	{"about\n\n^ \nhold", "prose is missing, on lines that start with white space"},
	{"about\n a\n^about\n b\n", "'about' may be given once only"},
	{"zone^", "a size is missing"},
	{"zone^ # 64M", "a size is missing"},
	{"zone ^64X", "'64X' " SIZE_RULE},
	{"zone ^8E", "'8E' is too large; sizes are below 8E"},
	{"zone ^1048575", "'1048575' is no zone; it has at least 1M, and an end"},
	{"zone ^max", "'max' is no zone; it has at least 1M, and an end"},
	{"zone 64M ^64M", "'64M' is one word too many"},
	{"zone 1M\n^zone 1M", "'zone' may be given once only"},
	{"seed^", "a number is missing"},
	{"seed ^-1", "'-1' is no seed; that is a number"},
	{"seed ^18446744073709551616",
		"'18446744073709551616' is no seed; that is a number"},
	{"seed 0\n^seed 0", "'seed' may be given once only"},
	{"lock^", "a name is missing"},
	{"lock a^", "a kind of lock is missing: mutex, rwlock"},
	{"lock a ^spin", "'spin' is not a kind of lock; these are: mutex, rwlock"},
	{"lock a mutex\nlock ^a rwlock", "another lock is called 'a'"},
	{"event ^a.b", "'a.b' " NAME_RULE},
	{"event ^012345678901234567890123", "'012345678901234567890123' " NAME_RULE},
	{"event ^0123456789012345678901234567890123456789012345678",
		"'012345678901234567890123456789012345678901234567...'"
		" " NAME_RULE},
	{"event ^\303\244", "'\303\244' " NAME_RULE},
	{"event a\nevent ^a", "another event is called 'a'"},
	{"event a ^b", "'b' is one word too many"},
	{"zone ^\001", "the byte 0x01 is no text"},
	{"\n# ^\177\n", "the byte 0x7f is no text"},
};

START_TEST(statements_in_error_are_named_with_their_place)
{
	check_errors("", statement_errors, bhi_array_size(statement_errors));
}
END_TEST

static const struct error_row task_errors[] = {
	{"group^", "a name is missing"},
	{"group ^g", "another group is called 'g'"},
	{"group g/^g", "another group is called 'g'"},
	{"group ^x/y", "no group is called 'x'"},
	{"group ^g/x/y", "no group is called 'g/x'"},
	{"group g/^", "'' " NAME_RULE},
	{"group ^/a", "no group is called ''"},
	{"group g/h\ngroup h/i\ntask t in ^g/i", "no group is called 'g/i'"},
	{"group g/h\ntask t in ^h/g", "no group is called 'h/g'"},
	{"group g/h\ntask t in ^g/g/h", "no group is called 'g/g/h'"},
	{"group g/h\ntask t in ^g//h", "no group is called 'g//h'"},
	{"task t in ^/g", "no group is called '/g'"},
	{"task t in ^g/", "no group is called 'g/'"},
	{"task t in ^/", "no group is called '/'"},
	{"group a ^b", "'b' is not an option; these are: " GROUP_OPTIONS},
	{"group a max^", "a size is missing"},
	{"group a max 1 min ^x", "'x' " SIZE_RULE},
	{"group a max 1 ^max 1", "'max' stands here twice"},
	{"group a on-limit^", "an action is missing: fail, kill"},
	{"group a on-limit ^x", "'x' is not an action; these are: fail, kill"},
	{"cache c^", "a size is missing"},
	{"cache c 1K in^", "a name is missing"},
	{"cache c 1K in ^x", "no group is called 'x'"},
	{"cache c 1K in g lock ^x", "no lock is called 'x'"},
	{"lock l rwlock\ncache c 1K lock ^l", "'l' is a rwlock; a cache has a mutex"},
	{"cache c 1K ^to g", "'to' is not an option; these are: in, lock"},
	{"cache c 1K\ncache ^c 1K", "another cache is called 'c'"},
	{"task t in ^x", "no group is called 'x'"},
	{"task t ^at g", "'at' is not an option; these are: in, adj, "
			 "cooperative, deadline"},
	{"task t adj^", "a number is missing"},
	{"task t adj ^1001", "'1001' is no adj; that is -1000 to 1000"},
	{"task t adj ^-1001", "'-1001' is no adj; that is -1000 to 1000"},
	{"task t adj ^--1", "'--1' is no adj; that is -1000 to 1000"},
	{"task t deadline^", "a time is missing"},
	{"task t deadline ^5", "'5' is no time; times are 1ms to 4294967295ms"},
	{"task t deadline ^ms", "'ms' is no time; times are 1ms to 4294967295ms"},
	{"task t deadline ^0ms", "'0ms' is no time; times are 1ms to 4294967295ms"},
	{"task t deadline ^1msms", "'1msms' is no time; times are 1ms to 4294967295ms"},
	{"task t deadline ^4294967296ms",
		"'4294967296ms' is no time; times are 1ms to 4294967295ms"},
	{"task t\ntask ^t", "another task is called 't'"},
	{"task ^errors", "'errors' is a word of expect; a task needs another name"},
	{"task ^victims", "'victims' is a word of expect; a task needs another name"},
	{"task ^any", "'any' is a word of expect; a task needs another name"},
	{"task ^none", "'none' is a word of expect; a task needs another name"},
};

START_TEST(groups_caches_and_tasks_in_error_are_named_with_their_place)
{
	check_errors(ZONE "group g\n", task_errors, bhi_array_size(task_errors));
}
END_TEST

static const struct error_row step_errors[] = {
	{"^lok mu", "'lok' is neither a step nor a statement"},
	{"\tlabel:^", "the step behind its label is missing"},
	{"label: ^zone", "'zone' is neither a step nor a statement"},
	{"^a.b: hold", "'a.b' " NAME_RULE},
	{"^: hold", "'' " NAME_RULE},
	{"a: hold\n^a: hold", "another step of the task has the label 'a'"},
	{"hold ^on", "'on' is one word too many"},
	{"lock^", "a name is missing"},
	{"lock ^inod", "no lock is called 'inod'"},
	{"rdlock ^mu", "'mu' is a mutex; rdlock takes a rwlock"},
	{"unlock mu ^rw", "'rw' is one word too many"},
	{"alloc^", "a size is missing"},
	{"alloc ^much", "'much' " SIZE_RULE},
	{"alloc 1 ^zero", "'zero' is not an option; these are: noretry, retry-mayfail, "
			  "nofail, atomic, nowait, noreclaim, as, or"},
	{"alloc 1 nofail ^nofail", "'nofail' stands here twice"},
	{"alloc 1 nofail ^noretry", "'noretry' contradicts a flag before it"},
	{"alloc 1 noretry ^retry-mayfail",
		"'retry-mayfail' contradicts a flag before it"},
	{"alloc 1 atomic ^nofail", "'nofail' contradicts a flag before it"},
	{"alloc 1 nofail ^nowait", "'nowait' contradicts a flag before it"},
	{"alloc 1 as^", "a name is missing"},
	{"alloc 1 as ^b.c", "'b.c' " NAME_RULE},
	{"alloc 1 as ^map",
		"'map' is memory from map; that from alloc needs another name"},
	{"malloc 1 as ^page", "'page' is memory from alloc; that from malloc "
			      "needs another name"},
	{"malloc 1 ^nofail", "'nofail' is not an option; these are: as, or"},
	{"malloc 1 or^", "an action is missing: return, ignore, retry"},
	{"malloc 1 or ^die", "'die' is not an action; these are: return, ignore, retry"},
	{"map 1M^", "'as' must stand here"},
	{"map 1M ^or ignore", "'as' must stand here"},
	{"map 1M as m ^or ignore", "'or' is one word too many"},
	{"map 1M as ^heap",
		"'heap' is memory from malloc; that from map needs another name"},
	{"touch ^heap", "'heap' is memory from malloc, not from map"},
	{"touch ^new", "no memory is called 'new'"},
	{"touch map ^0", "'0' touches nothing; without a size it is all of the map"},
	{"touch map ^x", "'x' " SIZE_RULE},
	{"touch map 1 ^1", "'1' is one word too many"},
	{"discard ^page", "'page' is memory from alloc, not from map"},
	{"use ^later\nalloc 1 as later", "no memory is called 'later'"},
	{"free^", "a name is missing"},
	{"wait ^mu", "no event is called 'mu'"},
	{"block ^ev", "'until' must stand here"},
	{"idle until^", "a name is missing"},
	{"kill^", "a name is missing"},
	{"hold\n\tkill  ^nobody # c\nhold\n", "no task is called 'nobody'"},
	{"kill t ^t", "'t' is one word too many"},
	{"on ^signal ev", "'end' must stand here"},
	{"on end^", "an action is missing: signal, free"},
	{"on end ^hold", "'hold' is not an action; these are: signal, free"},
	{"on end signal ^x", "no event is called 'x'"},
	{"on end free ^heap", "'heap' is memory from malloc, not from alloc"},
	{"^end", "no loop is open here"},
	{"loop ^0\nend", "'0' is no number of rounds; without one they never end"},
	{"loop ^4294967296\nend", "'4294967296' is no number of rounds; without "
				  "one they never end"},
	{"loop ^x", "'x' is no number of rounds; without one they never end"},
	{"l: ^loop\n\tloop 2\nend\n", "this loop has no end"},
	{"loop\n\tloop 2\nend\nend\n^end\n", "no loop is open here"},
	{"loop\nl: ^loop\ntask later\n", "this loop has no end"},
};

START_TEST(steps_in_error_are_named_with_their_place)
{
	check_errors(STEPS, step_errors, bhi_array_size(step_errors));
}
END_TEST

#define ERAS "3.11, 3.12, 4.6, 4.19, small-may-fail, bulkhead"

static const struct error_row expect_errors[] = {
	{"schedule ^t.a", "'t.a' is one word too many"},
	{"schedule\n^schedule", "'schedule' may be given once only"},
	{"schedule\n\t^t", "'t' is neither TASK.LABEL nor a statement"},
	{"schedule\n\t^hold", "'hold' is neither TASK.LABEL nor a statement"},
	{"schedule\n\tt.a ^u", "'u' is no point; points are TASK.LABEL"},
	{"schedule\n\t^x.a", "no task is called 'x'"},
	{"schedule\n\t^.a", "no task is called ''"},
	{"schedule\nt.a t.^b", "no step of task 't' has the label 'b'"},
	{"schedule\nt.^", "no step of task 't' has the label ''"},
	{"schedule\nt.^a.a", "no step of task 't' has the label 'a.a'"},
	{"^t.a", "'t.a' is not a statement; these are: " STATEMENTS},
	{"expect^", "an era is missing"},
	{"expect ^3.13 lockup", "'3.13' is not an era; these are: " ERAS},
	{"expect 3.11,^3.13 lockup", "'3.13' is not an era; these are: " ERAS},
	{"expect 3.11,^all lockup", "'all' is not an era; these are: " ERAS},
	{"expect 3.11,^ lockup", "an era is missing: " ERAS},
	{"expect ^,3.11 lockup", "an era is missing: " ERAS},
	{"expect 3.11,^3.11 lockup", "'3.11' is expected twice"},
	{"expect 3.11 lockup\nexpect 4.6,^3.11 lockup", "'3.11' is expected twice"},
	{"expect 3.11 lockup\nexpect ^all lockup", "'all' must be the first expect"},
	{"expect all lockup\nexpect ^all lockup", "'all' must be the first expect"},
	{"expect all^", "a verdict is missing: completes, lockup, crash"},
	{"expect all ^broken",
		"'broken' is not a verdict; these are: completes, lockup, crash"},
	{"expect all lockup ^t", "'t' is not an option; these are: errors, victims"},
	{"expect all lockup errors^", "the name of a task is missing"},
	{"expect all lockup errors ^victims t", "the name of a task is missing"},
	{"expect all lockup errors ^x", "no task is called 'x'"},
	{"expect all lockup errors t ^t", "'t' stands here twice"},
	{"expect all lockup victims^", "the name of a task is missing"},
	{"expect all lockup victims t u ^t", "'t' stands here twice"},
	{"expect all lockup victims t ^any",
		"'any' is not an option; these are: errors, victims"},
	{"expect all lockup victims any ^t",
		"'t' is not an option; these are: errors, victims"},
	{"expect all lockup victims t ^victims u", "'victims' stands here twice"},
};

START_TEST(schedules_and_expectations_in_error_are_named_with_their_place)
{
	check_errors(ZONE "task u\ntask t\na: hold\nevent e\n", expect_errors,
		bhi_array_size(expect_errors));
}
END_TEST

START_TEST(zone_and_task_must_be_there)
{
	parse_bad("", 1, 1, "a zone is missing, as: zone 64M");
	parse_bad("\n\n# nothing\n", 1, 1, "a zone is missing, as: zone 64M");
	parse_bad("\ntask t\n", 1, 1, "a zone is missing, as: zone 64M");
	parse_bad("\nzone 64M\n", 1, 1, "a task is missing, as: task writer");
	parse_good(LEAST, &scenario);
}
END_TEST

START_TEST(full_tables_refuse_one_more)
{
	static const struct {
		const char *before, *format, *message;
		unsigned room;
		int column;
	} rows[] = {
		{LEAST, "group n%u\n",
			"'n16' is one group too many; there is room for 16",
			BHI_LAB_GROUPS, 7},
		{LEAST, "lock n%u mutex\n",
			"'n16' is one lock too many; there is room for 16", BHI_LAB_LOCKS,
			6},
		{LEAST, "event n%u\n",
			"'n16' is one event too many; there is room for 16",
			BHI_LAB_EVENTS, 7},
		{LEAST, "cache n%u 1K\n",
			"'n4' is one cache too many; there is room for 4", BHI_LAB_CACHES,
			7},
		{ZONE, "task n%u\n", "'n16' is one task too many; there is room for 16",
			BHI_LAB_TASKS, 6},
		{LEAST, "malloc 1K as n%u\n",
			"'n8' is one memory too many; there is room for 8",
			BHI_LAB_MEMORIES, 14},
		{LEAST, "\tn%u: hold\n",
			"'n48:' is one step too many; a task has room for 48",
			BHI_LAB_STEPS, 2},
		{LEAST "l: hold\nschedule\n", "t.l # %u\n",
			"'t.l' is one point too many; there is room for 32",
			BHI_LAB_POINTS, 1},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		snprintf(text, sizeof(text), "%s", rows[i].before);
		for (unsigned j = 0; j < rows[i].room; j++)
			append(rows[i].format, j);
		parse_good(text, &scenario);
		append(rows[i].format, rows[i].room);
		parse_bad(
			text, support_count_lines(text), rows[i].column, rows[i].message);
	}
}
END_TEST

START_TEST(texts_fill_their_room_and_no_more)
{
	char line[BHI_LAB_TEXT_SIZE + 1];

	memset(line, 'x', sizeof(line));
	snprintf(text, sizeof(text), LEAST "title %.*s\n", 79, line);
	parse_good(text, &scenario);
	snprintf(text, sizeof(text), "event %.*s\n" LEAST, BHI_LAB_NAME_SIZE - 1, line);
	parse_good(text, &scenario);
	/* Prose of two lines and the newline between them. */
	snprintf(text, sizeof(text), LEAST "about\n %.*s\n\n y\n", BHI_LAB_TEXT_SIZE - 4,
		line);
	parse_good(text, &scenario);
	ck_assert_uint_eq(strlen(scenario.about), BHI_LAB_TEXT_SIZE - 1);
	snprintf(text, sizeof(text), LEAST "about\n %.*s\n\n yy\n", BHI_LAB_TEXT_SIZE - 4,
		line);
	parse_bad(text, 6, 2, "the prose is longer than 2047 bytes");
}
END_TEST

START_TEST(a_file_of_more_than_a_megabyte_is_refused)
{
	char *large = malloc(M + 2);

	ck_assert_ptr_nonnull(large);
	memset(large, '\n', M + 1);
	memcpy(large, LEAST, strlen(LEAST));
	large[M + 1] = '\0';
	parse_bad(large, 1, 1, "a scenario has at most 1048576 bytes");
	large[M] = '\0';
	parse_good(large, &scenario);
	free(large);
}
END_TEST

START_TEST(a_byte_of_zero_is_no_text)
{
	struct bhi_lab_error error;

	ck_assert_int_eq(parse_bytes(LEAST, sizeof(LEAST), &scenario, &error), -EINVAL);
	ck_assert_int_eq(error.line, 3);
	ck_assert_int_eq(error.column, 1);
	ck_assert_str_eq(error.text, "the byte 0x00 is no text");
}
END_TEST

START_TEST(lock_below_a_task_is_a_step_when_no_kind_follows)
{
	/* As a statement it ends the task. */
	parse_bad(ZONE "task t\nlock b rwlock\nhold\n", 4, 1,
		"'hold' is a step; steps stand below a task");
	parse_bad(ZONE "lock a mutex\ntask t\nlock a mutx\n", 4, 8,
		"'mutx' is one word too many");
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, statements_in_error_are_named_with_their_place);
	tcase_add_test(
		tcase, groups_caches_and_tasks_in_error_are_named_with_their_place);
	tcase_add_test(tcase, steps_in_error_are_named_with_their_place);
	tcase_add_test(
		tcase, schedules_and_expectations_in_error_are_named_with_their_place);
	tcase_add_test(tcase, zone_and_task_must_be_there);
	tcase_add_test(tcase, full_tables_refuse_one_more);
	tcase_add_test(tcase, texts_fill_their_room_and_no_more);
	tcase_add_test(tcase, a_file_of_more_than_a_megabyte_is_refused);
	tcase_add_test(tcase, a_byte_of_zero_is_no_text);
	tcase_add_test(tcase, lock_below_a_task_is_a_step_when_no_kind_follows);
}

int main(void)
{
	return support_run("lab_errors", add_tests);
}
