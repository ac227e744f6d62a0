/* SPDX-License-Identifier: MIT */
/*
 * Many OOM kills in one process leave nothing behind: memory, address space, descriptors,
 * metadata, group ids and areas of the window are what they were. BH_OOM_KILLS says how
 * many there are; "make soak" does a million, which takes some minutes.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

#include "base/pool.h"
#include "oom/events.h"
#include "support.h"
#include "support_task.h"
#include "task/warm.h"

#define NR_KILLS 4000

/* So often groups are new. */
#define NR_PER_GROUP 100

/* Until every kind of victim has been one, and the ring of events is full. */
#define NR_WARM_UP 400

/* What is resident grows by some pages in a lap now and then: of a stack that is as deep
 * as it never was, of the library's own mappings. A kill that leaves something behind
 * leaves it in every lap. */
#define NR_LAPS 8
#define SLACK   (32 * PAGE)

/* All of it is exact, and but for what is resident all of it stays as it is. */
struct footprint {
	uint64_t rss, address_space;
	uint64_t meta;
	unsigned nr_descriptors, nr_group_ids, nr_areas;
	uint64_t warm;
};

/* Tasks that are kept on purpose. */
static unsigned nr_kept;

/* What is resident but for code, which rare ways read in when they are first gone. The
 * kernel's count in /proc/self/status is off by a batch for each processor. */
static uint64_t exact_rss(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	uint64_t kib = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1)
			break;
	}
	fclose(file);
	ck_assert_uint_gt(kib, 0);
	return kib * KIB;
}

static unsigned nr_ids_in_use(void)
{
	unsigned nr = 0;

	bhi_lock_acquire(&bhi_group_tree_lock);
	for (uint32_t id = 0; id < bhi_group_nr_ids(); id++)
		nr += bhi_group_by_id(id) != NULL;
	bhi_lock_release(&bhi_group_tree_lock);
	return nr;
}

/* A task that is not kept has put its group only after it was counted off. */
static void await_the_others(void)
{
	while (bhi_tasks_count() > nr_kept || nr_ids_in_use() > 1 + nr_kept)
		sched_yield();
}

static struct footprint footprint(void)
{
	struct footprint now;

	await_the_others();
	ck_assert_int_eq(bh_audit(), 0);
	now = (struct footprint){
		.rss = exact_rss(),
		.address_space = support_status_bytes("VmSize"),
		.meta = bhi_meta_bytes(),
		.nr_descriptors = support_nr_descriptors(),
		.nr_areas = bhi_areas_taken(),
		.warm = bhi_warm_bytes(),
	};
	bhi_lock_acquire(&bhi_group_tree_lock);
	now.nr_group_ids = bhi_group_nr_ids();
	bhi_lock_release(&bhi_group_tree_lock);
	return now;
}

static int fill_map(void *arg)
{
	(void)arg;
	support_filled_map(MIB, 1);
	return 0;
}

static int fill_heap(void *arg)
{
	(void)arg;
	/* Check makes two system calls of each assertion. */
	for (int i = 0; i < 1000; i++) {
		if (!bh_malloc(1024))
			ck_abort();
	}
	return 0;
}

/* The victim is who asks, in a pagefault or a call, or an idle task. */
static void kill_one(struct bh_group *group, unsigned long number)
{
	struct bh_task *task = support_task(group, "asker", 0), *idle = NULL;
	int expected = -ECANCELED;

	if (number % 4 == 3) {
		support_set(group, BH_MAX, 1536 * KIB);
		idle = support_idle_task(group, "idle", 1000, MIB);
		expected = 0;
	}
	ck_assert_int_eq(
		bh_task_enter(task, number % 2 ? fill_map : fill_heap, NULL, NULL),
		expected);
	bh_task_put(idle);
	bh_task_put(task);
	/* Nobody is left to be killed for that. */
	support_set(group, BH_MAX, 512 * KIB);
}

static void kill_many(unsigned long nr)
{
	struct bh_group *group = NULL;

	for (unsigned long i = 0; i < nr; i++) {
		if (i % NR_PER_GROUP == 0) {
			bh_group_put(group);
			/* While they keep it the next has another id. */
			await_the_others();
			group = support_limited(NULL, "small", 512 * KIB);
		}
		kill_one(group, i);
	}
	bh_group_put(group);
}

START_TEST(many_oom_kills_leave_nothing_behind)
{
	unsigned long nr = support_number("BH_OOM_KILLS", NR_KILLS);
	struct footprint before, after;
	unsigned nr_laps_without_growth = 0;

	support_start_tasks(TASK_ZONE, 0);
	nr = bhi_max(nr - nr % NR_LAPS, (unsigned long)NR_LAPS);
	kill_many(NR_WARM_UP);
	(void)footprint();
	before = after = footprint();
	for (int lap = 0; lap < NR_LAPS; lap++) {
		uint64_t rss = after.rss;

		kill_many(nr / NR_LAPS);
		after = footprint();
		nr_laps_without_growth += after.rss <= rss;
	}
	printf("%lu kills: resident %lu -> %lu KiB, address space %lu -> %lu KiB, "
	       "metadata %lu -> %lu KiB, descriptors %u -> %u, group ids %u -> %u, "
	       "areas %u -> %u\n",
		nr, before.rss / KIB, after.rss / KIB, before.address_space / KIB,
		after.address_space / KIB, before.meta / KIB, after.meta / KIB,
		before.nr_descriptors, after.nr_descriptors, before.nr_group_ids,
		after.nr_group_ids, before.nr_areas, after.nr_areas);
	fflush(stdout);
	/* A sanitizer takes as it likes. */
	if (!SUPPORT_SANITIZED) {
		ck_assert_uint_gt(nr_laps_without_growth, 0);
		ck_assert_uint_le(after.rss, before.rss + SLACK);
		ck_assert_uint_eq(after.address_space, before.address_space);
	}
	ck_assert_uint_eq(after.meta, before.meta);
	ck_assert_uint_eq(after.nr_descriptors, before.nr_descriptors);
	ck_assert_uint_eq(after.nr_group_ids, before.nr_group_ids);
	ck_assert_uint_eq(after.nr_areas, before.nr_areas);
	ck_assert_uint_eq(after.warm, before.warm);
	ck_assert_uint_eq(support_nr_hopeless_ooms(), 0);
	ck_assert_uint_eq(bhi_oom_events_count(), nr + NR_WARM_UP);
	ck_assert_uint_eq(support_private_rss(), bhi_warm_bytes());
	support_end();
}
END_TEST

/* What the test above would see of a host, or a library, that forgets a few. */
#define NR_KEPT 20

START_TEST(were_a_handle_in_a_hundred_kept_it_would_show)
{
	struct footprint before, after;
	struct bh_task *kept[NR_KEPT];

	support_start_tasks(TASK_ZONE, 0);
	kill_many(NR_PER_GROUP);
	before = footprint();
	while (nr_kept < NR_KEPT) {
		struct bh_group *group;

		kill_many(99);
		await_the_others();
		group = support_limited(NULL, "small", 512 * KIB);
		kept[nr_kept] = support_task(group, "kept", 0);
		ck_assert_int_eq(
			bh_task_enter(kept[nr_kept], fill_map, NULL, NULL), -ECANCELED);
		nr_kept++;
		bh_group_put(group);
	}
	after = footprint();
	ck_assert_uint_eq(after.nr_areas, before.nr_areas + NR_KEPT);
	/* The root's, and one for each. */
	ck_assert_uint_eq(after.nr_group_ids, 1 + NR_KEPT);
	for (; nr_kept; nr_kept--)
		bh_task_put(kept[nr_kept - 1]);
	ck_assert_uint_eq(footprint().nr_areas, before.nr_areas);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	/* A kill takes half a millisecond; a slow machine gets twenty times that. */
	tcase_set_timeout(tcase, 60 + (double)support_number("BH_OOM_KILLS", 0) / 100);
	tcase_add_test(tcase, many_oom_kills_leave_nothing_behind);
	tcase_add_test(tcase, were_a_handle_in_a_hundred_kept_it_would_show);
}

int main(void)
{
	return support_run("oom_many", add);
}
