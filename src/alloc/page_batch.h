/* SPDX-License-Identifier: MIT */
/*
 * Many blocks of pages on their way back to the buddy at once: under few holds of its
 * lock, and what lies side by side as one run, which costs the buddy little more than
 * one block.
 */
#ifndef BHI_ALLOC_PAGE_BATCH_H
#define BHI_ALLOC_PAGE_BATCH_H

#include "alloc/page.h"

/* Blocks of 4 MiB that a batch has a map for: what dies together was mostly made
 * together, in one or two of them. */
#define BHI_PAGE_BATCH_MAPS 4

struct bhi_page_batch {
	unsigned nr_maps, nr_parts;
	struct bhi_page_batch_map {
		uint32_t block;
		uint64_t pages[BHI_BLOCK_PAGES / 64];
	} maps[BHI_PAGE_BATCH_MAPS];
};

/* Context: any, no allocation. */
void bhi_page_batch_init(struct bhi_page_batch *batch);

/*
 * Give back a block of bhi_pages_alloc past the thread's cache, whatever types its pages
 * have by now: they lose them at once, and are free at the latest with
 * bhi_page_batch_fini(). Context: any, no allocation.
 */
void bhi_page_batch_add(struct bhi_page_batch *batch, void *pages, unsigned order);

/* Context: any, no allocation. */
void bhi_page_batch_fini(struct bhi_page_batch *batch);

#endif
