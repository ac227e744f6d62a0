/* SPDX-License-Identifier: MIT */
/* Texts against the scenarios they mean, there and back. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bulkhead.h"
#include "parse.h"
#include "print.h"

#include "support.h"

#define TEXT_SIZE 65536
#define M         (1 << 20)
#define K         (1 << 10)

/* The least that is a scenario, on one line each. */
#define ZONE  "zone 64M\n"
#define LEAST ZONE "task t\n"

/* What a task needs for every kind of step. */
#define STEPS                                                        \
	ZONE "lock mu mutex\nlock rw rwlock\nevent ev\ntask other\n" \
	     "task t\n\tmap 1M as map\n\talloc 1K as page\n\tmalloc 1K as heap\n"

/* Large, and each test is a process of its own. */
static struct bhi_lab_scenario scenario, again;
static char text[TEXT_SIZE], printed[TEXT_SIZE];

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

static void print(const struct bhi_lab_scenario *from)
{
	int fd = memfd_create("scenario", MFD_CLOEXEC);
	struct bhi_out out;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	bhi_out_init(&out, fd);
	bhi_lab_print(&out, from);
	ck_assert_int_eq(bhi_out_flush(&out), 0);
	n = pread(fd, printed, sizeof(printed) - 1, 0);
	ck_assert_int_ge(n, 0);
	printed[n] = '\0';
	close(fd);
}

static void forget_lines(struct bhi_lab_scenario *of)
{
	for (unsigned i = 0; i < of->nr_tasks; i++) {
		for (unsigned j = 0; j < of->tasks[i].nr_steps; j++)
			of->tasks[i].steps[j].line = 0;
	}
}

/* Parse @from into scenario, and what is printed of it into again; both are equal. */
static void round_trip(const char *from)
{
	parse_good(from, &scenario);
	print(&scenario);
	parse_good(printed, &again);
	forget_lines(&scenario);
	forget_lines(&again);
	ck_assert_mem_eq(&scenario, &again, sizeof(again));
}

/* As it is printed. */
static const char rich[] =
	"title Everything # at once\n"
	"about\n"
	"\tThe first paragraph,\n"
	"\tof two lines; bug #42.\n"
	"\n"
	"\tThe second.\n"
	"zone 64M\n"
	"seed 18446744073709551615\n"
	"group web min 1M low 1.5M high 14M max 16M on-limit kill oom-group\n"
	"group web/guest max 1000000 on-limit fail\n"
	"group web/guest/inner low 1153433\n"
	"group web/guest/inner/leaf high 1.5G\n"
	"lock inode mutex\n"
	"lock tree rwlock\n"
	"event drained\n"
	"event until\n"
	"cache names 7M in web/guest/inner lock inode\n"
	"cache pages 0\n"
	"task reader in web/guest adj -1000 cooperative deadline 250ms\n"
	"\tfirst: lock inode\n"
	"\trdlock tree\n"
	"\ttrylock inode\n"
	"\tunlock tree\n"
	"\thold\n"
	"\trelease\n"
	"\talloc 32K noretry noreclaim as page or ignore\n"
	"\talloc max retry-mayfail or retry\n"
	"\talloc 1K nofail\n"
	"\talloc 1K atomic nowait\n"
	"\tmalloc 3M as heap or ignore\n"
	"\tmap 4M as map\n"
	"\tloop\n"
	"\t\tagain: touch map 64K\n"
	"\t\tloop 4294967295\n"
	"\t\t\ttouch map\n"
	"\t\tend\n"
	"\tend\n"
	"\tuse page\n"
	"\tfree heap\n"
	"\tdiscard map\n"
	"\ton end signal drained\n"
	"\ton end free page\n"
	"task writer in web/guest/inner/leaf adj 7\n"
	"\twait drained\n"
	"\tblock until until\n"
	"\tsignal until\n"
	"\tidle until drained\n"
	"\tdump\n"
	"\tdumped\n"
	"\tstop: kill idle\n"
	"\tkill reader\n"
	"task idle\n"
	"schedule\n"
	"\treader.first writer.stop reader.again\n"
	"expect 3.11,4.6 lockup\n"
	"expect 3.12 crash errors reader idle victims none\n"
	"expect 4.19 completes errors writer victims any\n"
	"expect small-may-fail completes\n"
	"expect bulkhead lockup victims writer idle\n";

START_TEST(every_statement_fills_its_table)
{
	const struct bhi_lab_scenario *s = &scenario;

	parse_good(rich, &scenario);
	ck_assert_str_eq(s->name, "name");
	ck_assert_str_eq(s->title, "Everything # at once");
	ck_assert_str_eq(
		s->about, "The first paragraph,\nof two lines; bug #42.\n\nThe second.");
	ck_assert_uint_eq(s->zone, 64 * M);
	ck_assert(s->has_seed);
	ck_assert_uint_eq(s->seed, UINT64_MAX);
	ck_assert_uint_eq(s->nr_groups, 4);
	ck_assert_uint_eq(s->nr_locks, 2);
	ck_assert_str_eq(s->locks[0].name, "inode");
	ck_assert(!s->locks[0].is_rwlock);
	ck_assert(s->locks[1].is_rwlock);
	ck_assert_uint_eq(s->nr_events, 2);
	ck_assert_str_eq(s->events[1], "until");
	ck_assert_uint_eq(s->nr_caches, 2);
	ck_assert_str_eq(s->caches[0].name, "names");
	ck_assert_uint_eq(s->caches[0].size, 7 * M);
	ck_assert_int_eq(s->caches[0].group, 2);
	ck_assert_int_eq(s->caches[0].lock, 0);
	ck_assert_int_eq(s->caches[1].group, BHI_LAB_NONE);
	ck_assert_int_eq(s->caches[1].lock, BHI_LAB_NONE);
	ck_assert_uint_eq(s->nr_tasks, 3);
	ck_assert_str_eq(s->tasks[0].name, "reader");
	ck_assert_int_eq(s->tasks[0].group, 1);
	ck_assert_int_eq(s->tasks[0].adj, -1000);
	ck_assert(s->tasks[0].cooperative);
	ck_assert_uint_eq(s->tasks[0].deadline_ms, 250);
	ck_assert_uint_eq(s->tasks[0].nr_steps, 23);
	ck_assert_uint_eq(s->tasks[0].nr_memories, 3);
	ck_assert_str_eq(s->tasks[0].memories[2], "map");
	ck_assert_int_eq(s->tasks[1].group, 3);
	ck_assert_int_eq(s->tasks[1].adj, 7);
	ck_assert(!s->tasks[1].cooperative);
	ck_assert_int_eq(s->tasks[2].group, BHI_LAB_NONE);
	ck_assert_uint_eq(s->tasks[2].nr_steps, 0);
	ck_assert_uint_eq(s->nr_points, 3);
	ck_assert_int_eq(s->points[1].task, 1);
	ck_assert_int_eq(s->points[1].step, 6);
	ck_assert_int_eq(s->points[2].step, 13);
}
END_TEST

START_TEST(limits_of_a_group_that_are_not_given_do_not_limit)
{
	const struct bhi_lab_group *groups = scenario.groups;

	parse_good(LEAST "group a\ngroup b on-limit fail max 2M\n"
			 "group c low 1K oom-group min 3 high 2G on-limit kill\n",
		&scenario);
	ck_assert_uint_eq(groups[0].min + groups[0].low, 0);
	ck_assert_uint_eq(groups[0].high, BH_UNLIMITED);
	ck_assert_uint_eq(groups[0].max, BH_UNLIMITED);
	ck_assert(!groups[0].has_on_limit && !groups[0].oom_group);
	ck_assert_uint_eq(groups[1].max, 2 * M);
	ck_assert(groups[1].has_on_limit);
	ck_assert_uint_eq(groups[1].on_limit, BH_FAIL);
	ck_assert_uint_eq(groups[2].min, 3);
	ck_assert_uint_eq(groups[2].low, K);
	ck_assert_uint_eq(groups[2].high, 2ULL << 30);
	ck_assert_uint_eq(groups[2].on_limit, BH_KILL);
	ck_assert(groups[2].oom_group);
}
END_TEST

START_TEST(groups_are_known_by_name_and_by_path)
{
	static const char *const paths[] = {"c", "b/c", "a/b/c"};

	for (size_t i = 0; i < bhi_array_size(paths); i++) {
		snprintf(text, sizeof(text),
			ZONE "group a\ngroup a/b\ngroup b/c\ntask t in %s\n", paths[i]);
		parse_good(text, &scenario);
		ck_assert_int_eq(scenario.tasks[0].group, 2);
		ck_assert_int_eq(scenario.groups[2].parent, 1);
		ck_assert_int_eq(scenario.groups[1].parent, 0);
		ck_assert_int_eq(scenario.groups[0].parent, BHI_LAB_NONE);
	}
}
END_TEST

struct step_row {
	const char *text;
	enum bhi_lab_op op;
	int object, memory;
	uint64_t size;
	unsigned flags, count;
	enum bhi_lab_on_error on_error;
	const char *printed; /* NULL: the same */
};

/* An index that names nothing. */
#define NO BHI_LAB_NONE

static const struct step_row step_rows[] = {
	{"lock mu", BHI_LAB_LOCK, 0, NO, 0, 0, 0, 0, NULL},
	{"lock rw", BHI_LAB_LOCK, 1, NO, 0, 0, 0, 0, NULL},
	{"rdlock rw", BHI_LAB_RDLOCK, 1, NO, 0, 0, 0, 0, NULL},
	{"trylock mu", BHI_LAB_TRYLOCK, 0, NO, 0, 0, 0, 0, NULL},
	{"unlock rw", BHI_LAB_UNLOCK, 1, NO, 0, 0, 0, 0, NULL},
	{"hold", BHI_LAB_HOLD, NO, NO, 0, 0, 0, 0, NULL},
	{"release", BHI_LAB_RELEASE, NO, NO, 0, 0, 0, 0, NULL},
	{"alloc 32K", BHI_LAB_ALLOC, NO, NO, 32 * K, 0, 0, 0, NULL},
	{"alloc 0", BHI_LAB_ALLOC, NO, NO, 0, 0, 0, 0, NULL},
	{"alloc max", BHI_LAB_ALLOC, NO, NO, UINT64_MAX, 0, 0, 0, NULL},
	{"alloc 9223372036854775807", BHI_LAB_ALLOC, NO, NO, INT64_MAX, 0, 0, 0, NULL},
	{"alloc 1 noretry", BHI_LAB_ALLOC, NO, NO, 1, BH_NORETRY, 0, 0, NULL},
	{"alloc 1 retry-mayfail", BHI_LAB_ALLOC, NO, NO, 1, BH_RETRY_MAYFAIL, 0, 0, NULL},
	{"alloc 1 nofail", BHI_LAB_ALLOC, NO, NO, 1, BH_NOFAIL, 0, 0, NULL},
	{"alloc 1 atomic", BHI_LAB_ALLOC, NO, NO, 1, BH_ATOMIC, 0, 0, NULL},
	{"alloc 1 nowait", BHI_LAB_ALLOC, NO, NO, 1, BH_NOWAIT, 0, 0, NULL},
	{"alloc 1 noreclaim", BHI_LAB_ALLOC, NO, NO, 1, BH_NORECLAIM, 0, 0, NULL},
	{"alloc 1 as page", BHI_LAB_ALLOC, NO, 1, 1, 0, 0, 0, NULL},
	{"alloc 1 as new", BHI_LAB_ALLOC, NO, 3, 1, 0, 0, 0, NULL},
	{"alloc 1 or return", BHI_LAB_ALLOC, NO, NO, 1, 0, 0, 0, "alloc 1"},
	{"alloc 1 or ignore", BHI_LAB_ALLOC, NO, NO, 1, 0, 0, BHI_LAB_IGNORE, NULL},
	{"alloc 1 or retry", BHI_LAB_ALLOC, NO, NO, 1, 0, 0, BHI_LAB_RETRY, NULL},
	{"alloc 1024 or retry as page noreclaim atomic", BHI_LAB_ALLOC, NO, 1, K,
		BH_NORECLAIM | BH_ATOMIC, 0, BHI_LAB_RETRY,
		"alloc 1K atomic noreclaim as page or retry"},
	{"malloc 1.5M", BHI_LAB_MALLOC, NO, NO, 3 * M / 2, 0, 0, 0, NULL},
	{"malloc 1 as heap or retry", BHI_LAB_MALLOC, NO, 2, 1, 0, 0, BHI_LAB_RETRY,
		NULL},
	{"malloc 1 as as", BHI_LAB_MALLOC, NO, 3, 1, 0, 0, 0, NULL},
	{"map 2M as map", BHI_LAB_MAP, NO, 0, 2 * M, 0, 0, 0, NULL},
	{"map 2M as other", BHI_LAB_MAP, NO, 3, 2 * M, 0, 0, 0, NULL},
	{"touch map", BHI_LAB_TOUCH, NO, 0, 0, 0, 0, 0, NULL},
	{"touch map 64K", BHI_LAB_TOUCH, NO, 0, 64 * K, 0, 0, 0, NULL},
	{"use heap", BHI_LAB_USE, NO, 2, 0, 0, 0, 0, NULL},
	{"free map", BHI_LAB_FREE, NO, 0, 0, 0, 0, 0, NULL},
	{"free page", BHI_LAB_FREE, NO, 1, 0, 0, 0, 0, NULL},
	{"discard map", BHI_LAB_DISCARD, NO, 0, 0, 0, 0, 0, NULL},
	{"wait ev", BHI_LAB_WAIT, 0, NO, 0, 0, 0, 0, NULL},
	{"block until ev", BHI_LAB_BLOCK, 0, NO, 0, 0, 0, 0, NULL},
	{"signal ev", BHI_LAB_SIGNAL, 0, NO, 0, 0, 0, 0, NULL},
	{"idle until ev", BHI_LAB_IDLE, 0, NO, 0, 0, 0, 0, NULL},
	{"dump", BHI_LAB_DUMP, NO, NO, 0, 0, 0, 0, NULL},
	{"dumped", BHI_LAB_DUMPED, NO, NO, 0, 0, 0, 0, NULL},
	{"kill other", BHI_LAB_KILL, 0, NO, 0, 0, 0, 0, NULL},
	{"kill t", BHI_LAB_KILL, 1, NO, 0, 0, 0, 0, NULL},
	{"kill later", BHI_LAB_KILL, 2, NO, 0, 0, 0, 0, NULL},
	{"on end signal ev", BHI_LAB_ON_SIGNAL, 0, NO, 0, 0, 0, 0, NULL},
	{"on end free page", BHI_LAB_ON_FREE, NO, 1, 0, 0, 0, 0, NULL},
	{"loop\nend", BHI_LAB_LOOP, NO, NO, 0, 0, 0, 0, "loop"},
	{"loop 3\nend", BHI_LAB_LOOP, NO, NO, 0, 0, 3, 0, "loop 3"},
};

static void check_step(const struct step_row *row)
{
	const struct bhi_lab_step *step = &scenario.tasks[1].steps[3];
	char buf[128];

	snprintf(text, sizeof(text), STEPS "\tlabel: %s\ntask later\n", row->text);
	round_trip(text);
	ck_assert_msg(step->op == row->op && step->object == row->object &&
			      step->memory == row->memory && step->size == row->size &&
			      step->flags == row->flags && step->count == row->count &&
			      step->on_error == row->on_error,
		"%s: op %d object %d memory %d size %lu flags %#x count %u or %d",
		row->text, step->op, step->object, step->memory, step->size, step->flags,
		step->count, step->on_error);
	ck_assert_str_eq(step->label, "label");
	ck_assert_str_eq(bhi_lab_step_text(&scenario, 1, 3, buf, sizeof(buf)),
		row->printed ? row->printed : row->text);
}

START_TEST(every_step_is_read_and_written_again)
{
	uint32_t seen = 1u << BHI_LAB_END;

	for (size_t i = 0; i < bhi_array_size(step_rows); i++) {
		check_step(&step_rows[i]);
		seen |= 1u << step_rows[i].op;
	}
	ck_assert_uint_eq(seen, (1u << (BHI_LAB_ON_FREE + 1)) - 1);
}
END_TEST

START_TEST(steps_know_their_lines)
{
	parse_good("\n# first\n" ZONE "task t\n\n\thold\n\t# between\n\trelease\n",
		&scenario);
	ck_assert_int_eq(scenario.tasks[0].steps[0].line, 6);
	ck_assert_int_eq(scenario.tasks[0].steps[1].line, 8);
}
END_TEST

START_TEST(text_of_a_step_is_cut_to_its_buffer)
{
	static const char whole[] = "alloc 1M nofail as page or retry";

	parse_good(ZONE "task t\nalloc 1M nofail as page or retry\n", &scenario);
	for (size_t size = 1; size <= sizeof(whole) + 1; size++) {
		char *buf = malloc(size), expected[sizeof(whole)];

		ck_assert_ptr_nonnull(buf);
		snprintf(expected, bhi_min(size, sizeof(expected)), "%s", whole);
		ck_assert_ptr_eq(bhi_lab_step_text(&scenario, 0, 0, buf, size), buf);
		ck_assert_str_eq(buf, expected);
		free(buf);
	}
}
END_TEST

START_TEST(words_of_the_language_may_be_names)
{
	round_trip(
		ZONE "group in\ngroup in/max max 1M\nlock lock mutex\nlock mutex rwlock\n"
		     "event until\ncache lock 1M in in lock lock\ntask all in max\n"
		     "\tlock lock\n\tlock mutex\n\trdlock mutex\n\tblock until until\n"
		     "\talloc 1K as as\n\tfree as\n\tend: on end free as\n"
		     "\talloc 1K as or or ignore\n\tlabel: lock lock\n"
		     "task in in in\nlock rwlock mutex\ntask lockup\n"
		     "schedule\nall.end all.label\nexpect all lockup victims lockup\n");
	ck_assert_uint_eq(scenario.nr_locks, 3);
	ck_assert_uint_eq(scenario.tasks[0].nr_steps, 9);
	ck_assert_int_eq(scenario.tasks[1].group, 0);
}
END_TEST

START_TEST(lock_below_a_task_is_a_statement_when_its_kind_follows)
{
	parse_good(ZONE "lock a mutex\ntask t\n\tlock a\n\tlock b rwlock\n", &scenario);
	ck_assert_uint_eq(scenario.nr_locks, 2);
	ck_assert_uint_eq(scenario.tasks[0].nr_steps, 1);
}
END_TEST

START_TEST(white_space_and_comments_mean_nothing)
{
	parse_good("zone 1M\ntask t\nhold\nrelease\nexpect all completes errors t\n",
		&scenario);
	parse_good("  zone\t1M#c\r\n\r\n\t\ttask t # c\n#\n \thold\r\n#hold\nrelease\n"
		   "\texpect  all   completes errors t#",
		&again);
	forget_lines(&scenario);
	forget_lines(&again);
	ck_assert_mem_eq(&scenario, &again, sizeof(again));
}
END_TEST

START_TEST(prose_ends_where_a_line_starts_without_white_space)
{
	static const struct {
		const char *prose, *about;
	} rows[] = {
		{" one", "one"},
		{"\n\n one\n\n\n", "one"},
		{" one\n\t two \r\n", "one\ntwo"},
		{" one\n\n \n two", "one\n\n\ntwo"},
		{" one\r\n\r\n two\r\n", "one\n\ntwo"},
		{" one\n# no comment\n", "one"},
		{" # prose\n zone 3M", "# prose\nzone 3M"},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		snprintf(
			text, sizeof(text), "about # comment\n%s\n" LEAST, rows[i].prose);
		round_trip(text);
		ck_assert_str_eq(scenario.about, rows[i].about);
	}
	/* At the end of the file, without a newline. */
	round_trip(LEAST "about\n\tlast");
	ck_assert_str_eq(scenario.about, "last");
}
END_TEST

START_TEST(expectations_are_a_table_by_era)
{
	static const struct {
		const char *text;
		uint32_t eras;
		enum bhi_lab_verdict verdict;
		uint32_t errors;
		unsigned nr_victims;
		uint8_t victims[BHI_LAB_TASKS];
		bool any_victims;
	} rows[] = {
		{"all completes", 0x3f, BHI_LAB_COMPLETES, 0, 0, {0}, false},
		{"all lockup", 0x3f, BHI_LAB_LOCKUP, 0, 0, {0}, true},
		{"all crash", 0x3f, BHI_LAB_CRASH, 0, 0, {0}, true},
		{"3.11 completes", 0x01, BHI_LAB_COMPLETES, 0, 0, {0}, false},
		{"bulkhead,3.12 crash", 0x22, BHI_LAB_CRASH, 0, 0, {0}, true},
		{"4.6,4.19 lockup", 0x0c, BHI_LAB_LOCKUP, 0, 0, {0}, true},
		{"small-may-fail lockup", 0x10, BHI_LAB_LOCKUP, 0, 0, {0}, true},
		{"4.6 lockup victims none", 4, BHI_LAB_LOCKUP, 0, 0, {0}, false},
		{"4.6 completes victims none", 4, BHI_LAB_COMPLETES, 0, 0, {0}, false},
		{"4.6 completes victims any", 4, BHI_LAB_COMPLETES, 0, 0, {0}, true},
		{"4.6 crash victims any", 4, BHI_LAB_CRASH, 0, 0, {0}, true},
		{"4.6 crash victims c a", 4, BHI_LAB_CRASH, 0, 2, {2, 0}, false},
		{"4.6 completes errors b c", 4, BHI_LAB_COMPLETES, 6, 0, {0}, false},
		{"4.6 lockup errors c a victims b", 4, BHI_LAB_LOCKUP, 5, 1, {1}, false},
		{"4.6 lockup victims b errors b", 4, BHI_LAB_LOCKUP, 2, 1, {1}, false},
		{"4.6 lockup victims none errors b", 4, BHI_LAB_LOCKUP, 2, 0, {0}, false},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		snprintf(text, sizeof(text), ZONE "task a\ntask b\ntask c\nexpect %s\n",
			rows[i].text);
		round_trip(text);
		for (int era = 0; era < BHI_LAB_ERAS; era++) {
			const struct bhi_lab_expect *expect = &scenario.expect[era];

			ck_assert_int_eq(expect->is_set, rows[i].eras >> era & 1);
			if (!expect->is_set)
				continue;
			ck_assert_int_eq(expect->verdict, rows[i].verdict);
			ck_assert_uint_eq(expect->errors, rows[i].errors);
			ck_assert_uint_eq(expect->nr_victims, rows[i].nr_victims);
			ck_assert_mem_eq(expect->victims, rows[i].victims,
				sizeof(expect->victims));
			ck_assert_int_eq(expect->any_victims, rows[i].any_victims);
		}
	}
}
END_TEST

START_TEST(single_eras_override_all)
{
	parse_good(
		LEAST "expect all completes errors t\nexpect 3.11 lockup\n", &scenario);
	ck_assert_int_eq(scenario.expect[BHI_LAB_3_11].verdict, BHI_LAB_LOCKUP);
	ck_assert_uint_eq(scenario.expect[BHI_LAB_3_11].errors, 0);
	ck_assert_int_eq(scenario.expect[BHI_LAB_4_6].verdict, BHI_LAB_COMPLETES);
	ck_assert_uint_eq(scenario.expect[BHI_LAB_4_6].errors, 1);
}
END_TEST

START_TEST(eras_of_which_nothing_is_expected_are_not_printed)
{
	parse_good(LEAST "expect 3.11 lockup\n", &scenario);
	scenario.expect[BHI_LAB_3_12].is_set = true;
	scenario.expect[BHI_LAB_3_12].verdict = BHI_LAB_BROKEN;
	print(&scenario);
	ck_assert_str_eq(printed, LEAST "expect 3.11 lockup\n");
}
END_TEST

START_TEST(what_was_in_the_scenario_before_is_gone)
{
	memset(&scenario, 0, sizeof(scenario));
	memset(&again, 0xff, sizeof(again));
	parse_good(rich, &scenario);
	parse_good(rich, &again);
	ck_assert_mem_eq(&scenario, &again, sizeof(again));
}
END_TEST

START_TEST(a_long_name_of_a_scenario_is_cut)
{
	struct bhi_lab_error error;

	ck_assert_int_eq(bhi_lab_parse("0123456789-0123456789-0123456789", LEAST,
				 strlen(LEAST), &scenario, &error),
		0);
	ck_assert_str_eq(scenario.name, "0123456789-0123456789-0");
}
END_TEST

START_TEST(a_rich_scenario_is_printed_as_it_was_written)
{
	round_trip(rich);
	ck_assert_str_eq(printed, rich);
}
END_TEST

START_TEST(what_can_be_left_out_is_not_printed)
{
	static const char *const rows[][2] = {
		{"group a\ngroup a/b\ngroup b/c min 0 high max max max\ntask t in b/c\n",
			"group a\ngroup a/b\ngroup a/b/c\ntask t in a/b/c\n"},
		{"group a max 1048576 min 1153433\ntask t in a adj -0\n",
			"group a min 1153433 max 1M\ntask t in a\n"},
		{"cache c 1024K\ntask t\n", "cache c 1M\ntask t\n"},
		{"task t # c\nl:  alloc 0.5K or return\n\nloop\nloop 2\nend\nend\n",
			"task t\n\tl: alloc 512\n\tloop\n\t\tloop 2\n\t\tend\n\tend\n"},
		{"task t\nhold\nschedule\nexpect all crash victims any\n",
			"task t\n\thold\n"
			"expect 3.11,3.12,4.6,4.19,small-may-fail,bulkhead crash\n"},
		{"task t\nexpect 3.11 completes victims none\nexpect 3.12 completes\n",
			"task t\nexpect 3.11,3.12 completes\n"},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		snprintf(text, sizeof(text), ZONE "%s", rows[i][0]);
		round_trip(text);
		snprintf(text, sizeof(text), ZONE "%s", rows[i][1]);
		ck_assert_str_eq(printed, text);
	}
}
END_TEST

START_TEST(long_schedules_are_broken_into_lines)
{
	snprintf(text, sizeof(text), ZONE "task a-long-name\nl: hold\nschedule\n");
	for (int i = 0; i < BHI_LAB_POINTS; i++)
		strcat(text, "a-long-name.l ");
	round_trip(text);
	for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_uint_le(strlen(line), 80);
}
END_TEST

START_TEST(no_beginning_of_a_text_is_read_past_its_end)
{
	int nr_good = 0;

	for (size_t len = 0; len <= strlen(rich); len++) {
		struct bhi_lab_error error = {0, 0, ""};

		if (!parse_bytes(rich, len, &scenario, &error)) {
			nr_good++;
			continue;
		}
		ck_assert_int_ge(error.line, 1);
		ck_assert_int_le(error.line, support_count_lines(rich));
		ck_assert_int_ge(error.column, 1);
		ck_assert_uint_gt(strlen(error.text), 0);
	}
	ck_assert_int_gt(nr_good, 100);
}
END_TEST

static const char *source_path(const char *path)
{
	static char full[4096];
	const char *root = getenv("BH_SOURCE_ROOT");

	snprintf(full, sizeof(full), "%s/%s", root ? root : ".", path);
	return full;
}

START_TEST(scenarios_of_the_lab_survive_a_round_trip)
{
	glob_t found;

	ck_assert_int_eq(glob(source_path("lab/scenarios/*.lab"), 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *file = support_read_file(found.gl_pathv[i]);

		round_trip(file);
		free(file);
	}
	globfree(&found);
}
END_TEST

START_TEST(example_of_the_manual_is_a_scenario)
{
	char *page = support_read_file(source_path("man/bulkhead-lab.5.scd"));
	char *example = strstr(page, "# EXAMPLE"), *end;

	ck_assert_ptr_nonnull(example);
	example = strstr(example, "```\n");
	ck_assert_ptr_nonnull(example);
	example += strlen("```\n");
	end = strstr(example, "```\n");
	ck_assert_ptr_nonnull(end);
	*end = '\0';
	round_trip(example);
	for (int era = 0; era < BHI_LAB_ERAS; era++)
		ck_assert(scenario.expect[era].is_set);
	free(page);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, every_statement_fills_its_table);
	tcase_add_test(tcase, limits_of_a_group_that_are_not_given_do_not_limit);
	tcase_add_test(tcase, groups_are_known_by_name_and_by_path);
	tcase_add_test(tcase, every_step_is_read_and_written_again);
	tcase_add_test(tcase, steps_know_their_lines);
	tcase_add_test(tcase, text_of_a_step_is_cut_to_its_buffer);
	tcase_add_test(tcase, words_of_the_language_may_be_names);
	tcase_add_test(tcase, lock_below_a_task_is_a_statement_when_its_kind_follows);
	tcase_add_test(tcase, white_space_and_comments_mean_nothing);
	tcase_add_test(tcase, prose_ends_where_a_line_starts_without_white_space);
	tcase_add_test(tcase, expectations_are_a_table_by_era);
	tcase_add_test(tcase, single_eras_override_all);
	tcase_add_test(tcase, eras_of_which_nothing_is_expected_are_not_printed);
	tcase_add_test(tcase, what_was_in_the_scenario_before_is_gone);
	tcase_add_test(tcase, a_long_name_of_a_scenario_is_cut);
	tcase_add_test(tcase, a_rich_scenario_is_printed_as_it_was_written);
	tcase_add_test(tcase, what_can_be_left_out_is_not_printed);
	tcase_add_test(tcase, long_schedules_are_broken_into_lines);
	tcase_add_test(tcase, no_beginning_of_a_text_is_read_past_its_end);
	tcase_add_test(tcase, scenarios_of_the_lab_survive_a_round_trip);
	tcase_add_test(tcase, example_of_the_manual_is_a_scenario);
}

int main(void)
{
	return support_run("lab_parse", add_tests);
}
