/* SPDX-License-Identifier: MIT */
/* Shared slabs: the first objects of each class in a group. */
#include <errno.h>
#include <string.h>

#include "alloc/small.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

/* Groups with neighbouring ids share; so many make sure that some do. */
#define NR_GROUPS 24

static struct bh_group *groups[NR_GROUPS];

static void start(void)
{
	support_start(ZONE);
	for (int i = 0; i < NR_GROUPS; i++)
		groups[i] = support_group(NULL, "small");
}

static void end(void)
{
	for (int i = 0; i < NR_GROUPS; i++)
		bh_group_put(groups[i]);
	support_end();
}

static void *take(struct bh_group *group, size_t size)
{
	void *p = bh_alloc(group, size, 0);

	ck_assert_ptr_nonnull(p);
	return p;
}

static struct bhi_slab *slab_of(const void *p)
{
	return bhi_slab_of(bhi_page_of(p));
}

static bool is_shared(const void *p)
{
	return bhi_load(&slab_of(p)->state) == BHI_SLAB_SHARED;
}

START_TEST(neighbours_share_slabs_and_own_their_objects)
{
	void *objects[NR_GROUPS];
	int nr_together = 0;

	start();
	for (int i = 0; i < NR_GROUPS; i++) {
		objects[i] = take(groups[i], 48);
		ck_assert(is_shared(objects[i]));
		ck_assert_ptr_eq(bh_group_of(objects[i]), groups[i]);
		ck_assert_uint_eq(bh_usable_size(objects[i]), 48);
		ck_assert_uint_eq(support_usage(groups[i]), 48);
		ck_assert_int_eq(bhi_small_bytes(groups[i]), 48);
		nr_together += i && slab_of(objects[i]) == slab_of(objects[i - 1]);
	}
	/* Groups of eight: of 23 pairs of neighbours at most three are apart. */
	ck_assert_int_ge(nr_together, NR_GROUPS - 1 - 3);
	ck_assert_int_eq(bhi_small_slab_bytes(), (NR_GROUPS - nr_together) * 4096);
	ck_assert_int_eq(support_usage(bh_root()), bhi_small_slab_bytes());
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 0; i < NR_GROUPS; i++) {
		bh_free(objects[i]);
		ck_assert_uint_eq(support_usage(groups[i]), 0);
	}
	ck_assert_int_eq(bhi_small_slab_bytes(), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	end();
}
END_TEST

START_TEST(an_object_counts_in_all_levels_below_the_root)
{
	struct bh_group *parent, *child;
	void *p;

	start();
	parent = support_group(groups[0], "parent");
	child = support_group(parent, "child");
	p = take(child, 1000);
	ck_assert_uint_eq(support_usage(child), 1024);
	ck_assert_uint_eq(support_usage(parent), 1024);
	ck_assert_uint_eq(support_usage(groups[0]), 1024);
	ck_assert_uint_eq(support_usage(bh_root()), 4096);
	ck_assert_int_eq(bh_audit(), 0);
	bh_group_put(child);
	ck_assert_uint_eq(support_usage(parent), 1024);
	ck_assert_uint_eq(support_stat(parent).left_behind, 1024);
	ck_assert_int_eq(bh_audit(), 0);
	bh_free(p);
	ck_assert_uint_eq(support_usage(parent), 0);
	bh_group_put(parent);
	end();
}
END_TEST

START_TEST(a_group_that_grows_gets_slabs_of_its_own)
{
	static void *objects[200];

	start();
	for (int i = 0; i < 200; i++)
		objects[i] = take(groups[0], 64);
	ck_assert(is_shared(objects[0]));
	ck_assert(!is_shared(objects[199]));
	ck_assert_int_le(bhi_small_bytes(groups[0]), BHI_SMALL_LIMIT);
	for (int i = 0; i < 200; i++)
		ck_assert_ptr_eq(bh_group_of(objects[i]), groups[0]);
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 0; i < 200; i++)
		bh_free(objects[i * 7 % 200]);
	bhi_reclaim_hooks.collect(groups[0]);
	ck_assert_uint_eq(support_usage(groups[0]), 0);
	ck_assert_int_eq(bhi_small_bytes(groups[0]), 0);
	end();
}
END_TEST

START_TEST(a_group_that_allocates_all_the_time_gets_a_slab_of_its_own)
{
	bool shared = true;
	int nr = 0;

	start();
	for (; shared && nr < 10000; nr++) {
		void *p = take(groups[0], 64);

		shared = is_shared(p);
		bh_free(p);
	}
	ck_assert(!shared);
	ck_assert_int_ge(nr, BHI_SMALL_ALLOCS_MIN);
	end();
}
END_TEST

START_TEST(the_root_does_not_share)
{
	void *p;

	start();
	p = take(NULL, 64);
	ck_assert(!is_shared(p));
	bh_free(p);
	end();
}
END_TEST

START_TEST(full_slabs_become_usable_again_when_one_object_is_freed)
{
	enum {
		NR = BHI_SMALL_LIMIT / 1024
	};
	void *objects[8][NR];
	struct bh_group **some = groups;
	struct bhi_slab *slab;

	start();
	/* Begin where all eight share. */
	while ((*some)->id % 8)
		some++;
	for (int i = 0; i < 8; i++) {
		for (int j = 0; j < NR; j++)
			objects[i][j] = take(some[i], 1024);
	}
	ck_assert_int_eq(bhi_small_slab_bytes(), 8 * BHI_SMALL_LIMIT);
	slab = slab_of(objects[3][2]);
	bh_free(objects[3][2]);
	objects[3][2] = take(some[3], 1024);
	ck_assert_ptr_eq(slab_of(objects[3][2]), slab);
	ck_assert_int_eq(bhi_small_slab_bytes(), 8 * BHI_SMALL_LIMIT);
	for (int j = 0; j < NR; j++) {
		for (int i = 0; i < 8; i++)
			bh_free(objects[i][j]);
	}
	ck_assert_int_eq(bhi_small_slab_bytes(), 0);
	end();
}
END_TEST

START_TEST(dropping_a_group_leaves_the_objects_of_its_neighbours)
{
	static char *objects[NR_GROUPS][20];

	start();
	for (int j = 0; j < 20; j++) {
		for (int i = 0; i < NR_GROUPS; i++) {
			objects[i][j] = take(groups[i], 16 + 30 * (size_t)j);
			memset(objects[i][j], i, 16 + 30 * (size_t)j);
		}
	}
	for (int i = 0; i < NR_GROUPS; i += 2) {
		ck_assert_int_eq(bh_group_drop(groups[i]), 0);
		ck_assert_uint_eq(support_usage(groups[i]), 0);
		ck_assert_int_eq(bhi_small_bytes(groups[i]), 0);
	}
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 1; i < NR_GROUPS; i += 2) {
		for (int j = 0; j < 20; j++) {
			ck_assert_ptr_eq(bh_group_of(objects[i][j]), groups[i]);
			ck_assert(objects[i][j][0] == i && objects[i][j][15] == i);
			bh_free(objects[i][j]);
		}
		ck_assert_uint_eq(support_usage(groups[i]), 0);
	}
	ck_assert_int_eq(bhi_small_slab_bytes(), 0);
	end();
}
END_TEST

/* All that a group may have in shared slabs of the class of 64 bytes: one slab full. */
static void fill_class(struct bh_group *group)
{
	for (int i = 0; i < 64; i++)
		ck_assert(is_shared(take(group, 64)));
}

START_TEST(slabs_that_a_group_has_to_itself_are_dropped_as_a_whole)
{
	void *others;

	start();
	fill_class(groups[0]);
	fill_class(groups[1]);
	/* One that others had objects in as well, and one that still has another's. */
	bh_free(take(groups[2], 128));
	take(groups[1], 128);
	others = take(groups[2], 200);
	take(groups[1], 200);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(bh_group_drop(groups[i]), 0);
		ck_assert_uint_eq(support_usage(groups[i]), 0);
		ck_assert_int_eq(bhi_small_bytes(groups[i]), 0);
		ck_assert_int_eq(bh_audit(), 0);
	}
	ck_assert_int_eq(
		bhi_small_slab_bytes(), (int64_t)bhi_slab_bytes(slab_of(others)));
	bh_free(others);
	ck_assert_int_eq(bhi_small_slab_bytes(), 0);
	/* A group may come to a slab again that it was dropped from. */
	others = take(groups[3], 64);
	for (int round = 0; round < 3; round++) {
		take(groups[4], 64);
		ck_assert_int_eq(bh_group_drop(groups[4]), 0);
		ck_assert_uint_eq(support_usage(groups[4]), 0);
	}
	ck_assert_ptr_eq(bh_group_of(others), groups[3]);
	bh_free(others);
	end();
}
END_TEST

START_TEST(a_limit_counts_objects_in_shared_slabs)
{
	void *p, *q;

	start();
	support_set(groups[0], BH_MAX, 1500);
	p = take(groups[0], 1024);
	errno = 0;
	ck_assert_ptr_null(bh_alloc(groups[0], 1024, 0));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(bh_alloc(groups[0], 1024, BH_NOWAIT));
	ck_assert_uint_eq(support_usage(groups[0]), 1024);
	q = bh_alloc(groups[0], 1024, BH_NOFAIL);
	ck_assert_ptr_nonnull(q);
	ck_assert_uint_eq(support_usage(groups[0]), 2048);
	ck_assert_int_eq(bh_audit(), 0);
	bh_free(p);
	bh_free(q);
	ck_assert_uint_eq(support_usage(groups[0]), 0);
	end();
}
END_TEST

#define NR_CHURNS 20000

static void *shelves[4][64];

/* Each thread puts objects of every group on the next one's shelf and frees its own. */
static void *churn(void *arg)
{
	void **mine = arg, **next = &shelves[0][0];
	size_t own = (size_t)(mine - next) / 64;

	next = shelves[(own + 1) % 4];
	for (unsigned i = 0; i < NR_CHURNS; i++) {
		void *p = bh_alloc(groups[i % NR_GROUPS], 8 + i % 300, 0);

		bh_free(__atomic_exchange_n(&next[i % 64], p, __ATOMIC_ACQ_REL));
		bh_free(__atomic_exchange_n(&mine[i * 5 % 64], NULL, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

START_TEST(objects_of_many_groups_pass_between_threads)
{
	pthread_t threads[4];

	start();
	for (int i = 0; i < 4; i++)
		threads[i] = support_thread(churn, shelves[i]);
	for (int i = 0; i < 4; i++)
		support_join(threads[i]);
	for (int i = 0; i < 4 * 64; i++)
		bh_free(shelves[i / 64][i % 64]);
	for (int i = 0; i < NR_GROUPS; i++) {
		bhi_reclaim_hooks.collect(groups[i]);
		ck_assert_uint_eq(support_usage(groups[i]), 0);
	}
	ck_assert_int_eq(bhi_small_slab_bytes(), 0);
	end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, neighbours_share_slabs_and_own_their_objects);
	tcase_add_test(tcase, an_object_counts_in_all_levels_below_the_root);
	tcase_add_test(tcase, a_group_that_grows_gets_slabs_of_its_own);
	tcase_add_test(tcase, a_group_that_allocates_all_the_time_gets_a_slab_of_its_own);
	tcase_add_test(tcase, the_root_does_not_share);
	tcase_add_test(tcase, full_slabs_become_usable_again_when_one_object_is_freed);
	tcase_add_test(tcase, dropping_a_group_leaves_the_objects_of_its_neighbours);
	tcase_add_test(tcase, slabs_that_a_group_has_to_itself_are_dropped_as_a_whole);
	tcase_add_test(tcase, a_limit_counts_objects_in_shared_slabs);
	tcase_add_test(tcase, objects_of_many_groups_pass_between_threads);
}

int main(void)
{
	return support_run("small", add);
}
