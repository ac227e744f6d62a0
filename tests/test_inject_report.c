/* SPDX-License-Identifier: MIT */
/* Injected failures: how they are set from outside, and what is said of them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"
#include "support_fault.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

static BHI_NOINLINE void *ask_by_name(void)
{
	void *p = bh_alloc(NULL, 100, 0);

	__asm__ volatile("" ::: "memory");
	return p;
}

static void start_with(void *arg)
{
	struct bh_config config = {.size = ZONE};
	int r;

	setenv("BULKHEAD_FAIL", arg, 1);
	r = bh_init(&config);
	if (!r)
		r = bh_alloc(NULL, 100, 0) ? 0 : -errno;
	_exit(-r);
}

static const struct {
	const char *text;
	int r;
	const char *err;
} starts[] = {
	{"", 0, ""},
	{EVERY_SLAB, ENOMEM, ""},
	{EVERY_SLAB ",interval=2", 0, ""},
	{"slab=1,100,0,-1", 0, ""},
	{"slab=1,100,0", EINVAL,
		"bulkhead: BULKHEAD_FAIL, at \"0\" (byte 11): expected "
		"interval,probability,space,times, all four\n"},
	{"page:min-order=0;slap:times=1", EINVAL,
		"bulkhead: BULKHEAD_FAIL, at \"slap:times=1\" (byte 17): expected slab, "
		"page, syscall or off\n"},
	{"slab:verbose=1\n2", EINVAL,
		"bulkhead: BULKHEAD_FAIL, at \"1?2\" (byte 13): expected 0, 1 or 2\n"},
	{"slab:require=module:nowhere,times=1", EINVAL,
		"bulkhead: BULKHEAD_FAIL, at \"module:nowhere\" (byte 13): no function "
		"or module of this name is loaded\n"},
};

START_TEST(the_variable_is_read_at_the_start)
{
	struct support_output output;

	support_capture(start_with, (void *)(uintptr_t)starts[_i].text, &output);
	ck_assert_int_eq(support_exit_status(&output), starts[_i].r);
	ck_assert_str_eq(output.err, starts[_i].err);
	support_output_fini(&output);
}
END_TEST

static void set_wrong(void *arg)
{
	(void)arg;
	support_start(ZONE);
	support_inject("slab:times=7");
	if (bh_fault_set("slab:times=8;page:times=x") != -EINVAL ||
		support_injected(BH_FAULT_SLAB).times != 7)
		_exit(1);
	_exit(0);
}

START_TEST(a_wrong_text_sets_nothing)
{
	struct support_output output;

	support_capture(set_wrong, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_str_eq(output.err,
		"bulkhead: bh_fault_set, at \"x\" (byte 24): expected a number up to "
		"2147483647, or -1 for no end\n");
	support_output_fini(&output);
}
END_TEST

static char *read_report(enum bh_format format)
{
	static char text[64 * 1024];
	int fd = memfd_create("report", MFD_CLOEXEC);
	ssize_t n;

	ck_assert_int_eq(bh_report_write(fd, format), 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	close(fd);
	return text;
}

START_TEST(the_report_says_what_was_injected)
{
	struct bhi_injection injection;
	char *text;

	support_start(ZONE);
	ck_assert(!support_contains(read_report(BH_TEXT), "Injected failures"));
	support_inject(EVERY_SLAB);
	support_check_failed(ask_by_name());
	support_check_failed(bh_alloc(NULL, 200, BH_NOWARN));
	support_inject("slab:verbose=1");
	support_check_failed(bh_alloc(NULL, 300, 0));
	support_inject("slab:verbose=0");
	support_check_failed(bh_alloc(NULL, 400, 0));
	ck_assert_uint_eq(bhi_injections_count(), 2);
	ck_assert(bhi_injection_read(0, &injection));
	ck_assert_uint_eq(injection.size, 320);
	ck_assert_uint_eq(injection.nr_frames, 0);
	ck_assert(bhi_injection_read(1, &injection));
	ck_assert_uint_gt(injection.nr_frames, 2);
	ck_assert(!bhi_injection_read(2, &injection));
	text = read_report(BH_TEXT);
	ck_assert_msg(support_contains(text,
			      "\nInjected failures\n"
			      "  slab: 4 of 4 eligible requests made to fail; "
			      "probability 100 %, interval 1, space 0, times without "
			      "end\n"),
		"%s", text);
	ck_assert(support_contains(text, ": forcing a failure\n"));
	ck_assert(support_contains(text,
		"name slab, interval 1, probability 100, space 0, times -1; size 112\n"
		"        test_inject_report+0x"));
	text = read_report(BH_JSON);
	ck_assert(support_json_valid(text));
	ck_assert(support_contains(
		text, "\"injecting\": [\n    {\n      \"kind\": \"slab\",\n"));
	ck_assert(support_contains(text, "\"stack\": []"));
	support_inject("off");
	ck_assert(support_contains(read_report(BH_TEXT), "made to fail; off now\n"));
	support_end();
}
END_TEST

static int ask_in_task(void *arg)
{
	(void)arg;
	support_check_failed(bh_alloc(NULL, 100, 0));
	return 0;
}

START_TEST(the_report_says_who_asked_and_how_many_are_left)
{
	const struct bh_task_attr attr = {.name = "asker"};
	struct bh_report report;
	char *text;

	support_start(ZONE);
	support_inject(EVERY_SLAB ",times=3");
	ck_assert_int_eq(bh_task_run(NULL, &attr, ask_in_task, NULL, &report), 0);
	text = read_report(BH_TEXT);
	ck_assert(support_contains(text, "interval 1, space 0, times 2 left\n"));
	ck_assert(support_contains(text, ", task 'asker': forcing a failure\n"));
	support_end();
}
END_TEST

START_TEST(records_are_limited_in_their_rate)
{
	support_start(ZONE);
	support_inject(EVERY_SLAB ",verbose-ratelimit-interval-ms=3600000,"
				  "verbose-ratelimit-burst=3");
	for (int i = 0; i < 10; i++)
		support_check_failed(bh_alloc(NULL, 100, 0));
	ck_assert_uint_eq(bhi_injections_count(), 3);
	support_inject("slab:verbose-ratelimit-interval-ms=0");
	for (int i = 0; i < 40; i++)
		support_check_failed(bh_alloc(NULL, 100, 0));
	ck_assert_uint_eq(bhi_injections_count(), 43);
	support_inject("off");
	support_end();
}
END_TEST

START_TEST(there_are_three_kinds)
{
	struct bh_fault_stat stat;

	support_start(ZONE);
	ck_assert_int_eq(bh_fault_stat((enum bh_fault_kind)3, &stat), -EINVAL);
	ck_assert_int_eq(bh_fault_stat(BH_FAULT_PAGE, NULL), -EINVAL);
	stat = support_injected(BH_FAULT_PAGE);
	ck_assert_int_eq(stat.times, 1);
	ck_assert_uint_eq(stat.interval, 1);
	ck_assert_uint_eq(stat.probability, 0);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, the_variable_is_read_at_the_start, 0, (int)bhi_array_size(starts));
	tcase_add_test(tcase, a_wrong_text_sets_nothing);
	tcase_add_test(tcase, the_report_says_what_was_injected);
	tcase_add_test(tcase, the_report_says_who_asked_and_how_many_are_left);
	tcase_add_test(tcase, records_are_limited_in_their_rate);
	tcase_add_test(tcase, there_are_three_kinds);
}

int main(void)
{
	return support_run("inject_report", add);
}
