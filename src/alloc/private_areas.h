/* SPDX-License-Identifier: MIT */
/* Pages of a task's private heap, in areas that slabs and short runs share. */
#ifndef BHI_ALLOC_PRIVATE_AREAS_H
#define BHI_ALLOC_PRIVATE_AREAS_H

#include "alloc/private.h"

/* Runs of more pages get a span of their own. */
#define BHI_PRIVATE_MAX_RUN 64

static inline uint32_t bhi_private_page_number(const void *ptr)
{
	return (uint32_t)(((uintptr_t)ptr - (uintptr_t)bhi_private.base) >>
			  BHI_PAGE_SHIFT);
}

static inline void *bhi_private_page_address(uint32_t number)
{
	return bhi_private.base + ((size_t)number << BHI_PAGE_SHIFT);
}

/* The number of the first page of an area, in the table of pages. */
static inline uint32_t bhi_private_first_page(uint32_t area)
{
	return area * BHI_AREA_PAGES;
}

/* The lists of areas of a new heap. Context: any. */
void bhi_private_areas_init(struct bhi_private_heap *heap);

/* Set what other floors ask of this one. Context: any; once. */
void bhi_private_areas_start(void);

/*
 * @nr adjacent pages, at most BHI_PRIVATE_MAX_RUN, charged and populated: the number of
 * the first, or 0: no memory. *@ret_zeroed, which may be NULL: nobody has used them
 * before. May unwind. Context: owner thread only, may wait.
 */
uint32_t bhi_private_take(struct bh_task *task, uint32_t nr, bool *ret_zeroed);

/* The same of @nr pages from @number on, which follow pages in use. False: they are not
 * free, or there is no memory. May unwind. Context: owner thread only, may wait. */
bool bhi_private_take_at(struct bh_task *task, uint32_t number, uint32_t nr);

/* They are no longer in use. They stay populated unless too many are. May unwind.
 * Context: owner thread only, may wait. */
void bhi_private_put(struct bh_task *task, uint32_t number, uint32_t nr);

/* A span; its first area, or BHI_NO_AREA. May unwind. Context: owner thread only. */
uint32_t bhi_private_take_span(
	struct bh_task *task, enum bhi_area_kind kind, uint32_t nr_pages);

#endif
