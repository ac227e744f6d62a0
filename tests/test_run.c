/* SPDX-License-Identifier: MIT */
/* Objects of whole pages: bh_alloc_pages, and what bh_alloc serves by the page. */
#include <errno.h>
#include <string.h>

#include "alloc/buddy.h"
#include "alloc/run.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE      (64 * MIB)
#define NR_ORDERS (BH_MAX_ORDER + 1)

static char *take(struct bh_group *group, unsigned order, unsigned flags)
{
	char *p = bh_alloc_pages(group, order, flags);

	ck_assert_ptr_nonnull(p);
	return p;
}

START_TEST(pages_of_every_order_are_aligned_to_their_size_and_charged_exactly)
{
	struct bh_group *group;
	char *pages[NR_ORDERS];
	uint64_t sum = 0;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		size_t size = BH_PAGE_SIZE << order;

		pages[order] = take(group, order, 0);
		ck_assert_uint_eq((uintptr_t)pages[order] % size, 0);
		ck_assert_uint_eq(bh_usable_size(pages[order]), size);
		ck_assert_ptr_eq(bh_group_of(pages[order]), group);
		memset(pages[order], 0xff, size);
		sum += size;
		ck_assert_uint_eq(support_usage(group), sum);
	}
	ck_assert_int_eq(bh_audit(), 0);
	for (unsigned order = 0; order < NR_ORDERS; order++)
		ck_assert_int_eq(bh_free_pages(pages[order], order), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(pages_are_freed_only_with_the_order_they_were_taken_with)
{
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		char *p = take(group, order, 0);

		for (unsigned other = 0; other <= NR_ORDERS + 1; other++) {
			if (other != order)
				ck_assert_int_eq(bh_free_pages(p, other), -EINVAL);
		}
		/* Debug builds report what is no pointer to pages: test_misuse. */
		if (order && !BH_DEBUG)
			ck_assert_int_eq(
				bh_free_pages(p + BH_PAGE_SIZE, order - 1), -EINVAL);
		ck_assert_uint_eq(support_usage(group), BH_PAGE_SIZE << order);
		ck_assert_int_eq(bh_free_pages(p, order), 0);
		if (!BH_DEBUG)
			ck_assert_int_eq(bh_free_pages(p, order), -EINVAL);
	}
	ck_assert_int_eq(bh_free_pages(NULL, 3), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(pages_and_objects_are_freed_by_each_others_functions_where_they_agree)
{
	char *p;

	support_start(ZONE);
	bh_free(take(NULL, 0, 0));
	bh_free(take(NULL, 5, 0));
	p = bh_alloc(NULL, 256 * KIB, 0);
	ck_assert_int_eq(bh_free_pages(p, 6), 0);
	p = bh_alloc(NULL, 257 * KIB, 0);
	ck_assert_int_eq(bh_free_pages(p, 7), -EINVAL);
	bh_free(p);
	p = bh_alloc(NULL, 100, 0);
	ck_assert_int_eq(bh_free_pages(p, 0), -EINVAL);
	bh_free(p);
	support_end();
}
END_TEST

START_TEST(orders_above_the_highest_are_refused)
{
	support_start(ZONE);
	for (unsigned order = NR_ORDERS; order < 100; order++) {
		errno = 0;
		ck_assert_ptr_null(bh_alloc_pages(NULL, order, 0));
		ck_assert_int_eq(errno, EINVAL);
	}
	errno = 0;
	ck_assert_ptr_null(bh_alloc_pages(NULL, (unsigned)-1, 0));
	ck_assert_int_eq(errno, EINVAL);
	support_end();
}
END_TEST

/*
 * The struct behind that of a block's last page belongs to another block, which may not
 * be there: every page of the first blocks is a run of its own.
 */
START_TEST(every_page_of_a_block_can_be_a_run_the_last_one_included)
{
	enum {
		NR = 3 * BHI_BLOCK_PAGES
	};
	static char *pages[NR];
	bool last = false;

	support_start(ZONE);
	for (int i = 0; i < NR; i++) {
		pages[i] = take(NULL, 0, 0);
		ck_assert_uint_eq(bh_usable_size(pages[i]), BH_PAGE_SIZE);
		ck_assert_int_eq(bh_free_pages(pages[i], 1), -EINVAL);
		last |= bhi_page_number(pages[i]) + 1 == bhi_window.nr_known;
	}
	ck_assert(last);
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 0; i < NR; i++)
		ck_assert_int_eq(bh_free_pages(pages[i], 0), 0);
	support_end();
}
END_TEST

START_TEST(runs_of_any_number_of_pages_do_not_overlap)
{
	enum {
		NR = 200
	};
	char *runs[NR];

	support_start(ZONE);
	for (int i = 0; i < NR; i++) {
		runs[i] = bh_alloc(NULL, 132 * KIB + (size_t)i * 1000, 0);
		ck_assert_ptr_nonnull(runs[i]);
		memset(runs[i], i, bh_usable_size(runs[i]));
	}
	for (int i = 0; i < NR; i++) {
		size_t size = bh_usable_size(runs[i]);

		ck_assert(runs[i][0] == (char)i && runs[i][size - 1] == (char)i);
		/* The rest is no different: one byte of each page. */
		for (size_t at = 0; at < size; at += BH_PAGE_SIZE)
			ck_assert(runs[i][at] == (char)i);
	}
	for (int i = 0; i < NR; i++)
		bh_free(runs[i * 7 % NR]);
	support_end();
}
END_TEST

START_TEST(pages_of_a_run_that_is_freed_serve_others_and_read_zero_if_asked)
{
	char *run;

	support_start(ZONE);
	for (int round = 0; round < 3; round++) {
		run = bh_alloc(NULL, 40 * MIB, BH_ZERO);
		ck_assert_ptr_nonnull(run);
		for (size_t at = 0; at < 40 * MIB; at += BH_PAGE_SIZE) {
			ck_assert(!run[at] && !run[at + 4095]);
			run[at] = run[at + 4095] = 1;
		}
		bh_free(run);
		for (unsigned order = 0; order < NR_ORDERS; order++) {
			char *p = take(NULL, order, BH_ZERO);

			for (size_t at = 0; at < BH_PAGE_SIZE << order; at += 4095)
				ck_assert(!p[at]);
			memset(p, 1, BH_PAGE_SIZE << order);
			bh_free(p);
		}
	}
	support_end();
}
END_TEST

START_TEST(a_run_larger_than_what_decays_in_peace_goes_back_at_once)
{
	struct bhi_buddy_stat stat;
	char *run;

	support_start(256 * MIB);
	run = bh_alloc(NULL, 100 * MIB, 0);
	ck_assert_ptr_nonnull(run);
	memset(run, 1, 100 * MIB);
	bh_free(run);
	bhi_buddy_stat(&stat);
	ck_assert_uint_lt(stat.dirty, MIB);
	support_end();
}
END_TEST

START_TEST(runs_are_found_in_the_list_of_their_group_wherever_they_stand)
{
	enum {
		NR = 5
	};
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	/* Which of five is unlinked first, second, ...: every order of two. */
	for (int first = 0; first < NR; first++) {
		for (int second = 0; second < NR; second++) {
			char *runs[NR];

			for (int i = 0; i < NR; i++)
				runs[i] = take(group, 1, 0);
			bh_free(runs[first]);
			if (second != first)
				bh_free(runs[second]);
			ck_assert_int_eq(bh_audit(), 0);
			for (int i = 0; i < NR; i++) {
				if (i != first && i != second)
					bh_free(runs[i]);
			}
			ck_assert_uint_eq(group->runs, BHI_NO_PAGE);
		}
	}
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(runs_of_a_group_that_was_deleted_can_be_freed_and_count_for_its_parent)
{
	struct bh_group *parent, *child;
	char *p, *q;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	child = support_group(parent, "child");
	p = take(child, 3, 0);
	q = bh_alloc(child, 300000, 0);
	bh_group_put(child);
	ck_assert_uint_eq(support_usage(parent), 8 * PAGE + bhi_page_align(300000));
	ck_assert_uint_eq(support_stat(parent).left_behind, support_usage(parent));
	ck_assert_int_eq(bh_free_pages(p, 3), 0);
	bh_free(q);
	ck_assert_uint_eq(support_usage(parent), 0);
	ck_assert_uint_eq(support_stat(parent).left_behind, 0);
	bh_group_put(parent);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase,
		pages_of_every_order_are_aligned_to_their_size_and_charged_exactly);
	tcase_add_test(tcase, pages_are_freed_only_with_the_order_they_were_taken_with);
	tcase_add_test(tcase,
		pages_and_objects_are_freed_by_each_others_functions_where_they_agree);
	tcase_add_test(tcase, orders_above_the_highest_are_refused);
	tcase_add_test(tcase, every_page_of_a_block_can_be_a_run_the_last_one_included);
	tcase_add_test(tcase, runs_of_any_number_of_pages_do_not_overlap);
	tcase_add_test(
		tcase, pages_of_a_run_that_is_freed_serve_others_and_read_zero_if_asked);
	tcase_add_test(tcase, a_run_larger_than_what_decays_in_peace_goes_back_at_once);
	tcase_add_test(
		tcase, runs_are_found_in_the_list_of_their_group_wherever_they_stand);
	tcase_add_test(tcase,
		runs_of_a_group_that_was_deleted_can_be_freed_and_count_for_its_parent);
}

int main(void)
{
	return support_run("run", add);
}
