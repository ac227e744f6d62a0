/* SPDX-License-Identifier: MIT */
#include "alloc/private.h"

#include <errno.h>
#include <string.h>

#include "alloc/private_areas.h"
#include "base/pool.h"
#include "task/end.h"
#include "task/keep.h"
#include "task/section.h"

/* How many fresh objects are linked at a time: a page of them, so that a slab that is
 * not filled costs no cache misses. */
#define EXTEND_BYTES ((uint32_t)4096)

/* What grows gets room to, as long as it is a small part of the address space. */
#define GROWING_SHARE 1024

#define BIT(n) ((uint64_t)1 << ((n) % 64))

struct bhi_private_page *bhi_private_pages;

/* What is active where there is no slab: nothing is ever free in it. */
static struct bhi_private_page no_slab = {.is_listed = 1};

static struct bhi_pool pool = BHI_POOL_INIT(struct bhi_private_heap);

#if BH_DEBUG
uint64_t *bhi_private_live;

static size_t live_bytes(size_t size)
{
	return size / 8 / 8;
}

static int map_live(void)
{
	if (bhi_private_live)
		return 0;
	bhi_private_live = bhi_meta_map(live_bytes(bhi_private.size));
	if (!bhi_private_live)
		return -ENOMEM;
	bhi_window_limit_dump(bhi_private_live, live_bytes(BHI_AREA_SIZE));
	return 0;
}

static bool is_live(const void *object)
{
	size_t number = ((uintptr_t)object - (uintptr_t)bhi_private.base) / 8;

	return bhi_private_live[number / 64] & BIT(number);
}

static void forget_live(uint32_t area)
{
	memset((char *)bhi_private_live + area * live_bytes(BHI_AREA_SIZE), 0,
		live_bytes(BHI_AREA_SIZE));
}
#else
static inline int map_live(void)
{
	return 0;
}

static inline bool is_live(const void *object)
{
	(void)object;
	return true;
}

static inline void forget_live(uint32_t area)
{
	(void)area;
}
#endif

static void forget_area(uint32_t number)
{
	const struct bhi_area *area = &bhi_private.areas[number];
	struct bhi_private_page *pages = &bhi_private_pages[number * BHI_AREA_PAGES];

	if (area->kind == BHI_AREA_RUN)
		pages->type = BHI_PRIVATE_UNUSED;
	if (area->kind != BHI_AREA_HEAP)
		return;
	for (unsigned w = 0; w < bhi_array_size(area->used); w++) {
		for (uint64_t left = area->used[w]; left; left &= left - 1)
			pages[w * 64 + (uint32_t)__builtin_ctzll(left)].type =
				BHI_PRIVATE_UNUSED;
	}
	forget_live(number);
}

/* The next task to get the areas finds nothing in them. */
static void forget_heap(struct bh_task *task)
{
	bhi_keep_part(task);
	for (uint32_t area = task->region.spans; area != BHI_NO_AREA;
		area = bhi_private.areas[area].next)
		forget_area(area);
	bhi_pool_free(&pool, task->heap);
	task->heap = NULL;
}

/*
 * The table begins in the middle of a page, so that the end of each even area and the
 * front of the area after it are described in the same one: a hundred thousand tasks with
 * a few pages each need half as many pages for that. The first page is always dumped.
 */
static int map_pages(void)
{
	const size_t area_bytes = BHI_AREA_PAGES * sizeof(*bhi_private_pages);
	char *table;

	if (bhi_private_pages)
		return 0;
	table = bhi_meta_map(
		(bhi_private.size >> BHI_AREA_SHIFT) * area_bytes + BHI_PAGE_SIZE);
	if (!table)
		return -ENOMEM;
	bhi_private_pages = (void *)(table + BHI_PAGE_SIZE / 2);
	bhi_window_limit_dump(table + BHI_PAGE_SIZE, area_bytes);
	return 0;
}

int bhi_private_init(void)
{
	bhi_task_end_hook = forget_heap;
	bhi_private_areas_start();
	return map_pages() ? -ENOMEM : map_live();
}

static struct bhi_private_heap *heap_of(struct bh_task *task)
{
	struct bhi_private_heap *heap = task->heap;

	if (heap)
		return heap;
	heap = bhi_pool_alloc(&pool);
	if (!heap)
		return NULL;
	bhi_private_areas_init(heap);
	for (unsigned i = 0; i < BHI_PRIVATE_CLASSES; i++)
		heap->bins[i].active = &no_slab;
	task->heap = heap;
	return heap;
}

static uint32_t number_of(const struct bhi_private_page *page)
{
	return (uint32_t)(page - bhi_private_pages);
}

static void list_push(struct bhi_private_bin *bin, struct bhi_private_page *slab)
{
	uint32_t number = number_of(slab);

	slab->is_listed = 1;
	slab->prev = 0;
	slab->next = bin->partial;
	if (bin->partial)
		bhi_private_pages[bin->partial].prev = number;
	bin->partial = number;
}

static void list_unlink(struct bhi_private_bin *bin, struct bhi_private_page *slab)
{
	if (slab->next)
		bhi_private_pages[slab->next].prev = slab->prev;
	if (slab->prev)
		bhi_private_pages[slab->prev].next = slab->next;
	else
		bin->partial = slab->next;
	slab->is_listed = 0;
}

static char *slab_base(const struct bhi_private_page *slab)
{
	return bhi_private_page_address(number_of(slab));
}

static uint32_t nr_objects(const struct bhi_private_page *slab)
{
	return (uint32_t)((BHI_PAGE_SIZE << slab->order) /
			  bhi_class_sizes[slab->class_id]);
}

/* Link some fresh objects, in rising order; false: there are none. */
static bool extend(struct bhi_private_page *slab)
{
	uint32_t size = bhi_class_sizes[slab->class_id];
	uint32_t nr = bhi_min(
		slab->nr_fresh, bhi_max((uint32_t)EXTEND_BYTES / size, (uint32_t)1));
	char *first;

	if (!nr)
		return false;
	first = slab_base(slab) + (size_t)(nr_objects(slab) - slab->nr_fresh) * size;
	for (uint32_t i = 0; i + 1 < nr; i++)
		*(void **)(void *)(first + (size_t)i * size) =
			first + (size_t)(i + 1) * size;
	*(void **)(void *)(first + (size_t)(nr - 1) * size) = slab->free;
	slab->free = first;
	slab->nr_fresh -= nr;
	return true;
}

static struct bhi_private_page *new_slab(
	struct bh_task *task, struct bhi_private_heap *heap, unsigned class_id)
{
	struct bhi_private_bin *bin = &heap->bins[class_id];
	unsigned order = bhi_slab_order(
		bhi_class_sizes[class_id], (uint64_t)bin->nr_pages << BHI_PAGE_SHIFT);
	struct bhi_private_page *slab;
	uint32_t number = bhi_private_take(task, 1u << order, NULL);

	if (!number)
		return NULL;
	slab = &bhi_private_pages[number];
	for (uint32_t i = 0; i < 1u << order; i++) {
		slab[i].type = BHI_PRIVATE_TAIL;
		slab[i].head = number;
	}
	slab->type = BHI_PRIVATE_SLAB;
	slab->class_id = (uint8_t)class_id;
	slab->order = (uint8_t)order;
	slab->free = NULL;
	slab->used = 0;
	slab->nr_fresh = nr_objects(slab);
	slab->is_listed = 1;
	bin->nr_pages += 1u << order;
	return slab;
}

static void free_slab(struct bh_task *task, struct bhi_private_page *slab)
{
	uint32_t nr = 1u << slab->order;

	task->heap->bins[slab->class_id].nr_pages -= nr;
	for (uint32_t i = 0; i < nr; i++)
		slab[i].type = BHI_PRIVATE_UNUSED;
	bhi_private_put(task, number_of(slab), nr);
}

static void *alloc_small(struct bh_task *task, unsigned class_id)
{
	struct bhi_private_heap *heap = heap_of(task);
	struct bhi_private_bin *bin;
	void *object;

	if (!heap)
		return NULL;
	bin = &heap->bins[class_id];
	for (;;) {
		struct bhi_private_page *slab = bin->active;

		if (slab->free || extend(slab))
			break;
		/* Full: the next free in it lists it again. */
		if (slab != &no_slab)
			slab->is_listed = 0;
		bin->active = &no_slab;
		if (bin->partial) {
			slab = &bhi_private_pages[bin->partial];
			list_unlink(bin, slab);
			slab->is_listed = 1;
		} else {
			slab = new_slab(task, heap, class_id);
			if (!slab)
				return NULL;
		}
		bin->active = slab;
	}
	object = bin->active->free;
	bin->active->free = *(void **)object;
	bin->active->used++;
	bhi_private_note(object, true);
	return object;
}

static void *mark_run(uint32_t number, uint32_t nr_pages)
{
	struct bhi_private_page *page = &bhi_private_pages[number];

	page->type = BHI_PRIVATE_RUN;
	page->head = number;
	page->used = nr_pages;
	return bhi_private_page_address(number);
}

/* Address space for @room pages, of which @nr_pages are used now. */
static void *alloc_span(struct bh_task *task, uint32_t nr_pages, uint32_t room)
{
	uint32_t area = bhi_private_take_span(task, BHI_AREA_RUN, room);

	if (area == BHI_NO_AREA)
		return NULL;
	/* The first page of the window stands for none. */
	if (!area) {
		uint32_t other = bhi_private_take_span(task, BHI_AREA_RUN, room);

		bhi_private_drop(task, area, 0);
		if (other == BHI_NO_AREA)
			return NULL;
		area = other;
	}
	bhi_store(&bhi_private.areas[area].nr_pages, nr_pages);
	if (bhi_private_populate(task, area, 0, nr_pages)) {
		bhi_private_drop(task, area, nr_pages);
		return NULL;
	}
	return mark_run(bhi_private_first_page(area), nr_pages);
}

static void *alloc_run(struct bh_task *task, size_t size, bool *ret_zeroed)
{
	struct bhi_private_heap *heap = heap_of(task);
	uint32_t nr_pages, number;

	if (!heap || size > bhi_private.size / 2)
		return NULL;
	nr_pages = (uint32_t)(bhi_page_align(size) >> BHI_PAGE_SHIFT);
	if (nr_pages > BHI_PRIVATE_MAX_RUN) {
		*ret_zeroed = true;
		return alloc_span(task, nr_pages, nr_pages);
	}
	number = bhi_private_take(task, nr_pages, ret_zeroed);
	return number ? mark_run(number, nr_pages) : NULL;
}

void *bhi_private_alloc(struct bh_task *task, size_t size, bool *ret_zeroed)
{
	*ret_zeroed = false;
	if (bhi_unlikely(bhi_task_killed(task)))
		(void)bhi_task_check(task);
	if (size <= BHI_PRIVATE_MAX_SIZE)
		return alloc_small(task, bhi_class_of(size));
	return alloc_run(task, size, ret_zeroed);
}

void *bhi_private_alloc_growing(struct bh_task *task, size_t size)
{
	uint32_t nr_pages;

	if (size <= BHI_PRIVATE_MAX_RUN * BHI_PAGE_SIZE ||
		size > bhi_private.size / GROWING_SHARE)
		return NULL;
	nr_pages = (uint32_t)(bhi_page_align(size) >> BHI_PAGE_SHIFT);
	return alloc_span(task, nr_pages, 2 * nr_pages);
}

/* The page struct that tells what @ptr is: of a slab or of a run. NULL: nothing of
 * @task's. */
static struct bhi_private_page *find_head(const struct bh_task *task, const void *ptr)
{
	struct bhi_private_page *page;
	const struct bhi_area *area;

	if (!bhi_private_contains(ptr))
		return NULL;
	area = &bhi_private.areas[bhi_area_number(ptr)];
	if (bhi_load(&area->task) != task || area->kind == BHI_AREA_MAP)
		return NULL;
	page = &bhi_private_pages[bhi_private_page_number(ptr)];
	switch (page->type) {
	case BHI_PRIVATE_SLAB:
	case BHI_PRIVATE_TAIL:
		return &bhi_private_pages[page->head];
	case BHI_PRIVATE_RUN:
		return (uintptr_t)ptr % BHI_PAGE_SIZE ? NULL : page;
	default:
		return NULL;
	}
}

/* A slab that was full, or in which nothing lives any more. */
void bhi_private_free_slow(struct bh_task *task, struct bhi_private_page *slab)
{
	struct bhi_private_bin *bin = &task->heap->bins[slab->class_id];

	if (slab == bin->active)
		return;
	if (!slab->is_listed)
		list_push(bin, slab);
	/* One stays, for those who allocate and free at the edge. */
	if (!slab->used && (slab->next || slab->prev)) {
		list_unlink(bin, slab);
		free_slab(task, slab);
	}
}

static void free_run(struct bh_task *task, struct bhi_private_page *page)
{
	uint32_t number = number_of(page), area = number / BHI_AREA_PAGES;
	uint32_t nr_pages = page->used;

	page->type = BHI_PRIVATE_UNUSED;
	if (bhi_private.areas[area].kind == BHI_AREA_HEAP) {
		bhi_private_put(task, number, nr_pages);
		return;
	}
	/* More than are used, if the kernel has refused to zap some. */
	bhi_private_drop(task, area, bhi_private.areas[area].nr_pages);
}

static bool is_object(const struct bhi_private_page *slab, const void *ptr)
{
	size_t offset = (size_t)((const char *)ptr - slab_base(slab));
	size_t size = bhi_class_sizes[slab->class_id];

	return bhi_class_divides(slab->class_id, offset) &&
	       offset + size <= BHI_PAGE_SIZE << slab->order && slab->used &&
	       is_live(ptr);
}

bool bhi_private_free(struct bh_task *task, void *ptr)
{
	struct bhi_private_page *head = find_head(task, ptr);

	if (bhi_unlikely(!head))
		return false;
	if (bhi_unlikely(head->type == BHI_PRIVATE_RUN)) {
		free_run(task, head);
		return true;
	}
	if (bhi_unlikely(!is_object(head, ptr) || head->free == ptr))
		return false;
	bhi_private_note(ptr, false);
	*(void **)ptr = head->free;
	head->free = ptr;
	head->used--;
	if (bhi_unlikely(!head->is_listed || !head->used))
		bhi_private_free_slow(task, head);
	return true;
}

size_t bhi_private_size(const struct bh_task *task, const void *ptr)
{
	const struct bhi_private_page *head = find_head(task, ptr);

	if (!head)
		return 0;
	if (head->type == BHI_PRIVATE_RUN)
		return (size_t)head->used << BHI_PAGE_SHIFT;
	return is_object(head, ptr) && head->free != ptr ? bhi_class_sizes[head->class_id]
							 : 0;
}

/* A run in a shared area: into free pages behind it, or by giving some back. */
static bool resize_run(struct bh_task *task, struct bhi_private_page *page, uint32_t nr)
{
	uint32_t number = number_of(page), had = page->used;

	if (nr > had) {
		if (!bhi_private_take_at(task, number + had, nr - had))
			return false;
		page->used = nr;
	} else if (nr < had) {
		page->used = nr;
		bhi_private_put(task, number + nr, had - nr);
	}
	return true;
}

/* The reaper goes by the number of pages: it covers what is populated. */
static bool resize_span(struct bh_task *task, struct bhi_private_page *page, uint32_t nr)
{
	uint32_t number = number_of(page) / BHI_AREA_PAGES, had = page->used;
	struct bhi_area *area = &bhi_private.areas[number];

	if (nr > area->nr_areas * BHI_AREA_PAGES)
		return false;
	if (nr > had) {
		bhi_store(&area->nr_pages, nr);
		if (bhi_private_populate(task, number, had, nr - had)) {
			if (!bhi_private_zap(task, number, had, nr - had))
				bhi_store(&area->nr_pages, had);
			return false;
		}
	} else if (nr < had) {
		if (bhi_private_zap(task, number, nr, had - nr))
			return false;
		bhi_store(&area->nr_pages, nr);
	}
	page->used = nr;
	return true;
}

bool bhi_private_resize(struct bh_task *task, void *ptr, size_t size)
{
	struct bhi_private_page *page = find_head(task, ptr);
	uint32_t nr_pages;

	if (!page || page->type != BHI_PRIVATE_RUN || size <= BHI_PRIVATE_MAX_SIZE ||
		size > bhi_private.size / 2)
		return false;
	nr_pages = (uint32_t)(bhi_page_align(size) >> BHI_PAGE_SHIFT);
	if (bhi_private.areas[bhi_area_number(ptr)].kind == BHI_AREA_HEAP)
		return nr_pages <= BHI_PRIVATE_MAX_RUN &&
		       resize_run(task, page, nr_pages);
	return nr_pages > BHI_PRIVATE_MAX_RUN && resize_span(task, page, nr_pages);
}
