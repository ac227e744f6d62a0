/* SPDX-License-Identifier: MIT */
/*
 * Private memory around block sections, between two enters and during a dump, with both
 * backends. A debug build takes its access away and gives it back (task/access.h); what
 * is in order is as in a release build, but for system calls in block sections.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "private.h"
#include "support_task.h"

#define ZONE (256 * MIB)

/* Larger than a warm area, and in more than one area. */
#define LARGE (3 * MIB)

static struct bh_task *owner;
static char *private;
static uint32_t is_ready, may_go_on;

static int have_small(void *arg)
{
	(void)arg;
	private = memset(bh_malloc(100), 's', 100);
	return 0;
}

static int have_large(void *arg)
{
	(void)arg;
	private = memset(bh_malloc(LARGE), 'l', LARGE);
	return 0;
}

static int block_until_told(void *arg)
{
	have_large(arg);
	bh_block_enter();
	bhi_store_release(&is_ready, 1);
	support_await(&may_go_on, 1);
	bh_block_leave();
	return 0;
}

static void *enter_and_block(void *arg)
{
	enter(owner, block_until_told, NULL);
	return arg;
}

static struct {
	char *small, *map, *large, *unmapped;
	int pipe[2];
} mine;

#define NOT_TOUCHED (LARGE / 2)
#define DISCARDED   (2 * MIB)

/* A page that is there, or not, as the kernel finds it. */
static bool has_page(const char *p)
{
	char byte;

	errno = 0;
	if (write(mine.pipe[1], p, 1) == 1)
		return read(mine.pipe[0], &byte, 1) == 1;
	ck_assert_int_eq(errno, EFAULT);
	return false;
}

static void check_mine(void)
{
	ck_assert(is_filled(mine.small, 100, 's'));
	ck_assert(is_filled(mine.large, LARGE, 'l'));
	ck_assert(is_filled(mine.map, 4096, 'm'));
	ck_assert(!has_page(mine.map + NOT_TOUCHED));
	ck_assert(!has_page(mine.map + DISCARDED));
	ck_assert(has_page(mine.map + DISCARDED + 4096));
	ck_assert(has_page(mine.large + LARGE - 1));
	ck_assert_int_eq(bh_audit(), 0);
}

static int fill_mine(void *arg)
{
	(void)arg;
	mine.small = memset(bh_malloc(100), 's', 100);
	mine.unmapped = bh_map(MIB, 0);
	mine.map = bh_map(LARGE, 0);
	mine.large = memset(bh_malloc(LARGE), 'l', LARGE);
	memset(mine.map, 'm', 4096);
	memset(mine.map + DISCARDED, 'd', 8192);
	ck_assert_int_eq(bh_discard(mine.map + DISCARDED, 4096), 0);
	ck_assert_int_eq(bh_unmap(mine.unmapped, MIB), 0);
	check_mine();
	return 0;
}

static int block_in_between(void *arg)
{
	check_mine();
	bh_block_enter();
	bh_block_leave();
	check_mine();
	bh_hold();
	bh_block_enter();
	bh_block_leave();
	check_mine();
	bh_release();
	memset(mine.large, 'l', LARGE);
	/* The first touch after it is one like any other. */
	mine.map[LARGE - 1] = *(char *)arg;
	ck_assert_int_eq(mine.map[LARGE - 1], *(char *)arg);
	ck_assert_int_eq(bh_discard(mine.map + LARGE - 65536, 65536), 0);
	return 0;
}

static void *visit(void *arg)
{
	enter(arg, block_in_between, &(char){'v'});
	return NULL;
}

START_TEST(what_was_populated_is_there_again_and_nothing_else)
{
	struct bh_task *task;

	start_private(_i, ZONE);
	ck_assert_int_eq(pipe2(mine.pipe, O_CLOEXEC), 0);
	task = task_in(NULL, "task");
	enter(task, fill_mine, NULL);
	enter(task, block_in_between, &(char){'a'});
	support_join(support_thread(visit, task));
	enter(task, block_in_between, &(char){'b'});
	bh_task_put(task);
	/* A small one leaves a warm area to the next. */
	for (int i = 0; i < 3; i++) {
		owner = task_in(NULL, "owner");
		enter(owner, have_small, NULL);
		enter(owner, have_large, NULL);
		bh_task_put(owner);
	}
	support_end();
}
END_TEST

static int read_in_block(void *arg)
{
	ssize_t n;

	have_small(NULL);
	ck_assert_int_eq(write(mine.pipe[1], "x", 1), 1);
	errno = *(int *)arg;
	bh_block_enter();
	n = read(mine.pipe[0], private, 1);
	bh_block_leave();
	ck_assert_int_eq(n, BH_DEBUG ? -1 : 1);
	if (BH_DEBUG)
		ck_assert_int_eq(errno, EFAULT);
	/* What was there is there still. */
	ck_assert_int_eq(private[0], BH_DEBUG ? 's' : 'x');
	ck_assert_int_eq(private[99], 's');
	return 0;
}

static void read_twice_in_block(void *arg)
{
	int backend = *(int *)arg;

	start_private(backend, ZONE);
	ck_assert_int_eq(pipe2(mine.pipe, O_CLOEXEC), 0);
	in_task(NULL, read_in_block, &(int){EFAULT});
	ck_assert_int_eq(write(STDERR_FILENO, "first\n", 6), 6);
	in_task(NULL, read_in_block, &(int){0});
	in_task(NULL, read_in_block, &(int){0});
	support_end();
}

START_TEST(a_system_call_in_a_block_section_has_no_access_and_a_hint_says_so)
{
	struct support_output output;

	support_capture(read_twice_in_block, &_i, &output);
	ck_assert_msg(!support_exit_status(&output), "%s", output.err);
	ck_assert_int_eq(support_count_lines(output.err), BH_DEBUG ? 2 : 1);
	/* An error from before the section is none of it. */
	ck_assert(!strncmp(output.err, "first\n", 6));
	ck_assert_int_eq(BH_DEBUG,
		support_contains(output.err,
			"EFAULT in a block section: private memory has no access there"));
	support_output_fini(&output);
}
END_TEST

static void look_from_outside(void)
{
	ck_assert(is_filled(private, LARGE, 'l'));
}

/* Whoever dumps sees what is there from its begin to its end, whatever the task does. */
static int come_and_go(void *arg)
{
	look_from_outside();
	bh_block_enter();
	look_from_outside();
	bh_block_leave();
	look_from_outside();
	(void)arg;
	return 0;
}

START_TEST(what_is_dumped_can_be_read_from_outside)
{
	pthread_t thread;

	start_private(_i, ZONE);
	owner = task_in(NULL, "owner");
	/* One that begins in a block section. */
	thread = support_thread(enter_and_block, NULL);
	support_await(&is_ready, 1);
	ck_assert_int_eq(bh_task_dump_begin(owner), 0);
	look_from_outside();
	ck_assert_int_eq(bh_task_dump_begin(owner), 0);
	bh_task_dump_end(owner);
	bhi_store_release(&may_go_on, 1);
	support_join(thread);
	look_from_outside();
	enter(owner, come_and_go, NULL);
	look_from_outside();
	bh_task_dump_end(owner);
	/* One of an idle task. */
	enter(owner, have_large, NULL);
	ck_assert_int_eq(bh_task_dump_begin(owner), 0);
	look_from_outside();
	ck_assert_int_eq(bh_task_kill(owner), 0);
	support_await(&owner->nr_tries, 2);
	look_from_outside();
	bh_task_dump_end(owner);
	support_await(&owner->skip, 1);
	support_await_refs(owner, 1);
	bh_task_put(owner);
	support_end();
}
END_TEST

#define NR_IDLE 100

static int have_some(void *arg)
{
	char *map = *(char **)arg = bh_map(MIB, 0);

	map[0] = map[MIB / 2] = 'm';
	return have_small(arg);
}

static int give_some(void *arg)
{
	return bh_unmap(*(char **)arg, MIB);
}

static unsigned nr_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned long start;
	char line[512];
	unsigned nr = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		ck_assert_int_eq(sscanf(line, "%lx-", &start), 1);
		nr += start - (uintptr_t)bhi_private.base < bhi_private.size;
	}
	fclose(file);
	return nr;
}

/* The kernel has 65530 for all. */
START_TEST(idle_tasks_without_access_share_a_mapping)
{
	struct bh_task *tasks[NR_IDLE];
	char *maps[NR_IDLE];

	start_private(_i, ZONE);
	for (int i = 0; i < NR_IDLE; i++) {
		tasks[i] = task_in(NULL, "idle");
		enter(tasks[i], have_some, &maps[i]);
	}
	ck_assert_uint_lt(nr_mappings(), NR_IDLE / 10);
	for (int i = 0; i < NR_IDLE; i++)
		enter(tasks[i], give_some, &maps[i]);
	ck_assert_uint_lt(nr_mappings(), NR_IDLE / 10);
	for (int i = 0; i < NR_IDLE; i++)
		bh_task_put(tasks[i]);
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, what_was_populated_is_there_again_and_nothing_else, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase,
		a_system_call_in_a_block_section_has_no_access_and_a_hint_says_so, 0,
		NR_BACKENDS);
	tcase_add_loop_test(
		tcase, what_is_dumped_can_be_read_from_outside, 0, NR_BACKENDS);
	/* With mprotect a release build has some for each. */
	if (BH_DEBUG)
		tcase_add_loop_test(
			tcase, idle_tasks_without_access_share_a_mapping, 0, NR_BACKENDS);
}

int main(void)
{
	return support_run("access", add);
}
