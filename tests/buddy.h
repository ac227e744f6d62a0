/* SPDX-License-Identifier: MIT */
/* What the tests of the page allocator share. */
#ifndef BHI_TESTS_BUDDY_H
#define BHI_TESTS_BUDDY_H

#include <stdlib.h>
#include <sys/mman.h>

#include "alloc/blocks.h"
#include "alloc/buddy.h"
#include "alloc/free_list.h"
#include "base/process.h"
#include "base/thread.h"
#include "support.h"

#define MIB ((size_t)1 << 20)

static inline void start_buddy(size_t zone_size)
{
	ck_assert_int_eq(bhi_process_init(), 0);
	ck_assert_int_eq(bhi_thread_init(), 0);
	ck_assert_int_eq(bhi_buddy_init(zone_size), 0);
}

static inline struct bhi_buddy_stat get_stat(void)
{
	struct bhi_buddy_stat stat;

	bhi_buddy_stat(&stat);
	return stat;
}

/* Bytes that the tests hold. */
static inline size_t held(void)
{
	struct bhi_buddy_stat stat = get_stat();

	return stat.taken - stat.cached;
}

static inline void expect_sound(void)
{
	struct bhi_buddy_stat stat = get_stat();

	ck_assert_uint_eq(bhi_buddy_audit(), 0);
	ck_assert_uint_le(
		stat.taken + stat.dirty, bhi_buddy.zone_pages << BHI_PAGE_SHIFT);
	ck_assert_uint_eq(
		stat.taken + stat.dirty + stat.clean, stat.blocks * BHI_BLOCK_SIZE);
}

/* Nothing is held, and all free pages make up whole blocks. */
static inline void expect_all_merged(void)
{
	struct bhi_buddy_stat stat;

	bhi_buddy_purge(true);
	expect_sound();
	stat = get_stat();
	ck_assert_uint_eq(stat.taken, 0);
	ck_assert_uint_eq(stat.dirty, 0);
	ck_assert_uint_eq(stat.free_blocks[BHI_BLOCK_ORDER], stat.blocks);
	for (unsigned order = 0; order < BHI_BLOCK_ORDER; order++)
		ck_assert_uint_eq(stat.free_blocks[order], 0);
}

static inline size_t count_resident(const void *start_addr, size_t size)
{
	size_t nr_pages = size >> BHI_PAGE_SHIFT;
	unsigned char *map = malloc(nr_pages + 1);
	size_t nr = 0;

	ck_assert_int_eq(mincore((void *)(uintptr_t)start_addr, size, map), 0);
	for (size_t i = 0; i < nr_pages; i++)
		nr += map[i] & 1;
	free(map);
	return nr << BHI_PAGE_SHIFT;
}

/* Bytes of the window that are resident. */
static inline size_t resident(void)
{
	return count_resident(bhi_window.base, bhi_blocks_end() * BHI_BLOCK_SIZE);
}

static inline void *take_run(size_t nr_pages)
{
	bool zeroed;
	void *p = bhi_run_alloc(nr_pages, 0, &zeroed);

	ck_assert_ptr_nonnull(p);
	return p;
}

static inline void *take_block(unsigned order)
{
	bool zeroed;
	void *p = bhi_pages_alloc(order, &zeroed);

	ck_assert_ptr_nonnull(p);
	return p;
}

#endif
