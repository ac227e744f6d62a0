/* SPDX-License-Identifier: MIT */
/* Typed caches: the list of them, and objects with a constructed state. */
#ifndef BHI_ALLOC_CACHE_H
#define BHI_ALLOC_CACHE_H

#include "alloc/heap.h"

struct bh_cache {
	/* immutable after init */
	struct bhi_cache_layout layout;
	uint32_t object_size; /* as asked for */
	char name[BHI_GROUP_NAME_SIZE];
	/* atomic */
	uint32_t fault_flags; /* BHI_FAULT_IN_MARKED: injected failures may be in it */
	/* protected by the list's lock */
	struct bhi_list node;
};

/* As the public functions, arguments checked. Context: may wait. */
struct bh_cache *bhi_cache_new(
	const char *name, size_t size, size_t align, void (*ctor)(void *));
int bhi_cache_destroy(struct bh_cache *cache);

struct bhi_cache_info {
	char name[BHI_GROUP_NAME_SIZE];
	uint32_t object_size;
	uint32_t stride; /* bytes from object to object */
	uint64_t nr_slabs, nr_objects, nr_live, bytes;
};

/* Copy what is known of the @index-th cache. False: there are fewer. Context: may wait.
 */
bool bhi_cache_info(unsigned index, struct bhi_cache_info *ret);

#endif
