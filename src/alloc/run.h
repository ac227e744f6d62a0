/* SPDX-License-Identifier: MIT */
/*
 * Objects of whole pages: large ones, and what bh_alloc_pages gives. The first page's
 * struct names the group; a group's runs are a list through the page structs, under its
 * owned lock.
 */
#ifndef BHI_ALLOC_RUN_H
#define BHI_ALLOC_RUN_H

#include "account/group.h"
#include "alloc/page.h"

/* At least @size bytes aligned to 2^@align_order pages, charged to @group. NULL: no
 * memory. Context: may wait, unless @flags say otherwise; in no section. */
void *bhi_run_object_alloc(
	struct bh_group *group, size_t size, unsigned align_order, unsigned flags);

/* Context: any; in no section. @page is the first of a run. */
void bhi_run_object_free(struct bhi_page *page);

/* Pages of the run that begins at @page. Context: any. */
size_t bhi_run_nr_pages(const struct bhi_page *page);

/* Free all runs of exactly @group. Context: any; in no section. */
void bhi_runs_drop(struct bh_group *group);

/* The page number of a page struct. Context: signal-safe. */
static inline uint32_t bhi_page_index(const struct bhi_page *page)
{
	return (uint32_t)(page - bhi_window.pages);
}

#endif
