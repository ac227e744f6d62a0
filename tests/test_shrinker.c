/* SPDX-License-Identifier: MIT */
/* The registry of shrinkers, and what one call of one shrinker does. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "account/group.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"
#include "support.h"
#include "support_memory.h"

#define ZONE       (16 * MIB)
#define NR_RECORDS 64

/* A shrinker that does as it is told and remembers what it was called with. */
struct scripted {
	struct bh_shrinker shrinker;
	size_t nr_objects; /* what count() returns */
	size_t result;     /* what scan() returns, unless it frees all it looks at */
	bool frees;
	size_t scans; /* if set, what nr_scanned becomes */
	bool sets_scanned;
	/* what happened */
	unsigned nr_counts, nr_scans;
	size_t asked[NR_RECORDS];
	struct bh_group *group;
	unsigned flags;
};

static struct scripted *scripted_of(struct bh_shrinker *shrinker)
{
	return bhi_container_of(shrinker, struct scripted, shrinker);
}

static size_t scripted_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct scripted *s = scripted_of(self);

	s->nr_counts++;
	s->group = control->group;
	s->flags = control->flags;
	return s->nr_objects;
}

static size_t scripted_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct scripted *s = scripted_of(self);

	ck_assert_uint_eq(control->nr_scanned, control->nr_to_scan);
	ck_assert_ptr_nonnull(control->group);
	if (s->nr_scans < NR_RECORDS)
		s->asked[s->nr_scans] = control->nr_to_scan;
	s->nr_scans++;
	if (s->sets_scanned)
		control->nr_scanned = s->scans;
	return s->frees ? control->nr_to_scan : s->result;
}

static struct scripted scripted(struct bh_group *group, size_t nr_objects)
{
	return (struct scripted){
		.shrinker = {.name = "scripted",
			.count = scripted_count,
			.scan = scripted_scan,
			.group = group,
			.seeks = 2},
		.nr_objects = nr_objects,
	};
}

static void add(struct scripted *s)
{
	ck_assert_int_eq(bh_shrinker_register(&s->shrinker), 0);
}

static void drop(struct scripted *s)
{
	ck_assert_int_eq(bh_shrinker_unregister(&s->shrinker), 0);
}

static struct bhi_shrink_pass shrink(struct bh_group *group, int priority)
{
	struct bhi_shrink_pass pass = {
		.group = group, .priority = priority, .share = BHI_SHRINK_ALL};

	bhi_shrink(&pass, false);
	return pass;
}

static uint64_t deferred(void)
{
	struct bhi_shrinker_info info;

	ck_assert(bhi_shrinker_info(0, &info));
	return info.nr_deferred;
}

START_TEST(how_many_objects_to_scan_as_a_table)
{
	static const struct {
		uint64_t freeable, deferred;
		int priority;
		unsigned seeks;
		uint64_t target;
	} rows[] = {
		{0, 0, 0, 2, 0},
		{4096, 0, 12, 2, 2},
		{4095, 0, 12, 2, 0},
		{1000, 0, 2, 2, 500},
		{1000, 0, 1, 2, 1000},
		{1000, 0, 0, 2, 2000},
		/* Cheap, dear and dearer objects. */
		{1000, 0, 2, 1, 1000},
		{1000, 0, 0, 1, 2000},
		{1000, 0, 0, 8, 500},
		{1000, 0, 3, 8, 62},
		{1000, 0, 12, 0, 500},
		{1000, 0, 0, 0, 500},
		{3, 0, 0, 0, 1},
		{1, 0, 0, 0, 0},
		{1, 0, 0, 5, 0},
		/* What was due before, by priority, and the cap. */
		{1000, 800, 2, 2, 700},
		{1000, 800, 12, 0, 500},
		{1000, 1000, 0, 2, 2000},
		{1000, 100000, 0, 8, 2000},
		{1000, 100000, 6, 2, 1562 + 30},
		{10, 100000, 3, 2, 20},
	};

	for (size_t i = 0; i < bhi_array_size(rows); i++)
		ck_assert_msg(bhi_shrink_target(rows[i].freeable, rows[i].deferred,
				      rows[i].priority, rows[i].seeks) == rows[i].target,
			"row %zu", i);
}
END_TEST

START_TEST(a_large_cache_is_scanned_in_batches_and_the_rest_is_deferred)
{
	struct bhi_shrink_pass pass;
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1000);
	s.frees = true;
	add(&s);
	pass = shrink(bh_root(), 0);
	/* 2000 are due: 15 batches of 128, and 80 are too few. */
	ck_assert_uint_eq(s.nr_counts, 1);
	ck_assert_uint_eq(s.nr_scans, 15);
	for (int i = 0; i < 15; i++)
		ck_assert_uint_eq(s.asked[i], 128);
	ck_assert_uint_eq(pass.freed, 15 * 128);
	ck_assert_uint_eq(pass.reclaimable, 1000);
	ck_assert_uint_eq(deferred(), 80);
	/* With 80 from before 580 are due; what is left of both is deferred. */
	s.nr_scans = 0;
	shrink(bh_root(), 2);
	ck_assert_uint_eq(s.nr_scans, 4);
	ck_assert_uint_eq(deferred(), 580 - 4 * 128);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(the_batch_is_the_shrinkers_choice)
{
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1000);
	s.shrinker.batch = 50;
	add(&s);
	shrink(bh_root(), 2);
	ck_assert_uint_eq(s.nr_scans, 10);
	ck_assert_uint_eq(s.asked[9], 50);
	ck_assert_uint_eq(deferred(), 0);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(a_cache_smaller_than_a_batch_is_scanned_when_all_of_it_is_due)
{
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 10);
	s.frees = true;
	add(&s);
	shrink(bh_root(), 2);
	shrink(bh_root(), 2);
	ck_assert_uint_eq(s.nr_scans, 0);
	ck_assert_uint_eq(deferred(), 8);
	shrink(bh_root(), 1);
	ck_assert_uint_eq(s.nr_scans, 1);
	ck_assert_uint_eq(s.asked[0], 8 / 2 + 10);
	/* 8 + 10 were due by then. */
	ck_assert_uint_eq(deferred(), 4);
	s.nr_scans = 0;
	shrink(bh_root(), 0);
	ck_assert_uint_eq(s.nr_scans, 1);
	ck_assert_uint_eq(s.asked[0], 20);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(what_is_deferred_never_exceeds_twice_the_cache)
{
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1000);
	s.result = BH_SHRINK_STOP;
	add(&s);
	for (int i = 0; i < 100; i++) {
		shrink(bh_root(), i % 13);
		ck_assert_uint_le(deferred(), 2000);
	}
	ck_assert_uint_eq(deferred(), 2000);
	/* The cache has become small, and so does what is due. */
	s.nr_objects = 10;
	shrink(bh_root(), 12);
	ck_assert_uint_le(deferred(), 20);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(stop_ends_the_pass_and_defers_everything)
{
	struct bhi_shrink_pass pass;
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1000);
	s.result = BH_SHRINK_STOP;
	add(&s);
	pass = shrink(bh_root(), 1);
	ck_assert_uint_eq(s.nr_scans, 1);
	ck_assert_uint_eq(pass.freed, 0);
	ck_assert_uint_eq(pass.reclaimable, 1000);
	ck_assert_uint_eq(deferred(), 1000);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(a_cache_with_nothing_or_nothing_to_say_is_not_scanned)
{
	static const size_t counts[] = {0, BH_SHRINK_EMPTY, SIZE_MAX};
	struct bhi_shrink_pass pass;
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 0);
	add(&s);
	for (size_t i = 0; i < bhi_array_size(counts); i++) {
		s.nr_objects = counts[i];
		pass = shrink(bh_root(), 0);
		ck_assert_uint_eq(pass.reclaimable, 0);
	}
	ck_assert_uint_eq(s.nr_counts, 3);
	ck_assert_uint_eq(s.nr_scans, 0);
	ck_assert_uint_eq(deferred(), 0);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(looking_at_fewer_objects_than_asked_for_is_asked_on)
{
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1000);
	s.sets_scanned = true;
	s.scans = 32;
	add(&s);
	shrink(bh_root(), 2);
	/* 500 are due, 32 at a time, until less than a batch is left. */
	ck_assert_uint_eq(s.nr_scans, 12);
	ck_assert_uint_eq(deferred(), 500 - 12 * 32);
	drop(&s);
	/* Nothing at all counts as one, and more than all as all. */
	s.scans = 0;
	s.nr_scans = 0;
	add(&s);
	shrink(bh_root(), 2);
	ck_assert_uint_eq(s.nr_scans, 500 - 127);
	drop(&s);
	s.scans = SIZE_MAX;
	s.nr_scans = 0;
	add(&s);
	shrink(bh_root(), 2);
	ck_assert_uint_eq(s.nr_scans, 1);
	ck_assert_uint_eq(deferred(), 0);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(before_giving_up_the_last_objects_are_asked_for_whatever_they_cost)
{
	static const struct {
		size_t nr_objects;
		unsigned seeks;
	} rows[] = {{1, 0}, {1, 5}, {3, 100}, {200, 1000}};

	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		struct scripted s = scripted(bh_root(), rows[i].nr_objects);
		size_t sum = 0;

		s.shrinker.seeks = rows[i].seeks;
		add(&s);
		shrink(bh_root(), 12);
		ck_assert_uint_eq(s.nr_scans, 0);
		shrink(bh_root(), 0);
		for (unsigned j = 0; j < s.nr_scans; j++)
			sum += s.asked[j];
		ck_assert_uint_ge(sum, bhi_min(rows[i].nr_objects, (size_t)128));
		drop(&s);
	}
	support_end();
}
END_TEST

START_TEST(of_a_protected_group_only_the_unprotected_share_is_asked_for)
{
	static const struct {
		size_t nr_objects;
		unsigned share, batch;
		size_t most;
	} rows[] = {
		{1000, 512, 1, 500},
		{1000, 512, 0, 500},
		{100, 512, 0, 50},
		{51, 20, 0, 1},
		{1, 1, 0, 1},
		{1000, 1, 1, 1},
		{1000, 1023, 1, 1000},
		{1000, 1024, 1, 2000},
	};

	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(rows); i++) {
		for (int priority = BHI_RECLAIM_PRIORITY; priority >= 0; priority--) {
			struct bhi_shrink_pass pass = {.group = bh_root(),
				.priority = priority,
				.share = rows[i].share};
			struct scripted s = scripted(bh_root(), rows[i].nr_objects);

			s.shrinker.batch = rows[i].batch;
			s.frees = true;
			add(&s);
			/* Also with something from before. */
			for (int j = 0; j < 3; j++) {
				pass.freed = 0;
				bhi_shrink(&pass, false);
				ck_assert_uint_le(pass.freed, rows[i].most);
				ck_assert_uint_gt(pass.reclaimable, 0);
			}
			if (!priority)
				ck_assert_uint_gt(pass.freed, 0);
			drop(&s);
		}
	}
	support_end();
}
END_TEST

START_TEST(each_pass_asks_the_shrinkers_of_its_kind_only)
{
	struct bhi_shrink_pass pass = {.share = BHI_SHRINK_ALL, .flags = BH_NORECLAIM};
	struct scripted of_group, of_other, global, last, global_last;
	struct bh_group *group, *other;

	support_start(ZONE);
	group = support_group(NULL, "group");
	other = support_group(group, "other");
	of_group = scripted(group, 1);
	of_other = scripted(other, 1);
	global = scripted(NULL, 1);
	last = scripted(group, 1);
	global_last = scripted(NULL, 1);
	last.shrinker.flags = global_last.shrinker.flags = BH_SHRINKER_LAST_RESORT;
	add(&of_group);
	add(&of_other);
	add(&global);
	add(&last);
	add(&global_last);
	pass.group = group;
	bhi_shrink(&pass, false);
	ck_assert_uint_eq(of_group.nr_counts, 1);
	ck_assert_uint_eq(of_other.nr_counts + global.nr_counts, 0);
	ck_assert_uint_eq(last.nr_counts + global_last.nr_counts, 0);
	ck_assert_uint_eq(of_group.flags, BH_NORECLAIM);
	bhi_shrink(&pass, true);
	ck_assert_uint_eq(global.nr_counts, 1);
	ck_assert_ptr_eq(global.group, group);
	ck_assert_uint_eq(of_group.nr_counts, 1);
	pass.last_resort = true;
	bhi_shrink(&pass, false);
	ck_assert_uint_eq(last.nr_counts, 1);
	bhi_shrink(&pass, true);
	ck_assert_uint_eq(global_last.nr_counts, 1);
	ck_assert_uint_eq(of_group.nr_counts + of_other.nr_counts + global.nr_counts, 2);
	drop(&of_group);
	drop(&of_other);
	drop(&global);
	drop(&last);
	drop(&global_last);
	bh_group_put(other);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_shrinker_without_name_or_functions_or_with_unknown_flags_is_refused)
{
	struct scripted good, bad;

	support_start(ZONE);
	good = scripted(NULL, 1);
	ck_assert_int_eq(bh_shrinker_register(NULL), -EINVAL);
	bad = good;
	bad.shrinker.name = NULL;
	ck_assert_int_eq(bh_shrinker_register(&bad.shrinker), -EINVAL);
	bad = good;
	bad.shrinker.count = NULL;
	ck_assert_int_eq(bh_shrinker_register(&bad.shrinker), -EINVAL);
	bad = good;
	bad.shrinker.scan = NULL;
	ck_assert_int_eq(bh_shrinker_register(&bad.shrinker), -EINVAL);
	bad = good;
	bad.shrinker.flags = 2;
	ck_assert_int_eq(bh_shrinker_register(&bad.shrinker), -EINVAL);
	ck_assert_int_eq(bh_shrinker_unregister(NULL), -EINVAL);
	ck_assert_int_eq(bh_shrinker_unregister(&good.shrinker), -EINVAL);
	add(&good);
	ck_assert_int_eq(bh_shrinker_register(&good.shrinker), -EBUSY);
	shrink(bh_root(), 0);
	drop(&good);
	ck_assert_int_eq(bh_shrinker_unregister(&good.shrinker), -EINVAL);
	add(&good);
	drop(&good);
	support_end();
}
END_TEST

START_TEST(a_registered_shrinker_keeps_its_group_alive)
{
	struct bh_group *group;
	struct scripted s;

	support_start(ZONE);
	group = support_group(NULL, "group");
	s = scripted(group, 5);
	add(&s);
	bh_group_put(group);
	ck_assert_uint_eq(support_stat(bh_root()).nr_children, 1);
	ck_assert_int_eq(bh_charge(group, 100, 0), 0);
	bh_uncharge(group, 100);
	shrink(group, 0);
	ck_assert_uint_eq(s.nr_counts, 1);
	drop(&s);
	ck_assert_uint_eq(support_stat(bh_root()).nr_children, 0);
	support_end();
}
END_TEST

START_TEST(the_report_sees_every_shrinker_and_what_it_did)
{
	static const char *const names[] = {
		"short", "0123456789012345678901234567890123456789"};
	struct bhi_shrinker_info info;
	struct bh_group *group;
	struct scripted s[2];

	support_start(ZONE);
	group = support_group(NULL, "group");
	s[0] = scripted(group, 200);
	s[1] = scripted(NULL, 1);
	s[0].frees = true;
	for (int i = 0; i < 2; i++) {
		s[i].shrinker.name = names[i];
		add(&s[i]);
	}
	shrink(group, 1);
	ck_assert(bhi_shrinker_info(0, &info));
	ck_assert_str_eq(info.name, "short");
	ck_assert(!info.global && info.group_id == group->id);
	ck_assert_uint_eq(info.nr_calls, 1);
	ck_assert_uint_eq(info.nr_freed, 128);
	ck_assert_uint_eq(info.nr_deferred, 72);
	ck_assert(bhi_shrinker_info(1, &info));
	ck_assert(info.global && info.group_id == 0 && info.nr_calls == 0);
	ck_assert_uint_eq(strlen(info.name), BHI_GROUP_NAME_SIZE - 1);
	ck_assert_mem_eq(info.name, names[1], BHI_GROUP_NAME_SIZE - 1);
	ck_assert(!bhi_shrinker_info(2, &info));
	drop(&s[0]);
	drop(&s[1]);
	ck_assert(!bhi_shrinker_info(0, &info));
	bh_group_put(group);
	support_end();
}
END_TEST

/* ------------------------------------------------- from inside and meanwhile */

static struct {
	struct scripted *victim; /* that the scan of another unregisters */
	struct scripted *newcomer;
	int result;
} meddling;

static size_t meddling_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)control;
	scripted_of(self)->nr_scans++;
	meddling.result = bh_shrinker_unregister(&meddling.victim->shrinker);
	if (meddling.newcomer)
		add(meddling.newcomer);
	return 0;
}

static size_t meddling_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)control;
	scripted_of(self)->nr_counts++;
	meddling.result = bh_shrinker_unregister(&meddling.victim->shrinker);
	return 0;
}

START_TEST(a_shrinker_cannot_unregister_itself_from_inside)
{
	struct scripted s;

	support_start(ZONE);
	s = scripted(bh_root(), 1);
	s.shrinker.scan = meddling_scan;
	meddling.victim = &s;
	add(&s);
	shrink(bh_root(), 0);
	ck_assert_uint_eq(s.nr_scans, 1);
	ck_assert_int_eq(meddling.result, -EDEADLK);
	/* Nothing has changed: it is still asked. */
	shrink(bh_root(), 0);
	ck_assert_uint_eq(s.nr_counts, 2);
	s.shrinker.count = meddling_count;
	shrink(bh_root(), 0);
	ck_assert_int_eq(meddling.result, -EDEADLK);
	drop(&s);
	support_end();
}
END_TEST

START_TEST(a_shrinker_may_register_and_unregister_others_from_inside)
{
	struct scripted first, second, third, fourth;

	support_start(ZONE);
	first = scripted(bh_root(), 1);
	second = scripted(bh_root(), 1);
	third = scripted(bh_root(), 1);
	fourth = scripted(bh_root(), 1);
	second.shrinker.scan = meddling_scan;
	meddling.newcomer = &fourth;
	meddling.victim = &third;
	add(&first);
	add(&second);
	add(&third);
	shrink(bh_root(), 0);
	ck_assert_int_eq(meddling.result, 0);
	ck_assert_uint_eq(first.nr_counts, 1);
	ck_assert_uint_eq(third.nr_counts, 0);
	ck_assert_uint_eq(fourth.nr_counts, 1);
	/* One that the walk has been at. */
	meddling.newcomer = NULL;
	meddling.victim = &first;
	shrink(bh_root(), 0);
	ck_assert_int_eq(meddling.result, 0);
	ck_assert_uint_eq(fourth.nr_counts, 2);
	drop(&second);
	drop(&fourth);
	support_end();
}
END_TEST

#define NR_WALKERS 2

/* A shrinker in whose scan() all walkers but the main thread meet and wait. */
static struct {
	struct scripted s;
	pthread_t main;
	pthread_barrier_t inside, go_on;
	uint32_t nr_inside, nr_counts_of_main, unregistered;
} slow;

static size_t slow_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	if (!pthread_equal(pthread_self(), slow.main))
		return 1;
	slow.nr_counts_of_main++;
	return 0;
}

static size_t slow_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	bhi_add(&slow.nr_inside, 1);
	pthread_barrier_wait(&slow.inside);
	pthread_barrier_wait(&slow.go_on);
	bhi_sub(&slow.nr_inside, 1);
	return BH_SHRINK_STOP;
}

static void *walk(void *arg)
{
	(void)arg;
	shrink(bh_root(), 0);
	return NULL;
}

static void *unregister_slow(void *arg)
{
	(void)arg;
	drop(&slow.s);
	ck_assert_uint_eq(bhi_load(&slow.nr_inside), 0);
	bhi_store(&slow.unregistered, 1);
	return NULL;
}

START_TEST(unregister_waits_until_every_walker_has_left)
{
	pthread_t walkers[NR_WALKERS], unregisterer;
	uint32_t before;

	support_start(ZONE);
	slow.main = pthread_self();
	slow.s = scripted(bh_root(), 1);
	slow.s.shrinker.count = slow_count;
	slow.s.shrinker.scan = slow_scan;
	add(&slow.s);
	pthread_barrier_init(&slow.inside, NULL, NR_WALKERS + 1);
	pthread_barrier_init(&slow.go_on, NULL, NR_WALKERS + 1);
	for (int i = 0; i < NR_WALKERS; i++)
		walkers[i] = support_thread(walk, NULL);
	/* All in one scan() at the same time. */
	pthread_barrier_wait(&slow.inside);
	ck_assert_uint_eq(slow.nr_inside, NR_WALKERS);
	unregisterer = support_thread(unregister_slow, NULL);
	/* New walkers ask it until unregister has begun. */
	do {
		sched_yield();
		before = slow.nr_counts_of_main;
		shrink(bh_root(), 0);
	} while (slow.nr_counts_of_main != before);
	ck_assert_uint_eq(bhi_load(&slow.unregistered), 0);
	ck_assert_int_eq(bh_shrinker_unregister(&slow.s.shrinker), -EINVAL);
	ck_assert_int_eq(bh_shrinker_register(&slow.s.shrinker), -EBUSY);
	pthread_barrier_wait(&slow.go_on);
	support_join(unregisterer);
	for (int i = 0; i < NR_WALKERS; i++)
		support_join(walkers[i]);
	ck_assert_uint_eq(slow.unregistered, 1);
	shrink(bh_root(), 0);
	ck_assert_uint_eq(slow.nr_counts_of_main, before);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, how_many_objects_to_scan_as_a_table);
	tcase_add_test(
		tcase, a_large_cache_is_scanned_in_batches_and_the_rest_is_deferred);
	tcase_add_test(tcase, the_batch_is_the_shrinkers_choice);
	tcase_add_test(
		tcase, a_cache_smaller_than_a_batch_is_scanned_when_all_of_it_is_due);
	tcase_add_test(tcase, what_is_deferred_never_exceeds_twice_the_cache);
	tcase_add_test(tcase, stop_ends_the_pass_and_defers_everything);
	tcase_add_test(tcase, a_cache_with_nothing_or_nothing_to_say_is_not_scanned);
	tcase_add_test(tcase, looking_at_fewer_objects_than_asked_for_is_asked_on);
	tcase_add_test(tcase,
		before_giving_up_the_last_objects_are_asked_for_whatever_they_cost);
	tcase_add_test(
		tcase, of_a_protected_group_only_the_unprotected_share_is_asked_for);
	tcase_add_test(tcase, each_pass_asks_the_shrinkers_of_its_kind_only);
	tcase_add_test(tcase,
		a_shrinker_without_name_or_functions_or_with_unknown_flags_is_refused);
	tcase_add_test(tcase, a_registered_shrinker_keeps_its_group_alive);
	tcase_add_test(tcase, the_report_sees_every_shrinker_and_what_it_did);
	tcase_add_test(tcase, a_shrinker_cannot_unregister_itself_from_inside);
	tcase_add_test(tcase, a_shrinker_may_register_and_unregister_others_from_inside);
	tcase_add_test(tcase, unregister_waits_until_every_walker_has_left);
}

int main(void)
{
	return support_run("shrinker", add_tests);
}
