/* SPDX-License-Identifier: MIT */
#include "alloc/dirty.h"
#include "base/bug.h"
#include "base/sys.h"

#define WORD_BITS 64u

/* immutable after init; the words are protected by the buddy's lock. The mapping covers
 * the whole window and is resident only where blocks were opened: 128 bytes each. */
static uint64_t *map;

/* A range cut to one word: the word, and the range's bits in it. */
struct part {
	uint64_t *word;
	uint64_t mask;
	size_t nr;
};

static inline struct part first_part(size_t first, size_t nr)
{
	unsigned bit = first % WORD_BITS;
	size_t fit = bhi_min(nr, (size_t)(WORD_BITS - bit));

	return (struct part){
		.word = &map[first / WORD_BITS],
		.mask = (~0ULL >> (WORD_BITS - fit)) << bit,
		.nr = fit,
	};
}

static size_t map_size(size_t nr_pages)
{
	return bhi_page_align(nr_pages / 8);
}

int bhi_dirty_init(size_t nr_pages)
{
	void *p;
	int r;

	bh_assert(nr_pages % WORD_BITS == 0);
	r = bhi_sys_map(map_size(nr_pages), &p);
	if (r)
		return r;
	map = p;
	return 0;
}

void bhi_dirty_fini(size_t nr_pages)
{
	if (map)
		bhi_sys_unmap(map, map_size(nr_pages));
	map = NULL;
}

size_t bhi_dirty_count(size_t first, size_t nr)
{
	size_t count = 0;

	while (nr) {
		struct part part = first_part(first, nr);

		count += (size_t)__builtin_popcountll(*part.word & part.mask);
		first += part.nr;
		nr -= part.nr;
	}
	return count;
}

size_t bhi_dirty_first(size_t first, size_t nr)
{
	size_t at = first;

	while (nr) {
		struct part part = first_part(at, nr);
		uint64_t found = *part.word & part.mask;

		if (found)
			return (at & ~(size_t)(WORD_BITS - 1)) +
			       (size_t)__builtin_ctzll(found);
		at += part.nr;
		nr -= part.nr;
	}
	return first;
}

void bhi_dirty_set(size_t first, size_t nr)
{
	while (nr) {
		struct part part = first_part(first, nr);

		bh_assert(!(*part.word & part.mask));
		*part.word |= part.mask;
		first += part.nr;
		nr -= part.nr;
	}
}

void bhi_dirty_clear(size_t first, size_t nr)
{
	while (nr) {
		struct part part = first_part(first, nr);

		*part.word &= ~part.mask;
		first += part.nr;
		nr -= part.nr;
	}
}
