/* SPDX-License-Identifier: MIT */
/* The text that sets injected failures, and the filters of the kinds that it sets. */
#include <errno.h>
#include <string.h>

#include "debug/fault_parse.h"
#include "support.h"

static const struct {
	enum bh_fault_kind kind;
	const char *settings;
	size_t size;
	unsigned flags;
	bool is_eligible;
} filters[] = {
	/* slab: requests that may wait are left alone, unless it is said */
	{BH_FAULT_SLAB, "", 64, 0, false},
	{BH_FAULT_SLAB, "", 64, BH_NORETRY, false},
	{BH_FAULT_SLAB, "", 64, BH_ATOMIC, true},
	{BH_FAULT_SLAB, "", 64, BH_NOWAIT, true},
	{BH_FAULT_SLAB, "slab:ignore-gfp-wait=N", 64, 0, true},
	{BH_FAULT_SLAB, "slab:ignore-gfp-wait=N", 64, BH_NOFAIL, false},
	{BH_FAULT_SLAB, "slab:cache-filter=Y", 64, BH_ATOMIC, false},
	{BH_FAULT_SLAB, "slab:cache-filter=Y", 64, BH_ATOMIC | BHI_FAULT_IN_MARKED, true},
	{BH_FAULT_SLAB, "slab:cache-filter=Y", 64, BHI_FAULT_IN_MARKED, false},
	{BH_FAULT_SLAB, "", 64, BH_ATOMIC | BHI_FAULT_IN_MARKED, true},
	/* page: and single pages, and private ones */
	{BH_FAULT_PAGE, "", 0, BH_ATOMIC, false},
	{BH_FAULT_PAGE, "", 1, BH_ATOMIC, true},
	{BH_FAULT_PAGE, "", 1, 0, false},
	{BH_FAULT_PAGE, "page:min-order=0", 0, BH_ATOMIC, true},
	{BH_FAULT_PAGE, "page:min-order=3", 2, BH_ATOMIC, false},
	{BH_FAULT_PAGE, "page:min-order=3", 3, BH_ATOMIC, true},
	{BH_FAULT_PAGE, "page:ignore-gfp-wait=N", 1, 0, true},
	{BH_FAULT_PAGE, "page:ignore-gfp-wait=N", 1, BH_NOFAIL, false},
	{BH_FAULT_PAGE, "page:ignore-gfp-wait=N", 1, BHI_FAULT_PRIVATE, false},
	{BH_FAULT_PAGE, "page:ignore-gfp-highmem=N", 1, BHI_FAULT_PRIVATE, false},
	{BH_FAULT_PAGE, "page:ignore-gfp-highmem=N,ignore-gfp-wait=N", 1,
		BHI_FAULT_PRIVATE, true},
	/* syscall: all three, or those that are named */
	{BH_FAULT_SYSCALL, "", 4096, BHI_FAULT_MMAP, true},
	{BH_FAULT_SYSCALL, "", 4096, BHI_FAULT_BRK, true},
	{BH_FAULT_SYSCALL, "syscall:calls=brk", 4096, BHI_FAULT_MMAP, false},
	{BH_FAULT_SYSCALL, "syscall:calls=brk+mremap", 4096, BHI_FAULT_MREMAP, true},
	{BH_FAULT_SYSCALL, "syscall:calls=brk+mremap", 4096, BHI_FAULT_MMAP, false},
};

START_TEST(filters_of_kinds_come_first)
{
	struct bhi_fault_filter filter = BHI_FAULT_FILTER_INIT;
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	struct bhi_fault_changes changes;

	ck_assert_int_eq(bhi_fault_parse(filters[_i].settings, &changes), 0);
	for (unsigned i = 0; i < changes.nr; i++)
		bhi_fault_apply(&changes.array[i], &attr, &filter);
	ck_assert(bhi_fault_is_eligible(filters[_i].kind, &filter, filters[_i].size,
			  filters[_i].flags) == filters[_i].is_eligible);
}
END_TEST

/* Texts that are right, and what becomes of one value. */
static const struct {
	const char *text;
	enum bh_fault_kind kind;
	enum bhi_fault_knob knob;
	uint64_t value;
	unsigned nr;
} right[] = {
	{"slab:probability=10", BH_FAULT_SLAB, BHI_FAULT_PROBABILITY, 10, 1},
	{"slab:interval=7,times=-1", BH_FAULT_SLAB, BHI_FAULT_TIMES, (uint64_t)-1, 2},
	{"page:space=4K;slab:verbose=1", BH_FAULT_SLAB, BHI_FAULT_VERBOSE, 1, 2},
	{"page:space=4K", BH_FAULT_PAGE, BHI_FAULT_SPACE, 4096, 1},
	{";;page:min-order=0;", BH_FAULT_PAGE, BHI_FAULT_MIN_ORDER, 0, 1},
	{"page:task-filter=Y", BH_FAULT_PAGE, BHI_FAULT_TASK_FILTER, 1, 1},
	{"page:task-filter=0", BH_FAULT_PAGE, BHI_FAULT_TASK_FILTER, 0, 1},
	{"syscall:seed=18446744073709551615", BH_FAULT_SYSCALL, BHI_FAULT_SEED,
		UINT64_MAX, 1},
	{"syscall:calls=mmap+brk", BH_FAULT_SYSCALL, BHI_FAULT_CALLS,
		BHI_FAULT_MMAP | BHI_FAULT_BRK, 1},
	{"slab:stacktrace-depth=99", BH_FAULT_SLAB, BHI_FAULT_DEPTH, 99, 1},
	{"slab:verbose-ratelimit-interval-ms=5,verbose-ratelimit-burst=6", BH_FAULT_SLAB,
		BHI_FAULT_RATELIMIT_BURST, 6, 2},
	{"slab:off", BH_FAULT_SLAB, BHI_FAULT_OFF, 0, 1},
	{"off", BH_FAULT_SYSCALL, BHI_FAULT_OFF, 0, 3},
	{"", BH_FAULT_SLAB, BHI_FAULT_OFF, 0, 0},
	/* interval, probability, space, times */
	{"failslab=2,30,400,-1", BH_FAULT_SLAB, BHI_FAULT_INTERVAL, 2, 4},
	{"failslab=2,30,400,-1", BH_FAULT_SLAB, BHI_FAULT_PROBABILITY, 30, 4},
	{"slab=2,30,400,-1", BH_FAULT_SLAB, BHI_FAULT_SPACE, 400, 4},
	{"fail_page_alloc=2,30,400,5;slab:verbose=0", BH_FAULT_PAGE, BHI_FAULT_TIMES, 5,
		5},
	{"slab:require=0x1000-0x2000,require=0xA-0xb", BH_FAULT_SLAB, BHI_FAULT_REQUIRE,
		1, 2},
};

START_TEST(a_right_text_is_read)
{
	struct bhi_fault_changes changes;
	bool found = !right[_i].nr;

	ck_assert_int_eq(bhi_fault_parse(right[_i].text, &changes), 0);
	ck_assert_uint_eq(changes.nr, right[_i].nr);
	for (unsigned i = 0; i < changes.nr; i++)
		found |= changes.array[i].kind == right[_i].kind &&
			 changes.array[i].knob == right[_i].knob &&
			 changes.array[i].value == right[_i].value;
	ck_assert_msg(found, "%s", right[_i].text);
}
END_TEST

/* Texts that are wrong, where, and what is said. */
static const struct {
	const char *text;
	size_t where;
	const char *what;
} wrong[] = {
	{"slap:probability=10", 0, "expected slab, page, syscall or off"},
	{"slab", 0, "expected ':' and settings behind this"},
	{"slab,page", 0, "expected ':' and settings behind this"},
	{"slab:", 5, "there is no such setting here"},
	{"slab:probabilty=1", 5, "there is no such setting here"},
	{"slab:min-order=1", 5, "there is no such setting here"},
	{"page:cache-filter=Y", 5, "there is no such setting here"},
	{"slab:probability", 5, "expected '=' and a value behind this"},
	{"slab:probability=", 17, "expected a percentage, 0 to 100"},
	{"slab:probability=101", 17, "expected a percentage, 0 to 100"},
	{"slab:probability=1%", 17, "expected a percentage, 0 to 100"},
	{"slab:times=-2", 11, "expected a number up to 2147483647, or -1 for no end"},
	{"slab:times=2147483648", 11,
		"expected a number up to 2147483647, or -1 for no end"},
	{"slab:task-filter=yes", 17, "expected Y or N"},
	{"slab:space=4Q", 11, "expected a size"},
	{"slab:verbose=3", 13, "expected 0, 1 or 2"},
	{"syscall:calls=open", 14,
		"expected mmap, mremap or brk, several with '+' between"},
	{"syscall:calls=mmap+", 14,
		"expected mmap, mremap or brk, several with '+' between"},
	{"slab:require=module:nowhere", 13,
		"no function or module of this name is loaded"},
	{"slab:reject=nowhere_at_all", 12,
		"no function or module of this name is loaded"},
	{"slab:reject=0x12", 12, "no function or module of this name is loaded"},
	{"slab:reject=0x-0x12", 12, "no function or module of this name is loaded"},
	{"slab:off=1", 5, "there is no such setting here"},
	{"slab=1,2,3", 9, "expected interval,probability,space,times, all four"},
	{"slab=", 5, "expected a number, 0 to 4294967295"},
	{"slab=1,2,3,4,5", 12, "expected ';' or the end here"},
	{"slab=1,200,3,4", 7, "expected a percentage, 0 to 100"},
	{"page:min-order=0;;slab:x=1", 23, "there is no such setting here"},
	{"slab:require=0x1-0x2,require=0x1-0x2,require=0x1-0x2,require=0x1-0x2,"
	 "require=0x1-0x2",
		77, "these are more than 4 of one kind"},
};

START_TEST(a_wrong_text_is_refused_with_what_and_where)
{
	struct bhi_fault_changes changes;

	ck_assert_int_eq(bhi_fault_parse(wrong[_i].text, &changes), -EINVAL);
	ck_assert_str_eq(changes.what, wrong[_i].what);
	ck_assert_uint_eq(changes.where, wrong[_i].where);
}
END_TEST

START_TEST(too_much_text_is_refused)
{
	char text[16 * (BHI_FAULT_CHANGES + 1) + 1] = "", word[700];
	struct bhi_fault_changes changes;

	for (int i = 0; i <= BHI_FAULT_CHANGES; i++)
		strcat(text, "slab:verbose=1;");
	ck_assert_int_eq(bhi_fault_parse(text, &changes), -EINVAL);
	ck_assert_str_eq(changes.what, "these are too many settings");
	memset(word, 'x', sizeof(word));
	word[sizeof(word) - 1] = '\0';
	ck_assert_int_eq(bhi_fault_parse(word, &changes), -EINVAL);
	ck_assert_str_eq(changes.what, "this is too long");
}
END_TEST

/* Whatever the text, all of it is read or it is refused inside of it. */
START_TEST(no_text_is_too_much_for_the_reader)
{
	static const char *const parts[] = {"slab", "page", "syscall", "off", ":", "=",
		",", ";", "+", "-1", "0x", "1", "99", "Y", "probability", "times",
		"space", "4K", "require", "min-order", "calls", "mmap", "task-filter",
		"-", "\xff", "module:", "failslab=1,2,3,4"};
	struct bhi_fault_filter filter = BHI_FAULT_FILTER_INIT;
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	uint64_t random = 1;

	for (int i = 0; i < 20000; i++) {
		struct bhi_fault_changes changes;
		char text[400] = "";

		do {
			random = random * 6364136223846793005u + 1442695040888963407u;
			strcat(text, parts[(random >> 33) % bhi_array_size(parts)]);
		} while ((random >> 60) && strlen(text) < sizeof(text) - 40);
		if (!bhi_fault_parse(text, &changes)) {
			ck_assert_uint_le(changes.nr, BHI_FAULT_CHANGES);
			for (unsigned j = 0; j < changes.nr; j++)
				bhi_fault_apply(&changes.array[j], &attr, &filter);
			continue;
		}
		ck_assert_ptr_nonnull(changes.what);
		ck_assert_uint_le(changes.where, strlen(text));
	}
}
END_TEST

START_TEST(what_is_not_named_stays_and_off_is_the_defaults)
{
	struct bhi_fault_filter filter = BHI_FAULT_FILTER_INIT;
	struct bhi_fault_attr attr = BHI_FAULT_ATTR_INIT;
	struct bhi_fault_changes changes;

	ck_assert_int_eq(bhi_fault_parse("slab:times=9;slab:probability=3,"
					 "reject=0x1-0x2,reject=0x3-0x4",
				 &changes),
		0);
	for (unsigned i = 0; i < changes.nr; i++)
		bhi_fault_apply(&changes.array[i], &attr, &filter);
	ck_assert_int_eq(attr.times, 9);
	ck_assert_uint_eq(attr.probability, 3);
	ck_assert_uint_eq(attr.interval, 1);
	ck_assert_uint_eq(attr.nr_reject, 2);
	ck_assert_uint_eq(attr.reject[1].start, 3);
	/* A later one replaces both. */
	ck_assert_int_eq(bhi_fault_parse("slab:reject=0x5-0x6", &changes), 0);
	bhi_fault_apply(&changes.array[0], &attr, &filter);
	ck_assert_uint_eq(attr.nr_reject, 1);
	ck_assert_uint_eq(attr.reject[0].start, 5);
	bhi_fault_reset(&attr, &filter);
	ck_assert_int_eq(attr.times, 1);
	ck_assert_uint_eq(attr.probability, 0);
	ck_assert_uint_eq(attr.nr_reject, 0);
	ck_assert_uint_eq(attr.verbose, 2);
	ck_assert_uint_eq(filter.min_order, 1);
	ck_assert_uint_eq(filter.ignore_wait, 1);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, filters_of_kinds_come_first, 0, (int)bhi_array_size(filters));
	tcase_add_loop_test(tcase, a_right_text_is_read, 0, (int)bhi_array_size(right));
	tcase_add_loop_test(tcase, a_wrong_text_is_refused_with_what_and_where, 0,
		(int)bhi_array_size(wrong));
	tcase_add_test(tcase, too_much_text_is_refused);
	tcase_add_test(tcase, no_text_is_too_much_for_the_reader);
	tcase_add_test(tcase, what_is_not_named_stays_and_off_is_the_defaults);
}

int main(void)
{
	return support_run("fault_parse", add);
}
