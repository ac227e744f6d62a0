/* SPDX-License-Identifier: MIT */
/* What bh_report_write() says of tasks, OOMs and kills. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/report_tasks.h"
#include "debug/inject.h"
#include "base/pool.h"
#include "oom/events.h"
#include "oom/oom.h"
#include "oom/reaper.h"

#include "bulkhead.h"
#include "support.h"
#include "support_memory.h"

/* The report as it is written to a file; free(3) it. */
static char *report(enum bh_format format)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/report", support_dir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bh_report_write(fd, format), 0);
	close(fd);
	return support_read_file(path);
}

static void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(support_contains(text, part), "'%s' is not in:\n%s", part, text);
}

/* What follows the key, from the place of @text where @from stands. */
static const char *find_value(const char *text, const char *from, const char *key)
{
	char quoted[64];
	const char *p = strstr(text, from);

	ck_assert_msg(p != NULL, "no %s", from);
	snprintf(quoted, sizeof(quoted), "\"%s\": ", key);
	p = strstr(p, quoted);
	ck_assert_msg(p != NULL, "no %s after %s", quoted, from);
	return p + strlen(quoted);
}

static void assert_value(
	const char *text, const char *from, const char *key, const char *value)
{
	const char *p = find_value(text, from, key);
	size_t len = strlen(value);

	ck_assert_msg(!strncmp(p, value, len) && strchr(",\n", p[len]),
		"%s after %s is %.20s", key, from, p);
}

static size_t count(const char *text, const char *part)
{
	size_t nr = 0;

	for (; (text = strstr(text, part)); text++)
		nr++;
	return nr;
}

static struct bh_task *task_new(struct bh_group *group, const char *name, int adj)
{
	const struct bh_task_attr attr = {.name = name, .oom_score_adj = adj};
	struct bh_task *task = bh_task_new(group, &attr);

	ck_assert_ptr_nonnull(task);
	return task;
}

static int take(void *arg)
{
	size_t size = *(size_t *)arg;
	void *p = bh_map(size, 0);

	ck_assert_ptr_nonnull(p);
	return bh_touch(p, size);
}

/* Take @size bytes of private memory: 0, or -ECANCELED when that was too much. */
static int task_take(struct bh_task *task, size_t size)
{
	return bh_task_enter(task, take, &size, NULL);
}

/*
 * "hog" asks for more than there is in /web, where "small" has a mebibyte and "ledger"
 * must not be killed.
 */
static struct bh_group *web;
static struct bh_task *hog, *small, *ledger;

static void make_oom(void)
{
	support_start(32 * MIB);
	web = support_group(NULL, "web");
	support_set(web, BH_MAX, 8 * MIB);
	small = task_new(web, "small", 0);
	ledger = task_new(web, "ledger", -1000);
	hog = task_new(web, "hog", 100);
	ck_assert_int_eq(task_take(small, MIB), 0);
	ck_assert_int_eq(task_take(ledger, 2 * MIB), 0);
	ck_assert_int_eq(task_take(hog, 6 * MIB), -ECANCELED);
}

static void end_oom(void)
{
	bh_task_put(small);
	bh_task_put(ledger);
	bh_task_put(hog);
	bh_group_put(web);
	support_end();
}

START_TEST(json_has_every_documented_field)
{
	static const struct {
		const char *from, *keys[16];
	} fields[] = {
		{"{", {"verdict", "oom_kills", "unable_to_reap", "last_oom", "ago_ns",
			      "over", "victim", "zone", "memory", "ooms", "kills",
			      "tasks", "task_counts", "groups"}},
		{"\"ooms\"", {"number", "ago_ns", "asker", "asker_group", "asker_adj",
				     "origin", "flags", "private", "asked", "over",
				     "constraint", "usage", "limit", "failcnt"}},
		{"\"stat\"", {"private", "shared", "external", "left_behind", "victim",
				     "why", "group_kill", "killed"}},
		{"\"kill\"", {"group", "oom_score_adj", "points", "state", "bytes",
				     "all_of", "all_bytes"}},
		{"\"reaping\"", {"reaped", "bytes", "ns", "given_up", "tries", "why_not",
					"candidates", "table"}},
		{"\"table\"", {"name", "group", "bytes", "oom_score_adj", "points",
				      "state", "chosen", "asker", "more"}},
		{"\"kills\"", {"state", "first_byte", "count", "p50_ns", "p99_ns",
				      "max_ns", "all_bytes", "count", "p50_ns", "p99_ns",
				      "max_ns", "unwound", "count", "p50_ns", "p99_ns"}},
		{"\"tasks\"",
			{"name", "group", "bytes", "peak", "enters", "oom_score_adj",
				"cooperative", "inside", "killed", "reaped"}},
		{"\"task_counts\"", {"all", "inside", "killed", "reaped", "bytes"}},
		{"\"private\"", {"backend", "window", "taken", "warm"}},
		{"\"reaper\"", {"reaped", "given_up"}},
	};
	char *json;

	make_oom();
	json = report(BH_JSON);
	ck_assert(support_json_valid(json));
	for (size_t i = 0; i < bhi_array_size(fields); i++) {
		const char *p = strstr(json, fields[i].from);

		ck_assert_msg(p != NULL, "no %s", fields[i].from);
		/* Each stands after the one before. */
		for (size_t j = 0; fields[i].keys[j]; j++)
			p = find_value(p, j ? "" : fields[i].from, fields[i].keys[j]);
	}
	free(json);
	end_oom();
}
END_TEST

START_TEST(json_of_an_oom_has_the_shortage_the_table_and_the_victim)
{
	static const char first[] = "\"ooms\"", rows[] = "\"table\"";
	char *json;

	make_oom();
	json = report(BH_JSON);
	assert_value(json, first, "number", "1");
	assert_value(json, first, "asker", "\"hog\"");
	assert_value(json, first, "over", "\"/web\"");
	assert_value(json, first, "limit", "8388608");
	assert_value(json, first, "asker_group", "\"/web\"");
	assert_value(json, first, "asker_adj", "100");
	assert_value(json, first, "origin", "\"call\"");
	assert_value(json, first, "private", "true");
	assert_value(json, first, "asked", "1048576");
	assert_contains(json, "\"flags\": [],");
	assert_value(json, first, "constraint", "\"group\"");
	assert_value(json, "\"stat\"", "private", "8388608");
	assert_value(json, "\"stat\"", "shared", "0");
	assert_value(json, "\"stat\"", "external", "0");
	assert_value(json, "\"stat\"", "left_behind", "0");
	assert_value(json, first, "victim", "\"hog\"");
	assert_contains(json, "\"why\": \"most points: 1480 of 2048; pages 1280, adj 100 "
			      "-> 200\"");
	assert_value(json, "\"kill\"", "group", "\"/web\"");
	assert_value(json, "\"kill\"", "points", "1480");
	assert_value(json, "\"kill\"", "state", "\"in_call\"");
	assert_value(json, "\"kill\"", "bytes", "5242880");
	assert_value(json, "\"kill\"", "all_of", "null");
	assert_value(json, "\"kill\"", "all_bytes", "5242880");
	assert_value(json, "\"reaping\"", "reaped", "1");
	assert_value(json, "\"reaping\"", "bytes", "5242880");
	assert_value(json, "\"reaping\"", "given_up", "0");
	assert_value(json, "\"reaping\"", "why_not", "null");
	assert_value(json, first, "group_kill", "false");
	assert_value(json, first, "killed", "1");
	assert_value(json, first, "candidates", "2");
	assert_value(json, rows, "name", "\"hog\"");
	assert_value(json, rows, "oom_score_adj", "100");
	assert_value(json, rows, "chosen", "true");
	/* 2048 pages in all: 256 pages, and 100 times 2. */
	assert_value(strstr(json, rows), "\"small\"", "points", "256");
	assert_value(strstr(json, rows), "\"small\"", "chosen", "false");
	assert_value(strstr(json, rows), "\"ledger\"", "oom_score_adj", "-1000");
	assert_value(strstr(json, rows), "\"ledger\"", "points", "null");
	assert_value(json, "\"last_oom\"", "over", "\"/web\"");
	assert_value(json, "\"last_oom\"", "victim", "\"hog\"");
	assert_value(json, "{", "oom_kills", "1");
	assert_value(json, "{", "unable_to_reap", "0");
	free(json);
	end_oom();
}
END_TEST

START_TEST(text_begins_with_the_last_kill_and_tells_why)
{
	char *text, *end;

	make_oom();
	text = report(BH_TEXT);
	end = strchr(text, '\n');
	*end = '\0';
	assert_contains(text, "; out of memory: /web; tasks killed: 1, "
			      "the last one 'hog' for /web, ");
	ck_assert_str_eq(end - 4, " ago");
	*end = '\n';
	assert_contains(text, "\nLast OOMs, 1 in all\n  #1, ");
	assert_contains(text,
		" ago: /web was over its limit\n      task 'hog' of /web, adj 100, asked "
		"for 1M of private memory in a call\n      usage 8M: private 8M, "
		"shared 0, of the host 0, left behind 0; limit 8M, failcnt ");
	assert_contains(text,
		"\n      points   private    adj  state         task, group\n"
		"        1480        5M    100  in_call       hog, /web  <- asked  <- "
		"chosen\n"
		"         256        1M      0  idle          small, /web\n"
		"       never        2M  -1000  idle          ledger, /web\n"
		"      chosen: 'hog' of 2, most points: 1480 of 2048; pages 1280, adj "
		"100 -> 200\n"
		"      killed: in_call, with 5M of private memory\n"
		"      reaped: 1 of 1, 5M in ");
	free(text);
	end_oom();
}
END_TEST

START_TEST(tasks_are_told_with_what_they_have_and_what_became_of_them)
{
	static const char hog_key[] = "\"name\": \"hog\"", *tasks;
	char *json, *text;

	make_oom();
	ck_assert_int_eq(task_take(small, MIB), 0);
	json = report(BH_JSON);
	tasks = strstr(json, "\"tasks\"");
	ck_assert_ptr_nonnull(tasks);
	assert_value(tasks, hog_key, "group", "\"/web\"");
	assert_value(tasks, hog_key, "bytes", "0");
	assert_value(tasks, hog_key, "inside", "false");
	assert_value(tasks, hog_key, "killed", "\"oom\"");
	assert_value(tasks, hog_key, "reaped", "true");
	assert_value(tasks, "\"name\": \"small\"", "bytes", "2097152");
	assert_value(tasks, "\"name\": \"small\"", "peak", "2097152");
	assert_value(tasks, "\"name\": \"small\"", "enters", "2");
	assert_value(tasks, "\"name\": \"small\"", "cooperative", "false");
	assert_value(tasks, "\"name\": \"small\"", "killed", "null");
	assert_value(tasks, "\"name\": \"small\"", "reaped", "false");
	assert_value(tasks, "\"name\": \"ledger\"", "oom_score_adj", "-1000");
	assert_value(json, "\"task_counts\"", "all", "3");
	assert_value(json, "\"task_counts\"", "inside", "0");
	assert_value(json, "\"task_counts\"", "killed", "1");
	assert_value(json, "\"task_counts\"", "reaped", "1");
	assert_value(json, "\"task_counts\"", "bytes", "4194304");
	text = report(BH_TEXT);
	assert_contains(
		text, "\n  3 in all, 0 inside, 1 killed, 1 of them reaped; private 4M\n");
	assert_contains(text, " 2M      2M      0  /web, idle\n");
	assert_contains(text, "    100  /web, idle, killed (oom), reaped\n");
	free(json);
	free(text);
	end_oom();
}
END_TEST

static int report_inside(void *arg)
{
	char **ret = arg;

	*ret = report(BH_TEXT);
	return 0;
}

START_TEST(task_may_write_the_report_from_inside)
{
	struct bh_task *task;
	char *text = NULL;

	support_start(32 * MIB);
	task = task_new(NULL, "writer", 5);
	ck_assert_int_eq(bh_task_enter(task, report_inside, &text, NULL), 0);
	assert_contains(text, "\n  1 in all, 1 inside, 0 killed, 0 of them reaped; ");
	assert_contains(text, "      5  /, inside\n");
	free(text);
	bh_task_put(task);
	support_end();
}
END_TEST

START_TEST(text_lists_the_20_largest_tasks_and_counts_the_others)
{
	enum {
		NR = 30
	};
	struct bh_task *tasks[NR];
	char *text, *p;

	support_start(64 * MIB);
	/* Sizes 1 to 30 pages, mixed. */
	for (int i = 0; i < NR; i++) {
		size_t nr_pages = (size_t)i * 7 % NR + 1;
		char name[16];

		snprintf(name, sizeof(name), "task-%zu", nr_pages);
		tasks[i] = task_new(NULL, name, 0);
		ck_assert_int_eq(task_take(tasks[i], nr_pages * PAGE), 0);
	}
	text = report(BH_TEXT);
	p = strstr(text, "\nTasks ");
	ck_assert_ptr_nonnull(p);
	for (int i = NR; i > NR - 20; i--) {
		char name[16];

		snprintf(name, sizeof(name), "\n  task-%d ", i);
		p = strstr(p, name);
		ck_assert_msg(p != NULL, "%s is not where it should be:\n%s", name, text);
	}
	/* 1 to 10 pages. */
	assert_contains(p, "\n  and 10 more with 220K\n");
	ck_assert_uint_eq(count(text, "task-"), 20);
	free(text);
	for (int i = 0; i < NR; i++)
		bh_task_put(tasks[i]);
	support_end();
}
END_TEST

START_TEST(every_task_is_told_once)
{
	enum {
		NR = 2000
	};
	static struct bh_task *tasks[NR];
	char *json, *text;

	support_start(32 * MIB);
	for (int i = 0; i < NR; i++) {
		char name[16];

		snprintf(name, sizeof(name), "task-%04d", i);
		tasks[i] = task_new(NULL, name, 0);
	}
	json = report(BH_JSON);
	ck_assert(support_json_valid(json));
	for (int i = 0; i < NR; i++) {
		char name[32];

		snprintf(name, sizeof(name), "\"name\": \"task-%04d\"", i);
		ck_assert_uint_eq(count(json, name), 1);
	}
	assert_value(json, "\"task_counts\"", "all", "2000");
	text = report(BH_TEXT);
	assert_contains(text, "\n  2000 in all, 0 inside, ");
	assert_contains(text, "\n  and 1980 more with 0\n");
	free(text);
	free(json);
	for (int i = 0; i < NR; i++)
		bh_task_put(tasks[i]);
	support_end();
}
END_TEST

START_TEST(oom_that_found_nobody_says_so)
{
	char *text, *json;

	support_start(32 * MIB);
	web = support_group(NULL, "web");
	support_set(web, BH_MAX, MIB);
	support_set(web, BH_ON_LIMIT, BH_KILL);
	ledger = task_new(web, "ledger", -1000);
	ck_assert_int_eq(task_take(ledger, 512 * KIB), 0);
	while (bh_charge(web, PAGE, BH_NORECLAIM | BH_NOWARN) == 0)
		;
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "; nobody to kill for /web, ");
	assert_contains(text,
		"\n      a thread outside of tasks asked for 4K in a call, "
		"BH_NORECLAIM|BH_NOWARN\n      usage 1M: "
		"private 512K, shared 0, of the host 512K, left behind 0; limit 1M, ");
	assert_contains(text, "\n      nobody could be killed: no task of 1 can be "
			      "chosen: adj -1000, or idle without memory\n\n");
	assert_value(json, "\"ooms\"", "asker", "null");
	assert_value(json, "\"ooms\"", "asker_group", "null");
	assert_value(json, "\"ooms\"", "asker_adj", "null");
	assert_contains(json, "\"flags\": [\n        \"BH_NORECLAIM\",\n        "
			      "\"BH_NOWARN\"\n      ],");
	assert_value(json, "\"ooms\"", "private", "false");
	assert_value(json, "\"ooms\"", "kill", "null");
	assert_value(json, "\"ooms\"", "reaping", "null");
	assert_value(json, "\"ooms\"", "victim", "null");
	assert_value(json, "\"ooms\"", "killed", "0");
	assert_value(json, "\"ooms\"", "candidates", "0");
	assert_value(json, "\"last_oom\"", "victim", "null");
	assert_value(json, "{", "oom_kills", "0");
	free(text);
	free(json);
	bh_uncharge(web, support_stat(web).external);
	bh_task_put(ledger);
	bh_group_put(web);
	support_end();
}
END_TEST

/* An event that is made up, of which not all stands in one that happens. */
static void add_oom(enum bh_oom_origin origin, enum bh_oom_constraint constraint,
	uint32_t nr_more) BHI_UNCHECKED
{
	struct bh_oom_event event = {
		.number = bhi_oom_events_count() + 1,
		.asker = "made-up",
		.asker_group = "/web",
		.origin = origin,
		.flags = BH_ZERO | BH_NOFAIL,
		.over = "/",
		.constraint = constraint,
		.nr_rows = 1,
		.nr_more = nr_more,
		.rows = {{.name = "one", .group = "/web", .points = -3}},
		.why = "made up",
	};

	ck_assert(bhi_lock_try(&bhi_oom_lock));
	bhi_oom_events_add(&event);
	bhi_lock_release(&bhi_oom_lock);
}

START_TEST(each_kind_of_request_and_of_shortage_has_a_name)
{
	static const struct {
		enum bh_oom_origin origin;
		enum bh_oom_constraint constraint;
		const char *text, *shortage, *json_origin, *json_constraint;
	} kinds[] = {
		{BH_OOM_CALL, BH_OOM_IN_GROUP, "in a call, BH_ZERO|BH_NOFAIL\n",
			" ago: / was over its limit\n", "\"call\"", "\"group\""},
		{BH_OOM_PAGEFAULT, BH_OOM_IN_ZONE, "in a pagefault, BH_ZERO|BH_NOFAIL\n",
			" ago: / was over its limit, the zone\n", "\"pagefault\"",
			"\"zone\""},
		{BH_OOM_LIMIT, BH_OOM_IN_KERNEL, "by a lower BH_MAX, BH_ZERO|BH_NOFAIL\n",
			" ago: / had room, and the kernel had no page\n", "\"limit\"",
			"\"kernel\""},
	};

	support_start(32 * MIB);
	for (uint32_t i = 0; i < bhi_array_size(kinds); i++) {
		char *text, *json, more[32];

		add_oom(kinds[i].origin, kinds[i].constraint, i);
		text = report(BH_TEXT);
		json = report(BH_JSON);
		assert_contains(text, kinds[i].text);
		assert_contains(text, kinds[i].shortage);
		assert_contains(text,
			"\n          -3         0      0  running       one, "
			"/web\n");
		snprintf(more, sizeof(more), "\n             and %u more\n", i);
		ck_assert(support_contains(text, more) == (i > 0));
		assert_contains(text, "\n      nobody could be killed: made up\n");
		assert_value(json, "\"ooms\"", "origin", kinds[i].json_origin);
		assert_value(json, "\"ooms\"", "constraint", kinds[i].json_constraint);
		assert_value(json, "\"ooms\"", "points", "-3");
		snprintf(more, sizeof(more), "%u", i);
		assert_value(json, "\"ooms\"", "more", more);
		free(text);
		free(json);
	}
	support_end();
}
END_TEST

START_TEST(group_kill_says_how_many_went)
{
	struct bh_task *other;
	char *text, *json;

	support_start(32 * MIB);
	web = support_group(NULL, "web");
	support_set(web, BH_MAX, 4 * MIB);
	support_set(web, BH_OOM_GROUP, 1);
	other = task_new(web, "other", 0);
	hog = task_new(web, "hog", 0);
	ck_assert_int_eq(task_take(other, MIB), 0);
	ck_assert_int_eq(task_take(hog, 8 * MIB), -ECANCELED);
	support_await(&other->skip, 1);
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "; tasks killed: 2, the last one 'hog' for /web, ");
	assert_contains(text, "; with all of /web: 2 tasks, 4M\n");
	/* The hog may have had what the other gave back before it heard of the kill. */
	assert_contains(text, "\n      reaped: 2 of 2, ");
	assert_value(json, "\"kill\"", "all_of", "\"/web\"");
	assert_value(json, "\"kill\"", "all_bytes", "4194304");
	assert_contains(text, "\n      a kill takes the whole group\n");
	assert_value(json, "\"ooms\"", "group_kill", "true");
	assert_value(json, "\"ooms\"", "killed", "2");
	free(text);
	free(json);
	bh_task_put(other);
	bh_task_put(hog);
	bh_group_put(web);
	support_end();
}
END_TEST

START_TEST(last_16_ooms_are_kept_and_only_the_newest_is_told_in_full)
{
	char *text, *json;

	support_start(32 * MIB);
	web = support_group(NULL, "web");
	support_set(web, BH_MAX, MIB);
	for (int i = 1; i <= 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "hog-%d", i);
		hog = task_new(web, name, 0);
		ck_assert_int_eq(task_take(hog, 2 * MIB), -ECANCELED);
		bh_task_put(hog);
	}
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "\nLast OOMs, 20 in all\n  #20, ");
	ck_assert_uint_eq(count(text, " was over its limit"), 16);
	ck_assert_uint_eq(count(text, "  <- chosen\n"), 1);
	assert_contains(text, " ago: /web was over its limit, 'hog-5' was killed\n");
	ck_assert_ptr_null(strstr(text, "'hog-4'"));
	assert_value(json, "\"ooms\"", "number", "20");
	ck_assert_uint_eq(count(json, "\"table\""), 16);
	free(text);
	free(json);
	bh_group_put(web);
	support_end();
}
END_TEST

START_TEST(kills_are_counted_by_what_the_victim_was_doing)
{
	static const char idle[] = "\"state\": \"idle\"";
	char *text, *json;

	support_start(32 * MIB);
	hog = task_new(NULL, "hog", 0);
	ck_assert_int_eq(task_take(hog, MIB), 0);
	text = report(BH_TEXT);
	ck_assert_ptr_null(strstr(text, "Kill to memory back"));
	free(text);
	ck_assert_int_eq(bh_task_kill(hog), 0);
	/* Whoever is told so has waited for the reaper. */
	ck_assert_int_eq(task_take(hog, PAGE), -ECANCELED);
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "\nKill to memory back           kills ");
	assert_contains(text, "\n  idle          first byte        1 ");
	assert_contains(text, "\n  idle          all bytes         1 ");
	ck_assert_ptr_null(strstr(text, "\n  running "));
	assert_contains(text, "/, idle, killed (caller), reaped\n");
	assert_value(json, "\"state\": \"running\"", "count", "0");
	assert_value(json, idle, "count", "1");
	assert_value(strstr(json, idle), "\"all_bytes\"", "count", "1");
	assert_value(strstr(json, idle), "\"unwound\"", "count", "0");
	ck_assert_uint_gt(strtoull(find_value(json, idle, "max_ns"), NULL, 10), 0);
	free(text);
	free(json);
	bh_task_put(hog);
	support_end();
}
END_TEST

static uint32_t holds, may_release;

static int hold_on(void *arg)
{
	size_t size = MIB;

	(void)arg;
	ck_assert_int_eq(take(&size), 0);
	bh_hold();
	bhi_store(&holds, 1);
	support_await(&may_release, 1);
	bh_release();
	return 0;
}

static void *enter_and_hold(void *arg)
{
	return (void *)(intptr_t)bh_task_enter(arg, hold_on, NULL, NULL);
}

START_TEST(victim_that_could_not_be_reaped_stands_in_the_first_line)
{
	struct bh_config config = {
		.size = 32 * MIB, .reap_tries = 2, .reap_interval_ms = 1};
	struct bhi_reaper_stat stat;
	pthread_t thread;
	char *text, *json;

	ck_assert_int_eq(bh_init(&config), 0);
	hog = task_new(NULL, "hog", 0);
	thread = support_thread(enter_and_hold, hog);
	support_await(&holds, 1);
	ck_assert_int_eq(bh_task_kill(hog), 0);
	do {
		sched_yield();
		bhi_reaper_stat(&stat);
	} while (!stat.nr_given_up);
	while (!bhi_load(&hog->skip))
		sched_yield();
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "; unable to reap: 1\n");
	assert_contains(text, "/, inside, killed (caller), will not be reaped\n");
	assert_contains(text, "\n  victims reaped: 0, given up: 1\n");
	assert_value(json, "{", "unable_to_reap", "1");
	assert_value(json, "\"reaper\"", "given_up", "1");
	free(text);
	free(json);
	bhi_store(&may_release, 1);
	ck_assert_int_eq((intptr_t)support_join(thread), -ECANCELED);
	bh_task_put(hog);
	support_end();
}
END_TEST

START_TEST(policy_of_private_memory_is_told_apart)
{
	char *text, *json;

	support_start(32 * MIB);
	web = support_group(NULL, "web");
	json = report(BH_JSON);
	assert_value(json, "\"path\": \"/web\"", "on_limit", "\"fail\"");
	assert_value(json, "\"path\": \"/web\"", "on_limit_private", "\"kill\"");
	free(json);
	support_set(web, BH_ON_LIMIT, BH_FAIL);
	json = report(BH_JSON);
	text = report(BH_TEXT);
	assert_value(json, "\"path\": \"/web\"", "on_limit_private", "\"fail\"");
	assert_contains(text, "\n      at its limit: fail, private memory too\n");
	free(json);
	free(text);
	bh_group_put(web);
	support_end();
}
END_TEST

START_TEST(window_and_backend_are_told)
{
	bool is_uffd;
	char *text, *json;

	support_start(32 * MIB);
	is_uffd = bh_features() & BH_FEATURE_UFFD;
	hog = task_new(NULL, "hog", 0);
	ck_assert_int_eq(task_take(hog, 3 * MIB), 0);
	text = report(BH_TEXT);
	json = report(BH_JSON);
	assert_contains(text, "\nPrivate window\n  3M of ");
	assert_contains(
		text, is_uffd ? " caught by userfaultfd\n" : " caught by mprotect\n");
	assert_value(
		json, "\"private\"", "backend", is_uffd ? "\"uffd\"" : "\"mprotect\"");
	assert_value(json, "\"private\"", "taken", "3145728");
	free(text);
	free(json);
	bh_task_put(hog);
	support_end();
}
END_TEST

START_TEST(report_of_tasks_works_with_every_failure_injected)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	size_t meta;

	make_oom();
	meta = bhi_meta_bytes();
	bhi_failpoint_arm(1, BHI_FP_NTH, ~0u);
	ck_assert_int_eq(bh_report_write(fd, BH_TEXT), 0);
	ck_assert_int_eq(bh_report_write(fd, BH_JSON), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 0);
	ck_assert_uint_eq(bhi_meta_bytes(), meta);
	close(fd);
	end_oom();
}
END_TEST

START_TEST(closed_pipe_ends_the_walk_and_leaves_no_reference)
{
	enum {
		NR = 100
	};
	struct bh_task *tasks[NR];
	int fds[2];

	support_start(32 * MIB);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < NR; i++)
		tasks[i] = task_new(NULL, "one-of-many", 0);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	ck_assert_int_eq(bh_report_write(fds[1], BH_TEXT), -EPIPE);
	ck_assert_int_eq(bh_report_write(fds[1], BH_JSON), -EPIPE);
	for (int i = 0; i < NR; i++) {
		ck_assert_uint_eq(bhi_load(&tasks[i]->refs), 1);
		bh_task_put(tasks[i]);
	}
	ck_assert_uint_eq(bhi_tasks_count(), 0);
	close(fds[1]);
	support_end();
}
END_TEST

static void *write_to_pipe(void *arg)
{
	const int *fds = arg;
	int r = bh_report_write(fds[1], BH_JSON);

	close(fds[1]);
	return (void *)(intptr_t)r;
}

/* Until the pipe holds all it can and its writer must be waiting in write(2). */
static void wait_until_full(int fd, int capacity)
{
	int nr = 0;

	while (nr < capacity) {
		ck_assert_int_eq(ioctl(fd, FIONREAD, &nr), 0);
		sched_yield();
	}
}

static char *read_to_end(int fd)
{
	size_t len = 0, size = 4 * MIB;
	char *text = malloc(size);
	ssize_t n;

	ck_assert_ptr_nonnull(text);
	while ((n = read(fd, text + len, size - len - 1)) > 0)
		len += (size_t)n;
	ck_assert_int_eq(n, 0);
	text[len] = '\0';
	return text;
}

START_TEST(tasks_come_are_killed_and_end_while_a_report_waits_for_its_reader)
{
	enum {
		NR = 1000,
		CAPACITY = 4096
	};
	static struct bh_task *tasks[NR];
	pthread_t thread;
	int fds[2];
	char *json;

	support_start(32 * MIB);
	for (int i = 0; i < NR; i++)
		tasks[i] = task_new(NULL, "one-of-many", 0);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, CAPACITY), CAPACITY);
	thread = support_thread(write_to_pipe, fds);
	wait_until_full(fds[0], CAPACITY);
	web = support_group(NULL, "web");
	support_set(web, BH_MAX, MIB);
	hog = task_new(web, "late", 0);
	ck_assert_int_eq(task_take(hog, 2 * MIB), -ECANCELED);
	bh_task_put(hog);
	bh_group_put(web);
	for (int i = 0; i < NR; i++)
		bh_task_put(tasks[i]);
	json = read_to_end(fds[0]);
	ck_assert_ptr_null(support_join(thread));
	ck_assert(support_json_valid(json));
	/* It was past the front of the list. */
	ck_assert_ptr_null(strstr(json, "late"));
	ck_assert_uint_lt(count(json, "one-of-many"), NR);
	/* The reaper may still have its reference to the late one. */
	while (bhi_tasks_count())
		sched_yield();
	free(json);
	close(fds[0]);
	support_end();
}
END_TEST

START_TEST(every_flag_of_a_request_has_its_name)
{
#define NAMED(flag)         \
	{                   \
		flag, #flag \
	}
	static const struct {
		uint32_t flag;
		const char *name;
	} flags[] = {NAMED(BH_ZERO), NAMED(BH_NORETRY), NAMED(BH_RETRY_MAYFAIL),
		NAMED(BH_NOFAIL), NAMED(BH_ATOMIC), NAMED(BH_NOWAIT), NAMED(BH_NORECLAIM),
		NAMED(BH_NOWARN)};
#undef NAMED

	for (size_t i = 0; i < bhi_array_size(flags); i++)
		ck_assert_str_eq(bhi_report_flag_name(flags[i].flag), flags[i].name);
	ck_assert_ptr_null(bhi_report_flag_name(1u << 31));
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, every_flag_of_a_request_has_its_name);
	tcase_add_test(tcase, json_has_every_documented_field);
	tcase_add_test(tcase, json_of_an_oom_has_the_shortage_the_table_and_the_victim);
	tcase_add_test(tcase, text_begins_with_the_last_kill_and_tells_why);
	tcase_add_test(tcase, tasks_are_told_with_what_they_have_and_what_became_of_them);
	tcase_add_test(tcase, task_may_write_the_report_from_inside);
	tcase_add_test(tcase, text_lists_the_20_largest_tasks_and_counts_the_others);
	tcase_add_test(tcase, every_task_is_told_once);
	tcase_add_test(tcase, oom_that_found_nobody_says_so);
	tcase_add_test(tcase, each_kind_of_request_and_of_shortage_has_a_name);
	tcase_add_test(tcase, group_kill_says_how_many_went);
	tcase_add_test(tcase, last_16_ooms_are_kept_and_only_the_newest_is_told_in_full);
	tcase_add_test(tcase, kills_are_counted_by_what_the_victim_was_doing);
	tcase_add_test(tcase, victim_that_could_not_be_reaped_stands_in_the_first_line);
	tcase_add_test(tcase, policy_of_private_memory_is_told_apart);
	tcase_add_test(tcase, window_and_backend_are_told);
	tcase_add_test(tcase, report_of_tasks_works_with_every_failure_injected);
	tcase_add_test(tcase, closed_pipe_ends_the_walk_and_leaves_no_reference);
	tcase_add_test(
		tcase, tasks_come_are_killed_and_end_while_a_report_waits_for_its_reader);
}

int main(void)
{
	return support_run("report_tasks", add_tests);
}
