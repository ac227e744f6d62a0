/* SPDX-License-Identifier: MIT */
/* Typed caches: constructors, layout, destruction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/cache.h"
#include "base/pool.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "support_memory.h"

#define ZONE (64 * MIB)

static struct bh_cache *cache_new(
	const char *name, size_t size, size_t align, void (*ctor)(void *))
{
	struct bh_cache *cache = bh_cache_new(name, size, align, ctor);

	ck_assert_ptr_nonnull(cache);
	return cache;
}

static void *take(struct bh_cache *cache, struct bh_group *group)
{
	void *p = bh_cache_alloc(cache, group, 0);

	ck_assert_ptr_nonnull(p);
	return p;
}

static struct bhi_cache_info info_of(const char *name)
{
	struct bhi_cache_info info;
	unsigned i = 0;

	while (bhi_cache_info(i, &info) && strcmp(info.name, name))
		i++;
	ck_assert_str_eq(info.name, name);
	return info;
}

struct item {
	uint64_t constructed;
	char contents[40];
};

static unsigned nr_constructed;

static void construct(void *object)
{
	struct item *item = object;

	item->constructed = ++nr_constructed;
	memset(item->contents, 'c', sizeof(item->contents));
}

START_TEST(a_constructor_runs_once_an_object_and_its_state_survives)
{
	enum {
		NR = 500
	};
	static struct item *items[NR];
	static uint64_t numbers[NR];
	struct bh_cache *cache;
	unsigned nr;

	support_start(ZONE);
	cache = cache_new("items", sizeof(struct item), 0, construct);
	ck_assert_uint_eq(nr_constructed, 0);
	for (int i = 0; i < NR; i++) {
		items[i] = take(cache, NULL);
		for (int j = 0; j < 40; j++)
			ck_assert_int_eq(items[i]->contents[j], 'c');
		numbers[i] = items[i]->constructed;
		ck_assert_uint_ne(numbers[i], 0);
		items[i]->contents[0] = 'u';
	}
	nr = nr_constructed;
	ck_assert_uint_ge(nr, NR);
	/* The user leaves a free object in its constructed state. */
	for (int i = 0; i < NR; i += 2) {
		items[i]->contents[0] = 'c';
		ck_assert_int_eq(bh_cache_free(cache, items[i]), 0);
	}
	for (int i = 0; i < NR; i += 2) {
		items[i] = take(cache, NULL);
		ck_assert_int_eq(items[i]->contents[0], 'c');
		ck_assert_uint_ne(items[i]->constructed, 0);
		ck_assert_uint_le(items[i]->constructed, nr);
	}
	ck_assert_uint_eq(nr_constructed, nr);
	for (int i = 1; i < NR; i += 2) {
		ck_assert_uint_eq(items[i]->constructed, numbers[i]);
		ck_assert_int_eq(items[i]->contents[0], 'u');
	}
	for (int i = 0; i < NR; i++)
		bh_free(items[i]);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

static void set_bytes(void *object)
{
	*(char *)object = 'b';
}

/* Size, alignment and constructor in all combinations: objects do not overlap. */
static void check_layout(size_t size, size_t align, void (*ctor)(void *))
{
	enum {
		NR = 40
	};
	struct bh_cache *cache = cache_new("layout", size, align, ctor);
	size_t natural = size > 8 ? 16 : 8;
	char *objects[NR];

	for (int i = 0; i < NR; i++) {
		objects[i] = take(cache, NULL);
		ck_assert_uint_eq((uintptr_t)objects[i] % (align ? align : natural), 0);
		ck_assert_uint_eq(bh_usable_size(objects[i]), size);
		ck_assert_ptr_eq(bh_group_of(objects[i]), bh_root());
		if (ctor)
			ck_assert_int_eq(objects[i][0], 'b');
		memset(objects[i], i, size);
	}
	for (int i = 0; i < NR; i++) {
		ck_assert(objects[i][0] == i && objects[i][size - 1] == i);
		memset(objects[i], 'b', size);
		ck_assert_int_eq(bh_cache_free(cache, objects[i]), 0);
	}
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
}

START_TEST(objects_of_every_size_and_alignment_lie_apart)
{
	static const size_t sizes[] = {
		1, 7, 8, 9, 16, 24, 100, 511, 1000, 4096, 5000, 16384, 30000, 32768};

	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		for (size_t align = 0; align <= 4096; align = align ? 2 * align : 1) {
			check_layout(sizes[i], align, NULL);
			check_layout(sizes[i], align, set_bytes);
		}
	}
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(bad_sizes_alignments_and_names_are_refused)
{
	static const struct {
		const char *name;
		size_t size, align;
	} bad[] = {{"zero", 0, 0}, {"large", 32769, 0}, {"huge", SIZE_MAX, 0},
		{"odd", 10, 3}, {"wide", 10, 8192}, {NULL, 10, 0}, {"", 10, 0},
		{"a/b", 10, 0}, {"01234567890123456789012345678901", 10, 0}};

	support_start(ZONE);
	for (size_t i = 0; i < bhi_array_size(bad); i++) {
		errno = 0;
		ck_assert_ptr_null(
			bh_cache_new(bad[i].name, bad[i].size, bad[i].align, NULL));
		ck_assert_int_eq(errno, EINVAL);
	}
	support_end();
}
END_TEST

START_TEST(zeroing_is_for_objects_without_a_constructor)
{
	struct bh_cache *plain, *built;
	char *p;

	support_start(ZONE);
	plain = cache_new("plain", 100, 0, NULL);
	built = cache_new("built", 100, 0, set_bytes);
	for (int i = 0; i < 3; i++) {
		p = bh_cache_alloc(plain, NULL, BH_ZERO);
		ck_assert_ptr_nonnull(p);
		for (int j = 0; j < 100; j++)
			ck_assert_int_eq(p[j], 0);
		memset(p, 1, 100);
		bh_free(p);
	}
	errno = 0;
	ck_assert_ptr_null(bh_cache_alloc(built, NULL, BH_ZERO));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(bh_cache_alloc(NULL, NULL, 0));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(bh_cache_alloc(plain, NULL, BH_ATOMIC | BH_NOFAIL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(bh_cache_destroy(plain), 0);
	ck_assert_int_eq(bh_cache_destroy(built), 0);
	support_end();
}
END_TEST

START_TEST(only_objects_of_the_cache_are_freed_through_it)
{
	struct bh_cache *one, *other;
	char *p, *q, *plain, *run, stack = 0;
	void *heap = malloc(100);

	support_start(ZONE);
	one = cache_new("one", 64, 0, set_bytes);
	other = cache_new("other", 64, 0, set_bytes);
	p = take(one, NULL);
	q = take(other, NULL);
	plain = bh_alloc(NULL, 64, 0);
	run = bh_alloc_pages(NULL, 0, 0);
	ck_assert_int_eq(bh_cache_free(one, q), -EINVAL);
	ck_assert_int_eq(bh_cache_free(other, p), -EINVAL);
	ck_assert_int_eq(bh_cache_free(one, plain), -EINVAL);
	ck_assert_int_eq(bh_cache_free(one, run), -EINVAL);
	/* Debug builds report these: test_misuse. */
	if (!BH_DEBUG) {
		ck_assert_int_eq(bh_cache_free(one, p + 8), -EINVAL);
		ck_assert_int_eq(bh_cache_free(one, &stack), -EINVAL);
		ck_assert_int_eq(bh_cache_free(one, heap), -EINVAL);
	}
	ck_assert_int_eq(bh_cache_free(NULL, p), -EINVAL);
	ck_assert_int_eq(bh_cache_free(one, NULL), 0);
	ck_assert_int_eq(bh_cache_free(NULL, NULL), 0);
	/* Nothing was freed. */
	ck_assert_uint_eq(info_of("one").nr_live, 1);
	ck_assert_uint_eq(info_of("other").nr_live, 1);
	ck_assert_int_eq(bh_cache_destroy(one), -EBUSY);
	ck_assert_int_eq(bh_cache_free(one, p), 0);
	bh_free(q);
	bh_free(plain);
	bh_free(run);
	ck_assert_int_eq(bh_cache_destroy(one), 0);
	ck_assert_int_eq(bh_cache_destroy(other), 0);
	ck_assert_int_eq(bh_cache_destroy(NULL), 0);
	free(heap);
	support_end();
}
END_TEST

START_TEST(objects_are_charged_to_their_groups_and_dropped_with_them)
{
	struct bh_group *group;
	struct bh_cache *cache;

	support_start(ZONE);
	group = support_group(NULL, "group");
	cache = cache_new("items", 200, 0, set_bytes);
	for (int i = 0; i < 1000; i++)
		ck_assert_ptr_eq(bh_group_of(take(cache, group)), group);
	ck_assert_uint_ge(support_usage(group), 200 * 1000);
	ck_assert_uint_eq(info_of("items").nr_live, 1000);
	ck_assert_uint_eq(info_of("items").bytes, support_usage(group));
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_int_eq(bh_group_drop(group), 0);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(info_of("items").nr_slabs, 0);
	bh_free(take(cache, group));
	support_set(group, BH_MAX, 64 * KIB);
	errno = 0;
	while (bh_cache_alloc(cache, group, 0))
		;
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_le(support_usage(group), 64 * KIB);
	ck_assert_int_eq(bh_group_drop(group), 0);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

/* What another thread does to a cache. */
struct work {
	struct bh_cache *cache;
	struct bh_group *group;
	void *object;
	uint32_t took, may_end; /* words to wait for */
};

static void *take_one_and_end(void *arg)
{
	struct work *work = arg;

	work->object = take(work->cache, work->group);
	return NULL;
}

static void *take_one_and_stay(void *arg)
{
	struct work *work = arg;

	work->object = take(work->cache, work->group);
	__atomic_store_n(&work->took, 1, __ATOMIC_SEQ_CST);
	support_await(&work->may_end, 1);
	return NULL;
}

static void *free_one(void *arg)
{
	struct work *work = arg;

	ck_assert_int_eq(bh_cache_free(work->cache, work->object), 0);
	return NULL;
}

START_TEST(a_cache_is_busy_while_an_object_of_another_thread_lives)
{
	struct work work = {0};
	pthread_t thread;

	support_start(ZONE);
	work.cache = cache_new("items", 64, 0, set_bytes);
	thread = support_thread(take_one_and_stay, &work);
	support_await(&work.took, 1);
	ck_assert_int_eq(bh_cache_destroy(work.cache), -EBUSY);
	ck_assert_int_eq(bh_cache_free(work.cache, work.object), 0);
	/* It lies on the other thread's list now, which that thread has not looked at. */
	ck_assert_int_eq(bh_cache_destroy(work.cache), 0);
	ck_assert_int_eq(bh_audit(), 0);
	work.cache = cache_new("others", 2000, 0, NULL);
	bh_free(take(work.cache, NULL));
	ck_assert_int_eq(bh_cache_destroy(work.cache), 0);
	__atomic_store_n(&work.may_end, 1, __ATOMIC_SEQ_CST);
	support_join(thread);
	support_end();
}
END_TEST

START_TEST(a_cache_is_busy_while_an_object_of_a_thread_that_ended_lives)
{
	struct work work = {0};

	support_start(ZONE);
	work.cache = cache_new("items", 64, 0, NULL);
	/* No thread at all may be registered when the cache is destroyed. */
	support_join(support_thread(take_one_and_end, &work));
	ck_assert_int_eq(bh_cache_destroy(work.cache), -EBUSY);
	ck_assert_int_eq(bh_cache_free(work.cache, work.object), 0);
	ck_assert_int_eq(bh_cache_destroy(work.cache), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(a_cache_is_not_busy_when_everything_came_back_from_other_threads)
{
	struct work work = {0};

	support_start(ZONE);
	work.cache = cache_new("items", 64, 0, NULL);
	work.object = take(work.cache, NULL);
	support_join(support_thread(free_one, &work));
	ck_assert_int_eq(bh_cache_destroy(work.cache), 0);
	ck_assert_int_eq(bh_audit(), 0);
	/* The next cache may lie where this one was: it must not find its heaps. */
	for (int i = 0; i < 100; i++) {
		work.cache = cache_new("items", 100 + (size_t)i, 0, NULL);
		work.object = take(work.cache, NULL);
		memset(work.object, i, 100 + (size_t)i);
		support_join(support_thread(free_one, &work));
		for (int j = 0; j < 50; j++)
			bh_free(take(work.cache, NULL));
		ck_assert_int_eq(bh_cache_destroy(work.cache), 0);
	}
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(a_cache_may_be_destroyed_with_empty_slabs_of_every_kind)
{
	enum {
		NR = 1000
	};
	static void *objects[NR];
	struct work works[3] = {0};
	struct bh_group *group;
	struct bh_cache *cache;

	support_start(ZONE);
	group = support_group(NULL, "group");
	cache = cache_new("items", 500, 0, set_bytes);
	for (int i = 0; i < 3; i++) {
		works[i] = (struct work){.cache = cache, .group = group};
		support_join(support_thread(take_one_and_end, &works[i]));
	}
	for (int i = 0; i < NR; i++)
		objects[i] = take(cache, i % 2 ? group : NULL);
	for (int i = 0; i < NR; i++)
		bh_free(objects[i * 7 % NR]);
	ck_assert_int_eq(bh_cache_destroy(cache), -EBUSY);
	for (int i = 0; i < 3; i++)
		bh_free(works[i].object);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(objects_of_a_deleted_group_are_freed_like_others)
{
	struct bh_group *group;
	struct bh_cache *cache;
	void *p, *q;

	support_start(ZONE);
	group = support_group(NULL, "group");
	cache = cache_new("items", 500, 0, NULL);
	p = take(cache, group);
	bh_group_put(group);
	q = take(cache, bh_group_of(p));
	ck_assert_ptr_eq(bh_group_of(q), bh_root());
	ck_assert_int_eq(bh_cache_destroy(cache), -EBUSY);
	ck_assert_int_eq(bh_cache_free(cache, p), 0);
	ck_assert_int_eq(bh_cache_free(cache, q), 0);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	support_end();
}
END_TEST

START_TEST(caches_come_and_go_without_leaving_anything)
{
	size_t bytes = 0;

	support_start(ZONE);
	for (int i = 0; i < 3000; i++) {
		struct bh_cache *cache = cache_new("items", 64, 0, NULL);

		bh_free(take(cache, NULL));
		ck_assert_int_eq(bh_cache_destroy(cache), 0);
		if (i == 100)
			bytes = bhi_meta_bytes();
	}
	ck_assert_uint_eq(bhi_meta_bytes(), bytes);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_constructor_runs_once_an_object_and_its_state_survives);
	tcase_add_test(tcase, objects_of_every_size_and_alignment_lie_apart);
	tcase_add_test(tcase, bad_sizes_alignments_and_names_are_refused);
	tcase_add_test(tcase, zeroing_is_for_objects_without_a_constructor);
	tcase_add_test(tcase, only_objects_of_the_cache_are_freed_through_it);
	tcase_add_test(tcase, objects_are_charged_to_their_groups_and_dropped_with_them);
	tcase_add_test(tcase, a_cache_is_busy_while_an_object_of_another_thread_lives);
	tcase_add_test(
		tcase, a_cache_is_busy_while_an_object_of_a_thread_that_ended_lives);
	tcase_add_test(
		tcase, a_cache_is_not_busy_when_everything_came_back_from_other_threads);
	tcase_add_test(tcase, a_cache_may_be_destroyed_with_empty_slabs_of_every_kind);
	tcase_add_test(tcase, objects_of_a_deleted_group_are_freed_like_others);
	tcase_add_test(tcase, caches_come_and_go_without_leaving_anything);
}

int main(void)
{
	return support_run("cache", add);
}
