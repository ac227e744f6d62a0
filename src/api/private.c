/* SPDX-License-Identifier: MIT */
/* Private memory of the current task. */
#include "alloc/private.h"

#include <errno.h>
#include <string.h>

#include "alloc/freed.h"
#include "alloc/map.h"
#include "api/private.h"
#include "api/start.h"
#include "task/access.h"
#include "task/section.h"

#define CALLER __builtin_return_address(0)

/* NULL sets errno. */
static BHI_NOINLINE void *alloc_slow(size_t size, bool zero)
{
	struct bh_task *task = bhi_task_current;
	bool zeroed;
	void *p;

	if (!task) {
		errno = EPERM;
		return NULL;
	}
	/* A child of fork must not get as far as a lock. */
	p = bhi_process_inert() ? NULL : bhi_private_alloc(task, size, &zeroed);
	if (p)
		bhi_freed_note(p, NULL);
	else
		errno = ENOMEM;
	if (p && zero && !zeroed)
		memset(p, 0, size);
	return p;
}

BHI_API void *bh_malloc(size_t size)
{
	struct bh_task *task = bhi_task_current;

	bhi_access_request(CALLER);
	if (bhi_likely(
		    task && size <= BHI_CLASS_TABLE_SIZE && !bhi_load(&task->killed))) {
		void *object =
			bhi_private_try_alloc(task, bhi_class_table[(size + 7) >> 3]);

		if (bhi_likely(object != NULL)) {
			bhi_freed_note(object, NULL);
			return object;
		}
	}
	return alloc_slow(size, false);
}

BHI_API void *bh_calloc(size_t nr, size_t size)
{
	size_t bytes;

	bhi_access_request(CALLER);
	if (__builtin_mul_overflow(nr, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return alloc_slow(bytes, true);
}

/* In place when it fits and does not leave more than half of it empty. */
static bool fits_in_place(size_t usable, size_t size)
{
	return size <= usable && (size >= usable / 2 || usable <= 64);
}

/* What has grown beyond its place. */
static void *alloc_larger(struct bh_task *task, size_t usable, size_t size)
{
	void *p = NULL;

	if (size > usable && usable > BHI_PRIVATE_MAX_SIZE && !bhi_process_inert())
		p = bhi_private_alloc_growing(task, size);
	if (!p)
		return bh_malloc(size);
	bhi_freed_note(p, NULL);
	return p;
}

static void *private_realloc(
	struct bh_task *task, void *ptr, size_t usable, size_t size, const void *where)
{
	void *p;

	if (fits_in_place(usable, size))
		return ptr;
	if (usable > BHI_PRIVATE_MAX_SIZE && bhi_private_resize(task, ptr, size))
		return ptr;
	p = alloc_larger(task, usable, size);
	if (!p)
		return NULL;
	memcpy(p, ptr, bhi_min(usable, size));
	if (!BH_DEBUG && bhi_likely(bhi_private_try_free(task, ptr)))
		return p;
	if (bhi_private_free(task, ptr))
		bhi_freed_note(ptr, where);
	return p;
}

BHI_API void *bh_realloc(void *ptr, size_t size)
{
	struct bh_task *task = bhi_task_current;
	size_t usable;

	if (ptr && !bhi_private_contains(ptr))
		return bh_realloc_flags(ptr, size, 0);
	bhi_access_request(CALLER);
	if (!ptr)
		return bh_malloc(size);
	usable = task ? bhi_private_size(task, ptr) : 0;
	if (!usable) {
		bhi_misuse("realloc of a pointer that is no live object of this task",
			ptr, CALLER, bhi_freed_where(ptr));
		errno = EINVAL;
		return NULL;
	}
	return private_realloc(task, ptr, usable, size, __builtin_return_address(0));
}

void bhi_api_free_private(void *ptr, const void *where)
{
	struct bh_task *task = bhi_task_current;

	bhi_access_request(where);
	if (bhi_process_inert())
		return;
	if (task && bhi_private_free(task, ptr)) {
		bhi_freed_note(ptr, where);
		return;
	}
	bhi_misuse("free of a pointer that is no live object of this task", ptr, where,
		bhi_freed_where(ptr));
}

BHI_API void *bh_map(size_t size, unsigned flags)
{
	struct bh_task *task = bhi_task_current;
	void *p = NULL;

	bhi_access_request(CALLER);
	if (!task) {
		errno = EPERM;
		return NULL;
	}
	if (flags || !size) {
		errno = EINVAL;
		return NULL;
	}
	(void)bhi_task_check(task);
	if (!bhi_process_inert())
		p = bhi_map_new(task, size);
	if (!p)
		errno = ENOMEM;
	return p;
}

BHI_API int bh_unmap(void *ptr, size_t size)
{
	bhi_access_request(CALLER);
	return bhi_task_current ? bhi_map_free(bhi_task_current, ptr, size) : -EINVAL;
}

BHI_API int bh_discard(void *ptr, size_t size)
{
	bhi_access_request(CALLER);
	return bhi_task_current ? bhi_map_discard(bhi_task_current, ptr, size) : -EINVAL;
}

BHI_API int bh_touch(void *ptr, size_t size)
{
	bhi_access_request(CALLER);
	return bhi_task_current ? bhi_map_touch(bhi_task_current, ptr, size) : -EINVAL;
}

BHI_API void *bh_export(struct bh_group *group, const void *ptr, size_t size)
{
	struct bh_task *task = bhi_task_current;
	void *copy;

	if (!ptr && size) {
		errno = EINVAL;
		return NULL;
	}
	if (task)
		bhi_task_hold(task);
	copy = bh_alloc(group, size, 0);
	if (copy && size)
		memcpy(copy, ptr, size);
	if (!task)
		return copy;
	bhi_task_unhold(task);
	/* An unwinding would lose the copy: not after it was kept. */
	if (bhi_unlikely(bhi_task_killed(task)) && bhi_task_may_unwind(task)) {
		bh_free(copy);
		bhi_task_unwind(task);
	}
	return copy;
}
