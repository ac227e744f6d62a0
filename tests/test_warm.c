/* SPDX-License-Identifier: MIT */
/*
 * What small tasks leave behind for the next ones: a warm start makes no system call, and
 * what is kept is bounded, zeroed, charged to the root and given back when it is wanted.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bug.h"
#include "private.h"
#include "support_task.h"
#include "task/warm.h"

#define NR_COLD 100
#define NR_WARM 2000

#define CAUGHT 3
/* By futex(2): another thread of the library had the lock at that moment. */
#define WAITED 4

/* System calls of this thread, but for those that end it, raise SIGSYS. */
static void forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {
		.len = bhi_array_size(filter),
		.filter = filter,
	};

	/* From here on nothing may be asserted: Check writes that down. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(1);
}

static void catch_system_call(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	_exit(info->si_syscall == SYS_futex ? WAITED : CAUGHT);
}

/* A request with a few small objects, half of which it leaves to the end. */
static int serve(void *arg)
{
	size_t most = *(const size_t *)arg;

	for (size_t size = 16; size <= most; size *= 2) {
		char *kept = bh_malloc(size), *freed = bh_malloc(size);

		if (!kept || !freed)
			_exit(1);
		memset(kept, 1, size);
		memset(freed, 1, size);
		bh_free(freed);
	}
	bh_hold();
	bh_release();
	return bh_check();
}

static void serve_many(void *arg)
{
	const struct sigaction action = {
		.sa_sigaction = catch_system_call,
		.sa_flags = SA_SIGINFO,
	};
	const struct bh_task_attr attr = {.name = "request"};
	struct bh_report report;
	size_t most = 512;
	struct bh_group *group;

	support_start_tasks(TASK_ZONE, 0);
	group = support_limited(NULL, "group", MIB);
	for (int i = 0; i < NR_COLD; i++) {
		if (bh_task_run(group, &attr, serve, &most, &report))
			_exit(1);
	}
	if (sigaction(SIGSYS, &action, NULL))
		_exit(1);
	forbid_system_calls();
	most = *(const size_t *)arg;
	for (int i = 0; i < NR_WARM; i++) {
		if (bh_task_run(group, &attr, serve, &most, &report) || report.value)
			_exit(1);
	}
	_exit(0);
}

/* A wait for another thread is not the start's, which would wait each time. */
static int status_of(size_t most)
{
	struct support_output output;
	int status = WAITED;

	for (int i = 0; i < 10 && status == WAITED; i++) {
		support_capture(serve_many, &most, &output);
		status = support_exit_status(&output);
		ck_assert_msg(status == 0 || status == CAUGHT || status == WAITED,
			"%#x %s%s", (unsigned)output.status, output.out, output.err);
		support_output_fini(&output);
	}
	return status;
}

START_TEST(a_warm_start_makes_no_system_call)
{
	if (SUPPORT_SANITIZED)
		return;
	ck_assert_int_eq(status_of(512), 0);
	/* One that needs more than the last one left does, and is caught. */
	ck_assert_int_eq(status_of(64 * KIB), CAUGHT);
}
END_TEST

/* A run of whole pages: what a task that is as large as may be kept has. */
#define LARGEST ((uint64_t)BHI_WARM_PAGES * PAGE)

static int fill(void *arg)
{
	size_t size = *(const size_t *)arg;

	memset(bh_malloc(size), 0xff, size);
	ck_assert_uint_eq(bytes_here(), size);
	return 0;
}

static struct bh_task *task_with(struct bh_group *group, size_t size)
{
	struct bh_task *task = task_in(group, "small");

	enter(task, fill, &size);
	return task;
}

/* What is kept in the first areas of the window: their number, all of it zero. */
static unsigned count_kept(unsigned nr_areas)
{
	unsigned nr = 0;

	for (uint32_t i = 0; i < nr_areas; i++) {
		const struct bhi_area *area = &bhi_private.areas[i];

		if (!bhi_area_populated(area))
			continue;
		ck_assert_ptr_null(area->task);
		ck_assert_uint_le(bhi_area_populated(area), BHI_WARM_PAGES);
		nr++;
		for (uint32_t page = 0; page < BHI_AREA_PAGES; page++) {
			if (bhi_region_has(i, page))
				ck_assert(is_filled(
					(char *)bhi_area_address(i) + page * PAGE, PAGE,
					0));
		}
	}
	return nr;
}

#define NR_TASKS   150
#define NR_THREADS 5

static struct {
	struct bh_task *tasks[NR_TASKS];
	pthread_barrier_t barrier;
} many;

static void *put_share(void *arg)
{
	pthread_barrier_wait(&many.barrier);
	for (size_t i = (size_t)arg; i < NR_TASKS; i += NR_THREADS)
		bh_task_put(many.tasks[i]);
	return NULL;
}

START_TEST(at_most_64_small_areas_are_kept_and_they_are_zeroed)
{
	pthread_t threads[NR_THREADS];
	struct bh_group *group;

	start_private(_i, TASK_ZONE);
	group = support_group(NULL, "group");
	for (int i = 0; i < NR_TASKS; i++)
		many.tasks[i] = task_with(group, LARGEST);
	ck_assert_uint_eq(bhi_warm_bytes(), 0);
	pthread_barrier_init(&many.barrier, NULL, NR_THREADS);
	for (size_t i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(put_share, (void *)i);
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	ck_assert_uint_eq(BHI_WARM_AREAS, 64);
	ck_assert_uint_eq(bhi_areas_taken(), 64);
	ck_assert_uint_eq(count_kept(2 * NR_TASKS), 64);
	ck_assert_uint_eq(bhi_warm_bytes(), 64 * LARGEST);
	ck_assert_uint_eq(support_private_rss(), 64 * LARGEST);
	/* The group is no longer charged for them. */
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 64 * LARGEST);
	ck_assert_int_eq(bh_audit(), 0);
	/* As many tasks find them, and the next one does not. */
	for (int i = 0; i < 65; i++)
		many.tasks[i] = task_with(group, LARGEST);
	ck_assert_uint_eq(bhi_warm_bytes(), 0);
	ck_assert_uint_eq(bhi_areas_taken(), 65);
	for (int i = 0; i < 65; i++)
		bh_task_put(many.tasks[i]);
	ck_assert_uint_eq(bhi_areas_taken(), 64);
	/* Reclaim has them back. */
	ck_assert_uint_eq(areas_taken(), 0);
	ck_assert_uint_eq(support_usage(bh_root()), 0);
	ck_assert_uint_eq(support_private_rss(), 0);
	bh_group_put(group);
	support_end();
}
END_TEST

START_TEST(a_group_without_room_for_what_is_kept_gets_a_fresh_area)
{
	struct bh_group *group, *small;
	struct bh_task *task;

	start_private(_i, TASK_ZONE);
	group = support_group(NULL, "group");
	small = support_limited(NULL, "small", PAGE);
	bh_task_put(task_with(group, LARGEST));
	ck_assert_uint_eq(bhi_warm_bytes(), LARGEST);
	/* One page fits, and is all that it has in the end. */
	task = task_with(small, PAGE);
	ck_assert_uint_eq(bhi_warm_bytes(), 0);
	ck_assert_uint_eq(support_usage(small), PAGE);
	ck_assert_uint_eq(support_usage(bh_root()), PAGE);
	ck_assert_uint_eq(support_private_rss(), PAGE);
	ck_assert_uint_eq(bhi_areas_taken(), 1);
	ck_assert_int_eq(bh_audit(), 0);
	bh_task_put(task);
	bh_group_put(small);
	bh_group_put(group);
	support_end();
}
END_TEST

static int fill_map(void *arg)
{
	support_filled_map(*(const size_t *)arg, 1);
	return 0;
}

static int fill_map_too(void *arg)
{
	size_t size = PAGE;

	fill(arg);
	return fill_map(&size);
}

/* What is not kept: by its size, its kind, and what became of it. */
static const struct {
	int (*fn)(void *arg);
	size_t size;
	bool killed, kept;
} leavings[] = {
	{fill, LARGEST, false, true},
	{fill, LARGEST - 7 * PAGE, false, true},
	{fill, LARGEST + PAGE, false, false},
	{fill, LARGEST, true, false},
	{fill_map, LARGEST, false, false},
	{fill_map_too, LARGEST - 7 * PAGE, false, false},
};

START_TEST(only_one_small_area_of_a_task_that_lived_is_kept)
{
	size_t size = leavings[_i / NR_BACKENDS].size;
	struct bh_task *task;

	start_private(_i % NR_BACKENDS, TASK_ZONE);
	task = task_in(NULL, "leaves");
	enter(task, leavings[_i / NR_BACKENDS].fn, &size);
	if (leavings[_i / NR_BACKENDS].killed) {
		ck_assert_int_eq(bh_task_kill(task), 0);
		support_await_refs(task, 1);
	}
	bh_task_put(task);
	ck_assert_uint_eq(bhi_warm_bytes(), leavings[_i / NR_BACKENDS].kept ? size : 0);
	ck_assert_uint_eq(support_usage(bh_root()), bhi_warm_bytes());
	ck_assert_uint_eq(support_private_rss(), bhi_warm_bytes());
	support_end();
}
END_TEST

static void add(TCase *tcase)
{
	/* A debug build takes the access away from what nobody is inside of, by system
	 * calls, and looking at it from outside is a misuse that it ends. */
	if (!BH_DEBUG) {
		tcase_add_test(tcase, a_warm_start_makes_no_system_call);
		tcase_add_loop_test(tcase,
			at_most_64_small_areas_are_kept_and_they_are_zeroed, 0,
			NR_BACKENDS);
		tcase_add_loop_test(tcase,
			a_group_without_room_for_what_is_kept_gets_a_fresh_area, 0,
			NR_BACKENDS);
	}
	tcase_add_loop_test(tcase, only_one_small_area_of_a_task_that_lived_is_kept, 0,
		NR_BACKENDS * (int)bhi_array_size(leavings));
}

int main(void)
{
	return support_run("warm", add);
}
