/* SPDX-License-Identifier: MIT */
/*
 * Two bits a block. Idle blocks are those that are not busy:
 *
 *		busy	open
 *	closed	0	0
 *	reserved 1	0
 *	free	0	1
 *	used	1	1
 *
 * First fit keeps the opened blocks together at the low end of the window, so that the
 * kernel sees one usable and one unusable range.
 */
#include "alloc/blocks.h"
#include "base/sys.h"

#define WORD_BITS         64u
#define PAGE_STRUCTS_SIZE (BHI_BLOCK_PAGES * sizeof(struct bhi_page))

_Static_assert(
	PAGE_STRUCTS_SIZE % BHI_PAGE_SIZE == 0, "commits of blocks do not overlap");

static struct {
	/* immutable after init; the words are protected by the buddy's lock */
	uint64_t *busy, *open;
	size_t nr;
	/* protected by the buddy's lock */
	size_t nr_open;
	size_t end;
} state;

static size_t bitmap_size(size_t nr_blocks)
{
	return (nr_blocks + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t);
}

static bool bit_test(const uint64_t *bitmap, size_t bit)
{
	return bitmap[bit / WORD_BITS] >> (bit % WORD_BITS) & 1;
}

static void bit_write(uint64_t *bitmap, size_t bit, bool value)
{
	uint64_t mask = 1ULL << (bit % WORD_BITS);

	if (value)
		bitmap[bit / WORD_BITS] |= mask;
	else
		bitmap[bit / WORD_BITS] &= ~mask;
}

int bhi_blocks_init(size_t nr_blocks)
{
	void *p;
	int r;

	r = bhi_sys_map(bhi_page_align(2 * bitmap_size(nr_blocks)), &p);
	if (r)
		return r;
	state.busy = p;
	state.open = state.busy + bitmap_size(nr_blocks) / sizeof(uint64_t);
	state.nr = nr_blocks;
	return 0;
}

void bhi_blocks_fini(size_t nr_blocks)
{
	if (state.busy)
		bhi_sys_unmap(state.busy, bhi_page_align(2 * bitmap_size(nr_blocks)));
	state.busy = state.open = NULL;
	state.nr = 0;
}

size_t bhi_blocks_find(size_t nr)
{
	size_t idle = 0; /* length of the idle range that ends before .block */
	size_t block = 0;

	while (block < state.nr) {
		uint64_t word = state.busy[block / WORD_BITS];

		/* Whole words at a time where nothing can end: the window may have
		 * millions of blocks. */
		if (block % WORD_BITS == 0 &&
			(word == ~0ULL || (!word && idle + WORD_BITS < nr))) {
			idle = word ? 0 : idle + WORD_BITS;
			block += WORD_BITS;
			continue;
		}
		idle = bit_test(state.busy, block) ? 0 : idle + 1;
		block++;
		if (idle == nr)
			return block - nr;
	}
	return BHI_NO_BLOCK;
}

size_t bhi_blocks_reserve(size_t first, size_t nr)
{
	size_t reserved = 0;

	for (size_t block = first; block < first + nr; block++) {
		bh_assert(bhi_block_is_idle(block));
		if (bhi_block_is_open(block))
			continue;
		bit_write(state.busy, block, true);
		reserved++;
	}
	return reserved;
}

/*
 * Page structs are usable from the first one to .nr_known without a gap, for pointers to
 * closed blocks in between are looked up too. So whoever opens a block beyond sees to
 * all of them up to it, also to those of blocks that others are still opening, or failed
 * to open: doing that twice does no harm.
 */
static int commit_structs(size_t end)
{
	size_t known = bhi_load_acquire(&bhi_window.nr_known) >> BHI_BLOCK_ORDER;

	if (end <= known)
		return 0;
	return bhi_sys_commit(&bhi_window.pages[known << BHI_BLOCK_ORDER],
		(end - known) * PAGE_STRUCTS_SIZE);
}

int bhi_blocks_commit(size_t first, size_t nr)
{
	int r;

	bhi_assert_none_held();
	r = commit_structs(first + nr);
	if (r)
		return r;
	return bhi_sys_commit(
		bhi_page_address(first << BHI_BLOCK_ORDER), nr * BHI_BLOCK_SIZE);
}

void bhi_block_settle(size_t block, bool committed)
{
	bh_assert(bhi_block_is_reserved(block));
	bit_write(state.busy, block, false);
	if (!committed)
		return;
	bit_write(state.open, block, true);
	state.nr_open++;
	state.end = bhi_max(state.end, block + 1);
	/* pairs with the acquiring load in commit_structs() */
	bhi_store_release(&bhi_window.nr_known, state.end << BHI_BLOCK_ORDER);
}

void bhi_block_set_used(size_t block, bool used)
{
	bh_assert(bhi_block_is_open(block) && bhi_block_is_idle(block) == used);
	bit_write(state.busy, block, used);
}

bool bhi_block_is_open(size_t block)
{
	return bit_test(state.open, block);
}

bool bhi_block_is_reserved(size_t block)
{
	return bit_test(state.busy, block) && !bit_test(state.open, block);
}

bool bhi_block_is_idle(size_t block)
{
	return !bit_test(state.busy, block);
}

size_t bhi_blocks_open(void)
{
	return state.nr_open;
}

size_t bhi_blocks_end(void)
{
	return state.end;
}
