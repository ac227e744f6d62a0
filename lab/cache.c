/* SPDX-License-Identifier: MIT */
#include "cache.h"

#include <errno.h>

#define OBJECT_SIZE ((size_t)64 << 10)
#define OBJECTS_MAX 1024

struct cache {
	struct bh_shrinker shrinker;
	struct bh_mutex *lock; /* NULL: it needs none */
	unsigned nr;
	void *objects[OBJECTS_MAX];
};

static struct cache caches[BHI_LAB_CACHES];

static size_t count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	const struct cache *cache = self->arg;

	(void)control;
	return cache->nr ? cache->nr : BH_SHRINK_EMPTY;
}

static size_t scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct cache *cache = self->arg;
	size_t nr = 0;

	/* The caller may hold the lock, and trying would then be in vain. */
	if (cache->lock && (control->flags & BH_NORECLAIM))
		return BH_SHRINK_STOP;
	if (cache->lock && bh_mutex_trylock(cache->lock))
		return BH_SHRINK_STOP;
	while (cache->nr && nr < control->nr_to_scan) {
		bh_free(cache->objects[--cache->nr]);
		nr++;
	}
	if (cache->lock)
		(void)bh_mutex_unlock(cache->lock);
	return nr;
}

static int fill(struct cache *cache, struct bh_group *group, uint64_t size)
{
	for (uint64_t had = 0; had < size && cache->nr < OBJECTS_MAX;
		had += OBJECT_SIZE) {
		void *object = bh_alloc(group, OBJECT_SIZE, BH_RETRY_MAYFAIL);

		if (!object)
			return -ENOMEM;
		cache->objects[cache->nr++] = object;
	}
	return 0;
}

int bhi_lab_caches_start(void)
{
	const struct bhi_lab_scenario *scenario = bhi_lab_run.scenario;

	for (unsigned i = 0; i < scenario->nr_caches; i++) {
		const struct bhi_lab_cache *plan = &scenario->caches[i];
		struct cache *cache = &caches[i];
		struct bh_group *group = bhi_lab_run_group(plan->group);

		if (plan->lock != BHI_LAB_NONE)
			cache->lock = &bhi_lab_run.locks[plan->lock].mutex;
		cache->shrinker = (struct bh_shrinker){
			.name = plan->name,
			.count = count,
			.scan = scan,
			.arg = cache,
			.group = group,
			.seeks = 2,
		};
		if (fill(cache, group, plan->size) ||
			bh_shrinker_register(&cache->shrinker))
			return -ENOMEM;
	}
	return 0;
}

void bhi_lab_caches_stop(void)
{
	for (unsigned i = 0; i < bhi_lab_run.scenario->nr_caches; i++) {
		struct cache *cache = &caches[i];

		(void)bh_shrinker_unregister(&cache->shrinker);
		while (cache->nr)
			bh_free(cache->objects[--cache->nr]);
	}
}
