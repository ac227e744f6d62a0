/* SPDX-License-Identifier: MIT */
/* Maps: populated when they are touched, on both backends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/map.h"
#include "debug/inject.h"
#include "private.h"

#define ZONE   (256 * MIB)
#define AROUND (64 * KIB)

/* Both backends, and both kinds of touch. */
#define NR_WAYS (2 * NR_BACKENDS)

static void touch(char *at, bool write)
{
	if (write)
		*(volatile char *)at = 't';
	else
		ck_assert_int_eq(*(volatile char *)at, 0);
}

static struct bh_group *group;

static void start_group(int backend)
{
	start_private(backend, ZONE);
	group = support_group(NULL, "group");
}

/* Nothing of the tasks is left. */
static void end_group(void)
{
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(areas_taken(), 0);
	bh_group_put(group);
	support_end();
}

static void check_charged(uint64_t bytes)
{
	ck_assert_uint_eq(bytes_here(), bytes);
	ck_assert_uint_eq(support_usage(group), bytes);
}

static int touch_here_and_there(void *arg)
{
	bool write = *(int *)arg % 2;
	char *p = bh_map(MIB, 0);

	check_charged(0);
	touch(p + 5 * AROUND + 5000, write);
	check_charged(AROUND);
	/* All of the aligned 64 KiB around it, and no more. */
	touch(p + 5 * AROUND, true);
	touch(p + 6 * AROUND - 1, true);
	check_charged(AROUND);
	touch(p + 6 * AROUND, write);
	check_charged(2 * AROUND);
	touch(p + 5 * AROUND - 1, write);
	check_charged(3 * AROUND);
	for (size_t i = 0; i < MIB; i += 4096)
		touch(p + i, true);
	check_charged(MIB);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert_int_eq(bh_unmap(p, MIB), 0);
	check_charged(0);
	return 0;
}

START_TEST(a_touch_populates_the_aligned_64_kib_around_it)
{
	start_group(_i / 2);
	in_task(group, touch_here_and_there, &_i);
	end_group();
}
END_TEST

static int touch_small_and_large(void *arg)
{
	bool write = *(int *)arg % 2;
	char *small = bh_map(5 * 4096 - 100, 0), *large = bh_map(128 * MIB, 0);
	char *middle = bh_map(4 * MIB, 0);

	touch(small + 4 * 4096, write);
	check_charged(5 * 4096);
	/* A sixty-fourth is 2 MiB; no more than 1 MiB is populated at once. */
	touch(large + 77 * MIB, write);
	check_charged(5 * 4096 + MIB);
	touch(large + 128 * MIB - 1, write);
	check_charged(5 * 4096 + 2 * MIB);
	touch(middle + 3 * MIB, write);
	check_charged(5 * 4096 + 2 * MIB + AROUND);
	ck_assert_int_eq(bh_audit(), 0);
	return 0;
}

START_TEST(more_is_populated_around_a_touch_of_a_large_map_and_nothing_past_its_end)
{
	start_group(_i / 2);
	in_task(group, touch_small_and_large, &_i);
	end_group();
}
END_TEST

static int touch_at_the_limit(void *arg)
{
	char *p = bh_map(MIB, 0);

	support_set(group, BH_MAX, 3 * 4096);
	for (size_t i = 0; i < 3; i++) {
		touch(p + (5 * i + 2) * 4096, *(int *)arg % 2);
		check_charged((i + 1) * 4096);
	}
	return 0;
}

START_TEST(a_page_comes_alone_when_what_is_around_it_does_not_fit)
{
	start_group(_i / 2);
	in_task(group, touch_at_the_limit, &_i);
	ck_assert_uint_eq(support_stat(group).events.oom_kill, 0);
	end_group();
}
END_TEST

/* Each area of a long map leads to the map, and the map to all of its pages. */
static int touch_every_area(void *arg)
{
	char *p = bh_map(100 * MIB, 0);

	for (size_t i = 100; i-- > 0;) {
		touch(p + i * MIB + 12345, *(int *)arg % 2);
		ck_assert_int_eq(bh_touch(p + i * MIB, 100), 0);
	}
	ck_assert_int_eq(bh_discard(p, 100 * MIB), 0);
	check_charged(0);
	return 0;
}

START_TEST(every_area_of_a_long_map_belongs_to_it)
{
	start_group(_i / 2);
	in_task(group, touch_every_area, &_i);
	end_group();
}
END_TEST

static int read_into_map(void *arg)
{
	char *p = bh_map(MIB, 0);
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)arg;
	errno = 0;
	ck_assert_int_eq(read(fd, p, 100), -1);
	ck_assert_int_eq(errno, EFAULT);
	check_charged(0);
	ck_assert_int_eq(bh_touch(p + 5000, 10000), 0);
	/* The pages that the range touches, and no others. */
	check_charged(3 * 4096);
	ck_assert_int_eq(read(fd, p + 5000, 10000), 10000);
	ck_assert_int_eq(read(fd, p + 4 * 4096, 1), -1);
	ck_assert_int_eq(bh_touch(p, MIB), 0);
	check_charged(MIB);
	ck_assert_int_eq(read(fd, p, MIB), MIB);
	ck_assert_int_eq(bh_touch(p, MIB), 0);
	check_charged(MIB);
	ck_assert_int_eq(bh_discard(p, 4096), 0);
	ck_assert_int_eq(read(fd, p, 100), -1);
	close(fd);
	return 0;
}

START_TEST(a_system_call_cannot_use_a_page_that_was_not_touched)
{
	start_group(_i);
	in_task(group, read_into_map, NULL);
	end_group();
}
END_TEST

static int discard_some(void *arg)
{
	bool write = *(int *)arg % 2;
	char *p = bh_map(MIB, 0);

	memset(p, 'd', MIB);
	ck_assert_int_eq(bh_discard(p + 4096, 3 * 4096), 0);
	check_charged(MIB - 3 * 4096);
	ck_assert(is_filled(p, 4096, 'd'));
	ck_assert(is_filled(p + 4 * 4096, MIB - 4 * 4096, 'd'));
	check_charged(MIB - 3 * 4096);
	touch(p + 2 * 4096, write);
	/* What is missing around it comes, what is there stays. */
	check_charged(MIB);
	if (write)
		p[2 * 4096] = 0;
	ck_assert(is_filled(p + 4096, 3 * 4096, 0));
	ck_assert(is_filled(p + 4 * 4096, MIB - 4 * 4096, 'd'));
	ck_assert_int_eq(bh_discard(p, MIB), 0);
	ck_assert_int_eq(bh_discard(p, MIB), 0);
	check_charged(0);
	ck_assert_int_eq(bh_audit(), 0);
	ck_assert(is_filled(p, MIB, 0));
	return 0;
}

START_TEST(discarded_pages_are_given_back_and_read_as_zero)
{
	start_group(_i / 2);
	in_task(group, discard_some, &_i);
	end_group();
}
END_TEST

/* A map of two areas and a page. */
#define SIZE (2 * MIB + 4096)

static int ask_wrongly(void *arg)
{
	char *p = bh_map(SIZE, 0), *other = bh_map(MIB, 0), *heap = bh_malloc(100000);
	uint64_t bytes = bytes_here();
	struct {
		char *ptr;
		size_t size;
	} wrong[] = {
		{NULL, 4096},
		{(char *)&bytes, 8},
		{p, 0},
		{p, SIZE + 4096},
		{p, SIZE + 1},
		{p, SIZE_MAX},
		{p, SIZE_MAX - (uintptr_t)p},
		{p, SIZE_MAX - (uintptr_t)p + 1},
		{p + SIZE, 4096},
		/* The last area reaches further than the map. */
		{p + SIZE + 4096, 4096},
		{p + SIZE + 4096, 8 * 4096},
		{p + 3 * MIB - 4096, 4096},
		{p + SIZE - 4096, 8192},
		{p - 4096, 8192},
		{other + MIB - 4096, 8192},
		{heap, 4096},
		{(char *)bhi_private.base + bhi_private.size - 4096, 4096},
		{*(char **)arg, 4096},
	};

	for (size_t i = 0; i < bhi_array_size(wrong); i++) {
		ck_assert_int_eq(bh_touch(wrong[i].ptr, wrong[i].size), -EINVAL);
		ck_assert_int_eq(bh_discard(wrong[i].ptr, wrong[i].size), -EINVAL);
		ck_assert_int_eq(bh_unmap(wrong[i].ptr, wrong[i].size), -EINVAL);
	}
	/* Whole pages, and a whole map. */
	ck_assert_int_eq(bh_discard(p + 1, 4096), -EINVAL);
	ck_assert_int_eq(bh_discard(p, 4095), -EINVAL);
	ck_assert_int_eq(bh_unmap(p, MIB), -EINVAL);
	ck_assert_int_eq(bh_unmap(p + 4096, SIZE - 4096), -EINVAL);
	ck_assert_int_eq(bh_unmap(p + 1, SIZE - 1), -EINVAL);
	ck_assert_uint_eq(bytes_here(), bytes);
	ck_assert_int_eq(bh_touch(p + SIZE - 1, 1), 0);
	ck_assert_int_eq(bh_discard(p + SIZE - 4096, 4096), 0);
	/* The size that was asked for is as good as that of its pages. */
	ck_assert_int_eq(bh_unmap(p, SIZE - 4000), 0);
	ck_assert_int_eq(bh_unmap(p, SIZE), -EINVAL);
	return 0;
}

static int leave_map(void *arg)
{
	*(char **)arg = bh_map(4096, 0);
	return 0;
}

START_TEST(a_range_that_is_not_in_a_map_of_the_task_is_refused)
{
	struct bh_task *other;
	char *p;

	start_group(_i);
	other = task_in(group, "other");
	enter(other, leave_map, &p);
	in_task(group, ask_wrongly, &p);
	ck_assert_int_eq(bh_touch(p, 4096), -EINVAL);
	ck_assert_int_eq(bh_discard(p, 4096), -EINVAL);
	ck_assert_int_eq(bh_unmap(p, 4096), -EINVAL);
	bh_task_put(other);
	end_group();
}
END_TEST

static int map_wrongly(void *arg)
{
	(void)arg;
	errno = 0;
	ck_assert_ptr_null(bh_map(0, 0));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(bh_map(4096, 1));
	ck_assert_int_eq(errno, EINVAL);
	for (unsigned i = 0; i < 3; i++) {
		errno = 0;
		ck_assert_ptr_null(bh_map(SIZE_MAX - i * 4095, 0));
		ck_assert_int_eq(errno, ENOMEM);
	}
	errno = 0;
	ck_assert_ptr_null(bh_map(bhi_private.size / 2 + 1, 0));
	ck_assert_int_eq(errno, ENOMEM);
	return 0;
}

START_TEST(a_map_that_cannot_be_is_refused)
{
	start_group(_i);
	in_task(group, map_wrongly, NULL);
	end_group();
}
END_TEST

/* The largest map there is costs its task and its reaper no time worth speaking of. */
static int map_most(void *arg)
{
	size_t size = bhi_private.size / 2;
	char *p = bh_map(size, 0);

	(void)arg;
	ck_assert_ptr_nonnull(p);
	for (int i = 0; i < 10; i++)
		touch(p + size - 1 - (size_t)i * MIB, true);
	ck_assert_uint_eq(bytes_here(), 10 * MIB);
	return 0;
}

START_TEST(half_of_the_window_can_be_one_map)
{
	start_group(_i);
	in_task(group, map_most, NULL);
	end_group();
}
END_TEST

static int touch_beyond_the_policy(void *arg)
{
	char *p = bh_map(MIB, 0);

	(void)arg;
	ck_assert_int_eq(bh_touch(p, MIB), -ENOMEM);
	ck_assert_uint_le(bytes_here(), 64 * KIB);
	ck_assert_int_eq(bh_touch(p, 8 * 4096), 0);
	return 0;
}

START_TEST(bh_touch_fails_where_the_group_says_so)
{
	start_group(_i);
	support_set(group, BH_MAX, 64 * KIB);
	support_set(group, BH_ON_LIMIT, BH_FAIL);
	in_task(group, touch_beyond_the_policy, NULL);
	end_group();
}
END_TEST

/* The kernel refuses to cut a mapping in two: by mprotect, where access has to end. */

static int zap_refused(void *arg)
{
	char *p = bh_map(MIB, 0), *q = bh_malloc(MIB), *r;
	uint64_t bytes;

	(void)arg;
	memset(p, 'z', MIB);
	bytes = bytes_here();
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MPROTECT);
	/* They stay charged, and read as zero all the same. */
	ck_assert_int_eq(bh_discard(p + 4096, 8192), 0);
	check_charged(bytes);
	ck_assert(is_filled(p + 4096, 8192, 0));
	ck_assert(is_filled(p + 3 * 4096, MIB - 3 * 4096, 'z'));
	memset(q, 'q', MIB);
	r = bh_realloc(q, 500 * KIB);
	ck_assert_ptr_null(r);
	ck_assert(is_filled(q, 500 * KIB, 'q'));
	ck_assert_int_eq(bh_unmap(p, MIB), 0);
	bh_free(q);
	check_charged(bytes);
	ck_assert_int_eq(bh_audit(), 0);
	if (*(int *)arg)
		return 0;
	bhi_failpoint_disarm();
	ck_assert_int_eq(bh_unmap(p, MIB), 0);
	check_charged(bytes - MIB);
	return 0;
}

START_TEST(pages_that_the_kernel_refuses_to_zap_stay_charged_and_read_as_zero)
{
	start_group(1);
	in_task(group, zap_refused, &_i);
	bhi_failpoint_disarm();
	if (!_i) {
		end_group();
		return;
	}
	/* To the end of the task: two areas that nobody gets any more. */
	ck_assert_uint_eq(support_usage(group), 0);
	ck_assert_uint_eq(areas_taken(), 2);
	in_task(group, touch_every_area, &_i);
	ck_assert_uint_eq(areas_taken(), 2);
	bh_group_put(group);
	support_end();
}
END_TEST

/* What is no page of a map ends the process as it would without the library. */

static int touch_past_the_end(void *arg)
{
	char *p = bh_map(4096, 0);

	touch(p + 8192, *(int *)arg % 2);
	return 0;
}

static int touch_before(void *arg)
{
	char *p = bh_map(3 * MIB, 0);

	ck_assert_int_eq(bh_unmap(p, 3 * MIB), 0);
	touch(p + 2 * MIB, *(int *)arg % 2);
	return 0;
}

static int touch_nobodys(void *arg)
{
	touch(bhi_private.base + bhi_private.size / 2, *(int *)arg % 2);
	return 0;
}

static int touch_unused_heap(void *arg)
{
	char *p = bh_malloc(100);

	touch((char *)((uintptr_t)p & ~(MIB - 1)) + MIB - 4096, *(int *)arg % 2);
	return 0;
}

/* It is there, and is no code; the touch of an instruction is one like any other. */
static int execute(void *arg)
{
	char *p = bh_map(4096, 0);
	int (*fn)(void *arg);

	memset(p, 0, 4096);
	memcpy(&fn, &p, sizeof(fn));
	return fn(arg);
}

static const struct {
	int (*fn)(void *arg);
	bool is_told; /* in a debug build, which aborts: no task has it */
} wild[] = {
	{touch_past_the_end, false},
	{touch_before, true},
	{touch_nobodys, true},
	{touch_unused_heap, false},
	{execute, false},
};

static void go_wild(void *arg)
{
	int i = *(int *)arg;

	/* Sanitizers have handlers of their own. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	if (i / 2 % 2)
		setenv("BULKHEAD_PAGEFAULT", "mprotect", 1);
	bh_task_run(NULL, NULL, wild[i / NR_WAYS].fn, arg, NULL);
}

START_TEST(a_touch_of_what_is_no_page_of_a_map_is_not_ours)
{
	struct support_output output;
	int sig;

	need_backend(_i / 2 % 2);
	support_capture(go_wild, &_i, &output);
	ck_assert(WIFSIGNALED(output.status));
	sig = WTERMSIG(output.status);
	if (BH_DEBUG && wild[_i / NR_WAYS].is_told)
		ck_assert_int_eq(sig, SIGABRT);
	else
		ck_assert(sig == SIGSEGV || sig == SIGBUS);
	support_output_fini(&output);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(
		tcase, a_touch_populates_the_aligned_64_kib_around_it, 0, NR_WAYS);
	tcase_add_loop_test(tcase,
		more_is_populated_around_a_touch_of_a_large_map_and_nothing_past_its_end,
		0, NR_WAYS);
	tcase_add_loop_test(tcase, a_page_comes_alone_when_what_is_around_it_does_not_fit,
		0, NR_WAYS);
	tcase_add_loop_test(tcase, every_area_of_a_long_map_belongs_to_it, 0, NR_WAYS);
	tcase_add_loop_test(tcase, a_system_call_cannot_use_a_page_that_was_not_touched,
		0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, discarded_pages_are_given_back_and_read_as_zero, 0, NR_WAYS);
	tcase_add_loop_test(tcase, a_range_that_is_not_in_a_map_of_the_task_is_refused, 0,
		NR_BACKENDS);
	tcase_add_loop_test(tcase, a_map_that_cannot_be_is_refused, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase, half_of_the_window_can_be_one_map, 0, NR_BACKENDS);
	tcase_add_loop_test(
		tcase, bh_touch_fails_where_the_group_says_so, 0, NR_BACKENDS);
	tcase_add_loop_test(tcase,
		pages_that_the_kernel_refuses_to_zap_stay_charged_and_read_as_zero, 0, 2);
	tcase_add_loop_test(tcase, a_touch_of_what_is_no_page_of_a_map_is_not_ours, 0,
		NR_WAYS * (int)bhi_array_size(wild));
}

int main(void)
{
	return support_run("map", add);
}
