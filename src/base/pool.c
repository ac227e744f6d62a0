/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/failpoint.h"
#include "base/pool.h"
#include "base/sys.h"

/* Large enough that a mapping is rare, small enough that an idle pool costs nothing. */
#define CHUNK_SIZE ((size_t)64 * 1024)

/* atomic */
static size_t meta_bytes, used_bytes;

void *bhi_meta_map(size_t size)
{
	void *p;

	size = bhi_page_align(size);
	if (bhi_sys_map(size, &p))
		return NULL;
	bhi_add(&meta_bytes, size);
	return p;
}

void bhi_meta_unmap(void *addr, size_t size)
{
	if (!addr)
		return;
	size = bhi_page_align(size);
	bhi_sys_unmap(addr, size);
	bhi_sub(&meta_bytes, size);
}

size_t bhi_meta_bytes(void)
{
	return bhi_load(&meta_bytes);
}

size_t bhi_pools_used(void)
{
	return bhi_load(&used_bytes);
}

static void *take_fresh(struct bhi_pool *pool) BH_REQUIRES(pool->lock)
{
	void *object;

	bhi_assert_held(&pool->lock);
	if ((size_t)(pool->fresh_end - pool->fresh) < pool->size) {
		char *chunk = bhi_meta_map(CHUNK_SIZE);

		if (!chunk)
			return NULL;
		pool->fresh = chunk;
		pool->fresh_end = chunk + CHUNK_SIZE;
	}
	object = pool->fresh;
	pool->fresh += pool->size;
	return object;
}

void *bhi_pool_alloc(struct bhi_pool *pool)
{
	void *object;

	if (bhi_failpoint(BHI_FP_POOL))
		return NULL;
	bhi_lock_acquire(&pool->lock);
	object = pool->free;
	if (object)
		memcpy(&pool->free, object, sizeof(void *));
	else
		object = take_fresh(pool);
	if (object)
		pool->nr_used++;
	bhi_lock_release(&pool->lock);
	if (object) {
		bhi_add(&used_bytes, pool->size);
		memset(object, 0, pool->size);
	}
	return object;
}

void bhi_pool_free(struct bhi_pool *pool, void *object)
{
	if (!object)
		return;
	bhi_sub(&used_bytes, pool->size);
	bhi_lock_acquire(&pool->lock);
	memcpy(object, &pool->free, sizeof(void *));
	pool->free = object;
	pool->nr_used--;
	bhi_lock_release(&pool->lock);
}
