/* SPDX-License-Identifier: MIT */
/*
 * BH_NOFAIL requests that wait for memory. Where a test says that somebody waits, it has
 * seen the announcement in bhi_waiters.nr.
 */
#include <errno.h>
#include <sched.h>

#include "account/stock.h"
#include "account/waiters.h"
#include "oom/oom.h"
#include "reclaim/background.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (16 * MIB)
#define MIN  (512 * KIB)

struct charger {
	struct bh_group *group;
	uint64_t size;
};

static uint32_t nr_done;

static void *charge_in_thread(void *arg)
{
	struct charger *c = arg;

	ck_assert_int_eq(bh_charge(c->group, c->size, BH_NOFAIL), 0);
	__atomic_add_fetch(&nr_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static uint32_t done(void)
{
	return __atomic_load_n(&nr_done, __ATOMIC_SEQ_CST);
}

START_TEST(a_request_that_cannot_fail_sleeps_until_memory_comes_back)
{
	struct charger charger = {.size = PAGE};
	struct bh_group_stat stat;
	pthread_t thread;

	support_start(ZONE);
	charger.group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(NULL, MIB, 0), 0);
	support_leave_free(0);
	thread = support_thread(charge_in_thread, &charger);
	support_await(&bhi_waiters.nr, 1);
	ck_assert_uint_eq(done(), 0);
	/* Half of the reserve stays: what is less wakes it for nothing. */
	bh_uncharge(NULL, MIN / 2);
	ck_assert_uint_eq(done(), 0);
	bh_uncharge(NULL, PAGE);
	support_join(thread);
	ck_assert_uint_eq(done(), 1);
	ck_assert_uint_eq(bhi_load(&bhi_waiters.nr), 0);
	stat = support_stat(charger.group);
	ck_assert_uint_gt(stat.some.total_ns, 0);
	ck_assert_uint_eq(stat.events.max, 0);
	ck_assert_uint_gt(support_stat(bh_root()).some.total_ns, 0);
	bh_uncharge(NULL, MIB - MIN / 2 - PAGE);
	bh_uncharge(charger.group, PAGE);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

#define NR_WAITERS 4

START_TEST(each_return_of_memory_serves_as_many_waiters_as_it_is_enough_for)
{
	struct charger charger = {.size = 3 * PAGE};
	pthread_t threads[NR_WAITERS];

	support_start(ZONE);
	charger.group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(NULL, MIB, 0), 0);
	support_leave_free(MIN / 2);
	for (int i = 0; i < NR_WAITERS; i++)
		threads[i] = support_thread(charge_in_thread, &charger);
	support_await(&bhi_waiters.nr, NR_WAITERS);
	for (uint32_t i = 0; i < NR_WAITERS; i++) {
		ck_assert_uint_eq(done(), i);
		bh_uncharge(NULL, 2 * PAGE);
		ck_assert_uint_eq(done(), i);
		bh_uncharge(NULL, PAGE);
		support_await(&nr_done, i + 1);
		/* Another waiter may have been woken too, and charges the group before it
		 * finds nothing left in the root. */
		while (support_usage(charger.group) != 3 * (i + 1) * PAGE)
			sched_yield();
	}
	for (int i = 0; i < NR_WAITERS; i++)
		support_join(threads[i]);
	ck_assert_uint_eq(support_free(), MIN / 2);
	bh_uncharge(NULL, MIB - NR_WAITERS * 3 * PAGE);
	bh_uncharge(charger.group, NR_WAITERS * 3 * PAGE);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

START_TEST(while_somebody_waits_stocks_take_nothing_in)
{
	struct bh_group *group;
	int64_t external;

	support_start(ZONE);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_charge(group, MIB, 0), 0);
	bhi_waiters_enter();
	for (int i = 0; i < 63; i++)
		bh_uncharge(group, PAGE);
	ck_assert_int_eq(bhi_stock_held(group, &external), 0);
	ck_assert_int_eq(bhi_load(&group->counter.usage), (int64_t)(MIB - 63 * PAGE));
	bhi_waiters_leave();
	bh_uncharge(group, PAGE);
	ck_assert_int_eq(bhi_stock_held(group, &external), (int64_t)PAGE);
	bh_uncharge(group, MIB - 64 * PAGE);
	bh_group_put(group);
	support_end();
}
END_TEST

struct stocker {
	struct bh_group *group;
	pthread_barrier_t ready, go_on;
};

static void *hold_stock(void *arg)
{
	struct stocker *s = arg;

	ck_assert_int_eq(bh_charge(s->group, PAGE, 0), 0);
	bh_uncharge(s->group, PAGE);
	pthread_barrier_wait(&s->ready);
	pthread_barrier_wait(&s->go_on);
	return NULL;
}

/* The second time the group of the request is full as well, and its own limit says no
 * before the zone does. */
START_TEST(nobody_waits_for_what_other_threads_have_in_stock)
{
	struct stocker stocker;
	struct charger charger = {.size = MIN / 4};
	pthread_t thread;

	support_start(ZONE);
	stocker.group = support_group(NULL, "stocker");
	charger.group = support_group(NULL, "group");
	if (_i)
		support_set(charger.group, BH_MAX, 0);
	pthread_barrier_init(&stocker.ready, NULL, 2);
	pthread_barrier_init(&stocker.go_on, NULL, 2);
	support_leave_free(2 * MIB);
	thread = support_thread(hold_stock, &stocker);
	pthread_barrier_wait(&stocker.ready);
	ck_assert_int_eq(bhi_load(&stocker.group->counter.usage), BHI_STOCK_BATCH);
	/* Down to 3/8 of the min mark; with the stock's half of it there is enough. */
	while (!bh_charge(NULL, PAGE, BH_ATOMIC))
		;
	/* Nobody would wake it. */
	charge_in_thread(&charger);
	ck_assert_uint_eq(bhi_load(&stocker.group->counter.usage), 0);
	pthread_barrier_wait(&stocker.go_on);
	support_join(thread);
	bh_uncharge(NULL, support_stat(bh_root()).external);
	bh_uncharge(charger.group, charger.size);
	bh_group_put(charger.group);
	bh_group_put(stocker.group);
	support_end();
}
END_TEST

static void wait_and_be_served(struct charger *charger)
{
	pthread_t thread;

	support_leave_free(0);
	thread = support_thread(charge_in_thread, charger);
	support_await(&bhi_waiters.nr, 1);
	support_leave_free(UINT64_MAX);
	support_join(thread);
	bh_uncharge(charger->group, charger->size);
}

START_TEST(a_group_stalls_in_full_only_while_all_that_work_for_it_wait)
{
	struct charger charger = {.size = PAGE};
	struct bh_group_stat stat, before;
	struct bh_group *other;

	support_start(ZONE);
	charger.group = support_group(NULL, "group");
	other = support_group(NULL, "other");
	/* This thread works for the group, and goes on doing so. */
	ck_assert_int_eq(bh_charge(charger.group, MIB, 0), 0);
	wait_and_be_served(&charger);
	before = support_stat(charger.group);
	ck_assert_uint_gt(before.some.total_ns, 0);
	ck_assert_uint_eq(before.full.total_ns, 0);
	ck_assert_uint_gt(support_stat(bh_root()).some.total_ns, 0);
	/* Now it works for another: the one who waits is the only one. */
	ck_assert_int_eq(bh_charge(other, MIB, 0), 0);
	wait_and_be_served(&charger);
	stat = support_stat(charger.group);
	ck_assert_uint_gt(stat.full.total_ns, 0);
	ck_assert_uint_gt(stat.some.total_ns, before.some.total_ns);
	ck_assert_uint_eq(support_stat(bh_root()).full.total_ns, 0);
	ck_assert_uint_eq(support_stat(other).some.total_ns, 0);
	/* The end of the group leaves this thread working for its parent. */
	bh_uncharge(other, MIB);
	bh_group_put(other);
	wait_and_be_served(&charger);
	ck_assert_uint_eq(support_stat(bh_root()).full.total_ns, 0);
	bh_uncharge(charger.group, MIB);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

/*
 * A cache that nobody can shrink for the moment, and a request that waits. It is freed by
 * the request alone: the background has given up.
 */
static struct {
	struct charger charger;
	struct bh_group *group; /* of the cache */
	struct support_cache cache;
	pthread_t thread;
} held_back;

static void give_up_background(void)
{
	struct bhi_background_stat stat;

	do {
		bhi_background_run();
		bhi_background_stat(&stat);
	} while (stat.failures < BHI_BACKGROUND_MAX_FAILURES);
}

static void held_back_init(bool global)
{
	support_start(ZONE);
	held_back.charger.size = PAGE;
	held_back.charger.group = support_group(NULL, "group");
	held_back.group = support_group(NULL, "cache");
	support_cache_init(&held_back.cache, held_back.group, 0);
	if (global) {
		ck_assert_int_eq(bh_shrinker_unregister(&held_back.cache.shrinker), 0);
		held_back.cache.shrinker.group = NULL;
		ck_assert_int_eq(bh_shrinker_register(&held_back.cache.shrinker), 0);
	}
	ck_assert_uint_eq(support_cache_fill(&held_back.cache, 256, 0), 256);
}

static void held_back_wait(void)
{
	support_leave_free(0);
	give_up_background();
	held_back.thread = support_thread(charge_in_thread, &held_back.charger);
	support_await(&bhi_waiters.nr, 1);
	ck_assert_uint_eq(done(), 0);
	ck_assert_uint_eq(bhi_load(&held_back.cache.nr), 256);
}

static void held_back_end(void)
{
	support_join(held_back.thread);
	ck_assert_uint_lt(held_back.cache.nr, 256);
	support_cache_fini(&held_back.cache);
	bh_uncharge(held_back.charger.group, PAGE);
	bh_group_put(held_back.charger.group);
	bh_group_put(held_back.group);
	support_end();
}

START_TEST(a_shrinker_whose_lock_was_taken_is_asked_again_without_any_uncharge)
{
	held_back_init(false);
	pthread_mutex_lock(&held_back.cache.lock);
	held_back_wait();
	pthread_mutex_unlock(&held_back.cache.lock);
	held_back_end();
}
END_TEST

START_TEST(a_shrinker_that_had_nothing_to_give_is_asked_again_too)
{
	held_back_init(_i);
	bhi_store(&held_back.cache.in_use, true);
	held_back_wait();
	bhi_store(&held_back.cache.in_use, false);
	held_back_end();
}
END_TEST

START_TEST(a_last_resort_whose_lock_was_taken_is_asked_again_as_well)
{
	held_back_init(false);
	held_back.cache.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	pthread_mutex_lock(&held_back.cache.lock);
	held_back_wait();
	pthread_mutex_unlock(&held_back.cache.lock);
	held_back_end();
}
END_TEST

START_TEST(who_takes_a_protection_away_wakes_those_who_wait)
{
	held_back_init(false);
	support_set(held_back.group, BH_MIN, 256 * PAGE);
	held_back_wait();
	support_set(held_back.group, BH_MIN, 0);
	held_back_end();
}
END_TEST

START_TEST(who_registers_a_shrinker_wakes_those_who_wait)
{
	held_back_init(false);
	ck_assert_int_eq(bh_shrinker_unregister(&held_back.cache.shrinker), 0);
	held_back_wait();
	ck_assert_int_eq(bh_shrinker_register(&held_back.cache.shrinker), 0);
	held_back_end();
}
END_TEST

/* A thread with slabs that it does not look at while others empty them. */
static struct {
	struct bh_group *group;
	void *objects[128];
	uint32_t took, may_end;
} owner;

static void *take_and_stay(void *arg)
{
	for (size_t i = 0; i < bhi_array_size(owner.objects); i++) {
		owner.objects[i] = bh_alloc(owner.group, 5000, 0);
		ck_assert_ptr_nonnull(owner.objects[i]);
	}
	__atomic_store_n(&owner.took, 1, __ATOMIC_SEQ_CST);
	support_await(&owner.may_end, 1);
	return arg;
}

START_TEST(slabs_that_others_empty_are_found_without_any_uncharge)
{
	struct charger charger = {.size = PAGE};
	pthread_t owning, waiting;

	support_start(ZONE);
	charger.group = support_group(NULL, "group");
	owner.group = support_group(NULL, "owner");
	owning = support_thread(take_and_stay, NULL);
	support_await(&owner.took, 1);
	support_leave_free(0);
	give_up_background();
	waiting = support_thread(charge_in_thread, &charger);
	support_await(&bhi_waiters.nr, 1);
	for (size_t i = 0; i < bhi_array_size(owner.objects); i++)
		bh_free(owner.objects[i]);
	support_join(waiting);
	__atomic_store_n(&owner.may_end, 1, __ATOMIC_SEQ_CST);
	support_join(owning);
	bh_uncharge(charger.group, charger.size);
	bh_group_put(charger.group);
	bh_group_put(owner.group);
	support_end();
}
END_TEST

/* A shrinker that takes memory itself, once. */
static struct {
	struct bh_shrinker shrinker;
	struct charger charger;
	uint32_t left;
} taker;

static size_t taker_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return bhi_load(&taker.left);
}

static size_t taker_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	if (bhi_exchange(&taker.left, 0))
		charge_in_thread(&taker.charger);
	return BH_SHRINK_STOP;
}

static void *reclaim_in_thread(void *arg)
{
	(void)bh_group_reclaim(taker.shrinker.group, PAGE, 0);
	return arg;
}

START_TEST(inside_reclaim_one_who_waits_gets_all_that_comes_back)
{
	pthread_t thread;

	support_start(ZONE);
	taker.charger.size = PAGE;
	taker.charger.group = support_group(NULL, "full");
	support_set(taker.charger.group, BH_MAX, 0);
	taker.shrinker = (struct bh_shrinker){
		.name = "taker",
		.count = taker_count,
		.scan = taker_scan,
		.group = support_group(NULL, "taker"),
		.seeks = 2,
	};
	ck_assert_int_eq(bh_shrinker_register(&taker.shrinker), 0);
	ck_assert_int_eq(bh_charge(NULL, MIB, 0), 0);
	support_leave_free(0);
	give_up_background();
	taker.left = 1;
	thread = support_thread(reclaim_in_thread, NULL);
	support_await(&bhi_waiters.nr, 1);
	ck_assert_uint_eq(done(), 0);
	bh_uncharge(NULL, PAGE);
	support_join(thread);
	ck_assert_uint_eq(done(), 1);
	ck_assert_uint_eq(support_free(), 0);
	ck_assert_int_eq(bh_shrinker_unregister(&taker.shrinker), 0);
	bh_uncharge(NULL, MIB - PAGE);
	bh_uncharge(taker.charger.group, PAGE);
	bh_group_put(taker.shrinker.group);
	bh_group_put(taker.charger.group);
	support_end();
}
END_TEST

static bool kill_once(struct bh_group *over, int64_t size)
{
	static int nr_calls;

	(void)over;
	(void)size;
	return nr_calls++ == 0;
}

START_TEST(after_a_kill_the_whole_reserve_is_there_for_those_who_cannot_fail)
{
	struct charger charger = {.size = 8 * PAGE};
	uint32_t sequence;

	support_start(ZONE);
	bhi_oom_killer = kill_once;
	support_set(bh_root(), BH_ON_LIMIT, BH_KILL);
	charger.group = support_group(NULL, "group");
	support_leave_free(MIN / 2);
	sequence = bhi_waiters_sequence();
	charge_in_thread(&charger);
	ck_assert_uint_eq(support_free(), MIN / 2 - 8 * PAGE);
	ck_assert_uint_eq(bhi_waiters_sequence(), sequence);
	bh_uncharge(charger.group, charger.size);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

#define NR_ROUNDS 5000

/* At any time there is enough for one of the threads only. */
static void *take_and_give(void *arg)
{
	struct charger *c = arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		ck_assert_int_eq(bh_charge(c->group, c->size, BH_NOFAIL), 0);
		sched_yield();
		bh_uncharge(c->group, c->size);
	}
	return NULL;
}

START_TEST(no_wake_up_is_lost)
{
	struct charger charger = {.size = 8 * PAGE};
	pthread_t threads[NR_WAITERS];

	support_start(ZONE);
	charger.group = support_group(NULL, "group");
	support_leave_free(MIN / 2 + 8 * PAGE);
	for (int i = 0; i < NR_WAITERS; i++)
		threads[i] = support_thread(take_and_give, &charger);
	for (int i = 0; i < NR_WAITERS; i++)
		support_join(threads[i]);
	ck_assert_uint_eq(support_usage(charger.group), 0);
	ck_assert_uint_eq(bhi_waiters.nr, 0);
	/* Some did wait and were woken. */
	ck_assert_uint_gt(bhi_waiters_sequence(), 0);
	bh_group_put(charger.group);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_request_that_cannot_fail_sleeps_until_memory_comes_back);
	tcase_add_test(
		tcase, each_return_of_memory_serves_as_many_waiters_as_it_is_enough_for);
	tcase_add_test(tcase, while_somebody_waits_stocks_take_nothing_in);
	tcase_add_loop_test(
		tcase, nobody_waits_for_what_other_threads_have_in_stock, 0, 2);
	tcase_add_test(
		tcase, a_group_stalls_in_full_only_while_all_that_work_for_it_wait);
	tcase_add_test(tcase,
		a_shrinker_whose_lock_was_taken_is_asked_again_without_any_uncharge);
	tcase_add_loop_test(
		tcase, a_shrinker_that_had_nothing_to_give_is_asked_again_too, 0, 2);
	tcase_add_test(tcase, a_last_resort_whose_lock_was_taken_is_asked_again_as_well);
	tcase_add_test(tcase, who_takes_a_protection_away_wakes_those_who_wait);
	tcase_add_test(tcase, who_registers_a_shrinker_wakes_those_who_wait);
	tcase_add_test(tcase, slabs_that_others_empty_are_found_without_any_uncharge);
	tcase_add_test(tcase, inside_reclaim_one_who_waits_gets_all_that_comes_back);
	tcase_add_test(
		tcase, after_a_kill_the_whole_reserve_is_there_for_those_who_cannot_fail);
	tcase_add_test(tcase, no_wake_up_is_lost);
}

int main(void)
{
	return support_run("waiters", add_tests);
}
