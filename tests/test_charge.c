/* SPDX-License-Identifier: MIT */
/* The slow path rule by rule: stocks and batches, marks and limits, rounds of reclaim. */
#include <errno.h>

#include "account/stock.h"
#include "debug/inject.h"
#include "base/policy.h"
#include "oom/oom.h"
#include "support.h"
#include "support_short.h"

/* ----------------------------------------------------------- batch and stock */

START_TEST(a_first_charge_takes_a_batch_and_the_next_ones_take_from_the_stock)
{
	struct bh_group *group;
	int64_t external;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, 100, 0), 0);
	ck_assert_int_eq(bhi_load(&group->counter.usage), BHI_STOCK_BATCH);
	ck_assert_int_eq(bhi_stock_held(group, &external), BHI_STOCK_BATCH - 100);
	for (int i = 0; i < 63; i++)
		ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_int_eq(bhi_load(&group->counter.usage), BHI_STOCK_BATCH);
	ck_assert_uint_eq(support_stat(group).external, 63 * PAGE + 100);
	ck_assert_uint_eq(support_usage(group), 63 * PAGE + 100);
	bh_uncharge(group, 63 * PAGE + 100);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_stock_keeps_no_more_than_a_batch)
{
	struct bh_group *group;
	int64_t external;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, 4 * MIB, 0), 0);
	bh_uncharge(group, MIB);
	ck_assert_int_eq(bhi_stock_held(group, &external), 0);
	for (int i = 0; i < 64; i++)
		bh_uncharge(group, PAGE);
	ck_assert_int_eq(bhi_stock_held(group, &external), BHI_STOCK_BATCH);
	bh_uncharge(group, PAGE);
	ck_assert_int_eq(bhi_stock_held(group, &external), 0);
	ck_assert_int_eq(bhi_load(&group->counter.usage), (int64_t)(3 * MIB - 65 * PAGE));
	bh_uncharge(group, 3 * MIB - 65 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(four_groups_have_room_in_a_stock_and_a_fifth_takes_the_place_of_one)
{
	struct bh_group *groups[5];
	int64_t external, held = 0;

	support_start(SHORT_ZONE);
	for (int i = 0; i < 5; i++) {
		groups[i] = support_group(NULL, "group");
		ck_assert_int_eq(bh_charge(groups[i], PAGE, 0), 0);
	}
	for (int i = 0; i < 5; i++)
		held += bhi_stock_held(groups[i], &external);
	ck_assert_int_eq(held, 4 * (BHI_STOCK_BATCH - (int64_t)PAGE));
	for (int i = 0; i < 5; i++) {
		bh_uncharge(groups[i], PAGE);
		bh_group_put(groups[i]);
	}
	support_end();
}
END_TEST

START_TEST(draining_a_group_drains_its_descendants_and_nobody_else)
{
	struct bh_group *a, *b, *c;
	int64_t external;

	support_start(SHORT_ZONE);
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(NULL, "c");
	ck_assert_int_eq(bh_charge(a, PAGE, 0), 0);
	ck_assert_int_eq(bh_charge(b, PAGE, 0), 0);
	ck_assert_int_eq(bh_charge(c, PAGE, 0), 0);
	bhi_stock_drain(a);
	ck_assert_int_eq(bhi_stock_held(a, &external), 0);
	ck_assert_int_eq(bhi_stock_held(b, &external), 0);
	ck_assert_int_eq(bhi_stock_held(c, &external), BHI_STOCK_BATCH - (int64_t)PAGE);
	bhi_stock_drain(b);
	ck_assert_int_gt(bhi_stock_held(c, &external), 0);
	bh_uncharge(a, PAGE);
	bh_uncharge(b, PAGE);
	bh_uncharge(c, PAGE);
	bh_group_put(b);
	bh_group_put(a);
	bh_group_put(c);
	support_end();
}
END_TEST

START_TEST(where_a_batch_does_not_fit_the_exact_size_is_charged)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 100 * KIB);
	ck_assert_int_eq(bh_charge(group, 99 * KIB, 0), 0);
	ck_assert_int_eq(bhi_load(&group->counter.usage), 99 * KIB);
	ck_assert_int_eq(bh_charge(group, KIB, 0), 0);
	ck_assert_uint_eq(support_stat(group).events.max, 0);
	ck_assert_int_eq(bh_charge(group, 1, BH_NORETRY), -ENOMEM);
	ck_assert_uint_eq(support_stat(group).events.max, 1);
	bh_uncharge(group, 100 * KIB);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_batch_leaves_the_low_mark_of_the_zone_alone)
{
	struct bh_group *group;
	uint64_t wakes;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_leave_free(SHORT_LOW + 100 * KIB);
	wakes = support_background_wakeups();
	ck_assert_int_eq(bh_charge(group, 20 * KIB, 0), 0);
	ck_assert_uint_eq(bhi_load(&group->counter.usage), 20 * KIB);
	ck_assert_uint_eq(support_free(), SHORT_LOW + 80 * KIB);
	ck_assert_uint_gt(support_background_wakeups(), wakes);
	bh_uncharge(group, 20 * KIB);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_background_is_woken_also_where_a_group_refuses_the_batch)
{
	struct bh_group *group;
	uint64_t wakes;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 100 * KIB);
	support_leave_free(SHORT_LOW + PAGE);
	wakes = support_background_wakeups();
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_eq(support_background_wakeups(), wakes);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_gt(support_background_wakeups(), wakes);
	bh_uncharge(group, 2 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

struct stocker {
	struct bh_group *groups[4]; /* NULL: none */
	pthread_barrier_t ready, go_on;
};

static void *hold_stock(void *arg)
{
	struct stocker *s = arg;

	for (int i = 0; i < 4 && s->groups[i]; i++) {
		ck_assert_int_eq(bh_charge(s->groups[i], PAGE, 0), 0);
		bh_uncharge(s->groups[i], PAGE);
	}
	pthread_barrier_wait(&s->ready);
	pthread_barrier_wait(&s->go_on);
	return NULL;
}

START_TEST(stocks_of_all_threads_are_drained_before_anything_is_reclaimed)
{
	struct bh_group *parent, *group;
	struct support_stubborn stubborn;
	struct stocker stocker = {0};
	pthread_t thread;

	support_start(SHORT_ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	stocker.groups[0] = support_group(parent, "stocker");
	support_set(parent, BH_MAX, 300 * KIB);
	support_stubborn_init(&stubborn, parent);
	pthread_barrier_init(&stocker.ready, NULL, 2);
	pthread_barrier_init(&stocker.go_on, NULL, 2);
	thread = support_thread(hold_stock, &stocker);
	pthread_barrier_wait(&stocker.ready);
	ck_assert_int_eq(bhi_load(&parent->counter.usage), BHI_STOCK_BATCH);
	ck_assert_int_eq(bh_charge(group, 300 * KIB, BH_NORETRY), 0);
	ck_assert_uint_eq(stubborn.nr_counts, 0);
	ck_assert_uint_eq(support_stat(parent).events.max, 1);
	pthread_barrier_wait(&stocker.go_on);
	support_join(thread);
	bh_uncharge(group, 300 * KIB);
	support_stubborn_fini(&stubborn);
	bh_group_put(group);
	bh_group_put(stocker.groups[0]);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(what_a_thread_has_in_stock_is_given_back_at_its_end)
{
	struct stocker stocker;
	pthread_t thread;

	support_start(SHORT_ZONE);
	pthread_barrier_init(&stocker.ready, NULL, 2);
	pthread_barrier_init(&stocker.go_on, NULL, 2);
	for (int i = 0; i < 4; i++)
		stocker.groups[i] = support_group(NULL, "stocker");
	thread = support_thread(hold_stock, &stocker);
	pthread_barrier_wait(&stocker.ready);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(
			support_stat(stocker.groups[i]).usage, (uint64_t)BHI_STOCK_BATCH);
	pthread_barrier_wait(&stocker.go_on);
	support_join(thread);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(support_stat(stocker.groups[i]).usage, 0);
		bh_group_put(stocker.groups[i]);
	}
	support_end();
}
END_TEST

/* ------------------------------------------------------------------- limits */

START_TEST(the_failing_ancestor_and_nobody_else_is_reclaimed_and_over)
{
	struct bh_group *a, *b, *c, *beside;
	struct support_cache inside, outside;

	support_start(SHORT_ZONE);
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(a, "c");
	beside = support_group(NULL, "beside");
	support_cache_init(&inside, c, 0);
	support_cache_init(&outside, beside, 0);
	ck_assert_uint_eq(support_cache_fill(&inside, 16, 0), 16);
	ck_assert_uint_eq(support_cache_fill(&outside, 16, 0), 16);
	bhi_stock_drain(bh_root());
	support_set(a, BH_MAX, 16 * PAGE);
	/* The policy that counts is that of the group over its limit. */
	bhi_oom_killer = support_kill;
	support_set(a, BH_ON_LIMIT, BH_KILL);
	support_set(bh_root(), BH_ON_LIMIT, BH_FAIL);
	ck_assert_int_eq(bh_charge(b, PAGE, 0), 0);
	ck_assert_uint_eq(outside.nr_counts, 0);
	ck_assert_uint_gt(inside.nr_scans, 0);
	ck_assert_uint_eq(support_killer.nr_calls, 0);
	ck_assert_uint_eq(support_stat(a).local.max, 1);
	ck_assert_uint_eq(support_stat(b).events.max, 0);
	support_cache_fini(&inside);
	ck_assert_int_eq(bh_charge(b, 16 * PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_killer.nr_calls, 0);
	ck_assert_int_eq(bh_charge(b, 8 * PAGE, 0), 0);
	ck_assert_int_eq(bh_charge(b, 8 * PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_killer.nr_calls, 1);
	ck_assert_ptr_eq(support_killer.over, a);
	ck_assert_int_eq(support_killer.size, 8 * PAGE);
	ck_assert_uint_eq(support_stat(a).local.oom, 1);
	ck_assert_uint_eq(support_stat(bh_root()).local.oom, 0);
	ck_assert_uint_eq(support_stat(bh_root()).events.oom, 1);
	bh_uncharge(b, 9 * PAGE);
	support_cache_fini(&outside);
	bh_group_put(c);
	bh_group_put(b);
	bh_group_put(a);
	bh_group_put(beside);
	support_end();
}
END_TEST

START_TEST(a_request_larger_than_the_zone_fails_at_once_and_charges_nothing)
{
	static const uint64_t sizes[] = {
		SHORT_ZONE, SHORT_ZONE + 1, INT64_MAX - 1, INT64_MAX};
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, 1, 0), 0);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		ck_assert_int_eq(bh_charge(group, sizes[i], 0), -ENOMEM);
		ck_assert_int_eq(bh_charge(group, sizes[i], BH_ATOMIC), -ENOMEM);
		ck_assert_int_eq(bh_charge(group, sizes[i], BH_NOWAIT), -ENOMEM);
		ck_assert_uint_eq(support_usage(group), 1);
	}
	ck_assert_uint_lt(support_stat(group).peak, SHORT_ZONE);
	ck_assert_int_eq(bh_charge(group, SHORT_ZONE - SHORT_MIN - 1, BH_NOWAIT), 0);
	bh_uncharge(group, SHORT_ZONE - SHORT_MIN);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(atomic_requests_stop_at_three_eighths_of_the_min_mark)
{
	uint64_t charged = 0;

	support_start(SHORT_ZONE);
	while (!bh_charge(NULL, PAGE, BH_ATOMIC))
		charged += PAGE;
	ck_assert_uint_eq(support_free(), SHORT_MIN * 3 / 8);
	ck_assert_int_eq(bh_charge(NULL, 1, BH_ATOMIC), -ENOMEM);
	bh_uncharge(NULL, charged);
	support_end();
}
END_TEST

START_TEST(ordinary_requests_stop_at_the_min_mark_and_nofail_ones_at_half_of_it)
{
	uint64_t charged = 0;

	support_start(SHORT_ZONE);
	while (!bh_charge(NULL, PAGE, BH_NORETRY))
		charged += PAGE;
	ck_assert_uint_eq(support_free(), SHORT_MIN);
	for (; support_free() > SHORT_MIN / 2; charged += PAGE)
		ck_assert_int_eq(bh_charge(NULL, PAGE, BH_NOFAIL), 0);
	ck_assert_int_eq(bh_charge(NULL, 1, BH_NORETRY), -ENOMEM);
	ck_assert_uint_eq(support_free(), SHORT_MIN / 2);
	bh_uncharge(NULL, charged);
	support_end();
}
END_TEST

START_TEST(where_small_requests_may_fail_they_end_after_one_round_like_costly_ones)
{
	struct bh_group *group;
	struct support_stubborn stubborn;

	support_start(SHORT_ZONE);
	bhi_policy.small_must_succeed = false;
	bhi_oom_killer = support_kill;
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 0);
	support_set(group, BH_ON_LIMIT, BH_KILL);
	support_stubborn_init(&stubborn, group);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_rounds(stubborn.nr_counts), 1);
	ck_assert_uint_eq(support_killer.nr_calls, 0);
	support_stubborn_fini(&stubborn);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(eight_pages_are_small_and_nine_are_costly)
{
	struct bh_stall some;
	struct bh_group *group;
	struct support_stubborn stubborn;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, PAGE);
	support_stubborn_init(&stubborn, group);
	ck_assert_ptr_null(bh_alloc_pages(group, 3, 0));
	/* Its time counts, and no more once it is back. */
	some = support_stat(group).some;
	ck_assert_uint_gt(some.total_ns, 0);
	ck_assert_uint_eq(support_stat(group).some.total_ns, some.total_ns);
	ck_assert_uint_eq(support_rounds(stubborn.nr_counts), SHORT_ROUNDS);
	stubborn.nr_counts = 0;
	ck_assert_int_eq(bh_charge(group, 8 * PAGE + 1, 0), -ENOMEM);
	ck_assert_uint_eq(support_rounds(stubborn.nr_counts), 1);
	ck_assert_uint_eq(support_stat(group).events.oom, 1);
	support_stubborn_fini(&stubborn);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Each call gives ten bytes: progress, but not enough. */
static size_t drip_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_stubborn *s =
		bhi_container_of(self, struct support_stubborn, shrinker);

	(void)control;
	s->nr_scans++;
	bh_uncharge(self->group, 10);
	return 1;
}

START_TEST(progress_that_is_too_little_renews_the_retries_of_small_requests_only)
{
	struct bh_group *group;
	struct support_stubborn drip;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 64 * PAGE);
	ck_assert_int_eq(bh_charge(group, 64 * PAGE, 0), 0);
	bhi_stock_drain(bh_root());
	support_stubborn_init(&drip, group);
	drip.shrinker.scan = drip_scan;
	drip.shrinker.batch = 1000;
	/* At most 20 bytes a pass: a costly request ends after 16 retries ... */
	ck_assert_int_eq(bh_charge(group, 9 * PAGE, BH_RETRY_MAYFAIL), -ENOMEM);
	ck_assert_uint_eq(support_rounds(drip.nr_counts), SHORT_ROUNDS);
	ck_assert_uint_gt(drip.nr_scans, SHORT_ROUNDS);
	/* ... and a small one goes on until there is enough. */
	ck_assert_int_eq(bh_charge(group, 8 * PAGE, BH_RETRY_MAYFAIL), 0);
	ck_assert_uint_gt(support_rounds(drip.nr_counts), 5 * SHORT_ROUNDS);
	support_stubborn_fini(&drip);
	bh_uncharge(group, support_usage(group));
	bh_group_put(group);
	support_end();
}
END_TEST

/* Something comes back in the tenth and in the twentieth round, and then nothing more. */
static size_t rare_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_stubborn *s =
		bhi_container_of(self, struct support_stubborn, shrinker);
	unsigned round = support_rounds(s->nr_counts);

	(void)control;
	if (round != 10 * (s->nr_scans + 1) || round > 20)
		return 0;
	s->nr_scans++;
	bh_uncharge(self->group, 10);
	return 1;
}

START_TEST(retries_are_counted_anew_from_the_last_progress)
{
	struct support_stubborn rare;
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, PAGE);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	support_stubborn_init(&rare, group);
	rare.shrinker.scan = rare_scan;
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(rare.nr_scans, 2);
	ck_assert_uint_eq(support_rounds(rare.nr_counts), 20 + SHORT_ROUNDS);
	support_stubborn_fini(&rare);
	bh_uncharge(group, PAGE - 20);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Scanning needs a page for a while: that is no progress. */
static size_t borrow_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_stubborn *s =
		bhi_container_of(self, struct support_stubborn, shrinker);
	void *page = bh_alloc_pages(control->group, 0, 0);

	bhi_add(&s->nr_scans, 1);
	ck_assert_ptr_nonnull(page);
	bh_free(page);
	ck_assert_int_eq(bh_charge(control->group, 100, 0), 0);
	bh_uncharge(control->group, 100);
	/* One in a slab that is shared with other groups, one in a slab of its own. */
	bh_free(bh_alloc(control->group, 64, 0));
	bh_free(bh_alloc(control->group, 6000, 0));
	return 0;
}

START_TEST(memory_that_a_shrinker_takes_and_gives_back_itself_is_no_progress)
{
	struct bh_group *group;
	struct support_stubborn borrower;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, PAGE);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	support_stubborn_init(&borrower, group);
	borrower.shrinker.scan = borrow_scan;
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_rounds(borrower.nr_counts), SHORT_ROUNDS);
	ck_assert_uint_gt(borrower.nr_scans, 0);
	support_stubborn_fini(&borrower);
	bh_uncharge(group, PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_noreclaim_scope_is_handed_to_the_shrinkers_and_nests)
{
	struct bh_group *group;
	struct support_stubborn stubborn;
	unsigned outer, inner;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 0);
	support_stubborn_init(&stubborn, group);
	ck_assert_int_eq(bh_charge(group, 1, BH_NORETRY), -ENOMEM);
	ck_assert_uint_eq(stubborn.flags, BH_NORETRY);
	outer = bh_noreclaim_enter();
	inner = bh_noreclaim_enter();
	ck_assert_int_eq(bh_charge(group, 1, BH_NORETRY), -ENOMEM);
	ck_assert_uint_eq(stubborn.flags, BH_NORETRY | BH_NORECLAIM);
	bh_noreclaim_leave(inner);
	ck_assert_int_eq(bh_group_reclaim(group, 1, 0), -EAGAIN);
	ck_assert_uint_eq(stubborn.flags, BH_NORECLAIM);
	bh_noreclaim_leave(outer);
	ck_assert_int_eq(bh_group_reclaim(group, 1, 0), -EAGAIN);
	ck_assert_uint_eq(stubborn.flags, 0);
	/* Those of last resort hear of it as well. */
	stubborn.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	outer = bh_noreclaim_enter();
	ck_assert_int_eq(bh_charge(group, 1, 0), -ENOMEM);
	ck_assert_uint_eq(stubborn.flags, BH_NORECLAIM);
	bh_noreclaim_leave(outer);
	ck_assert_int_eq(bh_charge(group, 1, 0), -ENOMEM);
	ck_assert_uint_eq(stubborn.flags, 0);
	support_stubborn_fini(&stubborn);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(every_charge_can_be_injected_but_nofail_ones)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_CHARGE);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_int_eq(bh_charge(group, PAGE, BH_RETRY_MAYFAIL), -ENOMEM);
	ck_assert_int_eq(bh_charge(group, PAGE, BH_ATOMIC), -ENOMEM);
	ck_assert_int_eq(bh_charge(group, PAGE, BH_NOFAIL), 0);
	ck_assert_int_eq(bh_charge(group, PAGE, BH_NOFAIL | BH_ZERO), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 3);
	ck_assert_uint_eq(support_usage(group), 2 * PAGE);
	bh_uncharge(group, 2 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

/* ------------------------------------------------------------------ threads */

#define NR_THREADS 4
#define NR_ROUNDS  3000

static int64_t held, most_held;

static void *race_for_limit(void *arg)
{
	struct bh_group *group = arg;
	uint64_t had = 0;

	for (int i = 0; i < NR_ROUNDS; i++) {
		if (!bh_charge(group, PAGE, BH_NORETRY)) {
			int64_t now = bhi_add_return(&held, (int64_t)PAGE);
			int64_t most = bhi_load(&most_held);

			while (now > most &&
				!bhi_compare_exchange(&most_held, &most, now))
				;
			had += PAGE;
		} else {
			bhi_sub(&held, (int64_t)had);
			bh_uncharge(group, had);
			had = 0;
		}
	}
	bhi_sub(&held, (int64_t)had);
	bh_uncharge(group, had);
	return NULL;
}

START_TEST(threads_at_a_limit_never_hold_more_than_it_and_leave_nothing)
{
	pthread_t threads[NR_THREADS];
	struct bh_group *parent, *groups[2];

	support_start(SHORT_ZONE);
	parent = support_group(NULL, "parent");
	groups[0] = support_group(parent, "zero");
	groups[1] = support_group(parent, "one");
	support_set(parent, BH_MAX, 100 * PAGE);
	for (int i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(race_for_limit, groups[i % 2]);
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	ck_assert_int_le(most_held, 100 * (int64_t)PAGE);
	ck_assert_uint_gt(support_stat(parent).failcnt, 0);
	ck_assert_uint_eq(support_usage(parent), 0);
	bh_group_put(groups[0]);
	bh_group_put(groups[1]);
	bh_group_put(parent);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase,
		a_first_charge_takes_a_batch_and_the_next_ones_take_from_the_stock);
	tcase_add_test(tcase, a_stock_keeps_no_more_than_a_batch);
	tcase_add_test(tcase,
		four_groups_have_room_in_a_stock_and_a_fifth_takes_the_place_of_one);
	tcase_add_test(tcase, draining_a_group_drains_its_descendants_and_nobody_else);
	tcase_add_test(tcase, where_a_batch_does_not_fit_the_exact_size_is_charged);
	tcase_add_test(tcase, a_batch_leaves_the_low_mark_of_the_zone_alone);
	tcase_add_test(
		tcase, the_background_is_woken_also_where_a_group_refuses_the_batch);
	tcase_add_test(
		tcase, stocks_of_all_threads_are_drained_before_anything_is_reclaimed);
	tcase_add_test(tcase, what_a_thread_has_in_stock_is_given_back_at_its_end);
	tcase_add_test(tcase, the_failing_ancestor_and_nobody_else_is_reclaimed_and_over);
	tcase_add_test(
		tcase, a_request_larger_than_the_zone_fails_at_once_and_charges_nothing);
	tcase_add_test(tcase, atomic_requests_stop_at_three_eighths_of_the_min_mark);
	tcase_add_test(tcase,
		ordinary_requests_stop_at_the_min_mark_and_nofail_ones_at_half_of_it);
	tcase_add_test(tcase,
		where_small_requests_may_fail_they_end_after_one_round_like_costly_ones);
	tcase_add_test(tcase, eight_pages_are_small_and_nine_are_costly);
	tcase_add_test(tcase,
		progress_that_is_too_little_renews_the_retries_of_small_requests_only);
	tcase_add_test(tcase, retries_are_counted_anew_from_the_last_progress);
	tcase_add_test(
		tcase, memory_that_a_shrinker_takes_and_gives_back_itself_is_no_progress);
	tcase_add_test(tcase, a_noreclaim_scope_is_handed_to_the_shrinkers_and_nests);
	tcase_add_test(tcase, every_charge_can_be_injected_but_nofail_ones);
	tcase_add_test(
		tcase, threads_at_a_limit_never_hold_more_than_it_and_leave_nothing);
}

int main(void)
{
	return support_run("charge", add_tests);
}
