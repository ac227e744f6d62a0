/* SPDX-License-Identifier: MIT */
/*
 * Threads that register and unregister shrinkers while others, and the background
 * reclaimer, run them.
 */
#include <errno.h>
#include <stdlib.h>

#include "account/stock.h"
#include "reclaim/background.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE       (16 * MIB)
#define NR_THREADS 4
#define NR_ROUNDS  1000

static struct bh_group *parent;

static unsigned random_below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t threads[NR_THREADS];

	for (uintptr_t i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(fn, (void *)(i + 1));
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
}

/* A cache that lives for a round, in a group of its own or in the one of all; its memory
 * is reused by the next round: a call after the return of unregister would show. */
static void *use_a_cache(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct support_cache cache;

	for (int i = 0; i < NR_ROUNDS; i++) {
		struct bh_group *group = support_group(parent, "of-thread");

		support_cache_init(&cache, random_below(&seed, 2) ? group : parent,
			random_below(&seed, 3));
		cache.shrinker.batch = random_below(&seed, 2) ? 0 : 4;
		support_cache_fill(&cache, random_below(&seed, 100), 0);
		if (!random_below(&seed, 8))
			(void)bh_group_reclaim(parent, 32 * PAGE, 0);
		support_cache_fini(&cache);
		bh_group_put(group);
	}
	return NULL;
}

START_TEST(shrinkers_come_and_go_in_a_group_at_its_limit)
{
	support_start(ZONE);
	parent = support_group(NULL, "parent");
	support_set(parent, BH_MAX, 128 * PAGE);
	run_threads(use_a_cache);
	ck_assert_uint_eq(support_usage(parent), 0);
	ck_assert_uint_gt(support_stat(parent).events.max, 0);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(shrinkers_come_and_go_in_a_short_zone_with_the_background_at_work)
{
	struct bhi_background_stat stat;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	support_leave_free(MIB);
	run_threads(use_a_cache);
	bhi_background_stat(&stat);
	ck_assert_uint_gt(stat.wakeups, 0);
	ck_assert_uint_eq(support_usage(parent), 0);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* Frees what it has, allocates while it does so, and lets go of its own group. */
static struct {
	struct bh_shrinker shrinker;
	void *objects[64];
} common;

static size_t common_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	size_t nr = 0;

	(void)self;
	(void)control;
	for (int i = 0; i < 64; i++)
		nr += bhi_load(&common.objects[i]) != NULL;
	return nr;
}

static size_t common_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	size_t nr = 0;
	void *note = bh_alloc(control->group, 100, 0);

	(void)self;
	for (int i = 0; i < 64 && nr < control->nr_to_scan; i++) {
		void *object = bhi_exchange(&common.objects[i], NULL);

		nr += object != NULL;
		bh_free(object);
	}
	bh_free(note);
	return nr;
}

static void *fill_common(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 5 * NR_ROUNDS; i++) {
		void *object = bh_alloc(parent, 5000 + random_below(&seed, 20000), 0);

		bh_free(bhi_exchange(&common.objects[random_below(&seed, 64)], object));
		if (!random_below(&seed, 50))
			bhi_background_run();
	}
	return NULL;
}

START_TEST(all_threads_run_one_shrinker_that_allocates)
{
	support_start(ZONE);
	parent = support_group(NULL, "parent");
	support_set(parent, BH_MAX, 100 * PAGE);
	common.shrinker = (struct bh_shrinker){
		.name = "common",
		.count = common_count,
		.scan = common_scan,
		.group = parent,
		.seeks = 2,
		.batch = 8,
	};
	ck_assert_int_eq(bh_shrinker_register(&common.shrinker), 0);
	run_threads(fill_common);
	ck_assert_int_eq(bh_shrinker_unregister(&common.shrinker), 0);
	for (int i = 0; i < 64; i++)
		bh_free(common.objects[i]);
	bh_group_put(parent);
	support_end();
	ck_assert_uint_eq(support_stat(bh_root()).left_behind, 0);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, shrinkers_come_and_go_in_a_group_at_its_limit);
	tcase_add_test(
		tcase, shrinkers_come_and_go_in_a_short_zone_with_the_background_at_work);
	tcase_add_test(tcase, all_threads_run_one_shrinker_that_allocates);
}

int main(void)
{
	return support_run("concurrent_shrinker", add_tests);
}
