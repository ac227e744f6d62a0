/* SPDX-License-Identifier: MIT */
/*
 * Threads that charge, free, look at and delete the same groups. What they leave is
 * checked when all have ended: nothing charged, nobody left behind, an audit that agrees.
 */
#include <errno.h>
#include <stdlib.h>

#include "account/group.h"
#include "account/stock.h"
#include "account/waiters.h"
#include "base/bug.h"
#include "support.h"
#include "support_memory.h"

#define ZONE       (64 * MIB)
#define NR_THREADS 4
#define NR_ROUNDS  30000
#define NR_PLACES  8

static unsigned random_below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* Groups that anybody may use, and replace by new ones while others use them. */
static struct place {
	pthread_mutex_t lock;
	struct bh_group *group;
} places[NR_PLACES];

/* With a reference for the caller. */
static struct bh_group *place_get(unsigned i)
{
	struct bh_group *group;

	pthread_mutex_lock(&places[i].lock);
	group = bh_group_get(places[i].group);
	pthread_mutex_unlock(&places[i].lock);
	return group;
}

/* A new group below the group of another place, or below the root. */
static void place_renew(unsigned i, unsigned parent_at)
{
	struct bh_group *parent = parent_at == i ? NULL : place_get(parent_at);
	struct bh_group *group = support_group(parent, "renewed"), *old;

	bh_group_put(parent);
	pthread_mutex_lock(&places[i].lock);
	old = places[i].group;
	places[i].group = group;
	pthread_mutex_unlock(&places[i].lock);
	bh_group_put(old);
}

static void places_init(void)
{
	for (unsigned i = 0; i < NR_PLACES; i++) {
		pthread_mutex_init(&places[i].lock, NULL);
		places[i].group = support_group(NULL, "place");
	}
}

static void expect_nothing_left(void)
{
	for (unsigned i = 0; i < NR_PLACES; i++) {
		bh_group_put(places[i].group);
		places[i].group = NULL;
	}
	bhi_group_sweep();
	ck_assert_uint_eq(bhi_group_count(), 1);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	ck_assert_int_eq(bh_root()->counter.children_min_usage, 0);
	ck_assert_int_eq(bh_root()->counter.children_low_usage, 0);
	ck_assert_uint_eq(bhi_warn_count(), 0);
	ck_assert_int_eq(bh_audit(), 0);
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t threads[NR_THREADS];

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(fn, (void *)(i + 1));
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
}

/* ------------------------------------------------------ a bit of everything */

#define NR_OBJECTS 256

/* Objects change hands: whoever takes one out frees it. */
static void *bag[NR_OBJECTS];

static void bag_swap(unsigned *seed, void *object)
{
	bh_free(bhi_exchange(&bag[random_below(seed, NR_OBJECTS)], object));
}

static void charge_and_uncharge(struct bh_group *group, unsigned *seed)
{
	size_t size = 1 + random_below(seed, 40000);

	if (bh_charge(group, size, BH_NORETRY) == 0)
		bh_uncharge(group, size);
}

static void set_something(struct bh_group *group, unsigned *seed)
{
	uint64_t size = random_below(seed, 64) * 16 * KIB;

	switch (random_below(seed, 6)) {
	case 0:
		support_set(group, BH_MIN, size);
		break;
	case 1:
		support_set(group, BH_LOW, size);
		break;
	case 2:
		support_set(group, BH_MAX, size);
		break;
	case 3:
		/* Far enough that nobody is made to sleep. */
		support_set(group, BH_HIGH, 32 * MIB);
		break;
	default:
		support_set(group, BH_MAX, BH_UNLIMITED);
	}
}

static void look(struct bh_group *group)
{
	struct bh_group_stat stat = support_stat(group);

	ck_assert_uint_le(stat.usage, ZONE);
	ck_assert_uint_le(stat.external, ZONE);
	ck_assert_uint_le(stat.left_behind, ZONE);
}

static void do_something(unsigned i, unsigned *seed)
{
	struct bh_group *group = place_get(i);

	switch (random_below(seed, 8)) {
	case 0:
	case 1:
		charge_and_uncharge(group, seed);
		break;
	case 2:
	case 3:
		bag_swap(seed, bh_alloc(group, random_below(seed, 20000), BH_NORETRY));
		break;
	case 4:
		bag_swap(seed, bh_alloc_pages(group, random_below(seed, 4), BH_NOWAIT));
		break;
	case 5:
		set_something(group, seed);
		break;
	case 6:
		look(group);
		break;
	default:
		if (random_below(seed, 4))
			bhi_stock_drain(group);
		else
			place_renew(i, random_below(seed, NR_PLACES));
	}
	bh_group_put(group);
}

static void *do_everything(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < NR_ROUNDS; i++)
		do_something(random_below(&seed, NR_PLACES), &seed);
	return NULL;
}

START_TEST(groups_come_and_go_under_those_who_use_them)
{
	support_start(ZONE);
	places_init();
	run_threads(do_everything);
	for (int i = 0; i < NR_OBJECTS; i++)
		bh_free(bag[i]);
	expect_nothing_left();
}
END_TEST

/* ------------------------------------------------------ the last one goes */

/* A group is deleted while its objects are freed on two sides: the last of the three
 * takes it away. */
static struct {
	pthread_barrier_t begin, end;
	struct bh_group *group;
	void *objects[NR_THREADS];
} last;

static void *free_one_each_round(void *arg)
{
	uintptr_t self = (uintptr_t)arg - 1;

	for (int i = 0; i < 1000; i++) {
		pthread_barrier_wait(&last.begin);
		if (self == 0) {
			bh_group_put(last.group);
		} else if (self == 1) {
			bh_uncharge(last.group, 3 * PAGE);
		} else {
			bh_free(last.objects[self]);
		}
		pthread_barrier_wait(&last.end);
	}
	return NULL;
}

START_TEST(whoever_lets_go_last_takes_the_group_away)
{
	pthread_t threads[NR_THREADS];

	support_start(ZONE);
	places_init();
	pthread_barrier_init(&last.begin, NULL, NR_THREADS + 1);
	pthread_barrier_init(&last.end, NULL, NR_THREADS + 1);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(free_one_each_round, (void *)(i + 1));
	for (int i = 0; i < 1000; i++) {
		last.group = support_group(places[0].group, "last");
		support_set(last.group, BH_MIN, MIB);
		ck_assert_int_eq(bh_charge(last.group, 3 * PAGE, 0), 0);
		last.objects[2] = bh_alloc_pages(last.group, 0, 0);
		last.objects[3] = bh_alloc(last.group, 6000, 0);
		pthread_barrier_wait(&last.begin);
		pthread_barrier_wait(&last.end);
		/* Nobody needs to sweep. */
		ck_assert_uint_eq(bhi_group_count(), NR_PLACES + 1);
		if (i % 100 == 0)
			ck_assert_uint_eq(support_usage(places[0].group), 0);
	}
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	expect_nothing_left();
}
END_TEST

/* ----------------------------------------------------------- short threads */

static void *use_and_end(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 20; i++) {
		struct bh_group *group = place_get(random_below(&seed, NR_PLACES));

		charge_and_uncharge(group, &seed);
		bag_swap(&seed, bh_alloc(group, random_below(&seed, 5000), 0));
		bh_group_put(group);
	}
	return NULL;
}

static void *start_short_threads(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 100; i++) {
		unsigned at = random_below(&seed, NR_PLACES);

		support_join(support_thread(use_and_end, (void *)(uintptr_t)(seed + 1)));
		place_renew(at, random_below(&seed, NR_PLACES));
	}
	return NULL;
}

START_TEST(threads_end_while_their_groups_are_deleted)
{
	support_start(ZONE);
	places_init();
	run_threads(start_short_threads);
	for (int i = 0; i < NR_OBJECTS; i++)
		bh_free(bag[i]);
	expect_nothing_left();
}
END_TEST

/* -------------------------------------------------------------- short zone */

static void *fight_for_zone(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	size_t size = 64 * KIB * (uintptr_t)arg;

	for (int i = 0; i < 500; i++) {
		struct bh_group *group = place_get(random_below(&seed, NR_PLACES));
		unsigned flags = random_below(&seed, 3) ? BH_NORETRY : BH_NOFAIL;

		/* No more than one at a time each, so those who cannot fail are served.
		 */
		if (bh_charge(group, size, flags) == 0)
			bh_uncharge(group, size);
		else
			ck_assert_uint_eq(flags, BH_NORETRY);
		bh_group_put(group);
	}
	return NULL;
}

START_TEST(those_who_wait_for_a_short_zone_are_all_served)
{
	support_start(ZONE);
	places_init();
	support_leave_free(MIB);
	run_threads(fight_for_zone);
	ck_assert_uint_eq(bhi_waiters.nr, 0);
	support_leave_free(UINT64_MAX);
	for (unsigned i = 0; i < NR_PLACES; i++) {
		ck_assert_uint_eq(support_usage(places[i].group), 0);
		bh_group_put(places[i].group);
	}
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, groups_come_and_go_under_those_who_use_them);
	tcase_add_test(tcase, whoever_lets_go_last_takes_the_group_away);
	tcase_add_test(tcase, threads_end_while_their_groups_are_deleted);
	tcase_add_test(tcase, those_who_wait_for_a_short_zone_are_all_served);
}

int main(void)
{
	return support_run("concurrent_group", add_tests);
}
