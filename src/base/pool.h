/* SPDX-License-Identifier: MIT */
/*
 * Metadata objects of one size, from mappings of their own: never from malloc and never
 * from memory that the library hands out. The memory of a pool stays an object of that
 * type for ever, so a stale pointer reads some object of the type and never anything
 * else; lock-free readers build on that.
 */
#ifndef BHI_BASE_POOL_H
#define BHI_BASE_POOL_H

#include "base/lock.h"

struct bhi_pool {
	/* immutable after init */
	struct bhi_lock lock;
	uint32_t size; /* bytes an object, a multiple of 16 */
	/* protected by .lock */
	void *free;
	char *fresh, *fresh_end; /* the part of the newest chunk not yet handed out */
	size_t nr_used;
};

#define BHI_POOL_INIT(type)                           \
	{                                             \
		.lock = BHI_LOCK_INIT(BHI_RANK_POOL), \
		.size = (sizeof(type) + 15u) & ~15u   \
	}

/* A zeroed object, or NULL. Context: any. */
void *bhi_pool_alloc(struct bhi_pool *pool);

/* Context: any, no allocation. NULL is fine. */
void bhi_pool_free(struct bhi_pool *pool, void *object);

/* Context: any. Metadata of odd sizes: page-granular mapping, zeroed, or NULL. */
void *bhi_meta_map(size_t size);

/* Context: any, no allocation. */
void bhi_meta_unmap(void *addr, size_t size);

/* Bytes of address space mapped for metadata. Context: any, no allocation. */
size_t bhi_meta_bytes(void);

/* Bytes of objects of all pools that are in use. Context: any. */
size_t bhi_pools_used(void);

#endif
