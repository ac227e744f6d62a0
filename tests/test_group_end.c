/* SPDX-License-Identifier: MIT */
/* The end of groups: references, what they leave behind, and how many there can be. */
#include <errno.h>
#include <stdio.h>

#include "account/group.h"
#include "account/stock.h"
#include "alloc/buddy.h"
#include "alloc/slab.h"
#include "base/pool.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

static uint32_t nr_groups_at_start;

static void start(void)
{
	support_start(ZONE);
	nr_groups_at_start = bhi_group_count();
}

/* How many groups exist besides the root, those left behind included. */
static uint32_t count(void)
{
	bhi_group_sweep();
	return bhi_group_count() - nr_groups_at_start;
}

static uint64_t left_behind(struct bh_group *group)
{
	return support_stat(group).left_behind;
}

static void *take_pages(struct bh_group *group, unsigned order)
{
	void *pages = bh_alloc_pages(group, order, 0);

	ck_assert_ptr_nonnull(pages);
	return pages;
}

static void *take(struct bh_group *group, size_t size)
{
	void *object = bh_alloc(group, size, 0);

	ck_assert_ptr_nonnull(object);
	return object;
}

START_TEST(more_references_keep_a_group_online)
{
	struct bh_group *group, *child;

	start();
	group = support_group(NULL, "group");
	ck_assert_ptr_eq(bh_group_get(group), group);
	bh_group_put(group);
	child = support_group(group, "child");
	ck_assert_uint_eq(count(), 2);
	bh_group_put(child);
	ck_assert_uint_eq(count(), 1);
	ck_assert_uint_eq(support_stat(group).nr_children, 0);
	bh_group_put(group);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(a_child_keeps_its_parents_online)
{
	struct bh_group *a, *b, *c;
	struct bh_group_stat stat;

	start();
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(b, "c");
	bh_group_put(a);
	bh_group_put(b);
	ck_assert_uint_eq(count(), 3);
	ck_assert_int_eq(bh_charge(c, 4096, 0), 0);
	ck_assert_uint_eq(support_usage(a), 4096);
	stat = support_stat(b);
	ck_assert_uint_eq(stat.nr_children, 1);
	support_set(a, BH_MAX, 8192);
	ck_assert_int_eq(bh_charge(c, 8192, BH_NORETRY), -ENOMEM);
	bh_uncharge(c, 4096);
	bh_group_put(c);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(what_a_deleted_group_held_counts_for_its_parent_until_it_is_freed)
{
	struct bh_group *parent, *group;
	void *pages, *object;

	start();
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	pages = take_pages(group, 3);
	object = take(group, 200 * KIB);
	ck_assert_int_eq(bh_charge(group, 1000, 0), 0);
	bh_group_put(group);
	ck_assert_uint_eq(count(), 2);
	ck_assert_uint_eq(left_behind(parent), 8 * PAGE + 200 * KIB + 1000);
	ck_assert_uint_eq(support_stat(parent).usage, 8 * PAGE + 200 * KIB + 1000);
	ck_assert_uint_eq(support_stat(parent).nr_children, 0);
	ck_assert_int_eq(bh_audit(), 0);
	bh_free(pages);
	ck_assert_uint_eq(left_behind(parent), 200 * KIB + 1000);
	bh_uncharge(group, 1000);
	ck_assert_uint_eq(count(), 2);
	bh_free(object);
	ck_assert_uint_eq(bhi_group_count() - nr_groups_at_start, 1);
	ck_assert_uint_eq(left_behind(parent), 0);
	ck_assert_uint_eq(support_stat(parent).usage, 0);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(a_deleted_group_limits_and_protects_nothing_any_more)
{
	struct bh_group *parent, *group;
	void *pages, *more;

	start();
	parent = support_group(NULL, "parent");
	group = support_group(parent, "group");
	pages = take_pages(group, 0);
	support_set(group, BH_MAX, PAGE);
	support_set(group, BH_MIN, PAGE);
	support_set(group, BH_LOW, PAGE);
	bhi_stock_drain(bh_root());
	ck_assert_int_eq(parent->counter.children_min_usage, (int64_t)PAGE);
	bh_group_put(group);
	ck_assert_int_eq(parent->counter.children_min_usage, 0);
	ck_assert_int_eq(parent->counter.children_low_usage, 0);
	/* A larger object of the same owner: nearest online ancestor. */
	more = bh_realloc_flags(pages, 100 * KIB, 0);
	ck_assert_ptr_nonnull(more);
	ck_assert_ptr_eq(bh_group_of(more), parent);
	ck_assert_uint_eq(count(), 1);
	bh_free(more);
	bh_group_put(parent);
	support_end();
}
END_TEST

START_TEST(nothing_new_is_made_in_a_deleted_group)
{
	struct bh_group *group;
	void *pages, *object;

	start();
	group = support_group(NULL, "group");
	pages = take_pages(group, 0);
	bh_group_put(group);
	errno = 0;
	ck_assert_ptr_null(bh_group_new(group, "child"));
	ck_assert_int_eq(errno, EINVAL);
	object = take(group, 64);
	ck_assert_ptr_eq(bh_group_of(object), bh_root());
	bh_free(object);
	bh_free(pages);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(a_deleted_parent_goes_after_the_last_of_its_deleted_children)
{
	struct bh_group *a, *b, *c;
	void *of_b, *of_c;

	start();
	a = support_group(NULL, "a");
	b = support_group(a, "b");
	c = support_group(b, "c");
	of_b = take_pages(b, 0);
	of_c = take_pages(c, 1);
	bh_group_put(c);
	ck_assert_uint_eq(left_behind(b), 2 * PAGE);
	ck_assert_uint_eq(left_behind(a), 0);
	bh_group_put(b);
	ck_assert_uint_eq(left_behind(a), 3 * PAGE);
	bh_free(of_b);
	ck_assert_uint_eq(left_behind(a), 2 * PAGE);
	ck_assert_uint_eq(count(), 3);
	bh_group_put(a);
	ck_assert_uint_eq(left_behind(bh_root()), 2 * PAGE);
	bh_free(of_c);
	ck_assert_uint_eq(count(), 0);
	ck_assert_uint_eq(left_behind(bh_root()), 0);
	support_end();
}
END_TEST

struct other {
	struct bh_group *group;
	void *objects[64];
	pthread_barrier_t ready, go_on;
};

/* Leave the group in every cache a thread has: its stock, an active slab in which nothing
 * lives, pages and objects that others free. */
static void *use_and_wait(void *arg)
{
	struct other *other = arg;

	for (int i = 0; i < 64; i++)
		other->objects[i] = take(other->group, 1000);
	bh_free(take(other->group, 20 * KIB));
	bh_free(take(other->group, 3000));
	ck_assert_int_eq(bh_charge(other->group, 10, 0), 0);
	bh_uncharge(other->group, 10);
	pthread_barrier_wait(&other->ready);
	pthread_barrier_wait(&other->go_on);
	return NULL;
}

START_TEST(another_threads_stock_and_empty_slabs_do_not_hold_a_deleted_group)
{
	struct other other = {0};
	pthread_t thread;

	start();
	other.group = support_group(NULL, "group");
	pthread_barrier_init(&other.ready, NULL, 2);
	pthread_barrier_init(&other.go_on, NULL, 2);
	thread = support_thread(use_and_wait, &other);
	pthread_barrier_wait(&other.ready);
	for (int i = 0; i < 64; i++)
		bh_free(other.objects[i]);
	bh_group_put(other.group);
	ck_assert_uint_eq(count(), 0);
	ck_assert_uint_eq(left_behind(bh_root()), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	pthread_barrier_wait(&other.go_on);
	support_join(thread);
	support_end();
}
END_TEST

START_TEST(objects_freed_by_others_after_the_end_of_their_group_take_it_along)
{
	struct other other = {0};
	pthread_t thread;

	start();
	other.group = support_group(NULL, "group");
	pthread_barrier_init(&other.ready, NULL, 2);
	pthread_barrier_init(&other.go_on, NULL, 2);
	thread = support_thread(use_and_wait, &other);
	pthread_barrier_wait(&other.ready);
	bh_group_put(other.group);
	ck_assert_uint_eq(count(), 1);
	ck_assert_uint_ge(left_behind(bh_root()), 64000);
	/* Half while their thread lives, half when their slabs are orphans. */
	for (int i = 0; i < 32; i++)
		bh_free(other.objects[i]);
	ck_assert_int_eq(bh_audit(), 0);
	pthread_barrier_wait(&other.go_on);
	support_join(thread);
	ck_assert_int_eq(bh_audit(), 0);
	for (int i = 32; i < 64; i++)
		bh_free(other.objects[i]);
	ck_assert_uint_eq(count(), 0);
	ck_assert_uint_eq(left_behind(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(objects_freed_by_others_while_their_thread_lives_take_the_group_along)
{
	struct other other = {0};
	pthread_t thread;

	start();
	other.group = support_group(NULL, "group");
	pthread_barrier_init(&other.ready, NULL, 2);
	pthread_barrier_init(&other.go_on, NULL, 2);
	thread = support_thread(use_and_wait, &other);
	pthread_barrier_wait(&other.ready);
	bh_group_put(other.group);
	for (int i = 0; i < 64; i++)
		bh_free(other.objects[i]);
	ck_assert_int_eq(bh_audit(), 0);
	pthread_barrier_wait(&other.go_on);
	support_join(thread);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

START_TEST(ids_and_memory_of_groups_that_are_gone_are_used_again)
{
	size_t bytes = 0;

	start();
	for (int i = 0; i < 3000; i++) {
		struct bh_group *group = support_group(NULL, "next");
		void *small = take(group, 100), *large = take(group, 5000);

		bh_group_put(group);
		bh_free(small);
		bh_free(large);
		if (i == 10)
			bytes = bhi_meta_bytes();
	}
	ck_assert_uint_eq(count(), 0);
	ck_assert_uint_eq(bhi_meta_bytes(), bytes);
	support_end();
}
END_TEST

#define MANY 100000

static struct bh_group *many[MANY];
static void *large[MANY], *small[MANY];

START_TEST(a_hundred_thousand_groups_take_at_most_1_KiB_each)
{
	size_t bytes;

	start();
	bytes = bhi_meta_bytes();
	for (int i = 0; i < MANY; i++)
		many[i] = support_group(i % 100 ? many[i - i % 100] : NULL, "many");
	bytes = bhi_meta_bytes() - bytes;
	printf("%.1f bytes a group\n", (double)bytes / MANY);
	ck_assert_uint_le(bytes, (size_t)MANY * KIB);
	ck_assert_uint_eq(count(), MANY);
	for (int i = MANY - 1; i >= 0; i--)
		bh_group_put(many[i]);
	ck_assert_uint_eq(count(), 0);
	support_end();
}
END_TEST

/*
 * The same with a 64-byte object in each, and then with 64 of them, so that each has a
 * slab and a heap of its own: all that is mapped for metadata, descriptors of slabs, page
 * structs, and what the root is charged more than the objects are large.
 */
START_TEST(a_group_that_is_used_costs_what_the_design_says)
{
	struct bh_config config = {.size = 1024 * MIB};
	unsigned nr = _i ? 64 : 1, groups = _i ? MANY / 10 : MANY;
	uint64_t bytes;
	struct bhi_buddy_stat pages;

	ck_assert_int_eq(bh_init(&config), 0);
	bhi_stock_drain(bh_root());
	bytes = bhi_meta_bytes() + support_usage(bh_root());
	for (unsigned i = 0; i < groups; i++) {
		many[i] = support_group(NULL, "many");
		for (unsigned j = 0; j < nr; j++)
			take(many[i], 64);
	}
	bhi_buddy_stat(&pages);
	bytes = bhi_meta_bytes() + support_usage(bh_root()) - bytes;
	bytes += pages.metadata + bhi_load(&bhi_slabs.nr) * sizeof(struct bhi_slab);
	printf("%u objects: %.1f bytes a group more than they\n", nr,
		(double)bytes / groups - 64 * nr);
	/* Debug builds keep a word or two for each object. */
	if (!BH_DEBUG)
		ck_assert_uint_le(bytes, groups * ((_i ? 1408 : KIB) + 64 * nr));
	for (unsigned i = 0; i < groups; i++) {
		ck_assert_int_eq(bh_group_drop(many[i]), 0);
		bh_group_put(many[i]);
	}
	support_end();
}
END_TEST

/* Were every free to look at all that is left behind, this would take an hour. */
START_TEST(what_a_hundred_thousand_deleted_groups_left_goes_piece_by_piece)
{
	struct bh_config config = {.size = 1024 * MIB};

	ck_assert_int_eq(bh_init(&config), 0);
	nr_groups_at_start = bhi_group_count();
	for (int i = 0; i < MANY; i++) {
		many[i] = support_group(NULL, "many");
		large[i] = take_pages(many[i], 0);
		small[i] = take(many[i], 64);
	}
	for (int i = 0; i < MANY; i++)
		bh_group_put(many[i]);
	ck_assert_uint_eq(bhi_group_count() - nr_groups_at_start, MANY);
	for (int i = 0; i < MANY; i++) {
		bh_free(i % 2 ? large[i] : small[i]);
		bh_free(i % 2 ? small[i] : large[i]);
		if (i % 1000 == 0)
			ck_assert_uint_eq(bhi_group_count() - nr_groups_at_start,
				(unsigned)(MANY - i - 1));
	}
	ck_assert_uint_eq(bhi_group_count() - nr_groups_at_start, 0);
	support_end();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, more_references_keep_a_group_online);
	tcase_add_test(tcase, a_child_keeps_its_parents_online);
	tcase_add_test(
		tcase, what_a_deleted_group_held_counts_for_its_parent_until_it_is_freed);
	tcase_add_test(tcase, a_deleted_group_limits_and_protects_nothing_any_more);
	tcase_add_test(tcase, nothing_new_is_made_in_a_deleted_group);
	tcase_add_test(
		tcase, a_deleted_parent_goes_after_the_last_of_its_deleted_children);
	tcase_add_test(
		tcase, another_threads_stock_and_empty_slabs_do_not_hold_a_deleted_group);
	tcase_add_test(tcase,
		objects_freed_by_others_after_the_end_of_their_group_take_it_along);
	tcase_add_test(tcase,
		objects_freed_by_others_while_their_thread_lives_take_the_group_along);
	tcase_add_test(tcase, ids_and_memory_of_groups_that_are_gone_are_used_again);
	tcase_add_test(tcase, a_hundred_thousand_groups_take_at_most_1_KiB_each);
	tcase_add_loop_test(tcase, a_group_that_is_used_costs_what_the_design_says, 0, 2);
	tcase_add_test(
		tcase, what_a_hundred_thousand_deleted_groups_left_goes_piece_by_piece);
}

int main(void)
{
	return support_run("group_end", add_tests);
}
