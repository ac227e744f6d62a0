/* SPDX-License-Identifier: MIT */
/* bh_report_write(): what it says of states made for the purpose, and how it fails. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "account/group.h"
#include "debug/inject.h"
#include "base/pool.h"

#include "bulkhead.h"
#include "support.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static char path[256];

/* The report as it is written to a file; free(3) it. */
static char *report(enum bh_format format)
{
	int fd;

	snprintf(path, sizeof(path), "%s/report", support_dir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bh_report_write(fd, format), 0);
	close(fd);
	return support_read_file(path);
}

static void start(size_t size)
{
	struct bh_config config = {.size = size};

	ck_assert_int_eq(bh_init(&config), 0);
}

static struct bh_group *group_new(struct bh_group *parent, const char *name)
{
	struct bh_group *group = bh_group_new(parent, name);

	ck_assert_ptr_nonnull(group);
	return group;
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

static uint64_t find_number(const char *text, const char *from, const char *key)
{
	const char *p = find_value(text, from, key);
	uint64_t value;
	char *end;

	value = strtoull(p, &end, 10);
	ck_assert_msg(end != p, "%s after %s is no number", key, from);
	return value;
}

static void assert_contains(const char *text, const char *part)
{
	ck_assert_msg(support_contains(text, part), "'%s' is not in:\n%s", part, text);
}

static void assert_value(
	const char *text, const char *from, const char *key, const char *value)
{
	const char *p = find_value(text, from, key);

	ck_assert_msg(
		!strncmp(p, value, strlen(value)), "%s after %s is %.20s", key, from, p);
}

static size_t count_nothing(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return 0;
}

/*
 * A tree in which everything happened that a report tells of: /web/sessions is at its
 * max, /db has host memory and some left behind, and each list has an entry.
 */
static struct bh_shrinker shrinker = {
	.name = "page-cache", .count = count_nothing, .scan = count_nothing};

static void make_state(void)
{
	struct bh_group *web, *sessions, *db, *gone;
	struct bh_cache *cache;

	start(32 * MIB);
	web = group_new(NULL, "web");
	sessions = group_new(web, "sessions");
	db = group_new(NULL, "db");
	gone = group_new(db, "gone");
	ck_assert_int_eq(bh_group_set(sessions, BH_MAX, 2 * MIB), 0);
	ck_assert_int_eq(bh_group_set(web, BH_LOW, 1 * MIB), 0);
	ck_assert_int_eq(bh_group_set(db, BH_ON_LIMIT, BH_KILL), 0);
	ck_assert_ptr_nonnull(bh_alloc_pages(sessions, 8, 0));
	ck_assert_int_eq(bh_charge(sessions, 1 * MIB, 0), 0);
	ck_assert_int_eq(bh_charge(sessions, 1, 0), -ENOMEM);
	ck_assert_int_eq(bh_charge(db, 3 * MIB, 0), 0);
	ck_assert_ptr_nonnull(bh_alloc_pages(gone, 6, 0));
	bh_group_put(gone);
	cache = bh_cache_new("request", 200, 0, NULL);
	ck_assert_ptr_nonnull(cache);
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_nonnull(bh_cache_alloc(cache, web, 0));
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(bh_alloc(web, 1000, 0));
	shrinker.group = db;
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
}

START_TEST(json_has_every_documented_field)
{
	static const struct {
		const char *from, *keys[26];
	} fields[] = {
		{"{", {"schema", "version", "library", "pid", "verdict", "zone", "memory",
			      "groups", "classes", "caches", "shrinkers", "private",
			      "reaper", "background", "overhead"}},
		{"\"verdict\"", {"zone", "at_max", "count", "first", "failed", "count",
					"first", "limited", "count", "first"}},
		{"\"origin\"", {"origin", "min", "low", "high", "charged", "free",
				       "reserve", "nofail", "atomic", "stocks"}},
		{"\"memory\"", {"taken", "cached", "free_resident", "free_returned",
				       "blocks", "discards"}},
		{"\"groups\"",
			{"id", "parent", "depth", "name", "path", "usage", "peak", "min",
				"low", "high", "max", "emin", "elow", "failcnt",
				"external", "left_behind", "overdraft", "children",
				"on_limit", "on_limit_private", "oom_group", "events",
				"events_local", "some", "full"}},
		{"\"events\"",
			{"low", "high", "max", "oom", "oom_kill", "oom_group_kill"}},
		{"\"events_local\"",
			{"low", "high", "max", "oom", "oom_kill", "oom_group_kill"}},
		{"\"some\"", {"total_ns", "avg10", "avg60", "avg300"}},
		{"\"full\"", {"total_ns", "avg10", "avg60", "avg300"}},
		{"\"classes\"",
			{"size", "live", "objects", "slabs", "slabs_shared", "bytes"}},
		{"\"caches\"",
			{"name", "size", "stride", "live", "objects", "slabs", "bytes"}},
		{"\"shrinkers\"", {"name", "group", "calls", "freed", "deferred"}},
		{"\"background\"", {"wakeups", "runs", "reclaimed", "failures"}},
		{"\"overhead\"",
			{"metadata", "page_structs", "slab_descriptors", "threads"}},
	};
	char *json;

	make_state();
	json = report(BH_JSON);
	ck_assert(support_json_valid(json));
	for (size_t i = 0; i < bhi_array_size(fields); i++) {
		const char *p = strstr(json, fields[i].from);

		ck_assert_msg(p != NULL, "no %s", fields[i].from);
		/* Each stands after the one before. */
		for (size_t j = 0; fields[i].keys[j]; j++)
			p = find_value(p, j ? "" : fields[i].from, fields[i].keys[j]);
	}
	assert_value(json, "{", "schema", "\"bulkhead-report\"");
	assert_value(json, "{", "version", "1,");
	assert_value(json, "{", "library", "\"0.1.0\"");
	ck_assert_uint_eq(find_number(json, "{", "pid"), (uint64_t)getpid());
	free(json);
}
END_TEST

START_TEST(json_gives_the_figures_of_each_group)
{
	static const char sessions[] = "\"path\": \"/web/sessions\"";
	static const char db[] = "\"path\": \"/db\"";
	char *json;

	make_state();
	json = report(BH_JSON);
	ck_assert_uint_eq(find_number(json, sessions, "usage"), 2 * MIB);
	ck_assert_uint_eq(find_number(json, sessions, "peak"), 2 * MIB);
	ck_assert_uint_eq(find_number(json, sessions, "max"), 2 * MIB);
	assert_value(json, sessions, "high", "null");
	ck_assert_uint_ge(find_number(json, sessions, "failcnt"), 1);
	ck_assert_uint_eq(find_number(json, sessions, "external"), 1 * MIB);
	ck_assert_uint_eq(find_number(json, sessions, "left_behind"), 0);
	ck_assert_uint_eq(find_number(json, strstr(json, sessions), "oom"), 1);
	assert_value(json, sessions, "on_limit", "\"fail\"");
	ck_assert_uint_eq(find_number(json, db, "external"), 3 * MIB);
	ck_assert_uint_eq(find_number(json, db, "left_behind"), 256 * KIB);
	ck_assert_uint_eq(find_number(json, db, "usage"), 3 * MIB + 256 * KIB);
	assert_value(json, db, "on_limit", "\"kill\"");
	assert_value(json, db, "oom_group", "false");
	assert_value(json, db, "max", "null");
	ck_assert_uint_eq(find_number(json, "\"path\": \"/web\"", "low"), 1 * MIB);
	ck_assert_uint_eq(find_number(json, "\"path\": \"/\"", "max"), 32 * MIB);
	ck_assert_ptr_null(strstr(json, "gone"));
	free(json);
}
END_TEST

START_TEST(json_gives_the_figures_of_the_lists)
{
	char *json;

	make_state();
	json = report(BH_JSON);
	ck_assert_uint_eq(find_number(json, "\"classes\"", "size"), 1024);
	ck_assert_uint_eq(find_number(json, "\"classes\"", "live"), 100);
	ck_assert_uint_ge(find_number(json, "\"classes\"", "bytes"), 100 * KIB);
	assert_value(json, "\"caches\"", "name", "\"request\"");
	ck_assert_uint_eq(find_number(json, "\"caches\"", "size"), 200);
	ck_assert_uint_eq(find_number(json, "\"caches\"", "stride"), 208);
	ck_assert_uint_eq(find_number(json, "\"caches\"", "live"), 10);
	assert_value(json, "\"shrinkers\"", "name", "\"page-cache\"");
	assert_value(json, "\"shrinkers\"", "group", "\"/db\"");
	/* This one and, as soon as it runs, the reaper's. */
	ck_assert_uint_ge(find_number(json, "\"overhead\"", "threads"), 1);
	ck_assert_uint_le(find_number(json, "\"overhead\"", "threads"), 2);
	ck_assert_uint_gt(find_number(json, "\"overhead\"", "metadata"), 0);
	ck_assert_uint_gt(find_number(json, "\"overhead\"", "slab_descriptors"), 0);
	ck_assert_uint_ge(find_number(json, "\"overhead\"", "page_structs"), 16 * KIB);
	free(json);
}
END_TEST

START_TEST(zone_adds_up)
{
	struct bh_group_stat stat;
	uint64_t charged, taken, cached;
	char *json;

	make_state();
	json = report(BH_JSON);
	ck_assert_int_eq(bh_group_stat(bh_root(), &stat), 0);
	charged = find_number(json, "\"origin\"", "charged");
	taken = find_number(json, "\"memory\"", "taken");
	cached = find_number(json, "\"memory\"", "cached");
	ck_assert_uint_eq(find_number(json, "\"zone\": {", "size"), 32 * MIB);
	/* Half and three eighths of 724 KiB, the min of 32 MiB. */
	ck_assert_uint_eq(find_number(json, "\"origin\"", "reserve"), 724 * KIB);
	ck_assert_uint_eq(find_number(json, "\"origin\"", "nofail"), 362 * KIB);
	ck_assert_uint_eq(find_number(json, "\"origin\"", "atomic"), 543 * KIB / 2);
	assert_value(json, "\"zone\": {", "origin", "\"config\"");
	ck_assert_uint_eq(charged, stat.usage);
	ck_assert_uint_eq(find_number(json, "\"origin\"", "free"), 32 * MIB - charged);
	/* Charged is what was taken, the host's four megabytes, and what stocks hold. */
	ck_assert_uint_eq(charged,
		taken - cached + 4 * MIB + find_number(json, "\"origin\"", "stocks"));
	ck_assert_uint_eq(taken + find_number(json, "\"memory\"", "free_resident") +
				  find_number(json, "\"memory\"", "free_returned"),
		find_number(json, "\"memory\"", "blocks") * 4 * MIB);
	free(json);
}
END_TEST

START_TEST(text_begins_with_the_verdict)
{
	char expected[128], *text;

	make_state();
	text = report(BH_TEXT);
	*strchr(text, '\n') = '\0';
	snprintf(expected, sizeof(expected), "bulkhead 0.1.0, pid %d: zone ok, ",
		getpid());
	ck_assert_msg(!strncmp(text, expected, strlen(expected)), "%s", text);
	assert_contains(text, " of 32M free; at max: /web/sessions; "
			      "out of memory: /web/sessions");
	free(text);
}
END_TEST

START_TEST(text_of_an_unused_library_has_nothing_to_complain_of)
{
	char *text;

	start(32 * MIB);
	text = report(BH_TEXT);
	assert_contains(text, ": zone ok, 32M of 32M free\n");
	ck_assert_ptr_null(strstr(text, "events"));
	ck_assert_ptr_null(strstr(text, "stalled"));
	ck_assert_ptr_null(strstr(text, "left behind"));
	free(text);
}
END_TEST

START_TEST(text_gives_the_figures_in_lines)
{
	char *text;

	make_state();
	text = report(BH_TEXT);
	assert_contains(text, "\n  size                  32M  from config\n");
	assert_contains(text, "\n  reserve              724K  of the free bytes ");
	assert_contains(text, "\n  BH_NOFAIL            362K  of them ");
	assert_contains(text, "\n  BH_ATOMIC          271.5K  of them ");
	assert_contains(text, "\n    sessions                      2M  ");
	assert_contains(text, "88 %      2M       0       0     max      2M  ");
	assert_contains(text, "\n      events: max 1, oom 1\n");
	assert_contains(text, "\n      charged by the host: 3M\n"
			      "      left behind by deleted groups: 256K\n"
			      "      at its limit: kill\n");
	assert_contains(text, "\n  1024                             100");
	assert_contains(text, "\n  request                200        10        ");
	assert_contains(text, "\n  page-cache                         0           0"
			      "           0  /db\n");
	assert_contains(text, "  attached\n");
	free(text);
}
END_TEST

START_TEST(verdict_names_four_groups_and_counts_the_rest)
{
	char *text, *json;

	start(32 * MIB);
	for (int i = 0; i < 7; i++) {
		char name[8];

		snprintf(name, sizeof(name), "g%d", i);
		ck_assert_int_eq(bh_group_set(group_new(NULL, name), BH_MAX, 0), 0);
	}
	text = report(BH_TEXT);
	assert_contains(text, "free; at max: /g0, /g1, /g2, /g3 and 3 more\n");
	json = report(BH_JSON);
	ck_assert_uint_eq(find_number(json, "\"at_max\"", "count"), 7);
	ck_assert_uint_eq(find_number(json, "\"failed\"", "count"), 0);
	free(text);
	free(json);
}
END_TEST

/* A whole cache of one page. */
static void *only_page;

static size_t count_page(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return only_page ? 1 : BH_SHRINK_EMPTY;
}

static size_t scan_page(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	bh_free(only_page);
	only_page = NULL;
	return 1;
}

START_TEST(group_that_reclaim_saved_was_at_max_before_but_failed_nothing)
{
	static struct bh_shrinker cache = {
		.name = "one-page", .count = count_page, .scan = scan_page};
	struct bh_group *group;
	void *pages;
	char *text;

	start(32 * MIB);
	group = cache.group = group_new(NULL, "cache");
	ck_assert_int_eq(bh_group_set(group, BH_MAX, 8 * KIB), 0);
	ck_assert_int_eq(bh_shrinker_register(&cache), 0);
	only_page = bh_alloc_pages(group, 0, 0);
	pages = bh_alloc_pages(group, 1, 0);
	ck_assert_ptr_nonnull(pages);
	ck_assert_ptr_null(only_page);
	text = report(BH_TEXT);
	assert_contains(text, "free; at max: /cache\n");
	free(text);
	bh_free(pages);
	text = report(BH_TEXT);
	assert_contains(text, "free; at max before: /cache\n");
	free(text);
}
END_TEST

static void fill_zone(unsigned flags)
{
	while (bh_alloc_pages(NULL, 0, flags))
		;
}

START_TEST(full_zone_is_below_low_and_without_reserve_below_min)
{
	char *text, *json;

	start(4 * MIB);
	fill_zone(0);
	text = report(BH_TEXT);
	assert_contains(text, ": zone below low, 256K of 4M free; out of memory: /\n");
	fill_zone(BH_ATOMIC);
	json = report(BH_JSON);
	assert_value(json, "\"verdict\"", "zone", "\"below_min\"");
	ck_assert_uint_lt(find_number(json, "\"origin\"", "free"), 256 * KIB);
	free(text);
	free(json);
}
END_TEST

START_TEST(report_works_with_no_memory_and_every_failure_injected)
{
	size_t meta;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	make_state();
	fill_zone(0);
	fill_zone(BH_ATOMIC);
	meta = bhi_meta_bytes();
	bhi_failpoint_arm(1, BHI_FP_NTH, ~0u);
	ck_assert_int_eq(bh_report_write(fd, BH_TEXT), 0);
	ck_assert_int_eq(bh_report_write(fd, BH_JSON), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 0);
	ck_assert_uint_eq(bhi_meta_bytes(), meta);
	ck_assert_int_eq(bh_audit(), 0);
	close(fd);
}
END_TEST

START_TEST(odd_names_of_shrinkers_break_neither_lines_nor_json)
{
	static struct bh_shrinker odd = {
		.name = "a\nb\"c\\d\x80\x01 and much more than 31 bytes",
		.count = count_nothing,
		.scan = count_nothing,
	};
	char *text, *json;

	start(32 * MIB);
	ck_assert_int_eq(bh_shrinker_register(&odd), 0);
	text = report(BH_TEXT);
	assert_contains(text, "\n  a?b\"c\\d");
	json = report(BH_JSON);
	ck_assert(support_json_valid(json));
	assert_contains(json, "\"a\\u000ab\\\"c\\\\d\\ufffd\\u0001 and");
	assert_value(json, "\"shrinkers\"", "group", "null");
	free(text);
	free(json);
}
END_TEST

START_TEST(long_paths_are_cut_at_the_front)
{
	struct bh_group *group = NULL;
	const char *p;
	char *json;

	start(32 * MIB);
	for (int i = 0; i < 20; i++)
		group = group_new(group, "a-name-that-is-31-bytes-long-ok");
	json = report(BH_JSON);
	ck_assert(support_json_valid(json));
	p = find_value(json, "\"depth\": 20", "path");
	ck_assert_uint_eq(strcspn(p, "\n"), 7 * 32 + strlen("\"\","));
	free(json);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
	start(32 * MIB);
	ck_assert_int_eq(bh_report_write(-1, BH_TEXT), -EINVAL);
	ck_assert_int_eq(bh_report_write(1, (enum bh_format)2), -EINVAL);
	ck_assert_int_eq(bh_report_write(1, (enum bh_format) - 1), -EINVAL);
	ck_assert_int_eq(bh_report_write(1023, BH_TEXT), -EBADF);
}
END_TEST

START_TEST(full_device_gives_its_error)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	make_state();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bh_report_write(fd, BH_TEXT), -ENOSPC);
	ck_assert_int_eq(bh_report_write(fd, BH_JSON), -ENOSPC);
	close(fd);
}
END_TEST

START_TEST(closed_pipe_gives_its_error_and_ends_the_walk)
{
	int fds[2];

	start(32 * MIB);
	for (int i = 0; i < 100; i++)
		group_new(NULL, "group");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(bh_report_write(fds[1], BH_TEXT), -EPIPE);
	ck_assert_int_eq(bh_report_write(fds[1], BH_JSON), -EPIPE);
	/* The group at which it stopped is not held: only the host's references are. */
	ck_assert_int_eq(bh_audit(), 0);
	close(fds[1]);
}
END_TEST

START_TEST(child_of_fork_is_refused)
{
	int status;
	pid_t pid;

	start(32 * MIB);
	pid = fork();
	if (!pid)
		_exit(bh_report_write(1, BH_TEXT) == -EINVAL ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Lines of a file; -1 when the last one has no end. */
static long count_file_lines(const char *name)
{
	char *text = support_read_file(name);
	long nr = support_count_lines(text);

	free(text);
	return nr;
}

START_TEST(report_of_100000_groups_has_a_line_for_each)
{
	enum {
		NR = 100000
	};
	long nr_before;
	char *text;

	start(32 * MIB);
	text = report(BH_TEXT);
	nr_before = support_count_lines(text);
	free(text);
	for (int i = 0; i < NR; i++)
		group_new(NULL, "one-of-many");
	free(report(BH_TEXT));
	ck_assert_int_eq(count_file_lines(path), nr_before + NR);
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

/* Something with every lock of the library. */
static void use_everything(void)
{
	static struct bh_shrinker other = {
		.name = "other", .count = count_nothing, .scan = count_nothing};
	struct bh_group *group = group_new(NULL, "meanwhile");
	struct bh_cache *cache = bh_cache_new("meanwhile", 100, 0, NULL);
	struct bh_group_stat stat;

	bh_free(bh_alloc(group, 100, 0));
	bh_free(bh_alloc(group, 100 * KIB, 0));
	ck_assert_int_eq(bh_cache_free(cache, bh_cache_alloc(cache, group, 0)), 0);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	ck_assert_int_eq(bh_shrinker_register(&other), 0);
	ck_assert_int_eq(bh_shrinker_unregister(&other), 0);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, 0), 0);
	ck_assert_int_eq(bh_charge(group, 1, 0), -ENOMEM);
	ck_assert_int_eq(bh_group_stat(group, &stat), 0);
	bh_group_put(group);
	ck_assert_int_eq(bh_audit(), 0);
}

START_TEST(nobody_waits_for_the_reader_of_a_report)
{
	enum {
		CAPACITY = 4096
	};
	pthread_t thread;
	void *result;
	char *json;
	int fds[2];

	make_state();
	for (int i = 0; i < 1000; i++)
		group_new(NULL, "group");
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, CAPACITY), CAPACITY);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_to_pipe, fds), 0);
	wait_until_full(fds[0], CAPACITY);
	use_everything();
	json = read_to_end(fds[0]);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
	ck_assert(support_json_valid(json));
	free(json);
	close(fds[0]);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, json_has_every_documented_field);
	tcase_add_test(tcase, json_gives_the_figures_of_each_group);
	tcase_add_test(tcase, json_gives_the_figures_of_the_lists);
	tcase_add_test(tcase, zone_adds_up);
	tcase_add_test(tcase, text_begins_with_the_verdict);
	tcase_add_test(tcase, text_of_an_unused_library_has_nothing_to_complain_of);
	tcase_add_test(tcase, text_gives_the_figures_in_lines);
	tcase_add_test(tcase, verdict_names_four_groups_and_counts_the_rest);
	tcase_add_test(
		tcase, group_that_reclaim_saved_was_at_max_before_but_failed_nothing);
	tcase_add_test(tcase, full_zone_is_below_low_and_without_reserve_below_min);
	tcase_add_test(tcase, report_works_with_no_memory_and_every_failure_injected);
	tcase_add_test(tcase, odd_names_of_shrinkers_break_neither_lines_nor_json);
	tcase_add_test(tcase, long_paths_are_cut_at_the_front);
	tcase_add_test(tcase, wrong_arguments_are_refused);
	tcase_add_test(tcase, full_device_gives_its_error);
	tcase_add_test(tcase, closed_pipe_gives_its_error_and_ends_the_walk);
	tcase_add_test(tcase, child_of_fork_is_refused);
	tcase_add_test(tcase, report_of_100000_groups_has_a_line_for_each);
	tcase_add_test(tcase, nobody_waits_for_the_reader_of_a_report);
}

int main(void)
{
	return support_run("report", add_tests);
}
