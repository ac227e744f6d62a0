/* SPDX-License-Identifier: MIT */
#include "alloc/page_batch.h"
#include "alloc/buddy.h"
#include "alloc/free_list.h"
#include "base/process.h"

#define WORD_BITS 64u

/* So many parts at most are given back under one hold of the lock; there are no more runs
 * than parts. */
#define MAX_PARTS 64u

static unsigned count_ones(uint64_t word)
{
	return word == ~0ULL ? WORD_BITS : (unsigned)__builtin_ctzll(~word);
}

/* Runs end with their word: it is not worth the search for longer ones. */
static void put_word(uint32_t number, uint64_t word) BH_REQUIRES(bhi_buddy.lock)
{
	bhi_assert_held(&bhi_buddy.lock);
	while (word) {
		unsigned first = (unsigned)__builtin_ctzll(word);

		bhi_taken_to_free(number + first, count_ones(word >> first), true);
		/* The carry goes through the run. */
		word &= word + (1ULL << first);
	}
}

static void put_map(const struct bhi_page_batch_map *map) BH_REQUIRES(bhi_buddy.lock)
{
	uint32_t number = map->block << BHI_BLOCK_ORDER;

	bhi_assert_held(&bhi_buddy.lock);
	for (uint32_t i = 0; i < bhi_array_size(map->pages); i++)
		put_word(number + i * WORD_BITS, map->pages[i]);
}

static void put_all(struct bhi_page_batch *batch)
{
	if (!batch->nr_maps)
		return;
	bhi_lock_acquire(&bhi_buddy.lock);
	for (unsigned i = 0; i < batch->nr_maps; i++)
		put_map(&batch->maps[i]);
	bhi_lock_release(&bhi_buddy.lock);
	batch->nr_maps = 0;
	batch->nr_parts = 0;
}

static struct bhi_page_batch_map *map_for(struct bhi_page_batch *batch, uint32_t block)
{
	struct bhi_page_batch_map *map = batch->maps;

	for (; map < batch->maps + batch->nr_maps; map++) {
		if (map->block == block)
			return map;
	}
	if (batch->nr_maps == BHI_PAGE_BATCH_MAPS) {
		put_all(batch);
		map = batch->maps;
	}
	*map = (struct bhi_page_batch_map){.block = block};
	batch->nr_maps++;
	return map;
}

void bhi_page_batch_init(struct bhi_page_batch *batch)
{
	batch->nr_maps = 0;
	batch->nr_parts = 0;
}

void bhi_page_batch_add(struct bhi_page_batch *batch, void *pages, unsigned order)
{
	size_t number = bhi_page_number(pages);
	uint32_t nr = 1u << order, at = number % BHI_BLOCK_PAGES;
	struct bhi_page_batch_map *map;

	if (bhi_process_inert())
		return;
	bhi_pages_untype(number, nr);
	if (batch->nr_parts == MAX_PARTS)
		put_all(batch);
	map = map_for(batch, (uint32_t)(number >> BHI_BLOCK_ORDER));
	batch->nr_parts++;
	/* Aligned to its size: within one word, or whole words. */
	for (; nr > WORD_BITS; nr -= WORD_BITS, at += WORD_BITS)
		map->pages[at / WORD_BITS] = ~0ULL;
	map->pages[at / WORD_BITS] |= (~0ULL >> (WORD_BITS - nr)) << at % WORD_BITS;
}

void bhi_page_batch_fini(struct bhi_page_batch *batch)
{
	put_all(batch);
}
