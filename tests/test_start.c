/* SPDX-License-Identifier: MIT */
/* Starting the library: by configuration, by variables, by the first use, and again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "account/zone.h"
#include "debug/inject.h"
#include "base/sys.h"
#include "base/thread.h"
#include "support.h"
#include "support_memory.h"

#define ALL_POINTS ((1u << BHI_FP_NR) - 1)

static int init(uint64_t size)
{
	struct bh_config config = {.size = size};

	return bh_init(&config);
}

static void use(void)
{
	void *p = bh_alloc(NULL, 1000, BH_ZERO);

	ck_assert_ptr_nonnull(p);
	bh_free(p);
	p = bh_alloc(NULL, 300000, BH_ZERO);
	ck_assert_ptr_nonnull(p);
	bh_free(p);
	ck_assert_int_eq(bh_audit(), 0);
}

START_TEST(a_configuration_is_taken_by_copy_and_once)
{
	struct bh_config config = {.size = 32 * MIB, .min_free = MIB, .decay_ms = 7};

	ck_assert_int_eq(bh_init(&config), 0);
	memset(&config, 0xff, sizeof(config));
	ck_assert_uint_eq(bhi_zone.size, 32 * MIB);
	ck_assert_uint_eq(bhi_zone.marks.min, MIB);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_CONFIG);
	ck_assert_uint_eq(support_stat(bh_root()).max, 32 * MIB);
	ck_assert_int_eq(init(16 * MIB), -EALREADY);
	ck_assert_int_eq(bh_init(NULL), -EALREADY);
	ck_assert_uint_eq(bhi_zone.size, 32 * MIB);
	use();
}
END_TEST

START_TEST(the_smallest_zone_serves_requests)
{
	ck_assert_int_eq(init(MIB), 0);
	use();
}
END_TEST

START_TEST(without_anything_the_machine_decides)
{
	ck_assert_int_eq(bh_init(NULL), 0);
	ck_assert_int_ne(bhi_zone.origin, BHI_ZONE_FROM_CONFIG);
	ck_assert_int_ne(bhi_zone.origin, BHI_ZONE_FROM_ENV);
	use();
}
END_TEST

START_TEST(values_out_of_range_are_refused_and_others_may_be_tried)
{
	static char nobody;
	static const struct bh_config bad[] = {
		{.size = 1},
		{.size = MIB - 1},
		{.size = (uint64_t)INT64_MAX + 1},
		{.size = UINT64_MAX - 1},
		{.size = 16 * MIB, .min_free = 8 * MIB + 1},
		{.size = 16 * MIB, .min_free = UINT64_MAX},
		{.size = 16 * MIB, .watermark_scale = 3001},
		{.size = 16 * MIB, .reserved = {1}},
		{.size = 16 * MIB, .reserved = {[3] = 1}},
		{.size = 16 * MIB, .reap_tries = 1001},
		{.size = 16 * MIB, .reap_interval_ms = 10001},
		/* An argument for nobody. */
		{.size = 16 * MIB, .on_oom_arg = &nobody},
	};

	for (size_t i = 0; i < bhi_array_size(bad); i++)
		ck_assert_int_eq(bh_init(&bad[i]), -EINVAL);
	ck_assert_int_eq(init(16 * MIB), 0);
	ck_assert_uint_eq(bhi_zone.size, 16 * MIB);
	ck_assert_uint_eq(support_stat(bh_root()).max, 16 * MIB);
	use();
}
END_TEST

START_TEST(variables_hold_where_the_configuration_is_silent)
{
	struct bh_config config = {.min_free = 2 * MIB};

	setenv("BULKHEAD_SIZE", "48M", 1);
	setenv("BULKHEAD_MIN_FREE", "1M", 1);
	ck_assert_int_eq(bh_init(&config), 0);
	ck_assert_uint_eq(bhi_zone.size, 48 * MIB);
	ck_assert_uint_eq(bhi_zone.marks.min, 2 * MIB);
	ck_assert_int_eq(bhi_zone.origin, BHI_ZONE_FROM_ENV);
	use();
}
END_TEST

static void use_with_a_bad_variable(void *arg)
{
	(void)arg;
	setenv("BULKHEAD_SIZE", "lots", 1);
	for (int i = 0; i < 5; i++) {
		errno = 0;
		ck_assert_ptr_null(bh_alloc(NULL, 100, 0));
		ck_assert_int_ne(errno, 0);
		ck_assert_ptr_null(bh_root());
		ck_assert_uint_eq(bh_features(), 0);
		bh_free(NULL);
	}
}

static void init_with_a_bad_variable(void *arg)
{
	(void)arg;
	setenv("BULKHEAD_SIZE", "lots", 1);
	ck_assert_int_eq(init(16 * MIB), -EINVAL);
	ck_assert_int_eq(bh_init(NULL), -EINVAL);
	unsetenv("BULKHEAD_SIZE");
	ck_assert_int_eq(init(16 * MIB), 0);
	use();
}

START_TEST(a_malformed_variable_is_said_once_and_not_at_each_use)
{
	struct support_output output;

	support_capture(use_with_a_bad_variable, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert(support_contains(output.err, "BULKHEAD_SIZE=lots"));
	ck_assert_int_eq(support_count_lines(output.err), 1);
	support_output_fini(&output);
	/* Those who start it themselves hear of it each time, and may mend it. */
	support_capture(init_with_a_bad_variable, NULL, &output);
	ck_assert_int_eq(support_exit_status(&output), 0);
	ck_assert_int_eq(support_count_lines(output.err), 2);
	support_output_fini(&output);
}
END_TEST

static void start_twice(void *arg)
{
	unsigned nth = *(unsigned *)arg, nr_hit;
	int r;

	bhi_failpoint_arm(nth, BHI_FP_ONCE, ALL_POINTS);
	r = init(32 * MIB);
	nr_hit = bhi_failpoint_disarm();
	ck_assert_msg(r == 0 || r == -ENOMEM, "%d at %u", r, nth);
	if (r)
		ck_assert_int_eq(init(16 * MIB), 0);
	ck_assert_uint_eq(support_stat(bh_root()).max, bhi_zone.size);
	ck_assert_int_eq(init(16 * MIB), -EALREADY);
	use();
	ck_assert_int_eq(bhi_warn_count(), 0);
	exit(nr_hit ? 0 : 3);
}

START_TEST(a_start_refused_anywhere_succeeds_when_tried_again)
{
	struct support_output output;
	unsigned nth = 1;
	int status;

	do {
		support_capture(start_twice, &nth, &output);
		status = support_exit_status(&output);
		ck_assert_msg(status == 0 || status == 3, "at %u: %d %s%s", nth,
			output.status, output.out, output.err);
		support_output_fini(&output);
		nth++;
	} while (status == 0);
	ck_assert_uint_gt(nth, 10);
}
END_TEST

START_TEST(a_zone_that_cannot_be_had_may_be_tried_smaller)
{
	/* The window is what is refused: the fourth mapping, after the page of the
	 * process, the ids of groups and their pool. */
	bhi_failpoint_arm(4, BHI_FP_PERSISTENT, 1u << BHI_FP_MMAP);
	ck_assert_int_eq(init(64 * MIB), -ENOMEM);
	ck_assert_uint_ge(bhi_failpoint_disarm(), 1);
	ck_assert_int_eq(init(8 * MIB), 0);
	ck_assert_uint_eq(bhi_zone.size, 8 * MIB);
	ck_assert_uint_eq(support_stat(bh_root()).max, 8 * MIB);
	use();
}
END_TEST

#define NR_THREADS 8

static uint32_t nr_ready;

static void *first_use(void *arg)
{
	struct bh_group **root = arg;

	__atomic_fetch_add(&nr_ready, 1, __ATOMIC_SEQ_CST);
	support_await(&nr_ready, NR_THREADS);
	*root = bh_root();
	bh_free(bh_alloc(NULL, 100, 0));
	return NULL;
}

START_TEST(threads_that_use_it_first_at_the_same_time_start_it_once)
{
	struct bh_group *roots[NR_THREADS];
	pthread_t threads[NR_THREADS];

	setenv("BULKHEAD_SIZE", "64M", 1);
	for (int i = 0; i < NR_THREADS; i++)
		threads[i] = support_thread(first_use, &roots[i]);
	for (int i = 0; i < NR_THREADS; i++)
		support_join(threads[i]);
	for (int i = 0; i < NR_THREADS; i++)
		ck_assert_ptr_eq(roots[i], bh_root());
	ck_assert_int_eq(bh_init(NULL), -EALREADY);
	use();
}
END_TEST

START_TEST(features_say_what_this_machine_and_build_have)
{
	unsigned features;

	ck_assert_int_eq(init(16 * MIB), 0);
	features = bh_features();
	ck_assert_int_eq(!(features & BH_FEATURE_MEMBARRIER), bhi_thread_fenced);
	ck_assert_int_eq(!(features & BH_FEATURE_DEBUG), !BH_DEBUG);
	ck_assert_str_eq(bh_version(), "0.1.0");
}
END_TEST

static void *share(void *arg)
{
	void **object = arg;

	bh_free(*object);
	*object = bh_alloc(NULL, 100, 0);
	return NULL;
}

START_TEST(without_membarrier_owners_pay_for_the_fence)
{
	void *object = NULL;

	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MEMBARRIER);
	ck_assert_int_eq(init(16 * MIB), 0);
	bhi_failpoint_disarm();
	ck_assert(!(bh_features() & BH_FEATURE_MEMBARRIER));
	ck_assert(bhi_thread_fenced);
	for (int i = 0; i < 50; i++)
		support_join(support_thread(share, &object));
	bh_free(object);
	use();
}
END_TEST

START_TEST(without_wipe_on_fork_a_child_still_finds_itself_inert)
{
	void *p;
	pid_t pid;
	int status;

	bhi_failpoint_arm(1, BHI_FP_ONCE, 1u << BHI_FP_MADVISE);
	ck_assert_int_eq(init(16 * MIB), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
	ck_assert(!(bh_features() & BH_FEATURE_WIPEONFORK));
	p = bh_alloc(NULL, 100, 0);
	pid = fork();
	if (!pid) {
		bh_free(p);
		errno = 0;
		_exit(bh_alloc(NULL, 100, 0) || errno != ENOMEM);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	bh_free(p);
	use();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_configuration_is_taken_by_copy_and_once);
	tcase_add_test(tcase, the_smallest_zone_serves_requests);
	tcase_add_test(tcase, without_anything_the_machine_decides);
	tcase_add_test(tcase, values_out_of_range_are_refused_and_others_may_be_tried);
	tcase_add_test(tcase, variables_hold_where_the_configuration_is_silent);
	tcase_add_test(tcase, a_malformed_variable_is_said_once_and_not_at_each_use);
	tcase_add_test(tcase, a_start_refused_anywhere_succeeds_when_tried_again);
	tcase_add_test(tcase, a_zone_that_cannot_be_had_may_be_tried_smaller);
	tcase_add_test(tcase, threads_that_use_it_first_at_the_same_time_start_it_once);
	tcase_add_test(tcase, features_say_what_this_machine_and_build_have);
	tcase_add_test(tcase, without_membarrier_owners_pay_for_the_fence);
	tcase_add_test(tcase, without_wipe_on_fork_a_child_still_finds_itself_inert);
}

int main(void)
{
	return support_run("start", add);
}
