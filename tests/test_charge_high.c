/* SPDX-License-Identifier: MIT */
/* Above BH_HIGH: reclaim and delay. */
#include <errno.h>

#include "account/stock.h"
#include "charge/charge.h"
#include "support.h"
#include "support_short.h"

START_TEST(the_delay_above_high_grows_with_the_square_of_the_excess)
{
	static const struct {
		int64_t usage, high, debt;
		uint64_t ms;
	} rows[] = {
		/* MiB, MiB, pages */
		{50, 100, 64, 0},
		{100, 100, 64, 0},
		{101, 100, 64, 0},
		{102, 100, 64, 25},
		{105, 100, 64, 159},
		{110, 100, 64, 639},
		{117, 100, 64, 1849},
		{118, 100, 64, 2000},
		{200, 100, 64, 2000},
		{1000000, 1, 64, 2000},
		{105, 100, 32, 79},
		{105, 100, 128, 318},
		{105, 100, 640, 1590},
		{105, 100, 1280, 2000},
		{105, 100, 4, 0},
		{1, 0, 64, 2000},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++)
		ck_assert_uint_eq(bhi_charge_high_delay(rows[i].usage << 20,
					  rows[i].high << 20, rows[i].debt << 12),
			rows[i].ms * 1000000);
	ck_assert_uint_eq(bhi_charge_high_delay(INT64_MAX, 0, INT64_MAX), 2000000000);
	ck_assert_uint_eq(
		bhi_charge_high_delay(INT64_MAX, INT64_MAX - 1, BHI_STOCK_BATCH), 0);
}
END_TEST

START_TEST(a_group_above_high_reclaims_and_is_never_refused)
{
	struct bh_group *parent, *group;
	struct support_cache cache;

	support_start(SHORT_ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	support_cache_init(&cache, parent, 0);
	cache.shrinker.batch = 16;
	ck_assert_uint_eq(support_cache_fill(&cache, 512, 0), 512);
	support_set(parent, BH_HIGH, 2 * MIB);
	ck_assert_int_eq(bh_charge(group, 300 * PAGE, 0), 0);
	ck_assert_uint_le(support_usage(parent), 2 * MIB);
	ck_assert_uint_gt(support_stat(parent).local.high, 0);
	ck_assert_uint_eq(support_stat(group).events.high, 0);
	ck_assert_uint_eq(support_stat(parent).events.max, 0);
	support_cache_fini(&cache);
	bh_uncharge(group, 300 * PAGE);
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(a_group_above_high_with_nothing_to_reclaim_is_slowed_down)
{
	struct bh_group_stat stat;
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_HIGH, 4 * MIB);
	ck_assert_int_eq(bh_charge(group, 4 * MIB, 0), 0);
	ck_assert_uint_eq(support_stat(group).some.total_ns, 0);
	/* The batch that is taken for it makes 4.25 MiB, 6.25 % above: 250 ms. */
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	stat = support_stat(group);
	ck_assert_uint_ge(stat.some.total_ns, 249000000);
	ck_assert_uint_ge(stat.full.total_ns, 249000000);
	/* The first look, 16 more. */
	ck_assert_uint_eq(stat.local.high, SHORT_ROUNDS);
	ck_assert_uint_ge(support_stat(bh_root()).some.total_ns, 249000000);
	ck_assert_uint_eq(support_stat(group).some.total_ns, stat.some.total_ns);
	bh_uncharge(group, 4 * MIB + PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(requests_that_may_not_wait_are_paid_for_by_the_background)
{
	struct bh_group *group;
	struct support_cache cache;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	ck_assert_uint_eq(support_cache_fill(&cache, 512, 0), 512);
	support_set(group, BH_HIGH, 3 * MIB);
	ck_assert_int_eq(bh_charge(group, 2 * MIB, BH_NOWAIT), 0);
	support_background_wakeups();
	ck_assert_uint_lt(bhi_load(&cache.nr), 512);
	ck_assert_uint_eq(support_stat(group).some.total_ns, 0);
	support_cache_fini(&cache);
	bh_uncharge(group, 2 * MIB);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(who_pays_for_many_requests_leaves_the_group_what_it_may_have)
{
	struct support_cache cache;
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.shrinker.batch = 8;
	cache.only_here = true;
	ck_assert_uint_eq(support_cache_fill(&cache, 512, 0), 512);
	support_set(group, BH_HIGH, 2 * MIB - 16 * PAGE);
	/* Each takes memory for a moment and cannot pay itself. */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(bh_charge(group, MIB, BH_NOWAIT), 0);
		bh_uncharge(group, MIB);
	}
	ck_assert_int_eq(bh_charge(group, 512 * KIB, 0), 0);
	ck_assert_uint_le(support_usage(group), 2 * MIB - 16 * PAGE);
	ck_assert_uint_ge(support_usage(group), MIB);
	support_cache_fini(&cache);
	bh_uncharge(group, 512 * KIB);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_high_below_the_usage_reclaims_down_to_it)
{
	struct bh_group *group;
	struct support_cache cache;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.shrinker.batch = 8;
	ck_assert_uint_eq(support_cache_fill(&cache, 512, 0), 512);
	support_set(group, BH_HIGH, MIB);
	ck_assert_uint_le(support_stat(group).usage, MIB);
	ck_assert_uint_gt(cache.nr, 0);
	/* What cannot be reclaimed stays, and the call succeeds. */
	ck_assert_int_eq(bh_charge(group, 8 * PAGE, 0), 0);
	support_set(group, BH_HIGH, 0);
	ck_assert_uint_eq(support_usage(group), 8 * PAGE);
	ck_assert_uint_eq(support_stat(group).events.oom, 0);
	support_cache_fini(&cache);
	bh_uncharge(group, 8 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, the_delay_above_high_grows_with_the_square_of_the_excess);
	tcase_add_test(tcase, a_group_above_high_reclaims_and_is_never_refused);
	tcase_add_test(tcase, a_group_above_high_with_nothing_to_reclaim_is_slowed_down);
	tcase_add_test(tcase, requests_that_may_not_wait_are_paid_for_by_the_background);
	tcase_add_test(
		tcase, who_pays_for_many_requests_leaves_the_group_what_it_may_have);
	tcase_add_test(tcase, a_high_below_the_usage_reclaims_down_to_it);
}

int main(void)
{
	return support_run("charge_high", add_tests);
}
