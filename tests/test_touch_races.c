/* SPDX-License-Identifier: MIT */
/*
 * The end of a block section, in which a debug build gives access back, and the reaper,
 * held where one could meet the other in the wrong order: what was zapped has no access.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/testpoint.h"
#include "private.h"
#include "support_task.h"

#define SIZE (4 * MIB)

static struct {
	/* immutable while the hook is set */
	enum bhi_testpoint point;
	/* atomic */
	uint32_t armed, stopped, go_on, has_left;
} stop;

static void stop_once(enum bhi_testpoint point)
{
	if (point == BHI_TP_LEAVING)
		bhi_store_release(&stop.has_left, 1);
	if (point != stop.point || !bhi_exchange(&stop.armed, 0))
		return;
	bhi_store_release(&stop.stopped, 1);
	support_await(&stop.go_on, 1);
}

/* The next one to pass @point is held there. */
static void stop_at(enum bhi_testpoint point)
{
	stop.point = point;
	bhi_store_release(&stop.armed, 1);
	bhi_store_release(&bhi_testpoint_hook, stop_once);
}

/* A task in a block section. */
static struct {
	struct support_entry entry;
	struct bh_task *task;
	struct bh_group *group;
	char *map, *small;
	uint32_t ready, go_on, reached; /* atomic */
	int pipe[2];
} victim;

static int block(void *arg)
{
	(void)arg;
	victim.map = support_filled_map(SIZE, 'v');
	victim.small = memset(bh_malloc(100), 's', 100);
	bh_block_enter();
	bhi_store_release(&victim.ready, 1);
	support_await(&victim.go_on, 1);
	bh_block_leave();
	bhi_store_release(&victim.reached, 1);
	return 0;
}

static void victim_begin(int backend)
{
	if (backend)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	support_start_tasks(TASK_ZONE, 1000);
	ck_assert_int_eq(pipe2(victim.pipe, O_CLOEXEC), 0);
	victim.group = support_group(NULL, "group");
	victim.task = support_task(victim.group, "victim", 0);
	support_enter(&victim.entry, victim.task, block, NULL);
	support_await(&victim.ready, 1);
}

static bool has_access(const char *p)
{
	return write(victim.pipe[1], p, 1) == 1;
}

static void victim_end(void)
{
	ck_assert_int_eq(support_enter_end(&victim.entry), -ECANCELED);
	ck_assert_uint_eq(victim.reached, 0);
	ck_assert_int_eq(victim.entry.report.victim_state, BH_VICTIM_BLOCKED);
	ck_assert_uint_ge(victim.entry.report.reaped, SIZE);
	ck_assert(!has_access(victim.map));
	ck_assert(!has_access(victim.map + SIZE - 1));
	ck_assert(!has_access(victim.small));
	bhi_store_release(&bhi_testpoint_hook, NULL);
	support_await_refs(victim.task, 1);
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_task_put(victim.task);
	ck_assert_uint_eq(support_usage(victim.group), 0);
	bh_group_put(victim.group);
	support_end();
}

/* From the claim on nothing is opened: the task unwinds and waits for the reaper. */
START_TEST(a_block_section_that_ends_while_the_task_is_reaped_opens_nothing)
{
	static const enum bhi_testpoint points[] = {
		BHI_TP_CLAIM, BHI_TP_REAP, BHI_TP_ZAPPED};

	victim_begin(_i % NR_BACKENDS);
	stop_at(points[_i / NR_BACKENDS]);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await(&stop.stopped, 1);
	bhi_store_release(&victim.go_on, 1);
	support_await(&stop.has_left, 1);
	if (BH_DEBUG) {
		ck_assert(!has_access(victim.map));
		ck_assert(!has_access(victim.small));
	}
	bhi_store_release(&stop.go_on, 1);
	victim_end();
}
END_TEST

#if BH_DEBUG
/* It comes again, or the task takes its memory back itself when it has unwound. */
START_TEST(the_reaper_backs_off_while_access_is_given_back)
{
	victim_begin(_i);
	stop_at(BHI_TP_ACCESS);
	bhi_store_release(&victim.go_on, 1);
	support_await(&stop.stopped, 1);
	ck_assert_int_eq(bh_task_kill(victim.task), 0);
	support_await(&victim.task->nr_tries, 2);
	ck_assert_uint_ge(support_private_rss(), SIZE);
	ck_assert(!has_access(victim.map));
	bhi_store_release(&stop.go_on, 1);
	victim_end();
}
END_TEST

static void add_open(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, the_reaper_backs_off_while_access_is_given_back, 0, NR_BACKENDS);
}
#else
static void add_open(TCase *tcase)
{
	(void)tcase;
}
#endif

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase,
		a_block_section_that_ends_while_the_task_is_reaped_opens_nothing, 0,
		3 * NR_BACKENDS);
	add_open(tcase);
}

int main(void)
{
	return support_run("touch_races", add);
}
