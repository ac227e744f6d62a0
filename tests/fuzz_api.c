/* SPDX-License-Identifier: MIT */
/*
 * The public functions with any arguments in any order, by one thread, in a process that
 * lives on from input to input. Bytes choose a function and its arguments, among them the
 * wrong ones: flags that contradict each other, orders and alignments out of range, other
 * objects' caches, NULL. What must come of each call is known from the arguments alone;
 * after each input everything is given back, the audit finds nothing, and nothing is
 * charged.
 *
 * Left out is what the header calls undefined, and what would stop the fuzzer: debug
 * builds abort on wild pointers, BH_NOFAIL waits when memory is short, and BH_HIGH below
 * the usage sleeps.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "account/stock.h"
#include "alloc/heap.h"
#include "debug/inject.h"

#include "fuzz.h"

/* A request that must not fail is made only while so much is free. */
#define NOFAIL_MARGIN ((size_t)4 << 20)
#define NOFAIL_SIZE   ((size_t)64 << 10)

#define NR_GROUPS    6
#define NR_OBJECTS   24
#define NR_CACHES    3
#define NR_SHRINKERS 3
#define MAX_STASHED  8

/* Looks before a disagreement counts as one that stays: the background reclaimer's pass.
 */
#define MAX_LOOKS 1000

#define CONSTRUCTED 0x5eed

struct object {
	unsigned char *p;
	size_t size;
	struct bh_group *group;
	struct bh_cache *cache; /* NULL: no cached object */
	unsigned char tag;
};

struct cache {
	struct bh_cache *cache;
	size_t size;
	bool constructed;
	unsigned nr_live;
};

/* What a shrinker may free. */
struct stash {
	struct bh_shrinker shrinker;
	bool registered;
	pthread_mutex_t lock;
	/* protected by .lock */
	struct object objects[MAX_STASHED];
	unsigned nr;
};

static struct {
	int null_fd;
	struct bh_group *groups[NR_GROUPS]; /* 0 stays NULL: the root */
	size_t charged[NR_GROUPS];
	struct object objects[NR_OBJECTS];
	struct cache caches[NR_CACHES];
	struct stash stashes[NR_SHRINKERS];
	bool injected; /* a call may fail for no other reason */
} state;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Without BH_NOFAIL where it would wait for ever; but wrong flags stay wrong. */
static unsigned can_fail(unsigned flags, size_t size)
{
	struct bh_group_stat stat;

	require(bh_group_stat(bh_root(), &stat) == 0);
	if (!flags_are_valid(flags) || (size <= NOFAIL_SIZE && !state.injected &&
					       stat.usage + NOFAIL_MARGIN < ZONE_SIZE))
		return flags;
	return flags & ~(unsigned)BH_NOFAIL;
}

static struct bh_group *actual(struct bh_group *group)
{
	return group ? group : bh_root();
}

/* 0, the root, where there is no other. */
static unsigned take_group_index(struct input *in)
{
	unsigned i = take(in) % NR_GROUPS;

	return state.groups[i] ? i : 0;
}

static struct bh_group *take_group(struct input *in)
{
	return state.groups[take_group_index(in)];
}

/* After a call that may give an object: @valid says whether its arguments make sense. */
static bool check_result(const void *p, bool valid, unsigned flags)
{
	if (!valid)
		require(!p && errno == EINVAL);
	else if (!p)
		require(errno == ENOMEM && !(flags & BH_NOFAIL));
	return p;
}

static void fill(struct object *object, unsigned char tag)
{
	size_t size = object->size;

	object->tag = tag;
	if (size && !object->cache)
		object->p[0] = object->p[size / 2] = object->p[size - 1] = tag;
	if (object->cache)
		object->p[size - 1] = tag;
}

static void check(const struct object *object)
{
	size_t size = object->size;

	require(bh_usable_size(object->p) >= size);
	require(bh_group_of(object->p) == object->group);
	if (size && !object->cache)
		require(object->p[0] == object->tag &&
			object->p[size / 2] == object->tag);
	if (size)
		require(object->p[size - 1] == object->tag);
}

static void check_zero(const unsigned char *p, size_t from, size_t to)
{
	while (from < to)
		require(!p[from++]);
}

static struct object *free_place(void)
{
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		if (!state.objects[i].p)
			return &state.objects[i];
	}
	return NULL;
}

static void keep(struct input *in, void *p, size_t size, struct bh_group *group,
	struct bh_cache *cache)
{
	struct object *object = free_place();

	*object = (struct object){.p = p, .size = size, .group = group, .cache = cache};
	fill(object, (unsigned char)take(in));
	check(object);
}

static struct cache *cache_of(const struct object *object)
{
	for (unsigned i = 0; i < NR_CACHES; i++) {
		if (object->cache && state.caches[i].cache == object->cache)
			return &state.caches[i];
	}
	return NULL;
}

/* It is free, or about to go with its group. */
static void forget(struct object *object)
{
	struct cache *cache = cache_of(object);

	if (cache)
		cache->nr_live--;
	*object = (struct object){.p = NULL};
}

static void op_alloc(struct input *in)
{
	struct bh_group *group = take_group(in);
	size_t size = take_size(in);
	unsigned flags = can_fail(take_flags(in), size);
	unsigned char *p;

	if (!free_place())
		return;
	p = bh_alloc(group, size, flags);
	if (!check_result(p, flags_are_valid(flags), flags))
		return;
	require((uintptr_t)p % (size > 8 ? 16 : 8) == 0);
	if (flags & BH_ZERO)
		check_zero(p, 0, size);
	keep(in, p, size, actual(group), NULL);
}

static void op_alloc_aligned(struct input *in)
{
	struct bh_group *group = take_group(in);
	size_t size = take_size(in);
	size_t align = take(in) < 240 ? (size_t)1 << (take(in) % 24) : take_bytes(in, 2);
	unsigned flags = can_fail(take_flags(in), bhi_max(size, align));
	bool valid = align && !(align & (align - 1)) && align <= (4u << 20);
	unsigned char *p;

	if (!free_place())
		return;
	p = bh_alloc_aligned(group, align, size, flags);
	if (!check_result(p, valid && flags_are_valid(flags), flags))
		return;
	require((uintptr_t)p % align == 0);
	keep(in, p, size, actual(group), NULL);
}

static void op_alloc_pages(struct input *in)
{
	struct bh_group *group = take_group(in);
	unsigned order = take(in);
	unsigned flags;
	unsigned char *p;

	if (order < 240)
		order %= 8;
	flags = can_fail(take_flags(in), order < 16 ? (size_t)4096 << order : 0);
	if (!free_place())
		return;
	p = bh_alloc_pages(group, order, flags);
	if (!check_result(p, order <= BH_MAX_ORDER && flags_are_valid(flags), flags))
		return;
	require((uintptr_t)p % ((size_t)4096 << order) == 0);
	keep(in, p, (size_t)4096 << order, actual(group), NULL);
}

static struct object *take_object(struct input *in)
{
	return &state.objects[take(in) % NR_OBJECTS];
}

static void prepare_free(struct object *object)
{
	check(object);
	if (object->cache)
		require(!cache_of(object)->constructed ||
			(object->p[0] | object->p[1] << 8) == CONSTRUCTED);
}

static void op_free(struct input *in)
{
	struct object *object = take_object(in);

	if (object->p)
		prepare_free(object);
	bh_free(object->p);
	forget(object);
}

static void op_free_pages(struct input *in)
{
	struct object *object = take_object(in);
	unsigned order = take(in) % 16;
	bool fits = order <= BH_MAX_ORDER && !((uintptr_t)object->p % 4096) &&
		    bh_usable_size(object->p) == (size_t)4096 << order;
	int r;

	if (object->p)
		prepare_free(object);
	r = bh_free_pages(object->p, order);
	if (!object->p)
		require(r == 0);
	else
		require(r == (fits && !object->cache ? r : -EINVAL));
	if (r == 0)
		forget(object);
	else
		check(object);
}

static void op_realloc(struct input *in)
{
	struct object *object = take_object(in), old = *object;
	size_t size = take_size(in), usable = bh_usable_size(old.p);
	unsigned flags = can_fail(take_flags(in), size);
	/* Of a group that was put it becomes the parent's. */
	struct bh_group *target = old.p ? bhi_group_online(old.group) : bh_root();
	unsigned char *p;

	if (!old.p && !free_place())
		return;
	p = bh_realloc_flags(old.p, size, flags);
	if (!check_result(p, flags_are_valid(flags), flags)) {
		if (old.p)
			check(object);
		return;
	}
	if (old.p && old.size && size > old.size / 2 && !old.cache)
		require(p[0] == old.tag && p[old.size / 2] == old.tag);
	if ((flags & BH_ZERO) && old.p && usable < size)
		check_zero(p, usable, size);
	/* In place, a cached object stays one. */
	if (p == old.p && old.cache)
		return;
	if (old.p)
		forget(object);
	keep(in, p, size, p == old.p ? old.group : target, NULL);
}

static void construct(void *p)
{
	memset(p, 0, 3);
	memcpy(p, &(uint16_t){CONSTRUCTED}, 2);
}

static void op_cache_new(struct input *in)
{
	static const char *const names[] = {"fuzz", "a b", "", "a/b", "a\"b", "a\\b",
		"\n", "0123456789012345678901234567890",
		"01234567890123456789012345678901", "caf\xc3\xa9", NULL};
	struct cache *cache = &state.caches[take(in) % NR_CACHES];
	unsigned name = take(in);
	size_t size = take_size(in), align = take(in) < 200 ? 0 : take_bytes(in, 2);
	bool constructed = take(in) % 2 && size >= 3, valid;

	if (cache->cache)
		return;
	name = name < 200 ? 0 : name % bhi_array_size(names);
	valid = (name <= 1 || name == 7) && size && size <= 32768 &&
		!(align & (align - 1)) && align <= 4096;
	cache->cache =
		bh_cache_new(names[name], size, align, constructed ? construct : NULL);
	if (!check_result(cache->cache, valid, 0))
		return;
	cache->size = size;
	cache->constructed = constructed;
}

static void op_cache_alloc(struct input *in)
{
	struct cache *cache = &state.caches[take(in) % NR_CACHES];
	struct bh_group *group = take_group(in);
	unsigned flags = can_fail(take_flags(in), cache->size);
	bool valid = cache->cache && flags_are_valid(flags) &&
		     !(cache->constructed && (flags & BH_ZERO));
	unsigned char *p;

	if (!free_place())
		return;
	p = bh_cache_alloc(cache->cache, group, flags);
	if (!check_result(p, valid, flags))
		return;
	if (flags & BH_ZERO)
		check_zero(p, 0, cache->size);
	if (cache->constructed)
		require((p[0] | p[1] << 8) == CONSTRUCTED);
	cache->nr_live++;
	keep(in, p, cache->size, actual(group), cache->cache);
}

static void op_cache_free(struct input *in)
{
	struct cache *cache = &state.caches[take(in) % NR_CACHES];
	struct object *object = take_object(in);
	bool fits = cache->cache && object->cache == cache->cache;
	int r;

	if (object->p)
		prepare_free(object);
	r = bh_cache_free(cache->cache, object->p);
	require(r == (fits || !object->p ? 0 : -EINVAL));
	if (!r)
		forget(object);
}

static void op_cache_destroy(struct input *in)
{
	struct cache *cache = &state.caches[take(in) % NR_CACHES];
	int r = bh_cache_destroy(cache->cache);

	require(r == (cache->nr_live ? -EBUSY : 0));
	if (!r)
		*cache = (struct cache){.cache = NULL};
}

static void op_group_new(struct input *in)
{
	struct bh_group *parent = take_group(in), *group;
	unsigned i = 1 + take(in) % (NR_GROUPS - 1);
	bool valid = take(in) < 240;

	if (state.groups[i])
		return;
	group = bh_group_new(parent, valid ? "fuzz" : take(in) % 2 ? "a/b" : NULL);
	if (check_result(group, valid, 0))
		state.groups[i] = group;
}

static void op_group_get_put(struct input *in)
{
	struct bh_group *group = take_group(in);

	require(bh_group_get(group) == group);
	bh_group_put(group);
}

/* Bytes that are still charged keep the memory of the group until they go. */
static void put_group(unsigned i)
{
	struct bh_group *group = state.groups[i];
	size_t charged = state.charged[i];

	state.groups[i] = NULL;
	state.charged[i] = 0;
	bh_group_put(group);
	bh_uncharge(group, charged);
}

static void op_group_put(struct input *in)
{
	put_group(1 + take(in) % (NR_GROUPS - 1));
}

static int expected_set(struct bh_group *group, unsigned knob, uint64_t value)
{
	if (!group || knob > BH_ON_LIMIT)
		return -EINVAL;
	if (knob >= BH_OOM_GROUP)
		return value > 1 ? -EINVAL : 0;
	return group == bh_root() ? -EINVAL : 0;
}

static void op_group_set(struct input *in)
{
	struct bh_group *group = take(in) < 250 ? actual(take_group(in)) : NULL;
	unsigned knob = take(in) % 8;
	uint64_t value = take(in) % 2 ? take_size(in) : take(in) % 4;

	if (knob == BH_HIGH && value < ZONE_SIZE)
		value = ZONE_SIZE;
	require(bh_group_set(group, (enum bh_knob)knob, value) ==
		expected_set(group, knob, value));
}

static void op_group_stat(struct input *in)
{
	struct bh_group *group = take_group(in);
	struct bh_group_stat stat;

	require(bh_group_stat(actual(group), &stat) == 0);
	require(stat.usage <= ZONE_SIZE && stat.nr_children < NR_GROUPS);
	require(bh_group_stat(NULL, &stat) == -EINVAL);
	require(bh_group_stat(actual(group), NULL) == -EINVAL);
}

static void op_group_drop(struct input *in)
{
	struct bh_group *group = actual(take_group(in));

	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		if (state.objects[i].p && state.objects[i].group == group) {
			prepare_free(&state.objects[i]);
			forget(&state.objects[i]);
		}
	}
	for (unsigned i = 0; i < NR_SHRINKERS; i++) {
		struct stash *stash = &state.stashes[i];
		unsigned nr = 0;

		pthread_mutex_lock(&stash->lock);
		for (unsigned j = 0; j < stash->nr; j++) {
			if (stash->objects[j].group != group)
				stash->objects[nr++] = stash->objects[j];
		}
		stash->nr = nr;
		pthread_mutex_unlock(&stash->lock);
	}
	require(bh_group_drop(group) == 0);
	require(bh_group_drop(NULL) == -EINVAL);
}

static void op_group_reclaim(struct input *in)
{
	struct bh_group *group = take(in) < 250 ? actual(take_group(in)) : NULL;
	size_t size = take_size(in);
	unsigned flags = take_flags(in);
	int r = bh_group_reclaim(group, size, flags);

	if (!group || !flags_are_valid(flags))
		require(r == -EINVAL);
	else
		require(r == 0 || r == -EAGAIN);
}

static void op_charge(struct input *in)
{
	unsigned i = take_group_index(in);
	size_t size = take_size(in);
	unsigned flags = can_fail(take_flags(in), size);
	int r = bh_charge(state.groups[i], size, flags);

	if (size > INT64_MAX || !flags_are_valid(flags))
		require(r == -EINVAL);
	else
		require(r == 0 || (r == -ENOMEM && !(flags & BH_NOFAIL)));
	if (!r)
		state.charged[i] += size;
}

/* Also more than was charged: that is clamped. */
static void op_uncharge(struct input *in)
{
	unsigned i = take_group_index(in);
	size_t size = take_size(in);

	bh_uncharge(state.groups[i], size);
	if (size <= INT64_MAX)
		state.charged[i] -= bhi_min(size, state.charged[i]);
}

static void free_stashed(struct object *object)
{
	check(object);
	bh_free(object->p);
}

/* Called by the background reclaimer too. */
static size_t stash_count(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct stash *stash = self->arg;
	unsigned nr;

	require(control->group != NULL);
	if (pthread_mutex_trylock(&stash->lock))
		return 0;
	nr = stash->nr;
	pthread_mutex_unlock(&stash->lock);
	return nr ? nr : BH_SHRINK_EMPTY;
}

static size_t stash_scan(struct bh_shrinker *self, struct bh_shrink_control *control)
{
	struct stash *stash = self->arg;
	size_t nr = 0;

	if (pthread_mutex_trylock(&stash->lock))
		return BH_SHRINK_STOP;
	for (; stash->nr && nr < control->nr_to_scan; nr++)
		free_stashed(&stash->objects[--stash->nr]);
	pthread_mutex_unlock(&stash->lock);
	return nr;
}

static void op_stash(struct input *in)
{
	struct stash *stash = &state.stashes[take(in) % NR_SHRINKERS];
	struct object *object = take_object(in);

	pthread_mutex_lock(&stash->lock);
	if (object->p && !object->cache && stash->nr < MAX_STASHED) {
		stash->objects[stash->nr++] = *object;
		forget(object);
	}
	pthread_mutex_unlock(&stash->lock);
}

static void op_shrinker_register(struct input *in)
{
	struct stash *stash = &state.stashes[take(in) % NR_SHRINKERS];
	unsigned wrong = take(in);
	int r;

	if (!stash->registered)
		stash->shrinker = (struct bh_shrinker){
			.name = wrong == 1 ? NULL : "fuzz",
			.count = wrong == 2 ? NULL : stash_count,
			.scan = wrong == 3 ? NULL : stash_scan,
			.arg = stash,
			.group = take_group(in),
			.seeks = take(in),
			.batch = take(in) % 16,
			.flags = take(in) < 200 ? 0 : take(in) % 4,
		};
	r = bh_shrinker_register(&stash->shrinker);
	if (stash->registered) {
		require(r == -EBUSY);
		return;
	}
	require(r ==
		((wrong >= 1 && wrong <= 3) || stash->shrinker.flags > 1 ? -EINVAL : 0));
	stash->registered = !r;
}

static void unregister(struct stash *stash)
{
	int r = bh_shrinker_unregister(&stash->shrinker);

	require(r == (stash->registered ? 0 : -EINVAL));
	stash->registered = false;
}

static void op_shrinker_unregister(struct input *in)
{
	unregister(&state.stashes[take(in) % NR_SHRINKERS]);
	require(bh_shrinker_register(NULL) == -EINVAL);
	require(bh_shrinker_unregister(NULL) == -EINVAL);
}

/* Pointers that are no objects are only looked at: freeing them ends a debug build. */
static void op_look(struct input *in)
{
	const struct object *object = take_object(in);
	const char *wild = (const char *)(uintptr_t)take_bytes(in, 8);
	const char *p = object->p ? (const char *)object->p + take(in) % 64 : wild;

	bh_usable_size(p);
	bh_usable_size(wild);
	if (!bh_usable_size(p))
		require(!bh_group_of(p));
	require(!bh_usable_size(NULL) && !bh_group_of(NULL));
	require(!bh_usable_size(&state) && !bh_group_of(&state));
}

static void op_report(struct input *in)
{
	unsigned format = take(in) % 4;
	int fd = take(in) % 4 ? state.null_fd : -1;

	require(bh_report_write(fd, (enum bh_format)format) ==
		(fd < 0 || format > BH_JSON ? -EINVAL : 0));
}

static void op_noreclaim(struct input *in)
{
	unsigned previous = bh_noreclaim_enter();

	op_alloc(in);
	op_charge(in);
	bh_noreclaim_leave(previous);
}

static void op_start(struct input *in)
{
	struct bh_config config = {.size = take_bytes(in, 3)};

	require(bh_init(NULL) == -EALREADY);
	require(bh_init(&config) ==
		(config.size && config.size < (1u << 20) ? -EINVAL : -EALREADY));
	require(bh_features() != 0 && bh_version() != NULL);
}

static void op_inject(struct input *in)
{
	state.injected = true;
	bhi_failpoint_arm(1 + take(in) % 64,
		take(in) % 4 ? BHI_FP_ONCE : BHI_FP_PERSISTENT,
		(unsigned)take_bytes(in, 2));
}

static void op_disarm(struct input *in)
{
	(void)in;
	bhi_failpoint_disarm();
	state.injected = false;
}

static void (*const ops[])(struct input *in) = {op_alloc, op_alloc, op_alloc_aligned,
	op_alloc_pages, op_free, op_free, op_free_pages, op_realloc, op_cache_new,
	op_cache_alloc, op_cache_free, op_cache_destroy, op_group_new, op_group_get_put,
	op_group_put, op_group_set, op_group_stat, op_group_drop, op_group_reclaim,
	op_charge, op_uncharge, op_stash, op_shrinker_register, op_shrinker_unregister,
	op_look, op_report, op_noreclaim, op_start, op_inject, op_disarm};

/* Give everything back. */
static void clean_up(void)
{
	for (unsigned i = 0; i < NR_SHRINKERS; i++) {
		struct stash *stash = &state.stashes[i];

		unregister(stash);
		while (stash->nr)
			free_stashed(&stash->objects[--stash->nr]);
	}
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		if (state.objects[i].p) {
			prepare_free(&state.objects[i]);
			bh_free(state.objects[i].p);
			forget(&state.objects[i]);
		}
	}
	for (unsigned i = 0; i < NR_CACHES; i++) {
		require(bh_cache_destroy(state.caches[i].cache) == 0);
		state.caches[i] = (struct cache){.cache = NULL};
	}
	for (unsigned i = 0; i < NR_GROUPS; i++)
		put_group(i);
	for (unsigned knob = BH_OOM_GROUP; knob <= BH_ON_LIMIT; knob++)
		require(bh_group_set(bh_root(), (enum bh_knob)knob, 0) == 0);
}

/* Nobody owns anything: nothing is charged, and only the root is left. */
static bool is_clean(void)
{
	struct bh_group_stat stat;

	bhi_heaps_collect(bh_root());
	bhi_stock_drain(bh_root());
	bhi_group_sweep();
	require(bh_group_stat(bh_root(), &stat) == 0);
	return !stat.usage && !stat.external && bhi_group_count() == 1 && bh_audit() == 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct bh_config config = {.size = ZONE_SIZE};

	(void)argc;
	(void)argv;
	require(bh_init(&config) == 0);
	state.null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (unsigned i = 0; i < NR_SHRINKERS; i++)
		pthread_mutex_init(&state.stashes[i].lock, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.p = data, .size = size};
	unsigned looks = 0;

	while (in.size)
		ops[take(&in) % bhi_array_size(ops)](&in);
	op_disarm(&in);
	require(bh_audit() == 0 || bh_audit() == 0);
	clean_up();
	while (!is_clean()) {
		require(looks++ < MAX_LOOKS);
		sched_yield();
	}
	return 0;
}
