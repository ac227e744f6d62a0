/* SPDX-License-Identifier: MIT */
/* What holders and victims take past the limits of their groups is bounded for each of
 * them, for all of them, and for those who come later; and it is repaid. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"
#include "support_task.h"
#include "task/overdraft.h"

#define LIMIT     (4 * MIB)
#define PIECE     (64 * KIB)
#define OVERDRAFT ((uint64_t)BHI_TASK_OVERDRAFT)
#define GROUP_MAX ((uint64_t)BHI_GROUP_OVERDRAFT)

static struct bh_group *group;

/* At its limit, with memory that nobody can be killed for. */
static void start_full(void)
{
	support_start_tasks(TASK_ZONE, 1000);
	group = support_limited(NULL, "group", LIMIT);
	ck_assert_int_eq(bh_charge(group, LIMIT, 0), 0);
	ck_assert_uint_eq(support_usage(group), LIMIT);
}

static void end_full(void)
{
	ck_assert_uint_eq(support_stat(group).overdraft, 0);
	bh_uncharge(group, LIMIT);
	ck_assert_uint_eq(support_usage(group), 0);
	bh_group_put(group);
	support_end();
}

/* In one hold section, page by page. */
static void touch(char *p, uint64_t size)
{
	bh_hold();
	for (uint64_t i = 0; i < size; i += PAGE)
		((volatile char *)p)[i] = 1;
	bh_release();
}

/* A piece of a map at a time, by calls; how many bytes it has got. */
static uint64_t take_all(char *p, uint64_t size)
{
	uint64_t had = 0;

	while (had < size && !bh_touch(p + had, PIECE))
		had += PIECE;
	return had;
}

static int be_polite(void *arg)
{
	char *p = bh_map(4 * OVERDRAFT, 0);

	(void)arg;
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	for (uint64_t i = 0; i < OVERDRAFT; i += PIECE)
		touch(p + i, PIECE);
	ck_assert_uint_eq(support_stat(group).usage, LIMIT + OVERDRAFT);
	/* A touch would wait for others. */
	ck_assert_int_eq(bh_touch(p + OVERDRAFT, PAGE), -ENOMEM);
	/* Nor may it begin anew where others repay. */
	bh_uncharge(group, MIB);
	ck_assert_uint_eq(support_usage(group), LIMIT + OVERDRAFT - MIB);
	touch(p, PAGE);
	ck_assert_int_eq(bh_charge(group, MIB - OVERDRAFT, 0), 0);
	ck_assert_uint_eq(support_usage(group), LIMIT);
	ck_assert_int_eq(bh_touch(p + OVERDRAFT, PAGE), -ENOMEM);
	return 0;
}

START_TEST(a_victim_has_one_overdraft_however_many_hold_sections_it_has)
{
	const struct bh_task_attr attr = {.flags = BH_TASK_COOPERATIVE};
	struct bh_task *task;

	start_full();
	task = bh_task_new(group, &attr);
	ck_assert_int_eq(bh_task_enter(task, be_polite, NULL, NULL), -ECANCELED);
	support_await_refs(task, 1);
	bh_task_put(task);
	ck_assert_int_eq(bh_charge(group, OVERDRAFT, 0), 0);
	end_full();
}
END_TEST

/* Many that die at the same time, each in a hold section. */
#define NR_DYING 20

static struct {
	uint32_t nr_ready, go_on, nr_done, leave; /* atomic */
	uint64_t sum;                             /* atomic: bytes they had */
} dying;

static int die_slowly(void *arg)
{
	char *p = bh_map(4 * OVERDRAFT, 0);
	uint64_t had;

	(void)arg;
	bh_hold();
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	bhi_add(&dying.nr_ready, 1);
	support_await(&dying.go_on, 1);
	had = take_all(p, 4 * OVERDRAFT);
	ck_assert_uint_le(had, OVERDRAFT);
	bhi_add(&dying.sum, had);
	bhi_add(&dying.nr_done, 1);
	support_await(&dying.leave, 1);
	bh_release();
	return 0;
}

START_TEST(many_victims_at_a_time_overdraw_their_group_by_no_more_than_it_has)
{
	struct support_entry entries[NR_DYING];
	struct bh_task *tasks[NR_DYING];

	start_full();
	for (int i = 0; i < NR_DYING; i++) {
		tasks[i] = support_task(group, "dying", 0);
		support_enter(&entries[i], tasks[i], die_slowly, NULL);
	}
	support_await(&dying.nr_ready, NR_DYING);
	bhi_store_release(&dying.go_on, 1);
	support_await(&dying.nr_done, NR_DYING);
	ck_assert_uint_eq(bhi_load(&dying.sum), GROUP_MAX);
	ck_assert_uint_eq(support_stat(group).overdraft, GROUP_MAX);
	ck_assert_uint_eq(support_stat(group).usage, LIMIT + GROUP_MAX);
	ck_assert_uint_eq(support_stat(group).peak, LIMIT + GROUP_MAX);
	/* The root is within its limit. */
	ck_assert_uint_eq(support_stat(bh_root()).overdraft, 0);
	bhi_store_release(&dying.leave, 1);
	for (int i = 0; i < NR_DYING; i++) {
		ck_assert_int_eq(support_enter_end(&entries[i]), -ECANCELED);
		bh_task_put(tasks[i]);
	}
	end_full();
}
END_TEST

static int leave_objects(void *arg)
{
	(void)arg;
	bh_hold();
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	while (bh_alloc(group, PIECE, 0))
		dying.sum += PIECE;
	bh_release();
	return 0;
}

/* Shared memory outlives its tasks, so their end is no reason to begin anew. */
START_TEST(victims_one_after_the_other_add_up_until_their_group_is_within_its_limit)
{
	start_full();
	for (int round = 0; round < 2; round++) {
		dying.sum = 0;
		for (int i = 0; i < NR_DYING; i++)
			ck_assert_int_eq(
				bh_task_run(group, NULL, leave_objects, NULL, NULL),
				-ECANCELED);
		ck_assert_uint_ge(dying.sum, GROUP_MAX / 2);
		ck_assert_uint_le(support_stat(group).peak, LIMIT + GROUP_MAX);
		ck_assert_uint_eq(
			support_stat(group).overdraft, support_usage(group) - LIMIT);
		ck_assert_int_eq(bh_group_drop(group), 0);
	}
	end_full();
}
END_TEST

static int take_one_overdraft(void *arg)
{
	char *p = bh_map(4 * OVERDRAFT, 0);

	bh_hold();
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	*(uint64_t *)arg = take_all(p, 4 * OVERDRAFT);
	bh_release();
	return 0;
}

/* A max far below the usage is no reason to let a holder down, and what it had is back
 * when it has ended, although the group still is over. */
START_TEST(victims_one_after_the_other_have_one_overdraft_each_of_private_memory)
{
	start_full();
	support_set(group, BH_ON_LIMIT, BH_FAIL);
	support_set(group, BH_MAX, MIB);
	for (int i = 0; i < NR_DYING; i++) {
		uint64_t had = 0;

		ck_assert_int_eq(bh_task_run(group, NULL, take_one_overdraft, &had, NULL),
			-ECANCELED);
		ck_assert_uint_eq(had, OVERDRAFT);
		ck_assert_uint_eq(support_stat(group).overdraft, 0);
	}
	end_full();
}
END_TEST

/* A victim that keeps its memory while others have hold sections. */
static struct {
	uint32_t holds, go_on; /* atomic */
} victim;

static int keep(void *arg)
{
	(void)arg;
	support_filled_map(LIMIT / 2, 1);
	bh_hold();
	bhi_store_release(&victim.holds, 1);
	support_await(&victim.go_on, 1);
	bh_release();
	return 0;
}

static int hold_again_and_again(void *arg)
{
	char *p = bh_map(LIMIT, 0);

	touch(p, LIMIT / 2);
	ck_assert_int_eq(bh_current()->overdraft, 0);
	for (uint64_t i = 1; i <= 3; i++) {
		touch(p + LIMIT / 2 + i * PIECE, PIECE);
		ck_assert_int_eq(bh_current()->overdraft, (int64_t)(i * PIECE));
	}
	ck_assert_uint_eq(support_stat(group).overdraft, 3 * PIECE);
	bhi_store_release(&victim.go_on, 1);
	support_await_reaped(arg);
	/* Within the limit again. */
	ck_assert_uint_eq(support_stat(group).overdraft, 0);
	ck_assert_uint_eq(bh_current()->overdraft_private, (int64_t)(3 * PIECE));
	touch(p + 3 * LIMIT / 4, LIMIT / 4);
	return 1;
}

START_TEST(a_holder_has_its_overdraft_anew_when_its_group_is_within_its_limit)
{
	struct support_entry entry;
	struct bh_task *keeper;
	struct bh_report report;

	/* The victim is not given up meanwhile. */
	const struct bh_config config = {.size = TASK_ZONE, .reap_interval_ms = 1000};

	ck_assert_int_eq(bh_init(&config), 0);
	group = support_limited(NULL, "group", LIMIT);
	keeper = support_task(group, "keeper", 1000);
	support_enter(&entry, keeper, keep, NULL);
	support_await(&victim.holds, 1);
	ck_assert_int_eq(
		bh_task_run(group, NULL, hold_again_and_again, keeper, &report), 0);
	ck_assert_int_eq(report.value, 1);
	ck_assert_int_eq(support_enter_end(&entry), -ECANCELED);
	bh_task_put(keeper);
	bh_group_put(group);
	support_end();
}
END_TEST

static char *report_of(enum bh_format format)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/report", support_dir());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bh_report_write(fd, format), 0);
	close(fd);
	return support_read_file(path);
}

static int report_inside(void *arg)
{
	char *p = bh_map(PIECE, 0), *text;

	(void)arg;
	bh_hold();
	ck_assert_int_eq(bh_touch(p, PIECE), -ENOMEM);
	ck_assert_int_eq(bh_task_kill(bh_current()), 0);
	ck_assert_int_eq(bh_touch(p, PIECE), 0);
	text = report_of(BH_TEXT);
	ck_assert(support_contains(text, "overdrawn by holders and victims: 64K\n"));
	free(text);
	text = report_of(BH_JSON);
	ck_assert(support_contains(text, "\"overdraft\": 65536,"));
	free(text);
	bh_release();
	return 0;
}

START_TEST(the_report_tells_what_is_overdrawn)
{
	char *text;

	start_full();
	support_set(group, BH_ON_LIMIT, BH_FAIL);
	ck_assert_int_eq(bh_task_run(group, NULL, report_inside, NULL, NULL), -ECANCELED);
	text = report_of(BH_TEXT);
	ck_assert(!support_contains(text, "overdrawn"));
	free(text);
	end_full();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(
		tcase, a_victim_has_one_overdraft_however_many_hold_sections_it_has);
	tcase_add_test(tcase,
		many_victims_at_a_time_overdraw_their_group_by_no_more_than_it_has);
	tcase_add_test(tcase,
		victims_one_after_the_other_add_up_until_their_group_is_within_its_limit);
	tcase_add_test(tcase,
		victims_one_after_the_other_have_one_overdraft_each_of_private_memory);
	tcase_add_test(tcase,
		a_holder_has_its_overdraft_anew_when_its_group_is_within_its_limit);
	tcase_add_test(tcase, the_report_tells_what_is_overdrawn);
}

int main(void)
{
	return support_run("overdraft", add);
}
