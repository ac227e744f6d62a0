/* SPDX-License-Identifier: MIT */
/* Every public function once, through the shared library alone, as a program sees it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bulkhead.h"

#define ZONE ((uint64_t)64 << 20)

static void start(void)
{
	struct bh_config config = {.size = ZONE};

	ck_assert_int_eq(bh_init(&config), 0);
	ck_assert_int_eq(bh_init(&config), -EALREADY);
}

START_TEST(the_library_says_what_it_is)
{
	unsigned outer, inner;

	ck_assert_str_eq(bh_version(), "0.1.0");
	start();
	ck_assert_uint_ne(bh_features(), 0);
	outer = bh_noreclaim_enter();
	inner = bh_noreclaim_enter();
	ck_assert_uint_ne(outer, inner);
	bh_noreclaim_leave(inner);
	bh_noreclaim_leave(outer);
	ck_assert_uint_eq(bh_noreclaim_enter(), outer);
	bh_noreclaim_leave(outer);
}
END_TEST

START_TEST(groups_are_made_limited_charged_and_put)
{
	struct bh_group_stat stat;
	struct bh_group *group;

	start();
	ck_assert_ptr_nonnull(bh_root());
	group = bh_group_new(bh_root(), "group");
	ck_assert_ptr_nonnull(group);
	ck_assert_ptr_eq(bh_group_get(group), group);
	bh_group_put(group);
	ck_assert_int_eq(bh_group_set(group, BH_MAX, 1 << 20), 0);
	ck_assert_int_eq(bh_charge(group, 1 << 19, 0), 0);
	ck_assert_int_eq(bh_charge(group, 1 << 20, BH_NORETRY), -ENOMEM);
	ck_assert_int_eq(bh_group_stat(group, &stat), 0);
	ck_assert_uint_eq(stat.max, 1 << 20);
	ck_assert_uint_eq(stat.external, 1 << 19);
	ck_assert_uint_ge(stat.usage, 1 << 19);
	bh_uncharge(group, 1 << 19);
	ck_assert_int_eq(bh_group_reclaim(group, 1 << 20, 0), -EAGAIN);
	bh_group_put(group);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(memory_is_allocated_resized_asked_about_and_freed)
{
	struct bh_group *group;
	char *p, *q;

	start();
	group = bh_group_new(NULL, "group");
	p = bh_alloc(group, 100, BH_ZERO);
	ck_assert_ptr_nonnull(p);
	strcpy(p, "text");
	p = bh_realloc_flags(p, 10000, 0);
	ck_assert_str_eq(p, "text");
	ck_assert_uint_ge(bh_usable_size(p), 10000);
	ck_assert_ptr_eq(bh_group_of(p), group);
	q = bh_alloc_aligned(group, 4096, 10, 0);
	ck_assert_uint_eq((uintptr_t)q % 4096, 0);
	bh_free(p);
	bh_free(q);
	p = bh_alloc_pages(group, 3, 0);
	ck_assert_uint_eq((uintptr_t)p % (8 * BH_PAGE_SIZE), 0);
	ck_assert_int_eq(bh_free_pages(p, 3), 0);
	ck_assert_ptr_nonnull(bh_alloc(group, 1000, 0));
	ck_assert_int_eq(bh_group_drop(group), 0);
	bh_group_put(group);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

static void construct(void *object)
{
	memset(object, 'c', 40);
}

START_TEST(caches_give_constructed_objects)
{
	struct bh_cache *cache;
	char *p;

	start();
	cache = bh_cache_new("items", 40, 0, construct);
	ck_assert_ptr_nonnull(cache);
	p = bh_cache_alloc(cache, NULL, 0);
	ck_assert_int_eq(p[39], 'c');
	ck_assert_int_eq(bh_cache_destroy(cache), -EBUSY);
	ck_assert_int_eq(bh_cache_free(cache, p), 0);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

static void *kept;

static size_t count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return kept ? 1 : BH_SHRINK_EMPTY;
}

static size_t scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	bh_free(kept);
	kept = NULL;
	return 1;
}

START_TEST(shrinkers_are_asked_when_memory_is_short)
{
	struct bh_shrinker shrinker = {.name = "kept", .count = count, .scan = scan};
	struct bh_group *group;
	void *p;

	start();
	group = bh_group_new(NULL, "group");
	shrinker.group = group;
	ck_assert_int_eq(bh_group_set(group, BH_MAX, 1 << 20), 0);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	kept = bh_alloc(group, 900000, 0);
	ck_assert_ptr_nonnull(kept);
	p = bh_alloc(group, 200000, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(kept);
	bh_free(p);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	bh_group_put(group);
	ck_assert_int_eq(bh_audit(), 0);
}
END_TEST

START_TEST(reports_are_written_to_a_descriptor)
{
	char head[16] = "", path[] = "/tmp/bulkhead-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	start();
	ck_assert_int_eq(bh_report_write(fd, BH_JSON), 0);
	ck_assert_int_gt(pread(fd, head, sizeof(head) - 1, 0), 0);
	ck_assert_int_eq(head[0], '{');
	ck_assert_int_eq(bh_report_write(fd, BH_TEXT), 0);
	close(fd);
	ck_assert_int_eq(bh_report_write(-1, BH_TEXT), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shared_api");
	TCase *tcase = tcase_create("shared_api");
	SRunner *runner;
	int nr_failed;

	tcase_add_test(tcase, the_library_says_what_it_is);
	tcase_add_test(tcase, groups_are_made_limited_charged_and_put);
	tcase_add_test(tcase, memory_is_allocated_resized_asked_about_and_freed);
	tcase_add_test(tcase, caches_give_constructed_objects);
	tcase_add_test(tcase, shrinkers_are_asked_when_memory_is_short);
	tcase_add_test(tcase, reports_are_written_to_a_descriptor);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
