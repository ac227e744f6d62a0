/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "alloc/cache.h"
#include "base/pool.h"

static struct bhi_pool pool = BHI_POOL_INIT(struct bh_cache);
static struct bhi_lock list_lock = BHI_LOCK_INIT(BHI_RANK_CACHE);
static struct bhi_list list = {&list, &list};

/*
 * The link between free objects lies in the object, which has no contents then; behind
 * it if the constructed state must survive. So no object is aligned to less than a link.
 */
static struct bhi_cache_layout layout_of(
	struct bh_cache *cache, size_t size, size_t align, void (*ctor)(void *))
{
	size_t link = ctor ? (size + 7) & ~(size_t)7 : 0;
	size_t stride = ctor ? link + sizeof(void *) : bhi_max(size, sizeof(void *));

	if (!align)
		align = size > 8 ? 16 : 8;
	align = bhi_max(align, sizeof(void *));
	stride = (stride + align - 1) & ~(align - 1);
	return (struct bhi_cache_layout){
		.cache = cache,
		.ctor = ctor,
		.size = (uint32_t)stride,
		.link = (uint32_t)link,
	};
}

struct bh_cache *bhi_cache_new(
	const char *name, size_t size, size_t align, void (*ctor)(void *))
{
	struct bh_cache *cache = bhi_pool_alloc(&pool);

	if (!cache)
		return NULL;
	cache->layout = layout_of(cache, size, align, ctor);
	cache->object_size = (uint32_t)size;
	strncpy(cache->name, name, sizeof(cache->name) - 1);
	bhi_lock_acquire(&list_lock);
	bhi_list_append(&list, &cache->node);
	bhi_lock_release(&list_lock);
	return cache;
}

int bhi_cache_destroy(struct bh_cache *cache)
{
	if (!bhi_heaps_drop_cache(cache))
		return -EBUSY;
	bhi_lock_acquire(&list_lock);
	bhi_list_unlink(&cache->node);
	bhi_lock_release(&list_lock);
	bhi_pool_free(&pool, cache);
	return 0;
}

static void add_slabs(const struct bh_cache *cache, struct bhi_cache_info *info)
{
	uint32_t nr = bhi_load(&bhi_slabs.nr);

	for (uint32_t i = 0; i < nr; i++) {
		const struct bhi_slab *slab = &bhi_slabs.array[i];

		if (bhi_load(&slab->cache) != cache)
			continue;
		info->nr_slabs++;
		info->nr_objects += bhi_load(&slab->nr_objects);
		info->nr_live += bhi_slab_nr_live(slab);
		info->bytes += bhi_slab_bytes(slab);
	}
}

bool bhi_cache_info(unsigned index, struct bhi_cache_info *ret)
{
	bool found = false;

	bhi_lock_acquire(&list_lock);
	bhi_list_for_each (node, &list) {
		struct bh_cache *cache = bhi_list_entry(node, struct bh_cache, node);

		if (index--)
			continue;
		*ret = (struct bhi_cache_info){
			.object_size = cache->object_size,
			.stride = cache->layout.size,
		};
		memcpy(ret->name, cache->name, sizeof(ret->name));
		add_slabs(cache, ret);
		found = true;
		break;
	}
	bhi_lock_release(&list_lock);
	return found;
}
