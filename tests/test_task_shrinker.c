/* SPDX-License-Identifier: MIT */
/* Code of the host that the library calls on the thread of a task, which is killed
 * meanwhile: shrinkers and constructors. */
#include <errno.h>

#include "bulkhead.h"
#include "support.h"
#include "support_locks.h"
#include "support_memory.h"
#include "task/section.h"

static uint32_t nr_scans;
static int seen;

static size_t count_some(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return 100;
}

/* Kills the task it runs for, and goes where a killed task unwinds. */
static size_t kill_and_stop(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	if (bh_current()) {
		(void)bh_task_kill(bh_current());
		seen = bh_check();
		nr_scans++;
	}
	return BH_SHRINK_STOP;
}

static int take_all(void *arg)
{
	(void)arg;
	while (bh_malloc(1000))
		;
	return 0;
}

START_TEST(shrinker_is_not_unwound_with_the_task_it_runs_for)
{
	struct bh_shrinker shrinker = {
		.name = "killer", .count = count_some, .scan = kill_and_stop, .seeks = 2};
	struct bh_group *group;

	support_start(32 * MIB);
	group = support_group(NULL, "group");
	support_set(group, BH_MAX, 4 * MIB);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	ck_assert_int_eq(bh_task_run(group, NULL, take_all, NULL, NULL), -ECANCELED);
	ck_assert_uint_ge(nr_scans, 1);
	ck_assert_int_eq(seen, -ECANCELED);
	/* The walk was ended: nobody waits for it, and this thread reclaims again. */
	nr_scans = 0;
	ck_assert_int_eq(bh_task_run(group, NULL, take_all, NULL, NULL), -ECANCELED);
	ck_assert_uint_ge(nr_scans, 1);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

static unsigned nr_constructed;
static char *private;

/* The same for a constructor, in the middle of a slab. */
static void kill_and_construct(void *object)
{
	(void)object;
	if (++nr_constructed != 3 || !bh_current())
		return;
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	seen = bh_check();
	bh_hold();
	bh_release();
	ck_assert_int_eq(private[0], 'p');
}

/* Of a task in its own group, or of the root. */
struct typed {
	struct bh_cache *cache;
	struct bh_group *group;
	unsigned flags;
	bool reaped_before;
	void *object;
	uint32_t returned;
};

static int alloc_typed(void *arg)
{
	struct typed *typed = arg;

	private = bh_malloc(100);
	private[0] = 'p';
	if (typed->reaped_before) {
		struct bh_task *self = bh_current();

		bh_hold();
		ck_assert_int_eq(bh_task_kill(self), 0);
		/* As bh_release(), but for the unwinding. */
		bhi_task_unhold(self);
		support_await_reaped(self);
	}
	typed->object = bh_cache_alloc(typed->cache, typed->group, typed->flags);
	typed->returned = 1;
	return bh_check();
}

static void typed_begin(struct typed *typed)
{
	support_start(32 * MIB);
	nr_constructed = 0;
	*typed = (struct typed){.group = support_group(NULL, "group")};
	typed->cache = bh_cache_new("typed", 100, 0, kill_and_construct);
	ck_assert_ptr_nonnull(typed->cache);
}

static void typed_end(struct typed *typed)
{
	ck_assert_int_eq(bh_cache_destroy(typed->cache), 0);
	ck_assert_uint_eq(support_usage(typed->group), 0);
	bh_group_put(typed->group);
	support_end();
}

START_TEST(constructor_is_not_unwound_with_the_task_it_runs_for)
{
	struct typed typed;

	typed_begin(&typed);
	ck_assert_int_eq(
		bh_task_run(typed.group, NULL, alloc_typed, &typed, NULL), -ECANCELED);
	ck_assert_int_eq(seen, -ECANCELED);
	/* All of the slab was made, and none is lost. */
	ck_assert_uint_eq(typed.returned, 1);
	ck_assert_uint_ge(nr_constructed, 20);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_int_eq(bh_cache_free(typed.cache, typed.object), 0);
	typed_end(&typed);
}
END_TEST

/* Its hold section cannot begin any more: the call fails, or, if it must not, unwinds. */
START_TEST(constructor_does_not_run_for_a_task_that_is_reaped)
{
	struct typed typed;

	typed_begin(&typed);
	typed.reaped_before = true;
	typed.flags = _i ? BH_NOFAIL : 0;
	typed.object = &typed;
	ck_assert_int_eq(
		bh_task_run(typed.group, NULL, alloc_typed, &typed, NULL), -ECANCELED);
	ck_assert_uint_eq(nr_constructed, 0);
	ck_assert_uint_eq(typed.returned, !_i);
	ck_assert_ptr_eq(typed.object, _i ? &typed : NULL);
	typed_end(&typed);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, constructor_is_not_unwound_with_the_task_it_runs_for);
	tcase_add_loop_test(
		tcase, constructor_does_not_run_for_a_task_that_is_reaped, 0, 2);
	tcase_add_test(tcase, shrinker_is_not_unwound_with_the_task_it_runs_for);
}

int main(void)
{
	return support_run("task_shrinker", add_tests);
}
