/* SPDX-License-Identifier: MIT */
/* The background reclaimer: runs of it by hand, and its thread. */
#include <errno.h>
#include <sched.h>

#include "account/stock.h"
#include "alloc/buddy.h"
#include "reclaim/background.h"
#include "support.h"
#include "support_memory.h"

/* Marks: min 512 KiB, low 640 KiB, high 768 KiB. */
#define ZONE (16 * MIB)
#define LOW  (640 * KIB)
#define HIGH (768 * KIB)

static void fill(struct support_cache *cache, size_t nr)
{
	ck_assert_uint_eq(support_cache_fill(cache, nr, 0), nr);
	bhi_stock_drain(bh_root());
}

static struct bhi_background_stat background(void)
{
	struct bhi_background_stat stat;

	bhi_background_stat(&stat);
	return stat;
}

START_TEST(a_background_run_reclaims_up_to_the_high_mark_and_not_much_more)
{
	struct support_cache cache;
	uint64_t reclaimed;

	support_start(ZONE);
	support_cache_init(&cache, NULL, 0);
	cache.shrinker.batch = 8;
	cache.only_here = true;
	fill(&cache, 512);
	support_leave_free(100 * KIB);
	reclaimed = bhi_background_run();
	ck_assert_uint_ge(support_free(), HIGH);
	ck_assert_uint_le(support_free(), HIGH + MIB);
	ck_assert_uint_eq(support_free(), 100 * KIB + reclaimed);
	ck_assert_uint_eq(background().reclaimed, reclaimed);
	ck_assert_uint_gt(cache.nr, 0);
	/* At high there is nothing to do. */
	support_leave_free(HIGH);
	cache.nr_counts = 0;
	ck_assert_uint_eq(bhi_background_run(), 0);
	ck_assert_uint_eq(cache.nr_counts, 0);
	support_leave_free(HIGH - 1);
	ck_assert_uint_gt(bhi_background_run(), 0);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(a_background_run_respects_protection_but_not_low_when_all_else_is_gone)
{
	struct support_cache min, low;
	struct bh_group *groups[2];

	support_start(ZONE);
	groups[0] = support_group(NULL, "min");
	groups[1] = support_group(NULL, "low");
	support_cache_init(&min, groups[0], 0);
	support_cache_init(&low, groups[1], 0);
	min.only_here = low.only_here = true;
	fill(&min, 64);
	fill(&low, 64);
	support_set(groups[0], BH_MIN, 64 * PAGE);
	support_set(groups[1], BH_LOW, 64 * PAGE);
	support_leave_free(100 * KIB);
	ck_assert_uint_eq(bhi_background_run(), 64 * PAGE);
	ck_assert_uint_eq(min.nr, 64);
	ck_assert_uint_eq(low.nr, 0);
	ck_assert_uint_gt(support_stat(groups[1]).events.low, 0);
	support_cache_fini(&min);
	support_cache_fini(&low);
	bh_group_put(groups[0]);
	bh_group_put(groups[1]);
	support_end();
}
END_TEST

START_TEST(a_hopeless_background_stays_away_until_somebody_makes_progress)
{
	struct bh_group *group;
	uint64_t wakeups;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_leave_free(LOW + PAGE);
	for (unsigned i = 0; i < BHI_BACKGROUND_MAX_FAILURES; i++) {
		ck_assert_uint_eq(background().failures, i);
		ck_assert_uint_eq(bhi_background_run(), 0);
	}
	wakeups = support_background_wakeups();
	ck_assert_int_eq(bh_charge(group, 2 * PAGE, BH_NOWAIT), 0);
	ck_assert_uint_eq(support_background_wakeups(), wakeups);
	bhi_background_progress();
	ck_assert_int_eq(bh_charge(group, PAGE, BH_NOWAIT), 0);
	ck_assert_uint_eq(support_background_wakeups(), wakeups + 1);
	bh_uncharge(group, 3 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_cache_that_is_locked_for_a_moment_does_not_make_the_background_hopeless)
{
	struct support_cache cache;

	support_start(ZONE);
	support_cache_init(&cache, NULL, 0);
	cache.only_here = true;
	fill(&cache, 256);
	support_leave_free(LOW - PAGE);
	pthread_mutex_lock(&cache.lock);
	for (unsigned i = 1; i < BHI_BACKGROUND_MAX_FAILURES; i++) {
		ck_assert_uint_eq(bhi_background_run(), 0);
		ck_assert_uint_eq(background().failures, i);
	}
	pthread_mutex_unlock(&cache.lock);
	ck_assert_uint_gt(bhi_background_run(), 0);
	ck_assert_uint_eq(background().failures, 0);
	ck_assert_uint_ge(support_free(), HIGH);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(direct_progress_brings_a_hopeless_background_back)
{
	struct support_cache cache;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.only_here = true;
	support_leave_free(LOW + 100 * PAGE);
	fill(&cache, 64);
	support_leave_free(LOW - PAGE);
	pthread_mutex_lock(&cache.lock);
	while (background().failures < BHI_BACKGROUND_MAX_FAILURES)
		bhi_background_run();
	pthread_mutex_unlock(&cache.lock);
	support_set(group, BH_MAX, 64 * PAGE);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_eq(background().failures, 0);
	bh_uncharge(group, PAGE);
	support_cache_fini(&cache);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_background_thread_is_woken_at_low_and_stops_at_high)
{
	struct support_cache cache;
	struct bh_group *group;
	uint64_t wakeups;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.shrinker.batch = 8;
	fill(&cache, 512);
	support_leave_free(LOW + 2 * PAGE);
	wakeups = support_background_wakeups();
	ck_assert_uint_eq(wakeups, 0);
	ck_assert_uint_eq(cache.nr, 512);
	/* This thread reclaims nothing itself. */
	ck_assert_int_eq(bh_charge(NULL, 4 * PAGE, BH_NOWAIT), 0);
	ck_assert_uint_eq(support_background_wakeups(), 1);
	ck_assert_uint_ge(support_free(), HIGH);
	ck_assert_uint_le(support_free(), HIGH + MIB);
	ck_assert_uint_lt(bhi_load(&cache.nr), 512);
	ck_assert_uint_gt(bhi_load(&cache.nr), 0);
	ck_assert_uint_gt(background().reclaimed, 0);
	bh_uncharge(NULL, 4 * PAGE);
	support_cache_fini(&cache);
	bh_group_put(group);
	support_end();
}
END_TEST

static struct {
	pthread_barrier_t inside, go_on;
	pthread_t main;
	uint32_t nr_background;
} held_up;

static size_t count_for_background(
	struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return pthread_equal(pthread_self(), held_up.main) ? 0 : 1000;
}

static size_t scan_held_up(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	if (bhi_add_return(&held_up.nr_background, 1) == 1) {
		pthread_barrier_wait(&held_up.inside);
		pthread_barrier_wait(&held_up.go_on);
	}
	return BH_SHRINK_STOP;
}

START_TEST(requests_do_not_wait_for_a_background_that_is_held_up)
{
	struct bh_shrinker shrinker = {.name = "held-up",
		.count = count_for_background,
		.scan = scan_held_up,
		.seeks = 2};
	struct support_cache cache;

	support_start(ZONE);
	held_up.main = pthread_self();
	pthread_barrier_init(&held_up.inside, NULL, 2);
	pthread_barrier_init(&held_up.go_on, NULL, 2);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	support_cache_init(&cache, NULL, 0);
	cache.only_here = true;
	fill(&cache, 256);
	support_leave_free(LOW - PAGE);
	ck_assert_int_eq(bh_charge(NULL, PAGE, BH_NOWAIT), 0);
	pthread_barrier_wait(&held_up.inside);
	support_leave_free(0);
	ck_assert_int_eq(bh_charge(NULL, PAGE, 0), 0);
	ck_assert_uint_lt(cache.nr, 256);
	pthread_barrier_wait(&held_up.go_on);
	bh_uncharge(NULL, 2 * PAGE);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(what_nobody_uses_decays_without_anybody_asking)
{
	struct bh_config config = {.size = ZONE, .decay_ms = 1};
	struct bhi_buddy_stat stat;
	struct bh_group *group;
	void *objects[32];

	ck_assert_int_eq(bh_init(&config), 0);
	group = support_group(NULL, "group");
	/* Twice: the clock stops when there is nothing left to do. */
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 32; j++) {
			objects[j] = bh_alloc(group, j % 2 ? 3000 : 30000, 0);
			ck_assert_ptr_nonnull(objects[j]);
		}
		for (int j = 0; j < 32; j++)
			bh_free(objects[j]);
		do {
			sched_yield();
			bhi_buddy_stat(&stat);
		} while (stat.dirty);
		/* All but the slab of a class that the thread allocates from. */
		ck_assert_uint_le(support_usage(group), 32 * PAGE);
	}
	bh_group_put(group);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(
		tcase, a_background_run_reclaims_up_to_the_high_mark_and_not_much_more);
	tcase_add_test(tcase,
		a_background_run_respects_protection_but_not_low_when_all_else_is_gone);
	tcase_add_test(
		tcase, a_hopeless_background_stays_away_until_somebody_makes_progress);
	tcase_add_test(tcase,
		a_cache_that_is_locked_for_a_moment_does_not_make_the_background_hopeless);
	tcase_add_test(tcase, direct_progress_brings_a_hopeless_background_back);
	tcase_add_test(tcase, the_background_thread_is_woken_at_low_and_stops_at_high);
	tcase_add_test(tcase, requests_do_not_wait_for_a_background_that_is_held_up);
	tcase_add_test(tcase, what_nobody_uses_decays_without_anybody_asking);
}

int main(void)
{
	return support_run("background", add_tests);
}
