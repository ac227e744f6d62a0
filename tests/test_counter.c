/* SPDX-License-Identifier: MIT */
/* The counters alone: no group, no stock, no reclaim. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "account/counter.h"
#include "account/waiters.h"
#include "base/bug.h"
#include "support.h"

#define ZONE      ((uint64_t)16 << 20)
#define NR_LEVELS 4

/* A chain, root first. */
static struct bhi_counter chain[NR_LEVELS];
static struct bhi_counter *const root = &chain[0];
static struct bhi_counter *const leaf = &chain[NR_LEVELS - 1];

static void start(void)
{
	ck_assert_int_eq(bhi_zone_init(ZONE, BHI_ZONE_FROM_CONFIG, 0, 0), 0);
	for (int i = 0; i < NR_LEVELS; i++)
		bhi_counter_init(&chain[i], i ? &chain[i - 1] : NULL);
	root->max = (int64_t)bhi_zone.size;
}

/* NULL: charged; else the level that refused. */
static struct bhi_counter *charge(struct bhi_counter *counter, int64_t size)
{
	struct bhi_counter *over = NULL;
	bool charged =
		bhi_counter_try_charge(counter, size, BHI_RESERVE_NONE, false, &over);

	ck_assert_int_eq(charged, over == NULL);
	return over;
}

static void expect_usage(int64_t of_root, int64_t of_one, int64_t of_two, int64_t of_leaf)
{
	ck_assert_int_eq(chain[0].usage, of_root);
	ck_assert_int_eq(chain[1].usage, of_one);
	ck_assert_int_eq(chain[2].usage, of_two);
	ck_assert_int_eq(leaf->usage, of_leaf);
}

START_TEST(a_charge_counts_in_the_leaf_and_all_its_ancestors)
{
	start();
	ck_assert_ptr_null(charge(leaf, 5000));
	expect_usage(5000, 5000, 5000, 5000);
	ck_assert_ptr_null(charge(&chain[1], 300));
	expect_usage(5300, 5300, 5000, 5000);
	bhi_counter_uncharge(leaf, 4000);
	expect_usage(1300, 1300, 1000, 1000);
}
END_TEST

START_TEST(a_limit_is_the_last_size_that_fits)
{
	start();
	leaf->max = 8192;
	ck_assert_ptr_null(charge(leaf, 8191));
	ck_assert_ptr_null(charge(leaf, 1));
	ck_assert_ptr_eq(charge(leaf, 1), leaf);
	leaf->max = 0;
	ck_assert_ptr_eq(charge(leaf, 1), leaf);
}
END_TEST

START_TEST(charge_over_limit_leaves_all_counters_unchanged)
{
	struct bhi_counter before[NR_LEVELS];

	start();
	ck_assert_ptr_null(charge(leaf, 3000));
	for (int over = 0; over < NR_LEVELS; over++) {
		int64_t max = chain[over].max;

		chain[over].max =
			4000 + bhi_zone_floor(&bhi_zone.marks, BHI_RESERVE_NONE);
		if (over)
			chain[over].max = 4000;
		memcpy(before, chain, sizeof(chain));
		ck_assert_ptr_eq(charge(leaf, 2000), &chain[over]);
		before[over].failcnt++;
		ck_assert_mem_eq(before, chain, sizeof(chain));
		chain[over].max = max;
	}
}
END_TEST

START_TEST(of_several_levels_that_are_over_the_lowest_refuses)
{
	start();
	chain[1].max = 1000;
	chain[2].max = 1000;
	ck_assert_ptr_eq(charge(leaf, 1001), &chain[2]);
	chain[2].max = 2000;
	ck_assert_ptr_eq(charge(leaf, 1001), &chain[1]);
	ck_assert_uint_eq(chain[1].failcnt, 1);
	ck_assert_uint_eq(chain[2].failcnt, 1);
	ck_assert_uint_eq(leaf->failcnt + root->failcnt, 0);
}
END_TEST

START_TEST(a_forced_charge_passes_every_limit_but_the_zones)
{
	struct bhi_counter *over = NULL;
	int64_t limit;

	start();
	leaf->max = chain[1].max = 0;
	ck_assert(bhi_counter_try_charge(leaf, 9000, BHI_RESERVE_NONE, true, &over));
	expect_usage(9000, 9000, 9000, 9000);
	limit = (int64_t)(bhi_zone.size - bhi_zone.marks.min);
	ck_assert(!bhi_counter_try_charge(
		leaf, limit - 9000 + 1, BHI_RESERVE_NONE, true, &over));
	ck_assert_ptr_eq(over, root);
	ck_assert(bhi_counter_try_charge(
		leaf, limit - 9000, BHI_RESERVE_NONE, true, &over));
	ck_assert_int_eq(leaf->usage, limit);
}
END_TEST

START_TEST(each_reserve_reaches_to_its_own_mark_and_not_a_byte_further)
{
	static const enum bhi_reserve reserves[] = {BHI_RESERVE_HIGH, BHI_RESERVE_LOW,
		BHI_RESERVE_NONE, BHI_RESERVE_HALF, BHI_RESERVE_ATOMIC, BHI_RESERVE_ALL};
	int64_t min, left[6];

	start();
	min = (int64_t)bhi_zone.marks.min;
	left[0] = (int64_t)bhi_zone.marks.high;
	left[1] = (int64_t)bhi_zone.marks.low;
	left[2] = min;
	left[3] = min / 2;
	left[4] = min * 3 / 8;
	left[5] = 0;
	for (size_t i = 0; i < bhi_array_size(reserves); i++) {
		int64_t size = (int64_t)ZONE - left[i];
		struct bhi_counter *over;

		ck_assert_int_eq(bhi_counter_margin(root, reserves[i]), size);
		ck_assert(!bhi_counter_try_charge(
			root, size + 1, reserves[i], false, &over));
		ck_assert(bhi_counter_try_charge(root, size, reserves[i], false, &over));
		ck_assert_int_eq(bhi_counter_margin(root, reserves[i]), 0);
		ck_assert_int_eq(bhi_counter_free(root), left[i]);
		bhi_counter_uncharge(root, size);
	}
}
END_TEST

START_TEST(the_margin_is_what_can_still_be_charged_and_never_negative)
{
	start();
	ck_assert_int_eq(bhi_counter_margin(leaf, BHI_RESERVE_NONE), BHI_COUNTER_MAX);
	leaf->max = 10000;
	ck_assert_ptr_null(charge(leaf, 4000));
	ck_assert_int_eq(bhi_counter_margin(leaf, BHI_RESERVE_NONE), 6000);
	leaf->max = 1000;
	ck_assert_int_eq(bhi_counter_margin(leaf, BHI_RESERVE_NONE), 0);
}
END_TEST

START_TEST(a_size_that_no_zone_has_is_refused_whatever_is_charged_already)
{
	static const int64_t sizes[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX - 4096,
		(int64_t)1 << 62, (int64_t)ZONE + 1};

	start();
	for (int64_t charged = 0; charged <= 8192; charged += 4096) {
		for (size_t i = 0; i < bhi_array_size(sizes); i++) {
			ck_assert_ptr_eq(charge(leaf, sizes[i]), root);
			ck_assert_ptr_eq(charge(root, sizes[i]), root);
			expect_usage(charged, charged, charged, charged);
		}
		leaf->max = (int64_t)1 << 61;
		ck_assert_ptr_eq(charge(leaf, INT64_MAX), leaf);
		leaf->max = BHI_COUNTER_MAX;
		expect_usage(charged, charged, charged, charged);
		ck_assert_ptr_null(charge(leaf, 4096));
	}
}
END_TEST

START_TEST(the_peak_is_the_highest_usage_and_refused_charges_do_not_raise_it)
{
	start();
	ck_assert_ptr_null(charge(leaf, 5000));
	bhi_counter_uncharge(leaf, 5000);
	ck_assert_ptr_null(charge(leaf, 3000));
	ck_assert_int_eq(leaf->peak, 5000);
	ck_assert_int_eq(root->peak, 5000);
	chain[1].max = 10000;
	ck_assert_ptr_eq(charge(leaf, 9000), &chain[1]);
	for (int i = 0; i < NR_LEVELS; i++)
		ck_assert_int_eq(chain[i].peak, 5000);
	ck_assert_ptr_null(charge(leaf, 7000));
	ck_assert_int_eq(leaf->peak, 10000);
}
END_TEST

START_TEST(failcnt_counts_every_refusal_at_the_level_that_refused)
{
	start();
	chain[2].max = 100;
	for (int i = 0; i < 5; i++)
		ck_assert_ptr_eq(charge(leaf, 101), &chain[2]);
	ck_assert_ptr_null(charge(leaf, 100));
	ck_assert_uint_eq(chain[2].failcnt, 5);
	ck_assert_uint_eq(leaf->failcnt + chain[1].failcnt + root->failcnt, 0);
}
END_TEST

START_TEST(an_underflow_is_clamped_and_reported_once)
{
	unsigned warnings = bhi_warn_count();

	start();
	ck_assert_ptr_null(charge(leaf, 1000));
	bhi_counter_uncharge(leaf, 1500);
	expect_usage(0, 0, 0, 0);
	ck_assert_uint_eq(bhi_warn_count(), warnings + 1);
	bhi_counter_uncharge(leaf, 1);
	expect_usage(0, 0, 0, 0);
	ck_assert_uint_eq(bhi_warn_count(), warnings + 1);
	ck_assert_ptr_null(charge(leaf, 700));
	expect_usage(700, 700, 700, 700);
}
END_TEST

START_TEST(an_underflow_takes_nothing_from_those_who_share_an_ancestor)
{
	struct bhi_counter sibling;

	start();
	bhi_counter_init(&sibling, &chain[1]);
	ck_assert_ptr_null(charge(&sibling, 8000));
	ck_assert_ptr_null(charge(leaf, 1000));
	bhi_counter_uncharge(leaf, 3000);
	expect_usage(8000, 8000, 0, 0);
	bhi_counter_uncharge_below_root(leaf, 3000);
	expect_usage(8000, 8000, 0, 0);
	bhi_counter_uncharge(&sibling, 8000);
	expect_usage(0, 0, 0, 0);
}
END_TEST

START_TEST(bytes_below_the_root_count_everywhere_but_there)
{
	start();
	chain[1].max = 6000;
	ck_assert(bhi_counter_try_charge_below_root(leaf, 4000));
	expect_usage(0, 4000, 4000, 4000);
	ck_assert(!bhi_counter_try_charge_below_root(leaf, 2001));
	expect_usage(0, 4000, 4000, 4000);
	ck_assert_int_eq(root->peak, 0);
	ck_assert_int_eq(chain[1].peak, 4000);
	ck_assert_int_eq(leaf->peak, 4000);
	ck_assert(bhi_counter_try_charge_below_root(leaf, 2000));
	bhi_counter_uncharge_below_root(leaf, 6000);
	expect_usage(0, 0, 0, 0);
	ck_assert(bhi_counter_try_charge_below_root(root, 1 << 30));
	ck_assert_int_eq(root->usage, 0);
}
END_TEST

/* The parent's sums of what its children use within their own protection. */
static void expect_covered(const struct bhi_counter *parent, int64_t min, int64_t low)
{
	ck_assert_int_eq(parent->children_min_usage, min);
	ck_assert_int_eq(parent->children_low_usage, low);
}

START_TEST(a_parent_adds_up_the_protected_usage_of_its_children)
{
	struct bhi_counter *parent = &chain[2], other;

	start();
	bhi_counter_init(&other, parent);
	bhi_counter_set_min(leaf, 3000);
	bhi_counter_set_low(leaf, 5000);
	bhi_counter_set_min(&other, 1000);
	expect_covered(parent, 0, 0);
	ck_assert_ptr_null(charge(leaf, 2000));
	expect_covered(parent, 2000, 2000);
	ck_assert_ptr_null(charge(leaf, 4000));
	expect_covered(parent, 3000, 5000);
	ck_assert_ptr_null(charge(&other, 4000));
	expect_covered(parent, 4000, 5000);
	bhi_counter_uncharge(leaf, 5500);
	expect_covered(parent, 1500, 500);
	bhi_counter_set_min(&other, 6000);
	expect_covered(parent, 4500, 500);
	bhi_counter_set_min(&other, 0);
	bhi_counter_set_min(leaf, 0);
	bhi_counter_set_low(leaf, 0);
	expect_covered(parent, 0, 0);
	/* What the middle levels protect is the root's and theirs. */
	bhi_counter_set_low(parent, 10000);
	ck_assert_int_eq(chain[1].children_low_usage, 4500);
	bhi_counter_uncharge(&other, 4000);
	bhi_counter_uncharge(leaf, 500);
	ck_assert_int_eq(chain[1].children_low_usage, 0);
}
END_TEST

START_TEST(bytes_below_the_root_are_protected_as_well)
{
	start();
	bhi_counter_set_min(leaf, 3000);
	ck_assert(bhi_counter_try_charge_below_root(leaf, 2000));
	expect_covered(&chain[2], 2000, 0);
	ck_assert(bhi_counter_try_charge_below_root(leaf, 2000));
	expect_covered(&chain[2], 3000, 0);
	bhi_counter_uncharge_below_root(leaf, 3500);
	expect_covered(&chain[2], 500, 0);
}
END_TEST

START_TEST(a_refused_charge_leaves_the_sums_of_protection_as_they_were)
{
	start();
	bhi_counter_set_min(leaf, 5000);
	bhi_counter_set_low(&chain[2], 8000);
	ck_assert_ptr_null(charge(leaf, 1000));
	chain[1].max = 2000;
	ck_assert_ptr_eq(charge(leaf, 1500), &chain[1]);
	expect_covered(&chain[2], 1000, 0);
	expect_covered(&chain[1], 0, 1000);
}
END_TEST

#define NR_THREADS 4
#define NR_ROUNDS  20000

static int64_t held, most_held;
static pthread_barrier_t barrier;

/* Charge one at a time at a limit; what is held never exceeds it. */
static void *charge_at_limit(void *arg)
{
	int64_t had = 0, size = 1 + (int64_t)(intptr_t)arg;
	struct bhi_counter *over;

	pthread_barrier_wait(&barrier);
	for (int i = 0; i < NR_ROUNDS; i++) {
		if (bhi_counter_try_charge(leaf, size, BHI_RESERVE_NONE, false, &over)) {
			int64_t now = bhi_add_return(&held, size),
				most = bhi_load(&most_held);

			while (now > most &&
				!bhi_compare_exchange(&most_held, &most, now))
				;
			had += size;
		} else {
			ck_assert_ptr_eq(over, &chain[1]);
			bhi_sub(&held, had);
			bhi_counter_uncharge(leaf, had);
			had = 0;
		}
	}
	bhi_sub(&held, had);
	bhi_counter_uncharge(leaf, had);
	return NULL;
}

START_TEST(threads_that_race_for_the_last_bytes_never_hold_more_than_the_limit)
{
	pthread_t threads[NR_THREADS];

	start();
	chain[1].max = 100;
	bhi_counter_set_low(&chain[2], 50);
	pthread_barrier_init(&barrier, NULL, NR_THREADS);
	for (intptr_t i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, charge_at_limit, (void *)i), 0);
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_le(most_held, 100);
	expect_usage(0, 0, 0, 0);
	ck_assert_int_eq(chain[1].children_low_usage, 0);
	ck_assert_uint_gt(chain[1].failcnt, 0);
	ck_assert_uint_eq(bhi_warn_count(), 0);
}
END_TEST

static uint32_t nr_refused, done;

/* Never fits, though each level below the root takes it. */
static void *ask_for_too_much(void *arg)
{
	struct bhi_counter *over;

	while (!bhi_load(&done)) {
		ck_assert(!bhi_counter_try_charge(
			leaf, (int64_t)ZONE, BHI_RESERVE_NONE, true, &over));
		bhi_add(&nr_refused, 1);
	}
	return arg;
}

START_TEST(nobody_is_refused_for_what_a_refused_charge_gives_back)
{
	pthread_t thread;

	start();
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_for_too_much, NULL), 0);
	for (uint32_t before = 0, i = 0; i < NR_ROUNDS; i++) {
		struct bhi_counter *over;

		ck_assert(bhi_counter_try_charge(
			&chain[1], 1, BHI_RESERVE_NONE, true, &over));
		bhi_counter_uncharge(&chain[1], 1);
		/* Some while the other is at it. */
		while (i % 100 == 0 && bhi_load(&nr_refused) == before)
			sched_yield();
		before = bhi_load(&nr_refused);
	}
	bhi_store(&done, 1);
	pthread_join(thread, NULL);
	expect_usage(0, 0, 0, 0);
}
END_TEST

START_TEST(an_uncharge_changes_the_waiters_number_only_while_somebody_waits)
{
	uint32_t sequence;

	start();
	ck_assert_ptr_null(charge(leaf, 3));
	sequence = bhi_waiters_sequence();
	bhi_counter_uncharge(leaf, 1);
	ck_assert_uint_eq(bhi_waiters_sequence(), sequence);
	bhi_waiters_enter();
	bhi_counter_uncharge(leaf, 1);
	ck_assert_uint_eq(bhi_waiters_sequence(), sequence + 1);
	/* The number has changed: no sleep. */
	bhi_waiters_wait(sequence, 0);
	bhi_waiters_leave();
	bhi_counter_uncharge(leaf, 1);
	ck_assert_uint_eq(bhi_waiters_sequence(), sequence + 1);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_charge_counts_in_the_leaf_and_all_its_ancestors);
	tcase_add_test(tcase, a_limit_is_the_last_size_that_fits);
	tcase_add_test(tcase, charge_over_limit_leaves_all_counters_unchanged);
	tcase_add_test(tcase, of_several_levels_that_are_over_the_lowest_refuses);
	tcase_add_test(tcase, a_forced_charge_passes_every_limit_but_the_zones);
	tcase_add_test(
		tcase, each_reserve_reaches_to_its_own_mark_and_not_a_byte_further);
	tcase_add_test(tcase, the_margin_is_what_can_still_be_charged_and_never_negative);
	tcase_add_test(
		tcase, a_size_that_no_zone_has_is_refused_whatever_is_charged_already);
	tcase_add_test(
		tcase, the_peak_is_the_highest_usage_and_refused_charges_do_not_raise_it);
	tcase_add_test(tcase, failcnt_counts_every_refusal_at_the_level_that_refused);
	tcase_add_test(tcase, an_underflow_is_clamped_and_reported_once);
	tcase_add_test(
		tcase, an_underflow_takes_nothing_from_those_who_share_an_ancestor);
	tcase_add_test(tcase, bytes_below_the_root_count_everywhere_but_there);
	tcase_add_test(tcase, a_parent_adds_up_the_protected_usage_of_its_children);
	tcase_add_test(tcase, bytes_below_the_root_are_protected_as_well);
	tcase_add_test(
		tcase, a_refused_charge_leaves_the_sums_of_protection_as_they_were);
	tcase_add_test(tcase,
		threads_that_race_for_the_last_bytes_never_hold_more_than_the_limit);
	tcase_add_test(tcase, nobody_is_refused_for_what_a_refused_charge_gives_back);
	tcase_add_test(
		tcase, an_uncharge_changes_the_waiters_number_only_while_somebody_waits);
}

int main(void)
{
	return support_run("counter", add_tests);
}
