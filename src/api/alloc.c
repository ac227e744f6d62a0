/* SPDX-License-Identifier: MIT */
/*
 * Shared memory. Which allocator serves a request:
 *
 *	up to 128 KiB	a slab of this thread and group; the first few of a class in a
 *			group: a slab that very small groups share
 *	above 8 KiB in a group that holds less than 128 times the size, and above
 *	128 KiB: whole pages
 */
#include <errno.h>
#include <string.h>

#include "account/pressure.h"
#include "account/waiters.h"
#include "alloc/cache.h"
#include "alloc/freed.h"
#include "alloc/run.h"
#include "alloc/small.h"
#include "alloc/private.h"
#include "api/names.h"
#include "api/private.h"
#include "api/start.h"
#include "base/failpoint.h"
#include "base/parse.h"
#include "charge/charge.h"
#include "task/kill.h"
#include "task/section.h"

/* A slab holds at least eight objects of more than 8 KiB: too much for a group that does
 * not hold many times that. */
#define SMALL_OBJECT_SIZE  8192
#define OBJECTS_IN_A_GROUP 128

/* What bulkhead.h promises for typed caches. */
#define MAX_CACHE_OBJECT 32768

#define MAX_ALIGN (BHI_PAGE_SIZE << BHI_BLOCK_ORDER)

/* Between two attempts of BH_NOFAIL when the kernel has no memory: a kernel tick at
 * least, as what one attempt gives back wakes others that wait like it; and at most as
 * long as those that wait for a charge. */
#define RETRY_NS      BHI_NS_PER_MS
#define LOOK_AGAIN_NS (100 * BHI_NS_PER_MS)

static bool prefers_pages(const struct bh_group *group, size_t size)
{
	if (size <= SMALL_OBJECT_SIZE)
		return false;
	return size > BHI_CLASS_MAX_SIZE ||
	       bhi_load(&group->counter.usage) < (int64_t)size * OBJECTS_IN_A_GROUP;
}

/*
 * BH_NOFAIL: the charge waits by itself. What can still be refused is memory of the
 * kernel, for pages or for what describes them, and nobody tells when that comes back.
 * What others give back here may go there.
 */
static BHI_COLD bool must_retry(struct bh_group *group, size_t size, unsigned flags)
{
	uint32_t sequence;

	if (!(flags & BH_NOFAIL) || size > bhi_window.size || bhi_process_inert())
		return false;
	bhi_pressure_enter(group);
	bhi_waiters_enter();
	sequence = bhi_waiters_sequence();
	bhi_sys_pause(RETRY_NS);
	(void)bhi_waiters_wait(sequence, LOOK_AGAIN_NS);
	bhi_waiters_leave();
	bhi_pressure_leave();
	return true;
}

/* Around a request: BH_NOFAIL ones pass failure points untouched. */
static inline void begin(unsigned flags)
{
	bhi_failpoint_exempt += !!(flags & BH_NOFAIL);
}

static inline void end(unsigned flags)
{
	bhi_failpoint_exempt -= !!(flags & BH_NOFAIL);
}

static void *serve(struct bh_group *group, size_t size, unsigned flags)
{
	unsigned class_id;
	void *p;

	if (prefers_pages(group, size))
		return bhi_run_object_alloc(group, size, 0, flags);
	class_id = bhi_class_of(size);
	if (bhi_fault(BH_FAULT_SLAB, bhi_class_sizes[class_id], flags))
		return NULL;
	if (bhi_small_wants(group, class_id) && !bhi_heap_serves(group, class_id))
		p = bhi_small_alloc(group, class_id, flags);
	else
		p = bhi_heap_alloc(group, class_id, flags);
	if (p && (flags & BH_ZERO))
		memset(p, 0, bhi_class_sizes[class_id]);
	return p;
}

/* Everything but the one-screen path of bh_alloc. NULL sets errno. A child of fork must
 * not get as far as a lock. */
static BHI_NOINLINE void *alloc_slow(struct bh_group *group, size_t size, unsigned flags)
{
	void *p;

	group = bhi_api_group(group);
	if (!group)
		return NULL;
	if (!bhi_flags_are_valid(flags)) {
		errno = EINVAL;
		return NULL;
	}
	begin(flags);
	do
		p = bhi_process_inert() ? NULL
					: serve(bhi_group_online(group), size, flags);
	while (!p && must_retry(group, size, flags));
	end(flags);
	if (!p)
		errno = ENOMEM;
	return p;
}

static void *alloc_run(
	struct bh_group *group, size_t size, unsigned align_order, unsigned flags)
{
	void *p;

	group = bhi_api_group(group);
	if (!group)
		return NULL;
	begin(flags);
	do
		p = bhi_run_object_alloc(
			bhi_group_online(group), size, align_order, flags);
	while (!p && must_retry(group, size, flags));
	end(flags);
	if (!p)
		errno = ENOMEM;
	return p;
}

/* The ordinary small request; where failures may be injected none is. */
static inline bool is_plain(size_t size, unsigned flags)
{
	return bhi_likely(!(flags | bhi_load(&bhi_failpoint_armed)) &&
			  size <= BHI_CLASS_TABLE_SIZE);
}

BHI_API void *bh_alloc(struct bh_group *group, size_t size, unsigned flags)
{
	/* Only a thread that has used the group has it here, so it is no NULL. */
	if (is_plain(size, flags)) {
		void *object =
			bhi_heap_try_alloc(group, bhi_class_table[(size + 7) >> 3]);

		if (bhi_likely(object != NULL))
			return object;
	}
	return alloc_slow(group, size, flags);
}

/* Objects of a class are aligned to the largest power of two that divides its size. */
static size_t aligned_size(size_t align, size_t size)
{
	size_t rounded = (size + align - 1) & ~(align - 1);
	unsigned class_id;

	if (rounded < size || rounded > BHI_CLASS_MAX_SIZE)
		return rounded;
	for (class_id = bhi_class_of(rounded); class_id < BHI_NR_CLASSES; class_id++) {
		if (bhi_class_sizes[class_id] % align == 0)
			return bhi_class_sizes[class_id];
	}
	return rounded;
}

BHI_API void *bh_alloc_aligned(
	struct bh_group *group, size_t align, size_t size, unsigned flags)
{
	size_t rounded;

	if (!align || (align & (align - 1)) || align > MAX_ALIGN ||
		!bhi_flags_are_valid(flags)) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= 8)
		return bh_alloc(group, size, flags);
	if (align <= BHI_PAGE_SIZE && size <= BHI_CLASS_MAX_SIZE) {
		rounded = aligned_size(align, bhi_max(size, (size_t)1));
		return bh_alloc(group, rounded, flags);
	}
	if (align <= BHI_PAGE_SIZE)
		return alloc_run(group, size, 0, flags);
	return alloc_run(group, size,
		(unsigned)__builtin_ctzl(align) - (unsigned)BHI_PAGE_SHIFT, flags);
}

/* Where an object that began at @ptr was freed, as far as debug builds know. */
static const void *freed_where(const void *ptr)
{
	if (bhi_page_is_known(ptr)) {
		struct bhi_page *page = bhi_page_of(ptr);
		uint8_t type = bhi_load_acquire(&page->type);

		if (type == BHI_PAGE_SLAB || type == BHI_PAGE_SLAB_ODD) {
			struct bhi_slab *slab = bhi_slab_of(page);

			return bhi_slab_has_object(slab, ptr)
				       ? bhi_slab_freed_from(slab, ptr)
				       : NULL;
		}
	}
	return bhi_freed_where(ptr);
}

/* Report a pointer that is no live object of ours. */
static BHI_COLD void free_wild(const void *ptr, const void *where)
{
	bhi_misuse(bhi_window_contains(ptr) ? "free of a pointer that is no live object"
					    : "free of a pointer that is not Bulkhead's",
		ptr, where, freed_where(ptr));
}

static BHI_NOINLINE void free_slow(void *ptr, const void *where)
{
	struct bhi_page *page;
	struct bhi_slab *slab;

	if (!ptr)
		return;
	if (bhi_private_contains(ptr)) {
		bhi_api_free_private(ptr, where);
		return;
	}
	if (!bhi_page_is_known(ptr)) {
		free_wild(ptr, where);
		return;
	}
	page = bhi_page_of(ptr);
	slab = bhi_slab_of(page);
	switch (bhi_load_acquire(&page->type)) {
	case BHI_PAGE_SLAB:
		if (bhi_slab_note_free(slab, ptr, where))
			bhi_heap_free(slab, ptr, 0);
		return;
	case BHI_PAGE_SLAB_ODD:
		if (!bhi_slab_has_object(slab, ptr))
			break;
		if (slab->owners) {
			if (bhi_process_inert() ||
				(bhi_slab_note_free(slab, ptr, where) &&
					bhi_small_free(slab, ptr)))
				return;
			break;
		}
		if (bhi_slab_note_free(slab, ptr, where))
			bhi_heap_free(slab, ptr, slab->link);
		return;
	case BHI_PAGE_RUN:
		if ((uintptr_t)ptr % BHI_PAGE_SIZE)
			break;
		bhi_freed_note(ptr, where);
		bhi_run_object_free(page);
		return;
	default:
		break;
	}
	free_wild(ptr, where);
}

BHI_API void bh_free(void *ptr)
{
	struct bh_task *task = bhi_task_current;

	if (task && bhi_private_contains(ptr) && !BH_DEBUG &&
		bhi_likely(bhi_private_try_free(task, ptr)))
		return;
	if (bhi_likely(bhi_page_is_known(ptr)) && !BH_DEBUG) {
		struct bhi_page *page = bhi_page_of(ptr);

		if (bhi_likely(bhi_load(&page->type) == BHI_PAGE_SLAB)) {
			bhi_heap_free(bhi_slab_of(page), ptr, 0);
			return;
		}
	}
	free_slow(ptr, __builtin_return_address(0));
}

/* The slab of a live object, or NULL for runs; false for no object at all. */
static bool find_object(const void *ptr, struct bhi_slab **ret_slab)
{
	struct bhi_page *page;
	uint8_t type;

	if (!bhi_page_is_known(ptr))
		return false;
	page = bhi_page_of(ptr);
	type = bhi_load_acquire(&page->type);
	*ret_slab = NULL;
	if (type == BHI_PAGE_RUN)
		return (uintptr_t)ptr % BHI_PAGE_SIZE == 0;
	if (type != BHI_PAGE_SLAB && type != BHI_PAGE_SLAB_ODD)
		return false;
	*ret_slab = bhi_slab_of(page);
	return bhi_slab_has_object(*ret_slab, ptr);
}

BHI_API size_t bh_usable_size(const void *ptr)
{
	struct bhi_slab *slab;

	if (bhi_private_contains(ptr)) {
		const struct bh_task *task = bhi_task_current;
		size_t size;

		if (!task)
			return 0;
		size = BH_DEBUG ? 0 : bhi_private_try_size(task, ptr);
		return bhi_likely(size) ? size : bhi_private_size(task, ptr);
	}
	if (!ptr || !find_object(ptr, &slab))
		return 0;
	if (!slab)
		return bhi_run_nr_pages(bhi_page_of(ptr)) << BHI_PAGE_SHIFT;
	return slab->cache ? slab->cache->object_size : slab->size;
}

BHI_API struct bh_group *bh_group_of(const void *ptr)
{
	struct bhi_slab *slab;

	if (!ptr || !find_object(ptr, &slab))
		return NULL;
	if (!slab)
		return bhi_group_by_id(bhi_page_of(ptr)->owner);
	return slab->owners ? bhi_small_owner(slab, ptr) : slab->group;
}

/* In place when it fits and does not leave more than half of it empty. */
static bool fits_in_place(size_t usable, size_t size)
{
	return size <= usable && (size >= usable / 2 || usable <= 64);
}

/* The group of a live object may go offline at any time. */
static void *alloc_beside(struct bh_group *group, size_t size, unsigned flags)
{
	if (is_plain(size, flags)) {
		void *object = bhi_heap_try_alloc_pinned(
			group, bhi_class_table[(size + 7) >> 3]);

		if (bhi_likely(object != NULL))
			return object;
	}
	return alloc_slow(group, size, flags);
}

BHI_API void *bh_realloc_flags(void *ptr, size_t size, unsigned flags)
{
	struct bh_group *group;
	size_t usable;
	void *p;

	if (!ptr)
		return bh_alloc(NULL, size, flags);
	usable = bh_usable_size(ptr);
	group = bh_group_of(ptr);
	if (!group || !bhi_flags_are_valid(flags)) {
		if (!group)
			free_wild(ptr, __builtin_return_address(0));
		errno = EINVAL;
		return NULL;
	}
	if (fits_in_place(usable, size))
		return ptr;
	p = alloc_beside(group, size, flags & ~(unsigned)BH_ZERO);
	if (!p)
		return NULL;
	memcpy(p, ptr, bhi_min(usable, size));
	if ((flags & BH_ZERO) && size > usable)
		memset((char *)p + usable, 0, bh_usable_size(p) - usable);
	if (BH_DEBUG)
		free_slow(ptr, __builtin_return_address(0));
	else
		bh_free(ptr);
	return p;
}

BHI_API void *bh_alloc_pages(struct bh_group *group, unsigned order, unsigned flags)
{
	if (order > BH_MAX_ORDER || !bhi_flags_are_valid(flags)) {
		errno = EINVAL;
		return NULL;
	}
	return alloc_run(group, BHI_PAGE_SIZE << order, order, flags);
}

/* What can tell its caller by an error does; a debug build stops where it happens. */
static BHI_COLD int refuse_wild(const void *ptr, const void *where)
{
	if (BH_DEBUG)
		free_wild(ptr, where);
	return -EINVAL;
}

BHI_API int bh_free_pages(void *pages, unsigned order)
{
	const void *where = __builtin_return_address(0);
	struct bhi_slab *slab;

	if (!pages)
		return 0;
	if (!find_object(pages, &slab))
		return refuse_wild(pages, where);
	if (order > BH_MAX_ORDER || slab ||
		bhi_run_nr_pages(bhi_page_of(pages)) != (size_t)1 << order)
		return -EINVAL;
	bhi_freed_note(pages, where);
	bhi_run_object_free(bhi_page_of(pages));
	return 0;
}

BHI_API struct bh_cache *bh_cache_new(
	const char *name, size_t size, size_t align, void (*ctor)(void *))
{
	char own_name[BHI_GROUP_NAME_SIZE];
	struct bh_cache *cache;

	if (!bh_root())
		return NULL;
	if (!bhi_name_read(own_name, name) || !size || size > MAX_CACHE_OBJECT ||
		(align & (align - 1)) || align > BHI_PAGE_SIZE) {
		errno = EINVAL;
		return NULL;
	}
	cache = bhi_process_inert() ? NULL : bhi_cache_new(own_name, size, align, ctor);
	if (!cache)
		errno = ENOMEM;
	return cache;
}

static BHI_COLD bool must_retry_typed(
	const struct bh_cache *cache, struct bh_group *group, unsigned flags)
{
	/* No constructor runs for a task that is reaped, however often it is asked. */
	if ((flags & BH_NOFAIL) && cache->layout.ctor && bhi_task_dying()) {
		end(flags);
		(void)bhi_task_check(bhi_task_current);
		begin(flags);
	}
	return must_retry(group, 0, flags);
}

static void *serve_typed(
	const struct bh_cache *cache, struct bh_group *group, unsigned flags)
{
	if (bhi_process_inert() || bhi_fault(BH_FAULT_SLAB, cache->object_size,
					   flags | bhi_load(&cache->fault_flags)))
		return NULL;
	return bhi_heap_alloc_typed(&cache->layout, bhi_group_online(group), flags);
}

BHI_API void *bh_cache_alloc(
	struct bh_cache *cache, struct bh_group *group, unsigned flags)
{
	void *object;

	if (!cache || !bhi_flags_are_valid(flags) ||
		((flags & BH_ZERO) && cache->layout.ctor)) {
		errno = EINVAL;
		return NULL;
	}
	group = bhi_api_group(group);
	if (!group)
		return NULL;
	begin(flags);
	do
		object = serve_typed(cache, group, flags);
	while (!object && must_retry_typed(cache, group, flags));
	end(flags);
	if (!object)
		errno = ENOMEM;
	else if (flags & BH_ZERO)
		memset(object, 0, cache->object_size);
	return object;
}

BHI_API int bh_cache_free(struct bh_cache *cache, void *object)
{
	const void *where = __builtin_return_address(0);
	struct bhi_slab *slab;

	if (!object)
		return 0;
	if (!find_object(object, &slab))
		return refuse_wild(object, where);
	if (!cache || !slab || slab->cache != cache)
		return -EINVAL;
	free_slow(object, where);
	return 0;
}

BHI_API int bh_cache_destroy(struct bh_cache *cache)
{
	if (!cache)
		return 0;
	return bhi_process_inert() ? -EINVAL : bhi_cache_destroy(cache);
}
