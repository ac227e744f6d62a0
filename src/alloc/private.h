/* SPDX-License-Identifier: MIT */
/*
 * The private heap of a task: slabs and runs of pages in areas of its own, used by the
 * thread inside only, so there is no lock and no atomic operation. What describes pages
 * lies outside of the private window, in a table of one struct for each page; the links
 * of free objects lie in the objects. When the task is reaped those go with it, and
 * whoever follows one unwinds: nothing here needs to be consistent after that, for the
 * heap is dropped as a whole.
 *
 * Pages of slabs and runs are charged and populated when they are handed out for use,
 * so no pagefault and no EFAULT ever comes from them. Pages that fall out of use stay
 * populated up to a bound, for reuse; they are all that others ever take of a heap
 * (private_areas.c).
 */
#ifndef BHI_ALLOC_PRIVATE_H
#define BHI_ALLOC_PRIVATE_H

#include "alloc/classes.h"
#include "task/task.h"

/* Classes up to 32 KiB are served from slabs; larger objects are runs of pages. */
#define BHI_PRIVATE_CLASSES  73
#define BHI_PRIVATE_MAX_SIZE ((size_t)32768)

enum bhi_private_type {
	BHI_PRIVATE_UNUSED,
	BHI_PRIVATE_SLAB, /* first page of a slab */
	BHI_PRIVATE_RUN,  /* first page of an object of whole pages */
	BHI_PRIVATE_TAIL, /* a later page of a slab; .head leads to the first */
};

struct bhi_private_page {
	void *free;          /* slab: free objects */
	uint32_t used;       /* slab: objects handed out */
	uint32_t nr_fresh;   /* slab: objects at the end that were never handed out */
	uint32_t next, prev; /* slab: others of the class with free objects */
	uint32_t head;       /* number of the first page */
	uint8_t type;        /* enum bhi_private_type */
	uint8_t class_id;
	uint8_t order;     /* slab: its pages */
	uint8_t is_listed; /* slab: on the list of those with free objects, or active */
};

_Static_assert(sizeof(struct bhi_private_page) == 32, "a page struct is half a line");

struct bhi_private_bin {
	struct bhi_private_page *active; /* never NULL */
	uint32_t partial;                /* first page number of the list, or 0 */
	uint32_t nr_pages;               /* of all slabs of the class */
};

/* By the length of the longest run of free pages. */
#define BHI_PRIVATE_FREE_LISTS 9

_Static_assert(
	1 << (BHI_PRIVATE_FREE_LISTS - 1) == BHI_AREA_PAGES, "an empty area has one");

struct bhi_private_heap {
	/* the thread inside */
	uint32_t nr_used; /* pages in use in areas that are shared */
	/* atomic */
	uint32_t keep; /* idle pages that stay populated, private_areas.c */
	/* changed in busy sections only, and read by who has claimed the region */
	uint32_t free[BHI_PRIVATE_FREE_LISTS]; /* first area of each, or BHI_NO_AREA */
	/* the thread inside */
	struct bhi_private_bin bins[BHI_PRIVATE_CLASSES];
};

extern struct bhi_private_page *bhi_private_pages;

#if BH_DEBUG
/* A bit for each 8 bytes of the window: an object of a slab begins there and is live. */
extern uint64_t *bhi_private_live;

static inline void bhi_private_note(const void *object, bool live)
{
	size_t number = ((uintptr_t)object - (uintptr_t)bhi_private.base) / 8;
	uint64_t bit = (uint64_t)1 << (number % 64);
	uint64_t *word = &bhi_private_live[number / 64];

	bh_assert(!(*word & bit) == live);
	*word ^= bit;
}
#else
static inline void bhi_private_note(const void *object, bool live)
{
	(void)object, (void)live;
}
#endif

/* 0 or -ENOMEM. After bhi_window_init and bhi_classes_init. Context: any; once. */
int bhi_private_init(void);

/*
 * An object of @size bytes in the heap of @task, the current one. NULL: no memory, or the
 * task is killed and may not unwind here. May unwind. Context: owner thread only, may
 * wait.
 */
void *bhi_private_alloc(struct bh_task *task, size_t size, bool *ret_zeroed);

/* The usual case: an active slab has a free object. NULL otherwise. Context: owner thread
 * only, no allocation. */
static inline void *bhi_private_try_alloc(struct bh_task *task, unsigned class_id)
{
	struct bhi_private_page *slab;
	void *object;

	if (bhi_unlikely(!task->heap))
		return NULL;
	slab = task->heap->bins[class_id].active;
	object = slab->free;
	if (bhi_unlikely(!object))
		return NULL;
	slab->free = *(void **)object;
	slab->used++;
	bhi_private_note(object, true);
	return object;
}

/*
 * Free an object of the heap of @task, the current one. False: no object of it is there.
 * Context: owner thread only.
 */
bool bhi_private_free(struct bh_task *task, void *ptr);

/* The free that leaves an unlisted slab with a free object, or one with nothing alive:
 * all but the link is left to do. Context: owner thread only. */
BHI_NOINLINE void bhi_private_free_slow(
	struct bh_task *task, struct bhi_private_page *slab);

/* The usual case: @ptr lies in a slab of @task, the current one, and is not what was
 * freed last; that an object begins there is taken on trust. False: something else.
 * Context: owner thread only. */
static inline bool bhi_private_try_free(struct bh_task *task, void *ptr)
{
	size_t number = ((uintptr_t)ptr - (uintptr_t)bhi_private.base) >> BHI_PAGE_SHIFT;
	struct bhi_private_page *page = &bhi_private_pages[number];

	if (bhi_unlikely(
		    bhi_load(&bhi_private.areas[number / BHI_AREA_PAGES].task) != task))
		return false;
	if (bhi_unlikely(page->type != BHI_PRIVATE_SLAB)) {
		if (page->type != BHI_PRIVATE_TAIL)
			return false;
		page = &bhi_private_pages[page->head];
	}
	if (bhi_unlikely(page->free == ptr))
		return false;
	*(void **)ptr = page->free;
	page->free = ptr;
	page->used--;
	if (bhi_unlikely(!page->is_listed || !page->used))
		bhi_private_free_slow(task, page);
	return true;
}

/* Bytes of the object at @ptr; 0: there is none. Context: owner thread only. */
size_t bhi_private_size(const struct bh_task *task, const void *ptr);

/* The usual case: of an object of a slab, on the same trust as try_free. 0: something
 * else. Context: owner thread only. */
static inline size_t bhi_private_try_size(const struct bh_task *task, const void *ptr)
{
	size_t number = ((uintptr_t)ptr - (uintptr_t)bhi_private.base) >> BHI_PAGE_SHIFT;
	const struct bhi_private_page *page = &bhi_private_pages[number];

	if (bhi_unlikely(
		    bhi_load(&bhi_private.areas[number / BHI_AREA_PAGES].task) != task))
		return 0;
	if (page->type == BHI_PRIVATE_TAIL)
		page = &bhi_private_pages[page->head];
	return bhi_likely(page->type == BHI_PRIVATE_SLAB)
		       ? bhi_class_sizes[page->class_id]
		       : 0;
}

/* Change the size in place: of objects above BHI_PRIVATE_MAX_SIZE that stay so. May
 * unwind. Context: owner thread only, may wait. */
bool bhi_private_resize(struct bh_task *task, void *ptr, size_t size);

/* A large object that has grown and may do so again: in place, to twice the size. NULL:
 * it is not one, or there is no memory; bhi_private_alloc() may do it. Context: owner
 * thread only, may wait. */
void *bhi_private_alloc_growing(struct bh_task *task, size_t size);

/* Charge, then populate, in steps, what is missing of @nr pages of a span of @task, the
 * current one. 0 or -ENOMEM: some may be populated. May unwind. Context: owner thread
 * only, may wait. */
int bhi_private_populate(
	struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr);

/* Zap and uncharge @nr pages of a span. Returns how many the kernel refused to zap: these
 * stay charged and read as zero. May unwind. Context: owner thread only. */
uint32_t bhi_private_zap(
	struct bh_task *task, uint32_t first, uint32_t page, uint32_t nr);

/* The same for all @nr pages of a span, which is given back, unless some were refused:
 * then it stays the task's to its end. May unwind. Context: owner thread only. */
void bhi_private_drop(struct bh_task *task, uint32_t first, uint32_t nr);

#endif
