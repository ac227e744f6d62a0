/* SPDX-License-Identifier: MIT */
/* What requests that failed leave behind: a count, and a record of one in a while. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "charge/charge.h"
#include "charge/failures.h"
#include "support.h"
#include "support_task.h"

#define MAX (16 * PAGE)

static struct bh_group *parent, *group;

static void start(void)
{
	support_start_tasks(64 * MIB, 0);
	parent = support_limited(NULL, "parent", MAX);
	group = support_group(parent, "group");
}

static void end(void)
{
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}

static void refuse(unsigned flags)
{
	ck_assert_int_eq(bh_charge(group, MAX + PAGE, flags), -ENOMEM);
}

static struct bhi_failure read_failure(unsigned index)
{
	struct bhi_failure failure;

	ck_assert(bhi_failure_read(index, &failure));
	return failure;
}

START_TEST(all_failed_requests_are_counted_and_one_in_ten_seconds_is_told)
{
	struct bhi_failure failure;

	start();
	ck_assert_uint_eq(bhi_failure_interval_ns, 10000000000);
	ck_assert(!bhi_failure_read(0, &failure));
	for (int i = 0; i < 5; i++)
		refuse(0);
	ck_assert_uint_eq(bhi_failures_count(), 5);
	ck_assert(!bhi_failure_read(1, &failure));
	ck_assert_uint_eq(read_failure(0).number, 1);
	ck_assert_uint_eq(read_failure(0).missed, 0);
	/* As if the ten seconds had passed. */
	bhi_failure_interval_ns = 0;
	refuse(0);
	ck_assert_uint_eq(bhi_failures_count(), 6);
	ck_assert_uint_eq(read_failure(0).number, 6);
	ck_assert_uint_eq(read_failure(0).missed, 4);
	ck_assert_uint_eq(read_failure(1).number, 1);
	end();
}
END_TEST

START_TEST(a_record_says_who_asked_for_what_and_which_group_refused)
{
	struct bhi_failure failure;

	start();
	bhi_failure_interval_ns = 0;
	refuse(BH_NORETRY | BH_ZERO);
	failure = read_failure(0);
	ck_assert_str_eq(failure.asker, "");
	ck_assert_str_eq(failure.group, "/parent/group");
	ck_assert_str_eq(failure.over, "/parent");
	ck_assert_uint_eq(failure.size, MAX + PAGE);
	ck_assert_uint_eq(failure.flags, BH_NORETRY | BH_ZERO);
	/* What a scope adds is told too. */
	bh_noreclaim_leave(bh_noreclaim_enter());
	refuse(0);
	ck_assert_uint_eq(read_failure(0).flags, 0);
	(void)bh_noreclaim_enter();
	refuse(0);
	bh_noreclaim_leave(0);
	ck_assert_uint_eq(read_failure(0).flags, BH_NORECLAIM);
	ck_assert_int_eq(bh_charge(NULL, 65 * MIB, BH_ATOMIC), -ENOMEM);
	ck_assert_str_eq(read_failure(0).group, "/");
	ck_assert_str_eq(read_failure(0).over, "/");
	ck_assert_uint_eq(bhi_failures_count(), 4);
	end();
}
END_TEST

static int ask(void *arg)
{
	return bh_malloc(*(size_t *)arg) ? 1 : 0;
}

START_TEST(private_memory_that_is_refused_is_told_and_a_victim_is_not)
{
	size_t size = MAX + PAGE;
	struct bh_report report;
	struct bhi_failure failure;

	start();
	bhi_failure_interval_ns = 0;
	ck_assert_int_eq(bh_task_run(group, &(struct bh_task_attr){.name = "parser"}, ask,
				 &size, &report),
		-ECANCELED);
	ck_assert_uint_eq(bhi_failures_count(), 0);
	support_set(parent, BH_ON_LIMIT, BH_FAIL);
	ck_assert_int_eq(bh_task_run(group, &(struct bh_task_attr){.name = "parser"}, ask,
				 &size, &report),
		0);
	ck_assert_int_eq(report.value, 0);
	ck_assert_uint_eq(bhi_failures_count(), 1);
	failure = read_failure(0);
	ck_assert_str_eq(failure.asker, "parser");
	ck_assert_uint_ge(failure.size, size);
	ck_assert_uint_eq(failure.flags, BHI_CHARGE_PRIVATE);
	end();
}
END_TEST

START_TEST(requests_that_expect_it_leave_nothing)
{
	struct bhi_failure failure;

	start();
	refuse(BH_NOWARN);
	refuse(BH_NOWAIT);
	refuse(BH_NORETRY | BH_NOWARN);
	ck_assert_uint_eq(bhi_failures_count(), 0);
	ck_assert(!bhi_failure_read(0, &failure));
	end();
}
END_TEST

/* A large slab is tried before a small one; that is no request of anybody's. */
START_TEST(only_the_allocation_that_returns_null_is_counted)
{
	unsigned nr = 0;

	start();
	support_set(parent, BH_MAX, MIB);
	while (bh_alloc(group, 500, 0))
		nr++;
	ck_assert_uint_gt(nr, 1500);
	ck_assert_uint_eq(bhi_failures_count(), 1);
	ck_assert_ptr_null(bh_alloc(group, 2 * MIB, 0));
	ck_assert_uint_eq(bhi_failures_count(), 2);
	ck_assert_int_eq(bh_group_drop(group), 0);
	end();
}
END_TEST

START_TEST(the_ring_keeps_the_last_eight)
{
	struct bhi_failure failure;

	start();
	bhi_failure_interval_ns = 0;
	for (int i = 0; i < BHI_FAILURES + 3; i++)
		refuse(0);
	ck_assert_uint_eq(read_failure(0).number, BHI_FAILURES + 3);
	ck_assert_uint_eq(read_failure(BHI_FAILURES - 1).number, 4);
	ck_assert(!bhi_failure_read(BHI_FAILURES, &failure));
	end();
}
END_TEST

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

static void expect(enum bh_format format, const char *const *parts)
{
	char *text = report(format);

	if (format == BH_JSON)
		ck_assert(support_json_valid(text));
	for (; *parts; parts++)
		ck_assert_msg(
			support_contains(text, *parts), "no '%s' in:\n%s", *parts, text);
	free(text);
}

START_TEST(the_report_tells_them_as_text_and_as_json)
{
	static const char *const text[] = {
		"\nFailed requests, 4 in all, one in 10 s told\n  #4, ",
		" ago: a thread outside of tasks asked for 68K for /parent/group"
		", BH_NORETRY, BH_NORECLAIM; /parent was full; 2 before it not told\n",
		" asked for 68K for /parent/group; /parent was full\n", NULL};
	static const char *const json[] = {"\"failed_requests\": 4", "\"failures\": [",
		"\"number\": 4", "\"not_told\": 2", "\"asker\": null", "\"asked\": 69632",
		"\"group\": \"/parent/group\"", "\"over\": \"/parent\"",
		"\"private\": false", "\"BH_NORETRY\"", "\"BH_NORECLAIM\"",
		"\"number\": 1", "\"flags\": []", NULL};
	static const char *const none[] = {
		"\"failed_requests\": 0", "\"failures\": []", NULL};
	char *before;

	start();
	expect(BH_JSON, none);
	before = report(BH_TEXT);
	ck_assert(!support_contains(before, "Failed requests"));
	free(before);
	for (int i = 0; i < 3; i++)
		refuse(0);
	bhi_failure_interval_ns = 0;
	refuse(BH_NORETRY | BH_NORECLAIM);
	expect(BH_TEXT, text);
	expect(BH_JSON, json);
	end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, all_failed_requests_are_counted_and_one_in_ten_seconds_is_told);
	tcase_add_test(tcase, a_record_says_who_asked_for_what_and_which_group_refused);
	tcase_add_test(tcase, private_memory_that_is_refused_is_told_and_a_victim_is_not);
	tcase_add_test(tcase, requests_that_expect_it_leave_nothing);
	tcase_add_test(tcase, only_the_allocation_that_returns_null_is_counted);
	tcase_add_test(tcase, the_ring_keeps_the_last_eight);
	tcase_add_test(tcase, the_report_tells_them_as_text_and_as_json);
}

int main(void)
{
	return support_run("charge_failures", add);
}
