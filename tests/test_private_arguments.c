/* SPDX-License-Identifier: MIT */
/* Arguments of the API that lie in the private memory of the task that calls: it may be
 * killed and reaped at any moment. */
#include <errno.h>
#include <string.h>

#include "base/testpoint.h"
#include "support.h"
#include "support_task.h"
#include "task/kill.h"

static struct bh_group *group;
static struct bh_task *made;

/* A name in private memory. */
static char *private_name(void)
{
	return strcpy(bh_malloc(32), "private");
}

static void kill_maker(enum bhi_testpoint point)
{
	const struct bhi_kill_cause cause = {.reason = BH_KILLED_CALLER};

	if (point != BHI_TP_TASK_NEW || !bhi_task_current)
		return;
	(void)bhi_task_kill(bh_current(), &cause);
	support_await_reaped(bh_current());
}

/* The task is made of what was read before anything was taken. */
static int make_task(void *arg)
{
	struct bh_task_attr *attr = bh_calloc(1, sizeof(*attr));

	(void)arg;
	attr->name = private_name();
	attr->oom_score_adj = 7;
	bhi_store_release(&bhi_testpoint_hook, kill_maker);
	made = bh_task_new(group, attr);
	return bh_check();
}

START_TEST(a_task_that_is_reaped_while_it_makes_another_loses_no_reference)
{
	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_task_run(NULL, NULL, make_task, NULL, NULL), -ECANCELED);
	bhi_store_release(&bhi_testpoint_hook, NULL);
	ck_assert_ptr_nonnull(made);
	ck_assert_str_eq(support_task_stat(made).name, "private");
	ck_assert_int_eq(support_task_stat(made).oom_score_adj, 7);
	bh_task_put(made);
	bh_group_put(group);
	support_end();
}
END_TEST

/* A name may end where the memory does, or not at all. */
static int name_everything(void *arg)
{
	char *end = (char *)bh_map(PAGE, 0) + PAGE, *name = end - 32;
	struct bh_task_attr attr = {.name = name};
	struct bh_group *child;
	struct bh_cache *cache;
	struct bh_task *task;

	(void)arg;
	memset(name, 'x', 32);
	ck_assert_ptr_null(bh_group_new(group, name));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(bh_cache_new(name, 8, 0, NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(bh_task_new(group, &attr));
	ck_assert_int_eq(errno, EINVAL);
	name[31] = '\0';
	child = bh_group_new(group, name);
	cache = bh_cache_new(name, 8, 0, NULL);
	task = bh_task_new(child, &attr);
	ck_assert(child && cache && task);
	ck_assert_str_eq(child->name, name);
	ck_assert_str_eq(support_task_stat(task).name, name);
	bh_task_put(task);
	ck_assert_int_eq(bh_cache_destroy(cache), 0);
	bh_group_put(child);
	return 1;
}

START_TEST(names_are_read_from_private_memory_and_no_further_than_they_may_be_long)
{
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	group = support_group(NULL, "group");
	ck_assert_int_eq(bh_task_run(NULL, NULL, name_everything, NULL, &report), 0);
	ck_assert_int_eq(report.value, 1);
	bh_group_put(group);
	support_end();
}
END_TEST

static size_t count_nothing(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return 0;
}

/* Others would call it when the task is gone. */
static int register_shrinkers(void *arg)
{
	struct bh_shrinker shrinker = {
		.name = "outside", .count = count_nothing, .scan = count_nothing};
	struct bh_shrinker *inside = bh_malloc(sizeof(*inside));

	(void)arg;
	*inside = shrinker;
	ck_assert_int_eq(bh_shrinker_register(inside), -EINVAL);
	ck_assert_int_eq(bh_shrinker_unregister(inside), -EINVAL);
	shrinker.name = private_name();
	ck_assert_int_eq(bh_shrinker_register(&shrinker), -EINVAL);
	shrinker.name = "outside";
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	return 1;
}

START_TEST(a_shrinker_in_private_memory_is_refused)
{
	struct bh_report report;

	support_start_tasks(TASK_ZONE, 0);
	ck_assert_int_eq(bh_task_run(NULL, NULL, register_shrinkers, NULL, &report), 0);
	ck_assert_int_eq(report.value, 1);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_task_that_is_reaped_while_it_makes_another_loses_no_reference);
	tcase_add_test(tcase,
		names_are_read_from_private_memory_and_no_further_than_they_may_be_long);
	tcase_add_test(tcase, a_shrinker_in_private_memory_is_refused);
}

int main(void)
{
	return support_run("private_arguments", add);
}
