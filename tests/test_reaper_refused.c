/* SPDX-License-Identifier: MIT */
/*
 * The kernel refuses to zap: with mprotect that takes mappings, of which it allows so
 * many. What is refused once is tried again, what is refused for good stays charged and
 * is told, and goes with the task.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "debug/inject.h"
#include "base/policy.h"
#include "base/bug.h"
#include "private.h"
#include "support_task.h"

#define SIZE (16 * MIB)
#define ZAP  ((uint64_t)BHI_ZAP_PAGES * PAGE)

static struct bh_group *group;
static struct bh_task *victim;

static int fill(void *arg)
{
	(void)arg;
	support_filled_map(SIZE, 1);
	return 0;
}

static void start(void)
{
	start_private(1, TASK_ZONE);
	group = support_group(NULL, "group");
	victim = task_in(group, "victim");
	enter(victim, fill, NULL);
}

/* The victim's last reference, and then that of the group. @nr areas are never used
 * again. */
static void end(uint32_t nr)
{
	support_await_refs(victim, 1);
	bh_task_put(victim);
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_private_rss(), 0);
	ck_assert_uint_eq(areas_taken(), nr);
	bh_group_put(group);
	support_end();
}

static void refuse_from(unsigned nth, enum bhi_failpoint_mode mode)
{
	bhi_failpoint_arm(nth, mode, 1u << BHI_FP_MPROTECT);
}

/* By the reaper, or by the next enter; what that says. */
static struct bh_report kill_victim(bool by_reaper)
{
	struct bh_report report;

	bhi_policy.reaper = by_reaper;
	ck_assert_int_eq(bh_task_kill(victim), 0);
	if (by_reaper)
		support_await_reaped(victim);
	ck_assert_int_eq(bh_task_enter(victim, fill, NULL, &report), -ECANCELED);
	ck_assert_uint_eq(report.bytes, SIZE);
	ck_assert_uint_eq(stat_of(victim).is_reaped, 1);
	return report;
}

START_TEST(what_is_refused_once_is_zapped_in_the_second_pass)
{
	struct bh_report report;

	start();
	refuse_from(1 + (unsigned)_i / 2, BHI_FP_ONCE);
	report = kill_victim(_i % 2);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
	ck_assert_uint_eq(report.reaped, SIZE);
	ck_assert_uint_gt(report.kill_to_bytes_ns, 0);
	ck_assert_uint_eq(stat_of(victim).bytes, 0);
	ck_assert_uint_eq(support_usage(group), 0);
	end(0);
}
END_TEST

/* Some chunks are gone, the rest is not: that it all came back is not said. */
START_TEST(what_is_refused_for_good_stays_charged_and_is_not_reported_as_reaped)
{
	unsigned nr_zapped = (unsigned)_i / 2;
	struct bh_report report;

	start();
	refuse_from(1 + nr_zapped, BHI_FP_PERSISTENT);
	report = kill_victim(_i % 2);
	bhi_failpoint_disarm();
	ck_assert_uint_eq(report.reaped, nr_zapped * ZAP);
	ck_assert_uint_eq(report.kill_to_bytes_ns, 0);
	ck_assert_int_eq(report.kill_to_first_byte_ns > 0, nr_zapped > 0);
	ck_assert_uint_eq(stat_of(victim).bytes, SIZE - nr_zapped * ZAP);
	ck_assert_uint_eq(support_usage(group), SIZE - nr_zapped * ZAP);
	ck_assert_int_eq(bh_audit(), 0);
	end(0);
}
END_TEST

START_TEST(what_is_refused_to_the_last_goes_with_the_task_and_its_span_is_given_up)
{
	start();
	refuse_from(1, BHI_FP_PERSISTENT);
	kill_victim(_i);
	end(SIZE / MIB);
	bhi_failpoint_disarm();
}
END_TEST

/* The kernel's own refusal. */

#define MOST_MAPPINGS 70000u

static char *filler;
static const size_t filler_size = MOST_MAPPINGS * PAGE;

static unsigned long max_map_count(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long nr = 0;

	if (file) {
		ck_assert_int_eq(fscanf(file, "%lu", &nr), 1);
		fclose(file);
	}
	return nr;
}

/* Every other page has another protection, until the kernel has no more mappings. */
static void use_up_mappings(void)
{
	filler = mmap(NULL, filler_size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert(filler != MAP_FAILED);
	for (size_t at = PAGE; at < filler_size; at += 2 * PAGE) {
		if (mprotect(filler + at, PAGE, PROT_READ)) {
			ck_assert_int_eq(errno, ENOMEM);
			return;
		}
	}
	ck_abort_msg("there is no end of mappings");
}

/* Between two that stay: to zap the middle takes two mappings more. */
static int fill_between(void *arg)
{
	char *p = bh_map(3 * SIZE, 0);

	(void)arg;
	ck_assert_int_eq(bh_touch(p, 3 * SIZE), 0);
	use_up_mappings();
	ck_assert_int_eq(bh_discard(p + SIZE, SIZE), 0);
	/* It is refused, reads as zero, and can be used. */
	ck_assert_uint_eq(bytes_here(), 3 * SIZE);
	memset(p, 1, 3 * SIZE);
	munmap(filler, filler_size);
	ck_assert_int_eq(bh_discard(p + SIZE, SIZE), 0);
	ck_assert_uint_eq(bytes_here(), 2 * SIZE);
	return 0;
}

/* What one has lies between what two others have, in the same mapping: to zap it takes
 * two more. */
static struct bh_task *others[2];

START_TEST(a_victim_is_reaped_as_far_as_the_kernel_has_mappings)
{
	if (SUPPORT_SANITIZED || max_map_count() > MOST_MAPPINGS)
		return;
	start_private(1, TASK_ZONE);
	group = support_group(NULL, "group");
	victim = task_in(group, "within");
	enter(victim, fill_between, NULL);
	bh_task_put(victim);
	for (int i = 0; i < 3; i++) {
		struct bh_task *task = task_in(group, "one-of-three");

		enter(task, fill, NULL);
		if (i == 1)
			victim = task;
		else
			others[i / 2] = task;
	}
	use_up_mappings();
	ck_assert_int_eq(bh_task_kill(victim), 0);
	support_await_reaped(victim);
	ck_assert_uint_eq(stat_of(victim).bytes, SIZE);
	ck_assert_uint_eq(support_usage(group), 3 * SIZE);
	munmap(filler, filler_size);
	bh_task_put(others[0]);
	bh_task_put(others[1]);
	end(0);
}
END_TEST

static void add(TCase *tcase)
{
	int nr_chunks = (int)(SIZE / ZAP);

	tcase_add_loop_test(tcase, what_is_refused_once_is_zapped_in_the_second_pass, 0,
		2 * nr_chunks);
	tcase_add_loop_test(tcase,
		what_is_refused_for_good_stays_charged_and_is_not_reported_as_reaped, 0,
		2 * nr_chunks);
	tcase_add_loop_test(tcase,
		what_is_refused_to_the_last_goes_with_the_task_and_its_span_is_given_up,
		0, 2);
	/* A debug build closes what nobody is inside of: that is one mapping. */
	if (!BH_DEBUG)
		tcase_add_test(
			tcase, a_victim_is_reaped_as_far_as_the_kernel_has_mappings);
}

int main(void)
{
	return support_run("reaper_refused", add);
}
