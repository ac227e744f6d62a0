/* SPDX-License-Identifier: MIT */
/* The rows were worked out by hand from kernel documentation, cgroup-v2.rst and the
 * comments of mm/page_counter.c. */
#include "account/protection.h"
#include "support.h"

#define G ((int64_t)1 << 30)
#define M ((int64_t)1 << 20)

START_TEST(the_effective_protection_as_a_table)
{
	static const struct {
		int64_t usage, parent_usage, setting, parent_effective, siblings,
			expected;
	} rows[] = {
		/* Nothing is asked for, nothing is given. */
		{0, 0, 0, 0, 0, 0},
		{10, 10, 0, 0, 0, 0},
		{10, 10, 50, 0, 10, 0},
		/* All claims fit: each has what it claims, no more than it uses. */
		{10, 10, 5, 5, 5, 5},
		{10, 30, 50, 30, 30, 10},
		{100, 200, 50, 100, 100, 50},
		/* Claims exceed what the parent has: in proportion to the claims. */
		{100, 200, 100, 100, 200, 50},
		{100, 300, 100, 100, 300, 33},
		{30, 100, 30, 50, 100, 15},
		{70, 100, 70, 50, 100, 35},
		/* More is wanted than is used: only what is used is a claim. */
		{20, 100, 80, 50, 100, 10},
		/* Unclaimed protection goes to unprotected usage, in its proportion. */
		{100, 100, 0, 40, 0, 40},
		{75, 100, 0, 40, 0, 30},
		{25, 100, 0, 40, 0, 10},
		{50, 100, 20, 40, 20, 20 + 20 * 30 / 80},
		{50, 100, 0, 40, 20, 20 * 50 / 80},
		/* All usage is claimed already: the rest goes to nobody. */
		{20, 20, 20, 40, 20, 20},
		/* The sum of claims may lag behind the parent's usage. */
		{50, 20, 20, 40, 30, 20},
		/* No overflow: these products have 126 bits. */
		{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
		{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX / 2, INT64_MAX,
			INT64_MAX / 2},
		{INT64_MAX, INT64_MAX, 0, INT64_MAX, 0, INT64_MAX},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++)
		ck_assert_msg(
			bhi_protection_effective(rows[i].usage, rows[i].parent_usage,
				rows[i].setting, rows[i].parent_effective,
				rows[i].siblings) == rows[i].expected,
			"row %zu", i);
}
END_TEST

static struct bhi_counter root, a, child[4];

static void start(void)
{
	ck_assert_int_eq(bhi_zone_init(16 * (uint64_t)G, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	bhi_counter_init(&root, NULL);
	root.max = (int64_t)bhi_zone.size;
	bhi_counter_init(&a, &root);
	for (int i = 0; i < 4; i++)
		bhi_counter_init(&child[i], &a);
}

static void charge(struct bhi_counter *counter, int64_t size)
{
	struct bhi_counter *over;

	ck_assert(bhi_counter_try_charge(counter, size, BHI_RESERVE_NONE, false, &over));
}

static void update_all(struct bhi_counter *target)
{
	if (target == &root)
		bhi_protection_update(target, &root);
	bhi_protection_update(target, &a);
	for (int i = 0; i < 4; i++)
		bhi_protection_update(target, &child[i]);
}

/* A has low 2G and uses 6G; B to E want 3G, 1G, 0 and 10G and use 2G, 2G, 2G and 0. */
START_TEST(children_share_what_their_parent_has_as_in_the_kernels_example)
{
	static const int64_t low[] = {3 * G, G, 0, 10 * G};
	static const int64_t usage[] = {2 * G, 2 * G, 2 * G, 0};

	start();
	bhi_counter_set_low(&a, 2 * G);
	for (int i = 0; i < 4; i++) {
		bhi_counter_set_low(&child[i], low[i]);
		if (usage[i])
			charge(&child[i], usage[i]);
	}
	update_all(&root);
	ck_assert_int_eq(a.elow, 2 * G);
	ck_assert_int_eq(child[0].elow, 2 * G * 2 / 3);
	ck_assert_int_eq(child[1].elow, G * 2 / 3);
	ck_assert_int_eq(child[2].elow, 0);
	ck_assert_int_eq(a.emin + child[0].emin + child[1].emin + child[2].emin, 0);
}
END_TEST

/* The figures of test_memcontrol, 1 MiB standing for 1 MB. */
START_TEST(min_is_shared_as_the_memory_controller_test_sets_it_up)
{
	static const int64_t min[] = {75 * M, 25 * M, 0, 500 * M};

	start();
	bhi_counter_set_min(&a, 50 * M);
	for (int i = 0; i < 4; i++) {
		bhi_counter_set_min(&child[i], min[i]);
		if (i < 3)
			charge(&child[i], 50 * M);
	}
	update_all(&root);
	ck_assert_int_eq(a.emin, 50 * M);
	ck_assert_int_eq(child[0].emin, 50 * M * 50 / 75);
	ck_assert_int_eq(child[1].emin, 25 * M * 50 / 75);
	ck_assert_int_eq(child[2].emin, 0);
	/* Nothing is used there, so all of it would be left alone. */
	ck_assert_int_eq(child[3].emin, 500 * M);
}
END_TEST

START_TEST(the_target_of_a_reclaim_has_no_protection_and_its_children_their_own)
{
	start();
	bhi_counter_set_min(&a, 10 * M);
	bhi_counter_set_low(&a, 20 * M);
	bhi_counter_set_min(&child[0], 75 * M);
	bhi_counter_set_low(&child[0], 80 * M);
	charge(&child[0], 50 * M);
	update_all(&a);
	ck_assert_int_eq(a.emin, 0);
	ck_assert_int_eq(a.elow, 0);
	ck_assert_int_eq(child[0].emin, 75 * M);
	ck_assert_int_eq(child[0].elow, 80 * M);
	update_all(&root);
	ck_assert_int_eq(child[0].emin, 10 * M);
	ck_assert_int_eq(child[0].elow, 20 * M);
	ck_assert_int_eq(root.emin + root.elow, 0);
}
END_TEST

START_TEST(a_parents_protection_reaches_children_that_ask_for_none)
{
	start();
	bhi_counter_set_low(&a, 40 * M);
	charge(&child[0], 75 * M);
	charge(&child[1], 25 * M);
	update_all(&root);
	ck_assert_int_eq(child[0].elow, 30 * M);
	ck_assert_int_eq(child[1].elow, 10 * M);
	/* A claim comes first. */
	bhi_counter_set_low(&child[1], 20 * M);
	update_all(&root);
	ck_assert_int_eq(child[0].elow, 20 * M * 75 / 80);
	ck_assert_int_eq(child[1].elow, 20 * M + 20 * M * 5 / 80);
}
END_TEST

static void expect_read(
	const struct bhi_counter *counter, int64_t expected_min, int64_t expected_low)
{
	int64_t emin, elow;

	bhi_protection_read(counter, &emin, &elow);
	ck_assert_int_eq(emin, expected_min);
	ck_assert_int_eq(elow, expected_low);
}

START_TEST(reading_gives_what_reclaim_from_the_root_would_find_and_stores_nothing)
{
	struct bhi_counter grandchild;

	start();
	bhi_counter_init(&grandchild, &child[0]);
	bhi_counter_set_min(&a, 10 * M);
	bhi_counter_set_low(&a, 20 * M);
	bhi_counter_set_min(&child[0], 75 * M);
	bhi_counter_set_low(&grandchild, 5 * M);
	bhi_counter_set_min(&child[1], 75 * M);
	charge(&grandchild, 50 * M);
	charge(&child[1], 50 * M);
	expect_read(&root, 0, 0);
	expect_read(&a, 10 * M, 20 * M);
	expect_read(&child[0], 5 * M, 10 * M);
	expect_read(&grandchild, 5 * M, 5 * M + 5 * M);
	ck_assert_int_eq(a.emin + child[0].emin + grandchild.emin, 0);
	update_all(&root);
	bhi_protection_update(&root, &grandchild);
	ck_assert_int_eq(child[0].emin, 5 * M);
	ck_assert_int_eq(grandchild.emin, 5 * M);
	ck_assert_int_eq(grandchild.elow, 10 * M);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, the_effective_protection_as_a_table);
	tcase_add_test(
		tcase, children_share_what_their_parent_has_as_in_the_kernels_example);
	tcase_add_test(tcase, min_is_shared_as_the_memory_controller_test_sets_it_up);
	tcase_add_test(tcase,
		the_target_of_a_reclaim_has_no_protection_and_its_children_their_own);
	tcase_add_test(tcase, a_parents_protection_reaches_children_that_ask_for_none);
	tcase_add_test(tcase,
		reading_gives_what_reclaim_from_the_root_would_find_and_stores_nothing);
}

int main(void)
{
	return support_run("protection", add_tests);
}
