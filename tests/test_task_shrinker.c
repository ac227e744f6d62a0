/* SPDX-License-Identifier: MIT */
/* Shrinkers that run on the thread of a task which is killed meanwhile. */
#include <errno.h>

#include "bulkhead.h"
#include "support.h"
#include "support_memory.h"

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

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, shrinker_is_not_unwound_with_the_task_it_runs_for);
}

int main(void)
{
	return support_run("task_shrinker", add_tests);
}
