/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

#include "account/stock.h"
#include "reclaim/background.h"
#include "support_memory.h"

static struct {
	struct bh_group *filler;
	int64_t filled;
	pthread_t main;
} state;

void support_start(uint64_t size)
{
	/* The decay clock stands still: no test is to meet a tick by chance. */
	struct bh_config config = {.size = size, .decay_ms = 3600000};

	ck_assert_int_eq(bh_init(&config), 0);
	state.main = pthread_self();
}

void support_end(void)
{
	support_leave_free(UINT64_MAX);
	bh_group_put(state.filler);
	state.filler = NULL;
	/* The background holds the group that it is at, for a moment. */
	while (support_stat(bh_root()).nr_children)
		sched_yield();
	ck_assert_int_eq(bh_audit(), 0);
}

struct bh_group *support_group(struct bh_group *parent, const char *name)
{
	struct bh_group *group = bh_group_new(parent, name);

	ck_assert_ptr_nonnull(group);
	return group;
}

void support_set(struct bh_group *group, enum bh_knob knob, uint64_t value)
{
	ck_assert_int_eq(bh_group_set(group, knob, value), 0);
}

struct bh_group_stat support_stat(struct bh_group *group)
{
	struct bh_group_stat stat;

	ck_assert_int_eq(bh_group_stat(group, &stat), 0);
	return stat;
}

uint64_t support_usage(struct bh_group *group)
{
	bhi_stock_drain(group);
	return support_stat(group).usage;
}

uint64_t support_free(void)
{
	bhi_stock_drain(bh_root());
	return (uint64_t)bhi_counter_free(&bh_root()->counter);
}

static void fill(int64_t size)
{
	struct bhi_counter *over;

	ck_assert(bhi_counter_try_charge(
		&state.filler->counter, size, BHI_RESERVE_ALL, true, &over));
	bhi_add(&state.filler->external, size);
	state.filled += size;
}

static void unfill(int64_t size)
{
	bhi_add(&state.filler->external, -size);
	bhi_counter_uncharge(&state.filler->counter, size);
	state.filled -= size;
}

void support_leave_free(uint64_t bytes)
{
	int64_t less = (int64_t)(support_free() - bhi_min(bytes, (uint64_t)INT64_MAX));

	if (!state.filler)
		state.filler = support_group(NULL, "filler");
	if (less > 0)
		fill(less);
	else if (state.filled)
		unfill(bhi_min(-less, state.filled));
}

void support_await(const uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		sched_yield();
}

/* Two groups above BH_HIGH: the background asks for the first and then for the second
 * each time that it goes through those. */
static struct {
	struct bh_group *groups[2];
	/* the background only */
	struct bh_group *last;
	sem_t passes;
} fence;

static size_t fence_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	if (pthread_equal(pthread_self(), state.main) ||
		(control->group != fence.groups[0] && control->group != fence.groups[1]))
		return 0;
	if (control->group == fence.groups[0] && fence.last != control->group)
		sem_post(&fence.passes);
	fence.last = control->group;
	return 0;
}

static size_t scan_nothing(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	(void)self;
	(void)control;
	return BH_SHRINK_STOP;
}

/* Charged behind the rules' back, so that the fence itself wakes nobody. */
static void fence_raise(bool above)
{
	for (int i = 0; i < 2; i++) {
		if (above)
			fence.groups[i] = support_group(NULL, "above-high");
		bhi_store(&fence.groups[i]->counter.high, 0);
		bhi_store(&fence.groups[i]->counter.usage, above);
		if (!above)
			bh_group_put(fence.groups[i]);
	}
}

/*
 * The thread takes all reasons for which it was woken at once, and groups above BH_HIGH
 * come last. The first pass that is seen may belong to reasons it took before; with the
 * second all earlier ones are done with.
 */
uint64_t support_background_wakeups(void)
{
	/* A global shrinker is told what the target of the reclaim is. */
	struct bh_shrinker shrinker = {
		.name = "fence", .count = fence_count, .scan = scan_nothing};
	struct bhi_background_stat stat;

	sem_init(&fence.passes, 0, 0);
	fence.last = NULL;
	fence_raise(true);
	ck_assert_int_eq(bh_shrinker_register(&shrinker), 0);
	for (int i = 0; i < 2; i++) {
		bhi_background_wake_high();
		while (sem_wait(&fence.passes))
			;
	}
	ck_assert_int_eq(bh_shrinker_unregister(&shrinker), 0);
	fence_raise(false);
	bhi_background_stat(&stat);
	return stat.wakeups;
}

pthread_t support_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

void *support_join(pthread_t thread)
{
	void *result;

	ck_assert_int_eq(pthread_join(thread, &result), 0);
	return result;
}

static struct support_cache *cache_of(struct bh_shrinker *shrinker)
{
	return bhi_container_of(shrinker, struct support_cache, shrinker);
}

static size_t cache_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_cache *cache = cache_of(self);

	(void)control;
	if (cache->only_here && !pthread_equal(pthread_self(), cache->here))
		return 0;
	bhi_add(&cache->nr_counts, 1);
	return bhi_load(&cache->in_use) ? 0 : bhi_load(&cache->nr);
}

static void *cache_take(struct support_cache *cache)
{
	size_t nr = cache->nr;

	if (!nr)
		return NULL;
	bhi_store(&cache->nr, nr - 1);
	return cache->objects[nr - 1];
}

static size_t cache_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct support_cache *cache = cache_of(self);
	size_t freed = 0;
	void *object;

	bhi_add(&cache->nr_scans, 1);
	if (pthread_mutex_trylock(&cache->lock))
		return BH_SHRINK_STOP;
	while (freed < control->nr_to_scan && (object = cache_take(cache))) {
		bh_free(object);
		freed++;
	}
	pthread_mutex_unlock(&cache->lock);
	return freed;
}

void support_cache_init(
	struct support_cache *cache, struct bh_group *group, unsigned order)
{
	*cache = (struct support_cache){
		.shrinker = {.name = "cache",
			.count = cache_count,
			.scan = cache_scan,
			.group = group,
			.seeks = 2},
		.group = group,
		.order = order,
		.here = pthread_self(),
	};
	pthread_mutex_init(&cache->lock, NULL);
	ck_assert_int_eq(bh_shrinker_register(&cache->shrinker), 0);
}

static void cache_put(struct support_cache *cache, void *object)
{
	pthread_mutex_lock(&cache->lock);
	if (cache->nr == cache->room) {
		cache->room = cache->room ? 2 * cache->room : 64;
		cache->objects =
			realloc(cache->objects, cache->room * sizeof(*cache->objects));
		ck_assert_ptr_nonnull(cache->objects);
	}
	cache->objects[cache->nr] = object;
	bhi_store(&cache->nr, cache->nr + 1);
	pthread_mutex_unlock(&cache->lock);
}

size_t support_cache_fill(struct support_cache *cache, size_t nr, unsigned flags)
{
	size_t had = 0;

	for (; nr; nr--) {
		void *object = bh_alloc_pages(cache->group, cache->order, flags);

		if (!object)
			break;
		cache_put(cache, object);
		had++;
	}
	return had;
}

void support_cache_fini(struct support_cache *cache)
{
	void *object;

	ck_assert_int_eq(bh_shrinker_unregister(&cache->shrinker), 0);
	while ((object = cache_take(cache)))
		bh_free(object);
	free(cache->objects);
	pthread_mutex_destroy(&cache->lock);
}
