/* SPDX-License-Identifier: MIT */
/*
 * The kernel's tools/testing/selftests/cgroup/test_memcontrol.c by meaning: the same
 * trees, figures and tolerances. bh_charge stands for anonymous memory (there is no swap:
 * it cannot be reclaimed), a cache of pages with a shrinker for page cache, and ENOMEM
 * for the end of a process; where processes are killed, tasks stand for them, and their
 * private memory for anonymous memory. Cases about swap, sockets and what is left of
 * processes are without meaning here.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "account/stock.h"
#include "support.h"
#include "support_task.h"

#define ZONE        (512 * MIB)
#define MB(x)       ((uint64_t)(x) << 20)
#define PAGES(size) ((size_t)((size) / PAGE))

static bool values_close(uint64_t a, uint64_t b, int percent)
{
	return labs((long)a - (long)b) <= (long)(a + b) / 100 * percent;
}

#define expect_close(a, b, percent)                                      \
	do {                                                             \
		uint64_t a_ = (a), b_ = (b);                             \
		ck_assert_msg(values_close(a_, b_, (percent)),           \
			"%s is %.1f MB, not %.1f", #a, (double)a_ / MIB, \
			(double)b_ / MIB);                               \
	} while (0)

/* As a process that touches one page after the other; 0 or -ENOMEM, *@ret_had bytes. */
static int alloc_anon(struct bh_group *group, uint64_t size, uint64_t *ret_had)
{
	for (*ret_had = 0; *ret_had < size; *ret_had += PAGE) {
		int r = bh_charge(group, PAGE, 0);

		if (r)
			return r;
	}
	return 0;
}

/* The same, and it ends: everything is given back. */
static int run_anon(struct bh_group *group, uint64_t size)
{
	uint64_t had;
	int r = alloc_anon(group, size, &had);

	bh_uncharge(group, had);
	bhi_stock_drain(bh_root());
	return r;
}

/* Read @size into the page cache: like the kernel's readahead it gives up where memory is
 * short, rather than kill for it. */
static void alloc_pagecache(struct support_cache *cache, uint64_t size)
{
	support_cache_fill(cache, PAGES(size), BH_RETRY_MAYFAIL);
	bhi_stock_drain(bh_root());
}

static void pagecache_init(struct support_cache *cache, struct bh_group *group)
{
	support_cache_init(cache, group, 0);
	/* SWAP_CLUSTER_MAX */
	cache->shrinker.batch = 32;
}

START_TEST(subtree_control)
{
	struct bh_group *parent, *child, *parent2, *child2;
	uint64_t had;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	child = support_group(parent, "child");
	parent2 = support_group(NULL, "parent2");
	child2 = support_group(parent2, "child2");
	ck_assert_int_eq(alloc_anon(child, MB(20), &had), 0);
	expect_close(support_usage(child), MB(20), 3);
	expect_close(support_usage(parent), MB(20), 3);
	ck_assert_uint_eq(support_usage(parent2), 0);
	/* A limit above applies to all below, and only there. */
	support_set(parent, BH_MAX, MB(30));
	ck_assert_int_eq(run_anon(child, MB(20)), -ENOMEM);
	ck_assert_int_eq(run_anon(parent, MB(20)), -ENOMEM);
	ck_assert_int_eq(run_anon(child2, MB(50)), 0);
	bh_uncharge(child, had);
	bh_group_put(child);
	bh_group_put(child2);
	bh_group_put(parent);
	bh_group_put(parent2);
	support_end();
}
END_TEST

START_TEST(current_peak)
{
	struct support_cache cache;
	struct bh_group *memcg;
	uint64_t had;

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	ck_assert_uint_eq(support_usage(memcg), 0);
	ck_assert_uint_eq(support_stat(memcg).peak, 0);
	ck_assert_int_eq(alloc_anon(memcg, MB(50), &had), 0);
	ck_assert_uint_ge(support_usage(memcg), MB(50));
	expect_close(support_usage(memcg), MB(50), 3);
	expect_close(support_stat(memcg).external, support_stat(memcg).usage, 3);
	bh_uncharge(memcg, had);
	bhi_stock_drain(bh_root());
	ck_assert_uint_eq(support_usage(memcg), 0);
	ck_assert_uint_ge(support_stat(memcg).peak, MB(50));
	expect_close(support_stat(memcg).peak, MB(50), 3);
	pagecache_init(&cache, memcg);
	alloc_pagecache(&cache, MB(50));
	ck_assert_uint_ge(support_usage(memcg), MB(50));
	expect_close(support_usage(memcg), MB(50), 10);
	expect_close(support_stat(memcg).peak, MB(50), 10);
	support_cache_fini(&cache);
	bh_group_put(memcg);
	support_end();
}
END_TEST

/*
 * A      max 200
 * A/B    protected 50
 * A/B/C  75, uses 50
 * A/B/D  25, uses 50
 * A/B/E  0, uses 50
 * A/B/F  500, uses nothing
 * A/G    makes the pressure
 */
static struct {
	struct bh_group *a, *b, *g, *children[4];
	struct support_cache caches[3];
} tree;

static uint64_t current(int i)
{
	return support_usage(tree.children[i]);
}

static void tree_set_up(enum bh_knob knob)
{
	static const uint64_t protection[] = {75, 25, 0, 500};
	static const char *const names[] = {"c", "d", "e", "f"};

	support_start(ZONE);
	tree.a = support_group(NULL, "a");
	tree.b = support_group(tree.a, "b");
	tree.g = support_group(tree.a, "g");
	support_set(tree.a, BH_MAX, MB(200));
	support_set(tree.b, knob, MB(50));
	for (int i = 0; i < 4; i++) {
		tree.children[i] = support_group(tree.b, names[i]);
		support_set(tree.children[i], knob, MB(protection[i]));
	}
	for (int i = 0; i < 3; i++) {
		pagecache_init(&tree.caches[i], tree.children[i]);
		alloc_pagecache(&tree.caches[i], MB(50));
	}
	expect_close(support_usage(tree.b), MB(150), 3);
	ck_assert_int_eq(run_anon(tree.g, MB(148)), 0);
	expect_close(support_usage(tree.b), MB(50), 3);
	expect_close(current(0), MB(29), 15);
	expect_close(current(1), MB(21), 20);
	ck_assert_uint_eq(current(3), 0);
}

static bool reclaim_until(struct bh_group *group, uint64_t goal)
{
	bool reclaimed = false;

	for (int tries = 0; tries < 5; tries++) {
		uint64_t usage = support_usage(group);
		int r;

		if (usage < goal || values_close(usage, goal, 3))
			return true;
		/* It said that it had. */
		if (reclaimed)
			return false;
		r = bh_group_reclaim(group, usage - goal, 0);
		ck_assert(r == 0 || r == -EAGAIN);
		reclaimed = r == 0;
	}
	return false;
}

static void tree_tear_down(void)
{
	for (int i = 0; i < 3; i++)
		support_cache_fini(&tree.caches[i]);
	for (int i = 0; i < 4; i++)
		bh_group_put(tree.children[i]);
	bh_group_put(tree.g);
	bh_group_put(tree.b);
	bh_group_put(tree.a);
	support_end();
}

START_TEST(min)
{
	tree_set_up(BH_MIN);
	ck_assert_int_eq(run_anon(tree.g, MB(170)), -ENOMEM);
	expect_close(support_usage(tree.b), MB(50), 3);
	/* The target's own protection does not count, whatever it was before. */
	ck_assert(reclaim_until(tree.children[0], MB(10)));
	ck_assert_uint_eq(support_stat(tree.a).events.low, 0);
	tree_tear_down();
}
END_TEST

START_TEST(low)
{
	tree_set_up(BH_LOW);
	ck_assert_int_eq(run_anon(tree.g, MB(170)), 0);
	expect_close(support_usage(tree.b), MB(30), 3);
	ck_assert(reclaim_until(tree.children[0], MB(10)));
	for (int i = 0; i < 4; i++) {
		struct bh_events events = support_stat(tree.children[i]).local;

		ck_assert_uint_eq(events.oom, 0);
		if (i < 2)
			ck_assert_uint_gt(events.low, 0);
		else
			ck_assert_uint_eq(events.low, 0);
	}
	tree_tear_down();
}
END_TEST

/* 50 MB of page cache in a group that is limited to 30. */
static void expect_pagecache_of_30(struct bh_group *group)
{
	struct support_cache cache;

	pagecache_init(&cache, group);
	alloc_pagecache(&cache, MB(50));
	expect_close(support_usage(group), MB(30), 5);
	support_cache_fini(&cache);
	bhi_stock_drain(bh_root());
}

START_TEST(high)
{
	struct bh_group *memcg;

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	support_set(memcg, BH_HIGH, MB(30));
	ck_assert_int_eq(run_anon(memcg, MB(31)), 0);
	expect_pagecache_of_30(memcg);
	ck_assert_uint_gt(support_stat(memcg).events.high, 0);
	ck_assert_uint_eq(support_stat(memcg).events.max, 0);
	bh_group_put(memcg);
	support_end();
}
END_TEST

/* A process that populates all of its memory in one call. */
static int populate(void *arg)
{
	uint64_t size = *(const uint64_t *)arg;
	void *p = bh_map(size, 0);

	ck_assert_ptr_nonnull(p);
	return bh_touch(p, size);
}

/* One that touches page after page. */
static int touch_pages(void *arg)
{
	support_filled_map(*(const uint64_t *)arg, 1);
	return 0;
}

/* Who goes on in one call is slowed down while it does so, and does not get to the max.
 */
START_TEST(high_sync)
{
	struct support_entry entry;
	struct bh_group_stat stat;
	struct bh_group *memcg;
	struct bh_task *task;
	uint64_t size = MB(200);

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	support_set(memcg, BH_HIGH, MB(30));
	support_set(memcg, BH_MAX, MB(140));
	task = support_task(memcg, "mlock", 0);
	support_enter(&entry, task, populate, &size);
	do {
		sched_yield();
		stat = support_stat(memcg);
	} while (!stat.events.high || stat.some.total_ns < 100000000);
	ck_assert_uint_eq(stat.events.max, 0);
	ck_assert_uint_gt(stat.peak, MB(30));
	/* A fifth above, the delay would have been its maximum for long. */
	ck_assert_uint_lt(stat.peak, MB(36));
	/* A kill ends the wait, and the call. */
	ck_assert_int_eq(bh_task_kill(task), 0);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	ck_assert_uint_eq(support_stat(memcg).events.max, 0);
	bh_task_put(task);
	bh_group_put(memcg);
	support_end();
}
END_TEST

START_TEST(max)
{
	struct bh_group *memcg;

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	support_set(memcg, BH_MAX, MB(30));
	ck_assert_int_eq(run_anon(memcg, MB(100)), -ENOMEM);
	ck_assert_uint_le(support_stat(memcg).peak, MB(30));
	expect_pagecache_of_30(memcg);
	ck_assert_uint_le(support_stat(memcg).peak, MB(30));
	ck_assert_uint_gt(support_stat(memcg).events.max, 0);
	bh_group_put(memcg);
	support_end();
}
END_TEST

START_TEST(reclaim)
{
	struct support_cache cache;
	struct bh_group *memcg;
	uint64_t had;

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	ck_assert_int_eq(bh_group_reclaim(memcg, MB(1), 0), -EAGAIN);
	pagecache_init(&cache, memcg);
	alloc_pagecache(&cache, MB(50));
	expect_close(support_usage(memcg), MB(50), 10);
	ck_assert(reclaim_until(memcg, MB(30)));
	expect_close(support_usage(memcg), MB(30), 3);
	/* More than there is: all that there is, and that it was short. */
	ck_assert_int_eq(alloc_anon(memcg, MB(10), &had), 0);
	ck_assert_int_eq(bh_group_reclaim(memcg, MB(40), 0), -EAGAIN);
	ck_assert_uint_eq(support_usage(memcg), MB(10));
	bh_uncharge(memcg, had);
	support_cache_fini(&cache);
	bh_group_put(memcg);
	support_end();
}
END_TEST

/* Ends when it is over the limit; what it says is what a process of the kernel's says by
 * its exit. */
static int run_task(struct bh_group *group, uint64_t size)
{
	return bh_task_run(group, NULL, touch_pages, &size, NULL);
}

START_TEST(oom_events)
{
	struct bh_group_stat stat;
	struct bh_group *memcg;

	support_start(ZONE);
	memcg = support_group(NULL, "memcg");
	support_set(memcg, BH_MAX, MB(30));
	ck_assert_int_eq(run_task(memcg, MB(100)), -ECANCELED);
	stat = support_stat(memcg);
	ck_assert_uint_eq(stat.events.oom, 1);
	ck_assert_uint_eq(stat.events.oom_kill, 1);
	ck_assert_uint_eq(stat.events.oom_group_kill, 0);
	ck_assert_uint_eq(support_usage(memcg), 0);
	ck_assert_uint_le(stat.peak, MB(30));
	bh_group_put(memcg);
	support_end();
}
END_TEST

/* The processes that stay: tasks with memory, in which nobody is. */
static struct bh_task *stays[3];

static void stay(int i, struct bh_group *group, uint64_t size, int adj)
{
	stays[i] = support_idle_task(group, "stays", adj, size);
}

static bool is_killed(int i)
{
	return support_task_stat(stays[i]).killed == BH_KILLED_OOM;
}

static void end_stays(void)
{
	for (size_t i = 0; i < bhi_array_size(stays); i++)
		bh_task_put(stays[i]);
}

START_TEST(oom_group_leaf_events)
{
	struct bh_group *parent, *child;

	support_start(ZONE);
	parent = support_group(NULL, "parent");
	child = support_limited(parent, "child", MB(50));
	support_set(child, BH_OOM_GROUP, 1);
	stay(0, parent, MB(60), 0);
	stay(1, child, MB(1), 0);
	stay(2, child, MB(1), 0);
	ck_assert_int_eq(run_task(child, MB(100)), -ECANCELED);
	ck_assert(!is_killed(0) && is_killed(1) && is_killed(2));
	ck_assert_uint_eq(support_stat(child).events.oom_kill, 3);
	/* Counts of children are the parent's too; of its own there is none. */
	ck_assert_uint_eq(support_stat(parent).events.oom_kill, 3);
	ck_assert_uint_eq(support_stat(parent).local.oom_kill, 0);
	end_stays();
	bh_group_put(child);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(oom_group_parent_events)
{
	struct bh_group *parent, *child;

	support_start(ZONE);
	parent = support_limited(NULL, "parent", MB(80));
	child = support_group(parent, "child");
	support_set(parent, BH_OOM_GROUP, 1);
	stay(0, parent, MB(60), 0);
	stay(1, child, MB(1), 0);
	stay(2, child, MB(1), 0);
	ck_assert_int_eq(run_task(child, MB(100)), -ECANCELED);
	ck_assert(is_killed(0) && is_killed(1) && is_killed(2));
	ck_assert_uint_eq(support_stat(parent).events.oom_kill, 4);
	ck_assert_uint_eq(support_stat(parent).events.oom_group_kill, 1);
	end_stays();
	bh_group_put(child);
	bh_group_put(parent);
	support_end();
}
END_TEST

/* The kernel has two that may be killed, and counts three: the one that is chosen is
 * counted again with its group. Here each is counted once, and there are three. */
START_TEST(oom_group_score_events)
{
	struct bh_group *memcg;

	support_start(ZONE);
	memcg = support_limited(NULL, "memcg", MB(50));
	support_set(memcg, BH_OOM_GROUP, 1);
	stay(0, memcg, MB(1), -1000);
	stay(1, memcg, MB(1), 0);
	stay(2, memcg, MB(1), 0);
	ck_assert_int_eq(run_task(memcg, MB(100)), -ECANCELED);
	ck_assert(!is_killed(0) && is_killed(1) && is_killed(2));
	ck_assert_uint_eq(support_stat(memcg).events.oom_kill, 3);
	end_stays();
	bh_group_put(memcg);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, subtree_control);
	tcase_add_test(tcase, current_peak);
	tcase_add_test(tcase, min);
	tcase_add_test(tcase, low);
	tcase_add_test(tcase, high);
	tcase_add_test(tcase, high_sync);
	tcase_add_test(tcase, max);
	tcase_add_test(tcase, reclaim);
	tcase_add_test(tcase, oom_events);
	tcase_add_test(tcase, oom_group_leaf_events);
	tcase_add_test(tcase, oom_group_parent_events);
	tcase_add_test(tcase, oom_group_score_events);
}

int main(void)
{
	return support_run("memcontrol", add_tests);
}
