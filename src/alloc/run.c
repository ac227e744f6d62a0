/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "alloc/buddy.h"
#include "alloc/freed.h"
#include "alloc/run.h"
#include "base/failpoint.h"
#include "charge/charge.h"
#include "reclaim/background.h"

size_t bhi_run_nr_pages(const struct bhi_page *page)
{
	return page->order ? page[1].owner : 1;
}

static void link_run(struct bh_group *group, struct bhi_page *page, size_t nr_pages)
{
	page->owner = group->id;
	page->order = nr_pages > 1;
	if (nr_pages > 1) {
		page[1].owner = (uint32_t)nr_pages;
		bhi_store(&page[1].type, (uint8_t)BHI_PAGE_TAIL);
	}
	bhi_lock_acquire(&group->owned_lock);
	page->prev = BHI_NO_PAGE;
	page->next = group->runs;
	if (page->next != BHI_NO_PAGE)
		bhi_window.pages[page->next].prev = bhi_page_index(page);
	group->runs = bhi_page_index(page);
	bhi_store_release(&page->type, (uint8_t)BHI_PAGE_RUN);
	bhi_lock_release(&group->owned_lock);
}

static void unlink_run(struct bh_group *group, struct bhi_page *page)
	BH_REQUIRES(group->owned_lock)
{
	bhi_assert_held(&group->owned_lock);
	if (page->prev != BHI_NO_PAGE)
		bhi_window.pages[page->prev].next = page->next;
	else
		group->runs = page->next;
	if (page->next != BHI_NO_PAGE)
		bhi_window.pages[page->next].prev = page->prev;
	bhi_store(&page->type, (uint8_t)BHI_PAGE_TAKEN);
}

/* Behind the struct of a page there need not be another: the next block may be closed.
 * So the second page is looked at only when it is the run's. */
static void give_back(struct bh_group *group, struct bhi_page *page)
{
	size_t nr_pages = bhi_run_nr_pages(page);

	if (nr_pages > 1)
		bhi_store(&page[1].type, (uint8_t)BHI_PAGE_UNUSED);
	bhi_run_free(bhi_page_address(bhi_page_index(page)), nr_pages);
	bhi_uncharge(group, (int64_t)(nr_pages << BHI_PAGE_SHIFT), false);
	bhi_background_decay();
}

void *bhi_run_object_alloc(
	struct bh_group *group, size_t size, unsigned align_order, unsigned flags)
{
	size_t bytes = bhi_page_align(bhi_max(size, (size_t)1));
	size_t nr_pages = bytes >> BHI_PAGE_SHIFT;
	bool zeroed;
	void *run;

	if (bytes < size || bytes > INT64_MAX || nr_pages >= UINT32_MAX)
		return NULL;
	if (bhi_fault(BH_FAULT_PAGE, bhi_page_order(nr_pages), flags))
		return NULL;
	if (bhi_charge(group, (int64_t)bytes, flags, false))
		return NULL;
	run = bhi_run_alloc(nr_pages, align_order, &zeroed);
	if (!run) {
		bhi_uncharge(group, (int64_t)bytes, false);
		return NULL;
	}
	bhi_freed_note(run, NULL);
	link_run(group, bhi_page_of(run), nr_pages);
	if ((flags & BH_ZERO) && !zeroed)
		memset(run, 0, bytes);
	return run;
}

void bhi_run_object_free(struct bhi_page *page)
{
	struct bh_group *group = bhi_group_by_id(page->owner);

	if (bhi_process_inert())
		return;
	bhi_lock_acquire(&group->owned_lock);
	unlink_run(group, page);
	bhi_lock_release(&group->owned_lock);
	give_back(group, page);
}

void bhi_runs_drop(struct bh_group *group)
{
	for (;;) {
		struct bhi_page *page = NULL;

		bhi_lock_acquire(&group->owned_lock);
		if (group->runs != BHI_NO_PAGE) {
			page = &bhi_window.pages[group->runs];
			unlink_run(group, page);
		}
		bhi_lock_release(&group->owned_lock);
		if (!page)
			return;
		bhi_freed_note_drop(bhi_page_address(bhi_page_index(page)));
		give_back(group, page);
	}
}
