/* SPDX-License-Identifier: MIT */
/*
 * Three groups in one process with a zone of 64 MiB:
 *
 *	web	a steady worker that must not be disturbed
 *	cache	keeps whatever fits, and gives it back when asked: it has a shrinker
 *	hog	allocates until it is told no
 *
 * The hog runs into its limit. With a higher one, which is more than the zone has left,
 * the cache makes room for it; the worker never fails. Exits 0 only if all of that
 * happened.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <bulkhead.h>

#define MIB               ((size_t)1 << 20)
#define WEB_ROUNDS        20000
#define WEB_OBJECTS       64
#define CACHE_ENTRY_SIZE  ((size_t)16 * 1024)
#define CACHE_MAX_ENTRIES 4096
#define HOG_OBJECT_SIZE   ((size_t)30 * 1000)
#define HOG_MAX_OBJECTS   4096

struct cache {
	pthread_mutex_t lock;
	void *entries[CACHE_MAX_ENTRIES];
	size_t nr;
	size_t nr_given_back;
};

struct web {
	struct bh_group *group;
	size_t nr_failed, nr_wrong;
};

/* A request: some objects filled, checked and freed. */
static void serve(struct web *web, unsigned round)
{
	unsigned char *objects[WEB_OBJECTS] = {0};

	for (size_t i = 0; i < WEB_OBJECTS; i++) {
		size_t size = 16 + (round * 31 + i * 97) % 2000;

		objects[i] = bh_alloc(web->group, size, 0);
		if (!objects[i])
			web->nr_failed++;
		else
			memset(objects[i], (int)i, size);
	}
	for (size_t i = 0; i < WEB_OBJECTS; i++) {
		if (objects[i] && objects[i][0] != i)
			web->nr_wrong++;
		bh_free(objects[i]);
	}
}

static void *web_main(void *arg)
{
	for (unsigned round = 0; round < WEB_ROUNDS; round++)
		serve(arg, round);
	return NULL;
}

/* An estimate, so it takes no lock. */
static size_t cache_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct cache *cache = self->arg;
	size_t nr = __atomic_load_n(&cache->nr, __ATOMIC_RELAXED);

	(void)control;
	return nr ? nr : BH_SHRINK_EMPTY;
}

/* A shrinker runs on whichever thread is short of memory, perhaps one that is inside the
 * cache: it must not wait for the cache's lock. */
static size_t cache_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct cache *cache = self->arg;
	size_t freed = 0;

	if (pthread_mutex_trylock(&cache->lock))
		return BH_SHRINK_STOP;
	while (freed < control->nr_to_scan && cache->nr) {
		size_t last = cache->nr - 1;

		bh_free(cache->entries[last]);
		__atomic_store_n(&cache->nr, last, __ATOMIC_RELAXED);
		freed++;
	}
	cache->nr_given_back += freed;
	pthread_mutex_unlock(&cache->lock);
	return freed;
}

/* Fill the cache with everything that can be had without pushing anybody. */
static void cache_fill(struct cache *cache, struct bh_group *group)
{
	pthread_mutex_lock(&cache->lock);
	while (cache->nr < CACHE_MAX_ENTRIES) {
		void *entry = bh_alloc(group, CACHE_ENTRY_SIZE, BH_NOWAIT | BH_NOWARN);

		if (!entry)
			break;
		memset(entry, 0xca, CACHE_ENTRY_SIZE);
		cache->entries[cache->nr] = entry;
		__atomic_store_n(&cache->nr, cache->nr + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&cache->lock);
}

/* Allocate until it fails; how much that was. */
static size_t hog_run(struct bh_group *group, int *ret_error)
{
	static void *objects[HOG_MAX_OBJECTS];
	size_t nr = 0;

	*ret_error = 0;
	while (nr < HOG_MAX_OBJECTS) {
		errno = 0;
		objects[nr] = bh_alloc(group, HOG_OBJECT_SIZE, 0);
		if (!objects[nr]) {
			*ret_error = errno;
			break;
		}
		memset(objects[nr++], 0x40, HOG_OBJECT_SIZE);
	}
	for (size_t i = 0; i < nr; i++)
		bh_free(objects[i]);
	return nr * HOG_OBJECT_SIZE;
}

static int failed(const char *what)
{
	fprintf(stderr, "demo: %s\n", what);
	return 1;
}

int main(void)
{
	struct bh_config config = {.size = 64 * MIB};
	struct cache cache = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct bh_shrinker shrinker = {
		.name = "demo-cache",
		.count = cache_count,
		.scan = cache_scan,
		.arg = &cache,
		.seeks = 2,
	};
	struct bh_group *cache_group, *hog;
	struct web web = {0};
	size_t limited, more;
	int error, error2;
	pthread_t thread;

	if (bh_init(&config))
		return failed("the library does not start");
	web.group = bh_group_new(NULL, "web");
	cache_group = bh_group_new(NULL, "cache");
	hog = bh_group_new(NULL, "hog");
	if (!web.group || !cache_group || !hog)
		return failed("no groups");
	bh_group_set(web.group, BH_LOW, 8 * MIB);
	bh_group_set(hog, BH_MAX, 16 * MIB);
	shrinker.group = cache_group;
	if (bh_shrinker_register(&shrinker))
		return failed("no shrinker");
	if (pthread_create(&thread, NULL, web_main, &web))
		return failed("no thread");

	cache_fill(&cache, cache_group);
	printf("cache: filled with %zu MiB, which leaves the zone nearly full\n",
		cache.nr * CACHE_ENTRY_SIZE / MIB);
	limited = hog_run(hog, &error);
	printf("hog:   got %zu MiB of its limit of 16 MiB, then: %s\n", limited / MIB,
		strerror(error));
	bh_group_set(hog, BH_MAX, 48 * MIB);
	more = hog_run(hog, &error2);
	printf("hog:   got %zu MiB of a limit of 48 MiB, then: %s\n", more / MIB,
		strerror(error2));
	printf("cache: gave %zu MiB back\n",
		cache.nr_given_back * CACHE_ENTRY_SIZE / MIB);
	pthread_join(thread, NULL);
	printf("web:   %d requests served meanwhile, %zu allocations failed, %zu "
	       "wrong\n\n",
		WEB_ROUNDS, web.nr_failed, web.nr_wrong);
	fflush(stdout);
	bh_report_write(1, BH_TEXT);

	if (limited > 16 * MIB || limited < 12 * MIB || error != ENOMEM)
		return failed("the hog's limit did not hold");
	if (more < limited || error2 != ENOMEM || !cache.nr_given_back)
		return failed("the cache did not make room");
	if (web.nr_wrong)
		return failed("the worker saw wrong bytes");
	if (web.nr_failed)
		return failed("the worker was disturbed");
	bh_shrinker_unregister(&shrinker);
	while (cache.nr)
		bh_free(cache.entries[--cache.nr]);
	bh_group_put(web.group);
	bh_group_put(cache_group);
	bh_group_put(hog);
	return bh_audit() ? failed("the books do not balance") : 0;
}
