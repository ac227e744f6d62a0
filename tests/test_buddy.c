/* SPDX-License-Identifier: MIT */
/*
 * The page allocator. Every test starts one in a process of its own, with a zone of a
 * size that suits it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/dirty.h"
#include "alloc/page_batch.h"
#include "buddy.h"

/* ThreadSanitizer leaves no range of several TiB free. */
#ifdef __SANITIZE_THREAD__
#define HAS_LARGE_WINDOWS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_LARGE_WINDOWS false
#endif
#endif
#ifndef HAS_LARGE_WINDOWS
#define HAS_LARGE_WINDOWS true
#endif

/* Bytes a thread may cache. */
#define CACHE_MAX ((size_t)256 << 10)

static bool is_filled(const void *data, int value, size_t size)
{
	const unsigned char *p = data;

	/* Every byte is the first, and so is its successor. */
	return p[0] == value && !memcmp(p, p + 1, size - 1);
}

static bool is_zero(const void *data, size_t size)
{
	return is_filled(data, 0, size);
}

START_TEST(blocks_of_every_order_are_aligned_typed_and_apart)
{
	char *blocks[BHI_BLOCK_ORDER + 1][3];

	start_buddy(64 * MIB);
	for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++) {
		for (unsigned i = 0; i < 3; i++) {
			char *p = take_block(order);
			size_t number = bhi_page_number(p);

			ck_assert(bhi_window_contains(p));
			ck_assert_uint_eq(number % (1u << order), 0);
			ck_assert_uint_eq(bhi_page_of(p)->type, BHI_PAGE_TAKEN);
			for (size_t page = 1; page < 1u << order; page++)
				ck_assert_uint_eq(bhi_window.pages[number + page].type,
					BHI_PAGE_UNUSED);
			memset(p, (int)(order * 3 + i + 1), BHI_PAGE_SIZE << order);
			blocks[order][i] = p;
		}
	}
	ck_assert_uint_eq(held(), 3 * (2 * BHI_BLOCK_SIZE - BHI_PAGE_SIZE));
	expect_sound();
	for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++) {
		for (unsigned i = 0; i < 3; i++) {
			ck_assert(is_filled(blocks[order][i], (int)(order * 3 + i + 1),
				BHI_PAGE_SIZE << order));
			bhi_pages_free(blocks[order][i], order);
		}
	}
	expect_all_merged();
}
END_TEST

START_TEST(an_order_or_a_run_out_of_range_is_refused)
{
	bool zeroed;

	start_buddy(64 * MIB);
	ck_assert_ptr_null(bhi_pages_alloc(BHI_BLOCK_ORDER + 1, &zeroed));
	ck_assert_ptr_null(bhi_run_alloc(0, 0, &zeroed));
	ck_assert_ptr_null(bhi_run_alloc(3, BHI_BLOCK_ORDER + 1, &zeroed));
	ck_assert_ptr_null(bhi_run_alloc(SIZE_MAX, 0, &zeroed));
	ck_assert_ptr_null(bhi_run_alloc((size_t)1 << 63, 0, &zeroed));
	ck_assert_ptr_null(
		bhi_run_alloc((bhi_window.size >> BHI_PAGE_SHIFT) + 1, 0, &zeroed));
	ck_assert_uint_eq(get_stat().blocks, 0);
}
END_TEST

START_TEST(blocks_freed_in_any_order_merge_back_to_whole_ones)
{
	enum {
		NR = 4096
	};
	static void *blocks[NR];
	unsigned step;

	start_buddy(64 * MIB);
	for (unsigned i = 0; i < NR; i++)
		blocks[i] = take_block(i % 3);
	/* 1237 is prime to NR: every block once, neighbours far apart. */
	step = 1237;
	for (unsigned i = 0, at = 0; i < NR; i++, at = (at + step) % NR) {
		bhi_pages_free(blocks[at], at % 3);
		if (i % 512 == 0)
			expect_sound();
	}
	expect_all_merged();
}
END_TEST

START_TEST(a_run_takes_exactly_its_pages_and_leaves_its_tail_free)
{
	static const unsigned sizes[] = {1, 2, 3, 5, 7, 13, 31, 33, 100, 511, 513, 1000,
		1023, 1024, 1025, 2048, 2049, 3071, 5000};

	start_buddy(64 * MIB);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		size_t size = (size_t)sizes[i] << BHI_PAGE_SHIFT;
		char *p = take_run(sizes[i]);

		ck_assert_uint_eq(held(), size);
		memset(p, 0xa5, size);
		expect_sound();
		bhi_run_free(p, sizes[i]);
		ck_assert_uint_eq(held(), 0);
		expect_all_merged();
	}
}
END_TEST

START_TEST(a_run_is_aligned_as_asked_for)
{
	start_buddy(64 * MIB);
	for (unsigned order = 0; order <= BHI_BLOCK_ORDER; order++) {
		for (size_t nr_pages = 1; nr_pages < 3000; nr_pages = nr_pages * 3 + 1) {
			bool zeroed;
			void *odd = take_block(0);
			void *p = bhi_run_alloc(nr_pages, order, &zeroed);

			ck_assert_ptr_nonnull(p);
			ck_assert_uint_eq(bhi_page_number(p) % (1u << order), 0);
			ck_assert_uint_eq(held(), (nr_pages + 1) << BHI_PAGE_SHIFT);
			bhi_run_free(p, nr_pages);
			bhi_pages_free(odd, 0);
		}
	}
	expect_all_merged();
}
END_TEST

START_TEST(the_tail_of_a_run_above_4_MiB_serves_others_and_merges_again)
{
	char *run, *tail;

	start_buddy(64 * MIB);
	run = take_run(2 * BHI_BLOCK_PAGES + 1);
	ck_assert_uint_eq(get_stat().blocks, 3);
	ck_assert_uint_eq(bhi_page_number(run) % BHI_BLOCK_PAGES, 0);
	tail = take_block(9);
	ck_assert_uint_eq(get_stat().blocks, 3);
	ck_assert_ptr_eq(tail, run + 2 * BHI_BLOCK_SIZE + BHI_BLOCK_SIZE / 2);
	bhi_run_free(run, 2 * BHI_BLOCK_PAGES + 1);
	expect_sound();
	ck_assert_uint_eq(get_stat().free_blocks[BHI_BLOCK_ORDER], 2);
	bhi_pages_free(tail, 9);
	expect_all_merged();
}
END_TEST

START_TEST(a_long_run_is_cut_from_free_and_from_closed_blocks)
{
	void *first, *hole, *last, *run;

	start_buddy(64 * MIB);
	first = take_block(10);
	hole = take_block(10);
	last = take_block(10);
	bhi_pages_free(hole, 10);
	/* One free block is not two; the next two are closed. */
	run = take_run(2 * BHI_BLOCK_PAGES);
	ck_assert_ptr_eq(run, (char *)last + BHI_BLOCK_SIZE);
	ck_assert_uint_eq(get_stat().blocks, 5);
	bhi_run_free(run, 2 * BHI_BLOCK_PAGES);
	bhi_pages_free(last, 10);
	/* Now four free ones in a row, and one that has to be opened. */
	run = take_run(5 * BHI_BLOCK_PAGES);
	ck_assert_ptr_eq(run, hole);
	ck_assert_uint_eq(get_stat().blocks, 6);
	expect_sound();
	bhi_run_free(run, 5 * BHI_BLOCK_PAGES);
	bhi_pages_free(first, 10);
	expect_all_merged();
}
END_TEST

START_TEST(a_run_longer_than_the_free_window_fails_and_keeps_nothing)
{
	enum {
		WINDOW_BLOCKS = 1024 / 4
	};
	bool zeroed;
	void *one;

	/* The zone has room for it, the least window has not. */
	start_buddy(256 * MIB);
	ck_assert_uint_eq(bhi_window.size, WINDOW_BLOCKS * BHI_BLOCK_SIZE);
	bhi_buddy.zone_pages = 4096 * MIB >> BHI_PAGE_SHIFT;
	one = take_block(0);
	ck_assert_ptr_null(bhi_run_alloc(WINDOW_BLOCKS * BHI_BLOCK_PAGES, 0, &zeroed));
	ck_assert_uint_eq(held(), BHI_PAGE_SIZE);
	bhi_run_free(take_run((WINDOW_BLOCKS - 1) * BHI_BLOCK_PAGES),
		(WINDOW_BLOCKS - 1) * BHI_BLOCK_PAGES);
	bhi_pages_free(one, 0);
	expect_all_merged();
}
END_TEST

START_TEST(memory_said_to_be_zeroed_is_and_dirty_memory_is_not_said_to_be)
{
	static const unsigned sizes[] = {1, 3, 16, 48, 512, 700, 1024, 1500};
	bool zeroed;

	start_buddy(64 * MIB);
	for (size_t i = 0; i < bhi_array_size(sizes); i++) {
		size_t size = (size_t)sizes[i] << BHI_PAGE_SHIFT;
		char *p = bhi_run_alloc(sizes[i], 0, &zeroed);

		/* Fresh or purged: clean pages are all there is. */
		ck_assert(zeroed && is_zero(p, size));
		memset(p, 0xff, size);
		bhi_run_free(p, sizes[i]);
		ck_assert_ptr_eq(bhi_run_alloc(sizes[i], 0, &zeroed), p);
		ck_assert(!zeroed);
		bhi_run_free(p, sizes[i]);
		bhi_buddy_purge(true);
	}
	expect_all_merged();
}
END_TEST

START_TEST(a_small_dirty_part_does_not_make_the_rest_of_its_block_dirty)
{
	bool zeroed;
	char *small, *large;

	start_buddy(64 * MIB);
	small = take_run(3);
	memset(small, 0xff, 3 * BHI_PAGE_SIZE);
	bhi_run_free(small, 3);
	ck_assert_uint_eq(get_stat().free_blocks[BHI_BLOCK_ORDER], 1);
	ck_assert_uint_eq(get_stat().dirty, 3 * BHI_PAGE_SIZE);
	/* The dirty pages go first. */
	ck_assert_ptr_eq(bhi_run_alloc(3, 0, &zeroed), small);
	ck_assert(!zeroed);
	large = bhi_run_alloc(512, 0, &zeroed);
	ck_assert(zeroed && is_zero(large, 512 * BHI_PAGE_SIZE));
	bhi_run_free(large, 512);
	bhi_run_free(small, 3);
	expect_all_merged();
}
END_TEST

START_TEST(purging_takes_the_free_pages_out_of_memory_and_no_others)
{
	enum {
		NR = 2048
	};
	static char *pages[NR];
	size_t given;

	start_buddy(64 * MIB);
	for (unsigned i = 0; i < NR; i++) {
		pages[i] = take_block(0);
		memset(pages[i], 0x5a, BHI_PAGE_SIZE);
	}
	ck_assert_uint_eq(resident(), NR * BHI_PAGE_SIZE);
	for (unsigned i = 0; i < NR; i += 2)
		bhi_pages_free(pages[i], 0);
	ck_assert_uint_eq(resident(), NR * BHI_PAGE_SIZE);
	given = bhi_buddy_purge(true);
	ck_assert_uint_eq(given, NR / 2 * BHI_PAGE_SIZE);
	ck_assert_uint_eq(resident(), NR / 2 * BHI_PAGE_SIZE);
	expect_sound();
	for (unsigned i = 1; i < NR; i += 2) {
		ck_assert(is_filled(pages[i], 0x5a, BHI_PAGE_SIZE));
		bhi_pages_free(pages[i], 0);
	}
	expect_all_merged();
	ck_assert_uint_eq(resident(), 0);
}
END_TEST

START_TEST(blocks_decay_after_two_steps_of_the_clock_and_not_before)
{
	size_t size = 700 * BHI_PAGE_SIZE;
	void *p, *q;

	start_buddy(64 * MIB);
	for (unsigned round = 0; round < 300; round++) {
		/* Over all values of the 8-bit epoch. */
		p = take_run(700);
		memset(p, 1, size);
		bhi_run_free(p, 700);
		ck_assert_uint_eq(bhi_buddy_purge(false), 0);
		bhi_buddy_age();
		ck_assert_uint_eq(bhi_buddy_purge(false), 0);
		ck_assert_uint_eq(resident(), size);
		bhi_buddy_age();
		ck_assert_uint_eq(bhi_buddy_purge(false), size);
		ck_assert_uint_eq(resident(), 0);
	}
	/* What is freed later decays later. */
	p = take_run(1000);
	q = take_run(1000);
	bhi_run_free(p, 1000);
	bhi_buddy_age();
	bhi_run_free(q, 1000);
	bhi_buddy_age();
	ck_assert_uint_eq(bhi_buddy_purge(false), 1000 * BHI_PAGE_SIZE);
	bhi_buddy_age();
	ck_assert_uint_eq(bhi_buddy_purge(false), 1000 * BHI_PAGE_SIZE);
	expect_all_merged();
}
END_TEST

START_TEST(a_run_of_64_MiB_goes_back_to_the_kernel_when_it_is_freed)
{
	size_t large = 64 * MIB >> BHI_PAGE_SHIFT, small = large - 1;
	char *p;

	start_buddy(256 * MIB);
	p = take_run(large);
	memset(p, 1, large << BHI_PAGE_SHIFT);
	bhi_run_free(p, large);
	ck_assert_uint_eq(resident(), 0);
	ck_assert_uint_eq(get_stat().dirty, 0);
	ck_assert_uint_eq(get_stat().discards, 1);
	p = take_run(small);
	memset(p, 1, small << BHI_PAGE_SHIFT);
	bhi_run_free(p, small);
	ck_assert_uint_eq(resident(), small << BHI_PAGE_SHIFT);
	ck_assert_uint_eq(get_stat().dirty, small << BHI_PAGE_SHIFT);
	expect_all_merged();
	ck_assert_uint_eq(resident(), 0);
}
END_TEST

START_TEST(the_zone_can_be_taken_to_the_last_page_and_no_further)
{
	enum {
		NR = 8 * 1024 / 4
	};
	static void *pages[NR];
	bool zeroed;

	start_buddy(NR * BHI_PAGE_SIZE);
	for (unsigned i = 0; i < NR; i++)
		pages[i] = take_block(0);
	ck_assert_ptr_null(bhi_pages_alloc(0, &zeroed));
	ck_assert_ptr_null(bhi_run_alloc(3, 0, &zeroed));
	ck_assert_uint_eq(get_stat().taken, NR * BHI_PAGE_SIZE);
	expect_sound();
	bhi_pages_free(pages[0], 0);
	pages[0] = take_block(0);
	ck_assert_ptr_null(bhi_pages_alloc(0, &zeroed));
	for (unsigned i = 0; i < NR; i++)
		bhi_pages_free(pages[i], 0);
	expect_all_merged();
}
END_TEST

START_TEST(a_zone_full_of_dirty_fragments_is_purged_for_a_large_run)
{
	enum {
		NR = 16 * 1024 / 4
	};
	static char *pages[NR];
	char *run;

	start_buddy(NR * BHI_PAGE_SIZE);
	for (unsigned i = 0; i < NR; i++) {
		pages[i] = take_block(0);
		memset(pages[i], 1, BHI_PAGE_SIZE);
	}
	for (unsigned i = 0; i < NR; i += 2)
		bhi_pages_free(pages[i], 0);
	/* No two free pages are neighbours: all of it has to come from new blocks. */
	run = take_run(NR / 2);
	memset(run, 1, NR / 2 * BHI_PAGE_SIZE);
	ck_assert_uint_le(resident(), NR * BHI_PAGE_SIZE);
	ck_assert_uint_eq(get_stat().taken, NR * BHI_PAGE_SIZE);
	expect_sound();
	bhi_run_free(run, NR / 2);
	for (unsigned i = 1; i < NR; i += 2)
		bhi_pages_free(pages[i], 0);
	expect_all_merged();
}
END_TEST

START_TEST(a_hopeless_request_does_not_purge)
{
	bool zeroed;

	start_buddy(16 * MIB);
	bhi_run_free(take_run(2000), 2000);
	ck_assert_ptr_null(bhi_run_alloc((16 * MIB >> BHI_PAGE_SHIFT) + 1, 0, &zeroed));
	ck_assert_uint_eq(get_stat().dirty, 2000 * BHI_PAGE_SIZE);
	ck_assert_uint_eq(get_stat().discards, 0);
	ck_assert_uint_le(get_stat().blocks, 2);
}
END_TEST

START_TEST(a_thread_caches_at_most_256_KiB)
{
	enum {
		NR = 512
	};
	static void *blocks[5][NR];

	start_buddy(256 * MIB);
	for (unsigned order = 0; order < 5; order++) {
		for (unsigned i = 0; i < NR; i++) {
			blocks[order][i] = take_block(order);
			ck_assert_uint_le(get_stat().cached, CACHE_MAX);
		}
	}
	for (unsigned i = 0; i < NR; i++) {
		for (unsigned order = 0; order < 5; order++) {
			bhi_pages_free(blocks[order][(i * 7) % NR], order);
			ck_assert_uint_le(get_stat().cached, CACHE_MAX);
		}
	}
	ck_assert_uint_gt(get_stat().cached, 0);
	expect_sound();
	expect_all_merged();
}
END_TEST

START_TEST(an_empty_window_for_1_TiB_costs_next_to_nothing)
{
	char *before = support_read_file("/proc/self/statm");
	char *after;
	long nr_before, nr_after;

	start_buddy((size_t)1 << 40);
	take_block(0);
	after = support_read_file("/proc/self/statm");
	ck_assert_int_eq(sscanf(before, "%*d %ld", &nr_before), 1);
	ck_assert_int_eq(sscanf(after, "%*d %ld", &nr_after), 1);
	ck_assert_int_lt(nr_after - nr_before, 128);
	ck_assert_uint_eq(bhi_window.size, (size_t)4 << 40);
	ck_assert_uint_eq(get_stat().metadata, 16384 + 128);
	free(before);
	free(after);
}
END_TEST

START_TEST(the_window_is_between_1_GiB_and_16_TiB)
{
	start_buddy(UINT64_MAX);
	ck_assert_uint_eq(bhi_window.size, ((size_t)16 << 40) - BHI_BLOCK_SIZE);
	take_block(0);
	expect_sound();
}
END_TEST

START_TEST(the_child_of_a_fork_gets_nothing_and_waits_for_nothing)
{
	bool zeroed;
	void *block, *run;
	int status;
	pid_t pid;

	start_buddy(64 * MIB);
	block = take_block(0);
	run = take_run(1500);
	/* A thread that the child does not have might hold the lock. */
	bhi_lock_acquire(&bhi_buddy.lock);
	pid = fork();
	if (!pid) {
		alarm(20);
		bhi_pages_free(block, 0);
		bhi_run_free(run, 1500);
		bhi_pages_put(block, 1);
		bhi_buddy_age();
		_exit(bhi_pages_alloc(0, &zeroed) || bhi_pages_alloc(7, &zeroed) ||
			bhi_run_alloc(3, 0, &zeroed) || bhi_run_alloc(1, 0, &zeroed) ||
			bhi_buddy_purge(true) || bhi_buddy_purge(false) ||
			bhi_buddy_audit() || held());
	}
	bhi_lock_release(&bhi_buddy.lock);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	bhi_pages_free(block, 0);
	bhi_run_free(run, 1500);
	expect_all_merged();
}
END_TEST

START_TEST(pages_put_from_inside_a_section_go_to_the_buddy)
{
	struct bhi_thread *self;
	uint64_t cached;
	void *p;

	start_buddy(64 * MIB);
	p = take_block(2);
	self = bhi_thread_self();
	cached = get_stat().cached;
	ck_assert(bhi_thread_enter(self));
	bhi_pages_put(p, 4);
	bhi_thread_leave(self);
	ck_assert_uint_eq(get_stat().cached, cached);
	ck_assert_uint_eq(get_stat().dirty, 4 * BHI_PAGE_SIZE);
	expect_all_merged();
}
END_TEST

/* More blocks than a batch takes before it gives some back, in more blocks of 4 MiB than
 * it has maps for, and in an order in which few neighbours meet. */
START_TEST(a_batch_gives_back_blocks_of_every_order_wherever_they_lie)
{
	enum {
		NR = 200
	};
	static void *blocks[NR];
	struct bhi_page_batch batch;
	bool zeroed;

	start_buddy(128 * MIB);
	for (unsigned i = 0; i < NR; i++) {
		blocks[i] = bhi_pages_alloc(i % 9, &zeroed);
		ck_assert_ptr_nonnull(blocks[i]);
	}
	bhi_page_batch_init(&batch);
	bhi_page_batch_fini(&batch);
	bhi_page_batch_init(&batch);
	for (unsigned i = 0; i < NR; i++) {
		unsigned at = i * 77 % NR;

		bhi_page_batch_add(&batch, blocks[at], at % 9);
	}
	bhi_page_batch_fini(&batch);
	ck_assert_uint_eq(held(), 0);
	expect_all_merged();
}
END_TEST

START_TEST(adding_a_block_to_a_batch_twice_aborts)
{
	struct bhi_page_batch batch;
	bool zeroed;
	void *block;

	start_buddy(16 * MIB);
	block = bhi_pages_alloc(3, &zeroed);
	bhi_page_batch_init(&batch);
	bhi_page_batch_add(&batch, block, 3);
	bhi_page_batch_add(&batch, block, 3);
}
END_TEST

START_TEST(freeing_a_block_twice_aborts)
{
	void *p;

	start_buddy(64 * MIB);
	p = take_block(1);
	bhi_pages_free(p, 1);
	bhi_pages_free(p, 1);
}
END_TEST

START_TEST(freeing_a_run_twice_aborts)
{
	void *p;

	start_buddy(64 * MIB);
	p = take_run(1500);
	bhi_run_free(p, 1500);
	bhi_run_free(p, 1500);
}
END_TEST

/* Each of these must be noticed, and the audit be content when it is gone. */
#define EXPECT_NOTICED(spoil, repair)                    \
	do {                                             \
		ck_assert_uint_eq(bhi_buddy_audit(), 0); \
		spoil;                                   \
		ck_assert_uint_gt(bhi_buddy_audit(), 0); \
		repair;                                  \
		ck_assert_uint_eq(bhi_buddy_audit(), 0); \
	} while (0)

START_TEST(the_audit_notices_whatever_is_wrong)
{
	struct bhi_page *page, *taken, *cached;
	uint32_t number;
	void *run;

	start_buddy(64 * MIB);
	run = take_run(700);
	taken = bhi_page_of(run);
	bhi_run_free(take_run(7), 7);
	bhi_pages_free(take_block(0), 0);
	number = bhi_buddy.lists[BHI_CLEAN][8].head;
	ck_assert_uint_ne(number, BHI_NO_PAGE);
	page = &bhi_window.pages[number];
	for (cached = bhi_window.pages; cached->type != BHI_PAGE_CACHED;)
		cached++;

	EXPECT_NOTICED(bhi_buddy.nr_taken++, bhi_buddy.nr_taken--);
	EXPECT_NOTICED(bhi_buddy.nr_isolated++, bhi_buddy.nr_isolated--);
	EXPECT_NOTICED(bhi_buddy.nr_dirty++, bhi_buddy.nr_dirty--);
	EXPECT_NOTICED(
		bhi_buddy.zone_pages -= 16 * 1024, bhi_buddy.zone_pages += 16 * 1024);
	EXPECT_NOTICED(bhi_dirty_set(number + 3, 1), bhi_dirty_clear(number + 3, 1));
	EXPECT_NOTICED(bhi_dirty_set(taken - bhi_window.pages, 1),
		bhi_dirty_clear(taken - bhi_window.pages, 1));
	EXPECT_NOTICED(page->type = BHI_PAGE_UNUSED, page->type = BHI_PAGE_FREE);
	EXPECT_NOTICED(page->order = 7, page->order = 8);
	EXPECT_NOTICED(page->order = 11, page->order = 8);
	EXPECT_NOTICED(page->dirty = 1, page->dirty = 0);
	EXPECT_NOTICED(page->owner = 1, page->owner = 0);
	EXPECT_NOTICED(page->prev = 5, page->prev = BHI_NO_PAGE);
	EXPECT_NOTICED(page[5].type = BHI_PAGE_TAKEN, page[5].type = BHI_PAGE_UNUSED);
	EXPECT_NOTICED(taken->type = BHI_PAGE_FREE, taken->type = BHI_PAGE_TAKEN);
	EXPECT_NOTICED(cached->type = BHI_PAGE_TAKEN, cached->type = BHI_PAGE_CACHED);
	EXPECT_NOTICED(cached->order = 12, cached->order = 0);
	EXPECT_NOTICED(
		bhi_buddy.lists[BHI_CLEAN][8].nr++, bhi_buddy.lists[BHI_CLEAN][8].nr--);
	EXPECT_NOTICED(bhi_buddy.orders[BHI_CLEAN] ^= 1u << 8,
		bhi_buddy.orders[BHI_CLEAN] ^= 1u << 8);
	EXPECT_NOTICED(bhi_buddy.orders[BHI_DIRTY] ^= 1u << 9,
		bhi_buddy.orders[BHI_DIRTY] ^= 1u << 9);
	bhi_run_free(run, 700);
	expect_all_merged();
	EXPECT_NOTICED(bhi_block_set_used(0, true), bhi_block_set_used(0, false));
}
END_TEST

START_TEST(the_audit_notices_neighbours_that_are_not_merged)
{
	uint32_t number;

	start_buddy(64 * MIB);
	bhi_run_free(take_run(1000), 1000);
	bhi_buddy_purge(true);
	ck_assert_uint_eq(bhi_buddy_audit(), 0);
	bhi_lock_acquire(&bhi_buddy.lock);
	/* Split by hand: the lower half is kept from merging until it is added alone. */
	number = bhi_free_find(BHI_BLOCK_ORDER);
	bhi_free_split(number, number, 9);
	bhi_window.pages[number + 512].order = 3;
	bhi_free_add(number, 512);
	bhi_window.pages[number + 512].order = 9;
	bhi_lock_release(&bhi_buddy.lock);
	ck_assert_uint_gt(bhi_buddy_audit(), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, blocks_of_every_order_are_aligned_typed_and_apart);
	tcase_add_test(tcase, an_order_or_a_run_out_of_range_is_refused);
	tcase_add_test(tcase, blocks_freed_in_any_order_merge_back_to_whole_ones);
	tcase_add_test(tcase, a_run_takes_exactly_its_pages_and_leaves_its_tail_free);
	tcase_add_test(tcase, a_run_is_aligned_as_asked_for);
	tcase_add_test(
		tcase, the_tail_of_a_run_above_4_MiB_serves_others_and_merges_again);
	tcase_add_test(tcase, a_long_run_is_cut_from_free_and_from_closed_blocks);
	tcase_add_test(tcase, a_run_longer_than_the_free_window_fails_and_keeps_nothing);
	tcase_add_test(
		tcase, memory_said_to_be_zeroed_is_and_dirty_memory_is_not_said_to_be);
	tcase_add_test(
		tcase, a_small_dirty_part_does_not_make_the_rest_of_its_block_dirty);
	tcase_add_test(tcase, purging_takes_the_free_pages_out_of_memory_and_no_others);
	tcase_add_test(tcase, blocks_decay_after_two_steps_of_the_clock_and_not_before);
	tcase_add_test(tcase, a_run_of_64_MiB_goes_back_to_the_kernel_when_it_is_freed);
	tcase_add_test(tcase, the_zone_can_be_taken_to_the_last_page_and_no_further);
	tcase_add_test(tcase, a_zone_full_of_dirty_fragments_is_purged_for_a_large_run);
	tcase_add_test(tcase, a_hopeless_request_does_not_purge);
	tcase_add_test(tcase, a_thread_caches_at_most_256_KiB);
	if (HAS_LARGE_WINDOWS) {
		tcase_add_test(tcase, an_empty_window_for_1_TiB_costs_next_to_nothing);
		tcase_add_test(tcase, the_window_is_between_1_GiB_and_16_TiB);
	}
	tcase_add_test(tcase, the_child_of_a_fork_gets_nothing_and_waits_for_nothing);
	tcase_add_test(tcase, pages_put_from_inside_a_section_go_to_the_buddy);
	tcase_add_test_raise_signal(tcase, freeing_a_block_twice_aborts, SIGABRT);
	tcase_add_test_raise_signal(tcase, freeing_a_run_twice_aborts, SIGABRT);
	tcase_add_test(tcase, a_batch_gives_back_blocks_of_every_order_wherever_they_lie);
	tcase_add_test_raise_signal(
		tcase, adding_a_block_to_a_batch_twice_aborts, SIGABRT);
	tcase_add_test(tcase, the_audit_notices_whatever_is_wrong);
	tcase_add_test(tcase, the_audit_notices_neighbours_that_are_not_merged);
}

int main(void)
{
	return support_run("buddy", add);
}
