/* SPDX-License-Identifier: MIT */
/* What happens when reclaim is hopeless, and when a max is set below the usage. */
#include <errno.h>
#include <sched.h>

#include "account/stock.h"
#include "oom/oom.h"
#include "support.h"
#include "support_short.h"

#if defined(__clang__)
/* Another function takes the lock. */
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

static struct bh_group *group_at_max(uint64_t max, enum bh_on_limit policy)
{
	struct bh_group *group = support_group(NULL, "at-max");

	support_set(group, BH_MAX, max);
	support_set(group, BH_ON_LIMIT, policy);
	ck_assert_int_eq(bh_charge(group, max, 0), 0);
	bhi_stock_drain(bh_root());
	return group;
}

struct charger {
	struct bh_group *group;
	uint64_t size;
	unsigned flags;
	int result;
	uint32_t done;
};

static void *charge_in_thread(void *arg)
{
	struct charger *c = arg;

	c->result = bh_charge(c->group, c->size, c->flags);
	__atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static uint64_t ooms(struct bh_group *group)
{
	return bhi_load(&group->local_events[BHI_EVENT_OOM]);
}

START_TEST(losing_the_race_for_the_oom_lock_is_progress)
{
	struct charger charger = {.size = PAGE};
	pthread_t thread;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	charger.group = group_at_max(4 * PAGE, BH_KILL);
	bhi_lock_acquire(&bhi_oom_lock);
	thread = support_thread(charge_in_thread, &charger);
	/* It comes back again and again, and neither fails nor kills. */
	while (ooms(charger.group) < 20)
		sched_yield();
	ck_assert_uint_eq(bhi_load(&charger.done), 0);
	ck_assert_uint_eq(bhi_load(&support_killer.nr_calls), 0);
	bh_uncharge(charger.group, PAGE);
	bhi_stock_drain(bh_root());
	support_join(thread);
	bhi_lock_release(&bhi_oom_lock);
	ck_assert_int_eq(charger.result, 0);
	ck_assert_uint_eq(bhi_load(&support_killer.nr_calls), 0);
	bh_uncharge(charger.group, 4 * PAGE);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

static uint32_t others_lost;

/* Let the other thread lose the lock three times, then find somebody. */
static bool kill_slowly(struct bh_group *over, int64_t size)
{
	uint64_t seen = ooms(over);

	(void)size;
	bhi_add(&support_killer.nr_calls, 1);
	while (ooms(over) < seen + 3)
		sched_yield();
	bhi_add(&others_lost, 1);
	bhi_counter_uncharge(&over->counter, 2 * (int64_t)PAGE);
	bhi_add(&over->external, -2 * (int64_t)PAGE);
	return true;
}

START_TEST(two_requests_over_one_limit_kill_once)
{
	struct charger chargers[2] = {{.size = PAGE}, {.size = PAGE}};
	pthread_t threads[2];
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = kill_slowly;
	group = group_at_max(4 * PAGE, BH_KILL);
	for (int i = 0; i < 2; i++) {
		chargers[i].group = group;
		threads[i] = support_thread(charge_in_thread, &chargers[i]);
	}
	for (int i = 0; i < 2; i++) {
		support_join(threads[i]);
		ck_assert_int_eq(chargers[i].result, 0);
	}
	ck_assert_uint_eq(support_killer.nr_calls, 1);
	ck_assert_uint_eq(others_lost, 1);
	ck_assert_uint_eq(support_usage(group), 4 * PAGE);
	bh_uncharge(group, 4 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Memory that another thread gives back while the last resort is asked. */
static struct giver {
	struct bh_shrinker shrinker;
	struct bh_group *group;
	uint64_t gives;
} giver;

static void *give_in_thread(void *arg)
{
	(void)arg;
	bh_uncharge(giver.group, giver.gives);
	giver.gives = 0;
	return NULL;
}

static size_t giver_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return giver.gives ? 1 : 0;
}

static size_t giver_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	support_join(support_thread(give_in_thread, NULL));
	return BH_SHRINK_STOP;
}

static void giver_init(struct bh_group *group, uint64_t gives)
{
	giver.group = group;
	giver.gives = gives;
	giver.shrinker = (struct bh_shrinker){
		.name = "giver",
		.count = giver_count,
		.scan = giver_scan,
		.flags = BH_SHRINKER_LAST_RESORT,
	};
	ck_assert_int_eq(bh_shrinker_register(&giver.shrinker), 0);
}

START_TEST(memory_that_came_back_before_the_last_look_saves_the_victim)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	group = group_at_max(4 * PAGE, BH_KILL);
	giver_init(group, PAGE);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_eq(support_killer.nr_calls, 0);
	ck_assert_uint_eq(ooms(group), 1);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_killer.nr_calls, 1);
	ck_assert_int_eq(bh_shrinker_unregister(&giver.shrinker), 0);
	bh_uncharge(group, 4 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(the_last_look_asks_the_zone_for_its_high_mark)
{
	static const struct {
		uint64_t gives;
		uint32_t kills;
	} rows[] = {{SHORT_HIGH - SHORT_MIN + PAGE, 0}, {SHORT_HIGH - SHORT_MIN, 1},
		{2 * PAGE, 1}};
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	support_set(bh_root(), BH_ON_LIMIT, BH_KILL);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, MIB, 0), 0);
	support_leave_free(SHORT_MIN);
	giver_init(group, rows[_i].gives);
	/* Killed for or not: what came back serves the request. */
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_eq(support_killer.nr_calls, rows[_i].kills);
	ck_assert_int_eq(bh_shrinker_unregister(&giver.shrinker), 0);
	bh_uncharge(group, support_usage(group));
	bh_group_put(group);
	support_end();
}
END_TEST

static bool decide(struct bh_group *over, uint64_t size)
{
	const struct bhi_oom_request request = {.size = (int64_t)size};

	return bhi_oom(over, &request);
}

START_TEST(the_oom_decision_by_itself)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	group = group_at_max(4 * PAGE, BH_KILL);
	ck_assert(!decide(group, PAGE));
	bh_uncharge(group, PAGE);
	bhi_stock_drain(group);
	ck_assert(decide(group, PAGE));
	ck_assert(!decide(group, 2 * PAGE));
	bhi_oom_killer = support_kill;
	ck_assert(!decide(group, 2 * PAGE));
	support_killer.gives = PAGE;
	ck_assert(decide(group, 2 * PAGE));
	ck_assert_uint_eq(support_killer.nr_calls, 2);
	ck_assert(bhi_lock_try(&bhi_oom_lock));
	bhi_lock_release(&bhi_oom_lock);
	bh_uncharge(group, 2 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(after_a_kill_memory_is_tried_before_caches_are_shrunk_again)
{
	struct bh_group *group;
	struct support_stubborn stubborn;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	support_killer.gives = PAGE;
	group = group_at_max(4 * PAGE, BH_KILL);
	support_stubborn_init(&stubborn, group);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	ck_assert_uint_eq(stubborn.nr_counts, SHORT_ROUNDS * SHORT_PASSES);
	support_stubborn_fini(&stubborn);
	bh_uncharge(group, 4 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_kill_that_gives_too_little_is_followed_by_another)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	support_killer.gives = PAGE;
	group = group_at_max(8 * PAGE, BH_KILL);
	ck_assert_int_eq(bh_charge(group, 3 * PAGE, 0), 0);
	ck_assert_uint_eq(support_killer.nr_calls, 3);
	ck_assert_uint_eq(ooms(group), 3);
	bh_uncharge(group, 8 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(shrinkers_of_last_resort_are_asked_once_reclaim_is_hopeless_and_before_a_kill)
{
	struct bh_group *group;
	struct support_cache cache, last;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 16 * PAGE);
	support_set(group, BH_ON_LIMIT, BH_KILL);
	support_cache_init(&cache, group, 0);
	support_cache_init(&last, group, 0);
	last.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	ck_assert_uint_eq(support_cache_fill(&cache, 8, 0), 8);
	ck_assert_uint_eq(support_cache_fill(&last, 8, 0), 8);
	bhi_stock_drain(bh_root());
	ck_assert_int_eq(bh_charge(group, 8 * PAGE, 0), 0);
	ck_assert_uint_eq(last.nr_counts, 0);
	/* One round only: no last resort either. */
	ck_assert_int_eq(bh_charge(group, PAGE, BH_NORETRY), -ENOMEM);
	ck_assert_int_eq(bh_charge(group, PAGE, BH_RETRY_MAYFAIL), -ENOMEM);
	ck_assert_uint_eq(last.nr_counts, 0);
	ck_assert_int_eq(bh_charge(group, 8 * PAGE, 0), 0);
	ck_assert_uint_gt(last.nr_scans, 0);
	ck_assert_uint_eq(support_killer.nr_calls + ooms(group), 0);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(support_killer.nr_calls, 1);
	support_cache_fini(&cache);
	support_cache_fini(&last);
	bh_uncharge(group, 16 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

/* A last resort that gives a page each time that it is asked. */
static size_t page_by_page(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)control;
	bh_uncharge(self->group, PAGE);
	return BH_SHRINK_STOP;
}

START_TEST(the_last_resort_is_asked_again_while_it_gives_something)
{
	struct support_stubborn last;
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	group = group_at_max(8 * PAGE, BH_KILL);
	support_stubborn_init(&last, group);
	last.shrinker.scan = page_by_page;
	last.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	ck_assert_int_eq(bh_charge(group, 3 * PAGE, 0), 0);
	ck_assert_uint_eq(last.nr_counts, 3);
	ck_assert_uint_eq(support_killer.nr_calls + ooms(group), 0);
	support_stubborn_fini(&last);
	bh_uncharge(group, 8 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

/* --------------------------------------------------------------- lower a max */

START_TEST(a_max_below_the_usage_reclaims_at_once_and_fails_nobody)
{
	struct bh_group *group;
	struct support_cache cache;

	support_start(SHORT_ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.shrinker.batch = 8;
	ck_assert_uint_eq(support_cache_fill(&cache, 512, 0), 512);
	ck_assert_int_eq(bh_charge(group, 100 * PAGE, 0), 0);
	support_set(group, BH_MAX, 300 * PAGE);
	ck_assert_uint_le(support_usage(group), 300 * PAGE);
	ck_assert_uint_gt(cache.nr, 0);
	ck_assert_uint_eq(support_stat(group).events.oom, 0);
	/* Below what cannot be reclaimed: everything goes, and the call still succeeds.
	 */
	support_set(group, BH_MAX, 50 * PAGE);
	ck_assert_uint_eq(cache.nr, 0);
	ck_assert_uint_eq(support_usage(group), 100 * PAGE);
	ck_assert_uint_eq(support_stat(group).max, 50 * PAGE);
	ck_assert_uint_eq(support_stat(group).events.oom, 1);
	ck_assert_int_eq(bh_charge(group, 1, BH_NOWAIT), -ENOMEM);
	support_cache_fini(&cache);
	bh_uncharge(group, 100 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_max_below_the_usage_kills_until_it_fits)
{
	struct bh_group *group;
	struct support_cache last;

	support_start(SHORT_ZONE);
	bhi_oom_killer = support_kill;
	support_killer.gives = 10 * PAGE;
	group = support_group(NULL, "group");
	support_set(group, BH_ON_LIMIT, BH_KILL);
	support_cache_init(&last, group, 0);
	last.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	ck_assert_uint_eq(support_cache_fill(&last, 20, 0), 20);
	ck_assert_int_eq(bh_charge(group, 100 * PAGE, 0), 0);
	support_set(group, BH_MAX, 105 * PAGE);
	ck_assert_uint_eq(support_killer.nr_calls, 0);
	ck_assert_uint_eq(last.nr, 0);
	support_set(group, BH_MAX, 75 * PAGE);
	ck_assert_uint_eq(support_killer.nr_calls, 3);
	ck_assert_uint_eq(support_usage(group), 70 * PAGE);
	ck_assert_uint_eq(ooms(group), 3);
	support_killer.gives = 0;
	support_set(group, BH_MAX, 0);
	ck_assert_uint_eq(support_killer.nr_calls, 4);
	support_cache_fini(&last);
	bh_uncharge(group, 70 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

static bool raise_max(struct bh_group *over, int64_t size)
{
	(void)size;
	bhi_add(&support_killer.nr_calls, 1);
	bhi_store(&over->counter.max, BHI_COUNTER_MAX);
	return true;
}

START_TEST(enforcing_a_max_ends_when_somebody_sets_another)
{
	struct bh_group *group;

	support_start(SHORT_ZONE);
	bhi_oom_killer = raise_max;
	group = support_group(NULL, "group");
	support_set(group, BH_ON_LIMIT, BH_KILL);
	ck_assert_int_eq(bh_charge(group, 10 * PAGE, 0), 0);
	support_set(group, BH_MAX, PAGE);
	ck_assert_uint_eq(support_killer.nr_calls, 1);
	ck_assert_uint_eq(support_stat(group).max, BH_UNLIMITED);
	bh_uncharge(group, 10 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, losing_the_race_for_the_oom_lock_is_progress);
	tcase_add_test(tcase, two_requests_over_one_limit_kill_once);
	tcase_add_test(
		tcase, memory_that_came_back_before_the_last_look_saves_the_victim);
	tcase_add_loop_test(tcase, the_last_look_asks_the_zone_for_its_high_mark, 0, 3);
	tcase_add_test(tcase, the_oom_decision_by_itself);
	tcase_add_test(
		tcase, after_a_kill_memory_is_tried_before_caches_are_shrunk_again);
	tcase_add_test(tcase, a_kill_that_gives_too_little_is_followed_by_another);
	tcase_add_test(tcase,
		shrinkers_of_last_resort_are_asked_once_reclaim_is_hopeless_and_before_a_kill);
	tcase_add_test(tcase, the_last_resort_is_asked_again_while_it_gives_something);
	tcase_add_test(tcase, a_max_below_the_usage_reclaims_at_once_and_fails_nobody);
	tcase_add_test(tcase, a_max_below_the_usage_kills_until_it_fits);
	tcase_add_test(tcase, enforcing_a_max_ends_when_somebody_sets_another);
}

int main(void)
{
	return support_run("charge_oom", add_tests);
}
