/* SPDX-License-Identifier: MIT */
/*
 * An area has two bits for each page, populated and in use; what is populated and not in
 * use is idle, and is what others may take at any time (task/keep.h). So a page is made
 * used before it is looked at whether it is populated, and what is said here about an
 * area is changed in busy sections of the region only:
 *
 *	region.nr_idle = pages populated and not in use, in all areas of the heap
 *	heap.nr_used   = pages in use in them
 *
 * Areas with room are on lists by their longest run of free pages: list n has those of
 * 2^n pages and more, less than 2^(n+1). The length is an upper bound. What becomes free
 * raises it to what is true; what is taken leaves it as it is, and a search that finds
 * less lowers it.
 *
 * How many idle pages a task keeps: BHI_KEEP_LEAST to begin with. Each time there are
 * more, half of them go back, and it is granted twice as many, up to KEEP_MOST; and an
 * eighth of what is in use besides. Whoever comes for them sets it back to the beginning,
 * so at the limit of a group nobody keeps much. When the thread leaves, the least is
 * kept, and the eighth.
 */
#include "alloc/private_areas.h"

#include <string.h>

#include "charge/charge.h"
#include "task/end.h"
#include "task/enter.h"
#include "task/keep.h"
#include "task/section.h"
#include "task/warm.h"

/* 8 MiB: less than what other allocators keep of a thread that needed so much. */
#define KEEP_MOST ((uint32_t)2048)

/* Areas of a list that a search looks at: what it passes by is a little waste, where
 * thousands of areas would be a long way. */
#define MAX_LOOKS 8

/* Runs that small tasks have: of an even area they are taken from the end, which shares a
 * page of the table of pages with the front of the next one. */
#define SMALL_RUN 4

#define NR_WORDS (BHI_AREA_PAGES / 64)

static struct bhi_area *area_of(uint32_t number)
{
	return &bhi_private.areas[number / BHI_AREA_PAGES];
}

/* Begin to change pages. If it is refused, the task is killed and not holding. */
static void enter(struct bh_task *task)
{
	if (bhi_likely(bhi_region_enter(&task->region)))
		return;
	bhi_task_unwind(task);
}

/* Those of the bits from @page to @end that are in word @w. */
static uint64_t bits_in(unsigned w, uint32_t page, uint32_t end)
{
	uint32_t from = bhi_max(page, w * 64) - w * 64;
	uint32_t to = bhi_min(end, w * 64 + 64) - w * 64;

	return (UINT64_MAX >> (64 - (to - from))) << from;
}

/* The first bit from @from on that is set, or with @flip all ones that is not. */
static uint32_t next_bit(const uint64_t *words, uint32_t from, uint64_t flip)
{
	while (from < BHI_AREA_PAGES) {
		uint64_t rest = (words[from / 64] ^ flip) >> (from % 64);

		if (rest)
			return from + (uint32_t)__builtin_ctzll(rest);
		from = (from / 64 + 1) * 64;
	}
	return BHI_AREA_PAGES;
}

/* How many bits just before @page are not set. */
static uint32_t clear_before(const uint64_t *words, uint32_t page)
{
	uint32_t at = page;

	while (at) {
		uint32_t last = at - 1;
		uint64_t rest = words[last / 64] << (63 - last % 64);

		if (rest)
			return page - at + (uint32_t)__builtin_clzll(rest);
		at = last / 64 * 64;
	}
	return page;
}

static uint32_t last_bit(const uint64_t *words)
{
	for (unsigned w = NR_WORDS; w-- > 0;) {
		if (words[w])
			return w * 64 + 63 - (uint32_t)__builtin_clzll(words[w]);
	}
	return BHI_AREA_PAGES;
}

/* The first, or the last, of @nr adjacent bits that are set, or BHI_AREA_PAGES. Shortens
 * all runs of them by the same, twice as much each time, until one of @nr is a single
 * bit. */
static uint32_t find_fit(const uint64_t *words, uint32_t nr, bool last)
{
	uint64_t fit[NR_WORDS] = {words[0], words[1], words[2], words[3]};

	for (uint32_t had = 1, step; had < nr; had += step) {
		step = bhi_min(had, nr - had);
		fit[0] &= fit[0] >> step | fit[1] << (64 - step);
		fit[1] &= fit[1] >> step | fit[2] << (64 - step);
		fit[2] &= fit[2] >> step | fit[3] << (64 - step);
		fit[3] &= fit[3] >> step;
	}
	return last ? last_bit(fit) : next_bit(fit, 0, 0);
}

_Static_assert(BHI_PRIVATE_MAX_RUN <= 64, "a step is less than a word");
_Static_assert(NR_WORDS == 4, "find_fit() has each by name");

/* What is populated costs nothing; else what is at the front, so that what is in use
 * gathers there; of every other area at the end, if it is small. */
static uint32_t find_run(const struct bhi_area *area, uint32_t nr)
{
	bool last = nr <= SMALL_RUN && (area - bhi_private.areas) % 2 == 0;
	uint64_t free[NR_WORDS], idle[NR_WORDS], differs = 0;
	uint32_t page;

	for (unsigned w = 0; w < NR_WORDS; w++) {
		free[w] = ~area->used[w];
		idle[w] = free[w] & bhi_load(&area->populated[w]);
		differs |= free[w] ^ idle[w];
	}
	page = find_fit(idle, nr, last);
	return page < BHI_AREA_PAGES || !differs ? page : find_fit(free, nr, last);
}

static unsigned log2_of(uint32_t n)
{
	return 31 - (unsigned)__builtin_clz(n);
}

static void list_unlink(struct bhi_private_heap *heap, struct bhi_area *area)
{
	if (area->free_next != BHI_NO_AREA)
		bhi_private.areas[area->free_next].free_prev = area->free_prev;
	if (area->free_prev != BHI_NO_AREA)
		bhi_private.areas[area->free_prev].free_next = area->free_next;
	else
		heap->free[log2_of(area->longest)] = area->free_next;
}

static void list_push(struct bhi_private_heap *heap, uint32_t number)
{
	struct bhi_area *area = &bhi_private.areas[number];
	uint32_t *head = &heap->free[log2_of(area->longest)];

	area->free_prev = BHI_NO_AREA;
	area->free_next = *head;
	if (*head != BHI_NO_AREA)
		bhi_private.areas[*head].free_prev = number;
	*head = number;
}

/* 0: there is no room. */
static void set_longest(struct bhi_private_heap *heap, uint32_t number, uint32_t longest)
{
	struct bhi_area *area = &bhi_private.areas[number];

	if (area->longest && longest && log2_of(area->longest) == log2_of(longest)) {
		area->longest = (uint16_t)longest;
		return;
	}
	if (area->longest)
		list_unlink(heap, area);
	area->longest = (uint16_t)longest;
	if (longest)
		list_push(heap, number);
}

/* Those of the fewest pages that fit, so that long runs stay. The number of the first, or
 * 0: there are none. */
static uint32_t find_pages(struct bhi_private_heap *heap, uint32_t nr)
{
	for (unsigned list = log2_of(nr); list < BHI_PRIVATE_FREE_LISTS; list++) {
		uint32_t number = heap->free[list], next;

		for (int i = 0; i < MAX_LOOKS && number != BHI_NO_AREA; i++) {
			struct bhi_area *area = &bhi_private.areas[number];
			uint32_t page = BHI_AREA_PAGES;

			next = area->free_next;
			if (area->longest >= nr) {
				page = find_run(area, nr);
				if (page < BHI_AREA_PAGES)
					return bhi_private_first_page(number) + page;
				set_longest(heap, number, nr - 1);
			}
			number = next;
		}
	}
	return 0;
}

static void add_idle(struct bhi_region *region, uint32_t nr)
{
	bhi_store(&region->nr_idle, region->nr_idle + nr);
}

/* Of use or out of it; how many of them are populated. */
static uint32_t flip_used(uint32_t number, uint32_t nr)
{
	struct bhi_area *area = area_of(number);
	uint32_t page = number % BHI_AREA_PAGES, end = page + nr, missing = 0;

	for (unsigned w = page / 64; w <= (end - 1) / 64; w++) {
		uint64_t bits = bits_in(w, page, end);

		area->used[w] ^= bits;
		bits &= ~bhi_load(&area->populated[w]);
		for (; bhi_unlikely(bits != 0); bits &= bits - 1)
			missing++;
	}
	return nr - missing;
}

/* How many of them are populated. */
static uint32_t mark_used(struct bh_task *task, uint32_t number, uint32_t nr)
{
	uint32_t nr_populated = flip_used(number, nr);

	task->heap->nr_used += nr;
	add_idle(&task->region, -nr_populated);
	return nr_populated;
}

static void mark_free(struct bh_task *task, uint32_t number, uint32_t nr)
{
	const struct bhi_area *area = area_of(number);
	uint32_t page = number % BHI_AREA_PAGES, around;

	add_idle(&task->region, flip_used(number, nr));
	task->heap->nr_used -= nr;
	around = next_bit(area->used, page + nr, 0) - page +
		 clear_before(area->used, page);
	if (around > area->longest)
		set_longest(task->heap, number / BHI_AREA_PAGES, around);
}

uint32_t bhi_private_take_span(
	struct bh_task *task, enum bhi_area_kind kind, uint32_t nr_pages)
{
	uint32_t first;

	enter(task);
	first = bhi_region_take(&task->region, task, kind, nr_pages);
	bhi_region_leave(&task->region);
	return first;
}

void bhi_private_drop(struct bh_task *task, uint32_t first, uint32_t nr)
{
	if (bhi_private_zap(task, first, 0, nr))
		return;
	enter(task);
	bhi_region_give(&task->region, first);
	bhi_region_leave(&task->region);
}

/* The group cannot take what is populated in a warm area. */
static BHI_COLD void refuse_warm(uint32_t number, uint64_t bytes)
{
	struct bhi_area *area = &bhi_private.areas[number];

	bhi_window_zap(bhi_area_address(number), BHI_AREA_SIZE);
	memset(area->populated, 0, sizeof(area->populated));
	bhi_areas_give(number, 1);
	bhi_uncharge(bhi_group_root(), (int64_t)bytes, false);
}

/* An area that a small task left behind, its pages charged. */
static uint32_t take_warm(struct bh_task *task)
{
	uint32_t number = bhi_warm_take(task), nr;
	uint64_t bytes;

	if (number == BHI_NO_AREA)
		return BHI_NO_AREA;
	nr = bhi_area_populated(&bhi_private.areas[number]);
	bytes = (uint64_t)nr << BHI_PAGE_SHIFT;
	if (!bhi_counter_try_charge_below_root(&task->group->counter, (int64_t)bytes)) {
		refuse_warm(number, bytes);
		return BHI_NO_AREA;
	}
	bhi_region_adopt(&task->region, number, bytes);
	add_idle(&task->region, nr);
	return number;
}

/* Page 0 of the window is never handed out, so that 0 is no page number. */
static bool add_area(struct bh_task *task)
{
	struct bhi_region *region = &task->region;
	uint32_t area = BHI_NO_AREA;

	enter(task);
	if (bhi_region_is_empty(region))
		area = take_warm(task);
	if (area == BHI_NO_AREA)
		area = bhi_region_take(region, task, BHI_AREA_HEAP, BHI_AREA_PAGES);
	if (area != BHI_NO_AREA) {
		bhi_private.areas[area].longest = 0;
		set_longest(task->heap, area, BHI_AREA_PAGES);
		if (!area)
			(void)mark_used(task, 0, 1);
	}
	bhi_region_leave(region);
	return area != BHI_NO_AREA;
}

/* Used from now on, though not all populated perhaps. 0: no area has so many. */
static uint32_t find_and_use(struct bh_task *task, uint32_t nr, uint32_t *ret_missing)
{
	uint32_t number;

	enter(task);
	number = find_pages(task->heap, nr);
	if (number)
		*ret_missing = nr - mark_used(task, number, nr);
	bhi_region_leave(&task->region);
	return number;
}

uint32_t bhi_private_take(struct bh_task *task, uint32_t nr, bool *ret_zeroed)
{
	uint32_t missing = 0, number = find_and_use(task, nr, &missing);

	if (!number && add_area(task))
		number = find_and_use(task, nr, &missing);
	if (!number)
		return 0;
	/* What the kernel did give stays, unused. */
	if (missing && bhi_private_populate(task, number / BHI_AREA_PAGES,
			       number % BHI_AREA_PAGES, nr)) {
		bhi_private_put(task, number, nr);
		return 0;
	}
	if (ret_zeroed)
		*ret_zeroed = missing == nr;
	return number;
}

/* Used from now on, though not all populated perhaps. */
static bool try_use(struct bh_task *task, uint32_t number, uint32_t nr)
{
	uint32_t page = number % BHI_AREA_PAGES;
	bool free = false;

	/* Not into the next area. */
	if (!page || page + nr > BHI_AREA_PAGES)
		return false;
	enter(task);
	if (next_bit(area_of(number)->used, page, 0) >= page + nr) {
		(void)mark_used(task, number, nr);
		free = true;
	}
	bhi_region_leave(&task->region);
	return free;
}

bool bhi_private_take_at(struct bh_task *task, uint32_t number, uint32_t nr)
{
	if (!try_use(task, number, nr))
		return false;
	if (!bhi_private_populate(
		    task, number / BHI_AREA_PAGES, number % BHI_AREA_PAGES, nr))
		return true;
	bhi_private_put(task, number, nr);
	return false;
}

/* Between enter and leave, or claimed; bytes to uncharge, and to take off nr_idle. */
static uint64_t zap_idle(struct bh_task *task, uint32_t number)
{
	const struct bhi_area *area = &bhi_private.areas[number];
	uint64_t idle[NR_WORDS], sum = 0;
	uint32_t page = 0, end;

	for (unsigned w = 0; w < NR_WORDS; w++)
		idle[w] = bhi_load(&area->populated[w]) & ~area->used[w];
	while ((page = next_bit(idle, page, 0)) < BHI_AREA_PAGES) {
		uint64_t bytes;

		end = next_bit(idle, page, UINT64_MAX);
		bytes = bhi_region_zap(&task->region, number, page, end - page);
		/* What the kernel refused stays charged. */
		if (bhi_unlikely(bytes >> BHI_PAGE_SHIFT < end - page))
			bhi_region_clear(number, page, end - page);
		sum += bytes;
		page = end;
	}
	return sum;
}

/* Uncharge what was idle, and only then say that it no longer is: who sees none any more,
 * and so nobody to take pages from, finds what they were charged. */
static void give_back(struct bh_task *task, uint64_t bytes)
{
	struct bhi_region *region = &task->region;

	bhi_task_uncharge(task, bytes);
	/* pairs with the acquire in find_from() */
	bhi_store_release(
		&region->nr_idle, region->nr_idle - (uint32_t)(bytes >> BHI_PAGE_SHIFT));
}

/* Those with the longest runs first: they cost the fewest system calls, and are what is
 * taken from last. False: the region is being reaped. */
static bool zap_down_to(struct bh_task *task, uint32_t nr)
{
	for (unsigned list = BHI_PRIVATE_FREE_LISTS; list-- > 0;) {
		uint32_t number = task->heap->free[list];

		for (; number != BHI_NO_AREA;
			number = bhi_private.areas[number].free_next) {
			if (bhi_load(&task->region.nr_idle) <= nr)
				return true;
			if (!bhi_region_enter(&task->region))
				return false;
			give_back(task, zap_idle(task, number));
			bhi_region_leave(&task->region);
		}
	}
	return true;
}

static uint32_t limit_of(const struct bhi_private_heap *heap, uint32_t keep)
{
	return keep + heap->nr_used / 8;
}

/* More idle pages than the least. */
static BHI_NOINLINE void keep_some(struct bh_task *task)
{
	struct bhi_private_heap *heap = task->heap;
	uint32_t keep = bhi_load(&heap->keep), limit = limit_of(heap, keep);

	bhi_keep_join(task);
	if (bhi_load(&task->region.nr_idle) <= limit)
		return;
	if (!zap_down_to(task, limit / 2))
		bhi_task_unwind(task);
	bhi_store(&heap->keep, bhi_min(2 * keep, KEEP_MOST));
}

void bhi_private_put(struct bh_task *task, uint32_t number, uint32_t nr)
{
	struct bhi_private_heap *heap = task->heap;
	uint32_t nr_idle;

	enter(task);
	mark_free(task, number, nr);
	nr_idle = task->region.nr_idle;
	bhi_region_leave(&task->region);
	if (nr_idle > BHI_KEEP_LEAST &&
		(!bhi_keep_joined(task) ||
			nr_idle > limit_of(heap, bhi_load(&heap->keep))))
		keep_some(task);
}

/* Nobody unwinds from here any more: what cannot be zapped is being reaped. */
static void leave(struct bh_task *task)
{
	(void)zap_down_to(task, limit_of(task->heap, BHI_KEEP_LEAST));
	if (bhi_load(&task->region.nr_idle) <= BHI_KEEP_LEAST)
		bhi_keep_part(task);
}

/* Others need them. The region is claimed. */
static uint64_t zap_for_others(struct bh_task *task)
{
	uint64_t sum = 0;

	bhi_store(&task->heap->keep, BHI_KEEP_LEAST);
	for (unsigned list = BHI_PRIVATE_FREE_LISTS; list-- > 0;) {
		uint32_t number = task->heap->free[list];

		for (; number != BHI_NO_AREA;
			number = bhi_private.areas[number].free_next) {
			uint64_t bytes = zap_idle(task, number);

			give_back(task, bytes);
			sum += bytes;
			if (sum >= (uint64_t)BHI_ZAP_PAGES << BHI_PAGE_SHIFT)
				return sum;
		}
	}
	return sum;
}

void bhi_private_areas_init(struct bhi_private_heap *heap)
{
	heap->keep = BHI_KEEP_LEAST;
	for (unsigned i = 0; i < BHI_PRIVATE_FREE_LISTS; i++)
		heap->free[i] = BHI_NO_AREA;
}

void bhi_private_areas_start(void)
{
	bhi_keep_zap_hook = zap_for_others;
	bhi_task_leave_hook = leave;
}
