/* SPDX-License-Identifier: MIT */
/*
 * A hash table with a list by age. Entries are shared memory: they outlive the task that
 * stored them.
 *
 * Memory is asked for before the lock is taken. The other way round a thread could need
 * what only the shrinker gives, while it keeps the shrinker out.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <bulkhead.h>

#include "cache.h"
#include "script.h"
#include "text.h"

#define NR_BUCKETS     4096u
/* How long a drill waits for its kill, and how much longer it then holds. */
#define DAWDLE_NS      UINT64_C(5000000000)
#define DAWDLE_MORE_MS 20

struct entry {
	struct entry *next; /* in its bucket */
	struct entry *newer, *older;
	uint32_t hash, key_size, value_size;
	char bytes[]; /* key, then value */
};

static struct {
	/* immutable after init */
	struct bh_group *group;
	struct bh_shrinker shrinker;
	bool is_disowned; /* in a child process */

	struct bh_mutex lock;

	/* protected by .lock */
	struct entry *buckets[NR_BUCKETS];
	struct entry *newest, *oldest;
	uint64_t nr_entries, bytes;

	/* atomic */
	uint64_t hits, misses, stores, refused, shrunk;
} cache;

#define COUNT(field) __atomic_fetch_add(&cache.field, 1, __ATOMIC_RELAXED)
#define READ(field)  __atomic_load_n(&cache.field, __ATOMIC_RELAXED)

/* FNV-1a */
static uint32_t hash_of(const char *key, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)key[i]) * 16777619u;
	return hash;
}

static struct entry **find_locked(uint32_t hash, const char *key, size_t size)
{
	struct entry **at = &cache.buckets[hash % NR_BUCKETS];

	while (*at && ((*at)->hash != hash || (*at)->key_size != size ||
			      memcmp((*at)->bytes, key, size)))
		at = &(*at)->next;
	return at;
}

static void link_locked(struct entry *entry)
{
	entry->newer = NULL;
	entry->older = cache.newest;
	if (cache.newest)
		cache.newest->newer = entry;
	else
		cache.oldest = entry;
	cache.newest = entry;
}

static void unlink_locked(struct entry *entry)
{
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		cache.newest = entry->older;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		cache.oldest = entry->newer;
}

/* Take the entry out of table and list. @at points to it. */
static struct entry *remove_locked(struct entry **at)
{
	struct entry *entry = *at;

	*at = entry->next;
	unlink_locked(entry);
	cache.nr_entries--;
	cache.bytes -= entry->key_size + entry->value_size;
	return entry;
}

/* A lock whose holder died protects a cache in whatever state: forget it. Its memory
 * stays charged until the group is dropped. */
static void repair_locked(void)
{
	memset(cache.buckets, 0, sizeof(cache.buckets));
	cache.newest = cache.oldest = NULL;
	cache.nr_entries = cache.bytes = 0;
}

/* False when the task was killed while it waited and could not be unwound. */
static bool lock(void)
{
	int r;

	script_sleeps(WAIT_LOCK);
	r = bh_mutex_lock(&cache.lock);
	if (r == -EOWNERDEAD)
		repair_locked();
	return r == 0 || r == -EOWNERDEAD;
}

ssize_t cache_get(const char *key, size_t key_size, char *value)
{
	char name[CACHE_KEY_MAX];
	struct entry *entry;
	ssize_t size = -1;
	uint32_t hash;

	if (key_size > sizeof(name) || cache.is_disowned)
		return -1;
	/* Under the lock nothing private is touched: that could be gone. */
	memcpy(name, key, key_size);
	hash = hash_of(name, key_size);
	if (!lock())
		return -1;
	entry = *find_locked(hash, name, key_size);
	if (entry) {
		size = entry->value_size;
		memcpy(value, entry->bytes + key_size, entry->value_size);
		unlink_locked(entry);
		link_locked(entry);
		COUNT(hits);
	} else {
		COUNT(misses);
	}
	bh_mutex_unlock(&cache.lock);
	return size;
}

static struct entry *entry_new(
	const char *key, size_t key_size, const char *value, size_t value_size)
{
	struct entry *entry = bh_alloc(cache.group,
		sizeof(*entry) + key_size + value_size, BH_RETRY_MAYFAIL | BH_NOWARN);

	if (!entry)
		return NULL;
	entry->hash = hash_of(key, key_size);
	entry->key_size = (uint32_t)key_size;
	entry->value_size = (uint32_t)value_size;
	memcpy(entry->bytes, key, key_size);
	memcpy(entry->bytes + key_size, value, value_size);
	return entry;
}

static void insert_locked(struct entry *entry)
{
	struct entry **at = find_locked(entry->hash, entry->bytes, entry->key_size);

	if (*at)
		bh_free(remove_locked(at));
	entry->next = *at;
	*at = entry;
	link_locked(entry);
	cache.nr_entries++;
	cache.bytes += entry->key_size + entry->value_size;
}

/*
 * For drills: what others must never see, for as long as it takes until the task is
 * killed, and a moment longer. The lock that it has is a hold section, so that it comes
 * to the end of this in any case. Outside of tasks nobody is killed: then only a moment.
 */
static void dawdle_locked(struct entry *entry)
{
	char *value = entry->bytes + entry->key_size;
	uint64_t end_ns = now_ns() + DAWDLE_NS;

	for (size_t i = 0; i < entry->value_size / 2; i++)
		value[i] ^= 1;
	while (bh_current() && !bh_check() && now_ns() < end_ns)
		poll(NULL, 0, 1);
	poll(NULL, 0, DAWDLE_MORE_MS);
	for (size_t i = 0; i < entry->value_size / 2; i++)
		value[i] ^= 1;
}

static bool set(const char *key, size_t key_size, const char *value, size_t value_size,
	bool is_slow)
{
	struct entry *entry;

	if (key_size > CACHE_KEY_MAX || value_size > CACHE_VALUE_MAX || cache.is_disowned)
		return false;
	/* From its allocation to the defer nobody else would free the entry. */
	bh_hold();
	entry = entry_new(key, key_size, value, value_size);
	if (entry)
		bh_defer(bh_free, entry);
	bh_release();
	if (!entry) {
		COUNT(refused);
		return false;
	}
	if (!lock()) {
		bh_undefer(bh_free, entry);
		bh_free(entry);
		return false;
	}
	insert_locked(entry);
	bh_undefer(bh_free, entry);
	COUNT(stores);
	if (is_slow)
		dawdle_locked(entry);
	bh_mutex_unlock(&cache.lock);
	return true;
}

bool cache_set(const char *key, size_t key_size, const char *value, size_t value_size)
{
	return set(key, key_size, value, value_size, false);
}

bool cache_set_slowly(
	const char *key, size_t key_size, const char *value, size_t value_size)
{
	return set(key, key_size, value, value_size, true);
}

static size_t shrink_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	uint64_t nr = READ(nr_entries);

	(void)self;
	(void)control;
	return nr ? nr : BH_SHRINK_EMPTY;
}

static size_t shrink_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	size_t nr = 0;
	int r;

	(void)self;
	if (control->flags & BH_NORECLAIM)
		return BH_SHRINK_STOP;
	r = bh_mutex_trylock(&cache.lock);
	if (r == -EOWNERDEAD)
		repair_locked();
	else if (r)
		return BH_SHRINK_STOP;
	while (nr < control->nr_to_scan && cache.oldest) {
		struct entry *entry = cache.oldest;
		struct entry **at =
			find_locked(entry->hash, entry->bytes, entry->key_size);

		if (!*at)
			break;
		bh_free(remove_locked(at));
		nr++;
	}
	__atomic_fetch_add(&cache.shrunk, nr, __ATOMIC_RELAXED);
	bh_mutex_unlock(&cache.lock);
	return nr;
}

int cache_init(uint64_t max)
{
	int r;

	memset(&cache, 0, sizeof(cache));
	bh_mutex_init(&cache.lock, "cache");
	cache.group = bh_group_new(NULL, "cache");
	if (!cache.group)
		return -errno;
	bh_group_set(cache.group, BH_MAX, max);
	bh_group_set(cache.group, BH_ON_LIMIT, BH_FAIL);
	cache.shrinker.name = "cache";
	cache.shrinker.count = shrink_count;
	cache.shrinker.scan = shrink_scan;
	cache.shrinker.group = cache.group;
	cache.shrinker.seeks = 2;
	r = bh_shrinker_register(&cache.shrinker);
	if (r)
		bh_group_put(cache.group);
	return r;
}

void cache_fini(void)
{
	bh_shrinker_unregister(&cache.shrinker);
	bh_group_drop(cache.group);
	bh_group_put(cache.group);
}

void cache_disown(void)
{
	cache.is_disowned = true;
}

void cache_stat(struct cache_stat *ret)
{
	ret->hits = READ(hits);
	ret->misses = READ(misses);
	ret->stores = READ(stores);
	ret->refused = READ(refused);
	ret->shrunk = READ(shrunk);
	ret->nr_entries = READ(nr_entries);
	ret->bytes = READ(bytes);
}

void cache_lock(void)
{
	lock();
}

void cache_unlock(void)
{
	bh_mutex_unlock(&cache.lock);
}
