/* SPDX-License-Identifier: MIT */
/* The page allocator when the kernel, or a lower floor, refuses. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "debug/inject.h"
#include "buddy.h"

/* The failure loop: a body that meets all the calls that may be refused. */

#define BODY_ZONE (100 * MIB)

static void *take_or_fail(size_t nr_pages, size_t *nr_refused)
{
	bool zeroed;
	char *p = bhi_run_alloc(nr_pages, 0, &zeroed);

	if (!p)
		(*nr_refused)++;
	/* Some resident pages are enough, and the loop runs this often. */
	for (size_t page = 0; p && page < nr_pages; page += 256)
		p[page << BHI_PAGE_SHIFT] = 1;
	return p;
}

/* A zone of which half is taken and half is dirty, all in pieces of 4 MiB. */
static void run_purging_body(size_t *nr_refused)
{
	enum {
		NR = BODY_ZONE / BHI_BLOCK_SIZE
	};
	void *blocks[NR], *run;

	for (unsigned i = 0; i < NR; i++)
		blocks[i] = take_or_fail(BHI_BLOCK_PAGES, nr_refused);
	for (unsigned i = 0; i < NR; i += 2) {
		if (blocks[i])
			bhi_run_free(blocks[i], BHI_BLOCK_PAGES);
	}
	run = take_or_fail(2 * BHI_BLOCK_PAGES, nr_refused);
	if (run)
		bhi_run_free(run, 2 * BHI_BLOCK_PAGES);
	for (unsigned i = 1; i < NR; i += 2) {
		if (blocks[i])
			bhi_run_free(blocks[i], BHI_BLOCK_PAGES);
	}
}

/* Returns how many of its allocations were refused. */
static size_t run_body(void)
{
	static const unsigned sizes[] = {1, 16, 1000, 1024, 5000, 7, 1025, 16384, 2};
	void *runs[bhi_array_size(sizes)];
	size_t nr_refused = 0;

	for (size_t i = 0; i < bhi_array_size(sizes); i++)
		runs[i] = take_or_fail(sizes[i], &nr_refused);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		if (runs[i])
			bhi_run_free(runs[i], sizes[i]);
	}
	run_purging_body(&nr_refused);
	bhi_buddy_age();
	bhi_buddy_age();
	bhi_buddy_purge(false);
	bhi_buddy_purge(true);
	return nr_refused;
}

#define ALL_KINDS                                                           \
	(1u << BHI_FP_MMAP | 1u << BHI_FP_MPROTECT | 1u << BHI_FP_MADVISE | \
		1u << BHI_FP_TLS | 1u << BHI_FP_POOL | 1u << BHI_FP_PAGES)

/* One pass in a fresh process: where and how the body is refused. Returns whether the
 * point was met. */
static bool run_refused(unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds)
{
	unsigned nr_hit;
	size_t nr_refused;

	bhi_failpoint_arm(nth, mode, kinds);
	nr_refused = run_body();
	nr_hit = bhi_failpoint_disarm();
	ck_assert_uint_eq(held(), 0);
	expect_sound();
	if (!nr_hit)
		ck_assert_uint_eq(nr_refused, 0);
	if (kinds == 1u << BHI_FP_PAGES && mode == BHI_FP_ONCE)
		ck_assert_uint_eq(nr_refused, nr_hit);
	/* All of it works again. */
	ck_assert_uint_eq(run_body(), 0);
	expect_all_merged();
	return nr_hit;
}

/* Exit status 0: met; 1: not met. */
static bool run_refused_in_child(
	unsigned nth, enum bhi_failpoint_mode mode, unsigned kinds)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		start_buddy(BODY_ZONE);
		_exit(run_refused(nth, mode, kinds) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1,
		"refused point %u, mode %d, kinds %x: status %x", nth, (int)mode, kinds,
		status);
	return !WEXITSTATUS(status);
}

static void run_failure_loop(unsigned kinds, unsigned nr_expected)
{
	for (enum bhi_failpoint_mode mode = BHI_FP_ONCE; mode <= BHI_FP_PERSISTENT;
		mode++) {
		unsigned nth = 1;

		while (run_refused_in_child(nth, mode, kinds))
			nth++;
		ck_assert_uint_gt(nth, nr_expected);
	}
}

START_TEST(every_refused_mprotect_is_survived)
{
	run_failure_loop(1u << BHI_FP_MPROTECT, 4);
}
END_TEST

START_TEST(every_refused_madvise_is_survived)
{
	run_failure_loop(1u << BHI_FP_MADVISE, 4);
}
END_TEST

START_TEST(every_refused_mmap_pool_object_and_key_is_survived)
{
	run_failure_loop(1u << BHI_FP_MMAP, 1);
	run_failure_loop(1u << BHI_FP_POOL, 1);
	run_failure_loop(1u << BHI_FP_TLS, 1);
}
END_TEST

START_TEST(every_refused_page_allocation_is_survived)
{
	run_failure_loop(1u << BHI_FP_PAGES, 10);
}
END_TEST

START_TEST(any_refused_call_is_survived)
{
	run_failure_loop(ALL_KINDS, 20);
}
END_TEST

/* Pages of address space; without malloc(3), which has some of its own. */
static unsigned long address_space(void)
{
	char buf[256];

	ck_assert_int_gt(bhi_sys_read_file("/proc/self/statm", buf, sizeof(buf)), 0);
	return strtoul(buf, NULL, 10);
}

START_TEST(a_refused_start_keeps_nothing_and_may_be_repeated)
{
	enum {
		NR = 1000
	};
	unsigned long before;

	ck_assert_int_eq(bhi_process_init(), 0);
	ck_assert_int_eq(bhi_thread_init(), 0);
	for (unsigned nth = 1; nth <= 4; nth++) {
		before = address_space();
		for (unsigned i = 0; i < NR; i++) {
			bhi_failpoint_arm(nth, BHI_FP_ONCE, 1u << BHI_FP_MMAP);
			ck_assert_int_lt(bhi_buddy_init(64 * MIB), 0);
			ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
		}
		ck_assert_ptr_null(bhi_window.base);
		/* A page kept each time would be NR. */
		ck_assert_uint_lt(address_space(), before + NR / 2);
	}
	ck_assert_int_eq(bhi_buddy_init(64 * MIB), 0);
	bhi_run_free(take_run(5), 5);
	expect_all_merged();
}
END_TEST

START_TEST(memory_that_the_kernel_refuses_to_take_back_stays_dirty)
{
	void *p;

	start_buddy(64 * MIB);
	p = take_run(3000);
	memset(p, 1, 3000 * BHI_PAGE_SIZE);
	bhi_run_free(p, 3000);
	bhi_failpoint_arm(1, BHI_FP_PERSISTENT, 1u << BHI_FP_MADVISE);
	ck_assert_uint_eq(bhi_buddy_purge(true), 0);
	ck_assert_uint_eq(bhi_failpoint_disarm(), 1);
	ck_assert_uint_eq(get_stat().dirty, 3000 * BHI_PAGE_SIZE);
	ck_assert_uint_eq(get_stat().discards, 0);
	expect_sound();
	ck_assert_uint_eq(bhi_buddy_purge(true), 3000 * BHI_PAGE_SIZE);
	expect_all_merged();
}
END_TEST

START_TEST(the_pages_of_a_block_that_was_passed_over_can_be_looked_up)
{
	void *p;

	start_buddy(64 * MIB);
	/* Another thread is about to open the first block, this one opens the second, and
	 * the other one is refused. */
	bhi_lock_acquire(&bhi_buddy.lock);
	ck_assert_uint_eq(bhi_blocks_reserve(0, 1), 1);
	bhi_lock_release(&bhi_buddy.lock);
	p = take_block(0);
	ck_assert_uint_ge(bhi_page_number(p), BHI_BLOCK_PAGES);
	bhi_lock_acquire(&bhi_buddy.lock);
	bhi_block_settle(0, false);
	bhi_lock_release(&bhi_buddy.lock);
	for (size_t i = 0; i < BHI_BLOCK_PAGES; i++) {
		ck_assert(bhi_page_is_known(bhi_page_address(i)));
		ck_assert_uint_eq(
			bhi_page_of(bhi_page_address(i))->type, BHI_PAGE_UNUSED);
	}
	ck_assert(!bhi_page_is_known(bhi_page_address(2 * BHI_BLOCK_PAGES)));
	bhi_pages_free(p, 0);
	bhi_buddy_purge(true);
	/* The first block is there to be opened again, for a run with the second. */
	p = take_run(3 * BHI_BLOCK_PAGES);
	ck_assert_uint_eq(bhi_page_number(p), 0);
	ck_assert_uint_eq(get_stat().blocks, 3);
	bhi_run_free(p, 3 * BHI_BLOCK_PAGES);
	expect_all_merged();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, every_refused_mprotect_is_survived);
	tcase_add_test(tcase, every_refused_madvise_is_survived);
	tcase_add_test(tcase, every_refused_mmap_pool_object_and_key_is_survived);
	tcase_add_test(tcase, every_refused_page_allocation_is_survived);
	tcase_add_test(tcase, any_refused_call_is_survived);
	tcase_add_test(tcase, a_refused_start_keeps_nothing_and_may_be_repeated);
	tcase_add_test(tcase, the_pages_of_a_block_that_was_passed_over_can_be_looked_up);
	tcase_add_test(tcase, memory_that_the_kernel_refuses_to_take_back_stays_dirty);
}

int main(void)
{
	return support_run("buddy_failures", add);
}
