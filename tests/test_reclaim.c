/* SPDX-License-Identifier: MIT */
/* Direct reclaim. */
#include <errno.h>

#include "account/stock.h"
#include "base/sys.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (16 * MIB)

static void fill(struct support_cache *cache, size_t nr)
{
	ck_assert_uint_eq(support_cache_fill(cache, nr, 0), nr);
	bhi_stock_drain(bh_root());
}

/* A shrinker made of two functions. */
static struct bh_shrinker shrinker_of(struct bh_group *group,
	size_t (*count)(struct bh_shrinker *, struct bh_shrink_control *),
	size_t (*scan)(struct bh_shrinker *, struct bh_shrink_control *))
{
	return (struct bh_shrinker){
		.name = "test", .count = count, .scan = scan, .group = group, .seeks = 2};
}

static size_t count_some(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return 1000;
}

/* ------------------------------------------------------------- whose memory */

START_TEST(only_the_target_and_its_descendants_are_asked_then_the_global_ones)
{
	struct bh_group *a, *b, *c, *groups[4];
	struct support_cache caches[4];
	struct bhi_reclaim_result r;

	support_start(ZONE);
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(NULL, "c");
	groups[0] = a;
	groups[1] = b;
	groups[2] = c;
	groups[3] = bh_root();
	for (int i = 0; i < 4; i++) {
		support_cache_init(&caches[i], groups[i], 0);
		caches[i].shrinker.batch = 8;
		fill(&caches[i], 64);
	}
	bh_shrinker_unregister(&caches[3].shrinker);
	caches[3].shrinker.group = NULL;
	ck_assert_int_eq(bh_shrinker_register(&caches[3].shrinker), 0);
	r = bhi_reclaim(a, 1, 0);
	ck_assert_uint_ge(r.reclaimed, BHI_RECLAIM_LEAST);
	ck_assert_uint_eq(support_usage(a), 128 * PAGE - r.reclaimed);
	ck_assert_uint_eq(caches[2].nr_counts, 0);
	/* What frees memory of others is no progress here. */
	(void)bhi_reclaim(a, 128 * PAGE, 0);
	ck_assert_uint_eq(support_usage(a), 0);
	ck_assert_uint_eq(caches[2].nr_counts, 0);
	ck_assert_uint_gt(caches[3].nr_scans, 0);
	r = bhi_reclaim(a, 1, 0);
	ck_assert_uint_eq(r.reclaimed, 0);
	for (int i = 0; i < 4; i++)
		support_cache_fini(&caches[i]);
	bh_group_put(b);
	bh_group_put(a);
	bh_group_put(c);
	support_end();
}
END_TEST

START_TEST(reclaim_takes_little_at_first_and_more_with_each_priority)
{
	struct bhi_reclaim_result r;
	struct support_cache cache;

	support_start(64 * MIB);
	support_cache_init(&cache, bh_root(), 0);
	cache.shrinker.batch = 1;
	fill(&cache, 4096);
	/* 2, 4, 8 and then 15: each an ever larger part of what is left. */
	r = bhi_reclaim(bh_root(), 16 * PAGE, 0);
	ck_assert_uint_ge(r.reclaimed, 32 * PAGE);
	ck_assert_uint_le(r.reclaimed, 64 * PAGE);
	ck_assert_uint_eq(cache.nr_counts, 5);
	ck_assert_uint_eq(4096 - cache.nr, r.reclaimed / PAGE);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(reclaim_ends_as_soon_as_there_is_enough)
{
	struct bhi_reclaim_result r;
	struct support_cache cache;

	support_start(ZONE);
	support_cache_init(&cache, _i ? NULL : bh_root(), 5);
	/* The first pass in which anything is due takes one block, the least there is. */
	cache.shrinker.seeks = 4;
	cache.shrinker.batch = 1;
	fill(&cache, 64);
	r = bhi_reclaim(bh_root(), 1, 0);
	ck_assert_uint_eq(r.reclaimed, BHI_RECLAIM_LEAST);
	ck_assert_uint_eq(cache.nr, 63);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(everything_goes_when_that_much_is_wanted)
{
	struct bhi_reclaim_result r;
	struct support_cache cache;

	support_start(ZONE);
	support_cache_init(&cache, bh_root(), 2);
	fill(&cache, 300);
	r = bhi_reclaim(bh_root(), 300 * 4 * PAGE, 0);
	ck_assert_uint_eq(r.reclaimed, 300 * 4 * PAGE);
	ck_assert_uint_eq(cache.nr, 0);
	r = bhi_reclaim(bh_root(), 1, 0);
	ck_assert_uint_eq(r.reclaimed, 0);
	ck_assert_uint_eq(r.reclaimable, 0);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

START_TEST(where_nobody_has_anything_each_is_asked_once)
{
	struct support_cache cache;
	struct bhi_reclaim_result r;

	support_start(ZONE);
	support_cache_init(&cache, bh_root(), 0);
	r = bhi_reclaim(bh_root(), MIB, 0);
	ck_assert_uint_eq(r.reclaimed + r.reclaimable, 0);
	ck_assert_uint_eq(cache.nr_counts, 1);
	support_cache_fini(&cache);
	support_end();
}
END_TEST

/* ----------------------------------------------------------------- progress */

#define NR_SMALL 64

static void *small[NR_SMALL];
static size_t nr_small;

/* Frees one small object a call: most of them empty no slab. */
static size_t scan_small(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	if (!nr_small)
		return BH_SHRINK_STOP;
	bh_free(small[--nr_small]);
	control->nr_scanned = control->nr_to_scan;
	return 1;
}

static size_t count_small(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return nr_small;
}

START_TEST(progress_is_bytes_and_not_objects)
{
	struct bh_shrinker shrinker;
	struct bhi_reclaim_result r;
	struct bh_group *group;
	uint64_t usage;

	support_start(ZONE);
	group = support_group(NULL, "group");
	/* Eight slabs or so, and each keeps an object to the end. */
	for (nr_small = 0; nr_small < NR_SMALL; nr_small++) {
		small[nr_small] = bh_alloc(group, 3000, 0);
		ck_assert_ptr_nonnull(small[nr_small]);
	}
	usage = support_usage(group);
	shrinker = shrinker_of(group, count_small, scan_small);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	for (uint64_t all = 0; all < usage; all += r.reclaimed) {
		size_t before = nr_small;

		r = bhi_reclaim(group, usage, 0);
		ck_assert_uint_eq(support_usage(group), usage - all - r.reclaimed);
		ck_assert(nr_small < before || r.reclaimed);
	}
	ck_assert_uint_eq(nr_small, 0);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static struct bh_group *elsewhere;

static size_t scan_elsewhere(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	bh_uncharge(elsewhere, PAGE);
	return control->nr_to_scan;
}

START_TEST(memory_of_groups_outside_the_target_is_no_progress)
{
	struct bhi_reclaim_result r;
	struct bh_shrinker shrinker;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	elsewhere = support_group(NULL, "elsewhere");
	ck_assert_int_eq(bh_charge(elsewhere, MIB, 0), 0);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), 0);
	shrinker = shrinker_of(group, count_some, scan_elsewhere);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	r = bhi_reclaim(group, PAGE, 0);
	ck_assert_uint_lt(support_usage(elsewhere), MIB);
	ck_assert_uint_eq(r.reclaimed, 0);
	ck_assert_uint_gt(r.reclaimable, 0);
	/* From the root it is. */
	r = bhi_reclaim(bh_root(), PAGE, 0);
	ck_assert_uint_gt(r.reclaimed, 0);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	bh_uncharge(elsewhere, support_usage(elsewhere));
	bh_uncharge(group, PAGE);
	bh_group_put(elsewhere);
	bh_group_put(group);
	support_end();
}
END_TEST

/* Takes and gives back: pages, bytes, an object of a shared slab and one of an own slab.
 */
static size_t scan_and_borrow(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	void *objects[] = {bh_alloc_pages(control->group, 1, 0),
		bh_alloc(control->group, 64, 0), bh_alloc(control->group, 6000, 0)};

	(void)self;
	ck_assert_int_eq(bh_charge(control->group, 1000, 0), 0);
	bh_uncharge(control->group, 1000);
	for (size_t i = 0; i < bhi_array_size(objects); i++)
		bh_free(objects[i]);
	return 0;
}

START_TEST(memory_that_a_shrinker_only_borrows_is_no_progress)
{
	static const uint64_t limits[] = {BH_UNLIMITED, 16 * PAGE, 0};
	struct bhi_reclaim_result r;
	struct bh_shrinker shrinker;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	shrinker = shrinker_of(group, count_some, scan_and_borrow);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	for (size_t i = 0; i < bhi_array_size(limits); i++) {
		support_set(group, BH_MAX, limits[i]);
		r = bhi_reclaim(group, MIB, 0);
		ck_assert_uint_eq(r.reclaimed, 0);
		ck_assert_uint_gt(r.reclaimable, 0);
		r = bhi_reclaim(bh_root(), MIB, 0);
		ck_assert_uint_eq(r.reclaimed, 0);
	}
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(slabs_in_which_nothing_lives_are_given_back)
{
	struct bhi_reclaim_result r;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	bh_free(bh_alloc(group, 3000, 0));
	bh_free(bh_alloc(group, 6000, 0));
	ck_assert_uint_gt(support_usage(group), 0);
	r = bhi_reclaim(group, 1, 0);
	ck_assert_uint_gt(r.reclaimed, 0);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* ---------------------------------------------------------------- recursion */

static struct {
	struct bh_group *group;
	unsigned depth, deepest, nr_scans;
	void *kept[64];
} recursion;

static size_t scan_and_allocate(
	struct bh_shrinker *self, struct bh_shrink_control *control)
{
	void *page;

	(void)self;
	(void)control;
	recursion.depth++;
	recursion.deepest = bhi_max(recursion.deepest, recursion.depth);
	ck_assert(bhi_reclaim_active());
	/* At its limit, and still it gets what it needs to free more. */
	page = bh_alloc_pages(recursion.group, 0, 0);
	ck_assert_ptr_nonnull(page);
	ck_assert_uint_eq(bhi_reclaim(recursion.group, PAGE, 0).reclaimable, 0);
	ck_assert_int_eq(bh_group_reclaim(recursion.group, PAGE, 0), -EAGAIN);
	ck_assert_uint_eq(bhi_reclaim_last_resort(recursion.group, 0), 0);
	if (recursion.nr_scans < 64)
		recursion.kept[recursion.nr_scans] = page;
	else
		bh_free(page);
	recursion.nr_scans++;
	recursion.depth--;
	return 0;
}

START_TEST(a_shrinker_that_allocates_gets_memory_and_is_not_asked_again_by_it)
{
	struct bh_shrinker shrinker;

	support_start(ZONE);
	recursion.group = support_group(NULL, "group");
	support_set(recursion.group, BH_MAX, 4 * PAGE);
	ck_assert_int_eq(bh_charge(recursion.group, 4 * PAGE, 0), 0);
	/* Nor does it pay for what it takes above BH_HIGH. */
	support_set(recursion.group, BH_HIGH, 4 * PAGE);
	shrinker = shrinker_of(recursion.group, count_some, scan_and_allocate);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	ck_assert_int_eq(bh_charge(recursion.group, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(recursion.deepest, 1);
	ck_assert_uint_gt(recursion.nr_scans, 16);
	ck_assert_uint_eq(support_stat(recursion.group).events.high, 0);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	for (unsigned i = 0; i < bhi_min(recursion.nr_scans, 64u); i++)
		bh_free(recursion.kept[i]);
	bh_uncharge(recursion.group, 4 * PAGE);
	ck_assert_uint_eq(support_usage(recursion.group), 0);
	bh_group_put(recursion.group);
	support_end();
}
END_TEST

START_TEST(a_caller_that_holds_the_shrinkers_lock_fails_and_does_not_deadlock)
{
	static const unsigned flags[] = {0, BH_NORETRY, BH_RETRY_MAYFAIL, BH_NORECLAIM};
	struct support_cache cache;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 64 * PAGE);
	support_cache_init(&cache, group, 0);
	fill(&cache, 64);
	pthread_mutex_lock(&cache.lock);
	for (size_t i = 0; i < bhi_array_size(flags); i++) {
		ck_assert_ptr_null(bh_alloc_pages(group, 0, flags[i]));
		ck_assert_ptr_null(bh_alloc(group, 100 * KIB, flags[i]));
	}
	ck_assert_uint_gt(cache.nr_scans, 0);
	ck_assert_uint_eq(cache.nr, 64);
	pthread_mutex_unlock(&cache.lock);
	bh_free_pages(bh_alloc_pages(group, 0, 0), 0);
	ck_assert_uint_lt(cache.nr, 64);
	support_cache_fini(&cache);
	bh_group_put(group);
	support_end();
}
END_TEST

/* --------------------------------------------------------------- protection */

static size_t stop(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return BH_SHRINK_STOP;
}

/* No round may be over before whoever is in the way can have run. */
START_TEST(rounds_in_which_a_shrinker_was_stopped_are_a_tick_apart)
{
	struct bh_shrinker shrinker;
	struct bh_group *group;
	uint64_t start;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, MIB);
	shrinker = shrinker_of(group, count_some, stop);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	while (bh_charge(group, PAGE, BH_NOWAIT) == 0)
		continue;
	start = bhi_sys_now_ns();
	ck_assert_int_eq(bh_charge(group, PAGE, BH_NORETRY), -ENOMEM);
	ck_assert_int_eq(bh_charge(group, PAGE, 0), -ENOMEM);
	/* The least that sleeps take: a slow machine only makes it more. */
	ck_assert_uint_ge(bhi_sys_now_ns() - start, 16 * BHI_NS_PER_MS);
	bh_uncharge(group, MIB);
	bh_shrinker_unregister(&shrinker);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(what_is_within_min_is_never_taken_nor_asked_for)
{
	struct support_cache cache;
	struct bh_group *parent, *group;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	support_cache_init(&cache, group, 0);
	fill(&cache, 64);
	support_set(parent, BH_MAX, 64 * PAGE);
	support_set(group, BH_MIN, 64 * PAGE);
	ck_assert_int_eq(bh_charge(parent, PAGE, 0), -ENOMEM);
	ck_assert_uint_eq(cache.nr_counts, 0);
	ck_assert_uint_eq(support_stat(group).events.low, 0);
	/* The group itself as target has no protection. */
	ck_assert_int_eq(bh_group_reclaim(group, 64 * PAGE, 0), 0);
	support_cache_fini(&cache);
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* One large object or many small ones above the protection: all that is above goes, and
 * no more than one object of what is below. */
START_TEST(what_is_above_min_is_taken_and_hardly_any_of_what_is_below)
{
	static const struct {
		unsigned order, nr, protected_nr, batch;
	} rows[] = {{0, 100, 50, 0}, {0, 1000, 500, 0}, {0, 1000, 999, 1}, {6, 51, 50, 0},
		{6, 51, 50, 1}, {4, 64, 8, 4}, {0, 129, 1, 128}};
	const uint64_t size = PAGE << rows[_i].order;
	struct support_cache cache;
	struct bh_group *parent, *group;
	uint64_t usage;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	support_cache_init(&cache, group, rows[_i].order);
	cache.shrinker.batch = rows[_i].batch;
	fill(&cache, rows[_i].nr);
	support_set(group, BH_MIN, rows[_i].protected_nr * size);
	ck_assert_int_eq(bh_group_reclaim(parent, rows[_i].nr * size, 0), -EAGAIN);
	usage = support_usage(group);
	ck_assert_uint_le(usage, rows[_i].protected_nr * size);
	ck_assert_uint_ge(usage, (rows[_i].protected_nr - 1) * size);
	support_cache_fini(&cache);
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(the_unprotected_share_of_a_group_is_worth_as_much_as_a_cache_of_that_size)
{
	struct support_cache cache;
	struct bh_group *group;

	support_start(ZONE);
	group = support_group(NULL, "group");
	support_cache_init(&cache, group, 0);
	cache.shrinker.batch = 1;
	fill(&cache, 1024);
	support_set(group, BH_MIN, 512 * PAGE);
	ck_assert_uint_ge(bhi_reclaim(bh_root(), 1, 0).reclaimed, BHI_RECLAIM_LEAST);
	ck_assert_uint_ge(cache.nr, 1024 - 64);
	/* From 512 at first: 1, 2, 4, 8, 16 and enough. */
	ck_assert_uint_le(cache.nr_counts, 10);
	support_cache_fini(&cache);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(what_is_within_low_is_taken_only_when_nothing_else_is_left)
{
	struct support_cache low, other;
	struct bh_group *parent, *group, *beside;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	beside = support_group(parent, "beside");
	support_cache_init(&low, group, 0);
	support_cache_init(&other, beside, 0);
	fill(&low, 64);
	fill(&other, 64);
	support_set(group, BH_LOW, 64 * PAGE);
	support_set(parent, BH_MAX, 128 * PAGE);
	ck_assert_int_eq(bh_charge(parent, 8 * PAGE, 0), 0);
	ck_assert_uint_eq(low.nr, 64);
	ck_assert_uint_eq(low.nr_counts, 0);
	ck_assert_uint_eq(support_stat(group).events.low, 0);
	fill(&other, support_stat(parent).max / PAGE - support_usage(parent) / PAGE);
	bh_shrinker_unregister(&other.shrinker);
	ck_assert_int_eq(bh_charge(parent, 8 * PAGE, 0), 0);
	ck_assert_uint_lt(low.nr, 64);
	ck_assert_uint_gt(support_stat(group).local.low, 0);
	ck_assert_uint_eq(support_stat(beside).events.low, 0);
	ck_assert_int_eq(bh_shrinker_register(&other.shrinker), 0);
	support_cache_fini(&low);
	support_cache_fini(&other);
	bh_uncharge(parent, 16 * PAGE);
	bh_group_put(group);
	bh_group_put(beside);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* Just above low, what the share of it leaves may be nothing that can be freed. */
START_TEST(low_does_not_stand_in_the_way_of_a_request_wherever_the_usage_is)
{
	static const unsigned nr_low[] = {0, 1, 31, 32, 33, 49, 50, 51, 60};
	struct support_cache cache;
	struct bh_group *parent, *group;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	support_cache_init(&cache, group, 4);
	cache.shrinker.batch = 1;
	fill(&cache, 50);
	support_set(parent, BH_MAX, 50 * 16 * PAGE);
	support_set(group, BH_LOW, nr_low[_i] * 16 * PAGE);
	for (int i = 0; i < 45 * 16; i++)
		ck_assert_int_eq(bh_charge(parent, PAGE, 0), 0);
	ck_assert_uint_le(cache.nr, 5);
	ck_assert((support_stat(group).events.low > 0) == (nr_low[_i] > 5));
	support_cache_fini(&cache);
	bh_uncharge(parent, 45 * 16 * PAGE);
	bh_group_put(group);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* --------------------------------------------------------------- last resort */

START_TEST(the_last_resort_is_asked_for_everything_and_ordinary_shrinkers_are_not)
{
	struct support_cache ordinary, last, global, beside;
	struct bh_group *a, *b, *c;

	support_start(ZONE);
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(NULL, "c");
	support_cache_init(&ordinary, a, 0);
	support_cache_init(&last, b, 0);
	support_cache_init(&global, NULL, 0);
	support_cache_init(&beside, c, 0);
	last.shrinker.flags = global.shrinker.flags = beside.shrinker.flags =
		BH_SHRINKER_LAST_RESORT;
	fill(&ordinary, 10);
	fill(&last, 10);
	fill(&global, 10);
	fill(&beside, 10);
	ck_assert_uint_eq(bhi_reclaim(a, MIB, 0).reclaimed, 10 * PAGE);
	ck_assert_uint_eq(last.nr_counts + global.nr_counts, 0);
	fill(&ordinary, 10);
	ordinary.nr_counts = 0;
	/* The global one's memory is the root's, so it is no progress for a. */
	ck_assert_uint_eq(bhi_reclaim_last_resort(a, 0), 10 * PAGE);
	ck_assert_uint_eq(last.nr + global.nr, 0);
	ck_assert_uint_eq(ordinary.nr, 10);
	ck_assert_uint_eq(ordinary.nr_counts + beside.nr_counts, 0);
	ck_assert_uint_eq(bhi_reclaim_last_resort(a, 0), 0);
	support_cache_fini(&ordinary);
	support_cache_fini(&last);
	support_cache_fini(&global);
	support_cache_fini(&beside);
	bh_group_put(b);
	bh_group_put(a);
	bh_group_put(c);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase,
		only_the_target_and_its_descendants_are_asked_then_the_global_ones);
	tcase_add_test(tcase, reclaim_takes_little_at_first_and_more_with_each_priority);
	tcase_add_loop_test(tcase, reclaim_ends_as_soon_as_there_is_enough, 0, 2);
	tcase_add_test(tcase, everything_goes_when_that_much_is_wanted);
	tcase_add_test(tcase, where_nobody_has_anything_each_is_asked_once);
	tcase_add_test(tcase, progress_is_bytes_and_not_objects);
	tcase_add_test(tcase, memory_of_groups_outside_the_target_is_no_progress);
	tcase_add_test(tcase, memory_that_a_shrinker_only_borrows_is_no_progress);
	tcase_add_test(tcase, slabs_in_which_nothing_lives_are_given_back);
	tcase_add_test(tcase,
		a_shrinker_that_allocates_gets_memory_and_is_not_asked_again_by_it);
	tcase_add_test(tcase,
		a_caller_that_holds_the_shrinkers_lock_fails_and_does_not_deadlock);
	tcase_add_test(tcase, rounds_in_which_a_shrinker_was_stopped_are_a_tick_apart);
	tcase_add_test(tcase, what_is_within_min_is_never_taken_nor_asked_for);
	tcase_add_loop_test(
		tcase, what_is_above_min_is_taken_and_hardly_any_of_what_is_below, 0, 7);
	tcase_add_test(tcase,
		the_unprotected_share_of_a_group_is_worth_as_much_as_a_cache_of_that_size);
	tcase_add_test(tcase, what_is_within_low_is_taken_only_when_nothing_else_is_left);
	tcase_add_loop_test(tcase,
		low_does_not_stand_in_the_way_of_a_request_wherever_the_usage_is, 0, 9);
	tcase_add_test(tcase,
		the_last_resort_is_asked_for_everything_and_ordinary_shrinkers_are_not);
}

int main(void)
{
	return support_run("reclaim", add_tests);
}
